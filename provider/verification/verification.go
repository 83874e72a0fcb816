// Package verification verifies phone numbers outside any login, for clients that
// call it over HTTP, in two dialects: that of a well-known Durable Functions sample
// ([Durable]) and our own ([API]). Both are doors of the code engine, which owns
// codes, tries and limits.
//
// The package owns the one end of a verification: by a right code, by the last
// wrong one, by time, by its client, or because no text could leave. The end is a
// write that succeeds once; what the engine said before it decides nothing by
// itself. Codes are never kept here.
package verification

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

// Store keeps verifications.
type Store interface {
	// CreateVerification must return [storage.ErrConflict] for an Idempotency that
	// is there already.
	CreateVerification(ctx context.Context, v storage.Verification) error
	// Verification must end what is over by time before it returns it, and must
	// not find that of another client, unless client is empty.
	Verification(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) (storage.Verification, error)
	VerificationByIdempotency(ctx context.Context, macs [][]byte, now time.Time) (storage.Verification, error)
	// VerificationHandedOver must change nothing of one that has ended, and say so by
	// false.
	VerificationHandedOver(ctx context.Context, id storage.VerificationID, at, deadline time.Time) (bool, error)
	// EndVerification must end it once, and before its deadline; it must return
	// [storage.ErrConsumed] otherwise, with the verification as it is.
	EndVerification(ctx context.Context, end storage.VerificationEnd) (storage.Verification, error)
	RemoveVerification(ctx context.Context, id storage.VerificationID) error
}

// Codes is the code engine.
type Codes interface {
	Send(ctx context.Context, r passcode.SendRequest) (passcode.Sent, error)
	Check(ctx context.Context, r passcode.CheckRequest) error
}

// Challenges reads where codes count.
type Challenges interface {
	// Challenge must return a [storage.ChallengeGone] for one that it doesn't know.
	Challenge(ctx context.Context, id storage.ChallengeID) (storage.Challenge, error)
}

// Clients knows who may call.
type Clients interface {
	client.Authenticator
	// Get must return [storage.ErrNotFound] for an unknown client.
	Get(ctx context.Context, id storage.ClientID) (*storage.Client, error)
}

// Config is what both dialects need; every field is required.
type Config struct {
	// Issuer is the provider's address without a slash at its end.
	Issuer     string
	Store      Store
	Codes      Codes
	Challenges Challenges
	// Connection returns the connection in use.
	Connection func() *passcode.Connection
	Clients    Clients
	Vault      *vault.Vault
	Rules      phone.Rules
	Logger     *slog.Logger
	Now        func() time.Time
}

// Verifier is what both dialects share. It is safe for concurrent use.
type Verifier struct{ c Config }

// New returns a Verifier.
func New(c Config) *Verifier { return &Verifier{c} }

// newID is a name of 80 random bits behind the time, so that rows made together
// stand together in the index.
func newID(now time.Time) storage.VerificationID {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|uint64(b[6])<<8|uint64(b[7]))
	return storage.VerificationID(hex.EncodeToString(b[:]))
}

// isID reports whether a text has the form of an ID, so that no store is asked for
// garbage.
func isID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == s
}

// challengeOf is the place where the code of a verification counts.
func challengeOf(id storage.VerificationID) storage.ChallengeID {
	return storage.ChallengeID("verification:" + string(id))
}

// number reads a number in international form that the client may have verified.
func (v *Verifier) number(c *storage.Client, typed string) (phone.Number, error) {
	n, err := v.c.Rules.Parse(typed, "")
	if err != nil || len(c.Countries) == 0 {
		return n, err
	}
	own := v.c.Rules
	own.Countries = c.Countries
	return own.Parse(typed, "")
}

// admits holds a client to the networks that it may ask from: a key that got lost
// must be of no use elsewhere (security.md row 35).
func admits(ctx context.Context, c *storage.Client) error {
	if c.Admits(reqctx.From(ctx).Address) {
		return nil
	}
	return &web.Fault{Status: http.StatusForbidden, Code: "address_not_allowed",
		Message: "this client may not be used from this network address; see its addresses"}
}

// order is a verification that is asked for.
type order struct {
	client  *storage.Client
	dialect storage.Dialect
	number  phone.Number
	details storage.VerificationDetails
	// template is the text in place of the connection's.
	template *sms.Template
	// wait is how long to wait for the route.
	wait                     time.Duration
	idempotency, fingerprint []byte
}

// start writes the verification down and has its code texted. When it returns an
// error other than [passcode.ErrNotSent] there is no verification: nothing was
// texted and nothing counted. The verification has its SentAt when that is as it
// stands; without it, another look tells.
func (v *Verifier) start(ctx context.Context, o order) (storage.Verification, passcode.Sent, error) {
	now := v.c.Now().UTC().Truncate(time.Millisecond)
	record := storage.Verification{
		ID: newID(now), ClientID: o.client.ClientID, Dialect: o.dialect, Number: o.number, Status: storage.VerificationPending,
		// Until a route has the text, by the latest time at which one can have it.
		CreatedAt: now, Deadline: now.Add(passcode.HandOver + o.details.Life),
		Idempotency: o.idempotency, Fingerprint: o.fingerprint, Details: o.details,
	}
	reqctx.Add(ctx, slog.String("verification", string(record.ID)), slog.Any("number", o.number))
	request := v.request(o.client, record)
	request.Wait = o.wait
	var texted atomic.Pointer[storage.Verification] // the text may go on when Send has returned
	request.Done = func(ctx context.Context, err error) {
		if noted, ok := v.handedOver(ctx, record, err); ok {
			texted.Store(&noted)
		}
	}
	// Behind the limits, so that who is refused leaves no trace and costs no write, and
	// before the text leaves.
	request.Accepted = func(ctx context.Context, c storage.Challenge) error {
		record.Details.CodeLength, record.Details.CodeKey = c.Length, vault.KeyName(c.CodeMAC)
		return v.c.Store.CreateVerification(ctx, record)
	}
	if o.template != nil {
		texting := *request.Connection
		texting.Template = o.template
		request.Connection = &texting
	}
	sent, err := v.c.Codes.Send(ctx, request)
	if noted := texted.Load(); noted != nil {
		record = *noted
	}
	if err == nil || errors.Is(err, passcode.ErrNotSent) {
		return record, sent, err
	}
	return record, sent, fmt.Errorf("send code: %w", err)
}

// request asks the engine for a text of a verification.
func (v *Verifier) request(c *storage.Client, record storage.Verification) passcode.SendRequest {
	d := record.Details
	return passcode.SendRequest{
		Challenge: challengeOf(record.ID), Purpose: passcode.Verification, Client: record.ClientID, Number: record.Number,
		Connection: v.c.Connection(), Application: c.Name, Language: d.Locale, Length: d.Length, Tries: d.Tries,
		// The engine counts from before the text was handed over: what ends in time is
		// the verification.
		Life: passcode.HandOver + d.Life,
		Done: func(ctx context.Context, err error) { v.handedOver(ctx, record, err) },
	}
}

// writeWithin bounds the write of how a text fared.
const writeWithin = 10 * time.Second

// longest is how long after its start a verification ends, however often it is
// texted again.
const longest = 10*time.Minute + passcode.HandOver

// handedOver notes how a text fared: the time counts from when a route took it. It
// returns the verification as it is then, and false when that is not known.
func (v *Verifier) handedOver(ctx context.Context, record storage.Verification, failure error) (storage.Verification, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	now := v.c.Now().UTC().Truncate(time.Millisecond)
	if failure == nil {
		deadline := now.Add(record.Details.Life)
		if last := record.CreatedAt.Add(longest); deadline.After(last) {
			deadline = last
		}
		noted, err := v.c.Store.VerificationHandedOver(ctx, record.ID, now, deadline)
		v.report(ctx, "note that a text was handed over", err)
		record.SentAt, record.Deadline = now, deadline
		return record, noted
	}
	if !record.SentAt.IsZero() {
		return record, false // another text did not leave; the one before is as good as it was
	}
	_, err := v.c.Store.EndVerification(ctx, storage.VerificationEnd{
		Of: record, Status: storage.VerificationFailed, At: now, Reason: "The text message could not be handed over.",
	})
	if !errors.Is(err, storage.ErrConsumed) && !errors.Is(err, storage.ErrNotFound) {
		v.report(ctx, "end a verification whose text did not leave", err)
	}
	return record, false
}

func (v *Verifier) report(ctx context.Context, what string, err error) {
	if err != nil {
		v.c.Logger.ErrorContext(ctx, what, slog.String("error", err.Error()))
	}
}

// find returns a client's verification, as it stands now; client "" is any.
func (v *Verifier) find(ctx context.Context, id string, of storage.ClientID, dialect storage.Dialect) (storage.Verification, error) {
	if !isID(id) {
		return storage.Verification{}, storage.ErrNotFound
	}
	reqctx.Add(ctx, slog.String("verification", id))
	record, err := v.c.Store.Verification(ctx, storage.VerificationID(id), of, v.c.Now())
	if err == nil && record.Dialect != dialect {
		err = storage.ErrNotFound
	}
	return record, err
}

// answered is what became of an answer.
type answered struct {
	record storage.Verification
	// left are the tries that are left, -1 when nobody knows: the code is lost with
	// the Redis that it was in.
	left int
}

// errMalformed says that an answer is no code, or none of this length.
var errMalformed = errors.New("not a code")

// answer tries a code on a pending verification. fit makes the code of its length,
// or reports false. It returns [storage.ErrConsumed] when the verification ended
// meanwhile, and errMalformed for what was not tried.
func (v *Verifier) answer(ctx context.Context, record storage.Verification, fit func(length int) (string, bool)) (answered, error) {
	now := v.c.Now().UTC()
	challenge, err := v.challenge(ctx, record)
	if err != nil {
		return answered{}, err
	}
	lost := answered{record, -1}
	if challenge.State == storage.ChallengeGone {
		if _, ok := fit(record.Details.Length); !ok {
			return lost, errMalformed
		}
		return lost, nil
	}
	code, ok := fit(challenge.Length)
	if !ok {
		return lost, errMalformed
	}
	err = v.c.Codes.Check(ctx, passcode.CheckRequest{
		Challenge: challenge, Purpose: passcode.Verification, Client: record.ClientID, Number: record.Number, Typed: code,
	})
	rejected, wrong := errors.AsType[*passcode.Rejection](err)
	switch {
	case err != nil && !wrong:
		return answered{}, fmt.Errorf("check code: %w", err)
	case err == nil, rejected.Reason == passcode.Used:
		// A code that was accepted and whose end was not written, since its server died
		// or SQL did not answer: it came in time, if it is still time.
		return v.end(ctx, record, storage.VerificationApproved, now, "")
	case rejected.Reason == passcode.Dead, rejected.Reason == passcode.Wrong && rejected.TriesLeft == 0:
		return v.end(ctx, record, storage.VerificationDenied, now, "")
	case rejected.Reason == passcode.Gone:
		return lost, nil
	}
	return answered{record, rejected.TriesLeft}, nil
}

// challenge is where an answer counts. A verification has one code, however often it
// is texted: its record tells all that is asked of the challenge before a try, and
// whether it is still there, the try tells.
func (v *Verifier) challenge(ctx context.Context, record storage.Verification) (storage.Challenge, error) {
	id, d := challengeOf(record.ID), record.Details
	if d.CodeLength > 0 {
		return storage.Challenge{ID: id, State: storage.ChallengeLive, Length: d.CodeLength, CodeMAC: d.CodeKey}, nil
	}
	// It was started by a version that noted neither.
	c, err := v.c.Challenges.Challenge(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return c, fmt.Errorf("read challenge: %w", err)
	}
	return c, nil
}

func (v *Verifier) end(ctx context.Context, record storage.Verification, status storage.VerificationStatus, at time.Time, reason string) (answered, error) {
	record, err := v.c.Store.EndVerification(ctx, storage.VerificationEnd{Of: record, Status: status, At: at, Reason: reason})
	if err == nil {
		reqctx.Add(ctx, slog.String("outcome", string(status)))
	}
	return answered{record, 0}, err
}

// refusedStart is the error of a start as both dialects tell it.
func (v *Verifier) refusedStart(err error) error {
	if limited, ok := errors.AsType[*passcode.Limited](err); ok {
		wait := max(limited.RetryAt.Sub(v.c.Now()), time.Second)
		return &web.Fault{Status: http.StatusTooManyRequests, Code: "limited", RetryAfter: wait, Reason: limited.Name, Err: err,
			Message: "too many texts were asked for, to this number or by this client; try again later"}
	}
	return err
}

// wrongNumber is what is wrong with a number, in words for developers.
func wrongNumber(err error) string {
	region, foreign := errors.AsType[*phone.RegionError](err)
	switch {
	case foreign:
		return "numbers of the region " + region.Region + " are not allowed"
	case errors.Is(err, phone.ErrExtension):
		return "a number with an extension can't be texted"
	case errors.Is(err, phone.ErrNotMobile):
		return "not the number of a mobile phone"
	}
	return "not a phone number in international form, such as +14255550123"
}
