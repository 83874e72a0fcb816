package resource

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// API verifies the tokens of the calls to one API. It is safe for concurrent use.
type API struct {
	c      Config
	issuer *issuer
	life   *life
	// own is the connection pool of an API that was given no client.
	own *http.Transport

	latest   atomic.Pointer[published]
	fetching once[*published]
	asked    answers

	mu sync.Mutex
	// mayFetch is when a token with an unknown key may cause the next fetch.
	mayFetch time.Time
}

// New fetches what the issuer publishes and keeps it fresh in the background, until
// ctx ends or Close is called. An issuer that is not the configured one, or can't be
// reached, is an error.
func New(ctx context.Context, c Config) (*API, error) {
	a, err := newAPI(ctx, c, os.Getenv)
	if err != nil {
		return nil, err
	}
	p, err := a.fetching.start(a.life, a.fetch).wait(ctx)
	switch {
	case err == nil && a.c.Introspect != nil && p.introspection == "":
		err = errors.New("it has no introspection endpoint")
	case err != nil && a.c.StartWithoutIssuer && !errors.Is(err, errNotTheIssuer):
		a.reportFetch(ctx, err)
		err = nil
	}
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("resource: issuer %s: %w", a.c.Issuer, err)
	}
	a.life.spawn(a.keepFresh)
	return a, nil
}

// newAPI fetches nothing.
func newAPI(ctx context.Context, c Config, getenv func(string) string) (*API, error) {
	c = c.withDefaults(getenv)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	a := &API{c: c}
	if c.HTTPClient == nil {
		a.own = ownTransport()
		c.HTTPClient = &http.Client{Transport: a.own}
	}
	var err error
	if a.issuer, err = newIssuer(c.Issuer, c.HTTPClient, c.InsecureSkipHTTPSCheck); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	a.life = newLife(ctx)
	return a, nil
}

// ownTransport is Go's default one with connections of its own, so that they can be
// closed.
func ownTransport() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment}
}

// Close ends what runs in the background and waits for it. Tokens are verified on
// with the keys at hand.
func (a *API) Close() {
	a.life.end()
	if a.own != nil {
		a.own.CloseIdleConnections()
	}
}

// Audience is the identifier that tokens must be for.
func (a *API) Audience() Audience { return a.c.Audience }

// Verify accepts a token or returns why not: a [*Refusal], or an error that wraps
// [ErrUnavailable] when the issuer would have to be asked and can't be reached.
//
// It is for tokens that come by other ways than a request; [API.Require] and
// [API.Authorize] look at those.
func (a *API) Verify(ctx context.Context, raw string) (*Caller, error) {
	t, reason := parse(raw)
	if reason != "" {
		return nil, &Refusal{Reason: reason}
	}
	caller, ok := t.caller()
	if !ok {
		return nil, &Refusal{Reason: ReasonClaims}
	}
	if reason := t.refuse(caller, a.c.Issuer, a.c.Audience, a.c.Now()); reason != "" {
		return nil, &Refusal{Reason: reason}
	}
	key, err := a.key(ctx, keyName{t.kid, t.alg})
	if err != nil {
		return nil, err
	}
	if !t.signedBy(key) {
		return nil, &Refusal{Reason: ReasonSignature}
	}
	if a.c.Introspect != nil {
		if err := a.inForce(ctx, raw); err != nil {
			return nil, err
		}
	}
	return caller, nil
}

// Attempt is a call that has yet to prove whose it is.
type Attempt struct {
	// Authorization are the values of the Authorization header, as they came.
	Authorization []string
	// Scopes are what the call needs.
	Scopes []Scope
	// Target names what is called, for the log: a method and a path.
	Target string
}

// Authorize decides about a call and returns its context with the caller in it. The
// error is that of [API.Verify]; it has been logged. It is what the middleware and
// the interceptors are made of, and is there for other kinds of servers.
func (a *API) Authorize(ctx context.Context, t Attempt) (context.Context, error) {
	caller, err := a.authorize(ctx, t)
	if err != nil {
		a.report(ctx, t, caller, err)
		return nil, err
	}
	return context.WithValue(ctx, contextKey{}, verified{caller, a}), nil
}

func (a *API) authorize(ctx context.Context, t Attempt) (*Caller, error) {
	caller := a.known(ctx)
	if caller == nil {
		raw, err := bearer(t.Authorization)
		if err == nil {
			caller, err = a.Verify(ctx, raw)
		}
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			refusal.Scopes = t.Scopes
		}
		if err != nil {
			return nil, err
		}
	}
	if !caller.Scopes.Has(t.Scopes...) {
		return caller, &Refusal{Reason: ReasonMissingScope, Scopes: t.Scopes}
	}
	return caller, nil
}

// known is the caller that this API has let into ctx before.
func (a *API) known(ctx context.Context) *Caller {
	if v, ok := ctx.Value(contextKey{}).(verified); ok && v.by == a {
		return v.caller
	}
	return nil
}

// StillGood refuses a call that goes on for long once its token has expired. ctx is
// that of [API.Authorize].
func (a *API) StillGood(ctx context.Context) error {
	caller := a.known(ctx)
	switch {
	case caller == nil:
		return &Refusal{Reason: ReasonNoToken}
	case !a.c.Now().Before(caller.ExpiresAt):
		return &Refusal{Reason: ReasonExpired}
	}
	return nil
}

// bearer takes the token out of the header (RFC 6750 §2.1). Forms and URLs are not
// looked at: a URL ends in logs (RFC 9700 §4.3.2).
func bearer(values []string) (string, error) {
	if len(values) > 1 {
		return "", &Refusal{Reason: ReasonRepeated}
	}
	if len(values) == 0 {
		return "", &Refusal{Reason: ReasonNoToken}
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: schemes ignore case
		return "", &Refusal{Reason: ReasonNoToken}
	}
	return strings.Trim(raw, " "), nil
}

// report writes the one log record of a call that was not let in.
func (a *API) report(ctx context.Context, t Attempt, caller *Caller, err error) {
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		a.c.Logger.WarnContext(ctx, "token not verified", slog.String("target", t.Target), slog.Any("err", err))
		return
	}
	level := slog.LevelWarn
	if refusal.Reason == ReasonNoToken { // how every client begins that waits to be asked
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{slog.String("target", t.Target), slog.String("reason", string(refusal.Reason))}
	if caller != nil {
		attributes = append(attributes, slog.Any("caller", caller))
	}
	a.c.Logger.LogAttrs(ctx, level, "token refused", attributes...)
}

// key finds the key that a token names. Only a name that is not known leads to the
// issuer, and that at most once in a while.
func (a *API) key(ctx context.Context, name keyName) (crypto.PublicKey, error) {
	if p := a.latest.Load(); p != nil && p.keys[name] != nil {
		return p.keys[name], nil
	}
	if flight := a.fetchForUnknown(); flight != nil {
		if _, err := flight.wait(ctx); ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	switch p := a.latest.Load(); {
	case p == nil:
		return nil, fmt.Errorf("%w: its keys were never fetched", ErrUnavailable)
	case p.keys[name] == nil:
		return nil, &Refusal{Reason: ReasonUnknownKey}
	default:
		return p.keys[name], nil
	}
}

// fetchForUnknown begins a fetch for a key that is not at hand, joins one under
// way, or returns nil because the last one was a moment ago: tokens of invented
// keys must not become a storm at the issuer.
func (a *API) fetchForUnknown() *flight[*published] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.c.Now(); now.Before(a.mayFetch) && !now.Before(a.mayFetch.Add(-retryAfter)) {
		return a.fetching.underWay()
	}
	a.mayFetch = a.c.Now().Add(retryAfter)
	return a.refetch()
}

// refetch fetches what the issuer publishes once more; everyone who asks meanwhile
// gets the same.
func (a *API) refetch() *flight[*published] {
	return a.fetching.start(a.life, func(ctx context.Context) (*published, error) {
		p, err := a.fetch(ctx)
		if err != nil && ctx.Err() == nil {
			a.reportFetch(ctx, err)
		}
		return p, err
	})
}

func (a *API) fetch(ctx context.Context) (*published, error) {
	p, err := a.issuer.publish(ctx)
	if err != nil {
		return nil, err
	}
	a.latest.Store(p)
	return p, nil
}

func (a *API) reportFetch(ctx context.Context, err error) {
	a.c.Logger.WarnContext(ctx, "keys not fetched", slog.String("issuer", a.c.Issuer),
		slog.Bool("keys_at_hand", a.latest.Load() != nil), slog.Any("err", err))
}

// keepFresh fetches the keys again and again. While the issuer is down, the keys at
// hand stay in use: nobody makes tokens then, and the ones that are out there end in
// their time.
func (a *API) keepFresh(ctx context.Context) {
	next := a.c.RefreshEvery
	if a.latest.Load() == nil {
		next = time.Second
	}
	timer := time.NewTimer(next)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next = a.c.RefreshEvery
		if _, err := a.refetch().wait(ctx); err != nil {
			next = min(next, retryAfter)
			if a.latest.Load() == nil { // calls are being refused
				next = min(next, time.Second)
			}
		}
		timer.Reset(next)
	}
}
