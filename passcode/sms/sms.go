// Package sms makes text messages and hands them over: to an operator's own
// gateway, to the console of a developer, to the inbox of the demo. It knows
// nothing of codes that count, of limits or of logins; package passcode decides
// what is sent and when.
//
// Bodies hold codes. Nothing here logs, and no error of this package carries a
// number, a body, an address of a gateway or what a gateway answered.
package sms

import (
	"context"
	"fmt"

	"github.com/handset-oidc/handset/passcode/phone"
)

// Message is one text to one person.
type Message struct {
	To phone.Number
	// From is the sender as the person sees it; empty leaves it to the route.
	From string
	Body string
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

// Sender hands a message over to whatever delivers it.
//
// Send must return nil only when the message was accepted for delivery, and
// otherwise an [*Error]. It must be done, one way or the other, soon after ctx
// ends; must not send a message twice, since texts cost money and people notice;
// must keep number and body out of errors and logs; and must be safe for
// concurrent use.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
