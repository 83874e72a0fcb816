package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Authenticator finds out whether credentials are a client's. A [Registry] does.
type Authenticator interface {
	// Authenticate must return an invalid_client [oauth.Error] when the
	// credentials are not those of a registered client.
	Authenticate(ctx context.Context, c Credentials) (*storage.Client, error)
}

// Caller returns the client that a request with these values in its body is
// from, and names it in the log. It returns the errors of [FromRequest] and of
// the authenticator.
func Caller(a Authenticator, r *http.Request, values web.Values) (*storage.Client, error) {
	credentials, err := FromRequest(r, values)
	if err != nil {
		return nil, err
	}
	caller, err := a.Authenticate(r.Context(), credentials)
	if err != nil {
		return nil, fmt.Errorf("authenticate client: %w", err)
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(caller.ClientID)))
	return caller, nil
}

// Authenticate returns the client that the credentials are of, or an
// invalid_client [oauth.Error], the same for an unknown client, a wrong
// secret and a method that its registration does not take; any other error says
// that a store failed. A public client passes by its name alone: what that
// allows, PKCE and the grant decide.
//
// A registration that was changed a moment ago counts at once: credentials that
// the cached one refuses are held against the store's, at most once a second
// for a client.
func (r *Registry) Authenticate(ctx context.Context, c Credentials) (*storage.Client, error) {
	e, err := r.find(ctx, c.ClientID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if e == nil {
		r.matches(nil, c) // takes the time that a known client takes
		return nil, c.refused("unknown client")
	}
	err = r.check(ctx, e, c)
	if err != nil && oauth.AsError(err) != nil {
		if later := r.newer(ctx, e); later != nil {
			e, err = later, r.check(ctx, later, c)
		}
	}
	if err != nil {
		return nil, err
	}
	return e.client, nil
}

// check returns nil when the credentials are those of the client.
func (r *Registry) check(ctx context.Context, e *entry, c Credentials) error {
	registered := e.client.TokenEndpointAuthMethod
	switch c.Method {
	case oauth.AuthNone:
		if registered != oauth.AuthNone {
			return c.refused("no credentials")
		}
	case oauth.AuthSecretBasic, oauth.AuthSecretPost:
		// Compared before the method, so that time does not tell the two apart.
		matches := r.matches(e.client.SecretMACs, c)
		if !takes(registered, c.Method) {
			return c.refused("method " + c.Method + ", registered " + registered)
		}
		if !matches {
			return c.refused("wrong secret")
		}
	case oauth.AuthPrivateKeyJWT:
		if registered != c.Method {
			return c.refused("method " + c.Method + ", registered " + registered)
		}
		return r.checkAssertion(ctx, e, c.Assertion)
	default:
		return c.refused("no method")
	}
	return nil
}

// takes reports whether a client may send its secret so. A client that is registered
// with client_secret_post, as all are who say nothing else, may send it in the header
// as well: Auth0 lets it, and its Express SDK does (decision 0022).
func takes(registered, method string) bool {
	return registered == method || registered == oauth.AuthSecretPost && method == oauth.AuthSecretBasic
}

// inForce is how many secrets a client has at most: two while one is being
// replaced.
const inForce = 2

// matches compares a secret with the MACs in force, all of them, in constant
// time, and makes up for those that are not there: an unknown client, and how
// many secrets one has, cost the same.
func (r *Registry) matches(macs [][]byte, c Credentials) bool {
	found := false
	for _, mac := range macs {
		if r.config.Vault.Verify(mac, vault.ClientSecret, string(c.ClientID), c.Secret) {
			found = true
		}
	}
	for range inForce - len(macs) {
		r.config.Vault.Verify(r.dummy, vault.ClientSecret, string(c.ClientID), c.Secret)
	}
	// An empty secret is none, whatever was registered.
	return found && c.Secret != ""
}

// SecretMAC returns what is kept of a client's secret. It is bound to the
// client: moved to another one's record it matches nothing.
func SecretMAC(v *vault.Vault, id storage.ClientID, secret string) []byte {
	return v.MAC(vault.ClientSecret, string(id), secret)
}

// NewSecret returns a new client secret: 256 random bits. None of its
// characters changes in form encoding, which many clients forget (RFC 6749
// §2.3.1), and "hss_" lets secret scanners find it.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return "hss_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// NewID returns a client ID for an application that has no preference.
func NewID() storage.ClientID { return storage.ClientID(rand.Text()) }
