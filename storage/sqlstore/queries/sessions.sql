-- name: insert_session
-- UNIQUE (challenge) is the single-use gate: no row means that the challenge
-- opened a session before.
INSERT INTO sessions (id, session_mac, challenge, user_id, auth_time, created_at, seen_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $5, $5, $6)
ON CONFLICT (challenge) DO NOTHING;

-- name: session_by_mac
-- By the unique index of session_mac; asked once per live secret key.
SELECT s.id, s.user_id, s.auth_time, s.created_at, s.seen_at, s.expires_at,
       u.id, u.number, u.created_at, u.updated_at, u.last_login_at, u.verified_at, u.blocked_at, u.attributes
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.session_mac = $1 AND s.ended_at IS NULL AND u.blocked_at IS NULL;

-- name: session_standing
SELECT s.ended_at, u.blocked_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = $1 AND s.user_id = $2;

-- name: touch_session
UPDATE sessions SET seen_at = $1 WHERE id = $2 AND seen_at < $1 AND ended_at IS NULL;

-- name: end_session
UPDATE sessions SET ended_at = COALESCE(ended_at, $1) WHERE id = $2 RETURNING user_id;

-- name: end_session_by_mac
UPDATE sessions SET ended_at = $1 WHERE session_mac = $2 AND ended_at IS NULL;

-- name: end_sessions_of_user
UPDATE sessions SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL;

-- name: delete_expired_sessions
-- In batches, along the index of expires_at, so that logins wait for one batch at most.
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
);
