-- name: user_by_id
SELECT id, number, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes
FROM users WHERE id = $1;

-- name: user_by_number
-- By the unique index of number_index; asked once per live secret key.
SELECT id, number, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes
FROM users WHERE number_index = $1;

-- name: users_after
-- Pages by primary key, so that a page costs the same anywhere in the list.
SELECT id, number, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes
FROM users WHERE id > $1 ORDER BY id LIMIT $2;

-- name: insert_user
-- No row when the subject is somebody's, or was a removed person's: a sub is never given
-- again.
INSERT INTO users (id, number, number_index, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE NOT EXISTS (SELECT 1 FROM removed_users WHERE removed_users.id = $1)
ON CONFLICT (id) DO NOTHING;

-- name: user_logged_in
UPDATE users SET last_login_at = $1, verified_at = $1 WHERE id = $2;

-- name: reseal_user
-- The same under the active secret key. All of a person moves together, so that the
-- key of number_index tells about the attributes, too.
UPDATE users SET number = $1, number_index = $2, attributes = $3 WHERE id = $4;

-- name: update_user
-- All that is sealed moves to the active secret key together, as in reseal_user.
UPDATE users SET number = $1, number_index = $2, verified_at = $3, attributes = $4, updated_at = $5 WHERE id = $6;

-- name: users_sealed_by_others
-- The blind index begins with the name of its key: what lies outside the active
-- key's range was written under another. By the index of number_index.
SELECT id, number, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes
FROM users WHERE number_index < $1 OR number_index > $2 LIMIT $3;

-- name: block_user
UPDATE users SET blocked_at = COALESCE(blocked_at, $1) WHERE id = $2;

-- name: unblock_user
UPDATE users SET blocked_at = NULL WHERE id = $1;

-- name: delete_user
-- Sessions go by their foreign key.
DELETE FROM users WHERE id = $1;

-- name: remember_removed_user
INSERT INTO removed_users (id, removed_at) VALUES ($1, $2);

-- name: user_of_attribute
-- By the unique index of value_index; asked once per live secret key.
SELECT user_id FROM unique_attributes WHERE value_index = $1;

-- name: insert_unique_attribute
INSERT INTO unique_attributes (user_id, name, value_index) VALUES ($1, $2, $3);

-- name: delete_unique_attributes_of_user
DELETE FROM unique_attributes WHERE user_id = $1;

-- name: delete_unique_attribute
-- Of everyone: walks the table, when the configuration calls an attribute unique no more.
DELETE FROM unique_attributes WHERE name = $1;

-- name: indexed_attributes
SELECT name FROM indexed_attributes ORDER BY name;

-- name: insert_indexed_attribute
INSERT INTO indexed_attributes (name) VALUES ($1);

-- name: delete_indexed_attribute
DELETE FROM indexed_attributes WHERE name = $1;

-- name: users_from
-- For those who ask for a page by its number: what lies before it is walked.
SELECT id, number, created_at, updated_at, last_login_at, verified_at, blocked_at, attributes
FROM users ORDER BY id LIMIT $1 OFFSET $2;

-- name: count_users
SELECT COUNT(*) FROM users;

-- name: set_verified
UPDATE users SET verified_at = $1 WHERE id = $2;

-- name: metadata_of_user
SELECT user_id, metadata FROM user_metadata WHERE user_id = $1;

-- name: put_metadata
INSERT INTO user_metadata (user_id, metadata, sealed_by) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET metadata = excluded.metadata, sealed_by = excluded.sealed_by;

-- name: delete_metadata
DELETE FROM user_metadata WHERE user_id = $1;

-- name: metadata_sealed_by_others
-- By the index of sealed_by, on both sides of the active key.
SELECT user_id, metadata FROM user_metadata WHERE sealed_by < $1 OR sealed_by > $1 LIMIT $2;
