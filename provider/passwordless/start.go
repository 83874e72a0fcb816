package passwordless

import (
	"context"
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
	v, err := decodeStart(w, r)
	if err != nil {
		return err
	}
	caller, ok, err := h.startClient(w, r, v)
	if err != nil || !ok {
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

// decodeStart reads the body and says what is wrong with it in Auth0's order.
func decodeStart(w http.ResponseWriter, r *http.Request) (web.Values, error) {
	body, err := web.JSONObject(w, r)
	if err != nil {
		return nil, malformed.because(err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains(properties, name) {
			return nil, wording{http.StatusBadRequest, "bad.request", notAllowed + web.Printable(name)}.quoting("unknown property")
		}
	}
	v := web.Values{}
	for name, raw := range body {
		if name == "authParams" || name == "captcha" {
			continue
		}
		var text *string
		if json.Unmarshal(raw, &text) != nil {
			return nil, wrongType.err()
		}
		if text != nil {
			v[name] = []string{*text}
		}
	}
	var params map[string]json.RawMessage
	switch raw := body["authParams"]; {
	case !v.Has("client_id") && !v.Has("client_assertion"):
		return nil, missingClient.err()
	case !v.Has("connection"):
		return nil, missingConnection.err()
	case raw != nil && json.Unmarshal(raw, &params) != nil:
		return nil, wording{http.StatusBadRequest, "bad.authParams", fmt.Sprintf(badAuthParams, typeOf(raw))}.err()
	case !v.Has("phone_number"):
		return nil, missingNumber.err()
	case !numberPattern.MatchString(v.Get("phone_number")):
		return nil, badNumber.err()
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

// startClient authenticates the caller. It reports false when it has answered a page
// of an origin that is not the client's.
func (h *Handler) startClient(w http.ResponseWriter, r *http.Request, v web.Values) (*storage.Client, bool, error) {
	credentials, err := client.FromRequest(r, v)
	if err != nil {
		return nil, false, wrongSecret.because("unreadable credentials")
	}
	c, err := h.Clients.Get(r.Context(), credentials.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, unknownClient.because("unknown client")
	}
	if err != nil {
		return nil, false, fmt.Errorf("find client: %w", err)
	}
	if !h.allowOrigin(w, r, c, false) {
		return nil, false, nil
	}
	if credentials.Method == oauth.AuthNone && !c.Public() {
		return nil, false, needsSecret.err()
	}
	caller, err := h.Clients.Authenticate(r.Context(), credentials)
	if e := oauth.AsError(err); e != nil {
		return nil, false, wrongSecret.because(e.Reason)
	}
	if err != nil {
		return nil, false, fmt.Errorf("authenticate client: %w", err)
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(caller.ClientID)))
	return caller, true, nil
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
		UserAgent: reqctx.From(ctx).Agent,
	}
	h.source(r, p.client, v, &request)
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

// source says whom limits count: a client that authenticated, unless it names the
// person's address and is trusted to; else the address at hand.
func (h *Handler) source(r *http.Request, c *storage.Client, v web.Values, request *passcode.SendRequest) {
	request.Caller = reqctx.From(r.Context()).Address
	if c.Public() {
		request.Address = request.Caller
		return
	}
	named, err := netip.ParseAddr(strings.TrimSpace(r.Header.Get("auth0-forwarded-for")))
	if err == nil && c.TrustIPHeader && v.Has("client_secret") {
		request.Address, request.Caller = named, named
	}
}

// requested are the languages that the text may be in.
func requested(r *http.Request) string {
	if asked := r.Header.Get("x-request-language"); asked != "" {
		return asked
	}
	return strings.Join(r.Header.Values("Accept-Language"), ",")
}

// sdkName is the name that an SDK gives itself, for the log.
func sdkName(r *http.Request) string {
	raw := strings.TrimRight(r.Header.Get("Auth0-Client"), "=")
	text, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(raw))
	var sdk struct{ Name, Version string }
	if err != nil || json.Unmarshal(text, &sdk) != nil {
		return ""
	}
	return web.Printable(strings.TrimSpace(sdk.Name + " " + sdk.Version))
}

// unsent is the answer when no text left.
func (h *Handler) unsent(w http.ResponseWriter, err error) error {
	if limited, ok := errors.AsType[*passcode.Limited](err); ok {
		h.wait(w, limited.Name, limited.RetryAt)
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
func (h *Handler) SignIn(ctx context.Context, w http.ResponseWriter, caller *storage.Client, v web.Values) (string, error) {
	for _, name := range []string{"username", "otp", "realm"} {
		if !v.Has(name) {
			return "", oauth.Errorf(oauth.InvalidRequest, "missing %s parameter", name)
		}
	}
	return h.signIn(ctx, w, caller, credentials{v.Get("realm"), v.Get("username"), v.Get("otp")}, v, told{wrongCode, spentCode, expiredCode})
}

// credentials are what a person proves who they are with.
type credentials struct{ connection, number, code string }

func (h *Handler) signIn(ctx context.Context, w http.ResponseWriter, c *storage.Client, by credentials, v web.Values, say told) (string, error) {
	a, err := h.ask(c, v)
	if err != nil {
		return "", err
	}
	p, err := h.find(c, by.connection, by.number, amiss{realmNotFound.err(), realmDisabled.err(), say.wrong.err()})
	if err != nil {
		return "", err
	}
	proof, err := h.prove(ctx, p, by.code, fromOf(ctx, c))
	if err != nil {
		return "", h.rejected(w, err, say)
	}
	return h.open(ctx, p, proof, a)
}

// fromOf is the address that tries count for: none for a client that authenticated.
func fromOf(ctx context.Context, c *storage.Client) netip.Addr {
	if c.Public() {
		return reqctx.From(ctx).Address
	}
	return netip.Addr{}
}
