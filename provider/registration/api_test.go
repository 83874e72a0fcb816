package registration_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// purchasing is an API that nothing is wrong with.
func purchasing() storage.API {
	return storage.API{
		Identifier: "https://purchasing.example.com", Name: "Purchasing", TokenLifetime: 86400, SigningAlg: "ES256",
		Scopes: []storage.Scope{{Value: "read:vendors"}, {Value: "write:vendors", Description: "change vendors"}},
		Users:  storage.Assigned, Clients: storage.Anyone,
		Claims: map[string]string{"employee_id": "user.employee_id", "https://example.com/team": "user.team"},
	}
}

func TestValidateAPI(t *testing.T) {
	t.Parallel()
	const issuer = "https://login.example.com/tenant/"
	tests := []struct {
		name   string
		change func(*storage.API)
		want   []string // fields
	}{
		{"sound", func(*storage.API) {}, nil},
		{"a URN", func(a *storage.API) { a.Identifier = "urn:purchasing" }, nil},
		{"a word", func(a *storage.API) { a.Identifier = "purchasing" }, nil},
		{"beside the issuer", func(a *storage.API) { a.Identifier = "https://login.example.com/tenants" }, nil},
		{"nothing at all", func(a *storage.API) { *a = storage.API{} }, []string{"identifier", "token_lifetime", "signing_alg", "users", "clients"}},
		{"the issuer", func(a *storage.API) { a.Identifier = issuer }, []string{"identifier"}},
		{"the issuer without its slash", func(a *storage.API) { a.Identifier = "https://login.example.com/tenant" }, []string{"identifier"}},
		{"below the issuer", func(a *storage.API) { a.Identifier = issuer + "api/v2/" }, []string{"identifier"}},
		{"a space", func(a *storage.API) { a.Identifier = "my api" }, []string{"identifier"}},
		{"a quote", func(a *storage.API) { a.Identifier = `my"api` }, []string{"identifier"}},
		{"a line feed", func(a *storage.API) { a.Identifier = "api\n" }, []string{"identifier"}},
		{"too long", func(a *storage.API) { a.Identifier = storage.Audience(strings.Repeat("a", 601)) }, []string{"identifier"}},
		{"a name of two lines", func(a *storage.API) { a.Name = "a\nb" }, []string{"name"}},
		{"a month", func(a *storage.API) { a.TokenLifetime = 2592000 }, nil},
		{"more than a month", func(a *storage.API) { a.TokenLifetime = 2592001 }, []string{"token_lifetime"}},
		{"a second", func(a *storage.API) { a.TokenLifetime = 1 }, []string{"token_lifetime"}},
		{"before it began", func(a *storage.API) { a.TokenLifetime = -86400 }, []string{"token_lifetime"}},
		{"HS256", func(a *storage.API) { a.SigningAlg = "HS256" }, []string{"signing_alg"}},
		{"none", func(a *storage.API) { a.SigningAlg = "none" }, []string{"signing_alg"}},
		{"RS256", func(a *storage.API) { a.SigningAlg = "RS256" }, nil},
		{"unknown words", func(a *storage.API) { a.Users, a.Clients = "all", "all" }, []string{"users", "clients"}},
		{"scopes of OpenID Connect", func(a *storage.API) {
			a.Scopes = []storage.Scope{{Value: "openid"}, {Value: "email"}, {Value: "offline_access"}}
		}, []string{"scopes[0].value", "scopes[1].value", "scopes[2].value"}},
		{"scopes that are no tokens", func(a *storage.API) {
			a.Scopes = []storage.Scope{{Value: ""}, {Value: "a b"}, {Value: `a"`}, {Value: `a\`}, {Value: "é"}}
		}, []string{"scopes[0].value", "scopes[1].value", "scopes[2].value", "scopes[3].value", "scopes[4].value"}},
		{"a scope twice", func(a *storage.API) { a.Scopes = append(a.Scopes, a.Scopes[0]) }, []string{"scopes[2].value"}},
		{"a description of two lines", func(a *storage.API) { a.Scopes[0].Description = "a\nb" }, []string{"scopes[0].description"}},
		{"claims of the token", func(a *storage.API) {
			a.Claims = map[string]string{"sub": "user.x", "scope": "user.x", "client_id": "user.x"}
		}, []string{"claims.client_id", "claims.scope", "claims.sub"}},
		{"claims of nobody", func(a *storage.API) {
			a.Claims = map[string]string{"a": "employee_id", "b": "user.", "c": "user.a.b", "d": "env.SECRET", "e": "user.x y"}
		}, []string{"claims.a", "claims.b", "claims.c", "claims.d", "claims.e"}},
		{"a claim without a name", func(a *storage.API) { a.Claims = map[string]string{"": "user.x"} }, []string{"claims"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := purchasing()
			tt.change(&a)
			var got []string
			for _, p := range registration.ValidateAPI(a, issuer) {
				got = append(got, p.Field)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("problems %v, want %v", registration.ValidateAPI(a, issuer), tt.want)
			}
		})
	}
}

func TestValidateClientGrant(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant storage.ClientGrant
		want  []string
	}{
		"sound":      {storage.ClientGrant{ClientID: "a", Audience: "b", Allowance: storage.Allowance{Scopes: []string{"x", "y"}}}, nil},
		"no scopes":  {storage.ClientGrant{ClientID: "a", Audience: "b"}, nil},
		"all scopes": {storage.ClientGrant{ClientID: "a", Audience: "b", Allowance: storage.Allowance{AllScopes: true}}, nil},
		"nothing":    {storage.ClientGrant{}, []string{"client_id", "audience"}},
		"both": {storage.ClientGrant{ClientID: "a", Audience: "b", Allowance: storage.Allowance{AllScopes: true, Scopes: []string{"x"}}},
			[]string{"scope"}},
		"no tokens": {storage.ClientGrant{ClientID: "a", Audience: "b", Allowance: storage.Allowance{Scopes: []string{"x y", "", "z", "z"}}},
			[]string{"scope[0]", "scope[1]", "scope[3]"}},
	} {
		var got []string
		for _, p := range registration.ValidateClientGrant(tt.grant) {
			got = append(got, p.Field)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: problems %v, want %v", name, got, tt.want)
		}
	}
}

func TestUnknownScopes(t *testing.T) {
	t.Parallel()
	api := purchasing()
	got := registration.UnknownScopes(storage.Allowance{Scopes: []string{"read:vendors", "read:vendor", "admin"}}, &api)
	if want := []string{"read:vendor", "admin"}; !slices.Equal(got, want) {
		t.Errorf("unknown %v, want %v", got, want)
	}
}

// OIDC Core §8.1.
func TestSector(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		callbacks []string
		want      storage.Sector
		ok        bool
	}{
		{[]string{"https://app.example.com/cb"}, "app.example.com", true},
		{[]string{"https://app.example.com/cb", "https://APP.example.com:8443/x?y=z"}, "app.example.com", true},
		{[]string{"http://[::1]/cb"}, "::1", true},
		{[]string{"https://app.example.com/cb", "https://example.com/cb"}, "", false},
		{[]string{"https://app.example.com/cb", "com.example.app:/cb"}, "", false},
		{[]string{"com.example.app:/cb"}, "", false},
		{nil, "", false},
	} {
		got, ok := registration.Sector(storage.Client{Callbacks: tt.callbacks})
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%v: %q, %v; want %q, %v", tt.callbacks, got, ok, tt.want, tt.ok)
		}
	}
}
