// Package revocation remembers which grants were revoked, so that an opaque
// access token dies with its grant although Redis knows nothing of grants, and a
// token for an API although nothing is stored of it; and which tokens for APIs
// were revoked by themselves. One set per server, in memory: it is read on every
// call that presents a token.
//
// The truth is in SQL. The server that revokes calls [Set.Add] or [Set.AddToken]
// at once; the others read the rows when a change tells them to ([Set.Refresh]),
// within a second. The package revokes nothing itself and knows no HTTP.
package revocation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// overlap is how far Refresh reads back behind the newest row it has seen: a
// row's time is written by another server's clock, in whole seconds, and its
// transaction may commit after one with a later time.
const overlap = 2 * time.Minute

// Source reads the revoked grants.
type Source interface {
	// RevokedGrants must return every grant revoked at or after since. Grants
	// revoked before it may be among them.
	RevokedGrants(ctx context.Context, since time.Time) ([]storage.RevokedGrant, error)
	// RevokedAPIGrants must return every revoked grant whose tokens for an API can
	// be alive at now.
	RevokedAPIGrants(ctx context.Context, now time.Time) ([]storage.RevokedGrant, error)
	// RevokedTokens must return every token revoked at or after since that has
	// not expired.
	RevokedTokens(ctx context.Context, since time.Time) ([]storage.RevokedToken, error)
}

// Config is what a [Set] needs.
type Config struct {
	Source Source
	// Life is the longest life of an opaque access token: a grant is forgotten
	// when the last token made of it has expired.
	Life time.Duration
	// APILife is the longest life that a token for an API can have.
	APILife time.Duration
	// Now defaults to time.Now.
	Now func() time.Time
}

// Set is what was revoked and can still matter. It is safe for concurrent use.
type Set struct {
	source        Source
	life, apiLife time.Duration
	now           func() time.Time

	mu     sync.RWMutex
	grants map[storage.GrantID]time.Time // until when they are remembered
	tokens map[storage.TokenID]time.Time
	newest time.Time // of the rows read; zero before the first Load
	pruned time.Time
}

// New returns an empty set; call [Set.Load] before serving.
func New(c Config) (*Set, error) {
	switch {
	case c.Source == nil:
		return nil, errors.New("revocation: no source")
	case c.Life <= 0 || c.APILife <= 0:
		return nil, errors.New("revocation: the life of access tokens is not positive")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Set{
		source: c.Source, life: c.Life, apiLife: c.APILife, now: c.Now,
		grants: map[storage.GrantID]time.Time{}, tokens: map[storage.TokenID]time.Time{},
	}, nil
}

// Revoked reports whether no token of the grant may be used any more.
func (s *Set) Revoked(id storage.GrantID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, revoked := s.grants[id]
	return revoked
}

// TokenRevoked reports whether a token for an API was revoked by itself.
func (s *Set) TokenRevoked(id storage.TokenID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, revoked := s.tokens[id]
	return revoked
}

// Add notes a grant that this server has just revoked in SQL. What it is for is
// read with its row; until then it is remembered for as long as any token lives.
func (s *Set) Add(id storage.GrantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[id] = s.now().Add(max(s.life, s.apiLife))
}

// AddToken notes a token for an API that this server has just revoked in SQL.
func (s *Set) AddToken(t storage.RevokedToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.ID] = t.ExpiresAt
}

// Load reads all that can still matter. Call it at start, and again whenever
// changes may have been missed.
func (s *Set) Load(ctx context.Context) error {
	now := s.now()
	forAPIs, err := s.source.RevokedAPIGrants(ctx, now.Add(-overlap))
	if err != nil {
		return fmt.Errorf("read revoked grants for APIs: %w", err)
	}
	// A grant that was revoked before this has outlived its last opaque token; the
	// overlap is there for tokens made by a server whose clock is ahead.
	return s.read(ctx, now.Add(-s.life-overlap), now.Add(-s.apiLife-overlap), forAPIs)
}

// Refresh reads what is new since the last read. Call it on a change of kind
// [storage.ChangeGrant].
func (s *Set) Refresh(ctx context.Context) error {
	s.mu.RLock()
	newest := s.newest
	s.mu.RUnlock()
	if newest.IsZero() {
		return s.Load(ctx)
	}
	since := newest.Add(-overlap)
	return s.read(ctx, since, since, nil)
}

func (s *Set) read(ctx context.Context, grantsSince, tokensSince time.Time, grants []storage.RevokedGrant) error {
	rows, err := s.source.RevokedGrants(ctx, grantsSince)
	if err != nil {
		return fmt.Errorf("read revoked grants: %w", err)
	}
	tokens, err := s.source.RevokedTokens(ctx, tokensSince)
	if err != nil {
		return fmt.Errorf("read revoked tokens: %w", err)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest.IsZero() {
		s.newest = grantsSince // empty tables are read from here on
	}
	for _, row := range append(rows, grants...) {
		s.grants[row.ID] = later(row.RevokedAt.Add(s.life), row.TokensUntil)
		s.saw(row.RevokedAt, now)
	}
	for _, row := range tokens {
		s.tokens[row.ID] = row.ExpiresAt
		s.saw(row.RevokedAt, now)
	}
	s.prune(now)
	return nil
}

// saw moves on to the newest row. A clock that is ahead must not make us read past
// what others write. The caller holds the lock.
func (s *Set) saw(revoked, now time.Time) {
	if revoked.After(s.newest) && !revoked.After(now) {
		s.newest = revoked
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// prune forgets what can matter no more, at most once a minute: it looks at it
// all. The caller holds the lock.
func (s *Set) prune(now time.Time) {
	if now.Sub(s.pruned) < time.Minute {
		return
	}
	s.pruned = now
	over := func(until time.Time) bool { return until.Before(now.Add(-overlap)) }
	maps.DeleteFunc(s.grants, func(_ storage.GrantID, until time.Time) bool { return over(until) })
	maps.DeleteFunc(s.tokens, func(_ storage.TokenID, until time.Time) bool { return over(until) })
}
