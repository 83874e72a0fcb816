package passcode

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/handset-oidc/handset/passcode/sms"
)

// Sending is what configuration says of sending texts.
type Sending struct {
	Deps sms.Deps
	// Receipt takes what becomes of texts by senders whose connection brings it; nil:
	// nobody does. It must be safe for concurrent use.
	Receipt func(sender string, r sms.Receipt)
	// Senders have a name of their own, beside the connection's.
	Senders []NamedOptions
	// Rules name senders for destinations, among them the connection's own, by the
	// connection's name. What no rule names goes by the connection's own.
	Rules []Rule
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
	receipt func(sender string, r sms.Receipt)
}

// depsOf are what the sender of that name needs.
func (s Senders) depsOf(name string) sms.Deps {
	d := s.Deps
	if s.receipt != nil {
		d.Receipts = func(r sms.Receipt) { s.receipt(name, r) }
	}
	return d
}

// Open makes the senders. The error has an [sms.Problems] with all that is wrong.
func (s Sending) Open() (Senders, error) {
	out := Senders{Deps: s.Deps, Rules: s.Rules, receipt: s.Receipt}
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

// readRoutes puts the connection's own sender beside those that have a name.
func readRoutes(o *sms.Options, c *Connection, s Senders) *sms.Routes {
	named := map[string]*sms.Named{}
	for _, n := range s.Named {
		named[n.Name] = n
	}
	var fallback []*sms.Named
	if len(s.Rules) == 0 || o.Text("provider") != "" {
		c.own = sms.NewNamed(string(c.Name), "", sms.NewSender(o, s.depsOf(string(c.Name))), s.Deps.Clock())
		named[c.own.Name] = c.own
		fallback = append(fallback, c.own)
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
