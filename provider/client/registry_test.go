package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

const (
	issuer        = "https://login.example.com/"
	tokenEndpoint = "https://login.example.com/oauth/token"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeStore keeps clients in memory and counts who asks.
type fakeStore struct {
	mu      sync.Mutex
	clients map[storage.ClientID]storage.Client
	err     error
	calls   int
	// during, when set, is called while a query is under way.
	during func()
}

func (s *fakeStore) Client(ctx context.Context, id storage.ClientID) (storage.Client, error) {
	s.mu.Lock()
	c, ok := s.clients[id]
	err, during := s.err, s.during
	s.calls++
	s.mu.Unlock()
	if during != nil {
		during()
	}
	switch {
	case ctx.Err() != nil:
		return storage.Client{}, ctx.Err()
	case err != nil:
		return storage.Client{}, err
	case !ok:
		return storage.Client{}, fmt.Errorf("read client: %w", storage.ErrNotFound)
	}
	return c, nil
}

func (s *fakeStore) put(c storage.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients == nil {
		s.clients = map[storage.ClientID]storage.Client{}
	}
	s.clients[c.ClientID] = c
}

func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// fakeAssertions remembers tags.
type fakeAssertions struct {
	mu   sync.Mutex
	used map[string]time.Time
	err  error
}

func (a *fakeAssertions) UseAssertion(_ context.Context, tag string, expires, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	if until, ok := a.used[tag]; ok && now.Before(until) {
		return storage.ErrConsumed
	}
	if a.used == nil {
		a.used = map[string]time.Time{}
	}
	a.used[tag] = expires
	return nil
}

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.New(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rig is a registry with what it stands on.
type rig struct {
	*client.Registry
	store      *fakeStore
	assertions *fakeAssertions
	vault      *vault.Vault

	mu  sync.Mutex
	now time.Time
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func newRig(t testing.TB, file ...storage.Client) *rig {
	t.Helper()
	r := &rig{store: &fakeStore{}, assertions: &fakeAssertions{}, vault: newVault(t), now: start}
	registry, err := client.New(client.Config{Store: r.store, Assertions: r.assertions, Vault: r.vault,
		FileClients: file, Issuer: issuer, TokenEndpoint: tokenEndpoint, Now: r.clock})
	if err != nil {
		t.Fatal(err)
	}
	r.Registry = registry
	return r
}

func TestFileClientsHideThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t, storage.Client{ClientID: "tiny", Name: "file"})
	r.store.put(storage.Client{ClientID: "tiny", Name: "database"})
	c, err := r.Get(t.Context(), "tiny")
	if err != nil || c.Name != "file" || !c.FromFile || r.store.count() != 0 {
		t.Errorf("got %+v, %v after %d queries", c, err, r.store.count())
	}
}

func TestTwoFileClientsOfOneIDAreRefused(t *testing.T) {
	t.Parallel()
	for _, file := range [][]storage.Client{{{ClientID: "a"}, {ClientID: "a"}}, {{}}} {
		_, err := client.New(client.Config{Store: &fakeStore{}, Assertions: &fakeAssertions{}, Vault: newVault(t),
			Issuer: issuer, TokenEndpoint: tokenEndpoint, FileClients: file})
		if err == nil {
			t.Errorf("accepted %+v", file)
		}
	}
}

func TestAClientIsReadOnceUntilItChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.put(storage.Client{ClientID: "a", Name: "one"})
	for range 3 {
		if c, err := r.Get(t.Context(), "a"); err != nil || c.Name != "one" {
			t.Fatalf("got %+v, %v", c, err)
		}
	}
	if r.store.count() != 1 {
		t.Errorf("%d queries, want 1", r.store.count())
	}
	r.store.put(storage.Client{ClientID: "a", Name: "two"})
	r.Invalidate("a")
	if c, err := r.Get(t.Context(), "a"); err != nil || c.Name != "two" {
		t.Errorf("after the change: %+v, %v", c, err)
	}
	r.store.put(storage.Client{ClientID: "a", Name: "three"})
	r.InvalidateAll()
	if c, err := r.Get(t.Context(), "a"); err != nil || c.Name != "three" {
		t.Errorf("after a change of all: %+v, %v", c, err)
	}
	r.store.put(storage.Client{ClientID: "a", Name: "four"})
	r.advance(10 * time.Minute)
	if c, err := r.Get(t.Context(), "a"); err != nil || c.Name != "four" {
		t.Errorf("long after a change that nobody told of: %+v, %v", c, err)
	}
}

func TestAnUnknownClientIsAskedForOnceInAWhile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 5 {
		if _, err := r.Get(t.Context(), "new"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
	}
	if r.store.count() != 1 {
		t.Errorf("%d queries, want 1", r.store.count())
	}
	r.store.put(storage.Client{ClientID: "new"})
	r.Invalidate("new")
	if _, err := r.Get(t.Context(), "new"); err != nil {
		t.Errorf("the client was created, and still: %v", err)
	}
}

func TestUnknownClientsDoNotFillMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5000 {
		if _, err := r.Get(t.Context(), storage.ClientID(fmt.Sprint(i))); !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if n := r.Cached(); n > 1000 {
		t.Errorf("%d unknown clients are remembered", n)
	}
}

func TestWhatCanNotBeAClientIDIsNotLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, id := range []storage.ClientID{"", "a\x00", "a\n", "é", storage.ClientID(bytes.Repeat([]byte("a"), 200))} {
		if _, err := r.Get(t.Context(), id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if r.store.count() != 0 {
		t.Errorf("%d queries", r.store.count())
	}
}

func TestAFailingStoreIsNotAnUnknownClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.err = storage.ErrUnavailable
	if _, err := r.Get(t.Context(), "a"); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	r.store.mu.Lock()
	r.store.err = nil
	r.store.mu.Unlock()
	r.store.put(storage.Client{ClientID: "a"})
	if _, err := r.Get(t.Context(), "a"); err != nil {
		t.Errorf("the failure was remembered: %v", err)
	}
}

func TestAChangeDuringAQueryIsNotLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.put(storage.Client{ClientID: "a", Name: "old"})
	r.store.during = sync.OnceFunc(func() {
		r.store.put(storage.Client{ClientID: "a", Name: "new"})
		r.Invalidate("a")
	})
	if _, err := r.Get(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Get(t.Context(), "a"); err != nil || c.Name != "new" {
		t.Errorf("got %+v, %v; the old reading was cached", c, err)
	}
}

func TestManyAtOnceAskOnceAndNoneWaitsForAnothersPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.store.put(storage.Client{ClientID: "a"})
		answer := make(chan struct{})
		r.store.during = func() { <-answer }
		impatient, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := r.Get(impatient, "a")
			failed <- err
		}()
		synctest.Wait() // the query is under way, begun by the impatient one
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := r.Get(t.Context(), "a"); err != nil {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the impatient one got %v", err)
		}
		close(answer)
		wg.Wait()
		if r.store.count() != 1 {
			t.Errorf("%d queries, want 1", r.store.count())
		}
	})
}
