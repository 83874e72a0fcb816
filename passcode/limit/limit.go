// Package limit names the limits, gives their defaults, and decides. A limit is
// a token bucket kept as one time by the generic cell rate algorithm: Burst at
// once, one more Every. The decision is a pure function of the limit, the time
// kept and now.
//
// It is the executable specification of what storage/redisstore does in Lua,
// where a decision and its write are one step; the property test there holds
// the two together. The package is a leaf: it imports storage alone, and keeps
// and counts nothing itself.
package limit

import (
	"time"

	"github.com/handset-oidc/handset/storage"
)

// The names of limits, as configuration, answers and logs say them.
const (
	SendNumber    = "send_number"    // texts to one number, over all doors
	SendAddress   = "send_address"   // texts asked for by one network address
	GuessNumber   = "guess_number"   // wrong codes for one number; never refuses, makes codes longer
	VerifyAddress = "verify_address" // codes tried by one network address
	// PendingAddress bounds the logins that one network address has open: as many as
	// fit into the life of one (security.md row 37).
	PendingAddress = "pending_address"
	// SendClient and SendClientDay are texts asked for by one client that has
	// authenticated, in place of SendAddress: in a short time, and in a long one.
	SendClient    = "send_client"
	SendClientDay = "send_client_day"
	// ManageClient is calls of the Management API by one client.
	ManageClient = "manage_client"
	// RefundNumber bounds how many verified texts give their token of SendNumber
	// back. It is not configured: it is what keeps SendNumber true.
	RefundNumber = "refund_number"
	// BruteForce refuses all codes for one number from one network address for Every,
	// after Burst in a row that proved nothing. A connection switches it off
	// (brute_force_protection); what it allows is not configured.
	BruteForce = "brute_force_protection"
	// Cooldown is the name in [storage.Limited] when the wait between two texts
	// of one challenge refused. It is no bucket.
	Cooldown = "cooldown"
)

// Names returns the names of the limits that configuration may override, in
// the order a reader expects.
func Names() []string {
	return []string{SendNumber, SendAddress, GuessNumber, VerifyAddress, PendingAddress, SendClient, SendClientDay, ManageClient}
}

// Default returns the built-in limit of that name, without a Key: one of
// [Names], [RefundNumber] or [BruteForce]. It reports false for another name.
func Default(name string) (storage.Limit, bool) {
	l := storage.Limit{Name: name}
	switch name {
	case SendNumber:
		l.Burst, l.Every = 5, 3*time.Hour // at most 13 in any 24 h
	case SendAddress:
		l.Burst, l.Every = 10, time.Minute
	case GuessNumber:
		l.Burst, l.Every = 10, 144*time.Minute
	case VerifyAddress:
		l.Burst, l.Every = 60, 10*time.Second
	case PendingAddress:
		l.Burst, l.Every = 50, 36*time.Second // 50 in the 30 minutes that a login lives
	case SendClient:
		l.Burst, l.Every = 60, time.Second // a minute
	case SendClientDay:
		l.Burst, l.Every = 500, 173*time.Second // a day
	case ManageClient:
		l.Burst, l.Every = 500, 50*time.Millisecond // 20 a second: more than Auth0 allows
	case RefundNumber:
		l.Burst, l.Every = 10, 144*time.Minute // ten a day
	case BruteForce:
		l.Burst, l.Every = 10, time.Hour
	default:
		return storage.Limit{}, false
	}
	return l, true
}

// Take takes one from the bucket that is full again at tat (zero: it is full).
// It returns the bucket's new time, or, when it is empty, the time when it
// would have one, and false.
func Take(l storage.Limit, tat, now time.Time) (next time.Time, ok bool) {
	if l.Off {
		return tat, true
	}
	tat = within(l, tat, now)
	if admits := tat.Add(-time.Duration(l.Burst-1) * l.Every); now.Before(admits) {
		return admits, false
	}
	return tat.Add(l.Every), true
}

// TakeAll takes one from each bucket, or from none. It returns the buckets' new
// times, or which limit refused: the one that does so longest, so that RetryAt
// is when another try can succeed.
func TakeAll(limits []storage.Limit, tats []time.Time, now time.Time) ([]time.Time, *storage.Limited) {
	var refused *storage.Limited
	next := make([]time.Time, len(limits))
	for i, l := range limits {
		at, ok := Take(l, tats[i], now)
		next[i] = at
		if !ok && (refused == nil || at.After(refused.RetryAt)) {
			refused = &storage.Limited{Name: l.Name, RetryAt: at}
		}
	}
	if refused != nil {
		return nil, refused
	}
	return next, nil
}

// AdmitsAt returns when the bucket gives the next one; it is not after now when
// it would give one now.
func AdmitsAt(l storage.Limit, tat, now time.Time) time.Time {
	if l.Off {
		return now
	}
	return within(l, tat, now).Add(-time.Duration(l.Burst-1) * l.Every)
}

// Left returns how many the bucket would give at once.
func Left(l storage.Limit, tat, now time.Time) int {
	if l.Off {
		return l.Burst
	}
	missing := within(l, tat, now).Sub(now)
	return max(0, l.Burst-int((missing+l.Every-1)/l.Every))
}

// Give puts one back. A full bucket stays full, and one that becomes full is
// forgotten: its time is zero.
func Give(l storage.Limit, tat, now time.Time) time.Time {
	if l.Off || !tat.After(now) {
		return tat
	}
	if tat = tat.Add(-l.Every); tat.After(now) {
		return tat
	}
	return time.Time{}
}

// Bucket is the state of a limit that never refuses but makes codes longer:
// when it is emptied it recovers until it is half full again.
type Bucket struct {
	TAT          time.Time
	RecoverUntil time.Time // zero when it was not emptied
}

// Recovering reports whether the bucket was emptied and is not yet half full.
func (b Bucket) Recovering(now time.Time) bool { return now.Before(b.RecoverUntil) }

// Charge takes one, or what is left: an empty bucket stays empty, so that more
// guesses never make the recovery longer than from empty to half full.
func Charge(l storage.Limit, b Bucket, now time.Time) Bucket {
	if l.Off {
		return b
	}
	full := time.Duration(l.Burst) * l.Every
	recovering := b.Recovering(now)
	b.TAT = within(l, b.TAT, now).Add(l.Every)
	if most := now.Add(full); b.TAT.After(most) {
		b.TAT = most
	}
	empty := b.TAT.After(now.Add(full - l.Every))
	b.RecoverUntil = time.Time{}
	if empty || recovering {
		b.RecoverUntil = b.TAT.Add(-(full / 2).Truncate(time.Millisecond))
	}
	return b
}

// Failures are how many codes in a row proved nothing.
type Failures struct {
	Count int
	// ForgetAt is when they no longer count: Every after the last.
	ForgetAt time.Time
}

// Fail counts one more.
func Fail(l storage.Limit, f Failures, now time.Time) Failures {
	if !now.Before(f.ForgetAt) {
		f.Count = 0
	}
	return Failures{f.Count + 1, now.Add(l.Every)}
}

// BlockedUntil returns when a block ends, or the zero time where none is.
func BlockedUntil(l storage.Limit, f Failures, now time.Time) time.Time {
	if l.Off || l.Burst == 0 || f.Count < l.Burst || !now.Before(f.ForgetAt) {
		return time.Time{}
	}
	if most := now.Add(l.Every); f.ForgetAt.After(most) { // the clock was set back
		return most
	}
	return f.ForgetAt
}

// within bounds a stored time: a full bucket is full now, and no bucket is
// emptier than empty, even when the clock was set back or the burst lowered.
func within(l storage.Limit, tat, now time.Time) time.Time {
	if tat.Before(now) {
		return now
	}
	if most := now.Add(time.Duration(l.Burst) * l.Every); tat.After(most) {
		return most
	}
	return tat
}
