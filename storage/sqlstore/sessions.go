package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// SessionByMAC returns the session whose cookie has one of the MACs, and its
// person. [storage.ErrNotFound]: there is none, it ended, it is past its end, it
// was not seen for idle (0: it may rest for ever), or the person is blocked.
func (s *Store) SessionByMAC(ctx context.Context, macs [][]byte, now time.Time, idle time.Duration) (session storage.Session, u storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		for _, mac := range macs {
			session, u, err = s.scanSession(c.row(sessionByMAC, mac))
			if !errors.Is(err, storage.ErrNotFound) {
				break
			}
		}
		if err == nil && !live(session, now, idle) {
			err = storage.ErrNotFound
		}
		return err
	})
	if err != nil {
		return storage.Session{}, storage.User{}, fmt.Errorf("find session: %w", err)
	}
	return session, u, nil
}

// live decides whether a session that did not end may still be used.
func live(session storage.Session, now time.Time, idle time.Duration) bool {
	if !now.Before(session.ExpiresAt) {
		return false
	}
	return idle <= 0 || now.Before(session.SeenAt.Add(idle))
}

func (s *Store) scanSession(r scanner) (storage.Session, storage.User, error) {
	var session storage.Session
	var auth, created, seen, expires int64
	var u userColumns
	dest := append([]any{&session.ID, &session.UserID, &auth, &created, &seen, &expires}, u.dest()...)
	if err := r.Scan(dest...); err != nil {
		return session, storage.User{}, err
	}
	session.AuthTime, session.CreatedAt = at(auth), at(created)
	session.SeenAt, session.ExpiresAt = at(seen), at(expires)
	user, err := s.openUser(&u)
	return session, user, err
}

// TouchSession starts the session's idle life again. It is a fast write; an
// unknown or ended session is no error.
func (s *Store) TouchSession(ctx context.Context, id storage.SessionID, now time.Time) error {
	err := s.db.write(ctx, fast, func(c *conn) error {
		_, err := c.exec(touchSession, now.Unix(), string(id))
		return err
	})
	return wrap("touch session", err)
}

// EndSession ends a session and revokes all its grants, durably. Ending one twice
// is no error; an unknown one is [storage.ErrNotFound].
func (s *Store) EndSession(ctx context.Context, id storage.SessionID, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		var user string
		if err := c.row(endSession, now.Unix(), string(id)).Scan(&user); err != nil {
			return err
		}
		n, err := c.exec(revokeGrantsOfSession, now.Unix(), user, string(id))
		if err != nil || n == 0 {
			return err
		}
		return change(c, storage.ChangeGrant, "")
	})
	return wrap("end session", err)
}
