package storagetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
)

// model is what a store must do with challenges, written the simple way: one
// map after another, by package limit. It forgets nothing.
type model struct {
	tats    map[string]time.Time
	guesses map[string]limit.Bucket
	fails   limit.Failures
	records map[storage.ChallengeID]record
	undone  map[int]bool
}

// record is a challenge; the zero record is none.
type record struct {
	send                           int // number of the last send, from 1
	tag, code, context             string
	tries, sends, malformed        int
	created, expires, resend, hint time.Time
	used, failed                   bool
}

// sent is a send that can be undone.
type sent struct {
	id       storage.ChallengeID
	send     int
	at       time.Time
	repeated bool
	before   record
	limits   []storage.Limit
	undo     []byte // the store's own
}

func bucketOf(l storage.Limit) string { return l.Name + ":" + l.Key }

func (m *model) take(limits []storage.Limit, now time.Time) *storage.Limited {
	tats := make([]time.Time, len(limits))
	for i, l := range limits {
		tats[i] = m.tats[bucketOf(l)]
	}
	next, refused := limit.TakeAll(limits, tats, now)
	for i := range next {
		m.tats[bucketOf(limits[i])] = next[i]
	}
	return refused
}

// left is what limits have left, as a list that is never nil, like a store's.
func (m *model) left(limits []storage.Limit, now time.Time) []storage.LimitLeft {
	out := []storage.LimitLeft{}
	for _, l := range limits {
		if !l.Off {
			out = append(out, storage.LimitLeft{Name: l.Name, Left: limit.Left(l, m.tats[bucketOf(l)], now), Burst: l.Burst})
		}
	}
	return out
}

func (m *model) give(limits []storage.Limit, now time.Time) {
	for _, l := range limits {
		m.tats[bucketOf(l)] = limit.Give(l, m.tats[bucketOf(l)], now)
	}
}

// start returns who refused, or the challenge and whether its code is a repeated one.
func (m *model) start(r storage.StartChallenge, short, long string, send int) (*storage.Limited, record, bool) {
	old := m.records[r.ID]
	if old.used { // who logs in again waits for nothing that went before
		old.sends, old.resend = 0, time.Time{}
	}
	tats := map[string]time.Time{}
	for _, l := range r.Limits {
		tats[bucketOf(l)] = m.tats[bucketOf(l)]
	}
	if blocked := m.blocked(r.Block, r.Limits, r.Now); blocked != nil {
		return blocked, record{}, false
	}
	refused := m.take(r.Limits, r.Now)
	if r.Now.Before(old.resend) && !old.failed {
		maps.Copy(m.tats, tats)
		wait := storage.Limited{Name: limit.Cooldown, RetryAt: old.resend}
		if refused != nil && refused.RetryAt.After(wait.RetryAt) {
			wait.RetryAt = refused.RetryAt
		}
		return &wait, record{}, false
	}
	if refused != nil {
		return refused, record{}, false
	}

	now := old
	repeats := old.code != "" && !old.used && old.tag == r.NumberTag && old.tries > 0 &&
		r.Now.Before(old.expires) && !r.Now.Before(old.created.Add(-30*time.Second)) &&
		old.created.Add(r.MaxLife).Sub(r.Now) >= r.RepeatWithin
	if !repeats {
		now = record{tag: r.NumberTag, code: short, tries: r.Tries, created: r.Now}
		if m.guesses[bucketOf(r.Guess)].Recovering(r.Now) {
			now.code = long
		}
	}
	now.send, now.sends, now.failed, now.context = send, old.sends+1, false, string(r.Context)
	now.expires = earlier(r.Now.Add(r.Life), now.created.Add(r.MaxLife))
	now.resend = r.Now.Add(r.Cooldowns[min(now.sends, len(r.Cooldowns))-1])
	now.hint = now.resend
	for _, l := range r.Limits {
		now.hint = later(now.hint, limit.AdmitsAt(l, m.tats[bucketOf(l)], r.Now))
	}
	m.records[r.ID] = now
	return nil, now, repeats
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (m *model) check(c storage.CheckChallenge, code string) storage.Checked {
	if blocked := m.blocked(c.Block, c.Limits, c.Now); blocked != nil {
		return storage.Checked{Status: storage.CheckLimited, Limited: blocked}
	}
	out := m.decide(c, code)
	switch out.Status {
	case storage.CheckLimited, storage.CheckGone, storage.CheckUsed: // no code is out
	case storage.CheckOK:
		m.fails = limit.Failures{}
	default:
		m.fails = limit.Fail(c.Block, m.fails, c.Now)
	}
	return out
}

// blocked is what the block refuses, until no limit would either; nothing is taken.
func (m *model) blocked(block storage.Limit, limits []storage.Limit, now time.Time) *storage.Limited {
	until := limit.BlockedUntil(block, m.fails, now)
	if until.IsZero() {
		return nil
	}
	for _, l := range limits {
		until = later(until, limit.AdmitsAt(l, m.tats[bucketOf(l)], now))
	}
	return &storage.Limited{Name: block.Name, RetryAt: until}
}

func (m *model) decide(c storage.CheckChallenge, code string) storage.Checked {
	if refused := m.take(c.Limits, c.Now); refused != nil {
		return storage.Checked{Status: storage.CheckLimited, Limited: refused}
	}
	r, known := m.records[c.ID]
	out := storage.Checked{Length: len(r.code), TriesLeft: r.tries}
	switch {
	case !known:
		out.Status = storage.CheckGone
	case r.used:
		out.Status = storage.CheckUsed
	case !c.Now.Before(r.expires) || c.Now.Before(r.created.Add(-30*time.Second)):
		out.Status = storage.CheckExpired
	case r.tries == 0:
		out.Status = storage.CheckDead
	case code == "":
		out.Status = storage.CheckMalformed
		if r.malformed++; r.malformed >= c.MaxMalformed {
			r.tries = 0
		}
	default:
		out.Status = m.guess(c, &r, code)
	}
	if known {
		m.records[c.ID] = r
		out.TriesLeft = r.tries
	}
	return out
}

func (m *model) guess(c storage.CheckChallenge, r *record, code string) storage.CheckStatus {
	guesses := bucketOf(c.Guess)
	clamp := func() {
		if m.guesses[guesses].Recovering(c.Now) && len(r.code) < c.LongLength {
			r.tries = min(r.tries, 1)
		}
	}
	clamp()
	r.tries--
	if code != r.code {
		m.guesses[guesses] = limit.Charge(c.Guess, m.guesses[guesses], c.Now)
		clamp()
		return storage.CheckWrong
	}
	r.used, r.tries, r.failed = true, 0, false
	r.hint = r.resend
	if m.take([]storage.Limit{c.Refundable}, c.Now) == nil {
		m.give(c.Refunds, c.Now)
	}
	return storage.CheckOK
}

func (m *model) undo(s sent, late bool, now time.Time) {
	if now.Sub(s.at) >= 30*time.Minute || m.undone[s.send] {
		return
	}
	m.undone[s.send] = true
	r := m.records[s.id]
	mine := r.send == s.send
	if mine && r.used {
		return
	}
	m.give(s.limits, now)
	if !mine {
		return
	}
	if !late && !s.repeated {
		if m.records[s.id] = s.before; s.before.send == 0 {
			delete(m.records, s.id)
		}
		return
	}
	if s.before.used {
		s.before.sends, s.before.resend = 0, time.Time{}
	}
	r.sends, r.resend, r.hint = s.before.sends, s.before.resend, s.before.hint
	if s.repeated {
		r.expires, r.send, r.failed, r.context = s.before.expires, s.before.send, s.before.failed, s.before.context
	}
	if late {
		r.failed, r.hint = true, r.resend
	}
	m.records[s.id] = r
}

// challenge is how the store must show a record.
func (m *model) challenge(p *place, id storage.ChallengeID) storage.Challenge {
	r, known := m.records[id]
	if !known {
		return storage.Challenge{ID: id, State: storage.ChallengeGone}
	}
	c := storage.Challenge{
		ID: id, State: storage.ChallengeLive, Length: len(r.code), TriesLeft: r.tries,
		CreatedAt: r.created, ExpiresAt: r.expires, ResendAt: r.resend, ResendHint: r.hint,
		Sends: r.sends, SendFailed: r.failed, NumberTag: r.tag, Context: []byte(r.context),
		CodeMAC: p.mac(r.code),
	}
	if r.used {
		c.State, c.CodeMAC = storage.ChallengeUsed, nil
	}
	return c
}

// history drives the store and the model alike.
type history struct {
	*place
	model  *model
	random *rand.Rand
	sends  []sent
	log    []string
}

// randomHistories compares long random histories with the model, step by step.
// Times stay on a grid of ten seconds, so that no TTL ends while one runs.
func randomHistories(t *testing.T, p *place) {
	histories := 60
	if testing.Short() {
		histories = 10
	}
	p.limits = []storage.Limit{
		{Name: "send_number", Burst: 4, Every: 30 * time.Minute},
		{Name: "send_address", Burst: 6, Every: time.Minute},
	}
	p.guess.Burst, p.guess.Every = 6, 20*time.Minute
	p.verify.Burst, p.verify.Every = 12, 10*time.Second
	p.refundable.Burst, p.refundable.Every = 2, 20*time.Minute
	p.block.Burst, p.block.Every = 4, 8*time.Minute
	p.cooldowns = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}
	for seed := range uint64(histories) {
		h := &history{place: p, random: rand.New(rand.NewPCG(seed, 1)), model: &model{
			tats: map[string]time.Time{}, guesses: map[string]limit.Bucket{},
			records: map[storage.ChallengeID]record{}, undone: map[int]bool{},
		}}
		p.now = start
		for _, l := range []*storage.Limit{&p.limits[0], &p.limits[1], &p.guess, &p.verify, &p.refundable, &p.block} {
			l.Key = fmt.Sprint("h", seed)
		}
		p.refunds = p.limits[:1]
		for range 80 {
			if fault := h.step(fmt.Sprint("h", seed, "-", h.random.IntN(2))); fault != "" {
				t.Fatalf("seed %d: %s after\n%v", seed, fault, h.log)
			}
		}
		if fault := h.compareBuckets(); fault != "" {
			t.Fatalf("seed %d: %s after\n%v", seed, fault, h.log)
		}
	}
}

// step does one random thing in the place id, and says how store and model differ.
func (h *history) step(id string) string {
	h.id = storage.ChallengeID(id)
	var fault string
	switch n := h.random.IntN(100); {
	case n < 28:
		fault = h.start()
	case n < 66:
		fault = h.check()
	case n < 78 && len(h.sends) > 0:
		s := h.sends[max(0, len(h.sends)-1-h.random.IntN(3))]
		late := h.random.IntN(2) == 0
		h.note("undo send %d in %s, late %v", s.send, s.id, late)
		if err := h.Store.UndoSend(h.t.Context(), s.id, s.undo, late, h.now); err != nil {
			return err.Error()
		}
		h.model.undo(s, late, h.now)
		h.id = s.id
	default:
		steps := []int{1, 1, 3, 3, 6, 12, 30, 60, 400, -2, -5}
		d := time.Duration(steps[h.random.IntN(len(steps))]) * 10 * time.Second
		h.note("elapse %v", d)
		h.elapse(d)
	}
	if fault != "" {
		return fault
	}
	if got, want := h.challenge(), h.model.challenge(h.place, h.id); !same(got, want) {
		return fmt.Sprintf("Challenge = %+v\nwant %+v", got, want)
	}
	return ""
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(h.now.Format("15:04:05 ")+format+"\n", args...))
}

func (h *history) start() string {
	r := h.request([]string{"tag", "tag", "tag", "other"}[h.random.IntN(4)])
	r.Context, r.Tries = fmt.Append(nil, "context ", len(h.sends)), 3
	before := h.model.records[h.id]
	send := len(h.sends) + 1
	refused, want, repeats := h.model.start(r, h.lastShort, h.lastLong, send)
	got, err := h.Store.StartChallenge(h.t.Context(), r)
	if err != nil {
		return err.Error()
	}
	h.note("start %s for %s: refused %+v, repeated %v", h.id, r.NumberTag, got.Limited, got.Repeated)
	if !same(got.Limited, refused) {
		return fmt.Sprintf("refused by %+v, want %+v", got.Limited, refused)
	}
	if left := h.model.left(r.Limits, r.Now); !same(got.Limits, left) {
		return fmt.Sprintf("limits have left %+v, want %+v", got.Limits, left)
	}
	if refused != nil {
		return ""
	}
	if got.Repeated != repeats || got.Length != len(want.code) {
		return fmt.Sprintf("repeated %v, %d digits; want %v, %d", got.Repeated, got.Length, repeats, len(want.code))
	}
	if shown := h.model.challenge(h.place, h.id); !same(got.Challenge, shown) {
		return fmt.Sprintf("started %+v\nwant %+v", got.Challenge, shown)
	}
	h.sends = append(h.sends, sent{
		id: h.id, send: send, at: h.now, repeated: repeats, before: before,
		limits: slices.Clone(r.Limits), undo: got.Undo,
	})
	return ""
}

func (h *history) check() string {
	code := "000000"
	switch n := h.random.IntN(10); {
	case n < 3:
		code = h.model.records[h.id].code
	case n < 5:
		code = ""
	}
	c := h.attempt(code)
	c.MaxMalformed = 3
	want := h.model.check(c, code)
	got, err := h.Store.CheckChallenge(h.t.Context(), c)
	if err != nil {
		return err.Error()
	}
	h.note("check %q in %s: %s, %d left", code, h.id, got.Status, got.TriesLeft)
	if !same(got, want) {
		return fmt.Sprintf("check = %+v, want %+v", got, want)
	}
	return ""
}

func (h *history) compareBuckets() string {
	for key, tat := range h.model.tats {
		got := h.Raw.Get(h.t.Context(), "handset:{codes}:limit:"+key).Val()
		if want := fmt.Sprint(tat.UnixMilli()); tat.After(h.now) && got != want {
			return fmt.Sprintf("bucket %s = %q, want %q", key, got, want)
		}
	}
	for key, b := range h.model.guesses {
		recovers := int64(0)
		if !b.RecoverUntil.IsZero() {
			recovers = b.RecoverUntil.UnixMilli()
		}
		got := h.Raw.Get(h.t.Context(), "handset:{codes}:limit:"+key).Val()
		if want := fmt.Sprintf("%d:%d", b.TAT.UnixMilli(), recovers); got != want {
			return fmt.Sprintf("guesses %s = %q, want %q", key, got, want)
		}
	}
	return ""
}
