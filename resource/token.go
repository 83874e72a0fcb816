package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"
)

// maxToken bounds what is looked at. Handset's tokens have under 1 KB, and its
// introspection takes no longer ones than 4 KB.
const maxToken = 8 << 10

// leeway is how far the issuer's clock may be ahead of ours. It is given where a
// token begins and never where it ends: no token outlives its time.
const leeway = 30 * time.Second

// The accepted algorithms (RFC 8725 §3.1): never none, never an HMAC, under which a
// published key would be the secret.
const (
	es256 = "ES256"
	rs256 = "RS256"
)

// forbidden are header parameters that bring or name a key of the sender's choice
// (RFC 8725 §3.10), or change how the rest is read (RFC 7515 §4.1.11).
var forbidden = []string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"}

// token is a token in parts, of which nothing is believed yet.
type token struct {
	alg, kid  string
	claims    object
	input     string // what is signed: header and claims in their wire form
	signature []byte
}

// parse reads a token in compact form (RFC 7515 §3.1) and looks at its header. It
// returns why the token can't be one, or "".
func parse(raw string) (token, Reason) {
	if len(raw) > maxToken {
		return token{}, ReasonTooLong
	}
	encodedHeader, rest, ok := strings.Cut(raw, ".")
	encodedClaims, encodedSignature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 { // a fourth part would be no base64url
		return token{}, ReasonMalformed
	}
	header, ok := decode(encodedHeader)
	if !ok {
		return token{}, ReasonMalformed
	}
	t := token{input: raw[:len(encodedHeader)+1+len(encodedClaims)]}
	if reason := t.readHeader(header); reason != "" {
		return token{}, reason
	}
	if t.signature, ok = decode(encodedSignature); !ok {
		return token{}, ReasonMalformed
	}
	claims, ok := decode(encodedClaims)
	if !ok {
		return token{}, ReasonMalformed
	}
	if t.claims, ok = parseObject(claims); !ok {
		return token{}, ReasonClaims
	}
	return t, ""
}

// decode reads base64url strictly, so that a token has one spelling. The library
// would skip line breaks.
func decode(s string) ([]byte, bool) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// readHeader takes what verification needs and refuses what could lead it astray.
func (t *token) readHeader(text []byte) Reason {
	header, ok := parseObject(text)
	if !ok {
		return ReasonMalformed
	}
	for _, name := range forbidden {
		if header.has(name) {
			return ReasonHeader
		}
	}
	if t.alg, ok = header.text("alg"); !ok || t.alg != es256 && t.alg != rs256 {
		return ReasonAlgorithm
	}
	// RFC 9068 §4: an ID token of the same issuer, or any other of its JWTs, is no
	// access token (RFC 8725 §3.11).
	typ, ok := header.text("typ")
	if typ = strings.ToLower(typ); !ok || typ != "at+jwt" && typ != "application/at+jwt" {
		return ReasonType
	}
	if t.kid, ok = header.text("kid"); !ok {
		return ReasonUnknownKey
	}
	return ""
}

// caller reads the claims that every access token has (RFC 9068 §2.2).
func (t *token) caller() (*Caller, bool) {
	o := t.claims
	var issuer, subject, client, id string
	o.textInto(&issuer, "iss")
	o.textInto(&subject, "sub")
	o.textInto(&client, "client_id")
	o.textInto(&id, "jti")
	if issuer == "" || subject == "" || client == "" || id == "" {
		return nil, false
	}
	c := &Caller{
		Subject: Subject(subject), ClientID: ClientID(client), Issuer: issuer, ID: TokenID(id), claims: o,
	}
	audience, ok := o.texts("aud")
	if !ok || !o.timeInto(&c.IssuedAt, "iat") || !o.timeInto(&c.ExpiresAt, "exp") {
		return nil, false
	}
	for _, a := range audience {
		c.Audience = append(c.Audience, Audience(a))
	}
	return c, t.optional(c)
}

// optional reads the claims that a token may have; one of a wrong type is no token
// of an issuer in its right mind.
func (t *token) optional(c *Caller) bool {
	o := t.claims
	var scope string
	ok := (!o.has("scope") || o.textInto(&scope, "scope")) &&
		(!o.has("acr") || o.textInto(&c.ACR, "acr")) &&
		(!o.has("auth_time") || o.timeInto(&c.AuthTime, "auth_time"))
	if ok && o.has("amr") {
		c.AMR, ok = o.texts("amr")
	}
	c.Scopes = parseScopes(scope)
	return ok
}

// refuse decides whether a token of these claims may be used here and now; "" says
// yes. Nothing is fetched and no signature is computed for one that may not.
func (t *token) refuse(c *Caller, issuer string, audience Audience, now time.Time) Reason {
	var notBefore time.Time
	if t.claims.has("nbf") && !t.claims.timeInto(&notBefore, "nbf") {
		return ReasonClaims
	}
	latest := now.Add(leeway)
	switch {
	case c.Issuer != issuer:
		return ReasonIssuer
	case !slices.Contains(c.Audience, audience):
		return ReasonAudience
	case !now.Before(c.ExpiresAt): // RFC 7519 §4.1.4: "on or after"
		return ReasonExpired
	case !c.IssuedAt.Before(c.ExpiresAt):
		return ReasonClaims
	case c.IssuedAt.After(latest), notBefore.After(latest):
		return ReasonNotYet
	}
	return ""
}

// signedBy verifies the signature with the key that the token's header has led to, by
// its name and algorithm together.
func (t *token) signedBy(key crypto.PublicKey) bool {
	digest := sha256.Sum256([]byte(t.input))
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if len(t.signature) != 64 { // RFC 7518 §3.4: two numbers of 32 bytes each
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature) == nil
	}
	return false
}
