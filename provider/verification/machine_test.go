package verification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// counted counts the tries that the engine evaluated.
type counted struct {
	Codes
	tries int
}

func (c *counted) Check(ctx context.Context, r passcode.CheckRequest) error {
	err := c.Codes.Check(ctx, r)
	if rejected, ok := errors.AsType[*passcode.Rejection](err); err == nil || ok && rejected.Reason == passcode.Wrong {
		c.tries++
	}
	return err
}

// machine is a verifier on real stores, whose clock is moved and whose server is
// restarted at will.
type machine struct {
	t        *testing.T
	vault    *vault.Vault
	sql      *sqlstore.Store
	redis    *redisstore.Store
	ahead    atomic.Int64
	inbox    *sms.Inbox
	conn     *passcode.Connection
	verifier *Verifier
	engine   *passcode.Engine
	codes    *counted
	number   phone.Number
	client   storage.Client
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, client: storage.Client{ClientID: "app", Name: "App"}}
	var err error
	m.vault, err = vault.Parse(vault.Generate())
	m.check(err)
	m.sql, err = sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite::memory:", Vault: m.vault})
	m.check(err)
	t.Cleanup(func() { m.sql.Close() })
	m.inbox = sms.NewInbox(10_000, m.now)
	m.conn = &passcode.Connection{Name: "sms", Routes: sms.NewRoutes(nil, sms.NewNamed("sms", "", m.inbox, m.now))}
	m.loseRedis()
	return m
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func (m *machine) now() time.Time { return noon.Add(time.Duration(m.ahead.Load())) }

func (m *machine) pass(d time.Duration) { m.ahead.Add(int64(d)) }

func (m *machine) loseRedis() {
	redis, err := redisstore.Open(m.t.Context(), redisstore.Config{URL: "embedded", Vault: m.vault})
	m.check(err)
	m.t.Cleanup(func() { redis.Close() })
	m.redis = redis
	m.restart()
}

// restart makes a new server on the same stores.
func (m *machine) restart() {
	if m.engine != nil {
		m.check(m.engine.Drain(m.t.Context()))
	}
	off := storage.Limit{Off: true}
	engine, err := passcode.New(passcode.Config{Store: m.redis, Vault: m.vault, Now: m.now, Limits: map[string]storage.Limit{
		limit.SendNumber: off, limit.GuessNumber: off, limit.SendClient: off, limit.SendClientDay: off,
	}})
	m.check(err)
	m.engine = engine
	before := 0
	if m.codes != nil {
		before = m.codes.tries
	}
	m.codes = &counted{engine, before}
	m.verifier = New(Config{
		Store: m.sql, Codes: m.codes, Challenges: m.redis, Connection: func() *passcode.Connection { return m.conn },
		Vault: m.vault, Rules: phone.Rules{Countries: []string{"GB"}}, Logger: slog.New(slog.DiscardHandler), Now: m.now,
	})
}

func (m *machine) start() (storage.Verification, string) {
	m.t.Helper()
	number, err := phone.FromStored(fmt.Sprintf("+4474001%05d", lastNumber.Add(1)))
	m.check(err)
	m.number, m.codes.tries = number, 0
	template, err := sms.ParseTemplate(sms.SyntaxMacros, durableText)
	m.check(err)
	v, _, err := m.verifier.start(m.t.Context(), order{client: &m.client, dialect: storage.DialectDurable, number: number, template: template,
		wait: time.Minute, details: storage.VerificationDetails{Length: durableLength, Tries: durableTries, Life: durableLife}})
	m.check(err)
	texts := m.inbox.Texts(number)
	return v, strings.TrimPrefix(texts[len(texts)-1].Body, "Your verification code is ")
}

var lastNumber atomic.Int64

func (m *machine) read(v storage.Verification) storage.Verification {
	m.t.Helper()
	got, err := m.sql.Verification(m.t.Context(), v.ID, "app", m.now())
	m.check(err)
	return got
}

// try answers as a handler does, and reports whether the answer was approved.
func (m *machine) try(v storage.Verification, code string) bool {
	m.t.Helper()
	now := m.read(v)
	if now.Status != storage.VerificationPending {
		return false
	}
	got, err := m.verifier.answer(m.t.Context(), now, func(int) (string, bool) { return code, true })
	if err != nil && !errors.Is(err, storage.ErrConsumed) {
		m.t.Fatal(err)
	}
	return err == nil && got.record.Status == storage.VerificationApproved
}

func another(code string, nth int) string {
	var n int
	fmt.Sscanf(code, "%d", &n)
	return fmt.Sprintf("%0*d", len(code), (n+1+nth)%10000)
}

// In whatever order answers, time, ends, second texts and restarts come: never two
// ends, never approved after an end or after the deadline, never more than the
// allowed tries evaluated.
func TestAnyOrderOfEventsHasOneEnd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ends := map[storage.VerificationStatus]int{}
	for seed := range uint64(250) {
		r := rand.New(rand.NewPCG(seed, 5))
		v, code := m.start()
		var story []string
		var end storage.Verification
		rightInTime, lost := false, false
		note := func(what string) { story = append(story, what) }
		look := func() {
			t.Helper()
			got := m.read(v)
			switch {
			case end.Status == "" && got.Status != storage.VerificationPending:
				end = got
			case end.Status != "" && (got.Status != end.Status || !got.EndedAt.Equal(end.EndedAt)):
				t.Fatalf("seed %d, %q: ended as %s, then as %s", seed, story, end.Status, got.Status)
			}
			if got.Status == storage.VerificationPending && !m.now().Before(got.Deadline) {
				t.Fatalf("seed %d, %q: pending behind its deadline", seed, story)
			}
		}
		for range 14 {
			switch r.IntN(9) {
			case 0, 1, 2:
				note("wrong")
				if m.try(v, another(code, r.IntN(9000))) {
					t.Fatalf("seed %d, %q: a wrong code was approved", seed, story)
				}
			case 3:
				note("right")
				pending := m.read(v).Status == storage.VerificationPending
				approved := m.try(v, code)
				if approved && (!pending || end.Status != "") {
					t.Fatalf("seed %d, %q: approved behind the end", seed, story)
				}
				if pending && !lost && !approved {
					t.Fatalf("seed %d, %q: the right code in time was not approved", seed, story)
				}
				rightInTime = rightInTime || approved
			case 4, 5:
				d := time.Duration(r.IntN(30_000)) * time.Millisecond
				note(d.String())
				m.pass(d)
			case 6:
				note("restart")
				m.restart()
			case 7:
				if r.IntN(4) > 0 {
					note("text again")
					request := m.verifier.request(&m.client, m.read(v))
					request.Again, request.Wait = true, time.Minute
					_, _ = m.engine.Send(t.Context(), request) // the cooldown may refuse it
					break
				}
				note("redis lost")
				m.loseRedis()
				lost = true
			case 8:
				if r.IntN(3) == 0 {
					note("terminate")
					_, err := m.verifier.end(t.Context(), v, storage.VerificationTerminated, m.now(), "")
					if err == nil && end.Status != "" {
						t.Fatalf("seed %d, %q: ended twice", seed, story)
					}
				}
			}
			look()
			if m.codes.tries > durableTries {
				t.Fatalf("seed %d, %q: %d tries evaluated", seed, story, m.codes.tries)
			}
		}
		m.pass(11 * time.Minute)
		look()
		if (end.Status == storage.VerificationApproved) != rightInTime {
			t.Fatalf("seed %d, %q: it is %s", seed, story, end.Status)
		}
		ends[end.Status]++
	}
	for _, status := range []storage.VerificationStatus{
		storage.VerificationApproved, storage.VerificationDenied, storage.VerificationExpired, storage.VerificationTerminated,
	} {
		if ends[status] == 0 {
			t.Errorf("no history ended as %s: %v", status, ends)
		}
	}
}

// A server that died between the engine's word and the end: whoever asks again is
// not told that the right code was wrong.
func TestARightCodeWhoseEndWasNotWrittenCountsWhileThereIsTime(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, late := range []bool{false, true} {
		v, code := m.start()
		challenge, err := m.redis.Challenge(t.Context(), challengeOf(v.ID))
		m.check(err)
		m.check(m.engine.Check(t.Context(), passcode.CheckRequest{
			Challenge: challenge, Purpose: passcode.Verification, Client: v.ClientID, Number: m.number, Typed: code,
		}))
		m.restart()
		if late {
			m.pass(durableLife)
		}
		if m.try(v, code) == late {
			t.Errorf("late %v: it is %s", late, m.read(v).Status)
		}
	}
}

// olderStore keeps what a version kept that noted nothing of the code.
type olderStore struct{ Store }

func (s olderStore) CreateVerification(ctx context.Context, v storage.Verification) error {
	v.Details.CodeLength, v.Details.CodeKey = 0, nil
	return s.Store.CreateVerification(ctx, v)
}

// noChallenges fails whoever asks.
type noChallenges struct{}

func (noChallenges) Challenge(context.Context, storage.ChallengeID) (storage.Challenge, error) {
	return storage.Challenge{}, storage.ErrUnavailable
}

// The record tells all that is asked of the challenge before a try; for one of an
// older version the challenge is asked.
func TestAnswersNeedNoOtherLookAtTheChallenge(t *testing.T) {
	t.Parallel()
	for name, older := range map[string]bool{"as it is": false, "of an older version": true} {
		m := newMachine(t)
		challenges := m.verifier.c.Challenges
		if older {
			m.verifier.c.Store = olderStore{m.sql}
		}
		v, code := m.start()
		m.verifier.c.Challenges = noChallenges{}
		_, err := m.verifier.answer(t.Context(), m.read(v), func(int) (string, bool) { return another(code, 0), true })
		if older != errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v where the challenge can't be read", name, err)
		}
		m.verifier.c.Challenges = challenges
		if m.try(v, another(code, 1)) || !m.try(v, code) {
			t.Errorf("%s: it is %s", name, m.read(v).Status)
		}
	}
}
