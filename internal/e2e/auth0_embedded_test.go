package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"github.com/handset-oidc/handset/config"
)

// loginPage is a page in which people type number and code themselves, by auth0-js.
// What an SDK's callback gets is in the field outcome.
const loginPage = `<!doctype html><title>Log in</title><script src="%[1]s"></script>
<pre id="outcome"></pre>
<script>
const webAuth = new auth0.WebAuth(%[2]s);
const outcome = document.querySelector("#outcome");
const tell = (err, res) => { outcome.textContent = JSON.stringify({ err, res }) };
function start(phoneNumber) {
	outcome.textContent = "";
	webAuth.passwordlessStart({ connection: "sms", send: "code", phoneNumber, xRequestLanguage: "fr" }, tell);
}
function login(phoneNumber, verificationCode) {
	outcome.textContent = "";
	webAuth.passwordlessLogin({ connection: "sms", phoneNumber, verificationCode, code_challenge: %[3]q, code_challenge_method: "S256" }, tell);
}
</script>`

// loginPageOf is loginPage with the settings of auth0-js.
func (r *rig) loginPageOf(script, domain string, settings object) string {
	r.t.Helper()
	settings = settings.but("domain", domain, "clientID", publicClient, "redirectUri", r.callback, "responseType", "code", "scope", "openid profile")
	text, err := json.Marshal(settings)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf(loginPage, script, text, oauth2.S256ChallengeFromVerifier(pageVerifier))
}

var pageVerifier = strings.Repeat("v", 43)

// logsInByPage starts, types a wrong code and the right one in an open loginPage, and
// redeems what comes back.
func (r *rig) logsInByPage(b *tab, refusal map[string]any) {
	t := r.t
	t.Helper()
	number := newNumber()
	outcome := func(call string) (err, res map[string]any) {
		t.Helper()
		b.text(call)
		b.until("outcome.textContent")
		var got struct{ Err, Res map[string]any }
		if err := json.Unmarshal([]byte(b.text("outcome.textContent")), &got); err != nil {
			t.Fatal(err)
		}
		return got.Err, got.Res
	}
	if failed, _ := outcome(`start("x")`); failed["code"] != "bad.phone_number" || failed["statusCode"] != 400.0 {
		t.Errorf("a bad number: %v", failed)
	}
	// The SDK writes the members' names its own way: _id is Id.
	if failed, res := outcome(fmt.Sprintf("start(%q)", number)); failed != nil || res["phoneNumber"] != number || res["Id"] == nil || res["phoneVerified"] != false {
		t.Errorf("start: %v %v", failed, res)
	}
	wantsFrench(t, r.gateway.wait(number, 1))
	code := r.gateway.code(number)
	failed, _ := outcome(fmt.Sprintf("login(%q, %q)", number, wrong(code, 1)))
	for name, want := range refusal {
		if failed[name] != want {
			t.Errorf("a wrong code: %s is %v, want %v", name, failed[name], want)
		}
	}
	b.excused() // the two refusals, which the browser notes
	b.text(fmt.Sprintf("login(%q, %q)", number, code))
	answer := b.answer()
	got := r.token(publicClient, url.Values{"grant_type": {"authorization_code"}, "code": {answer.Get("code")},
		"redirect_uri": {r.callback}, "code_verifier": {pageVerifier}})
	if got.status != http.StatusOK || claims(t, got.IDToken)["sub"] == nil {
		t.Errorf("the code of %v brings %d %s", answer, got.status, got.Description)
	}
}

// auth0JS are the versions of auth0-js.
var auth0JS = []string{"auth0-js-10", "auth0-js-9"}

// Row 7, case D: auth0-js in a page of another origin: start, wrong code, right code,
// /authorize with the login ticket.
func TestAuth0JSEmbedded(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	chrome := chromium(t)
	eachSDK(t, auth0JS, func(t *testing.T, name string) {
		page := ""
		app := httptest.NewServer(pageOf(t, func() string { return page }, map[string]string{"/auth0.js": name + "/dist/auth0.min.js"}))
		t.Cleanup(app.Close)
		r := start(t, onRealTime(), withPasswordless(), withConfig(func(c *config.Config) {
			for i := range c.Clients {
				if c.Clients[i].ClientID == publicClient {
					c.Clients[i].AllowedOrigins = []string{app.URL}
				}
			}
		}))
		page = r.loginPageOf("/auth0.js", r.base, object{"overrides": object{
			"__token_issuer": r.issuer, "__jwks_uri": r.base + "/.well-known/jwks.json",
		}})
		b := newTab(t, chrome, looks[0])
		b.open(app.URL)
		r.logsInByPage(b, map[string]any{"code": "access_denied", "description": wrongCode})
		if b.sent(http.MethodOptions, "/passwordless/start") == 0 {
			t.Error("the start had no preflight")
		}
		if b.sent(http.MethodPost, "/co/authenticate") != 2 || b.sent(http.MethodGet, "/authorize") != 1 {
			t.Errorf("the page sent %v", b.requests)
		}
	})
}

// Row 7, case D: auth0-js in a page whose host is the domain, as Auth0's classic login
// pages are: here a reverse proxy in front of Handset serves it, and passes on the rest.
// The page checks the code by /passwordless/verify, and leaves for verify_redirect.
func TestAuth0JSHostedPage(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	chrome := chromium(t)
	eachSDK(t, auth0JS, func(t *testing.T, name string) {
		var handset *url.URL
		proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(handset)
			p.SetXForwarded()
			p.Out.Host = p.In.Host
		}}
		page := ""
		front := http.NewServeMux()
		front.Handle("/classic/", pageOf(t, func() string { return page }, map[string]string{"/classic/auth0.js": name + "/dist/auth0.min.js"}))
		front.Handle("/", proxy)
		server := httptest.NewUnstartedServer(front)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{localhost().pair}}
		server.StartTLS()
		t.Cleanup(server.Close)

		r := start(t, onRealTime(), withPasswordless(), func(o *options) {
			o.issuer = func(address string) string {
				handset = &url.URL{Scheme: "http", Host: address}
				_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
				return "https://localhost:" + port + "/"
			}
		}, withConfig(func(c *config.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}))
		r.http = localClient()
		page = r.loginPageOf("/classic/auth0.js", r.domain(), object{})
		b := newTab(t, chrome, looks[0])
		b.do(b.call(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
			return err
		}))
		b.open(r.base + "/classic/login")
		r.logsInByPage(b, map[string]any{"code": "invalid_user_password", "description": wrongCode, "statusCode": 401.0})
		if b.sent(http.MethodPost, "/passwordless/verify") != 2 || b.sent(http.MethodGet, "/passwordless/verify_redirect") != 1 {
			t.Errorf("the page sent %v", b.requests)
		}
		if b.sent(http.MethodOptions, "/passwordless/start") != 0 || b.sent(http.MethodPost, "/co/authenticate") != 0 {
			t.Errorf("the page crossed origins: %v", b.requests)
		}
	})
}
