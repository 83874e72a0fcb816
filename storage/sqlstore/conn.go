package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/handset-oidc/handset/storage"
)

// conn is one database connection with the statements prepared on it so far. It
// belongs to one goroutine at a time.
//
// Its statements run without the caller's context: each takes microseconds, and
// interrupting one would undo the writes of other callers in the same
// transaction. Waiting for a connection or for the write lock does heed it.
type conn struct {
	sql      *sql.Conn
	texts    *texts
	prepared [statementCount]*sql.Stmt
	durable  bool // commits wait for the disk
}

func (c *conn) stmt(s statement) (*sql.Stmt, error) {
	if p := c.prepared[s]; p != nil {
		return p, nil
	}
	p, err := c.sql.PrepareContext(context.Background(), c.texts[s])
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", statementNames[s], err)
	}
	c.prepared[s] = p
	return p, nil
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(s statement, args ...any) (int64, error) {
	p, err := c.stmt(s)
	if err != nil {
		return 0, err
	}
	result, err := p.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", statementNames[s], err)
	}
	return result.RowsAffected()
}

// scanner is one row of a result.
type scanner interface{ Scan(dest ...any) error }

// row is the one row of a query, or why there is none.
type row struct {
	sql *sql.Row
	err error
	of  statement
}

// Scan reads the row; a missing one is [storage.ErrNotFound].
func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	err := r.sql.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return storage.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: %w", statementNames[r.of], err)
	}
	return nil
}

func (c *conn) row(s statement, args ...any) row {
	p, err := c.stmt(s)
	if err != nil {
		return row{err: err, of: s}
	}
	return row{sql: p.QueryRowContext(context.Background(), args...), of: s}
}

// list reads all rows of a query.
func list[T any](c *conn, s statement, read func(scanner) (T, error), args ...any) ([]T, error) {
	p, err := c.stmt(s)
	if err != nil {
		return nil, err
	}
	rows, err := p.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statementNames[s], err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statementNames[s], err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", statementNames[s], err)
	}
	return all, nil
}

// setDurable chooses what the next commits wait for.
func (c *conn) setDurable(durable bool) error {
	if c.durable == durable {
		return nil
	}
	s := commitsFast
	if durable {
		s = commitsDurable
	}
	if _, err := c.sql.ExecContext(context.Background(), c.texts[s]); err != nil {
		return fmt.Errorf("%s: %w", statementNames[s], err)
	}
	c.durable = durable
	return nil
}

func (c *conn) close() error {
	var errs []error
	for _, p := range c.prepared {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(append(errs, c.sql.Close())...)
}
