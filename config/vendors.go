package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/passcode/sms"
)

// vendors are the providers whose options the sender itself knows best.
var vendors = []string{"sns", "twilio", "vonage"}

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

// readSecretOptions puts the content of files in the place of secrets: that of
// twilio_token_file in the place of twilio_token.
func readSecretOptions(values map[string]any, d *decoder, path string) {
	for _, key := range secretOptions {
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
	for i := range c.Connections {
		o := &c.Connections[i].Options
		values := o.values()
		if values["provider"] != "sns" {
			continue
		}
		// One key of two accounts would be no key: the file has all, or none.
		if !has(values, "aws_access_key_id", "aws_secret_access_key") {
			for name, key := range awsVariables {
				fill(values, key, set[name])
			}
		}
		fill(values, "sns_region", set["AWS_REGION"])
		fill(values, "sns_region", set["AWS_DEFAULT_REGION"])
		o.replace(values)
	}
}

// fillTwilio makes texts go by Twilio where the file says by nothing else.
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
	if len(c.Connections) == 0 {
		c.Connections = []Connection{{Name: "sms", Strategy: "sms"}}
	}
	used := false
	for i := range c.Connections {
		o := &c.Connections[i].Options
		values := o.values()
		fill(values, "provider", "twilio")
		if values["provider"] != "twilio" || has(values, "twilio_sid", "twilio_token") {
			continue
		}
		for name, key := range twilioVariables {
			if key != "from" || values["messaging_service_sid"] == nil {
				fill(values, key, set[name])
			}
		}
		o.replace(values)
		used = true
	}
	if !used {
		d.warn(names[0], "no connection takes its account from the environment; ignored")
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
