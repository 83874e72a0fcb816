// Package reqctx carries what one request knows about itself: its ID, the
// address it came from, and the record that becomes its one log line. It is
// the only package that puts values into a context.
package reqctx

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
)

// Request is one request's facts. Handlers add to it; the outermost adapter
// logs it once, when the answer is written.
type Request struct {
	ID      string
	Address netip.Addr // the person's, behind trusted proxies
	Agent   string     // user agent, cut to 200 bytes
	// JSON says that the caller is an application, which reads OAuth JSON and no page.
	JSON bool
	// Scopes are those of the access token that let the request in, where one did.
	Scopes []string
	// Errors, when set, writes errors as the caller reads them, in place of either.
	Errors func(w http.ResponseWriter, r *http.Request, err error)

	mu    sync.Mutex
	attrs []slog.Attr
	err   error
}

type key struct{}

// With returns a context that carries r.
func With(ctx context.Context, r *Request) context.Context { return context.WithValue(ctx, key{}, r) }

// From returns the request's facts; outside a request, empty ones.
func From(ctx context.Context) *Request {
	if r, ok := ctx.Value(key{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// Add adds attributes to the request's log record. Give constants, identifiers
// and masked numbers; never a code, a token, a cookie or a secret.
func Add(ctx context.Context, attrs ...slog.Attr) {
	r := From(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attrs = append(r.attrs, attrs...)
}

// Attrs returns what was added.
func (r *Request) Attrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attrs
}

// Fail notes the error that ended the request.
func (r *Request) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Err returns the error noted by Fail.
func (r *Request) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
