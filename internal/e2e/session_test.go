package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
)

// silently asks for a code without a page and returns the answer.
func (r *rig) silently(b *browser, client string, pairs ...string) (request, url.Values) {
	b.t.Helper()
	q := r.newRequest(client).with("prompt", "none").with(pairs...)
	return q, r.authorize(b, q).answer()
}

// loginRequired fails unless prompt=none finds nobody.
func (r *rig) loginRequired(b *browser, pairs ...string) {
	b.t.Helper()
	if _, got := r.silently(b, webClient, pairs...); got.Get("error") != "login_required" {
		b.t.Errorf("prompt=none: %v, want login_required", got)
	}
}

// stillIn fails unless prompt=none finds the person, and returns the ID token's claims.
func (r *rig) stillIn(b *browser, pairs ...string) map[string]any {
	b.t.Helper()
	q, got := r.silently(b, webClient, pairs...)
	if got.Get("code") == "" {
		b.t.Fatalf("prompt=none: %v, want a code", got)
	}
	return claims(b.t, r.exchange(webClient, q, got.Get("code")).IDToken)
}

// asksAgain takes a person who has a session through a login that was asked for
// all the same, and returns the claims of the new ID token.
func (r *rig) asksAgain(b *browser, q request, number string) map[string]any {
	b.t.Helper()
	before := len(r.gateway.to(number))
	code := r.login(b, q, number).answer().Get("code")
	if n := len(r.gateway.to(number)); n != before+1 {
		b.t.Errorf("%d texts, want one more than %d", n, before)
	}
	return claims(b.t, r.exchange(q.Get("client_id"), q, code).IDToken)
}

func seconds(t testing.TB, c map[string]any, claim string) int64 {
	t.Helper()
	f, ok := c[claim].(float64)
	if !ok || f != float64(int64(f)) {
		t.Fatalf("%s = %v, want whole seconds", claim, c[claim])
	}
	return int64(f)
}

func TestSingleSignOnNeedsNoSecondText(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(webClient)
	first := claims(t, r.exchange(webClient, q, r.login(b, q, number).answer().Get("code")).IDToken)
	r.clock.Advance(time.Minute)

	for _, client := range []string{basicClient, publicClient, strictClient, nativeClient, webClient} {
		q := r.newRequest(client)
		answer := r.authorize(b, q).answer()
		got := claims(t, r.exchange(client, q, answer.Get("code")).IDToken)
		for _, claim := range []string{"sub", "sid", "auth_time"} {
			if got[claim] != first[claim] {
				t.Errorf("%s: %s = %v, want %v as in the first client", client, claim, got[claim], first[claim])
			}
		}
		if got["aud"] != client {
			t.Errorf("aud = %v, want %s alone", got["aud"], client)
		}
	}
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
	if _, got := r.silently(newBrowser(t), webClient); got.Get("error") != "login_required" {
		t.Errorf("another browser: %v", got)
	}
}

func TestPromptNone(t *testing.T) {
	t.Parallel()
	r := start(t)
	b := newBrowser(t)
	r.loginRequired(b)
	number := newNumber()
	r.login(b, r.newRequest(webClient), number)
	r.stillIn(b)
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
}

// OIDC Core §3.1.2.1: prompt=login and max_age=0 ask whatever session there is.
func TestPromptLoginAndMaxAgeAskForANewCode(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, tt := range []struct {
		name, parameter, value string
		after                  time.Duration
	}{
		{"prompt=login", "prompt", "login", 10 * time.Second},
		{"prompt=login in the same second", "prompt", "login", 0},
		{"max_age=0", "max_age", "0", 10 * time.Second},
		{"max_age=0 in the same second", "max_age", "0", 0},
		{"max_age=1 after 2 s", "max_age", "1", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t) // in a row: they share the clock
			b, number := r.signedIn(t)
			before := seconds(t, r.stillIn(b), "auth_time")
			r.clock.Advance(tt.after)
			if tt.parameter != "prompt" {
				r.loginRequired(b, tt.parameter, tt.value)
			}
			got := seconds(t, r.asksAgain(b, r.newRequest(webClient).with(tt.parameter, tt.value), number), "auth_time")
			if got < before+int64(tt.after/time.Second) {
				t.Errorf("auth_time = %d, want at least %v after %d", got, tt.after, before)
			}
			if now := seconds(t, r.stillIn(b), "auth_time"); now != got {
				t.Errorf("auth_time afterwards = %d, want %d", now, got)
			}
		})
	}
}

func TestMaxAgeThatTheSessionMeetsAsksNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	login := seconds(t, r.stillIn(b), "auth_time")
	r.clock.Advance(time.Minute)
	for _, age := range []string{"61", "3600", "2147483647", "99999999999999999999"} {
		if got := seconds(t, r.stillIn(b, "max_age", age), "auth_time"); got != login {
			t.Errorf("max_age=%s: auth_time = %d, want %d", age, got, login)
		}
	}
	r.loginRequired(b, "max_age", "59")
}

func TestIDTokenHint(t *testing.T) {
	t.Parallel()
	r := start(t)
	idToken := func(b *browser) string {
		q, got := r.silently(b, webClient)
		return r.exchange(webClient, q, got.Get("code")).IDToken
	}
	b, number := r.signedIn(t)
	other, otherNumber := r.signedIn(t)
	own, foreign := idToken(b), idToken(other)
	head, tail, _ := strings.Cut(own, ".")
	stranger := start(t)
	elsewhere, _ := stranger.signedIn(t)
	q, got := stranger.silently(elsewhere, webClient)
	bad := map[string]string{
		"another issuer's":    stranger.exchange(webClient, q, got.Get("code")).IDToken,
		"changed":             head + ".e30" + tail[strings.Index(tail, "."):],
		"without a signature": own[:strings.LastIndex(own, ".")+1],
		"no token":            "x",
	}

	t.Run("of the person who is here", func(t *testing.T) {
		r.in(t).stillIn(b, "id_token_hint", own)
	})
	t.Run("of a client that is not asking", func(t *testing.T) {
		q := r.newRequest(basicClient).with("id_token_hint", own, "prompt", "none")
		if got := r.authorize(b, q).answer(); got.Get("code") == "" {
			t.Errorf("answer: %v", got)
		}
	})
	t.Run("of another person, silently", func(t *testing.T) {
		r.in(t).loginRequired(b, "id_token_hint", foreign)
	})
	for name, hint := range bad {
		t.Run(name+", silently", func(t *testing.T) { r.in(t).loginRequired(b, "id_token_hint", hint) })
		t.Run(name+", with pages", func(t *testing.T) {
			r.authorize(b, r.newRequest(webClient).with("id_token_hint", hint)).wants(http.StatusOK, "Mobile number")
		})
	}
	t.Run("of another person, who then logs in", func(t *testing.T) {
		got := r.in(t).asksAgain(b, r.newRequest(webClient).with("id_token_hint", foreign), otherNumber)
		if got["sub"] != claims(t, foreign)["sub"] {
			t.Errorf("sub = %v, want that of the hint", got["sub"])
		}
	})
	t.Run("of one person, and another logs in", func(t *testing.T) {
		q := r.newRequest(webClient).with("id_token_hint", own)
		got := r.in(t).login(newBrowser(t), q, newNumber()).answer()
		r.wantsError(t, got, "login_required", "")
		if got.Get("state") != q.Get("state") {
			t.Errorf("state = %q", got.Get("state"))
		}
	})
	t.Run("that has expired", func(t *testing.T) {
		r := r.in(t)
		r.clock.Advance(24 * time.Hour)
		third := newBrowser(t)
		r.login(third, r.newRequest(webClient), number)
		r.stillIn(third, "id_token_hint", own)
	})
}

func TestLoginHintFillsInTheNumberAndTextsNobody(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	q := r.newRequest(webClient).with("login_hint", number)
	b := newBrowser(t)
	p := r.authorize(b, q).wants(http.StatusOK)
	if _, fields := p.form("/login/phone"); fields.Get("phone") != number {
		t.Errorf("phone = %q, want the hint", fields.Get("phone"))
	}
	if n := len(r.gateway.to(number)); n != 0 {
		t.Fatalf("%d texts before anybody asked", n)
	}
	// Whoever made the link may not be who reads the page: two digits tell
	// the person which phone to look at, and nobody else which number it is.
	p = p.submit("/login/phone").wants(http.StatusOK, "ending in "+number[len(number)-2:])
	if strings.Contains(p.body, number) || strings.Contains(strings.ReplaceAll(p.words(), " ", ""), number[3:]) {
		t.Errorf("the page shows the number of the hint: %s", p.words())
	}
	r.gateway.wait(number, 1)
	if got := p.submit("/login/code", "code", r.gateway.code(number)).answer(); got.Get("code") == "" {
		t.Errorf("answer: %v", got)
	}

	typed := newNumber()
	p = r.authorize(newBrowser(t), q).submit("/login/phone", "phone", typed).wants(http.StatusOK)
	if !strings.Contains(strings.ReplaceAll(p.words(), " ", ""), typed[3:]) {
		t.Errorf("the page does not show the number that was typed: %s", p.words())
	}
	for hint, want := range map[string]string{
		"someone@example.com": "", "sam1@example.com": "", `"><script>`: "",
		strings.Repeat("9", 4000): strings.Repeat("9", 4000), "<b>+44": "<b>+44",
	} {
		p := r.authorize(newBrowser(t), q.with("login_hint", hint)).wants(http.StatusOK, "Mobile number")
		if _, fields := p.form("/login/phone"); fields.Get("phone") != want {
			t.Errorf("login_hint %q: phone = %q, want %q", hint, fields.Get("phone"), want)
		}
	}
}

func TestUILocalesThatWeLackAreNoError(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, locales := range []string{"en", "en-GB fr", "xx-Zzzz-QQ tlh", "fr-CA fr ja", "!!!", strings.Repeat("de ", 300)} {
		p := r.authorize(newBrowser(t), r.newRequest(webClient).with("ui_locales", locales)).wants(http.StatusOK, "Mobile number")
		if !strings.Contains(p.body, `<html lang="en"`) {
			t.Errorf("%q: the page says no language", locales)
		}
	}
}

// Texts have more languages than pages: the person's own is better than the page's.
func TestTextsAreInTheLanguageThatWasAskedFor(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	for _, c := range []struct{ uiLocales, accept, want string }{
		{"", "", "is your The web app code"},
		{"", "fr-CA,fr;q=0.9,en;q=0.8", "est votre code The web app"},
		{"de-AT en", "fr", "ist Ihr Code für The web app"},
		{"tlh", "ja;q=0.9", "の認証コードです"},
		{"tlh", "sv", "is your The web app code"},
	} {
		b, number := newBrowser(t), newNumber()
		if c.accept != "" {
			b.header.Set("Accept-Language", c.accept)
		}
		r.login(b, r.newRequest(webClient).with("ui_locales", c.uiLocales), number).answer()
		if got := r.gateway.wait(number, 1).Body; !strings.Contains(got, c.want) {
			t.Errorf("ui_locales %q, Accept-Language %q: text %q, want %q", c.uiLocales, c.accept, got, c.want)
		}
	}
}

func TestSessionEndsWhenItRestsForTooLong(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) { c.Sessions.Idle, c.Sessions.Absolute = 3*time.Hour, 100*time.Hour }))
	b, _ := r.signedIn(t)
	for range 5 {
		r.clock.Advance(2*time.Hour + 30*time.Minute)
		r.stillIn(b)
	}
	r.clock.Advance(3*time.Hour + time.Minute)
	r.loginRequired(b)
	r.authorize(b, r.newRequest(webClient)).wants(http.StatusOK, "Mobile number")
}

func TestSessionEndsForGoodHoweverMuchItIsUsed(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) { c.Sessions.Idle, c.Sessions.Absolute = 3*time.Hour, 8*time.Hour }))
	b, _ := r.signedIn(t)
	for range 3 {
		r.clock.Advance(2*time.Hour + 30*time.Minute)
		r.stillIn(b)
	}
	r.clock.Advance(30 * time.Minute)
	r.loginRequired(b)
}

func TestCookiesOfALogin(t *testing.T) {
	t.Parallel()
	t.Run("over https", func(t *testing.T) {
		t.Parallel()
		startTLS(t).checkCookies(trusting(t), "__Host-", true)
	})
	// As only an issuer at a loopback host may be.
	t.Run("over http", func(t *testing.T) {
		t.Parallel()
		start(t).checkCookies(newBrowser(t), "", false)
	})
}

func (r *rig) checkCookies(b *browser, prefix string, secure bool) {
	t := r.t
	seen := map[string]*http.Cookie{}
	b.watch(func(res *http.Response) {
		for _, c := range res.Cookies() {
			seen[c.Name] = c
		}
		if res.Request.URL.Host == r.url().Host && (res.Header.Get("Strict-Transport-Security") == "max-age=31536000") != secure {
			t.Errorf("%s: Strict-Transport-Security = %q", res.Request.URL.Path, res.Header.Get("Strict-Transport-Security"))
		}
	})
	r.login(b, r.newRequest(webClient), newNumber())
	for name, life := range map[string]int{prefix + "handset_txn": 3600, prefix + "handset_sid": 604800} {
		c := seen[name]
		if c == nil {
			t.Errorf("no cookie %s; got %v", name, seen)
			continue
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || c.MaxAge != life || len(c.Value) < 26 {
			t.Errorf("%s: %s", name, c)
		}
	}
	if len(seen) != 2 {
		t.Errorf("cookies: %v", seen)
	}
}
