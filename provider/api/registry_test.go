package api_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

const userinfo = "https://login.example/userinfo"

// store is the APIs and client grants as SQL keeps them.
type store struct {
	apis   []storage.API
	grants []storage.ClientGrant
	err    error
}

func (s *store) APIs(context.Context) ([]storage.API, error) { return slices.Clone(s.apis), s.err }

func (s *store) ClientGrants(context.Context) ([]storage.ClientGrant, error) {
	return slices.Clone(s.grants), s.err
}

func some(scopes ...string) storage.Allowance { return storage.Allowance{Scopes: scopes} }

func open(t *testing.T, s *store, change ...func(*api.Config)) *api.Registry {
	t.Helper()
	c := api.Config{Store: s, Userinfo: userinfo}
	for _, f := range change {
		f(&c)
	}
	r, err := api.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scopes(values ...string) (out []storage.Scope) {
	for _, v := range values {
		out = append(out, storage.Scope{Value: v})
	}
	return out
}

// What is fixed, by the configuration or as Handset's own, no row of the database
// takes the place of.
func TestFixedAPIsHideThoseOfTheStore(t *testing.T) {
	t.Parallel()
	s := &store{
		apis:   []storage.API{{Identifier: "urn:a", Name: "store"}, {Identifier: "urn:b", Name: "store"}},
		grants: []storage.ClientGrant{{ClientID: "c", Audience: "urn:a", Allowance: some("x")}, {ClientID: "c", Audience: "urn:b", Allowance: some("x")}},
	}
	r := open(t, s, func(c *api.Config) {
		c.Fixed = []storage.API{{Identifier: "urn:a", Name: "file"}}
		c.FixedGrants = []storage.ClientGrant{{ClientID: "c", Audience: "urn:a", Allowance: some("y")}}
	})
	if r.Get("urn:a").Name != "file" || r.Get("urn:b").Name != "store" || r.Get("urn:c") != nil {
		t.Error("want the file's API before the store's, and no other")
	}
	for id, want := range map[storage.Audience]string{"urn:a": "y", "urn:b": "x"} {
		if a, ok := r.Allowed("c", id); !ok || !slices.Equal(a.Scopes, []string{want}) {
			t.Errorf("%s: %v, %v; want %s", id, a, ok, want)
		}
	}
	if _, ok := r.Allowed("d", "urn:a"); ok {
		t.Error("a client without a grant has one")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := &store{apis: []storage.API{{Identifier: "urn:a"}}}
	r := open(t, s)
	s.err = storage.ErrUnavailable
	if err := r.Reload(t.Context()); !errors.Is(err, storage.ErrUnavailable) || r.Get("urn:a") == nil {
		t.Errorf("after a failed reading: %v; what was known must stay", err)
	}
	s.err, s.apis = nil, []storage.API{{Identifier: "urn:b"}}
	if err := r.Reload(t.Context()); err != nil || r.Get("urn:a") != nil || r.Get("urn:b") == nil {
		t.Errorf("after a reading: %v", err)
	}
	if _, err := api.New(t.Context(), api.Config{Store: &store{err: storage.ErrUnavailable}, Userinfo: userinfo}); err == nil {
		t.Error("a registry that could not be read")
	}
	if _, err := api.New(t.Context(), api.Config{}); err == nil {
		t.Error("a registry without a store")
	}
}

// code is an error as a client reads it.
func code(err error) oauth.Code {
	if e := oauth.AsError(err); e != nil {
		return e.Code
	}
	return ""
}

// RFC 8707 §2, and Auth0's audience.
func TestRequested(t *testing.T) {
	t.Parallel()
	r := open(t, &store{})
	for _, tt := range []struct {
		name   string
		values web.Values
		want   storage.Audience
		code   oauth.Code
	}{
		{"none", web.Values{}, "", ""},
		{"empty", web.Values{"audience": {""}, "resource": {"", ""}}, "", ""},
		{"audience", web.Values{"audience": {"urn:a"}}, "urn:a", ""},
		{"resource", web.Values{"resource": {"urn:a"}}, "urn:a", ""},
		{"the same one often", web.Values{"audience": {"urn:a"}, "resource": {"urn:a", "", "urn:a"}}, "urn:a", ""},
		{"two resources", web.Values{"resource": {"urn:a", "urn:b"}}, "", oauth.InvalidTarget},
		{"audience and another resource", web.Values{"audience": {"urn:a"}, "resource": {"urn:b"}}, "", oauth.InvalidTarget},
		{"userinfo is no API", web.Values{"audience": {userinfo}}, "", ""},
		{"userinfo beside an API", web.Values{"audience": {userinfo}, "resource": {"urn:a"}}, "", oauth.InvalidTarget},
	} {
		got, err := r.Requested(tt.values)
		if got != tt.want || code(err) != tt.code || (err != nil) != (tt.code != "") {
			t.Errorf("%s: %q, %v; want %q, %s", tt.name, got, err, tt.want, tt.code)
		}
	}
}

func TestForPeople(t *testing.T) {
	t.Parallel()
	r := open(t, &store{
		apis: []storage.API{
			{Identifier: "urn:open", Clients: storage.Anyone, Scopes: scopes("a", "b")},
			{Identifier: "urn:granted", Clients: storage.Granted, Scopes: scopes("a", "b")},
			{Identifier: "urn:unsaid", Scopes: scopes("a")},
		},
		grants: []storage.ClientGrant{{ClientID: "known", Audience: "urn:granted", Allowance: some("b", "c")}},
	})
	for _, tt := range []struct {
		client storage.ClientID
		api    storage.Audience
		want   []string
		code   oauth.Code
	}{
		{"any", "urn:open", []string{"b", "a"}, ""},
		{"any", "urn:unsaid", []string{"a"}, ""},
		{"any", "urn:granted", nil, oauth.InvalidTarget},
		{"known", "urn:granted", []string{"b"}, ""},
		{"known", "urn:unknown", nil, oauth.InvalidTarget},
		{"known", "", nil, oauth.InvalidTarget},
	} {
		a, got, err := r.ForPeople(&storage.Client{ClientID: tt.client}, tt.api, []string{"openid", "b", "a", "c"})
		if !slices.Equal(got, tt.want) || code(err) != tt.code || err == nil && a.Identifier != tt.api {
			t.Errorf("%s at %s: %v, %v; want %v, %s", tt.client, tt.api, got, err, tt.want, tt.code)
		}
	}
}

func TestForMachine(t *testing.T) {
	t.Parallel()
	r := open(t, &store{
		apis: []storage.API{{Identifier: "urn:a", Clients: storage.Anyone, Scopes: scopes("a", "b", "c")}},
		grants: []storage.ClientGrant{
			{ClientID: "some", Audience: "urn:a", Allowance: some("b", "a", "gone")},
			{ClientID: "all", Audience: "urn:a", Allowance: storage.Allowance{AllScopes: true}},
			{ClientID: "none", Audience: "urn:a"},
			{ClientID: "all", Audience: "urn:removed", Allowance: storage.Allowance{AllScopes: true}},
		},
	})
	for _, tt := range []struct {
		client storage.ClientID
		api    storage.Audience
		asked  []string
		want   []string
		code   oauth.Code
	}{
		{"some", "urn:a", nil, []string{"a", "b"}, ""},
		{"some", "urn:a", []string{"b"}, []string{"b"}, ""},
		{"some", "urn:a", []string{"b", "c"}, nil, oauth.InvalidScope},
		{"some", "urn:a", []string{"gone"}, nil, oauth.InvalidScope},
		{"all", "urn:a", nil, []string{"a", "b", "c"}, ""},
		{"none", "urn:a", nil, nil, ""},
		{"none", "urn:a", []string{"a"}, nil, oauth.InvalidScope},
		{"other", "urn:a", nil, nil, oauth.AccessDenied},
		{"all", "urn:removed", nil, nil, oauth.InvalidTarget},
	} {
		_, got, err := r.ForMachine(&storage.Client{ClientID: tt.client}, tt.api, tt.asked)
		if !slices.Equal(got, tt.want) || code(err) != tt.code {
			t.Errorf("%s at %s for %v: %v, %v; want %v, %s", tt.client, tt.api, tt.asked, got, err, tt.want, tt.code)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	r := open(t, &store{apis: []storage.API{
		{Identifier: "urn:any", Users: storage.Anyone, TokenLifetime: 60, Scopes: scopes("a")},
		{Identifier: "urn:assigned", Users: storage.Assigned, TokenLifetime: 60},
		{Identifier: "urn:unsaid", TokenLifetime: 60},
	}})
	for id, want := range map[storage.Audience]storage.GrantedAPI{
		"":             {},
		"urn:any":      {Audience: "urn:any", Scopes: []string{"a"}, Lifetime: time.Minute},
		"urn:assigned": {Audience: "urn:assigned", AssignedOnly: true, Lifetime: time.Minute},
		"urn:unsaid":   {Audience: "urn:unsaid", AssignedOnly: true, Lifetime: time.Minute},
	} {
		got, err := r.Target(id, []string{"a", "b"})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", id, err, diff)
		}
	}
	if _, err := r.Target("urn:removed", nil); code(err) != oauth.InvalidTarget {
		t.Errorf("a removed API: %v", err)
	}
}

// The parts that Tokens asks.
type (
	minter      mint.APIToken
	clients     struct{ err error }
	revocations struct {
		grant storage.GrantID
		token storage.TokenID
	}
)

func (m minter) VerifyAPIToken(_ context.Context, raw string) (mint.APIToken, error) {
	if raw != "ours" {
		return mint.APIToken{}, mint.ErrAPIToken
	}
	return mint.APIToken(m), nil
}

func (c clients) Get(context.Context, storage.ClientID) (*storage.Client, error) {
	return &storage.Client{}, c.err
}

func (r revocations) Revoked(id storage.GrantID) bool      { return id == r.grant }
func (r revocations) TokenRevoked(id storage.TokenID) bool { return id == r.token }

func TestTokensInForce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	person := mint.APIToken{IssuedAt: noon, APITokenClaims: mint.APITokenClaims{
		ID: "GRANT.1", Client: "app", Audience: []storage.Audience{"urn:a", userinfo}, AuthTime: noon.Add(-time.Hour), Expires: noon.Add(23 * time.Hour),
	}}
	machine := mint.APIToken{IssuedAt: noon, APITokenClaims: mint.APITokenClaims{
		ID: "MACHINE", Client: "batch", Audience: []storage.Audience{"urn:a"}, Expires: noon.Add(24 * time.Hour),
	}}
	for name, tt := range map[string]struct {
		token  mint.APIToken
		change func(*store, *api.Tokens)
		ends   time.Time
		reason string
	}{
		"a person's":  {token: person, ends: noon.Add(23 * time.Hour)},
		"a machine's": {token: machine, ends: noon.Add(24 * time.Hour)},
		"a shorter life today": {token: person, ends: noon.Add(2 * time.Hour),
			change: func(s *store, _ *api.Tokens) { s.apis[0].TokenLifetime = 3 * 3600 }},
		"a machine's of a shorter life": {token: machine, ends: noon.Add(3 * time.Hour),
			change: func(s *store, _ *api.Tokens) { s.apis[0].TokenLifetime = 3 * 3600 }},
		"a longer life today": {token: person, ends: noon.Add(23 * time.Hour),
			change: func(s *store, _ *api.Tokens) { s.apis[0].TokenLifetime = 100 * 3600 }},
		"over by today's life": {token: person, reason: "token expired",
			change: func(s *store, _ *api.Tokens) { s.apis[0].TokenLifetime = 3600 }},
		"over": {token: person, reason: "token expired",
			change: func(_ *store, k *api.Tokens) { k.Now = func() time.Time { return noon.Add(23 * time.Hour) } }},
		"API removed":    {token: person, reason: "API removed", change: func(s *store, _ *api.Tokens) { s.apis = nil }},
		"client removed": {token: person, reason: "client removed", change: func(_ *store, k *api.Tokens) { k.Clients = clients{storage.ErrNotFound} }},
		"token revoked":  {token: person, reason: "token revoked", change: func(_ *store, k *api.Tokens) { k.Revocations = revocations{token: "GRANT.1"} }},
		"grant revoked":  {token: person, reason: "grant revoked", change: func(_ *store, k *api.Tokens) { k.Revocations = revocations{grant: "GRANT"} }},
		"another grant":  {token: person, ends: noon.Add(23 * time.Hour), change: func(_ *store, k *api.Tokens) { k.Revocations = revocations{grant: "GRANT.1"} }},
		"no client grant": {token: machine, reason: "client grant removed",
			change: func(s *store, _ *api.Tokens) { s.grants = nil }},
		"no client grant, which people's need not": {token: person, ends: noon.Add(23 * time.Hour),
			change: func(s *store, _ *api.Tokens) { s.grants = nil }},
		"no client grant, which people's need": {token: person, reason: "client grant removed",
			change: func(s *store, _ *api.Tokens) { s.grants, s.apis[0].Clients = nil, storage.Granted }},
		"of a client grant before": {token: machine, reason: "older than the client grant",
			change: func(s *store, _ *api.Tokens) { s.grants[0].CreatedAt = noon.Add(time.Second) }},
		"of the second of its client grant": {token: machine, ends: noon.Add(24 * time.Hour),
			change: func(s *store, _ *api.Tokens) { s.grants[0].CreatedAt = noon.Add(time.Second - 1) }},
		"a person's, of a client grant before": {token: person, reason: "older than the client grant",
			change: func(s *store, _ *api.Tokens) {
				s.apis[0].Clients = storage.Granted
				s.grants[0].ClientID, s.grants[0].CreatedAt = "app", noon.Add(time.Second)
			}},
	} {
		s := &store{
			apis:   []storage.API{{Identifier: "urn:a", TokenLifetime: 24 * 3600, Clients: storage.Anyone}},
			grants: []storage.ClientGrant{{ClientID: "batch", Audience: "urn:a"}},
		}
		tokens := &api.Tokens{Minter: minter(tt.token), Clients: clients{}, Revocations: revocations{}, Now: func() time.Time { return noon.Add(time.Second) }}
		if tt.change != nil {
			tt.change(s, tokens)
		}
		tokens.Registry = open(t, s)
		got, err := tokens.InForce(t.Context(), "ours")
		over, dead := errors.AsType[*api.NotInForce](err)
		if dead != (tt.reason != "") || dead && over.Reason != tt.reason || !dead && (err != nil || !got.Ends.Equal(tt.ends) || !got.Expires.Equal(tt.token.Expires)) {
			t.Errorf("%s: ends %v, %v; want %v, %s", name, got.Ends, err, tt.ends, tt.reason)
		}
		if !dead && tokens.Userinfo(got) != (len(tt.token.Audience) == 2) {
			t.Errorf("%s: good at userinfo is %v", name, tokens.Userinfo(got))
		}
	}
	tokens := &api.Tokens{Minter: minter(person), Clients: clients{storage.ErrUnavailable}, Registry: open(t, &store{})}
	if _, err := tokens.InForce(t.Context(), "ours"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a store that is down: %v", err)
	}
	if _, err := tokens.InForce(t.Context(), "theirs"); err == nil || err.Error() != "token not in force: not a token" {
		t.Errorf("not ours: %v", err)
	}
}

// What is taken from a client grant, or from an API, is gone from the tokens that are out.
func TestScopesInForce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		id      storage.TokenID
		clients string
		grant   storage.Allowance
		want    []string
	}{
		"a machine's":                       {"MACHINE", storage.Anyone, some("c", "b", "a"), []string{"a", "b"}},
		"a machine's of all scopes":         {"MACHINE", storage.Anyone, storage.Allowance{AllScopes: true}, []string{"a", "b"}},
		"a machine's of fewer":              {"MACHINE", storage.Anyone, some("b", "d"), []string{"b"}},
		"a machine's of none":               {"MACHINE", storage.Anyone, some(), []string{}},
		"a person's":                        {"GRANT.1", storage.Anyone, some(), []string{"openid", "a", "b"}},
		"a person's by a granted client":    {"GRANT.1", storage.Granted, some("b"), []string{"openid", "b"}},
		"a person's by a client of no more": {"GRANT.1", storage.Granted, some(), []string{"openid"}},
	} {
		token := mint.APIToken{IssuedAt: noon, APITokenClaims: mint.APITokenClaims{
			ID: tt.id, Client: "app", Audience: []storage.Audience{"urn:a"}, Expires: noon.Add(time.Hour), Scopes: []string{"a", "b", "gone"},
		}}
		if mint.Grant(tt.id) != "" {
			token.Scopes, token.AuthTime = append([]string{"openid"}, token.Scopes...), noon
		}
		before := slices.Clone(token.Scopes)
		tokens := &api.Tokens{Minter: minter(token), Clients: clients{}, Revocations: revocations{}, Now: func() time.Time { return noon },
			Registry: open(t, &store{
				apis:   []storage.API{{Identifier: "urn:a", TokenLifetime: 3600, Clients: tt.clients, Scopes: scopes("a", "b", "c", "d")}},
				grants: []storage.ClientGrant{{ClientID: "app", Audience: "urn:a", Allowance: tt.grant}},
			})}
		got, err := tokens.InForce(t.Context(), "ours")
		if err != nil || !slices.Equal(got.Scopes, tt.want) {
			t.Errorf("%s: %v, %v; want %v", name, got.Scopes, err, tt.want)
		}
		if !slices.Equal(token.Scopes, before) {
			t.Errorf("%s: what was read has changed: %v", name, token.Scopes)
		}
	}
}
