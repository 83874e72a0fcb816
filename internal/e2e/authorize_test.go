package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/handset-oidc/handset/config"
)

var responseModes = []string{"query", "fragment", "form_post"}

// ask opens the authorization endpoint with a query as it is, to the byte.
func (r *rig) ask(b *browser, rawQuery string) *page {
	b.t.Helper()
	return b.get(r.base + "/authorize?" + rawQuery)
}

// answerBy is the authorization response, which must have come in this mode
// and no other.
func (p *page) answerBy(mode string) url.Values {
	p.b.t.Helper()
	switch mode {
	case "form_post":
		p = p.wants(http.StatusOK).submit("/cb")
		if !strings.HasPrefix(p.body, "callback POST ") || p.url.RawQuery != "" || p.url.Fragment != "" {
			p.b.t.Fatalf("form_post: the callback got %q at %s", p.body, p.url)
		}
		return p.answer()
	case "fragment":
		if !strings.HasPrefix(p.body, "callback GET") || p.url.RawQuery != "" {
			p.b.t.Fatalf("fragment: at %s (%d): %s", p.url, p.status, p.words())
		}
		v, err := url.ParseQuery(p.url.EscapedFragment())
		if err != nil {
			p.b.t.Fatal(err)
		}
		return v
	default:
		if p.url.Fragment != "" {
			p.b.t.Fatalf("query: the response has a fragment: %s", p.url)
		}
		return p.answer()
	}
}

// signedIn is a browser whose person has logged in to the client web.
func (r *rig) signedIn(t testing.TB) (b *browser, number string) {
	t.Helper()
	b, number = newBrowser(t), newNumber()
	if code := r.in(t).login(b, r.newRequest(webClient), number).answer().Get("code"); code == "" {
		t.Fatal("login brought no code")
	}
	return b, number
}

// RFC 6749 §4.1.2.1: without a client and an address of it that are beyond
// doubt, nothing is redirected.
func TestAuthorizationErrorsWithoutATargetAreShownToThePerson(t *testing.T) {
	t.Parallel()
	r := start(t)
	good := r.newRequest(webClient)
	cb := url.QueryEscape(r.callback)
	for _, tt := range []struct{ name, query, kind string }{
		{"nothing at all", "", ""},
		{"client_id missing", good.with("client_id", "").Encode(), "client_id"},
		{"client_id empty", good.with("client_id", "").Encode() + "&client_id=", "client_id"},
		{"client_id unknown", good.with("client_id", "nobody").Encode(), "client_id"},
		{"client_id unknown, redirect_uri missing", good.with("client_id", "nobody", "redirect_uri", "").Encode(), "no application is registered by this client_id"},
		{"client_id unknown, redirect_uri twice", good.with("client_id", "nobody").Encode() + "&redirect_uri=" + cb, "no application is registered by this client_id"},
		{"client_id of other case", good.with("client_id", "Web").Encode(), "client_id"},
		{"client_id twice", good.Encode() + "&client_id=web", "client_id"},
		{"redirect_uri missing", good.with("redirect_uri", "").Encode(), "redirect_uri"},
		{"redirect_uri empty", good.with("redirect_uri", "").Encode() + "&redirect_uri=", "redirect_uri"},
		{"redirect_uri not registered", good.with("redirect_uri", "https://evil.example/cb").Encode(), "redirect_uri"},
		{"redirect_uri with more path", good.with("redirect_uri", r.callback+"/more").Encode(), "redirect_uri"},
		{"redirect_uri with a query", good.with("redirect_uri", r.callback+"?x=1").Encode(), "redirect_uri"},
		{"redirect_uri twice", good.Encode() + "&redirect_uri=" + cb, "redirect_uri"},
		{"redirect_uri twice, one empty", good.Encode() + "&redirect_uri=", "redirect_uri"},
		{"redirect_uri of no client's login", good.with("client_id", machine).Encode(), "redirect_uri"},
		{"a semicolon between parameters", "client_id=web;redirect_uri=" + cb, ""},
		{"half an escape", good.Encode() + "&state=%4", ""},
		{"wrong target and another error", good.with("redirect_uri", "https://evil.example/cb", "response_type", "token").Encode(), "redirect_uri"},
	} {
		for _, mode := range append([]string{""}, responseModes...) {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				query := tt.query
				if mode != "" {
					query += "&response_mode=" + mode
				}
				p := r.ask(newBrowser(t), query)
				p.wants(http.StatusBadRequest, tt.kind)
				if p.url.Host+p.url.Path != strings.TrimPrefix(r.base, "http://")+"/authorize" {
					t.Errorf("the browser was led to %s", p.url)
				}
				for n := range p.doc.Descendants() {
					if n.Type == html.ElementNode && (strings.Contains(attribute(n, "href"), "evil") || attribute(n, "action") != "") {
						t.Errorf("the page leads on: %s %v", n.Data, n.Attr)
					}
				}
				if p.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
					t.Errorf("headers: %v", p.header)
				}
			})
		}
	}
}

// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, RFC 9207 §2: everything else goes to
// the client, with error, state and iss, in the mode it asked for.
func TestAuthorizationErrorsGoToTheClient(t *testing.T) {
	t.Parallel()
	r := start(t, withClient("no-code", func(c *config.Client) {
		c.ClientSecret, c.GrantTypes = config.NewSecret(secret), []string{"refresh_token"}
	}))
	good := func(client string, pairs ...string) string { return r.newRequest(client).with(pairs...).Encode() }
	long := strings.Repeat("s", 2049)
	for _, tt := range []struct {
		name, query, code string
		says              string // in error_description
		stateless         bool   // the state can't be echoed
	}{
		{name: "response_type missing", query: good(webClient, "response_type", ""), code: "invalid_request", says: "response_type"},
		{name: "response_type empty", query: good(webClient, "response_type", "") + "&response_type=", code: "invalid_request", says: "response_type"},
		{name: "response_type token", query: good(webClient, "response_type", "token"), code: "unsupported_response_type"},
		{name: "response_type id_token", query: good(webClient, "response_type", "id_token"), code: "unsupported_response_type"},
		{name: "response_type code token", query: good(webClient, "response_type", "code token"), code: "unsupported_response_type"},
		{name: "response_type code id_token", query: good(webClient, "response_type", "code id_token"), code: "unsupported_response_type"},
		{name: "response_type none", query: good(webClient, "response_type", "none"), code: "unsupported_response_type"},
		{name: "response_type in capitals", query: good(webClient, "response_type", "CODE"), code: "unsupported_response_type"},
		{name: "response_type twice", query: good(webClient) + "&response_type=code", code: "invalid_request"},
		{name: "client without the grant", query: good("no-code"), code: "unauthorized_client"},
		{name: "scope missing", query: good(webClient, "scope", ""), code: "invalid_scope"},
		{name: "scope empty", query: good(webClient, "scope", "") + "&scope=", code: "invalid_scope"},
		{name: "scope of spaces", query: good(webClient, "scope", "  "), code: "invalid_scope"},
		{name: "scope of unknown words", query: good(webClient, "scope", "email admin"), code: "invalid_scope"},
		{name: "scope twice", query: good(webClient) + "&scope=openid", code: "invalid_request"},
		{name: "state twice", query: good(webClient) + "&state=other", code: "invalid_request", stateless: true},
		{name: "state too long", query: good(webClient, "state", long), code: "invalid_request", says: "state", stateless: true},
		{name: "state that is no text", query: good(webClient, "state", "\xff\xfe"), code: "invalid_request", says: "state", stateless: true},
		{name: "nonce twice", query: good(webClient) + "&nonce=other", code: "invalid_request"},
		{name: "nonce too long", query: good(webClient, "nonce", long), code: "invalid_request", says: "nonce"},
		{name: "nonce that is no text", query: good(webClient, "nonce", "\xff\xfe"), code: "invalid_request", says: "nonce"},
		{name: "unknown parameter twice", query: good(webClient) + "&x=1&x=2", code: "invalid_request"},
		{name: "unknown parameter twice, once empty", query: good(webClient) + "&x=1&x=", code: "invalid_request"},
		{name: "request", query: good(webClient, "request", "e30.e30."), code: "request_not_supported"},
		{name: "request_uri", query: good(webClient, "request_uri", "https://evil.example/r"), code: "request_uri_not_supported"},
		{name: "registration", query: good(webClient, "registration", "{}"), code: "registration_not_supported"},
		{name: "prompt none without a session", query: good(webClient, "prompt", "none"), code: "login_required"},
		{name: "prompt none with login", query: good(webClient, "prompt", "none login"), code: "invalid_request", says: "prompt"},
		{name: "prompt unknown", query: good(webClient, "prompt", "sing"), code: "invalid_request", says: "prompt"},
		{name: "prompt in capitals", query: good(webClient, "prompt", "None"), code: "invalid_request", says: "prompt"},
		{name: "prompt twice", query: good(webClient) + "&prompt=login&prompt=login", code: "invalid_request"},
		{name: "max_age negative", query: good(webClient, "max_age", "-1"), code: "invalid_request", says: "max_age"},
		{name: "max_age with a plus", query: good(webClient, "max_age", "+1"), code: "invalid_request", says: "max_age"},
		{name: "max_age a fraction", query: good(webClient, "max_age", "1.5"), code: "invalid_request", says: "max_age"},
		{name: "max_age a word", query: good(webClient, "max_age", "soon"), code: "invalid_request", says: "max_age"},
		{name: "max_age twice", query: good(webClient) + "&max_age=1&max_age=1", code: "invalid_request"},
		{name: "public client without PKCE", query: good(publicClient, "code_challenge", "", "code_challenge_method", ""), code: "invalid_request", says: "code_challenge"},
		{name: "native client without PKCE", query: good(nativeClient, "code_challenge", "", "code_challenge_method", ""), code: "invalid_request", says: "code_challenge"},
		{name: "require_pkce", query: good(strictClient, "code_challenge", "", "code_challenge_method", ""), code: "invalid_request", says: "require_pkce"},
		{name: "require_state", query: good(strictClient, "state", ""), code: "invalid_request", says: "require_state", stateless: true},
		{name: "require_state, empty", query: good(strictClient, "state", "") + "&state=", code: "invalid_request", says: "state", stateless: true},
		{name: "require_nonce", query: good(strictClient, "nonce", ""), code: "invalid_request", says: "require_nonce"},
		{name: "PKCE plain", query: good(webClient, "code_challenge_method", "plain"), code: "invalid_request", says: "S256"},
		{name: "PKCE without a method, which means plain", query: good(webClient, "code_challenge_method", ""), code: "invalid_request", says: "S256"},
		{name: "PKCE with another method", query: good(webClient, "code_challenge_method", "S512"), code: "invalid_request", says: "S256"},
		{name: "PKCE method alone", query: good(webClient, "code_challenge", ""), code: "invalid_request", says: "code_challenge"},
		{name: "PKCE challenge of another size", query: good(webClient, "code_challenge", "short"), code: "invalid_request", says: "code_challenge"},
		{name: "PKCE challenge twice", query: good(webClient) + "&code_challenge=x", code: "invalid_request"},
	} {
		for _, mode := range append([]string{""}, responseModes...) {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				query := tt.query
				if mode != "" {
					query += "&response_mode=" + mode
				}
				got := r.ask(newBrowser(t), query).answerBy(mode)
				r.wantsError(t, got, tt.code, tt.says)
				sent, err := url.ParseQuery(tt.query)
				if err != nil {
					t.Fatal(err)
				}
				want := sent["state"]
				if tt.stateless {
					want = nil
				}
				if strings.Join(got["state"], "|") != strings.Join(want, "|") {
					t.Errorf("state = %q, want %q", got["state"], want)
				}
			})
		}
	}
}

// wantsError checks an authorization error response.
func (r *rig) wantsError(t testing.TB, got url.Values, code, says string) {
	t.Helper()
	if got.Get("error") != code || !strings.Contains(got.Get("error_description"), says) {
		t.Errorf("error = %q (%q), want %q that says %q", got.Get("error"), got.Get("error_description"), code, says)
	}
	if got.Get("iss") != r.issuer {
		t.Errorf("iss = %q, want %q", got.Get("iss"), r.issuer)
	}
	if got.Has("code") {
		t.Error("an error came with a code")
	}
	for name, values := range got {
		if len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
}

func TestUnknownResponseModeIsAnErrorInTheQuery(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, mode := range []string{"web_message", "query.jwt", "QUERY", "fragment form_post"} {
		q := r.newRequest(webClient).with("response_mode", mode)
		got := r.authorize(newBrowser(t), q).answerBy("query")
		r.wantsError(t, got, "invalid_request", "response_mode")
		if got.Get("state") != q.Get("state") {
			t.Errorf("%s: state = %q", mode, got.Get("state"))
		}
	}
	got := r.ask(newBrowser(t), r.newRequest(webClient).Encode()+"&response_mode=fragment&response_mode=fragment").answerBy("query")
	r.wantsError(t, got, "invalid_request", "")
}

func TestRequestsThatAreTaken(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	for _, tt := range []struct{ name, client, change string }{
		{name: "as it stands", client: webClient},
		{name: "unknown parameters", client: webClient, change: "&foo=bar&request_object=1&resource_x=2"},
		{name: "empty values", client: webClient, change: "&request=&request_uri=&registration=&response_mode=&max_age=&id_token_hint=&login_hint=&x="},
		{name: "unknown scope beside openid", client: webClient, change: "&acr_values=urn:x&display=popup&claims=%7B%7D&audience="},
		{name: "max_age zero-padded", client: webClient, change: "&max_age=003600"},
		{name: "max_age of many years", client: webClient, change: "&max_age=99999999999"},
		{name: "public", client: publicClient},
		{name: "native", client: nativeClient},
		{name: "strict", client: strictClient},
		{name: "basic", client: basicClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, _ := r.signedIn(t)
			q := r.newRequest(tt.client)
			got := r.ask(b, q.Encode()+"&prompt=none"+tt.change).answerBy("query")
			if got.Get("code") == "" || got.Get("state") != q.Get("state") || got.Get("iss") != r.issuer || len(got) != 3 {
				t.Errorf("answer: %v", got)
			}
		})
	}
	t.Run("nothing that is not required", func(t *testing.T) {
		t.Parallel()
		b, _ := r.signedIn(t)
		q := url.Values{"client_id": {webClient}, "redirect_uri": {r.callback}, "response_type": {"code"}, "scope": {"openid"}}
		got := r.ask(b, q.Encode()).answerBy("query")
		if got.Get("code") == "" || got.Has("state") || got.Get("iss") != r.issuer {
			t.Errorf("answer: %v", got)
		}
	})
	t.Run("a challenge that is empty", func(t *testing.T) {
		t.Parallel()
		b, _ := r.signedIn(t)
		q := r.newRequest(webClient).with("code_challenge", "", "code_challenge_method", "")
		if got := r.ask(b, q.Encode()+"&code_challenge=&code_challenge_method=").answerBy("query"); got.Get("code") == "" {
			t.Errorf("answer: %v", got)
		}
	})
}

func TestPromptsThatAskForALogin(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	for _, tt := range []struct {
		prompt string
		asks   bool
	}{
		{"login", true}, {"select_account", true}, {"consent login", true}, {"login login", true}, {"consent", false},
	} {
		t.Run(tt.prompt, func(t *testing.T) {
			t.Parallel()
			b, _ := r.signedIn(t)
			p := r.authorize(b, r.newRequest(webClient).with("prompt", tt.prompt))
			if asked := strings.HasSuffix(p.url.Path, "/login/phone"); asked != tt.asks {
				t.Errorf("asks for a login: %v, want %v; at %s", asked, tt.asks, p.url.Path)
			}
		})
	}
}

// hardTexts are what a state or nonce may be. Line breaks are left out: HTML
// forms change them.
func hardTexts() map[string]string {
	return map[string]string{
		"2 KiB of Unicode":      strings.Repeat("状態🔑", 204) + "12345678",
		"2 KiB of ASCII":        strings.Repeat("x", 2048),
		"what looks escaped":    "%00%0d%0a%25+%2B&amp;&#0;\\u0000\\x00",
		"what separates":        `a=b&c=d;e#f?g/h:i@j"k'l<m>n` + "`o\\p|q{r}",
		"spaces at both ends":   "  state  ",
		"right-to-left, joined": "\u202eمرحبا\u200d\u00a0e\u0301é",
		"a JSON object":         `{"return":"/a?b=c&d=</script>"}`,
		"one character":         "0",
	}
}

func TestStateComesBackAndNonceGoesOnToTheByte(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	for name, text := range hardTexts() {
		for _, mode := range responseModes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				r := r.in(t)
				b, _ := r.signedIn(t)
				// Not both at once: 2 KiB of Unicode are 6 KiB in a URL, which may have 8.
				q := r.newRequest(webClient).with("state", text, "response_mode", mode)
				if got := r.authorize(b, q).answerBy(mode); got.Get("state") != text || got.Get("code") == "" {
					t.Errorf("state = %q, want %q", got.Get("state"), text)
				}
				q = r.newRequest(webClient).with("nonce", text, "response_mode", mode)
				code := r.authorize(b, q).answerBy(mode).Get("code")
				if got := claims(t, r.exchange(webClient, q, code).IDToken)["nonce"]; got != text {
					t.Errorf("nonce = %q, want %q", got, text)
				}
			})
		}
	}
	t.Run("through the login pages", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		text := hardTexts()["what separates"] + hardTexts()["right-to-left, joined"] + "\x00"
		q := r.newRequest(webClient).with("state", text, "nonce", text)
		got := r.login(newBrowser(t), q, newNumber()).answerBy("query")
		if got.Get("state") != text {
			t.Errorf("state = %q, want %q", got.Get("state"), text)
		}
		if n := claims(t, r.exchange(webClient, q, got.Get("code")).IDToken)["nonce"]; n != text {
			t.Errorf("nonce = %q, want %q", n, text)
		}
	})
}

func TestEveryResponseModeAfterALogin(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, mode := range responseModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			q := r.newRequest(webClient).with("response_mode", mode)
			got := r.login(newBrowser(t), q, newNumber()).answerBy(mode)
			if got.Get("state") != q.Get("state") || got.Get("iss") != r.issuer {
				t.Errorf("answer: %v", got)
			}
			if tokens := r.exchange(webClient, q, got.Get("code")); tokens.status != http.StatusOK {
				t.Errorf("exchange: %d %s", tokens.status, tokens.Error)
			}
		})
	}
}

func TestRegisteredQueryOfARedirectURIIsKept(t *testing.T) {
	t.Parallel()
	var address string
	r := start(t, withClient("queried", func(c *config.Client) {
		c.ClientSecret = config.NewSecret(secret)
		address = c.Callbacks[0] + "?a=%7E1&b"
		c.Callbacks = []string{address}
	}))
	b, _ := r.signedIn(t)
	p := r.authorize(b, r.newRequest("queried").with("redirect_uri", address))
	if !strings.HasPrefix(p.url.RawQuery, "a=%7E1&b&code=") {
		t.Errorf("query of the response: %s", p.url.RawQuery)
	}
}

// OIDC Core §3.1.2.1 wants GET and POST. A cross-site POST comes without our
// cookies and finds the session all the same, by the 303 that follows.
func TestAuthorizationRequestByPost(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	for _, mode := range responseModes {
		q := r.newRequest(webClient).with("prompt", "none", "response_mode", mode)
		got := b.post(r.base+"/authorize", q.Values).answerBy(mode)
		if got.Get("code") == "" || got.Get("state") != q.Get("state") {
			t.Errorf("%s: answer by POST: %v", mode, got)
		}
	}
	q := r.newRequest(webClient).with("response_type", "token")
	r.wantsError(t, b.post(r.base+"/authorize", q.Values).answerBy("query"), "unsupported_response_type", "")

	q = r.newRequest(webClient).with("prompt", "login")
	b.post(r.base+"/authorize", q.Values).wants(http.StatusOK, "Mobile number")

	p := b.post(r.base+"/authorize", r.newRequest("nobody").Values)
	p.wants(http.StatusBadRequest, "client_id")
	b.post(r.base+"/authorize?"+r.newRequest(webClient).Encode(), url.Values{}).wants(http.StatusBadRequest, "client_id")

	bare := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := bare.PostForm(r.base+"/authorize", r.newRequest(webClient).Values)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Set-Cookie") != "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("POST: %d %v, want 303 without a cookie", res.StatusCode, res.Header)
	}
}

// What was posted must not stand in an address, which proxies write down and which
// is not as long as a body may be.
func TestPostedRequestsStandInNoAddress(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	var asked []string
	b.watch(func(res *http.Response) { asked = append(asked, res.Request.URL.String()) })
	q := r.newRequest(webClient).with("prompt", "none", "id_token_hint", strings.Repeat("hint", 1000),
		"ui_locales", strings.Repeat("ja ", 1000), "acr_values", strings.Repeat("urn:x ", 500), "x", strings.Repeat("y", 4000))
	// A hint that does not verify asks for a login.
	if got := b.post(r.base+"/authorize", q.Values).answer(); got.Get("error") != "login_required" {
		t.Errorf("a long request by POST: %v", got)
	}
	b.post(r.base+"/oidc/logout", url.Values{"id_token_hint": {strings.Repeat("hint", 1000)}}).wants(http.StatusBadRequest, "id_token_hint")
	for _, address := range asked {
		if strings.Contains(address, "hinthint") || strings.HasPrefix(address, r.base) && strings.Contains(address, q.Get("state")) {
			t.Errorf("the address tells what was posted: %.200s", address)
		}
	}

	// The reference is worth nothing elsewhere, beside other parameters, or later.
	bare := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := bare.PostForm(r.base+"/authorize", r.newRequest(webClient).Values)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	newBrowser(t).get(to.String()).form("/login/phone")
	newBrowser(t).get(r.base+"/oidc/logout?"+to.RawQuery).wants(http.StatusBadRequest, "timed out")
	newBrowser(t).get(to.String()+"&x=y").wants(http.StatusBadRequest, "client_id is missing")
	newBrowser(t).get(r.base+"/authorize?posted=made-up").wants(http.StatusBadRequest, "timed out")
}
