package storage

import (
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// VerificationID names one verification of a phone number: 32 hex digits. It opens
// nothing by itself.
type VerificationID string

// Dialect says by which API a verification was started, and is seen.
type Dialect string

// The dialects.
const (
	DialectDurable Dialect = "durable" // the Durable Functions one
	DialectOwn     Dialect = "own"
)

// VerificationStatus says whether and how a verification has ended.
type VerificationStatus string

// The states. All but VerificationPending are ends, of which each has one.
const (
	VerificationPending    VerificationStatus = "pending"
	VerificationApproved   VerificationStatus = "approved"   // the right code came in time
	VerificationDenied     VerificationStatus = "denied"     // the tries are used up
	VerificationExpired    VerificationStatus = "expired"    // the deadline passed
	VerificationTerminated VerificationStatus = "terminated" // its client ended it
	VerificationFailed     VerificationStatus = "failed"     // no route took the text
)

// Verification is the proof of a number that a client asked for outside any login.
// It is kept for 7 days.
type Verification struct {
	ID       VerificationID
	ClientID ClientID
	Dialect  Dialect
	// Number is sealed at rest.
	Number    phone.Number
	CreatedAt time.Time
	// Deadline is when it ends by itself: nobody has to be there for that.
	Deadline time.Time
	// SentAt is when a route took the last text; zero while none has.
	SentAt time.Time
	Status VerificationStatus
	// EndedAt is zero while it is pending.
	EndedAt time.Time
	// Reason is why it was terminated or has failed, sealed at rest.
	Reason string
	// Idempotency is the MAC of the key that a client repeats its request by, and
	// Fingerprint that of the request; nil when it gave none.
	Idempotency, Fingerprint []byte
	// Details are sealed at rest.
	Details VerificationDetails
}

// VerificationDetails are what the client said beside the number, and how its code
// is to be read.
type VerificationDetails struct {
	// Input is the number as it came.
	Input string `json:"i"`
	// Length, Tries and Life are those of its code.
	Length int           `json:"l"`
	Tries  int           `json:"t"`
	Life   time.Duration `json:"s"`
	// Locale are the languages of the text, as Accept-Language lists them.
	Locale      string            `json:"o,omitempty"`
	Purpose     string            `json:"p,omitempty"`
	CallbackURL string            `json:"c,omitempty"`
	Metadata    map[string]string `json:"m,omitempty"`
	// CodeLength is the length that the code has, which may be more than Length, and
	// CodeKey names the key of its MAC. With them an answer is tried without asking for
	// the challenge before.
	CodeLength int    `json:"d,omitempty"`
	CodeKey    []byte `json:"k,omitempty"`
}

// VerificationEnd ends a verification.
type VerificationEnd struct {
	// Of is the verification as it was last read: what may have changed since then is
	// read again.
	Of     Verification
	Status VerificationStatus
	At     time.Time
	Reason string
}

// CallbackState says what became of telling a client of an end.
type CallbackState string

// The states of a callback.
const (
	CallbackWaiting   CallbackState = "waiting"
	CallbackDelivered CallbackState = "delivered"
	CallbackGivenUp   CallbackState = "given_up"
)

// Callback tells a client that a verification has ended. There is one for each end
// of a verification with a callback URL, made in the transaction of the end.
type Callback struct {
	Verification VerificationID
	ClientID     ClientID
	CreatedAt    time.Time
	State        CallbackState
	// Attempts count the claims; see ClaimCallbacks.
	Attempts int
	// DueAt is when the next attempt is to be made, or was.
	DueAt time.Time
	// Outcome says in a word how the last attempt ended: a status, or what went wrong.
	Outcome string
}
