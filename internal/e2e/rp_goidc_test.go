package e2e

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/handset-oidc/handset/config"
)

// goRP is a relying party of coreos/go-oidc and golang.org/x/oauth2: neither
// shares code with the provider.
type goRP struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth2   oauth2.Config
	// endSession is where its logout begins.
	endSession string
}

func (r *rig) goRP(client, clientSecret string) goRP {
	r.t.Helper()
	provider, err := oidc.NewProvider(r.t.Context(), r.issuer)
	if err != nil {
		r.t.Fatal(err)
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		r.t.Fatal(err)
	}
	return goRP{
		provider: provider, endSession: more.EndSession,
		verifier: provider.VerifierContext(r.t.Context(), &oidc.Config{ClientID: client, Now: r.clock.Now}),
		oauth2: oauth2.Config{ClientID: client, ClientSecret: clientSecret, Endpoint: provider.Endpoint(), RedirectURL: r.callback,
			Scopes: []string{oidc.ScopeOpenID, "profile", "phone", oidc.ScopeOfflineAccess}},
	}
}

func TestRelyingPartyGoOIDC(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{"issuer at the root": "/", "issuer with a path": "/openid-connect"} {
		r := start(t, onRealTime(), withPath(tail))
		for client, clientSecret := range map[string]string{
			webClient: secret, basicClient: secret, strictClient: secret, publicClient: "", nativeClient: "",
		} {
			t.Run(name+"/"+client, func(t *testing.T) {
				t.Parallel()
				r := r.in(t)
				r.goRP(client, clientSecret).wholeLogin(t, r)
			})
		}
	}
}

// A client that takes ES256 gets no ID token that is signed otherwise: with a code,
// on refresh, by form post; and they serve as hints.
func TestIDTokensByES256(t *testing.T) {
	t.Parallel()
	r := start(t, withClient("curve", func(c *config.Client) {
		c.ClientSecret, c.IDTokenSignedResponseAlg = config.NewSecret(secret), "ES256"
		c.GrantTypes = []string{"authorization_code", "refresh_token", "implicit"}
	}))
	rp := r.goRP("curve", secret)
	rp.verifier = rp.provider.VerifierContext(t.Context(), &oidc.Config{ClientID: "curve", SupportedSigningAlgs: []string{oidc.ES256}, Now: r.clock.Now})
	rp.wholeLogin(t, r)

	q := r.newRequest("curve").with("response_type", "id_token", "response_mode", "form_post", "code_challenge", "", "code_challenge_method", "")
	posted := r.login(newBrowser(t), q, newNumber()).submit("/cb").answer().Get("id_token")
	if _, err := rp.verifier.Verify(t.Context(), posted); err != nil {
		t.Errorf("by form post: %v", err)
	}
}

// wholeLogin does what an application does with state, nonce, PKCE, refresh,
// userinfo and logout.
func (rp goRP) wholeLogin(t *testing.T, r *rig) {
	ctx := t.Context()
	b, number := newBrowser(t), newNumber()
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	p := b.get(rp.oauth2.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	p = p.wants(http.StatusOK).submit("/login/phone", "phone", number).wants(http.StatusOK)
	r.gateway.wait(number, 1)
	answer := p.submit("/login/code", "code", r.gateway.code(number)).answer()
	if answer.Get("state") != state || answer.Get("iss") != r.issuer {
		t.Fatalf("answer: %v", answer)
	}

	token, err := rp.oauth2.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, id := rp.idToken(t, token)
	if id.Nonce != nonce {
		t.Errorf("nonce = %q, want %q", id.Nonce, nonce)
	}
	if token.Type() != "Bearer" || time.Until(token.Expiry) < 50*time.Minute {
		t.Errorf("access token: %s until %v", token.Type(), token.Expiry)
	}

	info, err := rp.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	var who struct {
		Number   string `json:"phone_number"`
		Verified bool   `json:"phone_number_verified"`
	}
	if err := info.Claims(&who); err != nil || info.Subject != id.Subject || who.Number != number || !who.Verified {
		t.Errorf("userinfo: %v %+v %v", info.Subject, who, err)
	}

	// A source with an expired token refreshes.
	expired := *token
	expired.Expiry = time.Now().Add(-time.Hour)
	next, err := rp.oauth2.TokenSource(ctx, &expired).Token()
	if err != nil {
		t.Fatal(err)
	}
	if next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken || next.RefreshToken == "" {
		t.Error("refresh: a token is the old one, or missing")
	}
	if _, again := rp.idToken(t, next); again.Subject != id.Subject {
		t.Errorf("sub after refresh = %q, want %q", again.Subject, id.Subject)
	}

	r.atBye(b.get(rp.endSession+"?"+url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {r.bye()}, "state": {state}}.Encode()), state)
	r.loginRequired(b)
	if _, err := rp.provider.UserInfo(ctx, oauth2.StaticTokenSource(next)); err == nil {
		t.Error("the access token outlives the logout")
	}
	if _, err := rp.oauth2.TokenSource(ctx, &oauth2.Token{RefreshToken: next.RefreshToken}).Token(); err == nil {
		t.Error("the refresh token outlives the logout")
	}
}

// idToken verifies the ID token of an answer, its at_hash included.
func (rp goRP) idToken(t *testing.T, token *oauth2.Token) (string, *oidc.IDToken) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.verifier.Verify(context.WithoutCancel(t.Context()), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	return raw, id
}
