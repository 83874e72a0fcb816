package webapp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// user is who is signed in, and how the application knows.
type user struct {
	idToken  string
	claims   claims
	userInfo claims
	checks   []check
}

// check is one thing that was compared before the person was let in.
type check struct{ Name, Detail string }

// failure is an error page.
type failure struct {
	Status  int
	Heading string // what a test of the protocol looks for: "invalid state"
	Text    string
	Details string // what the provider said
}

// Error makes a failure an error.
func (f *failure) Error() string { return f.Heading }

// login sends the person to the provider with an unguessable state, nonce and PKCE
// verifier, and keeps all three in the session.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	rp, err := a.relyingParty(r.Context())
	if err != nil {
		a.fail(w, unreachable(err))
		return
	}
	state := rand.Text()
	p := pending{nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), since: time.Now()}
	a.remember(w, a.sessions.begin(a.sessionID(r), state, p))
	address := rp.oauth.AuthCodeURL(state, oidc.Nonce(p.nonce), oauth2.S256ChallengeOption(p.verifier))
	http.Redirect(w, r, address, http.StatusFound)
}

// callback is where the provider sends the person back to.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	u, err := a.finish(r)
	if err != nil {
		a.fail(w, err)
		return
	}
	a.remember(w, a.sessions.signIn(a.sessionID(r), u))
	http.Redirect(w, r, "/", http.StatusFound)
}

// finish checks the answer step by step and returns who it is. State comes first:
// before it matches, nothing in the address is to be believed.
func (a *app) finish(r *http.Request) (*user, error) {
	answer := r.URL.Query()
	p, ok := a.sessions.take(a.sessionID(r), answer.Get("state"))
	if !ok {
		return nil, &failure{http.StatusBadRequest, "invalid state",
			"This answer does not belong to a login that this browser started here. Sign in again.", ""}
	}
	rp, err := a.relyingParty(r.Context())
	if err != nil {
		return nil, unreachable(err)
	}
	if err := rp.answeredBy(a.config.Issuer, answer); err != nil {
		return nil, err
	}
	if code := answer.Get("error"); code != "" {
		return nil, &failure{http.StatusBadRequest, "The provider refused the login", "Nothing was changed. You can try again.",
			detail(code, answer.Get("error_description"))}
	}
	ctx := oidc.ClientContext(r.Context(), a.client)
	token, err := rp.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(p.verifier))
	if err != nil {
		return nil, exchangeFailed(err)
	}
	return rp.identify(ctx, token, p.nonce)
}

// answeredBy refuses an answer of another provider (RFC 9207 §2.4).
func (rp *relyingParty) answeredBy(issuer string, answer url.Values) error {
	iss := answer.Get("iss")
	if iss == issuer || iss == "" && !rp.namesItself {
		return nil
	}
	return &failure{http.StatusBadRequest, "invalid issuer", "This answer came from another provider. Sign in again.", ""}
}

// identify verifies the ID token (OIDC Core §3.1.3.7) and asks for the person's
// other claims.
func (rp *relyingParty) identify(ctx context.Context, token *oauth2.Token, nonce string) (*user, error) {
	raw, _ := token.Extra("id_token").(string)
	idToken, err := rp.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, &failure{http.StatusUnauthorized, "invalid ID token",
			"Its signature, issuer, audience or time is not right, so nobody is signed in.", err.Error()}
	}
	if idToken.Nonce != nonce {
		return nil, &failure{http.StatusBadRequest, "invalid nonce",
			"The ID token was made for another login, so nobody is signed in.", ""}
	}
	if idToken.AccessTokenHash != "" {
		if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, &failure{http.StatusUnauthorized, "invalid access token",
				"It is not the one that belongs to the ID token.", err.Error()}
		}
	}
	u := &user{idToken: raw, checks: []check{
		{"State", "is the one this browser was sent away with"},
		{"Nonce", "is the one this login asked for"},
		{"Signature", "was made by a key that " + idToken.Issuer + " publishes"},
	}}
	if err := idToken.Claims(&u.claims); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return u, rp.addUserInfo(ctx, u, token, idToken.Subject)
}

// addUserInfo reads the userinfo endpoint, where there is one. Its answer counts
// only for the person of the ID token (OIDC Core §5.3.2).
func (rp *relyingParty) addUserInfo(ctx context.Context, u *user, token *oauth2.Token, subject string) error {
	if rp.provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := rp.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return &failure{http.StatusBadGateway, "no user info", "The provider did not tell who you are.", err.Error()}
	}
	if info.Subject != subject {
		return &failure{http.StatusUnauthorized, "invalid user info", "It is about another person.", ""}
	}
	return info.Claims(&u.userInfo)
}

// logout ends the session here, then at the provider (RP-Initiated Logout §2),
// which sends the person back.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	u := a.sessions.signOut(a.sessionID(r))
	a.forget(w)
	rp, err := a.relyingParty(r.Context())
	if u == nil || err != nil || rp.endSession == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	address, err := url.Parse(rp.endSession)
	if err != nil {
		a.fail(w, fmt.Errorf("end session endpoint: %w", err))
		return
	}
	query := address.Query()
	query.Set("id_token_hint", u.idToken)
	query.Set("client_id", a.config.ClientID)
	query.Set("post_logout_redirect_uri", a.config.BaseURL+"/")
	address.RawQuery = query.Encode()
	http.Redirect(w, r, address.String(), http.StatusSeeOther)
}

func unreachable(err error) *failure {
	return &failure{http.StatusServiceUnavailable, "The provider cannot be reached",
		"Sign in again in a moment.", err.Error()}
}

// exchangeFailed tells what the token endpoint said to the code.
func exchangeFailed(err error) *failure {
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok && said.ErrorCode != "" {
		return &failure{http.StatusBadGateway, "The provider gave no tokens", "Sign in again.",
			detail(said.ErrorCode, said.ErrorDescription)}
	}
	return &failure{http.StatusBadGateway, "The provider gave no tokens", "Sign in again.", ""}
}

func detail(code, description string) string {
	if description == "" {
		return code
	}
	return code + ": " + description
}

// claims are a token's claims as they came.
type claims map[string]json.RawMessage

// text returns a claim that is a string; empty otherwise.
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}
