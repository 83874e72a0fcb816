package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// embeddedPage is a page of an application in which people type number and code
// themselves, by auth0-js. What an SDK's callback gets is in the field outcome.
const embeddedPage = `<!doctype html><title>Embedded</title><script src="/auth0.js"></script>
<pre id="outcome"></pre>
<script>
const webAuth = new auth0.WebAuth({
	domain: %[1]q, clientID: %[2]q, redirectUri: %[3]q, responseType: "code", scope: "openid profile",
	overrides: { __token_issuer: %[1]q + "/", __jwks_uri: %[1]q + "/.well-known/jwks.json" },
});
const outcome = document.querySelector("#outcome");
const tell = (err, res) => { outcome.textContent = JSON.stringify({ err, res }) };
function start(phoneNumber) {
	outcome.textContent = "";
	webAuth.passwordlessStart({ connection: "sms", send: "code", phoneNumber, xRequestLanguage: "fr" }, tell);
}
function login(phoneNumber, verificationCode) {
	outcome.textContent = "";
	webAuth.passwordlessLogin({ connection: "sms", phoneNumber, verificationCode, code_challenge: %[4]q, code_challenge_method: "S256" }, tell);
}
</script>`

// Row 7, case D: auth0-js in a page of another origin: start, wrong code, right code,
// /authorize with the login ticket.
func TestAuth0JSEmbedded(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	chrome := chromium(t)
	eachSDK(t, []string{"auth0-js-10", "auth0-js-9"}, func(t *testing.T, name string) {
		script, err := os.ReadFile(filepath.Join("auth0", "node_modules", name, "dist", "auth0.min.js"))
		if err != nil {
			t.Fatal(err)
		}
		page := ""
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/auth0.js" {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write(script)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		}))
		t.Cleanup(app.Close)
		r := start(t, onRealTime(), withPasswordless(), withConfig(func(c *config.Config) {
			for i := range c.Clients {
				if c.Clients[i].ClientID == publicClient {
					c.Clients[i].AllowedOrigins = []string{app.URL}
				}
			}
		}))
		verifier := strings.Repeat("v", 43)
		page = fmt.Sprintf(embeddedPage, r.base, publicClient, r.callback, challengeOf(verifier))

		number := newNumber()
		b := newTab(t, chrome, looks[0])
		b.open(app.URL)
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
		code := r.gateway.code(number)
		if failed, _ := outcome(fmt.Sprintf("login(%q, %q)", number, wrong(code, 1))); failed["code"] != "access_denied" || failed["description"] != wrongCode {
			t.Errorf("a wrong code: %v", failed)
		}
		b.excused() // the two refusals, which the browser notes
		b.text(fmt.Sprintf("login(%q, %q)", number, code))
		answer := b.answer()
		a := r.form("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {publicClient}, "code": {answer.Get("code")},
			"redirect_uri": {r.callback}, "code_verifier": {verifier}})
		if a.status != http.StatusOK || !strings.Contains(a.body, `"id_token":"`) {
			t.Errorf("the code of %v brings %d %s", answer, a.status, a.body)
		}
	})
}
