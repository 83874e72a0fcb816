// Package api knows the APIs that access tokens can be for, which clients may ask
// for such tokens, and which tokens are in force. It decides by what is registered
// now: an API that was taken away, or whose tokens were made to live shorter, means
// the tokens that are out as well.
//
// It holds all APIs in memory and reads them again when a change row says so, so
// that no request asks the store. Which people may use an API is not known here:
// the store decides that in the transaction that writes a grant.
package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/handset-oidc/handset/storage"
)

// Store keeps the APIs and client grants that are not of the configuration.
type Store interface {
	APIs(ctx context.Context) ([]storage.API, error)
	ClientGrants(ctx context.Context) ([]storage.ClientGrant, error)
}

// Config is what a Registry needs.
type Config struct {
	Store Store
	// Fixed are the APIs that no command changes: the configuration's and
	// Handset's own. They hide APIs of the store that have the same identifier,
	// and FixedGrants those of the same client and API.
	Fixed       []storage.API
	FixedGrants []storage.ClientGrant
	// Userinfo is the userinfo endpoint. A token may be for it beside an API, and
	// a request for it alone is one for no API, as Auth0's clients send it.
	Userinfo storage.Audience
}

// Registry is safe for concurrent use.
type Registry struct {
	config    Config
	reloading sync.Mutex // one at a time, so that an older reading never replaces a newer
	current   atomic.Pointer[snapshot]
}

// holder is a client at an API.
type holder struct {
	client   storage.ClientID
	audience storage.Audience
}

// snapshot is what is registered, and never changes.
type snapshot struct {
	apis   map[storage.Audience]*storage.API
	grants map[holder]storage.ClientGrant
}

// New reads what is registered.
func New(ctx context.Context, c Config) (*Registry, error) {
	if c.Store == nil || c.Userinfo == "" {
		return nil, errors.New("api: Store and Userinfo are required")
	}
	r := &Registry{config: c}
	return r, r.Reload(ctx)
}

// Reload reads what is registered again. Call it on a change of kind
// [storage.ChangeAPI]. After an error what is at hand stays in use.
func (r *Registry) Reload(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	apis, err := r.config.Store.APIs(ctx)
	if err != nil {
		return fmt.Errorf("read APIs: %w", err)
	}
	grants, err := r.config.Store.ClientGrants(ctx)
	if err != nil {
		return fmt.Errorf("read client grants: %w", err)
	}
	next := &snapshot{apis: map[storage.Audience]*storage.API{}, grants: map[holder]storage.ClientGrant{}}
	for _, a := range append(apis, r.config.Fixed...) {
		next.apis[a.Identifier] = &a
	}
	for _, g := range append(grants, r.config.FixedGrants...) {
		next.grants[holder{g.ClientID, g.Audience}] = g
	}
	r.current.Store(next)
	return nil
}

// Get returns an API, or nil. It is shared: don't change it.
func (r *Registry) Get(id storage.Audience) *storage.API { return r.current.Load().apis[id] }

// Allowed returns a client's client grant for an API: what it may do there.
func (r *Registry) Allowed(client storage.ClientID, id storage.Audience) (storage.ClientGrant, bool) {
	g, ok := r.current.Load().grants[holder{client, id}]
	return g, ok
}
