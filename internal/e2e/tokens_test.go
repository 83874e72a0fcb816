package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/config"
)

// newTokens logs a new person in and returns what the client gets.
func (r *rig) newTokens(client string, pairs ...string) tokens {
	r.t.Helper()
	_, got := r.newTokensFor(client, newNumber(), pairs...)
	return got
}

// newTokensFor logs a person in, in a browser of its own.
func (r *rig) newTokensFor(client, number string, pairs ...string) (request, tokens) {
	r.t.Helper()
	q := r.newRequest(client).with(pairs...)
	got := r.exchange(client, q, r.login(newBrowser(r.t), q, number).answer().Get("code"))
	if got.status != http.StatusOK {
		r.t.Fatalf("exchange: %d %s %s", got.status, got.Error, got.Description)
	}
	return q, got
}

// introspect asks about a token and returns the whole answer.
func (r *rig) introspect(client, token string, change ...string) map[string]any {
	r.t.Helper()
	res, body := r.call(client, "/oauth/introspect", url.Values{"token": {token}}, change...)
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("introspect: %d %s", res.StatusCode, body)
	}
	return out
}

// revoke fails unless the answer is 200 and empty.
func (r *rig) revoke(client, token string, change ...string) {
	r.t.Helper()
	res, body := r.call(client, "/oauth/revoke", url.Values{"token": {token}}, change...)
	if res.StatusCode != http.StatusOK || len(body) != 0 {
		r.t.Errorf("revoke: %d %q", res.StatusCode, body)
	}
}

// wantsDead fails unless the access token opens nothing any more.
func (r *rig) wantsDead(client, access string) {
	r.t.Helper()
	if status, info := r.userinfo(access); status != http.StatusUnauthorized || info["error"] != "invalid_token" {
		r.t.Errorf("userinfo: %d %v, want 401 invalid_token", status, info)
	}
	if diff := cmp.Diff(map[string]any{"active": false}, r.introspect(client, access)); diff != "" {
		r.t.Errorf("introspection of a dead token (-want +got):\n%s", diff)
	}
}

// wantsAlive fails unless the access token works.
func (r *rig) wantsAlive(client, access string) {
	r.t.Helper()
	if status, info := r.userinfo(access); status != http.StatusOK {
		r.t.Errorf("userinfo: %d %v, want 200", status, info)
	}
	if got := r.introspect(client, access); got["active"] != true {
		r.t.Errorf("introspection: %v, want active", got)
	}
}

// wantsRefused fails unless the token endpoint refuses with this code.
func (got tokens) wantsRefused(t testing.TB, status int, code string) {
	t.Helper()
	if got.status != status || got.Error != code || got.AccessToken != "" || got.IDToken != "" || got.Refresh != "" {
		t.Errorf("token endpoint: %d %s (%s), want %d %s", got.status, got.Error, got.Description, status, code)
	}
}

// publishedKeys are those of the JWKS.
func (r *rig) publishedKeys() jose.JSONWebKeySet {
	r.t.Helper()
	res, body := r.fetch(http.MethodGet, "/.well-known/jwks.json")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("JWKS: %d %v", res.StatusCode, err)
	}
	return set
}

// fetch sends a request without a body and follows nothing; headers come in pairs.
func (r *rig) fetch(method, path string, headers ...string) (*http.Response, []byte) {
	r.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = r.base + path
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return r.do(req)
}

func TestIDTokenSaysExactlyWhatItShould(t *testing.T) {
	t.Parallel()
	r := start(t)
	before := r.clock.Now().Unix()
	q, got := r.newTokensFor(webClient, newNumber(), "acr_values", "urn:example:gold", "claims", `{"id_token":{"phone_number":null}}`)
	after := r.clock.Now().Unix()

	jws, err := jose.ParseSignedCompact(got.IDToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	kid := jws.Signatures[0].Header.KeyID
	if diff := cmp.Diff(map[string]any{"alg": "RS256", "kid": kid, "typ": "JWT"}, header(t, got.IDToken)); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	set := r.publishedKeys()
	keys := set.Key(kid)
	if len(keys) != 1 {
		t.Fatalf("the JWKS has %d keys named %q", len(keys), kid)
	}
	if _, err := jws.Verify(keys[0]); err != nil {
		t.Errorf("signature: %v", err)
	}

	c := claims(t, got.IDToken)
	sum := sha256.Sum256([]byte(got.AccessToken))
	issued := seconds(t, c, "iat")
	want := map[string]any{
		"iss": r.issuer, "aud": webClient, "nonce": q.Get("nonce"),
		"amr": []any{"sms", "otp"}, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
		"exp": float64(issued + 600),
		// These differ from login to login; what they must be is below.
		"sub": c["sub"], "sid": c["sid"], "iat": c["iat"], "auth_time": c["auth_time"],
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if sub, _ := c["sub"].(string); !regexp.MustCompile(`^sms\|[0-9a-f]{24}$`).MatchString(sub) {
		t.Errorf("sub = %v", c["sub"])
	}
	if sid, _ := c["sid"].(string); len(sid) < 22 {
		t.Errorf("sid = %v", c["sid"])
	}
	for _, claim := range []string{"iat", "auth_time"} {
		if at := seconds(t, c, claim); at < before || at > after {
			t.Errorf("%s = %d, want from %d to %d", claim, at, before, after)
		}
	}
}

func TestSubjectIsThePersonsForEver(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	sub := func(client, number string) any {
		_, got := r.newTokensFor(client, number)
		return claims(t, got.IDToken)["sub"]
	}
	first := sub(webClient, number)
	r.clock.Advance(400 * time.Hour)
	for _, client := range []string{webClient, basicClient, publicClient} {
		if got := sub(client, number); got != first {
			t.Errorf("%s: sub = %v, want %v", client, got, first)
		}
	}
	if got := sub(webClient, newNumber()); got == first {
		t.Error("two people have one sub")
	}
}

func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, tt := range []struct{ name, asked, granted, fields string }{
		{"all", "openid profile phone offline_access", "openid profile phone offline_access", "access_token expires_in id_token refresh_token scope token_type"},
		{"openid alone", "openid", "openid", "access_token expires_in id_token scope token_type"},
		{"without openid", "phone", "phone", "access_token expires_in scope token_type"},
		{"twice and unknown", "openid email openid  phone", "openid phone", "access_token expires_in id_token scope token_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			q := r.newRequest(webClient).with("scope", tt.asked)
			code := r.login(newBrowser(t), q, newNumber()).answer().Get("code")
			// tiny-rp sends scope=undefined; a scope has no meaning in this request.
			res, body := r.call(webClient, "/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code},
				"redirect_uri": {r.callback}, "code_verifier": {q.verifier}, "scope": {"undefined"}})
			var got map[string]any
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if fields := strings.Join(slices.Sorted(maps.Keys(got)), " "); fields != tt.fields {
				t.Errorf("fields: %s\nwant:   %s", fields, tt.fields)
			}
			if got["token_type"] != "Bearer" || got["expires_in"] != 3600.0 || got["scope"] != tt.granted {
				t.Errorf("answer: %v", got)
			}
			if h := res.Header; h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" ||
				!strings.HasPrefix(h.Get("Content-Type"), "application/json") {
				t.Errorf("headers: %v", h)
			}
		})
	}
}

func TestIDTokenHasNoNonceThatWasNotSent(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.newTokens(webClient, "nonce", "")
	if nonce, ok := claims(t, got.IDToken)["nonce"]; ok {
		t.Errorf("nonce = %v", nonce)
	}
}

func TestLifetimesAreThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) {
		c.Tokens.Access, c.Tokens.ID = 24*time.Hour, 5*time.Minute
		c.Tokens.RefreshIdle, c.Tokens.RefreshAbsolute = 30*time.Hour, 100*time.Hour
	}))
	got := r.newTokens(webClient)
	c := claims(t, got.IDToken)
	if got.ExpiresIn != 86400 || seconds(t, c, "exp")-seconds(t, c, "iat") != 300 {
		t.Errorf("expires_in = %d, ID token lives %d s", got.ExpiresIn, seconds(t, c, "exp")-seconds(t, c, "iat"))
	}
	info := r.introspect(webClient, got.AccessToken)
	if seconds(t, info, "exp")-seconds(t, info, "iat") != 86400 {
		t.Errorf("introspection: %v", info)
	}
	r.clock.Advance(24*time.Hour - time.Minute)
	r.wantsAlive(webClient, got.AccessToken)
	r.clock.Advance(time.Minute + time.Second)
	r.wantsDead(webClient, got.AccessToken)

	// A refresh token lives as long as it is used, and ends all the same.
	for range 3 {
		if got = r.refresh(webClient, got.Refresh); got.status != http.StatusOK {
			t.Fatalf("refresh: %d %s", got.status, got.Error)
		}
		r.clock.Advance(24 * time.Hour)
	}
	if got := r.refresh(webClient, got.Refresh); got.status != http.StatusOK {
		t.Fatalf("refresh: %d %s", got.status, got.Error)
	}
	r.clock.Advance(4 * time.Hour)
	r.refresh(webClient, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")

	idle := r.newTokens(webClient)
	r.clock.Advance(30 * time.Hour)
	r.refresh(webClient, idle.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
}

// RFC 6749 §5.2. Attacks on codes and secrets have tests of their own.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	q, _ := r.newTokensFor(webClient, newNumber())
	freshCode := func(t *testing.T, r *rig) (request, string) {
		q := r.newRequest(webClient)
		return q, r.login(newBrowser(t), q, newNumber()).answer().Get("code")
	}
	form := func(pairs ...string) url.Values {
		v := url.Values{"grant_type": {"authorization_code"}, "code": {"hsc_x"}, "redirect_uri": {r.callback}, "code_verifier": {q.verifier}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, tt := range []struct {
		name, client string
		form         url.Values
		change       []string
		status       int
		code         string
	}{
		{name: "no grant_type", client: webClient, form: form("grant_type", ""), status: 400, code: "invalid_request"},
		{name: "unknown grant_type", client: webClient, form: form("grant_type", "password"), status: 400, code: "unsupported_grant_type"},
		{name: "implicit", client: webClient, form: form("grant_type", "implicit"), status: 400, code: "unsupported_grant_type"},
		{name: "client_credentials that the client lacks", client: webClient, form: form("grant_type", "client_credentials"), status: 400, code: "unauthorized_client"},
		{name: "client_credentials for nothing", client: machine, form: form("grant_type", "client_credentials"), status: 400, code: "invalid_request"},
		{name: "grant that the client lacks", client: machine, form: form(), status: 400, code: "unauthorized_client"},
		{name: "refresh grant that the client lacks", client: machine, form: form("grant_type", "refresh_token", "refresh_token", "x"), status: 400, code: "unauthorized_client"},
		{name: "no code", client: webClient, form: form("code", ""), status: 400, code: "invalid_request"},
		{name: "no redirect_uri", client: webClient, form: form("redirect_uri", ""), status: 400, code: "invalid_request"},
		{name: "no refresh_token", client: webClient, form: form("grant_type", "refresh_token"), status: 400, code: "invalid_request"},
		{name: "no such code", client: webClient, form: form(), status: 400, code: "invalid_grant"},
		{name: "no such refresh token", client: webClient, form: form("grant_type", "refresh_token", "refresh_token", "hsr1_x"), status: 400, code: "invalid_grant"},
		{name: "no client", client: webClient, form: form(), change: []string{"client_id", "", "client_secret", ""}, status: 401, code: "invalid_client"},
		{name: "unknown client", client: "nobody", form: form(), status: 401, code: "invalid_client"},
		{name: "no secret", client: webClient, form: form(), change: []string{"client_secret", ""}, status: 401, code: "invalid_client"},
		{name: "wrong secret", client: webClient, form: form(), change: []string{"client_secret", "guess"}, status: 401, code: "invalid_client"},
		{name: "two methods", client: basicClient, form: form(), change: []string{"client_secret", secret}, status: 401, code: "invalid_client"},
		{name: "two clients", client: basicClient, form: form(), change: []string{"client_id", webClient}, status: 401, code: "invalid_client"},
		{name: "post for a client of basic", client: "nobody", form: form(), change: []string{"client_id", basicClient, "client_secret", secret}, status: 401, code: "invalid_client"},
		{name: "secret of a public client", client: publicClient, form: form(), change: []string{"client_secret", secret}, status: 401, code: "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.in(t).token(tt.client, tt.form, tt.change...)
			got.wantsRefused(t, tt.status, tt.code)
			got.wantsNoStore(t)
			// RFC 6749 §5.2: for who used the Authorization header.
			byHeader := tt.status == 401 && tt.client == basicClient
			if challenge := got.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Basic ") != byHeader || (challenge != "") != byHeader {
				t.Errorf("WWW-Authenticate = %q", challenge)
			}
			if got.Description == "" {
				t.Error("the error says nothing about what to do")
			}
		})
	}
	t.Run("a refused request spends nothing", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		q, code := freshCode(t, r)
		r.exchange(webClient, q, code, "client_secret", "guess").wantsRefused(t, 401, "invalid_client")
		r.exchange(webClient, q, code, "redirect_uri", r.callback+"/").wantsRefused(t, 400, "invalid_grant")
		r.exchange(webClient, q, code, "code_verifier", "").wantsRefused(t, 400, "invalid_grant")
		r.exchange(webClient, q, code, "code_verifier", strings.Repeat("x", 43)).wantsRefused(t, 400, "invalid_grant")
		r.exchange(publicClient, q, code).wantsRefused(t, 400, "invalid_grant")
		if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
			t.Errorf("exchange: %d %s", got.status, got.Error)
		}
	})
	t.Run("a code lives a minute", func(t *testing.T) {
		r := start(t)
		q, code := freshCode(t, r)
		late, lateCode := freshCode(t, r)
		r.clock.Advance(59 * time.Second)
		if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
			t.Errorf("exchange after 59 s: %d %s", got.status, got.Error)
		}
		r.clock.Advance(2 * time.Second)
		r.exchange(webClient, late, lateCode).wantsRefused(t, 400, "invalid_grant")
	})
	t.Run("not a form", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
			res, body := r.fetch(http.MethodPost, path, "Content-Type", "text/plain")
			if res.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(string(body), `"invalid_request"`) {
				t.Errorf("%s: %d %s", path, res.StatusCode, body)
			}
		}
	})
}

func (got tokens) wantsNoStore(t testing.TB) {
	t.Helper()
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
		t.Errorf("headers: %v, want no-store", got.header)
	}
}

// assertionKeys are a client's keys with what it registers of them.
func assertionKeys(t testing.TB) (signing map[jose.SignatureAlgorithm]jose.JSONWebKey, public config.JWKS) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing = map[jose.SignatureAlgorithm]jose.JSONWebKey{
		jose.RS256: {Key: rsaKey, KeyID: "r"}, jose.PS256: {Key: rsaKey, KeyID: "r"}, jose.ES256: {Key: ecKey, KeyID: "e"},
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey.Public(), KeyID: "r", Use: "sig"}, {Key: crypto.PublicKey(ecKey.Public()), KeyID: "e", Use: "sig"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return signing, config.NewJWKS(text)
}

// assertion signs the claims of a client assertion (RFC 7523 §3).
func assertion(t testing.TB, alg jose.SignatureAlgorithm, key jose.JSONWebKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryWayToAuthenticateAClient(t *testing.T) {
	t.Parallel()
	signing, public := assertionKeys(t)
	const keyClient = "by-key"
	r := start(t, withClient(keyClient, func(c *config.Client) { c.JWKS = public }))
	claimsFor := func(aud any) map[string]any {
		now := r.clock.Now()
		return map[string]any{"iss": keyClient, "sub": keyClient, "aud": aud, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	}
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	for _, tt := range []struct {
		name, client string
		change       func(t *testing.T) []string
	}{
		{"client_secret_post", webClient, nil},
		{"client_secret_basic", basicClient, nil},
		{"client_secret_basic that names the client in the body too", basicClient, func(*testing.T) []string { return []string{"client_id", basicClient} }},
		{"none", publicClient, nil},
		{"private_key_jwt RS256", keyClient, func(t *testing.T) []string {
			return []string{"client_assertion", assertion(t, jose.RS256, signing[jose.RS256], claimsFor(r.issuer))}
		}},
		{"private_key_jwt PS256", keyClient, func(t *testing.T) []string {
			return []string{"client_assertion", assertion(t, jose.PS256, signing[jose.PS256], claimsFor(r.base+"/oauth/token"))}
		}},
		{"private_key_jwt ES256", keyClient, func(t *testing.T) []string {
			return []string{"client_assertion", assertion(t, jose.ES256, signing[jose.ES256], claimsFor([]string{r.base + "/oauth/token", r.issuer}))}
		}},
		{"private_key_jwt without client_id", keyClient, func(t *testing.T) []string {
			return []string{"client_id", "", "client_assertion", assertion(t, jose.ES256, signing[jose.ES256], claimsFor(r.base+"/oauth/token"))}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			q := r.newRequest(tt.client)
			code := r.login(newBrowser(t), q, newNumber()).answer().Get("code")
			credentials := func() []string {
				if tt.change == nil {
					return nil
				}
				if tt.client != keyClient {
					return tt.change(t)
				}
				return append(tt.change(t), "client_assertion_type", jwtBearer)
			}
			used := credentials()
			got := r.exchange(tt.client, q, code, used...)
			if got.status != http.StatusOK {
				t.Fatalf("exchange: %d %s %s", got.status, got.Error, got.Description)
			}
			if tt.client == keyClient {
				r.refresh(tt.client, got.Refresh, used...).wantsRefused(t, http.StatusUnauthorized, "invalid_client")
			}
			if tt.client != publicClient {
				if info := r.introspect(tt.client, got.AccessToken, credentials()...); info["active"] != true {
					t.Errorf("introspection: %v", info)
				}
			}
			if got = r.refresh(tt.client, got.Refresh, credentials()...); got.status != http.StatusOK {
				t.Errorf("refresh: %d %s", got.status, got.Error)
			}
			r.revoke(tt.client, got.Refresh, credentials()...)
			r.refresh(tt.client, got.Refresh, credentials()...).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	r := start(t)
	first := r.newTokens(webClient)
	before := claims(t, first.IDToken)
	r.clock.Advance(time.Minute)
	got := r.refresh(webClient, first.Refresh)
	if got.status != http.StatusOK || got.ExpiresIn != 3600 || got.TokenType != "Bearer" || got.Scope != first.Scope {
		t.Fatalf("refresh: %+v", got)
	}
	got.wantsNoStore(t)
	// OIDC Core §12.2.
	after := claims(t, got.IDToken)
	for _, claim := range []string{"iss", "sub", "aud", "auth_time", "sid", "amr"} {
		if diff := cmp.Diff(before[claim], after[claim]); diff != "" {
			t.Errorf("%s changed (-login +refresh):\n%s", claim, diff)
		}
	}
	if seconds(t, after, "iat") < seconds(t, before, "iat")+60 || after["at_hash"] == before["at_hash"] {
		t.Errorf("the ID token is the old one: %v", after)
	}
	if nonce, ok := after["nonce"]; ok && nonce != before["nonce"] {
		t.Errorf("nonce = %v", nonce)
	}
	r.wantsAlive(webClient, first.AccessToken)
	r.wantsAlive(webClient, got.AccessToken)
}

func TestRefreshWithoutAnIDToken(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) { c.Tokens.IDTokenOnRefresh = false }))
	first := r.newTokens(webClient)
	if got := r.refresh(webClient, first.Refresh); first.IDToken == "" || got.status != http.StatusOK || got.IDToken != "" {
		t.Errorf("refresh: %d, ID token %q", got.status, got.IDToken)
	}
}

// RFC 6749 §6.
func TestRefreshMayNarrowTheScopeAndNeverWidensIt(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.newTokens(webClient, "scope", "openid phone offline_access")
	for _, wider := range []string{"openid profile", "openid phone offline_access profile", "admin"} {
		refused := r.refresh(webClient, got.Refresh, "scope", wider)
		refused.wantsRefused(t, http.StatusBadRequest, "invalid_scope")
	}
	narrow := r.refresh(webClient, got.Refresh, "scope", "openid")
	if narrow.status != http.StatusOK || narrow.Scope != "openid" {
		t.Fatalf("narrowed: %d %s, scope %q", narrow.status, narrow.Error, narrow.Scope)
	}
	if _, info := r.userinfo(narrow.AccessToken); info["phone_number"] != nil || info["sub"] == nil {
		t.Errorf("userinfo of the narrowed token: %v", info)
	}
	none := r.refresh(webClient, narrow.Refresh, "scope", "phone")
	if none.status != http.StatusOK || none.IDToken != "" {
		t.Errorf("without openid: %d, ID token %q", none.status, none.IDToken)
	}
	whole := r.refresh(webClient, none.Refresh)
	if whole.Scope != "openid phone offline_access" {
		t.Errorf("all that was granted: %q", whole.Scope)
	}
}

func TestRetryOfALostRefreshGetsTheSameSuccessor(t *testing.T) {
	t.Parallel()
	r := start(t)
	first := r.newTokens(webClient)
	next := r.refresh(webClient, first.Refresh)
	r.clock.Advance(28 * time.Second)
	again := r.refresh(webClient, first.Refresh)
	if again.status != http.StatusOK || again.Refresh != next.Refresh {
		t.Fatalf("retry: %d %s; the same successor: %v", again.status, again.Error, again.Refresh == next.Refresh)
	}
	if got := r.refresh(webClient, next.Refresh); got.status != http.StatusOK {
		t.Errorf("the successor: %d %s", got.status, got.Error)
	}
}

// RFC 9700 §4.14.2.
func TestOldRefreshTokenEndsTheFamily(t *testing.T) {
	t.Parallel()
	t.Run("30 seconds later", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		first := r.newTokens(webClient)
		next := r.refresh(webClient, first.Refresh)
		r.clock.Advance(32 * time.Second)
		r.refresh(webClient, first.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		r.refresh(webClient, next.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		r.wantsDead(webClient, first.AccessToken)
		r.wantsDead(webClient, next.AccessToken)
	})
	t.Run("when the successor was used", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		first := r.newTokens(webClient)
		next := r.refresh(webClient, first.Refresh)
		last := r.refresh(webClient, next.Refresh)
		r.refresh(webClient, first.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		r.refresh(webClient, last.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		r.wantsDead(webClient, last.AccessToken)
	})
	t.Run("but not the person's other grants", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		number := newNumber()
		_, stolen := r.newTokensFor(webClient, number)
		_, other := r.newTokensFor(webClient, number)
		r.refresh(webClient, stolen.Refresh)
		r.clock.Advance(time.Minute)
		r.refresh(webClient, stolen.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		if got := r.refresh(webClient, other.Refresh); got.status != http.StatusOK {
			t.Errorf("the other login: %d %s", got.status, got.Error)
		}
	})
}

// RFC 6749 §4.1.2.
func TestCodeUsedTwiceRevokesWhatItBrought(t *testing.T) {
	t.Parallel()
	r := start(t)
	q := r.newRequest(webClient)
	b := newBrowser(t)
	code := r.login(b, q, newNumber()).answer().Get("code")
	got := r.exchange(webClient, q, code)
	r.wantsAlive(webClient, got.AccessToken)
	r.exchange(webClient, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	r.wantsDead(webClient, got.AccessToken)
	r.refresh(webClient, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	if info := r.introspect(webClient, got.Refresh); info["active"] != false {
		t.Errorf("introspection of the refresh token: %v", info)
	}
	// The person did nothing wrong and stays signed in.
	r.stillIn(b)
}

// RFC 7662 §2.2.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, got := r.newTokensFor(webClient, newNumber(), "scope", "openid phone offline_access")
	id := claims(t, got.IDToken)
	info := r.introspect(webClient, got.AccessToken)
	want := map[string]any{"active": true, "token_type": "Bearer", "scope": "openid phone offline_access", "client_id": webClient,
		"sub": id["sub"], "iss": r.issuer, "auth_time": id["auth_time"], "iat": info["iat"], "exp": info["exp"]}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if seconds(t, info, "exp")-seconds(t, info, "iat") != 3600 {
		t.Errorf("iat and exp: %v", info)
	}
	refresh := r.introspect(webClient, got.Refresh)
	want = map[string]any{"active": true, "scope": "openid phone offline_access", "client_id": webClient,
		"sub": id["sub"], "iss": r.issuer, "auth_time": id["auth_time"], "iat": refresh["iat"], "exp": refresh["exp"]}
	if diff := cmp.Diff(want, refresh); diff != "" {
		t.Errorf("refresh token (-want +got):\n%s", diff)
	}
	for _, hint := range []string{"access_token", "refresh_token", "unheard_of"} {
		if r.introspect(webClient, got.AccessToken, "token_type_hint", hint)["active"] != true {
			t.Errorf("hint %s changes the answer", hint)
		}
	}
	if r.introspect(machine, got.AccessToken)["active"] != true {
		t.Error("a service may not ask about an access token")
	}
	for _, tt := range []struct{ name, client, token string }{
		{"nonsense", webClient, "x"}, {"an ID token", webClient, got.IDToken},
		{"an unknown access token", webClient, "hsa_" + strings.Repeat("A", 43)},
		{"another application's access token", basicClient, got.AccessToken},
		{"another application's refresh token", basicClient, got.Refresh},
		{"a refresh token, for a service", machine, got.Refresh},
	} {
		if diff := cmp.Diff(map[string]any{"active": false}, r.introspect(tt.client, tt.token)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	next := r.refresh(webClient, got.Refresh)
	if r.introspect(webClient, got.Refresh)["active"] != false || r.introspect(webClient, next.Refresh)["active"] != true {
		t.Error("a rotated refresh token is not the one that is active")
	}
	for _, tt := range []struct {
		name, client string
		change       []string
		status       int
	}{
		{"no token", webClient, []string{"token", ""}, 400},
		{"no client", webClient, []string{"client_id", "", "client_secret", ""}, 401},
		{"wrong secret", webClient, []string{"client_secret", "guess"}, 401},
		{"public client", publicClient, nil, 401},
	} {
		res, body := r.call(tt.client, "/oauth/introspect", url.Values{"token": {next.AccessToken}}, tt.change...)
		if res.StatusCode != tt.status || strings.Contains(string(body), "active") {
			t.Errorf("%s: %d %s", tt.name, res.StatusCode, body)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", tt.name, res.Header)
		}
	}
}

// RFC 7009 §2.
func TestRevocation(t *testing.T) {
	t.Parallel()
	r := start(t)
	t.Run("of an access token", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		got := r.newTokens(webClient)
		r.revoke(webClient, got.AccessToken, "token_type_hint", "refresh_token")
		r.wantsDead(webClient, got.AccessToken)
		if next := r.refresh(webClient, got.Refresh); next.status != http.StatusOK {
			t.Errorf("the refresh token died too: %d %s", next.status, next.Error)
		}
	})
	t.Run("of a refresh token", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		got := r.newTokens(webClient)
		r.revoke(webClient, got.Refresh)
		r.wantsDead(webClient, got.AccessToken)
		r.refresh(webClient, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		r.revoke(webClient, got.Refresh)
	})
	t.Run("of another client's tokens does nothing", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		got := r.newTokens(webClient)
		r.revoke(basicClient, got.AccessToken)
		r.revoke(publicClient, got.Refresh)
		r.wantsAlive(webClient, got.AccessToken)
		if next := r.refresh(webClient, got.Refresh); next.status != http.StatusOK {
			t.Errorf("refresh: %d %s", next.status, next.Error)
		}
	})
	t.Run("by a public client of its own", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		got := r.newTokens(publicClient)
		r.revoke(publicClient, got.Refresh)
		r.refresh(publicClient, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("of what is no token", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		r.revoke(webClient, "x")
		for _, tt := range []struct {
			change []string
			status int
		}{{[]string{"token", ""}, 400}, {[]string{"client_secret", "guess"}, 401}} {
			if res, body := r.call(webClient, "/oauth/revoke", url.Values{"token": {"x"}}, tt.change...); res.StatusCode != tt.status {
				t.Errorf("%v: %d %s", tt.change, res.StatusCode, body)
			}
		}
	})
}

// OIDC Core §5.4.
func TestScopesDecideWhatUserinfoSays(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	for scope, fields := range map[string]string{
		"openid":               "sub",
		"openid profile":       "sub updated_at",
		"openid phone":         "phone_number phone_number_verified sub",
		"openid phone profile": "phone_number phone_number_verified sub updated_at",
	} {
		_, got := r.newTokensFor(webClient, number, "scope", scope)
		status, info := r.userinfo(got.AccessToken)
		if found := strings.Join(slices.Sorted(maps.Keys(info)), " "); status != http.StatusOK || found != fields {
			t.Errorf("%s: %d %s, want %s", scope, status, found, fields)
		}
		if info["sub"] != claims(t, got.IDToken)["sub"] {
			t.Errorf("%s: sub = %v", scope, info["sub"])
		}
		if strings.Contains(fields, "phone") && (info["phone_number"] != number || info["phone_number_verified"] != true) {
			t.Errorf("%s: %v", scope, info)
		}
		if strings.Contains(fields, "updated_at") && seconds(t, info, "updated_at") > r.clock.Now().Unix() {
			t.Errorf("%s: %v", scope, info)
		}
	}
	_, got := r.newTokensFor(webClient, number, "scope", "phone")
	if status, info := r.userinfo(got.AccessToken); status != http.StatusForbidden || info["error"] != "insufficient_scope" {
		t.Errorf("without openid: %d %v", status, info)
	}
}

// OIDC Core §5.3.1, RFC 6750 §2 and §3.
func TestUserinfoTakesTheTokenByHeaderOrBody(t *testing.T) {
	t.Parallel()
	r := start(t)
	token := r.newTokens(webClient).AccessToken
	send := func(method, query, header, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, r.base+"/userinfo"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, text := r.do(req)
		return res, string(text)
	}
	for _, tt := range []struct {
		name, method, query, header, body string
		status                            int
		challenge                         string
	}{
		{"GET", "GET", "", "Bearer " + token, "", 200, ""},
		{"scheme in lower case", "GET", "", "bearer " + token, "", 200, ""},
		{"POST with a header", "POST", "", "Bearer " + token, "", 200, ""},
		{"POST with a form", "POST", "", "", "access_token=" + token, 200, ""},
		{"no token", "GET", "", "", "", 401, `Bearer realm="handset"`},
		{"POST without a token", "POST", "", "", "x=1", 401, `Bearer realm="handset"`},
		{"another scheme", "GET", "", "Basic d2ViOng=", "", 401, `Bearer realm="handset"`},
		{"unknown token", "GET", "", "Bearer hsa_" + strings.Repeat("A", 43), "", 401, `error="invalid_token"`},
		{"nonsense", "GET", "", "Bearer x", "", 401, `error="invalid_token"`},
		{"in the URL", "GET", "?access_token=" + token, "", "", 400, `error="invalid_request"`},
		{"twice", "POST", "", "Bearer " + token, "access_token=" + token, 400, `error="invalid_request"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := send(tt.method, tt.query, tt.header, tt.body)
			if res.StatusCode != tt.status || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s, want %d; %v", res.StatusCode, body, tt.status, res.Header)
			}
			if got := res.Header.Get("WWW-Authenticate"); !strings.Contains(got, tt.challenge) || (got == "") != (tt.challenge == "") {
				t.Errorf("WWW-Authenticate = %q, want %q", got, tt.challenge)
			}
		})
	}
}
