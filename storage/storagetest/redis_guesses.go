package storagetest

import (
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// together runs n checks at once and counts their outcomes.
func (p *place) together(n int, attempt func(i int) storage.CheckChallenge) map[storage.CheckStatus]int {
	p.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[storage.CheckStatus]int{}
	gate := make(chan struct{})
	for i := range n {
		c := attempt(i)
		wg.Go(func() {
			<-gate
			checked, err := p.Store.CheckChallenge(p.t.Context(), c)
			if err != nil {
				p.t.Errorf("CheckChallenge: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out[checked.Status]++
		})
	}
	close(gate)
	wg.Wait()
	return out
}

func wrongGuessesInParallel(t *testing.T, p *place) {
	_, code := p.send("tag")
	got := p.together(200, func(int) storage.CheckChallenge { return p.attempt("999999") })
	if got[storage.CheckWrong] != 5 || got[storage.CheckDead] != 195 {
		t.Errorf("200 guesses at once: %v; want 5 wrong, 195 dead", got)
	}
	p.try(code, storage.CheckDead, 0)
}

// oneRightAmongMany is security.md row 6 as an attacker tries it: the right code
// is among 200 at once. At most five are looked at, whichever come first.
func oneRightAmongMany(t *testing.T, p *place) {
	_, code := p.send("tag")
	got := p.together(200, func(i int) storage.CheckChallenge {
		if i == 100 {
			return p.attempt(code)
		}
		return p.attempt("999999")
	})
	looked := got[storage.CheckWrong] + got[storage.CheckOK]
	if got[storage.CheckOK] > 1 || looked > 5 || looked < 5 && got[storage.CheckOK] == 0 {
		t.Errorf("200 guesses at once, one right: %v", got)
	}
	if c := p.challenge(); c.TriesLeft != 0 {
		t.Errorf("afterwards %+v, want no tries", c)
	}
}

func rightCodeSpentOnce(t *testing.T, p *place) {
	_, code := p.send("tag")
	got := p.together(50, func(int) storage.CheckChallenge { return p.attempt(code) })
	if got[storage.CheckOK] != 1 || got[storage.CheckUsed] != 49 {
		t.Errorf("50 right codes at once: %v; want 1 ok, 49 used", got)
	}
}

func usedCodeStaysUsed(t *testing.T, p *place) {
	_, code := p.send("tag")
	ttl := p.ttl()
	p.try(code, storage.CheckOK, 0)
	p.try(code, storage.CheckUsed, 0)
	p.try("999999", storage.CheckUsed, 0)
	p.try("", storage.CheckUsed, 0)
	c := p.challenge()
	if c.State != storage.ChallengeUsed || c.CodeMAC != nil || c.TriesLeft != 0 {
		t.Errorf("a used challenge reads %+v", c)
	}
	if after := p.ttl(); after > ttl || after < ttl-time.Minute {
		t.Errorf("the tombstone lives %v, the record had %v", after, ttl)
	}
}

func (p *place) ttl() time.Duration {
	p.t.Helper()
	ttl, err := p.Raw.PTTL(p.t.Context(), "handset:{codes}:challenge:"+string(p.id)).Result()
	if err != nil {
		p.t.Fatal(err)
	}
	return ttl
}

func rightCodeAfterTheLastTry(_ *testing.T, p *place) {
	_, code := p.send("tag")
	for left := 4; left >= 0; left-- {
		p.try("999999", storage.CheckWrong, left)
	}
	p.try(code, storage.CheckDead, 0)
}

func malformedCodes(_ *testing.T, p *place) {
	_, code := p.send("tag")
	for range 19 {
		p.try("", storage.CheckMalformed, 5)
	}
	p.try("999999", storage.CheckWrong, 4)
	p.try("", storage.CheckMalformed, 0)
	p.try("", storage.CheckDead, 0)
	p.try(code, storage.CheckDead, 0)
}

func expiredCode(_ *testing.T, p *place) {
	_, code := p.send("tag")
	p.elapse(5*time.Minute - time.Millisecond)
	p.try("999999", storage.CheckWrong, 4)
	p.elapse(time.Millisecond)
	p.try(code, storage.CheckExpired, 4)
	p.try("", storage.CheckExpired, 4)
}

// clockJumps is security.md row 34.
func clockJumps(_ *testing.T, p *place) {
	_, code := p.send("tag")
	p.now = start.Add(-time.Hour)
	p.try(code, storage.CheckExpired, 5)
	p.now = start.Add(-30*time.Second - time.Millisecond)
	p.try(code, storage.CheckExpired, 5)
	p.now = start.Add(time.Hour)
	p.try(code, storage.CheckExpired, 5)

	// A code made while the clock was ahead is not repeated once it is right again.
	// (The limits count as empty for the clock's hour: they are not the point.)
	p.now = start.Add(-time.Hour)
	p.cooldowns, p.limits, p.verify.Off = nil, nil, true
	started, newer := p.sendAfterReset()
	if started.Repeated || newer == code {
		p.t.Error("a code from the future was repeated")
	}
	p.now = p.now.Add(-30 * time.Second)
	p.try(newer, storage.CheckOK, 0)
}

// sendAfterReset sends although the last cooldown, as the reset clock sees it,
// is still long: its send failed.
func (p *place) sendAfterReset() (storage.Started, string) {
	p.t.Helper()
	if err := p.Raw.HSet(p.t.Context(), "handset:{codes}:challenge:"+string(p.id), "f", "1").Err(); err != nil {
		p.t.Fatal(err)
	}
	return p.send("tag")
}

func unknownChallenge(t *testing.T, p *place) {
	p.try("123456", storage.CheckGone, 0)
	p.try("", storage.CheckGone, 0)
	if c := p.challenge(); c.State != storage.ChallengeGone || c.ID != p.id {
		t.Errorf("unknown challenge reads %+v", c)
	}
}

func refusedCheck(t *testing.T, p *place) {
	_, code := p.send("tag")
	p.verify = storage.Limit{Name: "verify_address", Key: "x", Burst: 2, Every: time.Minute}
	p.try("999999", storage.CheckWrong, 4)
	p.try("", storage.CheckMalformed, 4)
	before, buckets := p.challenge(), p.buckets()
	for _, guess := range []string{code, "999999", ""} {
		checked := p.check(guess)
		if checked.Status != storage.CheckLimited || checked.TriesLeft != 0 {
			t.Fatalf("check = %+v, want limited and no word of the challenge", checked)
		}
		if l := checked.Limited; l == nil || l.Name != "verify_address" || !l.RetryAt.Equal(p.now.Add(time.Minute)) {
			t.Fatalf("limited = %+v", l)
		}
	}
	if after := p.challenge(); !same(before, after) {
		t.Errorf("the challenge changed: %+v, was %+v", after, before)
	}
	if after := p.buckets(); !same(buckets, after) {
		t.Errorf("the limits changed: %v, were %v", after, buckets)
	}
	p.elapse(time.Minute)
	p.try(code, storage.CheckOK, 0)
}

// spendGuesses makes n wrong guesses for the number in places of their own.
func (p *place) spendGuesses(n int) {
	p.t.Helper()
	id, limits := p.id, p.limits
	p.limits = nil
	for i := range n {
		p.id = storage.ChallengeID("other:" + string(rune('a'+i)))
		p.send("tag")
		if got := p.check("000000"); got.Status != storage.CheckWrong {
			p.t.Fatalf("guess = %+v, want wrong", got)
		}
	}
	p.id, p.limits = id, limits
}

func emptiedGuessBucket(t *testing.T, p *place) {
	p.limits, p.cooldowns = nil, nil
	length := func() int {
		p.id += "+"
		started, _ := p.send("tag")
		return started.Length
	}
	p.spendGuesses(9)
	if got := length(); got != 6 {
		t.Fatalf("after 9 wrong guesses the code has %d digits, want 6", got)
	}
	p.spendGuesses(1)
	if got := length(); got != 8 {
		t.Fatalf("after 10 wrong guesses the code has %d digits, want 8", got)
	}
	emptied := p.now
	p.elapse(5*p.guess.Every - time.Millisecond)
	if got := length(); got != 8 {
		t.Fatalf("before it is half full the code has %d digits, want 8", got)
	}
	p.now = emptied.Add(5 * p.guess.Every)
	if got := length(); got != 6 {
		t.Fatalf("half full again, the code has %d digits, want 6", got)
	}

	// A guess while it recovers takes it further from half full.
	p.spendGuesses(5)
	emptied = p.now
	p.elapse(2 * p.guess.Every)
	p.spendGuesses(1)
	p.now = emptied.Add(6*p.guess.Every - time.Millisecond)
	if got := length(); got != 8 {
		t.Fatalf("one guess later and not half full, the code has %d digits, want 8", got)
	}
	p.now = emptied.Add(6 * p.guess.Every)
	if got := length(); got != 6 {
		t.Fatalf("half full again, the code has %d digits, want 6", got)
	}

	// Long codes log in as ever, with all their tries.
	p.spendGuesses(5)
	p.id += "+"
	started, code := p.send("tag")
	if started.Length != 8 {
		t.Fatalf("emptied again, the code has %d digits, want 8", started.Length)
	}
	p.try("99999999", storage.CheckWrong, 4)
	p.try("99999999", storage.CheckWrong, 3)
	p.try(code, storage.CheckOK, 0)
}

func emptiedBucketClamps(_ *testing.T, p *place) {
	p.limits, p.cooldowns = nil, nil
	p.id = "mine"
	_, code := p.send("tag")
	p.spendGuesses(8)
	p.try("999999", storage.CheckWrong, 4)
	p.try("999999", storage.CheckWrong, 1) // this one emptied it
	p.id = "theirs"
	_, theirs := p.send("tag")
	p.try("99999999", storage.CheckWrong, 4) // long: keeps its tries
	p.try(theirs, storage.CheckOK, 0)
	p.id = "mine"
	p.try("999999", storage.CheckWrong, 0)
	p.try(code, storage.CheckDead, 0)

	// Emptied by guesses elsewhere: the live short code has this one try.
	p.guess.Key = "another"
	p.id = "victim"
	_, code = p.send("another")
	p.spendGuesses(10)
	p.try(code, storage.CheckOK, 0)
	p.guess.Key = "third"
	p.id = "fourth"
	_, code = p.send("third")
	p.spendGuesses(10)
	p.try("999999", storage.CheckWrong, 0)
	p.try(code, storage.CheckDead, 0)
}

func refunds(t *testing.T, p *place) {
	p.limits = []storage.Limit{{Name: "send_number", Key: "tag", Burst: 3, Every: 3 * time.Hour}}
	p.refunds = p.limits
	p.refundable.Burst = 4
	p.cooldowns = nil
	for i := range 4 {
		p.id += "+"
		_, code := p.send("tag")
		p.try(code, storage.CheckOK, 0)
		if _, taken := p.buckets()["handset:{codes}:limit:send_number:tag"]; taken {
			t.Fatalf("verified text %d was not given back", i+1)
		}
	}
	for range 3 { // the day's refunds are used up
		p.id += "+"
		_, code := p.send("tag")
		p.try(code, storage.CheckOK, 0)
	}
	p.id += "+"
	p.refused("tag", "send_number", p.now.Add(3*time.Hour))
}

func failuresBlock(t *testing.T, p *place) {
	p.limits, p.cooldowns = nil, nil
	p.block.Burst, p.block.Every = 10, time.Hour
	p.guess.Off = true
	blocked := func() {
		t.Helper()
		p.id += "+"
		p.refused("tag", p.block.Name, p.now.Add(p.block.Every))
		got := p.check("999999")
		if got.Status != storage.CheckLimited || got.Limited.Name != p.block.Name || !got.Limited.RetryAt.Equal(p.now.Add(p.block.Every)) {
			t.Fatalf("check = %+v, want limited by the block", got)
		}
	}
	// Whatever proves nothing is a failure, where a code is out.
	fail := func(last storage.CheckStatus) {
		t.Helper()
		p.id += "+"
		p.try("999999", storage.CheckGone, 0)
		p.send("tag")
		p.try("", storage.CheckMalformed, 5)
		for left := 4; left >= 0; left-- {
			p.try("999999", storage.CheckWrong, left)
		}
		p.try("999999", storage.CheckDead, 0)
		p.try("", storage.CheckDead, 0)
		p.try("999999", storage.CheckDead, 0)
		p.try("999999", last, 0)
	}
	fail(storage.CheckDead)
	blocked()

	_, count := p.buckets()["handset:{codes}:limit:"+p.block.Name+":"+p.block.Key]
	if !count {
		t.Fatal("the block is not where the test looks")
	}
	pair := p.block.Key
	p.block.Key = "another"
	p.id += "+"
	_, code := p.send("tag")
	p.try(code, storage.CheckOK, 0)

	// Refused tries make it no longer, and it ends.
	p.block.Key = pair
	before := p.now
	p.elapse(p.block.Every - time.Second)
	if got := p.check("999999"); got.Limited == nil || !got.Limited.RetryAt.Equal(before.Add(p.block.Every)) {
		t.Fatalf("check = %+v, want the block to end as it was told", got)
	}
	p.elapse(time.Second)
	_, code = p.send("tag")
	for range 4 {
		p.check("999999")
	}
	p.try(code, storage.CheckOK, 0) // 4 failures forgotten
	fail(storage.CheckDead)
	blocked()

	// A clock that is set back makes it no longer either.
	p.elapse(-24 * time.Hour)
	blocked()
	p.block.Off = true
	p.send("tag")
}

func failuresBlockInParallel(t *testing.T, p *place) {
	p.block.Burst, p.block.Every = 10, time.Hour
	p.send("tag")
	got := p.together(100, func(int) storage.CheckChallenge { return p.attempt("999999") })
	if got[storage.CheckWrong] != 5 || got[storage.CheckDead] != 5 || got[storage.CheckLimited] != 90 {
		t.Errorf("100 guesses at once: %v; want 10 looked at", got)
	}
}
