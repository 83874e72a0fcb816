package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// OpenSession writes what a proved number brings, in one durable transaction: the
// person (made when new), the session, and the grant that answers the client. The
// session that the browser held before ends. Its grants go over to the new one
// when the same person logged in again, so that a logout ends them all; another
// person's stay with the ended session.
//
// [storage.ErrRefused]: the person is blocked, or unknown while sign-up is off.
// [storage.ErrForbidden]: the person, known or not, may not use the grant's API.
// [storage.ErrConsumed]: the challenge opened a session before, or the transaction
// was answered before. [storage.ErrConflict]: it is not the person who must log in,
// or another unique value is taken. Nothing is written then.
func (s *Store) OpenSession(ctx context.Context, l storage.Login, now time.Time) (opened storage.Opened, err error) {
	err = s.db.write(ctx, durable, func(c *conn) error {
		opened, err = s.openSession(c, l, at(now.Unix()))
		return err
	})
	if err != nil {
		return storage.Opened{}, fmt.Errorf("open session: %w", err)
	}
	return opened, nil
}

func (s *Store) openSession(c *conn, l storage.Login, now time.Time) (storage.Opened, error) {
	user, isNew, err := s.welcome(c, l, now)
	if err != nil {
		return storage.Opened{}, err
	}
	for _, mac := range l.ReplacesMACs {
		if _, err := c.exec(endSessionByMAC, now.Unix(), mac); err != nil {
			return storage.Opened{}, err
		}
	}
	session := storage.Session{
		ID:        l.SessionID,
		UserID:    user.ID,
		AuthTime:  now,
		CreatedAt: now,
		SeenAt:    now,
		ExpiresAt: at(l.ExpiresAt.Unix()),
	}
	n, err := c.exec(insertSession, string(session.ID), l.SessionMAC, string(l.Challenge), string(user.ID),
		now.Unix(), session.ExpiresAt.Unix())
	if err != nil {
		return storage.Opened{}, err
	}
	if n == 0 {
		return storage.Opened{}, fmt.Errorf("challenge: %w", storage.ErrConsumed)
	}
	for _, mac := range l.ReplacesMACs {
		if _, err := c.exec(moveGrants, string(session.ID), string(user.ID), mac); err != nil {
			return storage.Opened{}, err
		}
	}
	grant := l.Grant
	grant.UserID, grant.SessionID, grant.AuthTime = user.ID, session.ID, now
	if err := narrow(c, &grant); err != nil {
		return storage.Opened{}, err
	}
	if err := s.addGrant(c, grant, now); err != nil {
		return storage.Opened{}, err
	}
	return storage.Opened{User: user, Session: session, NewUser: isNew}, nil
}

// welcome finds the person of a proved number, or makes them.
func (s *Store) welcome(c *conn, l storage.Login, now time.Time) (u storage.User, isNew bool, err error) {
	u, current, err := s.findUser(c, l.Number)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return u, false, err
	}
	if l.OnlyUser != "" && u.ID != l.OnlyUser {
		return u, false, fmt.Errorf("%w: another person must log in", storage.ErrConflict)
	}
	if err != nil {
		if l.SignupDisabled {
			return u, false, fmt.Errorf("%w: sign-up is off", storage.ErrRefused)
		}
		u = storage.User{
			ID: l.NewUserID, Number: l.Number, CreatedAt: now, UpdatedAt: now, LastLoginAt: now, VerifiedAt: now,
		}
		return u, true, s.addUser(c, u)
	}
	if u.Blocked {
		return u, false, fmt.Errorf("%w: the person is blocked", storage.ErrRefused)
	}
	if !current {
		if err := s.reseal(c, u); err != nil {
			return u, false, err
		}
	}
	u.LastLoginAt, u.VerifiedAt = now, now
	_, err = c.exec(userLoggedIn, now.Unix(), string(u.ID))
	return u, false, err
}

// reseal writes what is sealed of a person under the active secret key.
func (s *Store) reseal(c *conn, u storage.User) error {
	e164 := u.Number.E164()
	attributes, err := s.sealAttributes(u)
	if err != nil {
		return err
	}
	_, err = c.exec(resealUser, s.vault.Seal(vault.Number, place(u.ID), []byte(e164)),
		s.vault.MAC(vault.NumberIndex, e164), attributes, string(u.ID))
	if err != nil {
		return err
	}
	return s.putUnique(c, u)
}
