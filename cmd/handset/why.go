package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
)

func newWhyCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "why REFERENCE",
		Short: "explain one login or one refused text, in plain words",
		Long: `Why tells what happened to the texts of one login: who asked for them, what each
limit had left, which senders were tried and what they said, whether the text
arrived, and whether its code was entered. The reference stands on the code page
and on every page that refused a text ("Reference 7F3K-Q2"), and in the log.
Nothing shows a code or a whole number; what a sender calls a text, to ask it
by, is left out where it repeats one. It is on record for 30 days.`,
		Example: `  handset why 7F3K-Q2
  handset why 7f3kq2`,
		Args: oneArgument("REFERENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			reference, err := passcode.ParseReference(args[0])
			if err != nil {
				return usage(cmd, fmt.Sprintf("%q is no reference: %v", args[0], err))
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				return env.explain(cmd.Context(), db, reference)
			})
		},
	}
}

func (env *environment) explain(ctx context.Context, db *database, reference string) error {
	timelines, err := db.Timelines(ctx, reference)
	if errors.Is(err, storage.ErrNotFound) {
		return withHint(fmt.Errorf("nothing is on record under %s", reference),
			"records are kept for 30 days, and appear within a second")
	}
	if err != nil {
		return err
	}
	if len(timelines) > 1 {
		fmt.Fprintf(env.stdout, "%d logins have this reference by chance; each has its own story:\n", len(timelines))
	}
	for i, timeline := range timelines {
		if len(timelines) > 1 {
			fmt.Fprintf(env.stdout, "\n%d.\n", i+1)
		}
		story{env.stdout, env.now()}.tell(timeline)
	}
	return nil
}

// story is a time line in plain words.
type story struct {
	w   io.Writer
	now time.Time
}

// moment is what happened at one time, one line or more.
type moment struct {
	at    time.Time
	lines []string
}

// momentText is the time of a moment: what people wait for is shorter than a second.
func momentText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000Z") }

func (s story) tell(t storage.TextTimeline) {
	var all []moment
	for i := range t.Texts {
		all = append(all, textMoments(&t.Texts[i])...)
	}
	for i := range t.Events {
		all = append(all, eventMoment(&t.Events[i]))
	}
	for _, r := range t.Receipts {
		all = append(all, moment{r.At, []string{receiptLine(r, t.Texts)}})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	for _, m := range all {
		for i, line := range m.lines {
			at := momentText(m.at)
			if i > 0 {
				at = strings.Repeat(" ", len(at))
			}
			fmt.Fprintf(s.w, "%s  %s\n", at, line)
		}
	}
	if repeats(t.Events) >= storage.MaxTextEvents {
		fmt.Fprintf(s.w, "Only the first %d refusals and rejected codes of a login are kept: there may have been more.\n", storage.MaxTextEvents)
	}
	if end := s.end(t); end != "" {
		fmt.Fprintln(s.w, end)
	}
}

// repeats counts the events of which only so many are kept.
func repeats(events []storage.TextEvent) (n int) {
	for i := range events {
		if events[i].Kind != storage.CodeAccepted {
			n++
		}
	}
	return n
}

// end says how it stands when no line before does.
func (s story) end(t storage.TextTimeline) string {
	entered := slices.ContainsFunc(t.Events, func(e storage.TextEvent) bool { return e.Kind == storage.CodeAccepted })
	if entered || len(t.Texts) == 0 {
		return ""
	}
	last := t.Texts[len(t.Texts)-1]
	if last.Purpose == string(passcode.Test) {
		return ""
	}
	switch {
	case last.Outcome == storage.TextDecoy:
		return "The code page was shown, and no code could have been right."
	case last.Outcome == storage.TextFailed:
		return "No code was entered: the last text did not leave."
	case s.now.After(last.ExpiresAt):
		return fmt.Sprintf("The code expired at %s and was not entered.", timeText(last.ExpiresAt))
	}
	return fmt.Sprintf("The code works until %s and was not entered yet.", timeText(last.ExpiresAt))
}

func textMoments(t *storage.Text) []moment {
	asked := fmt.Sprintf("%s asked for a text to %s", who(t), t.Number)
	if t.Region != "" {
		asked += " (" + t.Region + ")"
	}
	first := moment{t.At, []string{asked}}
	for _, l := range t.Story.Limits {
		first.lines = append(first.lines, limitLine(l))
	}
	decision := fmt.Sprintf("allowed: a new code of %d digits", t.Story.Digits)
	if t.Story.Repeated {
		decision = fmt.Sprintf("allowed: the same code of %d digits again", t.Story.Digits)
	}
	if t.Purpose != string(passcode.Test) { // which asks no limit and has no code
		first.lines = append(first.lines, decision)
	}
	switch t.Outcome {
	case storage.TextTestNumber:
		first.lines = append(first.lines, "a test number: its code is fixed, and nothing was sent")
	case storage.TextDecoy:
		first.lines = append(first.lines, "nothing was sent, and the pages did not tell: "+t.Story.Reason)
	}
	out := []moment{first}
	at := t.At
	for _, a := range t.Story.Attempts {
		at = at.Add(time.Duration(a.Took) * time.Millisecond)
		out = append(out, moment{at, []string{attemptLine(a)}})
	}
	if t.Outcome == storage.TextFailed && t.Purpose != string(passcode.Test) {
		out[len(out)-1].lines = append(out[len(out)-1].lines, "no sender took the text: it cost nothing of the limits")
	}
	return out
}

func who(t *storage.Text) string {
	by := "a " + t.Purpose
	if t.ClientID != "" {
		by += " of client " + string(t.ClientID)
	}
	return by
}

func attemptLine(a storage.TextAttempt) string {
	took := (time.Duration(a.Took) * time.Millisecond).String()
	switch {
	case a.Skipped:
		return a.Sender + " was left out: its circuit breaker is open"
	case a.Error != "":
		return fmt.Sprintf("%s failed after %s: %s", a.Sender, took, a.Error)
	}
	if a.MessageID == "" {
		return fmt.Sprintf("%s took the text in %s and calls it by the number or the code, which is not shown", a.Sender, took)
	}
	return fmt.Sprintf("%s took the text in %s and calls it %s", a.Sender, took, a.MessageID)
}

func limitLine(l storage.LimitLeft) string {
	return fmt.Sprintf("limit %s has %d of %d left", l.Name, l.Left, l.Burst)
}

func eventMoment(e *storage.TextEvent) moment {
	m := moment{at: e.At}
	switch e.Kind {
	case storage.CodeAccepted:
		m.lines = []string{"the code was entered: it is right and used up"}
	case storage.CodeRejected:
		m.lines = []string{rejectedLine(passcode.Reason(e.Reason))}
	default:
		by := "limit " + e.Reason + " refused"
		if e.Reason == limit.Cooldown {
			by = "too early after the text before"
		}
		m.lines = append(m.lines, fmt.Sprintf("another text was asked for and refused: %s, until %s", by, timeText(e.RetryAt)))
		for _, l := range e.Limits {
			m.lines = append(m.lines, limitLine(l))
		}
	}
	return m
}

func rejectedLine(reason passcode.Reason) string {
	switch reason {
	case passcode.Wrong:
		return "a wrong code was entered"
	case passcode.Malformed:
		return "something was entered that is no code"
	case passcode.Dead:
		return "a code was entered after the last try"
	case passcode.Expired:
		return "a code was entered after its time"
	case passcode.Used:
		return "a code was entered that had been used"
	case passcode.TooMany:
		return "a code was not looked at: too many, or too many wrong ones for the number, came from one address"
	}
	return "a code was entered whose challenge was lost"
}

func receiptLine(r storage.TextReceipt, texts []storage.Text) string {
	name := r.MessageID
	if name == "" { // then only the time tells the texts of a login apart
		name = "its text"
		for i := range texts {
			if texts[i].ID == r.Text && len(texts) > 1 {
				name += " of " + momentText(texts[i].At)
			}
		}
	}
	line := fmt.Sprintf("%s says of %s: %s", r.Sender, name, r.State)
	if r.Code != "" {
		line += " (" + r.Code + ")"
	}
	return line
}
