package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/handset-oidc/handset/config"
)

func flowTests(t *testing.T) []pageTest {
	shop := newOnwardShop(t)
	return []pageTest{
		{"BackButton", nil, backButton},
		{"TwoTabsTwoLogins", nil, func(r *rig, b *tab) {
			one, two := newNumber(), newNumber()
			other := b.beside()
			first := b.asks(r, one)
			second := other.asks(r, two)
			other.finishes(r, second, two)
			// The first tab's page still works: its code proves another number.
			b.finishes(r, first, one)
		}},
		{"TwoTabsOneFinished", nil, func(r *rig, b *tab) {
			number := newNumber()
			other := b.beside()
			waiting := other.begins(r)
			b.finishes(r, b.asks(r, number), number)
			other.fill("#phone", number).click(submitButton).wants(200, "You are already signed in here").photographed("signed-in")
			csrf, txn := other.text("document.querySelector('[name=csrf]').value"), other.text("document.querySelector('[name=txn]').value")
			other.click(submitButton)
			other.accepted(r, waiting)
			// Once: the way back leads to no second answer.
			other.open(r.base+"/login/phone?txn="+url.QueryEscape(txn)).wants(200, "You are already signed in here")
			other.is("document.querySelector('[name=csrf]').value", csrf).click(submitButton).wants(200, "You can close this page.")
		}},
		{"TwoTabsOneLogin", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			other := b.beside()
			other.open(b.text("location.href")).wants(200, "Check your phone")
			b.finishes(r, q, number)
			other.fill("#code", r.gateway.code(number)).click(submitButton).wants(200, "You are already signed in here", "You can close this page.")
			other.photographed("signed-in-answered")
		}},
		{"TimedOut", nil, func(r *rig, b *tab) {
			number := newNumber()
			b.asks(r, number)
			r.clock.Advance(40 * time.Minute)
			b.fill("#code", r.gateway.code(number)).click(submitButton)
			b.wants(400, "Your sign-in has timed out", "Go back to The web app to start again").alsoPhotographed("timed-out")
			b.is("document.querySelector('main a.button').href", strings.TrimSuffix(r.callback, "cb"))
		}},
		{"StolenAddress", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			address := b.text("location.href")
			thief := newTab(b.t, oneChromium.ctx, b.look)
			thief.open(address).wants(400, "Your sign-in has timed out").photographed("stolen")
			b.finishes(r, q, number)
		}},
		{"KeyboardOnly", nil, keyboardOnly},
		{"Logout", nil, logoutQuestion},
		{"FormPost", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := r.newRequest(webClient).with("response_mode", "form_post", "state", `a"<b>&é`)
			b.open(r.base + "/authorize?" + q.Encode()).wants(200)
			b.fill("#phone", number).click(submitButton).wants(200, "Check your phone")
			b.fill("#code", r.gateway.code(number))
			if b.look.js {
				b.do(clicking(submitButton, 1))
			} else {
				b.click(submitButton).wants(200, "Taking you back to The web app").photographed("form-post")
				b.click(submitButton)
			}
			b.accepted(r, q)
		}},
		{"OnwardToAnotherOrigin", []option{shop.registered()}, shop.visit},
		{"LoopbackApp", nil, func(r *rig, b *tab) {
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = w.Write([]byte("callback " + req.Method))
			}))
			b.t.Cleanup(app.Close)
			number := newNumber()
			q := r.newRequest(nativeClient).with("redirect_uri", app.URL+"/cb")
			b.open(r.base + "/authorize?" + q.Encode()).wants(200)
			b.fill("#phone", number).click(submitButton).wants(200, "Check your phone")
			b.fill("#code", r.gateway.code(number)).click(submitButton)
			b.accepted(r, q)
		}},
		{"IssuerWithPath", []option{withPath("/openid-connect")}, func(r *rig, b *tab) {
			number := newNumber()
			b.finishes(r, b.asks(r, number), number)
		}},
		{"HintedNumber", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := r.newRequest(webClient).with("login_hint", number)
			b.open(r.base+"/authorize?"+q.Encode()).wants(200).is("phone.value", number)
			b.click(submitButton).wants(200, "We sent a 6-digit code to the number ending in "+number[len(number)-2:])
			if strings.Contains(b.words(), number) {
				b.t.Error("the page shows a number that this browser did not type")
			}
			b.photographed("code-hinted")
			b.finishes(r, q, number)
		}},
		{"Problems", nil, func(r *rig, b *tab) {
			for _, p := range []struct{ name, address, says string }{
				{"unknown-application", "/authorize?" + r.newRequest("nobody").Encode(), "We do not know this application"},
				{"unregistered-redirect", "/authorize?" + r.newRequest(webClient).with("redirect_uri", "https://evil.example/").Encode(),
					"We cannot send you back to this application"},
			} {
				b.open(r.base+p.address).wants(400, p.says).photographed("problem-" + p.name)
			}
			// Here the missing page is what is looked at.
			b.open(r.base+"/no/such/page").wants(404, "There is no such page").photographed("problem-not-found")
			b.excused()
		}},
		{"TooManyTriesFromOneAddress", []option{withConfig(func(c *config.Config) {
			c.Limits["send_address"] = config.Limit{Burst: 1, Every: time.Hour}
		})}, func(r *rig, b *tab) {
			b.asks(r, newNumber())
			b.begins(r)
			b.fill("#phone", newNumber()).click(submitButton).wants(429, "Too many tries from your network", "Try again in 60 minutes").photographed("busy")
		}},
	}
}

func backButton(r *rig, b *tab) {
	number := newNumber()
	q := b.asks(r, number)
	txn := b.text("document.querySelector('[name=txn]').value")
	b.back().says("Sign in to The web app").is("document.querySelector('[name=txn]').value", txn)
	// The same number again at once: no second text, and the code still works.
	b.fill("#phone", number).click(submitButton).wants(200, "Check your phone", "We have not sent another text yet")
	b.texted(r, number, 1)
	b.finishes(r, q, number)
	b.back().says("You are already signed in here", "You can close this page.")
}

// keyboardOnly logs in with Tab, Enter and what is typed.
func keyboardOnly(r *rig, b *tab) {
	number := newNumber()
	q := b.begins(r)
	tabTo := func(id string) {
		for range 12 {
			b.do(chromedp.KeyEvent(kb.Tab))
			if b.text("document.activeElement.id") == id {
				b.is("getComputedStyle(document.activeElement).outlineStyle !== 'none'", "true")
				return
			}
		}
		b.t.Fatalf("Tab never reaches #%s", id)
	}
	tabTo("phone")
	b.do(chromedp.KeyEvent("nobody"))
	b.leaves(chromedp.KeyEvent(kb.Enter)).wants(422)
	// The summary's link leads to the field. With the script the focus waits
	// before it.
	if !b.look.js {
		b.is("document.activeElement === document.body", "true")
	}
	b.do(chromedp.KeyEvent(kb.Tab))
	b.is("document.activeElement.getAttribute('href')", "#phone")
	b.enterOnLink().until("document.activeElement.id === 'phone'")
	b.text("phone.select()")
	b.do(chromedp.KeyEvent(number))
	b.leaves(chromedp.KeyEvent(kb.Enter)).wants(200, "Check your phone")
	tabTo("code")
	b.photo("keyboard-"+b.look.name, b.look.width)
	b.do(chromedp.KeyEvent(r.gateway.code(number)))
	b.leaves(chromedp.KeyEvent(kb.Enter))
	b.accepted(r, q)
}

func logoutQuestion(r *rig, b *tab) {
	number := newNumber()
	b.finishes(r, b.asks(r, number), number)
	to := url.Values{"client_id": {webClient}, "post_logout_redirect_uri": {r.callback + "/bye"}, "state": {"s t"}}
	b.open(r.base+"/oidc/logout?"+to.Encode()).wants(200, "Sign out?").alsoPhotographed("logout")
	b.click(submitButton).until("document.body.innerText.startsWith('callback ')")
	if got := b.text("location.href"); got != r.callback+"/bye?state=s+t" {
		b.t.Errorf("after the logout at %s", got)
	}
	// Signed out: the next login asks for a number.
	b.finishes(r, b.asks(r, number), number)
	b.open(r.base+"/oidc/logout").wants(200, "Sign out?").click(submitButton).wants(200, "You are signed out").photographed("logged-out")
}

// onwardShop is an application whose addresses send people on to its other,
// registered site: Chromium holds form-action against every stop on the way.
type onwardShop struct{ gate, home string }

func newOnwardShop(t *testing.T) *onwardShop {
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "callback %s", req.Method)
	}))
	t.Cleanup(home.Close)
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		http.Redirect(w, req, home.URL+"/?"+req.Form.Encode(), http.StatusSeeOther)
	}))
	t.Cleanup(gate.Close)
	return &onwardShop{gate: gate.URL + "/cb", home: home.URL}
}

const shopClient = "shop"

func (s *onwardShop) registered() option {
	return withClient(shopClient, func(c *config.Client) {
		c.AppType, c.RequirePKCE = "spa", true
		c.Callbacks, c.WebOrigins, c.AllowedLogoutURLs = []string{s.gate}, []string{s.home}, []string{s.gate}
	})
}

func (s *onwardShop) visit(r *rig, b *tab) {
	for _, mode := range []string{"query", "form_post"} {
		number := newNumber()
		q := r.newRequest(shopClient).with("redirect_uri", s.gate, "response_mode", mode)
		b.open(r.base + "/authorize?" + q.Encode()).wants(200)
		b.fill("#phone", number).click(submitButton).wants(200, "Check your phone")
		b.fill("#code", r.gateway.code(number))
		if b.do(clicking(submitButton, 1)); mode == "form_post" && !b.look.js {
			b.until("document.title.startsWith('Taking you back')").click(submitButton)
		}
		b.accepted(r, q)
		b.is("location.origin", s.home)
		b.open(r.base + "/oidc/logout?" + url.Values{"client_id": {shopClient}, "post_logout_redirect_uri": {s.gate}}.Encode())
		b.wants(200, "Sign out?").do(clicking(submitButton, 1))
		b.until("location.origin === '" + s.home + "'")
	}
}
