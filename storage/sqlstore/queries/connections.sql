-- name: all_connections
SELECT name, strategy, options, settings, updated_at FROM connections ORDER BY name;

-- name: connection_by_name
SELECT name, strategy, options, settings, updated_at FROM connections WHERE name = $1;

-- name: insert_connection
INSERT INTO connections (name, strategy, options, settings, updated_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING;

-- name: delete_connection
DELETE FROM connections WHERE name = $1;

-- name: put_connection
INSERT INTO connections (name, strategy, options, settings, updated_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET
    strategy = excluded.strategy, options = excluded.options, settings = excluded.settings, updated_at = excluded.updated_at;

-- name: seed_connection
-- Several servers may start on one new database.
INSERT INTO connections (name, strategy, options) VALUES ($1, $2, $3)
ON CONFLICT (name) DO NOTHING;

-- name: sealed_connections
SELECT name, options FROM connections;

-- name: reseal_connection
UPDATE connections SET options = $1 WHERE name = $2;
