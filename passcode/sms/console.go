package sms

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Console prints each text, number, code and all, for a developer to read. It is
// for development only, and each text says so. It writes to its own writer and
// never to a log, since logs are kept and shipped.
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole prints to w, usually standard error.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Send prints the message.
func (c *Console) Send(_ context.Context, m Message) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintf(c.w, "\n"+
		"*** DEVELOPMENT ONLY: this text message was not sent to anyone ***\n"+
		"To: %s\n%s\n"+
		"*** end of text message ***\n\n", m.To.E164(), m.Body)
	if err != nil {
		return "", &Error{Kind: KindUnreachable, Code: "EIO"}
	}
	return "", nil
}
