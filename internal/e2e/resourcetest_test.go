package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// handset is what the tests of an API would log in to.
func (r *rig) handset() resourcetest.Handset {
	return resourcetest.Handset{
		Issuer: r.issuer, ClientID: nativeClient, RedirectURI: "http://127.0.0.1/cb",
		Code: func(_ context.Context, number string) (string, error) { return r.gateway.code(number), nil },
	}
}

// TestLoginOfTheLibrary: package resourcetest goes through the real pages.
func TestLoginOfTheLibrary(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) {
		c.TestNumbers = []config.TestNumber{{Number: "+15005550006", Code: config.NewSecret("424242")}}
	}))
	number := newNumber()
	h := r.handset()
	h.Scopes = append(h.Scopes, "phone", "offline_access")
	got := h.Login(t, number)
	if status, info := r.userinfo(got.AccessToken); status != http.StatusOK || info["phone_number"] != number {
		t.Errorf("userinfo: %d %v", status, info)
	}
	if got.IDToken == "" || got.RefreshToken == "" || !got.Scopes.Has("openid", "phone", "offline_access") || got.ExpiresIn != time.Hour {
		t.Errorf("session: scopes %v for %v", got.Scopes, got.ExpiresIn)
	}

	confidential := r.handset()
	confidential.ClientID, confidential.ClientSecret, confidential.RedirectURI = webClient, secret, r.callback
	if again := confidential.Login(t, number); claims(t, again.IDToken)["sub"] != claims(t, got.IDToken)["sub"] {
		t.Error("the same number is another person")
	}

	fixed := r.handset()
	fixed.Code = nil
	fixed.Login(t, "+15005550006")
}

// TestLoginsOfTheLibraryThatFail say what the page says.
func TestLoginsOfTheLibraryThatFail(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, c := range map[string]struct {
		change func(*resourcetest.Handset)
		number string
		says   string
	}{
		"a wrong code": {func(h *resourcetest.Handset) {
			h.Code = func(_ context.Context, number string) (string, error) {
				return otherCode(r.gateway.code(number), 1), nil
			}
		}, newNumber(), "That code is not right"},
		"a code that can't be read": {func(h *resourcetest.Handset) {
			h.Code = func(context.Context, string) (string, error) { return "", errors.New("no reception") }
		}, newNumber(), "no reception"},
		"no number":              {func(*resourcetest.Handset) {}, "+1", "does not ask for code"},
		"an unknown client":      {func(h *resourcetest.Handset) { h.ClientID = "nobody" }, newNumber(), "does not ask for phone"},
		"an unknown callback":    {func(h *resourcetest.Handset) { h.RedirectURI = "http://127.0.0.1/other" }, newNumber(), "does not ask for phone"},
		"another issuer's name":  {func(h *resourcetest.Handset) { h.Issuer = r.base }, newNumber(), "the issuer there is"},
		"no issuer":              {func(h *resourcetest.Handset) { h.Issuer = "http://127.0.0.1:1/" }, newNumber(), "is it running?"},
		"no inbox":               {func(h *resourcetest.Handset) { h.Code = nil }, newNumber(), "only the demo has an inbox"},
		"a secret that is wrong": {func(h *resourcetest.Handset) { h.ClientID, h.ClientSecret, h.RedirectURI = webClient, "x", r.callback }, newNumber(), "invalid_client"},
	} {
		h := r.handset()
		c.change(&h)
		if _, err := h.TryLogin(t.Context(), c.number); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoginAtTheDemo: with nothing configured but where it listens, by a test number
// and by the inbox; and an API of an empty configuration takes the tokens. Not
// parallel: it sets the environment.
func TestLoginAtTheDemo(t *testing.T) {
	t.Setenv("HANDSET_ISSUER", startDemo(t, build(t), "--listen", "localhost:0", "--app-listen", "localhost:0").provider)
	api, err := resource.New(t.Context(), resource.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	token := resourcetest.Login(t, "+15005550006").AccessToken
	first, err := api.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var employee string
	if err := first.Claim("employee_id", &employee); err != nil || employee != "291" {
		t.Errorf("the demo's employee is %q: %v", employee, err)
	}
	// Others may log in, and not for the API.
	h := resourcetest.FromEnvironment()
	if _, err := h.TryLogin(t.Context(), "+447700900982"); !errors.As(err, new(*resource.AccessDenied)) {
		t.Errorf("somebody else gets %v", err)
	}
	h.Audience = ""
	people := map[any]bool{string(first.Subject): true}
	for _, number := range []string{"+447700900982", "+447700900982", "+819012345678"} {
		people[claims(t, h.Login(t, number).IDToken)["sub"]] = true
	}
	if len(people) != 3 {
		t.Errorf("%d people with three numbers", len(people))
	}
}

// TestVisit: the library is the browser of somebody whom a program asks to log in.
func TestVisit(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	browser := resourcetest.Handset{Issuer: r.issuer, Code: func(_ context.Context, number string) (string, error) { return r.gateway.code(number), nil }}
	request := r.base + "/authorize?" + r.newRequest(webClient).Encode()
	back, err := browser.Visit(t.Context(), request, number)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Scheme + "://" + back.Host + back.Path; got != r.callback || back.Query().Get("code") == "" || back.Query().Get("iss") != r.issuer {
		t.Errorf("came back to %s", back)
	}
	for name, request := range map[string]string{
		"no address": "://", "nowhere to come back to": r.issuer + "authorize?client_id=" + webClient,
		"another callback": r.base + "/authorize?" + r.newRequest(webClient).with("redirect_uri", r.callback+"/elsewhere").Encode(),
	} {
		if back, err := browser.Visit(t.Context(), request, number); err == nil {
			t.Errorf("%s: %s", name, back)
		}
	}
}
