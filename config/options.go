package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/passcode/sms"
)

// Options are the options of a connection, in Auth0's words, as JSON. They
// hold secrets, so every way to print them gives "(hidden)"; see [Options.Redacted].
type Options struct{ json Secret }

// NewOptions wraps options given as JSON text.
func NewOptions(text string) Options { return Options{NewSecret(text)} }

// JSON returns the options with their secrets, an object.
func (o Options) JSON() json.RawMessage {
	if o.json.IsZero() {
		return json.RawMessage("{}")
	}
	return json.RawMessage(o.json.Reveal())
}

// String is "(hidden)".
func (o Options) String() string { return o.json.String() }

// GoString is String.
func (o Options) GoString() string { return o.String() }

// LogValue is String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText is String.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// secretOptions are the options whose values are never shown, wherever they stand.
var secretOptions = []string{
	"secret", "twilio_token", "vonage_api_secret", "vonage_signature_secret", "aws_secret_access_key",
	"aws_session_token", "receipt_secret", "smpp_password",
}

// Redacted returns the options with "(hidden)" in place of each secret.
func (o Options) Redacted() map[string]any {
	return redact(o.values())
}

func redact(m map[string]any) map[string]any {
	for key, v := range m {
		if address, ok := v.(string); ok && key == "gateway_url" {
			m[key] = NewAddress(address).String() // gateways take keys in the query
		}
		if inner, ok := v.(map[string]any); ok {
			m[key] = redact(inner)
		} else if slices.Contains(secretOptions, key) && v != "" && v != nil {
			m[key] = hidden
		}
	}
	return m
}

// GatewayURL returns the address of the gateway when the connection has one.
func (o Options) GatewayURL() (string, bool) {
	values := o.values()
	address, ok := values["gateway_url"].(string)
	return address, ok && values["provider"] == "sms_gateway"
}

// values returns a copy of the options as a map; the caller may change it.
func (o Options) values() map[string]any {
	out := map[string]any{}
	if json.Unmarshal(o.JSON(), &out) != nil || out == nil {
		return map[string]any{}
	}
	return out
}

func (o *Options) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want keys and values here")
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		d.problem(path, "holds a value that JSON can't express")
		return
	}
	*o = NewOptions(string(text))
}

// readSecret puts the content of files in the place of secrets.
func (o *Options) readSecret(d *decoder, path string) {
	values := o.values()
	readSecretOptions(values, d, path)
	if auth, ok := values["gateway_authentication"].(map[string]any); ok {
		readSecretOptions(auth, d, path+".gateway_authentication")
	}
	o.replace(values)
}

// replace puts other options in the place of these.
func (o *Options) replace(values map[string]any) {
	text, err := json.Marshal(values)
	if err != nil {
		panic("config: options do not marshal: " + err.Error()) // unreachable: they came from JSON
	}
	*o = NewOptions(string(text))
}

// Providers of texts: those that this version has, and those that Auth0 or a
// later version has.
var (
	providers      = []string{"console", "smpp", "sms_gateway", "sns", "twilio", "vonage"}
	laterProviders = []string{"phone_message_hook"}
)

// knownOptions are Auth0's options of an SMS connection (its SDKs' types) and
// ours: origin_bound and those of senders. Those of other providers are kept and not used.
var knownOptions = []string{
	"authParams", "aws_access_key_id", "aws_secret_access_key", "aws_secret_access_key_file",
	"aws_session_token", "aws_session_token_file", "brute_force_protection", "disable_signup",
	"forward_req_info", "from", "gateway_authentication", "gateway_url", "messaging_service_sid",
	"name", "non_persistent_attrs", "origin_bound", "provider", "receipt_secret", "receipt_secret_file",
	"sender_id", "smpp_ca", "smpp_ca_file", "smpp_destination_npi", "smpp_destination_ton",
	"smpp_enquire_link", "smpp_host", "smpp_long", "smpp_password", "smpp_password_file", "smpp_rate",
	"smpp_receipt_id", "smpp_source_npi", "smpp_source_ton", "smpp_system_id", "smpp_system_type",
	"smpp_tls", "smpp_window", "sns_max_price", "sns_region", "strategy", "syntax", "template", "timeout", "totp",
	"twilio_edge", "twilio_region", "twilio_sid", "twilio_token", "twilio_token_file",
	"upstream_params", "vonage_api_key", "vonage_api_secret", "vonage_api_secret_file",
	"vonage_signature_secret", "vonage_signature_secret_file",
}

// connectionOptions are those of knownOptions that say nothing of how texts leave.
var connectionOptions = []string{
	"authParams", "brute_force_protection", "disable_signup", "name", "non_persistent_attrs",
	"origin_bound", "strategy", "syntax", "template", "totp", "upstream_params",
}

// optionCheck checks the options of one connection or sender.
type optionCheck struct {
	*report
	path    string
	private bool // gateways may be private
	sender  bool // of a sender
}

// check checks the options of a connection, which needs no provider where routes
// send by others.
func (o Options) check(r *report, path string, allowPrivate, routed bool) {
	o.checkAll(optionCheck{report: r, path: path, private: allowPrivate}, !routed)
}

func (o Options) checkSender(r *report, path string, allowPrivate bool) {
	o.checkAll(optionCheck{report: r, path: path, private: allowPrivate, sender: true}, true)
}

func (o Options) checkAll(c optionCheck, needsProvider bool) {
	values := o.values()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		c.option(key, values[key])
	}
	if !c.sender {
		c.template(values["syntax"], values["template"])
	}
	provider, _ := values["provider"].(string)
	url, _ := values["gateway_url"].(string)
	switch {
	case values["provider"] == nil && needsProvider:
		c.problem(c.path+".provider", "missing: set it to "+choice(providers))
	case provider == "sms_gateway" && url == "":
		c.problem(c.path+".gateway_url", "missing: set it to the address of your gateway")
	case provider == "console":
		c.warn(c.path+".provider", "console prints codes to the log: for development only")
	case slices.Contains(vendors, provider):
		c.vendor(values)
	}
	if provider == "smpp" {
		c.smpp(values)
	}
}

func (c optionCheck) option(key string, v any) {
	path := join(c.path, key)
	if v == nil && key != "provider" { // null is the same as absent
		return
	}
	if c.sender && slices.Contains(connectionOptions, key) {
		c.problem(path, "belongs to the connection: a sender says how texts leave, not what they say")
		return
	}
	switch key {
	case "provider":
		c.provider(path, v)
	case "gateway_url":
		c.gatewayURL(path, v)
	case "gateway_authentication":
		c.authentication(path, v)
	case "receipt_secret":
		c.receiptSecret(path, v)
	case "totp":
		c.totp(path, v)
	case "from", "syntax", "template":
		if _, ok := v.(string); !ok {
			c.problem(path, `want text: put it in quotes, "like this"`)
		}
	case "disable_signup", "brute_force_protection", "origin_bound":
		if _, ok := v.(bool); !ok {
			c.problem(path, "want true or false")
		}
	case "forward_req_info":
		if _, ok := v.(bool); !ok && v != "true" && v != "false" {
			c.problem(path, `want "true" or "false"`)
		}
	default:
		if !slices.Contains(knownOptions, key) {
			message := "unknown option; the options are " + list(knownOptions)
			if near := nearest(key, knownOptions); near != "" {
				message = "unknown option; did you mean " + near + "?"
			}
			c.problem(path, message)
		}
	}
}

func (c optionCheck) provider(path string, v any) {
	name, _ := v.(string)
	switch {
	case slices.Contains(providers, name):
	case slices.Contains(laterProviders, name):
		c.problem(path, name+" is not supported by this version; use "+choice(providers))
	default:
		c.problem(path, "unknown provider; use "+choice(providers))
	}
}

// template looks at the two together. What is no text has its problem already.
func (c optionCheck) template(syntax, template any) {
	s, syntaxIsText := syntax.(string)
	text, templateIsText := template.(string)
	if !syntaxIsText && syntax != nil || !templateIsText && template != nil {
		return
	}
	_, err := sms.ParseTemplate(s, text)
	if unknown, ok := errors.AsType[*sms.SyntaxError](err); ok {
		c.problem(join(c.path, "syntax"), unknown.Error())
	} else if err != nil {
		c.problem(join(c.path, "template"), err.Error())
	}
}

func (c optionCheck) gatewayURL(path string, v any) {
	raw, _ := v.(string)
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		c.problem(path, "want an http or https address")
		return
	}
	if u.User != nil {
		c.problem(path, "must not hold a user or password; use gateway_authentication")
	}
	if u.Fragment != "" {
		c.problem(path, "must not have a fragment")
	}
	private := privateHost(u.Hostname())
	if private && !c.private {
		c.problem(path, "is a loopback or private address; when that is meant, set allow_private_gateways: true")
	}
	if u.Scheme == "http" && !private {
		c.warn(path, "is http: numbers and codes cross the network in clear")
	}
}

// privateHost looks at names and literals only; a name that resolves to a
// private address is refused when it is called.
func privateHost(host string) bool {
	if isLocalhost(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()
}

func isLocalhost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (c optionCheck) authentication(path string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		c.problem(path, "want keys and values here")
		return
	}
	known := []string{"method", "subject", "audience", "secret", "secret_file", "secret_base64_encoded"}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch _, isText := m[key].(string); {
		case !slices.Contains(known, key):
			c.problem(join(path, key), "unknown key; the keys here are "+list(known))
		case key == "secret_base64_encoded":
			if _, ok := m[key].(bool); !ok {
				c.problem(join(path, key), "want true or false")
			}
		case !isText:
			c.problem(join(path, key), `want text: put it in quotes, "like this"`)
		}
	}
	if m["method"] != "bearer" {
		c.problem(path+".method", "want bearer, the only method there is")
	}
	if audience, _ := m["audience"].(string); audience == "" {
		c.problem(path+".audience", "missing: what the gateway expects as aud")
	}
	if secret, _ := m["secret"].(string); secret == "" && m["secret_file"] == nil {
		c.problem(path+".secret", "missing: set secret or secret_file")
	}
}

func (c optionCheck) receiptSecret(path string, v any) {
	secret, ok := v.(string)
	if !ok {
		c.problem(path, `want text: put it in quotes, "like this"`)
	} else if err := sms.CheckReceiptSecret(secret); err != nil {
		c.problem(path, err.Error())
	}
}

func (c optionCheck) totp(path string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		c.problem(path, "want {time_step: 300, length: 6}")
		return
	}
	bounds := map[string][2]float64{"length": {4, 8}, "time_step": {1, 600}}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b, known := bounds[key]
		n, isNumber := m[key].(float64)
		switch {
		case !known:
			c.problem(join(path, key), "unknown key; the keys here are length and time_step")
		case !isNumber || n != float64(int(n)) || n < b[0] || n > b[1]:
			c.problem(join(path, key), fmt.Sprintf("want a whole number from %v to %v", b[0], b[1]))
		}
	}
}
