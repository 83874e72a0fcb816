package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// walkSize is how many rows a walk over many takes at a time.
const walkSize = 500

func scanClient(r scanner) (storage.Client, error) {
	var client storage.Client
	var id storage.ClientID
	var settings, macs string
	var created, updated int64
	if err := r.Scan(&id, &settings, &macs, &created, &updated); err != nil {
		return client, err
	}
	if err := json.Unmarshal([]byte(settings), &client); err != nil {
		return client, fmt.Errorf("settings of client %s: %w", id, err)
	}
	if err := json.Unmarshal([]byte(macs), &client.SecretMACs); err != nil {
		return client, fmt.Errorf("secrets of client %s: %w", id, err)
	}
	client.ClientID, client.CreatedAt, client.UpdatedAt = id, at(created), at(updated)
	return client, nil
}

// clientText is a client's settings and secret MACs as they are kept.
func clientText(client storage.Client) (settings, macs string, err error) {
	a, err := json.Marshal(client)
	if err != nil {
		return "", "", fmt.Errorf("settings of client %s: %w", client.ClientID, err)
	}
	b, err := json.Marshal(client.SecretMACs)
	if err != nil {
		return "", "", fmt.Errorf("secrets of client %s: %w", client.ClientID, err)
	}
	return string(a), string(b), nil
}

// Clients returns all clients of the database, in the order of their IDs.
func (s *Store) Clients(ctx context.Context) (all []storage.Client, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, allClients, scanClient)
		return err
	})
	return all, wrap("list clients", err)
}

// Client returns a client, or [storage.ErrNotFound].
func (s *Store) Client(ctx context.Context, id storage.ClientID) (client storage.Client, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		client, err = scanClient(c.row(clientByID, string(id)))
		return err
	})
	return client, wrap("read client", err)
}

// CreateClient adds a client with the times of the record. Grants that another
// client of its ID has left, one of the file or of a removal that was cut off, are
// revoked before: it inherits nothing. [storage.ErrConflict]: its ID is taken.
func (s *Store) CreateClient(ctx context.Context, client storage.Client) error {
	return wrap("create client", s.createClient(ctx, client))
}

func (s *Store) createClient(ctx context.Context, client storage.Client) error {
	settings, macs, err := clientText(client)
	if err != nil {
		return err
	}
	taken := fmt.Errorf("%w: the client ID is taken", storage.ErrConflict)
	switch _, err := s.Client(ctx, client.ClientID); {
	case err == nil:
		return taken // and its grants are alive
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if err := s.revokeWalk(ctx, grantsOfClient, string(client.ClientID), client.CreatedAt); err != nil {
		return err
	}
	return s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(insertClient, string(client.ClientID), settings, macs,
			client.CreatedAt.Unix(), client.UpdatedAt.Unix())
		if err != nil {
			return err
		}
		if n == 0 {
			return taken
		}
		return change(c, storage.ChangeClient, string(client.ClientID))
	})
}

// UpdateClient lets edit change the client as it stands, with no other change
// between. edit sets UpdatedAt, must be quick and must not use the store; its error
// is returned and nothing is changed. ID and CreatedAt stay as they are.
func (s *Store) UpdateClient(ctx context.Context, id storage.ClientID, edit func(*storage.Client) error) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		client, err := scanClient(c.row(clientByID, string(id)))
		if err != nil {
			return err
		}
		if err := edit(&client); err != nil {
			return err
		}
		client.ClientID = id
		settings, macs, err := clientText(client)
		if err != nil {
			return err
		}
		if _, err := c.exec(updateClient, settings, macs, client.UpdatedAt.Unix(), string(id)); err != nil {
			return err
		}
		return change(c, storage.ChangeClient, string(id))
	})
	return wrap("update client", err)
}

// RemoveClient revokes a client's grants, removes it with what it may do at APIs,
// durably, and then revokes what was granted meanwhile, so that a later client of
// the same ID inherits nothing. Cut off anywhere, it leaves a client that can be
// removed again, or none, and then at most grants that nobody can use: CreateClient
// ends them. [storage.ErrNotFound]: there is none; what such a removal left is revoked.
func (s *Store) RemoveClient(ctx context.Context, id storage.ClientID, now time.Time) error {
	if err := s.revokeWalk(ctx, grantsOfClient, string(id), now); err != nil {
		return wrap("remove client", err)
	}
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteClient, string(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		if n, err = c.exec(deleteClientGrantsOfClient, string(id)); err != nil {
			return err
		}
		if n > 0 {
			if err := change(c, storage.ChangeAPI, ""); err != nil {
				return err
			}
		}
		return change(c, storage.ChangeClient, string(id))
	})
	if err != nil {
		return wrap("remove client", err)
	}
	return wrap("remove client", s.revokeWalk(ctx, grantsOfClient, string(id), now))
}

// revokeWalk revokes the grants of a client or an API that find returns, in pages,
// each in a transaction of its own, so that logins go on meanwhile.
func (s *Store) revokeWalk(ctx context.Context, find statement, of string, now time.Time) error {
	scan := func(r scanner) (id storage.GrantID, err error) {
		err = r.Scan(&id)
		return id, err
	}
	for after := ""; ; {
		var page []storage.GrantID
		err := s.db.read(ctx, func(c *conn) (err error) {
			page, err = list(c, find, scan, after, of, int64(walkSize))
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		if err := s.revokeAll(ctx, page, now); err != nil {
			return err
		}
		after = string(page[len(page)-1])
	}
}

func (s *Store) revokeAll(ctx context.Context, grants []storage.GrantID, now time.Time) error {
	return s.db.write(ctx, durable, func(c *conn) error {
		for _, id := range grants {
			if _, err := c.exec(revokeGrant, now.Unix(), string(id)); err != nil {
				return err
			}
		}
		return change(c, storage.ChangeGrant, "")
	})
}
