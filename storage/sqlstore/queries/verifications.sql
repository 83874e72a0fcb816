-- name: insert_verification
INSERT INTO verifications (id, client_id, dialect, number, number_index, details, created_ms, deadline_ms, idempotency, fingerprint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

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
UPDATE verifications SET status = $2, ended_ms = $3, reason = $4
WHERE id = $1 AND ended_ms IS NULL AND deadline_ms > $3;

-- name: expire_verification
-- The end by time is the deadline, whenever it is noticed.
UPDATE verifications SET status = 'expired', ended_ms = deadline_ms
WHERE id = $1 AND ended_ms IS NULL AND deadline_ms <= $2;

-- name: overdue_verifications
SELECT id FROM verifications WHERE ended_ms IS NULL AND deadline_ms <= $1 ORDER BY deadline_ms LIMIT $2;

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
INSERT INTO verification_callbacks (verification, created_ms, due_ms) VALUES ($1, $2, $2);

-- name: verification_callbacks_due
SELECT verification FROM verification_callbacks WHERE state = 'waiting' AND due_ms <= $1 LIMIT 1;

-- name: claim_verification_callbacks
-- Whoever gets a row has it alone until $2.
UPDATE verification_callbacks SET due_ms = $2, attempts = attempts + 1
WHERE verification IN (
    SELECT verification FROM verification_callbacks WHERE state = 'waiting' AND due_ms <= $1 ORDER BY due_ms LIMIT $3
)
RETURNING verification, created_ms, state, attempts, due_ms, outcome;

-- name: finish_verification_callback
-- Only the attempt that was claimed last says how it ended.
UPDATE verification_callbacks SET state = $3, due_ms = $4, outcome = $5
WHERE verification = $1 AND attempts = $2 AND state = 'waiting';

-- name: callback_of_verification
SELECT verification, created_ms, state, attempts, due_ms, outcome FROM verification_callbacks WHERE verification = $1;
