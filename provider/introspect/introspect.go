// Package introspect is the introspection endpoint (RFC 7662): it tells an
// authenticated client whether a token is in force and what it allows.
//
// Who may ask: a client with credentials about its own tokens; the backend of an
// API (resource_server_identifier) about the tokens for that API, and no others;
// and any other client of type non_interactive (a service, which has no people of
// its own) about opaque access tokens. To everyone else, and about anything that is
// not in force, the answer is {"active":false} and no more.
package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Minter tells what a token is and what to look it up by.
type Minter interface {
	// ParseRefreshToken must report false for whatever Handset did not make.
	ParseRefreshToken(token string) (family storage.FamilyID, counter int64, ok bool)
	// AccessTokenMACs must return nil for what has not the form of an access token.
	AccessTokenMACs(token string) [][]byte
}

// Records finds refresh tokens.
type Records interface {
	RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error)
}

// AccessTokens finds opaque access tokens by their MACs.
type AccessTokens interface {
	AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error)
}

// APITokens knows tokens for APIs.
type APITokens interface {
	// InForce must return [*api.NotInForce] for every other text, and for tokens
	// that have expired or were revoked.
	InForce(ctx context.Context, raw string) (api.Token, error)
}

// Subjects knows under which name a client sees a person.
type Subjects interface {
	For(ctx context.Context, id storage.ClientID, user storage.UserID) (storage.Subject, error)
}

// Revocations knows the grants whose tokens died, those of blocked and removed
// people included: so the answer about an access token costs one look into
// Redis and none into SQL.
type Revocations interface {
	Revoked(id storage.GrantID) bool
}

// Config is what a [Handler] needs.
type Config struct {
	Issuer       string
	Clients      client.Authenticator
	Minter       Minter
	Records      Records
	AccessTokens AccessTokens
	APITokens    APITokens
	Subjects     Subjects
	Revocations  Revocations
	// Now defaults to time.Now.
	Now func() time.Time
}

// Handler serves the introspection endpoint.
type Handler struct{ c Config }

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Issuer == "" {
		return nil, errors.New("introspect: no issuer")
	}
	if c.Clients == nil || c.Minter == nil || c.Records == nil || c.AccessTokens == nil || c.APITokens == nil ||
		c.Subjects == nil || c.Revocations == nil {
		return nil, errors.New("introspect: every part but the clock is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Handler{c}, nil
}

// Serve answers POST /oauth/introspect.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	form, err := web.StrictBody(w, r)
	if err != nil {
		return err
	}
	caller, err := h.authenticate(r, form)
	if err != nil {
		return err
	}
	if !form.Has("token") {
		return oauth.Errorf(oauth.InvalidRequest, "the parameter token is missing")
	}
	answer, err := h.inspect(r.Context(), caller, form.Get("token"))
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, answer)
}

// authenticate refuses public clients: anyone can be one, and would learn by
// trying which tokens exist (RFC 7662 §2.1).
func (h *Handler) authenticate(r *http.Request, form web.Values) (*storage.Client, error) {
	caller, err := client.Caller(h.c.Clients, r, form)
	if err != nil {
		return nil, err
	}
	if caller.Public() {
		return nil, &oauth.Error{Code: oauth.InvalidClient, Reason: "public client",
			Description: "introspection is for clients with credentials"}
	}
	return caller, nil
}

// inspect tells the kinds of token apart by their form, so token_type_hint is
// not needed, right or wrong (RFC 7662 §2.1).
func (h *Handler) inspect(ctx context.Context, caller *storage.Client, token string) (*oidc.IntrospectionResponse, error) {
	if family, counter, ok := h.c.Minter.ParseRefreshToken(token); ok {
		return h.refreshToken(ctx, caller, family, counter)
	}
	if macs := h.c.Minter.AccessTokenMACs(token); macs != nil {
		return h.accessToken(ctx, caller, macs)
	}
	return h.apiToken(ctx, caller, token)
}

// apiToken answers for a token for an API: to its client and to the API's backend.
// What the token says is repeated, so that an API may ask in place of reading it.
func (h *Handler) apiToken(ctx context.Context, caller *storage.Client, text string) (*oidc.IntrospectionResponse, error) {
	token, err := h.c.APITokens.InForce(ctx, text)
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return inactive(ctx, over.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	if token.Client != caller.ClientID && (caller.API == "" || caller.API != token.Audience[0]) {
		return inactive(ctx, "token for another audience")
	}
	answer := &oidc.IntrospectionResponse{
		Active:     true,
		TokenType:  oidc.BearerToken,
		Scope:      token.Scopes,
		ClientID:   string(token.Client),
		Subject:    string(token.Subject),
		Issuer:     h.c.Issuer,
		JWTID:      string(token.ID),
		IssuedAt:   oidc.FromTime(token.IssuedAt),
		Expiration: oidc.FromTime(token.Ends),
		Claims:     token.Claims,
	}
	if !token.AuthTime.IsZero() {
		answer.AuthTime, answer.AuthenticationMethodsReferences = oidc.FromTime(token.AuthTime), mint.Methods()
	}
	for _, a := range token.Audience {
		answer.Audience = append(answer.Audience, string(a))
	}
	return answer, nil
}

func (h *Handler) accessToken(ctx context.Context, caller *storage.Client, macs [][]byte) (*oidc.IntrospectionResponse, error) {
	found, err := h.c.AccessTokens.AccessToken(ctx, macs)
	if errors.Is(err, storage.ErrNotFound) {
		return inactive(ctx, "unknown token")
	}
	if err != nil {
		return nil, fmt.Errorf("find access token: %w", err)
	}
	switch {
	case found.ClientID != caller.ClientID && (caller.AppType != oauth.AppNonInteractive || caller.API != ""):
		return inactive(ctx, "token of another client")
	case !h.c.Now().Before(found.ExpiresAt):
		return inactive(ctx, "token expired")
	case h.c.Revocations.Revoked(found.GrantID):
		return inactive(ctx, "grant revoked")
	}
	sub, err := h.c.Subjects.For(ctx, found.ClientID, found.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		return inactive(ctx, "person removed")
	}
	if err != nil {
		return nil, err
	}
	return &oidc.IntrospectionResponse{
		Active:     true,
		TokenType:  oidc.BearerToken,
		Scope:      found.Scopes,
		ClientID:   string(found.ClientID),
		Subject:    string(sub),
		Issuer:     h.c.Issuer,
		IssuedAt:   oidc.FromTime(found.IssuedAt),
		Expiration: oidc.FromTime(found.ExpiresAt),
		AuthTime:   oidc.FromTime(found.AuthTime),
	}, nil
}

// refreshToken answers for the one token of a family that may be used next, to
// its own client only. token_type is left out: it says how a token is presented
// to an API (RFC 6749 §7.1), which a refresh token never is.
func (h *Handler) refreshToken(ctx context.Context, caller *storage.Client, id storage.FamilyID, counter int64) (*oidc.IntrospectionResponse, error) {
	family, grant, person, err := h.c.Records.RefreshFamily(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return inactive(ctx, "unknown token")
	}
	if err != nil {
		return nil, fmt.Errorf("find refresh token: %w", err)
	}
	expires := family.AbsoluteExpires
	if family.IdleExpires.Before(expires) {
		expires = family.IdleExpires
	}
	switch {
	case grant.ClientID != caller.ClientID:
		return inactive(ctx, "token of another client")
	case !family.RevokedAt.IsZero() || !grant.RevokedAt.IsZero():
		return inactive(ctx, "grant revoked")
	case counter != family.Counter:
		return inactive(ctx, "token rotated")
	case !h.c.Now().Before(expires):
		return inactive(ctx, "token expired")
	case person.Blocked:
		return inactive(ctx, "person blocked")
	}
	sub, err := h.c.Subjects.For(ctx, grant.ClientID, grant.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		return inactive(ctx, "person removed")
	}
	if err != nil {
		return nil, err
	}
	issued := family.CreatedAt
	if !family.RotatedAt.IsZero() {
		issued = family.RotatedAt
	}
	return &oidc.IntrospectionResponse{
		Active:     true,
		Scope:      append(slices.Clone(grant.Scopes), grant.API.Scopes...),
		ClientID:   string(grant.ClientID),
		Subject:    string(sub),
		Issuer:     h.c.Issuer,
		IssuedAt:   oidc.FromTime(issued),
		Expiration: oidc.FromTime(expires),
		AuthTime:   oidc.FromTime(grant.AuthTime),
	}, nil
}

// inactive is the one answer for all causes (RFC 7662 §2.2: "SHOULD NOT include
// any additional information"); the log keeps them apart.
func inactive(ctx context.Context, reason string) (*oidc.IntrospectionResponse, error) {
	reqctx.Add(ctx, slog.String("reason", reason))
	return &oidc.IntrospectionResponse{}, nil
}
