package passcode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// Records keep what became of texts, for operators. They decide nothing.
type Records interface {
	// SaveTexts must write all or nothing, and returns the texts whose codes were
	// entered.
	SaveTexts(ctx context.Context, r storage.TextRecords) ([]storage.VerifiedText, error)
	// LastSender must return [storage.ErrNotFound] for a challenge without a text
	// that left.
	LastSender(ctx context.Context, challenge storage.ChallengeID) (string, error)
	PutSenderStates(ctx context.Context, states []storage.SenderState) error
}

// Observer counts texts, for metrics.
type Observer interface {
	// Attempted says how a try to hand a text over ended ("handed_over", or the kind
	// of error) and how long it took.
	Attempted(sender, region, outcome string, took time.Duration)
	// Verified says that a code was entered, so long after its text was asked for.
	Verified(sender, region string, took time.Duration)
	// Dropped says that so many records were lost: SQL took none for long, or not these.
	Dropped(n int)
}

const (
	// flushEvery is how long a record waits to be written with others.
	flushEvery = 200 * time.Millisecond
	flushTime  = 10 * time.Second
	// statesEvery is how often a server says how it sees its senders, when nothing changes.
	statesEvery = time.Minute
	// maxPending bounds what waits while SQL is down, of texts and of events.
	maxPending = 20_000
	// maxBatch is how many records are written together: others wait for the write.
	maxBatch = 500
)

// recorder gathers records and writes them together, off the path of any login:
// a hundred of them cost one transaction.
type recorder struct {
	mu      sync.Mutex
	pending storage.TextRecords
	// dropped counts the records that are lost, until it is told.
	dropped int

	// writing is held from taking records to having written them or put them back.
	writing sync.Mutex
}

func (r *recorder) text(t storage.Text) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending.Texts) >= maxPending {
		r.dropped++
		return
	}
	r.pending.Texts = append(r.pending.Texts, t)
}

// event adds an event unless the same one is waiting: who presses a button a
// thousand times a second must not fill the disk. How many of a challenge are kept in
// all is the store's to bound.
func (r *recorder) event(e storage.TextEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.pending.Events); n > 0 {
		last := r.pending.Events[n-1]
		if last.Challenge == e.Challenge && last.Kind == e.Kind && last.Reason == e.Reason && e.Kind != storage.CodeAccepted {
			return
		}
	}
	if len(r.pending.Events) >= maxPending { // whoever asks faster than SQL writes is not remembered
		r.dropped++
		return
	}
	r.pending.Events = append(r.pending.Events, e)
}

// take takes the oldest records, maxBatch of each kind at most.
func (r *recorder) take() (taken storage.TextRecords) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken.Texts, r.pending.Texts = cut(r.pending.Texts)
	taken.Events, r.pending.Events = cut(r.pending.Events)
	return taken
}

func cut[T any](all []T) (taken, rest []T) {
	if len(all) <= maxBatch {
		return all, nil
	}
	return all[:maxBatch:maxBatch], all[maxBatch:]
}

// putBack keeps what could not be written. The newest go where there is no room: a
// login's first records tell most of it.
func (r *recorder) putBack(taken storage.TextRecords) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts, events int
	r.pending.Texts, texts = fit(append(taken.Texts, r.pending.Texts...))
	r.pending.Events, events = fit(append(taken.Events, r.pending.Events...))
	r.dropped += texts + events
}

func fit[T any](all []T) (kept []T, dropped int) {
	if len(all) <= maxPending {
		return all, 0
	}
	return all[:maxPending], len(all) - maxPending
}

func (r *recorder) drop(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped += n
}

// lost returns how many records were dropped since it was last asked.
func (r *recorder) lost() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.dropped
	r.dropped = 0
	return n
}

// Run writes records until ctx ends; what is left then, [Engine.Drain] writes.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	states := stateReport{server: rand.Text()[:10]}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.report(ctx, e.guarded(ctx, func() error { return e.flush(ctx) }), "save texts")
			e.report(ctx, e.guarded(ctx, func() error { return e.reportStates(ctx, &states) }), "save states of senders")
		}
	}
}

func (e *Engine) report(ctx context.Context, err error, what string) {
	if err != nil && ctx.Err() == nil {
		e.log.LogAttrs(ctx, slog.LevelError, what, slog.Any("err", err))
	}
}

// flush writes what has gathered. When it returns, no other flush is under way that
// might put something back.
func (e *Engine) flush(ctx context.Context) error {
	e.recorder.writing.Lock()
	defer e.recorder.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	for {
		taken := e.recorder.take()
		if len(taken.Texts)+len(taken.Events) == 0 {
			break
		}
		err := e.save(ctx, taken)
		if err != nil && !errors.Is(err, storage.ErrUnavailable) && ctx.Err() == nil {
			taken, err = e.saveEach(ctx, taken)
		}
		if err != nil {
			e.recorder.putBack(taken)
			return errors.Join(err, e.tellLost())
		}
	}
	return e.tellLost()
}

// save writes one batch.
func (e *Engine) save(ctx context.Context, taken storage.TextRecords) error {
	if e.records == nil {
		return nil
	}
	var verified []storage.VerifiedText
	// A panic is a refusal: the record that made it is found and dropped, and no other.
	err := e.guarded(ctx, func() (err error) {
		verified, err = e.records.SaveTexts(ctx, taken)
		return err
	})
	if err != nil || e.observer == nil {
		return err
	}
	for _, v := range verified {
		e.observer.Verified(v.Sender, v.Region, v.Took)
	}
	return nil
}

// saveEach writes records one by one, and drops those that the store refuses: one that
// it will never take must not keep the others from being written. It returns what is
// left when the store can't be reached.
func (e *Engine) saveEach(ctx context.Context, taken storage.TextRecords) (storage.TextRecords, error) {
	write := func(one storage.TextRecords) error {
		err := e.save(ctx, one)
		if err == nil || errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		e.recorder.drop(1)
		e.report(ctx, err, "a record of a text is refused")
		return nil
	}
	for ; len(taken.Texts) > 0; taken.Texts = taken.Texts[1:] {
		if err := write(storage.TextRecords{Texts: taken.Texts[:1]}); err != nil {
			return taken, err
		}
	}
	for ; len(taken.Events) > 0; taken.Events = taken.Events[1:] {
		if err := write(storage.TextRecords{Events: taken.Events[:1]}); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// tellLost counts the records that there was no room for, or that were refused.
func (e *Engine) tellLost() error {
	n := e.recorder.lost()
	if n == 0 || e.records == nil {
		return nil
	}
	if e.observer != nil {
		e.observer.Dropped(n)
	}
	return fmt.Errorf("%d records of texts were lost", n)
}

// stateReport is what this server last said of its senders.
type stateReport struct {
	server string
	said   map[string]string
	at     time.Time
}

// reportStates writes the breakers' states when one has changed, and once a minute.
func (e *Engine) reportStates(ctx context.Context, r *stateReport) error {
	if e.records == nil || e.senders == nil {
		return nil
	}
	now := e.now().UTC()
	said := map[string]string{}
	var states []storage.SenderState
	changed := now.Sub(r.at) >= statesEvery
	for _, n := range e.senders() {
		state, since := n.State()
		said[n.Name] = state
		changed = changed || r.said[n.Name] != state
		states = append(states, storage.SenderState{Server: r.server, Sender: n.Name, State: state, Since: since.UTC(), SeenAt: now})
	}
	if !changed || len(states) == 0 {
		return nil
	}
	if err := e.records.PutSenderStates(ctx, states); err != nil {
		return err
	}
	r.said, r.at = said, now
	return nil
}

// referenceAlphabet has no letters that are taken for digits (Crockford's base 32).
const referenceAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Reference is the short name of a place where codes count, such as "7F3K-Q2": what
// people can read to whoever helps them, and what is on record under it tells
// nothing without the secret key.
func (e *Engine) Reference(id storage.ChallengeID) string {
	n, err := strconv.ParseUint(e.vault.Tag(vault.Reference, string(id)), 16, 64)
	if err != nil {
		panic("passcode: a tag is not hexadecimal") // unreachable: that is its form
	}
	out := make([]byte, 0, 7)
	for i := range 6 {
		if i == 4 {
			out = append(out, '-')
		}
		out = append(out, referenceAlphabet[n&31])
		n >>= 5
	}
	return string(out)
}

// ParseReference reads a reference as people write it: in any case, with or
// without the hyphen, and with the letters that the alphabet leaves out.
func ParseReference(s string) (string, error) {
	out := make([]byte, 0, 7)
	for _, r := range s {
		switch {
		case r == '-' || r == ' ':
			continue
		case 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if !strings.ContainsRune(referenceAlphabet, r) || len(out) == 7 {
			return "", errReference
		}
		if len(out) == 4 {
			out = append(out, '-')
		}
		out = append(out, byte(r))
	}
	if len(out) != 7 {
		return "", errReference
	}
	return string(out), nil
}

var errReference = errors.New("a reference has six letters and digits, such as 7F3K-Q2")

// newText begins the record of a text.
func (e *Engine) newText(r SendRequest, started storage.Started) storage.Text {
	return storage.Text{
		ID: storage.TextID(rand.Text()), Reference: e.Reference(r.Challenge), Challenge: r.Challenge,
		Purpose: string(r.Purpose), ClientID: r.Client, Connection: r.Connection.Name,
		Number: r.Number, Region: r.Number.Region(), At: e.now().UTC(), ExpiresAt: started.Challenge.ExpiresAt,
		Story: storage.TextStory{Repeated: started.Repeated, Digits: started.Length, Limits: started.Limits},
	}
}

// refused records that a limit refused a text.
func (e *Engine) refused(r SendRequest, started storage.Started) {
	e.recorder.event(storage.TextEvent{
		Reference: e.Reference(r.Challenge), Challenge: r.Challenge, At: e.now().UTC(), Kind: storage.TextRefused,
		Reason: started.Limited.Name, RetryAt: started.Limited.RetryAt, Limits: started.Limits,
	})
}

// entered records that a code was entered; an empty reason says that it was right.
func (e *Engine) entered(r CheckRequest, reason Reason) {
	kind := storage.CodeRejected
	if reason == "" {
		kind = storage.CodeAccepted
	}
	e.recorder.event(storage.TextEvent{
		Reference: e.Reference(r.Challenge.ID), Challenge: r.Challenge.ID, At: e.now().UTC(), Kind: kind, Reason: string(reason),
	})
}

// attempted notes a try to hand a text over; name is what people are shown of the
// sender's own name of it.
func (e *Engine) attempted(text *storage.Text, n *sms.Named, name string, took time.Duration, err error) {
	attempt := storage.TextAttempt{Sender: n.Name, Took: took.Milliseconds(), MessageID: name}
	outcome := string(storage.TextHandedOver)
	switch {
	case errors.Is(err, sms.ErrOpen):
		attempt.Skipped = true
		text.Story.Attempts = append(text.Story.Attempts, attempt)
		return
	case err != nil:
		failure := sms.AsError(err)
		attempt.Error, outcome = failure.Error(), string(failure.Kind)
	}
	text.Story.Attempts = append(text.Story.Attempts, attempt)
	if e.observer != nil {
		e.observer.Attempted(n.Name, text.Region, outcome, took)
	}
}
