-- +goose Up
-- Tokens for APIs: the APIs, who may use them, what their tokens say of people,
-- and the names under which clients see people.

-- What the business says of a person, as sealed JSON; null: nothing.
ALTER TABLE users ADD COLUMN attributes BLOB;

-- settings is the API as JSON, by Auth0's names.
CREATE TABLE apis (
    id         TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    settings   TEXT    NOT NULL CHECK (json_valid(settings)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- Which clients may use an API. Both may be of the configuration file, so neither
-- refers to a row. scopes is null for every scope of the API, now and later.
CREATE TABLE client_grants (
    client_id  TEXT    NOT NULL CHECK (client_id <> ''),
    audience   TEXT    NOT NULL CHECK (audience <> ''),
    scopes     TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, audience)
);
CREATE INDEX client_grants_audience ON client_grants (audience);

-- Which people may use an API; scopes as above.
CREATE TABLE assignments (
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    audience   TEXT    NOT NULL CHECK (audience <> ''),
    scopes     TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, audience)
);
CREATE INDEX assignments_audience ON assignments (audience);

-- Pairwise subjects: one per person and sector, and never one for two people.
CREATE TABLE subjects (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    sector  TEXT NOT NULL CHECK (sector <> ''),
    sub     TEXT NOT NULL UNIQUE CHECK (sub <> ''),
    PRIMARY KEY (user_id, sector)
);

-- The API of a grant, empty for none, and until when its tokens can live.
ALTER TABLE grants ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN api_scopes TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN tokens_until INTEGER;
CREATE INDEX grants_tokens_until ON grants (tokens_until)
    WHERE revoked_at IS NOT NULL AND tokens_until IS NOT NULL;

-- Tokens for APIs that were revoked by themselves, until they have expired.
CREATE TABLE revoked_tokens (
    id         TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    revoked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX revoked_tokens_revoked_at ON revoked_tokens (revoked_at);
CREATE INDEX revoked_tokens_expires_at ON revoked_tokens (expires_at);
