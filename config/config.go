package config

import (
	"net/netip"
	"time"
)

// Config is everything that can be configured. Keys and their meaning are a
// contract with the people who run Handset: they are added, never renamed.
//
// A field's comment is its entry in the manual. The tag `yaml` is the key,
// `example` the value that the commented example shows ("-": not shown), and
// `live` marks a key that the example sets rather than comments out.
type Config struct {
	// The address of this provider, exactly as tokens carry it (`iss`): with or
	// without a slash at the end, both are different issuers. A path is allowed;
	// everything is then served below it. It is `https`, or `http` for a
	// loopback host (localhost, 127.0.0.1, [::1]) on a developer's machine. There
	// the numbers that the pages show as examples can be typed although nobody can
	// own them, such as 07700 900 982. Required.
	Issuer string `yaml:"issuer" example:"https://login.example.com/" live:""`
	// Where people and applications are served, as `host:port`; no host means
	// every address of the machine.
	Listen string `yaml:"listen" example:"\":3000\"" live:""`
	// Where `/healthz`, `/readyz` and `/metrics` are served. Keep it private. It
	// must be asked for by an address, as localhost, or by the host given here.
	// Empty: not served.
	AdminListen string `yaml:"admin_listen" example:"\"127.0.0.1:9300\""`
	// The certificate to serve with. Both empty: plain HTTP, for a place behind
	// a proxy that speaks TLS.
	TLS TLS `yaml:"tls"`
	// The networks (CIDR) of the proxies in front, whose `X-Forwarded-For`
	// counts. Empty: the header is ignored and the peer's address counts.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" example:"[10.0.0.0/8]"`
	// What must last: people, clients, sessions, grants, keys. `sqlite:FILE`; the
	// file is made at the first start, a relative path begins at the working
	// directory.
	Database Address `yaml:"database" live:""`
	// A file that holds the value of `database`.
	DatabaseFile string `yaml:"database_file" example:"-"`
	// What lives for minutes: logins under way, texted codes, counters, access
	// tokens. `embedded` keeps it in this process, which is right for one
	// server and forgets it at a restart. `redis://` or `rediss://` (TLS) is a
	// Redis, several hosts separated by commas a Cluster,
	// `sentinel://MASTER@HOST1,HOST2` a Redis behind Sentinels. The Redis must
	// have `maxmemory-policy noeviction`.
	Redis Address `yaml:"redis" live:""`
	// A file that holds the value of `redis`, when that has a password.
	RedisFile string `yaml:"redis_file" example:"-"`
	// The file of the secret key, made with `openssl rand -hex 32 > handset.key`
	// and readable by its owner only. It makes the MACs of codes and tokens and
	// seals numbers and keys at rest: without it the database is worthless, so
	// back it up apart from it. One line of 64 hex digits per key; the first is
	// active, the others only read, so that a key can be replaced.
	SecretKeyFile string `yaml:"secret_key_file" live:""`
	// The secret key itself, instead of a file of it. Meant for
	// `HANDSET_SECRET_KEY`.
	SecretKey Secret `yaml:"secret_key" example:"-"`
	// The keys that sign ID tokens and the tokens of APIs.
	Keys Keys `yaml:"keys"`
	// How long a person stays signed in to this provider (single sign-on).
	Sessions Sessions `yaml:"sessions"`
	// How long tokens live.
	Tokens Tokens `yaml:"tokens"`
	// The regions whose numbers may be texted, as ISO 3166-1 codes of two
	// letters: a text costs money, and some destinations are made to cost more.
	// `[all]` allows every region and must be written out. Required by
	// `handset serve`.
	Countries []string `yaml:"countries" example:"[JP, US]" live:""`
	// Whether the gateway may be at a loopback or private address.
	AllowPrivateGateways bool `yaml:"allow_private_gateways"`
	// Whether `callback_url` of a verification may be a loopback or private address, and
	// plain http: whoever has a client may then have Handset post into that network.
	// For machines that serve their own clients only.
	AllowPrivateCallbacks bool `yaml:"allow_private_callbacks"`
	// How often things may happen, by the name of the limit: `burst` at once, one
	// more `every`. `off` switches a limit off and is warned about. A limit that
	// is not named here keeps its default.
	//
	// - `send_number`: texts to one number, over all doors. A text whose code was
	//   used is given back.
	// - `send_address`: texts asked for from one network address.
	// - `guess_number`: wrong codes for one number; when they are used up, its
	//   codes get longer.
	// - `verify_address`: codes tried from one network address.
	// - `pending_address`: logins begun from one network address, and requests that it
	//   posts.
	// - `send_client` and `send_client_day`: texts asked for by one client that has
	//   authenticated, in place of those from its address: 60 at once and one more a
	//   second, and 500 at once and one more every 173 s.
	// - `manage_client`: calls of the Management API by one client, over all servers: 500
	//   at once and 20 more a second, where Auth0 has 50 and 15. While Redis is away calls
	//   are not counted.
	Limits Limits `yaml:"limits"`
	// Numbers with a fixed code: nothing is texted, no limit of sends holds, and
	// neither type nor country is checked. For automated tests and for the
	// reviewers of an app store. Whoever knows the code can sign in as the number.
	TestNumbers []TestNumber `yaml:"test_numbers"`
	// How a number is proved. Field names are Auth0's, so an exported connection
	// can be pasted. What is declared here can't be changed by API or command.
	// Empty: the connection `sms` of the database, which at the first start
	// prints texts to the log (provider `console`). Other connections of the database
	// serve the logins that name them.
	Connections []Connection `yaml:"connections"`
	// Senders beside the connection's own, by name: what takes texts and hands them
	// on. Each has the options of a connection that say how texts leave (`provider`
	// and what goes with it, `from`); `from` overrides the connection's.
	//
	// The environment variables `TwilioAccountSid`, `TwilioAuthToken` and
	// `TwilioPhoneNumber`, all three, are the account of connections and senders that
	// have provider `twilio` and none. Where there is none such, they are a sender named
	// `twilio`, and all texts go by it when there are neither `routes` nor a connection
	// here that has a provider. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
	// `AWS_SESSION_TOKEN` and `AWS_REGION` are what provider `sns` is not told here.
	Senders Senders `yaml:"senders" example:"{main: {provider: sms_gateway, gateway_url: \"https://sms.example.com/send\"}, backup: {provider: sms_gateway, gateway_url: \"https://sms2.example.com/send\", from: Example}}"`
	// Which senders serve which destinations, in the order in which they are tried:
	// the next one gets a text that the one before could not take. A destination
	// that no route names is served by the connection's own sender. Empty: that one
	// serves all.
	Routes []Route `yaml:"routes"`
	// The applications that people sign in to. Field names are Auth0's, so an
	// exported client can be pasted. What is declared here can't be changed by
	// API or command; `handset client add` makes others.
	Clients []Client `yaml:"clients"`
	// The APIs that tokens can be for. Field names are Auth0's, so an exported
	// resource server can be pasted. What is declared here can't be changed by
	// API or command; `handset api add` makes others.
	ResourceServers []ResourceServer `yaml:"resource_servers"`
	// Which clients may use an API in their own name (`client_credentials`), and
	// in the name of people where the API says `clients: granted`. Field names are
	// Auth0's. What is declared here can't be changed by API or command; `handset
	// client allow` makes others.
	ClientGrants []ClientGrant `yaml:"client_grants"`
	// What the business says of people: their attributes. Commands, imports and APIs
	// take those that are listed and no others. Empty: every name is taken, and its
	// value is a string.
	//
	// - `type`: `string` (the default, at most 500 bytes), `integer`, `boolean`, or
	//   `date` (`2026-04-01`).
	// - `required`: who is added, imported or changed must have it. People who
	//   register themselves have no attributes.
	// - `unique`: no two people have the same value (strings and integers).
	// - `pattern`: a regular expression that must match the whole of a string.
	// - `max`: the longest string in characters, or the greatest integer.
	//
	// This holds for what is written from then on. An attribute that two people
	// share can't be made unique: the start fails and names them.
	People People `yaml:"people"`
	// What is written to standard error.
	Log Log `yaml:"log"`
}

// TLS names a certificate.
type TLS struct {
	// The certificate with its chain, PEM.
	CertFile string `yaml:"cert_file" example:"/etc/handset/tls.crt"`
	// Its private key, PEM.
	KeyFile string `yaml:"key_file" example:"/etc/handset/tls.key"`
}

// On reports whether a certificate is configured.
func (t TLS) On() bool { return t.CertFile != "" }

// Keys says where signing keys come from.
type Keys struct {
	// A folder of private keys (`*.pem`): RSA of at least 2048 bits (PKCS#1 or
	// PKCS#8) for RS256, which signs ID tokens unless a client wants ES256, and EC
	// on the curve P-256 (SEC 1 or PKCS#8) for ES256, which signs the tokens of
	// APIs unless one wants RS256. Of an algorithm the
	// newest file signs, the others only verify, and its keys are not rotated by
	// themselves. For an algorithm without a file, and when this is empty, keys
	// are made, and kept sealed in the database.
	Dir string `yaml:"dir" example:"/etc/handset/keys"`
	// How long a key signs before a new one, published in advance, takes over.
	// `0s`: only `handset keys rotate` does that.
	RotateEvery time.Duration `yaml:"rotate_every"`
}

// Sessions says how long a sign-on lasts.
type Sessions struct {
	// After this the person signs in with a new code, whatever they did meanwhile.
	Absolute time.Duration `yaml:"absolute"`
	// After this without use the session ends.
	Idle time.Duration `yaml:"idle"`
}

// Tokens says how long tokens live.
type Tokens struct {
	// Access tokens.
	Access time.Duration `yaml:"access"`
	// ID tokens.
	ID time.Duration `yaml:"id"`
	// A refresh token that is not used ends after this.
	RefreshIdle time.Duration `yaml:"refresh_idle"`
	// A line of refresh tokens ends after this, however often it is used.
	RefreshAbsolute time.Duration `yaml:"refresh_absolute"`
	// Whether an answer to a refresh token has a new ID token.
	IDTokenOnRefresh bool `yaml:"id_token_on_refresh"`
}

// TestNumber is a number, or a range of numbers, with a fixed code.
type TestNumber struct {
	// A number, in international form and in quotes: `"+15005550006"`.
	Number string `yaml:"number" example:"\"+15005550006\""`
	// Or the beginning of all numbers of a range, at least four digits.
	Prefix string `yaml:"prefix" example:"-"`
	// The code, 4 to 10 digits, in quotes.
	Code Secret `yaml:"code" example:"\"424242\""`
	// The last day (UTC) on which the code works, or the very moment when it ends
	// (`2026-12-31T12:00:00Z`). Empty: it always works.
	ValidUntil Moment `yaml:"valid_until" example:"2026-12-31"`
}

// Connection is a way to prove a number, in Auth0's words.
type Connection struct {
	// How applications name it: letters, digits and hyphens.
	Name string `yaml:"name" example:"sms"`
	// `sms`.
	Strategy string `yaml:"strategy" example:"sms"`
	// Auth0's options of an SMS connection. `provider` is `sms_gateway` (your own
	// gateway at `gateway_url`), `twilio` (`twilio_sid`, `twilio_token`, and `from` or
	// `messaging_service_sid`; `twilio_edge` with `twilio_region`), `vonage`
	// (`vonage_api_key`, `vonage_api_secret`, `vonage_signature_secret`, `from`),
	// `sns` (`sns_region`, `aws_access_key_id`, `aws_secret_access_key`,
	// `aws_session_token`, `sender_id`, `sns_max_price`), `smpp` (`smpp_host`,
	// `smpp_system_id`, `smpp_password` and more) or `console` (texts go to the
	// log: for development); `docs/sms.md` has an example of each. `timeout` is how
	// many seconds a vendor may take. `from` is the sender. `template` is the text, with
	// `@@password@@` in place of the code (`syntax: md_with_macros`) or
	// `{{ password }}` (`syntax: liquid`); when there is none, a sentence in the
	// person's language is sent. `origin_bound` (ours, by default `true`) ends the texts of
	// the login pages with the line that lets phones fill in the code there and
	// nowhere else, when the issuer is https. `docs/sms.md` has more about texts.
	// `totp.length` is the number of digits and `totp.time_step` the seconds a code
	// lives. `disable_signup` lets only known people in.
	// `brute_force_protection` (by default `true`) has Auth0's passwordless API refuse
	// a number from one address for an hour after ten wrong codes. `forward_req_info`
	// tells the gateway the person's address and browser.
	// `gateway_authentication` signs the request with a bearer JWT, and
	// `receipt_secret` is what the gateway signs its receipts with. Every secret can be
	// in a file, which the same key with `_file` behind it names: `secret_file`,
	// `twilio_token_file`. `docs/integration/sms-gateway.md` is the contract of
	// gateways: they must answer 200, and no other status.
	Options Options `yaml:"options" example:"{provider: sms_gateway, gateway_url: \"https://sms.example.com/send\", from: \"+12345678\", syntax: md_with_macros, template: \"Your verification code is: @@password@@\", totp: {time_step: 300, length: 6}, disable_signup: false, forward_req_info: \"true\", gateway_authentication: {method: bearer, subject: \"urn:handset\", audience: \"urn:MySmsGateway\", secret: \"change me\", secret_base64_encoded: false}}"`
}

// Log says what is written, and how.
type Log struct {
	// The least level written: `debug`, `info`, `warn` or `error`.
	Level string `yaml:"level"`
	// `json`, one object per line, or `text`.
	Format string `yaml:"format"`
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Listen:        ":3000",
		AdminListen:   "127.0.0.1:9300",
		Database:      NewAddress("sqlite:handset.db"),
		Redis:         NewAddress("embedded"),
		SecretKeyFile: "handset.key",
		Keys:          Keys{RotateEvery: 30 * 24 * time.Hour},
		Sessions:      Sessions{Absolute: 168 * time.Hour, Idle: 72 * time.Hour},
		Tokens: Tokens{
			Access:           time.Hour,
			ID:               10 * time.Minute,
			RefreshIdle:      168 * time.Hour,
			RefreshAbsolute:  720 * time.Hour,
			IDTokenOnRefresh: true,
		},
		Limits: DefaultLimits(),
		Log:    Log{Level: "info", Format: "json"},
	}
}
