package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/handset-oidc/handset/passcode/phone"
)

// Senders are senders by the names that routes call them.
type Senders map[string]Options

// Route says by which senders texts go to some destinations.
type Route struct {
	// Regions as in `countries`, beginnings of numbers in quotes (`"+8190"`), or
	// `all`. The longest beginning counts first, then a region, then `all`.
	To []string `yaml:"to" example:"[JP, \"+8190\"]"`
	// Names of senders, or of the connection, in the order in which they are tried.
	Via []string `yaml:"via" example:"[main]"`
}

func (s *Senders) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want the names of senders, each with its options")
		return
	}
	*s = Senders{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var o Options
		o.decode(d, join(path, name), m[name])
		(*s)[name] = o
	}
}

func (s Senders) names() []string { return slices.Sorted(maps.Keys(s)) }

// senderNames stand in the address to which receipts come.
var senderNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

func (c *Config) checkSenders(r *report) {
	for _, name := range c.Senders.names() {
		path := join("senders", name)
		if !senderNames.MatchString(name) {
			r.problem(path, "want a name of letters, digits and hyphens, at most 64")
		}
		if slices.ContainsFunc(c.Connections, func(o Connection) bool { return o.Name == name }) {
			r.problem(path, "has the name of a connection; each needs its own")
		}
		if !slices.ContainsFunc(c.Routes, func(route Route) bool { return slices.Contains(route.Via, name) }) {
			r.warn(path, "no route sends by it")
		}
		c.Senders[name].checkSender(r, path, c.AllowPrivateGateways)
	}
}

var numberBeginnings = regexp.MustCompile(`^\+[1-9][0-9]{0,14}$`)

func (c *Config) checkRoutes(r *report) {
	seen := map[string]bool{}
	for i, route := range c.Routes {
		path := at("routes", i)
		if len(route.To) == 0 {
			r.problem(path+".to", `missing: list regions, beginnings of numbers such as "+8190", or all`)
		}
		for j, to := range route.To {
			switch {
			case to == phone.AllRegions || phone.KnownRegion(to) || numberBeginnings.MatchString(to):
			default:
				r.problem(at(path+".to", j), `want a region of two capital letters, the beginning of a number in quotes such as "+8190", or all`)
			}
			if seen[to] {
				r.problem(at(path+".to", j), "an earlier route has this destination already")
			}
			seen[to] = true
		}
		if len(route.Via) == 0 {
			r.problem(path+".via", "missing: list the senders in the order in which they are tried")
		}
		for j, name := range route.Via {
			switch {
			case !c.isSender(name):
				r.problem(at(path+".via", j), fmt.Sprintf("there is no sender %q; the senders are %s", name, list(c.senderNames())))
			case slices.Contains(route.Via[:j], name):
				r.problem(at(path+".via", j), "is listed twice")
			}
		}
	}
}

func (c *Config) isSender(name string) bool { return slices.Contains(c.senderNames(), name) }

// senderNames are what a route may name: senders, and the connection when it has
// a sender of its own. Without a declared connection that is the database's.
func (c *Config) senderNames() []string {
	names := c.Senders.names()
	if own, ok := c.OwnSender(); ok {
		names = append(names, own)
	}
	return names
}

// firstConnection is the connection that every database has.
const firstConnection = "sms"

// OwnSender returns the name of the connection in use when it has a sender of its
// own, which takes what no route names. The database's connection, which only prints
// until somebody says otherwise, is none beside routes.
func (c *Config) OwnSender() (name string, ok bool) {
	if len(c.Connections) == 0 {
		return firstConnection, len(c.Routes) == 0
	}
	return c.Connections[0].Name, c.Connections[0].Options.values()["provider"] != nil
}

// checkCoverage finds countries whose numbers may be texted and by nobody.
func (c *Config) checkCoverage(r *report) {
	if _, own := c.OwnSender(); own || len(c.Routes) == 0 {
		return
	}
	lost := c.uncovered()
	switch {
	case len(lost) > 12:
		r.problem("routes", fmt.Sprintf("no route sends to %s and %d more of countries; add {to: [all], via: […]}", strings.Join(lost[:12], ", "), len(lost)-12))
	case len(lost) > 0:
		r.problem("routes", "no route sends to "+strings.Join(lost, ", ")+", which countries allows")
	}
}

// Covered reports whether routes name every country that may be texted. The connection's
// own sender then gets no text but by a route that names it.
func (c *Config) Covered() bool { return len(c.Routes) > 0 && len(c.uncovered()) == 0 }

// uncovered are the countries that may be texted and that no route names.
func (c *Config) uncovered() (lost []string) {
	regions := c.Countries
	if slices.Contains(regions, phone.AllRegions) {
		regions = phone.Regions()
	}
	for _, region := range regions {
		if phone.KnownRegion(region) && !c.covers(region) {
			lost = append(lost, region)
		}
	}
	return lost
}

func (c *Config) covers(region string) bool {
	calling := "+" + strconv.Itoa(phone.CallingCode(region))
	for _, route := range c.Routes {
		for _, to := range route.To {
			if to == phone.AllRegions || to == region || strings.HasPrefix(to, "+") && strings.HasPrefix(calling, to) {
				return true
			}
		}
	}
	return false
}
