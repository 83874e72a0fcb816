package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

func keyPlace(id storage.KeyID) string { return "signing_keys/" + string(id) }

func (s *Store) scanKey(r scanner) (storage.SigningKey, error) {
	var key storage.SigningKey
	var sealed []byte
	var created, signs int64
	var retired, until sql.NullInt64
	if err := r.Scan(&key.ID, &key.Algorithm, &sealed, &created, &signs, &retired, &until); err != nil {
		return key, err
	}
	plain, err := s.vault.Open(vault.SigningKey, keyPlace(key.ID), sealed)
	if err != nil {
		return key, fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	key.PKCS8, key.CreatedAt, key.SignsFrom = plain, at(created), at(signs)
	key.RetiredAt, key.PublishUntil = atOrZero(retired), atOrZero(until)
	return key, nil
}

// SigningKeys returns all signing keys, the oldest first.
func (s *Store) SigningKeys(ctx context.Context) (all []storage.SigningKey, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, allSigningKeys, s.scanKey)
		return err
	})
	return all, wrap("list signing keys", err)
}

// UpdateSigningKeys replaces the keys as they stand by those that edit returns,
// durably and with no other change between. edit must be quick (all writes wait for
// it: make an RSA key before) and must not use the store; its error is returned and
// nothing is changed.
func (s *Store) UpdateSigningKeys(ctx context.Context, edit func([]storage.SigningKey) ([]storage.SigningKey, error)) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		before, err := list(c, allSigningKeys, s.scanKey)
		if err != nil {
			return err
		}
		after, err := edit(slices.Clone(before))
		if err != nil {
			return err
		}
		changed, err := s.replaceKeys(c, before, after)
		if err != nil || !changed {
			return err
		}
		return change(c, storage.ChangeKey, "")
	})
	return wrap("update signing keys", err)
}

func (s *Store) replaceKeys(c *conn, before, after []storage.SigningKey) (changed bool, err error) {
	for _, key := range before {
		if slices.ContainsFunc(after, func(k storage.SigningKey) bool { return k.ID == key.ID }) {
			continue
		}
		if _, err := c.exec(deleteSigningKey, string(key.ID)); err != nil {
			return false, err
		}
		changed = true
	}
	for _, key := range after {
		if slices.ContainsFunc(before, func(k storage.SigningKey) bool { return sameKey(k, key) }) {
			continue
		}
		if err := s.putKey(c, key); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

func (s *Store) putKey(c *conn, key storage.SigningKey) error {
	_, err := c.exec(putSigningKey, string(key.ID), key.Algorithm,
		s.vault.Seal(vault.SigningKey, keyPlace(key.ID), key.PKCS8),
		key.CreatedAt.Unix(), key.SignsFrom.Unix(), orNull(key.RetiredAt), orNull(key.PublishUntil))
	return err
}

// sameKey compares what is stored: whole seconds.
func sameKey(a, b storage.SigningKey) bool {
	return a.ID == b.ID && a.Algorithm == b.Algorithm && bytes.Equal(a.PKCS8, b.PKCS8) &&
		a.CreatedAt.Unix() == b.CreatedAt.Unix() && a.SignsFrom.Unix() == b.SignsFrom.Unix() &&
		orNull(a.RetiredAt) == orNull(b.RetiredAt) && orNull(a.PublishUntil) == orNull(b.PublishUntil)
}
