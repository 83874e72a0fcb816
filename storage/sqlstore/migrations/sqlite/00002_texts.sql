-- +goose Up
-- Texts and what became of them, for 30 days. Times are unix milliseconds: what
-- people wait for is shorter than a second.

-- A text that no limit refused. number is sealed; number_index is the keyed blind
-- index of users, so that a person's texts can be erased with them. sender and
-- message_id are empty when no sender took the text. story is JSON for people.
CREATE TABLE texts (
    id           TEXT    PRIMARY KEY NOT NULL CHECK (id <> ''),
    reference    TEXT    NOT NULL CHECK (reference <> ''),
    challenge    TEXT    NOT NULL CHECK (challenge <> ''),
    purpose      TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    connection   TEXT    NOT NULL,
    number       BLOB    NOT NULL,
    number_index BLOB    NOT NULL CHECK (length(number_index) > 4),
    region       TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('handed_over', 'failed', 'test_number', 'decoy')),
    sender       TEXT    NOT NULL,
    message_id   TEXT    NOT NULL,
    story        TEXT    NOT NULL CHECK (json_valid(story)),
    verified_ms  INTEGER
);
CREATE INDEX texts_reference ON texts (reference);
CREATE INDEX texts_challenge ON texts (challenge, at_ms);
CREATE INDEX texts_number_index ON texts (number_index);
CREATE INDEX texts_at ON texts (at_ms);

-- What happened beside the texts: refusals, and codes that were entered.
CREATE TABLE text_events (
    id        INTEGER PRIMARY KEY,
    reference TEXT    NOT NULL CHECK (reference <> ''),
    challenge TEXT    NOT NULL CHECK (challenge <> ''),
    at_ms     INTEGER NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('refused', 'accepted', 'rejected')),
    reason    TEXT    NOT NULL,
    retry_ms  INTEGER,
    limits    TEXT    NOT NULL CHECK (json_valid(limits))
);
CREATE INDEX text_events_reference ON text_events (reference);
CREATE INDEX text_events_challenge ON text_events (challenge, kind, at_ms);
CREATE INDEX text_events_at ON text_events (at_ms);

-- What routes said. Each state of a message is told once: a receipt that is sent
-- again is a replay. A receipt may be here before its text is.
CREATE TABLE text_receipts (
    sender     TEXT    NOT NULL CHECK (sender <> ''),
    message_id TEXT    NOT NULL CHECK (message_id <> ''),
    state      TEXT    NOT NULL CHECK (state IN ('accepted', 'sent', 'delivered', 'undelivered', 'failed', 'unknown')),
    code       TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (sender, message_id, state)
);
CREATE INDEX text_receipts_at ON text_receipts (at_ms);

-- How each running server sees each sender.
CREATE TABLE sender_states (
    server   TEXT    NOT NULL CHECK (server <> ''),
    sender   TEXT    NOT NULL CHECK (sender <> ''),
    state    TEXT    NOT NULL CHECK (state IN ('closed', 'half-open', 'open')),
    since_ms INTEGER NOT NULL,
    seen_ms  INTEGER NOT NULL,
    PRIMARY KEY (server, sender)
);
