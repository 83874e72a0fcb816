-- name: insert_family
INSERT INTO refresh_families (id, grant_id, counter, rotated_at, created_at, idle_expires, absolute_expires)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: family_by_id
SELECT f.id, f.grant_id, f.counter, f.rotated_at, f.created_at, f.idle_expires, f.absolute_expires,
       g.id, g.transaction_id, g.code_mac, g.code_expires, g.client_id, g.redirect_uri, g.scopes, g.nonce,
       g.code_challenge, g.acr, g.user_id, g.session_id, g.auth_time, g.created_at, g.redeemed_at, g.revoked_at,
       g.audience, g.api_scopes, g.tokens_until,
       u.id, u.number, u.created_at, u.updated_at, u.last_login_at, u.verified_at, u.blocked_at, u.attributes
FROM refresh_families f JOIN grants g ON g.id = f.grant_id JOIN users u ON u.id = g.user_id
WHERE f.id = $1;

-- name: family_standing
SELECT f.id, f.grant_id, f.counter, f.rotated_at, f.created_at, f.idle_expires, f.absolute_expires, g.revoked_at
FROM refresh_families f JOIN grants g ON g.id = f.grant_id
WHERE f.id = $1;

-- name: rotate_family
-- "counter = $4" is the single-use gate: of two rotations with one token, one finds its row.
UPDATE refresh_families SET counter = counter + 1, rotated_at = $1, idle_expires = $2
WHERE id = $3 AND counter = $4;
