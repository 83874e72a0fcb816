package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// keyName is what a token names its key by. The algorithm is part of it: a key
// verifies signatures of one kind (RFC 8725 §3.1).
type keyName struct{ kid, alg string }

// keySet is the issuer's public keys.
type keySet map[keyName]crypto.PublicKey

// jwk is a key of a JWK set (RFC 7517 §4), as far as it matters here.
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// parseKeys reads a JWK set (RFC 7517 §5). Keys that are not for signatures, or of
// a kind that is not used here, are passed over, as the section asks; a set with
// none left is an error, because nothing could be verified with it.
func parseKeys(text []byte) (keySet, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	keys := keySet{}
	for _, k := range set.Keys {
		if k.ID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		key, alg := k.public()
		if key == nil || k.Algorithm != "" && k.Algorithm != alg {
			continue
		}
		keys[keyName{k.ID, alg}] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("parse key set: it has no key for ES256 or RS256")
	}
	return keys, nil
}

// public returns the key and the one algorithm it is for, or nil.
func (k jwk) public() (crypto.PublicKey, string) {
	switch k.Type {
	case "EC":
		if key := k.ec(); key != nil {
			return key, es256
		}
	case "RSA":
		if key := k.rsa(); key != nil {
			return key, rs256
		}
	}
	return nil, ""
}

// ec wants a point on P-256 (RFC 7518 §6.2.1).
func (k jwk) ec() *ecdsa.PublicKey {
	x, okX := decode(k.X)
	y, okY := decode(k.Y)
	if k.Curve != "P-256" || !okX || !okY || len(x) != 32 || len(y) != 32 {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil { // not on the curve
		return nil
	}
	return key
}

// rsa wants 2048 bits at least (RFC 7518 §3.3), and no more than a signature can be
// verified with in reasonable time.
func (k jwk) rsa() *rsa.PublicKey {
	n, okN := decode(k.N)
	e, okE := decode(k.E)
	if !okN || !okE || len(e) == 0 || len(e) > 4 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 {
		return nil
	}
	return key
}
