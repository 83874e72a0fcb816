package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// metadata returns what is kept with a person; nothing is no error.
func (s *Store) metadata(c *conn, id storage.UserID) (m storage.Metadata, err error) {
	row, err := scanSealed(c.row(metadataOfUser, string(id)))
	if errors.Is(err, storage.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	plain, err := s.vault.Open(vault.Metadata, place(id), row.sealed)
	if err != nil {
		return m, fmt.Errorf("metadata of %s: %w", id, err)
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("metadata of %s: %w", id, err)
	}
	return m, nil
}

func (s *Store) putMetadata(c *conn, id storage.UserID, m storage.Metadata) error {
	if len(m.App) == 0 && len(m.User) == 0 {
		_, err := c.exec(deleteMetadata, string(id))
		return err
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", id, err)
	}
	return s.writeMetadata(c, id, plain)
}

func (s *Store) writeMetadata(c *conn, id storage.UserID, plain []byte) error {
	_, err := c.exec(putMetadata, string(id), s.vault.Seal(vault.Metadata, place(id), plain), s.activeName())
	return err
}

// resealMetadata moves a batch to the active secret key.
func (s *Store) resealMetadata(c *conn, _ sealedRange) (int, error) {
	rows, err := list(c, metadataSealedByOthers, scanSealed, s.activeName(), int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		id := storage.UserID(row.id)
		plain, err := s.vault.Open(vault.Metadata, place(id), row.sealed)
		if err != nil {
			return 0, fmt.Errorf("metadata of %s: %w", id, err)
		}
		if err := s.writeMetadata(c, id, plain); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s *Store) profile(c *conn, id storage.UserID) (p storage.Profile, err error) {
	if p.User, err = s.scanUser(c.row(userByID, string(id))); err != nil {
		return p, err
	}
	p.Metadata, err = s.metadata(c, id)
	return p, err
}

// Profile returns a person with all that is kept of them, or [storage.ErrNotFound].
func (s *Store) Profile(ctx context.Context, id storage.UserID) (p storage.Profile, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		p, err = s.profile(c, id)
		return err
	})
	return p, wrap("read person", err)
}

// Profiles returns up to limit people in the order of their IDs, behind the first
// skip, and how many there are in all.
func (s *Store) Profiles(ctx context.Context, skip, limit int) (all []storage.Profile, total int, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		if err := c.row(countUsers).Scan(&total); err != nil {
			return err
		}
		people, err := list(c, usersFrom, s.scanUser, int64(limit), int64(skip))
		if err != nil {
			return err
		}
		for _, u := range people {
			m, err := s.metadata(c, u.ID)
			if err != nil {
				return err
			}
			all = append(all, storage.Profile{User: u, Metadata: m})
		}
		return nil
	})
	return all, total, wrap("list people", err)
}

// AddProfile is [Store.AddUser] with metadata, in one transaction.
func (s *Store) AddProfile(ctx context.Context, p storage.Profile) error {
	return wrap("add person", s.db.write(ctx, durable, func(c *conn) error {
		if err := s.free(c, p.User); err != nil {
			return err
		}
		if err := s.addUser(c, p.User); err != nil {
			return err
		}
		return s.putMetadata(c, p.ID, p.Metadata)
	}))
}

// EditProfile changes number, attributes, metadata, verified_at and updated_at of a
// person, and whether they are blocked, with no other change between, durably. Who gets
// blocked loses sessions and grants as by [Store.BlockUser]; another number is proved
// when edit says so. edit must be quick and must not use the store; its error is
// returned and nothing is changed. The errors are those of [Store.UpdateUser].
func (s *Store) EditProfile(ctx context.Context, id storage.UserID, now time.Time, edit func(*storage.Profile) error) (p storage.Profile, err error) {
	err = s.db.write(ctx, durable, func(c *conn) error {
		if p, err = s.profile(c, id); err != nil {
			return err
		}
		before := p.User
		p.Attributes = maps.Clone(p.Attributes)
		if err := edit(&p); err != nil {
			return err
		}
		p.ID = id
		return s.writeProfile(c, before, p, now)
	})
	return p, wrap("change person", err)
}

func (s *Store) writeProfile(c *conn, before storage.User, p storage.Profile, now time.Time) error {
	if err := s.free(c, p.User); err != nil {
		return err
	}
	if err := s.replaceUser(c, before.Number, p.User); err != nil {
		return err
	}
	if _, err := c.exec(setVerified, orNull(p.VerifiedAt), string(p.ID)); err != nil {
		return err
	}
	if err := s.putMetadata(c, p.ID, p.Metadata); err != nil {
		return err
	}
	switch {
	case p.Blocked && !before.Blocked:
		return s.block(c, p.ID, now)
	case !p.Blocked && before.Blocked:
		if _, err := c.exec(unblockUser, string(p.ID)); err != nil {
			return err
		}
	}
	return change(c, storage.ChangeUser, string(p.ID))
}
