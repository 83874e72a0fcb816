package web

import (
	"net/http"

	"github.com/handset-oidc/handset/views"
)

// AnyOrigin lets pages of every origin read the answers of next, without
// credentials: what protects such a route is in the request, not in a cookie.
func AnyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		next.ServeHTTP(w, r)
	})
}

// Preflight answers the question that a browser asks before a page's request
// to a route of AnyOrigin.
func Preflight() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Auth0-Client, X-Request-Language")
		h.Set("Access-Control-Max-Age", "7200")
		write(w, r, http.StatusNoContent, "", nil)
	})
}

// AllowOrigin lets pages of one origin read the answer, with cookies or without.
func AllowOrigin(w http.ResponseWriter, origin string, cookies bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset")
	if cookies {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// PreflightOfClient answers a browser's question before a request to a route whose
// handler holds the origin against the client's: which client it is, the question
// does not say. It allows to ask, and nothing else.
func PreflightOfClient(cookies bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			AllowOrigin(w, origin, cookies)
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", "POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type, Auth0-Client, X-Request-Language")
		h.Set("Access-Control-Max-Age", "7200")
		write(w, r, http.StatusNoContent, "", nil)
	})
}

// OwnSite refuses forms that another site posts; see [CheckOwnSite].
func OwnSite(next http.Handler, pages *Pages) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := CheckOwnSite(r); err != nil {
			pages.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var crossOrigin = http.NewCrossOriginProtection()

// CheckOwnSite returns the [Problem] of a form that another site posts, or nil.
// It is the second lock beside the form token, for browsers that say where a
// form comes from. Our pages send no referrer, and browsers then give the
// origin as "null": without Sec-Fetch-Site that says nothing, and the token
// alone decides.
func CheckOwnSite(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return nil
	}
	if err := crossOrigin.Check(r); err != nil {
		return &Problem{Kind: views.ProblemForeign, Status: http.StatusForbidden, Reason: "form posted by another site"}
	}
	return nil
}
