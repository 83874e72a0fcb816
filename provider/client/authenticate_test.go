package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// request is a token request with an Authorization header, if not empty, and
// a form body of name, value, name, value.
func request(t testing.TB, authorization string, form ...string) (*http.Request, web.Values) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, tokenEndpoint, http.NoBody)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	values := web.Values{}
	for i := 0; i < len(form); i += 2 {
		values[form[i]] = append(values[form[i]], form[i+1])
	}
	return r, values
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// try authenticates as the token endpoint does.
func (r *rig) try(t testing.TB, authorization string, form ...string) (*storage.Client, error) {
	t.Helper()
	req, values := request(t, authorization, form...)
	c, err := client.FromRequest(req, values)
	if err != nil {
		return nil, err
	}
	return r.Authenticate(t.Context(), c)
}

// wantRefused checks that err is the invalid_client of RFC 6749 §5.2.
func wantRefused(t *testing.T, what string, err error) *oauth.Error {
	t.Helper()
	e := oauth.AsError(err)
	if e == nil || e.Code != oauth.InvalidClient || e.HTTPStatus() != http.StatusUnauthorized {
		t.Errorf("%s: got %v, want invalid_client and 401", what, err)
	}
	return e
}

const secret = "correct horse: battery%20staple+é"

// members are a client of each kind.
func members(t testing.TB, r *rig) {
	t.Helper()
	mac := func(id storage.ClientID) [][]byte {
		return [][]byte{client.SecretMAC(r.vault, id, "an older secret"), client.SecretMAC(r.vault, id, secret)}
	}
	r.store.put(storage.Client{ClientID: "basic", TokenEndpointAuthMethod: oauth.AuthSecretBasic, SecretMACs: mac("basic")})
	r.store.put(storage.Client{ClientID: "post", TokenEndpointAuthMethod: oauth.AuthSecretPost, SecretMACs: mac("post")})
	r.store.put(storage.Client{ClientID: "bare", TokenEndpointAuthMethod: oauth.AuthSecretPost})
	r.store.put(storage.Client{ClientID: "stolen", TokenEndpointAuthMethod: oauth.AuthSecretPost, SecretMACs: mac("post")})
	r.store.put(storage.Client{ClientID: "empty", TokenEndpointAuthMethod: oauth.AuthSecretPost,
		SecretMACs: [][]byte{client.SecretMAC(r.vault, "empty", "")}})
	r.store.put(storage.Client{ClientID: "public", TokenEndpointAuthMethod: oauth.AuthNone})
	r.store.put(storage.Client{ClientID: "jwt", TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, JWKS: clientJWKS(t)})
}

func TestSecretsAuthenticate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	for name, got := range map[string]func() (*storage.Client, error){
		"basic":  func() (*storage.Client, error) { return r.try(t, basic("basic", secret)) },
		"post":   func() (*storage.Client, error) { return r.try(t, "", "client_id", "post", "client_secret", secret) },
		"public": func() (*storage.Client, error) { return r.try(t, "", "client_id", "public") },
	} {
		if c, err := got(); err != nil || string(c.ClientID) != name {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := r.try(t, basic("basic", "an older secret"), "client_id", "basic"); err != nil {
		t.Errorf("the older of two secrets, and client_id in the body as well: %v", err)
	}
	if _, err := r.try(t, basic("post", secret)); err != nil { // decision 0022
		t.Errorf("a secret that may be posted, in the header: %v", err)
	}
	if _, err := r.try(t, strings.Replace(basic("basic", secret), "Basic", "bAsIc", 1)); err != nil {
		t.Errorf("a scheme is compared without case (RFC 9110 §11.1): %v", err)
	}
	if _, err := r.try(t, "", "client_id", "public", "client_secret", ""); err != nil {
		t.Errorf("an empty value counts as absent (RFC 6749 §3.1): %v", err)
	}
}

// TestFailuresLookAlike: neither whether a client exists, nor how it is
// registered, nor which of its secrets was close shows in the answer.
func TestFailuresLookAlike(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	var first *oauth.Error
	for name, try := range map[string][]string{
		"wrong secret, basic":                {basic("basic", "wrong")},
		"unknown client, basic":              {basic("unknown", secret)},
		"wrong secret, post":                 {"", "client_id", "post", "client_secret", "wrong"},
		"unknown client, post":               {"", "client_id", "unknown", "client_secret", secret},
		"unknown public client":              {"", "client_id", "unknown"},
		"basic client posts its secret":      {"", "client_id", "basic", "client_secret", secret},
		"confidential client without secret": {"", "client_id", "post"},
		"private_key_jwt without assertion":  {"", "client_id", "jwt"},
		"private_key_jwt client's secret":    {"", "client_id", "jwt", "client_secret", secret},
		"public client with a secret":        {"", "client_id", "public", "client_secret", "x"},
		"browser-sent header, public client": {basic("public", "x")},
		"assertion of a post client":         {"", "client_id", "post", "client_assertion_type", client.AssertionType, "client_assertion", "a.b.c"},
		"no secret registered":               {"", "client_id", "bare", "client_secret", secret},
		"another client's MAC":               {"", "client_id", "stolen", "client_secret", secret},
	} {
		_, err := r.try(t, try[0], try[1:]...)
		e := wantRefused(t, name, err)
		if e == nil {
			continue
		}
		if first == nil {
			first = e
		}
		if e.Description != first.Description || e.Status != first.Status {
			t.Errorf("%s: answers %q, others %q", name, e.Description, first.Description)
		}
		if e.Reason == "" {
			t.Errorf("%s: the log learns nothing", name)
		}
	}
}

// RFC 6749 §5.2: the scheme is named to who used the Authorization header, and
// to nobody else: libraries then read the error in the body.
func TestTheChallengeIsForTheHeader(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	for name, try := range map[string][]string{
		"wrong secret, basic":         {basic("basic", "wrong")},
		"unknown client, basic":       {basic("unknown", secret)},
		"Bearer":                      {"Bearer hsa_x"},
		"basic and post":              {basic("basic", secret), "client_secret", secret},
		"wrong secret, post":          {"", "client_id", "post", "client_secret", "wrong"},
		"unknown client, post":        {"", "client_id", "unknown", "client_secret", secret},
		"no client":                   {""},
		"basic client posts a secret": {"", "client_id", "basic", "client_secret", secret},
		"assertion of nobody":         {"", "client_assertion_type", client.AssertionType, "client_assertion", "x"},
	} {
		_, err := r.try(t, try[0], try[1:]...)
		if e := wantRefused(t, name, err); e != nil && (e.Challenge == "Basic") != (try[0] != "") {
			t.Errorf("%s: challenge %q", name, e.Challenge)
		}
	}
}

// TestANewSecretCountsAtOnce: who is given a new secret can use it before the
// change row was read.
func TestANewSecretCountsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	if _, err := r.try(t, basic("basic", secret)); err != nil {
		t.Fatal(err)
	}
	r.advance(2 * time.Second)
	r.store.put(storage.Client{ClientID: "basic", TokenEndpointAuthMethod: oauth.AuthSecretPost,
		SecretMACs: [][]byte{client.SecretMAC(r.vault, "basic", "new")}})
	if _, err := r.try(t, "", "client_id", "basic", "client_secret", "new"); err != nil {
		t.Errorf("the new secret by the new method: %v", err)
	}
	_, err := r.try(t, basic("basic", secret))
	wantRefused(t, "the old secret", err)
}

// TestWrongSecretsCostOneQueryASecond: however many a stranger sends, and
// whether or not the store answers.
func TestWrongSecretsCostOneQueryASecond(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"store answers": nil, "store fails": storage.ErrUnavailable} {
		r := newRig(t)
		members(t, r)
		if _, err := r.try(t, basic("basic", secret)); err != nil {
			t.Fatal(err)
		}
		r.store.fail(failure)
		for second := range 3 {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					_, err := r.try(t, basic("basic", "wrong"))
					wantRefused(t, name, err)
				})
			}
			all.Wait()
			if got := r.store.count(); got != 1+second {
				t.Errorf("%s: %d queries after %d seconds", name, got, second)
			}
			r.advance(time.Second)
		}
		if _, err := r.try(t, basic("basic", secret)); err != nil {
			t.Errorf("%s: the right secret is refused: %v", name, err)
		}
	}
}

func TestAnEmptySecretNeverMatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	_, err := r.Authenticate(t.Context(), client.Credentials{ClientID: "empty", Method: oauth.AuthSecretPost})
	wantRefused(t, "empty secret with its MAC on record", err)
	_, err = r.try(t, basic("basic", ""))
	wantRefused(t, "empty secret in the header", err)
}

func TestTheMethodIsOneOfOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	for _, method := range []string{"", "client_secret_jwt", "tls_client_auth"} {
		_, err := r.Authenticate(t.Context(), client.Credentials{ClientID: "public", Method: method, Secret: "x"})
		wantRefused(t, "method "+method, err)
	}
}

func TestTwoMethodsAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	for name, try := range map[string][]string{
		"basic and post":      {basic("basic", secret), "client_secret", secret},
		"basic and assertion": {basic("basic", secret), "client_assertion", "a.b.c"},
		"post and assertion":  {"", "client_id", "post", "client_secret", secret, "client_assertion_type", client.AssertionType},
	} {
		_, err := r.try(t, try[0], try[1:]...)
		wantRefused(t, name, err)
	}
}

func TestMalformedCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, try := range map[string][]string{
		"no client at all":         {""},
		"Bearer":                   {"Bearer hsa_x"},
		"a scheme alone":           {"Basic"},
		"not base64":               {"Basic ****"},
		"no colon":                 {encode("basic")},
		"no client_id":             {encode(":x")},
		"broken percent-encoding":  {encode("basic:%zz")},
		"broken encoding of ID":    {encode("%:x")},
		"not UTF-8":                {encode("basic:\xff")},
		"two clients":              {basic("basic", secret), "client_id", "post"},
		"assertion without type":   {"", "client_assertion", "a.b.c"},
		"type without assertion":   {"", "client_assertion_type", client.AssertionType},
		"SAML":                     {"", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", "x"},
		"assertion of nobody":      {"", "client_assertion_type", client.AssertionType, "client_assertion", "e30.e30.AAAA"},
		"assertion that is no JWT": {"", "client_assertion_type", client.AssertionType, "client_assertion", "x"},
	} {
		_, err := r.try(t, try[0], try[1:]...)
		wantRefused(t, name, err)
	}
	req, values := request(t, basic("basic", secret))
	req.Header.Add("Authorization", basic("basic", secret))
	_, err := client.FromRequest(req, values)
	wantRefused(t, "two Authorization headers", err)
}

func TestTheURLIsNeverLookedAt(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodPost, tokenEndpoint+"?client_id=post&client_secret="+url.QueryEscape(secret), http.NoBody)
	_, err := client.FromRequest(req, web.Values{})
	wantRefused(t, "a secret in the URL", err)
}

func TestCredentialsPrintWithoutSecrets(t *testing.T) {
	t.Parallel()
	c := client.Credentials{ClientID: "a", Method: oauth.AuthSecretPost, Secret: "hunter2", Assertion: "hunter2"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "hunter2") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if strings.Contains(c.LogValue().String(), "hunter2") {
		t.Error("the log shows the secret")
	}
}

func TestAFailingStoreIsNotInvalidClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.err = storage.ErrUnavailable
	if _, err := r.try(t, basic("basic", secret)); !errors.Is(err, storage.ErrUnavailable) || oauth.AsError(err) != nil {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestNewSecretsAndIDs(t *testing.T) {
	t.Parallel()
	a, b := client.NewSecret(), client.NewSecret()
	if a == b || len(a) != 47 || url.QueryEscape(a) != a {
		t.Errorf("secret %q", a)
	}
	if id := client.NewID(); id == client.NewID() || len(id) != 26 {
		t.Errorf("id %q", id)
	}
}

// p256 is a client's elliptic curve key, made once.
var p256 = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// clientJWKS holds an RSA key "r" and a P-256 key "e".
func clientJWKS(t testing.TB) json.RawMessage {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &keystest.Key(0).PublicKey, KeyID: "r", Use: "sig"},
		{Key: &p256().PublicKey, KeyID: "e", Algorithm: "ES256"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// signed is an assertion.
func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[string]any, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims are those of a good assertion; changes replace or, when nil, remove some.
func claims(changes map[string]any) map[string]any {
	c := map[string]any{"iss": "jwt", "sub": "jwt", "aud": issuer, "jti": "j1",
		"exp": start.Add(time.Minute).Unix(), "iat": start.Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (r *rig) assert(t testing.TB, assertion string, more ...string) (*storage.Client, error) {
	t.Helper()
	return r.try(t, "", append([]string{"client_assertion_type", client.AssertionType, "client_assertion", assertion}, more...)...)
}

type object = map[string]any

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	kid := func(id string) object { return object{"kid": id, "typ": "JWT"} }
	for name, assertion := range map[string]string{
		"RS256":                        signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(nil)),
		"PS256":                        signed(t, jose.PS256, keystest.Key(0), kid("r"), claims(nil)),
		"ES256":                        signed(t, jose.ES256, p256(), kid("e"), claims(nil)),
		"without typ":                  signed(t, jose.RS256, keystest.Key(0), object{"kid": "r"}, claims(nil)),
		"its own typ":                  signed(t, jose.RS256, keystest.Key(0), object{"kid": "r", "typ": "client-authentication+jwt"}, claims(nil)),
		"no kid, one key fits":         signed(t, jose.ES256, p256(), nil, claims(nil)),
		"for the token endpoint":       signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"aud": tokenEndpoint})),
		"for both of our names":        signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"aud": []string{issuer, tokenEndpoint}})),
		"without iat (RFC 7523 §3)":    signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"iat": nil})),
		"a slow clock":                 signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"exp": start.Add(-20 * time.Second).Unix()})),
		"a fast clock":                 signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"iat": start.Add(20 * time.Second).Unix()})),
		"five minutes, and a fraction": signed(t, jose.RS256, keystest.Key(0), kid("r"), claims(object{"exp": float64(start.Unix()) + 300.5})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			members(t, r)
			if c, err := r.assert(t, assertion); err != nil || c.ClientID != "jwt" {
				t.Errorf("without client_id: %v, %v", c, err)
			}
		})
	}
}

func TestForgedAssertionsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	public, err := jose.JSONWebKey{Key: &keystest.Key(0).PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	rs := func(header object, changes object) string {
		h := object{"kid": "r"}
		maps.Copy(h, header)
		maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
		return signed(t, jose.RS256, keystest.Key(0), h, claims(changes))
	}
	good := strings.Split(rs(nil, nil), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"r"}`))
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keystest.Key(1)}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := embedded.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	ownKey, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, assertion := range map[string]string{
		"alg none":                         none + "." + good[1] + ".",
		"HS256 with the public key":        signed(t, jose.HS256, public, object{"kid": "r"}, claims(nil)),
		"another key":                      signed(t, jose.RS256, keystest.Key(1), object{"kid": "r"}, claims(nil)),
		"an attacker's own jwk":            ownKey,
		"unknown kid":                      rs(object{"kid": "other"}, nil),
		"kid of a key of another type":     signed(t, jose.RS256, keystest.Key(0), object{"kid": "e"}, claims(nil)),
		"jku":                              rs(object{"jku": "https://evil.example/jwks"}, nil),
		"x5u":                              rs(object{"x5u": "https://evil.example/x5u"}, nil),
		"x5c":                              rs(object{"x5c": []string{"AAAA"}}, nil),
		"an ID token":                      rs(object{"typ": "id+jwt"}, nil),
		"an access token":                  rs(object{"typ": "at+jwt"}, nil),
		"another issuer":                   rs(nil, object{"iss": "other"}),
		"another subject":                  rs(nil, object{"sub": "other"}),
		"no issuer":                        rs(nil, object{"iss": nil}),
		"for another server":               rs(nil, object{"aud": "https://other.example/"}),
		"for another server as well":       rs(nil, object{"aud": []string{issuer, "https://other.example/"}}),
		"for the issuer without its slash": rs(nil, object{"aud": strings.TrimSuffix(issuer, "/")}),
		"for nobody":                       rs(nil, object{"aud": nil}),
		"for an empty list":                rs(nil, object{"aud": []string{}}),
		"for numbers":                      rs(nil, object{"aud": []int{1}}),
		"no exp":                           rs(nil, object{"exp": nil}),
		"exp as text":                      rs(nil, object{"exp": "tomorrow"}),
		"expired":                          rs(nil, object{"exp": start.Add(-31 * time.Second).Unix()}),
		"for an hour":                      rs(nil, object{"exp": start.Add(time.Hour).Unix()}),
		"for ever":                         rs(nil, object{"exp": 1e300}),
		"not yet":                          rs(nil, object{"nbf": start.Add(time.Minute).Unix()}),
		"from the future":                  rs(nil, object{"iat": start.Add(time.Minute).Unix()}),
		"no jti":                           rs(nil, object{"jti": nil}),
		"an endless jti":                   rs(nil, object{"jti": strings.Repeat("j", 300)}),
		"a changed payload":                good[0] + "." + base64.RawURLEncoding.EncodeToString(append(payload, ' ')) + "." + good[2],
	} {
		_, err := r.assert(t, assertion, "client_id", "jwt")
		if e := wantRefused(t, name, err); e != nil && e.Reason == "" {
			t.Errorf("%s: the log learns nothing", name)
		}
	}
	if len(r.assertions.used) != 0 {
		t.Error("an assertion that does not verify was spent: strangers could use up a client's")
	}
	if _, err := r.assert(t, strings.Join(good, "."), "client_id", "post"); err == nil {
		t.Error("an assertion was taken for another client's")
	}
}

func TestAnAssertionReplayedIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	r.store.put(storage.Client{ClientID: "jwt2", TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, JWKS: clientJWKS(t)})
	assertion := signed(t, jose.ES256, p256(), object{"kid": "e"}, claims(nil))
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := 0
	for range 20 {
		wg.Go(func() {
			_, err := r.assert(t, assertion)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins++
			} else if !errors.Is(err, storage.ErrConsumed) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if wins != 1 {
		t.Errorf("%d of 20 uses of one assertion succeeded", wins)
	}
	_, err := r.assert(t, assertion)
	wantRefused(t, "replay", err)
	r.advance(80 * time.Second) // within exp and skew
	_, err = r.assert(t, assertion)
	wantRefused(t, "replay at the end of its life", err)

	r.advance(-80 * time.Second)
	other := signed(t, jose.ES256, p256(), object{"kid": "e"}, claims(object{"iss": "jwt2", "sub": "jwt2"}))
	if _, err := r.assert(t, other); err != nil {
		t.Errorf("another client's assertion of the same jti: %v", err)
	}
}

func TestAFailingAssertionStoreLetsNobodyIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	members(t, r)
	r.assertions.err = storage.ErrUnavailable
	_, err := r.assert(t, signed(t, jose.ES256, p256(), object{"kid": "e"}, claims(nil)))
	if !errors.Is(err, storage.ErrUnavailable) || oauth.AsError(err) != nil {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func FuzzBasicHeader(f *testing.F) {
	r := newRig(f)
	members(f, r)
	f.Add(basic("basic", secret))
	f.Add("Basic Og==")
	f.Add("basic YTol")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest(http.MethodPost, tokenEndpoint, http.NoBody)
		req.Header["Authorization"] = []string{header}
		c, err := client.FromRequest(req, web.Values{})
		if err != nil {
			wantRefused(t, header, err)
			return
		}
		if c.ClientID == "" || c.Secret == "" || c.Method != oauth.AuthSecretBasic {
			t.Errorf("%q gives half credentials", header)
		}
		got, err := r.Authenticate(t.Context(), c)
		if err == nil && (got.ClientID != "basic" || c.Secret != secret && c.Secret != "an older secret") {
			t.Errorf("%q authenticates %s", header, got.ClientID)
		}
	})
}

func FuzzClientAssertion(f *testing.F) {
	r := newRig(f)
	members(f, r)
	good := signed(f, jose.ES256, p256(), object{"kid": "e"}, claims(nil))
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.bnVsbA.")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJqd3QiLCJhdWQiOlsxXX0.AAAA")
	f.Fuzz(func(t *testing.T, assertion string) {
		c, err := r.assert(t, assertion)
		if err == nil && (c.ClientID != "jwt" || !strings.HasPrefix(assertion, good[:strings.LastIndex(good, ".")])) {
			t.Errorf("%q authenticates %s", assertion, c.ClientID)
		}
		if err != nil {
			wantRefused(t, assertion, err)
		}
	})
}

func BenchmarkAuthenticateBySecret(b *testing.B) {
	r := newRig(b)
	members(b, r)
	req, values := request(b, "", "client_id", "post", "client_secret", secret)
	b.ReportAllocs()
	for b.Loop() {
		c, err := client.FromRequest(req, values)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnknownClient is compared with BenchmarkAuthenticateBySecret: who
// measures time must not learn which clients exist.
func BenchmarkUnknownClient(b *testing.B) {
	r := newRig(b)
	req, values := request(b, "", "client_id", "none", "client_secret", secret)
	b.ReportAllocs()
	for b.Loop() {
		c, err := client.FromRequest(req, values)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Authenticate(b.Context(), c); err == nil {
			b.Fatal("accepted")
		}
	}
}
