-- name: begin_write
-- IMMEDIATE takes the write lock at once: a transaction that reads first and
-- writes later could otherwise fail half way.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: savepoint
-- One savepoint per write of a batch: a failing write takes back its own only.
SAVEPOINT one;

-- name: release_savepoint
RELEASE SAVEPOINT one;

-- name: rollback_to_savepoint
ROLLBACK TO SAVEPOINT one;

-- name: commits_durable
-- Never prepared: SQLite acts on this while it compiles it, not when it runs.
PRAGMA synchronous = FULL;

-- name: commits_fast
-- Never prepared, as above. A crash of the process loses nothing, a crash of the
-- machine may lose the last fast commits; the next durable commit makes them durable.
PRAGMA synchronous = NORMAL;
