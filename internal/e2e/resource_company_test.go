package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/storage"
)

// The APIs of the company, and the client that is purchasing's backend.
const (
	archive = "https://archive.example.com"
	backend = "purchasing-api"
)

// company is requirements.md D: APIs of a business, whose people are registered, on
// a running Handset.
type company struct{ beside }

func startCompany(t *testing.T) *company {
	t.Helper()
	return &company{startBeside(t, withConfig(func(c *config.Config) {
		read := []config.Scope{{Value: "read:vendors"}, {Value: "write:vendors"}}
		c.ResourceServers = []config.ResourceServer{
			{Identifier: purchasing, Scopes: read, Claims: config.Claims{"employee_id": "user.employee_id"}, AllowOfflineAccess: true},
			{Identifier: archive, Scopes: read, SigningAlg: "RS256", Users: "any"},
		}
		for i := range c.ResourceServers {
			c.ResourceServers[i].SetDefaults()
		}
		c.ClientGrants = []config.ClientGrant{{ClientID: machine, Audience: purchasing, Scope: []string{"read:vendors"}}}
	}), withClient(backend, func(c *config.Client) {
		c.AppType, c.Callbacks, c.AllowedLogoutURLs = "non_interactive", nil, nil
		c.ClientSecret, c.ResourceServerIdentifier = config.NewSecret(secret), purchasing
	}))}
}

// hire registers a person who may use purchasing.
func (c *company) hire(t *testing.T, employee string) (number string, id storage.UserID) {
	t.Helper()
	number, id = newNumber(), storage.UserID("sms|"+employee)
	stored, err := phone.FromStored(number)
	if err != nil {
		t.Fatal(err)
	}
	now := c.clock.Now()
	err = c.sql.AddUser(t.Context(), storage.User{ID: id, Number: stored, CreatedAt: now, UpdatedAt: now, Attributes: map[string]any{"employee_id": employee}})
	if err != nil {
		t.Fatal(err)
	}
	allowed := storage.Assignment{UserID: id, Audience: purchasing, Allowance: storage.Allowance{AllScopes: true}, CreatedAt: now}
	if err := c.sql.Assign(t.Context(), allowed, now); err != nil {
		t.Fatal(err)
	}
	return number, id
}

// api is an API of the company: its address, and what verifies for it.
func (c *company) api(t *testing.T, audience resource.Audience, in *resource.Introspection) (*httptest.Server, *resource.API) {
	t.Helper()
	api, err := resource.New(t.Context(), resource.Config{Issuer: c.issuer, Audience: audience, Now: c.clock.Now, Introspect: in})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	server := httptest.NewServer(api.RequireScope("read:vendors")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := resource.FromContext(r.Context())
		employee := "none"
		if err := caller.Claim("employee_id", &employee); err != nil && !errors.Is(err, resource.ErrNoClaim) {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s employee %s by %s", caller.Subject, employee, caller.ClientID)
	})))
	t.Cleanup(server.Close)
	return server, api
}

// login logs a number in for an API.
func (c *company) logIn(t *testing.T, audience resource.Audience, number string, scopes ...resource.Scope) (string, error) {
	t.Helper()
	h := c.handset()
	h.Audience, h.Scopes = audience, scopes
	s, err := h.TryLogin(t.Context(), number)
	if err != nil {
		return "", err
	}
	return s.AccessToken, nil
}

// call calls an API with a token.
func call(t *testing.T, address, token string) (int, string) {
	t.Helper()
	got := send(t, http.MethodGet, address, nil, "Authorization", "Bearer "+token)
	return got.status, got.body
}

// TestTokensOfTheServerInTheLibrary: what the server makes is what the library takes,
// by both algorithms, with the scopes and the claims of the API and nobody else's.
func TestTokensOfTheServerInTheLibrary(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	number, id := c.hire(t, "291")
	es, _ := c.api(t, purchasing, nil)
	rs, _ := c.api(t, archive, nil)
	token, err := c.logIn(t, purchasing, number, "read:vendors")
	if err != nil {
		t.Fatal(err)
	}
	if status, body := call(t, es.URL, token); status != http.StatusOK || body != string(id)+" employee 291 by native" {
		t.Errorf("purchasing: %d %s", status, body)
	}
	if status, _ := call(t, rs.URL, token); status != http.StatusUnauthorized {
		t.Errorf("purchasing's token at the archive: %d", status)
	}
	kept, err := c.logIn(t, archive, number, "read:vendors")
	if err != nil {
		t.Fatal(err)
	}
	if header(t, token)["alg"] != "ES256" || header(t, kept)["alg"] != "RS256" {
		t.Errorf("algorithms %v and %v", header(t, token)["alg"], header(t, kept)["alg"])
	}
	if status, body := call(t, rs.URL, kept); status != http.StatusOK || body != string(id)+" employee none by native" {
		t.Errorf("the archive: %d %s", status, body)
	}
	if poor, err := c.logIn(t, purchasing, number, "write:vendors"); err != nil {
		t.Error(err)
	} else if status, _ := call(t, es.URL, poor); status != http.StatusForbidden {
		t.Errorf("without the scope: %d", status)
	}
	// requirements.md D4: afterwards the person logs in again.
	c.clock.Advance(24*time.Hour - time.Minute)
	if status, body := call(t, es.URL, token); status != http.StatusOK {
		t.Errorf("a minute before its end: %d %s", status, body)
	}
	c.clock.Advance(2 * time.Minute)
	if status, _ := call(t, es.URL, token); status != http.StatusUnauthorized {
		t.Errorf("after a day: %d", status)
	}
}

// TestWhoMayNotUseAnAPIIsATypedError: somebody who is not assigned, in the login's
// own answer.
func TestWhoMayNotUseAnAPIIsATypedError(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	_, err := c.logIn(t, purchasing, newNumber(), "read:vendors")
	if denied, ok := errors.AsType[*resource.AccessDenied](err); !ok || denied.Description == "" {
		t.Errorf("error = %v", err)
	}
	_, err = c.logIn(t, "https://unknown.example.com", newNumber())
	if other, ok := errors.AsType[*resource.OAuthError](err); !ok || other.Code != "invalid_target" {
		t.Errorf("an unknown API: %v", err)
	}
}

// TestMachineOfTheLibrary: a client for itself, from its secret to the API's answer.
func TestMachineOfTheLibrary(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	server, _ := c.api(t, purchasing, nil)
	client, err := resource.NewClient(t.Context(), resource.ClientConfig{
		Issuer: c.issuer, Audience: purchasing, APIs: []string{server.URL}, Now: c.clock.Now,
		ClientID: machine, ClientSecret: secret, ClientSecretBasic: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	caller, err := client.Caller(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !caller.IsClient() || !caller.AuthTime.IsZero() || !caller.Scopes.Has("read:vendors") || caller.Scopes.Has("write:vendors") {
		t.Errorf("caller %v with %v", caller, caller.Scopes)
	}
	res, err := (&http.Client{Transport: &resource.RoundTripper{Client: client}}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "machine@clients employee none by machine" {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
}

// TestBlockingCountsAtOnceWhereTheIssuerIsAsked, and at the token's end elsewhere.
func TestBlockingCountsAtOnceWhereTheIssuerIsAsked(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	number, id := c.hire(t, "291")
	asks, _ := c.api(t, purchasing, &resource.Introspection{ClientID: backend, ClientSecret: secret})
	trusts, _ := c.api(t, purchasing, nil)
	token, err := c.logIn(t, purchasing, number, "read:vendors")
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*httptest.Server{asks, trusts} {
		if status, body := call(t, server.URL, token); status != http.StatusOK {
			t.Fatalf("before: %d %s", status, body)
		}
	}
	if err := c.sql.BlockUser(t.Context(), id, c.clock.Now()); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "the token is refused", func() bool {
		status, _ := call(t, asks.URL, token)
		return status == http.StatusUnauthorized
	})
	if status, _ := call(t, trusts.URL, token); status != http.StatusOK {
		t.Errorf("where nobody is asked: %d", status)
	}
	if _, err := c.logIn(t, purchasing, number, "read:vendors"); err == nil {
		t.Error("a blocked person has logged in")
	}
}
