// Package passwordless is the doors of Auth0's passwordless API: a text is asked
// for, its code exchanged, by a server or by a page of another site. Words, statuses
// and rules are Auth0's, so that its SDKs work unmodified; where Auth0's differ from
// what Handset decided for the safety of people, Handset's hold and the SDKs can't
// see it.
//
// A code belongs to a client, a connection and a number: there is no browser to bind
// it to. A stranger can spend its tries, never a person's account.
package passwordless

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// The paths of the doors.
const (
	PathStart        = "/passwordless/start"
	PathVerify       = "/passwordless/verify"
	PathRedirect     = "/passwordless/verify_redirect"
	PathRedirectLink = "/passwordless/verify-redirect"
	PathChallenge    = "/passwordless/challenge"
	PathCrossOrigin  = "/co/authenticate"
)

// Codes is the code engine.
type Codes interface {
	Send(ctx context.Context, r passcode.SendRequest) (passcode.Sent, error)
	Check(ctx context.Context, r passcode.CheckRequest) error
	// Burst is how many a limit allows at once.
	Burst(limit string) int
}

// Challenges reads where codes count.
type Challenges interface {
	// Challenge must return a [storage.ChallengeGone] for one that it doesn't know.
	Challenge(ctx context.Context, id storage.ChallengeID) (storage.Challenge, error)
}

// Store keeps people and what they allowed.
type Store interface {
	UserByNumber(ctx context.Context, n phone.Number) (storage.User, error)
	// OpenSession must return [storage.ErrConsumed] for a challenge that opened one
	// before, [storage.ErrRefused] for who may not log in, [storage.ErrForbidden] for
	// who may not use the grant's API.
	OpenSession(ctx context.Context, l storage.Login, now time.Time) (storage.Opened, error)
}

// Tickets keeps proofs for a moment.
type Tickets interface {
	KeepPosted(ctx context.Context, p storage.Posted, now time.Time, limits ...storage.Limit) error
	// TakePosted must return a proof once, and [storage.ErrNotFound] for another
	// endpoint's reference.
	TakePosted(ctx context.Context, endpoint, ref string) (form string, err error)
}

// Clients knows who may call.
type Clients interface {
	client.Authenticator
	// Get must return [storage.ErrNotFound] for an unknown client.
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Tokens makes the tokens of a sign-in.
type Tokens interface {
	// ForCode must spend the authorization code of [Handler.SignIn].
	ForCode(ctx context.Context, caller *storage.Client, code string) (any, error)
}

// What [Config.Connection] says of a connection that can't be used.
var (
	ErrNoConnection       = errors.New("no such connection")
	ErrDisabledConnection = errors.New("connection not enabled for the client")
)

// Config is what a Handler needs; every field is required.
type Config struct {
	Issuer     string // exactly what tokens carry
	HTTPS      bool
	Codes      Codes
	Challenges Challenges
	Store      Store
	Tickets    Tickets
	Clients    Clients
	APIs       *api.Registry
	Mint       *mint.Minter
	Vault      *vault.Vault
	Rules      phone.Rules
	// Connection returns the connection of that name for a client, or
	// [ErrNoConnection], or [ErrDisabledConnection].
	Connection func(name string, id storage.ClientID) (*passcode.Connection, error)
	Now        func() time.Time
}

// Handler serves the doors. It is safe for concurrent use.
type Handler struct {
	Config
	cookie web.Cookie
}

// New returns a Handler.
func New(c Config) *Handler {
	return &Handler{Config: c, cookie: web.NewCrossSiteCookie("handset_co", c.HTTPS)}
}

// Doors are the endpoints that make tokens, too.
type Doors struct {
	*Handler
	Tokens Tokens
}

// place is where the codes of a number count.
type place struct {
	client     *storage.Client
	connection *passcode.Connection
	number     phone.Number
}

// challenge is the place's name. It tells nothing of the number.
func (h *Handler) challenge(p place) storage.ChallengeID {
	mac := h.Vault.Tag(vault.NumberTag, "passwordless", string(p.client.ClientID), string(p.connection.Name), p.number.E164())
	return storage.ChallengeID("passwordless:" + string(p.client.ClientID) + ":" + mac)
}

// amiss is what is wrong with a connection or a number, in the words of the door.
type amiss struct{ none, disabled, number *oauth.Error }

// find returns the place that a request of a client names, if the client may use the
// doors at all.
func (h *Handler) find(c *storage.Client, connection, number string, say amiss) (place, error) {
	if !c.MayUse(oauth.GrantPasswordlessOTP) {
		return place{}, oauth.GrantNotAllowed(oauth.GrantPasswordlessOTP)
	}
	conn, err := h.Connection(connection, c.ClientID)
	switch {
	case errors.Is(err, ErrNoConnection):
		return place{}, say.none
	case errors.Is(err, ErrDisabledConnection):
		return place{}, say.disabled
	case err != nil:
		return place{}, err
	}
	own := *conn
	own.Unbound = true
	if own.Life == 0 {
		own.Life = life
	}
	n, err := h.Rules.Parse(number, "")
	if err != nil {
		return place{}, say.number.Because("number refused: " + err.Error())
	}
	return place{c, &own, n}, nil
}

// prove uses a code up. It returns a [*passcode.Rejection] when the code proves
// nothing, and a name that no other code has.
func (h *Handler) prove(ctx context.Context, p place, code string, from netip.Addr) (storage.ChallengeID, error) {
	reqctx.Add(ctx, slog.Any("number", p.number))
	challenge, err := h.Challenges.Challenge(ctx, h.challenge(p))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", fmt.Errorf("read challenge: %w", err)
	}
	err = h.Codes.Check(ctx, passcode.CheckRequest{
		Challenge: challenge, Purpose: passcode.Passwordless, Client: p.client.ClientID, Number: p.number, Typed: code, Address: from,
		BlockGuessing: p.connection.BruteForceProtection,
	})
	if err != nil {
		return "", err
	}
	// The place has one code after the other; the record of a login names one of them.
	one := strconv.FormatInt(challenge.CreatedAt.UnixMilli(), 36) + h.Vault.Tag(vault.SMSCode, string(challenge.CodeMAC))
	return challenge.ID + storage.ChallengeID(":"+one), nil
}

// told are the words of a door for a code that proves nothing.
type told struct{ wrong, spent, expired wording }

// rejected is the answer to a code that proves nothing.
func (h *Handler) rejected(w http.ResponseWriter, err error, say told) error {
	r, ok := errors.AsType[*passcode.Rejection](err)
	if !ok {
		return fmt.Errorf("check code: %w", err)
	}
	reason := "code " + string(r.Reason)
	switch r.Reason {
	case passcode.Dead:
		return say.spent.because(reason)
	case passcode.Expired:
		return say.expired.because(reason)
	case passcode.TooMany:
		h.wait(w, r.Limit, r.RetryAt)
		return tooManyAttempts.because("limit " + r.Limit)
	}
	return say.wrong.because(reason)
}

// wait tells when another request can succeed, in the headers of Auth0 and of RFC 9110.
func (h *Handler) wait(w http.ResponseWriter, limit string, until time.Time) {
	web.RateLimited(w, h.Codes.Burst(limit), until, h.Now())
}

// asked are what a login asks for beside who it is.
type asked struct {
	scopes []string // the provider's
	api    storage.GrantedAPI
}

// ask reads scope and audience as the authorization endpoint does.
func (h *Handler) ask(c *storage.Client, v web.Values) (asked, error) {
	a := asked{scopes: oauth.ParseScope(v.Get("scope"))}
	offline := c.MayUse(oauth.GrantRefreshToken)
	id, err := h.APIs.Requested(v)
	if err != nil {
		return a, err
	}
	if id != "" {
		target, scopes, err := h.APIs.ForPeople(c, id, oauth.SplitScope(v.Get("scope")))
		if err != nil {
			return a, err
		}
		if a.api, err = h.APIs.Target(id, scopes); err != nil {
			return a, err
		}
		offline = offline && target.AllowOfflineAccess
	}
	if !offline {
		a.scopes = without(a.scopes, oauth.ScopeOfflineAccess)
	}
	return a, nil
}

func without(list []string, word string) []string {
	var out []string
	for _, s := range list {
		if s != word {
			out = append(out, s)
		}
	}
	return out
}

// keepChallenge is how long the record of a session that no browser has outlives its
// code, which it keeps from being used twice.
const keepChallenge = time.Hour

// codeLife is how long the tokens of a sign-in may take to be made.
const codeLife = time.Minute

// open writes a proved login: the person, made when new, and a grant, for whose
// authorization code the caller gets tokens at once. Nobody gets the session.
func (h *Handler) open(ctx context.Context, p place, proof storage.ChallengeID, a asked) (code string, err error) {
	code, mac := h.Mint.AuthCode()
	now := h.Now()
	opened, err := h.Store.OpenSession(ctx, storage.Login{
		Number: p.number, Challenge: proof, SignupDisabled: p.connection.SignupDisabled,
		NewUserID: mint.UserID(), SessionID: mint.SessionID(),
		SessionMAC: h.Vault.MAC(vault.SessionCookie, web.NewSecret()), ExpiresAt: now.Add(keepChallenge),
		Grant: storage.NewGrant{
			ID: mint.GrantID(), Transaction: mint.TransactionID(), CodeMAC: mac, CodeExpires: now.Add(codeLife),
			ClientID: p.client.ClientID, Scopes: a.scopes, API: a.api,
		},
	}, now)
	switch {
	case errors.Is(err, storage.ErrRefused):
		return "", userBlocked.because("person blocked, or sign-up is off")
	case errors.Is(err, storage.ErrForbidden):
		return "", &oauth.Error{Code: oauth.AccessDenied, Description: "this person may not use the API that was asked for", Reason: "API not assigned"}
	case errors.Is(err, storage.ErrConsumed):
		return "", wrongCode.because("code used before")
	case err != nil:
		return "", fmt.Errorf("open session: %w", err)
	}
	reqctx.Add(ctx, slog.String("sub", string(opened.User.ID)), slog.Bool("new_user", opened.NewUser), slog.String("step", "logged in"))
	return code, nil
}
