package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	testTwilioSID = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	testService   = "MG00000000000000000000000000000001"
)

// connectionWith is a file with one connection.
func connectionWith(options string) string {
	return minimal + "connections:\n  - {name: sms, strategy: sms, options: {" + options + "}}\n"
}

// optionsOf returns the options of the first connection.
func optionsOf(t *testing.T, c *Config) map[string]any {
	t.Helper()
	if len(c.Connections) != 1 {
		t.Fatalf("%d connections", len(c.Connections))
	}
	var out map[string]any
	if err := json.Unmarshal(c.Connections[0].Options.JSON(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The three settings of the Durable Functions sample are enough to text by Twilio.
func TestTwilioFromTheEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{"TwilioAccountSid=" + testTwilioSID, "TwilioAuthToken=hunter2hunter2", "TwilioPhoneNumber=+15005550006"}
	all := map[string]any{"provider": "twilio", "twilio_sid": testTwilioSID, "twilio_token": "hunter2hunter2", "from": "+15005550006"}
	with := func(more map[string]any) map[string]any {
		out := maps.Clone(all)
		maps.Copy(out, more)
		return out
	}
	for name, c := range map[string]struct {
		text string
		want map[string]any
	}{
		"no connection":            {minimal, all},
		"no provider":              {connectionWith(`disable_signup: true`), with(map[string]any{"disable_signup": true})},
		"no account":               {connectionWith(`provider: twilio, timeout: 5`), with(map[string]any{"timeout": 5.0})},
		"a sender of its own":      {connectionWith(`provider: twilio, from: Shop`), with(map[string]any{"from": "Shop"})},
		"an account of its own":    {connectionWith(`provider: twilio, from: Shop, twilio_sid: ` + strings.Replace(testTwilioSID, "a", "b", 1) + `, twilio_token: other`), nil},
		"a service of its own":     {connectionWith(`provider: twilio, messaging_service_sid: ` + testService), nil},
		"a provider of its own":    {connectionWith(`provider: console`), map[string]any{"provider": "console"}},
		"nothing for other people": {connectionWith(`provider: sms_gateway, gateway_url: "https://g.example/"`), map[string]any{"provider": "sms_gateway", "gateway_url": "https://g.example/"}},
	} {
		loaded, warnings, err := load(t, c.text, environ...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := optionsOf(t, loaded)
		switch name {
		case "an account of its own":
			c.want = map[string]any{"provider": "twilio", "twilio_sid": strings.Replace(testTwilioSID, "a", "b", 1), "twilio_token": "other", "from": "Shop"}
		case "a service of its own":
			c.want = with(map[string]any{"messaging_service_sid": testService})
			delete(c.want, "from")
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		used := got["twilio_sid"] == testTwilioSID
		warned := slices.ContainsFunc(warnings, func(w Warning) bool { return w.Path == "TwilioAccountSid" })
		if used == warned {
			t.Errorf("%s: used %t, warned %t", name, used, warned)
		}
		text, err := loaded.YAML()
		if err != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: %v, printed:\n%s", name, err, text)
		}
	}
}

func TestHalfOfTwilioInTheEnvironment(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string][]string{
		"TwilioAccountSid=" + testTwilioSID: {"TwilioAuthToken", "TwilioPhoneNumber"},
		"TwilioAuthToken=hunter2":           {"TwilioAccountSid", "TwilioPhoneNumber"},
		"TwilioPhoneNumber=+15005550006":    {"TwilioAccountSid", "TwilioAuthToken"},
	} {
		_, _, err := load(t, minimal, environ, "TwilioNothing=1")
		var got []string
		for _, problem := range problemsOf(t, err) {
			name, text, _ := strings.Cut(problem, ": ")
			if got = append(got, name); text != "missing: TwilioAccountSid, TwilioAuthToken and TwilioPhoneNumber go together" {
				t.Errorf("%s: %s", environ, problem)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", environ, d)
		}
	}
	if _, _, err := load(t, minimal, "TwilioAccountSid=", "TwilioAuthToken=", "TwilioPhoneNumber="); err != nil {
		t.Errorf("empty variables: %v", err)
	}
	_, _, err := load(t, minimal, "TwilioAccountSid=AC1", "TwilioAuthToken=hunter2", "TwilioPhoneNumber=+1")
	if got := problemsOf(t, err); len(got) != 1 || !strings.HasPrefix(got[0], "connections[0].options.twilio_sid: is not AC") {
		t.Errorf("a bad SID: %v", got)
	}
}

func TestAmazonFromTheEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{
		"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SESSION_TOKEN=hunter2too",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=eu-west-1",
	}
	for options, want := range map[string]map[string]any{
		`provider: sns`: {"provider": "sns", "sns_region": "eu-west-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "hunter2", "aws_session_token": "hunter2too"},
		`provider: sns, sns_region: ap-south-1, aws_access_key_id: mine, aws_secret_access_key: own`: {
			"provider": "sns", "sns_region": "ap-south-1", "aws_access_key_id": "mine", "aws_secret_access_key": "own"},
		`provider: console`: {"provider": "console"},
	} {
		c := mustLoad(t, connectionWith(options), environ...)
		if d := cmp.Diff(want, optionsOf(t, c)); d != "" {
			t.Errorf("%s (-want +got):\n%s", options, d)
		}
	}
	// One's own key does not go with the environment's secret.
	_, _, err := load(t, connectionWith(`provider: sns, aws_access_key_id: mine`), environ...)
	if got := problemsOf(t, err); len(got) != 1 || got[0] != "connections[0].options.aws_secret_access_key: is missing" {
		t.Errorf("half a key: %v", got)
	}
}

// Each secret of a vendor can stand in a file, and is printed nowhere.
func TestSecretsOfVendors(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"twilio_token":            `provider: twilio, from: Shop, twilio_sid: ` + testTwilioSID,
		"vonage_api_secret":       `provider: vonage, from: Shop, vonage_api_key: k`,
		"vonage_signature_secret": `provider: vonage, from: Shop, vonage_api_key: k, vonage_api_secret: s`,
		"aws_secret_access_key":   `provider: sns, sns_region: eu-west-1, aws_access_key_id: k`,
		"aws_session_token":       `provider: sns, sns_region: eu-west-1, aws_access_key_id: k, aws_secret_access_key: s`,
		"receipt_secret":          `provider: sms_gateway, gateway_url: "https://g.example/"`,
	}
	for _, key := range secretOptions {
		options, ok := good[key]
		if !ok && key != "secret" {
			t.Errorf("no test of %s", key)
		}
		if key == "secret" {
			continue
		}
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte("hunter2hunter2hunter2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := mustLoad(t, connectionWith(fmt.Sprintf("%s, %s_file: %s", options, key, file)))
		if got := optionsOf(t, c); got[key] != "hunter2hunter2hunter2" || got[key+"_file"] != nil {
			t.Errorf("%s: %v", key, got)
		}
		text, err := c.YAML()
		if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), key+": (hidden)") {
			t.Errorf("%s: %v, printed:\n%s", key, err, text)
		}
		for file, want := range map[string]string{
			"/nowhere/x": key + "_file: there is no file /nowhere/x",
			file + ", " + key + ": x0123456789abcdef": key + ": set " + key + " or " + key + "_file, not both",
		} {
			_, _, err := load(t, connectionWith(fmt.Sprintf("%s, %s_file: %s", options, key, file)))
			if got := problemsOf(t, err); len(got) != 1 || got[0] != "connections[0].options."+want {
				t.Errorf("%s: %v, want %s", key, got, want)
			}
		}
	}
}

func TestOptionsOfVendors(t *testing.T) {
	t.Parallel()
	for options, want := range map[string][]string{
		`provider: twilio, twilio_sid: 7, from: 7`: {
			"from: want text", "twilio_sid: is not a string", "twilio_token: is missing"},
		`provider: vonage, vonage_api_ky: k, from: Shop`: {
			"vonage_api_ky: unknown option; did you mean vonage_api_key?", "vonage_api_key: is missing", "vonage_api_secret: is missing"},
		`provider: sns, sns_region: eu-west-1, aws_access_key_id: k, aws_secret_access_key: s, sender_id: "123", timeout: soon`: {
			"timeout: is not a whole number of seconds", "sender_id: is not 1 to 11"},
		`provider: sms_gateway, gateway_url: "https://g.example/", receipt_secret: short`: {"receipt_secret: is shorter than 16 bytes"},
		`provider: sms_gateway, gateway_url: "https://g.example/", receipt_secret: 7`:     {"receipt_secret: want text"},
	} {
		_, _, err := load(t, connectionWith(options))
		got := problemsOf(t, err)
		slices.Sort(got)
		slices.Sort(want)
		if len(got) != len(want) {
			t.Errorf("%s: got %d problems, want %d:\n%s", options, len(got), len(want), strings.Join(got, "\n"))
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], "connections[0].options."+want[i]) {
				t.Errorf("%s: %s, want %s", options, got[i], want[i])
			}
		}
	}
}
