package sms

import (
	"slices"
	"strings"

	"github.com/handset-oidc/handset/passcode/phone"
)

// Rule says by which senders texts go to some destinations.
type Rule struct {
	// To are regions ("JP"), beginnings of numbers ("+8190"), or [phone.AllRegions].
	To []string
	// Via are tried in order.
	Via []*Named
}

// Routes says by which senders a text goes to a number. It is immutable.
type Routes struct {
	rules    []Rule
	fallback []*Named
}

// NewRoutes returns the routes of the rules. fallback takes what no rule names;
// it may be empty.
func NewRoutes(rules []Rule, fallback ...*Named) *Routes {
	return &Routes{rules: rules, fallback: fallback}
}

// To returns the senders for a number in the order in which to try them: those of
// the rule with the longest matching beginning, else with the number's region, else with
// one that this counts as part of, else of the one for all, else the fallback. Of equal
// rules the first counts.
func (r *Routes) To(n phone.Number) []*Named {
	if len(r.rules) == 0 {
		return r.fallback // as most have it; a region costs more than all the rest here
	}
	region := n.Region()
	best, length := r.fallback, -1
	for _, rule := range r.rules {
		for _, to := range rule.To {
			if l := match(to, region, n); l > length {
				best, length = rule.Via, l
			}
		}
	}
	return best
}

// match says how well a destination fits: -1 not at all, 0 as all do, 1 as part of a
// region, 2 by region, more by the beginning of the number.
func match(to, region string, n phone.Number) int {
	switch {
	case to == phone.AllRegions:
		return 0
	case to == region:
		return 2
	case strings.HasPrefix(to, "+"):
		if strings.HasPrefix(n.E164(), to) {
			return 1 + len(to)
		}
	case n.In(to): // Guernsey's numbers are British ones where countries says GB
		return 1
	}
	return -1
}

// Senders returns every sender once, in the order of the rules.
func (r *Routes) Senders() []*Named {
	var all []*Named
	add := func(list []*Named) {
		for _, n := range list {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	for _, rule := range r.rules {
		add(rule.Via)
	}
	add(r.fallback)
	return all
}

// After returns the list beginning behind the sender of that name, so that a
// person who got nothing by one sender gets the next text by another one. An
// unknown name changes nothing.
func After(list []*Named, name string) []*Named {
	i := slices.IndexFunc(list, func(n *Named) bool { return n.Name == name })
	return slices.Concat(list[i+1:], list[:i+1])
}
