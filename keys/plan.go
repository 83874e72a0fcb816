package keys

import (
	"cmp"
	"slices"
	"time"

	"github.com/handset-oidc/handset/storage"
)

const (
	// PublishAhead is how long a new key is published before it signs, so that
	// every relying party has fetched it by then (security.md §3, item 27).
	PublishAhead = 24 * time.Hour
	// MaxAge is how long a relying party may keep the key set. It is far below
	// PublishAhead, so that no cache misses a key that signs.
	MaxAge = time.Hour
	// lateness is added to the life of a retired key: servers whose clocks
	// differ a little sign with it that much longer.
	lateness = 5 * time.Minute
)

// settings are the times that rotation follows.
type settings struct {
	rotateEvery  time.Duration // 0: never by itself
	longestToken time.Duration // how long a signature must stay verifiable
}

// plan is what has to happen to the kept keys.
type plan struct {
	keys    []storage.SigningKey // what stays, with its times brought up to date
	changed bool                 // keys differs from what was looked at
	// newFrom is when a key that has to be made may sign; zero: none is needed.
	newFrom time.Time
}

// needed reports whether anything has to be written.
func (p plan) needed() bool { return p.changed || !p.newFrom.IsZero() }

// signerAt returns the index of the key that signs at now: the one whose turn
// came last. Every server finds the same one by its clock alone. -1: none.
func signerAt(keys []storage.SigningKey, now time.Time) int {
	found := -1
	for i, k := range keys {
		if k.SignsFrom.After(now) {
			continue
		}
		if found < 0 || bySignsFrom(keys[found], k) < 0 {
			found = i
		}
	}
	return found
}

// bySignsFrom orders keys by their turn, ties by ID, so that servers agree.
func bySignsFrom(a, b storage.SigningKey) int {
	return cmp.Or(a.SignsFrom.Compare(b.SignsFrom), cmp.Compare(a.ID, b.ID))
}

// planRotation decides, without doing anything, what the kept keys need at now:
// which have retired, which may go, and whether a new one is due. It never
// changes its argument.
func planRotation(kept []storage.SigningKey, now time.Time, s settings) plan {
	p := plan{keys: slices.Clone(kept)}
	slices.SortFunc(p.keys, bySignsFrom)

	if signerAt(p.keys, now) < 0 {
		if len(p.keys) == 0 {
			p.newFrom = now
			return p
		}
		// Nothing signs and a key waits for its turn: waiting would stop all logins.
		p.keys[0].SignsFrom = now
		p.changed = true
	}
	signer := signerAt(p.keys, now)
	p.retire(signer, s)
	p.drop(now)

	last := p.keys[len(p.keys)-1]
	pending := last.SignsFrom.After(now)
	due := last.SignsFrom.Add(s.rotateEvery - PublishAhead)
	if s.rotateEvery > 0 && !pending && !now.Before(due) {
		p.newFrom = now.Add(PublishAhead)
	}
	return p
}

// retire writes into every key before the signer when its turn ended and how
// long it stays published: until the last token it signed has expired.
func (p *plan) retire(signer int, s settings) {
	for i := range p.keys[:signer] {
		k := &p.keys[i]
		if !k.RetiredAt.IsZero() {
			continue
		}
		k.RetiredAt = p.keys[i+1].SignsFrom
		k.PublishUntil = k.RetiredAt.Add(s.longestToken + lateness)
		p.changed = true
	}
}

// drop removes the keys whose last token has expired.
func (p *plan) drop(now time.Time) {
	n := len(p.keys)
	p.keys = slices.DeleteFunc(p.keys, func(k storage.SigningKey) bool { return expired(k, now) })
	p.changed = p.changed || len(p.keys) != n
}

// planForced is planRotation plus a new key that is published now, unless one
// is waiting for its turn already.
func planForced(kept []storage.SigningKey, now time.Time, s settings) plan {
	p := planRotation(kept, now, s)
	if p.newFrom.IsZero() && !p.keys[len(p.keys)-1].SignsFrom.After(now) {
		p.newFrom = now.Add(PublishAhead)
	}
	return p
}

// expired reports whether the last token that the key signed has expired.
func expired(k storage.SigningKey, now time.Time) bool {
	return !k.RetiredAt.IsZero() && !now.Before(k.PublishUntil)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
