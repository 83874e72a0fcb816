package passcode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// Connection is a way to prove numbers, made from a [storage.Connection]. It is
// immutable; keep it as long as its record does not change.
type Connection struct {
	Name     storage.ConnectionName
	Sender   sms.Sender
	From     string
	Template *sms.Template
	// Unbound leaves out the last line of a text, which binds the code to the login
	// page: Auth0 has no such line.
	Unbound bool
	// Length is how many digits codes have, and Life how long they live after
	// the last text; zero means 6 digits and 5 minutes.
	Length int
	Life   time.Duration
	// SignupDisabled: only people who are registered get codes.
	SignupDisabled bool
	// BruteForceProtection is Auth0's switch of that name.
	BruteForceProtection bool
}

func (c *Connection) length() int {
	if c.Length == 0 {
		return defaultLength
	}
	return c.Length
}

// Text is the body of a text of the connection.
func (c *Connection) Text(f sms.Fields) string {
	if c.Unbound {
		f.Host = ""
	}
	return c.Template.Execute(f)
}

// Example is a text as people get it, with a code that is none: digits in their
// order, as many as the connection's codes have.
func (c *Connection) Example(f sms.Fields) string {
	f.Code = "1234567890"[:c.length()]
	return c.Text(f)
}

// CodeLife is how long a code of the connection works after its text.
func (c *Connection) CodeLife() time.Duration {
	if c.Life == 0 {
		return defaultLife
	}
	return min(c.Life, maxLife)
}

// Deps are what senders need.
type Deps struct {
	// Client is for gateways; all connections share it. See [sms.NewHTTPClient].
	Client *http.Client
	// AllowPrivate is what Client was made with.
	AllowPrivate bool
	// GatewayTimeout is how long a gateway may take; zero is 30 s.
	GatewayTimeout time.Duration
	// Console is where the provider console prints; nil takes that provider away.
	Console io.Writer
	// Inbox, when set, gets the texts of the providers inbox and console: the demo
	// has one.
	Inbox *sms.Inbox
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Problem is one thing wrong with a connection's options.
type Problem struct {
	// Path is the key: "options.gateway_url".
	Path string
	// Text says what is wrong with its value, without quoting secrets.
	Text string
}

// Problems are all things wrong with a connection.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Path + ": " + problem.Text
	}
	return strings.Join(lines, "\n")
}

// ParseConnection reads a connection with Auth0's options. Keys that it doesn't
// know are left alone, as Auth0 leaves them; null counts as absent. The error is
// a [Problems] with all that is wrong.
func ParseConnection(c storage.Connection, d Deps) (*Connection, error) {
	p := &optionParser{deps: d}
	if c.Strategy != "sms" {
		p.problem("strategy", `must be "sms"`)
	}
	raw := c.Options
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := json.Unmarshal(raw, &p.options); err != nil {
		p.problem("options", "is not an object")
		return nil, p.problems
	}
	out := &Connection{
		Name: c.Name, From: p.text("from"),
		Unbound:              !p.flag("origin_bound", true),
		SignupDisabled:       p.flag("disable_signup", false),
		BruteForceProtection: p.flag("brute_force_protection", true),
	}
	p.totp(out)
	p.template(out)
	out.Sender = p.sender()
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return out, nil
}

// optionParser reads option by option and collects what is wrong.
type optionParser struct {
	deps     Deps
	options  map[string]json.RawMessage
	problems Problems
}

func (p *optionParser) problem(path, text string) {
	p.problems = append(p.problems, Problem{Path: path, Text: text})
}

// read decodes one option into v and reports whether it is there.
func (p *optionParser) read(from map[string]json.RawMessage, prefix, key string, v any, want string) bool {
	raw, ok := from[key]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		p.problem(prefix+key, "is not "+want)
		return false
	}
	return true
}

func (p *optionParser) text(key string) string {
	var s string
	p.read(p.options, "options.", key, &s, "a string")
	return s
}

// flag reads a boolean, which Auth0's own examples also write as a string.
func (p *optionParser) flag(key string, otherwise bool) bool {
	return p.flagIn(p.options, "options.", key, otherwise)
}

func (p *optionParser) flagIn(from map[string]json.RawMessage, prefix, key string, otherwise bool) bool {
	switch string(from[key]) {
	case "", "null":
		return otherwise
	case "true", `"true"`:
		return true
	case "false", `"false"`:
		return false
	}
	p.problem(prefix+key, "is neither true nor false")
	return otherwise
}

func (p *optionParser) object(key string) (map[string]json.RawMessage, bool) {
	var o map[string]json.RawMessage
	ok := p.read(p.options, "options.", key, &o, "an object")
	return o, ok
}

func (p *optionParser) totp(c *Connection) {
	totp, ok := p.object("totp")
	if !ok {
		return
	}
	var seconds, length int
	if p.read(totp, "options.totp.", "time_step", &seconds, "a whole number of seconds") {
		if most := int(maxLife / time.Second); seconds < 1 || seconds > most {
			p.problem("options.totp.time_step", fmt.Sprintf("is not between 1 and %d seconds", most))
		}
		c.Life = time.Duration(seconds) * time.Second
	}
	if p.read(totp, "options.totp.", "length", &length, "a whole number of digits") {
		if length < 4 || length > longLength {
			p.problem("options.totp.length", fmt.Sprintf("is not between 4 and %d digits", longLength))
		}
		c.Length = length
	}
}

func (p *optionParser) template(c *Connection) {
	syntax, text := p.text("syntax"), p.text("template")
	t, err := sms.ParseTemplate(syntax, text)
	switch err := err.(type) {
	case nil:
		c.Template = t
	case *sms.SyntaxError:
		p.problem("options.syntax", err.Error())
	default:
		p.problem("options.template", err.Error())
	}
}

// sender makes the sender that provider names.
func (p *optionParser) sender() sms.Sender {
	switch provider := p.text("provider"); {
	case provider == "sms_gateway":
		return p.gateway()
	case (provider == "inbox" || provider == "console") && p.deps.Inbox != nil:
		return p.deps.Inbox
	case provider == "console" && p.deps.Console != nil:
		return sms.NewConsole(p.deps.Console)
	case provider == "":
		p.problem("options.provider", "is missing; one of: "+p.providers())
	default:
		p.problem("options.provider", fmt.Sprintf("%q is not one of: %s", provider, p.providers()))
	}
	return nil
}

func (p *optionParser) providers() string {
	names := "sms_gateway"
	if p.deps.Console != nil || p.deps.Inbox != nil {
		names += ", console"
	}
	if p.deps.Inbox != nil {
		names += ", inbox"
	}
	return names
}

func (p *optionParser) gateway() sms.Sender {
	url := p.text("gateway_url")
	bad := len(p.problems)
	if err := sms.CheckGatewayURL(url, p.deps.AllowPrivate); err != nil {
		p.problem("options.gateway_url", err.Error())
	}
	config := sms.GatewayConfig{
		URL: url, ForwardRequestInfo: p.flag("forward_req_info", false), Auth: p.gatewayAuth(),
		Client: p.deps.Client, AllowPrivate: p.deps.AllowPrivate,
		Timeout: p.deps.GatewayTimeout, Now: p.deps.Now,
	}
	if len(p.problems) > bad {
		return nil
	}
	g, err := sms.NewGateway(config)
	if err != nil {
		p.problem("options.provider", err.Error())
		return nil
	}
	return g
}

func (p *optionParser) gatewayAuth() *sms.GatewayAuth {
	const prefix = "options.gateway_authentication."
	options, ok := p.object("gateway_authentication")
	if !ok {
		return nil
	}
	var method, secret string
	auth := &sms.GatewayAuth{}
	p.read(options, prefix, "method", &method, "a string")
	p.read(options, prefix, "subject", &auth.Subject, "a string")
	p.read(options, prefix, "audience", &auth.Audience, "a string")
	p.read(options, prefix, "secret", &secret, "a string")
	if method != "bearer" {
		p.problem(prefix+"method", `must be "bearer"`)
	}
	if auth.Audience == "" {
		p.problem(prefix+"audience", "is missing")
	}
	auth.Secret = []byte(secret)
	if p.flagIn(options, prefix, "secret_base64_encoded", false) {
		decoded, err := decodeBase64(secret)
		if err != nil {
			p.problem(prefix+"secret", "is not base64, as secret_base64_encoded says it is")
			return auth
		}
		auth.Secret = decoded
	}
	if len(auth.Secret) == 0 {
		p.problem(prefix+"secret", "is missing")
	}
	return auth
}

// decodeBase64 takes the URL alphabet, which Auth0 names, and the other one,
// padded or not.
func decodeBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(s), "="))
	return base64.RawURLEncoding.DecodeString(s)
}
