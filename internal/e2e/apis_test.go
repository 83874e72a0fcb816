package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage"
)

// requirements.md D1: only people who are registered can log in, and they have
// attributes of the business. Nobody learns who is registered.
func TestPromiseD1OnlyRegisteredPeopleLogIn(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withoutSignup())
	stranger := newNumber()
	p := r.authorize(newBrowser(t), r.forPurchasing(webClient)).submit("/login/phone", "phone", stranger).wants(http.StatusOK, "Check your phone")
	p.submit("/login/code", "code", "000000").wants(http.StatusUnprocessableEntity)
	if n := len(r.gateway.to(stranger)); n != 0 {
		t.Errorf("a stranger got %d texts", n)
	}
	_, _, got := r.purchasingToken(t, webClient)
	if c := claims(t, got.AccessToken); c["employee_id"] != "0291" {
		t.Errorf("the token says %v, want the employee number", c)
	}
}

// requirements.md D2: the server checks that the person may use the API; if not, the
// login is refused with access_denied and no token is made.
func TestPromiseD2TheServerChecksWhoMayUseTheAPI(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	number := newNumber()
	id := r.person(number)
	refused := func(what string, q request, got url.Values) {
		t.Helper()
		r.wantsError(t, got, "access_denied", "may not use the API")
		if got.Get("state") != q.Get("state") {
			t.Errorf("%s: state = %q", what, got.Get("state"))
		}
	}
	b := newBrowser(t)
	q := r.forPurchasing(webClient)
	refused("a login", q, r.login(b, q, number).answer())
	r.loginRequired(b) // nothing was written, no session either

	// Someone new, who proves a number, is nobody's employee; and not registered by trying.
	other := newNumber()
	q = r.forPurchasing(webClient)
	refused("a new person's login", q, r.login(newBrowser(t), q, other).answer())

	// By single sign-on.
	r.clock.Advance(time.Minute)
	r.login(b, r.newRequest(webClient), number).answer()
	for name, pairs := range map[string][]string{
		"single sign-on": {}, "silently": {"prompt", "none"}, "by resource": {"audience", "", "resource", purchasing},
	} {
		q = r.forPurchasing(webClient, pairs...)
		refused(name, q, r.authorize(b, q).answer())
	}
	if n := len(r.gateway.to(number)); n != 2 {
		t.Errorf("%d texts, want those of the two logins", n)
	}
	if users, err := r.server.SQL.Users(t.Context(), "", 10); err != nil || len(users) != 1 {
		t.Errorf("%d people, %v; want the one who is registered", len(users), err)
	}

	// Elsewhere the person is welcome, and here as soon as they are assigned.
	r.assign(id, purchasing, "read:vendors")
	q = r.forPurchasing(webClient)
	got := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code"))
	if c := claims(t, got.AccessToken); c["aud"] != purchasing || c["scope"] != "read:vendors" || got.Scope != "read:vendors" {
		t.Errorf("once assigned: %d %s, scope %q, token %v", got.status, got.Error, got.Scope, c)
	}
}

// A page that was open when the API was refused leads back to the application too.
func TestAnAPIThatIsRefusedInAnotherTab(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b := newBrowser(t)
	q := r.forPurchasing(webClient)
	other := r.authorize(b, q).wants(http.StatusOK)
	r.login(b, r.newRequest(webClient), newNumber()).answer()
	got := b.get(other.url.String()).wants(http.StatusOK).submit("/login/continue").answer()
	r.wantsError(t, got, "access_denied", "may not use the API")
}

// requirements.md D3: a signed JWT (RFC 9068) with the audience and only the few
// claims that the API needs; the signing key never leaves the provider, the public
// key is fetched. coreos/go-oidc is the API.
func TestPromiseD3TheTokenIsSignedAndSaysOnlyWhatTheAPINeeds(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	before := r.clock.Now().Unix()
	_, number, got := r.purchasingToken(t, webClient)
	if got.IDToken != "" || got.Refresh != "" || got.TokenType != "Bearer" || got.Scope != "read:vendors write:vendors" {
		t.Errorf("answer %+v", got)
	}
	c := claims(t, got.AccessToken)
	auth := seconds(t, c, "auth_time")
	want := map[string]any{
		"iss": r.issuer, "sub": c["sub"], "aud": purchasing, "client_id": webClient, "scope": "read:vendors write:vendors",
		"iat": c["iat"], "exp": float64(auth + 86400), "jti": c["jti"], "auth_time": c["auth_time"], "amr": []any{"sms", "otp"},
		"employee_id": "0291",
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if issued := seconds(t, c, "iat"); issued < before || auth < before || issued < auth || got.ExpiresIn != int(auth+86400-issued) {
		t.Errorf("iat %d, auth_time %d, expires_in %d; the test began at %d", issued, auth, got.ExpiresIn, before)
	}
	if strings.Contains(string(part(t, got.AccessToken, 1)), number[1:]) {
		t.Error("the number is in the token")
	}
	head := header(t, got.AccessToken)
	kid, _ := head["kid"].(string)
	if diff := cmp.Diff(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}, head); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	_, jwks := r.fetch(http.MethodGet, "/.well-known/jwks.json")
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if k[private] != nil {
				t.Errorf("the key set has the private member %s", private)
			}
		}
	}
	r.verifiedBy(t, purchasing, got.AccessToken, "")
	r.verifiedBy(t, "https://other.example.com", got.AccessToken, "audience")
}

// verifiedBy has coreos/go-oidc verify a token for an API by discovery and JWKS; it
// fails unless the outcome is an error that says wrong, or none.
func (r *rig) verifiedBy(t testing.TB, audience, token, wrong string) {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), r.issuer)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.VerifierContext(context.WithoutCancel(t.Context()),
		&oidc.Config{ClientID: audience, Now: r.clock.Now, SupportedSigningAlgs: []string{"ES256", "RS256"}})
	got, err := verifier.Verify(t.Context(), token)
	switch {
	case wrong == "" && err != nil:
		t.Errorf("go-oidc: %v", err)
	case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
		t.Errorf("go-oidc: %v, %v; want an error that says %q", got, err, wrong)
	}
}

// requirements.md D4: 24 h, afterwards the person logs in again with a new code. No
// token outlives auth_time and the API's lifetime, whatever session there is.
func TestPromiseD4ADayAfterTheLoginANewCodeIsAskedFor(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number, got := r.purchasingToken(t, webClient)
	auth := seconds(t, claims(t, got.AccessToken), "auth_time")
	end := time.Unix(auth, 0).Add(24 * time.Hour)
	silently := func(audience string) (request, url.Values) {
		q := r.forPurchasing(webClient, "prompt", "none", "audience", audience, "scope", "openid read:vendors")
		return q, r.authorize(b, q).answer()
	}

	r.clock.Advance(end.Sub(r.clock.Now()) - 90*time.Second)
	q, answer := silently(purchasing)
	next := r.exchange(webClient, q, answer.Get("code"))
	if c := claims(t, next.AccessToken); seconds(t, c, "exp") != end.Unix() || next.ExpiresIn > 90 || next.ExpiresIn < 30 {
		t.Errorf("a token of the same login ends at %v in %d s, want %v", c["exp"], next.ExpiresIn, end)
	}
	// A code that is given now could be redeemed too late: the person is asked.
	r.clock.Advance(time.Minute)
	if _, answer = silently(purchasing); answer.Get("error") != "login_required" {
		t.Errorf("30 s before the end: %v", answer)
	}
	r.clock.Advance(time.Minute)
	for _, token := range []string{got.AccessToken, next.AccessToken} {
		r.verifiedBy(t, purchasing, token, "expired")
		if info := r.introspect(purchasingBackend, token, asSecret...); info["active"] != false {
			t.Errorf("introspection after the end: %v", info)
		}
	}
	// The session goes on, for everything but this API.
	if _, answer = silently(""); answer.Get("code") == "" {
		t.Errorf("without the API: %v", answer)
	}
	q = r.forPurchasing(webClient)
	before := len(r.gateway.to(number))
	fresh := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code"))
	if n := len(r.gateway.to(number)); n != before+1 {
		t.Errorf("%d texts, want one more than %d", n, before)
	}
	if c := claims(t, fresh.AccessToken); seconds(t, c, "auth_time") <= auth+86400 || fresh.ExpiresIn < 86390 {
		t.Errorf("after the new code: auth_time %v, expires_in %d", c["auth_time"], fresh.ExpiresIn)
	}
}

// The end of a login whose page was open too long is decided again when it comes.
func TestPromiseD4HoldsWhenALoginIsContinuedLater(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withConfig(func(c *config.Config) { c.ResourceServers[0].TokenLifetime = 300 }))
	b, number := newBrowser(t), newNumber()
	r.employee(number)
	tab := r.authorize(b, r.forPurchasing(webClient)).wants(http.StatusOK)
	r.login(b, r.newRequest(webClient), number).answer()
	r.clock.Advance(5 * time.Minute)
	b.get(tab.url.String()).wants(http.StatusOK).form("/login/phone") // not "you are signed in"
}

// requirements.md D4: a refresh token for an API exists only with
// allow_offline_access, and ends with the login's life at the API.
func TestPromiseD4RefreshTokensEndWithTheLogin(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	_, _, none := r.purchasingToken(t, webClient, "scope", "openid offline_access read:vendors")
	if none.Refresh != "" || strings.Contains(none.Scope, "offline_access") {
		t.Errorf("an API without offline access: refresh token %q, scope %q", none.Refresh, none.Scope)
	}

	q := r.newRequest(webClient).with("resource", stock, "scope", "offline_access read:stock")
	got := r.exchange(webClient, q, r.login(newBrowser(t), q, newNumber()).answer().Get("code"))
	if got.Refresh == "" || got.Scope != "offline_access read:stock" {
		t.Fatalf("exchange: %d %s, scope %q", got.status, got.Error, got.Scope)
	}
	auth := seconds(t, claims(t, got.AccessToken), "auth_time")
	for range 3 {
		r.clock.Advance(18 * time.Minute)
		if got = r.refresh(webClient, got.Refresh, "resource", stock); got.status != http.StatusOK {
			t.Fatalf("refresh: %d %s %s", got.status, got.Error, got.Description)
		}
		if c := claims(t, got.AccessToken); seconds(t, c, "exp") != auth+3600 || c["aud"] != stock || c["scope"] != "read:stock" || header(t, got.AccessToken)["alg"] != "RS256" {
			t.Errorf("refreshed token %v, want one until %d", c, auth+3600)
		}
	}
	r.clock.Advance(6 * time.Minute)
	r.refresh(webClient, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
}

// As at Auth0: when openid is granted, the token is good at userinfo as well.
func TestTokenForAnAPIAtUserinfo(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	_, number, got := r.purchasingToken(t, publicClient, "scope", "openid phone read:vendors")
	c := claims(t, got.AccessToken)
	if diff := cmp.Diff([]any{purchasing, r.base + "/userinfo"}, c["aud"]); diff != "" || c["scope"] != "openid phone read:vendors" {
		t.Errorf("scope %v, audience (-want +got):\n%s", c["scope"], diff)
	}
	if id := claims(t, got.IDToken); id["sub"] != c["sub"] || id["aud"] != publicClient || header(t, got.IDToken)["alg"] != "RS256" || header(t, got.IDToken)["typ"] != "JWT" {
		t.Errorf("ID token %v %v", header(t, got.IDToken), id)
	}
	if status, info := r.userinfo(got.AccessToken); status != http.StatusOK || info["sub"] != c["sub"] || info["phone_number"] != number {
		t.Errorf("userinfo: %d %v", status, info)
	}
	r.verifiedBy(t, purchasing, got.AccessToken, "")
}

// Errors of an API go to the client as RFC 8707 §2 says.
func TestTargetsOfAuthorizationRequests(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	id := r.employee(number, "read:vendors")
	r.assign(id, reports)
	r.login(b, r.newRequest(webClient), number).answer()
	ask := func(client, query string) url.Values {
		q := r.newRequest(client).with("scope", "openid read:vendors write:vendors read:reports read:stock nonsense")
		return r.ask(b, q.Encode()+query).answer()
	}
	resource := func(ids ...string) string { return "&" + url.Values{"resource": ids}.Encode() }
	audience := func(ids ...string) string { return "&" + url.Values{"audience": ids}.Encode() }
	for name, tt := range map[string]struct{ client, query, code, says string }{
		"unknown":                    {webClient, audience("https://unknown.example.com"), "invalid_target", "register the API"},
		"no address":                 {webClient, resource("no address"), "invalid_target", "register the API"},
		"in upper case":              {webClient, resource("HTTPS://PURCHASING.EXAMPLE.COM"), "invalid_target", "register the API"},
		"with a slash more":          {webClient, audience(purchasing + "/"), "invalid_target", "register the API"},
		"two resources":              {webClient, resource(purchasing, stock), "invalid_target", "name one API"},
		"audience and resource":      {webClient, audience(purchasing) + resource(stock), "invalid_target", "name one API"},
		"two audiences":              {webClient, audience(purchasing, purchasing), "invalid_request", "given twice"},
		"a client without a grant":   {webClient, audience(reports), "invalid_target", "let the client use it"},
		"userinfo beside an API":     {webClient, audience(r.base+"/userinfo") + resource(stock), "invalid_target", "name one API"},
		"the issuer":                 {webClient, audience(r.issuer), "invalid_target", "register the API"},
		"audience":                   {webClient, audience(purchasing), "", ""},
		"resource":                   {webClient, resource(purchasing), "", ""},
		"the same one by both names": {webClient, audience(purchasing) + resource(purchasing, "", purchasing), "", ""},
		"an empty one":               {webClient, audience("") + resource(""), "", ""},
		"userinfo":                   {webClient, audience(r.base + "/userinfo"), "", ""},
		"a client with a grant":      {basicClient, audience(reports), "", ""},
	} {
		got := ask(tt.client, tt.query)
		if tt.code != "" {
			r.wantsError(t, got, tt.code, tt.says)
		} else if got.Get("code") == "" {
			t.Errorf("%s: %v, want a code", name, got)
		}
	}
	// What is no API's brings an opaque token, as it did before there were any.
	q := r.newRequest(webClient).with("audience", r.base+"/userinfo")
	if got := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code")); !strings.HasPrefix(got.AccessToken, "hsa_") {
		t.Errorf("token for userinfo alone: %d %.10s…", got.status, got.AccessToken)
	}
	// A request for an API needs no scope of the provider's, but a scope.
	q = r.newRequest(webClient).with("audience", purchasing, "scope", "nonsense")
	if got := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code")); got.Scope != "" || claims(t, got.AccessToken)["scope"] != nil {
		t.Errorf("token without any scope: %+v", got)
	}
}

// The scopes are those asked for, of the API, of the client's grant and of the
// person's assignment.
func TestScopesAreNarrowed(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	id := r.employee(number, "read:vendors", "no longer one")
	r.login(b, r.newRequest(webClient), number).answer()
	for asked, want := range map[string]string{
		"read:vendors write:vendors": "read:vendors",
		"write:vendors":              "",
		"openid phone read:vendors":  "openid phone read:vendors",
		"read:stock openid":          "openid",
	} {
		q := r.newRequest(webClient).with("audience", purchasing, "scope", asked)
		got := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code"))
		scope, _ := claims(t, got.AccessToken)["scope"].(string)
		if got.status != http.StatusOK || got.Scope != want || scope != want {
			t.Errorf("asked for %q: %d, answer %q, token %q; want %q", asked, got.status, got.Scope, scope, want)
		}
	}
	r.assign(id, purchasing)
	q := r.forPurchasing(webClient)
	if got := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code")); got.Scope != "read:vendors write:vendors" {
		t.Errorf("with all assigned: %q", got.Scope)
	}
}

// golang.org/x/oauth2 as a machine, and a client of Auth0's that sends JSON.
func TestMachinesGetTokensInTheirOwnName(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	source := clientcredentials.Config{ClientID: machine, ClientSecret: secret, TokenURL: r.base + "/oauth/token",
		EndpointParams: url.Values{"audience": {purchasing}}, AuthStyle: oauth2.AuthStyleInHeader}
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := claims(t, token.AccessToken)
	want := map[string]any{
		"iss": r.issuer, "sub": machine + "@clients", "aud": purchasing, "client_id": machine, "scope": "read:vendors",
		"iat": c["iat"], "exp": float64(seconds(t, c, "iat") + 86400), "jti": c["jti"],
	}
	if diff := cmp.Diff(want, c); diff != "" || token.RefreshToken != "" || token.Extra("id_token") != nil {
		t.Errorf("refresh token %q, claims (-want +got):\n%s", token.RefreshToken, diff)
	}
	r.verifiedBy(t, purchasing, token.AccessToken, "")
	if info := r.introspect(purchasingBackend, token.AccessToken, asSecret...); info["active"] != true || info["sub"] != machine+"@clients" || info["auth_time"] != nil {
		t.Errorf("introspection: %v", info)
	}

	body := `{"grant_type":"client_credentials","client_id":"` + purchasingBackend + `","client_secret":"` + secret + `","audience":"` + stock + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base+"/oauth/token", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, answer := r.do(req)
	var got struct {
		Error       string
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || res.StatusCode != http.StatusForbidden || got.Error != "access_denied" ||
		got.Description != `Client is not authorized to access "urn:stock". You need to create a "client-grant" associated to this API.` {
		t.Errorf("without a client grant: %d %s", res.StatusCode, answer)
	}
	r.machineToken(webClient, purchasing).wantsRefused(t, http.StatusBadRequest, "unauthorized_client")
	r.machineToken(machine, "https://unknown.example.com").wantsRefused(t, http.StatusBadRequest, "invalid_target")
	r.machineToken(machine, purchasing, "scope", "write:vendors").wantsRefused(t, http.StatusBadRequest, "invalid_scope")
}

// "At once" is within a second on every server.
func TestAPIsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	const id storage.Audience = "https://added.example.com"
	person := newBrowser(t)
	number := newNumber()
	b.login(person, b.newRequest(webClient), number).answer()
	ask := func() url.Values {
		return b.authorize(person, b.newRequest(webClient).with("audience", string(id), "scope", "read:a", "prompt", "none")).answer()
	}
	b.wantsError(t, ask(), "invalid_target", "")
	now := b.clock.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.sql.CreateAPI(t.Context(), storage.API{
		Identifier: id, TokenLifetime: 3600, SigningAlg: "ES256", Users: storage.Assigned, Clients: storage.Anyone,
		Scopes: []storage.Scope{{Value: "read:a"}}, CreatedAt: now, UpdatedAt: now,
	}))
	withinASecond(t, "added API", func() bool { return ask().Get("error") == "access_denied" })
	user := b.person(t, number)
	must(b.sql.Assign(t.Context(), storage.Assignment{UserID: user, Audience: id, Allowance: storage.Allowance{AllScopes: true}, CreatedAt: now}, now))
	token := func() string {
		q := b.newRequest(webClient).with("audience", string(id), "scope", "read:a")
		return b.exchange(webClient, q, b.authorize(person, q).answer().Get("code")).AccessToken
	}
	alive := func(token string) bool { return b.introspect(webClient, token)["active"] == true }
	first := token()
	if !alive(first) {
		t.Fatal("the token is not in force")
	}
	must(b.sql.Unassign(t.Context(), user, id, b.clock.Now()))
	b.wantsError(t, ask(), "access_denied", "")
	withinASecond(t, "API taken away", func() bool { return !alive(first) })

	// Machines.
	must(b.sql.PutClientGrant(t.Context(), storage.ClientGrant{ClientID: machine, Audience: id, Allowance: storage.Allowance{AllScopes: true}, CreatedAt: now}))
	var machines string
	withinASecond(t, "added client grant", func() bool {
		machines = b.machineToken(machine, string(id)).AccessToken
		return machines != ""
	})
	if got := b.introspect(machine, machines); got["active"] != true {
		t.Fatalf("the machine's token: %v", got)
	}
	must(b.sql.RemoveClientGrant(t.Context(), machine, id))
	withinASecond(t, "client grant taken away", func() bool { return b.introspect(machine, machines)["active"] == false })

	// The API itself: shorter, and gone.
	must(b.sql.Assign(t.Context(), storage.Assignment{UserID: user, Audience: id, Allowance: storage.Allowance{AllScopes: true}, CreatedAt: now}, now))
	second := token()
	must(b.sql.UpdateAPI(t.Context(), id, func(a *storage.API) error { a.TokenLifetime = 60; return nil }))
	withinASecond(t, "shorter life", func() bool {
		info := b.introspect(webClient, second)
		return info["active"] == true && seconds(t, info, "exp") == seconds(t, info, "auth_time")+60
	})
	must(b.sql.RemoveAPI(t.Context(), id, b.clock.Now()))
	withinASecond(t, "removed API", func() bool { return ask().Get("error") == "invalid_target" })
	withinASecond(t, "tokens of a removed API", func() bool { return !alive(second) })
}

// Revocation and blocking make introspection say inactive at once.
func TestTokensForAPIsDieWhereAnyoneAsks(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withoutAddressLimits())
	alive := func(token string) bool {
		info := r.introspect(purchasingBackend, token, asSecret...)
		return info["active"] == true && info["employee_id"] == "0291"
	}
	for name, end := range map[string]func(b *browser, id storage.UserID, got tokens){
		"revoked": func(_ *browser, _ storage.UserID, got tokens) { r.revoke(webClient, got.AccessToken) },
		"logged out": func(b *browser, _ storage.UserID, _ tokens) {
			b.get(r.base+"/oidc/logout").submit("/oidc/logout", "decision", "approve").wants(http.StatusOK)
		},
		"blocked": func(_ *browser, id storage.UserID, _ tokens) {
			if err := r.server.SQL.BlockUser(t.Context(), id, r.clock.Now()); err != nil {
				t.Error(err)
			}
		},
		"removed": func(_ *browser, id storage.UserID, _ tokens) {
			if err := r.server.SQL.RemoveUser(t.Context(), id, r.clock.Now()); err != nil {
				t.Error(err)
			}
		},
		"disallowed": func(_ *browser, id storage.UserID, _ tokens) {
			if err := r.server.SQL.Unassign(t.Context(), id, purchasing, r.clock.Now()); err != nil {
				t.Error(err)
			}
		},
	} {
		b, number := newBrowser(t), newNumber()
		id := r.employee(number)
		q := r.forPurchasing(webClient)
		got := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code"))
		if !alive(got.AccessToken) {
			t.Fatalf("%s: the token is not in force before", name)
		}
		end(b, id, got)
		withinASecond(t, name, func() bool { return !alive(got.AccessToken) })
		if info := r.introspect(webClient, got.AccessToken); len(info) != 1 {
			t.Errorf("%s: its client is told %v", name, info)
		}
	}
	machines := r.machineToken(machine, purchasing).AccessToken
	if info := r.introspect(machine, machines); info["active"] != true {
		t.Fatalf("a machine's token: %v", info)
	}
	r.revoke(machine, machines)
	if info := r.introspect(machine, machines); info["active"] != false {
		t.Errorf("a machine's token, revoked: %v", info)
	}
	if info := r.introspect(machine, r.machineToken(machine, purchasing).AccessToken); info["active"] != true {
		t.Errorf("the next one: %v", info)
	}
}

func TestIntrospectionOfATokenForAnAPI(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	_, _, got := r.purchasingToken(t, webClient, "scope", "openid read:vendors")
	want := claims(t, got.AccessToken)
	want["active"], want["token_type"] = true, "Bearer"
	for client, change := range map[string][]string{webClient: nil, purchasingBackend: asSecret} {
		if diff := cmp.Diff(want, r.introspect(client, got.AccessToken, change...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", client, diff)
		}
	}
}

// What the file declares is there, and discovery tells what clients can use.
func TestDiscoveryOfAPIs(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	m := r.metadata()
	for name, want := range map[string]string{"grant_types_supported": "client_credentials", "subject_types_supported": "pairwise"} {
		all, _ := m[name].([]any)
		if !slices.Contains(all, any(want)) {
			t.Errorf("%s = %v, want %s in it", name, all, want)
		}
	}
	// Scopes and names of APIs are nobody's business.
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"vendors", "purchasing", "stock", "employee"} {
		if strings.Contains(string(text), word) {
			t.Errorf("discovery says %q", word)
		}
	}
	kinds := map[string]int{}
	for _, k := range r.publishedKeys().Keys {
		kinds[k.Algorithm]++
	}
	if diff := cmp.Diff(map[string]int{"RS256": 1, "ES256": 1}, maps.Clone(kinds)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}
