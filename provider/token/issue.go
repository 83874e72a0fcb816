package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Minter makes tokens.
type Minter interface {
	// AccessToken must return a new random token and the MAC it is kept by.
	AccessToken() (token string, mac []byte)
	IDToken(c mint.IDTokenClaims) (string, error)
	// AuthCodeMACs must return nil for what has not the form of a code.
	AuthCodeMACs(code string) [][]byte
	RefreshToken(family string, counter int64) string
	// ParseRefreshToken must report false for whatever Handset did not make.
	ParseRefreshToken(token string) (family string, counter int64, ok bool)
}

// order says what to issue.
type order struct {
	grant   *storage.NewGrant
	scopes  []string // those of this answer
	nonce   string
	idToken bool // if the scopes have openid
	now     time.Time
}

// tokenSet is what was issued: an answer that is not sent yet, and what takes
// it back.
type tokenSet struct {
	answer *oidc.AccessTokenResponse
	mac    []byte
}

// issue makes an access token, keeps it, and makes the ID token that goes with
// it (OIDC Core §3.1.3.3). It spends nothing.
func (h *Handler) issue(ctx context.Context, o order) (*tokenSet, error) {
	token, mac := h.c.Minter.AccessToken()
	err := h.c.AccessTokens.PutAccessToken(ctx, mac, storage.AccessToken{
		GrantID:   o.grant.ID,
		ClientID:  o.grant.ClientID,
		UserID:    o.grant.UserID,
		SessionID: o.grant.SessionID,
		Scopes:    o.scopes,
		IssuedAt:  o.now,
		ExpiresAt: o.now.Add(h.c.AccessLife),
		AuthTime:  o.grant.AuthTime,
	}, o.now)
	if err != nil {
		return nil, fmt.Errorf("keep access token: %w", err)
	}
	set := &tokenSet{mac: mac, answer: &oidc.AccessTokenResponse{
		AccessToken: token,
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(h.c.AccessLife.Seconds()),
		Scope:       o.scopes,
	}}
	if !o.idToken || !slices.Contains(o.scopes, oauth.ScopeOpenID) {
		return set, nil
	}
	set.answer.IDToken, err = h.c.Minter.IDToken(mint.IDTokenClaims{
		Subject:     o.grant.UserID,
		Client:      o.grant.ClientID,
		Session:     o.grant.SessionID,
		AuthTime:    o.grant.AuthTime,
		Nonce:       o.nonce,
		ACR:         o.grant.ACR,
		AccessToken: token,
	})
	if err != nil {
		h.withdraw(ctx, set)
		return nil, fmt.Errorf("sign id token: %w", err)
	}
	return set, nil
}

// withdraw forgets an access token that nobody will get. Best effort: it opens
// nothing to anyone, and expires. The client may have left already.
func (h *Handler) withdraw(ctx context.Context, set *tokenSet) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	h.c.AccessTokens.DeleteAccessToken(ctx, [][]byte{set.mac}) // an error changes nothing
}
