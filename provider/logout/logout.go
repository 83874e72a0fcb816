// Package logout ends the session of the browser at hand at the request of an
// application (OpenID Connect RP-Initiated Logout 1.0). It asks the person
// unless the request carries an ID token of this very session, and it sends
// the browser on to registered addresses only.
package logout

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/posted"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// Clients finds registered clients.
type Clients interface {
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Hints verifies id_token_hint; an expired token is fine (RP-Initiated Logout §2).
type Hints interface {
	VerifyHint(ctx context.Context, raw string) (mint.Hint, error)
}

// Subjects knows whom a name stands for that a client was given.
type Subjects interface {
	// Person must return an ID that nobody has for a name that is none.
	Person(ctx context.Context, id storage.ClientID, sub storage.Subject) (storage.UserID, error)
}

// Config is what a Handler needs; every field is required but Ended.
type Config struct {
	Clients  Clients
	Hints    Hints
	Subjects Subjects
	Sessions *session.Manager
	Posted   *posted.Forms
	Pages    *web.Pages
	Vault    *vault.Vault
	// Ended is told after a session ended, so that its tokens die at once.
	Ended func(ctx context.Context)
}

// Handler answers /oidc/logout.
type Handler struct{ Config }

// New returns a Handler.
func New(c Config) *Handler { return &Handler{c} }

// request is a validated logout request. It travels through the page sealed.
type request struct {
	ClientID storage.ClientID `json:"c,omitempty"`
	URI      string           `json:"u,omitempty"`
	State    string           `json:"s,omitempty"`
	Locales  []string         `json:"l,omitempty"`
}

const formName = "logout"

const endpoint = "/oidc/logout"

// Logout answers GET and POST /oidc/logout. A POST goes on by GET, where the session
// is found; only our own page's form is taken as it is.
func (h *Handler) Logout(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return h.ask(w, r)
	}
	form, err := web.Body(w, r)
	if err != nil {
		return err
	}
	if form.Get("decision") == "approve" {
		return h.approved(w, r, form)
	}
	return h.Posted.Keep(w, r, endpoint, form)
}

// Auth0 answers GET /v2/logout, by which Auth0's SDKs ask: it leads on to the request
// of the specification. returnTo is a registered address; federated says nothing here.
func (h *Handler) Auth0(w http.ResponseWriter, r *http.Request) error {
	v, err := web.Query(r)
	if err != nil {
		return err
	}
	standard := url.Values{}
	for name, as := range map[string]string{
		"client_id": "client_id", "returnTo": "post_logout_redirect_uri", "id_token_hint": "id_token_hint",
		"state": "state", "ui_locales": "ui_locales",
	} {
		if values := v[name]; len(values) > 0 {
			standard[as] = values // one given twice is refused there
		}
	}
	return web.SeeOther(w, r, ".."+endpoint+"?"+standard.Encode()) // below the issuer, whatever its path
}

func (h *Handler) ask(w http.ResponseWriter, r *http.Request) error {
	v, err := h.Posted.Parameters(r, endpoint)
	if err != nil {
		return err
	}
	if names := v.Repeated(); len(names) > 0 {
		return &web.Problem{Kind: views.ProblemRequest, Status: http.StatusBadRequest, Details: "invalid_request: a parameter is given twice"}
	}
	req, client, hint, err := h.validate(r.Context(), v)
	if err != nil {
		return err
	}
	current, err := h.Sessions.Current(r)
	if err != nil {
		return err
	}
	own, err := h.ownSession(r.Context(), hint, current)
	if err != nil {
		return err
	}
	switch {
	case current == nil && hint == nil:
		// Nobody is signed in, and nobody shows that somebody was: no redirect
		// for a request that anyone can make.
		return h.loggedOut(w, r, req, client)
	case current == nil:
		return h.leave(w, r, req, client)
	case own:
		return h.end(w, r, current, req, client)
	default:
		return h.showQuestion(w, r, req, client)
	}
}

// ownSession reports whether the hint is an ID token of this very session.
func (h *Handler) ownSession(ctx context.Context, hint *mint.Hint, current *session.Current) (bool, error) {
	if hint == nil || current == nil || hint.Session != current.Session.ID {
		return false, nil
	}
	person, err := h.Subjects.Person(ctx, hint.ClientID, hint.Subject)
	return person == current.UserID, err
}

// validate checks the request whole before anything is ended. Its errors are pages.
func (h *Handler) validate(ctx context.Context, v web.Values) (request, *storage.Client, *mint.Hint, error) {
	req := request{ClientID: storage.ClientID(v.Get("client_id")), URI: v.Get("post_logout_redirect_uri"),
		State: v.Get("state"), Locales: strings.Fields(v.Get("ui_locales"))}
	var hint *mint.Hint
	if raw := v.Get("id_token_hint"); raw != "" {
		verified, err := h.Hints.VerifyHint(ctx, raw)
		if err != nil {
			return req, nil, nil, badRequest(req, "id_token_hint is no ID token of this issuer")
		}
		hint = &verified
		if req.ClientID != "" && req.ClientID != hint.ClientID {
			return req, nil, nil, badRequest(req, "client_id is not the audience of the id_token_hint")
		}
		req.ClientID = hint.ClientID
	}
	var client *storage.Client
	if req.ClientID != "" {
		var err error
		client, err = h.Clients.Get(ctx, req.ClientID)
		if errors.Is(err, storage.ErrNotFound) {
			return req, nil, nil, badRequest(req, "no application is registered by this client_id")
		}
		if err != nil {
			return req, nil, nil, fmt.Errorf("find client: %w", err)
		}
		reqctx.Add(ctx, slog.String("client_id", string(client.ClientID)))
	}
	if req.URI != "" && (client == nil || !slices.Contains(client.AllowedLogoutURLs, req.URI)) {
		p := badRequest(req, "post_logout_redirect_uri is not registered for this application (send client_id or id_token_hint with it)")
		p.Kind = views.ProblemRedirect
		return req, nil, nil, p
	}
	return req, client, hint, nil
}

func badRequest(req request, details string) *web.Problem {
	return &web.Problem{Kind: views.ProblemRequest, Status: http.StatusBadRequest, Locales: req.Locales,
		Details: "invalid_request: " + details, Reason: details}
}

func (h *Handler) showQuestion(w http.ResponseWriter, r *http.Request, req request, client *storage.Client) error {
	plain, err := json.Marshal(req)
	if err != nil {
		return err
	}
	page := views.Logout{
		Frame: h.Pages.Frame(r, req.Locales, client), CSRF: h.Sessions.FormToken(r, formName),
		Logout: base64.RawURLEncoding.EncodeToString(h.Vault.Seal(vault.FormToken, formName, plain)),
	}
	return web.HTML(w, r, http.StatusOK, page.Page(), web.Origins(client, req.URI)...)
}

// approved takes the person's own answer from our page.
func (h *Handler) approved(w http.ResponseWriter, r *http.Request, form web.Values) error {
	// The route is open to other sites, which may ask; none may answer.
	if err := web.CheckOwnSite(r); err != nil {
		return err
	}
	foreign := &web.Problem{Kind: views.ProblemForeign, Status: http.StatusForbidden, Reason: "logout form of another browser"}
	if len(form.Repeated()) > 0 || !h.Sessions.CheckFormToken(r, formName, form.Get("csrf")) {
		return foreign
	}
	sealed, err := base64.RawURLEncoding.DecodeString(form.Get("logout"))
	if err != nil {
		return foreign
	}
	plain, err := h.Vault.Open(vault.FormToken, formName, sealed)
	if err != nil {
		return foreign
	}
	var req request
	if err := json.Unmarshal(plain, &req); err != nil {
		return fmt.Errorf("read logout request: %w", err)
	}
	client, err := h.client(r.Context(), req.ClientID)
	if err != nil {
		return err
	}
	current, err := h.Sessions.Current(r)
	if err != nil {
		return err
	}
	if current == nil {
		return h.leave(w, r, req, client)
	}
	return h.end(w, r, current, req, client)
}

// client finds the application of a request that was validated before; one
// that was removed meanwhile is nil.
func (h *Handler) client(ctx context.Context, id storage.ClientID) (*storage.Client, error) {
	if id == "" {
		return nil, nil
	}
	c, err := h.Clients.Get(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return c, err
}

func (h *Handler) end(w http.ResponseWriter, r *http.Request, current *session.Current, req request, client *storage.Client) error {
	if err := h.Sessions.End(r.Context(), w, current.Session.ID); err != nil {
		return err
	}
	h.Ended(r.Context())
	reqctx.Add(r.Context(), slog.String("sub", string(current.UserID)), slog.String("step", "logged out"))
	return h.leave(w, r, req, client)
}

// leave sends the browser to the registered address, or shows that it is done.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, req request, client *storage.Client) error {
	if !registered(client, req.URI) {
		return h.loggedOut(w, r, req, client)
	}
	return web.SeeOther(w, r, back(req))
}

// registered is asked again whenever the address is used: between the question
// and its answer it may have been taken out of the registration.
func registered(client *storage.Client, uri string) bool {
	return uri != "" && client != nil && slices.Contains(client.AllowedLogoutURLs, uri)
}

// back is the registered address with the state (RP-Initiated Logout §2).
func back(req request) string {
	if req.State == "" {
		return req.URI
	}
	join := "?"
	if strings.Contains(req.URI, "?") {
		join = "&"
	}
	return req.URI + join + "state=" + url.QueryEscape(req.State)
}

func (h *Handler) loggedOut(w http.ResponseWriter, r *http.Request, req request, client *storage.Client) error {
	page := views.LoggedOut{Frame: h.Pages.Frame(r, req.Locales, client), AppURL: web.WayBack(client)}
	if registered(client, req.URI) {
		page.AppURL = back(req)
	}
	return web.HTML(w, r, http.StatusOK, page.Page())
}
