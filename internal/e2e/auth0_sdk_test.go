package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/porttest"
)

// eachSDK runs a test with the packages that are run, the first of them always and the
// others by make test-all.
func eachSDK(t *testing.T, packages []string, test func(t *testing.T, name string)) {
	t.Helper()
	needsAuth0(t)
	if !everySDK() {
		packages = packages[:1]
	}
	for _, name := range packages {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// tokenAnswer is what the SDKs return of a token request.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

// authenticationClients are the packages with the authentication client of `auth0` 4
// and later.
var authenticationClients = []string{"auth0-7/legacy", "auth0-6", "auth0-5", "auth0-4"}

// wantsFrench fails unless the text is the built-in one in French.
func wantsFrench(t testing.TB, m text) {
	t.Helper()
	if !strings.Contains(m.Body, " est votre code ") {
		t.Errorf("not in French: %q", m.Body)
	}
}

// Row 1, case A.
func TestAuth0NodePasswordless(t *testing.T) {
	t.Parallel()
	eachSDK(t, authenticationClients, func(t *testing.T, name string) {
		r := startAuth0(t, withAPIs())
		s := r.sdk(name, `it.auth = new sdk.AuthenticationClient({domain, clientId, clientSecret})`)
		number := newNumber()
		send := `const {status} = await it.auth.passwordless.sendSMS({phone_number: number},
			async ({init}) => ({...init, headers: {...init.headers, 'x-request-language': 'fr', 'auth0-forwarded-for': '192.0.2.7'}}));
		return status`
		var status int
		if s.run(send, args{"number": number}, &status); status != http.StatusOK {
			t.Errorf("sendSMS: %d", status)
		}
		m := r.gateway.wait(number, 1)
		if m.Req == nil || m.Req.IP != "192.0.2.7" {
			t.Errorf("the gateway was told %+v", m.Req)
		}
		wantsFrench(t, m)
		wantsThrown(t, s.fails(`await it.auth.passwordless.sendSMS({phone_number: 'x'})`, nil),
			map[string]any{"class": "AuthApiError", "error": "bad.phone_number", "statusCode": 400})

		login := `const {data} = await it.auth.passwordless.loginWithSMS({phone_number: number, code, audience: 'urn:stock', scope: 'openid profile offline_access read:stock'}); return data`
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(login, args{"number": number, "code": wrong(code, 1)}),
			map[string]any{"class": "AuthApiError", "error": "invalid_grant", "statusCode": 403, "error_description": wrongCode})
		var tokens tokenAnswer
		s.run(login, args{"number": number, "code": code}, &tokens) // the SDK has verified the ID token
		if tokens.Refresh == "" || claims(t, tokens.ID)["sub"] == nil {
			t.Errorf("tokens: %+v", tokens)
		}
		wantsStock(t, tokens.Access)

		other := newNumber()
		s.run(send, args{"number": other}, nil)
		code = r.gateway.code(other)
		for n := range 3 {
			s.fails(login, args{"number": other, "code": wrong(code, n+1)})
		}
		wantsThrown(t, s.fails(login, args{"number": other, "code": code}), map[string]any{"error": "invalid_grant", "error_description": spentCode})
	})
}

// wantsStock fails unless the token is one for the API stock of the rig.
func wantsStock(t testing.TB, token string) {
	t.Helper()
	audiences, _ := claims(t, token)["aud"].([]any)
	if claims(t, token)["aud"] != stock && !slices.Contains(audiences, any(stock)) {
		t.Errorf("the access token is for %v", claims(t, token)["aud"])
	}
}

// Case A: a gateway that is slower than the SDK is patient, which is 10 seconds unless
// it is told otherwise. The text under way is still handed over and its code good, and
// so is that of the next start.
func TestAuth0NodeGatewaySlowerThanTheSDK(t *testing.T) {
	t.Parallel()
	eachSDK(t, authenticationClients, func(t *testing.T, name string) {
		for patience, settings := range map[string]args{"its own": {}, "a second": {"timeoutDuration": 1000}} {
			if len(settings) == 0 && !everySDK() {
				continue
			}
			t.Run(patience, func(t *testing.T) {
				t.Parallel()
				testGatewaySlowerThan(t, name, settings)
			})
		}
	})
}

func testGatewaySlowerThan(t *testing.T, name string, settings args) {
	clock := newClock() // it stands still, so that only the cooldown that the test waits for passes
	r := startAuth0(t, withClock(clock))
	answer, asked := make(chan struct{}), make(chan struct{}, 1)
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	r.gateway.answers(func(http.ResponseWriter, *http.Request) bool {
		asked <- struct{}{}
		<-answer
		return true
	})
	s := r.sdk(name, "")
	s.run(`it.auth = new sdk.AuthenticationClient({domain, clientId, clientSecret, ...settings})`,
		args{"domain": r.domain(), "clientId": webClient, "clientSecret": secret, "settings": settings}, nil)
	number := newNumber()
	logsIn := func() {
		t.Helper()
		var tokens tokenAnswer
		s.run(`const {data} = await it.auth.passwordless.loginWithSMS({phone_number: number, code, scope: 'openid'}); return data`,
			args{"number": number, "code": r.gateway.code(number)}, &tokens)
		if tokens.Access == "" || claims(t, tokens.ID)["sub"] == nil {
			t.Errorf("tokens: %+v", tokens)
		}
	}
	send := `const {status} = await it.auth.passwordless.sendSMS({phone_number: number}); return status`
	wantsThrown(t, s.fails(send, args{"number": number}), map[string]any{"class": "FetchError", "cause.class": "TimeoutError"})
	<-asked
	release()
	r.gateway.wait(number, 1)
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts of one start", n)
	}
	logsIn()

	r.gateway.answers(nil)
	clock.Advance(time.Minute)
	var status int
	if s.run(send, args{"number": number}, &status); status != http.StatusOK {
		t.Errorf("the next start: %d", status)
	}
	r.gateway.wait(number, 2)
	logsIn()
	if said := r.logs.String(); strings.Contains(said, `"status":500`) || strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("the server's log: %s", said)
	}
}

// Row 4: `auth0` 2 and 3, which speak JSON.
func TestAuth0NodeOldPasswordless(t *testing.T) {
	t.Parallel()
	eachSDK(t, []string{"auth0-3", "auth0-2"}, func(t *testing.T, name string) {
		r := startAuth0(t)
		s := r.sdk(name, `it.auth = new sdk.AuthenticationClient({domain, clientId, clientSecret})`)
		number := newNumber()
		var started map[string]any
		s.run(`return await it.auth.passwordless.sendSMS({phone_number: number}, {forwardedFor: '192.0.2.7'})`, args{"number": number}, &started)
		if started["phone_number"] != number || started["_id"] == nil || started["phone_verified"] != false {
			t.Errorf("sendSMS: %v", started)
		}
		if m := r.gateway.wait(number, 1); m.Req == nil || m.Req.IP != "192.0.2.7" {
			t.Errorf("the gateway was told %+v", m.Req)
		}
		login := `return await it.auth.passwordless.signIn({username: number, otp: code})`
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(login, args{"number": number, "code": wrong(code, 1)}), map[string]any{"name": "invalid_grant", "statusCode": 403})
		var tokens tokenAnswer
		s.run(login, args{"number": number, "code": code}, &tokens)
		if claims(t, tokens.ID)["sub"] == nil || tokens.Access == "" {
			t.Errorf("tokens: %+v", tokens)
		}
		wantsThrown(t, s.fails(`await it.auth.passwordless.sendSMS({phone_number: 'x'})`, nil), map[string]any{"name": "bad.phone_number", "statusCode": 400})
	})
}

// Row 5, case C: Auth0's SDK for servers.
func TestAuth0AuthJS(t *testing.T) {
	t.Parallel()
	eachSDK(t, []string{"@auth0/auth0-auth-js"}, func(t *testing.T, name string) {
		r := startAuth0(t, withAPIs())
		s := r.sdk(name, `it.client = new sdk.AuthClient({domain, clientId, clientSecret})`)
		number := newNumber()
		send := `await it.client.passwordless.sendSms({phoneNumber: number, language: 'fr'})`
		s.run(send, args{"number": number}, nil)
		wantsFrench(t, r.gateway.wait(number, 1))
		wantsThrown(t, s.fails(send, args{"number": number}),
			map[string]any{"class": "PasswordlessStartError", "statusCode": 429, "cause.error": "too_many_requests"})
		login := `const t = await it.client.getTokenByPasswordlessSms({phoneNumber: number, code, scope: 'openid read:stock', audience: 'urn:stock'}); return {access_token: t.accessToken, id_token: t.idToken}`
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(login, args{"number": number, "code": wrong(code, 1)}),
			map[string]any{"class": "PasswordlessVerifyError", "statusCode": 403, "cause.error": "invalid_grant"})
		var tokens tokenAnswer
		s.run(login, args{"number": number, "code": code}, &tokens)
		if claims(t, tokens.ID)["sub"] == nil {
			t.Errorf("tokens: %+v", tokens)
		}
		wantsStock(t, tokens.Access)
	})
}

// Case F: what the custom gateway answers is told by the SDK in Auth0's words. That none
// comes in 30 seconds takes as long, and is left to make test-sdks.
func TestAuth0GatewayFailures(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	r := startAuth0(t)
	refused := startAuth0(t, withConfig(func(c *config.Config) {
		c.Connections[0].Options = config.NewOptions(`{"provider":"sms_gateway","gateway_url":"http://` + porttest.Address(t) + `/"}`)
	}))
	client := `it.client = new sdk.AuthClient({domain, clientId, clientSecret})`
	s, atRefused := r.sdk("@auth0/auth0-auth-js", client), refused.sdk("@auth0/auth0-auth-js", client)
	fails := func(s *sdk, description string) {
		t.Helper()
		wantsThrown(t, s.fails(`await it.client.passwordless.sendSms({phoneNumber: number})`, args{"number": newNumber()}),
			map[string]any{"class": "PasswordlessStartError", "statusCode": 400, "cause.error": "sms_provider_error", "cause.error_description": description})
	}
	for status, description := range map[int]string{
		201: "Unexpected response while calling the SMS gateway: 201",
		401: "Authentication failed while calling the SMS gateway: 401",
		500: "Unexpected response while calling the SMS gateway: 500",
	} {
		r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return false
		})
		fails(s, description)
	}
	fails(atRefused, "Unexpected response while calling the SMS gateway: ECONNREFUSED")
	if everySDK() {
		r.gateway.answers(func(_ http.ResponseWriter, req *http.Request) bool {
			<-req.Context().Done()
			return false
		})
		fails(s, "Timeout while calling the SMS gateway: ETIMEDOUT")
	}
}
