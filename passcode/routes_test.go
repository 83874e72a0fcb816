package passcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// memory keeps records for a test to look at.
type memory struct {
	mu   sync.Mutex
	down bool
	kept storage.TextRecords
	most int // records in one write
	// refuses is a text that is never taken.
	refuses storage.TextID
	states  []storage.SenderState
}

func (m *memory) SaveTexts(_ context.Context, r storage.TextRecords) ([]storage.VerifiedText, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, storage.ErrUnavailable
	}
	if slices.ContainsFunc(r.Texts, func(t storage.Text) bool { return t.ID == m.refuses && m.refuses != "" }) {
		return nil, storage.ErrConflict
	}
	if slices.ContainsFunc(r.Texts, func(t storage.Text) bool { return t.Purpose == "poison" }) {
		panic("a record that breaks the store")
	}
	m.most = max(m.most, len(r.Texts)+len(r.Events))
	m.kept.Texts = append(m.kept.Texts, r.Texts...)
	m.kept.Events = append(m.kept.Events, r.Events...)
	return []storage.VerifiedText{{Sender: "a", Region: "JP", Took: time.Second}}, nil
}

func (m *memory) LastSender(_ context.Context, id storage.ChallengeID) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range slices.Backward(m.kept.Texts) {
		if t.Challenge == id && t.Sender != "" {
			return t.Sender, nil
		}
	}
	return "", storage.ErrNotFound
}

func (m *memory) PutSenderStates(_ context.Context, states []storage.SenderState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states = append(m.states, states...)
	return nil
}

// tally counts what an engine observes.
type tally struct {
	mu       sync.Mutex
	outcomes []string
	verified int
	dropped  int
}

func (o *tally) Attempted(sender, region, outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcomes = append(o.outcomes, sender+" "+region+" "+outcome)
}

func (o *tally) Verified(string, string, time.Duration) { o.verified++ }
func (o *tally) Dropped(n int)                          { o.dropped += n }

// routed is a rig whose texts go by the senders a, b and c, which do as they are told.
type routed struct {
	*rig
	records *memory
	tally   *tally
	senders map[string]*told
	named   []*sms.Named
}

// told is a sender that fails as long as it is told to.
type told struct {
	mu    sync.Mutex
	name  string
	err   error
	hangs bool
	texts []sms.Message
	inbox *sms.Inbox
	// calls names a text; nil: by our own name of it.
	calls func(m sms.Message) string
}

func (s *told) Send(ctx context.Context, m sms.Message) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs {
		<-ctx.Done()
		return "", &sms.Error{Kind: sms.KindTimeout, Code: "ETIMEDOUT"}
	}
	if s.err != nil {
		return "", s.err
	}
	s.texts = append(s.texts, m)
	if _, err := s.inbox.Send(ctx, m); err != nil {
		return "", err
	}
	if s.calls != nil {
		return s.calls(m), nil
	}
	return s.name + "-" + m.ID, nil
}

func newRouted(t *testing.T) *routed {
	t.Helper()
	r := &routed{records: &memory{}, tally: &tally{}, senders: map[string]*told{}}
	r.rig = newRig(t, func(c *Config) {
		c.Records, c.Observer = r.records, r.tally
		c.Senders = func() []*sms.Named { return r.named }
		c.ReceiptURL = func(sender string) string { return "https://login.example.com/sms/receipts/" + sender }
	})
	for _, name := range []string{"a", "b", "c"} {
		r.senders[name] = &told{name: name, inbox: r.inbox}
		r.named = append(r.named, sms.NewNamed(name, "", r.senders[name], r.clock.Now))
	}
	r.conn = &Connection{Name: "sms", Routes: sms.NewRoutes(nil, r.named...)}
	return r
}

func (r *routed) flush() {
	r.t.Helper()
	if err := r.engine.Drain(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// lastText is the newest text on record.
func (r *routed) lastText() storage.Text {
	r.t.Helper()
	r.flush()
	if len(r.records.kept.Texts) == 0 {
		r.t.Fatal("no text is on record")
	}
	return r.records.kept.Texts[len(r.records.kept.Texts)-1]
}

func attempts(t storage.Text) (out []string) {
	for _, a := range t.Story.Attempts {
		word := a.Sender
		switch {
		case a.Skipped:
			word += " skipped"
		case a.Error != "":
			word += " failed"
		}
		out = append(out, word)
	}
	return out
}

func (r *routed) wantAttempts(want ...string) storage.Text {
	r.t.Helper()
	text := r.lastText()
	if got := attempts(text); !slices.Equal(got, want) {
		r.t.Errorf("tried %q, want %q", got, want)
	}
	return text
}

func TestFailoverSendsTheSameCodeAndCostsOneText(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"refused connection": &sms.Error{Kind: sms.KindUnreachable, Code: "ECONNREFUSED"},
		"timeout":            &sms.Error{Kind: sms.KindTimeout, Code: "ETIMEDOUT"},
		"server error":       &sms.Error{Kind: sms.KindStatus, Status: 500},
		"wrong token":        &sms.Error{Kind: sms.KindUnauthorized, Status: 401},
		"not this route":     &sms.Error{Kind: sms.KindRefused, Code: "21408"},
		"forbidden address":  &sms.Error{Kind: sms.KindForbidden, Code: "EACCES"},
		"something else":     errors.New("no idea"),
	} {
		r := newRouted(t)
		r.senders["a"].err = failure
		for i := range 5 { // the burst of send_number: a failed attempt costs nothing of it
			id := storage.ChallengeID("login:" + string(rune('1'+i)))
			r.mustSend(id)
		}
		r.wantLimited(func() error { _, err := r.send("login:6"); return err }(), limit.SendNumber)
		if n := len(r.senders["b"].texts); n != 5 || len(r.senders["c"].texts) != 0 {
			t.Errorf("%s: %d texts by the second sender", name, n)
		}
		text := r.wantAttempts("a failed", "b")
		if text.Outcome != storage.TextHandedOver || text.Sender != "b" || text.MessageID != "b-"+string(text.ID) || text.Region != "JP" {
			t.Errorf("%s: on record as %+v", name, text)
		}
		if limits := text.Story.Limits; len(limits) != 2 || limits[0] != (storage.LimitLeft{Name: limit.SendNumber, Left: 0, Burst: 5}) {
			t.Errorf("%s: limits on record %+v", name, limits)
		}
		if got := r.tally.outcomes[:2]; got[1] != "b JP handed_over" || !strings.HasPrefix(got[0], "a JP ") {
			t.Errorf("%s: observed %q", name, got)
		}
	}
}

// A sender may call a text by the number or the code: its receipts will, so the record
// has to find it by that, and shows people nothing of it.
func TestANameThatRepeatsTheNumberOrTheCodeIsNotShown(t *testing.T) {
	t.Parallel()
	for what, calls := range map[string]func(m sms.Message) string{
		"number": func(m sms.Message) string { return "t" + m.To.E164()[1:] + "-1" },
		"code":   func(m sms.Message) string { return "t" + m.Code },
	} {
		r := newRouted(t)
		r.senders["a"].calls = calls
		r.mustSend("login:1")
		text := r.wantAttempts("a")
		if want := calls(r.senders["a"].texts[0]); text.MessageID != want {
			t.Errorf("%s: receipts find it by %q, want %q", what, text.MessageID, want)
		}
		if shown := text.ShownName(); shown != "" || text.Story.Attempts[0].MessageID != "" {
			t.Errorf("%s: shown is %q", what, shown)
		}
	}
	r := newRouted(t)
	r.mustSend("login:1")
	if text := r.wantAttempts("a"); text.ShownName() != "a-"+string(text.ID) {
		t.Errorf("shown is %q", text.ShownName())
	}
}

func TestARefusedNumberStopsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.senders["a"].err = &sms.Error{Kind: sms.KindNumber, Code: "21610"}
	_, err := r.send("login:1")
	if failure, ok := errors.AsType[*sms.Error](err); !ok || !errors.Is(err, ErrNotSent) || !failure.Final() {
		t.Fatalf("error %v", err)
	}
	if text := r.wantAttempts("a failed"); text.Outcome != storage.TextFailed || text.Sender != "" {
		t.Errorf("on record as %+v", text)
	}
	// It costs the number nothing, and the address of who asks: the vendor is not asked
	// without end.
	asked := 1
	for ; asked < 50; asked++ {
		_, err := r.send("login:1")
		if limited, ok := errors.AsType[*Limited](err); ok {
			if limited.Name != limit.SendAddress {
				t.Errorf("limit %s", limited.Name)
			}
			break
		}
		if !errors.Is(err, ErrNotSent) {
			t.Fatalf("error %v", err)
		}
	}
	if asked != 10 {
		t.Errorf("asked %d times", asked)
	}
	r.clock.pass(time.Hour)
	// A decoy does not share what one number alone was refused for.
	_, err = r.send("login:2", func(s *SendRequest) { s.Decoy = true })
	if err != nil {
		t.Errorf("decoy: %v", err)
	}
}

func TestEverySenderDownIsNotSent(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	for _, s := range r.senders {
		s.err = &sms.Error{Kind: sms.KindStatus, Status: 503}
	}
	for range 12 { // past the streak that opens the breakers, and free of charge
		if _, err := r.send("login:1"); !errors.Is(err, ErrNotSent) {
			t.Fatalf("error %v", err)
		}
	}
	// All breakers are open: the first is tried all the same.
	r.wantAttempts("a skipped", "b skipped", "c skipped", "a failed")
	for _, s := range r.senders {
		s.err = nil
	}
	r.mustSend("login:1")
	r.wantAttempts("a skipped", "b skipped", "c skipped", "a")
	r.mustCheck("login:1", r.code())
}

func TestAnOpenBreakerCostsNoTime(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.senders["a"].err = &sms.Error{Kind: sms.KindTimeout, Code: "ETIMEDOUT"}
	for i := range 5 {
		r.mustSend(storage.ChallengeID("login:" + string(rune('1'+i))))
		r.clock.pass(4 * time.Hour)
	}
	r.mustSend("login:6")
	r.wantAttempts("a skipped", "b")
}

// Who asks again got nothing by the sender before.
func TestResendGoesByTheNextSender(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.mustSend("login:1")
	first := r.code()
	r.wantAttempts("a")
	for _, want := range []string{"b", "c", "a"} {
		r.clock.pass(31 * time.Second)
		r.clock.pass(4 * time.Hour)
		r.mustSend("login:1")
		r.wantAttempts(want)
	}
	r.clock.pass(time.Hour)
	r.senders["b"].err = &sms.Error{Kind: sms.KindStatus, Status: 500}
	r.mustSend("login:1")
	r.wantAttempts("b failed", "c")
	_ = first
}

func TestASenderThatHangsLeavesTimeForTheNext(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.senders["a"].hangs = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := &delivery{request: r.request("login:1")}
	// As try does, with less patience.
	if err := r.engine.tryOne(ctx, d, r.named[0], 50*time.Millisecond, r.named[0].Send); err == nil {
		t.Fatal("it did not hang")
	}
	if err := r.engine.tryOne(ctx, d, r.named[1], time.Minute, r.named[1].Send); err != nil {
		t.Fatal(err)
	}
	if got := attempts(d.text); !slices.Equal(got, []string{"a failed", "b"}) {
		t.Errorf("tried %q", got)
	}
}

func TestMessagesTellWhereToSayWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.mustSend("login:1")
	m := r.senders["a"].texts[0]
	if m.ID == "" || m.ReceiptURL != "https://login.example.com/sms/receipts/a" {
		t.Errorf("message %q, receipts to %q", m.ID, m.ReceiptURL)
	}
}

func TestWhatHappensIsOnRecord(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.mustSend("login:1")
	code := r.code()
	if _, err := r.send("login:1"); err == nil {
		t.Fatal("no cooldown")
	}
	r.wantReason(r.check("login:1", wrong(code, 0)), Wrong)
	r.mustCheck("login:1", code)
	r.wantReason(r.check("login:1", code), Used)
	_, err := r.send("login:2", func(s *SendRequest) { s.Decoy, s.DecoyReason = true, "sign-up is off" })
	if err != nil {
		t.Fatal(err)
	}
	r.flush()
	var got []string
	for _, e := range r.records.kept.Events {
		got = append(got, string(e.Kind)+" "+e.Reason)
		if e.Reference != r.engine.Reference("login:1") || e.Challenge != "login:1" {
			t.Errorf("event %+v", e)
		}
	}
	if want := []string{"refused cooldown", "rejected wrong", "accepted ", "rejected used"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	decoy := r.lastText()
	if decoy.Outcome != storage.TextDecoy || decoy.Story.Reason != "sign-up is off" || len(decoy.Story.Attempts) > 0 {
		t.Errorf("decoy on record as %+v", decoy)
	}
	if r.tally.verified != 1 {
		t.Errorf("%d codes observed as entered", r.tally.verified)
	}
}

// Whoever uses a fixed code leaves a trace.
func TestEveryUseOfATestNumberIsOnRecord(t *testing.T) {
	t.Parallel()
	records := &memory{}
	r := newRig(t, func(c *Config) {
		c.Records = records
		c.TestNumbers = []phone.TestNumber{{Prefix: "+8190", Code: "424242"}}
	})
	r.mustSend("login:1")
	r.mustCheck("login:1", "424242")
	if err := r.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(records.kept.Texts) != 1 || records.kept.Texts[0].Outcome != storage.TextTestNumber || records.kept.Texts[0].ClientID != client ||
		len(records.kept.Events) != 1 || records.kept.Events[0].Kind != storage.CodeAccepted {
		t.Errorf("on record: %+v", records.kept)
	}
}

// Records wait while SQL is down, and no login waits for them.
func TestRecordsSurviveADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.records.down = true
	r.mustSend("login:1")
	r.mustCheck("login:1", r.code())
	if err := r.engine.Drain(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	r.records.down = false
	r.flush()
	if len(r.records.kept.Texts) != 1 || len(r.records.kept.Events) != 1 {
		t.Errorf("on record: %+v", r.records.kept)
	}
}

// A record that the store will never take keeps no other from being written.
func TestARecordThatIsRefusedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.records.refuses = "bad"
	for _, id := range []storage.TextID{"a", "bad", "b"} {
		r.engine.recorder.text(storage.Text{ID: id})
	}
	r.engine.recorder.event(storage.TextEvent{Reason: "c"})
	if err := r.engine.flush(t.Context()); err == nil || r.tally.dropped != 1 {
		t.Errorf("%d records are counted as lost, %v", r.tally.dropped, err)
	}
	kept := r.records.kept
	if len(kept.Texts) != 2 || kept.Texts[0].ID != "a" || kept.Texts[1].ID != "b" || len(kept.Events) != 1 {
		t.Errorf("on record: %+v", kept)
	}
	r.flush()
}

// A record that makes the store panic is dropped and counted, and no other.
func TestARecordThatBreaksTheStoreIsDropped(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	for _, purpose := range []string{"login", "poison", "login"} {
		r.engine.recorder.text(storage.Text{Purpose: purpose})
	}
	_ = r.engine.flush(t.Context()) // it says what was lost
	if n := len(r.records.kept.Texts); n != 2 || r.tally.dropped != 1 {
		t.Errorf("%d texts are on record, %d dropped", n, r.tally.dropped)
	}
}

// A database that is down for long fills no memory, and what is lost is counted.
func TestRecordsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.records.down = true
	for i := range maxPending + 7 {
		r.engine.recorder.text(storage.Text{})
		r.engine.recorder.event(storage.TextEvent{Reason: fmt.Sprint(i)})
	}
	r.engine.recorder.putBack(storage.TextRecords{Texts: make([]storage.Text, 3)})
	if err := r.engine.flush(t.Context()); !errors.Is(err, storage.ErrUnavailable) || r.tally.dropped != 17 {
		t.Errorf("%d records are counted as lost, %v", r.tally.dropped, err)
	}
	r.records.down = false
	r.flush()
	if n, m := len(r.records.kept.Texts), len(r.records.kept.Events); n != maxPending || m != maxPending {
		t.Errorf("%d texts and %d events are on record", n, m)
	}
	if r.records.most > 2*maxBatch {
		t.Errorf("%d records in one write", r.records.most)
	}
}

// Each sender gets as much of the time as those behind it, and the last one what is
// left but for a moment.
func TestShares(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remaining time.Duration
		left      int
		want      time.Duration
	}{
		{30 * time.Second, 1, 29 * time.Second}, {30 * time.Second, 2, 10 * time.Second}, {30 * time.Second, 5, 5800 * time.Millisecond},
		{11 * time.Second, 2, 5 * time.Second}, {2 * time.Second, 1, time.Second},
	} {
		if got := share(c.remaining, c.left); got != c.want {
			t.Errorf("%v for %d senders: %v, want %v", c.remaining, c.left, got, c.want)
		}
	}
}

// What a text is of no use without, and what must be found in nothing that is kept.
func TestMessagesTellHowLongTheirCodeWorks(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.mustSend("login:1")
	m := r.senders["a"].texts[0]
	if m.ValidFor != defaultLife || m.Code != r.code() || !strings.Contains(m.Body, m.Code) {
		t.Errorf("valid for %v", m.ValidFor)
	}
	if _, err := r.engine.SendText(t.Context(), r.conn, r.number, "Hello"); err != nil {
		t.Fatal(err)
	}
	if m := r.senders["a"].texts[1]; m.ValidFor != 0 || m.Code != "" {
		t.Errorf("a text without a code is valid for %v", m.ValidFor)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	ref := r.engine.Reference("login:1")
	if len(ref) != 7 || ref[4] != '-' || ref == r.engine.Reference("login:2") || ref != r.engine.Reference("login:1") {
		t.Errorf("reference %q", ref)
	}
	for typed, want := range map[string]string{
		ref: ref, strings.ToLower(ref): ref, strings.ReplaceAll(ref, "-", ""): ref, " " + ref[:4] + " " + ref[5:]: ref,
		"oOiI-lL": "0011-11", "7f3k-q2": "7F3K-Q2",
	} {
		if got, err := ParseReference(typed); err != nil || got != want {
			t.Errorf("ParseReference(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, bad := range []string{"", "7F3K", "7F3K-Q22", "7F3K-Q!", "7F3K-QÜ", "UUUU-UU"} {
		if got, err := ParseReference(bad); err == nil {
			t.Errorf("ParseReference(%q) = %q", bad, got)
		}
	}
}

func TestSenderStatesAreSaidWhenTheyChange(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	var said stateReport
	report := func() int {
		t.Helper()
		before := len(r.records.states)
		if err := r.engine.reportStates(t.Context(), &said); err != nil {
			t.Fatal(err)
		}
		return len(r.records.states) - before
	}
	if n := report(); n != 3 {
		t.Errorf("%d states at first", n)
	}
	if n := report(); n != 0 {
		t.Errorf("%d states though nothing changed", n)
	}
	r.senders["a"].err = &sms.Error{Kind: sms.KindStatus, Status: 500}
	for range 5 {
		_, _ = r.named[0].Send(t.Context(), sms.Message{})
	}
	if n := report(); n != 3 || r.records.states[3].State != "open" {
		t.Errorf("%d states after a breaker opened", n)
	}
	r.clock.pass(statesEvery)
	if n := report(); n != 3 {
		t.Errorf("%d states after a minute", n)
	}
}

func TestReceiptsOfAConnectionNameTheirSender(t *testing.T) {
	t.Parallel()
	var got []string
	senders := Senders{receipt: func(_ context.Context, sender string, r sms.Receipt) error {
		got = append(got, sender+" "+string(r.State))
		return nil
	}}
	for name, state := range map[string]sms.State{"main": sms.Delivered, "backup": sms.Failed} {
		if err := senders.depsOf(name).Receipts(t.Context(), sms.Receipt{State: state}); err != nil {
			t.Error(err)
		}
	}
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(b, a) })
	if want := []string{"main delivered", "backup failed"}; !slices.Equal(got, want) {
		t.Errorf("receipts %q, want %q", got, want)
	}
	if (Senders{}).depsOf("main").Receipts != nil {
		t.Error("receipts are asked for where nobody takes them")
	}
}
