// Package login is the step that proves who sits at the browser: number, code,
// session. It shows the pages of pages.md, asks the code engine (package
// passcode) and hands a proved number back to the dispatcher. It never sees a
// token and never answers a client itself.
//
// Every step demands the transaction cookie of the browser that started the
// login; a URL alone opens nothing (security.md rows 13, 14, 16).
package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// Store reads a transaction together with its challenge.
type Store interface {
	// Login must return [storage.ErrNotFound] for a transaction that is unknown
	// or expired; a challenge that is not there has the state gone.
	Login(ctx context.Context, id storage.TransactionID, challenge storage.ChallengeID) (storage.Transaction, storage.Challenge, error)
}

// People finds persons by number.
type People interface {
	UserByNumber(ctx context.Context, n phone.Number) (storage.User, error)
}

// Clients finds registered clients.
type Clients interface {
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Codes is the code engine.
type Codes interface {
	Send(ctx context.Context, r passcode.SendRequest) (passcode.Sent, error)
	Check(ctx context.Context, r passcode.CheckRequest) error
	// Reference is the short name of a challenge in what is on record of texts.
	Reference(id storage.ChallengeID) string
}

// Dispatcher is where a step returns to.
type Dispatcher interface {
	// SignedIn must complete and write the login, of which the step knows
	// Number, Challenge and SignupDisabled, and must answer the client. It must
	// return [storage.ErrConsumed] when challenge or transaction was used before.
	SignedIn(w http.ResponseWriter, r *http.Request, tx storage.Transaction, login storage.Login) error
	Continue(w http.ResponseWriter, r *http.Request, tx storage.Transaction) (bool, error)
	Satisfied(r *http.Request, tx storage.Transaction) (bool, error)
	// Answered reports whether the client got its one answer.
	Answered(ctx context.Context, id storage.TransactionID) (bool, error)
}

// Browser tells whether a request comes from the browser that started a transaction.
type Browser interface {
	Owns(r *http.Request, tx storage.Transaction) bool
	FormToken(r *http.Request, id storage.TransactionID) string
	CheckFormToken(r *http.Request, id storage.TransactionID, token string) bool
}

// Config is what a Handler needs; every field is required.
type Config struct {
	Base  string
	Host  string // of the issuer, for the origin-bound line of texts; empty when it is not https
	Store Store
	// Connection returns the connection of that name as it stands now, the one in use for
	// none, or nil.
	Connection func(name storage.ConnectionName) *passcode.Connection
	People     People
	Clients    Clients
	Codes      Codes
	Dispatcher Dispatcher
	Browser    Browser
	Pages      *web.Pages
	Rules      phone.Rules
	Regions    []views.Country // the countries that may be texted
	// Home is the country that the number page proposes; empty: by the browser's language.
	Home string
	Now  func() time.Time
	// SendWait is how long the number page waits for the text to be handed over
	// before it goes on as sent.
	SendWait time.Duration
}

// Handler serves the login pages.
type Handler struct{ Config }

// New returns a Handler.
func New(c Config) *Handler { return &Handler{c} }

// visit is one request to a step: the transaction, its challenge and its client.
type visit struct {
	tx        storage.Transaction
	challenge storage.Challenge
	client    *storage.Client
	// connection is how the number is proved, as it stands now.
	connection *passcode.Connection
	form       web.Values
	// typed is the number of the challenge, zero while none was sent.
	typed typed
	// changed says that typed is another number than the one that was texted last.
	changed bool
}

// told is what a page says of the last try.
type told struct {
	status          int
	problem, notice views.Message
	// unsent says that a text was asked for and none left: that is on record.
	unsent bool
}

func refusal(problem views.Message) told {
	return told{status: http.StatusUnprocessableEntity, problem: problem}
}

// ChallengeID is where the codes of a transaction count.
func ChallengeID(id storage.TransactionID) storage.ChallengeID {
	return storage.ChallengeID("login:" + string(id))
}

// open finds the transaction of a GET and checks that it is this browser's.
func (h *Handler) open(r *http.Request) (*visit, error) {
	q, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	if len(q.Repeated()) > 0 {
		return nil, timedOut(nil, nil, "repeated parameter")
	}
	return h.visit(r, storage.TransactionID(q.Get("txn")))
}

// submit is open for a POST. The form's token is checked first: it proves that
// this browser was shown the form, before anything is read or counted.
func (h *Handler) submit(w http.ResponseWriter, r *http.Request) (*visit, error) {
	form, err := web.Body(w, r)
	if err != nil {
		return nil, err
	}
	id := storage.TransactionID(form.Get("txn"))
	if len(form.Repeated()) > 0 || !h.Browser.CheckFormToken(r, id, form.Get("csrf")) {
		return nil, timedOut(nil, nil, "form token missing or of another browser")
	}
	v, err := h.visit(r, id)
	if err != nil {
		return nil, err
	}
	v.form = form
	return v, nil
}

func (h *Handler) visit(r *http.Request, id storage.TransactionID) (*visit, error) {
	tx, challenge, err := h.Store.Login(r.Context(), id, ChallengeID(id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, timedOut(nil, nil, "transaction unknown or expired")
	}
	if err != nil {
		return nil, fmt.Errorf("read transaction: %w", err)
	}
	client, err := h.Clients.Get(r.Context(), tx.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, timedOut(nil, &tx, "client removed meanwhile")
	}
	if err != nil {
		return nil, fmt.Errorf("find client: %w", err)
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(client.ClientID)))
	if !h.Now().Before(tx.ExpiresAt) {
		return nil, timedOut(client, &tx, "transaction expired")
	}
	if !h.Browser.Owns(r, tx) {
		return nil, timedOut(client, &tx, "transaction of another browser")
	}
	// The request was frozen up to half an hour ago. Who took an address out of
	// the registration since then wants no more codes there.
	if !oauth.MatchRedirectURI(client.Callbacks, tx.RedirectURI, client.AppType) {
		return nil, timedOut(client, &tx, "redirect_uri not registered any more")
	}
	v := &visit{tx: tx, challenge: challenge, client: client, connection: h.Connection(tx.Connection)}
	if v.connection == nil || !v.connection.Enabled(client.ClientID) {
		return nil, timedOut(client, &tx, "connection removed, or taken from the client, meanwhile")
	}
	if v.typed, err = readTyped(challenge.Context); err != nil {
		return nil, err
	}
	return v, nil
}

// timedOut is the start-over page: what is lost, expired or another browser's looks the same.
func timedOut(c *storage.Client, tx *storage.Transaction, reason string) *web.Problem {
	p := &web.Problem{Kind: views.ProblemTimedOut, Status: http.StatusBadRequest, Client: c, Reason: reason}
	if tx != nil {
		p.Locales = tx.UILocales
	}
	return p
}

// page answers with a page of this login, whose forms may lead to the client.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, status int, v *visit, p interface{ Page() templ.Component }) error {
	return web.HTML(w, r, status, p.Page(), web.Origins(v.client, v.tx.RedirectURI)...)
}

func (h *Handler) frame(r *http.Request, v *visit) views.Frame {
	return h.Pages.Frame(r, v.tx.UILocales, v.client)
}

// seeOther leads to a step of this login.
func (h *Handler) seeOther(w http.ResponseWriter, r *http.Request, v *visit, step, notice string) error {
	to := h.Base + "/login/" + step + "?txn=" + url.QueryEscape(string(v.tx.ID))
	if notice != "" {
		to += "&notice=" + notice
	}
	return web.SeeOther(w, r, to)
}

// signedInElsewhere answers when another tab finished: with the page that says
// so. It reports false when the login goes on.
func (h *Handler) signedInElsewhere(w http.ResponseWriter, r *http.Request, v *visit) (bool, error) {
	ok, err := h.Dispatcher.Satisfied(r, v.tx)
	if err != nil || !ok {
		return false, err
	}
	used := v.challenge.State == storage.ChallengeUsed
	return true, h.showSignedIn(w, r, v, !used)
}

func (h *Handler) showSignedIn(w http.ResponseWriter, r *http.Request, v *visit, canContinue bool) error {
	return h.page(w, r, http.StatusOK, v, views.AlreadySignedIn{
		Frame: h.frame(r, v), CSRF: h.Browser.FormToken(r, v.tx.ID), Txn: string(v.tx.ID), CanContinue: canContinue, AppURL: web.WayBack(v.client),
	})
}

// Continue answers POST /login/continue: the client gets its one answer, made
// of the session that another tab opened.
func (h *Handler) Continue(w http.ResponseWriter, r *http.Request) error {
	v, err := h.submit(w, r)
	if err != nil {
		return err
	}
	ok, err := h.Dispatcher.Continue(w, r, v.tx)
	if errors.Is(err, storage.ErrConsumed) {
		return h.showSignedIn(w, r, v, false)
	}
	if err != nil || ok {
		return err
	}
	return h.seeOther(w, r, v, "phone", "")
}
