package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// visitor is a browser with a session, and what the client web got for it.
type visitor struct {
	*browser
	number string
	tokens tokens
}

func (r *rig) visitor() visitor {
	r.t.Helper()
	v := visitor{browser: newBrowser(r.t), number: newNumber()}
	q := r.newRequest(webClient)
	v.tokens = r.exchange(webClient, q, r.login(v.browser, q, v.number).answer().Get("code"))
	return v
}

func (r *rig) bye() string { return r.callback + "/bye" }

// logout opens the logout endpoint with parameters in pairs.
func (r *rig) logout(b *browser, pairs ...string) *page {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return b.get(r.base + "/oidc/logout?" + v.Encode())
}

// atBye fails unless the browser is at the registered address, with this state.
func (r *rig) atBye(p *page, state ...string) {
	p.b.t.Helper()
	if p.status != http.StatusOK || !strings.HasPrefix(p.url.String(), r.bye()) || strings.Join(p.url.Query()["state"], "|") != strings.Join(state, "|") {
		p.b.t.Errorf("at %s (%d), want %s with state %q; it says: %s", p.url, p.status, r.bye(), state, p.words())
	}
}

// loggedOut fails unless session and tokens are over.
func (r *rig) loggedOut(v visitor) {
	r.t.Helper()
	r.loginRequired(v.browser)
	r.wantsDead(webClient, v.tokens.AccessToken)
	r.refresh(webClient, v.tokens.Refresh).wantsRefused(r.t, http.StatusBadRequest, "invalid_grant")
}

// untouched fails unless session and tokens are as they were.
func (r *rig) untouched(v visitor) {
	r.t.Helper()
	r.stillIn(v.browser)
	r.wantsAlive(webClient, v.tokens.AccessToken)
}

// RP-Initiated Logout §2: with an ID token of this very session nobody is asked.
func TestLogoutWithTheSessionsIDToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, more := range map[string][]string{
		"alone":                 nil,
		"with client_id":        {"client_id", webClient},
		"with unknown words":    {"logout_hint", "x", "federated", ""},
		"with empty parameters": {"client_id", "", "ui_locales", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			v := r.visitor()
			state := hardTexts()["what separates"] + hardTexts()["right-to-left, joined"]
			r.atBye(r.logout(v.browser, append(more, "id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye(), "state", state)...), state)
			r.loggedOut(v)
		})
	}
	t.Run("by POST", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		v := r.visitor()
		r.atBye(v.post(r.base+"/oidc/logout", url.Values{"id_token_hint": {v.tokens.IDToken}, "post_logout_redirect_uri": {r.bye()}, "state": {"s"}}), "s")
		r.loggedOut(v)
	})
	t.Run("without an address", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		v := r.visitor()
		r.logout(v.browser, "id_token_hint", v.tokens.IDToken, "state", "s").wants(http.StatusOK, "You are signed out")
		r.loggedOut(v)
	})
	t.Run("without a state", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		v := r.visitor()
		r.atBye(r.logout(v.browser, "id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye()))
	})
	t.Run("that has expired", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		v := r.visitor()
		r.clock.Advance(48 * time.Hour)
		r.atBye(r.logout(v.browser, "id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye()))
		r.loginRequired(v.browser)
	})
	t.Run("a second time", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		v := r.visitor()
		for range 2 {
			r.atBye(r.logout(v.browser, "id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye()))
		}
	})
}

// Anyone can send a person to our logout: without proof that it is the
// application at hand who asks, the person decides.
func TestLogoutAsksThePerson(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	stranger := r.visitor()
	for name, pairs := range map[string][]string{
		"nothing":                       nil,
		"only a state":                  {"state", "s"},
		"client_id":                     {"client_id", webClient},
		"client_id and address":         {"client_id", webClient, "post_logout_redirect_uri", r.bye(), "state", "s"},
		"another person's ID token":     {"id_token_hint", stranger.tokens.IDToken},
		"ID token and address of those": {"id_token_hint", stranger.tokens.IDToken, "post_logout_redirect_uri", r.bye(), "state", "s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			v := r.visitor()
			p := r.logout(v.browser, pairs...).wants(http.StatusOK, "Sign out")
			r.untouched(v)
			p = p.submit("/oidc/logout", "decision", "approve")
			if strings.Contains(strings.Join(pairs, " "), r.bye()) {
				r.atBye(p, "s")
			} else {
				p.wants(http.StatusOK, "You are signed out")
			}
			r.loggedOut(v)
		})
	}
	t.Run("an ID token of an earlier session", func(t *testing.T) {
		t.Parallel()
		r := r.in(t)
		v := r.visitor()
		r.asksAgain(v.browser, r.newRequest(webClient).with("prompt", "login"), v.number)
		r.logout(v.browser, "id_token_hint", v.tokens.IDToken).wants(http.StatusOK, "Sign out")
		r.stillIn(v.browser)
	})
	r.untouched(stranger)
}

func TestLogoutOfNobody(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, pairs := range [][]string{
		nil, {"state", "s"}, {"client_id", webClient}, {"client_id", webClient, "post_logout_redirect_uri", r.bye(), "state", "s"},
	} {
		p := r.logout(newBrowser(t), pairs...).wants(http.StatusOK, "You are signed out")
		if p.url.Path != "/oidc/logout" {
			t.Errorf("%v: led to %s by a request that anyone can make", pairs, p.url)
		}
	}
	v := r.visitor()
	r.atBye(r.logout(newBrowser(t), "id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye(), "state", "s"), "s")
	r.untouched(v)
}

func TestLogoutRefuses(t *testing.T) {
	t.Parallel()
	r := start(t)
	v := r.visitor()
	stranger := start(t)
	foreign := stranger.visitor().tokens.IDToken
	for name, pairs := range map[string][]string{
		"an address that is not registered":       {"id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", "https://evil.example/"},
		"an address with more path":               {"id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye() + "/x"},
		"an address with a query":                 {"id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.bye() + "?x"},
		"the address of a login":                  {"id_token_hint", v.tokens.IDToken, "post_logout_redirect_uri", r.callback},
		"an address of nobody knows whom":         {"post_logout_redirect_uri", r.bye()},
		"an address of a client that has none":    {"client_id", machine, "post_logout_redirect_uri", r.bye()},
		"a client that nobody knows":              {"client_id", "nobody"},
		"a client that is not the ID token's":     {"id_token_hint", v.tokens.IDToken, "client_id", basicClient},
		"an ID token of another issuer":           {"id_token_hint", foreign, "post_logout_redirect_uri", r.bye()},
		"an ID token without its signature":       {"id_token_hint", v.tokens.IDToken[:strings.LastIndex(v.tokens.IDToken, ".")+1]},
		"an access token in place of an ID token": {"id_token_hint", v.tokens.AccessToken},
	} {
		p := r.logout(v.browser, pairs...)
		if p.status != http.StatusBadRequest || p.url.Path != "/oidc/logout" {
			t.Errorf("%s: %d at %s: %s", name, p.status, p.url, p.words())
		}
		for n := range p.doc.Descendants() {
			if n.Type == html.ElementNode && (attribute(n, "action") != "" || strings.Contains(attribute(n, "href"), "evil")) {
				t.Errorf("%s: the page leads on: %s %v", name, n.Data, n.Attr)
			}
		}
	}
	for _, twice := range []string{"client_id=web&client_id=web", "state=a&state=b", "post_logout_redirect_uri=a&post_logout_redirect_uri=b"} {
		if p := v.get(r.base + "/oidc/logout?" + twice); p.status != http.StatusBadRequest {
			t.Errorf("%s: %d", twice, p.status)
		}
	}
	r.untouched(v)
}

// Logout CSRF: only the form that this browser was shown while signed in counts.
func TestForeignLogoutFormIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	v, attacker := r.visitor(), r.visitor()
	_, own := r.logout(v.browser).form("/oidc/logout")
	_, theirs := r.logout(attacker.browser).form("/oidc/logout")
	theirs.Set("decision", "approve")
	for name, form := range map[string]url.Values{
		"of another browser":    theirs,
		"without a token":       {"decision": {"approve"}, "logout": own["logout"]},
		"with a changed token":  {"decision": {"approve"}, "logout": own["logout"], "csrf": {own.Get("csrf") + "A"}},
		"with a changed target": {"decision": {"approve"}, "logout": {"e30"}, "csrf": own["csrf"]},
		"without a target":      {"decision": {"approve"}, "csrf": own["csrf"]},
		"of nobody":             {"decision": {"approve"}},
	} {
		if p := v.post(r.base+"/oidc/logout", form); p.status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403: %s", name, p.status, p.words())
		}
		r.untouched(v)
	}
	own.Set("decision", "approve")
	v.post(r.base+"/oidc/logout", own).wants(http.StatusOK, "You are signed out")
	r.loggedOut(v)
	r.untouched(attacker)
}

// The application whose session it was is not the only one: all that came of
// the session ends with it.
func TestLogoutEndsTheTokensOfEveryClientOfTheSession(t *testing.T) {
	t.Parallel()
	r := start(t)
	v := r.visitor()
	q := r.newRequest(basicClient)
	second := r.exchange(basicClient, q, r.authorize(v.browser, q).answer().Get("code"))
	elsewhere := newBrowser(t)
	q = r.newRequest(webClient)
	other := r.exchange(webClient, q, r.login(elsewhere, q, v.number).answer().Get("code"))

	r.logout(v.browser, "id_token_hint", second.IDToken).wants(http.StatusOK, "You are signed out")
	r.loggedOut(v)
	r.wantsDead(basicClient, second.AccessToken)
	r.refresh(basicClient, second.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	// The person's phone is another session than the person's desk.
	r.stillIn(elsewhere)
	r.wantsAlive(webClient, other.AccessToken)
}

func TestCookieIsTakenAwayAtLogout(t *testing.T) {
	t.Parallel()
	r := start(t)
	v := r.visitor()
	var gone bool
	v.watch(func(res *http.Response) {
		for _, c := range res.Cookies() {
			gone = gone || c.Name == "handset_sid" && c.Value == "" && c.MaxAge < 0
		}
	})
	r.logout(v.browser, "id_token_hint", v.tokens.IDToken)
	if !gone {
		t.Error("the session cookie stays")
	}
}

func TestLogoutAfterASecondLoginEndsTheTokensOfBoth(t *testing.T) {
	t.Parallel()
	r := start(t)
	v := r.visitor()
	q := r.newRequest(basicClient).with("prompt", "login")
	second := r.exchange(basicClient, q, r.login(v.browser, q, v.number).answer().Get("code"))
	r.wantsAlive(webClient, v.tokens.AccessToken)
	r.logout(v.browser, "id_token_hint", second.IDToken).wants(http.StatusOK, "You are signed out")
	r.loggedOut(v)
}
