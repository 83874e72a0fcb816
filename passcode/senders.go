package passcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// Sending is what configuration says of sending texts.
type Sending struct {
	Deps sms.Deps
	// Receipt is [sms.Deps.Receipts] of each sender, by its name; nil: nobody takes
	// receipts. It must be safe for concurrent use.
	Receipt func(ctx context.Context, sender string, r sms.Receipt) error
	// Senders have a name of their own, beside the connection's.
	Senders []NamedOptions
	// Rules name senders for destinations, among them the connection's own, by the
	// connection's name. What no rule names goes by the connection's own.
	Rules []Rule
	// Covered says that the rules name every number that may be texted: the
	// connection's own sender is at work only where one names it.
	Covered bool
}

// NamedOptions are the options of one sender, as JSON by the names of Auth0's
// connection options.
type NamedOptions struct {
	Name    string
	Options json.RawMessage
}

// Rule is a [sms.Rule] by names.
type Rule struct {
	To, Via []string
}

// Senders are the senders that have a name, ready to send.
type Senders struct {
	Deps    sms.Deps
	Named   []*sms.Named
	Rules   []Rule
	covered bool
	receipt func(ctx context.Context, sender string, r sms.Receipt) error
	before  *Connection
}

// Following returns the senders for the connection that takes the place of another
// one, whose own sender it keeps when nothing that makes one has changed: circuit
// breakers remember, and an account with one bind needs no second one. nil: no other.
func (s Senders) Following(before *Connection) Senders {
	s.before = before
	return s
}

// depsOf are what the sender of that name needs.
func (s Senders) depsOf(name string) sms.Deps {
	d := s.Deps
	if s.receipt != nil {
		d.Receipts = func(ctx context.Context, r sms.Receipt) error { return s.receipt(ctx, name, r) }
	}
	return d
}

// Open makes the senders. The error has an [sms.Problems] with all that is wrong.
func (s Sending) Open() (Senders, error) {
	out := Senders{Deps: s.Deps, Rules: s.Rules, covered: s.Covered, receipt: s.Receipt}
	var problems sms.Problems
	for _, named := range s.Senders {
		o := sms.ReadOptions(named.Options, "senders."+named.Name)
		sender := sms.NewSender(o, out.depsOf(named.Name))
		problems = append(problems, o.Problems()...)
		out.Named = append(out.Named, sms.NewNamed(named.Name, o.Text("from"), sender, s.Deps.Clock()))
	}
	if len(problems) > 0 {
		return Senders{}, problems
	}
	return out, nil
}

// Close closes the senders.
func (s Senders) Close() error {
	var errs []error
	for _, n := range s.Named {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// own makes the sender of a connection's own options, or keeps the one before.
func (s Senders) own(o *sms.Options, name storage.ConnectionName) *ownSender {
	sender := sms.NewSender(o, s.depsOf(string(name))) // for its problems, too; it opens nothing
	made := o.Without(notOfSenders...)
	if b := s.before; b != nil && b.own != nil && b.Name == name && b.own.made == made {
		return b.own
	}
	return &ownSender{Named: sms.NewNamed(string(name), "", sender, s.Deps.Clock()), made: made}
}

// ruled reports whether a rule names a sender.
func (s Senders) ruled(sender string) bool {
	return slices.ContainsFunc(s.Rules, func(r Rule) bool { return slices.Contains(r.Via, sender) })
}

// notOfSenders are the options that say nothing of the sender.
var notOfSenders = []string{
	"template", "syntax", "totp", "disable_signup", "brute_force_protection", "origin_bound",
}

// readRoutes puts the connection's own sender beside those that have a name.
func readRoutes(o *sms.Options, c *Connection, s Senders) *sms.Routes {
	named := map[string]*sms.Named{}
	for _, n := range s.Named {
		named[n.Name] = n
	}
	var fallback []*sms.Named
	if len(s.Rules) == 0 || o.Text("provider") != "" {
		own := s.own(o, c.Name) // in any case, for its problems
		if !s.covered || s.ruled(own.Name) {
			c.own = own
			named[own.Name] = own.Named
		}
		if !s.covered {
			fallback = append(fallback, own.Named)
		}
	}
	rules := make([]sms.Rule, len(s.Rules))
	for i, rule := range s.Rules {
		rules[i].To = rule.To
		for _, via := range rule.Via {
			n := named[via]
			if n == nil {
				o.Problem("provider", fmt.Sprintf("is missing, and routes send by %q, which is no other sender's name", via))
				continue
			}
			rules[i].Via = append(rules[i].Via, n)
		}
	}
	return sms.NewRoutes(rules, fallback...)
}
