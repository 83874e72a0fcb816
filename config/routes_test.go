package config

import (
	"strings"
	"testing"
	"time"
)

const twoSenders = `
countries: [JP, US]
connections:
  - {name: sms, strategy: sms, options: {from: Example}}
senders:
  main: {provider: sms_gateway, gateway_url: "https://a.example/send", gateway_authentication: {method: bearer, audience: a, secret: "hunter2hunter2"}}
  backup: {provider: sms_gateway, gateway_url: "https://b.example/send?key=hunter3", from: Other}
`

func TestSendersAndRoutes(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "issuer: https://login.example.com/"+twoSenders+`
routes:
  - {to: [JP, "+8190"], via: [main, backup]}
  - {to: [all], via: [backup]}
`)
	if problems := c.ValidateServe(); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	if len(c.Senders) != 2 || !strings.Contains(string(c.Senders["backup"].JSON()), "b.example") ||
		len(c.Routes) != 2 || c.Routes[0].Via[1] != "backup" || c.Routes[0].To[1] != "+8190" {
		t.Errorf("senders %v, routes %v", c.Senders, c.Routes)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter") || !strings.Contains(string(text), "backup") {
		t.Errorf("config print shows a secret, or no sender:\n%s", text)
	}
}

func TestSenderAndRouteProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a name that is no path":     {"senders: {\"a/b\": {provider: console}}", "senders.a/b: want a name of letters"},
		"a name of a connection":     {"senders: {sms: {provider: console}}", "senders.sms: has the name of a connection"},
		"no provider":                {"senders: {main: {from: X}}", "senders.main.provider: missing"},
		"no gateway":                 {"senders: {main: {provider: sms_gateway}}", "senders.main.gateway_url: missing"},
		"unknown key":                {"senders: {main: {provider: console, form: X}}", "senders.main.form: unknown option"},
		"a key of connections":       {"senders: {main: {provider: console, template: \"@@code@@\"}}", "senders.main.template: belongs to the connection"},
		"the last line of texts":     {"senders: {main: {provider: console, origin_bound: false}}", "senders.main.origin_bound: belongs to the connection"},
		"a list of senders":          {"senders: [main]", "senders: want the names of senders"},
		"a sender that is not there": {"routes: [{to: [JP], via: [other]}]", `routes[0].via[0]: there is no sender "other"; the senders are sms`},
		"a sender twice":             {"senders: {main: {provider: console}}\nroutes: [{to: [JP], via: [main, main]}]", "routes[0].via[1]: is listed twice"},
		"no sender":                  {"routes: [{to: [JP], via: []}]", "routes[0].via: missing"},
		"no destination":             {"routes: [{via: [sms]}]", "routes[0].to: missing"},
		"a country in words":         {"routes: [{to: [Japan], via: [sms]}]", "routes[0].to[0]: want a region"},
		"a national number":          {"routes: [{to: [\"0900\"], via: [sms]}]", "routes[0].to[0]: want a region"},
		"a destination twice":        {"routes: [{to: [JP], via: [sms]}, {to: [JP], via: [sms]}]", "routes[1].to[0]: an earlier route"},
	} {
		text := minimal + "connections: [{name: sms, strategy: sms, options: {provider: console}}]\n" + c.text
		_, _, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Start refuses a configuration in which an allowed country has no route.
func TestEveryCountryNeedsARoute(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ countries, routes, want string }{
		"one is missing":                {"[JP, US]", "[{to: [JP], via: [main]}]", "routes: no route sends to US, which countries allows"},
		"by its calling code":           {"[JP]", `[{to: ["+81"], via: [main]}]`, ""},
		"a part of it":                  {"[JP]", `[{to: ["+8190"], via: [main]}]`, "routes: no route sends to JP"},
		"all countries, some routes":    {"[all]", "[{to: [JP], via: [main]}]", "more of countries; add {to: [all]"},
		"all countries, a route to all": {"[all]", "[{to: [all], via: [main]}]", ""},
	} {
		text := strings.Replace("issuer: https://login.example.com/"+twoSenders, "[JP, US]", c.countries, 1) + "routes: " + c.routes
		var got []string
		for _, p := range mustLoad(t, text).ValidateServe() {
			got = append(got, p.Path+": "+p.Message)
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
	// The database's connection, which only prints, is no sender for the rest.
	printing := mustLoad(t, "issuer: https://login.example.com/\ncountries: [JP, US]\nsenders: {main: {provider: sms_gateway, gateway_url: \"https://a.example/send\"}}\nroutes: [{to: [JP], via: [main]}]")
	if problems := printing.ValidateServe(); len(problems) != 1 || !strings.Contains(problems[0].Message, "no route sends to US") {
		t.Errorf("without a connection: %v", problems)
	}
	// The connection's own sender takes what no route names.
	c := mustLoad(t, minimal+"connections: [{name: sms, strategy: sms, options: {provider: console}}]\nroutes: [{to: [US], via: [sms]}]")
	if problems := c.ValidateServe(); len(problems) > 0 {
		t.Errorf("with a sender of the connection's own: %v", problems)
	}
}

func TestTestNumbersEndAndCoverNoCountry(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, minimal+`test_numbers:
  - {number: "+15005550006", code: "424242", valid_until: 2026-12-31}
  - {number: "+15005550007", code: "424242", valid_until: "2026-12-31T12:00:00+09:00"}
  - {number: "+15005550008", code: "424242"}`)
	for i, want := range []time.Time{
		time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 3, 0, 0, 0, time.UTC), {},
	} {
		if got := c.TestNumbers[i].ValidUntil.Time(); !got.Equal(want) {
			t.Errorf("test number %d ends at %v, want %v", i, got, want)
		}
	}
	_, _, err := load(t, minimal+`test_numbers: [{number: "+15005550006", code: "424242", valid_until: tomorrow}]`)
	if err == nil || !strings.Contains(err.Error(), "test_numbers[0].valid_until: want a day such as 2026-12-31") {
		t.Errorf("error %v", err)
	}
	whole := mustLoad(t, minimal+`test_numbers: [{prefix: "+3541", code: "424242"}, {prefix: "+9715", code: "424242"}, {prefix: "+3906", code: "424242"}]`)
	if problems := whole.ValidateServe(); len(problems) > 0 {
		t.Errorf("ranges within countries: %v", problems)
	}
	for i := range 10 {
		whole.TestNumbers = append(whole.TestNumbers, TestNumber{Prefix: "+354" + string(rune('0'+i)), Code: NewSecret("424242")})
	}
	problems := whole.ValidateServe()
	if len(problems) != 1 || problems[0].Path != "test_numbers" || !strings.Contains(problems[0].Message, "IS") {
		t.Errorf("all of Iceland: %v", problems)
	}
}
