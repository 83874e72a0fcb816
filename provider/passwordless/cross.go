package passwordless

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// forPage lets a page of the client's own origins read the answer, also one that says
// what is wrong with the request. It reports false when it has answered a page of
// another origin.
func (h *Handler) forPage(w http.ResponseWriter, r *http.Request, v web.Values, cookies bool) (bool, error) {
	if r.Header.Get("Origin") == "" { // no browser, or our own page
		return true, nil
	}
	c, err := h.Clients.Get(r.Context(), storage.ClientID(v.Get("client_id")))
	if errors.Is(err, storage.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("find client: %w", err)
	}
	return h.allowOrigin(w, r, c, cookies), nil
}

// allowOrigin lets a page of the client's own origins read the answer. It reports
// false when it has answered a page of another origin.
func (h *Handler) allowOrigin(w http.ResponseWriter, r *http.Request, c *storage.Client, cookies bool) bool {
	origin := r.Header.Get("Origin")
	if !h.ownOrigin(c, origin) {
		web.Plain(w, r, http.StatusForbidden, "Origin "+web.Printable(origin)+" is not allowed.")
		return false
	}
	web.AllowOrigin(w, origin, cookies)
	return true
}

// ownOrigin reports whether an origin is the client's, or ours: Auth0's allowed
// origins, and those of callbacks.
func (h *Handler) ownOrigin(c *storage.Client, origin string) bool {
	if slices.Contains(c.AllowedOrigins, origin) || slices.Contains(c.WebOrigins, origin) {
		return true
	}
	return slices.ContainsFunc(append([]string{h.Issuer}, c.Callbacks...), func(address string) bool {
		u, err := url.Parse(address)
		return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.Scheme+"://"+u.Host == origin
	})
}

// stringsOf reads a JSON object of strings. Those that are some are returned all the
// same.
func stringsOf(w http.ResponseWriter, r *http.Request) (web.Values, error) {
	body, err := web.JSONObject(w, r)
	if err != nil {
		return nil, err
	}
	return texts(body)
}

// texts are the members that are strings; null is none.
func texts(body map[string]json.RawMessage) (v web.Values, err error) {
	v = web.Values{}
	for name, raw := range body {
		var text *string
		if json.Unmarshal(raw, &text) != nil {
			err = errors.New("a member is no string")
		} else if text != nil {
			v[name] = []string{*text}
		}
	}
	return v, err
}

// CrossOrigin answers POST /co/authenticate, by which a page of another site proves a
// number. The ticket that it gets opens one login, in this browser alone.
func (h *Handler) CrossOrigin(w http.ResponseWriter, r *http.Request) error {
	v, wrong := stringsOf(w, r)
	if ok, err := h.forPage(w, r, v, true); err != nil || !ok {
		return err
	}
	if wrong != nil {
		return otherFields.because(wrong.Error())
	}
	if want := []string{"client_id", "credential_type", "otp", "realm", "username"}; !slices.Equal(want, slices.Sorted(maps.Keys(v))) {
		return otherFields.err()
	}
	c, err := h.pageClient(r.Context(), v)
	if err != nil {
		return err
	}
	switch {
	case !c.CrossOrigin, r.Header.Get("Origin") == "":
		return noCrossOrigin.err()
	case v.Get("credential_type") != oauth.GrantPasswordlessOTP:
		return otherType.err()
	}
	unknown := unknownRealm.quoting(web.Printable(v.Get("realm")) + ".")
	p, err := h.find(c, v.Get("realm"), v.Get("username"), amiss{unknown, unknown, wrongCross.err()})
	if err != nil {
		return err
	}
	proof, err := h.prove(r.Context(), p, v.Get("otp"), reqctx.From(r.Context()).Address)
	if err != nil {
		return h.rejected(w, err, told{wrongCross, wrongCross, wrongCross})
	}
	ticket := web.NewSecret()
	if err := h.keep(w, r, PathCrossOrigin, ticket, p, proof); err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, struct {
		Ticket   string `json:"login_ticket"`
		ID       string `json:"co_id"`
		Verifier string `json:"co_verifier"`
	}{ticket, web.NewSecret(), web.NewSecret()})
}

// pageClient is the client that a page names; pages have no secrets.
func (h *Handler) pageClient(ctx context.Context, v web.Values) (*storage.Client, error) {
	c, err := h.Clients.Get(ctx, storage.ClientID(v.Get("client_id")))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, unknownClient.because("unknown client")
	}
	if err != nil {
		return nil, fmt.Errorf("find client: %w", err)
	}
	reqctx.Add(ctx, slog.String("client_id", string(c.ClientID)))
	return c, nil
}

// proved is what a ticket stands for. The store seals it.
type proved struct {
	Client         storage.ClientID
	Connection     storage.ConnectionName
	Number         string
	Challenge      storage.ChallengeID
	SignupDisabled bool
}

// keep keeps a proof for a moment, for this browser.
func (h *Handler) keep(w http.ResponseWriter, r *http.Request, door, ticket string, p place, proof storage.ChallengeID) error {
	secret := h.cookie.Secret(r)
	if secret == "" {
		secret = web.NewSecret()
	}
	text, err := json.Marshal(proved{p.client.ClientID, p.connection.Name, p.number.E164(), proof, p.connection.SignupDisabled})
	if err != nil {
		return err
	}
	err = h.Tickets.KeepPosted(r.Context(), storage.Posted{Ref: h.ref(ticket, secret), Endpoint: door, Form: string(text)}, h.Now())
	if err != nil {
		return fmt.Errorf("keep proof: %w", err)
	}
	h.cookie.Set(w, secret, ticketLife)
	return nil
}

// ticketLife is that of the cookie that goes with a ticket: longer than the ticket.
const ticketLife = 5 * time.Minute

// ref is under what a proof is kept: ticket and browser together.
func (h *Handler) ref(ticket, secret string) string {
	return h.Vault.Tag(vault.FormToken, "ticket", ticket, secret)
}

// Ticket returns the login that the ticket of a page opens in this browser. It returns
// [storage.ErrNotFound] for a ticket that is unknown, used, old or another browser's.
// The store sees to it, too, that a code opens one login.
func (h *Handler) Ticket(r *http.Request, c storage.ClientID, v web.Values) (storage.Login, error) {
	if v.Has("login_ticket") {
		return h.redeem(r, PathCrossOrigin, v.Get("login_ticket"), c)
	}
	return h.redeem(r, PathVerify, verifiedTicket(v), c)
}

// verifiedTicket names the proof of /passwordless/verify: the browser that comes back
// with the same code has it.
func verifiedTicket(v web.Values) string {
	text, _ := json.Marshal([]string{v.Get("client_id"), v.Get("connection"), v.Get("phone_number"), v.Get("verification_code")})
	return string(text)
}

func (h *Handler) redeem(r *http.Request, door, ticket string, c storage.ClientID) (storage.Login, error) {
	secret := h.cookie.Secret(r)
	if secret == "" {
		return storage.Login{}, storage.ErrNotFound
	}
	text, err := h.Tickets.TakePosted(r.Context(), door, h.ref(ticket, secret))
	if err != nil {
		return storage.Login{}, err
	}
	var p proved
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return storage.Login{}, fmt.Errorf("read proof: %w", err)
	}
	if p.Client != c {
		return storage.Login{}, storage.ErrNotFound
	}
	if _, err := h.Connection(string(p.Connection), c); err != nil { // removed, or taken from the client, meanwhile
		return storage.Login{}, storage.ErrNotFound
	}
	n, err := phone.FromStored(p.Number)
	if err != nil {
		return storage.Login{}, fmt.Errorf("read proof: %w", err)
	}
	return storage.Login{Number: n, Challenge: p.Challenge, SignupDisabled: p.SignupDisabled}, nil
}

// Challenge answers POST /passwordless/challenge: no riddle has to be solved.
func (h *Handler) Challenge(w http.ResponseWriter, r *http.Request) error {
	if _, err := web.JSONObject(w, r); err != nil {
		return malformed.because(err.Error())
	}
	return web.JSON(w, r, http.StatusOK, struct {
		Required bool `json:"required"`
	}{})
}

// Verify answers POST /passwordless/verify in both of its shapes: a page of ours
// checks a code before it goes on to verify_redirect with it; or, with grant_type, an
// old client gets tokens.
func (d *Doors) Verify(w http.ResponseWriter, r *http.Request) error {
	v, wrong := stringsOf(w, r)
	if ok, err := d.forPage(w, r, v, false); err != nil || !ok {
		return err
	}
	if wrong != nil {
		return malformed.because(wrong.Error())
	}
	if v.Has("grant_type") {
		return d.verifyForTokens(w, r, v)
	}
	for _, name := range []string{"client_id", "connection", "phone_number", "verification_code"} {
		if !v.Has(name) {
			return oauth.Errorf(oauth.InvalidRequest, "missing %s parameter", name)
		}
	}
	c, err := d.pageClient(r.Context(), v)
	if err != nil {
		return err
	}
	p, err := d.find(c, v.Get("connection"), v.Get("phone_number"), amiss{realmNotFound.err(), realmDisabled.err(), wrongPassword.err()})
	if err != nil {
		return err
	}
	proof, err := d.prove(r.Context(), p, v.Get("verification_code"), reqctx.From(r.Context()).Address)
	if err != nil {
		return d.rejected(w, err, told{wrongPassword, wrongPassword, wrongPassword})
	}
	if err := d.keep(w, r, PathVerify, verifiedTicket(v), p, proof); err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, struct{}{})
}

// verifyForTokens is the older of the two shapes.
func (d *Doors) verifyForTokens(w http.ResponseWriter, r *http.Request, v web.Values) error {
	for _, name := range []string{"client_id", "username", "password", "connection"} {
		if !v.Has(name) {
			return oauth.Errorf(oauth.InvalidRequest, "missing %s parameter", name)
		}
	}
	if v.Get("grant_type") != "password" {
		return oauth.Errorf(oauth.UnsupportedGrantType, "use grant_type password")
	}
	c, err := d.startClient(r, v)
	if err != nil {
		return err
	}
	by := credentials{v.Get("connection"), v.Get("username"), v.Get("password")}
	code, err := d.signIn(w, r, c, by, v, told{wrongPassword, wrongPassword, wrongPassword})
	if err != nil {
		return err
	}
	answer, err := d.Tokens.ForCode(r.Context(), c, code)
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, answer)
}
