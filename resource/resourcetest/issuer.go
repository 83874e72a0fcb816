// Package resourcetest is for the tests of APIs that package resource protects: a
// fake issuer that makes tokens of every kind, good and bad, and [Login], which logs
// in to a running Handset as a person does.
//
//	issuer := resourcetest.NewIssuer(t, "https://purchasing.example.com")
//	handler := newHandler(issuer.API())
//	request.Header.Set("Authorization", "Bearer "+issuer.Token(resourcetest.Token{
//		Scopes: []resource.Scope{"read:vendors"},
//		Claims: map[string]any{"employee_id": "291"},
//	}))
//
// It speaks the protocol and has none of a real issuer's defences. It is for tests.
package resourcetest

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// Issuer is a fake issuer on this machine: metadata, keys, tokens for clients, and
// introspection. It ends with its test. It is safe for concurrent use.
type Issuer struct {
	t        testing.TB
	audience resource.Audience
	server   *httptest.Server
	clock    func() time.Time

	mu       sync.Mutex
	keys     pair
	ahead    time.Duration
	down     bool
	requests map[string]int
	revoked  map[string]bool
	clients  map[resource.ClientID]resource.Secret
	refresh  map[string]*family
	denied   map[resource.Subject]bool
}

// The endpoints, for [Issuer.Requests].
const (
	PathMetadata   = "/.well-known/openid-configuration"
	PathKeys       = "/.well-known/jwks.json"
	PathToken      = "/oauth/token"
	PathIntrospect = "/oauth/introspect"
)

// NewIssuer starts an issuer that knows one API.
func NewIssuer(t testing.TB, audience resource.Audience) *Issuer {
	t.Helper()
	i := &Issuer{
		t: t, audience: audience, keys: newPair(t), clock: time.Now,
		requests: map[string]int{}, revoked: map[string]bool{}, refresh: map[string]*family{},
		clients: map[resource.ClientID]resource.Secret{}, denied: map[resource.Subject]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathMetadata, i.serveMetadata)
	mux.HandleFunc("GET "+PathKeys, i.serveKeys)
	mux.HandleFunc("POST "+PathToken, i.serveToken)
	mux.HandleFunc("POST "+PathIntrospect, i.serveIntrospection)
	i.server = httptest.NewServer(i.counted(mux))
	t.Cleanup(i.server.Close)
	return i
}

// URL is the issuer's name, as tokens carry it.
func (i *Issuer) URL() string { return i.server.URL + "/" }

// Config is the configuration of an API that accepts the issuer's tokens, on the
// issuer's clock. Its log is the test's.
func (i *Issuer) Config() resource.Config {
	return resource.Config{
		Issuer: i.URL(), Audience: i.audience, Now: i.Now, HTTPClient: i.server.Client(),
		Logger: slog.New(slog.NewTextHandler(i.t.Output(), nil)),
	}
}

// API is what [resource.New] makes of [Issuer.Config]. It is closed with the test.
func (i *Issuer) API() *resource.API {
	i.t.Helper()
	api, err := resource.New(i.t.Context(), i.Config())
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(api.Close)
	return api
}

// Now is the issuer's clock: the real one, and what was advanced.
func (i *Issuer) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.clock().Add(i.ahead)
}

// Advance moves the clock.
func (i *Issuer) Advance(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ahead += d
}

// Stop makes the issuer unreachable, until Start.
func (i *Issuer) Stop() { i.setDown(true) }

// Start makes the issuer reachable again.
func (i *Issuer) Start() { i.setDown(false) }

func (i *Issuer) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// RotateKeys replaces the keys. Tokens of the keys before are refused once an API
// has fetched the new ones.
func (i *Issuer) RotateKeys() {
	keys := newPair(i.t)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Revoke makes introspection say that a token is no longer in force.
func (i *Issuer) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked[token] = true
}

// Requests is how many requests an endpoint has got, those included that were not
// answered because the issuer was stopped.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

func (i *Issuer) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests[r.URL.Path]++
		down := i.down
		i.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler) // unreachable for the client: net/http drops the connection
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                 i.URL(),
		"jwks_uri":               i.server.URL + PathKeys,
		"token_endpoint":         i.server.URL + PathToken,
		"introspection_endpoint": i.server.URL + PathIntrospect,
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"keys": i.keys.public()})
}

// serveIntrospection is RFC 7662 for clients of [Issuer.AddClient].
func (i *Issuer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	if !i.authenticated(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	said := map[string]any{"active": false}
	i.mu.Lock()
	revoked := i.revoked[r.PostFormValue("token")]
	i.mu.Unlock()
	if claims, ok := i.claimsOf(r.PostFormValue("token")); ok && !revoked {
		maps.Copy(said, claims)
		said["active"] = true
	}
	answer(w, http.StatusOK, said)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"error": code, "error_description": "the fake issuer says so"})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever has left reads no answer
}
