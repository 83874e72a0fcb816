// Package revoke is the revocation endpoint (RFC 7009). An access token dies
// alone; a refresh token takes its grant along, and with it every token made of
// that grant. It tells nobody whether a token existed. APIs that check a token by
// its signature alone take a revoked one until its end; who asks is told at once.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/client"
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

// Grants revokes.
type Grants interface {
	RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error)
	// RevokeGrant must end the grant and its refresh tokens; it may be repeated.
	RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error
	// RevokeToken must end one token for an API until it has expired; it may be repeated.
	RevokeToken(ctx context.Context, t storage.RevokedToken) error
}

// APITokens knows tokens for APIs.
type APITokens interface {
	// InForce must return [*api.NotInForce] for every other text, and for tokens
	// that have expired or were revoked.
	InForce(ctx context.Context, raw string) (api.Token, error)
}

// AccessTokens deletes opaque access tokens.
type AccessTokens interface {
	AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error)
	DeleteAccessToken(ctx context.Context, macs [][]byte) error
}

// Revocations is told of what was revoked, so that it is dead at once here.
type Revocations interface {
	Add(id storage.GrantID)
	AddToken(t storage.RevokedToken)
}

// Config is what a [Handler] needs.
type Config struct {
	Clients      client.Authenticator
	Minter       Minter
	Grants       Grants
	AccessTokens AccessTokens
	APITokens    APITokens
	Revocations  Revocations
	// Now defaults to time.Now.
	Now func() time.Time
}

// Handler serves the revocation endpoint.
type Handler struct{ c Config }

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Clients == nil || c.Minter == nil || c.Grants == nil || c.AccessTokens == nil || c.APITokens == nil || c.Revocations == nil {
		return nil, errors.New("revoke: every part but the clock is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Handler{c}, nil
}

// Serve answers POST /oauth/revoke: 200 whether or not there was a token to
// revoke (RFC 7009 §2.2).
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	form, err := web.StrictBodyOrJSON(w, r)
	if err != nil {
		return err
	}
	caller, err := client.Caller(h.c.Clients, r, form)
	if err != nil {
		return err
	}
	if !form.Has("token") {
		return oauth.Errorf(oauth.InvalidRequest, "the parameter token is missing")
	}
	if err := h.revoke(r.Context(), caller.ClientID, form.Get("token")); err != nil {
		return err
	}
	return web.NoContent(w, r, http.StatusOK)
}

// revoke tells the kinds of token apart by their form, so token_type_hint is
// not needed, right or wrong (RFC 7009 §2.1).
func (h *Handler) revoke(ctx context.Context, caller storage.ClientID, token string) error {
	if family, _, ok := h.c.Minter.ParseRefreshToken(token); ok {
		return h.refreshToken(ctx, caller, family)
	}
	if macs := h.c.Minter.AccessTokenMACs(token); macs != nil {
		return h.accessToken(ctx, caller, macs)
	}
	return h.apiToken(ctx, caller, token)
}

// refreshToken revokes the grant: RFC 7009 §2.1 wants the access tokens of the
// same grant to end too. A token that was rotated away counts as well: a client
// that lost an answer has no other.
func (h *Handler) refreshToken(ctx context.Context, caller storage.ClientID, family storage.FamilyID) error {
	_, grant, _, err := h.c.Grants.RefreshFamily(ctx, family)
	if errors.Is(err, storage.ErrNotFound) {
		return nothing(ctx, "unknown token")
	}
	if err != nil {
		return fmt.Errorf("find refresh token: %w", err)
	}
	if grant.ClientID != caller {
		return nothing(ctx, "token of another client")
	}
	err = h.c.Grants.RevokeGrant(ctx, grant.ID, h.c.Now())
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // not found: swept meanwhile
		return fmt.Errorf("revoke grant: %w", err)
	}
	h.c.Revocations.Add(grant.ID)
	return nil
}

// apiToken notes the token's name until its end: nothing else is kept of it.
func (h *Handler) apiToken(ctx context.Context, caller storage.ClientID, text string) error {
	token, err := h.c.APITokens.InForce(ctx, text)
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return nothing(ctx, over.Reason)
	}
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	if token.Client != caller {
		return nothing(ctx, "token of another client")
	}
	dead := storage.RevokedToken{ID: token.ID, RevokedAt: h.c.Now(), ExpiresAt: token.Expires}
	if err := h.c.Grants.RevokeToken(ctx, dead); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	h.c.Revocations.AddToken(dead)
	return nil
}

func (h *Handler) accessToken(ctx context.Context, caller storage.ClientID, macs [][]byte) error {
	found, err := h.c.AccessTokens.AccessToken(ctx, macs)
	if errors.Is(err, storage.ErrNotFound) {
		return nothing(ctx, "unknown token")
	}
	if err != nil {
		return fmt.Errorf("find access token: %w", err)
	}
	if found.ClientID != caller {
		return nothing(ctx, "token of another client")
	}
	if err := h.c.AccessTokens.DeleteAccessToken(ctx, macs); err != nil {
		return fmt.Errorf("delete access token: %w", err)
	}
	return nil
}

// nothing notes for the log why a request had no effect; the client is told 200.
func nothing(ctx context.Context, reason string) error {
	reqctx.Add(ctx, slog.String("reason", reason))
	return nil
}
