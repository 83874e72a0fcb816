package registration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Keys returns the keys of a registered set (RFC 7517 §5) that can verify a
// client assertion. [Validate] tells about the others.
func Keys(set json.RawMessage) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, text := range split(set) {
		if key, problem := parse(text); problem == "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// Algorithms returns the accepted algorithms that a key can verify. Type and
// algorithm belong together: nothing of a token picks another (RFC 8725 §3.1).
func Algorithms(k jose.JSONWebKey) []jose.SignatureAlgorithm {
	var fit []jose.SignatureAlgorithm
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= 2048 && bits <= 8192 {
			fit = []jose.SignatureAlgorithm{jose.RS256, jose.PS256}
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			fit = []jose.SignatureAlgorithm{jose.ES256}
		}
	}
	if k.Algorithm == "" {
		return fit
	}
	return slices.DeleteFunc(fit, func(a jose.SignatureAlgorithm) bool { return string(a) != k.Algorithm })
}

// keySet looks at every key, and for two that a kid can't tell apart.
func (f *findings) keySet(c storage.Client) {
	// design.md §4 writes an absent set as {}.
	if slices.Contains([]string{"", "null", "{}"}, string(c.JWKS)) {
		if c.TokenEndpointAuthMethod == oauth.AuthPrivateKeyJWT {
			f.add("jwks", "missing: private_key_jwt needs the client's public keys: {keys: [...]}")
		}
		return
	}
	set, seen := split(c.JWKS), map[string]bool{}
	if len(set) == 0 {
		f.add("jwks", "want a key set (RFC 7517) with at least one key: {keys: [...]}")
	}
	for i, text := range set {
		field := fmt.Sprintf("jwks.keys[%d]", i)
		key, problem := parse(text)
		switch {
		case problem != "":
			f.add(field, "%s", problem)
		case key.KeyID == "" && len(set) > 1:
			f.add(field, "has no kid, which every key of several needs")
		case seen[key.KeyID]:
			f.add(field, "has the kid of another key; give each its own")
		}
		seen[key.KeyID] = true
	}
}

// split returns the texts of a set's keys, nil for what is no set.
func split(raw json.RawMessage) []json.RawMessage {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &set) != nil {
		return nil
	}
	return set.Keys
}

// parse reads one key, or says why it can't verify an assertion. It never
// quotes the key.
func parse(text json.RawMessage) (key jose.JSONWebKey, problem string) {
	if err := json.Unmarshal(text, &key); err != nil {
		return key, "is not a valid key"
	}
	if _, symmetric := key.Key.([]byte); symmetric || key.Valid() && !key.IsPublic() {
		return jose.JSONWebKey{}, "is a private or shared key; register the public part only"
	}
	switch {
	case !key.Valid():
		return key, "is not a valid key"
	case key.Use != "" && key.Use != "sig":
		return key, "is not for signatures; want use: sig"
	case len(Algorithms(key)) == 0:
		return key, "want an RSA key of 2048 to 8192 bits for RS256 or PS256, or a P-256 key for ES256"
	}
	return key, ""
}
