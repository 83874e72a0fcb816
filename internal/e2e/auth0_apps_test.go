package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// Applications made with Auth0's SDKs for logins by redirect: nothing of them knows of
// Handset but the domain.

func expressApp(t *testing.T) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "node", "express.mjs")
	cmd.Dir = "auth0"
	return cmd
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
			app := startNode(t, expressApp(t))
			var at struct{ URL string }
			app.hear(&at)
			r := start(t, onRealTime(), withClient("express", func(cl *config.Client) {
				cl.Callbacks, cl.AllowedLogoutURLs, cl.GrantTypes = []string{at.URL + "/callback"}, []string{at.URL}, c.grants
				cl.ClientSecret, cl.RequirePKCE, cl.RequireState, cl.RequireNonce = config.NewSecret(secret), false, false, false
			}))
			c.settings["issuerBaseURL"], c.settings["clientID"] = r.base, "express"
			text, err := json.Marshal(c.settings)
			if err != nil {
				t.Fatal(err)
			}
			app.tell(string(text))
			var ready struct{ Ready bool }
			app.hear(&ready)

			b, number := newBrowser(t), newNumber()
			p := b.get(at.URL+"/profile").wants(http.StatusOK).submit("/login/phone", "phone", number).wants(http.StatusOK)
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
			b.get(at.URL+"/").wants(http.StatusOK, "signed in")
			p = b.get(at.URL + "/logout")
			if c.info { // by /v2/logout, where the person is asked
				if p.url.Path != "/oidc/logout" {
					t.Errorf("logout led to %s", p.url)
				}
				p = p.submit("/oidc/logout", "decision", "approve")
				r.loginRequired(b)
			}
			if p.wants(http.StatusOK, "signed out"); !strings.HasPrefix(p.url.String(), at.URL) {
				t.Errorf("logout ended at %s", p.url)
			}
		})
	}
}

const spaPage = `<!doctype html><title>SPA</title><script src="/spa.js"></script>
<p id="who"></p><button id="login">Log in</button><button id="renew">Renew</button><button id="logout">Log out</button>
<script>
const show = (text) => { who.textContent = text };
(async () => {
	const client = await auth0.createAuth0Client({
		domain: %[1]q, clientId: "spa-js", useRefreshTokens: true, cacheLocation: "localstorage",
		authorizationParams: { redirect_uri: location.origin + "/cb", connection: "sms", scope: "openid profile phone offline_access" },
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

// TestAuth0SinglePageApp: auth0-spa-js logs in by redirect and renews its token by fetch,
// from another origin than ours.
func TestAuth0SinglePageApp(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	browser := chromium(t)
	script, err := os.ReadFile(filepath.Join("auth0", "node_modules", "@auth0", "auth0-spa-js", "dist", "auth0-spa-js.production.js"))
	if err != nil {
		t.Fatal(err)
	}
	domain := ""
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/spa.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(script)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, spaPage, domain)
	}))
	t.Cleanup(app.Close)
	r := start(t, onRealTime(), withClient("spa-js", func(c *config.Client) {
		c.AppType, c.ClientSecret, c.TokenEndpointAuthMethod = "spa", config.Secret{}, "none"
		c.RequirePKCE = true
		c.Callbacks, c.AllowedLogoutURLs, c.WebOrigins = []string{app.URL + "/cb"}, []string{app.URL + "/"}, []string{app.URL}
	}))
	domain = strings.TrimSuffix(r.issuer, "/")
	number := newNumber()
	b := newTab(t, browser, looks[0])
	b.open(app.URL).until(`who.textContent === "signed out"`)
	b.click("#login").fill("#phone", number).click(submitButton).wants(http.StatusOK, "Check your phone")
	b.fill("#code", r.gateway.code(number)).click(submitButton)
	b.until(`who.textContent.startsWith("signed in as sms|")`)
	b.do(clicking("#renew", 1))
	b.until(`who.textContent === "renewed"`)
	b.click("#logout")
	if u, err := url.Parse(b.text("location.href")); err != nil || u.Path != "/oidc/logout" {
		t.Errorf("logout led to %s", u)
	}
	b.click(submitButton)
	b.until(`who.textContent === "signed out"`)
}
