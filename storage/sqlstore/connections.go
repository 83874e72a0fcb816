package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// The connection that every database has from its first start (design.md §4).
const (
	firstConnection = "sms"
	firstOptions    = `{"provider":"console"}`
)

func connectionPlace(name storage.ConnectionName) string { return "connections/" + string(name) }

// seed writes the first connection where it is missing, and opens what is there: a
// secret key file that does not fit the database is noticed at the start.
func (s *Store) seed(ctx context.Context) error {
	all, err := s.Connections(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	return s.db.write(ctx, durable, func(c *conn) error {
		_, err := c.exec(seedConnection, firstConnection, firstConnection,
			s.vault.Seal(vault.Options, connectionPlace(firstConnection), []byte(firstOptions)))
		return err
	})
}

func (s *Store) scanConnection(r scanner) (storage.Connection, error) {
	var connection storage.Connection
	var sealed []byte
	var settings string
	var updated sql.NullInt64
	if err := r.Scan(&connection.Name, &connection.Strategy, &sealed, &settings, &updated); err != nil {
		return connection, err
	}
	if err := json.Unmarshal([]byte(settings), &connection.Settings); err != nil {
		return connection, fmt.Errorf("settings of connection %s: %w", connection.Name, err)
	}
	options, err := s.vault.Open(vault.Options, connectionPlace(connection.Name), sealed)
	if err != nil {
		return connection, fmt.Errorf("options of connection %s: %w", connection.Name, err)
	}
	connection.Options, connection.UpdatedAt = options, atOrZero(updated)
	return connection, nil
}

// Connections returns all connections of the database, in the order of their names.
func (s *Store) Connections(ctx context.Context) (all []storage.Connection, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, allConnections, s.scanConnection)
		return err
	})
	return all, wrap("list connections", err)
}

// Connection returns a connection of the database, or [storage.ErrNotFound].
func (s *Store) Connection(ctx context.Context, name storage.ConnectionName) (connection storage.Connection, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		connection, err = s.scanConnection(c.row(connectionByName, string(name)))
		return err
	})
	return connection, wrap("read connection", err)
}

// PutConnection writes a connection with the times of the record, in place of one
// of the same name.
func (s *Store) PutConnection(ctx context.Context, connection storage.Connection) error {
	return wrap("put connection", s.db.write(ctx, durable, func(c *conn) error {
		_, err := s.writeConnection(c, putConnection, connection)
		return err
	}))
}

// CreateConnection adds a connection with the times of the record, durably.
// [storage.ErrConflict]: its name is taken.
func (s *Store) CreateConnection(ctx context.Context, connection storage.Connection) error {
	return wrap("create connection", s.db.write(ctx, durable, func(c *conn) error {
		n, err := s.writeConnection(c, insertConnection, connection)
		if err == nil && n == 0 {
			return fmt.Errorf("%w: the name is taken", storage.ErrConflict)
		}
		return err
	}))
}

// UpdateConnection changes a connection with no other change between, durably. edit
// must be quick and must not use the store; its error is returned and nothing is
// changed. Name and strategy stay. [storage.ErrNotFound]: there is none.
func (s *Store) UpdateConnection(ctx context.Context, name storage.ConnectionName, edit func(*storage.Connection) error) error {
	return wrap("update connection", s.db.write(ctx, durable, func(c *conn) error {
		connection, err := s.scanConnection(c.row(connectionByName, string(name)))
		if err != nil {
			return err
		}
		strategy := connection.Strategy
		if err := edit(&connection); err != nil {
			return err
		}
		connection.Name, connection.Strategy = name, strategy
		_, err = s.writeConnection(c, putConnection, connection)
		return err
	}))
}

func (s *Store) writeConnection(c *conn, q statement, connection storage.Connection) (int64, error) {
	settings, err := json.Marshal(connection.Settings)
	if err != nil {
		return 0, fmt.Errorf("settings of connection %s: %w", connection.Name, err)
	}
	sealed := s.vault.Seal(vault.Options, connectionPlace(connection.Name), connection.Options)
	n, err := c.exec(q, string(connection.Name), connection.Strategy, sealed, string(settings), orNull(connection.UpdatedAt))
	if err != nil || n == 0 {
		return n, err
	}
	return n, change(c, storage.ChangeConnection, string(connection.Name))
}

// RemoveConnection removes a connection, durably. [storage.ErrNotFound]: there is none.
func (s *Store) RemoveConnection(ctx context.Context, name storage.ConnectionName) error {
	return wrap("remove connection", s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteConnection, string(name))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		return change(c, storage.ChangeConnection, string(name))
	}))
}
