package sqlstore

import (
	"context"
	"errors"

	"github.com/handset-oidc/handset/storage"
)

// Subject returns the name of a person in a sector, and gives them fresh for good
// when they have none; of parallel calls all get the same one. Giving is durable:
// clients know people by it. [storage.ErrNotFound]: there is no such person.
func (s *Store) Subject(ctx context.Context, user storage.UserID, sector storage.Sector, fresh storage.Subject) (sub storage.Subject, err error) {
	err = s.db.read(ctx, func(c *conn) (err error) {
		sub, err = findSubject(c, user, sector)
		return err
	})
	if !errors.Is(err, storage.ErrNotFound) {
		return sub, wrap("find subject", err)
	}
	err = s.db.write(ctx, durable, func(c *conn) (err error) {
		if _, err := c.exec(insertSubject, string(sector), string(fresh), string(user)); err != nil {
			return err
		}
		sub, err = findSubject(c, user, sector)
		return err
	})
	return sub, wrap("give subject", err)
}

func findSubject(c *conn, user storage.UserID, sector storage.Sector) (sub storage.Subject, err error) {
	err = c.row(subjectOfUser, string(user), string(sector)).Scan(&sub)
	return sub, err
}

// UserBySubject returns whose pairwise subject it is, or [storage.ErrNotFound].
func (s *Store) UserBySubject(ctx context.Context, sub storage.Subject) (user storage.UserID, err error) {
	err = s.db.read(ctx, func(c *conn) error { return c.row(userOfSubject, string(sub)).Scan(&user) })
	return user, wrap("find person by subject", err)
}
