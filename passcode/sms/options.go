package sms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options reads the settings of a sender or connection key by key, by Auth0's
// names, and collects all that is wrong with them. Keys that nobody asks for are
// left alone, as Auth0 leaves them; null counts as absent.
type Options struct {
	values map[string]json.RawMessage
	path   string
	found  *[]Problem
}

// Problem is one thing wrong with options.
type Problem struct {
	// Path is the key: "options.gateway_url".
	Path string
	// Text says what is wrong with its value, without quoting secrets.
	Text string
}

// Problems are all things wrong with options.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Path + ": " + problem.Text
	}
	return strings.Join(lines, "\n")
}

// note adds a problem where something is wrong.
func (p *Problems) note(wrong bool, path, text string) {
	if wrong {
		*p = append(*p, Problem{path, text})
	}
}

// ReadOptions reads a JSON object; empty is one without keys. path is where the
// object stands, for the problems.
func ReadOptions(raw json.RawMessage, path string) *Options {
	o := &Options{path: path, found: &[]Problem{}}
	if len(raw) == 0 {
		return o
	}
	if err := json.Unmarshal(raw, &o.values); err != nil {
		*o.found = append(*o.found, Problem{path, "is not an object"})
	}
	return o
}

// Problems returns all that is wrong so far, those of inner objects included.
func (o *Options) Problems() Problems { return *o.found }

// Without returns the options but those keys, as JSON: equal when they are.
func (o *Options) Without(keys ...string) string {
	rest := maps.Clone(o.values)
	maps.DeleteFunc(rest, func(key string, _ json.RawMessage) bool { return slices.Contains(keys, key) })
	text, err := json.Marshal(rest)
	if err != nil {
		panic("sms: options that were JSON are none: " + err.Error()) // unreachable
	}
	return string(text)
}

// Problem notes that the value of a key is wrong. What was noted of the key
// before counts: several parts read some keys.
func (o *Options) Problem(key, text string) {
	path := o.path + "." + key
	if !slices.ContainsFunc(*o.found, func(p Problem) bool { return p.Path == path }) {
		*o.found = append(*o.found, Problem{path, text})
	}
}

// made notes what is wrong with a sender, by the names of its options, and
// returns the sender when that is nothing.
func (o *Options) made(s Sender, err error) Sender {
	if err == nil {
		return s
	}
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		problems = Problems{{"provider", err.Error()}}
	}
	for _, p := range problems {
		o.Problem(p.Path, p.Text)
	}
	return nil
}

// vendorTimeout is how long a vendor may take.
func (o *Options) vendorTimeout() time.Duration {
	return o.Seconds("timeout", vendorTimeout, time.Second, maxVendorTimeout)
}

// Read decodes one option into v and reports whether it is there and is what the
// words of want say.
func (o *Options) Read(key string, v any, want string) bool {
	raw, ok := o.values[key]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		o.Problem(key, "is not "+want)
		return false
	}
	return true
}

// Text reads a string; empty when it is absent.
func (o *Options) Text(key string) string {
	var s string
	o.Read(key, &s, "a string")
	return s
}

// Needed is [Options.Text] for a key without which nothing works.
func (o *Options) Needed(key string) string {
	s := o.Text(key)
	if s == "" {
		o.Problem(key, "is missing")
	}
	return s
}

// Flag reads a boolean, which Auth0's own examples also write as a string.
func (o *Options) Flag(key string, otherwise bool) bool {
	switch string(o.values[key]) {
	case "", "null":
		return otherwise
	case "true", `"true"`:
		return true
	case "false", `"false"`:
		return false
	}
	o.Problem(key, "is neither true nor false")
	return otherwise
}

// Seconds reads a whole number of seconds between least and most; otherwise when
// it is absent.
func (o *Options) Seconds(key string, otherwise, least, most time.Duration) time.Duration {
	var n int
	if !o.Read(key, &n, "a whole number of seconds") {
		return otherwise
	}
	if d := time.Duration(n) * time.Second; n >= 0 && n <= int(most/time.Second) && d >= least {
		return d
	}
	o.Problem(key, fmt.Sprintf("is not between %d and %d seconds", least/time.Second, most/time.Second))
	return otherwise
}

// Object reads an object whose own keys can be read, and reports whether it is there.
func (o *Options) Object(key string) (*Options, bool) {
	in := &Options{path: o.path + "." + key, found: o.found}
	return in, o.Read(key, &in.values, "an object")
}

// Deps are what senders need.
type Deps struct {
	// Client is for gateways and vendors; all senders share it. See [NewHTTPClient].
	Client *http.Client
	// AllowPrivate is what Client was made with.
	AllowPrivate bool
	// GatewayTimeout is how long a gateway may take; zero is 30 s.
	GatewayTimeout time.Duration
	// Console is where the provider console prints; nil takes that provider away.
	Console io.Writer
	// Inbox, when set, gets the texts of the providers inbox and console: the demo
	// has one.
	Inbox *Inbox
	// Receipts is told what becomes of messages by senders whose connection brings it,
	// as SMPP does; nil: nobody is. It is called by one goroutine of each such sender,
	// and the next receipt waits for its return. An error says that the receipt is not
	// kept: it comes again, and until it is kept the route keeps what comes behind it.
	// It is told of any message that the route knows: of those of other servers, too,
	// and of a message whose Send has not returned yet, whose name the caller has had
	// no time to write down.
	Receipts func(context.Context, Receipt) error
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Clock returns the clock.
func (d Deps) Clock() func() time.Time {
	if d.Now == nil {
		return time.Now
	}
	return d.Now
}

// NewSender makes the sender that the option provider names. It returns nil when
// something is wrong, which o.Problems tells then.
func NewSender(o *Options, d Deps) Sender {
	before := len(*o.found)
	provider := o.Text("provider")
	var s Sender
	switch {
	case provider == "sms_gateway":
		s = newGateway(o, d)
	case provider == "twilio":
		s = newTwilio(o, d)
	case provider == "vonage":
		s = newVonage(o, d)
	case provider == "sns":
		s = newSNS(o, d)
	case provider == "smpp":
		s = newSMPP(o, d)
	case (provider == "inbox" || provider == "console") && d.Inbox != nil:
		s = d.Inbox
	case provider == "console" && d.Console != nil:
		s = NewConsole(d.Console)
	case provider == "":
		o.Problem("provider", "is missing; one of: "+d.providers())
	default:
		o.Problem("provider", fmt.Sprintf("%q is not one of: %s", provider, d.providers()))
	}
	if len(*o.found) > before {
		return nil
	}
	return s
}

func (d Deps) providers() string {
	names := "sms_gateway, twilio, vonage, sns, smpp"
	if d.Console != nil || d.Inbox != nil {
		names += ", console"
	}
	if d.Inbox != nil {
		names += ", inbox"
	}
	return names
}

// decodeBase64 takes the URL alphabet, which Auth0 names, and the other one,
// padded or not.
func decodeBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(s), "="))
	return base64.RawURLEncoding.DecodeString(s)
}
