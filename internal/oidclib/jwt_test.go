package oidclib_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/keys/keystest"
)

var rules = oidclib.Rules{
	Algorithms: []jose.SignatureAlgorithm{jose.RS256},
	Types:      []string{"", "jwt"},
	Key: func(kid string, _ jose.SignatureAlgorithm) any {
		if kid == "k" {
			return &keystest.Key(0).PublicKey
		}
		return nil
	},
}

// sign makes a token of the process's key 0.
func sign(t testing.TB, header map[string]any, payload string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keystest.Key(0)}, options)
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

// assemble makes a token whose signature is rubbish.
func assemble(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + ".AAAA"
}

func TestVerify(t *testing.T) {
	t.Parallel()
	type header = map[string]any
	good := sign(t, header{"kid": "k", "typ": "JWT"}, `{"sub":"s"}`)
	tests := []struct {
		name  string
		token string
		want  error
	}{
		{"ours", good, nil},
		{"no typ", sign(t, header{"kid": "k"}, `{"sub":"s"}`), nil},
		{"typ as a media type", sign(t, header{"kid": "k", "typ": "application/jwt"}, `{"sub":"s"}`), nil},
		{"unknown header members are ignored", sign(t, header{"kid": "k", "x-new": 1}, `{"sub":"s"}`), nil},
		{"another typ", sign(t, header{"kid": "k", "typ": "at+jwt"}, `{"sub":"s"}`), oidclib.ErrType},
		{"an empty typ", sign(t, header{"kid": "k", "typ": ""}, `{"sub":"s"}`), oidclib.ErrType},
		{"typ is a number", assemble(`{"alg":"RS256","kid":"k","typ":1}`, `{}`), oidclib.ErrType},
		{"unknown kid", sign(t, header{"kid": "j"}, `{"sub":"s"}`), oidclib.ErrKey},
		{"no kid", sign(t, nil, `{"sub":"s"}`), oidclib.ErrKey},
		{"alg none", assemble(`{"alg":"none","kid":"k"}`, `{}`), oidclib.ErrAlgorithm},
		{"alg HS256", assemble(`{"alg":"HS256","kid":"k"}`, `{}`), oidclib.ErrAlgorithm},
		{"no alg", assemble(`{"kid":"k"}`, `{}`), oidclib.ErrAlgorithm},
		{"x5c is not even parsed", assemble(`{"alg":"RS256","kid":"k","x5c":["AAAA"]}`, `{}`), oidclib.ErrHeader},
		{"jwk", assemble(`{"alg":"RS256","kid":"k","jwk":{}}`, `{}`), oidclib.ErrHeader},
		{"jku", assemble(`{"alg":"RS256","kid":"k","jku":"https://evil.example/"}`, `{}`), oidclib.ErrHeader},
		{"crit", assemble(`{"alg":"RS256","kid":"k","crit":["x"]}`, `{}`), oidclib.ErrHeader},
		{"b64", assemble(`{"alg":"RS256","kid":"k","b64":false}`, `{}`), oidclib.ErrHeader},
		{"alg twice", assemble(`{"alg":"RS256","alg":"none","kid":"k"}`, `{}`), oidclib.ErrMalformed},
		{"a rubbish signature", assemble(`{"alg":"RS256","kid":"k"}`, `{}`), oidclib.ErrSignature},
		{"a header that is no object", assemble(`[]`, `{}`), oidclib.ErrMalformed},
		{"null", sign(t, header{"kid": "k"}, `null`), oidclib.ErrClaims},
		{"a string", sign(t, header{"kid": "k"}, `"s"`), oidclib.ErrClaims},
		{"not JSON", sign(t, header{"kid": "k"}, `{sub}`), oidclib.ErrClaims},
		{"sub is a number", sign(t, header{"kid": "k"}, `{"sub":1}`), oidclib.ErrClaims},
		{"white space around", good + "\n", oidclib.ErrMalformed},
		{"white space within", strings.Replace(good, ".", ". ", 1), oidclib.ErrMalformed},
		{"JSON serialisation", `{"payload":"e30","signatures":[]}`, oidclib.ErrMalformed},
		{"two segments", "e30.e30", oidclib.ErrMalformed},
		{"empty", "", oidclib.ErrMalformed},
		{"huge", good + strings.Repeat("A", 1<<20), oidclib.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var claims struct {
				Subject string `json:"sub"`
			}
			err := oidclib.Verify(tt.token, rules, &claims)
			if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || claims.Subject != "s") {
				t.Errorf("got %v, want %v; claims %+v", err, tt.want, claims)
			}
		})
	}
}

func TestClaimsAreDecodedAfterTheSignature(t *testing.T) {
	t.Parallel()
	claims := map[string]any{}
	if err := oidclib.Verify(assemble(`{"alg":"RS256","kid":"k"}`, `{"sub":"s"}`), rules, &claims); err == nil || len(claims) > 0 {
		t.Errorf("got %v and claims %v of a token that nobody signed", err, claims)
	}
}

func TestAudienceAndTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"a"`: "a", `["a","b"]`: "a b", `[]`: "", `1`: "error", `[1]`: "error", `{}`: "error", `["a",null]`: "a ", `[["a"]]`: "error",
	} {
		var a oidclib.Audience
		got := "error"
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			got = strings.Join(a, " ")
		}
		if got != want {
			t.Errorf("aud %s is %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]int64{
		`1772366400`: 1772366400, `1772366400.75`: 1772366400, `1.7723664e9`: 1772366400,
		`0`: -1, `-5`: -1, `1e300`: -1, `"2026-03-01T12:00:00Z"`: -1, `true`: -1,
	} {
		var at oidclib.Time
		got := int64(-1)
		if err := json.Unmarshal([]byte(text), &at); err == nil {
			got = at.Time().Unix()
		}
		if got != want {
			t.Errorf("time %s is %d, want %d", text, got, want)
		}
	}
	if !oidclib.Time(0).Time().IsZero() {
		t.Error("an absent time must be the zero time")
	}
}
