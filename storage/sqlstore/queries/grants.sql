-- name: insert_grant
-- UNIQUE (transaction_id): no row means that the transaction was answered before.
INSERT INTO grants (id, transaction_id, code_mac, code_expires, client_id, redirect_uri, scopes, nonce,
                    code_challenge, acr, user_id, session_id, auth_time, created_at, ends_at,
                    audience, api_scopes, tokens_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (transaction_id) DO NOTHING;

-- name: grant_by_code
-- By the unique index of code_mac; asked once per live secret key. The join drops
-- the grants of removed people.
SELECT g.id, g.transaction_id, g.code_mac, g.code_expires, g.client_id, g.redirect_uri, g.scopes, g.nonce,
       g.code_challenge, g.acr, g.user_id, g.session_id, g.auth_time, g.created_at, g.redeemed_at, g.revoked_at,
       g.audience, g.api_scopes, g.tokens_until,
       u.id, u.number, u.created_at, u.updated_at, u.last_login_at, u.verified_at, u.blocked_at, u.attributes
FROM grants g JOIN users u ON u.id = g.user_id
WHERE g.code_mac = $1;

-- name: redeem_grant
-- "redeemed_at IS NULL" is the single-use gate: no row means used, revoked, expired or unknown.
UPDATE grants SET redeemed_at = $1
WHERE id = $2 AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires > $1;

-- name: grant_redeemed_at
SELECT redeemed_at FROM grants WHERE id = $1;

-- name: extend_grant
-- A redeemed code is kept as long as its refresh tokens, so that reuse is noticed.
UPDATE grants SET ends_at = $1 WHERE id = $2 AND ends_at < $1;

-- name: revoke_grant
UPDATE grants SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL;

-- name: grant_exists
SELECT 1 FROM grants WHERE id = $1;

-- name: transaction_answered
-- By the unique index of transaction_id.
SELECT COUNT(*) FROM grants WHERE transaction_id = $1;

-- name: revoke_grants_of_session
-- By the index (user_id, session_id).
UPDATE grants SET revoked_at = $1 WHERE user_id = $2 AND session_id = $3 AND revoked_at IS NULL;

-- name: move_grants_between_sessions
-- A person's grants follow them from a session that a new login replaced. By the
-- index (user_id, session_id) and that of session_mac.
UPDATE grants SET session_id = $1 WHERE user_id = $2 AND revoked_at IS NULL
    AND session_id = (SELECT id FROM sessions WHERE session_mac = $3);

-- name: revoke_grants_of_user
UPDATE grants SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL;

-- name: revoke_grants_of_user_for_api
-- By the index (user_id, session_id).
UPDATE grants SET revoked_at = $1 WHERE user_id = $2 AND audience = $3 AND revoked_at IS NULL;

-- name: grants_of_api
-- As grants_of_client.
SELECT id FROM grants WHERE id > $1 AND audience = $2 AND revoked_at IS NULL ORDER BY id LIMIT $3;

-- name: grants_of_client
-- Walks the primary key: no index by client, which every login would pay for.
-- Reads hold up no writer.
SELECT id FROM grants WHERE id > $1 AND client_id = $2 AND revoked_at IS NULL ORDER BY id LIMIT $3;

-- name: revoked_grants
-- By the partial index of revoked_at.
SELECT id, revoked_at, tokens_until FROM grants WHERE revoked_at >= $1 ORDER BY revoked_at;

-- name: revoked_grants_for_apis
-- Those whose tokens can be alive, however long ago they were revoked. By the
-- partial index of tokens_until.
SELECT id, revoked_at, tokens_until FROM grants WHERE revoked_at IS NOT NULL AND tokens_until > $1
ORDER BY tokens_until;

-- name: delete_ended_grants
-- In batches, along the index of ends_at. Refresh families go by their foreign key.
DELETE FROM grants WHERE id IN (
    SELECT id FROM grants WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2
);
