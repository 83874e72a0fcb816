-- name: insert_verification
INSERT INTO verifications (id, client_id, dialect, number, number_index, details, created_ms, deadline_ms, idempotency, fingerprint,
    has_callback)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: verification_by_id
-- That of another client is not found here, and costs what none costs.
SELECT id, client_id, dialect, number, details, created_ms, deadline_ms, sent_ms, status, ended_ms, reason, idempotency, fingerprint
FROM verifications WHERE id = $1 AND ($2 = '' OR client_id = $2);

-- name: verification_by_idempotency
SELECT id, client_id, dialect, number, details, created_ms, deadline_ms, sent_ms, status, ended_ms, reason, idempotency, fingerprint
FROM verifications WHERE idempotency = $1;

-- name: verification_handed_over
-- One that has ended keeps the deadline that it ended by.
UPDATE verifications SET sent_ms = $2, deadline_ms = $3 WHERE id = $1 AND ended_ms IS NULL AND deadline_ms > $2;

-- name: end_verification
-- "ended_ms IS NULL" is the gate: no row means that it has ended, or is over by time.
-- One whose text did not leave gives its key back, so that the same request can be
-- sent again; one that has a text has not failed.
UPDATE verifications SET status = $2, ended_ms = $3, reason = $4,
    idempotency = CASE WHEN $2 = 'failed' THEN NULL ELSE idempotency END
WHERE id = $1 AND ended_ms IS NULL AND deadline_ms > $3 AND ($2 <> 'failed' OR sent_ms IS NULL)
RETURNING deadline_ms, sent_ms, has_callback;

-- name: expire_verification
-- The end by time is the deadline, whenever it is noticed.
UPDATE verifications SET status = 'expired', ended_ms = deadline_ms
WHERE id = $1 AND ended_ms IS NULL AND deadline_ms <= $2;

-- name: untold_verifications
SELECT id FROM verifications WHERE ended_ms IS NULL AND has_callback = 1 AND deadline_ms <= $1 LIMIT 1;

-- name: expire_verifications
-- As expire_verification, for those whose client is to be told.
UPDATE verifications SET status = 'expired', ended_ms = deadline_ms
WHERE id IN (
    SELECT id FROM verifications WHERE ended_ms IS NULL AND has_callback = 1 AND deadline_ms <= $1 ORDER BY deadline_ms LIMIT $2
)
RETURNING id;

-- name: use_verification_result
-- "result_used_ms IS NULL" makes it single.
UPDATE verifications SET result_used_ms = $2
WHERE id = $1 AND client_id = $3 AND status = 'approved' AND result_used_ms IS NULL;

-- name: delete_verification
DELETE FROM verifications WHERE id = $1;

-- name: delete_verifications_of_number
DELETE FROM verifications WHERE number_index = $1;

-- name: delete_old_verifications
DELETE FROM verifications WHERE id IN (SELECT id FROM verifications WHERE created_ms < $1 ORDER BY created_ms LIMIT $2);

-- name: reseal_verification
UPDATE verifications SET number = $1, number_index = $2, details = $3, reason = $4 WHERE id = $5;

-- name: verifications_sealed_by_others
-- As users_sealed_by_others.
SELECT id, number, details, reason FROM verifications WHERE number_index < $1 OR number_index > $2 LIMIT $3;

-- name: insert_verification_callback
-- In the transaction of the end; nothing for who wants to be told nothing.
INSERT INTO verification_callbacks (verification, created_ms, due_ms)
SELECT id, ended_ms, ended_ms FROM verifications WHERE id = $1 AND has_callback = 1;

-- name: verification_callbacks_due
SELECT verification FROM verification_callbacks WHERE state = 'waiting' AND due_ms <= $1 LIMIT 1;

-- name: claim_verification_callbacks
-- Whoever gets a row has it alone until $2. Of each client the oldest few, so that none
-- stands behind all of another one's.
UPDATE verification_callbacks SET due_ms = $2, attempts = attempts + 1
WHERE verification IN (
    SELECT verification FROM (
        SELECT c.verification, c.due_ms, ROW_NUMBER() OVER (PARTITION BY v.client_id ORDER BY c.due_ms) AS nth
        FROM (SELECT verification, due_ms FROM verification_callbacks WHERE state = 'waiting' AND due_ms <= $1 ORDER BY due_ms LIMIT 10000) c
        JOIN verifications v ON v.id = c.verification
    ) WHERE nth <= $4 ORDER BY nth, due_ms LIMIT $3
)
RETURNING verification, created_ms, state, attempts, due_ms, outcome,
    (SELECT client_id FROM verifications WHERE id = verification_callbacks.verification);

-- name: finish_verification_callback
-- Only the attempt that was claimed last says how it ended.
UPDATE verification_callbacks SET state = $3, due_ms = $4, outcome = $5
WHERE verification = $1 AND attempts = $2 AND state = 'waiting';

-- name: callback_of_verification
SELECT verification, created_ms, state, attempts, due_ms, outcome,
    (SELECT client_id FROM verifications WHERE id = verification_callbacks.verification)
FROM verification_callbacks WHERE verification = $1;
