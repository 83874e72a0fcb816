package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/config"
)

// jwt puts a token together from a header, claims and whatever signs.
func jwt(t testing.TB, header, claims map[string]any, sign func(input string) []byte) string {
	t.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

func unsigned(string) []byte { return nil }

func hs256(key []byte) func(string) []byte {
	return func(input string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(input))
		return h.Sum(nil)
	}
}

func rs256(t testing.TB, key *rsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		out, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// forgeries are tokens that an attacker makes of a right one: its claims, but
// not our signature. key is one of the attacker's own.
func forgeries(t testing.TB, right string, public jose.JSONWebKey, key *rsa.PrivateKey) map[string]string {
	t.Helper()
	of := claims(t, right)
	kid, typ := headerOf(t, right)["kid"], headerOf(t, right)["typ"]
	header := func(pairs ...any) map[string]any {
		h := map[string]any{"alg": "RS256", "typ": typ, "kid": kid}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i].(string)] = pairs[i+1]
		}
		maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
		return h
	}
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(right, ".")
	admin := maps.Clone(of)
	admin["sub"] = "sms|000000000000000000000000"
	out := map[string]string{
		"alg none":                   jwt(t, header("alg", "none"), of, unsigned),
		"alg None":                   jwt(t, header("alg", "None"), of, unsigned),
		"alg nOnE with a signature":  jwt(t, header("alg", "nOnE"), of, hs256(der)),
		"alg none without kid":       jwt(t, header("alg", "none", "kid", nil), of, unsigned),
		"alg empty":                  jwt(t, header("alg", ""), of, unsigned),
		"no alg":                     jwt(t, header("alg", nil), of, unsigned),
		"alg a list":                 jwt(t, header("alg", []string{"RS256", "none"}), of, unsigned),
		"RS256 unsigned":             parts[0] + "." + parts[1] + ".",
		"no third part":              parts[0] + "." + parts[1],
		"four parts":                 right + ".x",
		"signature of zeros":         parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)),
		"HS256 by DER":               jwt(t, header("alg", "HS256"), of, hs256(der)),
		"HS256 by PEM":               jwt(t, header("alg", "HS256"), of, hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"HS256 by JWK":               jwt(t, header("alg", "HS256"), of, hs256(text)),
		"HS256 by modulus":           jwt(t, header("alg", "HS256"), of, hs256(public.Key.(*rsa.PublicKey).N.Bytes())),
		"HS256 by an empty key":      jwt(t, header("alg", "HS256"), of, hs256(nil)),
		"HS256 by the client secret": jwt(t, header("alg", "HS256"), of, hs256([]byte(secret))),
		"RS512":                      jwt(t, header("alg", "RS512"), of, rs256(t, key)),
		"our kid, another key":       jwt(t, header(), of, rs256(t, key)),
		"unknown kid":                jwt(t, header("kid", "mine"), of, rs256(t, key)),
		"no kid":                     jwt(t, header("kid", nil), of, rs256(t, key)),
		"kid a path":                 jwt(t, header("kid", "../../../dev/null"), of, rs256(t, key)),
		"kid SQL":                    jwt(t, header("kid", "x' or '1'='1"), of, rs256(t, key)),
		"kid a number":               jwt(t, header("kid", 1), of, rs256(t, key)),
		"jwk in the header":          jwt(t, header("kid", "mine", "jwk", json.RawMessage(mine)), of, rs256(t, key)),
		"jku":                        jwt(t, header("kid", "mine", "jku", "https://evil.example/jwks.json"), of, rs256(t, key)),
		"x5u":                        jwt(t, header("kid", "mine", "x5u", "https://evil.example/x.pem"), of, rs256(t, key)),
		"x5c":                        jwt(t, header("x5c", []string{base64.StdEncoding.EncodeToString(der)}), of, rs256(t, key)),
		"crit":                       jwt(t, header("crit", []string{"exp"}), of, rs256(t, key)),
		"other claims":               parts[0] + "." + strings.Split(jwt(t, header(), admin, unsigned), ".")[1] + "." + parts[2],
		"payload null":               parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("null")) + "." + parts[2],
		"white space":                parts[0] + ". " + parts[1] + "." + parts[2],
		"JSON serialisation":         `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"an encrypted token":         "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
		"nothing":                    "...", "a word": "x", "dots": ".", "a byte": "\x00",
	}
	return out
}

// security.md §3.26: nowhere that the server reads a JWT does a forged one do.
func TestAttackForgedTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(webClient)
	got := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cookie := r.cookies(b)
	silent := func(hint string) url.Values {
		q := r.newRequest(webClient).with("prompt", "none", "id_token_hint", hint)
		return send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", cookie).location(t).Query()
	}
	if a := silent(got.IDToken); !a.Has("code") {
		t.Fatalf("the right hint: %v", a)
	}
	for name, token := range forgeries(t, got.IDToken, r.publishedKeys().Keys[0], key) {
		if a := silent(token); a.Get("error") != "login_required" {
			t.Errorf("%s as id_token_hint: %v", name, a)
		}
		out := send(t, http.MethodGet, r.base+"/oidc/logout?"+url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {r.callback + "/bye"}}.Encode(), nil, "Cookie", cookie)
		if out.status != http.StatusBadRequest || out.header.Get("Location") != "" || out.header.Get("Set-Cookie") != "" {
			t.Errorf("%s as hint of a logout: %d to %q", name, out.status, out.header.Get("Location"))
		}
		r.opensNothing(t, name, token)
	}
	if a := silent(got.IDToken); !a.Has("code") {
		t.Errorf("the session is gone: %v", a)
	}
}

// opensNothing tries a text wherever a token, code or credential is read.
func (r *rig) opensNothing(t testing.TB, name, token string) {
	t.Helper()
	header := strings.Map(func(c rune) rune { return map[bool]rune{true: c, false: '.'}[c > ' ' && c < 0x7f] }, token)
	if got := send(t, http.MethodGet, r.base+"/userinfo", nil, "Authorization", "Bearer "+header); got.status != http.StatusUnauthorized || strings.Contains(got.body, "sub") {
		t.Errorf("%s at userinfo: %d %s", name, got.status, got.body)
	}
	if got := send(t, http.MethodPost, r.base+"/userinfo", url.Values{"access_token": {token}}); got.status != http.StatusUnauthorized {
		t.Errorf("%s in the body at userinfo: %d", name, got.status)
	}
	r = r.in(t)
	for _, client := range []string{machine, webClient} {
		if got := r.introspect(client, token); len(got) != 1 || got["active"] != false {
			t.Errorf("%s introspected by %s: %v", name, client, got)
		}
	}
	r.refresh(webClient, token).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	r.exchange(webClient, r.newRequest(webClient), token).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	r.revoke(webClient, token)
	for _, client := range []string{webClient, basicClient, machine} {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {client},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token}}
		if got := send(t, http.MethodPost, r.base+"/oauth/token", form); got.status != http.StatusUnauthorized {
			t.Errorf("%s as assertion of %s: %d", name, client, got.status)
		}
	}
}

// oidc-library G9: each kind of token, in the place of each other kind.
func TestAttackTokensInEachOthersPlace(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, q := newBrowser(t), r.newRequest(webClient)
	code := r.login(b, q, newNumber()).answer().Get("code")
	sms := r.gateway.texts[len(r.gateway.texts)-1].Body
	got := r.exchange(webClient, q, code)
	cookie := r.cookies(b)

	r.opensNothing(t, "the ID token", got.IDToken)
	for name, token := range map[string]string{"a refresh token": got.Refresh, "a code": code, "the session's cookie": r.cookie(b, "handset_sid"), "the client secret": secret, "the text": codePattern.FindString(sms)} {
		if status, _ := r.userinfo(token); status != http.StatusUnauthorized {
			t.Errorf("%s at userinfo: %d", name, status)
		}
	}
	for name, token := range map[string]string{"an access token": got.AccessToken, "the ID token": got.IDToken, "a refresh token": got.Refresh} {
		r.exchange(webClient, q, token).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		if token == got.Refresh {
			continue
		}
		if next := r.refresh(webClient, token); next.Error != "invalid_grant" {
			t.Errorf("%s as refresh token: %d %s", name, next.status, next.Error)
		}
	}
	for name, token := range map[string]string{"an access token": got.AccessToken, "a refresh token": got.Refresh, "a code": code} {
		hint := r.newRequest(webClient).with("prompt", "none", "id_token_hint", token)
		if a := send(t, http.MethodGet, r.base+"/authorize?"+hint.Encode(), nil, "Cookie", cookie).location(t).Query(); a.Get("error") != "login_required" {
			t.Errorf("%s as id_token_hint: %v", name, a)
		}
		out := send(t, http.MethodGet, r.base+"/oidc/logout?id_token_hint="+url.QueryEscape(token), nil, "Cookie", cookie)
		if out.status != http.StatusBadRequest {
			t.Errorf("%s as hint of a logout: %d", name, out.status)
		}
	}
	for name, value := range map[string]string{"an access token": got.AccessToken, "the ID token": got.IDToken, "a code": code} {
		for _, cookie := range []string{"handset_sid=" + value, "handset_sid=" + value[:26], "handset_txn=" + value} {
			p := r.newRequest(webClient).with("prompt", "none")
			if a := send(t, http.MethodGet, r.base+"/authorize?"+p.Encode(), nil, "Cookie", cookie).location(t).Query(); a.Get("error") != "login_required" {
				t.Errorf("%s as cookie: %v", name, a)
			}
		}
	}
	if status, _ := r.userinfo(got.AccessToken); status != http.StatusOK {
		t.Errorf("the access token in its own place: %d", status)
	}
}

// oidc-library G19 and RFC 7523: assertions that are forged, replayed, for
// others, of others, too old or too long.
func TestAttackClientAssertions(t *testing.T) {
	t.Parallel()
	newKey := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	registered := func(key *rsa.PrivateKey) config.JWKS {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig", Algorithm: "RS256"}}})
		if err != nil {
			t.Fatal(err)
		}
		return config.NewJWKS(text)
	}
	mine, theirs := newKey(), newKey()
	r := start(t,
		withClient("keyed", func(c *config.Client) { c.JWKS = registered(mine) }),
		withClient("neighbour", func(c *config.Client) { c.JWKS = registered(theirs) }))
	good := func(pairs ...any) map[string]any {
		now := r.clock.Now().Unix()
		c := map[string]any{"iss": "keyed", "sub": "keyed", "aud": r.issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
		for i := 0; i < len(pairs); i += 2 {
			c[pairs[i].(string)] = pairs[i+1]
		}
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return c
	}
	header := map[string]any{"alg": "RS256", "kid": "k"}
	signed := func(c map[string]any) string { return jwt(t, header, c, rs256(t, mine)) }
	try := func(assertion string, change ...string) int {
		form := url.Values{"token": {"x"}, "client_id": {"keyed"}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		for i := 0; i < len(change); i += 2 {
			form.Set(change[i], change[i+1])
			if change[i+1] == "" {
				form.Del(change[i])
			}
		}
		return decided(t, func() reply { return send(t, http.MethodPost, r.base+"/oauth/introspect", form) }).status
	}

	once := signed(good())
	if got := try(once); got != http.StatusOK {
		t.Fatalf("a right assertion: %d", got)
	}
	if got := try(once); got != http.StatusUnauthorized {
		t.Errorf("replayed: %d", got)
	}
	if got := send(t, http.MethodPost, r.base+"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"},
		"client_assertion": {once}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}); got.status != http.StatusUnauthorized {
		t.Errorf("replayed at another endpoint: %d", got.status)
	}
	shared, passed := signed(good()), make([]bool, 50)
	atOnce(len(passed), func(i int) { passed[i] = try(shared) == http.StatusOK })
	n := 0
	for _, p := range passed {
		if p {
			n++
		}
	}
	if n != 1 {
		t.Errorf("one assertion passed %d times in parallel", n)
	}

	now := r.clock.Now().Unix()
	bad := map[string]string{
		"of the neighbour":        signed(good("iss", "neighbour", "sub", "neighbour")),
		"sub of the neighbour":    signed(good("sub", "neighbour")),
		"iss of the neighbour":    signed(good("iss", "neighbour")),
		"by the neighbour's key":  jwt(t, header, good(), rs256(t, theirs)),
		"for another server":      signed(good("aud", "https://other.example/")),
		"for us and another":      signed(good("aud", []string{r.issuer, "https://other.example/"})),
		"for nobody":              signed(good("aud", nil)),
		"for no one of a list":    signed(good("aud", []string{})),
		"for a longer issuer":     signed(good("aud", r.issuer+"x")),
		"for another endpoint":    signed(good("aud", r.base+"/userinfo")),
		"for us in other case":    signed(good("aud", strings.ToUpper(r.issuer))),
		"expired":                 signed(good("exp", now-60)),
		"for ever":                signed(good("exp", now+86400)),
		"without exp":             signed(good("exp", nil)),
		"exp a text":              signed(good("exp", "9999999999")),
		"exp negative":            signed(good("exp", -1)),
		"without jti":             signed(good("jti", nil)),
		"jti a number":            signed(good("jti", 1)),
		"jti too long":            signed(good("jti", strings.Repeat("x", 2000))),
		"not yet":                 signed(good("nbf", now+600)),
		"issued in the future":    signed(good("iat", now+600)),
		"an array":                jwt(t, header, nil, rs256(t, mine)),
		"of an ID token's typ":    jwt(t, map[string]any{"alg": "RS256", "kid": "k", "typ": "at+jwt"}, good(), rs256(t, mine)),
		"RS256 where kid is none": jwt(t, map[string]any{"alg": "RS256", "kid": "other"}, good(), rs256(t, mine)),
	}
	right := signed(good())
	for name, token := range forgeries(t, right, jose.JSONWebKey{Key: mine.Public(), KeyID: "k"}, theirs) {
		bad[name] = token
	}
	for name, assertion := range bad {
		if got := try(assertion); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	for name, change := range map[string][]string{
		"as another client":      {"client_id", "neighbour"},
		"as the web client":      {"client_id", webClient},
		"with a secret as well":  {"client_secret", secret},
		"of another type":        {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
		"without a type":         {"client_assertion_type", ""},
		"type in other case":     {"client_assertion_type", "URN:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"type without assertion": {"client_assertion", ""},
	} {
		if got := try(right, change...); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	// None of that used the right one up.
	if got := try(right); got != http.StatusOK {
		t.Errorf("the right one: %d", got)
	}
	r.clock.Advance(2 * time.Minute)
	if got := try(signed(good("iat", now, "exp", now+60))); got != http.StatusUnauthorized {
		t.Errorf("two minutes later: %d", got)
	}
	// A client's key signs no ID tokens.
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign := assertion(t, jose.ES256, jose.JSONWebKey{Key: ec, KeyID: "k"}, good())
	if got := try(foreign); got != http.StatusUnauthorized {
		t.Errorf("by a key of another kind: %d", got)
	}
	hint := jwt(t, map[string]any{"alg": "RS256", "kid": "k", "typ": "JWT"}, good("aud", "keyed"), rs256(t, mine))
	if got := send(t, http.MethodGet, r.base+"/oidc/logout?id_token_hint="+hint, nil); got.status != http.StatusBadRequest {
		t.Errorf("an assertion as hint: %d", got.status)
	}
}

// Our own signature under a token of another kind does not make it a hint: the
// server signs ID tokens alone, and this holds the door for later kinds.
func TestAttackHintOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	first, second := start(t), start(t)
	b, q := newBrowser(t), first.newRequest(webClient)
	hint := first.exchange(webClient, q, first.login(b, q, newNumber()).answer().Get("code")).IDToken
	other, _ := second.signedIn(t)
	p := second.newRequest(webClient).with("prompt", "none", "id_token_hint", hint)
	if a := send(t, http.MethodGet, second.base+"/authorize?"+p.Encode(), nil, "Cookie", second.cookies(other)).location(t).Query(); a.Get("error") != "login_required" {
		t.Errorf("answer: %v", a)
	}
	second.in(t).opensNothing(t, "another issuer's ID token", hint)
}
