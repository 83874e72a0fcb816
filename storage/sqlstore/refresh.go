package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/storage"
)

func (s *Store) addFamily(c *conn, grant storage.GrantID, f storage.RefreshFamily) error {
	idle := min(f.IdleExpires.Unix(), f.AbsoluteExpires.Unix())
	if _, err := c.exec(insertFamily, string(f.ID), string(grant), f.Counter, orNull(f.RotatedAt), f.CreatedAt.Unix(),
		idle, f.AbsoluteExpires.Unix()); err != nil {
		return err
	}
	_, err := c.exec(extendGrant, s.endOf(f.AbsoluteExpires), string(grant))
	return err
}

// familyColumns receives the columns of a refresh family.
type familyColumns struct {
	f                       storage.RefreshFamily
	rotated                 sql.NullInt64
	created, idle, absolute int64
}

func (f *familyColumns) dest() []any {
	return []any{&f.f.ID, &f.f.GrantID, &f.f.Counter, &f.rotated, &f.created, &f.idle, &f.absolute}
}

// family fills in the times; a family is revoked with its grant.
func (f *familyColumns) family(revoked sql.NullInt64) storage.RefreshFamily {
	out := f.f
	out.RotatedAt, out.CreatedAt = atOrZero(f.rotated), at(f.created)
	out.IdleExpires, out.AbsoluteExpires = at(f.idle), at(f.absolute)
	out.RevokedAt = atOrZero(revoked)
	return out
}

// RefreshFamily returns a family with its grant and person. It may be revoked or
// expired, and the person blocked: the records say so, and the caller decides.
// [storage.ErrNotFound]: there is none, or the person was removed.
func (s *Store) RefreshFamily(ctx context.Context, id storage.FamilyID) (family storage.RefreshFamily, grant storage.Grant, user storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		var f familyColumns
		var g grantColumns
		var u userColumns
		dest := append(append(f.dest(), g.dest()...), u.dest()...)
		if err := c.row(familyByID, string(id)).Scan(dest...); err != nil {
			return err
		}
		family, grant = f.family(g.revoked), g.grant()
		user, err = s.openUser(&u)
		return err
	})
	if err != nil {
		return storage.RefreshFamily{}, storage.Grant{}, storage.User{}, fmt.Errorf("find refresh family: %w", err)
	}
	return family, grant, user, nil
}

// RotateRefreshToken uses the refresh token with the presented counter, durably; of
// parallel calls one rotates and the others get the same successor while the grace
// lasts. [storage.ErrConsumed]: the token had been rotated and this is a replay
// (RFC 9700 §4.14.2); the family and its grant are revoked now.
// [storage.ErrNotFound]: there is no such family or token, or the family is revoked
// or has expired.
func (s *Store) RotateRefreshToken(ctx context.Context, r storage.Rotation) (out storage.Rotated, err error) {
	var replayed bool
	err = s.db.write(ctx, durable, func(c *conn) error {
		var f familyColumns
		var revoked sql.NullInt64
		if err := c.row(familyStanding, string(r.Family)).Scan(append(f.dest(), &revoked)...); err != nil {
			return err
		}
		family := f.family(revoked)
		switch decide(family, r) {
		case rotates:
			out = storage.Rotated{Counter: r.Presented + 1}
			return rotate(c, family, r)
		case repeats:
			out = storage.Rotated{Counter: family.Counter, Repeated: true}
			return nil
		case replays:
			// The revocation is committed; the error is the caller's.
			replayed = true
			return revoke(c, family.GrantID, r.Now)
		default:
			return storage.ErrNotFound
		}
	})
	if err == nil && replayed {
		err = storage.ErrConsumed
	}
	if err != nil {
		return storage.Rotated{}, fmt.Errorf("rotate refresh token: %w", err)
	}
	return out, nil
}

// use is what a presented refresh token amounts to.
type use int

const (
	unknown use = iota
	rotates
	repeats
	replays
)

// decide judges a presented counter by the family as it stands.
func decide(f storage.RefreshFamily, r storage.Rotation) use {
	now := at(r.Now.Unix())
	switch {
	case !f.RevokedAt.IsZero(), !now.Before(f.IdleExpires), !now.Before(f.AbsoluteExpires):
		return unknown
	case r.Presented == f.Counter:
		return rotates
	case r.Presented > f.Counter:
		// No such token was issued, unless an old copy of the database came back.
		return unknown
	case r.Presented == f.Counter-1 && !f.RotatedAt.IsZero() && now.Sub(f.RotatedAt) <= r.Grace:
		return repeats
	default:
		return replays
	}
}

func rotate(c *conn, f storage.RefreshFamily, r storage.Rotation) error {
	idle := earlier(r.IdleExpires, f.AbsoluteExpires)
	n, err := c.exec(rotateFamily, r.Now.Unix(), idle.Unix(), string(f.ID), r.Presented)
	if err == nil && n == 0 {
		// Unreachable where writers take turns.
		return fmt.Errorf("%w: the family was rotated meanwhile", storage.ErrUnavailable)
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
