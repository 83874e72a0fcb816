package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// SignIns proves numbers by texted codes.
type SignIns interface {
	// SignIn must use the code up and write the login, and must return an
	// authorization code for it that nobody else gets.
	SignIn(w http.ResponseWriter, r *http.Request, caller *storage.Client, form web.Values) (code string, err error)
}

// passwordless exchanges a texted code for tokens, by Auth0's grant. The ID token has no
// nonce: Auth0's SDKs refuse one that they did not send.
func (h *Handler) passwordless(w http.ResponseWriter, r *http.Request, caller *storage.Client, form web.Values) (*answer, error) {
	reqctx.Add(r.Context(), slog.String("grant_type", "passwordless/otp"))
	code, err := h.c.SignIns.SignIn(w, r, caller, form)
	if err != nil {
		return nil, err
	}
	return h.forCode(r.Context(), caller, code)
}

// ForCode spends the authorization code of a login that was proved in the same request.
func (h *Handler) ForCode(ctx context.Context, caller *storage.Client, code string) (any, error) {
	return h.forCode(ctx, caller, code)
}

func (h *Handler) forCode(ctx context.Context, caller *storage.Client, code string) (*answer, error) {
	grant, person, err := h.c.Grants.GrantByCode(ctx, h.c.Minter.AuthCodeMACs(code))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, refused("person removed in the same moment")
	}
	if err != nil {
		return nil, fmt.Errorf("find grant of a sign-in: %w", err)
	}
	return h.redeem(ctx, &exchange{caller: caller, grant: &grant, person: &person}, h.now())
}

// inAuth0sWords is what Auth0 says of a client that does not authenticate, to who uses
// its grant.
func inAuth0sWords(form web.Values, err error) error {
	e := oauth.AsError(err)
	if e == nil || e.Code != oauth.InvalidClient || form.Get("grant_type") != oauth.GrantPasswordlessOTP {
		return err
	}
	if !form.Has("client_id") && e.Challenge == "" && !form.Has("client_assertion") {
		return oauth.Errorf(oauth.InvalidRequest, "missing client_id parameter")
	}
	told := *e
	told.Description = "Client authentication failed"
	return &told
}
