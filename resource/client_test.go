package resource_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// newClient is a client with the secret "a-secret" unless change says otherwise.
func newClient(t *testing.T, issuer *resourcetest.Issuer, change func(*resource.ClientConfig)) *resource.Client {
	t.Helper()
	issuer.AddClient("batch", "a-secret")
	c := resource.ClientConfig{
		Issuer: issuer.URL(), Audience: audience, ClientID: "batch", ClientSecret: "a-secret",
		Now: issuer.Now, Logger: issuer.Config().Logger,
	}
	if change != nil {
		change(&c)
	}
	client, err := resource.NewClient(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// person makes a client that has a person's refresh token, and keeps what it is told
// to keep.
func person(t *testing.T, issuer *resourcetest.Issuer, gives resourcetest.Token, kept *keeper) *resource.Client {
	t.Helper()
	return newClient(t, issuer, func(c *resource.ClientConfig) {
		c.ClientID, c.ClientSecret = "cli", ""
		c.RefreshToken, c.KeepRefreshToken = issuer.RefreshToken(gives), kept.keep
	})
}

// keeper is where a program keeps its refresh token.
type keeper struct {
	mu   sync.Mutex
	all  []resource.Secret
	fail error
}

func (k *keeper) keep(_ context.Context, token resource.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.all = append(k.all, token)
	return nil
}

func (k *keeper) failing(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

func TestAClientForItself(t *testing.T) {
	t.Parallel()
	for name, basic := range map[string]bool{"secret in the form": false, "secret in the header": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := resourcetest.NewIssuer(t, audience)
			client := newClient(t, issuer, func(c *resource.ClientConfig) {
				c.Scopes, c.ClientSecretBasic = resource.Scopes{"read:vendors", "write:vendors"}, basic
			})
			caller, err := client.Caller(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !caller.IsClient() || caller.ClientID != "batch" || !caller.AuthTime.IsZero() || !caller.Scopes.Has("read:vendors", "write:vendors") {
				t.Errorf("caller = %v with %v", caller, caller.Scopes)
			}
			if _, err := issuer.API().Verify(t.Context(), token(t, client)); err != nil {
				t.Errorf("at the API: %v", err)
			}
		})
	}
}

// token is the client's token now.
func token(t *testing.T, c *resource.Client) string {
	t.Helper()
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestTokensAreRenewedBeforeTheyExpire, by one request, while callers go on with the
// old one.
func TestTokensAreRenewedBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	client := newClient(t, issuer, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { token(t, client) })
	}
	all.Wait()
	if got := issuer.Requests(resourcetest.PathToken); got != 1 {
		t.Errorf("%d requests for the first token of 50 callers", got)
	}
	first := token(t, client)
	issuer.Advance(58 * time.Minute)
	if token(t, client) != first || issuer.Requests(resourcetest.PathToken) != 1 {
		t.Error("renewed too early")
	}
	issuer.Advance(time.Minute + 30*time.Second) // half a minute is left
	for range 50 {
		all.Go(func() { token(t, client) })
	}
	all.Wait()
	eventually(t, "there is a new token", func() bool { return token(t, client) != first })
	if got := issuer.Requests(resourcetest.PathToken); got != 2 {
		t.Errorf("%d requests in all", got)
	}
	issuer.Advance(2 * time.Hour) // nobody came by in time
	if expired := token(t, client); expired == first {
		t.Error("an expired token")
	}
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never happens that %s", what)
		}
	}
}

// TestAPersonsClient renews by refresh tokens, which are kept one after the other.
func TestAPersonsClient(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	var kept keeper
	client := person(t, issuer, resourcetest.Token{Subject: "sms|1", ClientID: "cli", Claims: map[string]any{"employee_id": "291"}}, &kept)
	for n := 1; n <= 3; n++ {
		caller, err := client.Caller(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var employee string
		if err := caller.Claim("employee_id", &employee); err != nil || employee != "291" || caller.Subject != "sms|1" {
			t.Errorf("caller = %v, employee %q, %v", caller, employee, err)
		}
		if len(kept.all) != n || n > 1 && kept.all[n-1] == kept.all[n-2] {
			t.Fatalf("%d refresh tokens kept after %d renewals", len(kept.all), n)
		}
		issuer.Advance(2 * time.Hour)
	}
}

// TestARefreshTokenThatCanNotBeKept: no access token is handed out before its
// refresh token is safe, and no second one is asked for meanwhile.
func TestARefreshTokenThatCanNotBeKept(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	kept := keeper{fail: errors.New("disk full")}
	client := person(t, issuer, resourcetest.Token{}, &kept)
	for range 3 {
		if _, err := client.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("error = %v", err)
		}
		issuer.Advance(2 * time.Second)
	}
	kept.failing(nil)
	token(t, client)
	if got := issuer.Requests(resourcetest.PathToken); got != 1 || len(kept.all) != 1 {
		t.Errorf("%d requests, %d kept", got, len(kept.all))
	}
}

// TestALostAnswerIsAskedForAgain at once: later, the issuer would take the old token
// for a stolen one and end the login.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	lost := &losing{path: resourcetest.PathToken}
	client := newClient(t, issuer, func(c *resource.ClientConfig) {
		c.RefreshToken, c.KeepRefreshToken = issuer.RefreshToken(resourcetest.Token{}), (&keeper{}).keep
		c.HTTPClient = &http.Client{Transport: lost}
	})
	token(t, client)
	if lost.times != 1 {
		t.Errorf("%d answers were lost", lost.times)
	}
}

// losing loses the first request to a path on its way.
type losing struct {
	path  string
	mu    sync.Mutex
	times int
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	lose := r.URL.Path == l.path && l.times == 0
	if lose {
		l.times++
	}
	l.mu.Unlock()
	if lose {
		return nil, errors.New("connection reset")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestAPersonWhoIsNotRegistered, or may not use the API, is a typed error.
func TestAPersonWhoIsNotRegistered(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	client := person(t, issuer, resourcetest.Token{Subject: "sms|1"}, &keeper{})
	issuer.Deny("sms|1")
	_, err := client.Token(t.Context())
	denied, ok := errors.AsType[*resource.AccessDenied](err)
	if !ok || denied.Description == "" || errors.Is(err, resource.ErrLoginRequired) {
		t.Errorf("error = %v", err)
	}

	login := resource.AuthorizationError(url.Values{"error": {"access_denied"}, "error_description": {"this person is not registered"}, "state": {"s"}})
	if denied, ok := errors.AsType[*resource.AccessDenied](login); !ok || denied.Description != "this person is not registered" {
		t.Errorf("of a login: %v", login)
	}
	other, ok := errors.AsType[*resource.OAuthError](resource.AuthorizationError(url.Values{"error": {"login_required"}}))
	if !ok || other.Code != "login_required" {
		t.Errorf("another error of a login: %v", other)
	}
	if err := resource.AuthorizationError(url.Values{"code": {"c"}}); err != nil {
		t.Errorf("a code: %v", err)
	}
}

// TestALoginThatIsOver is told as such, without asking the issuer for ever.
func TestALoginThatIsOver(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	client := newClient(t, issuer, func(c *resource.ClientConfig) {
		c.RefreshToken, c.KeepRefreshToken = "used-before", (&keeper{}).keep
	})
	for range 3 {
		_, err := client.Token(t.Context())
		answer, ok := errors.AsType[*resource.OAuthError](err)
		if !errors.Is(err, resource.ErrLoginRequired) || !ok || answer.Code != "invalid_grant" || strings.Contains(err.Error(), "used-before") {
			t.Errorf("error = %v", err)
		}
		issuer.Advance(time.Minute)
	}
	if got := issuer.Requests(resourcetest.PathToken); got != 1 {
		t.Errorf("%d requests", got)
	}
}

// TestAnIssuerThatIsDownForAClient: the old token is used while it is good, and
// failures do not become a storm.
func TestAnIssuerThatIsDownForAClient(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	var clock held
	clock.advance(time.Duration(issuer.Now().UnixNano()))
	way, log := &gate{}, &logs{}
	client := newClient(t, issuer, func(c *resource.ClientConfig) {
		c.HTTPClient, c.Now, c.Logger = &http.Client{Transport: way}, clock.Now, log.logger()
	})
	first := token(t, client)
	way.shut.Store(true)
	clock.advance(59*time.Minute + 30*time.Second)
	if token(t, client) != first {
		t.Error("not the old token")
	}
	eventually(t, "the renewal in the background has failed", func() bool { return strings.Contains(log.String(), "token not renewed") })
	clock.advance(time.Minute)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := client.Token(t.Context()); err == nil {
				t.Error("an expired token")
			}
		})
	}
	all.Wait()
	if got := way.refused.Load(); got != 2 {
		t.Errorf("%d attempts, want that in the background and one for 100 callers", got)
	}
	way.shut.Store(false)
	clock.advance(2 * time.Second)
	if token(t, client) == first {
		t.Error("the old token when the issuer is back")
	}
}

// held is a clock that only a test moves.
type held struct{ at atomic.Int64 }

func (h *held) Now() time.Time          { return time.Unix(0, h.at.Load()) }
func (h *held) advance(d time.Duration) { h.at.Add(int64(d)) }

// gate is a way to the issuer that can be shut.
type gate struct {
	shut    atomic.Bool
	refused atomic.Int64
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.shut.Load() {
		g.refused.Add(1)
		return nil, errors.New("connection refused")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestErrorsOfAClient(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	for name, c := range map[string]struct {
		change func(*resource.ClientConfig)
		code   string
	}{
		"a wrong secret":     {func(c *resource.ClientConfig) { c.ClientSecret = "wrong-one" }, "invalid_client"},
		"an unknown client":  {func(c *resource.ClientConfig) { c.ClientID = "nobody" }, "invalid_client"},
		"an unknown API":     {func(c *resource.ClientConfig) { c.Audience = "urn:other" }, "invalid_target"},
		"the wrong audience": {func(c *resource.ClientConfig) { c.Audience = "urn:other" }, "invalid_target"},
	} {
		_, err := newClient(t, issuer, c.change).Token(t.Context())
		answer, ok := errors.AsType[*resource.OAuthError](err)
		if !ok || answer.Code != c.code || strings.Contains(err.Error(), "wrong-one") {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := newClient(t, issuer, nil)
	client.Close()
	if _, err := client.Token(t.Context()); err == nil {
		t.Error("a token after Close")
	}
	if _, err := newClient(t, issuer, nil).Token(ended(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// answering makes a client for itself whose issuer gives this answer for a token.
func answering(t *testing.T, text string) *resource.Client {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := text
		if r.URL.Path == resourcetest.PathMetadata {
			text = strings.ReplaceAll(`{"issuer":"MINE/","token_endpoint":"MINE/token"}`, "MINE", s.URL)
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	client, err := resource.NewClient(t.Context(), resource.ClientConfig{Issuer: s.URL + "/", ClientID: "c", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestAnswersWithMoreOrLess: an issuer may leave the time out, and add what nobody
// has asked for.
func TestAnswersWithMoreOrLess(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"access_token":"a","token_type":"bearer"}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"r","x":{}}`,
	} {
		if got := token(t, answering(t, text)); got != "a" {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// Answers of a token endpoint that has lost its mind.
func TestAnswersThatAreNoToken(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":             `<html>secret-token`,
		"no token":            `{"token_type":"Bearer","expires_in":60}`,
		"another type":        `{"access_token":"secret-token","token_type":"DPoP","expires_in":60}`,
		"a time that is none": `{"access_token":"secret-token","token_type":"Bearer","expires_in":"soon"}`,
	} {
		if got, err := answering(t, text).Token(t.Context()); err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestClientConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	keep := func(context.Context, resource.Secret) error { return nil }
	for name, c := range map[string]resource.ClientConfig{
		"no ID":                         {ClientSecret: "s"},
		"no secret":                     {ClientID: "c"},
		"a refresh token without a way": {ClientID: "c", RefreshToken: "r"},
		"a scope that is none":          {ClientID: "c", ClientSecret: "s", Scopes: resource.Scopes{"a b"}},
		"an API over plain http":        {ClientID: "c", ClientSecret: "s", APIs: []string{"http://purchasing.example.com"}},
		"an API without a scheme":       {ClientID: "c", ClientSecret: "s", APIs: []string{"purchasing.example.com"}},
		"an API by another scheme":      {ClientID: "c", ClientSecret: "s", APIs: []string{"ftp://localhost"}},
		"an API with a password":        {ClientID: "c", ClientSecret: "s", APIs: []string{"https://u:p@localhost"}},
		"an empty API":                  {ClientID: "c", RefreshToken: "r", KeepRefreshToken: keep, APIs: []string{""}},
		"an issuer over plain http":     {ClientID: "c", ClientSecret: "s", Issuer: "http://login.example.com/"},
	} {
		if _, err := resource.NewClient(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
