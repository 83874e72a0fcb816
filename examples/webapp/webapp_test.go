package webapp

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// browser is a person's browser at a running application.
type browser struct {
	*http.Client
	app string
}

func newApp(t *testing.T, i *issuer) string {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	handler, err := New(t.Context(), Config{Issuer: i.URL, ClientID: "tiny", ClientSecret: "secret", BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return server.URL
}

func newBrowser(t *testing.T, app string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar, Timeout: 2 * time.Minute}, app}
}

// open returns status and body of an address, after all redirects.
func (b *browser) open(t *testing.T, address string) (int, string) {
	t.Helper()
	res, err := b.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// answerOf starts a login and returns the answer's address without opening it.
func (b *browser) answerOf(t *testing.T) *url.URL {
	t.Helper()
	held := *b.Client
	held.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oidc/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := held.Get(b.app + "/login")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestLoginShowsClaimsAndChecks(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	if _, body := b.open(t, app+"/"); !strings.Contains(body, `href="/login"`) || !strings.Contains(body, "<title>Example application</title>") {
		t.Errorf("no way to sign in, or not its name:\n%s", body)
	}
	status, body := b.open(t, app+"/login")
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200:\n%s", status, body)
	}
	for _, want := range []string{
		`data-check="State"`, `data-check="Nonce"`, `data-check="Signature"`,
		`data-claim="sub"`, "sms|0123456789abcdef01234567", "&#43;447700900982", "Ada &lt;script&gt;",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
}

// TestItsName: an application does not call itself by another's name.
func TestItsName(t *testing.T) {
	t.Parallel()
	h, err := New(t.Context(), Config{Name: "My <app>", Issuer: "http://127.0.0.1:1/", ClientID: "c", BaseURL: "http://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if n := strings.Count(w.Body.String(), "My &lt;app&gt;"); n != 3 { // title, header, heading
		t.Errorf("named %d times:\n%s", n, w.Body)
	}
}

func TestCallbackRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		issuer  func(*issuer)
		answer  func(url.Values)
		status  int
		heading string
	}{
		{"StateOfNobody", nil, func(q url.Values) { q.Set("state", "other") }, 400, "invalid state"},
		{"NoState", nil, func(q url.Values) { q.Del("state") }, 400, "invalid state"},
		{"AnotherIssuer", nil, func(q url.Values) { q.Set("iss", "https://evil.example") }, 400, "invalid issuer"},
		{"NoIssuer", nil, func(q url.Values) { q.Del("iss") }, 400, "invalid issuer"},
		{"AnotherNonce", claim("nonce", "other"), nil, 400, "invalid nonce"},
		{"NoNonce", claim("nonce", ""), nil, 400, "invalid nonce"},
		{"BadSignature", func(i *issuer) { i.signer = newKey() }, nil, 401, "invalid ID token"},
		{"AnotherAudience", claim("aud", "other"), nil, 401, "invalid ID token"},
		{"Expired", claim("exp", 1), nil, 401, "invalid ID token"},
		{"AccessTokenOfAnother", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), nil, 401, "invalid access token"},
		{"UserInfoOfAnother", func(i *issuer) { i.subject = "other" }, nil, 401, "invalid user info"},
		{"ErrorAnswer", func(i *issuer) { i.refuses = "access_denied" }, nil, 400, "access_denied: the person &lt;b&gt;said&lt;/b&gt; no"},
		{"NoTokens", func(i *issuer) { i.denies = true }, nil, 502, "invalid_grant: code is used up"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			if c.issuer != nil {
				i.set(c.issuer)
			}
			app := newApp(t, i)
			b := newBrowser(t, app)
			answer := b.answerOf(t)
			q := answer.Query()
			if c.answer != nil {
				c.answer(q)
			}
			answer.RawQuery = q.Encode()
			status, body := b.open(t, answer.String())
			if status != c.status || !strings.Contains(body, c.heading) {
				t.Errorf("status %d, want %d with %q:\n%s", status, c.status, c.heading, body)
			}
			if _, home := b.open(t, app+"/"); strings.Contains(home, "You are signed in") {
				t.Error("somebody is signed in")
			}
		})
	}
}

func claim(name string, value any) func(*issuer) {
	return func(i *issuer) { i.change = func(claims map[string]any) { claims[name] = value } }
}

func TestAnswerIsUsedOnce(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	answer := b.answerOf(t).String()
	if status, body := b.open(t, answer); status != http.StatusOK {
		t.Fatalf("status %d, want 200:\n%s", status, body)
	}
	if status, _ := b.open(t, answer); status != http.StatusBadRequest {
		t.Errorf("second use: status %d, want 400", status)
	}
}

func TestAnswerBelongsToItsBrowser(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	answer := newBrowser(t, app).answerOf(t).String()
	stranger := newBrowser(t, app)
	stranger.answerOf(t)
	if status, body := stranger.open(t, answer); status != http.StatusBadRequest || !strings.Contains(body, "invalid state") {
		t.Errorf("status %d, want 400 invalid state:\n%s", status, body)
	}
}

func TestTwoTabs(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	first, second := b.answerOf(t).String(), b.answerOf(t).String()
	for _, answer := range []string{second, first} {
		if status, body := b.open(t, answer); status != http.StatusOK {
			t.Errorf("status %d, want 200:\n%s", status, body)
		}
	}
}

func TestSessionChangesAtLogin(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	answer := b.answerOf(t)
	before := b.Jar.Cookies(answer)[0].Value
	b.open(t, answer.String())
	if after := b.Jar.Cookies(answer)[0].Value; after == before {
		t.Error("the session of before the login still counts")
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	b.open(t, app+"/login")
	res, err := b.PostForm(app+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), `href="/login"`) {
		t.Errorf("status %d, want the welcome page:\n%s", res.StatusCode, body)
	}
}

func TestLogoutFromAnotherSiteDoesNothing(t *testing.T) {
	t.Parallel()
	app := newApp(t, newIssuer(t))
	b := newBrowser(t, app)
	b.open(t, app+"/login")
	req, err := http.NewRequestWithContext(t.Context(), "POST", app+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", res.StatusCode)
	}
	if _, home := b.open(t, app+"/"); !strings.Contains(home, "You are signed in") {
		t.Error("signed out")
	}
}

// TestStartsBeforeTheProvider signs in once the provider has come up.
func TestStartsBeforeTheProvider(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.set(func(i *issuer) { i.down = true })
	app := newApp(t, i)
	b := newBrowser(t, app)
	if status, body := b.open(t, app+"/login"); status != http.StatusServiceUnavailable {
		t.Fatalf("status %d, want 503:\n%s", status, body)
	}
	i.set(func(i *issuer) { i.down = false })
	if status, body := b.open(t, app+"/login"); status != http.StatusOK {
		t.Errorf("status %d, want 200:\n%s", status, body)
	}
}

func TestNewRefusesHalfAConfiguration(t *testing.T) {
	t.Parallel()
	whole := Config{Issuer: "https://login.example.com/", ClientID: "tiny", BaseURL: "https://tiny.example"}
	cases := map[string]func(*Config){
		"NoIssuer": func(c *Config) { c.Issuer = "" },
		"NoClient": func(c *Config) { c.ClientID = "" },
		"NoBase":   func(c *Config) { c.BaseURL = "" },
		"BadBase":  func(c *Config) { c.BaseURL = "tiny" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := whole
			change(&config)
			if _, err := New(t.Context(), config); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newSessions()
	id := ""
	for n := range maxPending + 3 {
		id = s.begin(id, string(rune('a'+n)), pending{since: time.Unix(int64(n), 0)})
	}
	if got := len(s.byID[id].pending); got != maxPending {
		t.Errorf("%d logins under way in one browser, want %d", got, maxPending)
	}
	if _, kept := s.byID[id].pending["a"]; kept {
		t.Error("the oldest login was kept")
	}
	for range maxSessions + 2 {
		s.begin("", "state", pending{})
	}
	if got := len(s.byID); got != maxSessions {
		t.Errorf("%d sessions, want %d", got, maxSessions)
	}
}
