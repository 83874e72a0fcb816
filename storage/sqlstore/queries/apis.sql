-- name: all_apis
SELECT id, settings, created_at, updated_at FROM apis ORDER BY id;

-- name: api_by_id
SELECT id, settings, created_at, updated_at FROM apis WHERE id = $1;

-- name: insert_api
INSERT INTO apis (id, settings, created_at, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO NOTHING;

-- name: update_api
UPDATE apis SET settings = $1, updated_at = $2 WHERE id = $3;

-- name: delete_api
DELETE FROM apis WHERE id = $1;

-- name: all_client_grants
SELECT client_id, audience, scopes, created_at FROM client_grants ORDER BY client_id, audience;

-- name: client_grant
SELECT client_id, audience, scopes, created_at FROM client_grants WHERE client_id = $1 AND audience = $2;

-- name: insert_client_grant
INSERT INTO client_grants (client_id, audience, scopes, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (client_id, audience) DO NOTHING;

-- name: update_client_grant
UPDATE client_grants SET scopes = $1 WHERE client_id = $2 AND audience = $3;

-- name: put_client_grant
INSERT INTO client_grants (client_id, audience, scopes, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (client_id, audience) DO UPDATE SET scopes = excluded.scopes;

-- name: delete_client_grant
DELETE FROM client_grants WHERE client_id = $1 AND audience = $2;

-- name: delete_client_grants_of_client
DELETE FROM client_grants WHERE client_id = $1;

-- name: delete_client_grants_of_api
DELETE FROM client_grants WHERE audience = $1;

-- name: assignments_of_user
SELECT user_id, audience, scopes, created_at FROM assignments WHERE user_id = $1 ORDER BY audience;

-- name: assignment
SELECT user_id, audience, scopes, created_at FROM assignments WHERE user_id = $1 AND audience = $2;

-- name: put_assignment
-- No row when there is no such person.
INSERT INTO assignments (user_id, audience, scopes, created_at)
SELECT id, $1, $2, $3 FROM users WHERE id = $4
ON CONFLICT (user_id, audience) DO UPDATE SET scopes = excluded.scopes;

-- name: delete_assignment
DELETE FROM assignments WHERE user_id = $1 AND audience = $2;

-- name: delete_assignments_of_api
DELETE FROM assignments WHERE audience = $1;

-- name: subject_of_user
SELECT sub FROM subjects WHERE user_id = $1 AND sector = $2;

-- name: user_of_subject
SELECT user_id FROM subjects WHERE sub = $1;

-- name: insert_subject
-- The first one stays: a subject never changes. No row when there is no such person.
INSERT INTO subjects (user_id, sector, sub)
SELECT id, $1, $2 FROM users WHERE id = $3
ON CONFLICT (user_id, sector) DO NOTHING;

-- name: insert_revoked_token
INSERT INTO revoked_tokens (id, revoked_at, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (id) DO NOTHING;

-- name: revoked_tokens_since
SELECT id, revoked_at, expires_at FROM revoked_tokens WHERE revoked_at >= $1 ORDER BY revoked_at;

-- name: delete_expired_revoked_tokens
DELETE FROM revoked_tokens WHERE id IN (
    SELECT id FROM revoked_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
);
