package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handset-oidc/handset/storage"
)

func scanAPI(r scanner) (storage.API, error) {
	var api storage.API
	var id storage.Audience
	var settings string
	var created, updated int64
	if err := r.Scan(&id, &settings, &created, &updated); err != nil {
		return api, err
	}
	if err := json.Unmarshal([]byte(settings), &api); err != nil {
		return api, fmt.Errorf("settings of API %s: %w", id, err)
	}
	api.Identifier, api.CreatedAt, api.UpdatedAt = id, at(created), at(updated)
	return api, nil
}

func apiText(api storage.API) (string, error) {
	text, err := json.Marshal(api)
	if err != nil {
		return "", fmt.Errorf("settings of API %s: %w", api.Identifier, err)
	}
	return string(text), nil
}

// APIs returns all APIs of the database, in the order of their identifiers.
func (s *Store) APIs(ctx context.Context) (all []storage.API, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, allAPIs, scanAPI)
		return err
	})
	return all, wrap("list APIs", err)
}

// API returns an API of the database, or [storage.ErrNotFound].
func (s *Store) API(ctx context.Context, id storage.Audience) (api storage.API, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		api, err = scanAPI(c.row(apiByID, string(id)))
		return err
	})
	return api, wrap("read API", err)
}

// CreateAPI adds an API with the times of the record. [storage.ErrConflict]: its
// identifier is taken.
func (s *Store) CreateAPI(ctx context.Context, api storage.API) error {
	settings, err := apiText(api)
	if err != nil {
		return wrap("create API", err)
	}
	err = s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(insertAPI, string(api.Identifier), settings, api.CreatedAt.Unix(), api.UpdatedAt.Unix())
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: the identifier is taken", storage.ErrConflict)
		}
		return change(c, storage.ChangeAPI, string(api.Identifier))
	})
	return wrap("create API", err)
}

// UpdateAPI changes an API with no other change between, durably. edit must be quick
// and must not use the store; its error is returned and nothing is changed.
// [storage.ErrNotFound]: there is none.
func (s *Store) UpdateAPI(ctx context.Context, id storage.Audience, edit func(*storage.API) error) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		api, err := scanAPI(c.row(apiByID, string(id)))
		if err != nil {
			return err
		}
		if err := edit(&api); err != nil {
			return err
		}
		api.Identifier = id
		settings, err := apiText(api)
		if err != nil {
			return err
		}
		if _, err := c.exec(updateAPI, settings, api.UpdatedAt.Unix(), string(id)); err != nil {
			return err
		}
		return change(c, storage.ChangeAPI, string(id))
	})
	return wrap("update API", err)
}

// RemoveAPI removes an API with all that says who may use it, durably, and then
// revokes the grants for it, so that a later API of the same identifier inherits
// nothing. [storage.ErrNotFound]: there is none. Called again after an interruption
// it finishes the work, and still says ErrNotFound.
func (s *Store) RemoveAPI(ctx context.Context, id storage.Audience, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteAPI, string(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		for _, q := range []statement{deleteClientGrantsOfAPI, deleteAssignmentsOfAPI} {
			if _, err := c.exec(q, string(id)); err != nil {
				return err
			}
		}
		return change(c, storage.ChangeAPI, string(id))
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return wrap("remove API", err)
	}
	return wrap("remove API", errors.Join(err, s.revokeWalk(ctx, grantsOfAPI, string(id), now)))
}

// scopesText is an allowance as it is kept: null for every scope.
func scopesText(a storage.Allowance) sql.NullString {
	return sql.NullString{String: strings.Join(a.Scopes, " "), Valid: !a.AllScopes}
}

func allowance(scopes sql.NullString) storage.Allowance {
	if !scopes.Valid {
		return storage.Allowance{AllScopes: true}
	}
	return storage.Allowance{Scopes: words(scopes.String)}
}

func scanClientGrant(r scanner) (g storage.ClientGrant, err error) {
	var scopes sql.NullString
	var created int64
	err = r.Scan(&g.ClientID, &g.Audience, &scopes, &created)
	g.Allowance, g.CreatedAt = allowance(scopes), at(created)
	return g, err
}

// ClientGrants returns which clients may use APIs, by client and API.
func (s *Store) ClientGrants(ctx context.Context) (all []storage.ClientGrant, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, allClientGrants, scanClientGrant)
		return err
	})
	return all, wrap("list client grants", err)
}

// PutClientGrant lets a client use an API, in place of what it might before. The
// time of an earlier one stays.
func (s *Store) PutClientGrant(ctx context.Context, g storage.ClientGrant) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		if _, err := c.exec(putClientGrant, string(g.ClientID), string(g.Audience), scopesText(g.Allowance),
			g.CreatedAt.Unix()); err != nil {
			return err
		}
		return change(c, storage.ChangeAPI, string(g.Audience))
	})
	return wrap("put client grant", err)
}

// CreateClientGrant lets a client use an API. [storage.ErrConflict]: it may already.
func (s *Store) CreateClientGrant(ctx context.Context, g storage.ClientGrant) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(insertClientGrant, string(g.ClientID), string(g.Audience), scopesText(g.Allowance), g.CreatedAt.Unix())
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: the client may use the API already", storage.ErrConflict)
		}
		return change(c, storage.ChangeAPI, string(g.Audience))
	})
	return wrap("create client grant", err)
}

// UpdateClientGrant lets edit change what a client may do at an API, with no other
// change between; an error of edit is returned, and nothing is written. A grant that
// was taken away is not given again. [storage.ErrNotFound]: there is none.
func (s *Store) UpdateClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience, edit func(*storage.ClientGrant) error) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		g, err := scanClientGrant(c.row(clientGrant, string(client), string(audience)))
		if err != nil {
			return err
		}
		if err := edit(&g); err != nil {
			return err
		}
		if _, err := c.exec(updateClientGrant, scopesText(g.Allowance), string(client), string(audience)); err != nil {
			return err
		}
		return change(c, storage.ChangeAPI, string(audience))
	})
	return wrap("update client grant", err)
}

// RemoveClientGrant takes an API from a client. [storage.ErrNotFound]: it had none.
func (s *Store) RemoveClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteClientGrant, string(client), string(audience))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		return change(c, storage.ChangeAPI, string(audience))
	})
	return wrap("remove client grant", err)
}

func scanAssignment(r scanner) (a storage.Assignment, err error) {
	var scopes sql.NullString
	var created int64
	err = r.Scan(&a.UserID, &a.Audience, &scopes, &created)
	a.Allowance, a.CreatedAt = allowance(scopes), at(created)
	return a, err
}

// Assignments returns the APIs that a person may use, by identifier.
func (s *Store) Assignments(ctx context.Context, user storage.UserID) (all []storage.Assignment, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, assignmentsOfUser, scanAssignment, string(user))
		return err
	})
	return all, wrap("list assignments", err)
}

// Assign lets a person use an API, in place of what they might before, durably. When
// that takes something from them, their grants for the API are revoked.
// [storage.ErrNotFound]: there is no such person.
func (s *Store) Assign(ctx context.Context, a storage.Assignment, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		before, err := scanAssignment(c.row(assignment, string(a.UserID), string(a.Audience)))
		isNew := errors.Is(err, storage.ErrNotFound)
		if err != nil && !isNew {
			return err
		}
		n, err := c.exec(putAssignment, string(a.Audience), scopesText(a.Allowance), a.CreatedAt.Unix(), string(a.UserID))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		if isNew || a.Covers(before.Allowance) {
			return change(c, storage.ChangeUser, string(a.UserID))
		}
		return revokeForAPI(c, a.UserID, a.Audience, now)
	})
	return wrap("assign API", err)
}

// Unassign takes an API from a person and revokes their grants for it, durably.
// [storage.ErrNotFound]: they had none.
func (s *Store) Unassign(ctx context.Context, user storage.UserID, audience storage.Audience, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteAssignment, string(user), string(audience))
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		return revokeForAPI(c, user, audience, now)
	})
	return wrap("unassign API", err)
}

func revokeForAPI(c *conn, user storage.UserID, audience storage.Audience, now time.Time) error {
	n, err := c.exec(revokeGrantsForAPI, now.Unix(), string(user), string(audience))
	if err != nil {
		return err
	}
	return changedUser(c, user, n)
}

// RevokeToken ends one token for an API, durably; twice is no error.
func (s *Store) RevokeToken(ctx context.Context, t storage.RevokedToken) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(insertRevokedToken, string(t.ID), t.RevokedAt.Unix(), t.ExpiresAt.Unix())
		if err != nil || n == 0 {
			return err
		}
		return change(c, storage.ChangeGrant, "")
	})
	return wrap("revoke token", err)
}

// RevokedTokens returns the tokens that were revoked at since or later and are not
// swept yet, the oldest revocation first.
func (s *Store) RevokedTokens(ctx context.Context, since time.Time) (all []storage.RevokedToken, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, revokedTokensSince, func(r scanner) (t storage.RevokedToken, err error) {
			var revoked, expires int64
			err = r.Scan(&t.ID, &revoked, &expires)
			t.RevokedAt, t.ExpiresAt = at(revoked), at(expires)
			return t, err
		}, since.Unix())
		return err
	})
	return all, wrap("list revoked tokens", err)
}
