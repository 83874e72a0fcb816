package e2e

import (
	"net/http"
	"testing"
	"time"
)

// A session answers a login that waits in another tab only as long as it is as
// young as that login's max_age asks.
func TestContinueKeepsMaxAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		wait time.Duration
		says string
	}{
		{"young enough", 10 * time.Second, "already signed in"},
		{"too old", 5 * time.Minute, "Enter your mobile number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			b, number := newBrowser(t), newNumber()
			waiting := r.authorize(b, r.newRequest(webClient).with("max_age", "60")).wants(http.StatusOK)
			r.login(b, r.newRequest(basicClient), number).answer()
			r.clock.Advance(c.wait)
			b.get(waiting.url.String()).wants(http.StatusOK, c.says)
		})
	}
}

// Someone who opens the address of a form in a browser reads a page, and an
// application reads OAuth JSON.
func TestWrongMethodIsToldInTheCallersForm(t *testing.T) {
	t.Parallel()
	r := start(t)
	b := newBrowser(t)
	b.header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for _, address := range []string{"/login/resend", "/oauth/token"} {
		b.get(r.base+address).wants(http.StatusMethodNotAllowed, "This address cannot be opened in a browser", "this address takes ")
	}
	b.header.Set("Accept", "*/*")
	if p := b.get(r.base + "/oauth/token"); p.status != http.StatusMethodNotAllowed || p.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("GET of the token endpoint: %d %s", p.status, p.header.Get("Content-Type"))
	}
}

// A developer types the number that the page shows. Where real people log in
// nobody can own it, and a text to it would be for nobody.
func TestTheExampleCanBeTypedOnADevelopersMachine(t *testing.T) {
	t.Parallel()
	const example = "07700 900 982"
	local := start(t, britain())
	p := local.authorize(newBrowser(t), local.newRequest(webClient)).wants(http.StatusOK, example)
	p.submit("/login/phone", "phone", example).wants(http.StatusOK, "Check your phone")
	local.gateway.wait("+447700900982", 1)

	real := startTLS(t, britain())
	p = real.authorize(trusting(t), real.newRequest(webClient)).wants(http.StatusOK, example)
	p.submit("/login/phone", "phone", example).wants(http.StatusUnprocessableEntity, "Enter a mobile number")
}
