package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Who changes the number before the next text may go out was led to the code page of
// the old number, and what they had typed was gone. Now it stays, and waits as long as
// the place must, not as long as the old number.
func TestAnotherNumberTooEarlyIsKept(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	b, old, number := newBrowser(t), newNumber(), newNumber()
	p := r.askCode(b, r.newRequest(webClient), old)
	for _, wait := range []time.Duration{1, 2, 3, 6} { // until the fifth text: the next one takes three hours
		r.clock.Advance(wait * time.Minute)
		p = p.submit("/login/resend").wants(http.StatusOK, "Check your phone")
	}
	r.gateway.wait(old, 5)
	p.wants(http.StatusOK, "You can ask again in 3 hours.")

	change := b.get(strings.Replace(p.url.String(), "/login/code", "/login/phone", 1)).wants(http.StatusOK, "Mobile number")
	early := change.submit("/login/phone", "phone", number)
	early.wants(http.StatusTooManyRequests, "We have not sent a text to this number yet. Try again in ")
	if _, fields := early.form("/login/phone"); fields.Get("phone") != number {
		t.Errorf("the field holds %q, want what was typed", fields.Get("phone"))
	}
	// The fifth wait of a place is 10 minutes, give or take a tenth.
	if wait, err := strconv.Atoi(early.header.Get("Retry-After")); err != nil || wait < 480 || wait > 665 {
		t.Errorf("Retry-After %q, want the wait of the place, about 10 minutes", early.header.Get("Retry-After"))
	}
	if n := len(r.gateway.to(number)); n != 0 {
		t.Errorf("%d texts to the new number, want none yet", n)
	}
	// The old number is as it was: its code page tells how long it waits.
	change.submit("/login/phone", "phone", old).wants(http.StatusOK, "We have not sent another text yet", "3 hours")

	r.clock.Advance(12 * time.Minute)
	code := early.submit("/login/phone").wants(http.StatusOK, "Check your phone", number)
	code.submit("/login/code", "code", r.gateway.code(number)).answer()
}
