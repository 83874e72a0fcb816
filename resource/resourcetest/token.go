package resourcetest

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
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// Token says what a token should be. The zero value is a good one, of a person who
// has just logged in.
type Token struct {
	// Subject defaults to a person of the form that Handset makes.
	Subject resource.Subject
	// ClientID defaults to "test-client".
	ClientID resource.ClientID
	// Audience defaults to the issuer's API.
	Audience resource.Audience
	Scopes   resource.Scopes
	// Lifetime defaults to an hour. A negative one makes a token that has expired.
	Lifetime time.Duration
	// Claims are further ones, or take the place of those that the fields make. A
	// claim that is nil is left out.
	Claims map[string]any
	// Header does the same for the token's header.
	Header map[string]any
	// RS256 signs with an RSA key. Default: ES256.
	RS256 bool
}

// Token makes a token.
func (i *Issuer) Token(want Token) string {
	i.t.Helper()
	key := i.key(want.RS256)
	return i.encode(i.header(want, key), i.claims(want), key.sign)
}

func (i *Issuer) key(rs256 bool) *signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	if rs256 {
		return i.keys.rsa
	}
	return i.keys.ec
}

func (i *Issuer) header(want Token, key *signer) map[string]any {
	return changed(map[string]any{"typ": "at+jwt", "alg": key.alg, "kid": key.kid}, want.Header)
}

// claims are those of RFC 9068 §2.2.
func (i *Issuer) claims(want Token) map[string]any {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	now := i.Now()
	life := want.Lifetime
	if life == 0 {
		life = time.Hour
	}
	issued := now
	if life < 0 { // it has expired that long ago
		issued = now.Add(life - time.Hour)
	}
	claims := map[string]any{
		"iss":       i.URL(),
		"sub":       or(string(want.Subject), "sms|5f2b8c0d9e3a47f1a6b0c9d2"),
		"aud":       or(string(want.Audience), string(i.audience)),
		"client_id": or(string(want.ClientID), "test-client"),
		"iat":       issued.Unix(),
		"exp":       now.Add(life).Unix(),
		"jti":       rand.Text(),
		"auth_time": issued.Unix(),
		"amr":       []string{"sms", "otp"},
	}
	if len(want.Scopes) > 0 {
		claims["scope"] = want.Scopes.String()
	}
	return changed(claims, want.Claims)
}

func changed(values, with map[string]any) map[string]any {
	maps.Copy(values, with)
	maps.DeleteFunc(values, func(_ string, v any) bool { return v == nil })
	return values
}

// encode is the compact form of a JWT (RFC 7515 §3.1).
func (i *Issuer) encode(header, claims map[string]any, sign func(input []byte) []byte) string {
	i.t.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			i.t.Fatalf("resourcetest: %v", err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// claimsOf verifies a token of the issuer's own, for introspection.
func (i *Issuer) claimsOf(token string) (map[string]any, bool) {
	input, signature, ok := cutLast(token)
	if !ok {
		return nil, false
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return nil, false
	}
	i.mu.Lock()
	keys := i.keys
	i.mu.Unlock()
	if !keys.ec.verifies([]byte(input), sig) && !keys.rsa.verifies([]byte(input), sig) {
		return nil, false
	}
	_, payload, _ := strings.Cut(input, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, false
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, false
	}
	expires, ok := claims["exp"].(float64)
	return claims, ok && i.Now().Before(time.Unix(int64(expires), 0))
}

func cutLast(token string) (input, signature string, ok bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", "", false
	}
	return token[:at], token[at+1:], true
}

// pair is the issuer's keys, one of each kind.
type pair struct{ ec, rsa *signer }

func newPair(t testing.TB) pair {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair{&signer{rand.Text(), "ES256", ec}, &signer{rand.Text(), "RS256", r}}
}

// rsaKey is one for all issuers of a program, which tell it apart by its name: making
// one takes longer than most tests.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func (p pair) public() []map[string]string { return []map[string]string{p.ec.jwk(), p.rsa.jwk()} }

// signer is a signing key.
type signer struct {
	kid, alg string
	key      crypto.Signer
}

func (s *signer) sign(input []byte) []byte {
	digest := sha256.Sum256(input)
	if key, ok := s.key.(*ecdsa.PrivateKey); ok {
		r, sv, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			panic(err) // unreachable: the key is good and so is the randomness
		}
		signature := make([]byte, 64) // RFC 7518 §3.4: two numbers of 32 bytes each
		r.FillBytes(signature[:32])
		sv.FillBytes(signature[32:])
		return signature
	}
	out, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err) // unreachable: the key is good and so is the randomness
	}
	return out
}

func (s *signer) verifies(input, signature []byte) bool {
	digest := sha256.Sum256(input)
	switch key := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		return len(signature) == 64 && ecdsa.Verify(key, digest[:],
			new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// jwk is the public key (RFC 7517 §4).
func (s *signer) jwk() map[string]string {
	k := map[string]string{"kid": s.kid, "alg": s.alg, "use": "sig"}
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err) // unreachable: a key that was just made is on its curve
		}
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	}
	return k
}

// pem is the public key as an attacker would use it for an HMAC.
func (s *signer) pem() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		panic(err) // unreachable: both kinds of key can be encoded
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func hs256(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(input)
		return h.Sum(nil)
	}
}
