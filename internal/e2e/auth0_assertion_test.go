package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/config"
)

const (
	keyedClient   = "keyed" // private_key_jwt, may use the OTP grant
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// withKeyedClient registers a client that has a key in place of a secret.
func withKeyedClient(t testing.TB) (option, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig", Algorithm: "RS256"}}})
	if err != nil {
		t.Fatal(err)
	}
	return withClient(keyedClient, func(c *config.Client) {
		c.JWKS = config.NewJWKS(set)
		c.GrantTypes = []string{"authorization_code", "refresh_token", otpGrant}
	}), key
}

// §1 and §2a: an assertion in place of a secret, at both doors. What is wrong with one
// has one answer, texts nothing, tries no code and uses no other assertion up.
func TestPasswordlessByAssertion(t *testing.T) {
	t.Parallel()
	keyed, key := withKeyedClient(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, withPasswordless(), keyed)
	header := map[string]any{"alg": "RS256", "kid": "k"}
	claimsWith := func(pairs ...any) map[string]any {
		now := r.clock.Now().Unix()
		c := map[string]any{"iss": keyedClient, "sub": keyedClient, "aud": r.issuer, "jti": rand.Text(), "iat": now, "exp": now + 120}
		for i := 0; i < len(pairs); i += 2 {
			c[pairs[i].(string)] = pairs[i+1]
		}
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return c
	}
	assert := func(pairs ...any) string { return jwt(t, header, claimsWith(pairs...), rs256(t, key)) }

	begin := func(number, assertion string) object {
		return object{"client_id": keyedClient, "client_assertion": assertion, "client_assertion_type": assertionType,
			"connection": "sms", "phone_number": number}
	}
	redeem := func(number, code, assertion string) url.Values {
		v := otp(number, code)
		v.Del("client_secret")
		v.Set("client_id", keyedClient)
		v.Set("client_assertion", assertion)
		v.Set("client_assertion_type", assertionType)
		return v
	}

	number, once := newNumber(), assert()
	if a := r.postJSON("/passwordless/start", begin(number, once)); a.status != http.StatusOK {
		t.Fatalf("a right assertion: %d %s", a.status, a.body)
	}
	now := r.clock.Now().Unix()
	bad := map[string]string{
		"replayed":                once,
		"for another server":      assert("aud", "https://other.example/"),
		"for us and another":      assert("aud", []string{r.issuer, "https://other.example/"}),
		"for the door":            assert("aud", r.base+"/passwordless/start"),
		"by another key":          jwt(t, header, claimsWith(), rs256(t, stranger)),
		"expired":                 assert("iat", now-600, "exp", now-60),
		"for ever":                assert("exp", now+86400),
		"without jti":             assert("jti", nil),
		"of another client":       assert("iss", webClient, "sub", webClient),
		"unsigned":                jwt(t, map[string]any{"alg": "none"}, claimsWith(), unsigned),
		"nothing that is a token": "x",
	}
	other := newNumber()
	for name, assertion := range bad {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			r.postJSON("/passwordless/start", begin(other, assertion)).wantsError(t, 401, "invalid_client", "Client authentication failed")
			v := redeem(number, r.gateway.code(number), assertion)
			r.form("/oauth/token", v).wantsError(t, 401, "invalid_client", "Client authentication failed")
			body := object{}
			for name := range v {
				body[name] = v.Get(name)
			}
			r.postJSON("/oauth/token", body).wantsError(t, 401, "invalid_client", "Client authentication failed")
		})
	}
	right := assert()
	for name, body := range map[string]object{
		"with a secret as well":  begin(other, right).but("client_secret", secret),
		"of another type":        begin(other, right).but("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
		"without a type":         begin(other, right).but("client_assertion_type", nil),
		"a type without one":     begin(other, right).but("client_assertion", nil),
		"as another client":      begin(other, right).but("client_id", webClient),
		"a secret in its place":  begin(other, right).but("client_assertion", nil, "client_assertion_type", nil, "client_secret", secret),
		"a number in its place":  begin(other, right).but("client_assertion", 1),
		"without authentication": begin(other, right).but("client_assertion", nil, "client_assertion_type", nil),
	} {
		want := struct {
			status            int
			code, description string
		}{401, "invalid_client", "Client authentication failed"}
		switch name {
		case "a number in its place":
			want.status, want.code, want.description = 400, "bad.request", "a property is not a string"
		case "without authentication":
			want.status, want.code, want.description = 403, "unauthorized_client", "Client authentication is required"
		}
		r.postJSON("/passwordless/start", body).wantsError(t, want.status, want.code, want.description)
	}
	r.gateway.wantsTexts(1)

	// None of that used the right one up, nor a try of the code. Its client need not be
	// named beside it.
	v := redeem(number, r.gateway.code(number), right)
	v.Del("client_id")
	if a := r.form("/oauth/token", v); a.status != http.StatusOK {
		t.Errorf("the right code by a right assertion: %d %s", a.status, a.body)
	}
	if a := r.postJSON("/passwordless/start", begin(other, assert("aud", r.base+"/oauth/token")).but("client_id", nil)); a.status != http.StatusOK {
		t.Errorf("for the token endpoint, as older libraries have it: %d %s", a.status, a.body)
	}
	// A client that asks again, each time by another assertion, texts once.
	r.postJSON("/passwordless/start", begin(other, assert())).wantsError(t, 429, "too_many_requests",
		"Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.")
	r.gateway.wantsTexts(2)
}

// The published clients, with a key in place of a secret.
func TestAuth0ClientsWithAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ with, send, login string }{
		"auth0-7/legacy": {
			`it.auth = new sdk.AuthenticationClient({domain, clientId, clientAssertionSigningKey: key})`,
			`await it.auth.passwordless.sendSMS({phone_number: number})`,
			`const {data} = await it.auth.passwordless.loginWithSMS({phone_number: number, code, scope: 'openid'}); return data`,
		},
		"@auth0/auth0-auth-js": {
			`it.client = new sdk.AuthClient({domain, clientId, clientAssertionSigningKey: key})`,
			`await it.client.passwordless.sendSms({phoneNumber: number})`,
			`const t = await it.client.getTokenByPasswordlessSms({phoneNumber: number, code, scope: 'openid'}); return {access_token: t.accessToken, id_token: t.idToken}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needsAuth0(t)
			keyed, key := withKeyedClient(t)
			r := startAuth0(t, keyed)
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			s := r.sdk(name, "")
			s.run(c.with, args{"domain": r.domain(), "clientId": keyedClient, "key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}, nil)
			number := newNumber()
			s.run(c.send, args{"number": number}, nil)
			var got tokenAnswer
			s.run(c.login, args{"number": number, "code": r.gateway.code(number)}, &got)
			if got.Access == "" || claims(t, got.ID)["aud"] != keyedClient {
				t.Errorf("tokens: %+v", got)
			}
		})
	}
}
