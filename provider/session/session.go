// Package session is the engine of single sign-on: it finds the session of the
// browser at hand and gives and takes the cookie that opens it. A session is
// made only by the store's OpenSession, from a proved number; this package
// can't make one.
package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/storage"
)

// Store is what sessions are kept in.
type Store interface {
	// SessionByMAC must return [storage.ErrNotFound] for a session that is
	// unknown, ended, expired, idle for longer than idle, or of a blocked or
	// removed person.
	SessionByMAC(ctx context.Context, macs [][]byte, now time.Time, idle time.Duration) (storage.Session, storage.User, error)
	TouchSession(ctx context.Context, id storage.SessionID, now time.Time) error
	EndSession(ctx context.Context, id storage.SessionID, now time.Time) error
}

// Config is what a Manager needs; every field is required.
type Config struct {
	Store    Store
	Vault    *vault.Vault
	HTTPS    bool
	Absolute time.Duration // life from login
	Idle     time.Duration // life from the last use
	Now      func() time.Time
}

// Manager is safe for concurrent use.
type Manager struct {
	Config
	cookie web.Cookie
}

// New returns a Manager.
func New(c Config) *Manager {
	return &Manager{Config: c, cookie: web.NewCookie("handset_sid", c.HTTPS)}
}

// Current is the session of the browser at hand.
type Current struct {
	storage.Session
	User storage.User
}

// Current returns the browser's session, or nil when it has none in force.
func (m *Manager) Current(r *http.Request) (*Current, error) {
	secret := m.cookie.Secret(r)
	if secret == "" {
		return nil, nil
	}
	now := m.Now()
	s, u, err := m.Store.SessionByMAC(r.Context(), m.macs(secret), now, m.Idle)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}
	// Idle life need not be exact: one write in a tenth of it is enough.
	if now.Sub(s.SeenAt) > m.Idle/10 {
		if err := m.Store.TouchSession(r.Context(), s.ID, now); err != nil {
			return nil, fmt.Errorf("touch session: %w", err)
		}
	}
	return &Current{Session: s, User: u}, nil
}

// Secret is a new session's cookie secret with the MAC to keep, and the MACs
// of the session that the browser held before: a login never takes over a
// secret that was in the browser before it (session fixation).
type Secret struct {
	MAC      []byte
	Replaces [][]byte
	Expires  time.Time

	secret string
}

// NewSecret makes the secret for a login in the browser that sent r.
func (m *Manager) NewSecret(r *http.Request) Secret {
	s := Secret{secret: web.NewSecret(), Expires: m.Now().Add(m.Absolute)}
	s.MAC = m.Vault.MAC(vault.SessionCookie, s.secret)
	if old := m.cookie.Secret(r); old != "" {
		s.Replaces = m.macs(old)
	}
	return s
}

// Give sets the cookie of a session that was opened with s.
func (m *Manager) Give(w http.ResponseWriter, s Secret) { m.cookie.Set(w, s.secret, m.Absolute) }

// End ends the session and takes the cookie away.
func (m *Manager) End(ctx context.Context, w http.ResponseWriter, id storage.SessionID) error {
	if err := m.Store.EndSession(ctx, id, m.Now()); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	m.cookie.Clear(w)
	return nil
}

// FormToken returns the token of a form that only this browser's session may post.
func (m *Manager) FormToken(r *http.Request, form string) string {
	return web.FormToken(m.Vault, form, m.cookie.Secret(r))
}

// CheckFormToken reports whether token came from FormToken in this browser.
func (m *Manager) CheckFormToken(r *http.Request, form, token string) bool {
	return web.CheckFormToken(m.Vault, token, form, m.cookie.Secret(r))
}

func (m *Manager) macs(secret string) [][]byte { return m.Vault.MACs(vault.SessionCookie, secret) }
