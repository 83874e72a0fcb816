package sms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// When the circuit breaker of a sender opens, and for how long. Open means that
// its texts go by the next sender at once, without the wait for a failure.
const (
	breakerWindow   = time.Minute
	breakerStreak   = 5 // failures in a row that open it
	breakerLeast    = 10
	breakerRatio    = 0.5 // of at least breakerLeast texts in the window
	breakerOpenTime = 30 * time.Second
)

// ErrShare is the cause of a context that ended because a sender's share of the time
// is over, and not all of the time that there was. It is a deadline that was exceeded:
// net/http returns the cause of a context in place of its error.
var ErrShare = fmt.Errorf("the sender's share of the time is over: %w", context.DeadlineExceeded)

// hidden takes the place of a route's word that repeats a code or a number.
const hidden = "hidden"

// ErrOpen says that a sender's circuit breaker is open: nothing was tried.
var ErrOpen = errors.New("circuit breaker is open")

// Named is a sender by the name that configuration gives it, behind a circuit
// breaker of its own. It is safe for concurrent use.
type Named struct {
	// Name is what routes, receipts and logs call it.
	Name string
	// From is what the sender is to send as; empty: what the connection says.
	From string

	sender  Sender
	breaker *gobreaker.TwoStepCircuitBreaker[any]

	// failures are those in a row, however far apart: the breaker's own counts begin
	// anew with each window.
	failures atomic.Int32

	mu    sync.Mutex
	since time.Time
}

// NewNamed puts a circuit breaker before a sender. now is the clock that dates
// its states; the breaker itself measures real time.
func NewNamed(name, from string, s Sender, now func() time.Time) *Named {
	n := &Named{Name: name, From: from, sender: s, since: now()}
	n.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: name, Interval: breakerWindow, Timeout: breakerOpenTime, MaxRequests: 1,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return n.failures.Load() >= breakerStreak ||
				c.Requests >= breakerLeast && float64(c.TotalFailures) >= breakerRatio*float64(c.Requests)
		},
		OnStateChange: func(string, gobreaker.State, gobreaker.State) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.since = now()
		},
	})
	return n
}

// works reports whether an error leaves the sender fit for the next text: what it
// says about one number or one message says nothing about the others.
func works(err error) bool {
	if err == nil {
		return true
	}
	switch AsError(err).Kind {
	case KindNumber, KindRefused:
		return true
	}
	return false
}

// Send is [Sender.Send], or [ErrOpen] when the breaker is open. A failure after ctx
// has ended does not count, unless [ErrShare] is why: whoever was tried before took
// the time, or whoever asked is gone.
func (n *Named) Send(ctx context.Context, m Message) (id string, err error) {
	done, err := n.breaker.Allow()
	if err != nil {
		return "", ErrOpen
	}
	worked, counts := false, true // as after a panic, which goes on
	defer func() {
		switch {
		case worked:
			n.failures.Store(0)
		case counts:
			n.failures.Add(1)
		}
		if counts || n.breaker.State() != gobreaker.StateClosed { // a trial that tells nothing leaves it open
			done(worked)
		}
	}()
	id, err = n.Insist(ctx, m)
	worked = works(err)
	counts = worked || ctx.Err() == nil || errors.Is(context.Cause(ctx), ErrShare)
	return id, err
}

// Insist sends whatever the breaker says: when no other sender is left, trying is
// better than giving up. A fault is on record and in logs, so its code is hidden when it
// repeats the code or the number. The message's name is the route's, whatever it repeats:
// its receipts come by that.
func (n *Named) Insist(ctx context.Context, m Message) (id string, err error) {
	if n.From != "" {
		m.From = n.From
	}
	id, err = n.sender.Send(ctx, m)
	if failure, ok := errors.AsType[*Error](err); ok && m.QuotedIn(failure.Code) {
		mute := *failure
		mute.Code = hidden
		err = &mute
	}
	return id, err
}

// State returns the breaker's state ("closed", "half-open", "open") and since when.
func (n *Named) State() (state string, since time.Time) {
	state = n.breaker.State().String() // may change the state, so before since is read
	n.mu.Lock()
	defer n.mu.Unlock()
	return state, n.since
}

// Receiver returns who reads the sender's callbacks; false when it has none.
func (n *Named) Receiver() (Receiver, bool) {
	r, ok := n.sender.(Receiver)
	return r, ok
}

// Close ends the connection that the sender may hold.
func (n *Named) Close() error {
	if c, ok := n.sender.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
