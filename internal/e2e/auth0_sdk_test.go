package e2e

import (
	"net/http"

	"strings"
	"testing"
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

// Row 1, case A: the authentication client of `auth0` 4 and later.
func TestAuth0NodePasswordless(t *testing.T) {
	t.Parallel()
	eachSDK(t, []string{"auth0-7/legacy", "auth0-6", "auth0-4"}, func(t *testing.T, name string) {
		r := startAuth0(t)
		s := r.sdk(name, `it.auth = new sdk.AuthenticationClient({domain, clientId, clientSecret})`)
		number := newNumber()
		send := `const {status} = await it.auth.passwordless.sendSMS({phone_number: number},
			async ({init}) => ({...init, headers: {...init.headers, 'x-request-language': 'fr', 'auth0-forwarded-for': '192.0.2.7'}}));
		return status`
		var status int
		if s.run(send, args{"number": number}, &status); status != http.StatusOK {
			t.Errorf("sendSMS: %d", status)
		}
		if m := r.gateway.wait(number, 1); m.Req == nil || m.Req.IP != "192.0.2.7" {
			t.Errorf("the gateway was told %+v", m.Req)
		}
		wantsThrown(t, s.fails(`await it.auth.passwordless.sendSMS({phone_number: 'x'})`, nil),
			map[string]any{"class": "AuthApiError", "error": "bad.phone_number", "statusCode": 400})

		login := `const {data} = await it.auth.passwordless.loginWithSMS({phone_number: number, code, scope: 'openid profile offline_access'}); return data`
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(login, args{"number": number, "code": wrong(code, 1)}),
			map[string]any{"class": "AuthApiError", "error": "invalid_grant", "statusCode": 403, "error_description": wrongCode})
		var tokens tokenAnswer
		s.run(login, args{"number": number, "code": code}, &tokens) // the SDK has verified the ID token
		if tokens.Access == "" || tokens.Refresh == "" || claims(t, tokens.ID)["sub"] == nil {
			t.Errorf("tokens: %+v", tokens)
		}

		other := newNumber()
		s.run(send, args{"number": other}, nil)
		code = r.gateway.code(other)
		for n := range 3 {
			s.fails(login, args{"number": other, "code": wrong(code, n+1)})
		}
		wantsThrown(t, s.fails(login, args{"number": other, "code": code}), map[string]any{"error": "invalid_grant", "error_description": spentCode})
	})
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
		r := startAuth0(t)
		s := r.sdk(name, `it.client = new sdk.AuthClient({domain, clientId, clientSecret})`)
		number := newNumber()
		send := `await it.client.passwordless.sendSms({phoneNumber: number, language: 'fr'})`
		s.run(send, args{"number": number}, nil)
		wantsThrown(t, s.fails(send, args{"number": number}),
			map[string]any{"class": "PasswordlessStartError", "statusCode": 429, "cause.error": "too_many_requests"})
		login := `const t = await it.client.getTokenByPasswordlessSms({phoneNumber: number, code, scope: 'openid'}); return {access_token: t.accessToken, id_token: t.idToken}`
		code := r.gateway.code(number)
		wantsThrown(t, s.fails(login, args{"number": number, "code": wrong(code, 1)}),
			map[string]any{"class": "PasswordlessVerifyError", "statusCode": 403, "cause.error": "invalid_grant"})
		var tokens tokenAnswer
		s.run(login, args{"number": number, "code": code}, &tokens)
		if claims(t, tokens.ID)["sub"] == nil {
			t.Errorf("tokens: %+v", tokens)
		}
	})
}
