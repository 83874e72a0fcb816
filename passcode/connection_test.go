package passcode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

func testDeps() sms.Deps {
	return sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: true}), AllowPrivate: true, Console: io.Discard}
}

func parse(options string, d sms.Deps) (*Connection, error) {
	return ParseConnection(storage.Connection{Name: "sms", Strategy: "sms", Options: json.RawMessage(options)}, Senders{Deps: d})
}

// The example of the design, which is an exported tenant's.
const auth0Options = `{
	"provider": "sms_gateway", "gateway_url": "URL", "from": "+12345678", "strategy": "sms", "name": "sms",
	"syntax": "md_with_macros", "template": "Your verification code is: @@password@@",
	"totp": {"time_step": 180, "length": 6}, "disable_signup": true, "brute_force_protection": false,
	"forward_req_info": "true", "messaging_service_sid": null, "twilio_sid": null, "anything": {"else": 1},
	"gateway_authentication": {"method": "bearer", "subject": "urn:handset", "audience": "urn:MySmsGateway",
		"secret": "SECRET", "secret_base64_encoded": true}
}`

func TestParseConnectionReadsAuth0sOptions(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xfb, 0xff, 0x01, 0xfe}, 9) // all of "+/-_" appear in one alphabet or the other
	for _, secret := range []string{
		"-_8B_vv_Af77_wH--_8B_vv_Af77_wH--_8B_vv_Af77_wH-", "+/8B/vv/Af77/wH++/8B/vv/Af77/wH++/8B/vv/Af77/wH+",
	} {
		var body map[string]any
		var authorization string
		gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			authorization = r.Header.Get("Authorization")
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
		}))
		defer gateway.Close()
		c, err := parse(strings.NewReplacer("URL", gateway.URL, "SECRET", secret).Replace(auth0Options), testDeps())
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "sms" || c.From != "+12345678" || c.Length != 6 || c.Life != 3*time.Minute || !c.SignupDisabled || c.BruteForceProtection {
			t.Errorf("connection %+v", c)
		}
		_, err = c.Routes.To(number(t, "+819012345678"))[0].Send(t.Context(), sms.Message{
			To: number(t, "+819012345678"), From: c.From, Body: c.Text(sms.Fields{Code: "012345"}),
			Request: &sms.RequestInfo{IP: "192.0.2.1", UserAgent: "Mozilla"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if body["body"] != "Your verification code is: 012345" || body["req"] == nil {
			t.Errorf("gateway got %v", body)
		}
		token, err := jwt.ParseSigned(strings.TrimPrefix(authorization, "Bearer "), []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.Claims
		if err := token.Claims(key, &claims); err != nil {
			t.Fatalf("secret %s: %v", secret, err)
		}
		if claims.Issuer != "Auth0" || claims.Subject != "urn:handset" || !claims.Audience.Contains("urn:MySmsGateway") {
			t.Errorf("claims %+v", claims)
		}
	}
}

func TestParseConnectionDefaults(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		`{"provider":"console"}`,
		`{"provider":"console","from":null,"totp":null,"template":null,"syntax":null,"disable_signup":null,
			"brute_force_protection":null,"forward_req_info":null,"gateway_authentication":null,"origin_bound":null}`,
		`{"provider":"console","totp":{}}`,
	} {
		c, err := parse(options, testDeps())
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if c.length() != 6 || c.CodeLife() != 5*time.Minute || c.SignupDisabled || !c.BruteForceProtection || c.From != "" {
			t.Errorf("%s: %+v", options, c)
		}
		got := c.Text(sms.Fields{Code: "012345", Application: "Tiny", Host: "login.example.com"})
		if got != "012345 is your Tiny code. Don't share it with anyone.\n\n@login.example.com #012345" {
			t.Errorf("%s: text %q", options, got)
		}
	}
}

// auth0-passwordless.md §5 G: both syntaxes, what each can name, lengths of codes,
// and the last line by its switch.
func TestTextsOfConnections(t *testing.T) {
	t.Parallel()
	const macros, liquid = "md_with_macros", "liquid"
	fields := sms.Fields{
		Number: number(t, "+819012345678"), Application: "Tiny", Language: "fr-FR,fr;q=0.9", Host: "login.example.com",
	}
	for _, c := range []struct {
		syntax, template, more string
		want                   string
	}{
		{macros, "Your verification code is: @@password@@", "", "Your verification code is: 123456" + bound},
		{macros, "@@code@@ for @@application.name@@ @@phone_number@@ @@request_language@@", "", "123456 for Tiny +819012345678 fr-FR,fr" + bound},
		{liquid, "{{ password }}{{ code }} for {{ application.name }} {{ phone_number }} {{ request_language }}", "", "123456123456 for Tiny +819012345678 fr-FR,fr" + bound},
		{liquid, "{% if request_language contains 'fr-FR' %} Ceci est votre code: @@password@@ {% else %} {{ code }} {% endif %}", "", "Ceci est votre code: 123456" + bound},
		{"", "", `,"totp":{"length":4}`, "1234 est votre code Tiny. Ne le partagez avec personne.\n\n@login.example.com #1234"},
		{liquid, "", `,"totp":{"length":8},"origin_bound":true`, "12345678 est votre code Tiny. Ne le partagez avec personne.\n\n@login.example.com #12345678"},
		{macros, "Code @@code@@", `,"origin_bound":false`, "Code 123456"},
		{liquid, "Code {{ code }}", `,"origin_bound":"false"`, "Code 123456"},
	} {
		template, err := json.Marshal(c.template)
		if err != nil {
			t.Fatal(err)
		}
		options := `{"provider":"console","syntax":"` + c.syntax + `","template":` + string(template) + c.more + `}`
		connection, err := parse(options, testDeps())
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if got := connection.Example(fields); got != c.want {
			t.Errorf("%s gives %q, want %q", options, got, c.want)
		}
	}
}

// bound is the last line of an example of six digits.
const bound = "\n\n@login.example.com #123456"

func TestProviders(t *testing.T) {
	t.Parallel()
	inbox := sms.NewInbox(1, time.Now)
	for name, c := range map[string]struct {
		provider string
		deps     sms.Deps
		want     string // of the error; empty: fine
	}{
		"console":                 {"console", sms.Deps{Console: io.Discard}, ""},
		"console in the demo":     {"console", sms.Deps{Inbox: inbox}, ""},
		"inbox in the demo":       {"inbox", sms.Deps{Inbox: inbox}, ""},
		"inbox elsewhere":         {"inbox", sms.Deps{Console: io.Discard}, `"inbox" is not one of: sms_gateway, twilio, vonage, sns, smpp, console`},
		"console without console": {"console", sms.Deps{}, `"console" is not one of: sms_gateway, twilio, vonage, sns, smpp`},
		"unknown":                 {"carrier-pigeon", sms.Deps{Inbox: inbox}, `"carrier-pigeon" is not one of: sms_gateway, twilio, vonage, sns, smpp, console, inbox`},
		"none":                    {"", sms.Deps{Console: io.Discard}, "is missing; one of: sms_gateway, twilio, vonage, sns, smpp, console"},
	} {
		got, err := parse(`{"provider":"`+c.provider+`"}`, c.deps)
		if c.want == "" {
			if err != nil || len(got.Routes.Senders()) != 1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || err.Error() != "options.provider: "+c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestParseConnectionSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	for options, want := range map[string][]string{
		`[]`:    {"options: is not an object"},
		`"sms"`: {"options: is not an object"},
		`{"provider":1,"from":2,"syntax":"liquids","template":{},"totp":{"time_step":"300","length":6.5},
			"disable_signup":"yes","forward_req_info":1,"brute_force_protection":{}}`: {
			"options.from: is not a string", "options.disable_signup: is neither", "options.brute_force_protection: is neither",
			"options.totp.time_step: is not a whole number", "options.totp.length: is not a whole number",
			"options.template: is not a string", `options.syntax: "liquids" is not one of`,
			"options.provider: is not a string",
		},
		`{"provider":"console","totp":{"time_step":601,"length":3}}`: {
			"options.totp.time_step: is not between 1 and 600", "options.totp.length: is not between 4 and 8",
		},
		`{"provider":"console","totp":{"time_step":0,"length":9}}`: {
			"options.totp.time_step: is not between", "options.totp.length: is not between",
		},
		`{"provider":"console","totp":7,"template":"Hello"}`: {
			"options.totp: is not an object", "options.template: doesn't show the code",
		},
		`{"provider":"sms_gateway"}`: {"options.gateway_url: is missing"},
		`{"provider":"sms_gateway","gateway_url":"http://169.254.169.254/","forward_req_info":"yes",
			"gateway_authentication":{"method":"basic","secret":"hunter2!","secret_base64_encoded":true}}`: {
			"options.gateway_url: is a private or reserved address", "options.forward_req_info: is neither",
			"options.gateway_authentication.method: must be", "options.gateway_authentication.audience: is missing",
			"options.gateway_authentication.secret: is not base64",
		},
		`{"provider":"sms_gateway","gateway_url":"https://e.example","gateway_authentication":{"method":"bearer","audience":"a"}}`: {
			"options.gateway_authentication.secret: is missing",
		},
		`{"provider":"sms_gateway","gateway_url":"https://e.example","gateway_authentication":"none"}`: {
			"options.gateway_authentication: is not an object",
		},
		`{"provider":"console","origin_bound":1,"syntax":"liquid","template":"{% for x in y %}{{ code }}{% endfor %}"}`: {
			"options.origin_bound: is neither", `options.template: has the tag "for"`,
		},
		`{"provider":"console","syntax":"liquid","template":"{% if request_language == 'fr' %}{{ code }}{% endif %}"}`: {
			"options.template: doesn't show the code when no language",
		},
	} {
		_, err := parse(options, testDeps())
		if err == nil {
			t.Errorf("%s: no error", options)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s:\n%v\nwant %s", options, err, w)
			}
		}
		if len(lines) != len(want) {
			t.Errorf("%s: %d problems, want %d:\n%v", options, len(lines), len(want), err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes a secret: %v", err)
		}
	}
	_, err := ParseConnection(storage.Connection{Name: "sms", Strategy: "email"}, Senders{Deps: testDeps()})
	if err == nil || !strings.Contains(err.Error(), `strategy: must be "sms"`) || !strings.Contains(err.Error(), "options.provider") {
		t.Errorf("error %v", err)
	}
}

func FuzzParseConnection(f *testing.F) {
	f.Add(auth0Options)
	f.Add(`{"provider":"console","totp":{"length":8}}`)
	f.Add(`{"provider":null}`)
	f.Add(`[]`)
	deps := sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{}), Console: io.Discard}
	f.Fuzz(func(t *testing.T, options string) {
		c, err := parse(options, deps)
		if err != nil {
			if len(err.(sms.Problems)) == 0 {
				t.Fatal("an error without problems")
			}
			return
		}
		if len(c.Routes.Senders()) != 1 || c.length() < 4 || c.length() > 8 || c.CodeLife() <= 0 || c.CodeLife() > maxLife {
			t.Fatalf("%s gives %+v", options, c)
		}
		if !strings.Contains(c.Text(sms.Fields{Code: "83927461"}), "83927461") {
			t.Fatalf("%s: texts without a code", options)
		}
	})
}

// A connection that changes keeps its own sender unless what makes one changes: an
// account at an SMSC may have one bind, and circuit breakers remember.
func TestAConnectionThatFollowsKeepsItsSender(t *testing.T) {
	t.Parallel()
	senders := Senders{Deps: testDeps()}
	read := func(name storage.ConnectionName, options string, before *Connection) *Connection {
		t.Helper()
		c, err := ParseConnection(storage.Connection{Name: name, Strategy: "sms", Options: json.RawMessage(options)}, senders.Following(before))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const options = `{"provider":"smpp","smpp_host":"smsc.example.com:3550","smpp_system_id":"a"%s}`
	first := read("sms", fmt.Sprintf(options, ""), nil)
	for name, c := range map[string]struct {
		name    storage.ConnectionName
		options string
		kept    bool
	}{
		"nothing":   {"sms", fmt.Sprintf(options, ""), true},
		"the order": {"sms", `{"smpp_system_id": "a", "smpp_host": "smsc.example.com:3550", "provider": "smpp"}`, true},
		"the text": {"sms", fmt.Sprintf(options, `,"template":"@@code@@","syntax":"md_with_macros","totp":{"time_step":60},
			"disable_signup":true,"brute_force_protection":false,"origin_bound":false`), true},
		"the name":     {"sms2", fmt.Sprintf(options, ""), false},
		"the account":  {"sms", fmt.Sprintf(options, `,"smpp_system_id":"b"`), false},
		"the password": {"sms", fmt.Sprintf(options, `,"smpp_password":"hunter2"`), false},
		"the sender":   {"sms", fmt.Sprintf(options, `,"from":"Shop"`), false},
		"the provider": {"sms", `{"provider":"console"}`, false},
	} {
		next := read(c.name, c.options, first)
		same := next.Routes.Senders()[0] == first.Routes.Senders()[0]
		if same != c.kept || first.SharesSender(next) != c.kept {
			t.Errorf("%s changes: the sender is kept: %t, want %t", name, same, c.kept)
		}
	}
	// What follows is checked as if nothing was before.
	if _, err := ParseConnection(storage.Connection{Name: "sms", Strategy: "sms", Options: []byte(`{"provider":"smpp"}`)}, senders.Following(first)); err == nil {
		t.Error("no host, and nothing is wrong")
	}
}

// A connection's own sender is at work where a text can go by it, and nowhere else: what
// is listed for operators is what can be used.
func TestOwnSenderIsAtWorkWhereItCanBeUsed(t *testing.T) {
	t.Parallel()
	const console = `{"provider":"console"}`
	for name, c := range map[string]struct {
		to, via []string
		covered bool
		want    []string
	}{
		"no routes":                      {nil, nil, false, []string{"sms"}},
		"routes to some":                 {[]string{"JP"}, []string{"main"}, false, []string{"main", "sms"}},
		"routes to all countries":        {[]string{"JP"}, []string{"main"}, true, []string{"main"}},
		"routes to all, one by this one": {[]string{"JP"}, []string{"main", "sms"}, true, []string{"main", "sms"}},
	} {
		sending := Sending{Deps: testDeps(), Covered: c.covered, Senders: []NamedOptions{{Name: "main", Options: []byte(console)}}}
		if c.to != nil {
			sending.Rules = []Rule{{To: c.to, Via: c.via}}
		}
		senders, err := sending.Open()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseConnection(storage.Connection{Name: "sms", Strategy: "sms", Options: []byte(console)}, senders)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range parsed.Routes.Senders() {
			got = append(got, n.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: at work are %q, want %q", name, got, c.want)
		}
		// One that is not at work is checked all the same.
		if _, err := ParseConnection(storage.Connection{Name: "sms", Strategy: "sms", Options: []byte(`{"provider":"smpp"}`)}, senders); err == nil {
			t.Errorf("%s: no host, and nothing is wrong", name)
		}
	}
}

// closing is a sender that says when it is closed.
type closing struct {
	senderFunc
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return nil
}

// The sender of a connection that was replaced goes when its last text has gone.
func TestARetiredConnectionLetsItsTextsGo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release, closed := make(chan struct{}), make(chan struct{})
	own := sms.NewNamed("sms", "", closing{func(context.Context, sms.Message) error { <-release; return nil }, closed}, r.clock.Now)
	r.conn = &Connection{Name: "sms", Routes: sms.NewRoutes(nil, own), own: &ownSender{Named: own}}
	r.mustSend("login:1", func(s *SendRequest) { s.Wait = 0 })
	done := make(chan error, 1)
	go func() { done <- r.conn.Retire(t.Context()) }()
	select {
	case <-closed:
		t.Error("closed while a text is on its way")
	default:
	}
	close(release)
	<-closed
	if err := errors.Join(<-done, r.conn.Close()); err != nil { // once is enough
		t.Error(err)
	}
}
