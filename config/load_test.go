package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/handset-oidc/handset/storage"
)

// minimal is the smallest file that serves.
const minimal = "issuer: https://login.example.com/\ncountries: [JP]\n"

// load writes the file and loads it.
func load(t *testing.T, text string, environ ...string) (*Config, []Warning, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handset.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, environ)
}

// mustLoad is load for a file that has no problem.
func mustLoad(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, _, err := load(t, text, environ...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// problemsOf returns the problems as lines.
func problemsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	all, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Load: %v (%T), want *Error", err, err)
	}
	var out []string
	for _, p := range all.Problems {
		out = append(out, p.String())
	}
	return out
}

var comparable = cmp.Options{
	cmp.Comparer(func(a, b Secret) bool { return a == b }),
	cmp.Comparer(func(a, b Address) bool { return a == b }),
	cmp.Comparer(func(a, b Options) bool { return a == b }),
	cmp.Comparer(func(a, b Moment) bool { return a == b }),
	cmp.Comparer(func(a, b JWKS) bool { return string(a.raw) == string(b.raw) }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func TestDefaultsOfTheContract(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, minimal)
	want := Default()
	want.Issuer = "https://login.example.com/"
	want.Countries = []string{"JP"}
	if diff := cmp.Diff(want, c, comparable); diff != "" {
		t.Error(diff)
	}
	if c.Tokens.ID != 10*time.Minute || c.Tokens.Access != time.Hour || !c.Tokens.IDTokenOnRefresh {
		t.Errorf("tokens: %+v", c.Tokens)
	}
	if c.Sessions.Absolute != 168*time.Hour || c.Sessions.Idle != 72*time.Hour {
		t.Errorf("sessions: %+v", c.Sessions)
	}
	if c.Limits["guess_number"] != (Limit{Burst: 10, Every: 144 * time.Minute}) {
		t.Errorf("limits: %+v", c.Limits)
	}
}

// TestTheWholeContract loads the configuration of design.md §4, except what
// this version does not have.
func TestTheWholeContract(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/contract.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, string(text))
	if got := c.Clients[0]; got.ClientID != "tiny-client" || got.ClientSecret.Reveal() != "0123456789abcdef0123456789abcdef" ||
		!got.RequireNonce || got.TokenEndpointAuthMethod != "client_secret_post" || !got.JWKS.IsZero() {
		t.Errorf("client: %+v", got)
	}
	if got := string(c.Connections[0].Options.JSON()); !strings.Contains(got, `"gateway_url":"http://127.0.0.1:9000/send"`) ||
		!strings.Contains(got, `"forward_req_info":"true"`) {
		t.Errorf("options: %s", got)
	}
	if len(c.TestNumbers) != 2 || c.TestNumbers[0].Code.Reveal() != "424242" {
		t.Errorf("test_numbers: %+v", c.TestNumbers)
	}
}

func TestEnvironmentWins(t *testing.T) {
	t.Parallel()
	c, warnings, err := load(t, minimal+"listen: \":1\"\nlimits: {send_number: off, send_address: {burst: 3}}\nredis_file: /nowhere\n",
		"HANDSET_LISTEN=127.0.0.1:3100",
		"HANDSET_TOKENS__ACCESS=24h",
		"HANDSET_TOKENS__ID_TOKEN_ON_REFRESH=false",
		"HANDSET_LIMITS__SEND_NUMBER__BURST=7",
		"HANDSET_LIMITS__VERIFY_ADDRESS=off",
		"HANDSET_TLS__CERT_FILE=",
		"HANDSET_REDIS=redis://:pw@redis:6379",
		"HANDSET_SERVICE_HOST=10.0.0.1",
		"HANDSET_LIMITS__NOPE=off",
		"PATH=/bin",
	)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3100" || c.Tokens.Access != 24*time.Hour || c.Tokens.IDTokenOnRefresh {
		t.Errorf("got %+v", c)
	}
	if c.Redis.Reveal() != "redis://:pw@redis:6379" {
		t.Errorf("redis: got %s, want what the environment says, not the file of the file", c.Redis)
	}
	want := Limits{
		"send_number":    {Burst: 7, Every: 3 * time.Hour},
		"send_address":   {Burst: 3, Every: time.Minute},
		"guess_number":   {Burst: 10, Every: 144 * time.Minute},
		"verify_address": {Off: true},

		"pending_address": {Burst: 50, Every: 36 * time.Second},
		"manage_client":   {Burst: 500, Every: 50 * time.Millisecond},
		"send_client":     {Burst: 60, Every: time.Second}, "send_client_day": {Burst: 500, Every: 173 * time.Second},
	}
	if diff := cmp.Diff(want, c.Limits); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"HANDSET_SERVICE_HOST", "HANDSET_LIMITS__NOPE", "limits.verify_address"} {
		if !slices.ContainsFunc(warnings, func(w Warning) bool { return w.Path == name }) {
			t.Errorf("no warning about %s in %v", name, warnings)
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := file("secret", "0123456789abcdef0123456789abcdef\n")
	gateway := file("gateway", "the gateway's secret\r\n")
	redis := file("redis", "rediss://user:pw@redis:6379/0\n")
	c := mustLoad(t, fmt.Sprintf(`
issuer: https://login.example.com/
clients:
  - {client_id: a, client_secret_file: %s, callbacks: ["https://a.example/cb"]}
connections:
  - name: sms
    strategy: sms
    options:
      provider: sms_gateway
      gateway_url: https://gateway.example/
      gateway_authentication: {method: bearer, audience: a, secret_file: %s}
`, secret, gateway), "HANDSET_REDIS_FILE="+redis, "HANDSET_SECRET_KEY_FILE=other.key")
	if got := c.Clients[0].ClientSecret.Reveal(); got != "0123456789abcdef0123456789abcdef" {
		t.Errorf("client secret: %q", got)
	}
	if got := string(c.Connections[0].Options.JSON()); !strings.Contains(got, `"secret":"the gateway's secret"`) || strings.Contains(got, "secret_file") {
		t.Errorf("options: %s", got)
	}
	if got := c.Redis.Reveal(); got != "rediss://user:pw@redis:6379/0" {
		t.Errorf("redis: %s", got)
	}
	if c.SecretKeyFile != "other.key" {
		t.Errorf("secret_key_file: %s", c.SecretKeyFile)
	}
	if c := mustLoad(t, minimal, "HANDSET_SECRET_KEY=00"); c.SecretKeyFile != "" || c.SecretKey.Reveal() != "00" {
		t.Errorf("secret_key: file %q", c.SecretKeyFile)
	}
}

func TestMissingFileSaysSo(t *testing.T) {
	t.Parallel()
	_, _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

// TestProblems has one case per rule: what stands in the file below the
// minimal one, and the problems in the order they are told.
func TestProblems(t *testing.T) {
	t.Parallel()
	client := func(fields string) string {
		return "clients:\n  - {client_id: a, client_secret: 0123456789abcdef0123456789abcdef, callbacks: [\"https://a.example/cb\"], " + fields + "}\n"
	}
	gateway := func(options string) string {
		return "connections:\n  - {name: sms, strategy: sms, options: {" + options + "}}\n"
	}
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"unknown key", "isuer: x", []string{"isuer: unknown key; did you mean issuer?"}},
		{"unknown key far from all", "zzz: x", []string{"zzz: unknown key; the keys here are admin_listen, allow_private_callbacks, allow_private_gateways,"}},
		{"unknown nested key", "tokens: {acess: 1h}", []string{"tokens.acess: unknown key; did you mean access?"}},
		{"unknown key in a list", client("callback: x"), []string{"clients[0].callback: unknown key; did you mean callbacks?"}},
		{"later key of a connection", "connections:\n  - {name: sms, strategy: sms, enabled_clients: [], options: {provider: console}}",
			[]string{"connections[0].enabled_clients: not supported by this version"}},
		{"duration without unit", "sessions: {idle: 72}", []string{"sessions.idle: want a duration such as 10m, 3h or 168h"}},
		{"duration in days", "sessions: {idle: 3d}", []string{"sessions.idle: want a duration"}},
		{"not a boolean", "allow_private_gateways: yes please", []string{"allow_private_gateways: want true or false"}},
		{"not a list", "trusted_proxies: 10.0.0.0/8", []string{"trusted_proxies: want a list, such as [a, b]"}},
		{"not a network", "trusted_proxies: [10.0.0.1]", []string{"trusted_proxies[0]: want a network such as 10.0.0.0/8"}},
		{"not keys and values", "tokens: 1h", []string{"tokens: want keys and values here"}},
		{"number without quotes", "test_numbers:\n  - {number: +15005550006, code: 042424}", []string{
			"test_numbers[0].code: want text: put it in quotes", "test_numbers[0].number: want text: put it in quotes"}},
		{"listen", "listen: 3000\nadmin_listen: here", []string{
			"listen: want text: put it in quotes", "admin_listen: want host:port or :port"}},
		{"same listeners", "listen: \":9300\"\nadmin_listen: \":9300\"", []string{"admin_listen: must differ from listen"}},
		{"half of tls", "tls: {cert_file: a.pem}", []string{"tls.key_file: missing: cert_file and key_file go together"}},
		{"postgres", "database: postgres://user:pw@db/handset", []string{"database: PostgreSQL is not supported by this version"}},
		{"database", "database: handset.db", []string{"database: want sqlite: and a file name"}},
		{"redis", "redis: localhost:6379", []string{"redis: want embedded, redis://"}},
		{"both redis", "redis: redis://a\nredis_file: b", []string{"redis: set redis or redis_file, not both"}},
		{"secret key twice", "secret_key_file: a.key\nsecret_key: b", []string{"secret_key: set secret_key or secret_key_file, not both"}},
		{"no secret key", `secret_key_file: ""`, []string{"secret_key_file: missing: make one with openssl rand -hex 32"}},
		{"lifetimes", "sessions: {absolute: 1h, idle: 2h}\ntokens: {access: 0s, id: -1m, refresh_idle: 10h, refresh_absolute: 1h}", []string{
			"tokens.access: want at least 1s", "tokens.id: want at least 1s",
			"sessions.idle: must not be longer than sessions.absolute", "tokens.refresh_idle: must not be longer than tokens.refresh_absolute"}},
		{"unknown limit", "limits: {send_nmber: off}", []string{"limits.send_nmber: unknown limit; the limits are guess_number, manage_client, pending_address, send_address, send_client, send_client_day, send_number and verify_address"}},
		{"limit values", "limits: {send_number: {burst: 0}, send_address: {every: 0s}, guess_number: never, verify_address: 3}", []string{
			"limits.guess_number: want {burst: 5, every: 3h} or off", "limits.verify_address: want {burst: 5, every: 3h} or off",
			"limits.send_address.every: want at least 1s", "limits.send_number.burst: want 1 to"}},
		{"limits without bounds", "limits: {send_number: {burst: -1}, send_address: {burst: 1000001}, guess_number: {burst: 1000000, every: 3h}}", []string{
			"limits.guess_number.every: want less: burst times every is at most 8760h", "limits.send_address.burst: want 1 to 1000000, or off", "limits.send_number.burst: want 1 to 1000000, or off"}},
		{"limits of people and of programs", "limits: {send_client: {every: 999ms}, manage_client: {every: 999us}, send_number: {every: 1000001us}}", []string{
			"limits.manage_client.every: want at least 1ms", "limits.send_client.every: want at least 1s", "limits.send_number.every: want whole milliseconds"}},
		{"an internal limit", "limits: {refund_number: off}", []string{"limits.refund_number: unknown limit; the limits are guess_number, manage_client, pending_address, send_address, send_client, send_client_day, send_number and verify_address"}},
		{"test numbers", `test_numbers: [{code: "12"}, {number: "+1", code: "1234"}, {prefix: "+150", code: "1234"}, {number: "+15005550006", prefix: "+1500555", code: "1234"}, {number: "+15005550007", code: "12345678901"}, {number: "+15005550007", code: "1234"}]`, []string{
			"test_numbers[0]: missing: number or prefix", "test_numbers[0].code: want 4 to 10 digits",
			"test_numbers[1].number: want the international form", "test_numbers[2].prefix: want + and at least four digits",
			"test_numbers[3]: set number or prefix, not both", "test_numbers[4].code: want 4 to 10 digits", "test_numbers[5]: is declared twice"}},
		{"connection", "connections: [{name: a b, strategy: email, options: {}}, {name: x, strategy: sms, options: {provider: phone_message_hook}}, {name: x, strategy: sms, options: {provider: sms_gateway}}]", []string{
			"connections[0].name: want letters, digits and hyphens", "connections[0].strategy: want sms", "connections[0].options.provider: missing: set it to console, smpp, sms_gateway, sns, twilio or vonage",
			"connections[1]: more than one connection is not supported", "connections[1].options.provider: phone_message_hook is not supported by this version", "connections[2].name: is declared twice", "connections[2]: more than one", "connections[2].options.gateway_url: missing"}},
		{"gateway at loopback", gateway("provider: sms_gateway, gateway_url: \"http://127.0.0.1:9000/send\""), []string{
			"connections[0].options.gateway_url: is a loopback or private address; when that is meant, set allow_private_gateways: true"}},
		{"gateway at localhost", gateway("provider: sms_gateway, gateway_url: \"https://localhost./\""), []string{"connections[0].options.gateway_url: is a loopback"}},
		{"gateway in IPv6 clothes", gateway("provider: sms_gateway, gateway_url: \"https://[::ffff:10.0.0.1]/\""), []string{"connections[0].options.gateway_url: is a loopback"}},
		{"gateway scheme", gateway("provider: sms_gateway, gateway_url: \"ftp://gateway.example/\""), []string{"connections[0].options.gateway_url: want an http or https address"}},
		{"gateway user", gateway("provider: sms_gateway, gateway_url: \"https://u:p@gateway.example/\""), []string{"connections[0].options.gateway_url: must not hold a user"}},
		{"smpp without anything", gateway("provider: smpp"), []string{"connections[0].options.smpp_host: is missing", "connections[0].options.smpp_system_id: is missing"}},
		{"smpp at loopback", gateway("provider: smpp, smpp_host: \"[::1]:2775\", smpp_system_id: a"), []string{"connections[0].options.smpp_host: is a private or reserved address"}},
		{"smpp at localhost", gateway("provider: smpp, smpp_host: \"localhost:2775\", smpp_system_id: a"), []string{"connections[0].options.smpp_host: is a loopback"}},
		{"options", gateway(`provider: console, gatewy_url: x, syntax: liquids, from: 123, disable_signup: "no", forward_req_info: 1, totp: {length: 3, time_step: 0, x: 1}`), []string{
			"connections[0].options.disable_signup: want true or false", "connections[0].options.forward_req_info: want", "connections[0].options.from: want text",
			"connections[0].options.gatewy_url: unknown option; did you mean gateway_url?",
			"connections[0].options.totp.length: want a whole number from 4 to 8", "connections[0].options.totp.time_step: want a whole number from 1 to 600", "connections[0].options.totp.x: unknown key",
			"connections[0].options.syntax: \"liquids\" is not one of: md_with_macros, liquid"}},
		{"template without the code", gateway(`provider: console, template: Hello`), []string{"connections[0].options.template: doesn't show the code: write @@password@@"}},
		{"Liquid without its syntax", gateway(`provider: console, template: "{{ password }}"`), []string{"connections[0].options.template: holds Liquid, which md_with_macros does not read: set syntax to liquid"}},
		{"Liquid that leaves somebody out", gateway(`provider: console, syntax: liquid, template: "{% if request_language contains 'fr' %}{{ code }}{% endif %}"`), []string{"connections[0].options.template: doesn't show the code when no language was asked for"}},
		{"Liquid with a loop", gateway(`provider: console, syntax: liquid, template: "{{ code }}\n{% for x in code %}{% endfor %}", origin_bound: "no"`), []string{
			"connections[0].options.origin_bound: want true or false", "connections[0].options.template: has the tag \"for\", which texts don't have (line 2;"}},
		{"neither is text", gateway(`provider: console, syntax: 1, template: [a]`), []string{"connections[0].options.syntax: want text", "connections[0].options.template: want text"}},
		{"gateway authentication", gateway("provider: console, gateway_authentication: {method: basic, user: x}"), []string{
			"connections[0].options.gateway_authentication.user: unknown key", "connections[0].options.gateway_authentication.method: want bearer", "connections[0].options.gateway_authentication.audience: missing", "connections[0].options.gateway_authentication.secret: missing"}},
		{"client without anything", "clients: [{}]", []string{
			"clients[0].client_id: missing", "clients[0].client_secret: missing: client_secret_post needs one", "clients[0].callbacks: missing"}},
		{"client values", client("app_type: web, token_endpoint_auth_method: basic, subject_type: pairwise, is_first_party: false, grant_types: [magic, authorization_code]"), []string{
			"clients[0].app_type: want one of regular_web, spa, native, non_interactive, verification", "clients[0].is_first_party: false is not supported by this version",
			"clients[0].token_endpoint_auth_method: want one of client_secret_post",
			"clients[0].client_secret: not allowed", "clients[0].grant_types[0]: unknown grant type"}},
		{"public client without PKCE", "clients: [{client_id: a, app_type: spa, callbacks: [\"https://a.example/\"], require_pkce: false}]", []string{"clients[0].require_pkce: a client that does not authenticate must use PKCE"}},
		{"public client with a secret", client("app_type: spa"), []string{"clients[0].client_secret: not allowed with token_endpoint_auth_method none"}},
		{"secret twice", client("client_secret_file: x"), []string{"clients[0]: set client_secret or client_secret_file, not both"}},
		{"secret file missing", "clients: [{client_id: a, client_secret_file: /nowhere/x, callbacks: [\"https://a.example/\"]}]", []string{"clients[0].client_secret_file: there is no file /nowhere/x"}},
		{"private_key_jwt without keys", "clients: [{client_id: a, token_endpoint_auth_method: private_key_jwt, callbacks: [\"https://a.example/\"]}]", []string{"clients[0].jwks: missing: private_key_jwt needs the client's public keys"}},
		{"a shared key in jwks", "clients: [{client_id: a, token_endpoint_auth_method: private_key_jwt, callbacks: [\"https://a.example/\"], jwks: {keys: [{kty: oct, k: AAAA}]}}]", []string{"clients[0].jwks.keys[0]: is a private or shared key"}},
		{"clients with one name", "clients: [{client_id: a, app_type: spa, callbacks: [\"https://a.example/\"]}, {client_id: a, app_type: spa, callbacks: [\"https://a.example/\"]}]", []string{"clients[1].client_id: is the same as that of clients[0]"}},
		{"an API without anything", "resource_servers: [{}]", []string{"resource_servers[0].identifier: missing"}},
		{"API values", `resource_servers: [{identifier: "https://login.example.com/api/", token_lifetime: 1, signing_alg: HS256, users: all, clients: all, scopes: [{value: openid}, {value: "a b"}], claims: {sub: user.x, a: b}}]`, []string{
			"resource_servers[0].identifier: is the issuer or below it", "resource_servers[0].token_lifetime: want 60 to 2592000 seconds",
			"resource_servers[0].signing_alg: want one of ES256, RS256", "resource_servers[0].users: want one of assigned, any", "resource_servers[0].clients: want one of any, granted",
			"resource_servers[0].scopes[0].value: openid is a scope of OpenID Connect", "resource_servers[0].scopes[1].value: want printable",
			"resource_servers[0].claims.a: want user. and the name", "resource_servers[0].claims.sub: access tokens say something else"}},
		{"API shapes", `resource_servers: [{identifier: a, token_lifetime: 24h, allow_offline_access: maybe, scopes: ["read:a"], claims: [a]}]`, []string{
			"resource_servers[0].allow_offline_access: want true or false", "resource_servers[0].claims: want names of claims",
			"resource_servers[0].scopes[0]: want keys and values", "resource_servers[0].token_lifetime: want a whole number"}},
		{"people", `people: {attributes: {a: {type: text, shoe: 1}, number: {}, b: {type: date, unique: true}, c: {pattern: "("}, d: {max: many}, "e f": {required: maybe}}}`, []string{
			"people.attributes.a.shoe: unknown key", "people.attributes.d.max: want a whole number", "people.attributes.e f.required: want true or false",
			"people.attributes.a.type: want one of string, integer, boolean, date", "people.attributes.b.unique: is for strings and integers",
			"people.attributes.c.pattern: is not a regular expression", "people.attributes.number: is a name that lists of people use"}},
		{"people as a list", "people: {attributes: [employee_id]}", []string{"people.attributes: want names of attributes"}},
		{"APIs with one name", "resource_servers: [{identifier: a}, {identifier: a}]", []string{"resource_servers[1].identifier: is the same as that of resource_servers[0]"}},
		{"client grants", `resource_servers: [{identifier: a, scopes: [{value: "read:a"}]}]` + "\n" + `client_grants: [{}, {client_id: c, audience: a, scope: ["read:a", "write:a"]}, {client_id: c, audience: a}, {client_id: d, audience: b, scope: ["x:y"], allow_all_scopes: true}]`, []string{
			"client_grants[0].client_id: missing", "client_grants[0].audience: missing", "client_grants[1].scope: write:a is no scope of resource_servers[0]",
			"client_grants[2]: is for the same client and API as client_grants[1]", "client_grants[3].scope: not with allow_all_scopes"}},
		{"countries", "countries: [jp, UK, XX, all]", []string{"countries[0]: write JP", "countries[1]: write GB", "countries[2]: not a region", "countries[3]: all stands alone"}},
		{"log", "log: {level: loud, format: xml}", []string{"log.level: want debug, info, warn or error", "log.format: want json or text"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := "issuer: https://login.example.com/\n" + test.text
			_, _, err := load(t, text)
			got := problemsOf(t, err)
			if len(got) != len(test.want) {
				t.Fatalf("got %d problems, want %d:\n%s", len(got), len(test.want), strings.Join(got, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("problem %d:\n got %s\nwant %s", i, got[i], want)
				}
			}
		})
	}
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	tests := []struct{ issuer, want string }{
		{"https://login.example.com/", ""},
		{"https://login.example.com", ""},
		{"https://login.example.com:8443/openid-connect", ""},
		{"http://localhost:3000/", ""},
		{"http://127.0.0.1:3000/openid-connect", ""},
		{"http://[::1]:3000", ""},
		{"", "missing"},
		{"login.example.com", "want a whole address"},
		{"ftp://login.example.com", "want a whole address"},
		{"https://", "want a whole address"},
		{"https://login.example.com/?x=1", "must not have a query"},
		{"https://login.example.com/#x", "must not have a query"},
		{"https://login.example.com/?", "must not have a query"},
		{"https://user@login.example.com/", "must not hold a user"},
		{"http://login.example.com/", "must be https"},
		{"http://10.0.0.1/", "must be https"},
		{"http://localhost.example.com/", "must be https"},
		{"https://login.example.com/a//b", "want a path of"},
		{"https://login.example.com/a/../b", "want a path of"},
		{"https://login.example.com/{tenant}/", "want a path of"},
		{"https://login.example.com/%61/", "want a path of"},
	}
	for _, test := range tests {
		t.Run(test.issuer, func(t *testing.T) {
			t.Parallel()
			_, _, err := load(t, fmt.Sprintf("issuer: %q", test.issuer))
			checkOne(t, problemsOf(t, err), test.want)
		})
	}
}

// Only where http is allowed at all.
func TestLocal(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]bool{
		"http://localhost:3000/": true, "http://127.0.0.1:3000/openid-connect": true, "http://[::1]:3000": true,
		"https://localhost:3000/": false, "https://login.example.com/": false, "http://login.example.com/": false,
		"http://localhost.example.com/": false, "": false,
	} {
		c := Default()
		c.Issuer = issuer
		if got := c.Local(); got != want {
			t.Errorf("Local() of %q = %t", issuer, got)
		}
	}
}

// checkOne wants one problem that contains want, or none when want is empty.
func checkOne(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("got %v, want no problem", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("got %v, want one problem with %q", got, want)
	}
}

func TestAPIs(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
issuer: https://login.example.com/
resource_servers:
  - {identifier: "urn:bare"}
  - identifier: https://purchasing.example.com
    name: Purchasing
    scopes: [{value: "read:vendors", description: see vendors}, {value: "write:vendors"}]
    token_lifetime: 3600
    signing_alg: RS256
    allow_offline_access: true
    users: any
    clients: granted
    claims: {employee_id: user.employee_id}
client_grants:
  - {client_id: batch, audience: https://purchasing.example.com, scope: ["read:vendors"]}
  - {client_id: batch, audience: "urn:bare", allow_all_scopes: true}
`)
	want := []storage.API{
		{Identifier: "urn:bare", Name: "urn:bare", TokenLifetime: 86400, SigningAlg: "ES256", Users: "assigned", Clients: "any"},
		{Identifier: "https://purchasing.example.com", Name: "Purchasing", TokenLifetime: 3600, SigningAlg: "RS256", AllowOfflineAccess: true,
			Scopes: []storage.Scope{{Value: "read:vendors", Description: "see vendors"}, {Value: "write:vendors"}},
			Users:  "any", Clients: "granted", Claims: map[string]string{"employee_id": "user.employee_id"}},
	}
	for i, server := range c.ResourceServers {
		if diff := cmp.Diff(want[i], server.Record()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", server.Identifier, diff)
		}
		if diff := cmp.Diff(server, FromAPI(server.Record())); diff != "" {
			t.Errorf("record and back: %s", diff)
		}
		text, err := server.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, minimal+"resource_servers:\n  - "+strings.TrimRight(strings.ReplaceAll(string(text), "\n", "\n    "), " "))
		if diff := cmp.Diff(server, again.ResourceServers[0], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("YAML and back: %s", diff)
		}
	}
	for i, want := range []storage.ClientGrant{
		{ClientID: "batch", Audience: "https://purchasing.example.com", Allowance: storage.Allowance{Scopes: []string{"read:vendors"}}},
		{ClientID: "batch", Audience: "urn:bare", Allowance: storage.Allowance{AllScopes: true}},
	} {
		if diff := cmp.Diff(want, c.ClientGrants[i].Record()); diff != "" {
			t.Errorf("client grant (-want +got):\n%s", diff)
		}
	}
	_, err := c.YAML()
	if err != nil {
		t.Error(err)
	}
}

func TestClientDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
issuer: https://login.example.com/
clients:
  - {client_id: web, client_secret: 0123456789abcdef0123456789abcdef, callbacks: ["https://a.example/"]}
  - {client_id: spa, app_type: spa, callbacks: ["https://a.example/"], web_origins: ["https://a.example"]}
  - {client_id: api, app_type: non_interactive, client_secret: 0123456789abcdef0123456789abcdef}
`)
	type facts struct {
		Method              string
		PKCE, First, Public bool
		Grants              []string
	}
	both := []string{"authorization_code", "refresh_token"}
	want := []facts{
		{"client_secret_post", false, true, false, both},
		{"none", true, true, true, both},
		{"client_secret_post", false, true, false, []string{"client_credentials"}},
	}
	for i, client := range c.Clients {
		r := client.Record()
		got := facts{r.TokenEndpointAuthMethod, r.RequirePKCE, r.IsFirstParty, r.Public(), r.GrantTypes}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("%s: %s", client.ClientID, diff)
		}
		if client.SubjectType != "public" || client.Name != client.ClientID {
			t.Errorf("%s: %+v", client.ClientID, client)
		}
		back := FromRecord(r)
		back.ClientSecret = client.ClientSecret
		if diff := cmp.Diff(client, back, comparable); diff != "" {
			t.Errorf("record and back: %s", diff)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	_, warnings, err := load(t, `
issuer: http://localhost:3000/
countries: [all]
admin_listen: ":9300"
trusted_proxies: [0.0.0.0/0]
limits: {send_number: off}
test_numbers: [{number: "+15005550006", code: "424242"}]
connections: [{name: sms, strategy: sms, options: {provider: sms_gateway, gateway_url: "http://gateway.example/"}}]
clients: [{client_id: a, client_secret: short, grant_types: [authorization_code, password], callbacks: ["https://a.example/"]}]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Path)
	}
	want := []string{"issuer", "admin_listen", "trusted_proxies[0]", "countries", "limits.send_number", "test_numbers",
		"connections[0].options.gateway_url",
		"clients[0].grant_types[1]", "clients[0]", "clients[0].client_secret"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, warnings)
	}
}

func TestServeNeedsCountries(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "issuer: https://login.example.com/")
	if got := c.ValidateServe(); len(got) != 1 || got[0].Path != "countries" {
		t.Errorf("got %v", got)
	}
	if got := mustLoad(t, minimal).ValidateServe(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	// What is there and can't be read is not missing.
	c, _, err := load(t, "issuer: https://login.example.com/\ncountries: GB\n")
	all, ok := errors.AsType[*Error](Join("handset.yaml", err, c.ValidateServe()...))
	if !ok || len(all.Problems) != 1 || !strings.Contains(all.Error(), "countries: want a list") {
		t.Errorf("got %v", all)
	}
}

func TestSyntaxErrorsNameTheLineAndNoValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"issuer: x\n  listen: y\n", "line 2"},
		{"issuer: x\nissuer: y\n", "line 2"},
		{"issuer: x\ncountries: [JP\n", "line 2"},
		{"issuer: x\ncountries: [JP\nlisten: y\n", "line 2"},
		{"a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n\tf: 6\n", "line 6"},
		{"a: 1\n- b\n", "line 2"},
		{"a: 1\nb: \"x\nc: 1\n", "line 2"},
		{"a: 1\nb\nc: 2\n", "line 2"},
		{"a: [b\n", "line 1"},
		{"{", "line 1"},
		{"hunter2", "line 1"},
		{"- hunter2", "line 1"},
		{"issuer: *hunter\n", "unknown anchor"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			_, _, err := parse("handset.yaml", []byte(test.text), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
}

// FuzzLoad looks for files that make the loader panic, print a secret, or
// load into something that does not print.
func FuzzLoad(f *testing.F) {
	contract, err := os.ReadFile("testdata/contract.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(contract), "HANDSET_ISSUER=https://a.example")
	f.Add(Example(), "HANDSET_LIMITS__SEND_NUMBER__BURST=1")
	f.Add("limits: {send_number: off}\n<<: {a: b}", "HANDSET_LIMITS__SEND_NUMBER=off")
	f.Add("? [a]\n: b\n? 1\n: c\n", "HANDSET_TLS__KEY_FILE__X=1")
	f.Add("connections: [{options: {totp: {length: .nan}, 1: 2}}]", "HANDSET___=1")
	f.Fuzz(func(t *testing.T, text, entry string) {
		// A stranger does not choose which files are read.
		if strings.Contains(text, "_file") || strings.Contains(strings.ToLower(entry), "_file") {
			t.Skip("names a file of this machine")
		}
		c, _, err := parse("fuzz", []byte(text), []string{entry})
		if err == nil && c == nil {
			t.Fatal("no configuration and no error")
		}
		if c == nil {
			return
		}
		out, err := c.YAML()
		if err != nil {
			t.Fatalf("print: %v", err)
		}
		for _, client := range c.Clients {
			if s := client.ClientSecret.Reveal(); len(s) > 12 && !strings.Contains(text, s+s) && strings.Contains(string(out), s) && strings.Count(text, s) == 1 {
				t.Fatalf("the client secret is printed:\n%s", out)
			}
		}
	})
}
