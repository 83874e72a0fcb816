package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// security.md §3.25: a token for one audience opens nothing that is for another.
func TestAttackTokenForAnotherAudience(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	r.employee(number)
	q := r.newRequest(webClient).with("audience", stock, "scope", "read:stock phone")
	forStock := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code")).AccessToken
	q = r.forPurchasing(webClient)
	forPurchasing := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code")).AccessToken
	q = r.newRequest(webClient)
	opaque := r.exchange(webClient, q, r.authorize(b, q).answer().Get("code")).AccessToken
	machines := r.machineToken(machine, purchasing).AccessToken

	for name, token := range map[string]string{"of stock": forStock, "of purchasing": forPurchasing, "of a machine": machines} {
		status, info := r.userinfo(token)
		if status != http.StatusUnauthorized || info["error"] != "invalid_token" || info["sub"] != nil {
			t.Errorf("%s at userinfo: %d %v", name, status, info)
		}
	}
	// The backend of purchasing learns of its own, and of nothing else.
	for name, tt := range map[string]struct {
		client, token string
		active        bool
		change        []string
	}{
		"purchasing about its own":      {purchasingBackend, forPurchasing, true, asSecret},
		"purchasing about a machine's":  {purchasingBackend, machines, true, asSecret},
		"purchasing about stock's":      {purchasingBackend, forStock, false, asSecret},
		"purchasing about an opaque":    {purchasingBackend, opaque, false, asSecret},
		"a service about purchasing's":  {machine, forPurchasing, false, nil},
		"a service about an opaque one": {machine, opaque, true, nil},
		"another client":                {basicClient, forPurchasing, false, nil},
		"its client":                    {webClient, forPurchasing, true, nil},
	} {
		got := r.introspect(tt.client, tt.token, tt.change...)
		if got["active"] != tt.active || !tt.active && len(got) != 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
	r.verifiedBy(t, purchasing, forStock, "audience")
	r.verifiedBy(t, stock, forPurchasing, "audience")
}

// security.md §3.25: an access token is no ID token, and the reverse; nor is it
// anything else that is a secret here.
func TestAttackTokensForAPIsInEachOthersPlace(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b := newBrowser(t)
	// RS256, so that nothing but its typ tells it from an ID token.
	q := r.newRequest(webClient).with("audience", stock, "scope", "openid read:stock")
	got := r.exchange(webClient, q, r.login(b, q, newNumber()).answer().Get("code"))
	cookie := r.cookies(b)
	hint := r.newRequest(webClient).with("prompt", "none", "id_token_hint", got.AccessToken)
	if a := send(t, http.MethodGet, r.base+"/authorize?"+hint.Encode(), nil, "Cookie", cookie).location(t).Query(); a.Get("error") != "login_required" {
		t.Errorf("an access token as id_token_hint: %v", a)
	}
	if out := send(t, http.MethodGet, r.base+"/oidc/logout?id_token_hint="+got.AccessToken, nil, "Cookie", cookie); out.status != http.StatusBadRequest {
		t.Errorf("an access token as hint of a logout: %d", out.status)
	}
	r.exchange(webClient, q, got.AccessToken).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	r.refresh(webClient, got.AccessToken).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	for _, client := range []string{webClient, machine} {
		form := url.Values{"grant_type": {"client_credentials"}, "audience": {purchasing}, "client_id": {client},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {got.AccessToken}}
		if a := send(t, http.MethodPost, r.base+"/oauth/token", form); a.status != http.StatusUnauthorized {
			t.Errorf("an access token as assertion of %s: %d", client, a.status)
		}
	}
	r.opensNothing(t, "the ID token", got.IDToken)
	if info := r.introspect(purchasingBackend, got.IDToken, asSecret...); info["active"] != false {
		t.Errorf("the ID token introspected by an API: %v", info)
	}
	if status, _ := r.userinfo(got.AccessToken); status != http.StatusOK {
		t.Errorf("the access token in its own place: %d", status)
	}
}

// security.md §3.26: forged access tokens, of a right one that is signed by RSA.
func TestAttackForgedTokensForAPIs(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b := newBrowser(t)
	q := r.newRequest(webClient).with("audience", stock, "scope", "openid read:stock")
	got := r.exchange(webClient, q, r.login(b, q, newNumber()).answer().Get("code"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range forgeries(t, got.AccessToken, r.publishedKeys().Keys[0], key) {
		r.opensNothing(t, name, token)
	}
	if status, _ := r.userinfo(got.AccessToken); status != http.StatusOK {
		t.Errorf("the right one: %d", status)
	}
	if info := r.introspect(webClient, got.AccessToken); info["active"] != true {
		t.Errorf("the right one, after forged ones were revoked: %v", info)
	}
}

// requirements.md D4: no session and no refresh token makes a login last longer.
func TestAttackStretchALogin(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(webClient).with("audience", stock, "scope", "openid offline_access read:stock")
	got := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code"))
	auth := seconds(t, claims(t, got.IDToken), "auth_time")
	r.clock.Advance(50 * time.Minute)
	late := r.newRequest(webClient).with("audience", stock, "scope", "read:stock")
	code := r.authorize(b, late).answer().Get("code")
	tokensOf := map[string]tokens{"refresh": r.refresh(webClient, got.Refresh), "single sign-on": r.exchange(webClient, late, code)}
	for name, more := range tokensOf {
		if exp := seconds(t, claims(t, more.AccessToken), "exp"); exp != auth+3600 {
			t.Errorf("%s: a token until %d, want %d", name, exp, auth+3600)
		}
	}
	r.clock.Advance(10*time.Minute + time.Second)
	for name, try := range map[string]url.Values{
		"a max_age that is longer": {"max_age": {"86400"}}, "silently": {}, "with the hint of the login": {"id_token_hint": {got.IDToken}},
	} {
		q := r.newRequest(webClient).with("audience", stock, "scope", "read:stock", "prompt", "none")
		for k, v := range try {
			q.Set(k, v[0])
		}
		if a := r.authorize(b, q).answer(); a.Get("error") != "login_required" {
			t.Errorf("%s: %v", name, a)
		}
	}
	r.refresh(webClient, tokensOf["refresh"].Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	for _, more := range tokensOf {
		if status, _ := r.userinfo(more.AccessToken); status != http.StatusUnauthorized {
			t.Errorf("userinfo after the end: %d", status)
		}
	}
}

// A code or refresh token of one API is no way to another, nor to more scopes.
func TestAttackAskForMoreAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	r.employee(number, "read:vendors")
	q := r.newRequest(webClient).with("audience", stock, "scope", "offline_access read:stock")
	code := r.login(b, q, number).answer().Get("code")
	for name, change := range map[string][]string{
		"audience": {"audience", purchasing}, "resource": {"resource", purchasing}, "unknown": {"resource", "urn:unknown"},
	} {
		if got := r.exchange(webClient, q, code, change...); got.status != http.StatusBadRequest || got.Error != "invalid_target" || got.AccessToken != "" {
			t.Errorf("%s: %d %s", name, got.status, got.Error)
		}
	}
	got := r.exchange(webClient, q, code, "scope", "read:vendors write:vendors openid")
	if got.Scope != "offline_access read:stock" || claims(t, got.AccessToken)["aud"] != stock {
		t.Errorf("a scope in a code exchange: %+v", got)
	}
	for _, scope := range []string{"read:vendors", "openid read:stock"} {
		r.refresh(webClient, got.Refresh, "scope", scope).wantsRefused(t, http.StatusBadRequest, "invalid_scope")
	}
	r.refresh(webClient, got.Refresh, "audience", purchasing).wantsRefused(t, http.StatusBadRequest, "invalid_target")
	// Nothing of that spent the token.
	if got = r.refresh(webClient, got.Refresh); got.status != http.StatusOK {
		t.Errorf("refresh: %d %s", got.status, got.Error)
	}
	// A code for no API brings no token for one.
	q = r.newRequest(webClient)
	code = r.authorize(b, q).answer().Get("code")
	r.exchange(webClient, q, code, "audience", purchasing).wantsRefused(t, http.StatusBadRequest, "invalid_target")
}

// Credentials of a machine are a machine's alone.
func TestAttackMachineCredentials(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	ask := func(form url.Values, header ...string) reply {
		form.Set("grant_type", "client_credentials")
		form.Set("audience", purchasing)
		return send(t, http.MethodPost, r.base+"/oauth/token", form, header...)
	}
	for name, tt := range map[string]struct {
		got  reply
		code string
	}{
		"no credentials":           {ask(url.Values{"client_id": {machine}}), "invalid_client"},
		"a wrong secret":           {ask(url.Values{"client_id": {machine}, "client_secret": {"guess"}}), "invalid_client"},
		"a public client":          {ask(url.Values{"client_id": {publicClient}}), "unauthorized_client"},
		"a client for logins":      {ask(url.Values{"client_id": {webClient}, "client_secret": {secret}}), "unauthorized_client"},
		"the API's own backend":    {ask(url.Values{"client_id": {purchasingBackend}, "client_secret": {secret}}), "access_denied"},
		"no client":                {ask(url.Values{}), "invalid_client"},
		"a subject of one's own":   {ask(url.Values{"client_id": {webClient}, "client_secret": {secret}, "sub": {"sms|1"}}), "unauthorized_client"},
		"a secret in the URL":      {send(t, http.MethodPost, r.base+"/oauth/token?client_secret="+secret, url.Values{"grant_type": {"client_credentials"}, "client_id": {machine}}), "invalid_client"},
		"the audience in the URL":  {send(t, http.MethodPost, r.base+"/oauth/token?audience="+url.QueryEscape(stock), url.Values{"grant_type": {"client_credentials"}, "client_id": {purchasingBackend}, "client_secret": {secret}}), "invalid_request"},
		"two audiences, one of it": {ask(url.Values{"client_id": {purchasingBackend}, "client_secret": {secret}, "resource": {stock}}), "invalid_target"},
	} {
		if tt.got.status < 400 || !strings.Contains(tt.got.body, `"error":"`+tt.code+`"`) || strings.Contains(tt.got.body, "access_token") {
			t.Errorf("%s: %d %s, want %s", name, tt.got.status, tt.got.body, tt.code)
		}
	}
}

// A client that asks for an API it may not use learns nothing of people by it, and
// texts nobody.
func TestAttackProbeForAPIsAndPeople(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	signedIn, number := r.signedIn(t)
	texts := len(r.gateway.to(number))
	for _, audience := range []string{reports, "https://unknown.example.com"} {
		var seen []string
		for _, b := range []*browser{signedIn, newBrowser(t)} {
			q := r.newRequest(webClient).with("audience", audience, "state", "s", "nonce", "n")
			p := r.authorize(b, q)
			got := p.answer()
			r.wantsError(t, got, "invalid_target", "")
			seen = append(seen, got.Encode())
		}
		if seen[0] != seen[1] {
			t.Errorf("%s: a session makes a difference: %s, %s", audience, seen[0], seen[1])
		}
	}
	if n := len(r.gateway.to(number)); n != texts {
		t.Errorf("%d texts, want %d", n, texts)
	}
}

// security.md row 27 and D2: what a person may use is no one's business who has not
// proved the number.
func TestAttackEnumerateAssignments(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withoutSignup())
	employee, registered, stranger := newNumber(), newNumber(), newNumber()
	r.employee(employee)
	r.person(registered)
	var seen []string
	for _, number := range []string{employee, registered, stranger} {
		q := r.forPurchasing(webClient).with("state", "s", "nonce", "n")
		p := r.authorize(newBrowser(t), q).submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
		p = p.submit("/login/code", "code", "000000").wants(http.StatusUnprocessableEntity)
		seen = append(seen, varying.ReplaceAllString(strings.ReplaceAll(p.words(), number[1:], ""), "_"))
	}
	if seen[0] != seen[1] || seen[1] != seen[2] {
		t.Errorf("the pages differ:\n%s\n%s\n%s", seen[0], seen[1], seen[2])
	}
}

// A person's subject in tokens is never one that a machine has.
func TestAttackPoseAsAMachine(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	machines := claims(t, r.machineToken(machine, purchasing).AccessToken)
	_, _, got := r.purchasingToken(t, webClient)
	person := claims(t, got.AccessToken)
	if person["sub"] == machines["sub"] || person["auth_time"] == nil || machines["auth_time"] != nil || machines["amr"] != nil {
		t.Errorf("person %v, machine %v", person, machines)
	}
	// No client can be registered whose subject as a machine reads like a person's.
	for _, id := range []storage.ClientID{"sms|0123456789abcdef01234567", machine + "@clients", "a@b"} {
		found := registration.Validate(storage.Client{ClientID: id})
		if !slices.ContainsFunc(found, func(p registration.Problem) bool { return p.Field == "client_id" }) {
			t.Errorf("%s can be registered", id)
		}
	}
}
