package sms

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// scripted answers as its script says, one error after the other.
type scripted struct {
	script []error
	sent   []Message
	closed int
}

func (s *scripted) Send(_ context.Context, m Message) (string, error) {
	s.sent = append(s.sent, m)
	if len(s.script) == 0 {
		return "id", nil
	}
	err := s.script[0]
	s.script = s.script[1:]
	return "", err
}

func (s *scripted) Close() error {
	s.closed++
	return nil
}

func named(name string) *Named { return NewNamed(name, "", &scripted{}, time.Now) }

func names(list []*Named) []string {
	out := []string{}
	for _, n := range list {
		out = append(out, n.Name)
	}
	return out
}

func TestRoutesOfANumber(t *testing.T) {
	t.Parallel()
	a, b, c, own := named("a"), named("b"), named("c"), named("own")
	routes := NewRoutes([]Rule{
		{To: []string{"JP", "+1500"}, Via: []*Named{a, b}},
		{To: []string{"+8190"}, Via: []*Named{b}},
		{To: []string{"+819012"}, Via: []*Named{c, a}},
		{To: []string{"US"}, Via: []*Named{c}},
		{To: []string{"FI"}, Via: []*Named{a}},
		{To: []string{"JE"}, Via: []*Named{b}},
		{To: []string{"IM", "GB"}, Via: []*Named{c, b}},
	}, own)
	for e164, want := range map[string][]string{
		"+818012345678":  {"a", "b"},
		"+819087654321":  {"b"},
		"+819012345678":  {"c", "a"},
		"+12015550123":   {"c"},
		"+15005550006":   {"a", "b"}, // of no region
		"+4915123456789": {"own"},
		"+447400123456":  {"c", "b"},
		"+447911123456":  {"c", "b"}, // of Guernsey, which countries count as GB
		"+447797712345":  {"b"},      // of Jersey, which has a rule
		"+447700900982":  {"c", "b"}, // of nobody, typed on a developer's machine
		"+3584570123456": {"a"},      // of Finland's ranges, Åland's or not
	} {
		n, err := phone.FromStored(e164)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(routes.To(n)); !slices.Equal(got, want) {
			t.Errorf("%s goes by %v, want %v", e164, got, want)
		}
	}
	if got := names(routes.Senders()); !slices.Equal(got, []string{"a", "b", "c", "own"}) {
		t.Errorf("senders %v", got)
	}
	for last, want := range map[string][]string{"a": {"b", "c", "a"}, "b": {"c", "a", "b"}, "c": {"a", "b", "c"}, "x": {"a", "b", "c"}} {
		if got := names(After([]*Named{a, b, c}, last)); !slices.Equal(got, want) {
			t.Errorf("after %s: %v, want %v", last, got, want)
		}
	}
	all := NewRoutes([]Rule{{To: []string{phone.AllRegions}, Via: []*Named{b}}, {To: []string{"JP"}, Via: []*Named{a}}}, own)
	n, err := phone.FromStored("+819012345678")
	if err != nil {
		t.Fatal(err)
	}
	if got := names(all.To(n)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("a region comes before all: %v", got)
	}
}

// broken are n failures of a sender that is down.
func broken(n int) []error {
	return slices.Repeat([]error{&Error{Kind: KindUnreachable, Code: "ECONNREFUSED"}}, n)
}

func wantState(t *testing.T, n *Named, want string) {
	t.Helper()
	if got, _ := n.State(); got != want {
		t.Errorf("breaker is %s, want %s", got, want)
	}
}

func TestBreakerOpensAndClosesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{script: broken(6)}
		n := NewNamed("main", "", s, time.Now)
		began := time.Now()
		for range breakerStreak {
			wantState(t, n, "closed")
			if _, err := n.Send(t.Context(), Message{}); errors.Is(err, ErrOpen) {
				t.Fatal("open too early")
			}
		}
		wantState(t, n, "open")
		if _, err := n.Send(t.Context(), Message{}); !errors.Is(err, ErrOpen) || len(s.sent) != breakerStreak {
			t.Fatalf("an open breaker lets a text pass: %v", err)
		}
		if _, since := n.State(); !since.Equal(began) {
			t.Errorf("open since %v, want %v", since, began)
		}
		time.Sleep(breakerOpenTime + time.Millisecond)
		wantState(t, n, "half-open")
		if _, err := n.Send(t.Context(), Message{}); err == nil {
			t.Fatal("the sixth failure is missing")
		}
		wantState(t, n, "open")
		time.Sleep(breakerOpenTime + time.Millisecond)
		if id, err := n.Send(t.Context(), Message{}); err != nil || id != "id" {
			t.Fatalf("half open: %q, %v", id, err)
		}
		wantState(t, n, "closed")
	})
}

// On a quiet server, where texts are far apart, five in a row are five in a row.
func TestBreakerOpensOnAQuietServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewNamed("main", "", &scripted{script: broken(2 * breakerStreak)}, time.Now)
		for range breakerStreak + 1 { // one result may fall between two windows
			_, _ = n.Send(t.Context(), Message{})
			time.Sleep(40 * time.Second)
			if state, _ := n.State(); state != "closed" {
				return
			}
		}
		t.Error("the breaker is closed")
	})
}

func TestBreakerOpensWhenHalfOfTheTextsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var script []error
		for range breakerLeast / 2 {
			script = append(script, nil, broken(1)[0])
		}
		n := NewNamed("main", "", &scripted{script: script}, time.Now)
		for range breakerLeast {
			_, _ = n.Send(t.Context(), Message{})
		}
		wantState(t, n, "open")
	})
}

// What a route says of a number or a message is no fault of the route.
func TestRefusedNumbersLeaveTheBreakerClosed(t *testing.T) {
	t.Parallel()
	var script []error
	for range 20 {
		script = append(script, &Error{Kind: KindNumber, Code: "21610"}, &Error{Kind: KindRefused, Code: "21408"})
	}
	n := NewNamed("main", "", &scripted{script: script}, time.Now)
	for range 40 {
		if _, err := n.Send(t.Context(), Message{}); errors.Is(err, ErrOpen) {
			t.Fatal("the breaker opened")
		}
	}
	wantState(t, n, "closed")
}

// A wrong token, no credit, too many texts: the next text fares no better.
func TestAStreakOfRefusalsOfTheAccountOpensTheBreaker(t *testing.T) {
	t.Parallel()
	n := NewNamed("main", "", &scripted{script: slices.Repeat([]error{&Error{Kind: KindAccount, Status: 401, Code: "20003"}}, breakerStreak)}, time.Now)
	for range breakerStreak {
		wantState(t, n, "closed")
		_, _ = n.Send(t.Context(), Message{})
	}
	wantState(t, n, "open")
}

// Where the time was another sender's, or whoever asked has gone, the failure says
// nothing of this one; where its own share is over, it does.
func TestFailuresAfterTheEndDoNotCount(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	n := NewNamed("main", "", &scripted{script: broken(3 * breakerStreak)}, time.Now)
	for range 2 * breakerStreak {
		_, _ = n.Send(ended, Message{})
	}
	wantState(t, n, "closed")
	share, stop := context.WithTimeoutCause(t.Context(), -time.Second, ErrShare)
	defer stop()
	for range breakerStreak {
		_, _ = n.Send(share, Message{})
	}
	wantState(t, n, "open")
}

// A trial that tells nothing does not leave the breaker without any.
func TestATrialAfterTheEndIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewNamed("main", "", &scripted{script: broken(breakerStreak + 1)}, time.Now)
		for range breakerStreak {
			_, _ = n.Send(t.Context(), Message{})
		}
		time.Sleep(breakerOpenTime + time.Millisecond)
		ended, end := context.WithCancel(t.Context())
		end()
		_, _ = n.Send(ended, Message{})
		wantState(t, n, "open")
		time.Sleep(breakerOpenTime + time.Millisecond)
		if _, err := n.Send(t.Context(), Message{}); err != nil {
			t.Error(err)
		}
		wantState(t, n, "closed")
	})
}

// echoes says what it is told to say.
type echoes struct {
	id  string
	err error
}

func (e echoes) Send(context.Context, Message) (string, error) { return e.id, e.err }

// What a route says of a fault goes on record and into logs. What it calls a message is
// kept from there by whoever gets it: receipts come by that name.
func TestWordsThatRepeatTheCodeOrTheNumber(t *testing.T) {
	t.Parallel()
	m := testMessage(t)
	m.Code = "314159"
	digits := m.To.E164()[1:]
	national := m.To.National()
	for _, word := range []string{
		"314159", "m-314159-1", m.To.E164(), digits, "to:" + national, national[:3] + "-" + national[3:], "id." + digits + ".7",
	} {
		if id, _ := NewNamed("main", "", echoes{word, nil}, time.Now).Send(t.Context(), m); id != word || !m.QuotedIn(id) {
			t.Errorf("%q is called %q, which quotes: %t", word, id, m.QuotedIn(id))
		}
		_, err := NewNamed("main", "", echoes{"", &Error{Kind: KindRefused, Status: 400, Code: word}}, time.Now).Insist(t.Context(), m)
		checkFailure(t, err, Error{Kind: KindRefused, Status: 400, Code: "hidden"})
	}
	for _, word := range []string{"SM0f3a9c1e11d24b7c8d5e6f7a8b9c0d1e", "21408", "ESME_RTHROTTLED", "31415"} {
		if id, _ := NewNamed("main", "", echoes{word, nil}, time.Now).Send(t.Context(), m); id != word || m.QuotedIn(id) {
			t.Errorf("%q is called %q, which quotes: %t", word, id, m.QuotedIn(id))
		}
	}
}

func TestInsistPassesAnOpenBreaker(t *testing.T) {
	t.Parallel()
	s := &scripted{script: broken(breakerStreak)}
	n := NewNamed("main", "+1999", s, time.Now)
	for range breakerStreak {
		_, _ = n.Send(t.Context(), Message{From: "+1888"})
	}
	if _, err := n.Insist(t.Context(), Message{From: "+1888"}); err != nil || len(s.sent) != breakerStreak+1 {
		t.Errorf("%d texts, %v", len(s.sent), err)
	}
	if s.sent[0].From != "+1999" {
		t.Errorf("sent as %s, want the sender's own", s.sent[0].From)
	}
	if err := n.Close(); err != nil || s.closed != 1 {
		t.Errorf("closed %d times, %v", s.closed, err)
	}
}

func TestPanicCountsAsAFailure(t *testing.T) {
	t.Parallel()
	n := NewNamed("main", "", panics{}, time.Now)
	for range breakerStreak {
		func() {
			defer func() { _ = recover() }()
			_, _ = n.Send(t.Context(), Message{})
		}()
	}
	wantState(t, n, "open")
}

type panics struct{}

func (panics) Send(context.Context, Message) (string, error) { panic("broken") }
