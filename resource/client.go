package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// ClientConfig says how a program gets tokens for an API, and where they may go.
type ClientConfig struct {
	// Issuer and Audience are those of the API, with the same defaults as in [Config].
	Issuer   string
	Audience Audience
	// APIs are the origins that the token is sent to, such as
	// https://purchasing.example.com; requests to any other get none. Default: the
	// environment's HANDSET_API, separated by commas, then this machine on any port.
	APIs []string

	ClientID ClientID
	// ClientSecret is empty for a public client, which has a RefreshToken.
	ClientSecret Secret
	// ClientSecretBasic sends the secret in the Authorization header, for a client
	// that is registered with client_secret_basic. Default: in the form
	// (client_secret_post), as Handset registers clients.
	ClientSecretBasic bool

	// RefreshToken is a person's, from the login of an application that asked for
	// offline_access. Empty: the client gets tokens for itself (client credentials).
	RefreshToken Secret
	// KeepRefreshToken is called with each new refresh token, before the access token
	// that came with it is used. The old one is of no use any more: a program that
	// loses the new one has lost the login. A call that fails is repeated at the next
	// use. Required with RefreshToken.
	KeepRefreshToken func(ctx context.Context, token Secret) error

	// Scopes are what to ask for. Default: all that the client may have.
	Scopes Scopes

	// Logger hears of renewals that failed while the old token was still good.
	// Default: slog.Default().
	Logger *slog.Logger
	// HTTPClient reaches the issuer. Its redirects are not followed. Default: one of
	// the client's own.
	HTTPClient *http.Client
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// InsecureSkipHTTPSCheck accepts an issuer and APIs over plain http on other
	// machines than this one. Whoever is on the way can then read secrets and tokens.
	InsecureSkipHTTPSCheck bool
}

func (c ClientConfig) withDefaults(getenv func(string) string) ClientConfig {
	if named := getenv(envAPI); len(c.APIs) == 0 && named != "" {
		c.APIs = strings.Split(named, ",")
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c ClientConfig) validate() error {
	switch {
	case c.ClientID == "":
		return errors.New("a client needs a ClientID")
	case c.RefreshToken == "" && c.ClientSecret == "":
		return errors.New("a client needs a ClientSecret or a RefreshToken")
	case c.RefreshToken != "" && c.KeepRefreshToken == nil:
		return errors.New("a RefreshToken needs KeepRefreshToken: each works once, and the next one must be kept")
	}
	for _, s := range c.Scopes {
		if !s.valid() {
			return fmt.Errorf("%q is no scope", string(s))
		}
	}
	return nil
}

// Client gets tokens for an API and renews them before they expire, one renewal at
// a time. It is safe for concurrent use. Attach its tokens with [RoundTripper], or
// with the credentials of package grpcauth.
type Client struct {
	c ClientConfig
	// api verifies the client's own tokens, and knows the issuer.
	api  *API
	apis []origin

	renewing once[string]

	mu   sync.Mutex
	held held
}

// held is what a client has at a time.
type held struct {
	access           string
	renewAt, expires time.Time
	refresh          Secret
	unkept           bool // the refresh token has not reached KeepRefreshToken yet
	failed           time.Time
	err              error // of the last renewal
}

// NewClient checks the configuration and fetches nothing yet. The client's renewals
// end with ctx.
func NewClient(ctx context.Context, c ClientConfig) (*Client, error) {
	return newClient(ctx, c, os.Getenv)
}

func newClient(ctx context.Context, c ClientConfig, getenv func(string) string) (*Client, error) {
	c = c.withDefaults(getenv)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	apis, err := parseOrigins(c.APIs, c.InsecureSkipHTTPSCheck)
	if err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	api, err := newAPI(ctx, Config{
		Issuer: c.Issuer, Audience: c.Audience, Logger: c.Logger, HTTPClient: c.HTTPClient, Now: c.Now,
		InsecureSkipHTTPSCheck: c.InsecureSkipHTTPSCheck,
	}, getenv)
	if err != nil {
		return nil, err
	}
	return &Client{c: c, api: api, apis: apis, held: held{refresh: c.RefreshToken}}, nil
}

// Close ends renewals under way and waits for them.
func (c *Client) Close() { c.api.Close() }

// Caller is who the API will see: the client's own token, verified as the API does.
func (c *Client) Caller(ctx context.Context) (*Caller, error) {
	token, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	return c.api.Verify(ctx, token)
}

// retryRenewal is how long a renewal that failed is not repeated: callers in that
// time get its error, or the old token while that is good.
const retryRenewal = time.Second

// Token returns an access token that is good for a while. The error may be found to
// be an [AccessDenied], an [OAuthError], or [ErrLoginRequired].
func (c *Client) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	h, now := c.held, c.c.Now()
	c.mu.Unlock()
	good := h.access != "" && now.Before(h.expires) && !h.unkept
	recently := h.err != nil && now.Sub(h.failed).Abs() < retryRenewal
	final := errors.Is(h.err, ErrLoginRequired)
	switch {
	case good && (now.Before(h.renewAt) || recently || final):
		return h.access, nil
	case recently || final:
		return "", h.err
	}
	flight := c.renewing.start(c.api.life, c.renew)
	if good {
		return h.access, nil
	}
	return flight.wait(ctx)
}

// renew gets the next token and remembers how that went.
func (c *Client) renew(ctx context.Context) (string, error) {
	c.mu.Lock()
	h := c.held
	c.mu.Unlock()
	if h.access != "" && !h.unkept && c.c.Now().Before(h.renewAt) {
		return h.access, nil // a renewal ended between a caller's look and this one
	}
	next, err := c.next(ctx, h)
	next.err, next.failed = err, c.c.Now()
	c.mu.Lock()
	c.held = next
	c.mu.Unlock()
	if err != nil {
		if next.access != "" && c.c.Now().Before(next.expires) {
			c.c.Logger.WarnContext(ctx, "token not renewed", slog.Any("err", err))
		}
		return "", err
	}
	return next.access, nil
}

// next is what the client holds after a renewal; with an error it is what it held
// before, or a new refresh token that could not be kept.
func (c *Client) next(ctx context.Context, h held) (held, error) {
	if !h.unkept {
		asked := c.c.Now()
		t, err := c.grant(ctx, h.refresh)
		if err != nil {
			return h, err
		}
		h.access = t.Access
		// Counted from before the request, so that the token never lives longer here
		// than at the issuer, whatever the clocks say.
		life := time.Duration(t.ExpiresIn) * time.Second
		h.expires, h.renewAt = asked.Add(life), asked.Add(life-min(life/10, time.Minute))
		// A client for itself has no use for a refresh token, and no place to keep one.
		if h.refresh != "" && t.Refresh != "" && t.Refresh != h.refresh {
			h.refresh, h.unkept = t.Refresh, true
		}
	}
	if h.unkept {
		if err := c.c.KeepRefreshToken(ctx, h.refresh); err != nil {
			return h, fmt.Errorf("resource: the new refresh token was not kept: %w", err)
		}
		h.unkept = false
	}
	return h, nil
}

// tokenAnswer is RFC 6749 §5.1.
type tokenAnswer struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
	Refresh   Secret `json:"refresh_token"`
}

// grant asks the token endpoint for a token. A refresh token works once, and Handset
// takes a repetition for a lost answer for 30 seconds only; later it would end the
// login. So a request of which nobody knows whether it was served is repeated at
// once, and once more after a pause.
func (c *Client) grant(ctx context.Context, refresh Secret) (tokenAnswer, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "audience": {string(c.api.c.Audience)}}
	var pauses []time.Duration
	if refresh != "" {
		form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(refresh)}}
		pauses = []time.Duration{0, 3 * time.Second}
	}
	if len(c.c.Scopes) > 0 {
		form.Set("scope", c.c.Scopes.String())
	}
	m, err := c.api.issuer.discover(ctx)
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("resource: %w", err)
	}
	for {
		t, err := c.tryGrant(ctx, m.Token, form)
		if err == nil || known(err) || len(pauses) == 0 {
			return t, refused(err, refresh)
		}
		select {
		case <-time.After(pauses[0]):
			pauses = pauses[1:]
		case <-ctx.Done():
			return t, err
		}
	}
}

// known reports whether an error is the issuer's own answer.
func known(err error) bool {
	_, answered := errors.AsType[*OAuthError](err)
	_, denied := errors.AsType[*AccessDenied](err)
	return answered || denied
}

// refused names the one answer that no repetition changes.
func refused(err error, refresh Secret) error {
	if e, ok := errors.AsType[*OAuthError](err); ok && e.Code == "invalid_grant" && refresh != "" {
		return fmt.Errorf("%w: %w", ErrLoginRequired, err)
	}
	return err
}

func (c *Client) tryGrant(ctx context.Context, endpoint string, form url.Values) (tokenAnswer, error) {
	text, err := c.api.issuer.post(ctx, endpoint, form, credentials{c.c.ClientID, c.c.ClientSecret, c.c.ClientSecretBasic})
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("resource: get a token: %w", err)
	}
	var t tokenAnswer
	if err := json.Unmarshal(text, &t); err != nil {
		return tokenAnswer{}, errors.New("resource: the issuer's answer is not understood") // err may quote it
	}
	if t.Access == "" || !strings.EqualFold(t.Type, "Bearer") {
		return tokenAnswer{}, errors.New("resource: the issuer's answer has no bearer token")
	}
	if t.ExpiresIn <= 0 { // it may leave the time out (RFC 6749 §5.1)
		t.ExpiresIn = 60
	}
	return t, nil
}

// AuthorizationError reads the answer that an issuer sends a person back with, the
// query of the redirect URI. It is nil for a code, and else an [AccessDenied] or an
// [OAuthError].
func AuthorizationError(answer url.Values) error {
	if code := answer.Get("error"); code != "" {
		return issuerError(code, answer.Get("error_description"))
	}
	return nil
}
