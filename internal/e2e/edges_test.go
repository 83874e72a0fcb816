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
	b.get(r.base+"/login/resend").wants(http.StatusMethodNotAllowed, "We could not understand this request")
	b.header.Set("Accept", "*/*")
	if p := b.get(r.base + "/oauth/token"); p.status != http.StatusMethodNotAllowed || p.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("GET of the token endpoint: %d %s", p.status, p.header.Get("Content-Type"))
	}
}
