-- +goose Up
-- Verifications of numbers outside any login, for 7 days. Times are unix
-- milliseconds: two answers may come in one second.

-- "ended_ms IS NULL" makes the end single. number, details and reason are sealed;
-- number_index is the keyed blind index of users. idempotency and fingerprint are
-- MACs. deadline_ms is when it ends by itself.
CREATE TABLE verifications (
    id             TEXT    PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    client_id      TEXT    NOT NULL CHECK (client_id <> ''),
    dialect        TEXT    NOT NULL CHECK (dialect IN ('durable', 'own')),
    number         BLOB    NOT NULL,
    number_index   BLOB    NOT NULL CHECK (length(number_index) > 4),
    details        BLOB    NOT NULL,
    has_callback   INTEGER NOT NULL CHECK (has_callback IN (0, 1)),
    created_ms     INTEGER NOT NULL,
    deadline_ms    INTEGER NOT NULL,
    sent_ms        INTEGER,
    status         TEXT    NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'terminated', 'failed')),
    ended_ms       INTEGER,
    reason         BLOB,
    result_used_ms INTEGER,
    idempotency    BLOB    UNIQUE,
    fingerprint    BLOB,
    CHECK ((status = 'pending') = (ended_ms IS NULL)),
    CHECK (result_used_ms IS NULL OR status = 'approved')
);
CREATE INDEX verifications_created ON verifications (created_ms);
CREATE INDEX verifications_number_index ON verifications (number_index);
-- Those whose client waits to be told of the end; the others end when they are read.
CREATE INDEX verifications_untold ON verifications (deadline_ms) WHERE ended_ms IS NULL AND has_callback = 1;

-- What clients are to be told of ends. due_ms is also the claim: who makes an
-- attempt moves it ahead, so that the others leave it alone meanwhile.
CREATE TABLE verification_callbacks (
    verification TEXT    PRIMARY KEY NOT NULL REFERENCES verifications (id) ON DELETE CASCADE,
    created_ms   INTEGER NOT NULL,
    state        TEXT    NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_ms       INTEGER NOT NULL,
    outcome      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX verification_callbacks_due ON verification_callbacks (due_ms) WHERE state = 'waiting';
