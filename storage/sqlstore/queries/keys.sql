-- name: all_signing_keys
SELECT id, algorithm, pkcs8, created_at, signs_from, retired_at, publish_until
FROM signing_keys ORDER BY created_at, id;

-- name: put_signing_key
INSERT INTO signing_keys (id, algorithm, pkcs8, created_at, signs_from, retired_at, publish_until)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
    algorithm = excluded.algorithm, pkcs8 = excluded.pkcs8, created_at = excluded.created_at,
    signs_from = excluded.signs_from, retired_at = excluded.retired_at, publish_until = excluded.publish_until;

-- name: delete_signing_key
DELETE FROM signing_keys WHERE id = $1;

-- name: sealed_signing_keys
SELECT id, pkcs8 FROM signing_keys;

-- name: reseal_signing_key
UPDATE signing_keys SET pkcs8 = $1 WHERE id = $2;
