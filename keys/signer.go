package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/storage"
)

// Algorithm signs every ID token (OIDC Core §15.1).
const Algorithm = jose.RS256

// The `typ` headers that a Signer is built for. They keep tokens apart: one
// kind is never taken for another (RFC 8725 §3.11).
const (
	TypeJWT         = "JWT"
	TypeAccessToken = "at+jwt"     // RFC 9068 §2.1
	TypeLogoutToken = "logout+jwt" // OIDC Back-Channel Logout §2.4
)

// Signer signs with one key. It is safe for concurrent use and never changes.
type Signer struct {
	ID     storage.KeyID
	signer map[string]jose.Signer // by typ
}

func newSigner(key *rsa.PrivateKey, id storage.KeyID) (*Signer, error) {
	s := &Signer{ID: id, signer: map[string]jose.Signer{}}
	for _, typ := range []string{TypeJWT, TypeAccessToken, TypeLogoutToken} {
		built, err := jose.NewSigner(
			jose.SigningKey{Algorithm: Algorithm, Key: jose.JSONWebKey{Key: key, KeyID: string(id)}},
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

// generate makes a new key; the times it lives by are the plan's.
func generate(now time.Time) (storage.SigningKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, minBits)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	return record(key, now)
}

// record returns a key as it is kept.
func record(key *rsa.PrivateKey, now time.Time) (storage.SigningKey, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return storage.SigningKey{}, fmt.Errorf("encode signing key: %w", err)
	}
	return storage.SigningKey{ID: ID(&key.PublicKey), Algorithm: string(Algorithm), PKCS8: der, CreatedAt: now}, nil
}

// ID is a key's `kid`: its RFC 7638 thumbprint, the same on every server.
func ID(key *rsa.PublicKey) storage.KeyID {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic("keys: thumbprint: " + err.Error()) // unreachable: RSA keys have one
	}
	return storage.KeyID(base64.RawURLEncoding.EncodeToString(sum))
}
