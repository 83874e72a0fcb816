package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/passwordless"
	"github.com/handset-oidc/handset/storage"
)

// others are the connections of the database beside the one in use, which logins and
// Auth0's doors use when they name them. One that can't be used is nil: who names it must
// not come by another.
type others struct {
	kept atomic.Pointer[map[storage.ConnectionName]*passcode.Connection]
}

// get returns a connection, or nil.
func (o *others) get(name storage.ConnectionName) *passcode.Connection {
	if kept := o.kept.Load(); kept != nil {
		return (*kept)[name]
	}
	return nil
}

// all are the connections in the order of their names.
func (o *others) all() (all []*passcode.Connection) {
	kept := o.kept.Load()
	if kept == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(*kept)) {
		if c := (*kept)[name]; c != nil {
			all = append(all, c)
		}
	}
	return all
}

// has reports whether there is a connection of that name, be it of use or not.
func (o *others) has(name storage.ConnectionName) bool {
	kept := o.kept.Load()
	if kept == nil {
		return false
	}
	_, ok := (*kept)[name]
	return ok
}

// close closes their senders now.
func (o *others) close() error {
	var errs []error
	for _, c := range o.all() {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// named returns the connection of that name, the one in use for none, or nil.
func (p *Provider) named(name storage.ConnectionName) *passcode.Connection {
	if inUse := p.connection.Load(); name == "" || inUse.Name == name {
		return inUse
	}
	return p.others.get(name)
}

// connectionFor returns the connection that a request to Auth0's doors names, if the
// client may use it.
func (p *Provider) connectionFor(name string, id storage.ClientID) (*passcode.Connection, error) {
	c := p.named(storage.ConnectionName(name))
	switch {
	case name == "" || c == nil:
		return nil, passwordless.ErrNoConnection
	case !c.Enabled(id):
		return nil, passwordless.ErrDisabledConnection
	}
	return c, nil
}

// connectionOf returns by which connection an authorization request goes, which may name
// one as Auth0's clients do, and whether the client may use it. A name that is none's is
// left alone: many applications send one that meant something elsewhere.
func (p *Provider) connectionOf(name string, id storage.ClientID) (storage.ConnectionName, bool) {
	if own := storage.ConnectionName(name); p.others.has(own) {
		c := p.others.get(own)
		return own, c != nil && c.Enabled(id)
	}
	return "", p.connection.Load().Enabled(id)
}

// changedConnection reads anew what a change is of.
func (p *Provider) changedConnection(ctx context.Context, name storage.ConnectionName) error {
	switch {
	case !p.reserved(name):
		return p.loadOthers(ctx)
	case p.c.Connection == nil:
		return p.loadConnection(ctx)
	}
	return nil
}

// reserved reports whether a name is the one in use, or stands back behind the one that
// the file declares.
func (p *Provider) reserved(name storage.ConnectionName) bool {
	return name == storage.DefaultConnection || p.c.Connection != nil && p.c.Connection.Name == name
}

// loadOthers reads the connections beside the one in use. One that can't be used, since
// the file's senders and routes have changed, must not keep the others from their work.
func (p *Provider) loadOthers(ctx context.Context) error {
	records, err := p.c.SQL.Connections(ctx)
	if err != nil {
		return fmt.Errorf("read connections: %w", err)
	}
	next := map[storage.ConnectionName]*passcode.Connection{}
	for _, record := range records {
		if p.reserved(record.Name) {
			continue
		}
		c, err := p.parse(record, p.others.get(record.Name))
		if err != nil {
			c = nil
			p.c.Logger.WarnContext(ctx, "connection can't be used", slog.String("connection", string(record.Name)), slog.String("reason", wrongKeys(err)))
		}
		next[record.Name] = c
	}
	before := p.others.all()
	p.others.kept.Store(&next)
	for _, c := range before {
		after := next[c.Name]
		if after == nil {
			after = &passcode.Connection{} // removed: nobody has its sender
		}
		p.retireLater(ctx, c, after)
	}
	return nil
}

// parse reads a connection, which takes the place of another one, if any.
func (p *Provider) parse(record storage.Connection, before *passcode.Connection) (*passcode.Connection, error) {
	c, err := passcode.ParseConnection(record, p.senders.Following(before))
	if err != nil || p.reserved(record.Name) {
		return c, err
	}
	// Receipts and states of senders are told apart by name alone.
	if slices.ContainsFunc(p.senders.Named, func(n *sms.Named) bool { return n.Name == string(record.Name) }) {
		return nil, sms.Problems{{Path: "name", Text: "is that of a sender in the configuration file"}}
	}
	return c, nil
}

// wrongKeys are the keys of the options that something is wrong with. Their values stay
// out of the log: people write numbers into templates.
func wrongKeys(err error) string {
	problems, ok := errors.AsType[sms.Problems](err)
	if !ok {
		return "unreadable"
	}
	keys := make([]string, len(problems))
	for i, problem := range problems {
		keys[i] = problem.Path
	}
	return strings.Join(keys, " ")
}
