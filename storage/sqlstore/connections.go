package sqlstore

import (
	"context"
	"database/sql"
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
	var updated sql.NullInt64
	if err := r.Scan(&connection.Name, &connection.Strategy, &sealed, &updated); err != nil {
		return connection, err
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

// PutConnection writes a connection with the times of the record, in place of one
// of the same name.
func (s *Store) PutConnection(ctx context.Context, connection storage.Connection) error {
	sealed := s.vault.Seal(vault.Options, connectionPlace(connection.Name), connection.Options)
	err := s.db.write(ctx, durable, func(c *conn) error {
		if _, err := c.exec(putConnection, string(connection.Name), connection.Strategy, sealed,
			orNull(connection.UpdatedAt)); err != nil {
			return err
		}
		return change(c, storage.ChangeConnection, string(connection.Name))
	})
	return wrap("put connection", err)
}
