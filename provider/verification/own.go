package verification

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

// The paths of our own dialect.
const (
	PathVerifications = "/verifications"
	PathVerification  = "/verifications/{id}"
	PathAnswers       = "/verifications/{id}/answers"
	PathResend        = "/verifications/{id}/resend"
	PathResults       = "/verifications/results"
	PathOpenAPI       = "/verifications/openapi.json"
)

const (
	// routeWait is how long a start waits for the route to take the text.
	routeWait = 10 * time.Second
	// resultLife is how long after the end the signed result is good.
	resultLife  = 5 * time.Minute
	longestPoll = 30 * time.Second
	pollEvery   = time.Second
)

// Results signs and reads what an approved verification proves.
type Results interface {
	Verified(v mint.Verified) (string, error)
	// ReadVerified must return [mint.ErrVerified] for what Verified did not make.
	ReadVerified(raw string) (mint.Verified, error)
}

// ResultStore keeps which results were redeemed.
type ResultStore interface {
	// UseVerificationResult must return [storage.ErrConsumed] the second time.
	UseVerificationResult(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) error
}

// APIConfig is what our own dialect needs beside a Verifier.
type APIConfig struct {
	Audience storage.Audience
	Tokens   Tokens
	Results  Results
	Used     ResultStore
	// AllowPrivate allows callbacks to private addresses, and over http.
	AllowPrivate bool
}

// API is our own dialect.
type API struct {
	*Verifier
	own   APIConfig
	waits *waits
}

// NewAPI returns our own dialect.
func NewAPI(v *Verifier, c APIConfig) *API { return &API{v, c, newWaits()} }

// startRequest is the body of POST /verifications.
type startRequest struct {
	PhoneNumber string            `json:"phone_number"`
	CodeLength  *int              `json:"code_length"`
	ExpiresIn   *int              `json:"expires_in"`
	Attempts    *int              `json:"attempts"`
	Locale      string            `json:"locale"`
	Purpose     string            `json:"purpose"`
	CallbackURL string            `json:"callback_url"`
	Metadata    map[string]string `json:"metadata"`
}

// view is a verification as its client sees it: the number masked.
type view struct {
	ID          storage.VerificationID     `json:"id"`
	Status      storage.VerificationStatus `json:"status"`
	PhoneNumber string                     `json:"phone_number"`
	CreatedAt   moment                     `json:"created_at"`
	ExpiresAt   moment                     `json:"expires_at"`
	EndedAt     *moment                    `json:"ended_at,omitempty"`
	ResendAfter *moment                    `json:"resend_after,omitempty"`
	Purpose     string                     `json:"purpose,omitempty"`
	Metadata    map[string]string          `json:"metadata,omitempty"`
	Reason      string                     `json:"reason,omitempty"`
	// Approved and AttemptsLeft are told to who answers.
	Approved     *bool `json:"approved,omitempty"`
	AttemptsLeft *int  `json:"attempts_left,omitempty"`
	// Result is signed, and good for 5 minutes after the end.
	Result string `json:"result,omitempty"`
}

func viewOf(v storage.Verification) view {
	out := view{
		ID: v.ID, Status: v.Status, PhoneNumber: v.Number.String(), CreatedAt: moment{v.CreatedAt}, ExpiresAt: moment{v.Deadline},
		Purpose: v.Details.Purpose, Metadata: v.Details.Metadata, Reason: v.Reason,
	}
	if !v.EndedAt.IsZero() {
		out.EndedAt = &moment{v.EndedAt}
	}
	return out
}

// show is viewOf with the signed result while that is good.
func (a *API) show(v storage.Verification) (view, error) {
	out := viewOf(v)
	until := v.EndedAt.Add(resultLife)
	if v.Status != storage.VerificationApproved || !a.c.Now().Before(until) {
		return out, nil
	}
	var err error
	out.Result, err = a.own.Results.Verified(mint.Verified{
		ID: v.ID, Client: v.ClientID, Number: v.Number, Purpose: v.Details.Purpose, At: v.EndedAt, Expires: until,
	})
	return out, err
}

// showPending is show with when another text can be asked for, while there is one to
// ask; resendAt is that time where it is known.
func (a *API) showPending(ctx context.Context, v storage.Verification, resendAt time.Time) (view, error) {
	out, err := a.show(v)
	if err != nil || v.Status != storage.VerificationPending {
		return out, err
	}
	if resendAt.IsZero() {
		challenge, err := a.c.Challenges.Challenge(ctx, challengeOf(v.ID))
		if err != nil {
			return out, nil // what is lost with Redis is not worth an error
		}
		resendAt = challenge.ResendAt
	}
	if !resendAt.IsZero() {
		out.ResendAfter = &moment{resendAt}
	}
	return out, nil
}

// Start answers POST /verifications.
func (a *API) Start(w http.ResponseWriter, r *http.Request) error {
	caller, err := a.bearer(r)
	if err != nil {
		return err
	}
	var body startRequest
	raw, err := decode(w, r, &body)
	if err != nil {
		return err
	}
	o, err := a.order(caller, body)
	if err != nil {
		return err
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		if len(key) > 255 {
			return invalid("Idempotency-Key", "want at most 255 characters")
		}
		macs := a.c.Vault.MACs(vault.Idempotency, string(caller.ClientID), key)
		switch before, err := a.repeated(r.Context(), macs, raw); {
		case err == nil:
			return a.answerStarted(w, r, before, passcode.Sent{})
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
		o.idempotency, o.fingerprint = macs[0], a.c.Vault.MAC(vault.Idempotency, "body", string(raw))
	}
	record, sent, err := a.start(r.Context(), o)
	switch {
	case errors.Is(err, storage.ErrConflict) && o.idempotency != nil: // the same request, at the same time
		if record, err = a.repeated(r.Context(), [][]byte{o.idempotency}, raw); err != nil {
			return err
		}
	case errors.Is(err, passcode.ErrNotSent):
		return notSent(err)
	case err != nil:
		// A request that was accepted at the same time may be the one that used up a limit.
		if record, again := a.repeatedNow(r.Context(), o, raw); again {
			return a.answerStarted(w, r, record, sent)
		}
		return a.refusedStart(err)
	case record.SentAt.IsZero():
		if record, err = a.c.Store.Verification(r.Context(), record.ID, record.ClientID, a.c.Now()); err != nil {
			return err
		}
	}
	return a.answerStarted(w, r, record, sent)
}

func (a *API) answerStarted(w http.ResponseWriter, r *http.Request, record storage.Verification, sent passcode.Sent) error {
	out, err := a.showPending(r.Context(), record, sent.ResendAt)
	if err != nil {
		return err
	}
	location := a.c.Issuer + PathVerifications + "/" + string(record.ID)
	return web.JSONNext(w, r, http.StatusCreated, web.Next{Location: location}, out)
}

// repeatedNow looks once more for the verification of a request that was refused.
func (a *API) repeatedNow(ctx context.Context, o order, raw []byte) (storage.Verification, bool) {
	if o.idempotency == nil {
		return storage.Verification{}, false
	}
	record, err := a.repeated(ctx, [][]byte{o.idempotency}, raw)
	return record, err == nil
}

// repeated returns the verification that a request with this Idempotency-Key made.
func (a *API) repeated(ctx context.Context, macs [][]byte, raw []byte) (storage.Verification, error) {
	record, err := a.c.Store.VerificationByIdempotency(ctx, macs, a.c.Now())
	if err == nil && !a.c.Vault.Verify(record.Fingerprint, vault.Idempotency, "body", string(raw)) {
		return record, &web.Fault{Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused",
			Message: "another request was sent with this Idempotency-Key; choose a new one"}
	}
	return record, err
}

func notSent(err error) error {
	return &web.Fault{Status: http.StatusServiceUnavailable, Code: "not_sent", RetryAfter: 30 * time.Second, Err: err,
		Message: "no route took the text message; nothing was counted, try again later"}
}

// decode reads a JSON object of known members, and returns its text.
func decode(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, &web.Fault{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "send the body as application/json"}
	}
	raw, err := web.RawBody(w, r)
	if err != nil {
		return nil, err
	}
	err = strictjson.Decode(raw, into)
	if err == nil && !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) { // null fills nothing
		err = strictjson.ErrSyntax
	}
	if err != nil {
		return nil, undecoded(err)
	}
	return raw, nil
}

// undecoded says what is wrong with a body. Members of other names are shown, and kept
// out of the log: a caller may have put a number there.
func undecoded(err error) error {
	if strange, ok := errors.AsType[*strictjson.UnknownError](err); ok {
		name := web.Printable(strange.Name)
		return &web.Fault{Status: http.StatusUnprocessableEntity, Code: "invalid", Quotes: true, Reason: "unknown member",
			Message: "the body has a member that is not known here: " + name, Fields: []web.FieldFault{{Field: name, Detail: "is not known here"}}}
	}
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrongType.Field != "" {
		return invalid(wrongType.Field, "want "+kindOf(wrongType.Type))
	}
	message := "the body is not one JSON object"
	if twice, ok := errors.AsType[*strictjson.TwiceError](err); ok {
		message = "the body has a member twice: " + web.Printable(twice.Name)
	} else if errors.Is(err, strictjson.ErrText) || errors.Is(err, strictjson.ErrDeep) {
		message = "the body has " + err.Error()
	}
	return &web.Fault{Status: http.StatusBadRequest, Code: "invalid_request", Quotes: true, Reason: err.Error(), Message: message}
}

// kindOf names a type as JSON has it.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a string"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "another type"
}

func invalid(field, detail string) error {
	return invalids([]web.FieldFault{{Field: field, Detail: detail}})
}

func invalids(fields []web.FieldFault) error {
	return &web.Fault{Status: http.StatusUnprocessableEntity, Code: "invalid", Message: fields[0].Field + ": " + fields[0].Detail, Fields: fields}
}

// The bounds of what a client may choose.
const (
	shortestCode, longestCode   = 4, 10
	leastExpires, mostExpires   = 30, 600
	mostAttempts                = 10
	longestPurpose, longestLang = 64, 64
	mostMetadata, longestKey    = 16, 40
	longestValue                = 500
)

// order reads what is asked for, and says all that is wrong with it.
func (a *API) order(caller *storage.Client, b startRequest) (order, error) {
	var wrong []web.FieldFault
	add := func(field, detail string) { wrong = append(wrong, web.FieldFault{Field: field, Detail: detail}) }
	within := func(field string, n *int, usual, least, most int) int {
		if n == nil {
			return usual
		}
		if *n < least || *n > most {
			add(field, fmt.Sprintf("want %d to %d", least, most))
		}
		return *n
	}
	number, err := a.number(caller, b.PhoneNumber)
	if err != nil {
		add("phone_number", wrongNumber(err))
	}
	o := order{client: caller, dialect: storage.DialectOwn, number: number, wait: routeWait, details: storage.VerificationDetails{
		Input:  b.PhoneNumber,
		Length: within("code_length", b.CodeLength, 6, shortestCode, longestCode),
		Life:   time.Duration(within("expires_in", b.ExpiresIn, 300, leastExpires, mostExpires)) * time.Second,
		Tries:  within("attempts", b.Attempts, 5, 1, mostAttempts),
		Locale: b.Locale, Purpose: b.Purpose, CallbackURL: b.CallbackURL, Metadata: b.Metadata,
	}}
	if len(b.Purpose) > longestPurpose || strings.ContainsFunc(b.Purpose, unicode.IsControl) {
		add("purpose", "want at most 64 bytes, in one line")
	}
	if _, _, err := language.ParseAcceptLanguage(b.Locale); err != nil || len(b.Locale) > longestLang {
		add("locale", "want language tags as in Accept-Language, at most 64 bytes")
	}
	if b.CallbackURL != "" {
		if problem := a.callbackProblem(b.CallbackURL); problem != "" {
			add("callback_url", problem)
		}
	}
	if len(b.Metadata) > mostMetadata {
		add("metadata", "want at most 16 members")
	}
	for key, value := range b.Metadata {
		if key == "" || len(key) > longestKey || len(value) > longestValue {
			add("metadata", "want names of 1 to 40 bytes and values of at most 500")
			break
		}
	}
	if len(wrong) > 0 {
		return o, invalids(wrong)
	}
	return o, nil
}

func (a *API) callbackProblem(address string) string {
	if err := sms.CheckGatewayURL(address, a.own.AllowPrivate); err != nil {
		return strings.Replace(err.Error(), " (see allow_private_gateways)", "", 1)
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Scheme != "https" && !a.own.AllowPrivate {
		return "want https, and no user in it"
	}
	if !a.own.AllowPrivate && !publicName(u.Hostname()) {
		return "want a host on the Internet"
	}
	return ""
}

// publicName reports whether a host may be one of others. What it leads to is looked at
// when a connection is opened; this is for names that can lead nowhere else.
func publicName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true // it was looked at
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	dot := strings.LastIndexByte(name, '.')
	last := name[dot+1:]
	return dot > 0 && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x") &&
		!slices.Contains([]string{"localhost", "internal", "local", "lan", "home", "corp"}, last)
}

// ownOf finds the caller's verification that a request is about.
func (a *API) ownOf(r *http.Request) (storage.Verification, *storage.Client, error) {
	caller, err := a.bearer(r)
	if err != nil {
		return storage.Verification{}, nil, err
	}
	record, err := a.find(r.Context(), r.PathValue("id"), caller.ClientID, storage.DialectOwn)
	return record, caller, a.gone(err)
}

func (a *API) gone(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return &web.Fault{Status: http.StatusNotFound, Code: "not_found", Message: "there is no such verification"}
	case errors.Is(err, storage.ErrConsumed):
		return &web.Fault{Status: http.StatusGone, Code: "ended", Message: "the verification has ended; read it to see how"}
	}
	return err
}

// Show answers GET /verifications/{id}; with ?wait=30s it waits that long for the end.
func (a *API) Show(w http.ResponseWriter, r *http.Request) error {
	record, _, err := a.ownOf(r)
	if err != nil {
		return err
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	if query.Has("wait") {
		wait, err := time.ParseDuration(query.Get("wait"))
		if err != nil || wait < 0 || wait > longestPoll {
			return &web.Fault{Status: http.StatusBadRequest, Code: "invalid_request", Message: "want a wait of up to 30s, such as wait=30s"}
		}
		if record, err = a.awaitEnd(w, r, record, wait); err != nil {
			return a.gone(err)
		}
	}
	out, err := a.showPending(r.Context(), record, time.Time{})
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, out)
}

// awaitEnd reads a pending verification again and again: any server may end it.
func (a *API) awaitEnd(w http.ResponseWriter, r *http.Request, record storage.Verification, wait time.Duration) (storage.Verification, error) {
	if record.Status != storage.VerificationPending {
		return record, nil
	}
	done, err := a.waits.begin(record.ClientID)
	if err != nil {
		return record, err
	}
	defer done()
	if err := web.HoldOpen(w, a.c.Now().Add(wait+routeWait)); err != nil {
		return record, fmt.Errorf("hold the connection open: %w", err)
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	for record.Status == storage.VerificationPending {
		select {
		case <-over.C:
			return record, nil
		case <-a.waits.over:
			return record, nil
		case <-r.Context().Done():
			return record, r.Context().Err()
		case <-look.C:
		}
		var err error
		if record, err = a.c.Store.Verification(r.Context(), record.ID, record.ClientID, a.c.Now()); err != nil {
			return record, err
		}
	}
	return record, nil
}

// How many requests may wait for an end, in all and of one client. Each asks the store
// once a second.
const mostWaits, mostWaitsOfOne = 1000, 100

// waits counts the requests that wait for an end.
type waits struct {
	mu   sync.Mutex
	all  int
	of   map[storage.ClientID]int
	over chan struct{} // closed when nobody shall wait any more
}

func newWaits() *waits { return &waits{of: map[storage.ClientID]int{}, over: make(chan struct{})} }

// begin counts one more, until done is called.
func (w *waits) begin(client storage.ClientID) (done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= mostWaits || w.of[client] >= mostWaitsOfOne {
		return nil, &web.Fault{Status: http.StatusTooManyRequests, Code: "limited", RetryAfter: time.Second,
			Message: "too many requests wait already; ask without wait, or give a callback_url"}
	}
	w.all++
	w.of[client]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all--
		if w.of[client]--; w.of[client] == 0 {
			delete(w.of, client)
		}
	}, nil
}

// Stop answers all who wait, when the server is about to end. It may be called once.
func (a *API) Stop() { close(a.waits.over) }

// Answer answers POST /verifications/{id}/answers.
func (a *API) Answer(w http.ResponseWriter, r *http.Request) error {
	record, _, err := a.ownOf(r)
	if err != nil {
		return err
	}
	var body struct {
		Code string `json:"code"`
	}
	if _, err := decode(w, r, &body); err != nil {
		return err
	}
	if record.Status != storage.VerificationPending {
		return a.gone(storage.ErrConsumed)
	}
	got, err := a.answer(r.Context(), record, func(length int) (string, bool) {
		code, ok := phone.FoldDigits(body.Code)
		return code, ok && len(code) == length
	})
	switch {
	case errors.Is(err, errMalformed):
		return invalid("code", "want the digits of the text message, all of them; nothing was counted")
	case err != nil:
		return a.gone(err)
	case got.left < 0:
		return lostCode()
	}
	out, err := a.show(got.record)
	if err != nil {
		return err
	}
	approved := got.record.Status == storage.VerificationApproved
	out.Approved = &approved
	if !approved {
		out.AttemptsLeft = &got.left
	}
	return web.JSON(w, r, http.StatusOK, out)
}

func lostCode() error {
	return &web.Fault{Status: http.StatusConflict, Code: "code_lost", Message: "the code was lost with the store that it was in; start another verification"}
}

// Resend answers POST /verifications/{id}/resend: the same code again.
func (a *API) Resend(w http.ResponseWriter, r *http.Request) error {
	record, caller, err := a.ownOf(r)
	if err != nil {
		return err
	}
	if record.Status != storage.VerificationPending {
		return a.gone(storage.ErrConsumed)
	}
	challenge, err := a.c.Challenges.Challenge(r.Context(), challengeOf(record.ID))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read challenge: %w", err)
	}
	if challenge.State != storage.ChallengeLive || challenge.TriesLeft == 0 {
		return lostCode()
	}
	request := a.request(caller, record)
	request.Again, request.Wait = true, routeWait
	sent, err := a.c.Codes.Send(r.Context(), request)
	switch {
	case errors.Is(err, passcode.ErrNotSent):
		return notSent(err)
	case err != nil:
		return a.refusedStart(err)
	}
	if record, err = a.c.Store.Verification(r.Context(), record.ID, record.ClientID, a.c.Now()); err != nil {
		return a.gone(err)
	}
	out := viewOf(record)
	out.ResendAfter = &moment{sent.ResendAt}
	return web.JSON(w, r, http.StatusOK, out)
}

// Remove answers DELETE /verifications/{id}: nothing is left of it, ended or not,
// and its callback is not made.
func (a *API) Remove(w http.ResponseWriter, r *http.Request) error {
	record, _, err := a.ownOf(r)
	if err != nil {
		return err
	}
	if err := a.c.Store.RemoveVerification(r.Context(), record.ID); err != nil {
		return a.gone(err)
	}
	return web.NoContent(w, r, http.StatusNoContent)
}

// redeemed is what a signed result proves.
type redeemed struct {
	ID          storage.VerificationID `json:"id"`
	PhoneNumber string                 `json:"phone_number"`
	Purpose     string                 `json:"purpose,omitempty"`
	ApprovedAt  moment                 `json:"approved_at"`
}

// Redeem answers POST /verifications/results: it tells the client that a result is
// for what it proves, once.
func (a *API) Redeem(w http.ResponseWriter, r *http.Request) error {
	caller, err := a.bearer(r)
	if err != nil {
		return err
	}
	var body struct {
		Result string `json:"result"`
	}
	if _, err := decode(w, r, &body); err != nil {
		return err
	}
	read, err := a.own.Results.ReadVerified(body.Result)
	if err != nil || read.Client != caller.ClientID || !a.c.Now().Before(read.Expires) {
		return &web.Fault{Status: http.StatusUnprocessableEntity, Code: "result_invalid", Err: err,
			Message: "not a result for this client, or no longer one: it is good for 5 minutes"}
	}
	err = a.own.Used.UseVerificationResult(r.Context(), read.ID, caller.ClientID, a.c.Now())
	if errors.Is(err, storage.ErrConsumed) {
		return &web.Fault{Status: http.StatusConflict, Code: "result_used", Message: "this result was redeemed before"}
	}
	if err != nil {
		return a.gone(err)
	}
	return web.JSON(w, r, http.StatusOK, redeemed{read.ID, read.Number.E164(), read.Purpose, moment{read.At}})
}
