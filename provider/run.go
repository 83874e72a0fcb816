package provider

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handset-oidc/handset/storage"
)

const (
	watchEvery    = 500 * time.Millisecond
	callbackEvery = time.Second
	maintainEvery = time.Minute
	sweepEvery    = 10 * time.Minute
)

// Run does what no request does: it follows the changes of other servers and
// of commands, writes what became of texts, tells clients of verifications, rotates keys, and sweeps out what has expired. It returns when
// ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.every(ctx, watchEvery, p.follow) })
	g.Go(func() error { return p.engine.Run(ctx) })
	g.Go(func() error {
		defer p.callbacks.Wait()
		return p.every(ctx, callbackEvery, func(ctx context.Context) {
			p.report(ctx, "tell of verifications", p.callbacks.Turn(ctx))
		})
	})
	g.Go(func() error {
		return p.every(ctx, maintainEvery, func(ctx context.Context) {
			p.report(ctx, "maintain signing keys", p.c.Keys.Maintain(ctx, p.c.Now()))
		})
	})
	g.Go(func() error {
		return p.every(ctx, sweepEvery, func(ctx context.Context) {
			p.report(ctx, "sweep", p.c.SQL.Sweep(ctx, p.c.Now()))
			p.report(ctx, "reseal", p.c.SQL.Reseal(ctx))
		})
	})
	return g.Wait()
}

// every does something again and again until ctx ends. A panic in it must not
// end the logins of everyone else: it is reported, and the next turn comes.
func (p *Provider) every(ctx context.Context, period time.Duration, do func(context.Context)) error {
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			p.turn(ctx, do)
		}
	}
}

func (p *Provider) turn(ctx context.Context, do func(context.Context)) {
	defer func() {
		if cause := recover(); cause != nil {
			p.c.Logger.ErrorContext(ctx, "background work panicked", slog.String("stack", string(debug.Stack())))
		}
	}()
	do(ctx)
}

func (p *Provider) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		p.c.Logger.ErrorContext(ctx, what, slog.String("error", err.Error()))
	}
}

// follow reads the changes since the last look and drops what they outdate.
// One that can't be followed is tried again at every look, and holds up no
// other: a broken file in the keys folder must not keep revoked tokens alive.
func (p *Provider) follow(ctx context.Context) {
	p.following.Lock()
	defer p.following.Unlock()
	changes, err := p.c.SQL.Changes(ctx, p.lastChange)
	if errors.Is(err, storage.ErrNotFound) {
		p.report(ctx, "read everything anew", p.reload(ctx))
		return
	}
	if err != nil {
		p.report(ctx, "read changes", err)
	}
	for _, c := range changes {
		p.unfollowed[storage.Change{Kind: c.Kind, Ref: c.Ref}] = true
		p.lastChange = c.ID
	}
	for c := range p.unfollowed {
		if err := p.apply(ctx, c); err != nil {
			p.report(ctx, "follow change of "+string(c.Kind), err)
			continue
		}
		delete(p.unfollowed, c)
	}
}

// reload drops and reads anew all that is cached: rows that this server has
// not seen were swept away while it could not look.
func (p *Provider) reload(ctx context.Context) error {
	last, err := p.c.SQL.LastChange(ctx)
	if err != nil {
		return err
	}
	p.clients.InvalidateAll()
	if err := errors.Join(p.revocations.Load(ctx), p.c.Keys.Reload(ctx), p.loadConnection(ctx), p.loadOthers(ctx), p.apis.Reload(ctx)); err != nil {
		return err
	}
	p.lastChange = last
	return nil
}

func (p *Provider) apply(ctx context.Context, c storage.Change) error {
	switch c.Kind {
	case storage.ChangeClient:
		p.clients.Invalidate(storage.ClientID(c.Ref))
	case storage.ChangeGrant:
		return p.revocations.Refresh(ctx)
	case storage.ChangeKey:
		return p.c.Keys.Reload(ctx)
	case storage.ChangeConnection:
		return p.changedConnection(ctx, storage.ConnectionName(c.Ref))
	case storage.ChangeAPI:
		return p.apis.Reload(ctx)
	case storage.ChangeUser:
		// People are read anew on every request; nothing of them is cached.
	}
	return nil
}
