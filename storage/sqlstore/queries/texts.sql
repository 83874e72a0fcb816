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
    at_ms, expires_ms, outcome, sender, message_id, story, verified_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: text_verified
-- The newest text of the challenge that left is the one whose code was entered.
UPDATE texts SET verified_ms = $2
WHERE id = (
    SELECT id FROM texts t WHERE t.challenge = $1 AND t.at_ms <= $2 AND t.outcome = 'handed_over' ORDER BY t.at_ms DESC LIMIT 1
) AND verified_ms IS NULL
RETURNING sender, region, at_ms, outcome;

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
    sender, message_id, story
FROM texts WHERE reference = $1;

-- name: events_by_reference
SELECT reference, challenge, at_ms, kind, reason, retry_ms, limits
FROM text_events WHERE reference = $1 ORDER BY id;

-- name: receipts_of_text
SELECT sender, message_id, state, code, at_ms
FROM text_receipts WHERE sender = $1 AND message_id = $2;

-- name: insert_receipt
-- No row when the state was told before.
INSERT INTO text_receipts (sender, message_id, state, code, at_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: deliveries_since
-- By the index of at_ms; the caller counts. An operator's tests have no code to enter.
SELECT sender, region, at_ms, verified_ms, EXISTS (
    SELECT 1 FROM text_receipts r WHERE r.sender = texts.sender AND r.message_id = texts.message_id AND r.state = 'delivered'
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
DELETE FROM text_receipts WHERE rowid IN (SELECT rowid FROM text_receipts WHERE at_ms < $1 ORDER BY at_ms LIMIT $2);

-- name: delete_silent_servers
DELETE FROM sender_states WHERE rowid IN (SELECT rowid FROM sender_states WHERE seen_ms < $1 LIMIT $2);
