// Package sms makes text messages and hands them over: to an operator's own
// gateway, to a vendor, to the console of a developer, to the inbox of the demo;
// and it reads what they say became of a message. It knows nothing of codes that count, of limits or of logins; package passcode decides
// what is sent and when.
//
// Bodies hold codes. Nothing here logs, and no error of this package carries a
// number, a body, an address of a gateway or what a gateway answered.
package sms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// Message is one text to one person.
type Message struct {
	// ID is our own name of the message, unguessable. Routes without a name of
	// their own are told it, and speak of the message by it in their receipts.
	ID string
	To phone.Number
	// From is the sender as the person sees it; empty leaves it to the route. Vendors
	// keep to the one of their own options: a number of one is a stranger's to another.
	From string
	Body string
	// Code is the code in Body, empty when there is none: nothing that a route says is
	// kept that repeats it.
	Code string
	// ValidFor is how long the text is of any use to the person; zero has no end.
	ValidFor time.Duration
	// ReceiptURL is where the route can say what became of the message; empty
	// when nobody listens.
	ReceiptURL string
	// Request says who asked for the text; nil when nobody should know.
	Request *RequestInfo
}

// RequestInfo describes the browser or server that asked for a text.
type RequestInfo struct {
	IP        string
	UserAgent string
}

// Format prints the masked number and never the body, whatever the verb.
func (m Message) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "text to %s", m.To) }

// validSeconds is ValidFor in whole seconds, no less and no more than a route takes;
// 0 when it has no end.
func (m Message) validSeconds(least, most int) int {
	if m.ValidFor <= 0 {
		return 0
	}
	seconds := int((m.ValidFor + time.Second - 1) / time.Second)
	return min(max(seconds, least), most)
}

// minNational is how many digits a national number has at least that is looked for:
// a shorter one is in many a name by chance.
const minNational = 6

// QuotedIn reports whether a word of a route repeats the code or the number, with the
// country's code or without it, in whatever way it is grouped. Such a word is neither
// kept nor shown.
func (m Message) QuotedIn(word string) bool {
	if m.Code != "" && strings.Contains(word, m.Code) {
		return true
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, word)
	if len(digits) < minNational {
		return false
	}
	national := m.To.National()
	if len(national) < minNational {
		national = strings.TrimPrefix(m.To.E164(), "+")
	}
	return national != "" && strings.Contains(digits, national)
}

// Sender hands a message over to whatever delivers it.
//
// Send must return the route's own name of the message, by which its receipts
// speak of it (empty: by [Message.ID]) and which may repeat the number or the code
// ([Message.QuotedIn]), and a nil error only when the message
// was accepted for delivery; otherwise an [*Error], whose kind says whether
// another route can do better. It must be done, one way or the other, soon after
// ctx ends; must not send a message twice, since texts cost money and people
// notice; must keep number and body out of errors and logs; and must be safe for
// concurrent use.
//
// A Sender that holds a connection open is an [io.Closer] as well: it connects
// at the first message, and Close, which is called once when no message is
// under way any more, ends it.
type Sender interface {
	Send(ctx context.Context, m Message) (id string, err error)
}

// State is what is known of a message that was handed over.
type State string

// The states. A message begins as accepted; Delivered, Undelivered and Failed
// are final.
const (
	Accepted    State = "accepted"    // the route has it
	Sent        State = "sent"        // the carrier has it
	Delivered   State = "delivered"   // the phone has it
	Undelivered State = "undelivered" // the carrier gave up
	Failed      State = "failed"      // the route gave up
	Unknown     State = "unknown"     // the route can't tell
)

// Receipt is what a route says became of a message.
type Receipt struct {
	// Message is the route's name of the message, or [Message.ID] where it has none.
	Message string
	State   State
	// Code is the route's reason when the message did not arrive: letters, digits
	// and punctuation, never a sentence.
	Code string
}

// Callback is a request by which a route says what became of messages.
type Callback struct {
	// URL is the address as the route was told it, with the query that came along:
	// signatures cover it.
	URL    string
	Header http.Header
	Body   []byte
}

// ErrForged says that a callback was not made by the route, or was made before
// and is sent again.
var ErrForged = errors.New("receipt is not from its route")

// errBadReceipt is about a callback that its route made and that is not what the
// route's documentation says.
var errBadReceipt = errors.New("receipt can't be read")

// Receiver is a [Sender] whose route calls back over HTTP.
//
// Receipts must check that the route made the callback, and must return an error
// that wraps [ErrForged] when it can't tell. Its error must quote nothing of the
// callback. A callback that is genuine and says nothing of interest is no receipts
// and no error.
type Receiver interface {
	Receipts(c Callback) ([]Receipt, error)
}
