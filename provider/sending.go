package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/receipts"
)

// sending builds the code engine and the ways by which its texts leave.
func (p *Provider) sending(ctx context.Context) (err error) {
	p.receipts = receipts.New(receipts.Config{
		Issuer: strings.TrimRight(p.c.Issuer, "/"), Store: p.c.SQL, Sender: p.sender, Observe: p.metrics.receipt, Logger: p.c.Logger, Now: p.c.Now,
	})
	work := context.WithoutCancel(ctx) // receipts come as long as the process lives
	sending := p.c.Sending
	sending.Receipt = func(sender string, r sms.Receipt) { p.receipts.Take(work, sender, r) }
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
	return p.loadConnection(ctx)
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

// sendersAtWork are the senders of the connection in use.
func (p *Provider) sendersAtWork() []*sms.Named { return p.connection.Load().Routes.Senders() }

func (p *Provider) sender(name string) (*sms.Named, bool) {
	for _, n := range p.sendersAtWork() {
		if n.Name == name {
			return n, true
		}
	}
	return nil, false
}

// closeAfter is how long a connection that was replaced may still have texts on
// their way.
const closeAfter = time.Minute

// closeLater closes the own sender of a connection that was replaced.
func (p *Provider) closeLater(c *passcode.Connection) {
	time.AfterFunc(closeAfter, func() {
		if err := c.Close(); err != nil {
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
			if kept[i].Name == "sms" {
				record = &kept[i]
			}
		}
	}
	if record == nil {
		return errors.New("there is no connection named sms, neither declared nor in the database")
	}
	conn, err := passcode.ParseConnection(*record, p.senders)
	if err != nil {
		return fmt.Errorf("connection %s: %w", record.Name, err)
	}
	if before := p.connection.Swap(conn); before != nil {
		p.closeLater(before)
	}
	return nil
}
