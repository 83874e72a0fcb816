package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/handset-oidc/handset/config"
)

// Line breaks in what comes back in a header.
func TestAttackSplitTheResponse(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	for _, evil := range []string{
		"x\r\nSet-Cookie: handset_sid=AAAAAAAAAAAAAAAAAAAAAAAAAA", "x\r\n\r\n<script>alert(1)</script>", "x\nX-Evil: 1", "x\rX-Evil: 1",
		"x\u0085X-Evil: 1", "x\u2028X-Evil: 1", "\u560d\u560aX-Evil: 1", "%0d%0aX-Evil: 1", "x\x00X-Evil: 1", "x&code=evil", "x#code=evil", "x;code=evil",
	} {
		for _, mode := range responseModes {
			q := r.newRequest(webClient).with("state", evil, "response_mode", mode, "prompt", "none")
			got := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", r.cookies(b))
			if len(got.header.Values("Set-Cookie")) > 0 || got.header.Get("X-Evil") != "" || strings.Contains(got.body, "<script>alert") {
				t.Errorf("state %q by %s: %v", evil, mode, got.header)
			}
			to := got.header.Get("Location")
			if strings.Contains(to, "code=evil") || strings.ContainsFunc(to, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("state %q by %s: Location %q", evil, mode, to)
			}
		}
		for _, name := range []string{"client_id", "redirect_uri", "response_mode", "prompt", "scope", "ui_locales", "login_hint", "nonce"} {
			q := r.newRequest(webClient).with(name, evil)
			got := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", r.cookies(b))
			if got.header.Get("X-Evil") != "" || strings.Contains(strings.Join(got.header.Values("Set-Cookie"), ""), "handset_sid=A") || strings.ContainsAny(got.header.Get("Location"), "\r\n") {
				t.Errorf("%s %q: %v", name, evil, got.header)
			}
		}
		out := send(t, http.MethodGet, r.base+"/oidc/logout?"+url.Values{"state": {evil}, "client_id": {webClient}, "post_logout_redirect_uri": {r.callback + "/bye"}}.Encode(), nil)
		if out.header.Get("X-Evil") != "" || strings.Contains(out.body, "<script>alert") {
			t.Errorf("logout state %q", evil)
		}
	}
}

// Markup in everything that a page shows again.
func TestAttackMarkupInParameters(t *testing.T) {
	t.Parallel()
	const name = `<script>alert("app")</script>'"><img src=x onerror=alert(1)>`
	r := start(t, withoutAddressLimits(), withClient("marked", func(c *config.Client) {
		c.ClientSecret, c.Name = config.NewSecret(secret), name
	}))
	evil := []string{
		`<script>alert(1)</script>`, `"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `" autofocus onfocus="alert(1)`, `' onmouseover='alert(1)`,
		`</title><script>alert(1)</script>`, `</textarea><svg onload=alert(1)>`, `javascript:alert(1)`, `{{7*7}}`, `<!--`, `]]>`, "\x00<script>", `&lt;script&gt;alert(1)`, "\u202e<b>",
	}
	check := func(what string, p *page) {
		t.Helper()
		if strings.Contains(p.body, "alert(1)</script>") || strings.Contains(p.body, "<img src=x") || strings.Contains(p.body, "<svg") {
			t.Errorf("%s: raw in the page", what)
		}
		wantsOwnAssets(t, what, p)
		for n := range p.doc.Descendants() {
			if n.Type == html.ElementNode && (n.Data == "b" || n.Data == "img" && attribute(n, "src") == "x") {
				t.Errorf("%s: <%s>", what, n.Data)
			}
			for _, a := range n.Attr {
				if (a.Key == "href" || a.Key == "action") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					t.Errorf("%s: %s=%s", what, a.Key, a.Val)
				}
			}
		}
	}
	b, number := newBrowser(t), newNumber()
	code := r.askCode(b, r.newRequest("marked"), number)
	check("client name on the code page", code)
	if !strings.Contains(code.words(), `alert("app")`) {
		t.Error("the name is not shown as text")
	}
	for _, x := range evil {
		p := r.authorize(newBrowser(t), r.newRequest("marked").with("login_hint", x, "ui_locales", x, "display", x, "state", x, "nonce", x))
		check("parameters of the request", p)
		check("the number", p.submit("/login/phone", "phone", x))
		check("the country", p.submit("/login/phone", "phone", "07400100", "country", x))
		check("the code", code.submit("/login/code", "code", x))
		check("csrf", code.submit("/login/code", "csrf", x))
		check("txn", b.get(r.base+"/login/code?txn="+url.QueryEscape(x)))
		check("notice", b.get(code.url.String()+"&notice="+url.QueryEscape(x)))
		check("client_id", r.authorize(b, r.newRequest(webClient).with("client_id", x)))
		check("redirect_uri", r.authorize(b, r.newRequest(webClient).with("redirect_uri", x)))
		check("logout", b.get(r.base+"/oidc/logout?"+url.Values{"client_id": {x}, "state": {x}, "ui_locales": {x}, "post_logout_redirect_uri": {x}}.Encode()))
		check("logout hint", b.get(r.base+"/oidc/logout?"+url.Values{"id_token_hint": {x}, "logout_hint": {x}}.Encode()))
		check("path", b.get(r.base+"/"+url.PathEscape(x)))
		check("language", func() *page {
			b := newBrowser(t)
			b.header.Set("Accept-Language", strings.Map(func(c rune) rune { return max(c, ' ') }, x))
			return r.authorize(b, r.newRequest("marked"))
		}())
	}
	signed, _ := r.signedIn(t)
	for _, x := range evil {
		check("form_post", r.authorize(signed, r.newRequest(webClient).with("state", x, "response_mode", "form_post")))
		check("form_post error", r.authorize(signed, r.newRequest(webClient).with("state", x, "response_mode", "form_post", "prompt", x)))
	}
	// JSON answers do not echo either.
	for _, x := range evil {
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
			got := send(t, http.MethodPost, r.base+path, url.Values{"grant_type": {x}, "client_id": {x}, "code": {x}, "token": {x}, "scope": {x}})
			if strings.Contains(got.body, "alert") || got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
				t.Errorf("%s: %s %s", path, got.header.Get("Content-Type"), got.body)
			}
		}
	}
}
