package storagetest

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

func same(a, b any) bool { return reflect.DeepEqual(a, b) }

func limitsAllOrNone(t *testing.T, p *place) {
	p.cooldowns = nil
	p.limits = []storage.Limit{
		{Name: "send_number", Key: "tag", Burst: 3, Every: time.Hour},
		{Name: "send_address", Key: "net", Burst: 1, Every: time.Minute},
		{Name: "send_prefix", Key: "pre", Burst: 2, Every: time.Hour},
	}
	p.send("tag")
	before, buckets := p.challenge(), p.buckets()
	p.refused("tag", "send_address", p.now.Add(time.Minute))
	if after := p.buckets(); !same(after, buckets) {
		t.Errorf("a refused send took from limits: %v, were %v", after, buckets)
	}
	if after := p.challenge(); !same(after, before) {
		t.Errorf("a refused send changed the challenge: %+v, was %+v", after, before)
	}
	p.elapse(time.Minute)
	p.send("tag")
	// Two refuse now; the one that does so longest says when to come back.
	p.refused("tag", "send_prefix", start.Add(time.Hour))
}

func offLimits(t *testing.T, p *place) {
	p.cooldowns = nil
	p.limits = []storage.Limit{{Name: "send_number", Key: "tag", Off: true}}
	p.guess.Off, p.verify.Off, p.refundable.Off = true, true, true
	for range 20 {
		p.send("tag")
	}
	p.try("999999", storage.CheckWrong, 4)
	if got := p.buckets(); len(got) != 0 {
		t.Errorf("limits that are off counted: %v", got)
	}
}

func cooldownGrows(t *testing.T, p *place) {
	p.limits = nil
	for i := range 8 {
		wait := p.cooldowns[min(i, len(p.cooldowns)-1)]
		started, _ := p.send("tag")
		if started.Challenge.Sends != i+1 || !started.Challenge.ResendAt.Equal(p.now.Add(wait)) {
			t.Fatalf("send %d: %+v; want resend after %v", i+1, started.Challenge, wait)
		}
		sent := p.now
		p.elapse(wait - time.Millisecond)
		p.refused("tag", "cooldown", sent.Add(wait))
		p.elapse(time.Millisecond)
	}
}

func usedCodeEndsCooldown(t *testing.T, p *place) {
	p.limits = nil
	for i := range 5 {
		started, code := p.send("tag")
		if started.Challenge.Sends != 1 || !started.Challenge.ResendAt.Equal(p.now.Add(p.cooldowns[0])) {
			t.Fatalf("login %d: %+v; want a first text", i+1, started.Challenge)
		}
		p.refused("tag", "cooldown", p.now.Add(p.cooldowns[0]))
		p.try(code, storage.CheckOK, 0)
	}
	// Nor does a text that failed late bring it back.
	started, _ := p.send("tag")
	p.undo(started, true)
	if c := p.challenge(); c.Sends != 0 || !c.SendFailed {
		t.Errorf("after a late failure: %+v", c)
	}
}

func cooldownOverNumbers(t *testing.T, p *place) {
	p.send("tag")
	p.refused("other", "cooldown", start.Add(30*time.Second))
	p.elapse(30 * time.Second)
	started, _ := p.send("other")
	if started.Challenge.Sends != 2 || !started.Challenge.ResendAt.Equal(p.now.Add(time.Minute)) {
		t.Errorf("after a change of number: %+v; want 2 sends and a minute's wait", started.Challenge)
	}
}

func parallelStarts(t *testing.T, p *place) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	for range 50 {
		r := p.request("tag")
		wg.Go(func() {
			started, err := p.Store.StartChallenge(t.Context(), r)
			if err != nil {
				t.Errorf("StartChallenge: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if started.Limited == nil {
				sent++
			}
		})
	}
	wg.Wait()
	if sent != 1 {
		t.Errorf("50 starts at once sent %d texts, want 1", sent)
	}
}

func repeatedKeepsCount(t *testing.T, p *place) {
	_, code := p.send("tag")
	p.try("999999", storage.CheckWrong, 4)
	p.try("999999", storage.CheckWrong, 3)
	p.try("", storage.CheckMalformed, 3)
	p.elapse(30 * time.Second)
	again, repeated := p.send("tag")
	if !again.Repeated || repeated != code {
		t.Fatalf("resend after 30 s: repeated %v", again.Repeated)
	}
	c := again.Challenge
	if c.TriesLeft != 3 || !c.CreatedAt.Equal(start) || !c.ExpiresAt.Equal(p.now.Add(5*time.Minute)) || c.Sends != 2 {
		t.Errorf("the repeated code's challenge: %+v", c)
	}
	read := p.challenge()
	if !same(read, c) {
		t.Errorf("Challenge = %+v, StartChallenge said %+v", read, c)
	}
	for left := 2; left >= 0; left-- {
		p.try("999999", storage.CheckWrong, left)
	}
	p.elapse(time.Minute)
	fresh, _ := p.send("tag")
	if fresh.Repeated || fresh.Challenge.TriesLeft != 5 {
		t.Errorf("with no tries left: %+v; want a new code with 5 tries", fresh)
	}
}

func newCodeKills(_ *testing.T, p *place) {
	_, old := p.send("tag")
	p.elapse(30 * time.Second)
	started, code := p.send("other")
	if started.Repeated || code == old {
		p.t.Fatal("the code for one number was repeated to another")
	}
	p.try(old, storage.CheckWrong, 4)
	p.try(code, storage.CheckOK, 0)

	// A used one is never repeated.
	p.elapse(time.Minute)
	started, _ = p.send("other")
	if started.Repeated || started.Challenge.TriesLeft != 5 {
		p.t.Fatalf("after use: %+v; want a new code", started)
	}
	if c := p.challenge(); c.State != storage.ChallengeLive {
		p.t.Fatalf("after use and a new send the challenge is %s", c.State)
	}
	p.try(code, storage.CheckWrong, 4)
}

func newWhenShort(t *testing.T, p *place) {
	p.cooldowns = nil
	_, first := p.send("tag")
	p.elapse(4*time.Minute + 59*time.Second)
	if s, _ := p.send("tag"); !s.Repeated || !s.Challenge.ExpiresAt.Equal(p.now.Add(5*time.Minute)) {
		t.Fatalf("at 4:59: %+v; want the same code for 5 more minutes", s)
	}
	p.now = start.Add(8 * time.Minute)
	if s, _ := p.send("tag"); !s.Repeated || !s.Challenge.ExpiresAt.Equal(start.Add(10*time.Minute)) {
		t.Fatalf("at 8:00: %+v; want the same code until minute 10", s)
	}
	p.now = start.Add(8*time.Minute + time.Millisecond)
	if s, code := p.send("tag"); s.Repeated || code == first || s.Challenge.TriesLeft != 5 {
		t.Fatalf("with less than 2 minutes left: %+v; want a new code", s)
	}

	p.limits = nil
	p.elapse(5 * time.Minute)
	if s, _ := p.send("tag"); s.Repeated {
		t.Fatal("an expired code was repeated")
	}
}

func resendHint(t *testing.T, p *place) {
	p.limits = []storage.Limit{{Name: "send_number", Key: "tag", Burst: 2, Every: 3 * time.Hour}}
	first, _ := p.send("tag")
	if got := first.Challenge.ResendHint; !got.Equal(p.now.Add(30 * time.Second)) {
		t.Errorf("with a text left: hint %v, want the cooldown", got)
	}
	p.elapse(30 * time.Second)
	last, _ := p.send("tag")
	want := start.Add(3 * time.Hour)
	if got := last.Challenge.ResendHint; !got.Equal(want) || !last.Challenge.ResendAt.Equal(p.now.Add(time.Minute)) {
		t.Errorf("with none left: hint %v, want when the limit gives another, %v", got, want)
	}
	if got := p.challenge().ResendHint; !got.Equal(want) {
		t.Errorf("read back: hint %v, want %v", got, want)
	}
	p.elapse(time.Minute)
	p.refused("tag", "send_number", want)
}

func undoOnce(t *testing.T, p *place) {
	for _, late := range []bool{false, true} {
		p.id += "+"
		p.cooldowns = nil
		p.send("tag")
		buckets := p.buckets()
		started, _ := p.send("tag")
		p.undo(started, late)
		if after := p.buckets(); !same(after, buckets) {
			t.Fatalf("late %v: limits are %v, want %v", late, after, buckets)
		}
		c := p.challenge()
		if c.Sends != 1 || c.SendFailed != late {
			t.Fatalf("late %v: %+v; want one send", late, c)
		}
		p.undo(started, late)
		p.undo(started, !late)
		if after := p.buckets(); !same(after, buckets) {
			t.Fatalf("late %v, undone again: limits are %v, want %v", late, after, buckets)
		}
		if again := p.challenge(); !same(again, c) {
			t.Fatalf("late %v, undone again: %+v, was %+v", late, again, c)
		}
	}
	// An old undo does nothing.
	p.id += "+"
	started, _ := p.send("tag")
	buckets := p.buckets()
	p.elapse(30 * time.Minute)
	p.undo(started, false)
	if after := p.buckets(); !same(after, buckets) {
		t.Errorf("undone after half an hour: limits are %v, want %v", after, buckets)
	}
	if err := p.Store.UndoSend(t.Context(), p.id, []byte("{}"), false, p.now); err == nil {
		t.Error("a malformed undo was taken")
	}
}

func parallelUndo(t *testing.T, p *place) {
	p.cooldowns = nil
	p.send("tag")
	p.send("tag")
	buckets := p.buckets()
	started, _ := p.send("tag")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := p.Store.UndoSend(t.Context(), p.id, started.Undo, i%2 == 0, p.now); err != nil {
				t.Errorf("UndoSend: %v", err)
			}
		})
	}
	wg.Wait()
	if after := p.buckets(); !same(after, buckets) {
		t.Errorf("20 undos at once: limits are %v, want %v", after, buckets)
	}
	if c := p.challenge(); c.Sends != 2 {
		t.Errorf("20 undos at once: %+v, want two sends", c)
	}
}

func earlyUndoFirst(t *testing.T, p *place) {
	started, code := p.send("tag")
	p.undo(started, false)
	if c := p.challenge(); c.State != storage.ChallengeGone {
		t.Errorf("after the undo: %+v; want gone", c)
	}
	if got := p.buckets(); len(got) != 0 {
		t.Errorf("after the undo limits hold %v", got)
	}
	p.try(code, storage.CheckGone, 0)
	p.send("tag") // at once: nothing counts down
}

func earlyUndoRestores(t *testing.T, p *place) {
	_, old := p.send("tag")
	p.try("999999", storage.CheckWrong, 4)
	before := p.challenge()
	p.elapse(30 * time.Second)
	started, code := p.send("other")
	p.undo(started, false)
	if after := p.challenge(); !same(after, before) {
		t.Errorf("after the undo: %+v, was %+v", after, before)
	}
	p.try(code, storage.CheckWrong, 3)
	p.try(old, storage.CheckOK, 0)
}

func earlyUndoRepeat(t *testing.T, p *place) {
	_, code := p.send("tag")
	before := p.challenge()
	p.elapse(30 * time.Second)
	started, _ := p.send("tag")
	p.try("999999", storage.CheckWrong, 4)
	p.undo(started, false)
	before.TriesLeft = 4
	if after := p.challenge(); !same(after, before) {
		t.Errorf("after the undo: %+v, want %+v", after, before)
	}
	p.try(code, storage.CheckOK, 0)
}

func lateUndo(t *testing.T, p *place) {
	started, code := p.send("tag")
	p.elapse(10 * time.Second)
	p.undo(started, true)
	c := p.challenge()
	if !c.SendFailed || c.Sends != 0 || c.State != storage.ChallengeLive || c.ResendAt.After(p.now) || c.ResendHint.After(p.now) {
		t.Errorf("after a late undo: %+v; want live, failed, no sends, resend free", c)
	}
	again, repeated := p.send("tag") // no cooldown
	if !again.Repeated || repeated != code {
		t.Error("the code whose text failed was not repeated")
	}
	if c := p.challenge(); c.SendFailed || c.Sends != 1 || !c.ResendAt.Equal(p.now.Add(30*time.Second)) {
		t.Errorf("after the next send: %+v; want one send and its cooldown", c)
	}
	// A repeated send that fails late: its first text counts, the resend is free.
	p.elapse(30 * time.Second)
	started, _ = p.send("tag")
	p.elapse(20 * time.Second)
	p.undo(started, true)
	if c := p.challenge(); !c.SendFailed || c.Sends != 1 {
		t.Errorf("after a late undo of the second send: %+v", c)
	}
	p.send("tag")
	p.try(code, storage.CheckOK, 0)
}

// lateUndoNumber: whoever shows the page can say that it is the number, until the next
// text is asked for.
func lateUndoNumber(t *testing.T, p *place) {
	fail := func() storage.Challenge {
		t.Helper()
		started, _ := p.send("tag")
		started.Undo = started.UndoNumber
		p.undo(started, true)
		return p.challenge()
	}
	if c := fail(); !c.SendFailed || !c.NumberFailed || c.State != storage.ChallengeLive || c.ResendAt.After(p.now) {
		t.Errorf("after a late undo for the number: %+v; want live, failed by the number, resend free", c)
	}
	started, _ := p.send("tag")
	if c := p.challenge(); c.SendFailed || c.NumberFailed {
		t.Errorf("after the next send: %+v", c)
	}
	p.undo(started, true)
	if c := p.challenge(); !c.SendFailed || c.NumberFailed {
		t.Errorf("after a late undo of another kind: %+v", c)
	}
	fail()
	started, _ = p.send("other")
	started.Undo = started.UndoNumber
	p.undo(started, false)
	if c := p.challenge(); !c.NumberFailed {
		t.Errorf("after an early undo: %+v, was failed by the number", c)
	}
}

func undoNewer(t *testing.T, p *place) {
	first, _ := p.send("tag")
	one := p.buckets()
	p.elapse(30 * time.Second)
	_, code := p.send("tag")
	before := p.challenge()
	p.undo(first, true)
	if after := p.challenge(); !same(after, before) {
		t.Errorf("an undo of an older send changed the newer's: %+v, was %+v", after, before)
	}
	key := "handset:{codes}:limit:send_number:tag"
	if after := p.buckets(); after[key] != one[key] {
		t.Errorf("the older send was not given back: %v, want %v", after[key], one[key])
	}
	p.try(code, storage.CheckOK, 0)
}

func undoAfterUse(t *testing.T, p *place) {
	started, code := p.send("tag")
	p.try(code, storage.CheckOK, 0)
	buckets := p.buckets()
	for _, late := range []bool{true, false} {
		p.undo(started, late)
		if c := p.challenge(); c.State != storage.ChallengeUsed || c.SendFailed {
			t.Errorf("late %v: a used challenge became %+v", late, c)
		}
		p.try(code, storage.CheckUsed, 0)
	}
	delete(buckets, "handset:{codes}:limit:verify_address:net")
	after := p.buckets()
	delete(after, "handset:{codes}:limit:verify_address:net")
	if !same(after, buckets) {
		t.Errorf("a text that arrived was given back: %v, were %v", after, buckets)
	}
}
