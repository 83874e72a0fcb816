// Package passcode proves phone numbers: it makes a code, has it texted, and
// checks what a person typed. It owns length, life, tries and repetition of
// codes, what is limited and by which keys, and the MAC that binds a code to
// one challenge, purpose, client and number. It knows nothing of HTTP or OpenID
// Connect, and keeps nothing itself: counting, comparing and using up are one atomic
// step of its [Store].
//
// The login pages and all APIs that text codes are doors of this one engine, so
// that the limits of a number hold over all of them together.
//
// Neither codes nor numbers nor the text of messages are ever in a log record or
// an error of this package.
package passcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// Rules of a code's life. Length and life are the connection's to change.
const (
	defaultLength = 6
	// longLength is the length of codes for a number whose guesses are spent. The
	// answer to guessing is a longer code, never a locked-out person.
	longLength  = 8
	tries       = 5
	defaultLife = 5 * time.Minute // from the last text
	maxLife     = 10 * time.Minute
	// repeatWithin is the least life that makes repeating a code worth it.
	repeatWithin = 2 * time.Minute
	// keep is how long a page can still say "expired" or "used".
	keep         = 10 * time.Minute
	maxMalformed = 20
	// HandOver bounds a text on its way to its route, whatever the route itself allows.
	HandOver = 30 * time.Second
	// attemptWithin is the most that each sender of a route but the last gets of it.
	attemptWithin = 10 * time.Second
	// afterLast is what the last sender leaves of it, so that its own end comes before
	// the end of all.
	afterLast = time.Second
	// lookBackWithin bounds the look at which sender took the text before.
	lookBackWithin = 2 * time.Second
	// undoWithin bounds the step that gives back what a failed text had cost.
	undoWithin = 5 * time.Second
)

// DrainWithin is how long [Engine.Drain] needs at most to let every text that is on
// its way end as it would have ended.
const DrainWithin = HandOver + undoWithin + time.Second

// cooldowns are the waits after the first, second, … text of one place.
var cooldowns = []time.Duration{
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
}

// Purpose says what a code is good for. A code of one purpose proves nothing for
// another. Each door of the engine has its own.
type Purpose string

// The purposes. Login is that of codes that the login pages ask for, Passwordless that
// of Auth0's passwordless API, Verification that of both APIs that verify numbers
// outside any login.
const (
	Login        Purpose = "login"
	Passwordless Purpose = "passwordless"
	Verification Purpose = "verification"
)

// decoyPurpose marks the MAC of codes that were never texted; none that anyone
// types can match it.
const decoyPurpose Purpose = "decoy"

// Store keeps challenges and counters. Each method must be one atomic step, must
// return an error that wraps [storage.ErrUnavailable] when it can't be reached
// in time, and must then have decided nothing in anyone's favour.
type Store interface {
	// StartChallenge must take from all limits or none, and write the code, before it returns.
	StartChallenge(ctx context.Context, c storage.StartChallenge) (storage.Started, error)
	// UndoSend must give back what the start took, once. Unless late, it must
	// leave the challenge as if the start had not been.
	UndoSend(ctx context.Context, id storage.ChallengeID, undo []byte, late bool, now time.Time) error
	// CheckChallenge must count the try before it compares the MACs, and
	// must accept a code once.
	CheckChallenge(ctx context.Context, c storage.CheckChallenge) (storage.Checked, error)
}

// Config sets up an [Engine].
type Config struct {
	Store Store
	Vault *vault.Vault
	// Limits overrides the defaults of package limit, by name.
	Limits map[string]storage.Limit
	// TestNumbers have a fixed code, get no text and have no send limit.
	TestNumbers []phone.TestNumber
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Logger gets one record per send and per check; nil discards them.
	Logger *slog.Logger
	// Records keep what became of texts; nil keeps nothing.
	Records Records
	// Observer counts; nil counts nothing.
	Observer Observer
	// Senders returns the senders at work, whose states go on record; nil: none.
	Senders func() []*sms.Named
	// ReceiptURL returns where a sender can say what became of a text, empty when
	// nowhere; nil: nowhere.
	ReceiptURL func(sender string) string
}

// Engine sends and checks codes. It is safe for concurrent use.
type Engine struct {
	store  Store
	vault  *vault.Vault
	limits map[string]storage.Limit
	tests  []phone.TestNumber
	now    func() time.Time
	log    *slog.Logger
	sends  background
	// stopping keeps texts from going on to another sender.
	stopping atomic.Bool
	roads    roads

	records    Records
	recorder   recorder
	observer   Observer
	senders    func() []*sms.Named
	receiptURL func(sender string) string
}

// New returns an engine. It starts nothing.
func New(c Config) (*Engine, error) {
	if c.Store == nil || c.Vault == nil {
		return nil, errors.New("passcode: store and vault are required")
	}
	e := &Engine{
		store: c.Store, vault: c.Vault, tests: c.TestNumbers, now: c.Now, log: c.Logger,
		limits: map[string]storage.Limit{}, records: c.Records, observer: c.Observer, senders: c.Senders,
		receiptURL: c.ReceiptURL,
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for _, name := range append(limit.Names(), limit.RefundNumber, limit.BruteForce) {
		e.limits[name], _ = limit.Default(name)
	}
	for name, l := range c.Limits {
		if !slices.Contains(limit.Names(), name) {
			return nil, fmt.Errorf("passcode: unknown limit %q", name)
		}
		if !l.Off && (l.Burst < 1 || l.Every <= 0) {
			return nil, fmt.Errorf("passcode: limit %s allows nothing", name)
		}
		e.limits[name] = l
	}
	return e, nil
}

// Drain waits until no text is on its way any more, and writes the records that are
// left. When ctx ends, texts that have been tried go on to no other sender, and those
// under way have as long as one try takes. Call it at shutdown, when no request can
// start another one.
func (e *Engine) Drain(ctx context.Context) error {
	err := e.sends.wait(ctx)
	if err != nil {
		e.stopping.Store(true)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptWithin+undoWithin)
		defer cancel()
		err = e.sends.wait(last)
	}
	return errors.Join(err, e.guarded(ctx, func() error { return e.flush(ctx) }))
}

// Tag is the keyed name of a number in logs and the audit trail: "ph_" and 12
// hex digits.
func (e *Engine) Tag(n phone.Number) string { return "ph_" + e.numberTag(n)[:12] }

func (e *Engine) numberTag(n phone.Number) string { return e.vault.Tag(vault.NumberTag, n.E164()) }

// limitFor is the named limit for one key.
func (e *Engine) limitFor(name, key string) storage.Limit {
	l := e.limits[name]
	l.Name, l.Key = name, key
	return l
}

// Burst is how many a limit allows at once; one where it is no bucket.
func (e *Engine) Burst(name string) int { return max(e.limitFor(name, "").Burst, 1) }

// PendingLimit is the limit of logins that an address has open. It is told here,
// since counters of addresses have one tag and one configuration.
func (e *Engine) PendingLimit(a netip.Addr) storage.Limit {
	return e.limitFor(limit.PendingAddress, e.addressKey(a))
}

// ManageLimit is the limit of a client's calls of the Management API. It is told here as
// [Engine.PendingLimit] is.
func (e *Engine) ManageLimit(c storage.ClientID) storage.Limit {
	return e.limitFor(limit.ManageClient, e.clientKey(c))
}

// clientKey is the keyed tag under which a client counts.
func (e *Engine) clientKey(c storage.ClientID) string {
	return e.vault.Tag(vault.AddressTag, "client", string(c))
}

// guessLimit is the number's guess budget. A test number has none: what a spent
// budget does is to make codes longer, and a fixed code can't be; one try for
// each code would break tests and protect nothing, since the code is written down.
func (e *Engine) guessLimit(tag string, isTest bool) storage.Limit {
	l := e.limitFor(limit.GuessNumber, tag)
	l.Off = l.Off || isTest
	return l
}

// block is the block of a number for who asks from an address; without an address
// there is none: a client's own would stand for all of its people, and ten wrong codes
// of a stranger would lock the number's owner out.
func (e *Engine) block(tag string, a netip.Addr) storage.Limit {
	l := e.limitFor(limit.BruteForce, e.vault.Tag(vault.AddressTag, "brute force", tag, e.addressKey(a)))
	l.Off = !a.IsValid()
	return l
}

// addressKey is the keyed tag under which an address counts: an IPv4 address by
// itself, an IPv6 address with its /64, since one subscriber has all of that.
func (e *Engine) addressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return e.vault.Tag(vault.AddressTag, p.String())
		}
	}
	return e.vault.Tag(vault.AddressTag, a.String())
}

// codeParts bind a code to all that it is good for.
func (e *Engine) codeParts(id storage.ChallengeID, p Purpose, c storage.ClientID, n phone.Number, code string) []string {
	return []string{string(id), string(p), string(c), n.E164(), code}
}
