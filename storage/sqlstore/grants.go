package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// CreateGrant writes the grant of a session that exists already (single sign-on).
// It is a fast write: a code that a crash of the machine takes away is asked for
// again. [storage.ErrConsumed]: the transaction was answered before.
// [storage.ErrRefused]: the session has ended or the person is blocked.
// [storage.ErrNotFound]: the person has no such session. [storage.ErrForbidden]: the
// person may not use the API.
func (s *Store) CreateGrant(ctx context.Context, g storage.NewGrant, now time.Time) error {
	err := s.db.write(ctx, fast, func(c *conn) error {
		var ended, blocked sql.NullInt64
		if err := c.row(sessionStanding, string(g.SessionID), string(g.UserID)).Scan(&ended, &blocked); err != nil {
			return err
		}
		if ended.Valid || blocked.Valid {
			return fmt.Errorf("%w: the session has ended", storage.ErrRefused)
		}
		if err := narrow(c, &g); err != nil {
			return err
		}
		return s.addGrant(c, g, now)
	})
	return wrap("create grant", err)
}

func (s *Store) addGrant(c *conn, g storage.NewGrant, now time.Time) error {
	n, err := c.exec(insertGrant, string(g.ID), string(g.Transaction), g.CodeMAC, g.CodeExpires.Unix(),
		string(g.ClientID), g.RedirectURI, strings.Join(g.Scopes, " "), g.Nonce, g.CodeChallenge, g.ACR,
		string(g.UserID), string(g.SessionID), g.AuthTime.Unix(), now.Unix(), s.endOfGrant(g),
		string(g.API.Audience), strings.Join(g.API.Scopes, " "), orNull(tokensUntil(g)))
	if err == nil && n == 0 {
		return fmt.Errorf("transaction: %w", storage.ErrConsumed)
	}
	return err
}

// narrow holds a grant to what its person may do at the API, in the transaction that
// writes it: an assignment that is taken away at the same time either is gone
// already, or finds the grant and revokes it.
func narrow(c *conn, g *storage.NewGrant) error {
	if !g.API.AssignedOnly {
		return nil
	}
	a, err := scanAssignment(c.row(assignment, string(g.UserID), string(g.API.Audience)))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("%w: the API is not assigned to the person", storage.ErrForbidden)
	case err != nil:
		return err
	}
	g.API.Scopes = a.Narrow(g.API.Scopes)
	return nil
}

// endOf is when the last access token made before last has expired.
func (s *Store) endOf(last time.Time) int64 { return last.Add(s.tokenLife).Unix() + 1 }

// endOfGrant is when no token can live that a grant without refresh tokens brought.
func (s *Store) endOfGrant(g storage.NewGrant) int64 {
	return max(s.endOf(g.CodeExpires), tokensUntil(g).Unix()+1)
}

// tokensUntil is when the last token for the grant's API ends; zero: it has none.
func tokensUntil(g storage.NewGrant) time.Time {
	if g.API.Audience == "" {
		return time.Time{}
	}
	return g.AuthTime.Add(g.API.Lifetime)
}

// grantColumns receives the columns of a grant, in the order of its statements.
type grantColumns struct {
	g                            storage.Grant
	scopes, apiScopes            string
	codeExpires, auth, created   int64
	redeemed, revoked, tokensEnd sql.NullInt64
}

func (g *grantColumns) dest() []any {
	return []any{
		&g.g.ID, &g.g.Transaction, &g.g.CodeMAC, &g.codeExpires, &g.g.ClientID, &g.g.RedirectURI, &g.scopes,
		&g.g.Nonce, &g.g.CodeChallenge, &g.g.ACR, &g.g.UserID, &g.g.SessionID, &g.auth, &g.created,
		&g.redeemed, &g.revoked, &g.g.API.Audience, &g.apiScopes, &g.tokensEnd,
	}
}

func (g *grantColumns) grant() storage.Grant {
	out := g.g
	out.Scopes, out.API.Scopes = words(g.scopes), words(g.apiScopes)
	out.CodeExpires, out.AuthTime, out.CreatedAt = at(g.codeExpires), at(g.auth), at(g.created)
	out.RedeemedAt, out.RevokedAt = atOrZero(g.redeemed), atOrZero(g.revoked)
	out.TokensUntil = atOrZero(g.tokensEnd)
	return out
}

// words splits what was joined by spaces; nil for nothing.
func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, " ")
}

// GrantByCode returns the grant whose code has one of the MACs, and its person.
// The code may be used, expired or revoked, and the person blocked: the record says
// so, and the caller decides. [storage.ErrNotFound]: there is none, or the person
// was removed.
func (s *Store) GrantByCode(ctx context.Context, macs [][]byte) (grant storage.Grant, u storage.User, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		for _, mac := range macs {
			grant, u, err = s.scanGrant(c.row(grantByCode, mac))
			if !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
		return storage.ErrNotFound
	})
	if err != nil {
		return storage.Grant{}, storage.User{}, fmt.Errorf("find grant: %w", err)
	}
	return grant, u, nil
}

func (s *Store) scanGrant(r scanner) (storage.Grant, storage.User, error) {
	var g grantColumns
	var u userColumns
	if err := r.Scan(append(g.dest(), u.dest()...)...); err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	user, err := s.openUser(&u)
	return g.grant(), user, err
}

// RedeemGrant spends a grant's code; of parallel calls one succeeds. With a refresh
// family it writes that too and is durable. [storage.ErrConsumed]: the code was
// spent before. [storage.ErrNotFound]: there is no such grant, it was revoked, or
// its code has expired.
func (s *Store) RedeemGrant(ctx context.Context, r storage.Redemption) error {
	q := fast
	if r.Refresh != nil {
		q = durable
	}
	err := s.db.write(ctx, q, func(c *conn) error {
		n, err := c.exec(redeemGrant, r.Now.Unix(), string(r.Grant))
		if err != nil {
			return err
		}
		if n == 0 {
			return whyNotRedeemed(c, r.Grant)
		}
		if r.Refresh == nil {
			return nil
		}
		return s.addFamily(c, r.Grant, *r.Refresh)
	})
	return wrap("redeem grant", err)
}

func whyNotRedeemed(c *conn, id storage.GrantID) error {
	var redeemed sql.NullInt64
	if err := c.row(grantRedeemedAt, string(id)).Scan(&redeemed); err != nil {
		return err
	}
	if redeemed.Valid {
		return storage.ErrConsumed
	}
	return storage.ErrNotFound
}

// RevokeGrant ends a grant with all its tokens, durably. Revoking twice is no
// error; an unknown grant is [storage.ErrNotFound].
func (s *Store) RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error { return revoke(c, id, now) })
	return wrap("revoke grant", err)
}

func revoke(c *conn, id storage.GrantID, now time.Time) error {
	n, err := c.exec(revokeGrant, now.Unix(), string(id))
	if err != nil {
		return err
	}
	if n == 0 {
		var one int
		return c.row(grantExists, string(id)).Scan(&one)
	}
	return change(c, storage.ChangeGrant, "")
}

// RevokedGrants returns the grants that were revoked at since or later and are not
// swept yet, the oldest revocation first.
func (s *Store) RevokedGrants(ctx context.Context, since time.Time) ([]storage.RevokedGrant, error) {
	return s.listRevoked(ctx, revokedGrants, since)
}

// RevokedAPIGrants returns the revoked grants that have tokens for an API which can
// be alive at now, in no order that matters.
func (s *Store) RevokedAPIGrants(ctx context.Context, now time.Time) ([]storage.RevokedGrant, error) {
	return s.listRevoked(ctx, revokedGrantsForAPIs, now)
}

func (s *Store) listRevoked(ctx context.Context, q statement, bound time.Time) (all []storage.RevokedGrant, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, q, func(r scanner) (storage.RevokedGrant, error) {
			var g storage.RevokedGrant
			var revoked int64
			var until sql.NullInt64
			err := r.Scan(&g.ID, &revoked, &until)
			g.RevokedAt, g.TokensUntil = at(revoked), atOrZero(until)
			return g, err
		}, bound.Unix())
		return err
	})
	return all, wrap("list revoked grants", err)
}

// Answered reports whether a grant answers the transaction, in force or not.
func (s *Store) Answered(ctx context.Context, id storage.TransactionID) (bool, error) {
	var n int
	err := s.db.read(ctx, func(c *conn) error { return c.row(transactionAnswered, string(id)).Scan(&n) })
	return n > 0, wrap("look for the answer of a transaction", err)
}
