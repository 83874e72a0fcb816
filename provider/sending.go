package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/receipts"
	"github.com/handset-oidc/handset/storage"
)

// sending builds the code engine and the ways by which its texts leave.
func (p *Provider) sending(ctx context.Context) (err error) {
	p.receipts = receipts.New(receipts.Config{
		Issuer: strings.TrimRight(p.c.Issuer, "/"), Store: p.c.SQL, Sender: p.sender, Observe: p.metrics.receipt, Logger: p.c.Logger, Now: p.c.Now,
	})
	sending := p.c.Sending
	sending.Receipt = p.receipts.Take
	if p.senders, err = sending.Open(); err != nil {
		return err
	}
	p.engine, err = passcode.New(passcode.Config{
		Store: p.c.Redis, Vault: p.c.Vault, Limits: p.c.Limits, TestNumbers: p.c.Rules.TestNumbers, Now: p.c.Now, Logger: p.c.Logger,
		Records: p.c.SQL, Observer: p.metrics, Senders: p.sendersAtWork,
		ReceiptURL: ReceiptURL(p.c.Issuer, p.c.Sending.Deps.AllowPrivate),
	})
	if err != nil {
		return err
	}
	return errors.Join(p.loadConnection(ctx), p.loadOthers(ctx))
}

// ReceiptURL returns where senders call back for an issuer; empty where they can't:
// a vendor doesn't reach a developer's machine, and refuses such an address. Where
// private gateways are allowed they may be on that machine, too.
func ReceiptURL(issuer string, allowPrivate bool) func(sender string) string {
	return func(sender string) string {
		if !strings.HasPrefix(issuer, "https:") && !allowPrivate {
			return ""
		}
		return strings.TrimRight(issuer, "/") + strings.Replace(receipts.Path, "{sender}", sender, 1)
	}
}

// sendersAtWork are the senders of all connections, each once, by its name: those of the
// connection in use first.
func (p *Provider) sendersAtWork() []*sms.Named {
	all := p.connection.Load().Routes.Senders()
	for _, c := range p.others.all() {
		for _, n := range c.Routes.Senders() {
			if !slices.ContainsFunc(all, func(known *sms.Named) bool { return known.Name == n.Name }) {
				all = append(all, n)
			}
		}
	}
	return all
}

func (p *Provider) sender(name string) (*sms.Named, bool) {
	for _, n := range p.sendersAtWork() {
		if n.Name == name {
			return n, true
		}
	}
	return nil, false
}

// A connection that was replaced has texts to come from requests that hold it, and
// texts on their way. Its own sender goes as soon as both are over: an account at an
// SMSC may have one bind, and the next connection's needs it.
const (
	retireAfter  = 2 * time.Second
	retireWithin = time.Minute
)

// replaced are connections that others have replaced, and whose own senders are still
// to be closed.
type replaced struct {
	mu  sync.Mutex
	all map[*passcode.Connection]bool
}

func (r *replaced) add(c *passcode.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[*passcode.Connection]bool{}
	}
	r.all[c] = true
}

func (r *replaced) remove(c *passcode.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, c)
}

// close closes their senders now.
func (r *replaced) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for c := range r.all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// retireLater closes the own sender of a connection that was replaced, unless the next
// one has kept it.
func (p *Provider) retireLater(ctx context.Context, c, next *passcode.Connection) {
	if c.SharesSender(next) {
		return
	}
	p.replaced.add(c)
	time.AfterFunc(retireAfter, func() {
		defer p.replaced.remove(c)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retireWithin)
		defer cancel()
		if err := c.Retire(ctx); err != nil {
			p.c.Logger.Warn("close sender", slog.String("connection", string(c.Name)), slog.String("error", err.Error()))
		}
	})
}

// loadConnection reads the connection in use: the declared one, else the one
// named sms of the database.
func (p *Provider) loadConnection(ctx context.Context) error {
	record := p.c.Connection
	if record == nil {
		kept, err := p.c.SQL.Connections(ctx)
		if err != nil {
			return fmt.Errorf("read connections: %w", err)
		}
		for i := range kept {
			if kept[i].Name == storage.DefaultConnection {
				record = &kept[i]
			}
		}
	}
	if record == nil {
		return errors.New("there is no connection named sms, neither declared nor in the database")
	}
	before := p.connection.Load()
	conn, err := p.parse(*record, before)
	if err != nil {
		return fmt.Errorf("connection %s: %w", record.Name, err)
	}
	p.connection.Store(conn)
	if before != nil {
		p.retireLater(ctx, before, conn)
	}
	return nil
}
