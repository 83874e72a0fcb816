package mint_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/provider/mint"
)

const issuer = "https://login.example.com/"

var now = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

func newVault(t testing.TB, secrets ...byte) *vault.Vault {
	t.Helper()
	var list [][]byte
	for _, b := range secrets {
		list = append(list, bytes.Repeat([]byte{b}, 32))
	}
	v, err := vault.New(list...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newMinter(t testing.TB, change ...func(*mint.Config)) *mint.Minter {
	t.Helper()
	c := mint.Config{Issuer: issuer, Keys: keystest.NewRing(t), Vault: newVault(t, 1), Now: func() time.Time { return now }}
	for _, f := range change {
		f(&c)
	}
	m, err := mint.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func claims() mint.IDTokenClaims {
	return mint.IDTokenClaims{
		Subject: "sms|0123456789abcdef01234567", Client: "tiny-client", Session: "S1",
		AuthTime: now.Add(-time.Minute), Nonce: "n-0S6_WzA2Mj", AccessToken: "hsa_token",
	}
}

// read decodes one segment of a JWT.
func read(t *testing.T, token string, segment int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[segment])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewNeedsAnIssuer(t *testing.T) {
	t.Parallel()
	if _, err := mint.New(mint.Config{Keys: keystest.NewRing(t), Vault: newVault(t, 1)}); err == nil {
		t.Error("a minter without an issuer makes tokens without one")
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	token, err := m.IDToken(claims())
	if err != nil {
		t.Fatal(err)
	}
	wantHeader := map[string]any{"alg": "RS256", "typ": "JWT", "kid": string(keys.ID(&keystest.Key(0).PublicKey))}
	if diff := cmp.Diff(wantHeader, read(t, token, 0)); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	half := sha256.Sum256([]byte("hsa_token"))
	want := map[string]any{
		"iss": issuer, "sub": "sms|0123456789abcdef01234567", "aud": "tiny-client",
		"iat": float64(now.Unix()), "exp": float64(now.Unix() + 600), "auth_time": float64(now.Unix() - 60),
		"nonce": "n-0S6_WzA2Mj", "amr": []any{"sms", "otp"}, "sid": "S1",
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
	}
	if diff := cmp.Diff(want, read(t, token, 1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	sum := sha256.Sum256([]byte(token[:strings.LastIndex(token, ".")]))
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&keystest.Key(0).PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		t.Errorf("signature: %v", err)
	}
}

// TestIDTokenSaysNothingThatWasNotAsked: nonce, acr, at_hash and sid are left
// out when there is none, and nothing else appears.
func TestIDTokenSaysNothingThatWasNotAsked(t *testing.T) {
	t.Parallel()
	m := newMinter(t, func(c *mint.Config) { c.IDTokenLife = time.Hour })
	token, err := m.IDToken(mint.IDTokenClaims{Subject: "sms|0", Client: "c", AuthTime: now})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"iss": issuer, "sub": "sms|0", "aud": "c", "iat": float64(now.Unix()),
		"exp": float64(now.Unix() + 3600), "auth_time": float64(now.Unix()), "amr": []any{"sms", "otp"}}
	if diff := cmp.Diff(want, read(t, token, 1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	c := claims()
	c.ACR = "urn:example:sms"
	if token, err = m.IDToken(c); err != nil {
		t.Fatal(err)
	}
	if got := read(t, token, 1)["acr"]; got != c.ACR {
		t.Errorf("acr %v, want %s", got, c.ACR)
	}
}

func TestNonceIsCopiedUnchanged(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	c := claims()
	c.Nonce = "<é&\u2028\"\\ %00+"
	token, err := m.IDToken(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, token, 1)["nonce"]; got != c.Nonce {
		t.Errorf("nonce %q, want %q", got, c.Nonce)
	}
}

func TestAnIDTokenWithoutSubjectIsNotMade(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	for _, c := range []mint.IDTokenClaims{{Client: "c"}, {Subject: "s"}} {
		if _, err := m.IDToken(c); err == nil {
			t.Errorf("made a token of %+v", c)
		}
	}
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	v := newVault(t, 1)
	m := newMinter(t, func(c *mint.Config) { c.Vault = v })
	for name, k := range map[string]struct {
		make   func() (string, []byte)
		lookup func(string) [][]byte
		other  func(string) [][]byte
		shape  string
		use    vault.Use
	}{
		"access token": {m.AccessToken, m.AccessTokenMACs, m.AuthCodeMACs, `^hsa_[A-Za-z0-9_-]{43}$`, vault.AccessToken},
		"code":         {m.AuthCode, m.AuthCodeMACs, m.AccessTokenMACs, `^hsc_[A-Za-z0-9_-]{43}$`, vault.AuthCode},
	} {
		text, mac := k.make()
		if !regexp.MustCompile(k.shape).MatchString(text) {
			t.Errorf("%s %q, want %s", name, text, k.shape)
		}
		if again, _ := k.make(); again == text {
			t.Errorf("%s: made twice", name)
		}
		if macs := k.lookup(text); len(macs) != 1 || !bytes.Equal(macs[0], mac) || !v.Verify(mac, k.use, text) {
			t.Errorf("%s: is not found by its MAC", name)
		}
		for _, wrong := range []string{"", "x", text + "A", text[:46], strings.ToUpper(text)} {
			if k.lookup(wrong) != nil {
				t.Errorf("%s: %q is looked up", name, wrong)
			}
		}
		if k.other(text) != nil {
			t.Errorf("%s: is taken for another kind of token", name)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]struct {
		make  func() string
		shape string
	}{
		"user":        {func() string { return string(mint.UserID()) }, `^sms\|[0-9a-f]{24}$`},
		"session":     {func() string { return string(mint.SessionID()) }, `^[0-9A-V]{8}[A-Z2-7]{26}$`},
		"grant":       {func() string { return string(mint.GrantID()) }, `^[0-9A-V]{8}[A-Z2-7]{26}$`},
		"transaction": {func() string { return string(mint.TransactionID()) }, `^[0-9A-V]{8}[A-Z2-7]{26}$`},
		"family":      {func() string { return string(mint.FamilyID()) }, `^[A-Z2-7]{26}$`},
	} {
		seen := map[string]bool{}
		for range 100 {
			id := k.make()
			if !regexp.MustCompile(k.shape).MatchString(id) || seen[id] {
				t.Fatalf("%s %q, want %s and every one new", name, id, k.shape)
			}
			seen[id] = true
		}
	}
}

func TestRefreshToken(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	family := mint.FamilyID()
	for _, counter := range []int64{0, 1, 255, 1 << 40, 1<<63 - 1} {
		token := m.RefreshToken(family, counter)
		if !strings.HasPrefix(token, "hsr1_") || token != m.RefreshToken(family, counter) {
			t.Fatalf("%q: want the prefix, and the same token again", token)
		}
		f, c, ok := m.ParseRefreshToken(token)
		if !ok || f != family || c != counter {
			t.Errorf("parsed %q, %d, %v; want %q, %d", f, c, ok, family, counter)
		}
	}
}

func TestForgedRefreshTokensAreRefused(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	token := m.RefreshToken("FAMILY", 7)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "hsr1_"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw { // every byte counts: MAC, counter, family
		forged := bytes.Clone(raw)
		forged[i] ^= 1
		if _, _, ok := m.ParseRefreshToken("hsr1_" + base64.RawURLEncoding.EncodeToString(forged)); ok {
			t.Errorf("byte %d can be changed", i)
		}
	}
	access, _ := m.AccessToken()
	for name, text := range map[string]string{
		"empty": "", "prefix alone": "hsr1_", "no prefix": strings.TrimPrefix(token, "hsr1_"),
		"another layout": "hsr2_" + strings.TrimPrefix(token, "hsr1_"), "padding": token + "=",
		"line break": token[:20] + "\n" + token[20:], "longer": token + "AAAA", "cut": token[:len(token)-4],
		"huge": "hsr1_" + strings.Repeat("A", 1<<20), "an access token": access,
		"by another key": newMinter(t, func(c *mint.Config) { c.Vault = newVault(t, 9) }).RefreshToken("FAMILY", 7),
	} {
		if _, _, ok := m.ParseRefreshToken(text); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRefreshTokensOutliveTheActiveKey(t *testing.T) {
	t.Parallel()
	old := newMinter(t, func(c *mint.Config) { c.Vault = newVault(t, 1) })
	replaced := newMinter(t, func(c *mint.Config) { c.Vault = newVault(t, 2, 1) })
	gone := newMinter(t, func(c *mint.Config) { c.Vault = newVault(t, 2) })
	token := old.RefreshToken("F", 3)
	if _, _, ok := replaced.ParseRefreshToken(token); !ok {
		t.Error("a token of a key that is still in the file must parse")
	}
	if _, _, ok := gone.ParseRefreshToken(token); ok {
		t.Error("a token of a key that left the file must not")
	}
}

// A client may take ES256 for its ID tokens; they are hints as good as any.
func TestIDTokenByES256(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	c := claims()
	c.Algorithm = "ES256"
	token, err := m.IDToken(c)
	if err != nil {
		t.Fatal(err)
	}
	wantHeader := map[string]any{"alg": "ES256", "typ": "JWT", "kid": string(keys.ID(&keystest.ECKey(0).PublicKey))}
	if diff := cmp.Diff(wantHeader, read(t, token, 0)); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	byRSA, err := m.IDToken(claims())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, byRSA, 1), read(t, token, 1)); diff != "" {
		t.Errorf("claims, against those of RS256 (-want +got):\n%s", diff)
	}
	if hint, err := m.VerifyHint(t.Context(), token); err != nil || hint.Subject != c.Subject {
		t.Errorf("as a hint: %+v, %v", hint, err)
	}
	c.Algorithm = "HS256"
	if token, err := m.IDToken(c); err == nil {
		t.Errorf("by HS256: %s", token)
	}
}

func TestVerifyHint(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	token, err := m.IDToken(claims())
	if err != nil {
		t.Fatal(err)
	}
	later := newMinter(t, func(c *mint.Config) { c.Now = func() time.Time { return now.AddDate(1, 0, 0) } })
	hint, err := later.VerifyHint(t.Context(), token)
	if err != nil {
		t.Fatalf("an expired hint of ours: %v", err)
	}
	want := mint.Hint{Subject: claims().Subject, Session: "S1", ClientID: "tiny-client", IssuedAt: now.Truncate(time.Second)}
	if diff := cmp.Diff(want, hint); diff != "" {
		t.Errorf("hint (-want +got):\n%s", diff)
	}
}

func TestHintOfARetiredKeyVerifies(t *testing.T) {
	t.Parallel()
	clock := now
	ring, err := keys.Open(t.Context(), keys.Config{
		Store:        keystest.NewStore(keystest.Record(1, now.Add(-48*time.Hour)), keystest.Record(2, now.Add(time.Hour))),
		LongestToken: 24 * time.Hour, Now: func() time.Time { return clock },
	})
	if err != nil {
		t.Fatal(err)
	}
	m := newMinter(t, func(c *mint.Config) { c.Keys = ring })
	token, err := m.IDToken(claims())
	if err != nil {
		t.Fatal(err)
	}
	clock = now.Add(2 * time.Hour)
	if err := ring.Maintain(t.Context(), clock); err != nil {
		t.Fatal(err)
	}
	if ring.Signer(keys.RS256).ID != keys.ID(&keystest.Key(2).PublicKey) {
		t.Fatal("the key did not rotate")
	}
	if _, err := m.VerifyHint(t.Context(), token); err != nil {
		t.Errorf("a hint of the retired key: %v", err)
	}
	clock = now.Add(30 * time.Hour)
	if err := ring.Maintain(t.Context(), clock); err != nil {
		t.Fatal(err)
	}
	if _, err := m.VerifyHint(t.Context(), token); !errors.Is(err, mint.ErrHint) {
		t.Errorf("a hint of a key that is not published any more: %v", err)
	}
}

// forge signs claims as an attacker, or another part of Handset, might.
func forge(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[string]any, payload string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestForgedHintsAreRefused(t *testing.T) {
	t.Parallel()
	m := newMinter(t)
	ours, kid := keystest.Key(0), string(keys.ID(&keystest.Key(0).PublicKey))
	curve := string(keys.ID(&keystest.ECKey(0).PublicKey))
	const good = `{"iss":"https://login.example.com/","sub":"sms|1","aud":"c","iat":1772366400,"exp":1772367000}`
	header := func(more ...string) map[string]any {
		h := map[string]any{"kid": kid, "typ": "JWT"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	if _, err := m.VerifyHint(t.Context(), forge(t, jose.RS256, ours, header(), good)); err != nil {
		t.Fatalf("the pattern that the forgeries vary: %v", err)
	}
	public, err := jose.JSONWebKey{Key: &ours.PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(forge(t, jose.RS256, ours, header(), good), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	with := func(old, new string) string {
		return forge(t, jose.RS256, ours, header(), strings.Replace(good, old, new, 1))
	}
	for name, token := range map[string]string{
		"alg none":                        none + "." + segments[1] + ".",
		"alg none, signature kept":        none + "." + segments[1] + "." + segments[2],
		"HS256 with the public key":       forge(t, jose.HS256, public, header(), good),
		"PS256 by our key":                forge(t, jose.PS256, ours, header(), good),
		"another key under our kid":       forge(t, jose.RS256, keystest.Key(1), header(), good),
		"our key under the other's kid":   forge(t, jose.RS256, ours, header("kid", curve), good),
		"ES256 under the other's kid":     forge(t, jose.ES256, keystest.ECKey(0), header(), good),
		"ES256 by a stranger":             forge(t, jose.ES256, keystest.ECKey(1), header("kid", curve), good),
		"unknown kid":                     forge(t, jose.RS256, ours, header("kid", "other"), good),
		"no kid":                          forge(t, jose.RS256, ours, map[string]any{"typ": "JWT"}, good),
		"jku":                             forge(t, jose.RS256, ours, header("jku", "https://evil.example/jwks"), good),
		"x5u":                             forge(t, jose.RS256, ours, header("x5u", "https://evil.example/x"), good),
		"an access token of ours":         forge(t, jose.RS256, ours, header("typ", "at+jwt"), good),
		"a logout token of ours":          forge(t, jose.RS256, ours, header("typ", "logout+jwt"), good),
		"no typ":                          forge(t, jose.RS256, ours, map[string]any{"kid": kid}, good),
		"another issuer":                  with("login.example.com/", "evil.example/"),
		"the issuer without its slash":    with("login.example.com/", "login.example.com"),
		"no subject":                      with(`"sub":"sms|1",`, ""),
		"no audience":                     with(`"aud":"c",`, ""),
		"two audiences":                   with(`"aud":"c"`, `"aud":["c","d"]`),
		"an audience of numbers":          with(`"aud":"c"`, `"aud":[1]`),
		"no iat":                          with(`"iat":1772366400,`, ""),
		"a null payload":                  forge(t, jose.RS256, ours, header(), "null"),
		"a list":                          forge(t, jose.RS256, ours, header(), "["+good+"]"),
		"a changed payload":               segments[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(good+" ")) + "." + segments[2],
		"four segments":                   strings.Join(segments, ".") + ".x",
		"white space":                     " " + strings.Join(segments, "."),
		"JSON serialisation":              `{"payload":"` + segments[1] + `","protected":"` + segments[0] + `","signature":"` + segments[2] + `"}`,
		"too long":                        strings.Join(segments, ".") + strings.Repeat("A", 5000),
		"nothing":                         "",
		"an attacker's key in the header": attackersKey(t, good),
	} {
		if _, err := m.VerifyHint(t.Context(), token); !errors.Is(err, mint.ErrHint) {
			t.Errorf("%s: %v, want ErrHint", name, err)
		}
	}
}

// attackersKey signs with another key and brings it along.
func attackersKey(t *testing.T, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keystest.Key(1)},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func FuzzParseRefreshToken(f *testing.F) {
	m := newMinter(f)
	f.Add(m.RefreshToken("FAMILY", 7))
	f.Add("hsr1_")
	f.Add("hsr1_AAAA")
	f.Add(m.RefreshToken("", 0))
	f.Fuzz(func(t *testing.T, text string) {
		family, counter, ok := m.ParseRefreshToken(text)
		if ok && m.RefreshToken(family, counter) != text {
			t.Errorf("%q stands for %q, %d, whose text is another", text, family, counter)
		}
	})
}

func FuzzVerifyHint(f *testing.F) {
	m := newMinter(f)
	token, err := m.IDToken(claims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("eyJhbGciOiJub25lIn0.bnVsbA.")
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsxXX0.AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		hint, err := m.VerifyHint(t.Context(), text)
		if err != nil && !errors.Is(err, mint.ErrHint) {
			t.Errorf("%q: %v, want ErrHint", text, err)
		}
		// RSA signatures of PKCS #1 v1.5 are deterministic: there is one token.
		if err == nil && hint.Subject != claims().Subject {
			t.Errorf("%q names %q", text, hint.Subject)
		}
	})
}

func BenchmarkIDToken(b *testing.B) {
	m := newMinter(b)
	c := claims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.IDToken(c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRSA is the unit R that BenchmarkIDToken is measured in.
func BenchmarkRSA(b *testing.B) {
	key, sum := keystest.Key(0), sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyHint(b *testing.B) {
	m := newMinter(b)
	token, err := m.IDToken(claims())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.VerifyHint(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRefreshToken(b *testing.B) {
	m := newMinter(b)
	token := m.RefreshToken(mint.FamilyID(), 12)
	b.ReportAllocs()
	for b.Loop() {
		m.ParseRefreshToken(token)
	}
}
