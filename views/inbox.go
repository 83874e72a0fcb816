package views

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Inbox is the demo's phone: it shows the texts that were sent, the newest on top.
// It is at {Base}/inbox and never part of a real server.
type Inbox struct {
	Frame
	// Messages are in the order in which they were sent.
	Messages []InboxMessage
}

// InboxMessage is one text.
type InboxMessage struct {
	To   string
	Body string
	At   time.Time
}

func (p Inbox) newestFirst() []InboxMessage {
	messages := slices.Clone(p.Messages)
	slices.Reverse(messages)
	return messages
}

func (m InboxMessage) to() Message { return Message{"inbox.to", Args{"number": Digits(m.To)}} }

// codePattern finds the code of a text: the first 4 to 10 digits in a row.
var codePattern = regexp.MustCompile(`\b[0-9]{4,10}\b`)

// parts cuts the text around its first code, and before the line that binds the
// code to a site (WICG origin-bound one-time codes). Any part may be empty.
func (m InboxMessage) parts() (before, code, after, origin string) {
	body := m.Body
	if at := strings.LastIndex(body, "\n\n@"); at >= 0 {
		body, origin = body[:at], body[at+2:]
	}
	at := codePattern.FindStringIndex(body)
	if at == nil {
		return body, "", "", origin
	}
	return body[:at[0]], body[at[0]:at[1]], body[at[1]:], origin
}

func (m InboxMessage) before() string { before, _, _, _ := m.parts(); return before }
func (m InboxMessage) code() string   { _, code, _, _ := m.parts(); return code }
func (m InboxMessage) after() string  { _, _, after, _ := m.parts(); return after }
func (m InboxMessage) origin() string { _, _, _, origin := m.parts(); return origin }
