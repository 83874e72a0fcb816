package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/provider/oauth"
)

// Outer is what every request passes first: it finds the address behind
// trusted proxies, refuses foreign hosts and overlong URLs, sets the headers
// that every answer carries, survives panics, and writes the one log record.
type Outer struct {
	// Issuer decides which Host is ours and whether HSTS is sent.
	Issuer *url.URL
	// TrustedProxies may tell the person's address by X-Forwarded-For.
	TrustedProxies []netip.Prefix
	Logger         *slog.Logger
	Now            func() time.Time
	// Panic answers a person whose handler panicked before it wrote.
	Panic func(w http.ResponseWriter, r *http.Request, err error)
	// Observe, when set, is told of every answer, for metrics.
	Observe func(route string, status int, took time.Duration)

	warned atomic.Bool
}

// Wrap puts next behind the outer defences.
func (o *Outer) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := o.Now()
		facts := &reqctx.Request{ID: rand.Text()[:12], Address: o.address(r), Agent: cut(r.UserAgent(), 200)}
		r = r.WithContext(reqctx.With(r.Context(), facts))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				o.recovered(rec, r, facts, p)
			}
			o.log(r, rec, facts, start)
		}()
		o.headers(w.Header(), facts)
		switch {
		case len(r.RequestURI) > maxURL:
			Plain(rec, r, http.StatusRequestURITooLong, "the address is longer than 8192 bytes")
		case !o.ours(r.Host):
			Plain(rec, r, http.StatusMisdirectedRequest, "this server is "+o.Issuer.String()+
				" and was asked for another host; a proxy in front must pass the Host header on")
		default:
			next.ServeHTTP(rec, r)
		}
	})
}

func (o *Outer) recovered(w *recorder, r *http.Request, facts *reqctx.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	err := errors.New("panic: " + panicText(p))
	facts.Fail(err)
	o.Logger.ErrorContext(r.Context(), "handler panicked", slog.String("request_id", facts.ID),
		slog.String("error", err.Error()), slog.String("stack", string(debug.Stack())))
	switch {
	case w.status != 0: // the answer is on its way already
	case facts.Errors != nil:
		facts.Errors(w, r, err)
	case facts.JSON:
		writeOAuthError(w, r, err)
	default:
		o.Panic(w, r, err)
	}
}

// panicText is what the runtime says of a panic of its own, and the type of any
// other value: its text may hold whatever the code had at hand, a number or a
// code among it.
func panicText(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// headers sets what every answer carries (security.md §4).
func (o *Outer) headers(h http.Header, facts *reqctx.Request) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// What pages of every origin may read they fetch by CORS, which this does not touch.
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Request-Id", facts.ID)
	if o.Issuer.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// ours reports whether host is the issuer's. What the server says of itself
// comes from the issuer alone; a foreign Host is refused, not trusted.
func (o *Outer) ours(host string) bool {
	if strings.EqualFold(host, o.Issuer.Host) {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	def := map[string]string{"https": "443", "http": "80"}[o.Issuer.Scheme]
	return err == nil && port == def && strings.EqualFold(name, o.Issuer.Host)
}

// log writes the request's one record. The path is logged without its query,
// which may hold codes and tokens.
func (o *Outer) log(r *http.Request, w *recorder, facts *reqctx.Request, start time.Time) {
	took := o.Now().Sub(start)
	if o.Observe != nil {
		o.Observe(route(r), w.status, took)
	}
	attrs := append([]slog.Attr{
		slog.String("request_id", facts.ID),
		slog.String("method", cut(r.Method, 16)),
		slog.String("route", route(r)),
		slog.Int("status", w.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("address", facts.Address.String()),
	}, facts.Attrs()...)
	level := slog.LevelInfo
	if err := facts.Err(); err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if reason := reasonOf(err); reason != "" {
			attrs = append(attrs, slog.String("reason", reason))
		}
		level = slog.LevelWarn
	}
	if w.status >= 500 && w.status != http.StatusServiceUnavailable || ourFault(facts.Err()) {
		level = slog.LevelError
	}
	// The client may be gone by now; its record is written all the same.
	o.Logger.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// ourFault reports whether a client was told of an error that a human must look
// at, maybe by a redirect.
func ourFault(err error) bool {
	e := oauth.AsError(err)
	return e != nil && e.Code == oauth.ServerError
}

// reasonOf is the word for the log of an error whose answer does not tell.
func reasonOf(err error) string {
	if e := oauth.AsError(err); e != nil {
		return e.Reason
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Reason
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Reason
	}
	return ""
}

func route(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return "none"
	}
	return r.Pattern
}

// address finds the person's address: the right-most one that is no trusted
// proxy. Without trusted proxies X-Forwarded-For counts for nothing.
func (o *Outer) address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 {
		return addr
	}
	if len(o.TrustedProxies) == 0 && !o.warned.Swap(true) {
		o.Logger.Warn("requests carry X-Forwarded-For, but trusted_proxies is empty: it is ignored")
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && o.trusted(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap().WithZone("")
	}
	return addr
}

func (o *Outer) trusted(a netip.Addr) bool {
	for _, p := range o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
