package passcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/porttest"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

func TestACodeIsTextedAndProvesTheNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.mustSend("login:1")
	now := r.clock.Now()
	if sent.Length != 6 || sent.Repeated || !sent.ExpiresAt.Equal(now.Add(5*time.Minute)) {
		t.Errorf("sent %+v", sent)
	}
	if wait := sent.ResendAt.Sub(now); wait < 27*time.Second || wait > 33*time.Second {
		t.Errorf("resend in %v, want 30s and a tenth", wait)
	}
	texts := r.inbox.Texts(phone.Number{})
	if len(texts) != 1 || texts[0].To != r.number {
		t.Fatalf("texts %v", texts)
	}
	want := fmt.Sprintf("%s is your Tiny code. Don't share it with anyone.\n\n@login.example.com #%s", r.code(), r.code())
	if texts[0].Body != want {
		t.Errorf("text %q, want %q", texts[0].Body, want)
	}
	c := r.load("login:1")
	if c.State != storage.ChallengeLive || c.TriesLeft != 5 || string(c.Context) != "context" {
		t.Errorf("challenge %+v", c)
	}
	r.mustCheck("login:1", " "+r.code()[:3]+"–"+r.code()[3:]+" ")
	r.wantReason(r.check("login:1", r.code()), Used)
}

func TestTheTextIsMadeOfWhatTheRequestSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var err error
	r.conn.Template, err = sms.ParseTemplate(sms.SyntaxLiquid,
		"{{ code }} for {{ phone_number }} of {{ application.name }} in {{ request_language }}")
	if err != nil {
		t.Fatal(err)
	}
	asks := func(req *SendRequest) { req.Language = "ko-KR,ko;q=0.9" }
	r.mustSend("login:1", asks)
	r.conn.Template, r.conn.Unbound = nil, true
	r.mustSend("login:2", asks)
	texts := r.inbox.Texts(r.number)
	for i, want := range []string{
		" for +819012345678 of Tiny in ko-KR,ko\n\n@login.example.com #",
		"Tiny 인증번호는 ",
	} {
		if body := texts[i].Body; !strings.Contains(body, want) || (i == 1) == strings.Contains(body, "@") {
			t.Errorf("text %q, want %q", body, want)
		}
	}
}

func TestTheChallengeIsStoredBeforeTheTextLeaves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var state storage.ChallengeState
	r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error {
		state = r.load("login:1").State
		return nil
	}))
	r.mustSend("login:1")
	if state != storage.ChallengeLive {
		t.Errorf("while the text was handed over, the challenge was %q", state)
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	first := r.inbox.Texts(r.number)[0].Body
	code := r.code()
	r.wantReason(r.check("login:1", wrong(code, 0)), Wrong)

	early := r.wantLimited(func() error { _, err := r.send("login:1"); return err }(), limit.Cooldown)
	if n := len(r.inbox.Texts(r.number)); n != 1 {
		t.Fatalf("an early resend sent a text: %d", n)
	}
	r.clock.pass(early.RetryAt.Sub(r.clock.Now()))
	again := r.mustSend("login:1")
	texts := r.inbox.Texts(r.number)
	if !again.Repeated || texts[1].Body != first {
		t.Errorf("repeated %t: %q, want %q", again.Repeated, texts[1].Body, first)
	}
	if c := r.load("login:1"); c.TriesLeft != 4 {
		t.Errorf("a repeated code has %d tries, want the 4 it had", c.TriesLeft)
	}
	if !again.ExpiresAt.Equal(r.clock.Now().Add(5 * time.Minute)) {
		t.Errorf("a repeated code lives until %v", again.ExpiresAt)
	}
	r.mustCheck("login:1", code)
}

func TestCooldownsGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Limits = map[string]storage.Limit{limit.SendNumber: {Off: true}}
	})
	for i, want := range []time.Duration{30, 60, 120, 300, 600, 1800, 1800} {
		want *= time.Second
		sent := r.mustSend("login:1")
		wait := sent.ResendAt.Sub(r.clock.Now())
		if wait < want*9/10 || wait > want*11/10 {
			t.Errorf("text %d: resend in %v, want about %v", i+1, wait, want)
		}
		if _, err := r.send("login:1"); err == nil {
			t.Errorf("text %d: another one at once", i+1)
		}
		r.clock.pass(wait)
	}
}

func TestAResendNearTheEndIsANewCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	first := r.code()
	r.clock.pass(4 * time.Minute)
	if sent := r.mustSend("login:1"); !sent.Repeated {
		t.Error("after 4 minutes the code should be repeated")
	}
	r.clock.pass(4*time.Minute + time.Second)
	sent := r.mustSend("login:1")
	if sent.Repeated || r.code() == first {
		t.Error("with less than 2 of its 10 minutes left, the code should be a new one")
	}
	r.wantReason(r.check("login:1", first), Wrong)
	r.mustCheck("login:1", r.code())
}

func TestACodeLivesTenMinutesAtMost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conn.Life = 10 * time.Minute
	r.mustSend("login:1")
	code := r.code()
	r.clock.pass(7 * time.Minute)
	if sent := r.mustSend("login:1"); !sent.Repeated || !sent.ExpiresAt.Equal(r.clock.Now().Add(3*time.Minute)) {
		t.Errorf("sent %+v", sent)
	}
	r.clock.pass(3 * time.Minute)
	r.wantReason(r.check("login:1", code), Expired)
}

func TestExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	r.clock.pass(5 * time.Minute)
	if e := r.wantReason(r.check("login:1", r.code()), Expired); e.Length != 6 {
		t.Errorf("rejection %+v", e)
	}
	old := r.code()
	if sent := r.mustSend("login:1"); sent.Repeated {
		t.Error("an expired code was repeated")
	}
	r.wantReason(r.check("login:1", old), Wrong)
	r.mustCheck("login:1", r.code())
}

func TestUnknownChallenge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if e := r.wantReason(r.check("login:none", "123456"), Gone); e.TriesLeft != 0 {
		t.Errorf("rejection %+v", e)
	}
}

func TestMalformedCodesAreNotTries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	for i, typed := range []string{"", "12345", "1234567", "12345a", "½23456", "12 34 5", strings.Repeat("1", 500), "12345678"} {
		if e := r.wantReason(r.check("login:1", typed), Malformed); e.TriesLeft != 5 || e.Length != 6 {
			t.Errorf("malformed %d: %+v", i, e)
		}
	}
	for range 12 {
		r.wantReason(r.check("login:1", "x"), Malformed)
	}
	r.wantReason(r.check("login:1", r.code()), Dead)
}

func TestConnectionSetsLengthAndLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conn.Length, r.conn.Life, r.conn.From = 4, 90*time.Second, "Tiny"
	sent := r.mustSend("login:1")
	if sent.Length != 4 || len(r.code()) != 4 || !sent.ExpiresAt.Equal(r.clock.Now().Add(90*time.Second)) {
		t.Errorf("sent %+v, code of %d", sent, len(r.code()))
	}
	if from := r.inbox.Texts(r.number)[0].From; from != "Tiny" {
		t.Errorf("from %q", from)
	}
	r.mustCheck("login:1", r.code())
}

func TestAChangeOfNumberReplacesTheCodeAndKeepsTheCooldown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.mustSend("login:1")
	first, old := r.number, r.code()
	r.number = number(t, "+819087654321")
	_, err := r.send("login:1")
	r.wantLimited(err, limit.Cooldown)
	r.clock.pass(sent.ResendAt.Sub(r.clock.Now()))
	if again := r.mustSend("login:1"); again.Repeated {
		t.Error("the code of one number was sent to another")
	}
	if c := r.load("login:1"); c.Sends != 2 {
		t.Errorf("%d sends", c.Sends)
	}
	second := r.number
	r.number = first
	r.wantReason(r.check("login:1", old), Wrong)
	r.number = second
	r.mustCheck("login:1", r.code())
}

func TestSendLimits(t *testing.T) {
	t.Parallel()
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		for i := range 5 {
			r.mustSend(storage.ChallengeID(fmt.Sprint("login:", i)), func(s *SendRequest) { s.Address = address(i) })
		}
		_, err := r.send("login:6", func(s *SendRequest) { s.Address = address(6) })
		if e := r.wantLimited(err, limit.SendNumber); !e.RetryAt.Equal(r.clock.Now().Add(3 * time.Hour)) {
			t.Errorf("retry at %v", e.RetryAt)
		}
		r.clock.pass(3 * time.Hour)
		r.mustSend("login:6", func(s *SendRequest) { s.Address = address(6) })
	})
	// security.md row 25: an IPv6 subscriber has a whole /64.
	for name, addresses := range map[string]func(int) netip.Addr{
		"address": func(int) netip.Addr { return address(7) },
		"address in disguise": func(i int) netip.Addr {
			if i%2 == 0 {
				return address(7)
			}
			return netip.AddrFrom16(address(7).As16())
		},
		"IPv6 /64": func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2606:4700:1:2:%x::%x", i, i)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for i := range 10 {
				r.number = number(t, fmt.Sprint("+8190123456", 10+i))
				r.mustSend(storage.ChallengeID(fmt.Sprint("login:", i)), func(s *SendRequest) { s.Address = addresses(i) })
			}
			r.number = number(t, "+819012345699")
			_, err := r.send("login:11", func(s *SendRequest) { s.Address = addresses(11) })
			r.wantLimited(err, limit.SendAddress)
			r.mustSend("login:11", func(s *SendRequest) { s.Address = netip.MustParseAddr("2606:4700:1:3::1") })
		})
	}
}

// A person who logs in gets the text back, ten times a day, so that owners of
// numbers don't run dry.
func TestVerifiedTextsAreGivenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	login := func(i int) error {
		id := storage.ChallengeID(fmt.Sprint("login:", i))
		if _, err := r.send(id, func(s *SendRequest) { s.Address = address(i) }); err != nil {
			return err
		}
		return r.check(id, r.code())
	}
	for i := range 15 {
		if err := login(i); err != nil {
			t.Fatalf("login %d: %v", i+1, err)
		}
	}
	r.wantLimited(login(16), limit.SendNumber)
}

func TestVerifyLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	for range 60 {
		_ = r.check("login:none", "123456")
	}
	e := r.wantReason(r.check("login:1", r.code()), TooMany)
	if !e.RetryAt.Equal(r.clock.Now().Add(10 * time.Second)) {
		t.Errorf("retry at %v", e.RetryAt)
	}
	if c := r.load("login:1"); c.TriesLeft != 5 {
		t.Errorf("a refused try was counted: %d left", c.TriesLeft)
	}
	if err := r.check("login:1", r.code(), func(c *CheckRequest) { c.Address = address(9) }); err != nil {
		t.Errorf("from another address: %v", err)
	}
}

func TestTestNumbers(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.TestNumbers = []phone.TestNumber{{Number: "+15005550006", Code: "424242"}, {Prefix: "+1500555", Code: "000000"}}
	})
	r.number = number(t, "+15005550006")
	for i := range 20 {
		id := storage.ChallengeID(fmt.Sprint("login:", i))
		if sent := r.mustSend(id); sent.Length != 6 {
			t.Errorf("sent %+v", sent)
		}
		r.wantReason(r.check(id, "000000"), Wrong)
		r.mustCheck(id, "424242")
		r.clock.pass(time.Minute)
	}
	r.number = number(t, "+15005550007")
	r.mustSend("login:other")
	r.mustCheck("login:other", "000000")
	if texts := r.inbox.Texts(phone.Number{}); len(texts) != 0 {
		t.Errorf("%d texts to test numbers", len(texts))
	}
	// Other numbers have their limits, and random codes.
	r.number = number(t, "+819012345678")
	r.mustSend("login:real")
	r.wantReason(r.check("login:real", wrong(r.code(), 0)), Wrong)
}

func TestDecoy(t *testing.T) {
	t.Parallel()
	counting := &countingStore{}
	r := newRig(t, func(c *Config) {
		c.TestNumbers = []phone.TestNumber{{Number: "+15005550006", Code: "424242"}}
		counting.Store = c.Store
		c.Store = counting
	})
	r.conn.SignupDisabled = true
	decoy := func(s *SendRequest) { s.Decoy = true }
	sent := r.mustSend("login:1", decoy)
	work := counting.calls
	if len(r.inbox.Texts(phone.Number{})) != 0 {
		t.Error("a decoy was texted")
	}
	c := r.load("login:1")
	if sent.Length != 6 || c.State != storage.ChallengeLive || c.TriesLeft != 5 || !sent.ExpiresAt.Equal(r.clock.Now().Add(5*time.Minute)) {
		t.Errorf("a decoy shows: %+v, %+v", sent, c)
	}
	if e := r.wantReason(r.check("login:1", "123456"), Wrong); e.TriesLeft != 4 {
		t.Errorf("rejection %+v", e)
	}
	// The limits are those of any other number.
	for i := range 4 {
		r.mustSend(storage.ChallengeID(fmt.Sprint("login:more", i)), decoy)
	}
	_, err := r.send("login:last", decoy)
	r.wantLimited(err, limit.SendNumber)

	other := r.number
	r.number = number(t, "+819087654321")
	counting.calls = 0
	r.mustSend("login:2")
	if err := r.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counting.calls != work {
		t.Errorf("a decoy costs %d steps of the store, a text %d", work, counting.calls)
	}

	// No code proves a decoy, not even one that is known.
	r.number = number(t, "+15005550006")
	r.mustSend("login:3", decoy)
	r.wantReason(r.check("login:3", "424242"), Wrong)

	// Somebody who was registered meanwhile gets a code that works.
	r.number = other
	r.clock.pass(3 * time.Hour)
	r.mustSend("login:4", decoy)
	r.clock.pass(3 * time.Hour)
	if sent := r.mustSend("login:4"); sent.Repeated {
		t.Error("the decoy was repeated")
	}
	if _, err := r.inbox.Wait(t.Context(), r.number, 0); err != nil {
		t.Fatal(err)
	}
	r.mustCheck("login:4", r.code())
}

// A route that is down or slow must not tell decoys from real numbers.
func TestDecoysFareLikeTexts(t *testing.T) {
	t.Parallel()
	for _, signupDisabled := range []bool{true, false} {
		r := newRig(t)
		r.conn.SignupDisabled = signupDisabled
		failing := &sms.Error{Kind: sms.KindStatus, Status: 500}
		r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error {
			r.clock.pass(20 * time.Millisecond)
			return failing
		}))
		states := map[bool]string{}
		for _, decoy := range []bool{false, true} {
			id := storage.ChallengeID(fmt.Sprint("login:", decoy))
			_, err := r.send(id, func(s *SendRequest) { s.Decoy, s.DecoyReason = decoy, "person blocked" })
			if decoy && err != nil && !strings.Contains(err.Error(), "imitates") {
				t.Errorf("the log can't tell that %v is imitated", err)
			}
			if err := r.engine.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := r.load(id)
			states[decoy] = fmt.Sprint(errors.Is(err, ErrNotSent), c.State, c.SendFailed, c.TriesLeft, c.Length, c.Sends)
		}
		if log := r.log.String(); !strings.Contains(log, `outcome=decoy reason="person blocked`) {
			t.Errorf("the log does not say why: %s", log)
		}
		if states[false] != states[true] {
			t.Errorf("sign-up disabled %t: a text %q, a decoy %q", signupDisabled, states[false], states[true])
		}
		r.conn.Routes = via(r.inbox)
		r.mustSend("login:again")
		if err := r.engine.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.mustSend("login:decoy", func(s *SendRequest) { s.Decoy = true })
		if err := r.engine.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := r.load("login:decoy"); c.SendFailed {
			t.Error("the route works again and decoys fail")
		}
	}
}

// countingStore counts the steps that requests take.
type countingStore struct {
	Store
	calls int
}

func (s *countingStore) StartChallenge(ctx context.Context, c storage.StartChallenge) (storage.Started, error) {
	s.calls++
	return s.Store.StartChallenge(ctx, c)
}

func TestSignupDisabledNeverWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release := make(chan struct{})
	r.conn.SignupDisabled = true
	r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error { <-release; return nil }))
	r.mustSend("login:1", func(s *SendRequest) { s.Wait = time.Hour })
	close(release)
	if err := r.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedTextCostsNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		handler http.HandlerFunc
		want    sms.Error
	}{
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, sms.Error{Kind: sms.KindStatus, Status: 500}},
		"401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, sms.Error{Kind: sms.KindUnauthorized, Status: 401}},
		"201": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, sms.Error{Kind: sms.KindStatus, Status: 201}},
		"redirecting": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x", http.StatusFound)
		}, sms.Error{Kind: sms.KindStatus, Status: 302}},
		"hanging": {func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, sms.Error{Kind: sms.KindTimeout, Code: "ETIMEDOUT"}},
		"refusing": {nil, sms.Error{Kind: sms.KindUnreachable, Code: "ECONNREFUSED"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			address := "http://" + porttest.Address(t) // where nobody listens
			if answer.handler != nil {
				gateway := httptest.NewServer(answer.handler)
				t.Cleanup(gateway.Close)
				address = gateway.URL
			}
			timeout := 20 * time.Second // what a busy machine never needs
			if answer.want.Kind == sms.KindTimeout {
				timeout = 100 * time.Millisecond
			}
			options := fmt.Sprintf(`{"provider":"sms_gateway","gateway_url":%q}`, address)
			broken, err := ParseConnection(storage.Connection{Name: "sms", Strategy: "sms", Options: []byte(options)}, Senders{Deps: sms.Deps{
				Client: sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: true}), AllowPrivate: true, GatewayTimeout: timeout,
			}})
			if err != nil {
				t.Fatal(err)
			}
			for range 7 {
				_, err := r.send("login:1", func(s *SendRequest) { s.Connection = broken })
				got, ok := errors.AsType[*sms.Error](err)
				if !errors.Is(err, ErrNotSent) || !ok || *got != answer.want {
					t.Fatalf("error %v, want %v", err, answer.want)
				}
			}
			if c := r.load("login:1"); c.State != storage.ChallengeGone {
				t.Errorf("challenge %+v", c)
			}
			for i := range 5 {
				r.mustSend(storage.ChallengeID(fmt.Sprint("login:", i)))
			}
			r.mustCheck("login:4", r.code())
			if said := r.log.String(); !strings.Contains(said, "outcome=failed") {
				t.Errorf("no record of the failure:\n%s", said)
			}
		})
	}
}

func TestAFailedResendLeavesTheOldCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	code := r.code()
	r.clock.pass(time.Minute)
	_, err := r.send("login:1", func(s *SendRequest) {
		s.Connection = &Connection{Routes: via(senderFunc(func(context.Context, sms.Message) error {
			return errors.New("could not text " + code)
		}))}
	})
	if !errors.Is(err, ErrNotSent) || strings.Contains(err.Error(), code) {
		t.Fatalf("error %v", err)
	}
	r.mustCheck("login:1", code)
}

func TestALateFailureMakesTheNextTextFree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release := make(chan struct{})
	r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error {
		<-release
		return &sms.Error{Kind: sms.KindStatus, Status: 500}
	}))
	sent := r.mustSend("login:1", func(s *SendRequest) { s.Wait = time.Millisecond })
	if sent.ResendAt.IsZero() {
		t.Error("no countdown on a page that says sent")
	}
	if c := r.load("login:1"); c.SendFailed {
		t.Error("failed before it failed")
	}
	close(release)
	if err := r.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := r.load("login:1"); !c.SendFailed || c.State != storage.ChallengeLive {
		t.Errorf("challenge %+v", c)
	}
	r.conn.Routes = via(r.inbox)
	r.mustSend("login:1")
	r.mustCheck("login:1", r.code())
	if said := r.log.String(); !strings.Contains(said, "outcome=failed_late") {
		t.Errorf("no record of the failure:\n%s", said)
	}
}

// A number that gets no texts is told from a route that takes none, also when that comes
// out late. With sign-up off neither is: it would tell who is registered.
func TestALateRefusalOfTheNumberIsToldApart(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		r := newRig(t)
		r.conn.SignupDisabled = off
		release := make(chan struct{})
		r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error {
			<-release
			return &sms.Error{Kind: sms.KindNumber, Code: "21610"}
		}))
		r.mustSend("login:1", func(s *SendRequest) { s.Wait = time.Millisecond })
		close(release)
		if err := r.engine.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := r.load("login:1"); c.NumberFailed == off || c.SendFailed == off {
			t.Errorf("sign-up off %t: challenge %+v", off, c)
		}
	}
}

func TestTheTextLeavesAlthoughTheBrowserHasGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, leave := context.WithCancel(t.Context())
	var carried error
	r.conn.Routes = via(senderFunc(func(ctx context.Context, m sms.Message) error {
		leave()
		carried = ctx.Err()
		if _, bounded := ctx.Deadline(); !bounded {
			carried = errors.New("a text without end")
		}
		_, err := r.inbox.Send(ctx, m)
		return err
	}))
	_, err := r.engine.Send(ctx, r.request("login:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.engine.Drain(t.Context()); err != nil || carried != nil {
		t.Fatal(err, carried)
	}
	r.mustCheck("login:1", r.code())
}

func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error { <-release; return nil }))
	r.mustSend("login:1", func(s *SendRequest) { s.Wait = 0 })
	drained := make(chan error, 1)
	go func() { drained <- r.engine.Drain(t.Context()) }()
	select {
	case err := <-drained:
		t.Errorf("Drain = %v while a text is on its way", err)
	default:
	}
	close(release)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// When its time is over, a text that one sender did not take goes to no other: it
// would be cut off, or go out when nobody writes that it did.
func TestDrainStopsFailover(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	release := make(chan struct{})
	first := sms.NewNamed("first", "", senderFunc(func(context.Context, sms.Message) error {
		<-release
		return &sms.Error{Kind: sms.KindStatus, Status: 500}
	}), r.clock.Now)
	r.conn.Routes = sms.NewRoutes(nil, first, r.named[0])
	r.mustSend("login:1", func(s *SendRequest) { s.Wait = 0 })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	drained := make(chan error, 1)
	go func() { drained <- r.engine.Drain(over) }()
	for !r.engine.stopping.Load() {
		runtime.Gosched()
	}
	close(release)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if text := r.records.kept.Texts[0]; text.Outcome != storage.TextFailed || !slices.Equal(attempts(text), []string{"first failed"}) {
		t.Errorf("on record as %+v", text)
	}
}

// downStore is out of reach.
type downStore struct{ Store }

func (downStore) StartChallenge(context.Context, storage.StartChallenge) (storage.Started, error) {
	return storage.Started{}, fmt.Errorf("redis: %w", storage.ErrUnavailable)
}

func (downStore) CheckChallenge(context.Context, storage.CheckChallenge) (storage.Checked, error) {
	return storage.Checked{}, fmt.Errorf("redis: %w", storage.ErrUnavailable)
}

func TestAStoreOutOfReachProvesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	code := r.code()
	r.engine.store = downStore{r.store}
	if _, err := r.send("login:2"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Send = %v", err)
	}
	if err := r.check("login:1", code); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Check = %v", err)
	}
	if n := len(r.inbox.Texts(phone.Number{})); n != 1 {
		t.Errorf("%d texts", n)
	}
	r.engine.store = r.store
	r.mustCheck("login:1", code)
}

func TestAnUnknownStatusProvesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []storage.CheckStatus{"", "OK", "fine", storage.CheckLimited} {
		err := CheckRequest{}.rejected(storage.Checked{Status: status})
		if err == nil || err.Reason == "" {
			t.Errorf("status %q: %v", status, err)
		}
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("login:1")
	code := r.code()
	_, _ = r.send("login:1")
	_ = r.check("login:1", wrong(code, 0))
	_ = r.check("login:1", "nonsense")
	r.mustCheck("login:1", code)
	said := r.log.String()
	for _, secret := range []string{code, wrong(code, 0), "nonsense", "9012345678", "12345678", "is your", "context="} {
		if strings.Contains(said, secret) {
			t.Errorf("the log says %q:\n%s", secret, said)
		}
	}
	tag := r.engine.Tag(r.number)
	if !regexp.MustCompile(`^ph_[0-9a-f]{12}$`).MatchString(tag) {
		t.Errorf("tag %q", tag)
	}
	for _, want := range []string{
		"outcome=handed_over", "outcome=limited reason=cooldown", "outcome=rejected reason=wrong",
		"outcome=rejected reason=malformed", "outcome=accepted", "number=+81********78", "number_tag=" + tag,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the log doesn't say %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "\n"); n != 5 {
		t.Errorf("%d records for 2 sends and 3 checks:\n%s", n, said)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, change := range map[string]func(*SendRequest){
		"no challenge":  func(s *SendRequest) { s.Challenge = "" },
		"no purpose":    func(s *SendRequest) { s.Purpose = "" },
		"decoy purpose": func(s *SendRequest) { s.Purpose = decoyPurpose },
		"no number":     func(s *SendRequest) { s.Number = phone.Number{} },
		"no connection": func(s *SendRequest) { s.Connection = nil },
		"no sender":     func(s *SendRequest) { s.Connection = &Connection{} },
	} {
		if _, err := r.send("login:1", change); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	for name, change := range map[string]func(*CheckRequest){
		"no challenge":  func(c *CheckRequest) { c.Challenge = storage.Challenge{} },
		"decoy purpose": func(c *CheckRequest) { c.Purpose = decoyPurpose },
		"no number":     func(c *CheckRequest) { c.Number = phone.Number{} },
	} {
		if err := r.check("login:1", "123456", change); err == nil {
			t.Errorf("%s: proved", name)
		}
	}
	for name, c := range map[string]Config{
		"nothing":       {},
		"no store":      {Vault: r.engine.vault},
		"unknown limit": {Store: r.store, Vault: r.engine.vault, Limits: map[string]storage.Limit{"send_numbr": {Off: true}}},
		"empty limit":   {Store: r.store, Vault: r.engine.vault, Limits: map[string]storage.Limit{limit.SendNumber: {}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: New succeeds", name)
		}
	}
}

func TestDigitsAreUniform(t *testing.T) {
	t.Parallel()
	const codes, length = 30_000, 8
	var counts [length][10]int
	for range codes {
		code := newCode(length)
		if len(code) != length {
			t.Fatalf("code of %d digits", len(code))
		}
		for i := range length {
			counts[i][code[i]-'0']++
		}
	}
	for i, digits := range counts {
		chi2, expected := 0.0, float64(codes)/10
		for _, n := range digits {
			chi2 += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		// 9 degrees of freedom: above 50 once in ten million honest runs.
		if chi2 > 50 {
			t.Errorf("digit %d: chi squared %.1f, counts %v", i, chi2, digits)
		}
	}
}

// nullStore decides nothing; what is left is the engine's own cost.
type nullStore struct{}

func (nullStore) StartChallenge(_ context.Context, c storage.StartChallenge) (storage.Started, error) {
	return storage.Started{Sealed: c.Short.Sealed, Length: c.Short.Length}, nil
}

func (nullStore) UndoSend(context.Context, storage.ChallengeID, []byte, bool, time.Time) error {
	return nil
}

func (nullStore) CheckChallenge(context.Context, storage.CheckChallenge) (storage.Checked, error) {
	return storage.Checked{Status: storage.CheckOK}, nil
}

func BenchmarkEngineAlone(b *testing.B) {
	r := newRig(b, func(c *Config) { c.Logger, c.Store = nil, nullStore{} })
	check := CheckRequest{
		Challenge: storage.Challenge{ID: "login:1", Length: 6}, Purpose: Login, Client: client,
		Number: r.number, Typed: "123456", Address: address(2),
	}
	b.ReportAllocs()
	for b.Loop() {
		r.mustSend("login:1")
		if err := r.engine.Check(b.Context(), check); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSendAndCheck(b *testing.B) {
	r := newRig(b, func(c *Config) {
		c.Logger = nil
		c.Limits = map[string]storage.Limit{}
		for _, name := range limit.Names() {
			c.Limits[name] = storage.Limit{Burst: 1 << 30, Every: time.Second}
		}
	})
	var n int
	for b.Loop() {
		n++
		id := storage.ChallengeID(fmt.Sprint("login:", n))
		r.mustSend(id)
		r.mustCheck(id, r.code())
	}
}
