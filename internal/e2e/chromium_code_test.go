package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/handset-oidc/handset/config"
)

const submitButton = "main form button[type=submit]"

// asks goes as far as the code page.
func (b *tab) asks(r *rig, number string) request {
	b.t.Helper()
	q := b.begins(r)
	before := len(r.gateway.to(number))
	b.fill("#phone", number).click(submitButton).wants(200, "Check your phone")
	r.gateway.wait(number, before+1)
	return q
}

// finishes types the newest code and waits for the client's page.
func (b *tab) finishes(r *rig, q request, number string) {
	b.t.Helper()
	b.fill("#code", r.gateway.code(number)).click(submitButton)
	b.accepted(r, q)
}

// accepted fails unless the client got an answer that it can redeem.
func (b *tab) accepted(r *rig, q request) {
	b.t.Helper()
	got := b.answer()
	if got.Get("state") != q.Get("state") || got.Get("iss") != r.issuer {
		b.t.Errorf("answer: %v", got)
	}
	if tokens := r.exchange(q.Get("client_id"), q, got.Get("code")); tokens.status != http.StatusOK {
		b.t.Errorf("token endpoint: %d %s %s", tokens.status, tokens.Error, tokens.Description)
	}
}

// texted fails unless the number has got n texts.
func (b *tab) texted(r *rig, number string, n int) {
	b.t.Helper()
	if got := len(r.gateway.to(number)); got != n {
		b.t.Errorf("%s: %d texts, want %d", b.look.name, got, n)
	}
}

// notThe is a code that is not the given one.
func notThe(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

func codeTests() []pageTest {
	return []pageTest{
		{"CodePage", nil, codePage},
		{"CodeCountdown", nil, codeCountdown},
		{"CodeErrors", nil, codeErrors},
		{"CodePasted", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			code := r.gateway.code(number)
			b.paste("#code", code[:3]+" "+code[3:]).is("code.value", code[:3]+" "+code[3:]).click(submitButton)
			b.accepted(r, q)
		}},
		{"CodeExpired", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			old := r.gateway.code(number)
			r.clock.Advance(6 * time.Minute)
			b.fill("#code", old).click(submitButton).wants(422, "That code has expired. Send a new code")
			b.is("document.getElementById('code')", "null").is("resend.textContent", "Send a new code")
			b.is("document.querySelectorAll('#summary a, .error, details').length", "0").photographed("code-expired")
			if b.look.js {
				b.is("document.activeElement.id", "summary")
			}
			b.click("#resend").wants(200, "We sent a new code")
			r.gateway.wait(number, 2)
			b.photographed("code-sent-new")
			b.finishes(r, q, number)
		}},
		{"CodeTooManyTries", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			bad := notThe(r.gateway.code(number))
			for left := 4; left > 0; left-- {
				b.fill("#code", bad).click(submitButton).wants(422, fmt.Sprintf("Check the newest message. %d tr", left))
			}
			b.photographed("code-wrong-last")
			b.fill("#code", bad).click(submitButton).wants(422, "That code can no longer be used. Send a new code")
			b.is("document.getElementById('code')", "null").photographed("code-spent")
			r.clock.Advance(time.Minute)
			b.open(r.base+"/login/code?txn="+b.text("document.querySelector('[name=txn]').value")).wants(200, "That code can no longer be used")
			b.click("#resend").wants(200, "We sent a new code")
			r.gateway.wait(number, 2)
			b.finishes(r, q, number)
		}},
		{"ResendTooEarly", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asksThrice(r, number)
			notice := b.text("location.search")
			if b.look.js {
				// The button stays where the keyboard finds it, and does nothing.
				b.is("resend.ariaDisabled", "true").is("resend.disabled", "false")
				b.do(clicking("#resend", 1))
				b.is("location.search", notice)
				// A page whose clock is wrong asks all the same.
				b.leaves(b.running("HTMLFormElement.prototype.submit.call(resend.form)"))
			} else {
				b.click("#resend")
			}
			b.wants(200, "We have not sent another text yet.", "You can ask again in ").photographed("code-too-early")
			b.texted(r, number, 3)
			b.finishes(r, q, number)
		}},
		{"ResendRepeatsTheCode", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			first := r.gateway.code(number)
			r.clock.Advance(40 * time.Second)
			b.leaves(chromedp.Reload()).is("document.getElementById('wait')", "null")
			b.click("#resend").wants(200, "We sent the code again.").says("You can ask again in ")
			if again := r.gateway.wait(number, 2); !strings.Contains(again.Body, first) {
				b.t.Error("the second text has another code")
			}
			b.photographed("code-sent-again")
			b.finishes(r, q, number)
		}},
		{"ChangeNumber", nil, func(r *rig, b *tab) {
			mistyped, number := newNumber(), newNumber()
			q := b.asks(r, mistyped)
			old, txn := r.gateway.code(mistyped), b.text("document.querySelector('[name=txn]').value")
			b.click("main .lead a").wants(200).is("phone.value", mistyped).is("document.querySelector('[name=txn]').value", txn)
			// The wait between texts holds for the place, not for the number.
			r.clock.Advance(40 * time.Second)
			b.fill("#phone", number).click(submitButton).wants(200, "Check your phone", number)
			r.gateway.wait(number, 1)
			if old != r.gateway.code(number) {
				b.fill("#code", old).click(submitButton).wants(422, "That code is not right")
			}
			b.finishes(r, q, number)
		}},
		{"SendLimit", []option{withConfig(func(c *config.Config) {
			c.Limits["send_number"] = config.Limit{Burst: 1, Every: 2 * time.Hour}
		})}, func(r *rig, b *tab) {
			number := newNumber()
			b.asks(r, number)
			b.begins(r)
			b.fill("#phone", number).click(submitButton).wants(429, "We have sent several codes to this number. Try again in 2 hours")
			b.is("phone.value", number).photographed("number-send-limit")
			b.texted(r, number, 1)
		}},
		{"GatewayDown", nil, func(r *rig, b *tab) {
			r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			})
			number := newNumber()
			q := b.begins(r)
			b.fill("#phone", number).click(submitButton).wants(503, "We cannot send texts right now. Try again in a few minutes")
			b.is("phone.value", number).photographed("number-gateway")
			r.gateway.answers(nil)
			b.click(submitButton).wants(200, "Check your phone")
			b.finishes(r, q, number)
		}},
		{"GatewayFailsLate", []option{goesOnUnsent()}, func(r *rig, b *tab) {
			fail := make(chan struct{})
			r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
				<-fail
				w.WriteHeader(http.StatusInternalServerError)
				return false
			})
			number := newNumber()
			q := b.begins(r)
			b.fill("#phone", number).click(submitButton).wants(200, "Check your phone")
			r.gateway.answers(nil)
			close(fail)
			b.untilLogged(r, "failed_late")
			b.leaves(chromedp.Reload()).wants(200, "We cannot send texts right now", "Your number is "+number).photographed("code-gateway-late")
			b.is("document.getElementById('wait')", "null")
			b.click("#resend").wants(200, "Check your phone")
			r.gateway.wait(number, 1)
			b.finishes(r, q, number)
		}},
		{"DoubleClickSendsOneText", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.begins(r)
			b.fill("#phone", number).leaves(clicking(submitButton, 2)).until("document.getElementById('code')")
			r.gateway.wait(number, 1)
			b.texted(r, number, 1)
			if n := b.sent("POST", "/login/phone"); b.look.js && n != 1 {
				b.t.Errorf("%d forms sent, want 1", n)
			}
			b.finishes(r, q, number)
		}},
		{"CodeDoubleClicked", nil, func(r *rig, b *tab) {
			number := newNumber()
			q := b.asks(r, number)
			b.fill("#code", r.gateway.code(number)).leaves(clicking(submitButton, 2))
			if b.look.js {
				b.accepted(r, q)
				return
			}
			// Without JavaScript the second press may drop the answer to the first.
			// The page that the person gets then leads back to the application.
			b.until("document.body && (document.body.innerText.startsWith('callback ') || document.querySelector('a.button'))")
			if b.text("String(document.body.innerText.startsWith('callback '))") == "true" {
				b.accepted(r, q)
				return
			}
			b.click("a.button").until("document.body.innerText.startsWith('callback ')")
		}},
	}
}

func codePage(r *rig, b *tab) {
	number := newNumber()
	q := b.asks(r, number)
	b.says("We sent a 6-digit code to "+number, "It works for 5 minutes and only in this browser.")
	b.is("code.autocomplete", "one-time-code").is("code.inputMode", "numeric").is("code.type", "text").is("code.dir", "ltr")
	b.is("code.getAttribute('pattern')", "null").is("code.maxLength > 10", "true").is("code.required", "true")
	b.is("document.querySelector('bdi').dir", "ltr")
	b.alsoPhotographed("code")
	b.text("document.querySelector('details').open = true")
	b.photographed("code-help")
	b.finishes(r, q, number)
}

// asksThrice goes as far as the code page after the third text, where the wait is
// two minutes: the page counts in real time, and a busy machine must not see the end.
func (b *tab) asksThrice(r *rig, number string) request {
	b.t.Helper()
	q := b.asks(r, number)
	for n := 2; n <= 3; n++ {
		r.clock.Advance(90 * time.Second)
		b.leaves(chromedp.Reload()).is("document.getElementById('wait')", "null")
		b.click("#resend").wants(200, "You can ask again in ")
		r.gateway.wait(number, n)
	}
	return q
}

func codeCountdown(r *rig, b *tab) {
	number := newNumber()
	q := b.asksThrice(r, number)
	if b.look.js {
		first := b.text("wait.textContent")
		b.until(fmt.Sprintf("wait.textContent !== %q && /^You can ask again in [0-2]:[0-5]\\d\\.$/.test(wait.textContent)", first))
		b.is("wait.ariaHidden", "true").is("said.getAttribute('role')", "status")
		b.is("/^You can ask again in [23] minutes\\.$/.test(said.textContent)", "true")
		// Away and back: the count goes on from the deadline, not from where it stood.
		const left = "(([minutes, seconds]) => 60 * minutes + Number(seconds))(wait.textContent.match(/\\d+/g))"
		before := b.text(left)
		r.clock.Advance(10 * time.Second) // as much as the page may have seen
		b.open(r.callback).until("document.body.innerText.startsWith('callback')")
		b.back().until("document.getElementById('wait') && " + left + " <= " + before)
	}
	b.finishes(r, q, number)
}

func codeErrors(r *rig, b *tab) {
	number := newNumber()
	q := b.asks(r, number)
	for _, c := range []struct{ name, typed, says, kept string }{
		{"empty", "", "Enter the 6 digits from the text message", ""},
		{"format", "12345x", "Enter the 6 digits from the text message", ""},
		{"wrong", notThe(r.gateway.code(number)), "That code is not right. Check the newest message. 4 tries left", ""},
	} {
		b.fill("#code", c.typed).click(submitButton).wants(422, "There is a problem", c.says)
		b.is("document.title.startsWith('Error: ')", "true").is("code.value", c.kept).is("code.ariaInvalid", "true")
		b.is("code.getAttribute('aria-describedby')", "code-hint code-error")
		b.is("document.querySelector('#summary a').getAttribute('href')", "#code")
		if b.look.js {
			b.is("document.activeElement.id", "summary")
		}
		b.do(clicking("#summary a", 1))
		b.until("document.activeElement.id === 'code'")
		b.photographed("code-" + c.name)
	}
	b.alsoPhotographed("code-wrong")
	b.finishes(r, q, number)
}

// running is a step of the test in the page.
func (b *tab) running(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](script)
}

// untilLogged waits until the server's log says a word.
func (b *tab) untilLogged(r *rig, word string) {
	b.t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(r.logs.String(), word) {
		select {
		case <-deadline:
			b.t.Fatalf("the log never said %s", word)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
