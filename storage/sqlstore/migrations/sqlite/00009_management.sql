-- +goose Up
-- What Auth0's Management API keeps beside what was there.

-- What is said of a connection beside its options, as JSON by Auth0's names.
ALTER TABLE connections ADD COLUMN settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings));

-- app_metadata and user_metadata of people, as sealed JSON. They are as long as
-- applications like, so they are kept where no login reads them. sealed_by is the
-- name of the key, to be found when that is replaced.
CREATE TABLE user_metadata (
    user_id   TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    metadata  BLOB NOT NULL,
    sealed_by BLOB NOT NULL CHECK (length(sealed_by) = 4)
);
CREATE INDEX user_metadata_sealed_by ON user_metadata (sealed_by);
