package limit_test

import (
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEveryNameHasADefault(t *testing.T) {
	t.Parallel()
	for _, name := range append(limit.Names(), limit.RefundNumber) {
		l, ok := limit.Default(name)
		if !ok || l.Name != name || l.Burst < 1 || l.Every <= 0 {
			t.Errorf("Default(%q) = %+v, %v", name, l, ok)
		}
	}
	if _, ok := limit.Default("nothing"); ok {
		t.Error("an unknown name has a default")
	}
}

// TestStrangersSendsPerDay holds the bound of security.md §2: no more than 13
// unverified texts to a number in any 24 hours.
func TestStrangersSendsPerDay(t *testing.T) {
	t.Parallel()
	l, _ := limit.Default(limit.SendNumber)
	var tat time.Time
	var sent []time.Time
	for now := start; now.Before(start.Add(72 * time.Hour)); now = now.Add(time.Minute) {
		if next, ok := limit.Take(l, tat, now); ok {
			tat = next
			sent = append(sent, now)
		}
	}
	most := 0
	for i := range sent {
		n := 0
		for _, at := range sent[i:] {
			if !at.After(sent[i].Add(24 * time.Hour)) {
				n++
			}
		}
		most = max(most, n)
	}
	if most != 13 {
		t.Errorf("most texts within 24 h = %d, want 13", most)
	}
}

func TestLeft(t *testing.T) {
	t.Parallel()
	l := storage.Limit{Name: "x", Burst: 3, Every: time.Minute}
	var tat time.Time
	for want := 3; want >= 0; want-- {
		if got := limit.Left(l, tat, start); got != want {
			t.Errorf("left %d, want %d", got, want)
		}
		if next, ok := limit.Take(l, tat, start); ok != (want > 0) {
			t.Errorf("with %d left, Take reports %v", want, ok)
		} else if ok {
			tat = next
		}
	}
	if got := limit.Left(l, tat, start.Add(90*time.Second)); got != 1 {
		t.Errorf("left %d after a minute and a half, want 1", got)
	}
	if got := limit.Left(storage.Limit{Burst: 3, Off: true}, tat, start); got != 3 {
		t.Errorf("a limit that is off has %d left", got)
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	l := storage.Limit{Name: "x", Burst: 3, Every: time.Minute}
	var tat time.Time
	for i := range 3 {
		next, ok := limit.Take(l, tat, start)
		if !ok {
			t.Fatalf("take %d of 3 refused", i+1)
		}
		tat = next
	}
	at, ok := limit.Take(l, tat, start)
	if ok || !at.Equal(start.Add(time.Minute)) {
		t.Errorf("4th take = %v, %v; want refused until one minute on", at, ok)
	}
	if _, ok := limit.Take(l, tat, start.Add(time.Minute-time.Millisecond)); ok {
		t.Error("taken a millisecond early")
	}
	if _, ok := limit.Take(l, tat, at); !ok {
		t.Error("refused at the time that was named")
	}
	if got := limit.AdmitsAt(l, tat, start); !got.Equal(at) {
		t.Errorf("AdmitsAt = %v, want %v", got, at)
	}
}

func TestTakeAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	l := storage.Limit{Name: "x", Burst: 3, Every: time.Minute}
	at, ok := limit.Take(l, start.Add(time.Hour), start)
	if ok || !at.Equal(start.Add(time.Minute)) {
		t.Errorf("take = %v, %v; want the wait of an empty bucket, one minute", at, ok)
	}
}

func TestOffLimitsAlwaysGive(t *testing.T) {
	t.Parallel()
	l := storage.Limit{Name: "x", Off: true}
	if _, ok := limit.Take(l, time.Time{}, start); !ok {
		t.Error("an off limit refused")
	}
	if b := limit.Charge(l, limit.Bucket{}, start); b.Recovering(start) {
		t.Error("an off limit recovers")
	}
	if got := limit.AdmitsAt(l, start.Add(time.Hour), start); !got.Equal(start) {
		t.Errorf("AdmitsAt of an off limit = %v, want now", got)
	}
}

func TestTakeAllNamesTheLongestWait(t *testing.T) {
	t.Parallel()
	limits := []storage.Limit{
		{Name: "free", Burst: 1, Every: time.Minute},
		{Name: "short", Burst: 1, Every: time.Minute},
		{Name: "long", Burst: 1, Every: time.Hour},
	}
	tats := []time.Time{{}, start.Add(time.Minute), start.Add(time.Hour)}
	next, refused := limit.TakeAll(limits, tats, start)
	if next != nil || refused == nil || refused.Name != "long" || !refused.RetryAt.Equal(start.Add(time.Hour)) {
		t.Errorf("TakeAll = %v, %+v; want refused by long for an hour", next, refused)
	}
	next, refused = limit.TakeAll(limits[:1], tats[:1], start)
	if refused != nil || !next[0].Equal(start.Add(time.Minute)) {
		t.Errorf("TakeAll = %v, %+v; want one taken", next, refused)
	}
}

func TestGive(t *testing.T) {
	t.Parallel()
	l := storage.Limit{Name: "x", Burst: 3, Every: time.Minute}
	tat, _ := limit.Take(l, time.Time{}, start)
	if got := limit.Give(l, tat, start); !got.IsZero() {
		t.Errorf("take and give leaves %v, want a full bucket", got)
	}
	if got := limit.Give(l, start.Add(-time.Hour), start); got.After(start) {
		t.Errorf("give to a full bucket = %v", got)
	}
}

func TestChargeEmptiesAndRecoversAtHalf(t *testing.T) {
	t.Parallel()
	l, _ := limit.Default(limit.GuessNumber)
	var b limit.Bucket
	for i := range 9 {
		b = limit.Charge(l, b, start)
		if b.Recovering(start) {
			t.Fatalf("recovering after %d of 10 wrong guesses", i+1)
		}
	}
	now := start.Add(time.Second)
	b = limit.Charge(l, b, now)
	if !b.Recovering(now) {
		t.Fatal("not recovering after 10 wrong guesses")
	}
	for range 50 {
		b = limit.Charge(l, b, now)
	}
	half := now.Add(5 * l.Every)
	if !b.Recovering(half.Add(-time.Millisecond)) || b.Recovering(half) {
		t.Errorf("recovers until %v, want half of the bucket, %v", b.RecoverUntil, half)
	}
	// One more guess once it is half full: no longer recovering.
	if b = limit.Charge(l, b, half); b.Recovering(half) {
		t.Error("one wrong guess after the recovery made it recover again")
	}
}

func TestFailuresInARowBlock(t *testing.T) {
	t.Parallel()
	l, ok := limit.Default(limit.BruteForce)
	if !ok || l.Burst != 10 || l.Every != time.Hour {
		t.Fatalf("Default = %+v, %v", l, ok)
	}
	var f limit.Failures
	for i := range 10 {
		if until := limit.BlockedUntil(l, f, start); !until.IsZero() {
			t.Fatalf("blocked until %v after %d", until, i)
		}
		f = limit.Fail(l, f, start)
	}
	end := start.Add(time.Hour)
	for now, want := range map[time.Time]time.Time{
		start: end, end.Add(-1): end, end: {}, start.Add(-24 * time.Hour): start.Add(-23 * time.Hour),
	} {
		if until := limit.BlockedUntil(l, f, now); !until.Equal(want) {
			t.Errorf("at %v blocked until %v, want %v", now, until, want)
		}
	}
	if f = limit.Fail(l, f, end); f.Count != 1 {
		t.Errorf("%d failures an hour later, want 1", f.Count)
	}
	l.Off = true
	if until := limit.BlockedUntil(l, limit.Failures{Count: 10, ForgetAt: end}, start); !until.IsZero() {
		t.Errorf("off, and blocked until %v", until)
	}
}
