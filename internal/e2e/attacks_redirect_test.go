package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// strayFrom are spellings that someone, somewhere, took for
// https://app.example/cb, or that lead elsewhere.
var strayFrom = []string{
	"https://evil.example/cb", "//evil.example/cb", "/cb", "cb", "?", "#", " ", "https:", "https://", "https:///cb",
	"https://app.example/CB", "https://APP.example/cb", "HTTPS://app.example/cb", "Https://app.example/cb",
	"https://app.example/cb/", "https://app.example//cb", "https://app.example/cb//", "https://app.example", "https://app.example/",
	"https://app.example/cb?", "https://app.example/cb?x=1", "https://app.example/cb#", "https://app.example/cb#x",
	"https://app.example/cb;x", "https://app.example/cb&x", "https://app.example/cb%00", "https://app.example/cb%20",
	"https://app.example/./cb", "https://app.example/x/../cb", "https://app.example/cb/.", "https://app.example/cb/..", "https://app.example/cb/../../evil",
	"https://app.example/%63b", "https://app.example/c%62", "https://app.example/c%62%3f", "https:%2F%2Fapp.example/cb", "https%3A%2F%2Fapp.example%2Fcb",
	"https://app.example/%2563b", "https://app.example%2Fcb", "https://app.example/cb%2f..%2fevil",
	"https://user@app.example/cb", "https://user:pass@app.example/cb", "https://@app.example/cb", "https://:@app.example/cb",
	"https://app.example@evil.example/cb", "https://app.example:443@evil.example/cb", "https://app.example%40evil.example/cb",
	"https://evil.example#@app.example/cb", "https://evil.example?@app.example/cb", "https://evil.example/https://app.example/cb",
	"https://app.example.evil.example/cb", "https://evilapp.example/cb", "https://app.example./cb", "https://app.exampl\u0435/cb", "https://\uff41pp.example/cb",
	"https://app\u3002example/cb", "https://app.example\u200b/cb", "https://xn--app.example/cb", "https://app.example\u2044cb",
	"https://app.example:443/cb", "https://app.example:8443/cb", "https://app.example:/cb", "https://app.example:0/cb", "https://app.example:99999/cb", "https://app.example:44e1/cb",
	"http://app.example/cb", "ftp://app.example/cb", "javascript:alert(1)", "javascript://app.example/cb%0aalert(1)", "data:text/html,x", "vbscript:x", "file:///cb",
	"https://app.example\\@evil.example/cb", "https:\\\\app.example\\cb", "https://app.example/cb\\", "https:/app.example/cb", "https:app.example/cb", "https:/\\app.example/cb",
	"https://app.example/cb\t", "\thttps://app.example/cb", "https://app.exa\tmple/cb", "https://app.example/cb\n", "https://app.example/cb\r\nLocation: https://evil.example", "https://app.example/cb\x00",
	" https://app.example/cb", "https://app.example/cb ", "\ufeffhttps://app.example/cb", "https://app.example/cb https://evil.example/cb", "https://app.example/cb,https://evil.example/cb",
	"https://app.example/*", "https://*.example/cb", "*", "https://[::1]/cb", "https://127.0.0.1/cb",
	"https://app.example/cb'; script-src *", "https://app.example/cb\"><script>alert(1)</script>",
}

// strayFromNative are those of a native client with a loopback address and a
// scheme of its own; only a port may vary.
var strayFromNative = []string{
	"http://localhost/cb", "http://localhost:80/cb", "http://LOCALHOST:8080/cb", "https://127.0.0.1/cb", "https://127.0.0.1:8080/cb",
	"http://127.0.0.2:8080/cb", "http://127.1:8080/cb", "http://127.0.1:8080/cb", "http://2130706433:8080/cb", "http://0x7f.0.0.1:8080/cb", "http://0177.0.0.1/cb", "http://0.0.0.0:8080/cb",
	"http://127.0.0.1.:8080/cb", "http://127.0.0.1.evil.example:8080/cb", "http://127.0.0.1:8080.evil.example/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1@evil.example/cb",
	"http://user@127.0.0.1:8080/cb", "http://:@127.0.0.1:8080/cb", "http://127.0.0.1:8080\\@evil.example/cb", "http://127.0.0.1:8080/\\evil.example/cb",
	"http://127.0.0.1:0/cb", "http://127.0.0.1:00080/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1:100000/cb", "http://127.0.0.1:/cb",
	"http://127.0.0.1:-80/cb", "http://127.0.0.1:+80/cb", "http://127.0.0.1:8 0/cb", "http://127.0.0.1:8080x/cb", "http://127.0.0.1:80:80/cb", "http://127.0.0.1:\uff18\uff10/cb", "http://127.0.0.1:%38%30/cb",
	"http://127.0.0.1:8080/CB", "http://127.0.0.1:8080/cb/", "http://127.0.0.1:8080//cb", "http://127.0.0.1:8080/cb?x", "http://127.0.0.1:8080/cb#x", "http://127.0.0.1:8080/x/../cb", "http://127.0.0.1:8080/%63b", "http://127.0.0.1:8080", "http://127.0.0.1:8080/",
	"http://[::1]:8080/cb", "http://[::1%25lo]:8080/v6", "http://[::1%lo]:8080/v6", "http://[0:0:0:0:0:0:0:1]:8080/v6", "http://[::ffff:127.0.0.1]:8080/v6", "http://::1:8080/v6", "http://[::1]:8080", "http://[::1]x:8080/v6",
	"HTTP://127.0.0.1:8080/cb", "http://127.0.0.1:8080\t/cb", "http://127.0.0.1:8080\r\n/cb", "http://127.0.0.1:8080 /cb", "http:/127.0.0.1:8080/cb", "http:127.0.0.1:8080/cb",
	"com.example.app:/cb/", "com.example.app://cb", "com.example.app:cb", "COM.example.app:/cb", "com.example.app:/cb?x", "com.example.app:/cb#x", "com.example.app2:/cb", "com.example.app:8080/cb", "com.example:/cb",
	"http://127.0.0.1:8080;script-src/cb",
}

// redirects are the clients that attacks on redirect URIs aim at.
func redirects() option {
	return func(o *options) {
		withClient("app", func(c *config.Client) {
			c.ClientSecret = config.NewSecret(secret)
			c.Callbacks, c.AllowedLogoutURLs = []string{"https://app.example/cb"}, []string{"https://app.example/cb"}
		})(o)
		withClient("phone", func(c *config.Client) {
			c.AppType, c.RequirePKCE = "native", true
			c.Callbacks = []string{"http://127.0.0.1/cb", "http://[::1]/v6", "com.example.app:/cb"}
			c.AllowedLogoutURLs = nil
		})(o)
	}
}

// wantsNoRedirect fails if an answer leads anywhere, or shows the address in a
// way that a browser would act on.
func (a reply) wantsNoRedirect(t testing.TB, what, uri string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || a.header.Get("Refresh") != "" || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%s %q: %d to %q", what, uri, a.status, a.header.Get("Location"))
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self'") {
		t.Errorf("%s %q: policy %q", what, uri, csp)
	}
	if strings.Contains(a.body, "evil") || strings.Contains(a.body, "<meta http-equiv") || strings.Contains(a.body, "alert(1)") {
		t.Errorf("%s %q: the page shows the address", what, uri)
	}
}

// security.md §3.1 and §3.2, oidc-library G3 and G4.
func TestAttackOpenRedirect(t *testing.T) {
	t.Parallel()
	r := start(t, redirects(), withoutAddressLimits())
	b, _ := r.signedIn(t)
	cookie := r.cookies(b)
	attack := func(client, uri string) {
		t.Helper()
		q := r.newRequest(client).with("redirect_uri", uri)
		for _, query := range []string{
			q.Encode(), q.with("prompt", "none").Encode(), q.with("response_mode", "form_post", "prompt", "none").Encode(),
			q.with("response_type", "token").Encode(), q.with("scope", "").Encode(),
		} {
			send(t, http.MethodGet, r.base+"/authorize?"+query, nil, "Cookie", cookie).wantsNoRedirect(t, client, uri)
		}
		by := send(t, http.MethodPost, r.base+"/authorize", q.Values, "Cookie", cookie)
		if to := by.location(t); by.status != http.StatusSeeOther || to.Host != "" || to.Path != "/authorize" {
			t.Errorf("%q by POST: %d to %q", uri, by.status, by.header.Get("Location"))
		}
	}
	if len(strayFrom) < 40 {
		t.Fatalf("%d spellings", len(strayFrom))
	}
	for _, uri := range strayFrom {
		attack("app", uri)
		attack("phone", uri)
	}
	for _, uri := range strayFromNative {
		attack("phone", uri)
	}
	// A web application's port does not vary, loopback or not.
	attack(webClient, "http://127.0.0.1:1/cb")
	attack(webClient, strings.Replace(r.callback, "127.0.0.1", "localhost", 1))
	attack(publicClient, "http://127.0.0.1/cb")
	// What is registered with another client.
	attack("app", r.callback)
	attack("phone", "https://app.example/cb")

	// The parameter as it stands in the URL, escaped by the attacker's own hand.
	rest := r.newRequest("app").with("redirect_uri", "").Encode()
	for _, raw := range []string{
		"redirect_uri=https://app.example/cb&redirect_uri=https://evil.example/cb", "redirect_uri=https://evil.example/cb&redirect_uri=https://app.example/cb",
		"redirect_uri=https://app.example/cb&redirect_uri=", "redirect_uri[]=https://app.example/cb", "redirect_uri%00=https://app.example/cb", "Redirect_Uri=https://app.example/cb",
		"redirect_uri=https://app.example/%2563b", "redirect_uri=https://app.example/cb%23", "redirect_uri=https://app.example/cb%3F", "redirect_uri=https://app.example/cb%26",
		"redirect_uri=https://app.example/cb;redirect_uri=https://evil.example/cb", "redirect_uri=https://app.example/cb+", "redirect_uri=%68ttps://app.example/cb%", "redirect_uri=%zz", "redirect_uri",
	} {
		send(t, http.MethodGet, r.base+"/authorize?"+rest+"&"+raw, nil, "Cookie", cookie).wantsNoRedirect(t, "raw", raw)
	}
}

// What must go on working, or the refusals above prove nothing.
func TestRedirectURIsThatAreTaken(t *testing.T) {
	t.Parallel()
	r := start(t, redirects())
	b, _ := r.signedIn(t)
	for client, uris := range map[string][]string{
		"app": {"https://app.example/cb"},
		"phone": {"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:8080/cb", "http://127.0.0.1:65535/cb",
			"http://[::1]/v6", "http://[::1]:49152/v6", "com.example.app:/cb"},
	} {
		for _, uri := range uris {
			q := r.newRequest(client).with("redirect_uri", uri)
			got := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", r.cookies(b))
			if !strings.HasPrefix(got.header.Get("Location"), uri+"?code=") {
				t.Errorf("%s: %d to %q", uri, got.status, got.header.Get("Location"))
			}
		}
	}
	// Escaped in the URL, as RFC 3986 allows every character to be.
	rest := r.newRequest("app").with("redirect_uri", "").Encode()
	got := send(t, http.MethodGet, r.base+"/authorize?"+rest+"&redirect_uri=%68ttps:%2F%2Fapp.example%2f%63b", nil, "Cookie", r.cookies(b))
	if !strings.HasPrefix(got.header.Get("Location"), "https://app.example/cb?code=") {
		t.Errorf("%d to %q", got.status, got.header.Get("Location"))
	}
}

// security.md §3.34: the same for post_logout_redirect_uri, with a hint that
// ends the session without a question, with client_id alone, and with nobody
// signed in. The refusal comes before anything is ended.
func TestAttackOpenRedirectAtLogout(t *testing.T) {
	t.Parallel()
	r := start(t, redirects())
	q, number := r.newRequest("app").with("redirect_uri", "https://app.example/cb"), newNumber()
	p := r.askCode(newBrowser(t), q, number)
	first := r.stolen(p, "/login/code", "code", r.gateway.code(number)).send(t)
	got := r.exchange("app", q, first.location(t).Query().Get("code"), "client_secret", secret)
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Error)
	}
	cookie := strings.SplitN(first.header.Get("Set-Cookie"), ";", 2)[0]

	for _, uri := range strayFrom {
		if uri == "" {
			continue
		}
		for _, query := range []url.Values{
			{"id_token_hint": {got.IDToken}}, {"client_id": {"app"}}, {"id_token_hint": {got.IDToken}, "client_id": {"app"}}, {},
		} {
			query.Set("post_logout_redirect_uri", uri)
			query.Set("state", "s")
			for _, c := range []string{cookie, "handset_x=1"} {
				send(t, http.MethodGet, r.base+"/oidc/logout?"+query.Encode(), nil, "Cookie", c).wantsNoRedirect(t, "logout", uri)
			}
		}
	}
	for _, raw := range []string{
		"post_logout_redirect_uri=https://app.example/cb&post_logout_redirect_uri=https://evil.example/cb",
		"post_logout_redirect_uri=https://app.example/%2563b", "post_logout_redirect_uri=https://app.example/cb;x=1",
	} {
		send(t, http.MethodGet, r.base+"/oidc/logout?client_id=app&"+raw, nil, "Cookie", cookie).wantsNoRedirect(t, "logout", raw)
	}
	// Without a hint nobody is sent anywhere unasked, registered or not.
	asked := send(t, http.MethodGet, r.base+"/oidc/logout?client_id=app&post_logout_redirect_uri=https://app.example/cb", nil)
	if asked.status != http.StatusOK || asked.header.Get("Location") != "" {
		t.Errorf("nobody signed in, no hint: %d to %q", asked.status, asked.header.Get("Location"))
	}
	silent := send(t, http.MethodGet, r.base+"/authorize?"+q.with("prompt", "none").Encode(), nil, "Cookie", cookie)
	if !silent.location(t).Query().Has("code") {
		t.Error("a refused logout ended the session")
	}
}

// The policy of the login pages names the application's origins, since browsers
// apply form-action to the redirect behind the form, and nothing that an
// address could smuggle in.
func TestAttackPolicyInjection(t *testing.T) {
	t.Parallel()
	odd := []string{
		"https://odd.example/cb;script-src%20x", "https://odd.example/cb?a;script-src", "https://odd.example/'unsafe-inline'", "https://odd.example:8443/,x",
		"https://semi;colon.example/cb", "https://com,ma.example/cb", "https://quo'te.example/cb", "com.odd.app:/cb;x",
	}
	r := start(t, withClient("odd", func(c *config.Client) {
		c.AppType, c.RequirePKCE = "native", true
		c.Callbacks, c.AllowedLogoutURLs = odd, nil
	}))
	const start = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self' "
	for _, uri := range odd {
		p := r.authorize(newBrowser(t), r.newRequest("odd").with("redirect_uri", uri)).wants(http.StatusOK, "Mobile number")
		list, ok := strings.CutPrefix(p.header.Get("Content-Security-Policy"), start)
		if !ok {
			t.Fatalf("%s: policy %q", uri, p.header.Get("Content-Security-Policy"))
		}
		for source := range strings.SplitSeq(list, " ") {
			switch source {
			case "https://odd.example", "https://odd.example:8443", "com.odd.app:":
			default:
				t.Errorf("%s: form-action has %q", uri, source)
			}
		}
	}
	// A plain client's page has its origin.
	p := r.authorize(newBrowser(t), r.newRequest(webClient))
	origin := strings.TrimSuffix(r.callback, "/cb")
	if got := p.header.Get("Content-Security-Policy"); got != start+origin {
		t.Errorf("policy %q, want form-action %s", got, origin)
	}
}
