package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
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
	ID  storage.KeyID
	key crypto.Signer
	// headers are the first parts of tokens, the dot behind them included, by typ. The
	// library, which made them, makes them anew for each token: with what it allocates
	// besides, that costs half as much as an ES256 signature.
	headers map[string]string
}

func newSigner(key crypto.Signer, id storage.KeyID) (*Signer, error) {
	s := &Signer{ID: id, key: key, headers: map[string]string{}}
	for _, typ := range []string{TypeJWT, TypeAccessToken, TypeVerification} {
		header, err := headerOf(key, id, typ)
		if err != nil {
			return nil, fmt.Errorf("signer of key %s: %w", id, err)
		}
		s.headers[typ] = header
	}
	return s, nil
}

// headerOf has the library sign once, so that it judges the key as well.
func headerOf(key crypto.Signer, id storage.KeyID, typ string) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithmOf(key.Public()), Key: jose.JSONWebKey{Key: key, KeyID: string(id)}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign([]byte("{}"))
	if err != nil {
		return "", err
	}
	token, err := signed.CompactSerialize()
	header, _, _ := strings.Cut(token, ".")
	return header + ".", err
}

// Sign returns the payload as a JWT in compact form (RFC 7515 §5.1), its header
// naming the key and typ, which is one of the Type constants.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	header, ok := s.headers[typ]
	if !ok {
		return "", fmt.Errorf("sign: no header for typ %q", typ)
	}
	b64 := base64.RawURLEncoding
	const longest = 512 // bytes of an RSA-4096 signature
	token := make([]byte, 0, len(header)+b64.EncodedLen(len(payload))+1+b64.EncodedLen(longest))
	token = b64.AppendEncode(append(token, header...), payload)
	digest := sha256.Sum256(token) // of RS256 as of ES256
	signature, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && algorithmOf(s.key.Public()) == ES256 {
		signature, err = fixed(signature)
	}
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", s.ID, err)
	}
	return string(b64.AppendEncode(append(token, '.'), signature)), nil
}

// fixed writes an ECDSA signature as JWS has it: both numbers in full length, one
// behind the other (RFC 7518 §3.4), where crypto.Signer gives them in ASN.1.
func fixed(signature []byte) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &numbers)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("not an ECDSA signature")
	}
	const half = 32 // P-256
	out := make([]byte, 2*half)
	numbers.R.FillBytes(out[:half])
	numbers.S.FillBytes(out[half:])
	return out, nil
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
