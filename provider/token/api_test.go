package token_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// forAPI logs a new person in for an API, with the provider's scopes given.
func (b *bench) forAPI(t testing.TB, client storage.ClientID, id storage.Audience, scopes ...string) (code string, g storage.Grant) {
	t.Helper()
	change := b.ForAPI(t, id)
	return b.Login(t, client, func(g *storage.NewGrant) {
		change(g)
		g.Scopes = scopes
	})
}

// says returns what a token for an API says, verified.
func (b *bench) says(t testing.TB, token string) mint.APIToken {
	t.Helper()
	read, err := b.Minter.VerifyAPIToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// requirements.md D3: the audience, and the few claims that the API needs.
func TestTokenForAnAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing)
	err := b.SQL.UpdateUser(t.Context(), g.UserID, func(u *storage.User) error {
		u.Attributes = map[string]any{"employee_id": "291", "salary": "none of the API's business"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Pass(30 * time.Second)
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	if a.Scope != "read:vendors write:vendors" || a.ExpiresIn != 86400-30 || a.IDToken != "" || a.RefreshToken != "" || a.TokenType != "Bearer" {
		t.Errorf("got %s", a.Body)
	}
	read := b.says(t, a.AccessToken)
	want := mint.APIToken{
		IssuedAt: b.Now(),
		APITokenClaims: mint.APITokenClaims{
			ID: read.ID, Subject: storage.Subject(g.UserID), Client: endpointtest.Web,
			Audience: []storage.Audience{endpointtest.Purchasing}, Scopes: []string{"read:vendors", "write:vendors"},
			Expires: g.AuthTime.Add(endpointtest.APILife), AuthTime: g.AuthTime, Claims: map[string]any{"employee_id": "291"},
		},
	}
	if diff := cmp.Diff(want, read); diff != "" || mint.Grant(read.ID) != g.ID {
		t.Errorf("token of grant %s (-want +got):\n%s", mint.Grant(read.ID), diff)
	}
	if n := b.faults.puts.Load(); n != 0 {
		t.Errorf("%d access tokens were kept, want none", n)
	}
}

// As at Auth0: with openid the token is good at userinfo, too.
func TestTokenForAnAPIAndUserinfo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing, "openid", "phone", "offline_access")
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	if a.Scope != "openid phone offline_access read:vendors write:vendors" || a.IDToken == "" || a.RefreshToken == "" {
		t.Errorf("got %s", a.Body)
	}
	read := b.says(t, a.AccessToken)
	if !slices.Equal(read.Audience, []storage.Audience{endpointtest.Purchasing, endpointtest.Userinfo}) ||
		!slices.Equal(read.Scopes, []string{"openid", "phone", "read:vendors", "write:vendors"}) {
		t.Errorf("audience %v, scopes %v", read.Audience, read.Scopes)
	}
	if c := b.claims(t, a.IDToken); c["aud"] != string(endpointtest.Web) || c["sub"] != string(g.UserID) || c["at_hash"] == nil || c["scope"] != nil {
		t.Errorf("ID token says %v", c)
	}
}

// requirements.md D4: no token outlives auth_time and the API's lifetime.
func TestRefreshedTokensEndWithTheLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing, "offline_access")
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	end := g.AuthTime.Add(endpointtest.APILife)
	for b.Now().Before(end.Add(-5 * time.Hour)) {
		b.Pass(5 * time.Hour)
		a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)))
		if read := b.says(t, a.AccessToken); !read.Expires.Equal(end) || a.ExpiresIn != int(end.Sub(b.Now()).Seconds()) {
			t.Fatalf("token ends at %v in %d s, want %v", read.Expires, a.ExpiresIn, end)
		}
	}
	b.Pass(end.Sub(b.Now()) - time.Second)
	a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)))
	b.Pass(time.Second)
	refused(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)), oauth.InvalidGrant, "refresh token expired")
}

// A grant of the single sign-on of a session whose life at the API is over.
func TestCodeOfALoginThatIsTooOld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing)
	b.Pass(endpointtest.APILife - 10*time.Second)
	code, mac := b.Minter.AuthCode()
	next := g.NewGrant
	next.ID, next.Transaction, next.CodeMAC, next.CodeExpires = mint.GrantID(), mint.TransactionID(), mac, b.Now().Add(time.Minute)
	next.API.Lifetime = endpointtest.APILife
	if err := b.SQL.CreateGrant(t.Context(), next, b.Now()); err != nil {
		t.Fatal(err)
	}
	b.Pass(10 * time.Second)
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "API's lifetime is over")
}

// The registration of today counts, and never makes a token longer than its grant.
func TestTokensFollowTheAPIsRegistration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	api := storage.API{
		Identifier: "urn:changing", SigningAlg: "ES256", TokenLifetime: 3600, AllowOfflineAccess: true, Users: storage.Anyone,
		Clients: storage.Anyone, Scopes: []storage.Scope{{Value: "a"}, {Value: "b"}}, CreatedAt: b.Now(), UpdatedAt: b.Now(),
	}
	reload := func(err error) {
		t.Helper()
		if err == nil {
			err = b.APIs.Reload(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change := func(edit func(*storage.API)) {
		t.Helper()
		reload(b.SQL.UpdateAPI(t.Context(), api.Identifier, func(a *storage.API) error { edit(a); return nil }))
	}
	reload(b.SQL.CreateAPI(t.Context(), api))
	code, g := b.forAPI(t, endpointtest.Web, api.Identifier, "offline_access")
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))

	change(func(a *storage.API) { a.TokenLifetime, a.Scopes, a.SigningAlg = 86400, a.Scopes[:1], "RS256" })
	a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)))
	if read := b.says(t, a.AccessToken); !read.Expires.Equal(g.AuthTime.Add(time.Hour)) || !slices.Equal(read.Scopes, []string{"a"}) || a.Scope != "offline_access a" {
		t.Errorf("token ends at %v, scopes %v, answer %s", read.Expires, read.Scopes, a.Body)
	}
	change(func(a *storage.API) { a.TokenLifetime = 600 })
	a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)))
	if read := b.says(t, a.AccessToken); !read.Expires.Equal(g.AuthTime.Add(10 * time.Minute)) {
		t.Errorf("token ends at %v", read.Expires)
	}
	change(func(a *storage.API) { a.Clients = storage.Granted })
	refused(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)), oauth.InvalidGrant, "no client grant")
	change(func(a *storage.API) { a.Clients, a.AllowOfflineAccess = storage.Anyone, false })
	refused(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)), oauth.InvalidGrant, "API allows no offline access")
	change(func(a *storage.API) { a.AllowOfflineAccess = true })
	a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken))) // nothing was spent
	next, _ := b.forAPI(t, endpointtest.Web, api.Identifier)
	reload(b.SQL.RemoveAPI(t.Context(), api.Identifier, b.Now()))
	refused(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)), oauth.InvalidGrant, "grant revoked")
	refused(t, b.post(t, endpointtest.Web, codeForm(next)), oauth.InvalidGrant, "grant revoked")
}

// requirements.md D4: "only with allow_offline_access".
func TestNoRefreshTokenForAnAPIThatAllowsNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.forAPI(t, endpointtest.Web, endpointtest.Stock, "openid", "offline_access")
	if a := issued(t, b.post(t, endpointtest.Web, codeForm(code))); a.RefreshToken != "" {
		t.Errorf("got %s", a.Body)
	}
}

func TestRefreshNarrowsTheAPIsScopes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing, "openid", "phone", "offline_access")
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	form := refreshForm(a.RefreshToken)
	form.Set("scope", "write:vendors openid")
	a = issued(t, b.post(t, endpointtest.Web, form))
	if read := b.says(t, a.AccessToken); a.Scope != "openid write:vendors" || !slices.Equal(read.Scopes, []string{"openid", "write:vendors"}) {
		t.Errorf("scope %q, token %v", a.Scope, read.Scopes)
	}
	form = refreshForm(a.RefreshToken)
	form.Set("scope", "delete:vendors")
	refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidScope, "scope widened")
	// The grant keeps what it has.
	if a = issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken))); a.Scope != "openid phone offline_access read:vendors write:vendors" {
		t.Errorf("scope %q", a.Scope)
	}
}

// RFC 6749 §3.3: a scope that is another one than was asked for is told, also when
// nothing is left.
func TestAScopeOfNothingIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, func(g *storage.NewGrant) {
		b.ForAPI(t, endpointtest.Purchasing)(g)
		g.Scopes, g.API.Scopes = nil, nil
	})
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	if !strings.Contains(a.Body, `"scope":""`) || strings.Contains(string(jwtPayload(t, a.AccessToken)), `"scope"`) {
		t.Errorf("got %s", a.Body)
	}
}

// RFC 8707 §2.2.
func TestTargetOfATokenRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing, "offline_access")
	other, _ := b.Login(t, endpointtest.Web, nil)
	with := func(code string, pairs ...string) url.Values {
		form := codeForm(code)
		for i := 0; i < len(pairs); i += 2 {
			form.Add(pairs[i], pairs[i+1])
		}
		return form
	}
	purchasing, stock := string(endpointtest.Purchasing), string(endpointtest.Stock)
	for name, form := range map[string]url.Values{
		"another one":                 with(code, "audience", stock),
		"another one by resource":     with(code, "resource", stock),
		"an unknown one":              with(code, "resource", "urn:unknown"),
		"one too many":                with(code, "resource", purchasing, "resource", stock),
		"two that differ":             with(code, "audience", purchasing, "resource", stock),
		"one where none was granted":  with(other, "audience", purchasing),
		"another one by letter case":  with(code, "audience", strings.ToUpper(purchasing)),
		"another one by a slash more": with(code, "audience", purchasing+"/"),
	} {
		if a := b.post(t, endpointtest.Web, form); a.StatusCode != http.StatusBadRequest || a.Error != "invalid_target" || a.AccessToken != "" {
			t.Errorf("%s: got %d %s", name, a.StatusCode, a.Body)
		}
	}
	refused(t, b.post(t, endpointtest.Web, with(code, "audience", purchasing, "audience", purchasing)), oauth.InvalidRequest, "repeated parameter")
	a := issued(t, b.post(t, endpointtest.Web, with(code, "audience", purchasing, "resource", purchasing, "resource", purchasing)))
	form := refreshForm(a.RefreshToken)
	form.Set("audience", stock)
	refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidTarget, "API of another login")
	form.Set("audience", purchasing)
	issued(t, b.post(t, endpointtest.Web, form))
	// Userinfo alone is no API: Auth0's clients send it and get an opaque token.
	if a := issued(t, b.post(t, endpointtest.Web, with(other, "audience", endpointtest.Userinfo))); !strings.HasPrefix(a.AccessToken, "hsa_") {
		t.Errorf("got %s", a.Body)
	}
}

// OIDC Core §8: ID token and access token name the person alike, and nothing leads
// from there to their ID.
func TestPairwiseSubject(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.forAPI(t, endpointtest.Pairwise, endpointtest.Purchasing, "openid", "offline_access")
	a := issued(t, b.post(t, endpointtest.Pairwise, codeForm(code)))
	sub := b.says(t, a.AccessToken).Subject
	if id := b.claims(t, a.IDToken)["sub"]; id != string(sub) || sub == storage.Subject(g.UserID) || len(sub) < 22 {
		t.Errorf("ID token names %v, access token %s, the person is %s", id, sub, g.UserID)
	}
	a = issued(t, b.post(t, endpointtest.Pairwise, refreshForm(a.RefreshToken)))
	if id := b.claims(t, a.IDToken)["sub"]; id != string(sub) {
		t.Errorf("a refreshed ID token names %v, want %s", id, sub)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	purchasing := string(endpointtest.Purchasing)
	ask := func(pairs ...string) url.Values {
		form := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(pairs); i += 2 {
			form.Add(pairs[i], pairs[i+1])
		}
		return form
	}
	for _, form := range []url.Values{ask("audience", purchasing), ask("resource", purchasing, "scope", "read:vendors read:vendors")} {
		a := issued(t, b.post(t, endpointtest.Service, form))
		if a.Scope != "read:vendors" || a.ExpiresIn != 86400 || a.IDToken != "" || a.RefreshToken != "" {
			t.Errorf("got %s", a.Body)
		}
		read := b.says(t, a.AccessToken)
		want := mint.APIToken{IssuedAt: b.Now(), APITokenClaims: mint.APITokenClaims{
			ID: read.ID, Subject: "service@clients", Client: endpointtest.Service, Audience: []storage.Audience{endpointtest.Purchasing},
			Scopes: []string{"read:vendors"}, Expires: b.Now().Add(endpointtest.APILife), Claims: map[string]any{},
		}}
		if diff := cmp.Diff(want, read); diff != "" || mint.Grant(read.ID) != "" {
			t.Errorf("token (-want +got):\n%s", diff)
		}
	}
	for name, tt := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"no audience":         {ask(), 400, "invalid_request"},
		"userinfo":            {ask("audience", endpointtest.Userinfo), 400, "invalid_request"},
		"two audiences":       {ask("audience", purchasing, "resource", "urn:stock"), 400, "invalid_target"},
		"unknown API":         {ask("audience", "urn:unknown"), 400, "invalid_target"},
		"no grant":            {ask("audience", "urn:stock"), 403, "access_denied"},
		"scope not granted":   {ask("audience", purchasing, "scope", "read:vendors write:vendors"), 400, "invalid_scope"},
		"scope of the person": {ask("audience", purchasing, "scope", "openid"), 400, "invalid_scope"},
	} {
		if a := b.post(t, endpointtest.Service, tt.form); a.StatusCode != tt.status || a.Error != tt.code || a.AccessToken != "" {
			t.Errorf("%s: got %d %s, want %d %s", name, a.StatusCode, a.Body, tt.status, tt.code)
		}
	}
	a := b.post(t, endpointtest.Service, ask("audience", "urn:stock"))
	const text = `Client is not authorized to access "urn:stock". You need to create a "client-grant" associated to this API.`
	var got struct {
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got.Description != text {
		t.Errorf("description %q, want Auth0's %q", got.Description, text)
	}
}

// A client grant that is taken away ends what was made by it, where anyone asks.
func TestAMachinesTokenEndsWithItsClientGrant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	grant := storage.ClientGrant{ClientID: endpointtest.Service, Audience: endpointtest.Stock, CreatedAt: b.Now()}
	if err := b.SQL.PutClientGrant(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	if err := b.APIs.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := issued(t, b.post(t, endpointtest.Service, url.Values{"grant_type": {"client_credentials"}, "audience": {"urn:stock"}}))
	if a.Scope != "" {
		t.Errorf("scope %q, want none", a.Scope)
	}
	if _, err := b.APITokens.InForce(t.Context(), a.AccessToken); err != nil {
		t.Fatal(err)
	}
	if err := b.SQL.RemoveClientGrant(t.Context(), endpointtest.Service, endpointtest.Stock); err != nil {
		t.Fatal(err)
	}
	if err := b.APIs.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.APITokens.InForce(t.Context(), a.AccessToken); err == nil || !strings.Contains(err.Error(), "client grant removed") {
		t.Errorf("got %v", err)
	}
}

// RFC 6749 §4.4: for clients that authenticate.
func TestAttackClientCredentialsOfAPublicClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"spa"}, "audience": {string(endpointtest.Purchasing)}}
	refused(t, b.send(t, endpointtest.Form(t, "", form)), oauth.UnauthorizedClient, "")
}

// design.md §5: JSON as Auth0's clients send it.
func TestJSONBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Post, nil)
	body := func(fields map[string]any) *http.Request {
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		r := endpointtest.Form(t, "", nil)
		r.Body = http.NoBody
		r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/oauth/token", strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json;charset=UTF-8")
		return r
	}
	fields := map[string]any{
		"grant_type": "authorization_code", "client_id": "post", "client_secret": endpointtest.Secret, "code": code, "redirect_uri": endpointtest.RedirectURI,
	}
	wrong := map[string]any{"grant_type": "authorization_code", "client_id": "post", "client_secret": "wrong", "code": code, "redirect_uri": endpointtest.RedirectURI}
	refused(t, b.send(t, body(wrong)), oauth.InvalidClient, "")
	issued(t, b.send(t, body(fields)))
	refused(t, b.send(t, body(fields)), oauth.InvalidGrant, "code reused")
}

// A part that fails before the code is spent leaves it as it was.
func TestAFailedTokenForAnAPISpendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.forAPI(t, endpointtest.Web, endpointtest.Purchasing, "openid", "offline_access")
	for how := range breakdowns {
		for _, method := range []string{"APIToken", "IDToken", "GrantByCode", "RedeemGrant"} {
			b.breaks(t, method, how, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), codeForm(code)))
		}
	}
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	for how := range breakdowns {
		for _, method := range []string{"APIToken", "IDToken", "RefreshFamily", "RotateRefreshToken"} {
			b.breaks(t, method, how, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), refreshForm(a.RefreshToken)))
		}
	}
	issued(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)))
}
