-- name: entered_challenges
-- Which challenges of a list had their code entered, at any time.
SELECT DISTINCT challenge FROM text_events
WHERE kind = 'accepted' AND challenge IN (SELECT value FROM json_each($1));

-- name: text_entered
-- The code may have been entered before its text is on record: it counts for the
-- first text that is recorded then, and for one only.
SELECT MIN(e.at_ms) FROM text_events e WHERE e.challenge = $1 AND e.kind = 'accepted' AND e.at_ms >= $2
    AND NOT EXISTS (SELECT 1 FROM texts v WHERE v.challenge = $1 AND v.verified_ms >= $2);

-- name: insert_text
-- One row of values and nothing returned: any more of a statement, and SQLite keeps a
-- journal of it, which costs a batch of hundreds the square of their number.
INSERT INTO texts (id, reference, challenge, purpose, client_id, connection, number, number_index, region,
    at_ms, expires_ms, outcome, sender, message_id, message_mac, story, verified_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '', $14, $15, $16);

-- name: newest_text
-- The newest text of the challenge that left is the one whose code was entered.
SELECT id, sender, region, at_ms, verified_ms FROM texts
WHERE challenge = $1 AND at_ms <= $2 AND outcome = 'handed_over' ORDER BY at_ms DESC LIMIT 1;

-- name: text_verified
-- Nothing returned, as of insert_text.
UPDATE texts SET verified_ms = $2 WHERE id = $1;

-- name: insert_text_event
INSERT INTO text_events (reference, challenge, at_ms, kind, reason, retry_ms, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: count_text_events
-- There are few: no more are written than may be. Accepted codes always are.
SELECT COUNT(*) FROM text_events WHERE challenge = $1 AND kind <> 'accepted';

-- name: last_sender
SELECT sender FROM texts WHERE challenge = $1 AND sender <> '' ORDER BY at_ms DESC LIMIT 1;

-- name: texts_by_reference
SELECT id, reference, challenge, purpose, client_id, connection, number, region, at_ms, expires_ms, outcome,
    sender, story
FROM texts WHERE reference = $1;

-- name: events_by_reference
SELECT reference, challenge, at_ms, kind, reason, retry_ms, limits
FROM text_events WHERE reference = $1 ORDER BY id;

-- name: receipts_of_text
SELECT r.sender, r.state, r.code, r.at_ms
FROM texts t JOIN receipts r ON r.message_mac = t.message_mac WHERE t.id = $1;

-- name: receipts_of_message
SELECT sender, state, code, at_ms FROM receipts WHERE message_mac = $1;

-- name: insert_receipt
-- No row when the state was told before.
INSERT INTO receipts (message_mac, state, sender, code, at_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: texts_with_names
-- Those of the version before; by an index that is empty when there are none.
SELECT id, sender, message_id FROM texts WHERE message_id > '' LIMIT $1;

-- name: key_text
UPDATE texts SET message_mac = $1, message_id = '' WHERE id = $2;

-- name: receipts_with_names
-- As texts_with_names.
SELECT sender, message_id, state, code, at_ms FROM text_receipts WHERE sender > '' LIMIT $1;

-- name: delete_receipt_with_name
DELETE FROM text_receipts WHERE sender = $1 AND message_id = $2 AND state = $3;

-- name: deliveries_since
-- By the index of at_ms; the caller counts. An operator's tests have no code to enter.
SELECT sender, region, at_ms, verified_ms, EXISTS (
    SELECT 1 FROM receipts r WHERE r.message_mac = texts.message_mac AND r.state = 'delivered'
)
FROM texts WHERE at_ms >= $1 AND outcome = 'handed_over' AND purpose <> 'test';

-- name: delete_texts_of_number
DELETE FROM texts WHERE number_index = $1;

-- name: reseal_text
UPDATE texts SET number = $1, number_index = $2 WHERE id = $3;

-- name: texts_sealed_by_others
-- As users_sealed_by_others.
SELECT id, number FROM texts WHERE number_index < $1 OR number_index > $2 LIMIT $3;

-- name: put_sender_state
INSERT INTO sender_states (server, sender, state, since_ms, seen_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (server, sender) DO UPDATE SET state = excluded.state, since_ms = excluded.since_ms, seen_ms = excluded.seen_ms;

-- name: sender_states
-- A row per server and sender: few.
SELECT server, sender, state, since_ms, seen_ms FROM sender_states WHERE seen_ms >= $1;

-- name: delete_old_texts
DELETE FROM texts WHERE id IN (SELECT id FROM texts WHERE at_ms < $1 ORDER BY at_ms LIMIT $2);

-- name: delete_old_text_events
DELETE FROM text_events WHERE id IN (SELECT id FROM text_events WHERE at_ms < $1 ORDER BY at_ms LIMIT $2);

-- name: delete_old_receipts
DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts WHERE at_ms < $1 ORDER BY at_ms LIMIT $2);

-- name: delete_silent_servers
DELETE FROM sender_states WHERE rowid IN (SELECT rowid FROM sender_states WHERE seen_ms < $1 LIMIT $2);
