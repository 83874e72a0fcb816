-- +goose Up
-- Senders call a message what they like, and some call it by the phone number. Of such a
-- name only a MAC is kept, by which a receipt finds its text. What people are shown of it
-- is in the story.

-- message_mac is the MAC of sender and name; NULL when no sender took the text. Rows of the
-- version before have a name and no MAC until Reseal makes it; message_id is empty then.
ALTER TABLE texts ADD COLUMN message_mac BLOB CHECK (message_mac IS NULL OR length(message_mac) > 4);
CREATE INDEX texts_message_id ON texts (message_id) WHERE message_id > '';

-- What routes said, in place of text_receipts, which the version before still writes: Reseal
-- moves its rows here. Each state of a message is told once: a receipt that is sent again
-- is a replay. A receipt may be here before its text is.
CREATE TABLE receipts (
    message_mac BLOB    NOT NULL CHECK (length(message_mac) > 4),
    state       TEXT    NOT NULL CHECK (state IN ('accepted', 'sent', 'delivered', 'undelivered', 'failed', 'unknown')),
    sender      TEXT    NOT NULL CHECK (sender <> ''),
    code        TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (message_mac, state)
);
CREATE INDEX receipts_at ON receipts (at_ms);
