// Package token is the token endpoint (RFC 6749 §3.2): one file per grant, each
// turning what it was given into an [order] that issue.go fills. It owns the
// rules of redemption and rotation. It authenticates no one itself
// (provider/client), makes no token itself (provider/mint) and keeps nothing.
//
// Order of work in every grant, so that a part that is down costs nobody
// anything: check by reading; make the access token, an opaque one written to
// Redis, where it opens nothing while nobody has it, one for an API signed and
// written nowhere; then spend the code or rotate the refresh token in SQL, in one
// step that only one request can win; then answer. A failure before that step
// leaves the code or refresh token as it was.
package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Grants reads, spends and revokes what people allowed.
type Grants interface {
	// GrantByCode must return a grant whose code is spent too, for as long as
	// its tokens live, so that a replay can be answered by revoking them. It
	// must return storage.ErrNotFound for an unknown code and a removed person.
	GrantByCode(ctx context.Context, macs [][]byte) (storage.Grant, storage.User, error)
	// RedeemGrant must let one caller win, whatever number race; the others get
	// storage.ErrConsumed. A refresh token that it writes must be durable. A
	// revoked or expired grant must be storage.ErrNotFound.
	RedeemGrant(ctx context.Context, r storage.Redemption) error
	// RevokeGrant must end the grant and its refresh tokens; it may be repeated.
	RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error
	RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error)
	// RotateRefreshToken must give all callers that present one token within
	// its grace the same successor. For one used before it must revoke family
	// and grant and return storage.ErrConsumed; for a revoked or expired one
	// storage.ErrNotFound.
	RotateRefreshToken(ctx context.Context, r storage.Rotation) (storage.Rotated, error)
}

// AccessTokens keeps opaque access tokens.
type AccessTokens interface {
	PutAccessToken(ctx context.Context, mac []byte, t storage.AccessToken, now time.Time) error
	DeleteAccessToken(ctx context.Context, macs [][]byte) error
}

// Revocations is told of a revoked grant, so that its access tokens die at once here.
type Revocations interface {
	Add(id storage.GrantID)
}

// Subjects knows under which name a client sees a person.
type Subjects interface {
	Of(ctx context.Context, c *storage.Client, user storage.UserID) (storage.Subject, error)
}

// Config is what a [Handler] needs.
type Config struct {
	Clients      client.Authenticator
	Grants       Grants
	AccessTokens AccessTokens
	Minter       Minter
	Revocations  Revocations
	APIs         *api.Registry
	Subjects     Subjects
	SignIns      SignIns
	// Userinfo is the userinfo endpoint, which tokens for APIs can be for as well.
	Userinfo storage.Audience

	// AccessLife is how long an access token lives.
	AccessLife time.Duration
	// RefreshIdle and RefreshAbsolute end a line of refresh tokens: so long
	// after its last use, and so long after its first token, whatever use.
	RefreshIdle, RefreshAbsolute time.Duration
	// RefreshGrace is how long a rotated refresh token still gets the same
	// successor, for a client that lost the answer. Zero: within the same second.
	RefreshGrace time.Duration
	// IDTokenOnRefresh adds an ID token to the answer of a refresh (OIDC Core §12.2).
	IDTokenOnRefresh bool

	// Now defaults to time.Now.
	Now func() time.Time
}

// Handler serves the token endpoint.
type Handler struct{ c Config }

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Clients == nil || c.Grants == nil || c.AccessTokens == nil || c.Minter == nil || c.Revocations == nil ||
		c.APIs == nil || c.Subjects == nil || c.SignIns == nil || c.Userinfo == "" {
		return nil, errors.New("token: every part but the clock is required")
	}
	if c.AccessLife <= 0 || c.RefreshIdle <= 0 || c.RefreshAbsolute <= 0 || c.RefreshGrace < 0 {
		return nil, errors.New("token: a lifetime is not positive")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Handler{c}, nil
}

// Serve answers POST /oauth/token.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	form, err := web.StrictBodyOrJSON(w, r)
	if err != nil {
		return err
	}
	caller, err := client.Caller(h.c.Clients, r, form)
	if err != nil {
		return inAuth0sWords(form, err)
	}
	grant, err := h.grant(w, r, caller, form)
	if err != nil {
		return err
	}
	answer, err := grant(r.Context(), caller, form)
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, answer)
}

// grantFunc is one grant: it checks what was given, spends it, and returns the answer.
type grantFunc func(context.Context, *storage.Client, web.Values) (*answer, error)

// grant picks the grant that the request names, if the client may use it.
func (h *Handler) grant(w http.ResponseWriter, r *http.Request, caller *storage.Client, form web.Values) (grantFunc, error) {
	if !form.Has("grant_type") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the parameter grant_type is missing")
	}
	name := form.Get("grant_type")
	grant, ok := map[string]grantFunc{
		oauth.GrantAuthorizationCode: h.authorizationCode,
		oauth.GrantRefreshToken:      h.refreshToken,
		oauth.GrantClientCredentials: h.clientCredentials,
		oauth.GrantPasswordlessOTP: func(_ context.Context, caller *storage.Client, form web.Values) (*answer, error) {
			return h.passwordless(w, r, caller, form)
		},
	}[name]
	if !ok {
		return nil, oauth.Errorf(oauth.UnsupportedGrantType, "use authorization_code, refresh_token or client_credentials")
	}
	if !caller.MayUse(name) && name == oauth.GrantPasswordlessOTP {
		return nil, oauth.GrantNotAllowed(name)
	}
	if !caller.MayUse(name) {
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "the client's grant_types do not contain %s", name)
	}
	return grant, nil
}

// refused is invalid_grant. One answer for all that a stranger could try; the
// log's reason keeps the causes apart.
func refused(reason string) *oauth.Error {
	return oauth.Errorf(oauth.InvalidGrant, "the code or refresh token is unknown, expired, used, revoked or another client's; start a new login").Because(reason)
}

// revoke ends a grant whose code or refresh token was used twice: one of the
// two users stole it, and nobody can tell which (RFC 6749 §4.1.2, RFC 9700
// §4.14.2). A caller that hangs up must not stop it.
func (h *Handler) revoke(ctx context.Context, id storage.GrantID, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if err := h.c.Grants.RevokeGrant(ctx, id, h.now()); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("revoke grant: %w", err)
	}
	h.c.Revocations.Add(id)
	return refused(reason)
}

// now is in whole seconds, like the times in SQL that it is compared with.
func (h *Handler) now() time.Time { return h.c.Now().UTC().Truncate(time.Second) }

// finishWithin bounds work that goes on after the client has left.
const finishWithin = 5 * time.Second
