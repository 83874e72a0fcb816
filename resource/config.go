package resource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// What an empty configuration means on a developer's machine: the issuer of
// `handset demo` and the API that it knows.
const (
	DefaultIssuer   = "http://localhost:3000/"
	DefaultAudience = Audience("https://purchasing.example.com")
)

// The environment that fills in what the program leaves empty.
const (
	envIssuer   = "HANDSET_ISSUER"
	envAudience = "HANDSET_AUDIENCE"
	envAPI      = "HANDSET_API"
)

const (
	// defaultRefresh is how often the keys are fetched. Handset publishes a key a
	// day before it signs with it.
	defaultRefresh = 10 * time.Minute
	// retryAfter is how soon a fetch that failed is repeated, and how soon a token
	// that names an unknown key may cause the next one.
	retryAfter = 30 * time.Second
)

// Config says whose tokens an API accepts. The zero value is complete: it takes
// the environment, and where that says nothing, what works on a developer's
// machine.
type Config struct {
	// Issuer is exactly what tokens carry as `iss`, the slash at its end included.
	// Default: the environment's HANDSET_ISSUER, then [DefaultIssuer].
	Issuer string
	// Audience is this API's identifier at the issuer. Default: the environment's
	// HANDSET_AUDIENCE, then [DefaultAudience].
	Audience Audience

	// Introspect makes every call ask the issuer whether the token is still in
	// force, so that revoking a token or blocking a person counts at once. Default:
	// nil, a token is good until it expires.
	Introspect *Introspection

	// Logger gets a record of each token that is refused, never with a part of the
	// token, and of each failure to reach the issuer. Default: slog.Default().
	Logger *slog.Logger
	// HTTPClient reaches the issuer. Its redirects are not followed. Default: one of
	// the API's own.
	HTTPClient *http.Client
	// RefreshEvery is how often the keys are fetched in the background. Default: 10
	// minutes.
	RefreshEvery time.Duration
	// StartWithoutIssuer lets [New] succeed while the issuer can't be reached. Calls
	// are then refused as unavailable until it can.
	StartWithoutIssuer bool
	// Now is the clock that tokens are held against. Default: time.Now.
	Now func() time.Time

	// InsecureSkipHTTPSCheck accepts an issuer over plain http on other machines than
	// this one. Whoever is on the way can then put keys of their own in place of the
	// issuer's and be anyone. For networks that nobody else is on.
	InsecureSkipHTTPSCheck bool
}

// Introspection is how an API asks the issuer about tokens (RFC 7662).
type Introspection struct {
	// ClientID and ClientSecret are those of a client that the issuer lets ask: with
	// Handset one of type non_interactive.
	ClientID     ClientID
	ClientSecret Secret
	// ClientSecretBasic sends the secret in the Authorization header, for a client
	// that is registered with client_secret_basic. Default: in the form
	// (client_secret_post), as Handset registers clients.
	ClientSecretBasic bool
	// CacheFor is how long an answer counts, the time that a revoked token may go on
	// being used. Default: zero, each call asks.
	CacheFor time.Duration
}

// withDefaults fills in what is empty.
func (c Config) withDefaults(getenv func(string) string) Config {
	c.Issuer = cmp.Or(c.Issuer, getenv(envIssuer), DefaultIssuer)
	c.Audience = cmp.Or(c.Audience, Audience(getenv(envAudience)), DefaultAudience)
	c.RefreshEvery = cmp.Or(c.RefreshEvery, defaultRefresh)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	if err := c.Audience.validate(); err != nil {
		return err
	}
	if c.RefreshEvery < time.Second {
		return errors.New("keys can't be fetched more often than once a second")
	}
	if c.Introspect == nil {
		return nil
	}
	if c.Introspect.ClientID == "" || c.Introspect.ClientSecret == "" {
		return errors.New("introspection needs a client ID and a client secret")
	}
	if c.Introspect.CacheFor < 0 {
		return errors.New("introspection answers can't be kept for a negative time")
	}
	return nil
}

// validate wants an identifier that can stand in a header as it is.
func (a Audience) validate() error {
	if strings.ContainsFunc(string(a), notInScope) {
		return fmt.Errorf("audience %q has a space, a quote, a backslash or a letter beyond ASCII", string(a))
	}
	return nil
}
