package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// vendor is a gateway that tells its caller all that it was told, number and
// code included, as vendors do when they fail.
type vendor struct {
	tap     *tap
	gateway *gateway
	failing atomic.Bool
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		v.tap.t.Errorf("vendor: %v", err)
	}
	var m text
	if err := json.Unmarshal(body, &m); err != nil {
		v.tap.t.Errorf("vendor: %v", err)
	}
	v.tap.secret("number", m.Recipient)
	v.tap.secret("code", codePattern.FindString(m.Body))
	if v.failing.Load() {
		w.Header().Set("X-Error", m.Recipient)
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte("could not send: " + string(body)))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	v.gateway.ServeHTTP(w, r)
}

// captured is a rig behind a tap, with a vendor and stores that fail.
type captured struct {
	*rig
	tap    *tap
	vendor *vendor
	faults *faults
	redis  *storagetest.RedisServer
}

func startCaptured(t *testing.T) *captured {
	t.Helper()
	c := &captured{tap: newTap(t), redis: storagetest.StartRedis(t)}
	c.vendor = &vendor{tap: c.tap}
	address := httptest.NewServer(c.vendor)
	t.Cleanup(address.Close)
	c.rig, c.faults = startFailing(t, c.tap.in(), withRedis(c.redis.URL), withAPIs(), withConfig(func(cfg *config.Config) {
		cfg.Connections[0].Options = config.NewOptions(`{"provider":"sms_gateway","from":"+12345678","forward_req_info":true,
			"gateway_url":"` + address.URL + `/send?key=the-key-of-the-vendor","gateway_authentication":{"method":"bearer",
			"subject":"urn:handset","audience":"urn:vendor","secret":"the-secret-of-the-vendor"}}`)
		cfg.TestNumbers = []config.TestNumber{{Number: testNumber, Code: config.NewSecret("424242")}}
	}))
	c.vendor.gateway = c.gateway
	c.tap.secret("gateway key", "the-key-of-the-vendor")
	c.tap.secret("gateway secret", "the-secret-of-the-vendor")
	return c
}

const testNumber = "+447400990099"

// TestNothingSecretIsEverLogged runs every flow at debug level, the failing ones
// too, and looks for whatever was secret in them: in logs, metrics, error pages,
// and the headers of errors.
func TestNothingSecretIsEverLogged(t *testing.T) {
	t.Parallel()
	c := startCaptured(t)
	c.logins()
	c.refusedCodes()
	c.tokenLife()
	c.tokensForAPIs()
	c.logouts()
	c.misplaced()
	c.failingGateway()
	c.failingStores()
	c.failingRedis()

	_, metrics := c.fetch(http.MethodGet, c.admin+"/metrics")
	exchanges, secrets := c.tap.seen()
	var all []record
	var log string
	awaits(t, "a record of each answer, which may be read before it is on record", func() bool {
		all, log = records(t, c.logs.String())
		recorded := map[string]bool{}
		for _, rec := range all {
			recorded[rec.text("request_id")] = recorded[rec.text("request_id")] || rec.text("msg") == "request"
		}
		return !slices.ContainsFunc(exchanges, func(x exchange) bool { return !recorded[x.header.Get("X-Request-Id")] })
	})
	t.Logf("%d exchanges, %d secrets, %d records", len(exchanges), len(secrets), len(all))
	f := newFinder(secrets)
	c.catches(f)
	for _, l := range f.find(log) {
		t.Errorf("log: %s", l)
	}
	for _, l := range f.find(onlyNames(string(metrics))) {
		t.Errorf("metrics: %s", l)
	}
	for _, x := range exchanges {
		x.keepsSecrets(t, f)
	}
	oneRecordEach(t, exchanges, all)
}

// catches proves that the search finds what it looks for: each secret of the
// run, planted in a record; and that secrets of every kind were there to find.
func (c *captured) catches(f *finder) {
	kinds := map[string]bool{}
	for secret, kind := range f.kinds {
		kinds[kind] = true
		planted, err := json.Marshal(record{"msg": "request", "planted": "a " + secret + ";"})
		if err != nil {
			c.t.Fatal(err)
		}
		_, searchable := records(c.t, string(planted)+"\n")
		if len(f.find(searchable)) == 0 {
			c.t.Errorf("a planted %s was not found: %q", kind, secret)
		}
	}
	for _, kind := range []string{
		"number", "number as typed", "digits of a number", "code", "cookie", "client secret", "credentials", "form token", "transaction",
		"state", "nonce", "code_verifier", "access token", "refresh token", "ID token", "query string", "planted", "client assertion",
		"sealed logout request", "attribute",
	} {
		if !kinds[kind] {
			c.t.Errorf("the run had no %s", kind)
		}
	}
}

// keepsSecrets looks at an answer of the server. A form may show the number as it
// was typed, and holds its own tokens; an error shows nothing else.
func (x exchange) keepsSecrets(t *testing.T, f *finder) {
	html := strings.HasPrefix(x.header.Get("Content-Type"), "text/html")
	if x.status < 400 && (!html || strings.Contains(x.body, "Taking you back")) {
		return // tokens and redirects are what was asked for
	}
	form := strings.Contains(x.body, "<form")
	for _, l := range f.find(x.body) {
		own := l.kind == "form token" || l.kind == "transaction" || l.kind == "sealed logout request" || strings.Contains(l.kind, "number") ||
			strings.HasPrefix(l.secret, "txn=")
		if form && own {
			continue
		}
		t.Errorf("%s %s (%d) shows a %s", x.method, x.path, x.status, l)
	}
	for name, values := range x.header {
		if x.status < 400 || name == "Set-Cookie" {
			continue
		}
		for _, l := range f.find(strings.Join(values, " ")) {
			t.Errorf("%s %s (%d), header %s: %s", x.method, x.path, x.status, name, l)
		}
	}
}

var masked = regexp.MustCompile(`^\+\d{2}\*{6,}\d{2}$`)

// oneRecordEach demands exactly one record of the message "request" for each
// answer, with the number masked where there was one.
func oneRecordEach(t testing.TB, exchanges []exchange, all []record) {
	t.Helper()
	requests := map[string][]record{}
	for _, rec := range all {
		if rec.text("msg") == "request" {
			requests[rec.text("request_id")] = append(requests[rec.text("request_id")], rec)
		}
	}
	numbers := 0
	for _, x := range exchanges {
		of := requests[x.header.Get("X-Request-Id")]
		if len(of) != 1 {
			t.Errorf("%s %s (%d): %d records", x.method, x.path, x.status, len(of))
			continue
		}
		if status, _ := of[0]["status"].(float64); int(status) != x.status {
			t.Errorf("%s %s: record says %v, the answer was %d", x.method, x.path, of[0]["status"], x.status)
		}
		number := of[0].text("number")
		if number != "" && !masked.MatchString(number) {
			t.Errorf("%s %s: number %q is not masked", x.method, x.path, number)
		}
		sends := x.path == "/login/phone" && x.method == http.MethodPost && (x.status == http.StatusSeeOther || x.status == http.StatusTooManyRequests)
		checks := x.path == "/login/code" && x.method == http.MethodPost && (x.status == http.StatusSeeOther || x.status == http.StatusUnprocessableEntity)
		starts := x.path == "/orchestrators/E4_SmsPhoneVerification" && x.status == http.StatusAccepted
		if sends || checks || starts {
			numbers++
			if number == "" {
				t.Errorf("%s %s (%d): the record has no number", x.method, x.path, x.status)
			}
		}
	}
	if numbers == 0 {
		t.Error("no request had a number")
	}
}

// logins are logins that end well, in every response mode, by every spelling.
func (c *captured) logins() {
	for _, mode := range []string{"query", "fragment", "form_post"} {
		number := newNumber()
		q := c.newRequest(webClient).with("response_mode", mode, "login_hint", number, "ui_locales", "en")
		c.login(newBrowser(c.t), q, number)
	}
	number := newNumber()
	b := newBrowser(c.t)
	p := c.authorize(b, c.newRequest(publicClient)).submit("/login/phone", "phone", "0"+number[3:7]+"-"+number[7:10]+" "+number[10:], "country", "GB")
	p.submit("/login/code", "code", c.gateway.code(number)).answer()
	c.authorize(b, c.newRequest(webClient).with("prompt", "none")).answer()
	c.authorize(newBrowser(c.t), c.newRequest(webClient)).submit("/login/phone", "phone", testNumber).
		submit("/login/code", "code", "424242").answer()
}

// refusedCodes are codes that are wrong, malformed, spent, expired, and texts
// that are refused.
func (c *captured) refusedCodes() {
	number := newNumber()
	p := c.askCode(newBrowser(c.t), c.newRequest(webClient), number)
	right := c.gateway.code(number)
	for i := range 5 {
		p.submit("/login/code", "code", otherCode(right, i+1)).wants(http.StatusUnprocessableEntity)
	}
	p.submit("/login/code", "code", right).wants(http.StatusUnprocessableEntity)
	p.submit("/login/code", "code", right+"7").wants(http.StatusUnprocessableEntity)
	p.submit("/login/resend").wants(http.StatusOK) // too early
	c.clock.Advance(16 * time.Minute)
	p.submit("/login/code", "code", right)

	late := newNumber()
	p = c.askCode(newBrowser(c.t), c.newRequest(webClient), late)
	c.clock.Advance(6 * time.Minute)
	p.submit("/login/code", "code", c.gateway.code(late)).wants(http.StatusUnprocessableEntity, "expired")
	c.clock.Advance(30 * time.Minute)
	p.submit("/login/code", "code", c.gateway.code(late)).wants(http.StatusBadRequest)

	often := newNumber()
	for range 5 {
		c.askCode(newBrowser(c.t), c.newRequest(webClient), often)
	}
	p = c.authorize(newBrowser(c.t), c.newRequest(webClient))
	p.submit("/login/phone", "phone", often).wants(http.StatusTooManyRequests)
	for _, typed := range []string{often + " ext 12", "+4490112345678", "not a number " + often, often + often} {
		p.submit("/login/phone", "phone", typed).wants(http.StatusUnprocessableEntity)
	}
	p.submit("/login/phone", "phone", newNumber(), "csrf", "another-form-token-altogether").wants(http.StatusBadRequest)
	newBrowser(c.t).get(p.url.String()).wants(http.StatusBadRequest)
}

// otherCode is a code of the same length that is not the right one.
func otherCode(right string, n int) string {
	last := right[len(right)-1] - '0'
	return right[:len(right)-1] + string('0'+(last+byte(n))%10)
}

// tokenLife is all that becomes of tokens, reuse included.
func (c *captured) tokenLife() {
	q := c.newRequest(webClient)
	code := c.login(newBrowser(c.t), q, newNumber()).answer().Get("code")
	c.exchange(basicClient, q, code)
	c.exchange(webClient, q, code, "code_verifier", "wrong-verifier-wrong-verifier-wrong-verifier")
	first := c.exchange(webClient, q, code)
	c.userinfo(first.AccessToken)
	c.userinfo(first.IDToken)
	for _, token := range []string{first.AccessToken, first.Refresh, first.IDToken} {
		c.call(basicClient, "/oauth/introspect", url.Values{"token": {token}})
		c.call(webClient, "/oauth/introspect", url.Values{"token": {token}})
	}
	second := c.refresh(webClient, first.Refresh, "scope", "openid phone")
	c.refresh(webClient, second.Refresh, "scope", "openid admin")
	c.refresh(webClient, second.Refresh, "client_secret", "a-secret-that-is-not-the-right-one")
	c.clock.Advance(time.Minute)
	if got := c.refresh(webClient, first.Refresh); got.Error != "invalid_grant" {
		c.t.Errorf("reuse: %d %s", got.status, got.Error)
	}
	c.refresh(webClient, second.Refresh)
	c.exchange(webClient, q, code)
	third := c.signIn(newNumber())
	c.call(basicClient, "/oauth/revoke", url.Values{"token": {third.Refresh}})
	c.call(webClient, "/oauth/revoke", url.Values{"token": {third.AccessToken}})
	c.call(webClient, "/oauth/revoke", url.Values{"token": {third.Refresh}})
	c.call(publicClient, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {third.Refresh},
		"client_assertion": {third.IDToken}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
}

// tokensForAPIs is all that becomes of tokens for APIs and of what they say.
func (c *captured) tokensForAPIs() {
	c.tap.secret("attribute", "nobody's business")
	_, _, got := c.purchasingToken(c.t, webClient, "scope", "openid phone read:vendors")
	c.userinfo(got.AccessToken)
	c.call(purchasingBackend, "/oauth/introspect", url.Values{"token": {got.AccessToken}}, asSecret...)
	c.call(machine, "/oauth/introspect", url.Values{"token": {got.AccessToken}})
	c.call(webClient, "/oauth/introspect", url.Values{"token": {got.AccessToken[:len(got.AccessToken)-9] + "AAAAAAAAA"}})
	c.call(webClient, "/oauth/revoke", url.Values{"token": {got.AccessToken}})
	c.userinfo(got.AccessToken)
	b, number := newBrowser(c.t), newNumber()
	c.login(b, c.newRequest(webClient).with("audience", purchasing), number)
	c.authorize(b, c.newRequest(webClient).with("audience", "https://unknown.example.com/"+number))
	c.machineToken(machine, purchasing)
	c.machineToken(machine, stock)
	c.machineToken(webClient, "planted-audience-"+number[1:])
	q := c.newRequest(pairwiseClient)
	pairwise := c.exchange(pairwiseClient, q, c.login(newBrowser(c.t), q, newNumber()).answer().Get("code"), asSecret...)
	c.userinfo(pairwise.AccessToken)
	for _, body := range []string{
		`{"grant_type":"refresh_token","client_id":"web","client_secret":"` + secret + `","refresh_token":"` + pairwise.Refresh + `"}`,
		`{"grant_type":"refresh_token","refresh_token":"` + pairwise.Refresh + `",`,
	} {
		c.send(http.MethodPost, "/oauth/token", body, "Content-Type", "application/json")
	}
}

// logouts are logouts with and without a hint, by GET and POST.
func (c *captured) logouts() {
	b, q := newBrowser(c.t), c.newRequest(webClient)
	id := c.exchange(webClient, q, c.login(b, q, newNumber()).answer().Get("code")).IDToken
	b.get(c.base + "/oidc/logout?id_token_hint=" + id[:len(id)-9] + "AAAAAAAAA").wants(http.StatusBadRequest)
	b.get(c.base + "/oidc/logout?post_logout_redirect_uri=https://evil.example/&client_id=web&state=a-state-for-the-logout").wants(http.StatusBadRequest)
	b.get(c.base+"/oidc/logout").submit("/oidc/logout", "decision", "approve", "csrf", "a-wrong-token-for-the-form").wants(http.StatusForbidden)
	b.get(c.base+"/oidc/logout").submit("/oidc/logout", "decision", "approve").wants(http.StatusOK)
	b.post(c.base+"/oidc/logout", url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {c.callback + "/bye"}, "state": {"another-state-for-the-logout"}})
}

// misplaced are requests with secrets where none belongs.
func (c *captured) misplaced() {
	got := c.signIn(newNumber())
	number := newNumber()
	for name, s := range map[string]string{"number": number, "planted": "planted-secret-" + number[7:]} {
		c.tap.secret(name, s)
	}
	planted := "planted-secret-" + number[7:]
	for _, path := range []string{
		"/oauth/token?client_secret=" + planted, "/oauth/token?code=" + planted, "/oauth/token?refresh_token=" + got.Refresh,
		"/userinfo?access_token=" + got.AccessToken, "/oauth/introspect?token=" + got.AccessToken, "/oauth/revoke?token=" + got.Refresh,
		"/authorize?client_id=" + planted, "/authorize?client_id=web&redirect_uri=https://evil.example/" + planted,
		"/authorize?client_id=web&redirect_uri=" + url.QueryEscape(c.callback) + "&response_type=" + planted + "&state=" + planted,
		"/authorize?" + planted + ";" + planted, "/authorize?%zz" + planted, "/login/code/" + planted, "/" + url.PathEscape(number), "/login/phone?txn=" + planted,
		"/login/phone?phone=" + url.QueryEscape(number), "/.well-known/" + planted, "/assets/" + planted + "/" + planted,
		"/authorize?client_id=web&id_token_hint=" + got.IDToken + "x&prompt=none&response_type=code&scope=openid&redirect_uri=" + url.QueryEscape(c.callback),
		"/authorize?x=" + strings.Repeat(planted, 500),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			c.send(method, path, "")
		}
	}
	for _, header := range []string{
		"Authorization", "Cookie", "User-Agent", "X-Forwarded-For", "Accept-Language", "Origin", "Referer", "Content-Type", "If-None-Match",
		"X-Request-Id", "Access-Control-Request-Headers", "Sec-Fetch-Site",
	} {
		for _, value := range []string{planted, "Bearer " + planted, "Basic " + planted, "handset_txn=" + planted, "handset_sid=" + strings.Repeat("A", 26) + planted} {
			for _, path := range []string{"/oauth/token", "/userinfo", "/login/code", "/oidc/logout"} {
				c.send(http.MethodPost, path, "code="+planted, header, value)
			}
			c.send(http.MethodGet, "/userinfo", "", header, value)
			c.send(http.MethodGet, "/authorize", "", header, value)
			c.send(http.MethodOptions, "/oauth/token", "", header, value)
		}
	}
	for _, name := range []string{
		"grant_type", "client_id", "client_secret", "code", "refresh_token", "redirect_uri", "scope", "client_assertion", "client_assertion_type",
		"token", "token_type_hint", "code_verifier", "username", "password", planted,
	} {
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {webClient}, "client_secret": {secret}, name: {planted}}
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke", "/userinfo", "/authorize", "/login/phone", "/login/code"} {
			c.send(http.MethodPost, path, form.Encode())
			c.send(http.MethodPost, path, form.Encode()+"&"+url.QueryEscape(name)+"="+planted)
		}
	}
	c.send(http.MethodPost, "/oauth/token", strings.Repeat(planted, 2000))
	c.send(http.MethodGet, "/authorize", "", "Host", planted+".example")
}

// send sends any request at all and expects only that it is refused or answered.
func (c *captured) send(method, path, body string, headers ...string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+"/", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.Path, req.URL.RawQuery = path, query
	if unescaped, err := url.PathUnescape(path); err == nil {
		req.URL.Path, req.URL.RawPath = unescaped, path
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if res.StatusCode >= 500 {
		c.t.Errorf("%s %s %s: status %d", method, path, headers, res.StatusCode)
	}
}

// failingGateway sends texts that the vendor refuses, saying everything it knows.
func (c *captured) failingGateway() {
	c.vendor.failing.Store(true)
	p := c.authorize(newBrowser(c.t), c.newRequest(webClient))
	p.submit("/login/phone", "phone", newNumber()).wants(http.StatusServiceUnavailable, "cannot send texts")
	c.vendor.failing.Store(false)
}

// failingStores has every store fail under every handler, and panic with
// whatever was at hand.
func (c *captured) failingStores() {
	number := newNumber()
	c.tap.secret("number", number)
	c.tap.secret("planted", "a-secret-in-a-panic")
	words := "number " + number + " a-secret-in-a-panic"
	for _, h := range handlerFaults() {
		for _, how := range []fault{
			{err: storage.ErrUnavailable}, {err: errors.New("an inner error")}, {panics: words}, {panics: errors.New(words)},
			{panics: struct{ Number, Words string }{number, words}},
		} {
			s := h.prepare(c.t.(*testing.T), c.rig)
			c.faults.arm(h.method, how)
			s.answer()
			if c.faults.disarm(h.method) == 0 {
				c.t.Fatalf("%s: the store was not asked", h.name)
			}
		}
	}
}

// failingRedis kills a real Redis under logins and tokens.
func (c *captured) failingRedis() {
	u := c.underWay()
	all := c.withoutRedis(u)
	c.redis.Kill()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		all[name]()
	}
	c.ready()
	c.redis.Start()
	c.awaitsReady()
	u.code.submit("/login/code", "code", c.gateway.code(u.number)).wants(http.StatusBadRequest)
}
