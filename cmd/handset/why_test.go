package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

func storyOf(t *testing.T, timeline storage.TextTimeline, now time.Time) string {
	t.Helper()
	var out bytes.Buffer
	story{&out, now}.tell(timeline)
	return out.String()
}

// A login as an operator reads it: a text that went by the second sender, one try
// too early, a wrong code, the receipt, and the right code.
func TestStoryOfALogin(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	number, err := phone.FromStored("+819012345678")
	if err != nil {
		t.Fatal(err)
	}
	limits := []storage.LimitLeft{{Name: "send_number", Left: 4, Burst: 5}, {Name: "send_address", Left: 9, Burst: 10}}
	text := storage.Text{
		Purpose: "login", ClientID: "shop", Number: number, Region: "JP", At: at, ExpiresAt: at.Add(5 * time.Minute),
		Outcome: storage.TextHandedOver, Sender: "backup", MessageID: "SM1",
		Story: storage.TextStory{Digits: 6, Limits: limits, Attempts: []storage.TextAttempt{
			{Sender: "broken", Skipped: true},
			{Sender: "main", Took: 1200, Error: "sms gateway answered with status 500"},
			{Sender: "backup", Took: 300, MessageID: "SM1"},
		}},
	}
	timeline := storage.TextTimeline{
		Texts: []storage.Text{text},
		Events: []storage.TextEvent{
			{At: at.Add(10 * time.Second), Kind: storage.TextRefused, Reason: "cooldown", RetryAt: at.Add(30 * time.Second), Limits: limits[:1]},
			{At: at.Add(20 * time.Second), Kind: storage.CodeRejected, Reason: "wrong"},
			{At: at.Add(25 * time.Second), Kind: storage.CodeAccepted},
		},
		Receipts: []storage.TextReceipt{
			{Sender: "backup", MessageID: "SM1", State: "sent", At: at.Add(3 * time.Second)},
			{Sender: "backup", MessageID: "SM1", State: "delivered", At: at.Add(6 * time.Second)},
		},
	}
	want := `2026-05-04 12:00:00.000Z  a login of client shop asked for a text to +81********78 (JP)
                          limit send_number has 4 of 5 left
                          limit send_address has 9 of 10 left
                          allowed: a new code of 6 digits
2026-05-04 12:00:00.000Z  broken was left out: its circuit breaker is open
2026-05-04 12:00:01.200Z  main failed after 1.2s: sms gateway answered with status 500
2026-05-04 12:00:01.500Z  backup took the text in 300ms and calls it SM1
2026-05-04 12:00:03.000Z  backup says of SM1: sent
2026-05-04 12:00:06.000Z  backup says of SM1: delivered
2026-05-04 12:00:10.000Z  another text was asked for and refused: too early after the text before, until 2026-05-04 12:00:30Z
                          limit send_number has 4 of 5 left
2026-05-04 12:00:20.000Z  a wrong code was entered
2026-05-04 12:00:25.000Z  the code was entered: it is right and used up
`
	if diff := cmp.Diff(want, storyOf(t, timeline, at.Add(time.Hour))); diff != "" {
		t.Errorf("story (-want +got):\n%s", diff)
	}
}

// A sender that calls texts by the number is not quoted; its receipts are told by the
// time of the text where there are several.
func TestStoryWithoutWhatTheSenderCallsTheText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	taken := func(id storage.TextID, at time.Time) storage.Text {
		return storage.Text{ID: id, Purpose: string(passcode.Test), At: at, Outcome: storage.TextHandedOver, Sender: "main",
			Story: storage.TextStory{Attempts: []storage.TextAttempt{{Sender: "main", Took: 300}}}}
	}
	receipt := storage.TextReceipt{Sender: "main", Text: "b", State: "delivered", At: at.Add(6 * time.Second)}
	one := storage.TextTimeline{Texts: []storage.Text{taken("b", at)}, Receipts: []storage.TextReceipt{receipt}}
	two := one
	two.Texts = append(two.Texts, taken("a", at.Add(time.Second)))
	const took = "main took the text in 300ms and calls it by the number or the code, which is not shown\n"
	for want, timeline := range map[string]storage.TextTimeline{
		"main says of its text: delivered\n":                             one,
		"main says of its text of 2026-05-04 12:00:00.000Z: delivered\n": two,
	} {
		if got := storyOf(t, timeline, at); !strings.Contains(got, took) || !strings.Contains(got, want) {
			t.Errorf("%q or %q is missing in\n%s", took, want, got)
		}
	}
}

// What was not kept is not told, and the story says so.
func TestStoryOfWhoeverAsksAllNight(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	const more = "Only the first 100 refusals and rejected codes of a login are kept: there may have been more."
	for n, want := range map[int]bool{storage.MaxTextEvents - 1: false, storage.MaxTextEvents: true} {
		events := []storage.TextEvent{{At: at, Kind: storage.CodeAccepted}}
		for range n {
			events = append(events, storage.TextEvent{At: at, Kind: storage.CodeRejected, Reason: "wrong"})
		}
		if got := storyOf(t, storage.TextTimeline{Events: events}, at); strings.Contains(got, more) != want {
			t.Errorf("%d events:\n%s", n, got)
		}
	}
}

func TestHowStoriesEnd(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	text := func(outcome storage.TextOutcome, reason string) storage.Text {
		return storage.Text{Purpose: "login", At: at, ExpiresAt: at.Add(5 * time.Minute), Outcome: outcome, Story: storage.TextStory{Reason: reason}}
	}
	for name, c := range map[string]struct {
		text  storage.Text
		after time.Duration
		want  []string
	}{
		"expired":     {text(storage.TextHandedOver, ""), time.Hour, []string{"The code expired at 2026-05-04 12:05:00Z and was not entered."}},
		"under way":   {text(storage.TextHandedOver, ""), time.Minute, []string{"The code works until 2026-05-04 12:05:00Z and was not entered yet."}},
		"failed":      {text(storage.TextFailed, ""), time.Hour, []string{"no sender took the text", "No code was entered: the last text did not leave."}},
		"decoy":       {text(storage.TextDecoy, "sign-up is off"), time.Hour, []string{"nothing was sent, and the pages did not tell: sign-up is off", "no code could have been right"}},
		"test number": {text(storage.TextTestNumber, ""), time.Minute, []string{"a test number: its code is fixed, and nothing was sent"}},
	} {
		got := storyOf(t, storage.TextTimeline{Texts: []storage.Text{c.text}}, at.Add(c.after))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, got)
			}
		}
	}
	for _, reason := range []string{"wrong", "malformed", "dead", "expired", "used", "too_many", "gone"} {
		got := storyOf(t, storage.TextTimeline{Events: []storage.TextEvent{{At: at, Kind: storage.CodeRejected, Reason: reason}}}, at)
		if !strings.Contains(got, "a code") && !strings.Contains(got, "a wrong code") && !strings.Contains(got, "no code") {
			t.Errorf("%s: %s", reason, got)
		}
	}
}
