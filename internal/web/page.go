package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// Problem is an error that a person sees as a page. Err and Reason are for the
// log alone.
type Problem struct {
	Kind   views.ProblemKind
	Status int
	// Client, when known, gives the page the application's name and the way back.
	Client *storage.Client
	// Locales are the ui_locales of the request.
	Locales []string
	Wait    time.Duration
	// Details are for the application's developers, in English.
	Details string
	// Reference is shown in place of the request's own, where more is on record
	// under it.
	Reference string
	Reason    string
	Err       error
}

func (p *Problem) Error() string {
	s := "page " + string(p.Kind)
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Pages adapts handlers whose answers people see.
type Pages struct {
	Base    string // the issuer's path without a slash at its end
	Catalog *views.Catalog
}

// Frame is what a page shares with all others: address, language, and the
// application's name when a client is known.
func (p *Pages) Frame(r *http.Request, locales []string, client *storage.Client) views.Frame {
	f := views.Frame{Base: p.Base, Locale: p.Catalog.Locale(locales, r.Header.Get("Accept-Language"))}
	if client != nil {
		f.App = client.Name
	}
	return f
}

// Page adapts a handler: whatever error it returns becomes a page.
func (p *Pages) Page(h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			p.Fail(w, r, err)
		}
	}
}

// Fail answers with the page of an error and notes the error for the log.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	facts := reqctx.From(r.Context())
	facts.Fail(err)
	problem := asProblem(err)
	if problem.Wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((problem.Wait+time.Second-1)/time.Second)))
	}
	page := views.Problem{
		Frame: p.Frame(r, problem.Locales, problem.Client), Kind: problem.Kind, Wait: problem.Wait,
		AppURL: WayBack(problem.Client), Details: problem.Details, Reference: cmp.Or(problem.Reference, facts.ID),
	}
	if err := HTML(w, r, problem.Status, page.Page()); err != nil {
		Plain(w, r, http.StatusInternalServerError, "something went wrong on our side; reference "+facts.ID)
	}
}

// asProblem is the one crossing point from inner errors to pages.
func asProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if Unavailable(err) {
		return &Problem{Kind: views.ProblemUnavailable, Status: http.StatusServiceUnavailable, Wait: 5 * time.Second, Err: err}
	}
	if e := oauth.AsError(err); e != nil {
		return &Problem{Kind: views.ProblemRequest, Status: e.HTTPStatus(), Details: string(e.Code) + ": " + e.Description, Err: err}
	}
	return &Problem{Kind: views.ProblemInternal, Status: http.StatusInternalServerError, Err: err}
}

// WayBack returns the address that leads a person back to an application, from
// its registration alone: its initiate_login_uri, else the site of its first
// web callback; empty when there is none.
func WayBack(c *storage.Client) string {
	if c == nil {
		return ""
	}
	if c.InitiateLogin != "" {
		return c.InitiateLogin
	}
	for _, callback := range c.Callbacks {
		if origin := Origin(callback); strings.HasPrefix(origin, "http") {
			return origin + "/"
		}
	}
	return ""
}

// Origin returns the origin of a URI as a source expression of a
// Content-Security-Policy: "https://app.example", or "com.example.app:" for an
// app's own scheme. It returns "" for what is no URI.
func Origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// Origins returns the origins a form of ours may lead to for a client: that of
// the redirect URI at hand, and the client's other registered ones, since
// browsers apply form-action to every further redirect too.
func Origins(c *storage.Client, redirectURI string) []string {
	uris := []string{redirectURI}
	if c != nil {
		uris = slices.Concat(uris, c.Callbacks, c.WebOrigins, c.AllowedOrigins, c.AllowedLogoutURLs)
	}
	var out []string
	for _, uri := range uris {
		if o := Origin(uri); o != "" && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}
