package token

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// machineSubject is the `sub` of a client that acts as itself, as Auth0 writes it.
// No client_id has an @, and no person's subject ends so: nobody takes one for the
// other (RFC 9068 §5).
func machineSubject(id storage.ClientID) storage.Subject { return storage.Subject(id) + "@clients" }

// clientCredentials gives a client a token for an API in its own name (RFC 6749
// §4.4): no person, so no ID token and no refresh token.
func (h *Handler) clientCredentials(ctx context.Context, caller *storage.Client, form web.Values) (*answer, error) {
	reqctx.Add(ctx, slog.String("grant_type", oauth.GrantClientCredentials))
	if caller.Public() {
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "client_credentials is for clients that authenticate")
	}
	id, err := h.c.APIs.Requested(form)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the parameter audience, or resource, is missing: the identifier of an API")
	}
	api, scopes, err := h.c.APIs.ForMachine(caller, id, oauth.SplitScope(form.Get("scope")))
	if err != nil {
		return nil, err
	}
	token, err := h.c.Minter.APIToken(api.SigningAlg, mint.APITokenClaims{
		ID: mint.TokenID(""), Subject: machineSubject(caller.ClientID), Client: caller.ClientID,
		Audience: []storage.Audience{id}, Scopes: scopes, Expires: h.now().Add(api.Lifetime()),
	})
	if err != nil {
		return nil, fmt.Errorf("make access token: %w", err)
	}
	return newAnswer(token, scopes, api.Lifetime()), nil
}
