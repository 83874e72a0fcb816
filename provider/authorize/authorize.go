// Package authorize is the authorization endpoint and the dispatcher of the
// login: it validates a request and freezes it, asks one pure function what is
// next (log in, or answer), and sends the response. Steps such as the login
// pages never route to each other: they come back to [Handler.SignedIn] or
// [Handler.Continue].
//
// It refuses to redirect anything before client_id and redirect_uri are
// validated, and nothing in a URL alone lets anyone go on with a login: the
// transaction is bound to the browser's cookie (RFC 6749 §4.1, OIDC Core §3.1.2, RFC 9700 §2.1).
package authorize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/posted"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/storage"
)

// Clients finds registered clients.
type Clients interface {
	// Get must return [storage.ErrNotFound] for an unknown client.
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Transactions keeps frozen requests.
type Transactions interface {
	// CreateTransaction must take one from each limit, or keep nothing and return a
	// [*storage.Limited].
	CreateTransaction(ctx context.Context, tx storage.Transaction, now time.Time, limits ...storage.Limit) error
}

// Grants writes answers. Both methods must return [storage.ErrConsumed] when
// the transaction was answered before: one transaction, one code, ever.
// CreateGrant must return [storage.ErrRefused] or [storage.ErrNotFound] when
// the session is over. Both must return [storage.ErrForbidden], and write nothing,
// when the person may not use the grant's API.
type Grants interface {
	CreateGrant(ctx context.Context, g storage.NewGrant, now time.Time) error
	OpenSession(ctx context.Context, l storage.Login, now time.Time) (storage.Opened, error)
	// Answered must report whether a grant of either method answers the transaction.
	Answered(ctx context.Context, id storage.TransactionID) (bool, error)
}

// Hints verifies id_token_hint.
type Hints interface {
	VerifyHint(ctx context.Context, raw string) (mint.Hint, error)
}

// Subjects knows under which name a client sees a person.
type Subjects interface {
	Of(ctx context.Context, c *storage.Client, user storage.UserID) (storage.Subject, error)
	// Person must return an ID that nobody has for a name that is none.
	Person(ctx context.Context, id storage.ClientID, sub storage.Subject) (storage.UserID, error)
}

// Tickets are proofs of a number that a page of another site brought about.
type Tickets interface {
	// Ticket must return [storage.ErrNotFound] when the request's parameters name none
	// of this client in this browser.
	Ticket(r *http.Request, c storage.ClientID, v web.Values) (storage.Login, error)
}

// Config is what a Handler needs; every field is required.
type Config struct {
	Issuer       string
	Base         string // the issuer's path without a slash at its end
	Clients      Clients
	Transactions Transactions
	Grants       Grants
	Hints        Hints
	APIs         *api.Registry
	// Connection returns the connection that a request names, empty for the one that
	// people log in by, and whether the client may use it.
	Connection func(name string, id storage.ClientID) (storage.ConnectionName, bool)
	Subjects   Subjects
	Mint       *mint.Minter
	Sessions   *session.Manager
	Browser    *Browser
	Tickets    Tickets
	Posted     *posted.Forms
	// Pending is how many logins an address may have open (security.md row 37).
	Pending func(netip.Addr) storage.Limit
	Pages   *web.Pages
	Now     func() time.Time

	TransactionLife time.Duration
	CodeLife        time.Duration
}

// Handler answers /authorize.
type Handler struct{ Config }

// New returns a Handler.
func New(c Config) *Handler { return &Handler{c} }

// Authorize answers GET and POST /authorize (RFC 6749 §3.1, OIDC Core §3.1.2.1).
func (h *Handler) Authorize(w http.ResponseWriter, r *http.Request) error {
	v, answered, err := h.parameters(w, r)
	if err != nil || answered {
		return err
	}
	client, target, err := h.validTarget(r.Context(), v)
	if err != nil {
		return err
	}
	silent := slices.Contains(strings.Fields(v.Get("prompt")), "none")
	return h.toClient(w, r, target, silent, h.dispatch(w, r, client, target, v))
}

// toClient sends an error to the client. What is not for it is returned.
func (h *Handler) toClient(w http.ResponseWriter, r *http.Request, t redirectTarget, silent bool, err error) error {
	e := forClient(err, silent)
	if e == nil {
		return err
	}
	reqctx.From(r.Context()).Fail(e)
	return h.respondError(w, r, t, e)
}

// forClient is what the client is told of an error; nil when it is told nothing.
// What went wrong on our side is an error, too, that it can read (RFC 6749 §4.1.2.1).
//
// Deviation: while a store is down and a person is there, they get a page with 503,
// can try again, and nothing is lost; temporarily_unavailable would end their login.
// With prompt=none nobody sees a page.
func forClient(err error, silent bool) *oauth.Error {
	if e := oauth.AsError(err); e != nil {
		return e
	}
	switch {
	case err == nil, errors.Is(err, storage.ErrConsumed): // steps know what was used
		return nil
	case isPage(err):
		return nil
	case !web.Unavailable(err):
		return &oauth.Error{Code: oauth.ServerError, Description: "something went wrong on the server's side", Err: err}
	case silent:
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "the server can't answer just now; try again", Err: err}
	}
	return nil
}

func isPage(err error) bool {
	_, ok := errors.AsType[*web.Problem](err)
	return ok
}

func (h *Handler) dispatch(w http.ResponseWriter, r *http.Request, client *storage.Client, target redirectTarget, v web.Values) error {
	tx, p, err := h.freeze(client, target, v)
	if err != nil {
		return err
	}
	current, err := h.Sessions.Current(r)
	if err != nil {
		return err
	}
	if err := h.readHint(r.Context(), v.Get("id_token_hint"), &tx, &p); err != nil {
		return err
	}
	if p.login {
		tx.AuthAfter = tx.CreatedAt
	}
	if v.Has("login_ticket") {
		return h.byTicket(w, r, tx, v)
	}
	switch next(tx, p.none, current, h.Now()) {
	case stepAnswer:
		tx.ID = mint.TransactionID()
		err := h.answer(w, r, tx, current)
		if !sessionEnded(err) {
			return err
		}
		// The session ended while the request was on its way: there is none.
		if p.none {
			return errLoginRequired()
		}
		return h.startLogin(w, r, client, tx)
	case stepRefuse:
		return errLoginRequired()
	default:
		return h.startLogin(w, r, client, tx)
	}
}

// VerifyRedirect answers GET /passwordless/verify_redirect: an authorization request
// for a number that this browser has proved by /passwordless/verify. The code in the
// address proves nothing by itself.
func (h *Handler) VerifyRedirect(w http.ResponseWriter, r *http.Request) error {
	v, err := web.Query(r)
	if err != nil {
		return err
	}
	client, target, err := h.validTarget(r.Context(), v)
	if err != nil {
		return err
	}
	tx, _, err := h.freeze(client, target, v)
	if err == nil {
		err = h.byTicket(w, r, tx, v)
	}
	return h.toClient(w, r, target, false, err)
}

// byTicket answers the client with the login of a ticket.
func (h *Handler) byTicket(w http.ResponseWriter, r *http.Request, tx storage.Transaction, v web.Values) error {
	login, err := h.Tickets.Ticket(r, tx.ClientID, v)
	if errors.Is(err, storage.ErrNotFound) {
		return errTicket("unknown, old or another browser's")
	}
	if err != nil {
		return fmt.Errorf("read ticket: %w", err)
	}
	tx.ID = mint.TransactionID()
	if err := h.SignedIn(w, r, tx, login); !errors.Is(err, storage.ErrConsumed) {
		return err
	}
	return errTicket("used")
}

func errTicket(reason string) error {
	return oauth.Errorf(oauth.AccessDenied, "the number is not proved, or was proved in another browser; ask for a new code").Because("ticket " + reason)
}

func errLoginRequired() error {
	return oauth.Errorf(oauth.LoginRequired, "the person has to log in, and prompt=none forbids to ask")
}

// sessionEnded reports whether a grant was refused because its session is over
// or its person is blocked or gone.
func sessionEnded(err error) bool {
	return errors.Is(err, storage.ErrRefused) || errors.Is(err, storage.ErrNotFound)
}

// readHint takes the person from an id_token_hint. A hint that does not verify
// never lets a session in silently: a login is asked for (security.md §3.18).
func (h *Handler) readHint(ctx context.Context, raw string, tx *storage.Transaction, p *prompts) error {
	if raw == "" {
		return nil
	}
	hint, err := h.Hints.VerifyHint(ctx, raw)
	if err != nil {
		reqctx.Add(ctx, slog.String("reason", "id_token_hint does not verify"))
		p.login = true
		return nil
	}
	tx.HintUser, err = h.Subjects.Person(ctx, hint.ClientID, hint.Subject)
	return err
}

// step is what comes next for a request.
type step int

const (
	stepLogin step = iota
	stepAnswer
	stepRefuse
)

// next decides what a request needs: the one decision of the dispatcher, a
// pure function of the request and the session.
func next(tx storage.Transaction, silent bool, current *session.Current, now time.Time) step {
	switch {
	case satisfies(tx, current, now):
		return stepAnswer
	case silent:
		return stepRefuse
	default:
		return stepLogin
	}
}

// satisfies reports whether the session is one that the request accepts: fresh
// enough (max_age, prompt=login) and of the person that the client named
// (id_token_hint). A session's auth_time is a whole second, rounded down: one
// of the very second asked for may be older than the request and does not do.
func satisfies(tx storage.Transaction, current *session.Current, now time.Time) bool {
	return current != nil && !current.AuthTime.Before(tx.AuthAfter) &&
		(tx.MaxAge == 0 || !current.AuthTime.Before(now.Add(-tx.MaxAge))) &&
		(tx.HintUser == "" || tx.HintUser == current.UserID)
}

// startLogin binds the request to the browser and sends it to the login pages.
func (h *Handler) startLogin(w http.ResponseWriter, r *http.Request, client *storage.Client, tx storage.Transaction) error {
	tx.ID = mint.TransactionID()
	tx.BrowserMAC = h.Browser.Bind(w, r)
	pending := h.Pending(reqctx.From(r.Context()).Address)
	err := h.Transactions.CreateTransaction(r.Context(), tx, h.Now(), pending)
	if limited, ok := errors.AsType[*storage.Limited](err); ok {
		busy := posted.Busy(limited, h.Now())
		busy.Client, busy.Locales = client, tx.UILocales
		return busy
	}
	if err != nil {
		return fmt.Errorf("keep transaction: %w", err)
	}
	return web.SeeOther(w, r, h.Base+"/login/phone?txn="+url.QueryEscape(string(tx.ID)))
}

// grant is the answer to a transaction: an authorization code and what it stands
// for. Its error goes to the client.
func (h *Handler) grant(tx storage.Transaction) (storage.NewGrant, string, error) {
	target, err := h.APIs.Target(tx.Audience, tx.APIScopes)
	if err != nil {
		return storage.NewGrant{}, "", err
	}
	code, mac := h.Mint.AuthCode()
	life := h.CodeLife
	if tx.ResponseType == oauth.ResponseIDToken {
		life = 0 // the code is never given to anyone
	}
	return storage.NewGrant{
		ID: mint.GrantID(), Transaction: tx.ID, CodeMAC: mac, CodeExpires: h.Now().Add(life),
		ClientID: tx.ClientID, RedirectURI: tx.RedirectURI, Scopes: tx.Scopes, Nonce: tx.Nonce,
		CodeChallenge: tx.CodeChallenge, ACR: tx.ACR, API: target,
	}, code, nil
}

// errForbidden tells the client that the person may not use the API: nothing was
// written, and no token is made.
func errForbidden(err error) error {
	return &oauth.Error{Code: oauth.AccessDenied, Description: "this person may not use the API that was asked for", Reason: "API not assigned", Err: err}
}

// answer gives the client a code for the session at hand (single sign-on).
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, tx storage.Transaction, current *session.Current) error {
	g, code, err := h.grant(tx)
	if err != nil {
		return err
	}
	g.UserID, g.SessionID, g.AuthTime = current.UserID, current.Session.ID, current.AuthTime
	err = h.Grants.CreateGrant(r.Context(), g, h.Now())
	if errors.Is(err, storage.ErrForbidden) {
		return errForbidden(err)
	}
	if err != nil {
		return fmt.Errorf("answer transaction: %w", err)
	}
	reqctx.Add(r.Context(), slog.String("sub", string(current.UserID)), slog.String("step", "answered by session"))
	return h.reply(w, r, tx, g, code)
}

// reply sends what the client asked for: the code, or an ID token.
func (h *Handler) reply(w http.ResponseWriter, r *http.Request, tx storage.Transaction, g storage.NewGrant, code string) error {
	if tx.ResponseType != oauth.ResponseIDToken {
		return h.respond(w, r, targetOf(tx), field{"code", code})
	}
	client, err := h.Clients.Get(r.Context(), g.ClientID)
	if err != nil {
		return fmt.Errorf("client of ID token: %w", err)
	}
	sub, err := h.Subjects.Of(r.Context(), client, g.UserID)
	if err != nil {
		return err
	}
	token, err := h.Mint.IDToken(mint.IDTokenClaims{
		Subject: sub, Client: g.ClientID, Session: g.SessionID, AuthTime: g.AuthTime, Nonce: g.Nonce, ACR: g.ACR,
		Algorithm: client.IDTokenAlg,
	})
	if err != nil {
		return fmt.Errorf("mint ID token: %w", err)
	}
	return h.respond(w, r, targetOf(tx), field{"id_token", token})
}

// SignedIn takes over from the login step when a number was proved for tx.
// login holds what the step knows: Number, Challenge and SignupDisabled. Person,
// session and grant are written at once, and the client gets its code. It
// returns [storage.ErrConsumed] when the challenge or the transaction was used
// before.
func (h *Handler) SignedIn(w http.ResponseWriter, r *http.Request, tx storage.Transaction, login storage.Login) error {
	g, code, err := h.grant(tx)
	if err != nil {
		return h.toClient(w, r, targetOf(tx), false, err)
	}
	secret := h.Sessions.NewSecret(r)
	login.OnlyUser, login.Grant = tx.HintUser, g
	login.NewUserID, login.SessionID = mint.UserID(), mint.SessionID()
	login.SessionMAC, login.ExpiresAt, login.ReplacesMACs = secret.MAC, secret.Expires, secret.Replaces
	opened, err := h.Grants.OpenSession(r.Context(), login, h.Now())
	switch {
	case errors.Is(err, storage.ErrRefused):
		return h.toClient(w, r, targetOf(tx), false, &oauth.Error{Code: oauth.AccessDenied, Description: "this person may not log in here", Err: err})
	case errors.Is(err, storage.ErrForbidden):
		return h.toClient(w, r, targetOf(tx), false, errForbidden(err))
	case errors.Is(err, storage.ErrConflict):
		return h.toClient(w, r, targetOf(tx), false, &oauth.Error{Code: oauth.LoginRequired, Description: "another person logged in than the id_token_hint names", Err: err})
	case err != nil:
		return h.toClient(w, r, targetOf(tx), false, fmt.Errorf("open session: %w", err))
	}
	h.Sessions.Give(w, secret)
	reqctx.Add(r.Context(), slog.String("sub", string(opened.User.ID)), slog.Bool("new_user", opened.NewUser), slog.String("step", "logged in"))
	g.UserID, g.SessionID, g.AuthTime = opened.User.ID, opened.Session.ID, opened.Session.AuthTime
	return h.toClient(w, r, targetOf(tx), false, h.reply(w, r, tx, g, code))
}

// Continue answers a transaction whose person turned out to be signed in
// already (another tab was faster). It returns ok=false when the session does
// not satisfy the request, and [storage.ErrConsumed] when the transaction was
// answered before: never a second code.
func (h *Handler) Continue(w http.ResponseWriter, r *http.Request, tx storage.Transaction) (ok bool, err error) {
	current, err := h.Sessions.Current(r)
	if err != nil || !satisfies(tx, current, h.Now()) {
		return false, err
	}
	if err := h.answer(w, r, tx, current); !sessionEnded(err) {
		return true, h.toClient(w, r, targetOf(tx), false, err)
	}
	return false, nil
}

// Satisfied reports whether the browser's session could answer the transaction.
func (h *Handler) Satisfied(r *http.Request, tx storage.Transaction) (bool, error) {
	current, err := h.Sessions.Current(r)
	return satisfies(tx, current, h.Now()), err
}

// Answered reports whether the client got its one answer to the transaction.
func (h *Handler) Answered(ctx context.Context, id storage.TransactionID) (bool, error) {
	return h.Grants.Answered(ctx, id)
}

// targetOf rebuilds the target of a transaction, which only freeze made.
func targetOf(tx storage.Transaction) redirectTarget {
	return redirectTarget{client: tx.ClientID, uri: tx.RedirectURI, mode: tx.ResponseMode, state: tx.State, locales: tx.UILocales}
}

// Browser binds transactions to the browser that started them.
type Browser struct {
	cookie web.Cookie
	vault  *vault.Vault
	life   time.Duration
}

// NewBrowser returns the binding by the transaction cookie. One cookie holds
// many transactions, so that two tabs both work.
func NewBrowser(v *vault.Vault, https bool, life time.Duration) *Browser {
	return &Browser{cookie: web.NewCookie("handset_txn", https), vault: v, life: life}
}

// Bind returns the MAC of the browser's secret, which it gives when there is none.
func (b *Browser) Bind(w http.ResponseWriter, r *http.Request) []byte {
	secret := b.cookie.Secret(r)
	if secret == "" {
		secret = web.NewSecret()
	}
	// As long again after the transaction's end the browser can prove that it was
	// its own, and is told which application to go back to.
	b.cookie.Set(w, secret, 2*b.life)
	return b.vault.MAC(vault.BrowserCookie, secret)
}

// Owns reports whether the browser that sent r started the transaction.
func (b *Browser) Owns(r *http.Request, tx storage.Transaction) bool {
	secret := b.cookie.Secret(r)
	return secret != "" && b.vault.Verify(tx.BrowserMAC, vault.BrowserCookie, secret)
}

// FormToken returns the token for the forms of one transaction in this browser.
func (b *Browser) FormToken(r *http.Request, id storage.TransactionID) string {
	return web.FormToken(b.vault, "txn "+string(id), b.cookie.Secret(r))
}

// CheckFormToken reports whether the token is that of the transaction in this browser.
func (b *Browser) CheckFormToken(r *http.Request, id storage.TransactionID, token string) bool {
	return web.CheckFormToken(b.vault, token, "txn "+string(id), b.cookie.Secret(r))
}
