// Package client knows the registered applications: it finds
// and authenticates them (RFC 6749 §2.3, OIDC Core §9, RFC 7523 §3). What a
// registration may hold is the business of package registration.
//
// Clients of the configuration live in memory; those of the database are
// cached until a change row names them. No request makes a password hash, and
// a client that is cached costs no query. The package never stores a secret:
// it compares MACs.
package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

const (
	// keepKnown bounds how long a lost change row can matter.
	keepKnown = 5 * time.Minute
	// keepUnknown is short: it only takes the load of a stranger who asks for
	// one ID again and again.
	keepUnknown = 10 * time.Second
	// rereadAfter is how old a reading is that a refusal is not final on, and so
	// how seldom wrong credentials cost a query, whoever sends them.
	rereadAfter = time.Second
	maxKnown    = 10_000
	maxUnknown  = 1_000
	maxID       = 128
	lookupTime  = 2 * time.Second
)

// Store keeps the clients that are not of the configuration.
type Store interface {
	// Client must return [storage.ErrNotFound] when there is none.
	Client(ctx context.Context, id storage.ClientID) (storage.Client, error)
}

// Assertions remembers which client assertions were used.
type Assertions interface {
	// UseAssertion must return [storage.ErrConsumed] for a tag that was used
	// before and has not expired, in one atomic step.
	UseAssertion(ctx context.Context, tag string, expires, now time.Time) error
}

// Config is what a Registry needs.
type Config struct {
	Store      Store
	Assertions Assertions
	Vault      *vault.Vault
	// FileClients are the configuration's; they hide clients of the database
	// that have the same ID.
	FileClients []storage.Client
	// Issuer and TokenEndpoint are what a client assertion may be meant for.
	Issuer        string
	TokenEndpoint string
	Now           func() time.Time // default time.Now
}

// Registry is safe for concurrent use.
type Registry struct {
	config Config
	dummy  []byte // the MAC that unknown clients' secrets are compared with
	flight singleflight.Group

	mu         sync.RWMutex
	file       map[storage.ClientID]*entry // never changes
	known      map[storage.ClientID]*entry
	unknown    map[storage.ClientID]time.Time // until when
	generation uint64                         // grows with every invalidation
}

// entry is a client with what its registration amounts to, worked out once.
type entry struct {
	client *storage.Client
	keys   []jose.JSONWebKey
	until  time.Time

	rereading sync.Mutex
	asked     time.Time // when the store was last asked for it; rereading guards it
}

func newEntry(c storage.Client) *entry {
	return &entry{client: &c, keys: registration.Keys(c.JWKS)}
}

// New returns a Registry. Two clients of the configuration with one ID are an
// error; what else may be wrong with them, [registration.Validate] tells.
func New(c Config) (*Registry, error) {
	if c.Store == nil || c.Assertions == nil || c.Vault == nil || c.Issuer == "" || c.TokenEndpoint == "" {
		return nil, errors.New("client registry: Store, Assertions, Vault, Issuer and TokenEndpoint are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Registry{
		config:  c,
		dummy:   SecretMAC(c.Vault, "", NewSecret()),
		file:    map[storage.ClientID]*entry{},
		known:   map[storage.ClientID]*entry{},
		unknown: map[storage.ClientID]time.Time{},
	}
	for _, f := range c.FileClients {
		if f.ClientID == "" || r.file[f.ClientID] != nil {
			return nil, fmt.Errorf("client registry: the client ID %q is empty or declared twice", f.ClientID)
		}
		f.FromFile = true
		r.file[f.ClientID] = newEntry(f)
	}
	return r, nil
}

// Get returns a client, or [storage.ErrNotFound]. The client is shared: don't
// change it.
func (r *Registry) Get(ctx context.Context, id storage.ClientID) (*storage.Client, error) {
	e, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.client, nil
}

// Invalidate forgets what is cached of a client. Call it for every change row
// that names one.
func (r *Registry) Invalidate(id storage.ClientID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	delete(r.known, id)
	delete(r.unknown, id)
	r.flight.Forget(string(id)) // who asks from now on must not get an older reading
}

// InvalidateAll forgets all that is cached, for when change rows were missed.
func (r *Registry) InvalidateAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	for id := range r.known {
		r.flight.Forget(string(id))
	}
	clear(r.known)
	clear(r.unknown)
}

func (r *Registry) find(ctx context.Context, id storage.ClientID) (*entry, error) {
	if e := r.file[id]; e != nil {
		return e, nil
	}
	if !plausible(id) {
		return nil, notFound()
	}
	e, absent := r.cached(id)
	switch {
	case e != nil:
		return e, nil
	case absent:
		return nil, notFound()
	}
	return r.load(ctx, id)
}

// newer returns a later reading of a client than old, or nil when there is none
// and the store was asked a moment ago. Those who ask at once wait for one query.
func (r *Registry) newer(ctx context.Context, old *entry) *entry {
	id := old.client.ClientID
	if old.client.FromFile {
		return nil
	}
	old.rereading.Lock()
	defer old.rereading.Unlock()
	current, _ := r.cached(id)
	if current == old {
		now := r.config.Now()
		if now.Sub(old.asked) < rereadAfter {
			return nil
		}
		old.asked = now // a store that fails is not asked more often
		current = nil
	}
	if current == nil {
		// An error leaves the refusal as it was.
		current, _ = r.load(ctx, id)
	}
	return current
}

func notFound() error { return fmt.Errorf("client: %w", storage.ErrNotFound) }

// plausible keeps what can't be a client ID away from store and cache (RFC 6749 §A.1).
func plausible(id storage.ClientID) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

func (r *Registry) cached(id storage.ClientID) (e *entry, absent bool) {
	now := r.config.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e := r.known[id]; e != nil && now.Before(e.until) {
		return e, false
	}
	until, ok := r.unknown[id]
	return nil, ok && now.Before(until)
}

// load asks the store once for all who want the client at the moment. The
// query does not end with the request that happened to come first.
func (r *Registry) load(ctx context.Context, id storage.ClientID) (*entry, error) {
	result := r.flight.DoChan(string(id), func() (_ any, err error) {
		// A panic in this goroutine would end the process; the requests that wait
		// for it can bear it.
		defer func() {
			if p := recover(); p != nil {
				err = &panicked{p}
			}
		}()
		return r.read(ctx, id)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-result:
		if p, ok := errors.AsType[*panicked](got.Err); ok {
			panic(p.value)
		}
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*entry), nil
	}
}

// panicked carries a panic to the goroutines that wait.
type panicked struct{ value any }

func (*panicked) Error() string { return "panic while a client was looked up" }

// read asks the store and caches what it says.
func (r *Registry) read(ctx context.Context, id storage.ClientID) (*entry, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
	defer cancel()
	r.mu.RLock()
	generation := r.generation
	r.mu.RUnlock()
	c, err := r.config.Store.Client(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("look up client: %w", err)
	}
	if err != nil {
		r.keep(id, nil, generation)
		return nil, notFound()
	}
	e := newEntry(c)
	r.keep(id, e, generation)
	return e, nil
}

// keep caches a reading, unless something was invalidated since it began.
func (r *Registry) keep(id storage.ClientID, e *entry, generation uint64) {
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.generation != generation {
		return
	}
	if e == nil {
		delete(r.known, id)
		makeRoom(r.unknown, maxUnknown)
		r.unknown[id] = now.Add(keepUnknown)
		return
	}
	e.until, e.asked = now.Add(keepKnown), now
	delete(r.unknown, id)
	makeRoom(r.known, maxKnown)
	r.known[id] = e
}

// makeRoom drops an arbitrary member of a full cache: who floods it with names
// can't choose which.
func makeRoom[V any](cache map[storage.ClientID]V, limit int) {
	for id := range cache {
		if len(cache) < limit {
			return
		}
		delete(cache, id)
	}
}
