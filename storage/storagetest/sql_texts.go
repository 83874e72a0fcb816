package storagetest

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

type textStore interface {
	SaveTexts(ctx context.Context, r storage.TextRecords) ([]storage.VerifiedText, error)
	LastSender(ctx context.Context, challenge storage.ChallengeID) (string, error)
	SaveReceipt(ctx context.Context, r storage.TextReceipt) error
	Timelines(ctx context.Context, reference string) ([]storage.TextTimeline, error)
	Deliveries(ctx context.Context, since time.Time) ([]storage.Delivery, error)
	PutSenderStates(ctx context.Context, states []storage.SenderState) error
	SenderStates(ctx context.Context, now time.Time) ([]storage.SenderState, error)
}

var textPromises = []promise{
	{"TimelineHasAllOfAReferenceInOrder", textTimeline},
	{"TwoLoginsOfOneReferenceHaveATimelineEach", textReferenceShared},
	{"EventsOfAChallengeAreBounded", textEventsBounded},
	{"EnteredCodeCountsForTheNewestTextOfItsChallenge", textVerified},
	{"EnteredCodeCountsThoughItsTextIsRecordedLater", textRecordedLate},
	{"ReceiptIsTakenOnce", receiptOnce},
	{"ReceiptMayComeBeforeItsText", receiptFirst},
	{"ReceiptFindsItsTextByWhateverName", receiptByName},
	{"DeliveriesCountBySenderAndRegion", textDeliveries},
	{"LastSenderIsThatOfTheNewestTextThatLeft", textLastSender},
	{"TextsOfARemovedPersonAreErased", textErased},
	{"TextsToANumberThatIsLeftAreErased", textLeft},
	{"TextsAreKeptFor30Days", textSweep},
	{"SilentServersAreForgotten", silentServers},
}

// newText is a text to a new number, handed over by "main" at c.now.
func (c *sqlCase) newText(reference string) storage.Text {
	return storage.Text{
		ID: storage.TextID(rand.Text()), Reference: reference, Challenge: storage.ChallengeID("login:" + reference),
		Purpose: "login", ClientID: "app", Connection: "sms", Number: newNumber(), Region: "JP",
		At: c.now, ExpiresAt: c.now.Add(5 * time.Minute), Outcome: storage.TextHandedOver,
		Sender: "main", MessageID: rand.Text(),
		Story: storage.TextStory{
			Digits: 6, Limits: []storage.LimitLeft{{Name: "send_number", Left: 4, Burst: 5}},
			Attempts: []storage.TextAttempt{{Sender: "other", Took: 12, Error: "status 500"}, {Sender: "main", Took: 34, MessageID: "m"}},
		},
	}
}

// recorded is a text as it is read: the sender's name of it is not kept.
func recorded(t storage.Text) storage.Text {
	t.MessageID = ""
	return t
}

func (c *sqlCase) saveTexts(texts ...storage.Text) {
	c.Helper()
	_, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Texts: texts})
	c.must(err)
}

func (c *sqlCase) accept(challenge storage.ChallengeID, at time.Time) []storage.VerifiedText {
	c.Helper()
	verified, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Events: []storage.TextEvent{{
		Reference: "EVENTS", Challenge: challenge, At: at, Kind: storage.CodeAccepted,
	}}})
	c.must(err)
	return verified
}

// timeline is the only time line under a reference.
func (c *sqlCase) timeline(reference string) storage.TextTimeline {
	c.Helper()
	all, err := c.store.Timelines(c.Context(), reference)
	c.must(err)
	if len(all) != 1 {
		c.Fatalf("%d time lines under %s", len(all), reference)
	}
	return all[0]
}

func textTimeline(c *sqlCase) {
	first, second, other := c.newText("AAAA11"), c.newText("AAAA11"), c.newText("BBBB22")
	second.At, second.Outcome, second.Sender, second.MessageID = c.now.Add(time.Minute), storage.TextFailed, "", ""
	events := []storage.TextEvent{
		{Reference: "AAAA11", Challenge: first.Challenge, At: c.now.Add(time.Second), Kind: storage.CodeRejected, Reason: "wrong"},
		{Reference: "AAAA11", Challenge: first.Challenge, At: c.now.Add(2 * time.Second), Kind: storage.TextRefused,
			Reason: "cooldown", RetryAt: c.now.Add(30 * time.Second), Limits: []storage.LimitLeft{{Name: "send_number", Left: 3, Burst: 5}}},
	}
	_, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Texts: []storage.Text{second, first, other}, Events: events})
	c.must(err)
	receipts := []storage.TextReceipt{
		{Sender: "main", MessageID: first.MessageID, State: "sent", At: c.now.Add(time.Second)},
		{Sender: "main", MessageID: first.MessageID, State: "failed", Code: "30003", At: c.now.Add(2 * time.Second)},
	}
	for _, r := range receipts {
		c.must(c.store.SaveReceipt(c.Context(), r))
	}
	for i := range receipts { // as the story shows the name
		receipts[i].MessageID, receipts[i].Text = "m", first.ID
	}
	got := c.timeline("AAAA11")
	round := cmp.Transformer("ms", func(t time.Time) time.Time { return t.Truncate(time.Millisecond) })
	want := storage.TextTimeline{Texts: []storage.Text{recorded(first), second}, Events: events, Receipts: receipts}
	if diff := cmp.Diff(want, got, numbers, round); diff != "" {
		c.Errorf("timeline (-want +got):\n%s", diff)
	}
	_, err = c.store.Timelines(c.Context(), "CCCC33")
	c.want(err, storage.ErrNotFound)
}

// textReferenceShared: a reference has 30 bits, so that two logins may have the same.
func textReferenceShared(c *sqlCase) {
	later, earlier := c.newText("AAAA11"), c.newText("AAAA11")
	later.Challenge, later.At = "login:later", c.now.Add(time.Hour)
	c.saveTexts(later, earlier)
	refused := storage.TextEvent{Reference: "AAAA11", Challenge: "login:between", At: c.now.Add(time.Minute), Kind: storage.TextRefused, Reason: "send_number"}
	_, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Events: []storage.TextEvent{refused}})
	c.must(err)
	c.must(c.store.SaveReceipt(c.Context(), storage.TextReceipt{Sender: "main", MessageID: later.MessageID, State: "delivered", At: c.now}))
	all, err := c.store.Timelines(c.Context(), "AAAA11")
	c.must(err)
	if len(all) != 3 || len(all[0].Texts) != 1 || all[0].Texts[0].ID != earlier.ID || len(all[0].Receipts) > 0 ||
		len(all[1].Events) != 1 || len(all[1].Texts) > 0 ||
		len(all[2].Texts) != 1 || all[2].Texts[0].ID != later.ID || len(all[2].Receipts) != 1 {
		c.Errorf("time lines %+v", all)
	}
}

// textEventsBounded: who asks all night fills no disk, and the code that is entered
// in the end counts all the same.
func textEventsBounded(c *sqlCase) {
	text := c.newText("AAAA11")
	c.saveTexts(text)
	for range 3 {
		var events []storage.TextEvent
		for i := range storage.MaxTextEvents / 2 {
			kind, reason := storage.CodeRejected, "wrong"
			if i%2 == 0 {
				kind, reason = storage.TextRefused, "cooldown"
			}
			events = append(events, storage.TextEvent{Reference: "AAAA11", Challenge: text.Challenge, At: c.now.Add(time.Second), Kind: kind, Reason: reason})
		}
		_, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Events: events})
		c.must(err)
	}
	c.wantVerified(c.accept(text.Challenge, c.now.Add(2*time.Second)), storage.VerifiedText{Sender: "main", Region: "JP", Took: 2 * time.Second})
	if n := len(c.timeline("AAAA11").Events); n != storage.MaxTextEvents {
		c.Errorf("%d events are on record, want %d", n, storage.MaxTextEvents)
	}
}

func (c *sqlCase) wantVerified(got []storage.VerifiedText, want ...storage.VerifiedText) {
	c.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("verified (-want +got):\n%s", diff)
	}
}

func textVerified(c *sqlCase) {
	first, second := c.newText("AAAA11"), c.newText("AAAA11")
	second.At, second.Sender, second.Region = c.now.Add(40*time.Second), "backup", "US"
	c.saveTexts(first, second)
	c.wantVerified(c.accept("login:nobody", c.now))
	c.wantVerified(c.accept(first.Challenge, c.now.Add(52*time.Second)), storage.VerifiedText{Sender: "backup", Region: "US", Took: 12 * time.Second})
	c.wantVerified(c.accept(first.Challenge, c.now.Add(53*time.Second))) // once
	// A later text that failed takes nothing from the one that left.
	left, failed := c.newText("EEEE55"), c.newText("EEEE55")
	failed.At, failed.Outcome, failed.Sender, failed.MessageID = c.now.Add(40*time.Second), storage.TextFailed, "", ""
	c.saveTexts(left, failed)
	c.wantVerified(c.accept(left.Challenge, c.now.Add(50*time.Second)), storage.VerifiedText{Sender: "main", Region: "JP", Took: 50 * time.Second})
	decoy := c.newText("DDDD44")
	decoy.Outcome, decoy.Sender, decoy.MessageID = storage.TextDecoy, "", ""
	c.saveTexts(decoy)
	c.wantVerified(c.accept(decoy.Challenge, c.now.Add(time.Second)))
}

func textRecordedLate(c *sqlCase) {
	text := c.newText("AAAA11")
	c.wantVerified(c.accept(text.Challenge, c.now.Add(-time.Hour))) // another code of long ago
	c.wantVerified(c.accept(text.Challenge, c.now.Add(3*time.Second)))
	got, err := c.store.SaveTexts(c.Context(), storage.TextRecords{Texts: []storage.Text{text}})
	c.must(err)
	c.wantVerified(got, storage.VerifiedText{Sender: "main", Region: "JP", Took: 3 * time.Second})
	// It was entered once, however many texts are recorded later still.
	again := c.newText("AAAA11")
	again.Challenge, again.At = text.Challenge, c.now.Add(time.Second)
	got, err = c.store.SaveTexts(c.Context(), storage.TextRecords{Texts: []storage.Text{again}})
	c.must(err)
	c.wantVerified(got)
}

func receiptOnce(c *sqlCase) {
	r := storage.TextReceipt{Sender: "main", MessageID: "m1", State: "delivered", At: c.now}
	c.oneWinner(storage.ErrConsumed, func(int) error { return c.store.SaveReceipt(c.Context(), r) })
	r.State = "sent"
	c.must(c.store.SaveReceipt(c.Context(), r))
	r.Sender = "other"
	c.must(c.store.SaveReceipt(c.Context(), r))
}

func receiptFirst(c *sqlCase) {
	text := c.newText("AAAA11")
	c.must(c.store.SaveReceipt(c.Context(), storage.TextReceipt{Sender: "main", MessageID: text.MessageID, State: "delivered", At: c.now}))
	c.saveTexts(text)
	got := c.timeline("AAAA11")
	if len(got.Receipts) != 1 || got.Receipts[0].State != "delivered" {
		c.Errorf("receipts %+v", got.Receipts)
	}
}

// receiptByName: a name that is not shown finds its text all the same, and the sender
// that only seemed to fail knows ours. The same name of another sender is another text's.
func receiptByName(c *sqlCase) {
	text := c.newText("AAAA11")
	text.MessageID = "t" + text.Number.E164()[1:]
	text.Story.Attempts[1].MessageID = ""
	c.saveTexts(text)
	for i, r := range []storage.TextReceipt{
		{Sender: "main", MessageID: text.MessageID, State: "delivered"},
		{Sender: "other", MessageID: string(text.ID), State: "sent"},
		{Sender: "other", MessageID: text.MessageID, State: "failed"},
		{Sender: "third", MessageID: string(text.ID), State: "failed"},
	} {
		r.At = c.now.Add(time.Duration(i) * time.Second)
		c.must(c.store.SaveReceipt(c.Context(), r))
	}
	want := []storage.TextReceipt{
		{Sender: "main", Text: text.ID, State: "delivered"},
		{Sender: "other", MessageID: string(text.ID), Text: text.ID, State: "sent"},
	}
	got := c.timeline("AAAA11").Receipts
	for i := range got {
		got[i].At = time.Time{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("receipts (-want +got):\n%s", diff)
	}
	deliveries, err := c.store.Deliveries(c.Context(), c.now)
	c.must(err)
	if len(deliveries) != 1 || deliveries[0].Delivered != 1 {
		c.Errorf("deliveries %+v", deliveries)
	}
}

func textDeliveries(c *sqlCase) {
	for i := range 20 {
		text := c.newText(rand.Text())
		c.saveTexts(text)
		if i < 10 {
			c.must(c.store.SaveReceipt(c.Context(), storage.TextReceipt{Sender: "main", MessageID: text.MessageID, State: "delivered", At: c.now}))
			c.accept(text.Challenge, c.now.Add(time.Duration(i+1)*time.Second))
		}
	}
	old, failed, abroad := c.newText("OLD"), c.newText("FAILED"), c.newText("ABROAD")
	old.At = c.now.Add(-2 * time.Hour)
	failed.Outcome, failed.Sender, failed.MessageID = storage.TextFailed, "", ""
	abroad.Region = "US"
	c.saveTexts(old, failed, abroad)
	c.must(c.store.SaveReceipt(c.Context(), storage.TextReceipt{Sender: "main", MessageID: abroad.MessageID, State: "undelivered", At: c.now}))
	got, err := c.store.Deliveries(c.Context(), c.now.Add(-time.Hour))
	c.must(err)
	want := []storage.Delivery{
		{Sender: "main", Region: "JP", Sent: 20, Delivered: 10, Verified: 10, Median: 5, P95: 10},
		{Sender: "main", Region: "US", Sent: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func textLastSender(c *sqlCase) {
	_, err := c.store.LastSender(c.Context(), "login:AAAA11")
	c.want(err, storage.ErrNotFound)
	first, second, failed := c.newText("AAAA11"), c.newText("AAAA11"), c.newText("AAAA11")
	second.At, second.Sender = c.now.Add(time.Minute), "backup"
	failed.At, failed.Outcome, failed.Sender, failed.MessageID = c.now.Add(2*time.Minute), storage.TextFailed, "", ""
	c.saveTexts(failed, second, first)
	got, err := c.store.LastSender(c.Context(), "login:AAAA11")
	c.must(err)
	if got != "backup" {
		c.Errorf("last sender %q", got)
	}
}

func textErased(c *sqlCase) {
	l, opened := c.login()
	theirs, others := c.newText("AAAA11"), c.newText("BBBB22")
	theirs.Number = l.Number
	c.saveTexts(theirs, others)
	c.must(c.store.RemoveUser(c.Context(), opened.User.ID, c.now))
	_, err := c.store.Timelines(c.Context(), "AAAA11")
	c.want(err, storage.ErrNotFound)
	_, err = c.store.Timelines(c.Context(), "BBBB22")
	c.must(err)
}

func textLeft(c *sqlCase) {
	l, opened := c.login()
	theirs, others := c.newText("AAAA11"), c.newText("BBBB22")
	theirs.Number = l.Number
	c.saveTexts(theirs, others)
	c.must(c.store.UpdateUser(c.Context(), opened.User.ID, func(u *storage.User) error {
		u.Number = newNumber()
		return nil
	}))
	_, err := c.store.Timelines(c.Context(), "AAAA11")
	c.want(err, storage.ErrNotFound)
	_, err = c.store.Timelines(c.Context(), "BBBB22")
	c.must(err)
}

func textSweep(c *sqlCase) {
	text := c.newText("AAAA11")
	c.saveTexts(text)
	c.accept(text.Challenge, c.now)
	receipt := storage.TextReceipt{Sender: "main", MessageID: text.MessageID, State: "delivered", At: c.now}
	c.must(c.store.SaveReceipt(c.Context(), receipt))
	c.must(c.store.Sweep(c.Context(), c.now.Add(30*24*time.Hour)))
	got := c.timeline("AAAA11")
	if len(got.Texts) != 1 || len(got.Receipts) != 1 {
		c.Errorf("on the thirtieth day: %+v", got)
	}
	c.must(c.store.Sweep(c.Context(), c.now.Add(30*24*time.Hour+time.Second)))
	for _, reference := range []string{"AAAA11", "EVENTS"} {
		_, err := c.store.Timelines(c.Context(), reference)
		c.want(err, storage.ErrNotFound)
	}
	c.must(c.store.SaveReceipt(c.Context(), receipt)) // forgotten, too
}

func silentServers(c *sqlCase) {
	state := storage.SenderState{Server: "a", Sender: "main", State: "open", Since: c.sec, SeenAt: c.sec}
	other := state
	other.Server, other.State, other.SeenAt = "b", "closed", c.sec.Add(time.Minute)
	c.must(c.store.PutSenderStates(c.Context(), []storage.SenderState{state, other}))
	other.State = "half-open"
	c.must(c.store.PutSenderStates(c.Context(), []storage.SenderState{other}))
	got, err := c.store.SenderStates(c.Context(), c.sec.Add(time.Minute))
	c.must(err)
	if diff := cmp.Diff([]storage.SenderState{state, other}, got); diff != "" {
		c.Errorf("states (-want +got):\n%s", diff)
	}
	got, err = c.store.SenderStates(c.Context(), c.sec.Add(4*time.Minute))
	c.must(err)
	if diff := cmp.Diff([]storage.SenderState{other}, got); diff != "" {
		c.Errorf("states of those who still speak (-want +got):\n%s", diff)
	}
}
