package sms

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden says that a name leads to an address that we may not talk to.
var ErrForbidden = errors.New("address not allowed")

// never are networks that no gateway is in: metadata services of clouds, and
// what is no unicast address.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32",
	"224.0.0.0/4", "240.0.0.0/4",
	"::/128", "fe80::/10", "fec0::/10", "fd00:ec2::254/128", "fd20:ce::254/128", "ff00::/8",
)

// private are networks that are not the public Internet (RFC 6890).
var private = prefixes(
	"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"::/96", "100::/64", "2001::/23", "2001:db8::/32", "fc00::/7",
)

// embedding are IPv6 networks whose addresses lead to an IPv4 address inside
// them, and where in the address that one stands: NAT64 and 6to4.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// reachable reports whether we may open a connection to the address. Where
// gateways of people's own networks are allowed, loopback and private addresses
// are; metadata services and link-local addresses never are.
func reachable(a netip.Addr, allowPrivate bool) bool {
	a = a.Unmap().WithZone("")
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			b := a.As16()
			return reachable(netip.AddrFrom4([4]byte(b[e.at:e.at+4])), allowPrivate)
		}
	}
	if !a.IsValid() || within(never, a) {
		return false
	}
	return allowPrivate || !within(private, a)
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ClientConfig sets up [NewHTTPClient].
type ClientConfig struct {
	// AllowPrivate allows loopback and private addresses.
	AllowPrivate bool
}

// newDialer opens connections to addresses that an operator, or whoever may change a
// connection, wrote down. It looks at each address after the name was resolved, when
// the connection is opened: a name that resolves to something else the second time
// gains nothing.
func newDialer(allowPrivate bool) *net.Dialer {
	return &net.Dialer{
		Timeout:   10 * time.Second,
		KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !reachable(to.Addr(), allowPrivate) {
				return ErrForbidden
			}
			return nil
		},
	}
}

// NewHTTPClient returns the client for such addresses that speak HTTP: gateways and
// callbacks. It keeps connections alive, follows no redirect, and uses no proxy of
// the environment.
func NewHTTPClient(c ClientConfig) *http.Client {
	dialer := newDialer(c.AllowPrivate)
	return &http.Client{
		Transport: &http.Transport{
			// A proxy would make the address check look at the proxy.
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
