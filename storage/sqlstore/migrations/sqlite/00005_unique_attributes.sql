-- +goose Up
-- Attributes are sealed, so that a value which no two people may share is found by
-- a keyed blind index, as numbers are. value_index covers the attribute's name.
CREATE TABLE unique_attributes (
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT NOT NULL CHECK (name <> ''),
    value_index BLOB NOT NULL UNIQUE CHECK (length(value_index) > 4),
    PRIMARY KEY (user_id, name)
);

-- The attributes that unique_attributes is complete for.
CREATE TABLE indexed_attributes (
    name TEXT PRIMARY KEY NOT NULL CHECK (name <> '')
);
