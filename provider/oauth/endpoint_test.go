package oauth_test

import (
	"testing"

	"github.com/handset-oidc/handset/provider/oauth"
)

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ issuer, path, want string }{
		{"http://localhost:3000/", "/oauth/token", "http://localhost:3000/oauth/token"},
		{"http://localhost:3000", "/oauth/token", "http://localhost:3000/oauth/token"},
		{"http://localhost:3000/openid-connect", "/oauth/token", "http://localhost:3000/openid-connect/oauth/token"},
		{"http://localhost:3000/openid-connect/", "oauth/token", "http://localhost:3000/openid-connect/oauth/token"},
		{"https://login.example/", "/.well-known/jwks.json", "https://login.example/.well-known/jwks.json"},
	} {
		if got := oauth.Endpoint(tt.issuer, tt.path); got != tt.want {
			t.Errorf("Endpoint(%q, %q) = %q, want %q", tt.issuer, tt.path, got, tt.want)
		}
	}
}
