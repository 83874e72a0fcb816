package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/handset-oidc/handset/resource"
)

// loginTime is how long the person may take.
const loginTime = 10 * time.Minute

// login logs a person in by their browser: it comes back to a port of this machine
// (RFC 8252 §7.3), with PKCE, since a program that everybody has can keep no secret.
func (p *program) login(ctx context.Context, openBrowser bool) error {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		return fmt.Errorf("no Handset at %s (is it running?): %w", p.issuer, err)
	}
	back, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l := &login{
		provider: provider, issuer: p.issuer,
		oauth: oauth2.Config{
			ClientID: string(p.clientID), Endpoint: provider.Endpoint(), RedirectURL: "http://" + back.Addr().String() + "/callback",
			Scopes: []string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess, "read:vendors", "write:vendors"},
		},
		state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(),
		done: make(chan result, 1),
	}
	l.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	server := &http.Server{Handler: l.routes(), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(back)
	defer shutDown(ctx, server)

	request := l.request(p.audience)
	fmt.Fprintf(p.err, "Log in here:\n\n  %s\n\n", request)
	if openBrowser {
		open(ctx, request)
	}
	select {
	case r := <-l.done:
		if r.err != nil {
			return r.err
		}
		if err := p.keeper.keep(ctx, r.refresh); err != nil {
			return err
		}
		return p.with(ctx, p.whoami)
	case <-ctx.Done():
		return errors.New("nobody has logged in")
	}
}

// shutDown lets the browser have its page before the program ends.
func shutDown(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = server.Shutdown(ctx) // the program ends either way
}

// login is one that is under way.
type login struct {
	provider               *oidc.Provider
	issuer                 string
	oauth                  oauth2.Config
	state, nonce, verifier string
	answered               atomic.Bool
	done                   chan result
}

// result is how it ended.
type result struct {
	refresh resource.Secret
	err     error
}

func (l *login) request(audience resource.Audience) string {
	return l.oauth.AuthCodeURL(l.state, oidc.Nonce(l.nonce), oauth2.S256ChallengeOption(l.verifier),
		oauth2.SetAuthURLParam("audience", string(audience)))
}

func (l *login) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", l.callback)
	return mux
}

// callback is where the browser comes back to. Whoever else finds the port has no state,
// and a page that is loaded again must not use the code twice: that ends the login.
func (l *login) callback(w http.ResponseWriter, r *http.Request) {
	answer := r.URL.Query()
	if answer.Get("state") != l.state || !l.answered.CompareAndSwap(false, true) {
		http.Error(w, "This is not the login that was begun.", http.StatusBadRequest)
		return
	}
	refresh, err := l.finish(r.Context(), answer)
	text, status := "You are logged in. You can close this window.", http.StatusOK
	if err != nil {
		text, status = "You are not logged in: "+strings.TrimPrefix(inWords(err), "vendors: "), http.StatusForbidden
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
	l.done <- result{refresh, err}
}

// finish changes the code for tokens, and returns the one that is kept.
func (l *login) finish(ctx context.Context, answer url.Values) (resource.Secret, error) {
	if answer.Get("iss") != l.issuer { // RFC 9207 §2.4
		return "", errors.New("the answer is from another issuer")
	}
	if err := resource.AuthorizationError(answer); err != nil {
		return "", err
	}
	token, err := l.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(l.verifier))
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok && said.ErrorCode != "" {
		return "", resource.AuthorizationError(url.Values{"error": {said.ErrorCode}, "error_description": {said.ErrorDescription}})
	}
	if err != nil {
		return "", errors.New("the code was not changed for tokens") // err may hold the answer
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := l.provider.Verifier(&oidc.Config{ClientID: l.oauth.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("the ID token: %w", err)
	}
	if id.Nonce != l.nonce {
		return "", errors.New("the ID token was made for another login")
	}
	if token.RefreshToken == "" {
		return "", errors.New("the API gives no refresh tokens; it needs --allow-offline-access")
	}
	return resource.Secret(token.RefreshToken), nil
}

// open shows an address in the person's browser, if there is one; the address was
// printed as well.
func open(ctx context.Context, address string) {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	_ = exec.CommandContext(ctx, name, args...).Start()
}

// logout revokes the refresh token at the issuer (RFC 7009 §2.1), and forgets it.
func (p *program) logout(ctx context.Context) error {
	refresh, err := p.keeper.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		return fmt.Errorf("no Handset at %s (is it running?): %w", p.issuer, err)
	}
	var endpoints struct {
		Revocation string `json:"revocation_endpoint"`
	}
	if err := provider.Claims(&endpoints); err != nil {
		return err
	}
	form := url.Values{"token": {string(refresh)}, "client_id": {string(p.clientID)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoints.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the login was not ended: %s", res.Status)
	}
	return p.keeper.forget()
}
