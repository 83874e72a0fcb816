package registration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// tiny is a registration that nothing is wrong with.
func tiny() storage.Client {
	return storage.Client{
		ClientID: "tiny-client", Name: "Tiny", AppType: "regular_web", SubjectType: "public", IsFirstParty: true,
		Callbacks:               []string{"http://localhost:4000/oidc/callback"},
		AllowedLogoutURLs:       []string{"https://app.example.com/bye"},
		WebOrigins:              []string{"https://app.example.com", "http://localhost:4000"},
		GrantTypes:              []string{"authorization_code", "refresh_token", "client_credentials"},
		TokenEndpointAuthMethod: "client_secret_post",
		SecretMACs:              [][]byte{{1}},
		InitiateLogin:           "https://app.example.com/login",
	}
}

func jwks(t *testing.T, list ...any) json.RawMessage {
	t.Helper()
	set, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestValidate(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(kid string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: &keystest.Key(0).PublicKey, KeyID: kid}
	}
	jwt := func(keys json.RawMessage) func(*storage.Client) {
		return func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.SecretMACs, c.JWKS = "private_key_jwt", nil, keys
		}
	}
	tests := []struct {
		name   string
		change func(*storage.Client)
		want   []string // fields
	}{
		{"sound", func(*storage.Client) {}, nil},
		{"private_key_jwt", jwt(jwks(t, public("a"))), nil},
		{"one key needs no kid", jwt(jwks(t, public(""))), nil},
		{"ID tokens by form post", func(c *storage.Client) { c.GrantTypes = []string{"implicit"} }, nil},
		{"ID tokens to nowhere", func(c *storage.Client) { c.GrantTypes, c.Callbacks = []string{"implicit"}, nil }, []string{"callbacks"}},
		{"public native", func(c *storage.Client) {
			c.AppType, c.TokenEndpointAuthMethod, c.SecretMACs, c.RequirePKCE = "native", "none", nil, true
			c.Callbacks, c.GrantTypes = []string{"com.example.app:/callback", "http://127.0.0.1/cb"}, c.GrantTypes[:2]
		}, nil},
		{"nothing at all", func(c *storage.Client) { *c = storage.Client{} },
			[]string{"client_id", "app_type", "is_first_party", "subject_type", "token_endpoint_auth_method"}},
		{"a client_id that Basic would have to escape", func(c *storage.Client) { c.ClientID = "a:b" }, []string{"client_id"}},
		{"a name of two lines", func(c *storage.Client) { c.Name = "Tiny\n@evil.example #1" }, []string{"name"}},
		{"pairwise", func(c *storage.Client) {
			c.SubjectType, c.Callbacks = "pairwise", []string{"https://app.example.com/a", "https://APP.example.com:444/b"}
		}, nil},
		{"pairwise of two hosts", func(c *storage.Client) {
			c.SubjectType, c.Callbacks = "pairwise", []string{"https://app.example.com/a", "https://other.example.com/b"}
		}, []string{"subject_type"}},
		{"pairwise of no host", func(c *storage.Client) {
			c.SubjectType, c.GrantTypes, c.Callbacks = "pairwise", []string{"client_credentials"}, nil
		}, []string{"subject_type"}},
		{"pairwise of an app's own scheme", func(c *storage.Client) {
			c.SubjectType, c.AppType, c.Callbacks = "pairwise", "native", []string{"com.example.app:/cb"}
		}, []string{"subject_type"}},
		{"ID tokens by ES256", func(c *storage.Client) { c.IDTokenAlg = "ES256" }, nil},
		{"ID tokens by a shared secret", func(c *storage.Client) { c.IDTokenAlg = "HS256" }, []string{"id_token_signed_response_alg"}},
		{"a third subject type", func(c *storage.Client) { c.SubjectType = "secret" }, []string{"subject_type"}},
		{"the backend of an API", func(c *storage.Client) { c.API = "https://api.example.com" }, nil},
		{"a public backend", func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.SecretMACs, c.RequirePKCE, c.API = "none", nil, true, "https://api.example.com"
			c.GrantTypes = c.GrantTypes[:2]
		}, []string{"resource_server_identifier"}},
		{"client_credentials of a public client", func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.SecretMACs, c.RequirePKCE = "none", nil, true
		}, []string{"grant_types[2]"}},
		{"somebody else's application", func(c *storage.Client) { c.IsFirstParty = false }, []string{"is_first_party"}},
		{"no secret", func(c *storage.Client) { c.SecretMACs = nil }, []string{"client_secret"}},
		{"a public client with a secret", func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.RequirePKCE, c.GrantTypes = "none", true, c.GrantTypes[:2]
		}, []string{"client_secret"}},
		{"a public client without PKCE", func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.SecretMACs, c.GrantTypes = "none", nil, c.GrantTypes[:2]
		}, []string{"require_pkce"}},
		{"a machine that does not authenticate", func(c *storage.Client) {
			c.AppType, c.TokenEndpointAuthMethod, c.SecretMACs, c.RequirePKCE = "non_interactive", "none", nil, true
			c.GrantTypes = c.GrantTypes[:2]
		}, []string{"token_endpoint_auth_method"}},
		{"private_key_jwt without keys", jwt(nil), []string{"jwks"}},
		{"private_key_jwt with an empty set", jwt(jwks(t)), []string{"jwks"}},
		{"private_key_jwt with {}", jwt(json.RawMessage(`{}`)), []string{"jwks"}},
		{"no key set", jwt(json.RawMessage(`"x"`)), []string{"jwks"}},
		{"a private key", jwt(jwks(t, jose.JSONWebKey{Key: keystest.Key(0), KeyID: "a"})), []string{"jwks.keys[0]"}},
		{"a shared key", jwt(jwks(t, jose.JSONWebKey{Key: []byte(strings.Repeat("s", 32)), KeyID: "a"})), []string{"jwks.keys[0]"}},
		{"1024 bits", jwt(jwks(t, jose.JSONWebKey{Key: &small.PublicKey, KeyID: "a"})), []string{"jwks.keys[0]"}},
		{"P-384", jwt(jwks(t, jose.JSONWebKey{Key: &p384.PublicKey, KeyID: "a"})), []string{"jwks.keys[0]"}},
		{"for encryption", jwt(jwks(t, jose.JSONWebKey{Key: &keystest.Key(0).PublicKey, KeyID: "a", Use: "enc"})), []string{"jwks.keys[0]"}},
		{"for another algorithm", jwt(jwks(t, jose.JSONWebKey{Key: &keystest.Key(0).PublicKey, KeyID: "a", Algorithm: "RS512"})), []string{"jwks.keys[0]"}},
		{"rubbish", jwt(jwks(t, "x", map[string]any{"kty": "RSA"})), []string{"jwks.keys[0]", "jwks.keys[1]"}},
		{"two keys of one kid", jwt(jwks(t, public("a"), public("a"))), []string{"jwks.keys[1]"}},
		{"two keys, one without kid", jwt(jwks(t, public("a"), public(""))), []string{"jwks.keys[1]"}},
		{"an unknown grant", func(c *storage.Client) { c.GrantTypes = []string{"refresh_token", "magic"} }, []string{"grant_types[1]"}},
		{"no callback", func(c *storage.Client) { c.Callbacks = nil }, []string{"callbacks"}},
		{"bad addresses", func(c *storage.Client) {
			c.Callbacks = []string{"http://app.example.com/cb", "https://app.example.com/#x", "/cb", "https://*.example.com/cb"}
			c.AllowedLogoutURLs = []string{"javascript:alert(1)"}
			c.InitiateLogin = "http://app.example.com/"
		}, []string{"callbacks[0]", "callbacks[1]", "callbacks[2]", "callbacks[3]", "allowed_logout_urls[0]", "initiate_login_uri"}},
		{"bad origins", func(c *storage.Client) {
			c.WebOrigins = []string{"https://app.example.com/", "*", "null", "https://*.example.com", "https://app.example.com:443"}
			c.AllowedOrigins = []string{"https://APP.example.com", "https://u@app.example.com", "ftp://app.example.com", "https://%61.example.com", "https://app.example.com<"}
		}, []string{"web_origins[0]", "web_origins[1]", "web_origins[2]", "web_origins[3]", "web_origins[4]",
			"allowed_origins[0]", "allowed_origins[1]", "allowed_origins[2]", "allowed_origins[3]", "allowed_origins[4]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tiny()
			tt.change(&c)
			var got []string
			for _, p := range registration.Validate(c) {
				got = append(got, p.Field)
				if p.Message == "" || strings.Contains(p.String(), "ssssssss") {
					t.Errorf("problem %q", p)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("problems %v, want %v", registration.Validate(c), tt.want)
			}
		})
	}
}

func TestRedirectURIs(t *testing.T) {
	t.Parallel()
	tests := []struct{ uri, web, native string }{
		{"https://app.example.com/callback", "", ""},
		{"https://app.example.com/callback?tenant=1", "", ""},
		{"http://localhost:4000/cb", "", ""},
		{"http://127.0.0.1/cb", "", ""},
		{"http://[::1]:4000/cb", "", ""},
		{"com.example.app:/callback", "must use https", ""},
		{"http://app.example.com/cb", "must use https", "must use https"},
		{"http://localhost.example.com/cb", "must use https", "must use https"},
		{"http://127.0.0.2/cb", "must use https", "must use https"},
		{"https://app.example.com/cb#", "fragment", "fragment"},
		{"https://app.example.com/cb#x", "fragment", "fragment"},
		{"https://*.example.com/cb", "wildcards", "wildcards"},
		{"https://user@app.example.com/cb", "user name", "user name"},
		{"/callback", "absolute URI", "absolute URI"},
		{"//app.example.com/callback", "absolute URI", "absolute URI"},
		{"", "absolute URI", "absolute URI"},
		{"https:///callback", "must name a host", "must name a host"},
		{"https://:443/callback", "must name a host", "must name a host"},
		{"http:/callback", "must name a host", "must name a host"},
		{"https://app.example.com/a b", "absolute URI", "absolute URI"},
		{`https://app.example.com\@evil.example/`, "absolute URI", "absolute URI"},
		{"https://app.example.com/\u00e9", "absolute URI", "absolute URI"},
		{"javascript:alert(1)", "must use https", "reversed domain name"},
		{"data:text/html,x", "must use https", "reversed domain name"},
		{"myapp://callback", "must use https", "reversed domain name"},
	}
	for _, test := range tests {
		t.Run(test.uri, func(t *testing.T) {
			t.Parallel()
			for appType, want := range map[string]string{"regular_web": test.web, "native": test.native} {
				c := tiny()
				c.AppType, c.Callbacks = appType, []string{test.uri}
				problems := registration.Validate(c)
				switch {
				case want == "" && len(problems) > 0:
					t.Errorf("%s: %v, want no problem", appType, problems)
				case want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, want)):
					t.Errorf("%s: %v, want one problem with %q", appType, problems, want)
				}
			}
		})
	}
}

func TestDoubts(t *testing.T) {
	t.Parallel()
	c := tiny()
	c.GrantTypes = append(c.GrantTypes, "password", "implicit")
	var got []string
	for _, p := range registration.Doubts(c) {
		got = append(got, p.Field)
	}
	if want := []string{"grant_types[3]", ""}; !slices.Equal(got, want) {
		t.Errorf("doubts about %q, want %q", got, want)
	}
	c.RequireNonce, c.GrantTypes = true, []string{"authorization_code"}
	if got := registration.Doubts(c); got != nil {
		t.Errorf("doubts: %v", got)
	}
	for appType, doubted := range map[string]bool{"spa": true, "native": true, "regular_web": false, "non_interactive": false} {
		c.AppType = appType
		got := registration.Doubts(c)
		if (len(got) == 1 && got[0].Field == "token_endpoint_auth_method") != doubted {
			t.Errorf("%s with a secret: doubts %v", appType, got)
		}
	}
	c.AppType, c.TokenEndpointAuthMethod = "native", "private_key_jwt" // a key may be the installation's own
	if got := registration.Doubts(c); got != nil {
		t.Errorf("doubts: %v", got)
	}
}

func TestKeysAreThoseThatCanVerify(t *testing.T) {
	t.Parallel()
	sound := jose.JSONWebKey{Key: &keystest.Key(0).PublicKey, KeyID: "a"}
	narrow := jose.JSONWebKey{Key: &keystest.Key(0).PublicKey, KeyID: "b", Algorithm: "PS256"}
	private := jose.JSONWebKey{Key: keystest.Key(0), KeyID: "c"}
	keys := registration.Keys(jwks(t, sound, private, narrow, "rubbish"))
	if len(keys) != 2 || keys[0].KeyID != "a" || keys[1].KeyID != "b" {
		t.Fatalf("keys %v", keys)
	}
	for i, want := range [][]jose.SignatureAlgorithm{{jose.RS256, jose.PS256}, {jose.PS256}} {
		if got := registration.Algorithms(keys[i]); !slices.Equal(got, want) {
			t.Errorf("algorithms of %s: %v, want %v", keys[i].KeyID, got, want)
		}
	}
	if got := registration.Keys(nil); got != nil {
		t.Errorf("keys of nothing: %v", got)
	}
}

// FuzzValidate looks for a registration that panics, or whose keys are used
// though they are complained about.
func FuzzValidate(f *testing.F) {
	f.Add("https://app.example.com/cb", `{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add("com.example.app:/cb", `{"keys":[null,1,{}]}`)
	f.Add("http://[::1", `{}`)
	f.Fuzz(func(t *testing.T, address, set string) {
		c := tiny()
		c.AppType, c.TokenEndpointAuthMethod, c.SecretMACs = "native", "private_key_jwt", nil
		c.Callbacks, c.WebOrigins, c.JWKS = []string{address}, []string{address}, json.RawMessage(set)
		problems := registration.Validate(c)
		if len(registration.Keys(c.JWKS)) == 0 && !slices.ContainsFunc(problems, func(p registration.Problem) bool {
			return strings.HasPrefix(p.Field, "jwks")
		}) {
			t.Errorf("no key can be used, and the problems are %v", problems)
		}
	})
}
