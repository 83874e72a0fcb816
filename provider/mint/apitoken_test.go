package mint_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

const api storage.Audience = "https://purchasing.example.com"

func apiClaims() mint.APITokenClaims {
	return mint.APITokenClaims{
		ID: mint.TokenID("GRANT"), Subject: "sms|0123456789abcdef01234567", Client: "tiny-client",
		Audience: []storage.Audience{api}, Scopes: []string{"read:vendors", "write:vendors"},
		Expires: now.Add(24*time.Hour - time.Minute), AuthTime: now.Add(-time.Minute),
		Claims: map[string]any{"employee_id": "0291", "department": "購買", "level": json.Number("12345678901234567890")},
	}
}

// RFC 9068 §2.2, and nothing else.
func TestAPITokenSaysExactlyWhatItShould(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	for alg, kid := range map[keys.Algorithm]storage.KeyID{
		keys.ES256: keys.ID(&keystest.ECKey(0).PublicKey), keys.RS256: keys.ID(&keystest.Key(0).PublicKey),
	} {
		c := apiClaims()
		token, err := m.APIToken(string(alg), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"alg": string(alg), "typ": "at+jwt", "kid": string(kid)}, read(t, token, 0)); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		want := map[string]any{
			"iss": issuer, "sub": string(c.Subject), "aud": string(api), "client_id": "tiny-client",
			"iat": float64(now.Unix()), "exp": float64(c.Expires.Unix()), "jti": string(c.ID),
			"scope": "read:vendors write:vendors", "auth_time": float64(now.Unix() - 60), "amr": []any{"sms", "otp"},
			"employee_id": "0291", "department": "購買", "level": 12345678901234567890.0,
		}
		if diff := cmp.Diff(want, read(t, token, 1)); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		got, err := m.VerifyAPIToken(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		c.Expires, c.AuthTime = c.Expires.Truncate(time.Second), c.AuthTime.Truncate(time.Second)
		if diff := cmp.Diff(mint.APIToken{APITokenClaims: c, IssuedAt: now.Truncate(time.Second)}, got); diff != "" {
			t.Errorf("verified (-want +got):\n%s", diff)
		}
	}
}

func TestAPITokenOfAMachineSaysNothingOfALogin(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	id := mint.TokenID("")
	token, err := m.APIToken("ES256", mint.APITokenClaims{
		ID: id, Subject: "batch@clients", Client: "batch", Audience: []storage.Audience{api, issuer + "userinfo"}, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"iss": issuer, "sub": "batch@clients", "aud": []any{string(api), issuer + "userinfo"}, "client_id": "batch",
		"iat": float64(now.Unix()), "exp": float64(now.Unix() + 3600), "jti": string(id),
	}
	if diff := cmp.Diff(want, read(t, token, 1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestTokenIDNamesItsGrant(t *testing.T) {
	t.Parallel()
	grant := mint.GrantID()
	one, other := mint.TokenID(grant), mint.TokenID(grant)
	if one == other || mint.Grant(one) != grant || mint.Grant(other) != grant {
		t.Errorf("%s and %s of grant %s", one, other, grant)
	}
	if machine := mint.TokenID(""); mint.Grant(machine) != "" || len(machine) < 26 {
		t.Errorf("a token without a grant is %s", machine)
	}
}

func TestAPITokensThatAreNotMade(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	for name, spoil := range map[string]func(*mint.APITokenClaims){
		"no subject":        func(c *mint.APITokenClaims) { c.Subject = "" },
		"no client":         func(c *mint.APITokenClaims) { c.Client = "" },
		"no name":           func(c *mint.APITokenClaims) { c.ID = "" },
		"no audience":       func(c *mint.APITokenClaims) { c.Audience = nil },
		"an empty audience": func(c *mint.APITokenClaims) { c.Audience = []storage.Audience{""} },
		"a claim of ours":   func(c *mint.APITokenClaims) { c.Claims = map[string]any{"sub": "sms|1"} },
		"the scope":         func(c *mint.APITokenClaims) { c.Claims = map[string]any{"a": 1, "scope": "admin"} },
		"not JSON":          func(c *mint.APITokenClaims) { c.Claims = map[string]any{"a": func() {}} },
		"too much":          func(c *mint.APITokenClaims) { c.Claims = map[string]any{"a": strings.Repeat("x", 4000)} },
	} {
		c := apiClaims()
		spoil(&c)
		if token, err := m.APIToken("ES256", c); err == nil || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

func TestAPITokensAreSignedByKnownAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	for _, alg := range []string{"", "none", "HS256", "EdDSA", "es256"} {
		if token, err := m.APIToken(alg, apiClaims()); err == nil {
			t.Errorf("%q: %s", alg, token)
		}
	}
}

// security.md §3.25, §3.26: nothing but our own access tokens counts as one.
func TestForgedAPITokensAreRefused(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	ours, kid := keystest.ECKey(0), string(keys.ID(&keystest.ECKey(0).PublicKey))
	rsaKid := string(keys.ID(&keystest.Key(0).PublicKey))
	const good = `{"iss":"https://login.example.com/","sub":"sms|1","aud":"api","client_id":"c","iat":1772366400,"exp":1772367000,"jti":"j"}`
	header := func(more ...string) map[string]any {
		h := map[string]any{"kid": kid, "typ": "at+jwt"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	if _, err := m.VerifyAPIToken(t.Context(), forge(t, jose.ES256, ours, header(), good)); err != nil {
		t.Fatalf("the pattern that the forgeries vary: %v", err)
	}
	idToken, err := m.IDToken(claims())
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: &ours.PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(forge(t, jose.ES256, ours, header(), good), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	with := func(old, new string) string {
		return forge(t, jose.ES256, ours, header(), strings.Replace(good, old, new, 1))
	}
	for name, token := range map[string]string{
		"an ID token of ours":          idToken,
		"typ JWT":                      forge(t, jose.ES256, ours, header("typ", "JWT"), good),
		"a logout token":               forge(t, jose.ES256, ours, header("typ", "logout+jwt"), good),
		"no typ":                       forge(t, jose.ES256, ours, map[string]any{"kid": kid}, good),
		"alg none":                     none + "." + segments[1] + ".",
		"HS256 with the public key":    forge(t, jose.HS256, public, header(), good),
		"another key under our kid":    forge(t, jose.ES256, keystest.ECKey(1), header(), good),
		"our kid of another algorithm": forge(t, jose.ES256, ours, header("kid", rsaKid), good),
		"RS256 by a stranger":          forge(t, jose.RS256, keystest.Key(1), header("kid", rsaKid), good),
		"PS256 by our key":             forge(t, jose.PS256, keystest.Key(0), header("kid", rsaKid), good),
		"unknown kid":                  forge(t, jose.ES256, ours, header("kid", "other"), good),
		"no kid":                       forge(t, jose.ES256, ours, map[string]any{"typ": "at+jwt"}, good),
		"jku":                          forge(t, jose.ES256, ours, header("jku", "https://evil.example/jwks"), good),
		"another issuer":               with("login.example.com/", "evil.example/"),
		"no subject":                   with(`"sub":"sms|1",`, ""),
		"no audience":                  with(`"aud":"api",`, ""),
		"no client":                    with(`"client_id":"c",`, ""),
		"no jti":                       with(`,"jti":"j"`, ""),
		"no exp":                       with(`"exp":1772367000,`, ""),
		"an audience of numbers":       with(`"aud":"api"`, `"aud":[1]`),
		"a null payload":               forge(t, jose.ES256, ours, header(), "null"),
		"a changed payload":            segments[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(good+" ")) + "." + segments[2],
		"unsigned":                     segments[0] + "." + segments[1] + ".",
		"truncated":                    strings.Join(segments, ".")[:100],
		"1 MB of claims":               segments[0] + "." + strings.Repeat("A", 1<<20) + "." + segments[2],
		"opaque":                       "hsa_" + strings.Repeat("A", 43),
		"nothing":                      "",
	} {
		if got, err := m.VerifyAPIToken(t.Context(), token); !errors.Is(err, mint.ErrAPIToken) {
			t.Errorf("%s: %+v, %v; want ErrAPIToken", name, got, err)
		}
	}
	token, err := m.APIToken("RS256", apiClaims())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.VerifyHint(t.Context(), token); !errors.Is(err, mint.ErrHint) {
		t.Errorf("an access token as id_token_hint: %v", err)
	}
}

func FuzzVerifyAPIToken(f *testing.F) {
	m := newMinter(f)
	token, err := m.APIToken("RS256", apiClaims()) // there is one text of it, unlike by ES256
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.bnVsbA.")
	f.Add("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJhdWQiOlsxXX0.AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := m.VerifyAPIToken(t.Context(), text)
		if err != nil && !errors.Is(err, mint.ErrAPIToken) {
			t.Errorf("%q: %v, want ErrAPIToken", text, err)
		}
		if err == nil && got.Subject != apiClaims().Subject {
			t.Errorf("%q names %q", text, got.Subject)
		}
	})
}

// What a token for an API costs to make and to read; R is BenchmarkRSA.
func BenchmarkAPIToken(b *testing.B) {
	m := newMinter(b)
	c := apiClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.APIToken("ES256", c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAPIToken(b *testing.B) {
	m := newMinter(b)
	token, err := m.APIToken("ES256", apiClaims())
	if err != nil {
		b.Fatal(err)
	}
	// What has expired is verified each time.
	late := newMinter(b, func(c *mint.Config) { c.Now = func() time.Time { return now.Add(48 * time.Hour) } })
	for name, m := range map[string]*mint.Minter{"first": late, "again": m} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.VerifyAPIToken(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A token that was read before says the same again, and one that differs from it
// anywhere is read as if it had never been.
func TestATokenReadBeforeLendsNothingToAnother(t *testing.T) {
	t.Parallel()
	m, fresh := newMinter(t), newMinter(t)
	for _, alg := range keys.Algorithms() {
		token, err := m.APIToken(string(alg), apiClaims())
		if err != nil {
			t.Fatal(err)
		}
		first, err := m.VerifyAPIToken(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range token {
			other := token[:i] + string(token[i]^1) + token[i+1:]
			// The last character of a part has bits that base64url leaves unused.
			_, want := fresh.VerifyAPIToken(t.Context(), other)
			got, err := m.VerifyAPIToken(t.Context(), other)
			if (err == nil) != (want == nil) {
				t.Fatalf("%s: another character at %d: %+v, %v; want %v", alg, i, got, err, want)
			}
			if err != nil {
				refused++
			}
		}
		if refused < len(token)-3 {
			t.Errorf("%s: only %d of %d others were refused", alg, refused, len(token))
		}
		again, err := m.VerifyAPIToken(t.Context(), token)
		if diff := cmp.Diff(first, again); err != nil || diff != "" {
			t.Errorf("%s, read again: %v (-first +again):\n%s", alg, err, diff)
		}
	}
}

// A key that is withdrawn takes the tokens with it that were read before; a reading
// of the keys that changes none takes nothing.
func TestATokenReadBeforeDiesWithItsKey(t *testing.T) {
	t.Parallel()
	begin := time.Unix(0, 0).UTC()
	store := keystest.NewStore(keystest.Record(0, begin), keystest.ECRecord(0, begin))
	ring, err := keys.Open(t.Context(), keys.Config{Store: store, LongestToken: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	m := newMinter(t, func(c *mint.Config) { c.Keys = ring })
	token, err := m.APIToken("ES256", apiClaims())
	if err != nil {
		t.Fatal(err)
	}
	reload := func(kept ...storage.SigningKey) error {
		err := store.UpdateSigningKeys(t.Context(), func([]storage.SigningKey) ([]storage.SigningKey, error) { return kept, nil })
		if err == nil {
			err = ring.Reload(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.VerifyAPIToken(t.Context(), token)
		return err
	}
	for range 2 {
		if err := reload(keystest.Record(0, begin), keystest.ECRecord(0, begin)); err != nil {
			t.Errorf("while its key is published: %v", err)
		}
	}
	if err := reload(keystest.Record(0, begin), keystest.ECRecord(1, begin)); !errors.Is(err, mint.ErrAPIToken) {
		t.Errorf("when another key took its place: %v, want ErrAPIToken", err)
	}
	if err := reload(keystest.Record(0, begin), keystest.ECRecord(1, begin), keystest.ECRecord(0, begin)); err != nil {
		t.Errorf("when it is published again: %v", err)
	}
}
