package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/provider/oauth"
)

// Fault is an error that the programs of verification APIs read.
type Fault struct {
	Status int
	// Code is a constant word by which programs tell faults apart.
	Code string
	// Message says what to send instead, in English.
	Message string
	// Quotes says that Message repeats what was sent, so that the log leaves it out.
	Quotes bool
	// Fields say what is wrong with which member of the body.
	Fields []FieldFault
	// RetryAfter is when it is worth another try; zero: not said.
	RetryAfter time.Duration
	// Challenge is the scheme of the WWW-Authenticate header; empty: none.
	Challenge string
	// Reason and Err are for the log alone.
	Reason string
	Err    error
}

// FieldFault is what is wrong with one member of a body.
type FieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (f *Fault) Error() string {
	s := f.Code
	if !f.Quotes {
		s += ": " + f.Message
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// ProblemJSON adapts a handler whose clients expect RFC 9457's problem details.
func ProblemJSON(h Handler) http.HandlerFunc { return faults(h, writeProblem) }

// MessageJSON adapts a handler whose clients expect {"message": …}.
func MessageJSON(h Handler) http.HandlerFunc { return faults(h, writeMessage) }

// StatusJSON adapts a handler whose clients expect the errors of Auth0's Management
// API: {"statusCode", "error", "message", "errorCode"}.
func StatusJSON(h Handler) http.HandlerFunc { return faults(h, writeStatus) }

func faults(h Handler, write func(http.ResponseWriter, *http.Request, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reqctx.From(r.Context()).Errors = write
		if err := h(w, r); err != nil {
			write(w, r, err)
		}
	}
}

func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	f := begin(w, r, err)
	answerJSON(w, r, f.Status, "application/problem+json", struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Detail string       `json:"detail"`
		Errors []FieldFault `json:"errors,omitempty"`
	}{"urn:handset:problem:" + f.Code, http.StatusText(f.Status), f.Status, f.Message, f.Fields})
}

func writeMessage(w http.ResponseWriter, r *http.Request, err error) {
	f := begin(w, r, err)
	answerJSON(w, r, f.Status, "application/json; charset=utf-8", struct {
		Message string `json:"message"`
	}{f.Message})
}

// Auth0 has no code for what breaks on its side, and for a 500 the words of the library
// that it is made with.
const statusBroken = "An internal server error occurred"

func writeStatus(w http.ResponseWriter, r *http.Request, err error) {
	f := *begin(w, r, err)
	if f.Status >= http.StatusInternalServerError {
		f.Code = ""
	}
	if f.Status == http.StatusInternalServerError {
		f.Message = statusBroken
	}
	answerJSON(w, r, f.Status, "application/json; charset=utf-8", struct {
		StatusCode int    `json:"statusCode"`
		Error      string `json:"error"`
		Message    string `json:"message"`
		ErrorCode  string `json:"errorCode,omitempty"`
	}{f.Status, http.StatusText(f.Status), f.Message, f.Code})
}

// begin notes the error and sets the headers that go with it.
func begin(w http.ResponseWriter, r *http.Request, err error) *Fault {
	reqctx.From(r.Context()).Fail(err)
	f := asFault(err)
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", seconds(f.RetryAfter))
	}
	if f.Challenge != "" {
		e := &oauth.Error{Challenge: f.Challenge, Code: oauth.Code(f.Code), Description: f.Message, Unasked: f.Code == ""}
		if f.Status == http.StatusUnauthorized && f.Code != string(oauth.InvalidToken) {
			e.Description = "" // a request without a token gets no error code (RFC 6750 §3.1)
		}
		w.Header().Set("WWW-Authenticate", challenge(e))
	}
	return f
}

// asFault is the crossing point from inner errors to those that programs read.
func asFault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if e := oauth.AsError(err); e != nil {
		return &Fault{Status: e.HTTPStatus(), Code: string(e.Code), Message: e.Description, Challenge: e.Challenge, Err: err}
	}
	if Unavailable(err) {
		return &Fault{Status: http.StatusServiceUnavailable, Code: "unavailable", RetryAfter: 5 * time.Second,
			Message: "a part of this service is down; try again in a few seconds", Err: err}
	}
	return &Fault{Status: http.StatusInternalServerError, Code: "internal", Message: "something went wrong on our side", Err: err}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

func answerJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings and numbers always encode
	noStore(w.Header())
	write(w, r, status, contentType, buf.Bytes())
}

// Next is where, and when, to ask how something goes on.
type Next struct {
	Location string
	After    time.Duration
}

// JSONNext is [JSON] of something that goes on; v nil is an empty body.
func JSONNext(w http.ResponseWriter, r *http.Request, status int, next Next, v any) error {
	if next.Location != "" {
		w.Header().Set("Location", next.Location)
	}
	if next.After > 0 {
		w.Header().Set("Retry-After", seconds(next.After))
	}
	if v == nil {
		return NoContent(w, r, status)
	}
	return JSON(w, r, status, v)
}

// HoldOpen lets a handler answer as late as until, beyond what the server allows.
func HoldOpen(w http.ResponseWriter, until time.Time) error {
	c := http.NewResponseController(w)
	return errors.Join(c.SetReadDeadline(until), c.SetWriteDeadline(until))
}

// RateLimit tells in Auth0's headers what a limit has left, and in which second, of
// those since 1970, it has more.
func RateLimit(w http.ResponseWriter, burst, left int, reset time.Time) {
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(burst))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Add(time.Second-1).Unix(), 10))
}

// RateLimited tells when another request can succeed: in Auth0's headers and in that
// of RFC 9110 §10.2.3.
func RateLimited(w http.ResponseWriter, burst int, until, now time.Time) {
	RateLimit(w, burst, 0, until)
	w.Header().Set("Retry-After", seconds(max(until.Sub(now), time.Second)))
}
