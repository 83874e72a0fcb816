package views

import (
	"regexp"
	"slices"
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

// parts cuts the text around its first code; code is empty when it has none.
func (m InboxMessage) parts() (before, code, after string) {
	at := codePattern.FindStringIndex(m.Body)
	if at == nil {
		return m.Body, "", ""
	}
	return m.Body[:at[0]], m.Body[at[0]:at[1]], m.Body[at[1]:]
}

func (m InboxMessage) before() string { before, _, _ := m.parts(); return before }
func (m InboxMessage) code() string   { _, code, _ := m.parts(); return code }
func (m InboxMessage) after() string  { _, _, after := m.parts(); return after }
