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
	since time.Time
	err   error
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
	set, err := revocation.New(revocation.Config{Source: b.table, Life: time.Hour, Now: func() time.Time { return b.now }})
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
		"no source": {Life: time.Hour},
		"no life":   {Source: &table{}},
	} {
		if _, err := revocation.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
