package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

// A token whose signature was verified a moment ago is held against everything else
// each time, and another one gains nothing by it.
func TestAttackTokenThatWasGoodBefore(t *testing.T) {
	t.Parallel()
	const id = "added"
	audience := func(b beside) storage.Audience { return storage.Audience(b.base + "/verifications") }
	prepare := func(t *testing.T) (b beside, v verifier, path string) {
		b = startBeside(t)
		must(t, b.sql.CreateClient(t.Context(), storage.Client{
			ClientID: id, Name: "Added", AppType: "non_interactive", GrantTypes: []string{"client_credentials"},
			TokenEndpointAuthMethod: "client_secret_post", SecretMACs: [][]byte{client.SecretMAC(b.vault, id, secret)},
			SubjectType: "public", CreatedAt: b.clock.Now(), UpdatedAt: b.clock.Now(),
		}))
		must(t, b.sql.PutClientGrant(t.Context(), storage.ClientGrant{ClientID: id, Audience: audience(b), CreatedAt: b.clock.Now(),
			Allowance: storage.Allowance{AllScopes: true}}))
		withinASecond(t, "added client", func() bool {
			v = verifier{b.rig, b.machineToken(id, string(audience(b)), "client_secret", secret).AccessToken}
			return v.token != ""
		})
		path = "/verifications/" + v.begin(newNumber(), "").ID
		v.wants(http.StatusOK, http.MethodGet, path, "")
		return b, v, path
	}
	t.Run("another token", func(t *testing.T) {
		t.Parallel()
		_, v, path := prepare(t)
		for name, other := range map[string]string{
			"in its header": changed(v.token, 5), "in its claims": changed(v.token, len(v.token)/2), "in its signature": changed(v.token, len(v.token)-20),
			"cut": v.token[:len(v.token)-2], "longer": v.token + "A",
		} {
			if status, _ := (verifier{v.rig, other}).do(http.MethodGet, path, ""); status != http.StatusUnauthorized {
				t.Errorf("%s: %d", name, status)
			}
		}
		v.wants(http.StatusOK, http.MethodGet, path, "")
	})
	for name, tt := range map[string]struct {
		change func(t *testing.T, b beside) error
		status int
	}{
		"nothing": {func(*testing.T, beside) error { return nil }, http.StatusOK},
		"expired": {func(_ *testing.T, b beside) error { b.clock.Advance(time.Hour); return nil }, http.StatusUnauthorized},
		"client removed": {func(t *testing.T, b beside) error {
			return b.sql.RemoveClient(t.Context(), id, b.clock.Now())
		}, http.StatusUnauthorized},
		"client grant removed": {func(t *testing.T, b beside) error {
			return b.sql.RemoveClientGrant(t.Context(), id, audience(b))
		}, http.StatusUnauthorized},
		"client held to another network": {func(t *testing.T, b beside) error {
			return b.sql.UpdateClient(t.Context(), id, func(c *storage.Client) error {
				c.Addresses = []string{"192.0.2.0/24"}
				return nil
			})
		}, http.StatusForbidden},
		"key withdrawn": {func(t *testing.T, b beside) error {
			return b.sql.UpdateSigningKeys(t.Context(), func(kept []storage.SigningKey) ([]storage.SigningKey, error) {
				for i := range kept {
					if kept[i].Algorithm == "ES256" {
						kept[i] = keystest.ECRecord(0, kept[i].SignsFrom)
					}
				}
				return kept, nil
			})
		}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, v, path := prepare(t)
			must(t, tt.change(t, b))
			withinASecond(t, name, func() bool {
				status, _ := v.do(http.MethodGet, path, "")
				return status == tt.status
			})
			v.wants(tt.status, http.MethodGet, path, "")
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// changed is a text with another character in one place.
func changed(text string, at int) string {
	other := byte('A')
	if text[at] == other {
		other = 'B'
	}
	return text[:at] + string(other) + text[at+1:]
}
