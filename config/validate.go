package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/registration"
)

// Validate reports everything that is wrong, and what works but is probably
// not meant. It opens nothing. What only a running provider needs is
// [Config.ValidateServe].
func (c *Config) Validate() ([]Problem, []Warning) {
	r := &report{}
	c.checkIssuer(r)
	c.checkListeners(r)
	c.checkStores(r)
	c.checkLifetimes(r)
	c.checkCountries(r)
	c.Limits.check(r)
	c.checkTestNumbers(r)
	c.checkConnections(r)
	c.checkSenders(r)
	c.checkRoutes(r)
	c.checkClients(r)
	c.checkAPIs(r)
	c.checkPeople(r)
	oneOf(r, "log.level", c.Log.Level, []string{"debug", "info", "warn", "error"})
	oneOf(r, "log.format", c.Log.Format, []string{"json", "text"})
	return r.problems, r.warnings
}

// ValidateServe reports what only a provider that serves people needs.
func (c *Config) ValidateServe() []Problem {
	r := &report{}
	if len(c.Countries) == 0 {
		r.problem("countries", "missing: list the regions whose numbers may be texted, such as [JP, US], or [all]")
	}
	c.checkCoverage(r)
	for _, region := range phone.Covered(c.testPrefixes()) {
		r.problem("test_numbers", "cover all numbers of "+region+": everybody there would have a code that is written down")
	}
	return r.problems
}

// issuerPaths are paths that mean the same however they are spelled and routed.
var issuerPaths = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/?$`)

func (c *Config) checkIssuer(r *report) {
	if c.Issuer == "" {
		r.problem("issuer", "missing: set the address that people's browsers use, such as https://login.example.com/")
		return
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		r.problem("issuer", "want a whole address, such as https://login.example.com/")
	case u.User != nil:
		r.problem("issuer", "must not hold a user or password")
	case strings.ContainsAny(c.Issuer, "?#"):
		// OIDC Discovery §3: no query or fragment components.
		r.problem("issuer", "must not have a query or a fragment")
	case !issuerPaths.MatchString(u.EscapedPath()) || slices.ContainsFunc(strings.Split(u.Path, "/"), isDots):
		r.problem("issuer", "want a path of letters, digits and . _ ~ - only")
	case u.Scheme == "http" && !Loopback(u.Hostname()):
		r.problem("issuer", "must be https; http is for localhost, 127.0.0.1 and [::1] only")
	case u.Scheme == "http":
		r.warn("issuer", "is http: cookies are not marked Secure; for development on this machine only")
	}
}

// Local reports whether the issuer is a developer's own machine: http on a
// loopback host.
func (c *Config) Local() bool {
	u, err := url.Parse(c.Issuer)
	return err == nil && u.Scheme == "http" && Loopback(u.Hostname())
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// Loopback reports whether a host is this machine: localhost, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	if isLocalhost(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (c *Config) checkListeners(r *report) {
	checkListen(r, "listen", c.Listen)
	if c.AdminListen != "" {
		checkListen(r, "admin_listen", c.AdminListen)
		if host, _, err := net.SplitHostPort(c.AdminListen); err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
			r.warn("admin_listen", "listens on every address of the machine; metrics are not meant for strangers")
		}
		if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			r.problem("admin_listen", "must differ from listen")
		}
	}
	switch {
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		r.problem("tls.key_file", "missing: cert_file and key_file go together")
	case c.TLS.CertFile == "" && c.TLS.KeyFile != "":
		r.problem("tls.cert_file", "missing: cert_file and key_file go together")
	}
	for i, network := range c.TrustedProxies {
		if network.IsValid() && network.Bits() == 0 {
			r.warn(at("trusted_proxies", i), "trusts everyone: any caller can claim any address, and limits by address hold nobody")
		}
	}
}

func checkListen(r *report, path, address string) {
	host, port, err := net.SplitHostPort(address)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n > 65535 || strings.ContainsAny(host, " /") {
		r.problem(path, `want host:port or :port, such as "127.0.0.1:3000" or ":3000"`)
	}
}

func (c *Config) checkStores(r *report) {
	scheme, rest, _ := strings.Cut(c.Database.Reveal(), ":")
	switch {
	case scheme == "sqlite" && rest != "":
	case scheme == "postgres" || scheme == "postgresql":
		r.problem("database", "PostgreSQL is not supported by this version; use sqlite:handset.db")
	default:
		r.problem("database", "want sqlite: and a file name, such as sqlite:handset.db")
	}
	redis := c.Redis.Reveal()
	scheme, rest, _ = strings.Cut(redis, "://")
	switch {
	case redis == "embedded":
	case slices.Contains([]string{"redis", "rediss", "sentinel", "unix"}, scheme) && rest != "":
	default:
		r.problem("redis", "want embedded, redis://host:6379, rediss://host:6379 or sentinel://master@host1,host2")
	}
	if c.SecretKey.IsZero() && c.SecretKeyFile == "" {
		r.problem("secret_key_file", "missing: make one with openssl rand -hex 32 > handset.key")
	}
}

func (c *Config) checkLifetimes(r *report) {
	positive := func(path string, d, most time.Duration) {
		switch {
		case d < time.Second:
			r.problem(path, "want at least 1s")
		case d > most:
			r.problem(path, "want at most "+FormatDuration(most))
		}
	}
	const year = 365 * 24 * time.Hour
	positive("sessions.absolute", c.Sessions.Absolute, year)
	positive("sessions.idle", c.Sessions.Idle, year)
	positive("tokens.access", c.Tokens.Access, 30*24*time.Hour)
	positive("tokens.id", c.Tokens.ID, 30*24*time.Hour)
	positive("tokens.refresh_idle", c.Tokens.RefreshIdle, year)
	positive("tokens.refresh_absolute", c.Tokens.RefreshAbsolute, 10*year)
	if c.Sessions.Idle > c.Sessions.Absolute {
		r.problem("sessions.idle", "must not be longer than sessions.absolute")
	}
	if c.Tokens.RefreshIdle > c.Tokens.RefreshAbsolute {
		r.problem("tokens.refresh_idle", "must not be longer than tokens.refresh_absolute")
	}
	if c.Keys.RotateEvery != 0 {
		positive("keys.rotate_every", c.Keys.RotateEvery, 10*year)
	}
}

func (c *Config) checkCountries(r *report) {
	for i, country := range c.Countries {
		path := at("countries", i)
		upper := strings.ToUpper(country)
		switch {
		case country == "all" && len(c.Countries) == 1:
			r.warn("countries", "every region may be texted: expensive destinations too")
		case country == "all":
			r.problem(path, "all stands alone: [all]")
		case phone.KnownRegion(country):
		case phone.KnownRegion(upper):
			r.problem(path, "write "+upper)
		case upper == "UK":
			r.problem(path, "write GB")
		default:
			r.problem(path, "not a region with phone numbers; want ISO 3166-1 codes such as JP or US")
		}
	}
}

var (
	testNumbers  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	testPrefixes = regexp.MustCompile(`^\+[1-9][0-9]{3,14}$`)
	testCodes    = regexp.MustCompile(`^[0-9]{4,10}$`)
)

func (c *Config) checkTestNumbers(r *report) {
	seen := map[string]bool{}
	for i, t := range c.TestNumbers {
		path := at("test_numbers", i)
		switch {
		case t.Number == "" && t.Prefix == "":
			r.problem(path, "missing: number or prefix")
		case t.Number != "" && t.Prefix != "":
			r.problem(path, "set number or prefix, not both")
		case t.Number != "" && !testNumbers.MatchString(t.Number):
			r.problem(path+".number", `want the international form in quotes, such as "+15005550006"`)
		case t.Prefix != "" && !testPrefixes.MatchString(t.Prefix):
			r.problem(path+".prefix", `want + and at least four digits in quotes, such as "+1500555": a short prefix opens many people's accounts`)
		case seen[t.Number+"/"+t.Prefix]:
			r.problem(path, "is declared twice")
		}
		seen[t.Number+"/"+t.Prefix] = true
		if !testCodes.MatchString(t.Code.Reveal()) {
			r.problem(path+".code", "want 4 to 10 digits in quotes")
		}
	}
	if n := len(c.TestNumbers); n > 0 {
		r.warn("test_numbers", fmt.Sprintf("%d declared: whoever knows the code can sign in as such a number", n))
	}
}

// testPrefixes are the beginnings of numbers whose codes are fixed.
func (c *Config) testPrefixes() []string {
	var out []string
	for _, t := range c.TestNumbers {
		if t.Prefix != "" {
			out = append(out, t.Prefix)
		}
	}
	return out
}

func (c *Config) checkConnections(r *report) {
	seen := map[string]bool{}
	for i := range c.Connections {
		connection := &c.Connections[i]
		path := at("connections", i)
		if !registration.ConnectionNames.MatchString(connection.Name) {
			r.problem(path+".name", "want letters, digits and hyphens, at most 128, and no hyphen at an end")
		}
		if seen[connection.Name] {
			r.problem(path+".name", "is declared twice")
		}
		seen[connection.Name] = true
		if i > 0 {
			r.problem(path, "more than one connection is not supported by this version")
		}
		oneOf(r, path+".strategy", connection.Strategy, []string{"sms"})
		connection.Options.check(r, path+".options", c.AllowPrivateGateways, len(c.Routes) > 0)
	}
}

func oneOf(r *report, path, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		r.problem(path, "want "+choice(allowed))
	}
}

func (c *Config) checkClients(r *report) {
	seen := map[string]int{}
	for i := range c.Clients {
		client := &c.Clients[i]
		path := at("clients", i)
		client.check(r, path)
		if first, ok := seen[client.ClientID]; ok && client.ClientID != "" {
			r.problem(path+".client_id", "is the same as that of "+at("clients", first))
			continue
		}
		seen[client.ClientID] = i
	}
}

// FormatDuration writes a duration as people type it: 168h, not 168h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if trimmed, ok := strings.CutSuffix(s, "m0s"); ok {
		s = trimmed + "m"
	}
	if trimmed, ok := strings.CutSuffix(s, "h0m"); ok {
		s = trimmed + "h"
	}
	return s
}
