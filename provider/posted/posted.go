// Package posted takes a request that another site posts on to a GET. Browsers
// leave our SameSite=Lax cookies out of such a post and send them with the GET that
// a 303 makes of it, so that is where the session is found. The form waits here
// meanwhile, and the address has a random reference to it and nothing else: an
// id_token_hint or a state belongs into no log of addresses, and a body may be
// longer than an address.
//
// The reference is bound to its endpoint and lives for minutes. It opens nothing:
// what it stands for is what any site may ask of any browser.
package posted

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// parameter is the one of the GET. Applications that send it beside others mean
// something else.
const parameter = "posted"

// Store keeps the forms.
type Store interface {
	// KeepPosted must take one from each limit or return a [*storage.Limited] and
	// keep nothing.
	KeepPosted(ctx context.Context, p storage.Posted, now time.Time, limits ...storage.Limit) error
	// Posted must return [storage.ErrNotFound] for another endpoint's reference.
	Posted(ctx context.Context, endpoint, ref string) (form string, err error)
}

// Forms are those that wait. Every field is required.
type Forms struct {
	Base  string // the issuer's path without a slash at its end
	Store Store
	// Limit is how many an address may have waiting.
	Limit func(netip.Addr) storage.Limit
	Now   func() time.Time
}

// Keep answers the POST of a form: it leads to the endpoint by GET.
func (f *Forms) Keep(w http.ResponseWriter, r *http.Request, endpoint string, form web.Values) error {
	p := storage.Posted{Ref: rand.Text(), Endpoint: endpoint, Form: url.Values(form).Encode()}
	err := f.Store.KeepPosted(r.Context(), p, f.Now(), f.Limit(reqctx.From(r.Context()).Address))
	if limited, ok := errors.AsType[*storage.Limited](err); ok {
		return Busy(limited, f.Now())
	}
	if err != nil {
		return fmt.Errorf("keep posted form: %w", err)
	}
	return web.SeeOther(w, r, f.Base+endpoint+"?"+parameter+"="+url.QueryEscape(p.Ref))
}

// Parameters returns those of a GET: of its query, or of the form that it refers to.
func (f *Forms) Parameters(r *http.Request, endpoint string) (web.Values, error) {
	v, err := web.Query(r)
	if err != nil || len(v) != 1 || len(v[parameter]) != 1 {
		return v, err
	}
	form, err := f.Store.Posted(r.Context(), endpoint, v.Get(parameter))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &web.Problem{Kind: views.ProblemTimedOut, Status: http.StatusBadRequest, Reason: "posted form is gone"}
	}
	if err != nil {
		return nil, fmt.Errorf("read posted form: %w", err)
	}
	kept, err := url.ParseQuery(form)
	if err != nil {
		return nil, fmt.Errorf("read posted form: %w", err)
	}
	return web.Values(kept), nil
}

// Busy is the page for an address that has too much waiting.
func Busy(limited *storage.Limited, now time.Time) *web.Problem {
	return &web.Problem{Kind: views.ProblemBusy, Status: http.StatusTooManyRequests,
		Wait: max(limited.RetryAt.Sub(now), time.Second), Reason: limited.Error()}
}
