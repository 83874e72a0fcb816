package sqlstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

const (
	// keyName is how many bytes of a MAC or sealed value name its key.
	keyName = 4
	// resealBatch is how many people one transaction of Reseal takes.
	resealBatch = 200
)

// Reseal writes what other secret keys have sealed again under the active one, in
// small transactions: numbers of people and texts, signing keys, options of connections. When it
// returns, a replaced key is needed only for what expires by itself (sessions,
// codes, refresh tokens) and for the client secrets made under it. With nothing to
// do it costs a look-up.
func (s *Store) Reseal(ctx context.Context) error {
	name := s.vault.MAC(vault.NumberIndex)[:keyName:keyName]
	for _, table := range []numbered{
		{usersSealedByOthers, resealUser, func(id string) string { return place(storage.UserID(id)) }},
		{textsSealedByOthers, resealText, func(id string) string { return textPlace(storage.TextID(id)) }},
	} {
		if err := s.resealNumbers(ctx, name, table); err != nil {
			return wrap("reseal numbers", err)
		}
	}
	err := s.db.write(ctx, durable, func(c *conn) error {
		if err := s.resealRows(c, name, vault.Options, "connections/", sealedConnections, resealConnection); err != nil {
			return err
		}
		return s.resealRows(c, name, vault.SigningKey, "signing_keys/", sealedSigningKeys, resealSigningKey)
	})
	return wrap("reseal", err)
}

// sealedRow is a sealed value and the name of its record.
type sealedRow struct {
	id     string
	sealed []byte
}

func scanSealed(r scanner) (row sealedRow, err error) {
	err = r.Scan(&row.id, &row.sealed)
	return row, err
}

// numbered is a table with sealed numbers and their blind index.
type numbered struct {
	find, update statement
	place        func(id string) string
}

func (s *Store) resealNumbers(ctx context.Context, name []byte, table numbered) error {
	last := append(slices.Clone(name), bytes.Repeat([]byte{0xff}, 64)...)
	for n := resealBatch; n == resealBatch; {
		err := s.db.write(ctx, fast, func(c *conn) error {
			rows, err := list(c, table.find, scanSealed, name, last, int64(resealBatch))
			if err != nil {
				return err
			}
			n = len(rows)
			for _, row := range rows {
				at := table.place(row.id)
				number, err := s.vault.Open(vault.Number, at, row.sealed)
				if err != nil {
					return fmt.Errorf("number of %s: %w", at, err)
				}
				if _, err := c.exec(table.update, s.vault.Seal(vault.Number, at, number),
					s.vault.MAC(vault.NumberIndex, string(number)), row.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) resealRows(c *conn, name []byte, use vault.Use, place string, find, update statement) error {
	rows, err := list(c, find, scanSealed)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if bytes.HasPrefix(row.sealed, name) {
			continue
		}
		plain, err := s.vault.Open(use, place+row.id, row.sealed)
		if err != nil {
			return err
		}
		if _, err := c.exec(update, s.vault.Seal(use, place+row.id, plain), row.id); err != nil {
			return err
		}
	}
	return nil
}
