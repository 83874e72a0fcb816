-- name: all_connections
SELECT name, strategy, options, updated_at FROM connections ORDER BY name;

-- name: put_connection
INSERT INTO connections (name, strategy, options, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET
    strategy = excluded.strategy, options = excluded.options, updated_at = excluded.updated_at;

-- name: seed_connection
-- Several servers may start on one new database.
INSERT INTO connections (name, strategy, options) VALUES ($1, $2, $3)
ON CONFLICT (name) DO NOTHING;

-- name: sealed_connections
SELECT name, options FROM connections;

-- name: reseal_connection
UPDATE connections SET options = $1 WHERE name = $2;
