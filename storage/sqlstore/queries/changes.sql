-- name: insert_change
INSERT INTO changes (kind, ref) VALUES ($1, $2);

-- name: changes_after
SELECT id, kind, ref FROM changes WHERE id > $1 ORDER BY id LIMIT $2;

-- name: last_change
SELECT COALESCE(MAX(id), 0) FROM changes;

-- name: delete_old_changes
-- By number, not by age: the newest $1 stay, whatever the clock says.
DELETE FROM changes WHERE id IN (
    SELECT id FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - $1 ORDER BY id LIMIT $2
);
