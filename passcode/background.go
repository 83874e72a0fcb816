package passcode

import (
	"context"
	"sync"
)

// background counts work that outlives its request. What begins must be done. A sync.WaitGroup would not
// do: its Add must not race with a Wait at zero, and cannot be waited for with a
// context.
type background struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running falls to 0; nil when nobody waits
}

func (b *background) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running++
}

func (b *background) start(work func()) {
	b.begin()
	go func() {
		defer b.done()
		work()
	}()
}

func (b *background) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	if b.running == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

func (b *background) wait(ctx context.Context) error {
	b.mu.Lock()
	if b.running == 0 {
		b.mu.Unlock()
		return nil
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
