package mint

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// APITokenClaims is what an access token for an API says (RFC 9068 §2.2).
type APITokenClaims struct {
	ID      storage.TokenID
	Subject storage.Subject
	Client  storage.ClientID
	// Audience is the API, and behind it the userinfo endpoint when the token is
	// good there, too.
	Audience []storage.Audience
	Scopes   []string
	Expires  time.Time
	// AuthTime is when the person logged in; zero when there is no person.
	AuthTime time.Time
	ACR      string
	// Claims are those that the API is configured to get.
	Claims map[string]any
}

// TokenID returns a new token's `jti`. It begins with the grant that brought the
// token forth, so that a token dies with its grant although nothing is stored of
// it; a token without a grant, a machine's, has a name of its own.
func TokenID(grant storage.GrantID) storage.TokenID {
	if grant == "" {
		return storage.TokenID(rand.Text())
	}
	return storage.TokenID(string(grant) + "." + rand.Text())
}

// Grant returns the grant of a TokenID; empty: it has none.
func Grant(id storage.TokenID) storage.GrantID {
	grant, _, ok := strings.Cut(string(id), ".")
	if !ok {
		return ""
	}
	return storage.GrantID(grant)
}

// apiToken is how the claims are written, and their order.
type apiToken struct {
	Issuer   string                               `json:"iss"`
	Subject  storage.Subject                      `json:"sub"`
	Audience audience                             `json:"aud"`
	Client   storage.ClientID                     `json:"client_id"`
	IssuedAt oidc.Time                            `json:"iat"`
	Expires  oidc.Time                            `json:"exp"`
	ID       storage.TokenID                      `json:"jti"`
	Scope    string                               `json:"scope,omitempty"`
	AuthTime oidc.Time                            `json:"auth_time,omitempty"`
	ACR      string                               `json:"acr,omitempty"`
	AMR      oidc.AuthenticationMethodsReferences `json:"amr,omitempty"`
}

// audience is a string while it is one, which simple APIs compare with.
type audience []storage.Audience

// MarshalJSON writes RFC 7519 §4.1.3's two forms.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]storage.Audience(a))
}

// maxAPIToken is what introspection, which takes parameters of this length, and
// most proxies, which take headers of twice as much, let pass.
const maxAPIToken = 4 << 10

// APIToken returns an access token for an API, signed by the algorithm of that
// name, which lives from now. It is never one that anything takes for an ID token:
// typ is at+jwt (RFC 9068 §2.1).
func (m *Minter) APIToken(alg string, c APITokenClaims) (string, error) {
	if !slices.Contains(keys.Algorithms(), keys.Algorithm(alg)) {
		return "", fmt.Errorf("api token: no keys for the algorithm %q", alg)
	}
	if c.Subject == "" || c.Client == "" || c.ID == "" || len(c.Audience) == 0 || c.Audience[0] == "" {
		return "", errors.New("api token: no subject, client, name or audience")
	}
	claims := apiToken{
		Issuer: m.issuer, Subject: c.Subject, Audience: c.Audience, Client: c.Client,
		IssuedAt: oidc.FromTime(m.now()), Expires: oidc.FromTime(c.Expires), ID: c.ID,
		Scope: strings.Join(c.Scopes, " "), ACR: c.ACR,
	}
	if !c.AuthTime.IsZero() {
		claims.AuthTime, claims.AMR = oidc.FromTime(c.AuthTime), amr
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("api token: %w", err)
	}
	if payload, err = appendClaims(payload, c.Claims); err != nil {
		return "", fmt.Errorf("api token: %w", err)
	}
	token, err := m.keys.Signer(keys.Algorithm(alg)).Sign(keys.TypeAccessToken, payload)
	if err == nil && len(token) > maxAPIToken {
		return "", fmt.Errorf("api token for %s: the configured claims make it longer than %d bytes", c.Audience[0], maxAPIToken)
	}
	return token, err
}

// appendClaims adds members to a JSON object. None can take the place of one
// that is there.
func appendClaims(object []byte, more map[string]any) ([]byte, error) {
	if len(more) == 0 {
		return object, nil
	}
	for name := range more {
		if oauth.ReservedClaim(name) {
			return nil, fmt.Errorf("the claim %s can't be configured", name)
		}
	}
	tail, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return append(append(object[:len(object)-1], ','), tail[1:]...), nil
}

// APIToken is what a token that APIToken made says.
type APIToken struct {
	APITokenClaims
	IssuedAt time.Time
}

// ErrAPIToken says that a text is no access token for an API that this issuer
// signed with a key it still publishes. What exactly is wrong is for the log.
var ErrAPIToken = errors.New("not an access token for an API")

// VerifyAPIToken reads an access token for an API, or returns [ErrAPIToken].
// Whether it is in force, its end included, is the caller's to say. What it returns is
// shared: don't change it.
func (m *Minter) VerifyAPIToken(_ context.Context, raw string) (APIToken, error) {
	now := m.now()
	// A key's ID is the hash of it: while one of that ID is published, it is the same.
	if v, ok := m.verified.find(raw, now); ok && m.keys.PublicKey(v.key) != nil {
		return v.token, nil
	}
	token, key, err := m.verifyAPIToken(raw)
	if err == nil && now.Before(token.Expires) {
		m.verified.add(raw, token, key)
	}
	return token, err
}

// verifyAPIToken reads a token by its signature, and names the key of it.
func (m *Minter) verifyAPIToken(raw string) (APIToken, storage.KeyID, error) {
	var read readAPIToken
	var key storage.KeyID
	err := oidclib.Verify(raw, oidclib.Rules{
		Algorithms: keys.Algorithms(),
		// An ID token of ours is signed by keys of the same set.
		Types: []string{"at+jwt"},
		Key: func(kid string, _ keys.Algorithm) any {
			key = storage.KeyID(kid)
			return m.keys.PublicKey(key)
		},
	}, &read)
	c := &read.claims
	switch {
	case err != nil:
		return APIToken{}, "", fmt.Errorf("%w: %w", ErrAPIToken, err)
	case c.Issuer != m.issuer:
		return APIToken{}, "", fmt.Errorf("%w: another issuer", ErrAPIToken)
	case c.Subject == "" || c.Client == "" || c.ID == "" || len(c.Audience) == 0 || c.IssuedAt == 0 || c.Expires == 0:
		return APIToken{}, "", fmt.Errorf("%w: not an access token's claims", ErrAPIToken)
	}
	out := APIToken{
		APITokenClaims: APITokenClaims{
			ID: c.ID, Subject: c.Subject, Client: c.Client, Scopes: strings.Fields(c.Scope),
			Expires: c.Expires.Time(), AuthTime: c.AuthTime.Time(), ACR: c.ACR, Claims: read.more,
		},
		IssuedAt: c.IssuedAt.Time(),
	}
	for _, a := range c.Audience {
		out.Audience = append(out.Audience, storage.Audience(a))
	}
	return out, key, nil
}

// readAPIToken is apiToken as it is read, and the claims beside it.
type readAPIToken struct {
	claims struct {
		Issuer   string           `json:"iss"`
		Subject  storage.Subject  `json:"sub"`
		Audience oidclib.Audience `json:"aud"`
		Client   storage.ClientID `json:"client_id"`
		IssuedAt oidclib.Time     `json:"iat"`
		Expires  oidclib.Time     `json:"exp"`
		ID       storage.TokenID  `json:"jti"`
		Scope    string           `json:"scope"`
		AuthTime oidclib.Time     `json:"auth_time"`
		ACR      string           `json:"acr"`
	}
	more map[string]any
}

// UnmarshalJSON reads the same text twice: what every token says, and the rest.
func (t *readAPIToken) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &t.claims); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // long employee numbers stay whole
	if err := d.Decode(&t.more); err != nil {
		return err
	}
	for name := range t.more {
		if oauth.ReservedClaim(name) {
			delete(t.more, name)
		}
	}
	return nil
}
