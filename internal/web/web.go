// Package web stands between HTTP and the handlers. A handler decodes, calls
// one domain method and writes one answer through this package, which is the
// only writer of statuses and headers; whatever error a handler returns
// becomes, by the adapter of its route, an OAuth JSON error or a page, and one
// log record.
//
// It owns the outer defences too: sizes, methods, hosts, addresses behind
// proxies, security headers, cookies and form tokens. It decides nothing about
// logins or tokens.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Handler answers a request or returns the error that its route's adapter
// turns into an answer. It returns an error only while nothing is written.
type Handler func(w http.ResponseWriter, r *http.Request) error

// write sends one answer: headers first, then status, then body.
func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r == nil || r.Method != http.MethodHead {
		w.Write(body) // the connection's loss is the client's to notice
	}
}

// noStore forbids every cache to keep the answer (RFC 6749 §5.1).
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// JSON answers with v as JSON that no cache may keep.
func JSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	noStore(w.Header())
	write(w, r, status, "application/json; charset=utf-8", buf.Bytes())
	return nil
}

// NoContent answers with a status and an empty body.
func NoContent(w http.ResponseWriter, r *http.Request, status int) error {
	noStore(w.Header())
	write(w, r, status, "", nil)
	return nil
}

// Document is an answer made once and served many times, such as the
// discovery document: bytes, their type, and their ETag.
type Document struct {
	Body        []byte
	ContentType string
	ETag        string
	MaxAge      time.Duration
}

// Serve answers with the document, or 304 when the client has it.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(d.MaxAge.Seconds())))
	h.Set("ETag", d.ETag)
	if hasETag(r.Header.Values("If-None-Match"), d.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	write(w, r, http.StatusOK, d.ContentType, d.Body)
	return nil
}

// hasETag reports whether If-None-Match names an entity tag, by the weak
// comparison (RFC 9110 §13.1.2): a proxy that compresses makes our tags weak.
// Our tags hold no comma.
func hasETag(fields []string, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		if tag = strings.Trim(tag, " \t"); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// HTML renders a page to a buffer and answers with it. formAction lists
// origins, besides our own, that a form on the page may lead to: browsers
// apply form-action to the whole chain of redirects behind a POST.
func HTML(w http.ResponseWriter, r *http.Request, status int, page templ.Component, formAction ...string) error {
	return writeHTML(w, r, status, page, contentSecurityPolicy("'none'", formAction))
}

// FramedHTML is HTML for a page that pages of one origin, and no others, may have as a
// frame: it must show nothing and take nothing.
func FramedHTML(w http.ResponseWriter, r *http.Request, page templ.Component, origin string) error {
	return writeHTML(w, r, http.StatusOK, page, contentSecurityPolicy(origin, nil))
}

func writeHTML(w http.ResponseWriter, r *http.Request, status int, page templ.Component, policy string) error {
	var buf bytes.Buffer
	// templ gives up when the client has left; the page is then for nobody, but
	// what was done is done, and its record shall not say that it failed.
	if err := page.Render(context.WithoutCancel(r.Context()), &buf); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "otp-credentials=(self)")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	noStore(h)
	write(w, r, status, "text/html; charset=utf-8", buf.Bytes())
	return nil
}

func contentSecurityPolicy(ancestor string, formAction []string) string {
	policy := "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; object-src 'none'; frame-ancestors " + ancestor + "; form-action 'self'"
	if len(formAction) == 0 {
		return policy
	}
	return policy + " " + strings.Join(formAction, " ")
}

// SeeOther redirects with 303, so that the browser goes on with GET and never
// sends a form's fields to another site (RFC 9700 §4.12).
func SeeOther(w http.ResponseWriter, r *http.Request, location string) error {
	h := w.Header()
	h.Set("Location", location)
	noStore(h)
	write(w, r, http.StatusSeeOther, "", nil)
	return nil
}

// OAuth adapts a handler whose clients expect OAuth JSON errors (RFC 6749 §5.2).
func OAuth(h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reqctx.From(r.Context()).JSON = true
		if err := h(w, r); err != nil {
			writeOAuthError(w, r, err)
		}
	}
}

func writeOAuthError(w http.ResponseWriter, r *http.Request, err error) {
	reqctx.From(r.Context()).Fail(err)
	e := asOAuth(err)
	if e.Code == oauth.TemporarilyUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if e.Challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge(e))
	}
	answer := struct {
		Error       oauth.Code `json:"error"`
		Description string     `json:"error_description,omitempty"`
		URI         string     `json:"error_uri,omitempty"`
	}{e.Code, e.Description + e.Quote, e.URI}
	JSON(w, r, e.HTTPStatus(), answer) // strings always encode
}

// challenge builds WWW-Authenticate (RFC 6750 §3, RFC 7617 §2).
func challenge(e *oauth.Error) string {
	s := e.Challenge + ` realm="handset"`
	if e.Challenge == "Bearer" && !e.Unasked {
		s += `, error="` + string(e.Code) + `", error_description="` + strings.ReplaceAll(e.Description, `"`, `'`) + `"`
	}
	return s
}

// asOAuth is the one crossing point from inner errors to those a client reads.
func asOAuth(err error) *oauth.Error {
	if e := oauth.AsError(err); e != nil {
		return e
	}
	if Unavailable(err) {
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "a part of this service is down; try again in a few seconds", Err: err}
	}
	return &oauth.Error{Code: oauth.ServerError, Description: "something went wrong on our side", Err: err}
}

// Unavailable reports whether err says that a store is down or too slow, so
// that the answer is 503 and nothing was consumed. A request whose client has
// left counts too: nobody reads the answer, and no human has to look.
func Unavailable(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Plain answers with a line of text, for what neither an OAuth client nor a
// person asked for.
func Plain(w http.ResponseWriter, r *http.Request, status int, text string) {
	noStore(w.Header())
	write(w, r, status, "text/plain; charset=utf-8", []byte(text+"\n"))
}

// BadRequest is a 400 that says what to send instead.
func BadRequest(description string) error {
	return oauth.Errorf(oauth.InvalidRequest, "%s", description)
}
