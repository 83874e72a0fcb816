package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// maxAnswer bounds what is read of the issuer's answers.
	maxAnswer = 256 << 10
	// issuerTimeout is how long one request to the issuer may take.
	issuerTimeout = 5 * time.Second
)

// issuer speaks to the issuer. What it says is believed only after its metadata
// carried exactly the configured name.
type issuer struct {
	name string
	http *http.Client
	// anyHTTP lets plain http reach hosts other than this machine.
	anyHTTP bool
}

// newIssuer checks the name. The client is copied: its redirects are not followed,
// because a redirect could lead secrets and keys anywhere.
func newIssuer(name string, client *http.Client, anyHTTP bool) (*issuer, error) {
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	i := &issuer{name: name, http: &own, anyHTTP: anyHTTP}
	u, err := i.endpoint(name)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("issuer: %q has a query or a fragment", name)
	}
	return i, nil
}

// endpoint reads an address that keys come from or secrets go to: https, or http on
// this machine.
func (i *issuer) endpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("it is not an address")
	case u.User != nil:
		return nil, errors.New("it has a user name or a password in it")
	case u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is not an https address", address)
	case u.Scheme == "https", u.Scheme == "http" && (i.anyHTTP || loopback(u.Hostname())):
		return u, nil
	}
	return nil, fmt.Errorf("%q is not https; plain http is for this machine only", address)
}

// loopback reports whether a host name means this machine.
func loopback(host string) bool {
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// metadata is what the issuer publishes about itself (OIDC Discovery §3).
type metadata struct {
	Issuer        string `json:"issuer"`
	Keys          string `json:"jwks_uri"`
	Token         string `json:"token_endpoint"`
	Introspection string `json:"introspection_endpoint"`
}

// errNotTheIssuer is an answer that a retry does not make better.
var errNotTheIssuer = errors.New("the metadata is another issuer's")

// discover fetches the metadata (OIDC Discovery §4). Its issuer must be the
// configured one to the byte (§4.3): otherwise anyone's keys would do.
func (i *issuer) discover(ctx context.Context) (metadata, error) {
	text, err := i.get(ctx, strings.TrimSuffix(i.name, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return metadata{}, fmt.Errorf("discover: %w", err)
	}
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		return metadata{}, fmt.Errorf("discover: the metadata is not understood: %w", err)
	}
	if m.Issuer != i.name {
		return metadata{}, fmt.Errorf("discover: %w: it says %q, and %q is configured", errNotTheIssuer, m.Issuer, i.name)
	}
	return m, nil
}

// published is what verification needs of the issuer.
type published struct {
	keys          keySet
	introspection string
}

// publish fetches metadata and keys, both each time, so that an issuer that moves
// its keys is followed.
func (i *issuer) publish(ctx context.Context) (*published, error) {
	m, err := i.discover(ctx)
	if err != nil {
		return nil, err
	}
	text, err := i.get(ctx, m.Keys)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	return &published{keys, m.Introspection}, nil
}

func (i *issuer) get(ctx context.Context, address string) ([]byte, error) {
	req, err := i.request(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	status, text, err := i.do(req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", req.URL.Redacted(), status)
	}
	return text, nil
}

// credentials are how a client proves to the issuer who it is.
type credentials struct {
	id     ClientID
	secret Secret
	// basic sends the secret in the Authorization header rather than in the form.
	basic bool
}

// post sends a form to an endpoint as a client (RFC 6749 §2.3.1). An error answer
// becomes an [AccessDenied] or an [OAuthError]; any other error means that nobody
// knows whether the request was served.
func (i *issuer) post(ctx context.Context, address string, form url.Values, c credentials) ([]byte, error) {
	if !c.basic {
		form.Set("client_id", string(c.id))
		if c.secret != "" {
			form.Set("client_secret", string(c.secret))
		}
	}
	req, err := i.request(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.basic {
		req.SetBasicAuth(url.QueryEscape(string(c.id)), url.QueryEscape(string(c.secret)))
	}
	status, text, err := i.do(req)
	if err != nil {
		return nil, err
	}
	if status == http.StatusOK {
		return text, nil
	}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if status >= 500 || json.Unmarshal(text, &answer) != nil || answer.Error == "" {
		return nil, fmt.Errorf("%s answers %d", req.URL.Redacted(), status)
	}
	return nil, issuerError(answer.Error, answer.Description)
}

func (i *issuer) request(ctx context.Context, method, address string, body io.Reader) (*http.Request, error) {
	u, err := i.endpoint(address)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// do reads a whole answer, within its time and size.
func (i *issuer) do(req *http.Request) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), issuerTimeout)
	defer cancel()
	res, err := i.http.Do(req.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return 0, nil, err
	}
	if len(text) > maxAnswer {
		return 0, nil, fmt.Errorf("%s answers more than %d bytes", req.URL.Redacted(), maxAnswer)
	}
	return res.StatusCode, text, nil
}
