package sms

import (
	"context"
	"sync"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// Inbox keeps texts in memory instead of sending them: the demo shows them, and
// tests read them as a person would. It keeps the newest ones only. It is safe
// for concurrent use.
type Inbox struct {
	now  func() time.Time
	keep int

	mu    sync.Mutex
	last  uint64
	texts []Text        // oldest first
	more  chan struct{} // closed when the next text arrives
}

// Text is a message as it lies in the inbox.
type Text struct {
	// ID grows by one with each text.
	ID   uint64
	To   phone.Number
	From string
	Body string
	At   time.Time
}

// NewInbox keeps the newest texts, as many as keep says (at least one).
func NewInbox(keep int, now func() time.Time) *Inbox {
	return &Inbox{now: now, keep: max(keep, 1), more: make(chan struct{})}
}

// Send puts the message into the inbox.
func (b *Inbox) Send(_ context.Context, m Message) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	if len(b.texts) == b.keep {
		b.texts = append(b.texts[:0], b.texts[1:]...)
	}
	b.texts = append(b.texts, Text{ID: b.last, To: m.To, From: m.From, Body: m.Body, At: b.now().UTC()})
	close(b.more)
	b.more = make(chan struct{})
	return "", nil
}

// Texts returns the texts to a number, newest last; the zero Number means all.
func (b *Inbox) Texts(to phone.Number) []Text {
	texts, _ := b.after(to, 0)
	return texts
}

// Wait returns the texts to a number (the zero Number means all) whose ID is
// above after, newest last, and waits for the first of them. When ctx ends
// before, it returns the context's error.
func (b *Inbox) Wait(ctx context.Context, to phone.Number, after uint64) ([]Text, error) {
	for {
		texts, more := b.after(to, after)
		if len(texts) > 0 {
			return texts, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (b *Inbox) after(to phone.Number, id uint64) ([]Text, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Text
	for _, t := range b.texts {
		if t.ID > id && (to.IsZero() || t.To == to) {
			out = append(out, t)
		}
	}
	return out, b.more
}
