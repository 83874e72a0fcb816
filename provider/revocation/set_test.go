package revocation_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/revocation"
	"github.com/handset-oidc/handset/storage"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// table is the rows as SQL keeps them; it notes how far back it was read.
type table struct {
	mu    sync.Mutex
	rows  []storage.RevokedGrant
	dead  []storage.RevokedToken
	since time.Time
	err   error
}

func (s *table) RevokedAPIGrants(_ context.Context, now time.Time) ([]storage.RevokedGrant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []storage.RevokedGrant
	for _, r := range s.rows {
		if r.TokensUntil.After(now) {
			out = append(out, r)
		}
	}
	return out, s.err
}

func (s *table) RevokedTokens(_ context.Context, since time.Time) ([]storage.RevokedToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []storage.RevokedToken
	for _, t := range s.dead {
		if !t.RevokedAt.Before(since) {
			out = append(out, t)
		}
	}
	return out, s.err
}

func (s *table) RevokedGrants(_ context.Context, since time.Time) ([]storage.RevokedGrant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = since
	var out []storage.RevokedGrant
	for _, r := range s.rows {
		if !r.RevokedAt.Before(since) {
			out = append(out, r)
		}
	}
	return out, s.err
}

func (s *table) revoke(id storage.GrantID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, storage.RevokedGrant{ID: id, RevokedAt: at})
}

type bench struct {
	set   *revocation.Set
	table *table
	now   time.Time
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{table: &table{}, now: start}
	set, err := revocation.New(revocation.Config{Source: b.table, Life: time.Hour, APILife: 24 * time.Hour, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	b.set = set
	return b
}

func TestLoadReadsWhatAnyTokenCanStillNeed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.table.revoke("old", start.Add(-2*time.Hour))
	b.table.revoke("recent", start.Add(-59*time.Minute))
	if err := b.set.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.set.Revoked("old") {
		t.Error("a grant whose tokens have all expired is kept")
	}
	if !b.set.Revoked("recent") {
		t.Error("a grant revoked 59 minutes ago passes, though its tokens live an hour")
	}
	if b.set.Revoked("other") {
		t.Error("an unknown grant counts as revoked")
	}
}

func TestAddTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set.Add("g")
	if !b.set.Revoked("g") {
		t.Error("the grant passes")
	}
}

func TestRefreshSeesRowsThatCommitLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.table.revoke("first", start)
	if err := b.set.Refresh(t.Context()); err != nil { // the first read is a Load
		t.Fatal(err)
	}
	b.now = start.Add(time.Second)
	b.table.revoke("late", start.Add(-time.Minute))
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.set.Revoked("first") || !b.set.Revoked("late") {
		t.Error("a row written by a slower clock was missed")
	}
}

func TestAClockAheadHidesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.table.revoke("ahead", start.Add(time.Hour))
	if err := b.set.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.table.revoke("right", start)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.set.Revoked("ahead") || !b.set.Revoked("right") {
		t.Error("a row from a server whose clock is ahead hid a later one")
	}
}

func TestForgetsWhenTheLastTokenHasExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.set.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.table.revoke("g", start)
	b.set.Add("g")
	b.now = start.Add(time.Hour + time.Minute)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.set.Revoked("g") {
		t.Error("forgotten before a token of a faster clock has expired")
	}
	b.now = start.Add(time.Hour + 3*time.Minute)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.set.Revoked("g") {
		t.Error("kept for ever")
	}
}

// A token for an API lives longer than an opaque one, and so does the memory of
// its grant; what a grant is for is not known where it was just revoked.
func TestAGrantForAnAPIIsRememberedAsLongAsItsTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := start.Add(20 * time.Hour)
	b.table.rows = []storage.RevokedGrant{
		{ID: "api", RevokedAt: start.Add(-3 * time.Hour), TokensUntil: until},
		{ID: "over", RevokedAt: start.Add(-3 * time.Hour), TokensUntil: start.Add(-time.Hour)},
		{ID: "opaque", RevokedAt: start.Add(-3 * time.Hour)},
	}
	if err := b.set.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.set.Revoked("api") || b.set.Revoked("over") || b.set.Revoked("opaque") {
		t.Error("want those of living tokens, and no others")
	}
	b.set.Add("here")
	b.table.revoke("another", start)
	b.now = until.Add(-time.Second)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.set.Revoked("api") || !b.set.Revoked("here") {
		t.Error("forgotten while a token may live")
	}
	b.now = start.Add(25 * time.Hour)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.set.Revoked("api") || b.set.Revoked("here") {
		t.Error("kept for ever")
	}
}

func TestATokenIsRememberedUntilItHasExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.table.dead = []storage.RevokedToken{{ID: "kept", RevokedAt: start.Add(-20 * time.Hour), ExpiresAt: start.Add(time.Hour)}}
	if err := b.set.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set.AddToken(storage.RevokedToken{ID: "here", RevokedAt: start, ExpiresAt: start.Add(time.Hour)})
	b.table.dead = append(b.table.dead, storage.RevokedToken{ID: "elsewhere", RevokedAt: start, ExpiresAt: start.Add(time.Hour)})
	b.now = start.Add(time.Hour)
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []storage.TokenID{"kept", "here", "elsewhere"} {
		if !b.set.TokenRevoked(id) {
			t.Errorf("%s passes", id)
		}
	}
	if b.set.TokenRevoked("other") || b.set.Revoked("kept") {
		t.Error("what was not revoked counts as revoked")
	}
	b.now = start.Add(2 * time.Hour)
	b.table.dead = nil
	if err := b.set.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.set.TokenRevoked("kept") || b.set.TokenRevoked("here") {
		t.Error("kept for ever")
	}
}

func TestAFailedReadKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set.Add("g")
	b.table.err = storage.ErrUnavailable
	if err := b.set.Load(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Load = %v, want ErrUnavailable", err)
	}
	if !b.set.Revoked("g") {
		t.Error("the grant passes after a failed read")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	for i := range 8 {
		id := storage.GrantID("g" + strconv.Itoa(i))
		wg.Go(func() { b.set.Add(id) })
		wg.Go(func() { b.set.Revoked(id) })
		wg.Go(func() {
			if err := b.set.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		if id := storage.GrantID("g" + strconv.Itoa(i)); !b.set.Revoked(id) {
			t.Errorf("%s passes", id)
		}
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]revocation.Config{
		"no source":      {Life: time.Hour, APILife: time.Hour},
		"no life":        {Source: &table{}, APILife: time.Hour},
		"no life at all": {Source: &table{}, Life: time.Hour},
	} {
		if _, err := revocation.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
