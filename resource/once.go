package resource

import (
	"context"
	"errors"
	"sync"
)

// errClosed is the error of what would need the issuer after the end.
var errClosed = errors.New("closed")

// life is the time that an API or a client may work in the background: until its
// context ends or it is closed. It is the one place that keeps a context, because
// that work belongs to no call.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

func newLife(ctx context.Context) *life {
	l := &life{}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

// spawn runs f in a goroutine, unless life is over.
func (l *life) spawn(f func(context.Context)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.ctx.Err() != nil {
		return false
	}
	l.work.Go(func() { f(l.ctx) })
	return true
}

// end ends all work and waits for it. It may be called twice.
func (l *life) end() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.work.Wait()
}

// once lets one call of a function run at a time and gives its result to all who
// ask meanwhile. The call belongs to nobody who waits: it goes on when one of them
// leaves. The zero value is ready.
type once[T any] struct {
	mu      sync.Mutex
	current *flight[T]
}

// flight is a call under way.
type flight[T any] struct {
	landed chan struct{}
	result T
	err    error
}

// start returns the call under way, or begins one.
func (o *once[T]) start(l *life, f func(context.Context) (T, error)) *flight[T] {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != nil {
		return o.current
	}
	call := &flight[T]{landed: make(chan struct{})}
	began := l.spawn(func(ctx context.Context) {
		call.result, call.err = f(ctx)
		o.mu.Lock()
		o.current = nil
		o.mu.Unlock()
		close(call.landed)
	})
	if !began {
		call.err = errClosed
		close(call.landed)
		return call
	}
	o.current = call
	return call
}

// underWay returns the call under way, or nil.
func (o *once[T]) underWay() *flight[T] {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

// wait returns the result, or the error of ctx when that ends first.
func (f *flight[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.landed:
		return f.result, f.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
