package passcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// CheckRequest tries a code.
type CheckRequest struct {
	// Challenge is as the door loaded it. It names the key of the MAC and the
	// length; the store alone decides.
	Challenge storage.Challenge
	Purpose   Purpose
	Client    storage.ClientID
	Number    phone.Number
	// Typed is what the person typed, unfolded.
	Typed string
	// Address is that of whoever asks; without one it is a client that has
	// authenticated, and no limit of addresses holds.
	Address netip.Addr
	// BlockGuessing refuses all codes for the number from the address after ten in a
	// row that proved nothing, for an hour ([limit.BruteForce]).
	BlockGuessing bool
}

// Check returns nil when the code proves the number; the code is used up then.
// Otherwise it returns a [*Rejection], or an error that wraps
// [storage.ErrUnavailable] when the store can't be reached: then nothing is proved.
func (e *Engine) Check(ctx context.Context, r CheckRequest) error {
	if r.Challenge.ID == "" || r.Purpose == "" || r.Purpose == decoyPurpose || r.Number.IsZero() {
		return errors.New("check code: challenge, purpose and number are required")
	}
	checked, err := e.store.CheckChallenge(ctx, e.attempt(r))
	if err != nil {
		return fmt.Errorf("check challenge: %w", err)
	}
	if checked.Status == storage.CheckOK {
		e.entered(r, "")
		e.logCheck(ctx, r, slog.LevelInfo, "accepted", "")
		return nil
	}
	rejection := r.rejected(checked)
	e.entered(r, rejection.Reason)
	e.logCheck(ctx, r, slog.LevelWarn, "rejected", string(rejection.Reason))
	return rejection
}

// attempt builds the one step that counts, compares and uses up.
func (e *Engine) attempt(r CheckRequest) storage.CheckChallenge {
	tag := e.numberTag(r.Number)
	_, isTest := phone.FindTest(e.tests, r.Number, e.now())
	attempt := storage.CheckChallenge{
		ID: r.Challenge.ID, Now: e.now().UTC(), MAC: e.typedMAC(r),
		Guess:      e.guessLimit(tag, isTest),
		LongLength: longLength, MaxMalformed: maxMalformed,
	}
	if r.Address.IsValid() {
		attempt.Limits = []storage.Limit{e.limitFor(limit.VerifyAddress, e.addressKey(r.Address))}
	}
	if r.BlockGuessing {
		attempt.Block = e.block(tag, r.Address)
	}
	if !isTest {
		attempt.Refunds = []storage.Limit{e.limitFor(limit.SendNumber, tag)}
		attempt.Refundable = e.limitFor(limit.RefundNumber, tag)
	}
	return attempt
}

// typedMAC is the MAC of the code typed, under the key of the challenge's own, or
// nil when it is malformed: not the challenge's number of digits.
func (e *Engine) typedMAC(r CheckRequest) []byte {
	code, ok := phone.FoldDigits(r.Typed)
	if !ok || len(code) != r.Challenge.Length {
		return nil
	}
	parts := e.codeParts(r.Challenge.ID, r.Purpose, r.Client, r.Number, code)
	if mac := e.vault.MACLike(r.Challenge.CodeMAC, vault.SMSCode, parts...); mac != nil {
		return mac
	}
	// The key has been removed: the code can't be proved any more, and is wrong.
	return e.vault.MAC(vault.SMSCode, parts...)
}

var reasons = map[storage.CheckStatus]Reason{
	storage.CheckWrong: Wrong, storage.CheckMalformed: Malformed, storage.CheckDead: Dead,
	storage.CheckExpired: Expired, storage.CheckUsed: Used, storage.CheckGone: Gone,
	storage.CheckLimited: TooMany,
}

func (r CheckRequest) rejected(c storage.Checked) *Rejection {
	out := &Rejection{TriesLeft: c.TriesLeft, Length: c.Length, RetryAt: resendAt(r.Challenge)}
	reason, known := reasons[c.Status]
	switch {
	case !known:
		out.Reason = Gone // a status that we don't know proves nothing
	case c.Limited != nil:
		out.Reason, out.RetryAt, out.Limit = TooMany, c.Limited.RetryAt, c.Limited.Name
	default:
		out.Reason = reason
	}
	return out
}

func (e *Engine) logCheck(ctx context.Context, r CheckRequest, level slog.Level, outcome, reason string) {
	e.log.LogAttrs(ctx, level, "sms code checked",
		slog.String("outcome", outcome), slog.String("reason", reason),
		slog.String("purpose", string(r.Purpose)), slog.String("client_id", string(r.Client)),
		slog.String("reference", e.Reference(r.Challenge.ID)),
		slog.Any("number", r.Number), slog.String("number_tag", e.Tag(r.Number)))
}
