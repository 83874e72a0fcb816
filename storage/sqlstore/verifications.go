package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// keptVerifications is how long verifications stay, and their callbacks with them.
const keptVerifications = 7 * 24 * time.Hour

// verificationPlace binds what is sealed to its verification, and a reason to its
// place there.
func verificationPlace(id storage.VerificationID) string { return "verifications/" + string(id) }

func reasonPlace(id storage.VerificationID) string { return verificationPlace(id) + "/reason" }

// CreateVerification writes a pending verification, durably. [storage.ErrConflict]:
// its Idempotency, or its ID, is there already.
func (s *Store) CreateVerification(ctx context.Context, v storage.Verification) error {
	details, err := json.Marshal(v.Details)
	if err != nil {
		return fmt.Errorf("details of a verification: %w", err)
	}
	e164, place := v.Number.E164(), verificationPlace(v.ID)
	err = s.db.write(ctx, durable, func(c *conn) error {
		_, err := c.exec(insertVerification, string(v.ID), string(v.ClientID), string(v.Dialect),
			s.vault.Seal(vault.Number, place, []byte(e164)), s.vault.MAC(vault.NumberIndex, e164),
			s.vault.Seal(vault.Verification, place, details), v.CreatedAt.UnixMilli(), v.Deadline.UnixMilli(),
			orNullBytes(v.Idempotency), orNullBytes(v.Fingerprint), v.Details.CallbackURL != "")
		return err
	})
	return wrap("create verification", err)
}

// orNullBytes stores no bytes as NULL.
func orNullBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Verification returns a client's verification as it stands at now, or
// [storage.ErrNotFound], that of another client included; client "" is any. One whose deadline has passed is ended by that before it is told, durably, so
// that every server tells the same for ever, whatever its clock says.
func (s *Store) Verification(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) (storage.Verification, error) {
	v, err := s.settled(ctx, now, verificationByID, string(id), string(client))
	return v, wrap("find verification", err)
}

// VerificationByIdempotency is [Store.Verification] by one of the MACs of a key.
func (s *Store) VerificationByIdempotency(ctx context.Context, macs [][]byte, now time.Time) (v storage.Verification, err error) {
	err = storage.ErrNotFound
	for _, mac := range macs {
		if v, err = s.settled(ctx, now, verificationByIdempotency, mac); !errors.Is(err, storage.ErrNotFound) {
			break
		}
	}
	return v, wrap("find verification by idempotency key", err)
}

func (s *Store) settled(ctx context.Context, now time.Time, find statement, by ...any) (v storage.Verification, err error) {
	err = s.db.read(ctx, func(c *conn) (err error) {
		v, err = s.scanVerification(c.row(find, by...))
		return err
	})
	if err != nil || v.Status != storage.VerificationPending || now.Before(v.Deadline) {
		return v, err
	}
	err = s.db.write(ctx, durable, func(c *conn) (err error) {
		v, err = s.expire(c, v.ID, now)
		return err
	})
	return v, err
}

// expire ends a verification that is over by time, and returns it as it is then.
func (s *Store) expire(c *conn, id storage.VerificationID, now time.Time) (storage.Verification, error) {
	n, err := c.exec(expireVerification, string(id), now.UnixMilli())
	if err != nil {
		return storage.Verification{}, err
	}
	v, err := s.scanVerification(c.row(verificationByID, string(id), ""))
	if err == nil && n > 0 {
		_, err = c.exec(insertVerificationCallback, string(id))
	}
	return v, err
}

func (s *Store) scanVerification(r scanner) (storage.Verification, error) {
	var v storage.Verification
	var number, details, reason []byte
	var created, deadline int64
	var sent, ended sql.NullInt64
	if err := r.Scan(&v.ID, &v.ClientID, &v.Dialect, &number, &details, &created, &deadline, &sent, &v.Status, &ended,
		&reason, &v.Idempotency, &v.Fingerprint); err != nil {
		return v, err
	}
	v.CreatedAt, v.Deadline, v.SentAt, v.EndedAt = ms(created), ms(deadline), msOrZero(sent), msOrZero(ended)
	plain, err := s.openVerification(v.ID, number, details, reason)
	if err != nil {
		return v, err
	}
	v.Reason = string(plain.reason)
	if err := json.Unmarshal(plain.details, &v.Details); err != nil {
		return v, fmt.Errorf("details of verification: %w", err)
	}
	v.Number, err = phone.FromStored(string(plain.number))
	return v, err
}

// plainVerification is what is sealed of a verification.
type plainVerification struct{ number, details, reason []byte }

func (s *Store) openVerification(id storage.VerificationID, number, details, reason []byte) (p plainVerification, err error) {
	if p.number, err = s.vault.Open(vault.Number, verificationPlace(id), number); err != nil {
		return p, fmt.Errorf("number of verification: %w", err)
	}
	if p.details, err = s.vault.Open(vault.Verification, verificationPlace(id), details); err != nil {
		return p, fmt.Errorf("details of verification: %w", err)
	}
	if reason == nil {
		return p, nil
	}
	if p.reason, err = s.vault.Open(vault.Verification, reasonPlace(id), reason); err != nil {
		return p, fmt.Errorf("reason of verification: %w", err)
	}
	return p, nil
}

func (s *Store) sealReason(id storage.VerificationID, reason string) any {
	if reason == "" {
		return nil
	}
	return s.vault.Seal(vault.Verification, reasonPlace(id), []byte(reason))
}

// VerificationHandedOver notes that a route took a text, and the deadline that
// follows from it, and reports whether it did: one that has ended, by time or
// otherwise, stays as it is. It is a fast write: without it the deadline is later,
// never none.
func (s *Store) VerificationHandedOver(ctx context.Context, id storage.VerificationID, at, deadline time.Time) (noted bool, err error) {
	err = s.db.write(ctx, fast, func(c *conn) error {
		n, err := c.exec(verificationHandedOver, string(id), at.UnixMilli(), deadline.UnixMilli())
		noted = n > 0
		return err
	})
	return noted && err == nil, wrap("note that a text was handed over", err)
}

// EndVerification ends a verification, durably, once, and returns it as it is then.
// [storage.ErrConsumed]: it had ended before, or its deadline had passed, which it is
// ended by now; [storage.ErrNotFound]: there is none.
func (s *Store) EndVerification(ctx context.Context, end storage.VerificationEnd) (v storage.Verification, err error) {
	id, reason := end.Of.ID, s.sealReason(end.Of.ID, end.Reason)
	late := false
	err = s.db.write(ctx, durable, func(c *conn) error {
		var deadline int64
		var sent sql.NullInt64
		var callback bool
		err := c.row(endVerification, string(id), string(end.Status), end.At.UnixMilli(), reason).Scan(&deadline, &sent, &callback)
		if late = errors.Is(err, storage.ErrNotFound); late {
			v, err = s.expire(c, id, end.At)
			return err
		}
		if err == nil && callback {
			_, err = c.exec(insertVerificationCallback, string(id))
		}
		v = end.Of
		v.Status, v.EndedAt, v.Reason = end.Status, ms(end.At.UnixMilli()), end.Reason
		v.Deadline, v.SentAt = ms(deadline), msOrZero(sent)
		if v.Status == storage.VerificationFailed {
			v.Idempotency = nil
		}
		return err
	})
	if err == nil && late {
		err = storage.ErrConsumed
	}
	return v, wrap("end verification", err)
}

// ExpireVerifications ends up to limit verifications that are over by time and whose
// clients are to be told, and returns how many. The others end when they are read.
func (s *Store) ExpireVerifications(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		due, err := list(c, untoldVerifications, scanID, now.UnixMilli())
		n = len(due)
		return err
	})
	if err != nil || n == 0 {
		return 0, wrap("expire verifications", err)
	}
	err = s.db.write(ctx, durable, func(c *conn) error {
		over, err := list(c, expireVerifications, scanID, now.UnixMilli(), limit)
		if err != nil {
			return err
		}
		n = len(over)
		for _, id := range over {
			if _, err := c.exec(insertVerificationCallback, string(id)); err != nil {
				return err
			}
		}
		return nil
	})
	return n, wrap("expire verifications", err)
}

func scanID(r scanner) (id storage.VerificationID, err error) {
	err = r.Scan(&id)
	return id, err
}

// UseVerificationResult notes that the result of an approved verification was
// redeemed, durably. [storage.ErrConsumed]: it was before; [storage.ErrNotFound]: the
// client has no approved verification of that name.
func (s *Store) UseVerificationResult(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(useVerificationResult, string(id), now.UnixMilli(), string(client))
		if err != nil || n > 0 {
			return err
		}
		v, err := s.scanVerification(c.row(verificationByID, string(id), ""))
		switch {
		case err != nil:
			return err
		case v.ClientID != client || v.Status != storage.VerificationApproved:
			return storage.ErrNotFound
		}
		return storage.ErrConsumed
	})
	return wrap("use result of verification", err)
}

// RemoveVerification erases a verification and its callback, durably.
// [storage.ErrNotFound]: there is none.
func (s *Store) RemoveVerification(ctx context.Context, id storage.VerificationID) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		n, err := c.exec(deleteVerification, string(id))
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	})
	return wrap("remove verification", err)
}

// ClaimCallbacks hands out up to limit callbacks that are due, and up to each of one
// client, to nobody else until then: who dies with one has lost it to another by then.
func (s *Store) ClaimCallbacks(ctx context.Context, now, until time.Time, limit, each int) (due []storage.Callback, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		var any storage.VerificationID
		return c.row(verificationCallbacksDue, now.UnixMilli()).Scan(&any)
	})
	switch {
	case errors.Is(err, storage.ErrNotFound): // as most of the time, and no write
		return nil, nil
	case err != nil:
		return nil, wrap("find callbacks", err)
	}
	err = s.db.write(ctx, fast, func(c *conn) (err error) {
		due, err = list(c, claimVerificationCallbacks, scanCallback, now.UnixMilli(), until.UnixMilli(), limit, each)
		return err
	})
	return due, wrap("claim callbacks", err)
}

// FinishCallback writes how a claimed attempt ended. One that took so long that
// another was claimed says nothing any more.
func (s *Store) FinishCallback(ctx context.Context, b storage.Callback) error {
	err := s.db.write(ctx, durable, func(c *conn) error {
		_, err := c.exec(finishVerificationCallback, string(b.Verification), b.Attempts, string(b.State), b.DueAt.UnixMilli(), b.Outcome)
		return err
	})
	return wrap("finish callback", err)
}

// VerificationCallback returns what a verification's client was told, or
// [storage.ErrNotFound] when it is told nothing.
func (s *Store) VerificationCallback(ctx context.Context, id storage.VerificationID) (b storage.Callback, err error) {
	err = s.db.read(ctx, func(c *conn) (err error) {
		b, err = scanCallback(c.row(callbackOfVerification, string(id)))
		return err
	})
	return b, wrap("find callback", err)
}

func scanCallback(r scanner) (b storage.Callback, err error) {
	var created, due int64
	err = r.Scan(&b.Verification, &created, &b.State, &b.Attempts, &due, &b.Outcome, &b.ClientID)
	b.CreatedAt, b.DueAt = ms(created), ms(due)
	return b, err
}

// sealedVerification is what of a verification depends on the secret key.
type sealedVerification struct {
	id                      storage.VerificationID
	number, details, reason []byte
}

func (s *Store) resealVerifications(c *conn, active sealedRange) (int, error) {
	rows, err := list(c, verificationsSealedByOthers, func(r scanner) (v sealedVerification, err error) {
		err = r.Scan(&v.id, &v.number, &v.details, &v.reason)
		return v, err
	}, active.first, active.last, int64(resealBatch))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		plain, err := s.openVerification(row.id, row.number, row.details, row.reason)
		if err != nil {
			return 0, err
		}
		place := verificationPlace(row.id)
		if _, err := c.exec(resealVerification, s.vault.Seal(vault.Number, place, plain.number),
			s.vault.MAC(vault.NumberIndex, string(plain.number)), s.vault.Seal(vault.Verification, place, plain.details),
			s.sealReason(row.id, string(plain.reason)), string(row.id)); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}
