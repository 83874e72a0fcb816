package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// everyPage is each page of a login and around it, with a browser's way to it.
func (r *rig) everyPage(t testing.TB) map[string]*page {
	t.Helper()
	r = r.in(t)
	fresh := func() *browser {
		if strings.HasPrefix(r.base, "https") {
			return trusting(t)
		}
		return newBrowser(t)
	}
	out := map[string]*page{}
	b, number, q := fresh(), newNumber(), r.newRequest(webClient)
	out["number"] = r.authorize(b, q)
	out["number refused"] = out["number"].submit("/login/phone", "phone", "12")
	out["code"] = out["number"].submit("/login/phone", "phone", number)
	code := r.gateway.code(number)
	out["code wrong"] = out["code"].submit("/login/code", "code", wrong(code, 0))
	out["resend too early"] = out["code"].submit("/login/resend")
	out["another browser's"] = fresh().get(out["code"].url.String())
	out["form of another site"] = out["code"].submit("/login/code", "csrf", "x", "code", code)
	r.clock.Advance(6 * time.Minute)
	out["code expired"] = b.get(out["code"].url.String())
	out["code again"] = out["code"].submit("/login/resend")
	r.gateway.wait(number, 2)
	tab := r.authorize(b, r.newRequest(webClient))
	out["code again"].submit("/login/code", "code", r.gateway.code(number)).answer()
	out["signed in elsewhere"] = b.get(tab.url.String())
	out["form post"] = r.authorize(b, r.newRequest(webClient).with("response_mode", "form_post"))
	out["no application"] = r.authorize(b, r.newRequest("nobody"))
	out["no such address"] = r.authorize(b, q.with("redirect_uri", "https://evil.example/"))
	out["sign out?"] = b.get(r.base + "/oidc/logout")
	out["bad logout"] = b.get(r.base + "/oidc/logout?id_token_hint=x")
	out["signed out"] = out["sign out?"].submit("/oidc/logout", "decision", "approve")
	out["not found"] = b.get(r.base + "/nowhere")
	out["not understood"] = b.get(r.base + "/authorize?a;b")
	return out
}

// security.md §4: no page may be framed, sniffed, kept or load what is not ours.
func TestAttackFrameOrSniffAPage(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...option) *rig{"http": start, "https": startTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			for name, p := range r.everyPage(t) {
				for field, want := range map[string]string{
					"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
					"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin-allow-popups", "Cross-Origin-Resource-Policy": "same-origin",
					"Permissions-Policy": "otp-credentials=(self)", "Access-Control-Allow-Origin": "", "Server": "", "X-Powered-By": "",
				} {
					if got := p.header.Get(field); got != want {
						t.Errorf("%s: %s %q, want %q", name, field, got, want)
					}
				}
				hsts := p.header.Get("Strict-Transport-Security")
				if (hsts != "") != strings.HasPrefix(r.base, "https:") || hsts != "" && hsts != "max-age=31536000" {
					t.Errorf("%s: HSTS %q", name, hsts)
				}
				wantsPolicy(t, name, p.header.Get("Content-Security-Policy"))
				wantsOwnAssets(t, name, p)
			}
		})
	}
}

func wantsPolicy(t testing.TB, page, policy string) {
	t.Helper()
	got := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		if _, twice := got[name]; twice {
			t.Errorf("%s: %s is there twice", page, name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "img-src": "'self'",
		"base-uri": "'none'", "object-src": "'none'", "frame-ancestors": "'none'",
	} {
		if got[name] != want {
			t.Errorf("%s: %s %q, want %q", page, name, got[name], want)
		}
	}
	if !strings.HasPrefix(got["form-action"], "'self'") || strings.ContainsAny(got["form-action"], "*,") {
		t.Errorf("%s: form-action %q", page, got["form-action"])
	}
}

// wantsOwnAssets looks for scripts, styles and handlers in the page itself, and
// for anything from elsewhere.
func wantsOwnAssets(t testing.TB, name string, p *page) {
	t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script", "style", "iframe", "object", "embed", "base":
			if n.Data != "script" || n.FirstChild != nil && attribute(n, "type") == "" {
				t.Errorf("%s: <%s>", name, n.Data)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "formaction" {
				t.Errorf("%s: attribute %s of %s", name, a.Key, n.Data)
			}
			if (a.Key == "src" || n.Data == "link" && a.Key == "href") && !strings.HasPrefix(a.Val, "/assets/") && !strings.HasPrefix(a.Val, "data:image/") {
				t.Errorf("%s: %s loads %s", name, n.Data, a.Val)
			}
		}
	}
}

// security.md §4: over https every cookie is bound to this host; without the
// prefix, as a neighbouring host could plant it, a cookie says nothing.
func TestAttackCookiesOverHTTPS(t *testing.T) {
	t.Parallel()
	r := startTLS(t)
	b, number := trusting(t), newNumber()
	var set []string
	b.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		set = append(set, req.Response.Header.Values("Set-Cookie")...)
		return nil
	}
	q := r.newRequest(webClient)
	code := r.login(b, q, number).answer().Get("code")
	if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
		t.Fatalf("login over https: %d %s", got.status, got.Error)
	}
	seen := map[string]bool{}
	for _, line := range set {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		seen[c.Name] = true
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || strings.Contains(strings.ToLower(line), "domain") || len(c.Value) < 26 {
			t.Errorf("cookie %s", line)
		}
	}
	if !seen["__Host-handset_txn"] || !seen["__Host-handset_sid"] || len(seen) != 2 {
		t.Errorf("cookies %v", seen)
	}
	sid, txn := r.cookie(b, "__Host-handset_sid"), r.cookie(b, "__Host-handset_txn")
	silent := r.base + "/authorize?" + r.newRequest(webClient).with("prompt", "none").Encode()
	if got := send(t, http.MethodGet, silent, nil, "Cookie", "__Host-handset_sid="+sid); !got.location(t).Query().Has("code") {
		t.Fatalf("the session: %d", got.status)
	}
	for _, planted := range []string{"handset_sid=" + sid, "__Secure-handset_sid=" + sid, "__host-handset_sid=" + sid, "\u2000__Host-handset_sid=" + sid,
		"$Version=1,__Host-handset_sid=" + sid, "__Host-handset_sid=\"" + sid + "x\"", "__Host-handset_sid=" + strings.ToLower(sid), "__Host-handset_sid=" + sid[:25], "__Host-handset_sid=" + sid + "A"} {
		if got := send(t, http.MethodGet, silent, nil, "Cookie", planted); got.location(t).Query().Get("error") != "login_required" {
			t.Errorf("cookie %q: %d to %s", planted, got.status, got.header.Get("Location"))
		}
	}
	p := r.askCode(b, r.newRequest(webClient).with("prompt", "login"), newNumber())
	if got := send(t, http.MethodGet, p.url.String(), nil, "Cookie", "handset_txn="+txn); got.status != http.StatusBadRequest {
		t.Errorf("a transaction cookie without its prefix: %d", got.status)
	}
	// Signing out takes the cookie away under the same name and flags.
	out := r.stolen(b.get(r.base+"/oidc/logout"), "/oidc/logout", "decision", "approve").send(t)
	if c, err := http.ParseSetCookie(out.header.Get("Set-Cookie")); err != nil || c.Name != "__Host-handset_sid" || c.MaxAge >= 0 || !c.Secure || c.Path != "/" {
		t.Errorf("sign out: %q", out.header.Get("Set-Cookie"))
	}
}

// oidc-library G16: no other origin reads what a cookie protects.
func TestAttackReadAcrossOrigins(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	open := []string{"/oauth/token", "/userinfo", "/oauth/revoke", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			got := send(t, method, r.base+path, url.Values{}, "Origin", "https://evil.example", "Cookie", r.cookies(b),
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
			allowed := got.header.Get("Access-Control-Allow-Origin")
			if allowed != "" && allowed != "*" || allowed == "*" && !slices.Contains(open, path) {
				t.Errorf("%s %s: Access-Control-Allow-Origin %q", method, path, allowed)
			}
			if got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: with credentials", method, path)
			}
			if path == "/authorize" && got.status < 400 && method == http.MethodOptions {
				t.Errorf("preflight of /authorize: %d", got.status)
			}
		}
	}
}
