package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Auth0's single-page applications renew their tokens in a hidden frame: the answer is a
// page that the redirect URI's origin alone may have as a frame, and alone is told.
func TestWebMessageResponse(t *testing.T) {
	t.Parallel()
	r := start(t)
	b := newBrowser(t)
	ask := r.newRequest(publicClient).with("response_mode", "web_message", "prompt", "none")
	told := func(p *page) url.Values {
		t.Helper()
		p.wants(http.StatusOK)
		origin := originOf(r.callback)
		if policy := p.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors "+origin+";") {
			t.Errorf("policy %s", policy)
		}
		if !strings.Contains(p.body, `data-origin="`+origin+`"`) || strings.Contains(p.body, "<form") {
			t.Errorf("page %s", p.body)
		}
		out := url.Values{}
		for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
			out.Set(m[1], m[2])
		}
		if out.Get("state") != ask.Get("state") || out.Get("iss") != r.issuer {
			t.Errorf("told %v", out)
		}
		return out
	}
	if got := told(r.authorize(b, ask)); got.Get("error") != "login_required" || got.Has("code") {
		t.Errorf("without a session: %v", got)
	}
	r.login(b, r.newRequest(publicClient), newNumber())
	got := told(r.authorize(b, ask))
	if answer := r.exchange(publicClient, ask, got.Get("code")); answer.status != http.StatusOK || answer.IDToken == "" {
		t.Errorf("exchange: %d %s", answer.status, answer.Description)
	}
	if got := told(r.authorize(b, ask.with("scope", ""))); got.Get("error") != "invalid_scope" {
		t.Errorf("a bad request: %v", got)
	}

	// Pages that a person has to see are in nobody's frame.
	for name, q := range map[string]request{
		"without prompt": ask.with("prompt", ""),
		"a login":        ask.with("prompt", "login"),
	} {
		answer := r.authorize(b, q).answer()
		if answer.Get("error") != "invalid_request" || !strings.Contains(answer.Get("error_description"), "prompt=none") {
			t.Errorf("%s: %v", name, answer)
		}
	}
	stranger := ask.with("redirect_uri", "https://evil.example/cb")
	if p := r.authorize(b, stranger); p.status != http.StatusBadRequest || !strings.Contains(p.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("another redirect URI: %d %s", p.status, p.header.Get("Content-Security-Policy"))
	}
}
