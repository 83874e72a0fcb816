package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// security.md §3.25: an API that trusts this issuer takes none of its other tokens.
func TestAPIsRefuseTokensOfOtherKinds(t *testing.T) {
	t.Parallel()
	r := start(t)
	h := r.handset()
	h.Scopes = append(h.Scopes, "offline_access")
	got := h.Login(t, newNumber())
	for _, audience := range []resource.Audience{nativeClient, "https://purchasing.example.com"} {
		api, err := resource.New(t.Context(), resource.Config{Issuer: r.issuer, Audience: audience, Now: r.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		for name, c := range map[string]struct {
			token  string
			reason resource.Reason
		}{
			"the ID token":                  {got.IDToken, resource.ReasonType},
			"the issuer's own access token": {got.AccessToken, resource.ReasonMalformed},
			"a refresh token":               {string(got.RefreshToken), resource.ReasonMalformed},
		} {
			_, err := api.Verify(t.Context(), c.token)
			if refusal, ok := errors.AsType[*resource.Refusal](err); !ok || refusal.Reason != c.reason {
				t.Errorf("%s for %s: %v", name, audience, err)
			}
		}
	}
}

// TestClientOfTheLibrary renews a person's tokens at the real token endpoint, keeps
// each refresh token, and learns that a login is over.
func TestClientOfTheLibrary(t *testing.T) {
	t.Parallel()
	r := start(t)
	h := r.handset()
	h.Scopes = append(h.Scopes, "phone", "offline_access")
	got := h.Login(t, newNumber())
	var kept []resource.Secret
	client, err := resource.NewClient(t.Context(), resource.ClientConfig{
		Issuer: r.issuer, ClientID: nativeClient, APIs: []string{r.base}, Now: r.clock.Now,
		RefreshToken: got.RefreshToken,
		KeepRefreshToken: func(_ context.Context, token resource.Secret) error {
			kept = append(kept, token)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	program := &http.Client{Transport: &resource.RoundTripper{Client: client}}
	for n := 1; n <= 3; n++ {
		res, err := program.Get(r.base + "/userinfo")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || len(kept) != n {
			t.Errorf("userinfo: %d, with %d refresh tokens kept after %d renewals", res.StatusCode, len(kept), n)
		}
		r.clock.Advance(2 * time.Hour)
	}
	r.call(nativeClient, "/oauth/revoke", url.Values{"token": {string(kept[2])}})
	if _, err := program.Get(r.base + "/userinfo"); !errors.Is(err, resource.ErrLoginRequired) {
		t.Errorf("after the revocation: %v", err)
	}
}
