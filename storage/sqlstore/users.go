package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// userColumns receives the columns id, number, created_at, updated_at,
// last_login_at, verified_at, blocked_at, attributes.
type userColumns struct {
	id                           storage.UserID
	number, attributes           []byte
	created, updated             int64
	lastLogin, verified, blocked sql.NullInt64
}

func (u *userColumns) dest() []any {
	return []any{&u.id, &u.number, &u.created, &u.updated, &u.lastLogin, &u.verified, &u.blocked, &u.attributes}
}

// place binds a sealed number to its person.
func place(id storage.UserID) string { return "users/" + string(id) }

func (s *Store) openUser(u *userColumns) (storage.User, error) {
	number, err := s.openNumber(u.id, u.number)
	if err != nil {
		return storage.User{}, err
	}
	attributes, err := s.openAttributes(u.id, u.attributes)
	if err != nil {
		return storage.User{}, err
	}
	return storage.User{
		ID:          u.id,
		Number:      number,
		CreatedAt:   at(u.created),
		UpdatedAt:   at(u.updated),
		LastLoginAt: atOrZero(u.lastLogin),
		Blocked:     u.blocked.Valid,
		VerifiedAt:  atOrZero(u.verified),
		Attributes:  attributes,
	}, nil
}

func (s *Store) openNumber(id storage.UserID, sealed []byte) (phone.Number, error) {
	plain, err := s.vault.Open(vault.Number, place(id), sealed)
	if err != nil {
		return phone.Number{}, fmt.Errorf("number of %s: %w", id, err)
	}
	number, err := phone.FromStored(string(plain))
	if err != nil {
		return phone.Number{}, fmt.Errorf("number of %s: %w", id, err)
	}
	return number, nil
}

func (s *Store) openAttributes(id storage.UserID, sealed []byte) (attributes map[string]any, err error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := s.vault.Open(vault.Attributes, place(id), sealed)
	if err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", id, err)
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber() // an employee number of twenty digits stays one
	if err := d.Decode(&attributes); err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", id, err)
	}
	return attributes, nil
}

// sealAttributes returns the attributes as they are kept; nil for none.
func (s *Store) sealAttributes(u storage.User) ([]byte, error) {
	if len(u.Attributes) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(u.Attributes)
	if err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", u.ID, err)
	}
	return s.vault.Seal(vault.Attributes, place(u.ID), plain), nil
}

func (s *Store) scanUser(r scanner) (storage.User, error) {
	var u userColumns
	if err := r.Scan(u.dest()...); err != nil {
		return storage.User{}, err
	}
	return s.openUser(&u)
}

// findUser looks a number up by the blind index under each live key. current says
// that the row is under the active one.
func (s *Store) findUser(c *conn, number phone.Number) (u storage.User, current bool, err error) {
	for i, index := range s.vault.MACs(vault.NumberIndex, number.E164()) {
		u, err = s.scanUser(c.row(userByNumber, index))
		if !errors.Is(err, storage.ErrNotFound) {
			return u, i == 0, err
		}
	}
	return storage.User{}, false, storage.ErrNotFound
}

// addUser inserts a person. A subject that is another's, or was a removed person's, is a
// [*storage.TakenError].
func (s *Store) addUser(c *conn, u storage.User) error {
	blocked := sql.NullInt64{Int64: u.UpdatedAt.Unix(), Valid: u.Blocked}
	attributes, err := s.sealAttributes(u)
	if err != nil {
		return err
	}
	n, err := c.exec(insertUser, string(u.ID),
		s.vault.Seal(vault.Number, place(u.ID), []byte(u.Number.E164())),
		s.vault.MAC(vault.NumberIndex, u.Number.E164()),
		u.CreatedAt.Unix(), u.UpdatedAt.Unix(), orNull(u.LastLoginAt), orNull(u.VerifiedAt), blocked, attributes)
	if err != nil {
		return err
	}
	if n == 0 {
		return s.takenID(c, u.ID)
	}
	return s.putUnique(c, u)
}

// takenID says whose a subject is that can't be given.
func (s *Store) takenID(c *conn, id storage.UserID) error {
	_, err := s.scanUser(c.row(userByID, string(id)))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return &storage.TakenError{Field: "user_id"}
	case err != nil:
		return err
	}
	return &storage.TakenError{Field: "user_id", By: id}
}

// User returns a person, or [storage.ErrNotFound].
func (s *Store) User(ctx context.Context, id storage.UserID) (u storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		u, err = s.scanUser(c.row(userByID, string(id)))
		return err
	})
	return u, wrap("read user", err)
}

// UserByNumber returns the person with a number, or [storage.ErrNotFound].
func (s *Store) UserByNumber(ctx context.Context, number phone.Number) (u storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		u, _, err = s.findUser(c, number)
		return err
	})
	return u, wrap("find user", err)
}

// Users returns up to limit people in the order of their IDs, from the first
// behind after on.
func (s *Store) Users(ctx context.Context, after storage.UserID, limit int) (all []storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, usersAfter, s.scanUser, string(after), int64(limit))
		return err
	})
	return all, wrap("list users", err)
}

// AddUser adds a person with a given subject and the times of the record. It is
// durable. [storage.ErrConflict]: number or subject are taken, or the subject was
// a removed person's, or a unique attribute is another's.
func (s *Store) AddUser(ctx context.Context, u storage.User) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		if err := s.free(c, u); err != nil {
			return err
		}
		return s.addUser(c, u)
	})
	return wrap("add user", err)
}

// UpdateUser changes a person's number and attributes and updated_at, with no other
// change between, durably. Another number is not proved, whoever proved the one
// before; the texts to that are erased. edit must be quick and must not use the store; its error is returned and
// nothing is changed. [storage.ErrNotFound]: there is no such person.
// [storage.ErrConflict]: the number or a unique attribute is another's.
func (s *Store) UpdateUser(ctx context.Context, id storage.UserID, edit func(*storage.User) error) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		u, err := s.scanUser(c.row(userByID, string(id)))
		if err != nil {
			return err
		}
		before := u
		before.Attributes = nil // edit may change the map
		if err := edit(&u); err != nil {
			return err
		}
		u.ID, u.VerifiedAt = id, before.VerifiedAt
		if err := s.free(c, u); err != nil {
			return err
		}
		if err := s.replaceUser(c, before.Number, u); err != nil {
			return err
		}
		return change(c, storage.ChangeUser, string(id))
	})
	return wrap("update user", err)
}

// replaceUser writes number, attributes and updated_at of a person whose number is
// known to be free. The texts to a number that they leave, and its verifications, are
// erased: later nobody would know whose they were.
func (s *Store) replaceUser(c *conn, before phone.Number, u storage.User) error {
	if u.Number != before {
		u.VerifiedAt = time.Time{}
		if err := s.eraseNumber(c, before); err != nil {
			return err
		}
	}
	attributes, err := s.sealAttributes(u)
	if err != nil {
		return err
	}
	e164 := u.Number.E164()
	_, err = c.exec(updateUser, s.vault.Seal(vault.Number, place(u.ID), []byte(e164)), s.vault.MAC(vault.NumberIndex, e164),
		orNull(u.VerifiedAt), attributes, u.UpdatedAt.Unix(), string(u.ID))
	if err != nil {
		return err
	}
	return s.putUnique(c, u)
}

// BlockUser refuses a person from now on: it ends their sessions and revokes their
// grants, durably. Blocking twice is no error.
func (s *Store) BlockUser(ctx context.Context, id storage.UserID, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error { return s.block(c, id, now) })
	return wrap("block user", err)
}

func (s *Store) block(c *conn, id storage.UserID, now time.Time) error {
	n, err := c.exec(blockUser, now.Unix(), string(id))
	if err != nil {
		return err
	}
	if n == 0 {
		return storage.ErrNotFound
	}
	if _, err := c.exec(endSessionsOfUser, now.Unix(), string(id)); err != nil {
		return err
	}
	return s.dropUser(c, id, now)
}

// UnblockUser lets a person log in again. What blocking ended stays ended.
func (s *Store) UnblockUser(ctx context.Context, id storage.UserID, _ time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(unblockUser, string(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		return change(c, storage.ChangeUser, string(id))
	})
	return wrap("unblock user", err)
}

// RemoveUser erases a person, their sessions, and the texts to their number and its
// verifications, durably, and revokes their grants. These stay until they are swept, so that every token dies; the subject is never
// given again, to nobody.
func (s *Store) RemoveUser(ctx context.Context, id storage.UserID, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		user, err := s.scanUser(c.row(userByID, string(id)))
		if err != nil {
			return err
		}
		if err := s.eraseNumber(c, user.Number); err != nil {
			return err
		}
		if _, err := c.exec(deleteUser, string(id)); err != nil {
			return err
		}
		if _, err := c.exec(rememberRemovedUser, string(id), now.Unix()); err != nil {
			return err
		}
		return s.dropUser(c, id, now)
	})
	return wrap("remove user", err)
}

// dropUser revokes a person's grants and tells every server.
func (s *Store) dropUser(c *conn, id storage.UserID, now time.Time) error {
	n, err := c.exec(revokeGrantsOfUser, now.Unix(), string(id))
	if err != nil {
		return err
	}
	return changedUser(c, id, n)
}

// changedUser tells every server that a person was changed and lost n grants.
func changedUser(c *conn, id storage.UserID, n int64) error {
	if n > 0 {
		if err := change(c, storage.ChangeGrant, ""); err != nil {
			return err
		}
	}
	return change(c, storage.ChangeUser, string(id))
}
