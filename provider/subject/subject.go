// Package subject knows under which name each client sees a person: the `sub` of
// ID tokens, userinfo, introspection and the tokens of APIs (OIDC Core §8). For
// clients with public subjects that is the person's ID; for those with pairwise
// ones it is a random name per sector, which is the host of their redirect URIs.
//
// Whatever shows a `sub` to a client asks here. The package makes the names and
// never derives one from anything; the store gives each for good.
package subject

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// Store keeps pairwise subjects.
type Store interface {
	// Subject must return the person's name in the sector, and make fresh their
	// name for good when they have none; of parallel calls all must get the same.
	// It must return [storage.ErrNotFound] for a person that there is not.
	Subject(ctx context.Context, user storage.UserID, sector storage.Sector, fresh storage.Subject) (storage.Subject, error)
	// UserBySubject must return [storage.ErrNotFound] for a name that nobody has.
	UserBySubject(ctx context.Context, sub storage.Subject) (storage.UserID, error)
}

// Clients finds registered clients.
type Clients interface {
	// Get must return [storage.ErrNotFound] for an unknown client.
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Names is safe for concurrent use.
type Names struct {
	store   Store
	clients Clients
}

// New returns the names that the store keeps.
func New(store Store, clients Clients) *Names { return &Names{store, clients} }

// Of returns a person's name as the client sees it.
func (n *Names) Of(ctx context.Context, c *storage.Client, user storage.UserID) (storage.Subject, error) {
	if c.SubjectType != oauth.SubjectPairwise {
		return storage.Subject(user), nil
	}
	sector, ok := registration.Sector(*c)
	if !ok { // no registration with such callbacks is taken
		return "", fmt.Errorf("client %s has pairwise subjects and no sector", c.ClientID)
	}
	sub, err := n.store.Subject(ctx, user, sector, storage.Subject(rand.Text()))
	if err != nil {
		return "", fmt.Errorf("pairwise subject: %w", err)
	}
	return sub, nil
}

// For is Of for a client by its ID; [storage.ErrNotFound]: it is not registered.
func (n *Names) For(ctx context.Context, id storage.ClientID, user storage.UserID) (storage.Subject, error) {
	c, err := n.clients.Get(ctx, id)
	if err != nil {
		return "", fmt.Errorf("client of subject: %w", err)
	}
	return n.Of(ctx, c, user)
}

// Person returns whom a name stands for that we once gave to a client. A name that
// is none stands for nobody: no person has it as their ID.
func (n *Names) Person(ctx context.Context, id storage.ClientID, sub storage.Subject) (storage.UserID, error) {
	c, err := n.clients.Get(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", fmt.Errorf("client of subject: %w", err)
	}
	if err != nil || c.SubjectType != oauth.SubjectPairwise {
		return storage.UserID(sub), nil
	}
	user, err := n.store.UserBySubject(ctx, sub)
	if errors.Is(err, storage.ErrNotFound) {
		// The client may have had public subjects when it got the name.
		return storage.UserID(sub), nil
	}
	if err != nil {
		return "", fmt.Errorf("person of pairwise subject: %w", err)
	}
	return user, nil
}
