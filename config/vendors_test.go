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
	"github.com/google/go-cmp/cmp/cmpopts"
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
	return asMap(t, c.Connections[0].Options)
}

// asMap returns options as they are.
func asMap(t *testing.T, o Options) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(o.JSON(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The three settings of the Durable Functions sample are enough to text by Twilio.
func TestTwilioFromTheEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{"TwilioAccountSid=" + testTwilioSID, "TwilioAuthToken=hunter2hunter2", "TwilioPhoneNumber=+15005550006"}
	other := strings.Replace(testTwilioSID, "a", "b", 1)
	account := func(more map[string]any) map[string]any {
		out := map[string]any{"provider": "twilio", "twilio_sid": testTwilioSID, "twilio_token": "hunter2hunter2", "from": "+15005550006"}
		maps.Copy(out, more)
		return out
	}
	all := []Route{{To: []string{"all"}, Via: []string{"twilio"}}}
	const gateway = `provider: sms_gateway, gateway_url: "https://g.example/"`
	for name, c := range map[string]struct {
		text     string
		options  map[string]any // of the connection
		sender   map[string]any // named twilio
		routes   []Route
		warnings []string
	}{
		"nothing else":       {minimal, nil, account(nil), all, nil},
		"a bare connection":  {connectionWith(`disable_signup: true`), map[string]any{"disable_signup": true}, account(nil), all, nil},
		"no account":         {connectionWith(`provider: twilio, timeout: 5`), account(map[string]any{"timeout": 5.0}), nil, nil, nil},
		"a name of its own":  {connectionWith(`provider: twilio, from: Shop`), account(map[string]any{"from": "Shop"}), nil, nil, nil},
		"a gateway":          {connectionWith(gateway), map[string]any{"provider": "sms_gateway", "gateway_url": "https://g.example/"}, account(nil), nil, []string{"senders.twilio"}},
		"a gateway, a route": {connectionWith(gateway) + "routes: [{to: [JP], via: [twilio, sms]}]\n", map[string]any{"provider": "sms_gateway", "gateway_url": "https://g.example/"}, account(nil), []Route{{To: []string{"JP"}, Via: []string{"twilio", "sms"}}}, nil},
		"a sender":           {minimal + "senders: {twilio: {provider: twilio, from: Shop}}\nroutes: [{to: [all], via: [twilio]}]\n", nil, account(map[string]any{"from": "Shop"}), all, nil},
		"a sender with all": {minimal + "senders: {twilio: {provider: twilio, from: Shop, twilio_sid: " + other + ", twilio_token: other}}\nroutes: [{to: [all], via: [twilio]}]\n", nil,
			map[string]any{"provider": "twilio", "from": "Shop", "twilio_sid": other, "twilio_token": "other"}, all, []string{"TwilioAccountSid"}},
	} {
		loaded, warnings, err := load(t, c.text, environ...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var options, sender map[string]any
		if len(loaded.Connections) > 0 {
			options = asMap(t, loaded.Connections[0].Options)
		}
		if o, ok := loaded.Senders["twilio"]; ok {
			sender = asMap(t, o)
		}
		var warned []string
		for _, w := range warnings {
			warned = append(warned, w.Path)
		}
		for what, d := range map[string]string{
			"connection": cmp.Diff(c.options, options), "sender": cmp.Diff(c.sender, sender),
			"routes": cmp.Diff(c.routes, loaded.Routes, cmpopts.EquateEmpty()), "warnings": cmp.Diff(c.warnings, warned),
		} {
			if d != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, what, d)
			}
		}
		if found := loaded.ValidateServe(); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
		text, err := loaded.YAML()
		if err != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: %v, printed:\n%s", name, err, text)
		}
	}
	c := mustLoad(t, connectionWith(`provider: twilio, messaging_service_sid: `+testService), environ...)
	if got := optionsOf(t, c); got["from"] != nil || got["twilio_sid"] != testTwilioSID {
		t.Errorf("a service of its own: %v", got)
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
	if got := problemsOf(t, err); len(got) != 1 || !strings.HasPrefix(got[0], "senders.twilio.twilio_sid: is not AC") {
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
	c := mustLoad(t, minimal+"senders: {main: {provider: sns}}\nroutes: [{to: [all], via: [main]}]\n", environ...)
	if got := asMap(t, c.Senders["main"]); got["aws_access_key_id"] != "AKID" || got["sns_region"] != "eu-west-1" {
		t.Errorf("a sender: %v", got)
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
		"smpp_password":           `provider: smpp, smpp_host: "smsc.example.com:3550", smpp_system_id: a`,
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

func TestCertificatesOfAnSMSC(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("a certificate\nof two lines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, connectionWith("provider: console, smpp_ca_file: "+file))
	if got := optionsOf(t, c); got["smpp_ca"] != "a certificate\nof two lines" || got["smpp_ca_file"] != nil {
		t.Errorf("options %v", got)
	}
}

func TestSMPPInClearIsWarnedAbout(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]int{
		`smpp_host: "smsc.example.com:2775", smpp_tls: false`:   1,
		`smpp_host: "smsc.example.com:2775", smpp_tls: "false"`: 1,
		`smpp_host: "smsc.example.com:3550", smpp_tls: true`:    0,
		`smpp_host: "smsc.example.com:3550"`:                    0,
		`smpp_host: "10.1.2.3:2775", smpp_tls: false`:           0,
	} {
		_, warnings, err := load(t, "allow_private_gateways: true\n"+connectionWith("provider: smpp, smpp_system_id: a, "+options))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, w := range warnings {
			if w.Path == "connections[0].options.smpp_tls" {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %v", options, warnings)
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
