package passcode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// SendRequest asks for a code to be texted.
type SendRequest struct {
	// Challenge is the place where the code counts: one has one code at a time,
	// and keeps its number of texts and its cooldown when the number changes.
	Challenge storage.ChallengeID
	Purpose   Purpose
	Client    storage.ClientID
	Number    phone.Number
	// Context is kept sealed with the challenge, for whoever loads it.
	Context []byte
	// Address and UserAgent are those of whoever asks. Without an address it is the
	// client itself, which has authenticated: it is limited as such.
	Address   netip.Addr
	UserAgent string
	// Caller is the address that a gateway is told of, where it is not Address.
	Caller     netip.Addr
	Connection *Connection
	// Application is the client's name, Language the languages that were asked for, as
	// Accept-Language lists them; they go into the text (sms.Fields).
	Application string
	Language    string
	// Host binds the code to our own login page (sms.OriginHost); empty for texts
	// that other applications' pages ask for.
	Host string
	// Decoy does all the work and sends nothing: the number is not to get a text,
	// and nobody must notice. It takes as long and fares as the last real text of
	// the connection did. No code proves a decoy.
	Decoy bool
	// DecoyReason says why, for the log alone.
	DecoyReason string
	// Wait is how long to wait for the route's answer. With the connection's
	// sign-up off there is no waiting: the wait would tell known numbers from
	// unknown ones.
	Wait time.Duration
	// Length, Tries and Life are those of a new code, where the door and not the
	// connection says so; zero: the connection's, and as many tries as usual. With a
	// Life of its own a challenge has one code: who asks again gets it again.
	Length, Tries int
	Life          time.Duration
	// Again says that the challenge has had its code: one that can't be repeated
	// is not replaced by one that could be tried.
	Again bool
	// BlockGuessing refuses the text where [CheckRequest.BlockGuessing] refuses codes.
	BlockGuessing bool
	// Accepted, when set, is called with the challenge when no limit has refused the
	// text and before it leaves: what must be on record by then is written there. Its
	// error takes back what the text had cost, and is that of Send.
	Accepted func(ctx context.Context, c storage.Challenge) error
	// Done, when set, is told how the text fared, before Send returns or behind it:
	// nil when a route took it, else an error that wraps [ErrNotSent]. It must not
	// wait for long. A server that dies with the text on its way tells nothing.
	Done func(ctx context.Context, err error)
}

// Sent is a text on its way.
type Sent struct {
	// Length is the number of digits.
	Length    int
	ExpiresAt time.Time
	// ResendAt is what a page counts down to: when neither the cooldown nor a
	// limit will refuse another text.
	ResendAt time.Time
	// Repeated says that the text repeats the code of the one before.
	Repeated bool
}

// Send has a code texted to a number. The challenge is stored before the text
// leaves: a server that dies in between loses nothing.
//
// It returns [*Limited] when a limit or the cooldown refused, an error that wraps
// [ErrNotSent] when the route failed within the wait, and an error that wraps
// [storage.ErrUnavailable] when the store can't be reached. A route that fails
// after the wait marks the challenge instead, and makes the next text free.
func (e *Engine) Send(ctx context.Context, r SendRequest) (Sent, error) {
	if err := r.check(); err != nil {
		return Sent{}, err
	}
	test, isTest := phone.FindTest(e.tests, r.Number, e.now())
	started, err := e.store.StartChallenge(ctx, e.start(r, test, isTest))
	if err != nil {
		return Sent{}, fmt.Errorf("start challenge: %w", err)
	}
	if started.Limited != nil {
		e.refused(r, started)
		e.logSend(ctx, r, slog.LevelWarn, "limited", started.Limited.Name)
		return Sent{}, &Limited{Name: started.Limited.Name, RetryAt: started.Limited.RetryAt}
	}
	sent := Sent{
		Length: started.Length, Repeated: started.Repeated,
		ExpiresAt: started.Challenge.ExpiresAt, ResendAt: resendAt(started.Challenge),
	}
	code, err := e.vault.Open(vault.SMSCode, string(r.Challenge), started.Sealed)
	if err != nil {
		// The secret key that sealed it was removed: the person shall not pay.
		e.undo(ctx, r, started.Undo, false)
		return Sent{}, fmt.Errorf("repeat code: %w", err)
	}
	if r.Accepted != nil {
		if err := r.Accepted(ctx, started.Challenge); err != nil {
			e.undo(ctx, r, started.Undo, false)
			return Sent{}, err
		}
	}
	text := e.newText(r, started)
	if isTest {
		text.Outcome = storage.TextTestNumber
		e.recorder.text(text)
		e.logSend(ctx, r, slog.LevelInfo, "test_number", "")
		e.tell(ctx, r, nil)
		return sent, nil
	}
	d := delivery{
		request: r, text: text, message: r.message(string(code)), undo: started.Undo, undoNumber: started.UndoNumber, coded: true, again: started.Challenge.Sends > 1,
	}
	d.message.ID = string(text.ID)
	if err := e.deliver(ctx, &d); err != nil {
		return Sent{}, err
	}
	return sent, nil
}

func resendAt(c storage.Challenge) time.Time {
	if c.ResendHint.After(c.ResendAt) {
		return c.ResendHint
	}
	return c.ResendAt
}

func (r SendRequest) check() error {
	switch {
	case r.Challenge == "" || r.Purpose == "" || r.Purpose == decoyPurpose:
		return errors.New("send code: challenge and purpose are required")
	case r.Number.IsZero():
		return errors.New("send code: no number")
	case r.Connection == nil || r.Connection.Routes == nil:
		return errors.New("send code: no connection")
	}
	return nil
}

// start builds the one step that decides whether and which code is sent.
func (e *Engine) start(r SendRequest, test phone.TestNumber, isTest bool) storage.StartChallenge {
	tag := e.numberTag(r.Number)
	start := storage.StartChallenge{
		ID: r.Challenge, Now: e.now().UTC(), NumberTag: tag, Context: r.Context,
		Guess: e.guessLimit(tag, isTest),
		Tries: cmp.Or(r.Tries, tries), Life: r.Connection.CodeLife(), MaxLife: maxLife, RepeatWithin: repeatWithin,
		Cooldowns: jittered(cooldowns), Keep: keep,
	}
	if r.BlockGuessing {
		start.Block = e.block(tag, r.Address)
	}
	if r.Life > 0 {
		start.Life, start.MaxLife, start.RepeatWithin = r.Life, max(maxLife, r.Life), 0
	}
	if r.Again {
		start.Tries = 0
	}
	if r.Decoy {
		// A person who is registered meanwhile gets a code of their own, not the
		// decoy's again.
		start.NumberTag += "-"
	}
	if isTest {
		start.Short = e.candidate(r, test.Code)
		start.Long = start.Short
		return start
	}
	start.Limits = append([]storage.Limit{e.limitFor(limit.SendNumber, tag)}, e.sourceLimits(r)...)
	short := cmp.Or(r.Length, r.Connection.length())
	start.Short = e.candidate(r, newCode(short))
	start.Long = e.candidate(r, newCode(max(short, longLength)))
	return start
}

// sourceLimits are those of whoever asks for texts.
func (e *Engine) sourceLimits(r SendRequest) []storage.Limit {
	if r.Address.IsValid() {
		return sticking(e.limitFor(limit.SendAddress, e.addressKey(r.Address)))
	}
	key := e.clientKey(r.Client)
	return sticking(e.limitFor(limit.SendClient, key), e.limitFor(limit.SendClientDay, key))
}

// sticking are the limits of who asks, which pays for bad numbers.
func sticking(limits ...storage.Limit) []storage.Limit {
	for i := range limits {
		limits[i].Sticks = true
	}
	return limits
}

// tell tells the door how a text fared.
func (e *Engine) tell(ctx context.Context, r SendRequest, err error) {
	if r.Done == nil {
		return
	}
	_ = e.guarded(ctx, func() error { // a panic in it is logged there, and no one else's
		r.Done(ctx, err)
		return nil
	})
}

func (e *Engine) candidate(r SendRequest, code string) storage.NewCode {
	purpose := r.Purpose
	if r.Decoy {
		purpose = decoyPurpose
	}
	return storage.NewCode{
		Length: len(code),
		MAC:    e.vault.MAC(vault.SMSCode, e.codeParts(r.Challenge, purpose, r.Client, r.Number, code)...),
		Sealed: e.vault.Seal(vault.SMSCode, string(r.Challenge), []byte(code)),
	}
}

// jittered moves each wait by up to a tenth, so that nobody can tell from one
// page's countdown what another one did.
func jittered(waits []time.Duration) []time.Duration {
	out := make([]time.Duration, len(waits))
	for i, w := range waits {
		out[i] = (w - w/10 + rand.N(w/5+1)).Round(time.Millisecond)
	}
	return out
}

func (r SendRequest) message(code string) sms.Message {
	m := sms.Message{
		To: r.Number, From: r.Connection.From,
		Body: r.Connection.Text(sms.Fields{
			Code: code, Number: r.Number, Application: r.Application, Language: r.Language, Host: r.Host,
		}),
		Code:    code,
		Request: &sms.RequestInfo{UserAgent: r.UserAgent},
	}
	caller := r.Caller
	if !caller.IsValid() {
		caller = r.Address
	}
	if caller.IsValid() {
		m.Request.IP = caller.Unmap().WithZone("").String()
	}
	return m
}

func (e *Engine) logSend(ctx context.Context, r SendRequest, level slog.Level, outcome, reason string, more ...slog.Attr) {
	e.log.LogAttrs(ctx, level, "sms code requested", append(more,
		slog.String("outcome", outcome), slog.String("reason", reason),
		slog.String("purpose", string(r.Purpose)), slog.String("client_id", string(r.Client)),
		slog.String("connection", string(r.Connection.Name)),
		slog.String("reference", e.Reference(r.Challenge)),
		slog.Any("number", r.Number), slog.String("number_tag", e.Tag(r.Number)))...)
}
