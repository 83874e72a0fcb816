package provider

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
)

// watched counts the looks at the changes.
type watched struct {
	Durable
	looks chan time.Time
}

func (w watched) Changes(context.Context, int64) ([]storage.Change, error) {
	w.looks <- time.Now()
	return nil, nil
}

// noStore is never asked.
type noStore struct{ passcode.Store }

// "At once" means within a second everywhere: half of it is the wait for the next
// look, at most.
func TestChangesAreFollowedEveryHalfSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, err := vault.Parse(vault.Generate())
		if err != nil {
			t.Fatal(err)
		}
		engine, err := passcode.New(passcode.Config{Store: noStore{}, Vault: v})
		if err != nil {
			t.Fatal(err)
		}
		w := watched{looks: make(chan time.Time, 100)}
		p := &Provider{c: Config{SQL: w, Logger: slog.New(slog.DiscardHandler), Now: time.Now}, engine: engine, callbacks: &verification.Callbacks{}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		last := time.Now()
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10*time.Second + time.Millisecond) // short of what is done every minute
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(w.looks)
		n := 0
		for at := range w.looks {
			if wait := at.Sub(last); wait > 500*time.Millisecond {
				t.Errorf("%v between two looks", wait)
			}
			last = at
			n++
		}
		if n < 20 {
			t.Errorf("%d looks in 10 s, want 20", n)
		}
	})
}
