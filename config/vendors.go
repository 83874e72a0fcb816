package config

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
)

// vendors are the providers whose options the sender itself knows best.
var vendors = []string{"smpp", "sns", "twilio", "vonage"}

// vendor reports what the provider's own sender finds wrong with options, except
// where something was reported already: a wrong type, or a file of a secret that
// can't be read.
func (c optionCheck) vendor(values map[string]any) {
	text, err := json.Marshal(values)
	if err != nil {
		panic("config: options do not marshal: " + err.Error()) // unreachable: they came from JSON
	}
	o := sms.ReadOptions(text, c.path)
	sms.NewSender(o, sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{}), AllowPrivate: c.private})
	for _, p := range o.Problems() {
		key := strings.TrimPrefix(p.Path, c.path+".")
		known := slices.ContainsFunc(c.problems, func(q Problem) bool { return q.Path == p.Path })
		if !known && values[key+"_file"] == nil {
			c.problem(p.Path, p.Text)
		}
	}
}

// smpp warns of an SMSC that is spoken to in clear, and knows this machine by its
// name, which the sender itself would look up.
func (c optionCheck) smpp(values map[string]any) {
	address, _ := values["smpp_host"].(string)
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return // reported already
	}
	if isLocalhost(host) && !c.private {
		c.problem(join(c.path, "smpp_host"), "is a loopback or private address; when that is meant, set allow_private_gateways: true")
	}
	if plain := values["smpp_tls"]; (plain == false || plain == "false") && !privateHost(host) {
		c.warn(join(c.path, "smpp_tls"), "is off: the password, numbers and codes cross the network in clear")
	}
}

// readSecretOptions puts the content of files in the place of secrets: that of
// twilio_token_file in the place of twilio_token. Certificates are no secret, and as
// long as files are.
func readSecretOptions(values map[string]any, d *decoder, path string) {
	for _, key := range append([]string{"smpp_ca"}, secretOptions...) {
		name, ok := values[key+"_file"].(string)
		if !ok {
			continue
		}
		if values[key] != nil {
			d.problem(join(path, key), "set "+key+" or "+key+"_file, not both")
			continue
		}
		if secret, ok := d.file(join(path, key+"_file"), name); ok {
			delete(values, key+"_file")
			values[key] = secret
		}
	}
}

// twilioVariables are the names by which the Durable Functions sample of phone
// verification sets Twilio up, and our options of the same meaning.
var twilioVariables = map[string]string{
	"TwilioAccountSid": "twilio_sid", "TwilioAuthToken": "twilio_token", "TwilioPhoneNumber": "from",
}

// awsVariables are those of Amazon's own tools.
var awsVariables = map[string]string{
	"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key", "AWS_SESSION_TOKEN": "aws_session_token",
}

// fillVendors completes the options of vendors with what the environment says of
// them. What stands in the file wins.
func fillVendors(c *Config, environ []string, d *decoder) {
	set := map[string]string{}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			set[name] = value
		}
	}
	fillTwilio(c, set, d)
	c.eachProvider("sns", func(values map[string]any) {
		// One key of two accounts would be no key: the file has all, or none.
		if !has(values, "aws_access_key_id", "aws_secret_access_key") {
			for name, key := range awsVariables {
				fill(values, key, set[name])
			}
		}
		fill(values, "sns_region", set["AWS_REGION"])
		fill(values, "sns_region", set["AWS_DEFAULT_REGION"])
	})
}

// eachProvider changes the options of each connection and sender of a provider.
func (c *Config) eachProvider(name string, change func(values map[string]any)) {
	do := func(o Options) Options {
		if values := o.values(); values["provider"] == name {
			change(values)
			o.replace(values)
		}
		return o
	}
	for i := range c.Connections {
		c.Connections[i].Options = do(c.Connections[i].Options)
	}
	for name, o := range c.Senders {
		c.Senders[name] = do(o)
	}
}

// twilioSender is the sender that the environment makes.
const twilioSender = "twilio"

// fillTwilio gives an account to those who have provider twilio and none. When
// nobody has, it makes a sender of it, by which all texts go where the file says
// nothing else.
func fillTwilio(c *Config, set map[string]string, d *decoder) {
	names := slices.Sorted(maps.Keys(twilioVariables))
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return set[name] != "" })
	if len(missing) == len(names) {
		return
	}
	for _, name := range missing {
		d.problem(name, "missing: "+list(names)+" go together")
	}
	if len(missing) > 0 {
		return
	}
	used := false
	c.eachProvider("twilio", func(values map[string]any) {
		if has(values, "twilio_sid", "twilio_token") {
			return
		}
		for name, key := range twilioVariables {
			if key != "from" || values["messaging_service_sid"] == nil {
				fill(values, key, set[name])
			}
		}
		used = true
	})
	if used {
		return
	}
	if c.isSender(twilioSender) {
		d.warn(names[0], "the sender "+twilioSender+" has its own account; ignored")
		return
	}
	values := map[string]any{"provider": "twilio"}
	for name, key := range twilioVariables {
		values[key] = set[name]
	}
	var o Options
	o.replace(values)
	if c.Senders == nil {
		c.Senders = Senders{}
	}
	c.Senders[twilioSender] = o
	if _, own := c.OwnSender(); len(c.Routes) == 0 && (len(c.Connections) == 0 || !own) {
		c.Routes = []Route{{To: []string{phone.AllRegions}, Via: []string{twilioSender}}}
	}
}

// has reports whether one of the keys is set, by file or otherwise.
func has(values map[string]any, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return values[key] != nil || values[key+"_file"] != nil })
}

// fill sets a key that is not set yet.
func fill(values map[string]any, key, value string) {
	if values[key] == nil && value != "" {
		values[key] = value
	}
}
