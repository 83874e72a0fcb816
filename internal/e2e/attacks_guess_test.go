package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// security.md row 1.
func TestAttackGuessOneCode(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		number := newNumber()
		p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
		code := r.gateway.code(number)
		for n := range 4 {
			p = p.submit("/login/code", "code", wrong(code, n))
			p.wants(http.StatusUnprocessableEntity, fmt.Sprintf("%d tr", 4-n))
		}
		guess := r.stolen(p, "/login/code")
		p.submit("/login/code", "code", wrong(code, 4)).wants(http.StatusUnprocessableEntity, "can no longer be used")
		for range 3 {
			got := guess.with("code", code).send(t)
			if got.status != http.StatusUnprocessableEntity || got.header.Get("Location") != "" {
				t.Errorf("the right code after five wrong ones: %d to %q", got.status, got.header.Get("Location"))
			}
		}
	})
}

// Malformed codes are not counted as tries; without an end to them they would
// be free questions.
func TestAttackMalformedCodesWithoutEnd(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	guess := r.stolen(r.askCode(newBrowser(t), r.newRequest(webClient), number), "/login/code")
	code := r.gateway.code(number)
	for n := range 20 {
		junk := []string{"", "12345", code + "1", code + "," + code, "0x" + code, code + "\x00", "-" + code + "x", "'or'1"}[n%8]
		if got := guess.with("code", junk).send(t); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", junk, got.status)
		}
	}
	if got := guess.with("code", code).send(t); got.status != http.StatusUnprocessableEntity {
		t.Errorf("the right code after 20 malformed ones: %d", got.status)
	}
}

// security.md rows 2 and 3: a new login brings new tries, but the number's
// budget is not refilled; spent, it makes codes longer and locks nobody out.
func TestAttackFreshLoginsForMoreGuesses(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		number := newNumber()
		for range 2 {
			guess := r.stolen(r.askCode(newBrowser(t), r.newRequest(webClient), number), "/login/code")
			code := r.gateway.code(number)
			if len(code) != 6 {
				t.Fatalf("a code of %d digits", len(code))
			}
			for n := range 5 {
				guess.with("code", wrong(code, n)).send(t)
			}
		}
		b, q := newBrowser(t), r.newRequest(webClient)
		p := r.askCode(b, q, number)
		code := r.gateway.code(number)
		if len(code) != 8 {
			t.Errorf("after ten wrong guesses the next code has %d digits, want 8", len(code))
		}
		if got := p.submit("/login/code", "code", code).answer(); got.Get("code") == "" {
			t.Errorf("the person is locked out: %v", got)
		}
	})
}

// checks counts the outcomes of checked codes in the rig's log, by reason.
func (r *rig) checks() map[string]int {
	out := map[string]int{}
	for line := range strings.Lines(r.logs.String()) {
		if !strings.Contains(line, `"msg":"sms code checked"`) {
			continue
		}
		for _, reason := range []string{"wrong", "malformed", "dead", "expired", "used", "gone", "too_many"} {
			if strings.Contains(line, `"reason":"`+reason+`"`) {
				out[reason]++
			}
		}
		if strings.Contains(line, `"outcome":"accepted"`) {
			out["accepted"]++
		}
	}
	return out
}

// security.md row 6: 200 guesses at once, and no more than five are evaluated.
func TestAttackParallelGuesses(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine, withoutAddressLimits())
		for range 2 {
			number := newNumber()
			guess := r.stolen(r.askCode(newBrowser(t), r.newRequest(webClient), number), "/login/code")
			code := r.gateway.code(number)
			before := r.checks()
			opened := make([]bool, 200)
			atOnce(len(opened), func(i int) {
				typed := wrong(code, i)
				if i == 100 {
					typed = code
				}
				got := decided(t, func() reply { return guess.with("code", typed).send(t) })
				opened[i] = strings.HasPrefix(got.header.Get("Location"), r.callback)
			})
			after := r.checks()
			if evaluated := after["wrong"] - before["wrong"] + after["accepted"] - before["accepted"]; evaluated > 5 {
				t.Errorf("%d guesses were evaluated, want 5 at most", evaluated)
			}
			if i := slices.Index(opened, true); i >= 0 && i != 100 {
				t.Errorf("a wrong code opened the login")
			}
			if got := guess.with("code", code).send(t); strings.HasPrefix(got.header.Get("Location"), r.callback) {
				t.Error("the right code opened the login after 200 guesses")
			}
		}
	})
}

// verify_address: one address may try so many codes, whichever they belong to,
// and is then told to wait; nothing is looked at any more.
func TestAttackSprayGuessesFromOneAddress(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	b := newBrowser(t)
	guess := r.stolen(r.askCode(b, r.newRequest(webClient), number), "/login/code")
	code := r.gateway.code(number)
	for n := range 60 {
		if got := guess.with("code", wrong(code, n)).send(t); got.status != http.StatusUnprocessableEntity {
			t.Fatalf("guess %d: %d", n+1, got.status)
		}
	}
	got := guess.with("code", code).send(t)
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("guess 61: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if n := r.checks()["too_many"]; n != 1 {
		t.Errorf("%d guesses were refused by the limit, want 1", n)
	}
}

// security.md row 7: one right code, fifty forms, one answer and one session.
func TestAttackSpendOneCodeTwiceInParallel(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		number, q := newNumber(), r.newRequest(webClient)
		guess := r.stolen(r.askCode(newBrowser(t), q, number), "/login/code", "code", r.gateway.code(number))
		answers := make([]reply, 50)
		atOnce(len(answers), func(i int) { answers[i] = decided(t, func() reply { return guess.send(t) }) })
		var codes []string
		sessions := 0
		for _, a := range answers {
			if code := a.location(t).Query().Get("code"); code != "" {
				codes = append(codes, code)
			}
			if strings.Contains(strings.Join(a.header.Values("Set-Cookie"), ";"), "handset_sid=") {
				sessions++
			}
		}
		if len(codes) != 1 || sessions != 1 {
			t.Fatalf("%d authorization codes and %d sessions, want one of each", len(codes), sessions)
		}
		if got := r.in(t).exchange(webClient, q, codes[0]); got.status != http.StatusOK {
			t.Errorf("the one code: %d %s", got.status, got.Error)
		}
	})
}

// security.md row 8: the same form again, in the person's own browser (back
// button), and in one that has the transaction's cookie but not the session's.
func TestAttackReplayOfAUsedCode(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		b, number := newBrowser(t), newNumber()
		p := r.askCode(b, r.newRequest(webClient), number)
		form := r.stolen(p, "/login/code", "code", r.gateway.code(number))
		if got := p.submit("/login/code", "code", r.gateway.code(number)).answer(); got.Get("code") == "" {
			t.Fatal("no login")
		}
		again := b.post(form.action, form.fields).wants(http.StatusOK, "already signed in")
		if again.header.Get("Location") != "" {
			t.Error("the code opened a second answer")
		}
		got := form.send(t)
		if got.status != http.StatusBadRequest || len(got.header.Values("Set-Cookie")) > 0 || !strings.Contains(got.body, "Your sign-in has timed out") {
			t.Errorf("replay without the session: %d", got.status)
		}
		// And a stale "continue" never makes a second answer of this transaction.
		cont := form
		cont.action, cont.cookie = strings.Replace(form.action, "/code", "/continue", 1), r.cookies(b)
		if got := cont.send(t); got.status != http.StatusOK || got.header.Get("Location") != "" {
			t.Errorf("continue after the answer: %d to %q", got.status, got.header.Get("Location"))
		}
	})
}

// security.md row 9: a code is good for one login, one number and one client.
func TestAttackCodeOfAnotherLogin(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, number := newBrowser(t), newNumber()
	first := r.askCode(b, r.newRequest(webClient), number)
	firstCode := r.gateway.code(number)
	second := r.askCode(b, r.newRequest(basicClient), number)
	secondCode := r.gateway.code(number)
	other := newNumber()
	third := r.askCode(b, r.newRequest(webClient), other)
	thirdCode := r.gateway.code(other)
	if firstCode == secondCode || firstCode == thirdCode || secondCode == thirdCode {
		t.Fatal("two equal codes: once in 300,000 runs, or codes are not random")
	}
	for _, tt := range []struct {
		name string
		at   *page
		code string
	}{
		{"another login of the number", second, firstCode},
		{"another client's login", first, secondCode},
		{"another number's login", first, thirdCode},
		{"a login for another number", third, firstCode},
	} {
		if got := tt.at.submit("/login/code", "code", tt.code); got.status != http.StatusUnprocessableEntity {
			t.Errorf("the code of %s: %d, want 422", tt.name, got.status)
		}
	}
	// The right ones still do.
	for _, tt := range []struct {
		at   *page
		code string
	}{{first, firstCode}} {
		if got := tt.at.submit("/login/code", "code", tt.code).answer(); got.Get("code") == "" {
			t.Errorf("answer: %v", got)
		}
	}
}

// Row 9 within one login: the code of the first number must not prove the second.
func TestAttackCodeOfTheNumberBefore(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, mine, victims := newBrowser(t), newNumber(), newNumber()
	p := r.askCode(b, r.newRequest(webClient), mine)
	code := r.gateway.code(mine)
	r.clock.Advance(40 * time.Second) // past the cooldown
	change := b.get(r.base + "/login/phone?txn=" + p.url.Query().Get("txn"))
	p = change.submit("/login/phone", "phone", victims).wants(http.StatusOK, "Check your phone")
	if r.gateway.code(victims) == code {
		t.Fatal("two equal codes: once in 300,000 runs, or codes are not random")
	}
	p.submit("/login/code", "code", code).wants(http.StatusUnprocessableEntity, "4 tries left")
}

// security.md row 17: who asks for more codes for the victim's number, and
// burns them, cancels nothing. Ten wrong guesses leave the victim's own code
// one try, which is all it needs.
func TestAttackCancelTheVictimsCode(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		number, q := newNumber(), r.newRequest(webClient)
		victim := r.askCode(newBrowser(t), q, number)
		code := r.gateway.code(number)
		for range 2 {
			guess := r.stolen(r.askCode(newBrowser(t), r.newRequest(webClient), number), "/login/code")
			for n := range 7 {
				guess.with("code", wrong(code, n)).send(t)
			}
		}
		if got := victim.submit("/login/code", "code", code).answer(); got.Get("code") == "" {
			t.Errorf("the victim's code is dead: %v", got)
		}
	})
}
