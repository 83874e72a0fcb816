package verification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// The paths of the Durable Functions dialect.
const (
	PathStart     = "/orchestrators/" + orchestrator
	PathInstance  = "/runtime/webhooks/durabletask/instances/{id}"
	PathRaise     = PathInstance + "/raiseEvent/{event}"
	PathTerminate = PathInstance + "/terminate"
)

// What the sample is: its words are its clients' contract.
const (
	orchestrator   = "E4_SmsPhoneVerification"
	challengeEvent = "SmsChallengeResponse"
	hub            = "taskHub=DurableFunctionsHub&connection=Storage"
	durableText    = "Your verification code is @@password@@"
	durableLength  = 4
	durableTries   = 4
	durableLife    = 90 * time.Second
	// askAgain is what the runtime's own answers say.
	askAgain    = 10 * time.Second
	longestText = 1000
)

// Durable answers as the sample's functions on their runtime do.
type Durable struct {
	*Verifier
	template *sms.Template
}

// NewDurable returns the Durable Functions dialect.
func NewDurable(v *Verifier) (*Durable, error) {
	t, err := sms.ParseTemplate(sms.SyntaxMacros, durableText)
	if err != nil {
		return nil, fmt.Errorf("text of verifications: %w", err)
	}
	return &Durable{v, t}, nil
}

// started is the answer to a start. The braces are the caller's to replace.
type started struct {
	ID        storage.VerificationID `json:"id"`
	Status    string                 `json:"statusQueryGetUri"`
	Event     string                 `json:"sendEventPostUri"`
	Terminate string                 `json:"terminatePostUri"`
}

func (d *Durable) addresses(id storage.VerificationID) started {
	base := d.c.Issuer + strings.Replace(PathInstance, "{id}", string(id), 1)
	query := hub + "&code=" + instanceKey(d.c.Vault, id)
	return started{
		ID: id, Status: base + "?" + query,
		Event:     base + "/raiseEvent/{eventName}?" + query,
		Terminate: base + "/terminate?reason={text}&" + query,
	}
}

// Start answers POST /orchestrators/E4_SmsPhoneVerification. It does not wait for
// the text.
func (d *Durable) Start(w http.ResponseWriter, r *http.Request) error {
	held, err := keys(r)
	if err != nil {
		return err
	}
	caller, err := d.caller(r.Context(), held)
	if err != nil {
		return err
	}
	input, err := decodeInput(w, r)
	if err != nil {
		return err
	}
	number, err := d.number(caller, input)
	if err != nil {
		return badInput(wrongNumber(err), err)
	}
	record, _, err := d.start(r.Context(), order{
		client: caller, dialect: storage.DialectDurable, number: number, template: d.template,
		details: storage.VerificationDetails{Input: input, Length: durableLength, Tries: durableTries, Life: durableLife},
	})
	if err != nil {
		return d.refusedStart(err)
	}
	answer := d.addresses(record.ID)
	return web.JSONNext(w, r, http.StatusAccepted, web.Next{Location: answer.Status, After: askAgain}, answer)
}

// badInput is a 400 whose message begins like a sentence.
func badInput(message string, err error) error {
	return &web.Fault{Status: http.StatusBadRequest, Code: "invalid_request", Err: err,
		Message: strings.ToUpper(message[:1]) + message[1:] + "."}
}

// decodeInput reads the number that a body holds as a JSON string.
func decodeInput(w http.ResponseWriter, r *http.Request) (string, error) {
	raw, err := web.RawBody(w, r)
	if err != nil {
		return "", err
	}
	required := badInput("a phone number input is required", nil)
	if len(strings.TrimSpace(string(raw))) == 0 {
		return "", required
	}
	var input *string
	if err := strictjson.Decode(raw, &input); err != nil {
		return "", badInput(`the body must be a phone number as a JSON string, such as "+14255550123"`, nil)
	}
	if input == nil || strings.TrimSpace(*input) == "" {
		return "", required
	}
	return *input, nil
}

// Raise answers POST …/raiseEvent/{event}.
func (d *Durable) Raise(w http.ResponseWriter, r *http.Request) error {
	record, err := d.opened(r)
	switch {
	case err != nil:
		return err
	case record.Status != storage.VerificationPending:
		return errOver
	case r.PathValue("event") != challengeEvent: // nobody waits for it
		return web.NoContent(w, r, http.StatusAccepted)
	}
	raw, err := web.RawBody(w, r)
	if err != nil {
		return err
	}
	_, err = d.answer(r.Context(), record, func(length int) (string, bool) { return eventCode(raw, length) })
	if err := ended(err); err != nil {
		return err
	}
	return web.NoContent(w, r, http.StatusAccepted)
}

// eventCode reads the code of an event: a JSON number, whose leading zeros are
// lost, or a JSON string.
func eventCode(raw []byte, length int) (string, bool) {
	text := strings.TrimSpace(string(raw))
	var s string
	if err := json.Unmarshal(raw, &s); err == nil && text != "null" {
		code, ok := phone.FoldDigits(s)
		return code, ok && len(code) == length
	}
	var n json.Number
	if json.Unmarshal(raw, &n) != nil || text == "null" || strings.Trim(text, "0123456789") != "" || len(text) > length {
		return "", false
	}
	return strings.Repeat("0", length-len(text)) + text, true
}

// ended is the answer to an event that changes nothing any more, or that is none.
func ended(err error) error {
	switch {
	case errors.Is(err, errMalformed):
		return badInput("send the code from the text message as a JSON number or string", err)
	case errors.Is(err, storage.ErrConsumed):
		return errOver
	case errors.Is(err, storage.ErrNotFound):
		return errInstance
	}
	return err
}

// Terminate answers POST …/terminate.
func (d *Durable) Terminate(w http.ResponseWriter, r *http.Request) error {
	record, err := d.opened(r)
	if err != nil {
		return err
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	reason := query.Get("reason")
	switch {
	case record.Status != storage.VerificationPending:
		return errOver
	case len(reason) > longestText:
		return badInput("the reason is longer than 1000 bytes", nil)
	}
	_, err = d.end(r.Context(), record, storage.VerificationTerminated, d.c.Now().UTC(), reason)
	if err := ended(err); err != nil {
		return err
	}
	return web.NoContent(w, r, http.StatusAccepted)
}

// Purge answers DELETE …/instances/{id}: nothing is left of the instance, ended or
// not.
func (d *Durable) Purge(w http.ResponseWriter, r *http.Request) error {
	record, err := d.opened(r)
	if err != nil {
		return err
	}
	if err := ended(d.c.Store.RemoveVerification(r.Context(), record.ID)); err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, struct {
		Deleted int `json:"instancesDeleted"`
	}{1})
}

// status is the answer to who asks for an instance.
type status struct {
	Runtime string         `json:"runtimeStatus"`
	Input   *string        `json:"input"`
	Output  any            `json:"output"`
	Created moment         `json:"createdTime"`
	Updated moment         `json:"lastUpdatedTime"`
	History []historyEvent `json:"historyEvents,omitempty"`
}

// historyEvent is what the runtime tells of the past. Answers are not in it: they
// are not kept.
type historyEvent struct {
	Type     string `json:"EventType"`
	Function string `json:"FunctionName,omitempty"`
	Status   string `json:"OrchestrationStatus,omitempty"`
	Result   any    `json:"Result,omitempty"`
	Time     moment `json:"Timestamp"`
}

// moment is a time in whole seconds.
type moment struct{ time.Time }

// MarshalJSON writes 2017-06-29T19:10:49Z.
func (m moment) MarshalJSON() ([]byte, error) { return json.Marshal(m.UTC().Format(time.RFC3339)) }

// Status answers GET …/instances/{id}.
func (d *Durable) Status(w http.ResponseWriter, r *http.Request) error {
	record, err := d.opened(r)
	if err != nil {
		return err
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	answer := statusOf(record)
	if strings.EqualFold(query.Get("showInput"), "false") {
		answer.Input = nil
	}
	if strings.EqualFold(query.Get("showHistory"), "true") {
		answer.History = history(record, answer)
	}
	if record.Status == storage.VerificationPending {
		next := web.Next{Location: d.addresses(record.ID).Status, After: askAgain}
		return web.JSONNext(w, r, http.StatusAccepted, next, answer)
	}
	return web.JSON(w, r, http.StatusOK, answer)
}

func statusOf(v storage.Verification) status {
	s := status{Runtime: "Completed", Input: &v.Details.Input, Created: moment{v.CreatedAt}, Updated: moment{v.EndedAt}}
	switch v.Status {
	case storage.VerificationPending:
		s.Runtime, s.Updated = "Running", moment{v.CreatedAt}
		if !v.SentAt.IsZero() {
			s.Updated = moment{v.SentAt}
		}
	case storage.VerificationApproved:
		s.Output = true
	case storage.VerificationTerminated:
		s.Runtime, s.Output = "Terminated", v.Reason
	case storage.VerificationFailed:
		s.Runtime, s.Output = "Failed", v.Reason
	default:
		s.Output = false
	}
	return s
}

func history(v storage.Verification, s status) []historyEvent {
	events := []historyEvent{{Type: "ExecutionStarted", Function: orchestrator, Time: s.Created}}
	if !v.SentAt.IsZero() {
		events = append(events, historyEvent{Type: "TaskCompleted", Function: "E4_SendSmsChallenge", Time: moment{v.SentAt}})
	}
	switch v.Status {
	case storage.VerificationPending:
		return events
	case storage.VerificationExpired:
		events = append(events, historyEvent{Type: "TimerFired", Time: s.Updated})
	case storage.VerificationTerminated:
		return append(events, historyEvent{Type: "ExecutionTerminated", Status: s.Runtime, Result: s.Output, Time: s.Updated})
	}
	return append(events, historyEvent{Type: "ExecutionCompleted", Status: s.Runtime, Result: s.Output, Time: s.Updated})
}
