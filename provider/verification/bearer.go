package verification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Scope is what a token needs to verify numbers.
const Scope = "verify:phone"

// BuiltIn is the API that tokens for our own dialect are for. Clients get them in
// their own name, by a client grant for it.
func BuiltIn(issuer string) storage.API {
	return storage.API{
		Identifier: storage.Audience(oauth.Endpoint(issuer, PathVerifications)), Name: "Phone verification",
		Scopes:        []storage.Scope{{Value: Scope, Description: "verify phone numbers"}},
		TokenLifetime: 3600, SigningAlg: "ES256", Users: storage.Assigned, Clients: storage.Granted, FromFile: true,
	}
}

// Tokens reads access tokens for APIs.
type Tokens interface {
	// InForce must return [*api.NotInForce] for every other text, and for tokens
	// that have expired or were revoked.
	InForce(ctx context.Context, raw string) (api.Token, error)
}

// bearer returns the client whose access token a request has (RFC 6750 §2.1). The
// token must be the client's own: nobody verifies numbers in the name of a person.
func (a *API) bearer(r *http.Request) (*storage.Client, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return nil, unauthorized("unauthorized", "send an access token as Authorization: Bearer", "no token")
	}
	scheme, raw, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return nil, unauthorized("unauthorized", "send an access token as Authorization: Bearer", "no bearer token")
	}
	const wrong = "the access token is not one in force for this API"
	token, err := a.own.Tokens.InForce(r.Context(), strings.TrimSpace(raw))
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return nil, unauthorized(string(oauth.InvalidToken), wrong, over.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	if !slices.Contains(token.Audience, a.own.Audience) || mint.Grant(token.ID) != "" {
		return nil, unauthorized(string(oauth.InvalidToken), wrong, "for another audience, or a person's")
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(token.Client)))
	if !slices.Contains(token.Scopes, Scope) {
		return nil, &web.Fault{Status: http.StatusForbidden, Code: string(oauth.InsufficientScope), Challenge: "Bearer",
			Message: "the access token has not the scope " + Scope}
	}
	client, err := a.c.Clients.Get(r.Context(), token.Client)
	if err != nil {
		return nil, fmt.Errorf("client of token: %w", err)
	}
	return client, admits(r.Context(), client)
}

func unauthorized(code, message, reason string) error {
	return &web.Fault{Status: http.StatusUnauthorized, Code: code, Message: message, Challenge: "Bearer", Reason: reason}
}
