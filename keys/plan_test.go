package keys

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

const day = 24 * time.Hour

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is a point in time, in days from start.
func at(days float64) time.Time { return start.Add(time.Duration(days * float64(day))) }

// turnOf is a kept key that signs from a day on.
func turnOf(id string, days float64) storage.SigningKey {
	return storage.SigningKey{ID: storage.KeyID(id), SignsFrom: at(days)}
}

// over is a key whose turn is over.
func over(k storage.SigningKey, retired, until time.Time) storage.SigningKey {
	k.RetiredAt, k.PublishUntil = retired, until
	return k
}

func TestPlanRotation(t *testing.T) {
	t.Parallel()
	rules := settings{rotateEvery: 30 * day, longestToken: 7 * day}
	gone := at(30).Add(7*day + lateness)
	tests := []struct {
		name    string
		kept    []storage.SigningKey
		now     time.Time
		rules   settings
		want    []storage.SigningKey
		newFrom time.Time
		changed bool
	}{
		{name: "the first key signs at once", now: at(0), rules: rules, newFrom: at(0)},
		{name: "a young key stays alone", now: at(28.9), rules: rules,
			kept: []storage.SigningKey{turnOf("a", 0)}, want: []storage.SigningKey{turnOf("a", 0)}},
		{name: "a day before its turn the next is published", now: at(29), rules: rules,
			kept: []storage.SigningKey{turnOf("a", 0)}, want: []storage.SigningKey{turnOf("a", 0)}, newFrom: at(30)},
		{name: "a pending key is enough", now: at(29.5), rules: rules,
			kept: []storage.SigningKey{turnOf("a", 0), turnOf("b", 30)},
			want: []storage.SigningKey{turnOf("a", 0), turnOf("b", 30)}},
		{name: "after a long sleep the next is still published for a day first", now: at(100), rules: rules,
			kept: []storage.SigningKey{turnOf("a", 0)}, want: []storage.SigningKey{turnOf("a", 0)}, newFrom: at(101)},
		{name: "a key whose turn is over stays until its last token has expired", now: at(31), rules: rules,
			kept: []storage.SigningKey{turnOf("b", 30), turnOf("a", 0)}, changed: true,
			want: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)}},
		{name: "the end of a retired key does not move", now: at(32), rules: settings{rotateEvery: 30 * day, longestToken: 99 * day},
			kept: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)},
			want: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)}},
		{name: "a second before its end a retired key is there", now: gone.Add(-time.Second), rules: rules,
			kept: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)},
			want: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)}},
		{name: "at its end it is dropped", now: gone, rules: rules, changed: true,
			kept: []storage.SigningKey{over(turnOf("a", 0), at(30), gone), turnOf("b", 30)},
			want: []storage.SigningKey{turnOf("b", 30)}},
		{name: "two turns passed while nobody looked", now: at(65), rules: rules, changed: true,
			kept: []storage.SigningKey{turnOf("a", 0), turnOf("b", 30), turnOf("c", 60)},
			want: []storage.SigningKey{over(turnOf("b", 30), at(60), at(67).Add(lateness)), turnOf("c", 60)}},
		{name: "without a signer the one that waits takes its turn", now: at(0), rules: rules, changed: true,
			kept: []storage.SigningKey{turnOf("b", 2), turnOf("a", 1)},
			want: []storage.SigningKey{turnOf("a", 0), turnOf("b", 2)}},
		{name: "rotate_every 0 never rotates", now: at(5000), rules: settings{longestToken: day},
			kept: []storage.SigningKey{turnOf("a", 0)}, want: []storage.SigningKey{turnOf("a", 0)}},
		{name: "shorter than the publishing delay is one key a day", now: at(0), rules: settings{rotateEvery: time.Hour, longestToken: day},
			kept: []storage.SigningKey{turnOf("a", 0)}, want: []storage.SigningKey{turnOf("a", 0)}, newFrom: at(1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := planRotation(tt.kept, tt.now, tt.rules)
			if diff := cmp.Diff(tt.want, got.keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if !got.newFrom.Equal(tt.newFrom) || got.changed != tt.changed {
				t.Errorf("newFrom %v, changed %v; want %v, %v", got.newFrom, got.changed, tt.newFrom, tt.changed)
			}
		})
	}
}

func TestPlanForced(t *testing.T) {
	t.Parallel()
	rules := settings{longestToken: 7 * day}
	if p := planForced(nil, at(0), rules); !p.newFrom.Equal(at(0)) {
		t.Errorf("first key from %v, want at once", p.newFrom)
	}
	if p := planForced([]storage.SigningKey{turnOf("a", 0)}, at(3), rules); !p.newFrom.Equal(at(4)) {
		t.Errorf("next key from %v, want a day ahead", p.newFrom)
	}
	if p := planForced([]storage.SigningKey{turnOf("a", 0), turnOf("b", 4)}, at(3), rules); p.needed() {
		t.Errorf("a key is pending already, and still: %+v", p)
	}
}

// TestThePlanIsStable shows that a plan, once carried out, asks for nothing more.
func TestThePlanIsStable(t *testing.T) {
	t.Parallel()
	rules := settings{rotateEvery: 30 * day, longestToken: 7 * day}
	var kept []storage.SigningKey
	for step := range 4000 { // half a year by the hour
		now := start.Add(time.Duration(step) * time.Hour)
		p := planRotation(kept, now, rules)
		kept = p.keys
		if !p.newFrom.IsZero() {
			if len(kept) > 0 && p.newFrom.Before(now.Add(PublishAhead)) {
				t.Fatalf("%v: a key published for less than %v before it signs", now, PublishAhead)
			}
			kept = append(kept, storage.SigningKey{ID: storage.KeyID(now.String()), CreatedAt: now, SignsFrom: p.newFrom})
		}
		if again := planRotation(kept, now, rules); again.needed() {
			t.Fatalf("%v: the plan asks for more: %+v", now, again)
		}
		if i := signerAt(kept, now); i < 0 || now.Sub(kept[i].SignsFrom) > 31*day {
			t.Fatalf("%v: no signer, or one older than its turn", now)
		}
		if len(kept) > 3 {
			t.Fatalf("%v: %d keys are kept", now, len(kept))
		}
	}
}
