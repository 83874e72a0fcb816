package authorize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

const (
	// maxState is the longest state and nonce that are taken (security.md §3).
	maxState = 2048
	// maxLoginHint is longer than any number; a longer hint is not kept.
	maxLoginHint = 256
	// maxLocales bounds ui_locales, and maxLocale each: no tag in use is longer.
	maxLocales, maxLocale = 8, 35
)

// redirectTarget is a validated place to send an authorization response to.
// Only validTarget makes one, so an error can't be redirected to an address
// that was not checked (RFC 6749 §4.1.2.1).
type redirectTarget struct {
	client  storage.ClientID
	uri     string
	mode    string
	state   string
	locales []string // of the page that a form_post answer is
}

// displayed is an error that is shown to the person and never redirected.
func displayed(kind views.ProblemKind, details string) *web.Problem {
	return &web.Problem{Kind: kind, Status: http.StatusBadRequest, Details: "invalid_request: " + details, Reason: details}
}

// validTarget finds the client and checks the redirect URI. Its errors are
// shown to the person (RFC 6749 §4.1.2.1).
func (h *Handler) validTarget(ctx context.Context, v web.Values) (*storage.Client, redirectTarget, error) {
	var none redirectTarget
	if problem := exactlyOne(v, "client_id"); problem != nil {
		return nil, none, problem
	}
	client, err := h.Clients.Get(ctx, storage.ClientID(v.Get("client_id")))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, none, displayed(views.ProblemApplication, "no application is registered by this client_id")
	}
	if err != nil {
		return nil, none, fmt.Errorf("find client: %w", err)
	}
	reqctx.Add(ctx, slog.String("client_id", string(client.ClientID)))
	if problem := exactlyOne(v, "redirect_uri"); problem != nil {
		return nil, none, problem
	}
	uri := v.Get("redirect_uri")
	if !oauth.MatchRedirectURI(client.Callbacks, uri, client.AppType) {
		return nil, none, displayed(views.ProblemRedirect, "redirect_uri is not registered for this application; it must match exactly")
	}
	t := redirectTarget{client: client.ClientID, uri: uri, mode: oauth.ModeQuery, locales: locales(v)}
	if m := v.Get("response_mode"); (knownMode(m) || frameMode(v, uri)) && len(v["response_mode"]) == 1 {
		t.mode = m
	}
	if s := v.Get("state"); len(s) <= maxState && utf8.ValidString(s) && len(v["state"]) == 1 {
		t.state = s
	}
	return client, t, nil
}

// exactlyOne wants a parameter exactly once.
func exactlyOne(v web.Values, name string) error {
	switch {
	case len(v[name]) > 1:
		return displayed(views.ProblemRequest, name+" is given twice")
	case !v.Has(name):
		return displayed(views.ProblemRequest, name+" is missing")
	}
	return nil
}

func knownMode(m string) bool {
	return m == oauth.ModeQuery || m == oauth.ModeFragment || m == oauth.ModeFormPost
}

// frameMode reports whether a request may be answered in a frame of the application's
// own page: no page of ours is shown in one.
func frameMode(v web.Values, uri string) bool {
	page := strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
	return page && v.Get("response_mode") == oauth.ModeWebMessage && v.Get("prompt") == "none"
}

// prompts are the parts of the request that steer the dispatcher.
type prompts struct {
	none  bool // no page may be shown
	login bool // whatever session there is, a new code is asked for
}

// freeze validates the rest of the request and returns what is kept of it.
// Its errors go to the client.
func (h *Handler) freeze(client *storage.Client, t redirectTarget, v web.Values) (storage.Transaction, prompts, error) {
	now := h.Now()
	tx := storage.Transaction{
		CreatedAt: now, ExpiresAt: now.Add(h.TransactionLife),
		ClientID: client.ClientID, RedirectURI: t.uri, ResponseMode: t.mode, State: t.state,
	}
	var enabled bool
	// Auth0's names: connection, and realm where a page of another site proved the number.
	if tx.Connection, enabled = h.Connection(cmp.Or(v.Get("connection"), v.Get("realm")), client.ClientID); !enabled {
		return tx, prompts{}, oauth.Errorf(oauth.UnauthorizedClient, "the connection is not enabled for the application").Because("connection not enabled")
	}
	for _, check := range []func(*storage.Client, web.Values, *storage.Transaction) error{
		checkShape, checkResponse, checkScope, checkState, checkPKCE,
	} {
		if err := check(client, v, &tx); err != nil {
			return tx, prompts{}, err
		}
	}
	p, err := parsePrompt(v)
	if err != nil {
		return tx, p, err
	}
	if err := checkMaxAge(v, now, &tx); err != nil {
		return tx, p, err
	}
	if err := h.checkAPI(client, v, &tx); err != nil {
		return tx, p, err
	}
	if len(tx.Scopes) == 0 && tx.Audience == "" {
		return tx, p, oauth.Errorf(oauth.InvalidScope, "scope names nothing that this server knows; send at least openid")
	}
	// Hints are kept for half an hour: those that help nobody are not.
	if hint := v.Get("login_hint"); len(hint) <= maxLoginHint {
		tx.LoginHint = hint
	}
	tx.UILocales = locales(v)
	return tx, p, nil
}

// locales are the languages that the client would like, the first few.
func locales(v web.Values) []string {
	all := slices.DeleteFunc(strings.Fields(v.Get("ui_locales")), func(tag string) bool { return len(tag) > maxLocale })
	return all[:min(len(all), maxLocales)]
}

// checkShape refuses repetitions (RFC 6749 §3.1) and what is not supported (OIDC Core §3.1.2.6).
func checkShape(_ *storage.Client, v web.Values, _ *storage.Transaction) error {
	if names := v.Repeated(); len(names) > 0 {
		return oauth.Errorf(oauth.InvalidRequest, "a parameter is given twice; send each once").Because("repeated parameter")
	}
	switch {
	case v.Has("request"):
		return oauth.Errorf(oauth.RequestNotSupported, "request objects are not supported; send plain parameters")
	case v.Has("request_uri"):
		return oauth.Errorf(oauth.RequestURINotSupported, "request_uri is not supported; send plain parameters")
	case v.Has("registration"):
		return oauth.Errorf(oauth.RegistrationNotSupported, "the registration parameter is not supported")
	}
	return nil
}

// checkResponse takes the code flow, and the response type id_token of clients
// that are registered for it.
func checkResponse(c *storage.Client, v web.Values, tx *storage.Transaction) error {
	switch m := v.Get("response_mode"); {
	case m == oauth.ModeWebMessage && !frameMode(v, tx.RedirectURI):
		return oauth.Errorf(oauth.InvalidRequest, "response_mode=web_message needs prompt=none, and a redirect_uri of http or https")
	case m != "" && m != oauth.ModeWebMessage && !knownMode(m):
		return oauth.Errorf(oauth.InvalidRequest, "response_mode must be query, fragment or form_post")
	}
	switch v.Get("response_type") {
	case "":
		return oauth.Errorf(oauth.InvalidRequest, "response_type is missing; send response_type=code")
	case oauth.ResponseCode:
		if !c.MayUse(oauth.GrantAuthorizationCode) {
			return oauth.Errorf(oauth.UnauthorizedClient, "the application is not registered for the grant type authorization_code")
		}
		return nil
	case oauth.ResponseIDToken:
		tx.ResponseType = oauth.ResponseIDToken
		return checkIDTokenResponse(c, v)
	default:
		return oauth.Errorf(oauth.UnsupportedResponseType, "only response_type=code is supported")
	}
}

// checkIDTokenResponse guards the one response without a code: a registered
// client, a form post, so that no token is ever in a URL, and a nonce (OIDC
// Core §3.2.2.1).
func checkIDTokenResponse(c *storage.Client, v web.Values) error {
	switch {
	case !c.MayUse(oauth.GrantImplicit):
		return oauth.Errorf(oauth.UnsupportedResponseType, "only response_type=code is supported")
	case v.Get("response_mode") != oauth.ModeFormPost:
		return oauth.Errorf(oauth.InvalidRequest, "response_type=id_token needs response_mode=form_post")
	case !v.Has("nonce"):
		return oauth.Errorf(oauth.InvalidRequest, "nonce is missing; response_type=id_token needs one")
	case !slices.Contains(strings.Fields(v.Get("scope")), oauth.ScopeOpenID):
		return oauth.Errorf(oauth.InvalidScope, "response_type=id_token needs scope=openid")
	}
	return nil
}

// checkScope keeps the scopes that Handset knows; others are an API's, or are
// ignored (OIDC Core §3.1.2.1).
func checkScope(c *storage.Client, v web.Values, tx *storage.Transaction) error {
	if !v.Has("scope") {
		return oauth.Errorf(oauth.InvalidScope, "scope is missing; send at least scope=openid")
	}
	tx.Scopes = oauth.ParseScope(v.Get("scope"))
	if !c.MayUse(oauth.GrantRefreshToken) {
		// Without the grant a refresh token could never be used (OIDC Core §11).
		tx.Scopes = slices.DeleteFunc(tx.Scopes, func(s string) bool { return s == oauth.ScopeOfflineAccess })
	}
	return nil
}

// checkAPI keeps what is asked of an API, if one is named. A session that is as
// old as the API's tokens may get could bring no token, so a new code is asked for:
// the same as if the request had said so by max_age. A code's own life is left to
// redeem it in.
func (h *Handler) checkAPI(c *storage.Client, v web.Values, tx *storage.Transaction) error {
	id, err := h.APIs.Requested(v)
	if err != nil || id == "" {
		return err
	}
	api, scopes, err := h.APIs.ForPeople(c, id, oauth.SplitScope(v.Get("scope")))
	if err != nil {
		return err
	}
	tx.Audience, tx.APIScopes = id, scopes
	if !api.AllowOfflineAccess {
		tx.Scopes = slices.DeleteFunc(tx.Scopes, func(s string) bool { return s == oauth.ScopeOfflineAccess })
	}
	limitAge(tx, api.Lifetime()-h.CodeLife)
	return nil
}

// limitAge makes a session that is older than age not do.
func limitAge(tx *storage.Transaction, age time.Duration) {
	if after := tx.CreatedAt.Add(-max(age, 0)); after.After(tx.AuthAfter) {
		tx.AuthAfter = after
	}
	if age > 0 && (tx.MaxAge == 0 || age < tx.MaxAge) {
		tx.MaxAge = age
	}
}

func checkState(c *storage.Client, v web.Values, tx *storage.Transaction) error {
	state, nonce := v.Get("state"), v.Get("nonce")
	switch {
	case len(state) > maxState:
		return oauth.Errorf(oauth.InvalidRequest, "state is longer than %d bytes", maxState)
	case len(nonce) > maxState:
		return oauth.Errorf(oauth.InvalidRequest, "nonce is longer than %d bytes", maxState)
	case !utf8.ValidString(state), !utf8.ValidString(nonce):
		// Neither JSON nor an HTML form could give it back as it came.
		return oauth.Errorf(oauth.InvalidRequest, "state and nonce must be UTF-8")
	case state == "" && c.RequireState:
		return oauth.Errorf(oauth.InvalidRequest, "state is missing; this application is registered with require_state")
	case nonce == "" && c.RequireNonce:
		return oauth.Errorf(oauth.InvalidRequest, "nonce is missing; this application is registered with require_nonce")
	}
	tx.Nonce = nonce
	return nil
}

// checkPKCE demands S256 of every public client and of those registered so;
// what is sent is always checked (RFC 7636, RFC 9700 §2.1.1).
func checkPKCE(c *storage.Client, v web.Values, tx *storage.Transaction) error {
	challenge, method := v.Get("code_challenge"), v.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method is sent without code_challenge")
	case tx.ResponseType == oauth.ResponseIDToken:
		return nil // there is no code to protect
	case challenge == "" && c.Public():
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is missing; a public client must use PKCE with S256")
	case challenge == "" && c.RequirePKCE:
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is missing; this application is registered with require_pkce")
	case challenge == "":
		return nil
	case method != "S256":
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method must be S256")
	case !oauth.ValidChallenge(challenge):
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is not the base64url of a SHA-256 hash")
	}
	tx.CodeChallenge = challenge
	return nil
}

// parsePrompt reads the prompt parameter (OIDC Core §3.1.2.1). consent asks
// for nothing more here: the operator's registration is the consent of a
// first-party application. select_account means another number may be typed.
func parsePrompt(v web.Values) (prompts, error) {
	var p prompts
	words := strings.Fields(v.Get("prompt"))
	for _, w := range words {
		switch w {
		case "none":
			p.none = true
		case "login", "select_account":
			p.login = true
		case "consent":
		default:
			return p, oauth.Errorf(oauth.InvalidRequest, "prompt must be none, or of login, consent and select_account")
		}
	}
	if p.none && len(words) > 1 {
		return p, oauth.Errorf(oauth.InvalidRequest, "prompt=none can't stand with another value")
	}
	return p, nil
}

// checkMaxAge turns max_age into the earliest login that satisfies it.
func checkMaxAge(v web.Values, now time.Time, tx *storage.Transaction) error {
	raw := v.Get("max_age")
	if raw == "" {
		return nil
	}
	// Out of range it comes back as the largest, 68 years: older than any session.
	seconds, err := strconv.ParseUint(raw, 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return oauth.Errorf(oauth.InvalidRequest, "max_age must be a whole number of seconds")
	}
	tx.MaxAge = time.Duration(seconds) * time.Second
	tx.AuthAfter = now.Add(-tx.MaxAge)
	return nil
}

const endpoint = "/authorize"

// parameters reads the request's parameters. A POST goes on by GET, where the
// session is found (security.md §3.33).
func (h *Handler) parameters(w http.ResponseWriter, r *http.Request) (v web.Values, answered bool, err error) {
	if r.Method != http.MethodPost {
		v, err = h.Posted.Parameters(r, endpoint)
		return v, false, err
	}
	if v, err = web.Body(w, r); err != nil {
		return nil, false, err
	}
	return nil, true, h.Posted.Keep(w, r, endpoint, v)
}
