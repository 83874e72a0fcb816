// Package oidclib is the one place that reads JSON Web Tokens that strangers
// hand in: client assertions and ID token hints. It stands on go-jose and
// decides what a token must look like before anyone believes a claim of it
// (RFC 8725).
//
// zitadel/oidc has verifiers for both in pkg/op. They are not used, and the
// tests of this package hold the reasons on the pinned version: a payload of
// `null` or an `aud` of numbers panics before any signature is checked, `typ`
// is never looked at, an assertion without `iat` or for the token endpoint is
// refused, and time is always the machine's. No other package may import pkg/op.
package oidclib

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxSize bounds what is decoded; web refuses longer parameters, too.
const maxSize = 4 << 10

// Errors of Verify, for the log; a client is told nothing finer than "invalid".
var (
	ErrMalformed = errors.New("not a JWT in compact form")
	ErrAlgorithm = errors.New("algorithm not accepted")
	ErrType      = errors.New("typ not accepted")
	ErrHeader    = errors.New("header not accepted")
	ErrKey       = errors.New("unknown key")
	ErrSignature = errors.New("wrong signature")
	ErrClaims    = errors.New("claims not understood")
)

// Rules say what a token must be.
type Rules struct {
	// Algorithms are the accepted ones; never an HMAC, never none (RFC 8725 §3.1).
	Algorithms []jose.SignatureAlgorithm
	// Types are the accepted `typ` headers in lower case, compared without case
	// and without "application/"; "" accepts a token that names none.
	Types []string
	// Key returns the public key that the header's kid and alg name, or nil.
	// kid may be empty.
	Key func(kid string, alg jose.SignatureAlgorithm) any
}

// Verify checks a token's form, header and signature, in this order, and
// decodes its claims only then. Times, issuer and audience are the caller's.
func Verify(raw string, rules Rules, claims any) error {
	if !compact(raw) {
		return ErrMalformed
	}
	if err := checkHeader(raw, rules.Types); err != nil {
		return err
	}
	jws, err := jose.ParseSignedCompact(raw, rules.Algorithms)
	if _, unexpected := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); unexpected {
		return ErrAlgorithm
	}
	if err != nil || len(jws.Signatures) != 1 {
		return ErrMalformed
	}
	header := jws.Signatures[0].Protected
	key := rules.Key(header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if key == nil {
		return ErrKey
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return ErrSignature
	}
	return decode(payload, claims)
}

// Peek decodes the claims of a token that nothing is believed of yet: only to
// find out whose key would have to have signed it (RFC 7521 §4.2).
func Peek(raw string, claims any) error {
	if !compact(raw) {
		return ErrMalformed
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return ErrMalformed
	}
	return decode(jws.UnsafePayloadWithoutVerification(), claims)
}

// compact reports whether raw has the compact form: three parts of base64url.
// go-jose and zitadel/oidc read JSON serialisation and white space as well.
func compact(raw string) bool {
	return len(raw) <= maxSize && strings.Count(raw, ".") == 2 && !strings.ContainsFunc(raw, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// forbidden are header parameters that bring or name a key of the sender's
// choice (RFC 8725 §3.10), or change how the rest is read.
var forbidden = []string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"}

// checkHeader looks at the header before go-jose does, which would parse the
// certificates in it.
func checkHeader(raw string, types []string) error {
	encoded, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ErrMalformed
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(text, &header); err != nil {
		return ErrMalformed
	}
	for _, name := range forbidden {
		if _, present := header[name]; present {
			return fmt.Errorf("%w: %s", ErrHeader, name)
		}
	}
	typ := ""
	if named, present := header["typ"]; present {
		if json.Unmarshal(named, &typ) != nil || typ == "" {
			return ErrType
		}
	}
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(typ), "application/")) {
		return ErrType
	}
	return nil
}

// decode wants one JSON object.
func decode(payload []byte, claims any) error {
	if p := bytes.TrimSpace(payload); len(p) == 0 || p[0] != '{' {
		return ErrClaims
	}
	if err := json.Unmarshal(payload, claims); err != nil {
		return ErrClaims
	}
	return nil
}

// Audience is the `aud` claim: a string or a list of strings (RFC 7519 §4.1.3).
type Audience []string

// UnmarshalJSON refuses every other form, where zitadel/oidc's type panics.
func (a *Audience) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil && len(b) > 0 && b[0] == '"' {
		*a = Audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return ErrClaims
	}
	*a = many
	return nil
}

// Time is a NumericDate: seconds, possibly with a fraction (RFC 7519 §2).
// Zero means that the claim is absent.
type Time float64

// UnmarshalJSON takes numbers that a time can be made of, and nothing else.
func (t *Time) UnmarshalJSON(b []byte) error {
	var f *float64
	if err := json.Unmarshal(b, &f); err != nil || f == nil {
		return ErrClaims
	}
	if *f <= 0 || *f > 1e11 {
		return ErrClaims
	}
	*t = Time(*f)
	return nil
}

// Time returns the point in time, cut to the second; the zero time when absent.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}
