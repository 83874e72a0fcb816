package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// Applications made with Auth0's SDKs for logins by redirect: nothing of them knows of
// Handset but the domain.

// startApp starts an application of internal/e2e/auth0, and returns its address.
func startApp(t testing.TB, script string) (app nodeRP, address string) {
	t.Helper()
	app = nodeScript(t, script)
	var at struct{ URL string }
	app.hear(&at)
	return app, at.URL
}

// registered tells an application its registration, and waits until it serves.
func (rp nodeRP) registered(settings map[string]any) {
	rp.t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		rp.t.Fatal(err)
	}
	rp.tell(string(text))
	var ready struct{ Ready bool }
	rp.hear(&ready)
}

// TestAuth0Express: express-openid-connect asks for an ID token by form post unless it
// is told otherwise, and for a code when it is.
func TestAuth0Express(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	for name, c := range map[string]struct {
		grants   []string
		settings map[string]any
		info     bool
	}{
		"ID token by form post": {[]string{"implicit"}, map[string]any{"authorizationParams": map[string]any{"connection": "sms"}}, false},
		"code": {[]string{"authorization_code", "refresh_token"}, map[string]any{
			"clientSecret": secret, "auth0Logout": true, "idpLogout": true,
			"authorizationParams": map[string]any{"response_type": "code", "scope": "openid profile phone offline_access", "connection": "sms"},
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, at := startApp(t, "express.mjs")
			r := start(t, onRealTime(), withClient("express", func(cl *config.Client) {
				cl.Callbacks, cl.AllowedLogoutURLs, cl.GrantTypes = []string{at + "/callback"}, []string{at}, c.grants
				cl.ClientSecret, cl.RequirePKCE, cl.RequireState, cl.RequireNonce = config.NewSecret(secret), false, false, false
			}))
			c.settings["issuerBaseURL"], c.settings["clientID"] = r.base, "express"
			app.registered(c.settings)

			b, number := newBrowser(t), newNumber()
			p := b.get(at+"/profile").wants(http.StatusOK).submit("/login/phone", "phone", number).wants(http.StatusOK)
			p = p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusOK)
			if !c.info {
				p = p.submit("/callback").wants(http.StatusOK)
			}
			var profile struct{ Claims, Info map[string]any }
			if err := json.Unmarshal([]byte(p.body), &profile); err != nil {
				t.Fatalf("%s: %s", p.url, p.body)
			}
			if profile.Claims["iss"] != r.issuer || profile.Claims["aud"] != "express" || c.info && profile.Info["phone_number"] != number {
				t.Errorf("profile %v", profile)
			}
			b.get(at+"/").wants(http.StatusOK, "signed in")
			p = b.get(at + "/logout")
			if c.info { // by /v2/logout, where the person is asked
				if p.url.Path != "/oidc/logout" {
					t.Errorf("logout led to %s", p.url)
				}
				p = p.submit("/oidc/logout", "decision", "approve")
				r.loginRequired(b)
			}
			if p.wants(http.StatusOK, "signed out"); !strings.HasPrefix(p.url.String(), at) {
				t.Errorf("logout ended at %s", p.url)
			}
		})
	}
}

// TestAuth0Passport (row 12): passport-auth0 in an Express application, which asks for a
// code and has no PKCE.
func TestAuth0Passport(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	app, at := startApp(t, "passport.mjs")
	r := startAuth0(t, withClient("passport", func(cl *config.Client) {
		cl.Callbacks, cl.AllowedLogoutURLs = []string{at + "/callback"}, []string{at}
		cl.ClientSecret, cl.RequirePKCE = config.NewSecret(secret), false
	}))
	app.registered(map[string]any{"domain": r.domain(), "clientID": "passport", "clientSecret": secret})
	b, number := newBrowser(t), newNumber()
	b.client.Transport = r.http.Transport
	b.get(at+"/").wants(http.StatusOK, "null")
	p := b.get(at+"/login").wants(http.StatusOK).submit("/login/phone", "phone", number).wants(http.StatusOK)
	p = p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusOK)
	var person map[string]any
	if err := json.Unmarshal([]byte(p.body), &person); err != nil {
		t.Fatalf("%s: %s", p.url, p.body)
	}
	if sub, _ := person["sub"].(string); !strings.HasPrefix(sub, "sms|") || person["iss"] != r.issuer || person["aud"] != "passport" {
		t.Errorf("signed in: %v", person)
	}
	b.get(at+"/callback?error=access_denied").wants(http.StatusUnauthorized, "refused")
	p = b.get(at+"/logout").submit("/oidc/logout", "decision", "approve").wants(http.StatusOK, "null")
	if !strings.HasPrefix(p.url.String(), at) {
		t.Errorf("logout ended at %s", p.url)
	}
	r.loginRequired(b)
}

// TestAuth0NextJS (row 6): @auth0/nextjs-auth0 by the three ways that it has: calls in
// the handler of a route, calls with a request and a response, and its own routes, as its
// middleware answers them. A domain with a port is one to it by its whole address and
// allowInsecureRequests alone; requests go by https all the same.
func TestAuth0NextJS(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	r := startAuth0(t)
	s := r.sdk("./nextjs.mjs", `
		it.auth0 = new sdk.Auth0Client({
			domain: 'https://' + domain, clientId, clientSecret, allowInsecureRequests: true,
			appBaseUrl: 'http://localhost:3000', secret: 'a long and random string that seals cookies',
		});
		it.cookie = (res) => res.cookies.getAll().map(({name, value}) => name + '=' + value).join('; ');
		it.user = async (cookie) => (await it.auth0.getSession(sdk.request('/', {headers: {cookie}})))?.user;
		it.post = (path, body) => it.auth0.middleware(sdk.request(path, {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)}));`)
	for way, c := range map[string]struct{ start, verify string }{
		"in a handler": {
			`await sdk.handled(() => it.auth0.passwordless.start({connection: 'sms', phoneNumber: number, language: 'fr'}))`,
			`const {cookie} = await sdk.handled(() => it.auth0.passwordless.verify({connection: 'sms', phoneNumber: number, verificationCode: code}));
			return it.user(cookie)`,
		},
		"with a request": {
			`await it.auth0.passwordless.start(sdk.request('/'), new sdk.NextResponse(), {connection: 'sms', phoneNumber: number, language: 'fr'})`,
			`const res = new sdk.NextResponse();
			await it.auth0.passwordless.verify(sdk.request('/'), res, {connection: 'sms', phoneNumber: number, verificationCode: code});
			return it.user(it.cookie(res))`,
		},
		"by its routes": {
			`const res = await it.post('/auth/passwordless/start', {connection: 'sms', phoneNumber: number, language: 'fr'});
			if (res.status !== 204) throw {...await res.json(), class: 'PasswordlessStartError'}`,
			`const res = await it.post('/auth/passwordless/verify', {connection: 'sms', phoneNumber: number, verificationCode: code});
			if (res.status !== 200) throw {...await res.json(), class: 'PasswordlessVerifyError'};
			return it.user(it.cookie(res))`,
		},
	} {
		wantsThrown(t, s.fails(c.start, args{"number": "x"}), map[string]any{"class": "PasswordlessStartError", "error": "bad.phone_number"})
		number := newNumber()
		s.run(c.start, args{"number": number}, nil)
		wantsFrench(t, r.gateway.wait(number, 1))
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(c.verify, args{"number": number, "code": wrong(code, 1)}),
			map[string]any{"class": "PasswordlessVerifyError", "error": "invalid_grant", "error_description": wrongCode})
		var user map[string]any
		s.run(c.verify, args{"number": number, "code": code}, &user)
		if sub, _ := user["sub"].(string); !strings.HasPrefix(sub, "sms|") {
			t.Errorf("%s: the session's person is %v", way, user)
		}
	}
}

const spaPage = `<!doctype html><title>SPA</title><script src="/spa.js"></script>
<p id="who"></p><button id="login">Log in</button><button id="renew">Renew</button><button id="logout">Log out</button>
<script>
const show = (text) => { who.textContent = text };
(async () => {
	const client = await auth0.createAuth0Client({
		domain: %[1]q, clientId: "spa-js", %[2]s
		authorizationParams: { redirect_uri: location.origin + "/cb", connection: "sms" },
	});
	login.onclick = () => client.loginWithRedirect();
	logout.onclick = () => client.logout({ logoutParams: { returnTo: location.origin + "/" } });
	renew.onclick = async () => {
		const before = await client.getTokenSilently();
		const after = await client.getTokenSilently({ cacheMode: "off" });
		show(before !== after ? "renewed" : "the same token");
	};
	if (location.search.includes("code=")) {
		await client.handleRedirectCallback();
		history.replaceState(null, "", "/");
	}
	const user = await client.getUser();
	show(user ? "signed in as " + user.sub + " " + user.phone_number : "signed out");
})().catch((err) => show("failed: " + err.message));
</script>`

const byRefreshToken = `useRefreshTokens: true, cacheLocation: "localstorage",`

// reactPage does what spaPage does, by React.
const reactPage = `<!doctype html><title>React</title>
<script src="/react.js"></script><script src="/react-dom.js"></script><script src="/auth0-react.js"></script>
<div id="root"></div>
<script>
const h = React.createElement;
function App() {
	const { isLoading, error, user, loginWithRedirect, getAccessTokenSilently, logout } = reactAuth0.useAuth0();
	const [renewed, setRenewed] = React.useState("");
	const renew = async () => {
		const before = await getAccessTokenSilently();
		const after = await getAccessTokenSilently({ cacheMode: "off" });
		setRenewed(before !== after ? "renewed" : "the same token");
	};
	const shown = isLoading ? "loading" : error ? "failed: " + error.message
		: user ? "signed in as " + user.sub + " " + user.phone_number : "signed out";
	return h(React.Fragment, null,
		h("p", { id: "who" }, renewed || shown),
		h("button", { id: "login", onClick: () => loginWithRedirect() }, "Log in"),
		h("button", { id: "renew", onClick: renew }, "Renew"),
		h("button", { id: "logout", onClick: () => logout({ logoutParams: { returnTo: location.origin + "/" } }) }, "Log out"));
}
ReactDOM.createRoot(document.getElementById("root")).render(h(reactAuth0.Auth0Provider, {
	domain: %[1]q, clientId: "spa-js", %[2]s
	authorizationParams: { redirect_uri: location.origin + "/cb", connection: "sms" },
}, h(App)));
</script>`

// TestAuth0SinglePageApp: auth0-spa-js, and auth0-react around it, log in by redirect
// and renew their token, from another origin than ours: by a refresh token, or, as they do
// unless told otherwise, in a hidden frame by the session.
func TestAuth0SinglePageApp(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	browser := chromium(t)
	for name, c := range map[string]struct {
		page    string
		options string
		scripts map[string]string
	}{
		"by default":   {spaPage, "authorizeTimeoutInSeconds: 20,", map[string]string{"/spa.js": "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js"}},
		"auth0-spa-js": {spaPage, byRefreshToken, map[string]string{"/spa.js": "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js"}},
		"auth0-react": {reactPage, byRefreshToken, map[string]string{"/react.js": "react/umd/react.production.min.js",
			"/react-dom.js": "react-dom/umd/react-dom.production.min.js", "/auth0-react.js": "@auth0/auth0-react/dist/auth0-react.js"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			domain := ""
			app := httptest.NewServer(pageOf(t, func() string { return fmt.Sprintf(c.page, domain, c.options) }, c.scripts))
			t.Cleanup(app.Close)
			r := start(t, onRealTime(), withClient("spa-js", func(c *config.Client) {
				c.AppType, c.ClientSecret, c.TokenEndpointAuthMethod = "spa", config.Secret{}, "none"
				c.RequirePKCE = true
				c.Callbacks, c.AllowedLogoutURLs, c.WebOrigins = []string{app.URL + "/cb"}, []string{app.URL + "/"}, []string{app.URL}
			}))
			domain = strings.TrimSuffix(r.issuer, "/")
			number := newNumber()
			b := newTab(t, browser, looks[0])
			b.open(app.URL).until(`window.who && who.textContent === "signed out"`)
			b.click("#login").fill("#phone", number).click(submitButton).wants(http.StatusOK, "Check your phone")
			b.fill("#code", r.gateway.code(number)).click(submitButton)
			b.until(`window.who && who.textContent.startsWith("signed in as sms|")`)
			b.do(clicking("#renew", 1))
			b.until(`who.textContent === "renewed"`)
			b.open(app.URL).until(`window.who && who.textContent.startsWith("signed in as sms|")`)
			b.click("#logout")
			if u, err := url.Parse(b.text("location.href")); err != nil || u.Path != "/oidc/logout" {
				t.Errorf("logout led to %s", u)
			}
			b.click(submitButton)
			b.until(`window.who && who.textContent === "signed out"`)
		})
	}
}
