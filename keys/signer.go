package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/storage"
)

// Algorithm is one of [Algorithms], as JWTs name it.
type Algorithm = jose.SignatureAlgorithm

// The algorithms that a Ring has keys for. RS256 is what every relying party
// can verify (OIDC Core §15.1); ES256 costs a twentieth of it to make.
const (
	RS256 = jose.RS256
	ES256 = jose.ES256
)

// Algorithms returns those that a Ring has keys for, the most careful relying
// party's first.
func Algorithms() []Algorithm { return []Algorithm{RS256, ES256} }

// The `typ` headers that a Signer is built for. They keep tokens apart: one
// kind is never taken for another (RFC 8725 §3.11).
const (
	TypeJWT         = "JWT"
	TypeAccessToken = "at+jwt" // RFC 9068 §2.1
	// TypeVerification is the signed result of a verification; ours.
	TypeVerification = "verification+jwt"
)

// Signer signs with one key. It is safe for concurrent use and never changes.
type Signer struct {
	ID     storage.KeyID
	signer map[string]jose.Signer // by typ
}

func newSigner(key crypto.Signer, id storage.KeyID) (*Signer, error) {
	s := &Signer{ID: id, signer: map[string]jose.Signer{}}
	for _, typ := range []string{TypeJWT, TypeAccessToken, TypeVerification} {
		built, err := jose.NewSigner(
			jose.SigningKey{Algorithm: algorithmOf(key.Public()), Key: jose.JSONWebKey{Key: key, KeyID: string(id)}},
			(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return nil, fmt.Errorf("signer of key %s: %w", id, err)
		}
		s.signer[typ] = built
	}
	return s, nil
}

// Sign returns the payload as a JWT in compact form, its header naming the key
// and typ, which is one of the Type constants.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	signer, ok := s.signer[typ]
	if !ok {
		return "", fmt.Errorf("sign: no signer for typ %q", typ)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", s.ID, err)
	}
	return signed.CompactSerialize()
}

// algorithmOf is the one algorithm that a key is used with (RFC 8725 §3.1).
func algorithmOf(public crypto.PublicKey) Algorithm {
	if _, ok := public.(*ecdsa.PublicKey); ok {
		return ES256
	}
	return RS256
}

// generate makes a new key; the times it lives by are the plan's.
func generate(alg Algorithm, now time.Time) (storage.SigningKey, error) {
	var key crypto.Signer
	var err error
	if alg == ES256 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, minBits)
	}
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	return record(key, now)
}

// record returns a key as it is kept.
func record(key crypto.Signer, now time.Time) (storage.SigningKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("encode signing key: %w", err)
	}
	return storage.SigningKey{ID: ID(key.Public()), Algorithm: string(algorithmOf(key.Public())), PKCS8: der, CreatedAt: now}, nil
}

// ID is a key's `kid`: its RFC 7638 thumbprint, the same on every server.
func ID(key crypto.PublicKey) storage.KeyID {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic("keys: thumbprint: " + err.Error()) // unreachable: RSA and P-256 keys have one
	}
	return storage.KeyID(base64.RawURLEncoding.EncodeToString(sum))
}
