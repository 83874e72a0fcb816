package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// presented is a refresh token as it came, with what is known of it.
type presented struct {
	family  storage.RefreshFamily
	counter int64
	grant   storage.Grant
	person  storage.User
}

// refreshToken exchanges a refresh token for an access token and the next
// refresh token (RFC 6749 §6, OIDC Core §12).
func (h *Handler) refreshToken(ctx context.Context, caller *storage.Client, form web.Values) (*answer, error) {
	reqctx.Add(ctx, slog.String("grant_type", oauth.GrantRefreshToken))
	if !form.Has("refresh_token") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the parameter refresh_token is missing")
	}
	p, err := h.findRefreshToken(ctx, form.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	if p.grant.ClientID != caller.ClientID {
		return nil, refused("refresh token of another client")
	}
	reqctx.Add(ctx, slog.String("sub", string(p.grant.UserID)))
	now := h.now()
	if e := checkRefreshToken(p, now); e != nil {
		return nil, e
	}
	if rotatedAway(p, now, h.c.RefreshGrace) {
		return nil, h.revoke(ctx, p.grant.ID, "refresh token reused")
	}
	if !h.offline(&p.grant) {
		return nil, refused("API allows no offline access")
	}
	if err := h.checkTarget(form, &p.grant); err != nil {
		return nil, err
	}
	scopes, err := narrow(granted(&p.grant), form.Get("scope"))
	if err != nil {
		return nil, err
	}
	return h.rotate(ctx, caller, p, scopes, now)
}

func (h *Handler) findRefreshToken(ctx context.Context, token string) (*presented, error) {
	id, counter, ok := h.c.Minter.ParseRefreshToken(token)
	if !ok {
		return nil, refused("not a refresh token")
	}
	family, grant, person, err := h.c.Grants.RefreshFamily(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, refused("unknown refresh token")
	}
	if err != nil {
		return nil, fmt.Errorf("find refresh token: %w", err)
	}
	return &presented{family, counter, grant, person}, nil
}

// checkRefreshToken says why no token of the family may be used, or returns nil.
func checkRefreshToken(p *presented, now time.Time) *oauth.Error {
	switch {
	case !p.family.RevokedAt.IsZero() || !p.grant.RevokedAt.IsZero():
		return refused("grant revoked")
	case !now.Before(p.family.IdleExpires) || !now.Before(p.family.AbsoluteExpires):
		return refused("refresh token expired")
	case p.person.Blocked:
		return refused("person blocked")
	}
	return nil
}

// rotatedAway reports whether the token was used before, and not just now. The
// store decides it again, in the step that rotates; seen here, a replay costs
// no signature and no write to Redis, and revokes even while Redis is down.
func rotatedAway(p *presented, now time.Time, grace time.Duration) bool {
	switch behind := p.family.Counter - p.counter; {
	case behind <= 0:
		return false
	case behind == 1:
		return now.Sub(p.family.RotatedAt) > grace
	default:
		return true
	}
}

// narrow returns the scopes of this answer: all that were granted, or those of
// them that the client asks for. The grant keeps what it has (RFC 6749 §6).
func narrow(granted []string, asked string) ([]string, error) {
	fields := strings.Fields(asked)
	if len(fields) == 0 {
		return granted, nil
	}
	var scopes []string
	for _, s := range fields {
		// RFC 6749 §6: "MUST NOT include any scope not originally granted".
		if !slices.Contains(granted, s) {
			return nil, oauth.Errorf(oauth.InvalidScope, "scope asks for more than was granted").Because("scope widened")
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes, nil
}

// rotate issues the tokens and replaces the refresh token. The ID token carries
// the old auth_time and no nonce (OIDC Core §12.2).
func (h *Handler) rotate(ctx context.Context, caller *storage.Client, p *presented, scopes []string, now time.Time) (*answer, error) {
	set, err := h.issue(ctx, order{
		client: caller, grant: &p.grant, person: &p.person, scopes: scopes, idToken: h.c.IDTokenOnRefresh, now: now,
	})
	if err != nil {
		return nil, err
	}
	rotated, err := h.c.Grants.RotateRefreshToken(ctx, storage.Rotation{
		Family:      p.family.ID,
		Presented:   p.counter,
		Now:         now,
		Grace:       h.c.RefreshGrace,
		IdleExpires: earlier(now.Add(h.c.RefreshIdle), p.family.AbsoluteExpires),
	})
	if err != nil {
		h.withdraw(ctx, set)
	}
	switch {
	case errors.Is(err, storage.ErrConsumed): // the store has revoked the grant
		h.c.Revocations.Add(p.grant.ID)
		return nil, refused("refresh token reused")
	case errors.Is(err, storage.ErrNotFound):
		return nil, refused("grant revoked")
	case err != nil:
		return nil, fmt.Errorf("rotate refresh token: %w", err)
	}
	set.answer.RefreshToken = h.c.Minter.RefreshToken(p.family.ID, rotated.Counter)
	return set.answer, nil
}
