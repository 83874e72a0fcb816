package resourcetest

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// Fault is a token that no API may accept.
type Fault struct {
	Name  string
	Token string
	// Reason is the one that package resource gives.
	Reason resource.Reason
}

// Faults are tokens with one fault each, made of an otherwise good one: what a test
// of an API sends to see that all of its routes are protected.
//
//	for _, fault := range issuer.Faults(resourcetest.Token{Scopes: []resource.Scope{"read:vendors"}}) {
//		t.Run(fault.Name, func(t *testing.T) { ... want 401 ... })
//	}
func (i *Issuer) Faults(good Token) []Fault {
	i.t.Helper()
	return slices.Concat(i.faultyClaims(good), i.faultyHeaders(good), i.forgeries(good), i.faultyForms(good))
}

// faultyClaims are signed as they should be.
func (i *Issuer) faultyClaims(good Token) []Fault {
	now := i.Now()
	var all []Fault
	add := func(name string, reason resource.Reason, claim string, value any) {
		bad := good
		bad.Claims = with(good.Claims, claim, value)
		all = append(all, Fault{name, i.Token(bad), reason})
	}
	add("expired", resource.ReasonExpired, "exp", now.Add(-time.Second).Unix())
	add("not yet valid", resource.ReasonNotYet, "nbf", now.Add(time.Hour).Unix())
	add("issued in the future", resource.ReasonNotYet, "iat", now.Add(30*time.Minute).Unix())
	add("for another audience", resource.ReasonAudience, "aud", "https://other.example.com")
	add("for a longer audience", resource.ReasonAudience, "aud", string(i.audience)+"/")
	add("for several other audiences", resource.ReasonAudience, "aud", []string{"https://other.example.com", i.URL()})
	add("for no audience", resource.ReasonAudience, "aud", []string{})
	add("by another issuer", resource.ReasonIssuer, "iss", "https://other.example.com/")
	add("by an issuer without its slash", resource.ReasonIssuer, "iss", strings.TrimSuffix(i.URL(), "/"))
	for _, claim := range []string{"iss", "sub", "aud", "client_id", "jti", "iat", "exp"} {
		add("without "+claim, resource.ReasonClaims, claim, nil)
	}
	for _, claim := range []string{"iss", "sub", "aud", "client_id", "jti", "acr", "scope"} {
		add(claim+" a number", resource.ReasonClaims, claim, 1)
	}
	for _, claim := range []string{"iat", "exp", "nbf", "auth_time"} {
		add(claim+" a text", resource.ReasonClaims, claim, "9999999999")
		add(claim+" negative", resource.ReasonClaims, claim, -1)
	}
	backwards := good
	backwards.Claims = with(with(good.Claims, "iat", now.Add(20*time.Second).Unix()), "exp", now.Add(10*time.Second).Unix())
	all = append(all, Fault{"issued after its end", i.Token(backwards), resource.ReasonClaims})
	add("aud with a number", resource.ReasonClaims, "aud", []any{string(i.audience), 1})
	add("aud with a null", resource.ReasonClaims, "aud", []any{string(i.audience), nil})
	add("amr a text in a list in a list", resource.ReasonClaims, "amr", []any{[]string{"sms"}})
	add("exp beyond all time", resource.ReasonClaims, "exp", 1e300)
	add("1 MB of claims", resource.ReasonTooLong, "padding", strings.Repeat("x", 1<<20))
	return all
}

// faultyHeaders are signed as they should be.
func (i *Issuer) faultyHeaders(good Token) []Fault {
	var all []Fault
	add := func(name string, reason resource.Reason, member string, value any) {
		bad := good
		bad.Header = with(good.Header, member, value)
		all = append(all, Fault{name, i.Token(bad), reason})
	}
	add("of type JWT, an ID token", resource.ReasonType, "typ", "JWT")
	add("of another type", resource.ReasonType, "typ", "logout+jwt")
	add("without a type", resource.ReasonType, "typ", nil)
	add("type a number", resource.ReasonType, "typ", 1)
	add("without an algorithm", resource.ReasonAlgorithm, "alg", nil)
	for _, alg := range []string{"none", "NONE", "HS256", "PS256", "ES384", "EdDSA", "es256", ""} {
		add("algorithm "+alg, resource.ReasonAlgorithm, "alg", alg)
	}
	own := newPair(i.t).ec
	add("with a jku", resource.ReasonHeader, "jku", i.server.URL+PathKeys)
	add("with a jwk", resource.ReasonHeader, "jwk", own.jwk())
	add("with an x5u", resource.ReasonHeader, "x5u", i.server.URL)
	add("with an x5c", resource.ReasonHeader, "x5c", []string{"MIIB"})
	add("with a crit", resource.ReasonHeader, "crit", []string{"exp"})
	add("with a b64", resource.ReasonHeader, "b64", true)
	add("compressed", resource.ReasonHeader, "zip", "DEF")
	add("without a kid", resource.ReasonUnknownKey, "kid", nil)
	add("of an unknown key", resource.ReasonUnknownKey, "kid", rand.Text())
	add("of the other algorithm's key", resource.ReasonUnknownKey, "kid", i.key(!good.RS256).kid)
	return all
}

// forgeries have good claims and are signed by somebody else.
func (i *Issuer) forgeries(good Token) []Fault {
	key, strangers := i.key(good.RS256), newPair(i.t)
	stranger := strangers.ec
	if good.RS256 {
		stranger = &signer{"", "RS256", strangers.rsa.key}
	}
	header, claims := i.header(good, key), i.claims(good)
	as := func(alg string) map[string]any { return with(header, "alg", alg) }
	jwk := with(with(header, "kid", nil), "jwk", stranger.jwk())
	none := func([]byte) []byte { return nil }
	zeros := func([]byte) []byte { return make([]byte, 64) }
	all := []Fault{
		{"unsigned", i.encode(as("none"), claims, none), resource.ReasonAlgorithm},
		{"HS256 with the public key", i.encode(as("HS256"), claims, hs256(key.pem())), resource.ReasonAlgorithm},
		{"an HMAC that says ES256", i.encode(header, claims, hs256(key.pem())), resource.ReasonSignature},
		{"signed by its own jwk", i.encode(changed(jwk, nil), claims, stranger.sign), resource.ReasonHeader},
		{"without a signature", i.encode(header, claims, none), resource.ReasonSignature},
		{"with a signature of zeros", i.encode(header, claims, zeros), resource.ReasonSignature},
		{"claims changed after signing", i.swapped(good), resource.ReasonSignature},
	}
	if !good.RS256 { // the RSA key is one for all
		all = append(all, Fault{"signed by a stranger's key", i.encode(header, claims, stranger.sign), resource.ReasonSignature})
	}
	return all
}

// swapped is a good token's signature under other claims.
func (i *Issuer) swapped(good Token) string {
	signed := strings.Split(i.Token(good), ".")
	bad := good
	bad.Claims = with(good.Claims, "sub", "sms|000000000000000000000000")
	parts := strings.Split(i.Token(bad), ".")
	return parts[0] + "." + parts[1] + "." + signed[2]
}

// faultyForms are good tokens that were spelled in another way, or lost something.
func (i *Issuer) faultyForms(good Token) []Fault {
	token := i.Token(good)
	parts := strings.Split(token, ".")
	key := i.key(good.RS256)
	text := func(header, claims string) string {
		b64 := base64.RawURLEncoding.EncodeToString
		input := b64([]byte(header)) + "." + b64([]byte(claims))
		return input + "." + b64(key.sign([]byte(input)))
	}
	header := `{"typ":"at+jwt","alg":"` + key.alg + `","kid":"` + key.kid + `"}`
	malformed := resource.ReasonMalformed
	return []Fault{
		{"truncated", token[:len(token)-10], resource.ReasonSignature},
		{"truncated in its claims", token[:len(parts[0])+20], malformed},
		{"in four parts", token + "." + parts[2], malformed},
		{"in two parts", parts[0] + "." + parts[1], malformed},
		{"padded", parts[0] + "." + parts[1] + "." + parts[2] + "==", malformed},
		{"with white space", parts[0] + "." + parts[1] + " ." + parts[2], malformed},
		{"in JSON", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, malformed},
		{"no JWT", rand.Text(), malformed},
		{"dots", "..", malformed},
		{"a list for a header", text("[]", "{}"), malformed},
		{"a list for claims", text(header, "[]"), resource.ReasonClaims},
		{"null for claims", text(header, "null"), resource.ReasonClaims},
		{"a claim twice", text(header, `{"sub":"a","sub":"b"}`), resource.ReasonClaims},
		{"a header twice", text(strings.Replace(header, "{", `{"alg":"none",`, 1), "{}"), malformed},
		{"broken JSON", text(header, `{"sub":`), resource.ReasonClaims},
		{"no UTF-8", text(header, "{\"sub\":\"\xff\"}"), resource.ReasonClaims},
	}
}

func with(values map[string]any, name string, value any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	out[name] = value
	return out
}
