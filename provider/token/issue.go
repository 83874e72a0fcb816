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
	APIToken(alg string, c mint.APITokenClaims) (string, error)
	// AuthCodeMACs must return nil for what has not the form of a code.
	AuthCodeMACs(code string) [][]byte
	RefreshToken(family storage.FamilyID, counter int64) string
	// ParseRefreshToken must report false for whatever Handset did not make.
	ParseRefreshToken(token string) (family storage.FamilyID, counter int64, ok bool)
}

// order says what to issue.
type order struct {
	client *storage.Client
	grant  *storage.Grant
	person *storage.User
	scopes []string // those of this answer, the provider's and the API's
	nonce  string
	// idToken asks for one, if the scopes have openid.
	idToken bool
	now     time.Time
}

// answer is the library's with a scope that is told also when nothing is left of
// it (RFC 6749 §3.3).
type answer struct {
	oidc.AccessTokenResponse
	Scope oidc.SpaceDelimitedArray `json:"scope"`
}

// tokenSet is what was issued: an answer that is not sent yet, and what takes
// it back.
type tokenSet struct {
	answer *answer
	mac    []byte // of an opaque access token; nil: nothing is kept
}

// issue makes an access token, and the ID token that goes with it (OIDC Core
// §3.1.3.3). It spends nothing.
func (h *Handler) issue(ctx context.Context, o order) (*tokenSet, error) {
	set, err := h.accessToken(ctx, o)
	if err != nil || !o.idToken || !slices.Contains(o.scopes, oauth.ScopeOpenID) {
		return set, err
	}
	set.answer.IDToken, err = h.idToken(ctx, o, set.answer.AccessToken)
	if err != nil {
		h.withdraw(ctx, set)
		return nil, fmt.Errorf("make id token: %w", err)
	}
	return set, nil
}

func (h *Handler) accessToken(ctx context.Context, o order) (*tokenSet, error) {
	if o.grant.API.Audience != "" {
		return h.apiToken(ctx, o)
	}
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
	return &tokenSet{mac: mac, answer: newAnswer(token, o.scopes, h.c.AccessLife)}, nil
}

func newAnswer(token string, scopes []string, life time.Duration) *answer {
	return &answer{
		AccessTokenResponse: oidc.AccessTokenResponse{
			AccessToken: token, TokenType: oidc.BearerToken, ExpiresIn: uint64(life.Seconds()),
		},
		Scope: scopes,
	}
}

func (h *Handler) idToken(ctx context.Context, o order, accessToken string) (string, error) {
	sub, err := h.c.Subjects.Of(ctx, o.client, o.grant.UserID)
	if err != nil {
		return "", err
	}
	return h.c.Minter.IDToken(mint.IDTokenClaims{
		Subject:     sub,
		Client:      o.grant.ClientID,
		Session:     o.grant.SessionID,
		AuthTime:    o.grant.AuthTime,
		Nonce:       o.nonce,
		ACR:         o.grant.ACR,
		AccessToken: accessToken,
		Algorithm:   o.client.IDTokenAlg,
		Phone:       phoneClaims(o),
	})
}

// phoneClaims are what an ID token tells of a number, where scope phone was granted to a
// login by Auth0's grant: its clients read the profile there, and ask userinfo for
// nothing. Such a login has no redirect. To everyone else userinfo alone tells numbers,
// so that they stay out of what applications keep and log.
func phoneClaims(o order) *mint.PhoneClaims {
	if o.grant.RedirectURI != "" || !slices.Contains(o.scopes, oauth.ScopePhone) {
		return nil
	}
	return &mint.PhoneClaims{Number: o.person.Number.E164(), Verified: !o.person.VerifiedAt.IsZero()}
}

// withdraw forgets an access token that nobody will get. Best effort: it opens
// nothing to anyone, and expires. The client may have left already.
func (h *Handler) withdraw(ctx context.Context, set *tokenSet) {
	if set.mac == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	h.c.AccessTokens.DeleteAccessToken(ctx, [][]byte{set.mac}) // an error changes nothing
}
