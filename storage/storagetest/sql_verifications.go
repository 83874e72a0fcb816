package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/handset-oidc/handset/storage"
)

type verificationStore interface {
	CreateVerification(ctx context.Context, v storage.Verification) error
	Verification(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) (storage.Verification, error)
	VerificationByIdempotency(ctx context.Context, macs [][]byte, now time.Time) (storage.Verification, error)
	VerificationHandedOver(ctx context.Context, id storage.VerificationID, at, deadline time.Time) (bool, error)
	EndVerification(ctx context.Context, end storage.VerificationEnd) (storage.Verification, error)
	ExpireVerifications(ctx context.Context, now time.Time, limit int) (int, error)
	UseVerificationResult(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) error
	RemoveVerification(ctx context.Context, id storage.VerificationID) error
	ClaimCallbacks(ctx context.Context, now, until time.Time, limit, each int) ([]storage.Callback, error)
	FinishCallback(ctx context.Context, b storage.Callback) error
	VerificationCallback(ctx context.Context, id storage.VerificationID) (storage.Callback, error)
}

var verificationPromises = []promise{
	{"VerificationIsReadAsItWasWritten", verificationKept},
	{"VerificationEndsOnceUnder50Racers", verificationEndsOnce},
	{"VerificationEndsAtItsDeadlineWithoutAnyone", verificationDeadline},
	{"EndAndDeadlineAtOnceAreOneEndForEveryReader", verificationEndAtDeadline},
	{"HandingOverMovesTheDeadlineOfAPendingVerificationOnly", verificationHandedOver},
	{"IdempotencyKeyNamesOneVerification", verificationIdempotency},
	{"ResultOfAVerificationIsUsedOnceByItsClient", verificationResult},
	{"RemovedVerificationIsGoneWithItsCallback", verificationRemoved},
	{"VerificationsOfARemovedPersonAreErased", verificationErased},
	{"AVerificationWhoseTextDidNotLeaveGivesItsKeyBack", verificationKeyBack},
	{"NoClientsCallbacksStandBehindAllOfAnothers", callbacksFair},
	{"VerificationsAreKeptFor7Days", verificationSweep},
	{"EveryEndOfAVerificationQueuesOneCallback", verificationCallbacks},
	{"CallbackIsClaimedByOneOfManyServers", callbackClaims},
	{"LateAttemptOfACallbackSaysNothing", callbackLate},
}

// newVerification is pending, and over in 90 seconds.
func (c *sqlCase) newVerification() storage.Verification {
	id := make([]byte, 16)
	rand.Read(id)
	created := c.now.Truncate(time.Millisecond)
	return storage.Verification{
		ID: storage.VerificationID(hex.EncodeToString(id)), ClientID: "app", Dialect: storage.DialectOwn, Number: newNumber(),
		CreatedAt: created, Deadline: created.Add(90 * time.Second), Status: storage.VerificationPending,
		Details: storage.VerificationDetails{
			Input: "+81 90 …", Length: 6, Tries: 4, Life: 90 * time.Second, Locale: "ja", Purpose: "payment",
			CallbackURL: "https://app.example/hook", Metadata: map[string]string{"order": "7"},
			CodeLength: 8, CodeKey: []byte{0, 1, 254, 255},
		},
	}
}

func (c *sqlCase) verification(change ...func(*storage.Verification)) storage.Verification {
	c.Helper()
	v := c.newVerification()
	for _, f := range change {
		f(&v)
	}
	c.must(c.store.CreateVerification(c.Context(), v))
	return v
}

func (c *sqlCase) wantVerification(want storage.Verification, now time.Time) {
	c.Helper()
	got, err := c.store.Verification(c.Context(), want.ID, "", now)
	c.must(err)
	if diff := cmp.Diff(want, got, numbers, cmpopts.EquateEmpty()); diff != "" {
		c.Errorf("verification (-want +got):\n%s", diff)
	}
}

func (c *sqlCase) end(v storage.Verification, status storage.VerificationStatus, at time.Time) error {
	_, err := c.store.EndVerification(c.Context(), storage.VerificationEnd{Of: v, Status: status, At: at, Reason: "because"})
	return err
}

func verificationKept(c *sqlCase) {
	v := c.verification()
	c.wantVerification(v, c.now)
	_, err := c.store.Verification(c.Context(), v.ID, v.ClientID, c.now)
	c.must(err)
	_, err = c.store.Verification(c.Context(), v.ID, "other", v.Deadline)
	c.want(err, storage.ErrNotFound)
	c.wantVerification(v, c.now) // who may not see it has not ended it, either
	_, err = c.store.Verification(c.Context(), "00000000000000000000000000000000", "", c.now)
	c.want(err, storage.ErrNotFound)
	c.want(c.store.CreateVerification(c.Context(), v), storage.ErrConflict)
	got, err := c.store.EndVerification(c.Context(), storage.VerificationEnd{
		Of: v, Status: storage.VerificationTerminated, At: v.CreatedAt.Add(time.Second), Reason: "no longer needed",
	})
	c.must(err)
	v.Status, v.EndedAt, v.Reason = storage.VerificationTerminated, v.CreatedAt.Add(time.Second), "no longer needed"
	if diff := cmp.Diff(v, got, numbers, cmpopts.EquateEmpty()); diff != "" {
		c.Errorf("ended (-want +got):\n%s", diff)
	}
	c.wantVerification(v, c.now.Add(time.Hour))
}

func verificationEndsOnce(c *sqlCase) {
	v := c.verification()
	ends := []storage.VerificationStatus{storage.VerificationApproved, storage.VerificationDenied, storage.VerificationTerminated, storage.VerificationFailed}
	c.oneWinner(storage.ErrConsumed, func(i int) error { return c.end(v, ends[i%len(ends)], c.now.Add(time.Second)) })
	c.want(c.end(c.newVerification(), storage.VerificationApproved, c.now), storage.ErrNotFound)
}

func verificationDeadline(c *sqlCase) {
	v := c.verification()
	c.wantVerification(v, v.Deadline.Add(-time.Millisecond))
	v.Status, v.EndedAt = storage.VerificationExpired, v.Deadline
	c.wantVerification(v, v.Deadline.Add(time.Hour))
	c.want(c.end(v, storage.VerificationApproved, v.Deadline.Add(-time.Second)), storage.ErrConsumed)
	c.wantVerification(v, v.CreatedAt) // by a clock that is behind, too

	unseen := c.verification()
	n, err := c.store.ExpireVerifications(c.Context(), unseen.Deadline, 10)
	c.must(err)
	again, err := c.store.ExpireVerifications(c.Context(), unseen.Deadline, 10)
	c.must(err)
	if n != 1 || again != 0 {
		c.Errorf("expired %d, then %d; want 1, 0", n, again)
	}
}

// Servers whose clocks differ answer and read at once: whatever one of them has
// told stays true.
func verificationEndAtDeadline(c *sqlCase) {
	for range 10 {
		v := c.verification()
		told := make([]storage.VerificationStatus, 20)
		var wg sync.WaitGroup
		for i := range told {
			wg.Go(func() {
				if i%2 == 0 {
					got, err := c.store.Verification(c.Context(), v.ID, "", v.Deadline)
					if err != nil {
						c.Error(err)
					}
					told[i] = got.Status
				} else if c.end(v, storage.VerificationApproved, v.Deadline.Add(-time.Millisecond)) == nil {
					told[i] = storage.VerificationApproved
				}
			})
		}
		wg.Wait()
		last, err := c.store.Verification(c.Context(), v.ID, "", v.Deadline)
		c.must(err)
		for _, status := range told {
			if status != "" && status != last.Status {
				c.Errorf("told %s, and it is %s", status, last.Status)
			}
		}
	}
	v := c.verification()
	c.want(c.end(v, storage.VerificationApproved, v.Deadline), storage.ErrConsumed)
	v.Status, v.EndedAt = storage.VerificationExpired, v.Deadline
	c.wantVerification(v, c.now)
}

func verificationHandedOver(c *sqlCase) {
	v := c.verification()
	v.SentAt = v.CreatedAt.Add(3 * time.Second)
	v.Deadline = v.SentAt.Add(time.Minute)
	c.handedOver(v.ID, v.SentAt, v.Deadline, true)
	c.wantVerification(v, v.SentAt)
	c.handedOver(v.ID, v.Deadline, v.Deadline.Add(time.Hour), false) // too late
	v.Status, v.EndedAt = storage.VerificationExpired, v.Deadline
	c.wantVerification(v, v.Deadline)
	c.handedOver(v.ID, v.SentAt, v.Deadline.Add(time.Hour), false)
	c.wantVerification(v, v.Deadline)
	c.handedOver("unknown", v.SentAt, v.Deadline, false)
	// Whoever read it before that ends it as it stands.
	before := c.verification()
	want := before
	want.SentAt, want.Deadline = before.CreatedAt.Add(time.Second), before.CreatedAt.Add(time.Minute)
	c.handedOver(before.ID, want.SentAt, want.Deadline, true)
	want.Status, want.EndedAt = storage.VerificationApproved, before.CreatedAt.Add(2*time.Second)
	got, err := c.store.EndVerification(c.Context(), storage.VerificationEnd{Of: before, Status: want.Status, At: want.EndedAt})
	c.must(err)
	if diff := cmp.Diff(want, got, numbers, cmpopts.EquateEmpty()); diff != "" {
		c.Errorf("ended by who read it before (-want +got):\n%s", diff)
	}
	c.wantVerification(want, c.now.Add(time.Hour))
}

// handedOver notes that a text was handed over, and wants to hear whether it was noted.
func (c *sqlCase) handedOver(id storage.VerificationID, at, deadline time.Time, want bool) {
	c.Helper()
	noted, err := c.store.VerificationHandedOver(c.Context(), id, at, deadline)
	c.must(err)
	if noted != want {
		c.Errorf("handed over at %v: noted is %v, want %v", at, noted, want)
	}
}

func verificationIdempotency(c *sqlCase) {
	key := newMAC()
	v := c.verification(func(v *storage.Verification) { v.Idempotency, v.Fingerprint = key, newMAC() })
	c.want(c.store.CreateVerification(c.Context(), func() storage.Verification {
		other := c.newVerification()
		other.Idempotency = key
		return other
	}()), storage.ErrConflict)
	got, err := c.store.VerificationByIdempotency(c.Context(), [][]byte{newMAC(), key}, c.now)
	c.must(err)
	if diff := cmp.Diff(v, got, numbers); diff != "" {
		c.Errorf("by its key (-want +got):\n%s", diff)
	}
	_, err = c.store.VerificationByIdempotency(c.Context(), [][]byte{newMAC()}, c.now)
	c.want(err, storage.ErrNotFound)
	_, err = c.store.VerificationByIdempotency(c.Context(), nil, c.now)
	c.want(err, storage.ErrNotFound)
	c.verification()
	c.verification() // without a key there may be many
}

func verificationResult(c *sqlCase) {
	v := c.verification()
	c.want(c.store.UseVerificationResult(c.Context(), v.ID, v.ClientID, c.now), storage.ErrNotFound)
	c.must(c.end(v, storage.VerificationApproved, c.now))
	c.want(c.store.UseVerificationResult(c.Context(), v.ID, "other", c.now), storage.ErrNotFound)
	c.oneWinner(storage.ErrConsumed, func(int) error {
		return c.store.UseVerificationResult(c.Context(), v.ID, v.ClientID, c.now)
	})
}

func verificationRemoved(c *sqlCase) {
	v := c.verification()
	c.must(c.end(v, storage.VerificationDenied, c.now))
	c.must(c.store.RemoveVerification(c.Context(), v.ID))
	_, err := c.store.Verification(c.Context(), v.ID, "", c.now)
	c.want(err, storage.ErrNotFound)
	_, err = c.store.VerificationCallback(c.Context(), v.ID)
	c.want(err, storage.ErrNotFound)
	c.want(c.store.RemoveVerification(c.Context(), v.ID), storage.ErrNotFound)
}

func verificationKeyBack(c *sqlCase) {
	key := func(v *storage.Verification) { v.Idempotency, v.Fingerprint = []byte("key"), []byte("body") }
	v := c.verification(key)
	c.must(c.end(v, storage.VerificationFailed, c.now))
	again := c.verification(key)
	c.handedOver(again.ID, c.now, again.Deadline, true)
	c.want(c.end(again, storage.VerificationFailed, c.now), storage.ErrConsumed) // it has a text
	other := c.newVerification()
	key(&other)
	c.want(c.store.CreateVerification(c.Context(), other), storage.ErrConflict)
}

func callbacksFair(c *sqlCase) {
	for range 20 {
		v := c.verification(func(v *storage.Verification) { v.ClientID = "many" })
		c.must(c.end(v, storage.VerificationApproved, c.now))
	}
	v := c.verification(func(v *storage.Verification) { v.ClientID = "one" })
	c.must(c.end(v, storage.VerificationApproved, c.now.Add(time.Second)))
	at := c.now.Add(time.Minute)
	got, err := c.store.ClaimCallbacks(c.Context(), at, at.Add(time.Minute), 5, 4)
	c.must(err)
	of := map[storage.ClientID]int{}
	for _, b := range got {
		of[b.ClientID]++
	}
	if of["many"] != 4 || of["one"] != 1 {
		c.Errorf("claimed %v", of)
	}
}

func verificationErased(c *sqlCase) {
	l, opened := c.login()
	other := c.verification()
	v := c.verification(func(v *storage.Verification) { v.Number = l.Number })
	c.must(c.end(v, storage.VerificationApproved, c.now))
	c.must(c.store.RemoveUser(c.Context(), opened.User.ID, c.now))
	_, err := c.store.Verification(c.Context(), v.ID, "", c.now)
	c.want(err, storage.ErrNotFound)
	_, err = c.store.VerificationCallback(c.Context(), v.ID)
	c.want(err, storage.ErrNotFound)
	_, err = c.store.Verification(c.Context(), other.ID, "", c.now)
	c.must(err)
}

func verificationSweep(c *sqlCase) {
	v := c.verification()
	c.must(c.end(v, storage.VerificationApproved, c.now))
	c.must(c.store.Sweep(c.Context(), v.CreatedAt.Add(7*24*time.Hour)))
	_, err := c.store.Verification(c.Context(), v.ID, "", c.now)
	c.must(err)
	c.must(c.store.Sweep(c.Context(), v.CreatedAt.Add(7*24*time.Hour+time.Millisecond)))
	_, err = c.store.Verification(c.Context(), v.ID, "", c.now)
	c.want(err, storage.ErrNotFound)
}

func verificationCallbacks(c *sqlCase) {
	silent := c.verification(func(v *storage.Verification) { v.Details.CallbackURL = "" })
	c.must(c.end(silent, storage.VerificationApproved, c.now))
	ended, read, swept := c.verification(), c.verification(), c.verification()
	_, err := c.store.VerificationCallback(c.Context(), ended.ID)
	c.want(err, storage.ErrNotFound)
	c.must(c.end(ended, storage.VerificationDenied, c.now))
	c.want(c.end(ended, storage.VerificationApproved, c.now), storage.ErrConsumed)
	_, err = c.store.Verification(c.Context(), read.ID, "", read.Deadline)
	c.must(err)
	_, err = c.store.Verification(c.Context(), read.ID, "", read.Deadline)
	c.must(err)
	_, err = c.store.ExpireVerifications(c.Context(), swept.Deadline, 10)
	c.must(err)
	got, err := c.store.ClaimCallbacks(c.Context(), swept.Deadline, swept.Deadline.Add(time.Minute), 10, 10)
	c.must(err)
	want := map[storage.VerificationID]int{ended.ID: 1, read.ID: 1, swept.ID: 1}
	seen := map[storage.VerificationID]int{}
	for _, b := range got {
		seen[b.Verification] += b.Attempts
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		c.Errorf("callbacks (-want +got):\n%s", diff)
	}
}

func callbackClaims(c *sqlCase) {
	v := c.verification()
	c.must(c.end(v, storage.VerificationApproved, v.CreatedAt))
	until := v.CreatedAt.Add(time.Minute)
	won := make([]int, racers)
	c.race(func(i int) error {
		got, err := c.store.ClaimCallbacks(c.Context(), v.CreatedAt, until, 10, 10)
		won[i] = len(got)
		return err
	})
	sum := 0
	for _, n := range won {
		sum += n
	}
	if sum != 1 {
		c.Errorf("claimed %d times, want once", sum)
	}
	got, err := c.store.ClaimCallbacks(c.Context(), until, until.Add(time.Minute), 10, 10)
	c.must(err)
	if len(got) != 1 || got[0].Attempts != 2 {
		c.Errorf("after who claimed it died: %+v", got)
	}
}

func callbackLate(c *sqlCase) {
	v := c.verification()
	c.must(c.end(v, storage.VerificationApproved, v.CreatedAt))
	claim := func(now time.Time) storage.Callback {
		c.Helper()
		got, err := c.store.ClaimCallbacks(c.Context(), now, now.Add(time.Minute), 1, 1)
		c.must(err)
		if len(got) != 1 {
			c.Fatalf("%d claimed", len(got))
		}
		return got[0]
	}
	first := claim(v.CreatedAt)
	second := claim(v.CreatedAt.Add(time.Minute))
	first.State, first.Outcome = storage.CallbackGivenUp, "500"
	c.must(c.store.FinishCallback(c.Context(), first))
	second.State, second.Outcome = storage.CallbackDelivered, "204"
	c.must(c.store.FinishCallback(c.Context(), second))
	got, err := c.store.VerificationCallback(c.Context(), v.ID)
	c.must(err)
	if diff := cmp.Diff(second, got); diff != "" {
		c.Errorf("callback (-want +got):\n%s", diff)
	}
	none, err := c.store.ClaimCallbacks(c.Context(), v.CreatedAt.Add(time.Hour), v.CreatedAt.Add(2*time.Hour), 1, 1)
	c.must(err)
	if len(none) != 0 {
		c.Error("a delivered callback is claimed again")
	}
}
