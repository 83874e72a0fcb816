package storage

import (
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// TextID is our own name of a text message. Routes are told it, and their
// receipts may speak of the message by it, so it can't be guessed.
type TextID string

// TextOutcome is what came of a text that no limit refused.
type TextOutcome string

// The outcomes of a text.
const (
	TextHandedOver TextOutcome = "handed_over"
	TextFailed     TextOutcome = "failed"      // no route took it
	TextTestNumber TextOutcome = "test_number" // a fixed code; nothing is sent
	TextDecoy      TextOutcome = "decoy"       // nothing was to be sent, and nobody to notice
)

// Text is a text on record: what was decided, and how it went on its way. It
// holds no code and no body, and is kept for 30 days.
type Text struct {
	ID TextID
	// Reference is the short name that pages show of the place where the code
	// counts; see [Text.Challenge].
	Reference  string
	Challenge  ChallengeID
	Purpose    string
	ClientID   ClientID
	Connection ConnectionName
	// Number is sealed at rest; a removed person's texts are erased with them.
	Number phone.Number
	// Region is that of the number, empty when it has none.
	Region string
	At     time.Time
	// ExpiresAt is when the code ends.
	ExpiresAt time.Time
	Outcome   TextOutcome
	// Sender took the text, and calls it MessageID; empty when none took it. Senders may
	// call it by number or code: a store keeps a MAC of the name, by which receipts find
	// the text, and reads no name.
	Sender    string
	MessageID string
	Story     TextStory
}

// ShownName is what people are shown of the name that the sender gave the text; empty
// when that is nothing.
func (t *Text) ShownName() string {
	for _, a := range t.Story.Attempts {
		if a.Sender == t.Sender && a.MessageID != "" {
			return a.MessageID
		}
	}
	return ""
}

// TextStory is what only people read of a text.
type TextStory struct {
	// Repeated says that the text repeats the code of the one before.
	Repeated bool `json:"repeated,omitempty"`
	// Digits is the length of the code.
	Digits int `json:"digits,omitempty"`
	// Reason says why nothing was sent.
	Reason   string        `json:"reason,omitempty"`
	Limits   []LimitLeft   `json:"limits,omitempty"`
	Attempts []TextAttempt `json:"attempts,omitempty"`
}

// LimitLeft is a limit as a decision left it.
type LimitLeft struct {
	Name  string `json:"name"`
	Left  int    `json:"left"`
	Burst int    `json:"burst"`
}

// TextAttempt is one try to hand a text over.
type TextAttempt struct {
	Sender string `json:"sender"`
	// Took is in milliseconds.
	Took int64 `json:"took_ms"`
	// MessageID is what the sender that took the text calls it, for people to ask the
	// sender by; empty when it would show number or code.
	MessageID string `json:"message_id,omitempty"`
	// Skipped says that the sender's circuit breaker was open.
	Skipped bool `json:"skipped,omitempty"`
	// Error says what went wrong, in words without a number, code or address.
	Error string `json:"error,omitempty"`
}

// TextEventKind says what happened beside the texts themselves.
type TextEventKind string

// The kinds of events.
const (
	TextRefused  TextEventKind = "refused"  // a limit or the cooldown refused a text
	CodeAccepted TextEventKind = "accepted" // the right code was entered
	CodeRejected TextEventKind = "rejected" // another one, or too late
)

// MaxTextEvents is how many refusals and rejected codes of one challenge are kept:
// whoever goes on all night must not fill the disk.
const MaxTextEvents = 100

// TextEvent is one thing that happened to a challenge.
type TextEvent struct {
	Reference string
	Challenge ChallengeID
	At        time.Time
	Kind      TextEventKind
	// Reason is the limit that refused, or why the code was rejected.
	Reason string
	// RetryAt is when another try could succeed; zero when nothing forbids it.
	RetryAt time.Time
	Limits  []LimitLeft
}

// TextRecords are written together.
type TextRecords struct {
	Texts  []Text
	Events []TextEvent
}

// VerifiedText is the text whose code was entered.
type VerifiedText struct {
	Sender string
	Region string
	Took   time.Duration // from the send to the entry
}

// TextReceipt is what a route said became of a text that it took.
type TextReceipt struct {
	Sender string
	// MessageID is what the sender calls the text; see [Text.MessageID]. Read, it is
	// what the text's story shows of it.
	MessageID string
	// Text is the text that it speaks of, when read.
	Text  TextID
	State string // accepted, sent, delivered, undelivered, failed, unknown
	Code  string // the route's reason
	At    time.Time
}

// TextTimeline is all that is on record of one challenge, each kind oldest first.
type TextTimeline struct {
	Texts    []Text
	Events   []TextEvent
	Receipts []TextReceipt
}

// Began is when the first of it happened.
func (t TextTimeline) Began() time.Time {
	var first time.Time
	earlier := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for i := range t.Texts {
		earlier(t.Texts[i].At)
	}
	for i := range t.Events {
		earlier(t.Events[i].At)
	}
	return first
}

// Delivery is how texts of one sender to one region fared.
type Delivery struct {
	Sender    string `json:"sender"`
	Region    string `json:"region"`
	Sent      int    `json:"sent"`
	Delivered int    `json:"delivered"`
	Verified  int    `json:"verified"`
	// Median and P95 are seconds from send to the entry of the code, 0 when none
	// was entered.
	Median float64 `json:"median_seconds"`
	P95    float64 `json:"p95_seconds"`
}

// SenderState is how one server sees one sender.
type SenderState struct {
	Server string
	Sender string
	// State is that of the circuit breaker: closed, half-open, open.
	State string
	// Since is when the state began, SeenAt when the server last said so.
	Since  time.Time
	SeenAt time.Time
}
