package sqlstore

import (
	"bytes"
	"context"
	"slices"

	"github.com/handset-oidc/handset/internal/vault"
)

const (
	// keyName is how many bytes of a MAC or sealed value name its key.
	keyName = 4
	// resealBatch is how many people one transaction of Reseal takes.
	resealBatch = 200
)

// Reseal writes what other secret keys have sealed again under the active one, in
// small transactions: numbers and attributes, signing keys, options of connections. When it
// returns, a replaced key is needed only for what expires by itself (sessions,
// codes, refresh tokens) and for the client secrets made under it. With nothing to
// do it costs a look-up.
func (s *Store) Reseal(ctx context.Context) error {
	name := s.vault.MAC(vault.NumberIndex)[:keyName:keyName]
	for {
		n, err := s.resealPeople(ctx, name)
		if err != nil {
			return wrap("reseal people", err)
		}
		if n < resealBatch {
			break
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

func (s *Store) resealPeople(ctx context.Context, name []byte) (n int, err error) {
	last := append(slices.Clone(name), bytes.Repeat([]byte{0xff}, 64)...)
	err = s.db.write(ctx, fast, func(c *conn) error {
		people, err := list(c, usersSealedByOthers, s.scanUser, name, last, int64(resealBatch))
		if err != nil {
			return err
		}
		n = len(people)
		for _, u := range people {
			if err := s.reseal(c, u); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
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
