package webapp

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// The limits of what is kept: logins under way in one browser, and browsers.
const (
	maxPending      = 8
	maxSessions     = 10_000
	pendingLifetime = 30 * time.Minute
	sessionLifetime = 12 * time.Hour
)

// pending is a login that was sent to the provider and has not come back. Its key
// is its state.
type pending struct {
	nonce    string
	verifier string
	since    time.Time
}

// session is what the application knows of a browser.
type session struct {
	since   time.Time
	pending map[string]pending
	user    *user
}

// sessions keeps them in memory, by the secret in the browser's cookie.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

func newSessions() *sessions { return &sessions{byID: map[string]*session{}} }

// begin notes a login under way in the session id, or in a new one when there is
// none, and returns the session's id.
func (s *sessions) begin(id, state string, p pending) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.live(id)
	if !ok {
		id = rand.Text()
		current = &session{since: time.Now(), pending: map[string]pending{}}
		s.add(id, current)
	}
	if len(current.pending) >= maxPending {
		delete(current.pending, oldest(current.pending, func(p pending) time.Time { return p.since }))
	}
	current.pending[state] = p
	return id
}

// take returns the login of state and forgets it: an answer is used once.
func (s *sessions) take(id, state string) (pending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.live(id)
	if !ok {
		return pending{}, false
	}
	p, ok := current.pending[state]
	delete(current.pending, state)
	return p, ok && time.Since(p.since) < pendingLifetime
}

// signIn replaces the session id by a new one that belongs to u: an id that was
// known before the login is worth nothing after it.
func (s *sessions) signIn(id string, u *user) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := &session{since: time.Now(), pending: map[string]pending{}, user: u}
	if current, ok := s.live(id); ok {
		fresh.pending = current.pending
		delete(s.byID, id)
	}
	id = rand.Text()
	s.add(id, fresh)
	return id
}

// signOut forgets the session and returns who it was; nil when nobody.
func (s *sessions) signOut(id string) *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.live(id)
	if !ok {
		return nil
	}
	delete(s.byID, id)
	return current.user
}

// user returns who is signed in; nil when nobody.
func (s *sessions) user(id string) *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current, ok := s.live(id); ok {
		return current.user
	}
	return nil
}

func (s *sessions) live(id string) (*session, bool) {
	current, ok := s.byID[id]
	return current, ok && time.Since(current.since) < sessionLifetime
}

func (s *sessions) add(id string, fresh *session) {
	if len(s.byID) >= maxSessions {
		delete(s.byID, oldest(s.byID, func(s *session) time.Time { return s.since }))
	}
	s.byID[id] = fresh
}

// oldest returns the key of the value with the earliest time.
func oldest[V any](m map[string]V, since func(V) time.Time) string {
	var key string
	var first time.Time
	for k, v := range m {
		if at := since(v); key == "" || at.Before(first) {
			key, first = k, at
		}
	}
	return key
}

// cookieName has the prefix that ties a cookie to this very host, where there is
// TLS to hold it up.
func (a *app) cookieName() string {
	if a.secure {
		return "__Host-webapp_session"
	}
	return "webapp_session"
}

func (a *app) sessionID(r *http.Request) string {
	cookie, err := r.Cookie(a.cookieName())
	if err != nil {
		return ""
	}
	return cookie.Value
}

// remember gives the browser its session. Lax, not Strict: the person comes back
// from the provider by a cross-site redirect.
func (a *app) remember(w http.ResponseWriter, id string) {
	http.SetCookie(w, &http.Cookie{
		Name: a.cookieName(), Value: id, Path: "/",
		HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteLaxMode,
	})
}

func (a *app) forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: a.cookieName(), Path: "/", MaxAge: -1,
		HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteLaxMode,
	})
}
