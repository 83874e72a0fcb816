package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// apiToken makes an access token for the grant's API (RFC 9068). Nothing is kept of
// it: it dies with its grant by its name, and else by its end.
func (h *Handler) apiToken(ctx context.Context, o order) (*tokenSet, error) {
	api, apiScopes, err := h.c.APIs.ForPeople(o.client, o.grant.API.Audience, o.scopes)
	if e := oauth.AsError(err); e != nil { // the API or the client's grant was taken away since
		return nil, refused(e.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("API of grant: %w", err)
	}
	expires := earlier(o.grant.AuthTime.Add(api.Lifetime()), o.grant.TokensUntil)
	if !o.now.Before(expires) {
		return nil, refused("API's lifetime is over")
	}
	sub, err := h.c.Subjects.Of(ctx, o.client, o.grant.UserID)
	if err != nil {
		return nil, err
	}
	ours, _ := split(o.scopes, o.grant)
	audience, scopes := h.audience(api, ours, apiScopes)
	token, err := h.c.Minter.APIToken(api.SigningAlg, mint.APITokenClaims{
		ID: mint.TokenID(o.grant.ID), Subject: sub, Client: o.grant.ClientID, Audience: audience, Scopes: scopes,
		Expires: expires, AuthTime: o.grant.AuthTime, ACR: o.grant.ACR, Claims: claimsOf(api, o.person),
	})
	if err != nil {
		return nil, fmt.Errorf("make access token: %w", err)
	}
	return &tokenSet{answer: newAnswer(token, append(slices.Clone(ours), apiScopes...), expires.Sub(o.now))}, nil
}

// audience says what a person's token is for: the API, and userinfo too when openid
// was granted, as at Auth0, so that standard clients can ask there. Without openid
// the token tells the API nothing of the provider's.
func (h *Handler) audience(api *storage.API, ours, apiScopes []string) ([]storage.Audience, []string) {
	if !slices.Contains(ours, oauth.ScopeOpenID) {
		return []storage.Audience{api.Identifier}, apiScopes
	}
	// offline_access is between client and provider, and no API's business.
	ours = slices.DeleteFunc(slices.Clone(ours), func(s string) bool { return s == oauth.ScopeOfflineAccess })
	return []storage.Audience{api.Identifier, h.c.Userinfo}, append(ours, apiScopes...)
}

// split parts the scopes of an answer into the provider's and the API's.
func split(scopes []string, grant *storage.Grant) (ours, apis []string) {
	for _, s := range scopes {
		if slices.Contains(grant.Scopes, s) {
			ours = append(ours, s)
		} else {
			apis = append(apis, s)
		}
	}
	return ours, apis
}

// granted are all scopes of a grant.
func granted(grant *storage.Grant) []string {
	return append(slices.Clone(grant.Scopes), grant.API.Scopes...)
}

// claimsOf are the claims that the API is configured to get and that there is
// something to say of.
func claimsOf(api *storage.API, person *storage.User) map[string]any {
	claims := map[string]any{}
	for name, source := range api.Claims {
		attribute, ok := strings.CutPrefix(source, "user.")
		if value, known := person.Attributes[attribute]; ok && known && value != nil {
			claims[name] = value
		}
	}
	return claims
}

// offline reports whether refresh tokens of the grant may be used at all.
func (h *Handler) offline(grant *storage.Grant) bool {
	if grant.API.Audience == "" {
		return true
	}
	api := h.c.APIs.Get(grant.API.Audience)
	return api != nil && api.AllowOfflineAccess
}

// checkTarget holds a request that names an API to that of the grant (RFC 8707
// §2.2): a login is for one.
func (h *Handler) checkTarget(form web.Values, grant *storage.Grant) error {
	id, err := h.c.APIs.Requested(form)
	if err != nil || id == "" || id == grant.API.Audience {
		return err
	}
	return oauth.Errorf(oauth.InvalidTarget, "the login was for another audience or resource; start a new one").Because("API of another login")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
