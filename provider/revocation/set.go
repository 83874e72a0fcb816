// Package revocation remembers which grants were revoked, so that an opaque
// access token dies with its grant although Redis knows nothing of grants. One
// set per server, in memory: it is read on every call that presents a token.
//
// The truth is in SQL. The server that revokes calls [Set.Add] at once; the
// others read the rows when a change tells them to ([Set.Refresh]), within a
// second. The package revokes nothing itself and knows no HTTP.
package revocation

import (
	"context"
	"errors"
	"fmt"
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
}

// Config is what a [Set] needs.
type Config struct {
	Source Source
	// Life is the longest life of an access token: a grant is forgotten when
	// the last token made of it has expired.
	Life time.Duration
	// Now defaults to time.Now.
	Now func() time.Time
}

// Set is the revoked grants of the last Life. It is safe for concurrent use.
type Set struct {
	source Source
	life   time.Duration
	now    func() time.Time

	mu     sync.RWMutex
	grants map[storage.GrantID]time.Time // when revoked
	newest time.Time                     // of the rows read; zero before the first Load
	pruned time.Time
}

// New returns an empty set; call [Set.Load] before serving.
func New(c Config) (*Set, error) {
	switch {
	case c.Source == nil:
		return nil, errors.New("revocation: no source")
	case c.Life <= 0:
		return nil, errors.New("revocation: the life of access tokens is not positive")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Set{source: c.Source, life: c.Life, now: c.Now, grants: map[storage.GrantID]time.Time{}}, nil
}

// Revoked reports whether no token of the grant may be used any more.
func (s *Set) Revoked(id storage.GrantID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, revoked := s.grants[id]
	return revoked
}

// Add notes a grant that this server has just revoked in SQL.
func (s *Set) Add(id storage.GrantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[id] = s.now()
}

// Load reads all that can still matter. Call it at start, and again whenever
// changes may have been missed.
func (s *Set) Load(ctx context.Context) error {
	return s.read(ctx, s.horizon())
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
	return s.read(ctx, newest.Add(-overlap))
}

// horizon is the time before which a revocation has outlived its last token.
// The overlap is there for tokens made by a server whose clock is ahead.
func (s *Set) horizon() time.Time { return s.now().Add(-s.life - overlap) }

func (s *Set) read(ctx context.Context, since time.Time) error {
	rows, err := s.source.RevokedGrants(ctx, since)
	if err != nil {
		return fmt.Errorf("read revoked grants: %w", err)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest.IsZero() {
		s.newest = since // an empty table is read from here on
	}
	for _, row := range rows {
		s.grants[row.ID] = row.RevokedAt
		// A clock that is ahead must not make us read past what others write.
		if row.RevokedAt.After(s.newest) && !row.RevokedAt.After(now) {
			s.newest = row.RevokedAt
		}
	}
	s.prune(now)
	return nil
}

// prune forgets the grants whose last token has expired, at most once a
// minute: it looks at them all. The caller holds the lock.
func (s *Set) prune(now time.Time) {
	if now.Sub(s.pruned) < time.Minute {
		return
	}
	s.pruned = now
	horizon := s.horizon()
	for id, at := range s.grants {
		if at.Before(horizon) {
			delete(s.grants, id)
		}
	}
}
