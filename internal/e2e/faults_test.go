package e2e

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/porttest"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// down is what every part of a login answers while a store is out of reach:
// 503, with the time to try again.
func (p *page) down() *page {
	p.b.t.Helper()
	p.wants(http.StatusServiceUnavailable, "cannot sign you in right now", "Nothing you entered is lost")
	if p.header.Get("Retry-After") == "" {
		p.b.t.Errorf("%s: 503 without Retry-After", p.url.Path)
	}
	return p
}

// downJSON is down for what clients call.
func (r *rig) downJSON(res *http.Response, body []byte) {
	r.t.Helper()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "temporarily_unavailable") {
		r.t.Errorf("%s: %d, Retry-After %q: %s; want 503", res.Request.URL.Path, res.StatusCode, res.Header.Get("Retry-After"), body)
	}
}

// publishes checks what needs no store.
func (r *rig) publishes() {
	r.t.Helper()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		if res, body := r.fetch(http.MethodGet, path); res.StatusCode != http.StatusOK {
			r.t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	if res, body := r.fetch(http.MethodGet, r.admin+"/healthz"); res.StatusCode != http.StatusOK {
		r.t.Errorf("/healthz: %d %s", res.StatusCode, body)
	}
}

// ready asks /readyz.
func (r *rig) ready() (status int, text string) {
	r.t.Helper()
	res, body := r.fetch(http.MethodGet, r.admin+"/readyz")
	return res.StatusCode, strings.TrimSpace(string(body))
}

// awaits polls until a condition holds.
func awaits(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

func (r *rig) awaitsReady() {
	r.t.Helper()
	awaits(r.t, "/readyz is 200", func() bool { status, _ := r.ready(); return status == http.StatusOK })
}

// underWay is what people and clients are in the middle of when a part fails.
type underWay struct {
	number        string
	phone, code   *page // two logins, each as far as that page
	signedIn      *browser
	logoutPage    *page
	q             request // of the authorization code
	authCode      string
	tokens        tokens
	introspection url.Values
}

func (r *rig) underWay() *underWay {
	r.t.Helper()
	u := &underWay{number: newNumber(), signedIn: newBrowser(r.t), q: r.newRequest(webClient)}
	u.tokens = r.signIn(newNumber())
	u.introspection = url.Values{"token": {u.tokens.AccessToken}}
	u.authCode = r.login(u.signedIn, u.q, newNumber()).answer().Get("code")
	u.logoutPage = u.signedIn.get(r.base + "/oidc/logout").wants(http.StatusOK)
	u.phone = r.authorize(newBrowser(r.t), r.newRequest(webClient)).wants(http.StatusOK)
	u.code = r.askCode(newBrowser(r.t), r.newRequest(webClient), u.number)
	return u
}

func (r *rig) redeemForm(q request, code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Get("redirect_uri")}, "code_verifier": {q.verifier}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// withoutRedis are all requests that can't be answered without Redis, each with
// the check that says so.
func (r *rig) withoutRedis(u *underWay) map[string]func() {
	right := r.gateway.code(u.number)
	return map[string]func(){
		"authorize":   func() { r.authorize(newBrowser(r.t), r.newRequest(webClient)).down() },
		"show number": func() { u.phone.b.get(u.phone.url.String()).down() },
		"number":      func() { u.phone.submit("/login/phone", "phone", newNumber()).down() },
		"show code":   func() { u.code.b.get(u.code.url.String()).down() },
		"right code":  func() { u.code.submit("/login/code", "code", right).down() },
		"wrong code":  func() { u.code.submit("/login/code", "code", "000000").down() },
		"resend":      func() { u.code.submit("/login/resend").down() },
		"redeem":      func() { r.downJSON(r.call(webClient, "/oauth/token", r.redeemForm(u.q, u.authCode))) },
		"refresh":     func() { r.downJSON(r.call(webClient, "/oauth/token", refreshForm(u.tokens.Refresh))) },
		"introspect":  func() { r.downJSON(r.call(webClient, "/oauth/introspect", u.introspection)) },
		"userinfo": func() {
			r.downJSON(r.fetch(http.MethodGet, "/userinfo", "Authorization", "Bearer "+u.tokens.AccessToken))
		},
	}
}

// nothingSpent goes on with what SQL keeps, after Redis was away: neither the
// authorization code nor the refresh token was used up.
func (r *rig) nothingSpent(u *underWay) {
	r.t.Helper()
	if got := r.exchange(webClient, u.q, u.authCode); got.status != http.StatusOK {
		r.t.Errorf("the authorization code afterwards: %d %s", got.status, got.Description)
	}
	r.clock.Advance(10 * time.Minute) // long after any grace: were it rotated, this would be reuse
	if got := r.refresh(webClient, u.tokens.Refresh); got.status != http.StatusOK {
		r.t.Errorf("the refresh token afterwards: %d %s", got.status, got.Description)
	}
}

// TestRedisKilledInTheMiddle kills Redis between the text and the code and
// brings it back, once with all that it held and once empty.
func TestRedisKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		kept bool
	}{
		{"ComesBackWhole", []string{"--appendonly", "yes", "--appendfsync", "always"}, true},
		{"ComesBackEmpty", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			redis := storagetest.StartRedis(t, c.args...)
			r := start(t, withRedis(redis.URL), withoutAddressLimits())
			u := r.underWay()
			right := r.gateway.code(u.number)
			redis.Kill()
			for name, fails := range r.withoutRedis(u) {
				began := time.Now()
				fails()
				t.Logf("%s: %v", name, time.Since(began))
			}
			r.publishes()
			if status, text := r.ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "redis") {
				t.Errorf("/readyz: %d %s", status, text)
			}
			// Logout needs SQL only.
			u.logoutPage.submit("/oidc/logout", "decision", "approve").wants(http.StatusOK)

			redis.Start()
			r.awaitsReady()
			if c.kept {
				u.code.submit("/login/code", "code", right).answer()
				if status, _ := r.userinfo(u.tokens.AccessToken); status != http.StatusOK {
					t.Errorf("userinfo with an access token that Redis kept: %d", status)
				}
				u.phone.submit("/login/phone", "phone", newNumber()).wants(http.StatusOK, "Check your phone")
			} else {
				u.code.submit("/login/code", "code", right).wants(http.StatusBadRequest, "timed out")
				u.code.submit("/login/resend").wants(http.StatusBadRequest, "timed out")
				u.phone.submit("/login/phone", "phone", newNumber()).wants(http.StatusBadRequest, "timed out")
				if status, _ := r.userinfo(u.tokens.AccessToken); status != http.StatusUnauthorized {
					t.Errorf("userinfo with an access token that Redis lost: %d", status)
				}
			}
			if n := len(r.gateway.to(u.number)); n != 1 {
				t.Errorf("%d texts, want the one before", n)
			}
			if !c.kept {
				// The redeemed code's session was ended by the logout above, its grant with it.
				if got := r.exchange(webClient, u.q, u.authCode); got.Error != "invalid_grant" {
					t.Errorf("code of an ended session: %d %s", got.status, got.Error)
				}
			}
			r.login(newBrowser(t), r.newRequest(webClient), u.number).answer()
		})
	}
}

// TestRedisKilledSpendsNothing kills Redis under the token endpoint.
func TestRedisKilledSpendsNothing(t *testing.T) {
	t.Parallel()
	redis := storagetest.StartRedis(t)
	r := start(t, withRedis(redis.URL), withoutAddressLimits())
	u := r.underWay()
	redis.Kill()
	for range 3 {
		r.downJSON(r.call(webClient, "/oauth/token", r.redeemForm(u.q, u.authCode)))
		r.downJSON(r.call(webClient, "/oauth/token", refreshForm(u.tokens.Refresh)))
	}
	redis.Start()
	r.awaitsReady()
	r.nothingSpent(u)
}

// TestRedisFlushedInTheMiddle empties Redis under a login (security.md row 26).
func TestRedisFlushedInTheMiddle(t *testing.T) {
	t.Parallel()
	redis := storagetest.StartRedis(t)
	r := start(t, withRedis(redis.URL))
	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	conn, err := net.Dial("unix", strings.TrimPrefix(redis.URL, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "FLUSHALL\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("+OK\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "+OK\r\n" {
		t.Fatalf("FLUSHALL: %q %v", answer, err)
	}
	p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusBadRequest, "timed out")
	r.login(newBrowser(t), r.newRequest(webClient), number).answer()
}

// TestRedisHangs stops Redis where it stands (SIGSTOP): answers come when the
// store's own patience ends, not the client's, and all goes on afterwards.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	redis := storagetest.StartRedis(t)
	r := start(t, withRedis(redis.URL), withoutAddressLimits(), withWaits(func(w *server.Waits) { w.Redis = 2 * time.Second }))
	u := r.underWay()
	right := r.gateway.code(u.number)
	redis.Pause()
	resumed := sync.OnceFunc(redis.Resume)
	defer resumed()
	var all sync.WaitGroup
	for name, fails := range r.withoutRedis(u) {
		all.Go(func() {
			began := time.Now()
			fails()
			// A command, once more if it may run twice, and the wait for a connection.
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s took %v while Redis hung, with timeouts of 2 s", name, took)
			} else {
				t.Logf("%s: %v", name, took)
			}
		})
	}
	all.Go(func() {
		if status, text := r.ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "redis") {
			t.Errorf("/readyz: %d %s", status, text)
		}
	})
	all.Go(r.publishes)
	all.Wait()
	resumed()
	r.awaitsReady()
	u.code.submit("/login/code", "code", right).answer()
	r.nothingSpent(u)
}

// TestDatabaseGone closes the database under a server: what needs it is 503, and
// the rest goes on.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	u := r.underWay()
	right := r.gateway.code(u.number)
	r.lost = true
	if err := r.server.SQL.Close(); err != nil {
		t.Fatal(err)
	}
	u.signedIn.get(r.base + "/authorize?" + r.newRequest(webClient).Encode()).down()
	u.signedIn.get(r.base + "/oidc/logout").down()
	u.logoutPage.submit("/oidc/logout", "decision", "approve").down()
	u.phone.submit("/login/phone", "phone", newNumber()).down()
	u.code.submit("/login/code", "code", right).down()
	r.authorize(newBrowser(t), r.newRequest(webClient).with("client_id", "of-the-database")).down()
	r.downJSON(r.call(webClient, "/oauth/token", r.redeemForm(u.q, u.authCode)))
	r.downJSON(r.call(webClient, "/oauth/token", refreshForm(u.tokens.Refresh)))
	r.downJSON(r.fetch(http.MethodGet, "/userinfo", "Authorization", "Bearer "+u.tokens.AccessToken))
	r.downJSON(r.call(webClient, "/oauth/introspect", url.Values{"token": {u.tokens.Refresh}}))
	r.downJSON(r.call(webClient, "/oauth/revoke", url.Values{"token": {u.tokens.Refresh}}))
	if status, text := r.ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "database") {
		t.Errorf("/readyz: %d %s", status, text)
	}
	r.publishes()
	// A client of the configuration is in memory, and a request in Redis.
	r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
}

// lock takes the write lock of a database file, as another process does, until
// the function that it returns.
func lock(t testing.TB, file string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		tx.Rollback()
		db.Close()
	})
	t.Cleanup(release)
	return release
}

// TestDatabaseLocked holds the database's write lock: nothing is written, what
// only reads goes on, and however many wait, each is told within its time.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	r := start(t, withDatabase(file), withoutAddressLimits())
	u := r.underWay()
	right := r.gateway.code(u.number)
	release := lock(t, file)
	var all sync.WaitGroup
	timed := func(fails func()) {
		all.Go(func() {
			began := time.Now()
			fails()
			// Five seconds of waiting for the lock, and no more for who stands behind
			// others; the rest is for a busy machine.
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("an answer took %v", took)
			}
		})
	}
	timed(func() { u.code.submit("/login/code", "code", right).down() })
	timed(func() { u.signedIn.get(r.base + "/authorize?" + r.newRequest(webClient).Encode()).down() })
	for range 3 {
		timed(func() { r.downJSON(r.call(webClient, "/oauth/token", r.redeemForm(u.q, u.authCode))) })
		timed(func() { r.downJSON(r.call(webClient, "/oauth/token", refreshForm(u.tokens.Refresh))) })
	}
	r.publishes()
	if status, _ := r.userinfo(u.tokens.AccessToken); status != http.StatusOK {
		t.Errorf("userinfo, which only reads: %d", status)
	}
	r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
	all.Wait()
	release()
	if got := r.exchange(webClient, u.q, u.authCode); got.status != http.StatusOK {
		t.Errorf("the authorization code afterwards: %d %s", got.status, got.Description)
	}
	r.newCodeAfterLoss(u.code, u.number)
	if got := r.refresh(webClient, u.tokens.Refresh); got.status != http.StatusOK {
		t.Errorf("the refresh token afterwards: %d %s", got.status, got.Description)
	}
}

// TestGatewayFails answers the text in every way that is not 200: the person
// reads so on the page where they are, their number is kept, and nothing is
// charged, however often they try.
func TestGatewayFails(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"Status500":    status(http.StatusInternalServerError),
		"Status401":    status(http.StatusUnauthorized),
		"Status201":    status(http.StatusCreated),
		"Status204":    status(http.StatusNoContent),
		"TooMany":      status(http.StatusTooManyRequests),
		"HangsUp":      func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"NotEvenHTTP":  hijacked("not HTTP\r\n\r\n"),
		"EndlessEarly": hijacked("HTTP/1.1 100 Continue\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t) // with all limits
			r.gateway.answers(answer)
			r.failsAndRecovers()
		})
	}
}

// failsAndRecovers sends ten texts that fail, twice what any limit would allow,
// and then one that does not.
func (r *rig) failsAndRecovers() {
	r.t.Helper()
	number := newNumber()
	typed := "0" + number[3:8] + " " + number[8:]
	p := r.authorize(newBrowser(r.t), r.newRequest(webClient)).wants(http.StatusOK)
	for range 10 {
		p = p.submit("/login/phone", "phone", typed, "country", "GB").wants(http.StatusServiceUnavailable, "cannot send texts right now")
		if p.header.Get("Retry-After") == "" {
			r.t.Error("503 without Retry-After")
		}
		if _, fields := p.form("/login/phone"); fields.Get("phone") != typed || fields.Get("country") != "GB" {
			r.t.Fatalf("the number was not kept: %v", fields)
		}
	}
	r.gateway.answers(nil)
	p = p.submit("/login/phone").wants(http.StatusOK, "Check your phone")
	if n := len(r.gateway.to(number)); n != 1 {
		r.t.Errorf("%d texts, want one", n)
	}
	code := r.gateway.code(number)
	// All of the burst is left but one.
	for range 4 {
		r.askCode(newBrowser(r.t), r.newRequest(webClient), number)
	}
	r.authorize(newBrowser(r.t), r.newRequest(webClient)).submit("/login/phone", "phone", number).wants(http.StatusTooManyRequests)
	p.submit("/login/code", "code", code).answer()
}

// hijacked answers with bytes and hangs up.
func hijacked(text string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(conn, text)
			conn.Close()
		}
		return false
	}
}

// TestGatewayRefuses has no one listen at the gateway's address, and then someone.
func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	address := porttest.Address(t)
	r := start(t, withConfig(func(c *config.Config) {
		c.Connections[0].Options = config.NewOptions(`{"provider":"sms_gateway","gateway_url":"http://` + address + `/send"}`)
	}))
	number := newNumber()
	p := r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
	for range 10 {
		p = p.submit("/login/phone", "phone", number).wants(http.StatusServiceUnavailable, "cannot send texts right now")
	}
	back, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: r.gateway}
	go s.Serve(back)
	defer s.Close()
	p.submit("/login/phone").wants(http.StatusOK, "Check your phone").submit("/login/code", "code", r.gateway.code(number)).answer()
}

// TestGatewayRedirects sends the text elsewhere: it is not followed, for the
// code would go to whoever the gateway names.
func TestGatewayRedirects(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			var followed atomic.Int32
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
			t.Cleanup(elsewhere.Close)
			r := start(t)
			r.gateway.answers(func(w http.ResponseWriter, req *http.Request) bool {
				http.Redirect(w, req, elsewhere.URL, code)
				return false
			})
			r.failsAndRecovers()
			if n := followed.Load(); n != 0 {
				t.Errorf("%d texts followed the redirect", n)
			}
		})
	}
}

// TestGatewayFailsLate answers after the page went on: the code page says so,
// and the next text is free and needs no waiting.
func TestGatewayFailsLate(t *testing.T) {
	t.Parallel()
	r := start(t, goesOnUnsent())
	release := make(chan struct{})
	r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		<-release
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
	number := newNumber()
	b := newBrowser(t)
	p := r.authorize(b, r.newRequest(webClient)).wants(http.StatusOK).submit("/login/phone", "phone", number)
	p.wants(http.StatusOK, "Check your phone")
	if strings.Contains(p.words(), "cannot send texts") {
		t.Error("the page knows of the failure before it happened")
	}
	r.gateway.answers(nil)
	close(release)
	awaits(t, "the page tells of the late failure", func() bool {
		p = b.get(p.url.String()).wants(http.StatusOK)
		return strings.Contains(p.words(), "cannot send texts right now")
	})
	p = p.submit("/login/resend").wants(http.StatusOK, "Check your phone")
	if strings.Contains(p.words(), "cannot send texts") {
		t.Error("the page still tells of the failure")
	}
	p.submit("/login/code", "code", r.gateway.code(number)).answer()
}

// TestNumberIsRefusedLate: that a number gets no texts comes out after the page went on.
// The code page says so, known person or not, and another number goes on with the login.
func TestNumberIsRefusedLate(t *testing.T) {
	t.Parallel()
	r := start(t, goesOnUnsent(), withoutAddressLimits())
	known := newNumber()
	r.person(known)
	var seen []string
	for _, number := range []string{known, newNumber()} {
		release := make(chan struct{})
		r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
			<-release
			w.WriteHeader(http.StatusUnprocessableEntity)
			return false
		})
		b := newBrowser(t)
		p := r.authorize(b, r.newRequest(webClient)).submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
		close(release)
		awaits(t, "the page tells that the number gets no texts", func() bool {
			p = b.get(p.url.String()).wants(http.StatusOK)
			return strings.Contains(p.words(), "Enter a mobile number that can get text messages")
		})
		if strings.Contains(p.words(), "cannot send texts") || strings.Contains(p.words(), "We sent") {
			t.Errorf("the page also says: %s", p.words())
		}
		seen = append(seen, varying.ReplaceAllString(p.words(), "_"))
		r.gateway.answers(nil)
		another := newNumber()
		p = b.get(r.base+"/login/phone?txn="+p.url.Query().Get("txn")).submit("/login/phone", "phone", another).wants(http.StatusOK, "We sent a 6-digit code")
		p.submit("/login/code", "code", r.gateway.code(another)).answer()
	}
	if seen[0] != seen[1] {
		t.Errorf("a known number is told\n%s\nan unknown one\n%s", seen[0], seen[1])
	}
}

// TestNumberIsRefusedWithoutSignup: where sign-up is off an unknown number is never
// texted, so that nothing may come out about one that is.
func TestNumberIsRefusedWithoutSignup(t *testing.T) {
	t.Parallel()
	r := start(t, withoutSignup(), withoutAddressLimits())
	known := newNumber()
	r.person(known)
	r.gateway.answers(status(http.StatusUnprocessableEntity))
	var seen []string
	for _, number := range []string{known, newNumber()} {
		b := newBrowser(t)
		p := r.authorize(b, r.newRequest(webClient)).submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
		r.timeline(p.reference(t), 1, 0) // it is over: with the number refused, or as a decoy
		p = b.get(p.url.String()).wants(http.StatusOK, "We sent a 6-digit code")
		seen = append(seen, varying.ReplaceAllString(p.words(), "_"))
	}
	if seen[0] != seen[1] {
		t.Errorf("a known number is told\n%s\nan unknown one\n%s", seen[0], seen[1])
	}
}

// TestSendAtTheCodePageFails keeps the person on the code page, where the code
// that they have still works.
func TestSendAtTheCodePageFails(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	r.clock.Advance(45 * time.Second)
	r.gateway.answers(status(http.StatusBadGateway))
	for range 3 {
		p = p.submit("/login/resend").wants(http.StatusServiceUnavailable, "cannot send texts right now")
	}
	p.submit("/login/code", "code", r.gateway.code(number)).answer()
}

// TestServersLeaveNothingBehind starts and stops servers, each after a login,
// and counts goroutines. It runs before the parallel tests.
func TestServersLeaveNothingBehind(t *testing.T) {
	once := func() {
		t.Run("server", func(t *testing.T) {
			r := start(t)
			r.login(newBrowser(t), r.newRequest(webClient), newNumber()).answer()
		})
		http.DefaultClient.CloseIdleConnections()
	}
	once() // what is started once for the process
	before := runtime.NumGoroutine()
	for range 20 {
		once()
	}
	var now int
	awaits(t, "no more goroutines than before", func() bool {
		http.DefaultClient.CloseIdleConnections()
		now = runtime.NumGoroutine()
		return now <= before
	})
	if now > before {
		t.Errorf("%d goroutines, before %d", now, before)
	}
}

// status makes a gateway answer so, without taking the text.
func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return code == http.StatusOK
	}
}
