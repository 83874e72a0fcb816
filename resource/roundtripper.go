package resource

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// origin is a scheme, a host and a port.
type origin struct{ scheme, host, port string }

// parseOrigins reads addresses of APIs. Tokens go over https, or http on this machine.
func parseOrigins(addresses []string, anyHTTP bool) ([]origin, error) {
	var all []origin
	for _, address := range addresses {
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("%q is not the address of an API", address)
		}
		if u.Scheme == "http" && !anyHTTP && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("%q is not https; plain http is for this machine only", address)
		}
		all = append(all, originOf(u))
	}
	return all, nil
}

// originOf fills in the port and folds the case of the host, which has none.
func originOf(u *url.URL) origin {
	o := origin{u.Scheme, strings.ToLower(u.Hostname()), u.Port()}
	if o.port == "" {
		o.port = map[string]string{"https": "443", "http": "80"}[o.scheme]
	}
	return o
}

// errElsewhere keeps a token from a host that is not one of the configured APIs.
var errElsewhere = errors.New("resource: it is not one of the client's APIs, and gets no token")

// MaySend reports whether the client's token may go to an address: to one of the
// configured APIs, or without any, to this machine.
func (c *Client) MaySend(to *url.URL) bool {
	o := originOf(to)
	if len(c.apis) == 0 {
		return (o.scheme == "http" || o.scheme == "https") && loopback(o.host)
	}
	for _, api := range c.apis {
		if api == o {
			return true
		}
	}
	return false
}

// RoundTripper attaches a client's token to requests: it is the Transport of an
// [http.Client].
//
//	&http.Client{Transport: &resource.RoundTripper{Client: client}}
//
// A request to a host that is not one of the client's APIs is an error. When such
// an API redirects elsewhere, the request that follows goes without the token.
type RoundTripper struct {
	Client *Client
	// Base sends the requests. Default: http.DefaultTransport.
	Base http.RoundTripper
}

// RoundTrip makes it an [http.RoundTripper].
func (t *RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if !t.Client.MaySend(r.URL) {
		if r.Response != nil { // net/http follows a redirect
			return base.RoundTrip(r)
		}
		closeBody(r)
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errElsewhere)
	}
	token, err := t.Client.Token(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	// A RoundTripper must not change the request it was given.
	own := r.Clone(r.Context())
	own.Header.Set("Authorization", "Bearer "+token)
	return base.RoundTrip(own)
}

// closeBody is a RoundTripper's duty when it sends nothing.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // it was not read
	}
}
