package passcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// The tests of this file are named after attacks; the rows are those of the
// threat model.

// Row 1.
func TestAttackGuessOneCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	for i := range 5 {
		if e := r.wantReason(r.check("login:1", wrong(r.code(), i)), Wrong); e.TriesLeft != 4-i {
			t.Errorf("guess %d leaves %d", i+1, e.TriesLeft)
		}
	}
	r.wantReason(r.check("login:1", r.code()), Dead)
	r.wantReason(r.check("login:1", "malformed"), Dead)
}

// Rows 2 and 3: new sessions bring no fresh guesses, and the person gets in.
func TestAttackNewSessionsForMoreGuesses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, id := range []storage.ChallengeID{"login:a", "login:b"} {
		if sent := r.mustSend(id); sent.Length != 6 {
			t.Errorf("%s has %d digits", id, sent.Length)
		}
		for i := range 5 {
			r.wantReason(r.check(id, wrong(r.code(), i)), Wrong)
		}
	}
	sent := r.mustSend("login:victim")
	if sent.Length != 8 || len(r.code()) != 8 {
		t.Fatalf("after 10 wrong guesses the next code has %d digits", sent.Length)
	}
	r.wantReason(r.check("login:victim", r.code()[:6]), Malformed)
	for i := range 4 {
		r.wantReason(r.check("login:victim", wrong(r.code(), i)), Wrong)
	}
	r.mustCheck("login:victim", r.code())
}

// Row 2, with a short code that lives while the budget is spent elsewhere.
func TestAttackGuessesAcrossSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:victim")
	code := r.code()
	for _, id := range []storage.ChallengeID{"login:a", "login:b"} {
		r.mustSend(id)
		for i := range 5 {
			r.wantReason(r.check(id, wrong(r.code(), i)), Wrong)
		}
	}
	if e := r.wantReason(r.check("login:victim", wrong(code, 0)), Wrong); e.TriesLeft != 0 {
		t.Errorf("a short code keeps %d tries more than one", e.TriesLeft)
	}
	r.wantReason(r.check("login:victim", code), Dead)
}

// Row 6.
func TestAttackParallelGuesses(t *testing.T) {
	t.Parallel()
	const guesses = 200
	for _, withRight := range []bool{false, true} {
		r := newRig(t)
		r.mustSend("login:1")
		code := r.code()
		challenge := r.load("login:1")
		errs := make([]error, guesses)
		var wg sync.WaitGroup
		for i := range guesses {
			typed := wrong(code, i)
			if withRight && i == guesses/2 {
				typed = code
			}
			wg.Go(func() {
				errs[i] = r.decided(CheckRequest{
					Challenge: challenge, Purpose: Login, Client: client, Number: r.number, Typed: typed, Address: address(i),
				})
			})
		}
		wg.Wait()
		evaluated, right := 0, 0
		for _, err := range errs {
			e, rejected := errors.AsType[*Rejection](err)
			switch {
			case err == nil:
				right++
				evaluated++
			case rejected && e.Reason == Wrong:
				evaluated++
			case !rejected || e.Reason != Dead && e.Reason != Used:
				t.Errorf("guess: %v", err)
			}
		}
		if evaluated > tries || right > 1 || right == 0 && evaluated != tries {
			t.Errorf("%d guesses were evaluated, %d were right", evaluated, right)
		}
		if err := r.check("login:1", code); err == nil {
			t.Error("after the run the code still works")
		}
	}
}

// Row 7.
func TestAttackSpendACodeTwiceInParallel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	challenge, code := r.load("login:1"), r.code()
	errs := make([]error, 50)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = r.decided(CheckRequest{
				Challenge: challenge, Purpose: Login, Client: client, Number: r.number, Typed: code, Address: address(i),
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		r.wantReason(err, Used)
	}
	if won != 1 {
		t.Errorf("%d of 50 succeeded", won)
	}
}

// Row 8.
func TestAttackReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	stale := r.load("login:1")
	code := r.code()
	r.mustCheck("login:1", code)
	for range 3 {
		r.wantReason(r.check("login:1", code, func(c *CheckRequest) { c.Challenge = stale }), Used)
	}
}

// Row 9: a code is bound to challenge, purpose, client and number.
func TestAttackCodeFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := number(t, "+819087654321")
	for name, change := range map[string]func(*CheckRequest){
		"purpose": func(c *CheckRequest) { c.Purpose = "verification" },
		"client":  func(c *CheckRequest) { c.Client = "other-client" },
		"number":  func(c *CheckRequest) { c.Number = other },
	} {
		id := storage.ChallengeID("login:" + name)
		r.mustSend(id)
		r.wantReason(r.check(id, r.code(), change), Wrong)
		r.mustCheck(id, r.code())
	}

	// Two challenges of one number, each with the other's code.
	r.mustSend("login:a")
	a := r.code()
	r.mustSend("login:b")
	b := r.code()
	if a == b {
		t.Fatal("two equal codes: once in a million runs, or codes are not random")
	}
	r.wantReason(r.check("login:a", b), Wrong)
	r.wantReason(r.check("login:b", a), Wrong)
	// The loaded record of one cannot be passed off as the other's.
	r.wantReason(r.check("login:a", b, func(c *CheckRequest) {
		forged := r.load("login:b")
		forged.ID = "login:a"
		c.Challenge = forged
	}), Wrong)
	r.mustCheck("login:a", a)
	r.mustCheck("login:b", b)
}

// Row 17.
func TestAttackCancelTheVictimsCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:victim")
	code := r.code()
	for _, id := range []storage.ChallengeID{"login:x", "login:y"} {
		r.mustSend(id, func(s *SendRequest) { s.Address = address(66) })
	}
	for i := range 5 {
		r.wantReason(r.check("login:y", wrong(r.code(), i)), Wrong)
	}
	r.mustCheck("login:victim", code)
}

// Row 24.
func TestAttackSpellTheNumberAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rules := phone.Rules{Countries: []string{"GB"}}
	sent := 0
	for i, typed := range []string{
		"07911 123456", "+447911123456", "00447911123456", "+44 (0)7911 123 456", "(07911) 123456", "07911.123.456",
		"＋４４ ７９１１ １２３４５６", "\u202a+44 7911 123456\u202c", "٠٧٩١١ ١٢٣٤٥٦", "447911123456", "07911–123–456", "+44-7911-123456",
	} {
		n, err := rules.Parse(typed, "GB")
		if err != nil {
			t.Fatalf("%q: %v", typed, err)
		}
		r.number = n
		_, err = r.send(storage.ChallengeID(fmt.Sprint("login:", i)), func(s *SendRequest) { s.Address = address(i) })
		if err == nil {
			sent++
			continue
		}
		r.wantLimited(err, limit.SendNumber)
	}
	if sent != 5 {
		t.Errorf("12 spellings got %d texts", sent)
	}
}

// What a rejection says is the same for every wrong code, however much of it is
// right and whatever else is wrong.
func TestRejectionsOfWrongCodesAreAlike(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var first *Rejection
	for i, change := range []func(c *CheckRequest, code string){
		func(c *CheckRequest, code string) { c.Typed = wrong(code, 0) },
		func(c *CheckRequest, code string) { c.Typed = code[:5] + string('0'+(code[5]-'0'+1)%10) },
		func(c *CheckRequest, code string) { c.Typed = string('0'+(code[0]-'0'+1)%10) + code[1:] },
		func(c *CheckRequest, _ string) { c.Purpose = "verification" },
		func(c *CheckRequest, _ string) { c.Client = "other-client" },
	} {
		id := storage.ChallengeID(fmt.Sprint("login:", i))
		r.mustSend(id)
		err := r.check(id, r.code(), func(c *CheckRequest) {
			change(c, r.code())
			c.Challenge.ResendAt, c.Challenge.ResendHint = r.clock.Now(), r.clock.Now()
		})
		e := r.wantReason(err, Wrong)
		if first == nil {
			first = e
		}
		if *e != *first || err.Error() != first.Error() {
			t.Errorf("wrong in way %d: %+v, else %+v", i, e, first)
		}
	}
}

// guessed is a store that sees what is compared.
type guessed struct {
	Store
	macs *[][]byte
}

func (g guessed) CheckChallenge(ctx context.Context, c storage.CheckChallenge) (storage.Checked, error) {
	*g.macs = append(*g.macs, c.MAC)
	return g.Store.CheckChallenge(ctx, c)
}

// Row 33. A comparison that ends at the first difference takes longer the more of
// the beginning is right. It is one of MACs under a key that the attacker lacks: the
// codes whose beginning is right have MACs that agree no more than others do.
func TestAttackTimeOfTheComparison(t *testing.T) {
	t.Parallel()
	var macs [][]byte
	r := newRig(t, func(c *Config) { c.Store = guessed{c.Store, &macs} })
	r.mustSend("login:1")
	code := r.code()
	right := r.load("login:1").CodeMAC
	for i := range len(code) {
		// The first i digits are right, and the next is not.
		guess := code[:i] + string('0'+(code[i]-'0'+1)%10) + code[i+1:]
		_ = r.check("login:1", guess)
	}
	if len(macs) != len(code) {
		t.Fatalf("%d comparisons, want %d", len(macs), len(code))
	}
	const name = 4 // bytes that name the key
	for i, mac := range macs {
		if len(mac) != len(right) || i > 2 && bytes.Contains(mac, []byte(code[:i])) {
			t.Errorf("what is compared is no MAC: %x", mac)
		}
		// Four bytes agree by chance once in 4,000,000,000 times.
		if bytes.Equal(mac[name:name+4], right[name:name+4]) {
			t.Errorf("with %d digits right the MACs begin alike", i)
		}
	}
	// The key alone decides: under another one the same code is another value.
	other, err := vault.New(bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	parts := r.engine.codeParts("login:1", Login, client, r.number, code)
	if !bytes.Equal(r.engine.vault.MAC(vault.SMSCode, parts...), right) {
		t.Error("the code's MAC is made otherwise than this test believes")
	}
	if bytes.Equal(other.MAC(vault.SMSCode, parts...)[name:], right[name:]) {
		t.Error("the MAC does not depend on the key")
	}
}
