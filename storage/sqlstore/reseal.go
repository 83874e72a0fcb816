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
// small transactions: numbers, attributes and metadata of people, numbers of texts, verifications, signing
// keys, options of connections. When it returns, a replaced key is needed only for
// what expires by itself (sessions, codes, refresh tokens, receipts) and for the client
// secrets made under it. With nothing to do it costs a look-up.
//
// It also puts a MAC in place of what senders call texts, where the version before has
// written the name itself.
func (s *Store) Reseal(ctx context.Context) error {
	for _, batch := range []func(*conn, sealedRange) (int, error){
		s.keyTexts, s.keyReceipts, s.resealPeople, s.resealTexts, s.resealVerifications, s.resealMetadata,
	} {
		if err := s.inBatches(ctx, batch); err != nil {
			return wrap("reseal numbers", err)
		}
	}
	name := s.activeName()
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

// activeName is how all that the active key sealed begins.
func (s *Store) activeName() []byte { return s.vault.MAC(vault.NumberIndex)[:keyName:keyName] }

// sealedRange is the range of blind indexes that are the active key's.
type sealedRange struct{ first, last []byte }

// inBatches writes batch after batch until one is not full.
func (s *Store) inBatches(ctx context.Context, batch func(*conn, sealedRange) (int, error)) error {
	name := s.activeName()
	active := sealedRange{name, append(slices.Clone(name), bytes.Repeat([]byte{0xff}, 64)...)}
	for n := resealBatch; n == resealBatch; {
		err := s.db.write(ctx, fast, func(c *conn) (err error) {
			n, err = batch(c, active)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) resealPeople(c *conn, active sealedRange) (int, error) {
	people, err := list(c, usersSealedByOthers, s.scanUser, active.first, active.last, int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, u := range people {
		if err := s.reseal(c, u); err != nil {
			return 0, err
		}
	}
	return len(people), nil
}

func (s *Store) resealTexts(c *conn, active sealedRange) (int, error) {
	rows, err := list(c, textsSealedByOthers, scanSealed, active.first, active.last, int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		at := textPlace(storage.TextID(row.id))
		number, err := s.vault.Open(vault.Number, at, row.sealed)
		if err != nil {
			return 0, fmt.Errorf("number of %s: %w", at, err)
		}
		if _, err := c.exec(resealText, s.vault.Seal(vault.Number, at, number),
			s.vault.MAC(vault.NumberIndex, string(number)), row.id); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s *Store) keyTexts(c *conn, _ sealedRange) (int, error) {
	type named struct{ id, sender, name string }
	rows, err := list(c, textsWithNames, func(r scanner) (row named, err error) {
		err = r.Scan(&row.id, &row.sender, &row.name)
		return row, err
	}, int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if _, err := c.exec(keyText, s.messageMAC(row.sender, row.name), row.id); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s *Store) keyReceipts(c *conn, _ sealedRange) (int, error) {
	rows, err := list(c, receiptsWithNames, func(r scanner) (receipt storage.TextReceipt, err error) {
		var at int64
		err = r.Scan(&receipt.Sender, &receipt.MessageID, &receipt.State, &receipt.Code, &at)
		receipt.At = ms(at)
		return receipt, err
	}, int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if _, err := s.insertReceipt(c, r); err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteReceiptWithName, r.Sender, r.MessageID, r.State); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
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
