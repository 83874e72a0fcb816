package passcode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// delivery is one text on its way from a challenge to a phone.
type delivery struct {
	request SendRequest
	text    storage.Text // its record, filled on the way
	message sms.Message
	// undo gives back what the text cost, undoNumber what it cost its number alone.
	undo, undoNumber []byte
	// coded says that the text is of no use once its code has ended.
	coded bool
	// again says that the challenge had a text before: this one goes by another
	// sender, where there is one.
	again bool
}

// Where a text stands between the request that asked for it and the goroutine
// that hands it over. Exactly one of them moves it on from waiting, which decides
// whether a failure is early (the person is told at once) or late.
const (
	waiting int32 = iota
	handedOver
	leftAlone
)

// deliver hands the message over in the background and waits for the outcome as
// long as the request says. The text must reach its route although the browser
// has gone: a second text costs more than this one.
func (e *Engine) deliver(ctx context.Context, d *delivery) error {
	var state atomic.Int32
	outcome := make(chan error, 1)
	background := context.WithoutCancel(ctx)
	r := d.request
	done := r.Connection.use()
	e.sends.start(func() {
		defer done()
		err := e.guarded(background, func() error { return e.handOver(background, d) })
		late := !state.CompareAndSwap(waiting, handedOver)
		e.recorder.text(d.text)
		e.logOutcome(background, d, err, late)
		if err != nil {
			undo := d.undo
			final := sms.AsError(err).Final()
			if final {
				// Else whoever knows one such number could have the vendor asked about it
				// without end.
				undo = d.undoNumber
			}
			if !final || !r.Connection.SignupDisabled || r.Purpose == Verification {
				e.undo(background, r, undo, late)
			} // Else the page would tell a registered number that gets no texts from an unknown one.
			err = notSent(err)
		}
		e.tell(background, r, err)
		outcome <- err
	})
	if r.waitFor() > 0 {
		timer := time.NewTimer(r.waitFor())
		defer timer.Stop()
		select {
		case err := <-outcome:
			return err
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if state.CompareAndSwap(waiting, leftAlone) {
		return nil
	}
	return <-outcome
}

func (r SendRequest) waitFor() time.Duration {
	if r.Connection.SignupDisabled && r.Purpose != Verification { // which knows no people
		return 0
	}
	return r.Wait
}

// handOver gives the message to the first sender of its route that takes it, and
// completes the record.
func (e *Engine) handOver(ctx context.Context, d *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, HandOver)
	defer cancel()
	r := d.request
	route := road{r.Connection.Name, d.text.Region}
	if r.Decoy {
		d.text.Outcome, d.text.Story.Reason = storage.TextDecoy, r.DecoyReason
		if err := e.roads.mimic(ctx, route); err != nil {
			return &imitated{sms.AsError(err)}
		}
		return nil
	}
	began := e.now()
	err := e.try(ctx, d)
	if failure := sms.AsError(err); err == nil || !failure.Final() {
		e.roads.saw(route, e.now().Sub(began), err)
	}
	return err
}

// try goes through the senders of the number's route: to the next one with the
// same message where one is down, slow or refuses, and no further where the number
// itself is refused. Where every breaker is open, the first sender is tried all the
// same.
func (e *Engine) try(ctx context.Context, d *delivery) error {
	end := e.now().Add(HandOver) // as ctx has it
	senders := d.request.Connection.Routes.To(d.request.Number)
	if d.again {
		senders = e.turn(ctx, senders, d.request.Challenge)
	}
	d.text.Outcome = storage.TextFailed
	err := error(&sms.Error{Kind: sms.KindUnreachable, Code: "ENOROUTE"})
	tried := false
	for i, n := range senders {
		if ctx.Err() != nil || tried && e.stopping.Load() {
			break // no time is left, and the next sender is not to blame
		}
		failure := e.tryOne(ctx, d, n, share(end.Sub(e.now()), len(senders)-i), n.Send)
		if errors.Is(failure, sms.ErrOpen) {
			continue
		}
		tried, err = true, failure
		if err == nil || sms.AsError(err).Final() {
			return err
		}
	}
	if !tried && len(senders) > 0 && ctx.Err() == nil {
		err = e.tryOne(ctx, d, senders[0], share(end.Sub(e.now()), 1), senders[0].Insist)
	}
	return err
}

// share is what the first of the senders that are left gets of the time that is left:
// no more than the others, so that one that hangs leaves enough for the next, and
// however many hang, each is tried.
func share(remaining time.Duration, left int) time.Duration {
	fair := (remaining - afterLast) / time.Duration(left)
	if left == 1 {
		return fair
	}
	return min(attemptWithin, fair)
}

// tryOne tries one sender.
func (e *Engine) tryOne(ctx context.Context, d *delivery, n *sms.Named, within time.Duration,
	send func(context.Context, sms.Message) (string, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, sms.ErrShare)
	defer cancel()
	m := d.message
	if d.coded {
		m.ValidFor = max(d.text.ExpiresAt.Sub(e.now()), time.Second)
	}
	if e.receiptURL != nil {
		m.ReceiptURL = e.receiptURL(n.Name)
	}
	var id string
	began := e.now()
	err := e.guarded(ctx, func() (err error) {
		id, err = send(ctx, m)
		return err
	})
	if err == nil && id == "" {
		id = m.ID
	}
	shown := id
	if m.QuotedIn(id) {
		shown = ""
	}
	e.attempted(&d.text, n, shown, e.now().Sub(began), err)
	if err == nil {
		d.text.Outcome, d.text.Sender, d.text.MessageID = storage.TextHandedOver, n.Name, id
	}
	return err
}

// turn begins the route behind the sender that took the challenge's last text: who
// asks again got nothing by that one. Without its record the order stays.
func (e *Engine) turn(ctx context.Context, senders []*sms.Named, id storage.ChallengeID) []*sms.Named {
	if e.records == nil || len(senders) < 2 {
		return senders
	}
	ctx, cancel := context.WithTimeout(ctx, lookBackWithin)
	defer cancel()
	last, err := e.records.LastSender(ctx, id)
	if err != nil {
		return senders
	}
	return sms.After(senders, last)
}

// Test is the purpose of texts that an operator sends to see whether they arrive.
const Test Purpose = "test"

// SendText hands over a text without a code, by the same senders as codes go, and
// returns its record, which [Engine.Drain] writes. No limit is asked: it is for
// operators.
func (e *Engine) SendText(ctx context.Context, c *Connection, number phone.Number, body string) (storage.Text, error) {
	r := SendRequest{
		Challenge: storage.ChallengeID(string(Test) + ":" + rand.Text()), Purpose: Test, Number: number, Connection: c,
	}
	now := e.now().UTC()
	d := delivery{request: r, text: e.newText(r, storage.Started{Challenge: storage.Challenge{ExpiresAt: now}})}
	d.message = sms.Message{ID: string(d.text.ID), To: number, From: c.From, Body: body}
	ctx, cancel := context.WithTimeout(ctx, HandOver)
	defer cancel()
	err := e.try(ctx, &d)
	e.recorder.text(d.text)
	if err != nil {
		return d.text, notSent(err)
	}
	return d.text, nil
}

// undo gives back what a text that did not leave had cost. When the store fails
// as well, the person has paid for nothing; the record says so.
func (e *Engine) undo(ctx context.Context, r SendRequest, undo []byte, late bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	err := e.guarded(ctx, func() error { return e.store.UndoSend(ctx, r.Challenge, undo, late, e.now().UTC()) })
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelError, "undo of a failed text failed",
			slog.String("number_tag", e.Tag(r.Number)), slog.Any("err", err))
	}
}

// guarded turns a panic into an error: where a text is on its way no request's
// recovery is around, and one bad text must not end the process. The value of
// the panic is not logged; it might hold a number or a code.
func (e *Engine) guarded(ctx context.Context, work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %T", p)
			e.log.LogAttrs(ctx, slog.LevelError, "sending panicked",
				slog.String("err", err.Error()), slog.String("stack", string(debug.Stack())))
		}
	}()
	return work()
}

func (e *Engine) logOutcome(ctx context.Context, d *delivery, err error, late bool) {
	r := d.request
	switch {
	case r.Decoy:
		reason := r.DecoyReason
		if err != nil {
			reason = strings.TrimPrefix(reason+"; "+err.Error(), "; ")
		}
		e.logSend(ctx, r, slog.LevelInfo, "decoy", reason)
		return
	case err == nil:
		e.logSend(ctx, r, slog.LevelInfo, "handed_over", "", slog.String("sender", d.text.Sender))
		return
	}
	outcome := "failed"
	if late {
		outcome = "failed_late"
	}
	e.logSend(ctx, r, slog.LevelWarn, outcome, sms.AsError(err).Error())
}
