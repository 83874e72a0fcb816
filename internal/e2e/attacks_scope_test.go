package e2e

import (
	"testing"

	"github.com/handset-oidc/handset/config"
)

// Scopes that nobody knows give nothing, and offline_access gives nothing to a client
// that is not registered for refresh tokens; asking for nothing else is an error,
// not a grant of nothing.
func TestAttackScopesBeyondTheRegistration(t *testing.T) {
	t.Parallel()
	const narrow = "narrow"
	r := start(t, withClient(narrow, func(c *config.Client) {
		c.GrantTypes, c.ClientSecret = []string{"authorization_code"}, config.NewSecret(secret)
	}))
	q := r.newRequest(narrow).with("scope", "openid admin offline_access read:all openid* OPENID")
	got := r.exchange(narrow, q, r.login(newBrowser(t), q, newNumber()).answer().Get("code"), "client_secret", secret)
	if got.Scope != "openid" || got.Refresh != "" || got.IDToken == "" {
		t.Errorf("granted %q, refresh token %t: %s %s", got.Scope, got.Refresh != "", got.Error, got.Description)
	}
	for _, scope := range []string{"admin", "admin read:all", "offline_access*", "OPENID"} {
		if got := r.authorize(newBrowser(t), r.newRequest(narrow).with("scope", scope)).answer(); got.Get("error") != "invalid_scope" {
			t.Errorf("scope %q: %v", scope, got)
		}
	}
}
