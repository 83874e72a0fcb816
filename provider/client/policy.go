package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// MayUse reports whether a client's registration lists a grant type.
func MayUse(c *storage.Client, grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// Native reports whether a client runs on a person's device, where loopback
// redirect URIs have any port (RFC 8252 §7.3).
func Native(c *storage.Client) bool { return c.AppType == oauth.AppNative }

// NeedsPKCE reports whether an authorization request must have a
// code_challenge: always for a public client (RFC 9700 §2.1.1).
func NeedsPKCE(c *storage.Client) bool { return c.Public() || c.RequirePKCE }

// Origins returns the origins whose pages may call the client's endpoints: the
// registered ones and, as with Auth0, those of its redirect URIs.
func Origins(c *storage.Client) []string {
	out := slices.Concat(c.WebOrigins, c.AllowedOrigins)
	for _, callback := range c.Callbacks {
		if origin := originOf(callback); origin != "" {
			out = append(out, origin)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// originOf returns the origin of an address as browsers send it (RFC 6454
// §6.2): in lower case and without a default port; "" for what has none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// splitSet returns the texts of a JWK set's keys (RFC 7517 §5), nil for what
// is no set.
func splitSet(raw json.RawMessage) []json.RawMessage {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &set) != nil {
		return nil
	}
	return set.Keys
}

// parseJWK reads one registered key, or says why it can't verify an assertion.
// It never quotes the key.
func parseJWK(text json.RawMessage) (key jose.JSONWebKey, problem string) {
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
		return key, "is not for signatures (use)"
	case len(algorithmsOf(key)) == 0:
		return key, "want an RSA key of 2048 to 8192 bits for RS256 or PS256, or a P-256 key for ES256"
	}
	return key, ""
}

// algorithmsOf returns the accepted algorithms that a key can verify. Type and
// algorithm belong together: nothing of a token picks another (RFC 8725 §3.1).
func algorithmsOf(k jose.JSONWebKey) []jose.SignatureAlgorithm {
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
