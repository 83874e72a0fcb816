package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Minter reads tokens that it made.
type Minter interface {
	// VerifyAPIToken must return an error for all but access tokens for APIs that
	// it signed; their end is not its business.
	VerifyAPIToken(ctx context.Context, raw string) (mint.APIToken, error)
}

// Clients finds registered clients.
type Clients interface {
	// Get must return [storage.ErrNotFound] for an unknown client.
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Revocations knows which grants and tokens were revoked.
type Revocations interface {
	Revoked(id storage.GrantID) bool
	TokenRevoked(id storage.TokenID) bool
}

// Tokens reads access tokens for APIs that are handed in.
type Tokens struct {
	Registry    *Registry
	Minter      Minter
	Clients     Clients
	Revocations Revocations
	Now         func() time.Time
}

// Token is a token for an API that is in force. Its Scopes are those that are left of
// them by today's registration.
type Token struct {
	mint.APIToken
	// Ends is when it is over by today's registration: Expires or sooner.
	Ends time.Time
}

// NotInForce says that a text is no token for an API that anyone may accept.
// Reason is for the log; whoever handed it in is told nothing finer.
type NotInForce struct{ Reason string }

func (e *NotInForce) Error() string { return "token not in force: " + e.Reason }

// InForce returns what a token says that is in force, or [*NotInForce]. Any other
// error is a store's.
func (t *Tokens) InForce(ctx context.Context, raw string) (Token, error) {
	read, err := t.Minter.VerifyAPIToken(ctx, raw)
	if err != nil {
		return Token{}, &NotInForce{"not a token"}
	}
	_, err = t.Clients.Get(ctx, read.Client)
	if errors.Is(err, storage.ErrNotFound) {
		return Token{}, &NotInForce{"client removed"}
	}
	if err != nil {
		return Token{}, fmt.Errorf("client of token: %w", err)
	}
	a := t.Registry.Get(read.Audience[0])
	if a == nil {
		return Token{}, &NotInForce{"API removed"}
	}
	token := Token{read, endOf(read, a)}
	granted, reason := t.granted(read, a)
	if reason == "" {
		reason = t.over(token)
	}
	if reason != "" {
		return Token{}, &NotInForce{reason}
	}
	token.Scopes = left(token.Scopes, a, granted)
	return token, nil
}

// granted is what the client of a token may do today at its API: what its client grant
// allows where it takes one, else anything. It says why the token is not of that grant,
// or "". A client grant that was taken away and made again brings no token of the one
// before back; both times are in whole seconds, so that those of the same second are
// good, which the client can get again as well.
func (t *Tokens) granted(token mint.APIToken, a *storage.API) (storage.Allowance, string) {
	if mint.Grant(token.ID) != "" && a.Clients != storage.Granted {
		return storage.Allowance{AllScopes: true}, ""
	}
	grant, ok := t.Registry.Allowed(token.Client, a.Identifier)
	switch {
	case !ok:
		return storage.Allowance{}, "client grant removed"
	case token.IssuedAt.Before(grant.CreatedAt.Truncate(time.Second)):
		return storage.Allowance{}, "older than the client grant"
	}
	return grant.Allowance, ""
}

// left are those of a token's scopes that the API still has and the client may still use
// there. The provider's own are the person's to give.
func left(scopes []string, a *storage.API, granted storage.Allowance) []string {
	apis := granted.Narrow(a.Offers(scopes))
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		return !slices.Contains(apis, s) && !slices.Contains(oauth.Scopes(), s)
	})
}

// endOf is when a token ends: as it says, or sooner by the API's lifetime of today,
// which counts from the login, or from the token's making where nobody logged in.
func endOf(token mint.APIToken, a *storage.API) time.Time {
	from := token.AuthTime
	if from.IsZero() {
		from = token.IssuedAt
	}
	if end := from.Add(a.Lifetime()); end.Before(token.Expires) {
		return end
	}
	return token.Expires
}

// over says why a token of ours is in force no more, or returns "".
func (t *Tokens) over(token Token) string {
	grant := mint.Grant(token.ID)
	switch {
	case !t.Now().Before(token.Ends):
		return "token expired"
	case t.Revocations.TokenRevoked(token.ID):
		return "token revoked"
	case grant != "" && t.Revocations.Revoked(grant):
		return "grant revoked"
	}
	return ""
}

// Userinfo reports whether the token is good at the userinfo endpoint.
func (t *Tokens) Userinfo(token Token) bool {
	return slices.Contains(token.Audience, t.Registry.config.Userinfo)
}
