package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

const (
	// keptTexts is how long texts, events and receipts stay on record.
	keptTexts = 30 * 24 * time.Hour
	// silentServer is how long a server that says nothing of its senders is
	// thought to be alive.
	silentServer = 3 * time.Minute
)

// msOrNull stores the zero time as NULL.
func msOrNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func ms(n int64) time.Time { return time.UnixMilli(n).UTC() }

func msOrZero(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return ms(n.Int64)
}

// textPlace binds a sealed number to its text.
func textPlace(id storage.TextID) string { return "texts/" + string(id) }

// SaveTexts writes texts and events in one transaction, and returns the texts
// whose codes were entered: those of the events, and those whose event came first.
// It is a fast write: what a crash of the machine takes away is a record, no login.
func (s *Store) SaveTexts(ctx context.Context, r storage.TextRecords) (verified []storage.VerifiedText, err error) {
	err = s.db.write(ctx, fast, func(c *conn) error {
		verified = nil
		entered, err := entered(c, r.Texts)
		if err != nil {
			return err
		}
		for i := range r.Texts {
			v, err := s.insertText(c, &r.Texts[i], entered[r.Texts[i].Challenge])
			if err != nil {
				return err
			}
			verified = append(verified, v...)
		}
		for i := range r.Events {
			v, err := addTextEvent(c, &r.Events[i])
			if err != nil {
				return err
			}
			verified = append(verified, v...)
		}
		return nil
	})
	return verified, wrap("save texts", err)
}

// entered returns the challenges of texts whose codes were entered already: few, if any.
func entered(c *conn, texts []storage.Text) (map[storage.ChallengeID]bool, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	names := make([]storage.ChallengeID, len(texts))
	for i := range texts {
		names[i] = texts[i].Challenge
	}
	encoded, err := json.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("challenges of texts: %w", err)
	}
	found, err := list(c, enteredChallenges, func(r scanner) (id storage.ChallengeID, err error) {
		err = r.Scan(&id)
		return id, err
	}, string(encoded))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	out := map[storage.ChallengeID]bool{}
	for _, id := range found {
		out[id] = true
	}
	return out, nil
}

// insertText writes a text. entered says that a code of its challenge was entered
// already, which may be this one's.
func (s *Store) insertText(c *conn, t *storage.Text, entered bool) ([]storage.VerifiedText, error) {
	story, err := json.Marshal(t.Story)
	if err != nil {
		return nil, fmt.Errorf("story of a text: %w", err)
	}
	var verified sql.NullInt64
	if entered && t.Outcome == storage.TextHandedOver {
		if err := c.row(textEntered, string(t.Challenge), t.At.UnixMilli()).Scan(&verified); err != nil {
			return nil, err
		}
	}
	e164 := t.Number.E164()
	var message []byte
	if t.MessageID != "" {
		message = s.messageMAC(t.Sender, t.MessageID)
	}
	_, err = c.exec(insertText, string(t.ID), t.Reference, string(t.Challenge), t.Purpose, string(t.ClientID),
		string(t.Connection), s.vault.Seal(vault.Number, textPlace(t.ID), []byte(e164)), s.vault.MAC(vault.NumberIndex, e164),
		t.Region, t.At.UnixMilli(), t.ExpiresAt.UnixMilli(), string(t.Outcome), t.Sender, message, string(story), verified)
	if err != nil || !verified.Valid {
		return nil, err
	}
	took := ms(verified.Int64).Sub(ms(t.At.UnixMilli()))
	return []storage.VerifiedText{{Sender: t.Sender, Region: t.Region, Took: took}}, nil
}

func addTextEvent(c *conn, e *storage.TextEvent) ([]storage.VerifiedText, error) {
	if e.Kind != storage.CodeAccepted {
		var n int
		if err := c.row(countTextEvents, string(e.Challenge)).Scan(&n); err != nil || n >= storage.MaxTextEvents {
			return nil, err
		}
	}
	limits, err := json.Marshal(e.Limits)
	if err != nil {
		return nil, fmt.Errorf("limits of an event: %w", err)
	}
	if _, err := c.exec(insertTextEvent, e.Reference, string(e.Challenge), e.At.UnixMilli(), string(e.Kind), e.Reason,
		msOrNull(e.RetryAt), string(limits)); err != nil || e.Kind != storage.CodeAccepted {
		return nil, err
	}
	var v storage.VerifiedText
	var id string
	var sent int64
	var before sql.NullInt64
	err = c.row(newestText, string(e.Challenge), e.At.UnixMilli()).Scan(&id, &v.Sender, &v.Region, &sent, &before)
	switch {
	case errors.Is(err, storage.ErrNotFound) || before.Valid: // its text is not on record yet, or entered before
		return nil, nil
	case err != nil:
		return nil, err
	}
	v.Took = e.At.Sub(ms(sent))
	_, err = c.exec(textVerified, id, e.At.UnixMilli())
	return []storage.VerifiedText{v}, err
}

// LastSender returns the sender that took the newest text of a challenge, or
// [storage.ErrNotFound].
func (s *Store) LastSender(ctx context.Context, challenge storage.ChallengeID) (sender string, err error) {
	err = s.db.read(ctx, func(c *conn) error { return c.row(lastSender, string(challenge)).Scan(&sender) })
	return sender, wrap("find last sender", err)
}

// SaveReceipt writes what a route said of a message. [storage.ErrConsumed]: it
// said so before. The message need not be on record yet.
func (s *Store) SaveReceipt(ctx context.Context, r storage.TextReceipt) error {
	err := s.db.write(ctx, fast, func(c *conn) error {
		told, err := s.insertReceipt(c, r)
		if err == nil && told {
			return storage.ErrConsumed
		}
		return err
	})
	return wrap("save receipt", err)
}

// insertReceipt writes a receipt once under each secret key, since any of them may have
// been the active one when its text was written. told: one of them has it already.
func (s *Store) insertReceipt(c *conn, r storage.TextReceipt) (told bool, err error) {
	for _, mac := range s.messageMACs(r.Sender, r.MessageID) {
		n, err := c.exec(insertReceipt, mac, r.State, r.Sender, r.Code, r.At.UnixMilli())
		if err != nil {
			return false, err
		}
		told = told || n == 0
	}
	return told, nil
}

// messageMAC stands for what a sender calls a message: the name itself may have the
// number or the code in it.
func (s *Store) messageMAC(sender, name string) []byte {
	return s.vault.MAC(vault.MessageIndex, sender, name)
}

func (s *Store) messageMACs(sender, name string) [][]byte {
	return s.vault.MACs(vault.MessageIndex, sender, name)
}

// Timelines returns all that is on record under a reference, the oldest first;
// [storage.ErrNotFound] when there is nothing. References are short: two challenges of
// thirty days may share one.
func (s *Store) Timelines(ctx context.Context, reference string) (all []storage.TextTimeline, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		texts, err := list(c, textsByReference, s.scanText, reference)
		if err != nil {
			return err
		}
		events, err := list(c, eventsByReference, scanTextEvent, reference)
		if err != nil {
			return err
		}
		all = byChallenge(texts, events)
		for i := range all {
			if all[i].Receipts, err = s.receiptsOf(c, all[i].Texts); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(all) == 0 {
		err = storage.ErrNotFound
	}
	return all, wrap("read timeline", err)
}

// byChallenge sorts texts and events into time lines.
func byChallenge(texts []storage.Text, events []storage.TextEvent) []storage.TextTimeline {
	slices.SortStableFunc(texts, func(a, b storage.Text) int { return a.At.Compare(b.At) })
	lines := map[storage.ChallengeID]*storage.TextTimeline{}
	line := func(id storage.ChallengeID) *storage.TextTimeline {
		if lines[id] == nil {
			lines[id] = &storage.TextTimeline{}
		}
		return lines[id]
	}
	for _, t := range texts {
		l := line(t.Challenge)
		l.Texts = append(l.Texts, t)
	}
	for _, e := range events {
		l := line(e.Challenge)
		l.Events = append(l.Events, e)
	}
	var all []storage.TextTimeline
	for _, l := range lines {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b storage.TextTimeline) int { return a.Began().Compare(b.Began()) })
	return all
}

// receiptsOf returns the receipts of texts, the oldest first.
func (s *Store) receiptsOf(c *conn, texts []storage.Text) (all []storage.TextReceipt, err error) {
	for i := range texts {
		receipts, err := s.receiptsOfOne(c, &texts[i])
		if err != nil {
			return nil, err
		}
		all = append(all, receipts...)
	}
	slices.SortStableFunc(all, func(a, b storage.TextReceipt) int { return a.At.Compare(b.At) })
	return all, nil
}

func (s *Store) receiptsOfOne(c *conn, text *storage.Text) (all []storage.TextReceipt, err error) {
	type said struct{ sender, state string }
	seen := map[said]bool{} // a receipt is written under each key
	find := func(name string, by statement, key any) error {
		receipts, err := list(c, by, scanReceipt, key)
		for _, r := range receipts {
			if !seen[said{r.Sender, r.State}] {
				seen[said{r.Sender, r.State}] = true
				r.MessageID, r.Text = name, text.ID
				all = append(all, r)
			}
		}
		return err
	}
	if err := find(text.ShownName(), receiptsOfText, string(text.ID)); err != nil {
		return nil, err
	}
	for _, a := range text.Story.Attempts {
		// A sender that seemed to fail may have taken the text; it knows our name of it.
		for _, mac := range s.messageMACs(a.Sender, string(text.ID)) {
			if err := find(string(text.ID), receiptsOfMessage, mac); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (s *Store) scanText(r scanner) (storage.Text, error) {
	var t storage.Text
	var sealed []byte
	var sent, expires int64
	var story string
	if err := r.Scan(&t.ID, &t.Reference, &t.Challenge, &t.Purpose, &t.ClientID, &t.Connection, &sealed, &t.Region,
		&sent, &expires, &t.Outcome, &t.Sender, &story); err != nil {
		return t, err
	}
	if err := json.Unmarshal([]byte(story), &t.Story); err != nil {
		return t, fmt.Errorf("story of text: %w", err)
	}
	plain, err := s.vault.Open(vault.Number, textPlace(t.ID), sealed)
	if err != nil {
		return t, fmt.Errorf("number of text: %w", err)
	}
	t.At, t.ExpiresAt = ms(sent), ms(expires)
	t.Number, err = phone.FromStored(string(plain))
	return t, err
}

func scanTextEvent(r scanner) (e storage.TextEvent, err error) {
	var at int64
	var retry sql.NullInt64
	var limits string
	if err := r.Scan(&e.Reference, &e.Challenge, &at, &e.Kind, &e.Reason, &retry, &limits); err != nil {
		return e, err
	}
	e.At, e.RetryAt = ms(at), msOrZero(retry)
	return e, json.Unmarshal([]byte(limits), &e.Limits)
}

func scanReceipt(r scanner) (receipt storage.TextReceipt, err error) {
	var at int64
	err = r.Scan(&receipt.Sender, &receipt.State, &receipt.Code, &at)
	receipt.At = ms(at)
	return receipt, err
}

// Deliveries returns how the texts that were handed over at since or later fared,
// by sender and region, in that order.
func (s *Store) Deliveries(ctx context.Context, since time.Time) ([]storage.Delivery, error) {
	type group struct {
		storage.Delivery
		seconds []float64
	}
	type key struct{ sender, region string }
	groups := map[key]*group{}
	err := s.db.read(ctx, func(c *conn) error {
		_, err := list(c, deliveriesSince, func(r scanner) (struct{}, error) {
			var k key
			var sent int64
			var verified sql.NullInt64
			var delivered bool
			if err := r.Scan(&k.sender, &k.region, &sent, &verified, &delivered); err != nil {
				return struct{}{}, err
			}
			g := groups[k]
			if g == nil {
				g = &group{Delivery: storage.Delivery{Sender: k.sender, Region: k.region}}
				groups[k] = g
			}
			g.Sent++
			if delivered {
				g.Delivered++
			}
			if verified.Valid {
				g.Verified++
				g.seconds = append(g.seconds, float64(verified.Int64-sent)/1000)
			}
			return struct{}{}, nil
		}, since.UnixMilli())
		return err
	})
	if err != nil {
		return nil, wrap("read deliveries", err)
	}
	all := make([]storage.Delivery, 0, len(groups))
	for _, g := range groups {
		slices.Sort(g.seconds)
		g.Median, g.P95 = percentile(g.seconds, 0.5), percentile(g.seconds, 0.95)
		all = append(all, g.Delivery)
	}
	slices.SortFunc(all, func(a, b storage.Delivery) int {
		return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Region, b.Region))
	})
	return all, nil
}

// percentile is the nearest rank in a sorted list, 0 for an empty one.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}

// PutSenderStates writes how a server sees its senders.
func (s *Store) PutSenderStates(ctx context.Context, states []storage.SenderState) error {
	err := s.db.write(ctx, fast, func(c *conn) error {
		for _, state := range states {
			if _, err := c.exec(putSenderState, state.Server, state.Sender, state.State,
				state.Since.UnixMilli(), state.SeenAt.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap("put sender states", err)
}

// SenderStates returns how the servers that run see their senders.
func (s *Store) SenderStates(ctx context.Context, now time.Time) (all []storage.SenderState, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, senderStates, func(r scanner) (state storage.SenderState, err error) {
			var since, seen int64
			err = r.Scan(&state.Server, &state.Sender, &state.State, &since, &seen)
			state.Since, state.SeenAt = ms(since), ms(seen)
			return state, err
		}, now.Add(-silentServer).UnixMilli())
		return err
	})
	return all, wrap("list sender states", err)
}

// eraseNumber erases the texts to a number and its verifications, under whatever key
// they are kept.
func (s *Store) eraseNumber(c *conn, number phone.Number) error {
	for _, index := range s.vault.MACs(vault.NumberIndex, number.E164()) {
		for _, erase := range []statement{deleteTextsOfNumber, deleteVerificationsOfNumber} {
			if _, err := c.exec(erase, index); err != nil {
				return err
			}
		}
	}
	return nil
}
