package passwordless

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// properties are those of the body of a start. captcha is what Auth0's login widget
// adds; nothing asks for one here.
var properties = []string{
	"client_id", "client_secret", "client_assertion", "client_assertion_type", "connection", "phone_number", "email",
	"send", "authParams", "captcha",
}

var numberPattern = regexp.MustCompile(`^\+[0-9]{1,15}$`)

// Start answers POST /passwordless/start: it has a code texted.
func (h *Handler) Start(w http.ResponseWriter, r *http.Request) error {
	v, wrong := h.decodeStart(w, r)
	if ok, err := h.forPage(w, r, v, false); err != nil || !ok {
		return err
	}
	if wrong != nil {
		return wrong
	}
	caller, err := h.startClient(r, v)
	if err != nil {
		return err
	}
	p, err := h.find(caller, v.Get("connection"), v.Get("phone_number"), amiss{noConnection.err(), disabledConnection.err(), numberRefused.err()})
	if err != nil {
		return err
	}
	reqctx.Add(r.Context(), slog.Any("number", p.number), slog.String("sdk", sdkName(r)))
	known, err := h.text(w, r, p, v)
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, struct {
		ID       string `json:"_id"`
		Number   string `json:"phone_number"`
		Verified bool   `json:"phone_verified"`
	}{newID(), p.number.E164(), known})
}

// newID names nothing: a person's ID is told to nobody who has not proved the number.
func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// decodeStart reads the body and says what is wrong with it in Auth0's order. What can
// be read is returned all the same.
func (h *Handler) decodeStart(w http.ResponseWriter, r *http.Request) (web.Values, error) {
	body, err := web.JSONObject(w, r)
	if err != nil {
		return nil, malformed.because(err.Error())
	}
	params := body["authParams"]
	delete(body, "authParams")
	delete(body, "captcha")
	v, err := texts(body)
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains(properties, name) {
			return v, notAllowed.quoting(web.Printable(name))
		}
	}
	if err != nil {
		return v, wrongType.err()
	}
	switch {
	case !v.Has("client_id") && !v.Has("client_assertion"):
		return v, missingClient.err()
	case !v.Has("connection"):
		return v, missingConnection.err()
	case params != nil && json.Unmarshal(params, new(map[string]json.RawMessage)) != nil:
		return v, badAuthParams.about(typeOf(params))
	case !v.Has("phone_number") && !h.exists(v.Get("connection")):
		return v, noConnection.err() // as for the connection of e-mails
	case !v.Has("phone_number"):
		return v, missingNumber.err()
	case !numberPattern.MatchString(v.Get("phone_number")):
		return v, badNumber.err()
	}
	return v, nil
}

// typeOf names the JSON type of what is no object.
func typeOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "string"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	}
	return "number"
}

func (h *Handler) exists(connection string) bool {
	_, err := h.Connection(connection, "")
	return !errors.Is(err, ErrNoConnection)
}

// startClient authenticates the caller.
func (h *Handler) startClient(r *http.Request, v web.Values) (*storage.Client, error) {
	credentials, err := client.FromRequest(r, v)
	if err != nil {
		return nil, wrongSecret.because("unreadable credentials")
	}
	c, err := h.Clients.Get(r.Context(), credentials.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, unknownClient.because("unknown client")
	}
	if err != nil {
		return nil, fmt.Errorf("find client: %w", err)
	}
	if credentials.Method == oauth.AuthNone && !c.Public() {
		return nil, needsSecret.err()
	}
	caller, err := h.Clients.Authenticate(r.Context(), credentials)
	if e := oauth.AsError(err); e != nil {
		return nil, wrongSecret.because(e.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("authenticate client: %w", err)
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(caller.ClientID)))
	return caller, nil
}

// sendWait is how long the door waits for a text to be handed over; routeWait is
// what the rest of the request may take.
const (
	sendWait  = passcode.HandOver
	routeWait = 10 * time.Second
)

// text has the code texted, and reports whether the number is known to be proved, to
// a client that authenticated.
func (h *Handler) text(w http.ResponseWriter, r *http.Request, p place, v web.Values) (known bool, err error) {
	ctx := r.Context()
	user, err := h.Store.UserByNumber(ctx, p.number)
	unknown := errors.Is(err, storage.ErrNotFound)
	if err != nil && !unknown {
		return false, fmt.Errorf("find person: %w", err)
	}
	trusted := !p.client.Public()
	request := passcode.SendRequest{
		Challenge: h.challenge(p), Purpose: passcode.Passwordless, Client: p.client.ClientID, Number: p.number,
		Connection: p.connection, Application: p.client.Name, Language: requested(r), Tries: tries, Wait: sendWait,
		BlockGuessing: p.connection.BruteForceProtection,
		UserAgent:     reqctx.From(ctx).Agent,
	}
	request.Address, request.Caller = asker(r, p.client, v), reqctx.From(ctx).Address
	if request.Address.IsValid() {
		request.Caller = request.Address
	}
	switch {
	case unknown && p.connection.SignupDisabled && trusted:
		return false, signupDisabled.err()
	case unknown && p.connection.SignupDisabled:
		request.Decoy, request.DecoyReason = true, "sign-up is off"
	case user.Blocked:
		request.Decoy, request.DecoyReason = true, "person blocked"
	}
	if trusted && p.connection.SignupDisabled {
		// This client is told who is registered: there is nothing for a wait to give away.
		open := *p.connection
		open.SignupDisabled = false
		request.Connection = &open
	}
	if err := web.HoldOpen(w, h.Now().Add(sendWait+routeWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false, err
	}
	if _, err := h.Codes.Send(ctx, request); err != nil {
		return false, h.unsent(w, err)
	}
	return trusted && !unknown && !user.VerifiedAt.IsZero(), nil
}

// asker is the address that limits count: the one at hand; of a client that
// authenticated the one that it names, if it is trusted to, else none.
func asker(r *http.Request, c *storage.Client, v web.Values) netip.Addr {
	if c.Public() {
		return reqctx.From(r.Context()).Address
	}
	named, err := netip.ParseAddr(strings.TrimSpace(r.Header.Get("auth0-forwarded-for")))
	if err != nil || !c.TrustIPHeader || !v.Has("client_secret") {
		return netip.Addr{}
	}
	return named
}

// requested are the languages that the text may be in.
func requested(r *http.Request) string {
	if asked := r.Header.Get("x-request-language"); asked != "" {
		return asked
	}
	return strings.Join(r.Header.Values("Accept-Language"), ",")
}

// What is no name of an SDK could be a number or a code, which no log may hold.
var (
	sdkNames = regexp.MustCompile(`^[A-Za-z@][A-Za-z0-9@/._-]{0,63}( [0-9A-Za-z.+-]{1,32})?$`)
	digits   = regexp.MustCompile(`[0-9]{4}`)
)

// sdkName is the name that an SDK gives itself, for the log.
func sdkName(r *http.Request) string {
	raw := strings.TrimRight(r.Header.Get("Auth0-Client"), "=")
	text, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(raw))
	var sdk struct{ Name, Version string }
	if err != nil || json.Unmarshal(text, &sdk) != nil {
		return ""
	}
	said := strings.TrimSpace(sdk.Name + " " + sdk.Version)
	if !sdkNames.MatchString(said) || digits.MatchString(said) {
		return ""
	}
	return said
}

// unsent is the answer when no text left.
func (h *Handler) unsent(w http.ResponseWriter, err error) error {
	if limited, ok := errors.AsType[*passcode.Limited](err); ok {
		h.wait(w, limited.Name, limited.RetryAt)
		if limited.Name == limit.BruteForce {
			return tooManyAttempts.because("limit " + limited.Name)
		}
		return tooMany.because("limit " + limited.Name)
	}
	if !errors.Is(err, passcode.ErrNotSent) {
		return fmt.Errorf("send code: %w", err)
	}
	return &oauth.Error{Status: http.StatusBadRequest, Code: "sms_provider_error", Description: gatewayError(sms.AsError(err)), Err: err}
}

// gatewayError says why a text did not leave as Auth0 says it.
func gatewayError(e *sms.Error) string {
	switch {
	case e.Kind == sms.KindUnauthorized:
		return gatewayRefused
	case e.Kind == sms.KindTimeout:
		return noAnswer + noAnswerCode
	case e.Kind == sms.KindRefused, e.Kind == sms.KindAccount, e.Kind == sms.KindNumber && e.Code != "":
		return "The SMS provider refused the message (Code: " + e.Code + ")"
	case e.Status != 0:
		return unexpectedAnswer + strconv.Itoa(e.Status)
	}
	return unexpectedAnswer + e.Code
}

// SignIn uses up the code of an OTP grant and writes the login. It returns the
// authorization code of the grant, which the token endpoint spends at once.
func (h *Handler) SignIn(w http.ResponseWriter, r *http.Request, caller *storage.Client, v web.Values) (string, error) {
	for _, name := range []string{"username", "otp", "realm"} {
		if !v.Has(name) {
			return "", oauth.Errorf(oauth.InvalidRequest, "missing %s parameter", name)
		}
	}
	return h.signIn(w, r, caller, credentials{v.Get("realm"), v.Get("username"), v.Get("otp")}, v, told{wrongCode, spentCode, expiredCode})
}

// credentials are what a person proves who they are with.
type credentials struct{ connection, number, code string }

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request, c *storage.Client, by credentials, v web.Values, say told) (string, error) {
	a, err := h.ask(c, v)
	if err != nil {
		return "", err
	}
	p, err := h.find(c, by.connection, by.number, amiss{realmNotFound.err(), realmDisabled.err(), say.wrong.err()})
	if err != nil {
		return "", err
	}
	proof, err := h.prove(r.Context(), p, by.code, asker(r, c, v))
	if err != nil {
		return "", h.rejected(w, err, say)
	}
	return h.open(r.Context(), p, proof, a)
}
