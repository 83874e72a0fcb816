package passcode

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/passcode/sms"
)

// TestSenderThatPanics is a text whose sender panics, where no request's recovery
// is around: it counts as not sent, costs nothing, and the process lives.
func TestSenderThatPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	works := r.conn.Routes
	r.conn.Routes = via(senderFunc(func(_ context.Context, m sms.Message) error { panic("could not send " + m.Body) }))
	for range 10 { // twice the burst of send_number
		if _, err := r.send("C"); !errors.Is(err, ErrNotSent) {
			t.Fatalf("Send: %v, want not sent", err)
		}
	}
	r.conn.Routes = works
	if _, err := r.send("C"); err != nil {
		t.Fatalf("Send, once the sender works: %v", err)
	}
	if log := r.log.String(); !strings.Contains(log, "sending panicked") || strings.Contains(log, "could not send") {
		t.Errorf("the log tells of no panic, or tells its value: %s", log)
	}
}
