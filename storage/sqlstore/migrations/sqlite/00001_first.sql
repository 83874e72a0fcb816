-- +goose Up
-- Times are unix seconds. What is personal is sealed, what need only be compared
-- is a MAC; both begin with the name of their key (internal/vault).

-- A person. The number's blind index is unique: one person per number.
CREATE TABLE users (
    id            TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    number        BLOB    NOT NULL,
    number_index  BLOB    NOT NULL UNIQUE CHECK (length(number_index) > 4),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    last_login_at INTEGER,
    verified_at   INTEGER,
    blocked_at    INTEGER
);

-- The subjects of people who were removed, so that none is given again.
CREATE TABLE removed_users (
    id         TEXT    PRIMARY KEY NOT NULL,
    removed_at INTEGER NOT NULL
);

-- A challenge opens one session, ever: an ended one stays until it would have expired.
CREATE TABLE sessions (
    id          TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    session_mac BLOB    NOT NULL UNIQUE CHECK (length(session_mac) > 4),
    challenge   TEXT    NOT NULL UNIQUE CHECK (challenge <> ''),
    user_id     TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_time   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- One transaction is answered once; a code is redeemed once. user_id and
-- session_id refer to nothing: a grant outlives both, so that its tokens can die.
-- ends_at is when the last token that it can bring forth has expired.
CREATE TABLE grants (
    id             TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    transaction_id TEXT    NOT NULL UNIQUE CHECK (transaction_id <> ''),
    code_mac       BLOB    NOT NULL UNIQUE CHECK (length(code_mac) > 4),
    code_expires   INTEGER NOT NULL,
    client_id      TEXT    NOT NULL CHECK (client_id <> ''),
    redirect_uri   TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,
    nonce          TEXT    NOT NULL,
    code_challenge TEXT    NOT NULL,
    acr            TEXT    NOT NULL,
    user_id        TEXT    NOT NULL CHECK (user_id <> ''),
    session_id     TEXT    NOT NULL CHECK (session_id <> ''),
    auth_time      INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    redeemed_at    INTEGER,
    revoked_at     INTEGER,
    ends_at        INTEGER NOT NULL,
    CHECK (ends_at >= code_expires)
);
CREATE INDEX grants_user_id ON grants (user_id, session_id);
CREATE INDEX grants_ends_at ON grants (ends_at);
CREATE INDEX grants_revoked_at ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

-- The refresh tokens of a grant: at most one family, which is revoked with the grant.
CREATE TABLE refresh_families (
    id               TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    grant_id         TEXT    NOT NULL UNIQUE REFERENCES grants (id) ON DELETE CASCADE,
    counter          INTEGER NOT NULL CHECK (counter >= 0),
    rotated_at       INTEGER,
    created_at       INTEGER NOT NULL,
    idle_expires     INTEGER NOT NULL,
    absolute_expires INTEGER NOT NULL,
    CHECK (idle_expires <= absolute_expires)
);

-- settings is the client as JSON, by Auth0's names; secret_macs a JSON list.
CREATE TABLE clients (
    id          TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    settings    TEXT    NOT NULL CHECK (json_valid(settings)),
    secret_macs TEXT    NOT NULL CHECK (json_valid(secret_macs)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);

-- options are sealed JSON. updated_at is null for a connection as it came.
CREATE TABLE connections (
    name       TEXT    PRIMARY KEY NOT NULL CHECK (name <> ''),
    strategy   TEXT    NOT NULL CHECK (strategy <> ''),
    options    BLOB    NOT NULL,
    updated_at INTEGER
);

-- pkcs8 is sealed.
CREATE TABLE signing_keys (
    id            TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    algorithm     TEXT    NOT NULL CHECK (algorithm <> ''),
    pkcs8         BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    signs_from    INTEGER NOT NULL,
    retired_at    INTEGER,
    publish_until INTEGER
);

-- What servers drop from their caches. AUTOINCREMENT: a number is never used
-- again, so that a reader's place stays valid after a sweep.
CREATE TABLE changes (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT    NOT NULL CHECK (kind <> ''),
    ref  TEXT    NOT NULL
);
