package resource

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// Require lets a request through that carries a token of this API, and puts its
// [Caller] into the request's context. Others are answered by RFC 6750 §3: 401 with
// a challenge, or 503 when the issuer can't be reached and would have to be.
func (a *API) Require(next http.Handler) http.Handler {
	return a.RequireScope()(next)
}

// RequireScope is middleware for requests that need all of the given scopes. A good
// token without one of them is answered 403. Behind Require, or another
// RequireScope, the token is not verified a second time.
//
//	mux.Handle("GET /vendors", api.RequireScope("read:vendors")(vendors))
//
// It panics for what can't be a scope, when the program starts.
func (a *API) RequireScope(scopes ...Scope) func(http.Handler) http.Handler {
	scopes = slices.Clone(scopes)
	for _, s := range scopes {
		if !s.valid() {
			panic("resource: " + string(s) + " is no scope") // unreachable in a program that has been started once
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, err := a.Authorize(r.Context(), Attempt{
				Authorization: r.Header.Values("Authorization"),
				Scopes:        scopes,
				Target:        r.Method + " " + r.URL.Path, // never the query, which may hold secrets
			})
			if err != nil {
				a.refuse(w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// refuse writes the answer of a request that is not let through.
func (a *API) refuse(w http.ResponseWriter, err error) {
	answer := struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description"`
	}{"temporarily_unavailable", "the token can't be verified now; try again in a few seconds"}
	status := http.StatusServiceUnavailable
	h := w.Header()
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		status, answer.Error, answer.Description = refusal.Status(), refusal.Code(), string(refusal.Reason)
		h.Set("WWW-Authenticate", refusal.challenge(a.c.Audience))
	} else {
		h.Set("Retry-After", "5")
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // unreachable: two strings always encode
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // whoever has left reads no answer
}
