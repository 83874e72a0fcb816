package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
)

// A challenge is a hash. Its fields have one letter, so that a record stays small:
//
//	n number tag     x context, sealed      i id of the last send   m MAC of the code
//	s sealed code    l length               t tries left            c created
//	e expires        r resend at            w resend hint, if later k sends
//	f the last send failed, 2: by its number u 1: used              b malformed codes
//
// A used one has neither m nor s.

// Challenge returns a challenge as its page may see it. An unknown or forgotten
// one is [storage.ChallengeGone] and no error.
func (s *Store) Challenge(ctx context.Context, id storage.ChallengeID) (storage.Challenge, error) {
	c, err := s.readChallenge(id, s.client.HGetAll(ctx, challengeKey(id)))
	return c, failed("read challenge", err)
}

func (s *Store) readChallenge(id storage.ChallengeID, record *redis.MapStringStringCmd) (storage.Challenge, error) {
	c := storage.Challenge{ID: id, State: storage.ChallengeGone}
	fields, err := record.Result()
	if err != nil || len(fields) == 0 {
		return c, err
	}
	c.State = storage.ChallengeLive
	if fields["u"] != "" {
		c.State = storage.ChallengeUsed
	}
	c.Length = number(fields["l"])
	c.TriesLeft = number(fields["t"])
	c.Sends = number(fields["k"])
	c.CreatedAt = at(fields["c"])
	c.ExpiresAt = at(fields["e"])
	c.ResendAt = at(fields["r"])
	c.ResendHint = c.ResendAt
	if fields["w"] != "" {
		c.ResendHint = at(fields["w"])
	}
	c.SendFailed, c.NumberFailed = fields["f"] != "", fields["f"] == sendFailedByNumber
	c.NumberTag = fields["n"]
	if mac := fields["m"]; mac != "" {
		c.CodeMAC = []byte(mac)
	}
	if sealed := fields["x"]; sealed != "" {
		if c.Context, err = s.vault.Open(vault.Context, string(id), []byte(sealed)); err != nil {
			gone := storage.Challenge{ID: id, State: storage.ChallengeGone}
			return gone, fmt.Errorf("challenge: %w: %w", storage.ErrNotFound, err)
		}
	}
	return c, nil
}

// undo is what UndoSend needs to know of a send: opaque to callers.
type undo struct {
	Send     string          `json:"i"`
	At       int64           `json:"t"` // ms
	Repeated bool            `json:"r,omitempty"`
	Number   bool            `json:"n,omitempty"` // no route takes it because of its number
	Before   [][]byte        `json:"b,omitempty"` // the record before: field, value, ...
	Limits   []storage.Limit `json:"l,omitempty"`
}

// What undo_send.lua leaves in a challenge whose page was shown as sent.
const (
	sendUndone         = "0" // nothing: the page was not shown
	sendFailed         = "1"
	sendFailedByNumber = "2"
)

func (u undo) failure(late bool) string {
	switch {
	case !late:
		return sendUndone
	case u.Number:
		return sendFailedByNumber
	}
	return sendFailed
}

// StartChallenge asks for a code to be sent; see [storage.StartChallenge].
func (s *Store) StartChallenge(ctx context.Context, c storage.StartChallenge) (storage.Started, error) {
	const operation = "start challenge"
	limits := counted(c.Limits)
	send := rand.Text()[:16]
	keys := []string{challengeKey(c.ID), limitKey(c.Guess), limitKey(c.Block)}
	blockBurst, blockEvery := rate(c.Block)
	guessBurst, guessEvery := rate(c.Guess)
	var sealed []byte
	if c.Context != nil {
		sealed = s.vault.Seal(vault.Context, string(c.ID), c.Context)
	}
	argv := []any{
		c.Now.UnixMilli(), send, c.NumberTag, sealed,
		c.Tries, c.Life.Milliseconds(), c.MaxLife.Milliseconds(), c.RepeatWithin.Milliseconds(),
		c.Keep.Milliseconds(), commaList(c.Cooldowns), guessBurst, guessEvery,
		c.Short.Length, c.Short.MAC, c.Short.Sealed, c.Long.Length, c.Long.MAC, c.Long.Sealed,
		blockBurst, blockEvery,
	}
	for _, l := range limits {
		keys = append(keys, limitKey(l))
		argv = append(argv, l.Burst, l.Every.Milliseconds())
	}
	values, err := s.run(ctx, startChallenge, keys, argv)
	if err != nil {
		return storage.Started{}, failed(operation, err)
	}
	r := reply{values: values}
	started := r.number() == 1
	left := r.left(limits, c.Now, started)
	if !started {
		refused := r.limited(append(limits, c.Block))
		return storage.Started{Limited: &refused, Limits: left}, r.err(operation)
	}
	out := storage.Started{Limits: left, Repeated: r.number() == 1, Sealed: r.bytes()}
	out.Challenge = storage.Challenge{
		ID: c.ID, State: storage.ChallengeLive, NumberTag: c.NumberTag, Context: c.Context,
		CodeMAC: r.bytes(), Length: int(r.number()), TriesLeft: int(r.number()),
		CreatedAt: r.time(), ExpiresAt: r.time(), ResendAt: r.time(), ResendHint: r.time(), Sends: int(r.number()),
	}
	out.Length = out.Challenge.Length
	before := r.list()
	if err := r.err(operation); err != nil {
		return storage.Started{}, err
	}
	u := undo{Send: send, At: c.Now.UnixMilli(), Repeated: out.Repeated, Before: before, Limits: limits}
	if out.Undo, err = json.Marshal(u); err != nil {
		return storage.Started{}, fmt.Errorf("%s: %w", operation, err)
	}
	u.Number = true
	u.Limits = slices.DeleteFunc(slices.Clone(limits), func(l storage.Limit) bool { return l.Sticks })
	if out.UndoNumber, err = json.Marshal(u); err != nil {
		return storage.Started{}, fmt.Errorf("%s: %w", operation, err)
	}
	return out, nil
}

// UndoSend takes back a send whose text could not be handed over; data is
// [storage.Started.Undo], or UndoNumber. What it took from limits is given back, and it no
// longer counts as a send. With late false the challenge is again as it was
// before, and a code that was made for this send is gone. With late true its
// page was shown as sent: the code stays, the challenge says SendFailed, with UndoNumber
// NumberFailed as well, and the next send is free of the cooldown.
//
// It may be called again and gives back once; it leaves a newer send as it is,
// and a code that was used meanwhile, which was delivered after all. After half
// an hour it does nothing.
func (s *Store) UndoSend(ctx context.Context, id storage.ChallengeID, data []byte, late bool, now time.Time) error {
	const operation = "undo send"
	var u undo
	if err := json.Unmarshal(data, &u); err != nil || u.Send == "" || len(u.Before)%2 != 0 {
		return fmt.Errorf("%s: malformed undo", operation)
	}
	if now.Sub(time.UnixMilli(u.At)) >= undoLife {
		return nil
	}
	keys := []string{challengeKey(id), undoneKey(u.Send)}
	argv := []any{
		now.UnixMilli(), u.Send, u.failure(late), bit(u.Repeated), (2 * undoLife).Milliseconds(), len(u.Before),
	}
	for _, value := range u.Before {
		argv = append(argv, value)
	}
	for _, l := range u.Limits {
		keys = append(keys, limitKey(l))
		argv = append(argv, l.Every.Milliseconds())
	}
	_, err := s.run(ctx, undoSend, keys, argv)
	return failed(operation, err)
}

// CheckChallenge tries a code; see [storage.CheckChallenge].
func (s *Store) CheckChallenge(ctx context.Context, c storage.CheckChallenge) (storage.Checked, error) {
	const operation = "check challenge"
	limits, refunds := counted(c.Limits), counted(c.Refunds)
	keys := []string{challengeKey(c.ID), limitKey(c.Guess), limitKey(c.Refundable), limitKey(c.Block)}
	guessBurst, guessEvery := rate(c.Guess)
	refundBurst, refundEvery := rate(c.Refundable)
	blockBurst, blockEvery := rate(c.Block)
	argv := []any{
		c.Now.UnixMilli(), c.MAC, c.LongLength, c.MaxMalformed,
		guessBurst, guessEvery, refundBurst, refundEvery, blockBurst, blockEvery, len(limits),
	}
	for _, l := range append(limits[:len(limits):len(limits)], refunds...) {
		keys = append(keys, limitKey(l))
		argv = append(argv, l.Burst, l.Every.Milliseconds())
	}
	values, err := s.run(ctx, checkChallenge, keys, argv)
	if err != nil {
		return storage.Checked{}, failed(operation, err)
	}
	r := reply{values: values}
	out := storage.Checked{
		Status: storage.CheckStatus(r.bytes()), TriesLeft: int(r.number()), Length: int(r.number()),
	}
	if out.Status == storage.CheckLimited {
		refused := r.limited(append(limits, c.Block))
		out.Limited = &refused
	}
	if err := r.err(operation); err != nil {
		return storage.Checked{}, err
	}
	return out, nil
}

// counted leaves out the limits that are off.
func counted(limits []storage.Limit) []storage.Limit {
	out := make([]storage.Limit, 0, len(limits))
	for _, l := range limits {
		if !l.Off {
			out = append(out, l)
		}
	}
	return out
}

// rate returns burst and every in ms; a burst of 0 is a limit that is off.
func rate(l storage.Limit) (burst int, every int64) {
	if l.Off {
		return 0, 0
	}
	return l.Burst, l.Every.Milliseconds()
}

func commaList(durations []time.Duration) string {
	var b strings.Builder
	for _, d := range durations {
		b.WriteString(strconv.FormatInt(d.Milliseconds(), 10))
		b.WriteByte(',')
	}
	return b.String()
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // a missing field is 0
	return n
}

// at reads ms since 1970; none and 0 are the zero time.
func at(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64)
	return fromMilli(n)
}

func fromMilli(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// reply reads a script's values in order and remembers that one was not as expected.
type reply struct {
	values []any
	bad    bool
}

func (r *reply) next() any {
	if len(r.values) == 0 {
		r.bad = true
		return nil
	}
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reply) number() int64 {
	n, ok := r.next().(int64)
	r.bad = r.bad || !ok
	return n
}

func (r *reply) bytes() []byte {
	s, ok := r.next().(string)
	r.bad = r.bad || !ok
	return []byte(s)
}

func (r *reply) time() time.Time { return fromMilli(r.number()) }

func (r *reply) list() [][]byte {
	values, ok := r.next().([]any)
	r.bad = r.bad || !ok
	inner := reply{values: values}
	out := make([][]byte, 0, len(values))
	for range values {
		out = append(out, inner.bytes())
	}
	r.bad = r.bad || inner.bad
	return out
}

// left reads the times of the limits after taking one each, and says what they
// have left: after the taking, or before it when nothing was taken.
func (r *reply) left(limits []storage.Limit, now time.Time, taken bool) []storage.LimitLeft {
	times, ok := r.next().([]any)
	if !ok || len(times) != len(limits) {
		r.bad = true
		return nil
	}
	inner := reply{values: times}
	out := make([]storage.LimitLeft, len(limits))
	for i, l := range limits {
		tat := inner.time()
		if !taken {
			tat = tat.Add(-l.Every)
		}
		out[i] = storage.LimitLeft{Name: l.Name, Left: limit.Left(l, tat, now), Burst: l.Burst}
	}
	r.bad = r.bad || inner.bad
	return out
}

// limited reads the index of the limit that refused, 0 for the cooldown, and its end.
func (r *reply) limited(limits []storage.Limit) storage.Limited {
	index, retry := r.number(), r.time()
	if index < 0 || index > int64(len(limits)) {
		r.bad = true
		return storage.Limited{}
	}
	if index == 0 {
		return storage.Limited{Name: limit.Cooldown, RetryAt: retry}
	}
	return storage.Limited{Name: limits[index-1].Name, RetryAt: retry}
}

func (r *reply) err(operation string) error {
	if r.bad {
		return errors.New(operation + ": the script's reply is not as expected")
	}
	return nil
}
