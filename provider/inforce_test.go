package provider

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

// tokens finds one access token, whatever is asked for.
type tokens storage.AccessToken

func (t tokens) AccessToken(context.Context, [][]byte) (storage.AccessToken, error) {
	return storage.AccessToken(t), nil
}

// noMore is a database without clients, and a Redis that has seen no assertion.
type noMore struct{}

func (noMore) Client(context.Context, storage.ClientID) (storage.Client, error) {
	return storage.Client{}, storage.ErrNotFound
}

func (noMore) UseAssertion(context.Context, string, time.Time, time.Time) error { return nil }

// A restart with another configuration: what it says counts for the tokens that
// are out, too.
func TestTokensFollowTodaysConfiguration(t *testing.T) {
	t.Parallel()
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		t.Fatal(err)
	}
	registry, err := client.New(client.Config{
		Store: noMore{}, Assertions: noMore{}, Vault: v, Issuer: "https://login.example/", TokenEndpoint: "https://login.example/oauth/token",
		FileClients: []storage.Client{{ClientID: "kept"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	token := tokens{ClientID: "kept", IssuedAt: issued, ExpiresAt: issued.Add(24 * time.Hour)}
	for _, tt := range []struct {
		name string
		life time.Duration
		ends time.Time
	}{
		{"the same life", 24 * time.Hour, issued.Add(24 * time.Hour)},
		{"a shorter life", 10 * time.Minute, issued.Add(10 * time.Minute)},
		{"a longer life", 48 * time.Hour, issued.Add(24 * time.Hour)},
	} {
		found, err := (&inForce{tokens: token, clients: registry, life: tt.life}).AccessToken(t.Context(), nil)
		if err != nil || !found.ExpiresAt.Equal(tt.ends) {
			t.Errorf("%s: ends %v, %v; want %v", tt.name, found.ExpiresAt, err, tt.ends)
		}
	}
	token.ClientID = "taken out of the file"
	_, err = (&inForce{tokens: token, clients: registry, life: time.Hour}).AccessToken(t.Context(), nil)
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("token of a client that is not registered any more: %v", err)
	}
}
