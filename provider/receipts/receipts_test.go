package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// answering is a store that answers with an error.
type answering struct {
	err  error
	kept []storage.TextReceipt
}

func (a *answering) SaveReceipt(_ context.Context, r storage.TextReceipt) error {
	a.kept = append(a.kept, r)
	return a.err
}

// What can be kept later comes again; what was told before, and what the store would
// refuse again, does not.
func TestTake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"kept":        {nil, false},
		"told before": {fmt.Errorf("save: %w", storage.ErrConsumed), false},
		"down":        {fmt.Errorf("save: %w", storage.ErrUnavailable), true},
		"refused":     {errors.New("constraint"), false},
	} {
		store := &answering{err: c.err}
		counted := 0
		h := New(Config{
			Store: store, Observe: func(string, sms.State) { counted++ }, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		err := h.Take(t.Context(), "main", sms.Receipt{Message: "m1", State: sms.Delivered})
		if (err != nil) != c.again || len(store.kept) != 1 || store.kept[0].Sender != "main" {
			t.Errorf("%s: %v, kept %+v", name, err, store.kept)
		}
		if (counted == 1) != (c.err == nil) {
			t.Errorf("%s: counted %d times", name, counted)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	h := New(Config{Store: &answering{err: context.Canceled}, Observe: func(string, sms.State) {}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := h.Take(ended, "main", sms.Receipt{Message: "m1", State: sms.Sent}); err == nil {
		t.Error("a write without time counts as kept")
	}
}
