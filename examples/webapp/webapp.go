// Package webapp is an application that lets people sign in by OpenID Connect: a
// relying party as anybody would write it, with github.com/coreos/go-oidc/v3 and
// golang.org/x/oauth2 and nothing of Handset's. It is there to be copied.
//
// It keeps state, nonce and PKCE verifier in a session, checks each of them, the
// token's signature and its audience, and shows the claims. It stores nothing
// outside its memory.
package webapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Config is what the application must know of the provider, and of itself.
type Config struct {
	// Name is what the application calls itself; "Example application" where empty.
	Name string
	// Issuer is the provider's address, exactly as its tokens carry it. Required.
	Issuer string
	// ClientID is the application's registration. Required.
	ClientID string
	// ClientSecret is empty for a public client: PKCE protects it.
	ClientSecret string
	// AuthStyle is how the secret is sent; by default in the form
	// (client_secret_post).
	AuthStyle oauth2.AuthStyle
	// BaseURL is the application's own address, without a path:
	// "http://localhost:4000". Required. BaseURL/oidc/callback must be registered
	// as a redirect URI, and BaseURL/ as a place to go after logout.
	BaseURL string
	// Scopes are openid, profile and phone where empty.
	Scopes []string
	// InboxURL is a page that shows the texts of a demo provider; may be empty.
	InboxURL string
	// HTTPClient talks to the provider; by default one that waits 10 seconds.
	HTTPClient *http.Client
}

// app is the application while it runs.
type app struct {
	config   Config
	client   *http.Client
	secure   bool
	sessions *sessions

	mu    sync.Mutex
	found *relyingParty
}

// New returns the application. As go-oidc does, it takes the HTTP client from ctx
// (oauth2.HTTPClient) when the configuration has none. It does not talk to the
// provider: the first login does, so that either may start first.
func New(ctx context.Context, config Config) (http.Handler, error) {
	base, err := url.Parse(config.BaseURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("base URL %q is not an address", config.BaseURL)
	}
	if config.Issuer == "" || config.ClientID == "" {
		return nil, errors.New("issuer and client ID are required")
	}
	config.Name = cmp.Or(config.Name, "Example application")
	config.BaseURL = strings.TrimSuffix(config.BaseURL, "/")
	if len(config.Scopes) == 0 {
		config.Scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, "phone"}
	}
	if config.AuthStyle == oauth2.AuthStyleAutoDetect {
		config.AuthStyle = oauth2.AuthStyleInParams
	}
	a := &app{config: config, client: httpClient(ctx, config), secure: base.Scheme == "https", sessions: newSessions()}
	return a.routes(), nil
}

func httpClient(ctx context.Context, config Config) *http.Client {
	if config.HTTPClient != nil {
		return config.HTTPClient
	}
	if client, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok {
		return client
	}
	return &http.Client{Timeout: 10 * time.Second}
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /oidc/callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /icon.svg", icon)
	// Nobody may log a person out by a form on another site.
	return a.secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured sets the headers that every answer has. The form of the logout is
// redirected to the provider and back, and Chromium holds form-action against each
// address on the way.
func (a *app) secured(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; " +
		"frame-ancestors 'none'; form-action 'self' " + origin(a.config.Issuer)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// relyingParty is what discovery tells.
type relyingParty struct {
	provider    *oidc.Provider
	oauth       oauth2.Config
	verifier    *oidc.IDTokenVerifier
	endSession  string
	namesItself bool // the provider's answers carry iss (RFC 9207)
}

const (
	discoveryTries = 5
	discoveryPause = 300 * time.Millisecond
)

// relyingParty reads the provider's discovery document (OIDC Discovery §4) once. A
// provider that is still starting is asked a few times.
func (a *app) relyingParty(ctx context.Context) (*relyingParty, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.found != nil {
		return a.found, nil
	}
	var err error
	for try := range discoveryTries {
		if try > 0 {
			select {
			case <-time.After(discoveryPause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if a.found, err = a.discover(ctx); err == nil {
			return a.found, nil
		}
	}
	return nil, fmt.Errorf("discover %s: %w", a.config.Issuer, err)
}

func (a *app) discover(ctx context.Context) (*relyingParty, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, a.client), a.config.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		EndSession  string `json:"end_session_endpoint"`
		NamesItself bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, err
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = a.config.AuthStyle
	return &relyingParty{
		provider: provider,
		oauth: oauth2.Config{
			ClientID:     a.config.ClientID,
			ClientSecret: a.config.ClientSecret,
			RedirectURL:  a.config.BaseURL + "/oidc/callback",
			Endpoint:     endpoint,
			Scopes:       a.config.Scopes,
		},
		verifier:    provider.Verifier(&oidc.Config{ClientID: a.config.ClientID}),
		endSession:  more.EndSession,
		namesItself: more.NamesItself,
	}, nil
}
