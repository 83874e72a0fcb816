-- name: all_clients
SELECT id, settings, secret_macs, created_at, updated_at FROM clients ORDER BY id;

-- name: client_by_id
SELECT id, settings, secret_macs, created_at, updated_at FROM clients WHERE id = $1;

-- name: insert_client
INSERT INTO clients (id, settings, secret_macs, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING;

-- name: update_client
UPDATE clients SET settings = $1, secret_macs = $2, updated_at = $3 WHERE id = $4;

-- name: delete_client
DELETE FROM clients WHERE id = $1;
