package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

// inForce are the access tokens of Redis by today's configuration. What Redis
// keeps was decided when the token was made; an operator who has taken a client
// out of the file, or made the life of access tokens shorter, means the tokens
// that are out as well. The life matters twice: the set of revoked grants
// forgets a grant when its last token has ended by today's life.
type inForce struct {
	tokens interface {
		AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error)
	}
	clients *client.Registry
	life    time.Duration
}

// AccessToken returns the record of a token, with the end that it has today.
// One whose client is not registered any more is [storage.ErrNotFound].
func (f *inForce) AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error) {
	t, err := f.tokens.AccessToken(ctx, macs)
	if err != nil {
		return storage.AccessToken{}, err
	}
	if _, err := f.clients.Get(ctx, t.ClientID); err != nil {
		return storage.AccessToken{}, fmt.Errorf("client of access token: %w", err)
	}
	if end := t.IssuedAt.Add(f.life); end.Before(t.ExpiresAt) {
		t.ExpiresAt = end
	}
	return t, nil
}

func (p *Provider) tokensInForce() *inForce {
	return &inForce{tokens: p.c.Redis, clients: p.clients, life: p.c.Lifetimes.Access}
}
