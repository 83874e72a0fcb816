package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// codeRequest is the authorization code grant's own parameters (RFC 6749
// §4.1.3, RFC 7636 §4.5). A scope parameter has no meaning here and is not read.
type codeRequest struct{ code, redirectURI, verifier string }

func decodeCode(form web.Values) (codeRequest, error) {
	for _, name := range []string{"code", "redirect_uri"} {
		if !form.Has(name) {
			return codeRequest{}, oauth.Errorf(oauth.InvalidRequest, "the parameter %s is missing", name)
		}
	}
	return codeRequest{form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier")}, nil
}

// authorizationCode exchanges a code for tokens (RFC 6749 §4.1.3, OIDC Core §3.1.3).
func (h *Handler) authorizationCode(ctx context.Context, caller *storage.Client, form web.Values) (*answer, error) {
	reqctx.Add(ctx, slog.String("grant_type", oauth.GrantAuthorizationCode))
	req, err := decodeCode(form)
	if err != nil {
		return nil, err
	}
	macs := h.c.Minter.AuthCodeMACs(req.code)
	if macs == nil {
		return nil, refused("not a code")
	}
	grant, person, err := h.c.Grants.GrantByCode(ctx, macs)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, refused("unknown code")
	}
	if err != nil {
		return nil, fmt.Errorf("find code: %w", err)
	}
	// First of all, so that a client that came by another's code can neither
	// spend it nor revoke what was issued for it.
	if grant.ClientID != caller.ClientID {
		return nil, refused("code of another client")
	}
	reqctx.Add(ctx, slog.String("sub", string(grant.UserID)))
	if !grant.RedeemedAt.IsZero() {
		return nil, h.revoke(ctx, grant.ID, "code reused")
	}
	now := h.now()
	x := &exchange{req, caller, &grant, &person}
	if e := checkCode(x, now); e != nil {
		return nil, e
	}
	if err := h.checkTarget(form, &grant); err != nil {
		return nil, err
	}
	return h.redeem(ctx, x, now)
}

// exchange is a code as it came, with what is known of it.
type exchange struct {
	codeRequest
	caller *storage.Client
	grant  *storage.Grant
	person *storage.User
}

// checkCode says why an unspent code of the right client can't be redeemed, or
// returns nil. Nothing is spent by a request that it refuses.
func checkCode(x *exchange, now time.Time) *oauth.Error {
	grant := x.grant
	switch {
	case !grant.RevokedAt.IsZero():
		return refused("grant revoked")
	case !now.Before(grant.CodeExpires):
		return refused("code expired")
	case x.person.Blocked:
		return refused("person blocked")
	case x.redirectURI != grant.RedirectURI:
		// RFC 6749 §4.1.3: "their values MUST be identical".
		return oauth.Errorf(oauth.InvalidGrant, "redirect_uri differs from the one of the authorization request").Because("wrong redirect_uri")
	case grant.CodeChallenge == "" && x.caller.Public():
		// RFC 9700 §2.1.1: a code is all that this client proves itself with. The
		// authorization request would have been refused; the client may have
		// become public since.
		return oauth.Errorf(oauth.InvalidGrant, "a public client must use PKCE; start a new login").Because("public client without pkce")
	case grant.CodeChallenge == "" && x.verifier != "":
		// RFC 9700 §4.8.2: someone took the challenge out of the authorization request.
		return oauth.Errorf(oauth.InvalidGrant, "code_verifier was sent, but the authorization request had no code_challenge").Because("pkce downgrade")
	case grant.CodeChallenge != "" && !oauth.VerifyPKCE(grant.CodeChallenge, x.verifier):
		return oauth.Errorf(oauth.InvalidGrant, "code_verifier is missing or does not match the code_challenge").Because("wrong code_verifier")
	}
	return nil
}

// redeem issues the tokens and spends the code.
func (h *Handler) redeem(ctx context.Context, x *exchange, now time.Time) (*answer, error) {
	grant := x.grant
	set, err := h.issue(ctx, order{
		client: x.caller, grant: grant, person: x.person, scopes: granted(grant), nonce: grant.Nonce, idToken: true, now: now,
	})
	if err != nil {
		return nil, err
	}
	family := h.newFamily(x.caller, grant, now)
	err = h.c.Grants.RedeemGrant(ctx, storage.Redemption{Grant: grant.ID, Now: now, Refresh: family})
	if err != nil {
		h.withdraw(ctx, set)
	}
	switch {
	case errors.Is(err, storage.ErrConsumed):
		// Another request won the race for this code: it was used twice all the
		// same, and what the winner got dies too (security.md §3.7).
		return nil, h.revoke(ctx, grant.ID, "code reused")
	case errors.Is(err, storage.ErrNotFound):
		return nil, refused("grant revoked")
	case err != nil:
		return nil, fmt.Errorf("redeem code: %w", err)
	}
	if family != nil {
		set.answer.RefreshToken = h.c.Minter.RefreshToken(family.ID, family.Counter)
	}
	return set.answer, nil
}

// newFamily begins a line of refresh tokens, or returns nil when the person or
// the client's registration did not allow it (OIDC Core §11), or the API does not.
// Refresh tokens of a grant for an API end when its tokens do: nothing makes the
// person's login last longer.
func (h *Handler) newFamily(caller *storage.Client, grant *storage.Grant, now time.Time) *storage.RefreshFamily {
	if !slices.Contains(grant.Scopes, oauth.ScopeOfflineAccess) || !caller.MayUse(oauth.GrantRefreshToken) || !h.offline(grant) {
		return nil
	}
	end := now.Add(h.c.RefreshAbsolute)
	if !grant.TokensUntil.IsZero() {
		end = earlier(end, grant.TokensUntil)
	}
	return &storage.RefreshFamily{
		ID:              mint.FamilyID(),
		GrantID:         grant.ID,
		Counter:         1,
		CreatedAt:       now,
		IdleExpires:     earlier(now.Add(h.c.RefreshIdle), end),
		AbsoluteExpires: end,
	}
}
