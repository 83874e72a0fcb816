package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// gatewayTimeout is Auth0's.
	gatewayTimeout = 30 * time.Second
	// gatewayTokenLife is the life of the bearer token.
	gatewayTokenLife = 5 * time.Minute
	// maxAnswer bounds what is read of an answer before its connection is given
	// up; within it, the connection is used again.
	maxAnswer = 16 << 10
	// maxGatewayURL is Auth0's.
	maxGatewayURL = 255
)

// GatewayConfig describes an operator's own HTTP gateway, as Auth0's
// `provider: sms_gateway` does.
type GatewayConfig struct {
	// URL is where messages are posted: http or https, at most 255 characters.
	URL string
	// ForwardRequestInfo adds `req` with the address and user agent of whoever
	// asked for the text.
	ForwardRequestInfo bool
	// Auth signs each request; nil sends none.
	Auth *GatewayAuth
	// ReceiptSecret is what the gateway signs its receipts with: bytes as they are,
	// or "whsec_" and base64. Empty: the gateway is not told how to send any, and all
	// are refused.
	ReceiptSecret string
	// Client is from [NewHTTPClient]; required.
	Client *http.Client
	// AllowPrivate is what Client was made with. It serves to tell a literal
	// address that can't work at once; the client decides.
	AllowPrivate bool
	// Timeout is how long the gateway may take; zero is 30 s.
	Timeout time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// GatewayAuth is `gateway_authentication` with the method bearer.
type GatewayAuth struct {
	Subject  string
	Audience string
	// Secret is the key of the HMAC, as bytes.
	Secret []byte
}

// Gateway posts messages to an operator's own gateway.
type Gateway struct {
	opaque
	config   GatewayConfig
	signer   jose.Signer
	receipts *standardwebhooks.Webhook
}

// NewGateway checks the configuration; see [CheckGatewayURL] for the URL's rules.
func NewGateway(c GatewayConfig) (*Gateway, error) {
	if err := CheckGatewayURL(c.URL, c.AllowPrivate); err != nil {
		return nil, err
	}
	if c.Client == nil {
		return nil, errors.New("sms gateway without an HTTP client")
	}
	if c.Timeout == 0 {
		c.Timeout = gatewayTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	receipts, err := newReceiptVerifier(c.ReceiptSecret)
	if err != nil {
		return nil, err
	}
	g := &Gateway{opaque: "sms_gateway", config: c, receipts: receipts}
	if c.Auth != nil {
		signer, err := newTokenSigner(c.Auth.Secret)
		if err != nil {
			return nil, err
		}
		g.signer = signer
	}
	return g, nil
}

// newGateway reads the options of Auth0's `provider: sms_gateway`.
func newGateway(o *Options, d Deps) Sender {
	before := len(*o.found)
	c := GatewayConfig{
		URL: o.Text("gateway_url"), ForwardRequestInfo: o.Flag("forward_req_info", false), Auth: gatewayAuth(o),
		ReceiptSecret: o.Text("receipt_secret"),
		Client:        d.Client, AllowPrivate: d.AllowPrivate, Timeout: d.GatewayTimeout, Now: d.Now,
	}
	if err := CheckReceiptSecret(c.ReceiptSecret); err != nil {
		o.Problem("receipt_secret", err.Error())
	}
	if err := CheckGatewayURL(c.URL, d.AllowPrivate); err != nil {
		o.Problem("gateway_url", err.Error())
	}
	if len(*o.found) > before {
		return nil
	}
	g, err := NewGateway(c)
	if err != nil {
		o.Problem("provider", err.Error())
		return nil
	}
	return g
}

func gatewayAuth(o *Options) *GatewayAuth {
	in, ok := o.Object("gateway_authentication")
	if !ok {
		return nil
	}
	secret := in.Text("secret")
	auth := &GatewayAuth{Subject: in.Text("subject"), Audience: in.Needed("audience"), Secret: []byte(secret)}
	if in.Text("method") != "bearer" {
		in.Problem("method", `must be "bearer"`)
	}
	if in.Flag("secret_base64_encoded", false) {
		decoded, err := decodeBase64(secret)
		if err != nil {
			in.Problem("secret", "is not base64, as secret_base64_encoded says it is")
			return auth
		}
		auth.Secret = decoded
	}
	if len(auth.Secret) == 0 {
		in.Problem("secret", "is missing")
	}
	return auth
}

// CheckGatewayURL returns what is wrong with a gateway's URL, without quoting it:
// a query often holds a key.
func CheckGatewayURL(gatewayURL string, allowPrivate bool) error {
	u, err := url.Parse(gatewayURL)
	switch {
	case gatewayURL == "":
		return errors.New("is missing")
	case len(gatewayURL) > maxGatewayURL:
		return errors.New("has more than 255 characters")
	case err != nil || u.Opaque != "":
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with https:// or http://")
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !reachable(a, allowPrivate) {
		return errors.New("is a private or reserved address (see allow_private_gateways)")
	}
	return nil
}

// newTokenSigner makes an HS256 signer.
func newTokenSigner(secret []byte) (jose.Signer, error) {
	if len(secret) == 0 {
		return nil, errors.New("sms gateway with an empty secret")
	}
	return jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: longKey(secret)}, (&jose.SignerOptions{}).WithType("JWT"))
}

// longKey makes a key for HS256 of a secret: people choose secrets of any length
// while RFC 7518 §3.2 wants 32 bytes. Zeros behind a shorter key give the same MAC,
// since HMAC fills keys up with zeros itself (RFC 2104 §2).
func longKey(secret []byte) []byte {
	key := make([]byte, max(len(secret), 32))
	copy(key, secret)
	return key
}

// gatewayRequest is the body that Auth0 posts.
type gatewayRequest struct {
	Recipient string          `json:"recipient"`
	Body      string          `json:"body"`
	Sender    string          `json:"sender,omitempty"`
	Request   *gatewayCallers `json:"req,omitempty"`
}

type gatewayCallers struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user-agent"`
}

// Send posts the message. Only 200 counts as handed over, as with Auth0; what
// the gateway says besides is thrown away. 422 says that the number can't be
// texted, which Auth0's contract has no word for.
func (g *Gateway) Send(ctx context.Context, m Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	req, err := g.request(ctx, m)
	if err != nil {
		return "", &Error{Kind: KindInternal, Code: "EINTERNAL"}
	}
	resp, err := g.config.Client.Do(req)
	if err != nil {
		return "", transportError(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		// The status decides; the rest is read only to keep the connection, and
		// closed soon when there is too much or it comes too slowly.
		drain(resp.Body, cancel)
		return "", nil
	case http.StatusUnauthorized:
		return "", &Error{Kind: KindUnauthorized, Status: resp.StatusCode}
	case http.StatusUnprocessableEntity:
		return "", &Error{Kind: KindNumber, Status: resp.StatusCode}
	}
	return "", &Error{Kind: KindStatus, Status: resp.StatusCode}
}

// drain reads a little of an answer, for a second at most.
func drain(body io.Reader, cancel context.CancelFunc) {
	defer time.AfterFunc(time.Second, cancel).Stop()
	_, _ = io.CopyN(io.Discard, body, maxAnswer) // an answer cut short changes nothing
}

func (g *Gateway) request(ctx context.Context, m Message) (*http.Request, error) {
	payload := gatewayRequest{Recipient: m.To.E164(), Body: m.Body, Sender: m.From}
	if g.config.ForwardRequestInfo && m.Request != nil {
		payload.Request = &gatewayCallers{IP: m.Request.IP, UserAgent: m.Request.UserAgent}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(payload); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.config.URL, bytes.NewReader(body.Bytes()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "*/*")
	req.Header.Set("User-Agent", "Handset")
	if g.receipts != nil && m.ReceiptURL != "" {
		// Headers, since the body is Auth0's and some gateways refuse what they don't
		// know in it.
		req.Header.Set("Handset-Message-Id", m.ID)
		req.Header.Set("Handset-Receipt-Url", m.ReceiptURL)
	}
	if g.signer == nil {
		return req, nil
	}
	token, err := g.token()
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// token signs what gateways written for Auth0 check: public ones insist on iss.
func (g *Gateway) token() (string, error) {
	now := g.config.Now()
	return jwt.Signed(g.signer).Claims(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub,omitempty"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{
		"Auth0", g.config.Auth.Subject, g.config.Auth.Audience,
		now.Unix(), now.Add(gatewayTokenLife).Unix(),
	}).Serialize()
}
