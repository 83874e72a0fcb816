package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"go.yaml.in/yaml/v3"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Client is an application, in Auth0's words.
type Client struct {
	// The public name of the application in the protocol. Required.
	ClientID string `yaml:"client_id" example:"tiny-client"`
	// What people see on the login page. Default: the client_id.
	Name string `yaml:"name" example:"Tiny"`
	// `regular_web` (it has a server that keeps a secret, the default), `spa` or
	// `native` (they can't keep one), or `non_interactive` (nobody logs in).
	AppType string `yaml:"app_type" example:"regular_web"`
	// The secret of a confidential client; kept as a MAC.
	ClientSecret Secret `yaml:"client_secret" example:"change me to 32 random characters"`
	// A file that holds the secret.
	ClientSecretFile string `yaml:"client_secret_file" example:"-"`
	// The addresses that a login may return to, compared exactly. `https`; `http`
	// for localhost, 127.0.0.1 and [::1] only; a scheme of its own such as
	// `com.example.app:/callback` for `native` only.
	Callbacks []string `yaml:"callbacks" example:"[\"http://localhost:4000/oidc/callback\"]"`
	// The addresses that a logout may return to, under the same rules.
	AllowedLogoutURLs []string `yaml:"allowed_logout_urls" example:"[\"http://localhost:4000/\"]"`
	// Origins of pages that may call the token endpoint and userinfo (CORS).
	WebOrigins []string `yaml:"web_origins"`
	// More of the same.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// What the client may exchange for tokens: `authorization_code`,
	// `refresh_token`. Default: both; none for `non_interactive`. Other grants of
	// Auth0 are kept, not used, and warned about.
	GrantTypes []string `yaml:"grant_types" example:"[authorization_code, refresh_token]"`
	// How the client authenticates: `client_secret_post` (the default),
	// `client_secret_basic`, `private_key_jwt`, or `none`, the default of `spa`
	// and `native`.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" example:"client_secret_post"`
	// The client's public keys (RFC 7517), for `private_key_jwt`.
	JWKS JWKS `yaml:"jwks" example:"{}"`
	// Whether the application is the operator's own. Default: true.
	IsFirstParty bool `yaml:"is_first_party" example:"true"`
	// Whether a request without PKCE is refused. Always true, and the default,
	// for a client that does not authenticate; otherwise false by default.
	RequirePKCE bool `yaml:"require_pkce" example:"true"`
	// Whether a request without `state` is refused.
	RequireState bool `yaml:"require_state" example:"true"`
	// Whether a request without `nonce` is refused.
	RequireNonce bool `yaml:"require_nonce" example:"true"`
	// `public`: the same `sub` for every client.
	SubjectType string `yaml:"subject_type" example:"public"`
	// Where the application starts a login. People whose login can't go on are
	// sent there. `https`, or `http` for a loopback host.
	InitiateLoginURI string `yaml:"initiate_login_uri" example:"\"http://localhost:4000/login\""`
}

// JWKS is a set of public keys as JSON; empty when there is none.
type JWKS struct{ raw json.RawMessage }

// NewJWKS wraps a key set given as JSON text.
func NewJWKS(text []byte) JWKS { return JWKS{json.RawMessage(text)} }

// JSON returns the set, nil when there is none.
func (j JWKS) JSON() json.RawMessage { return j.raw }

// IsZero reports whether there is no key set.
func (j JWKS) IsZero() bool { return len(j.raw) == 0 }

func (j *JWKS) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, `want a key set: {keys: [...]}`)
		return
	}
	if len(m) == 0 {
		return
	}
	raw, err := json.Marshal(m)
	if err != nil {
		d.problem(path, "holds a value that JSON can't express")
		return
	}
	j.raw = raw
}

// The values that a client's fields take.
var (
	appTypes        = []string{"regular_web", "spa", "native", "non_interactive"}
	authMethods     = []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"}
	grantTypes      = []string{"authorization_code", "refresh_token"}
	laterGrantTypes = []string{
		"client_credentials", "implicit", "password",
		"urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:token-exchange",
		"http://auth0.com/oauth/grant-type/passwordless/otp",
		"http://auth0.com/oauth/grant-type/password-realm",
		"http://auth0.com/oauth/grant-type/mfa-oob",
		"http://auth0.com/oauth/grant-type/mfa-otp",
		"http://auth0.com/oauth/grant-type/mfa-recovery-code",
	}
)

// complete fills in the defaults of a client that was read from m.
func (c *Client) complete(m map[string]any) {
	if m["is_first_party"] == nil {
		c.IsFirstParty = true
	}
	c.SetDefaults()
	if m["require_pkce"] == nil && c.Public() {
		c.RequirePKCE = true
	}
}

// SetDefaults fills in what follows from other fields where nothing is set.
func (c *Client) SetDefaults() {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&c.Name, c.ClientID)
	fill(&c.AppType, "regular_web")
	fill(&c.SubjectType, "public")
	if c.AppType == "spa" || c.AppType == "native" {
		fill(&c.TokenEndpointAuthMethod, "none")
	}
	if !c.JWKS.IsZero() && c.ClientSecret.IsZero() && c.ClientSecretFile == "" {
		fill(&c.TokenEndpointAuthMethod, "private_key_jwt")
	}
	fill(&c.TokenEndpointAuthMethod, "client_secret_post")
	if c.GrantTypes == nil && c.AppType != "non_interactive" {
		c.GrantTypes = slices.Clone(grantTypes)
	}
}

// Public reports whether the client does not authenticate (RFC 6749 §2.1).
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == "none" }

// NeedsSecret reports whether the client authenticates with a secret.
func (c *Client) NeedsSecret() bool {
	return strings.HasPrefix(c.TokenEndpointAuthMethod, "client_secret_")
}

// Record returns the client as stores and the provider know it, without the
// MAC of its secret.
func (c *Client) Record() storage.Client {
	return storage.Client{
		ClientID:                storage.ClientID(c.ClientID),
		Name:                    c.Name,
		AppType:                 c.AppType,
		Callbacks:               c.Callbacks,
		AllowedLogoutURLs:       c.AllowedLogoutURLs,
		WebOrigins:              c.WebOrigins,
		AllowedOrigins:          c.AllowedOrigins,
		GrantTypes:              c.GrantTypes,
		TokenEndpointAuthMethod: c.TokenEndpointAuthMethod,
		JWKS:                    c.JWKS.JSON(),
		IsFirstParty:            c.IsFirstParty,
		RequirePKCE:             c.RequirePKCE,
		RequireState:            c.RequireState,
		RequireNonce:            c.RequireNonce,
		SubjectType:             c.SubjectType,
		InitiateLogin:           c.InitiateLoginURI,
	}
}

// FromRecord is the other way round.
func FromRecord(r storage.Client) Client {
	return Client{
		ClientID:                string(r.ClientID),
		Name:                    r.Name,
		AppType:                 r.AppType,
		Callbacks:               r.Callbacks,
		AllowedLogoutURLs:       r.AllowedLogoutURLs,
		WebOrigins:              r.WebOrigins,
		AllowedOrigins:          r.AllowedOrigins,
		GrantTypes:              r.GrantTypes,
		TokenEndpointAuthMethod: r.TokenEndpointAuthMethod,
		JWKS:                    NewJWKS(r.JWKS),
		IsFirstParty:            r.IsFirstParty,
		RequirePKCE:             r.RequirePKCE,
		RequireState:            r.RequireState,
		RequireNonce:            r.RequireNonce,
		SubjectType:             r.SubjectType,
		InitiateLoginURI:        r.InitiateLogin,
	}
}

func (c *Client) readSecret(d *decoder, path string) {
	if c.ClientSecretFile == "" {
		return
	}
	if !c.ClientSecret.IsZero() {
		d.problem(path, "set client_secret or client_secret_file, not both")
		return
	}
	if secret, ok := d.file(path+".client_secret_file", c.ClientSecretFile); ok {
		c.ClientSecret = NewSecret(secret)
	}
}

// Validate reports what is wrong with the client's registration, all at once;
// whether it has a secret is not looked at.
func (c *Client) Validate() ([]Problem, []Warning) {
	r := &report{}
	c.check(r, "")
	return r.problems, r.warnings
}

// clientIDs are what fits everywhere: in a form, in an HTTP Basic header
// without escaping (RFC 6749 §2.3.1), on a command line.
var clientIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)

func (c *Client) check(r *report, path string) {
	if !clientIDs.MatchString(c.ClientID) {
		message := "want letters, digits and . _ ~ - only, at most 128"
		if c.ClientID == "" {
			message = "missing"
		}
		r.problem(join(path, "client_id"), message)
	}
	if len(c.Name) > 200 || strings.ContainsFunc(c.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.problem(join(path, "name"), "want one line of at most 200 characters")
	}
	oneOf(r, join(path, "app_type"), c.AppType, appTypes)
	if c.SubjectType == "pairwise" {
		r.problem(join(path, "subject_type"), "pairwise is not supported by this version; use public")
	} else {
		oneOf(r, join(path, "subject_type"), c.SubjectType, []string{"public"})
	}
	c.checkAuthentication(r, path)
	c.checkGrants(r, path)
	c.checkAddresses(r, path)
	if !c.RequirePKCE && !c.RequireState && !c.RequireNonce && slices.Contains(c.GrantTypes, "authorization_code") {
		r.warn(path, fmt.Sprintf("%s requires neither PKCE, state nor nonce; set require_pkce, require_state and require_nonce when the application sends them", c.ClientID))
	}
}

func oneOf(r *report, path, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		r.problem(path, "want "+choice(allowed))
	}
}

func (c *Client) checkAuthentication(r *report, path string) {
	oneOf(r, join(path, "token_endpoint_auth_method"), c.TokenEndpointAuthMethod, authMethods)
	if c.Public() && !c.RequirePKCE {
		// RFC 9700 §2.1.1: public clients must use PKCE.
		r.problem(join(path, "require_pkce"), "a client that does not authenticate must use PKCE; remove the line")
	}
	if c.Public() && c.AppType == "non_interactive" {
		r.problem(join(path, "token_endpoint_auth_method"), "a non_interactive client must authenticate")
	}
	switch {
	case c.TokenEndpointAuthMethod == "private_key_jwt" && c.JWKS.IsZero():
		r.problem(join(path, "jwks"), "missing: private_key_jwt needs the client's public keys")
	case !c.JWKS.IsZero():
		if message := jwksMessage(c.JWKS.JSON()); message != "" {
			r.problem(join(path, "jwks"), message)
		}
	}
}

// jwksMessage says what is wrong with a set of public keys, or "".
func jwksMessage(raw json.RawMessage) string {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) == 0 {
		return "want a key set (RFC 7517) with at least one key: {keys: [...]}"
	}
	for i, key := range set.Keys {
		switch {
		case isSymmetric(key), key.Valid() && !key.IsPublic():
			return fmt.Sprintf("keys[%d] is a private or shared key; register the public part only", i)
		case !key.Valid():
			return fmt.Sprintf("keys[%d] is not a valid key", i)
		}
	}
	return ""
}

func isSymmetric(key jose.JSONWebKey) bool {
	_, ok := key.Key.([]byte)
	return ok
}

// checkSecret is for clients of the file: those of the database keep a MAC.
func (c *Client) checkSecret(r *report, path string) {
	secret := join(path, "client_secret")
	switch {
	case c.NeedsSecret() && c.ClientSecret.IsZero() && c.ClientSecretFile == "":
		r.problem(secret, "missing: "+c.TokenEndpointAuthMethod+" needs client_secret or client_secret_file; for a client that can't keep a secret set token_endpoint_auth_method: none")
	case !c.NeedsSecret() && !c.ClientSecret.IsZero():
		r.problem(secret, "not allowed with token_endpoint_auth_method "+c.TokenEndpointAuthMethod)
	case !c.ClientSecret.IsZero() && len(c.ClientSecret.Reveal()) < 16:
		r.warn(secret, "is short enough to be guessed; use 32 random characters")
	}
}

func (c *Client) checkGrants(r *report, path string) {
	for i, grant := range c.GrantTypes {
		switch {
		case slices.Contains(grantTypes, grant):
		case slices.Contains(laterGrantTypes, grant):
			r.warn(at(join(path, "grant_types"), i), grant+" is not supported by this version and has no effect")
		default:
			r.problem(at(join(path, "grant_types"), i), "unknown grant type; want "+choice(grantTypes))
		}
	}
	if slices.Contains(c.GrantTypes, "authorization_code") && len(c.Callbacks) == 0 {
		r.problem(join(path, "callbacks"), "missing: the address that a login returns to")
	}
}

func (c *Client) checkAddresses(r *report, path string) {
	native := c.AppType == "native"
	redirects := func(key string, addresses []string) {
		for i, raw := range addresses {
			if message := redirectMessage(raw, native); message != "" {
				r.problem(at(join(path, key), i), message)
			}
		}
	}
	origins := func(key string, origins []string) {
		for i, raw := range origins {
			if !validOrigin(raw) {
				r.problem(at(join(path, key), i), "want an origin: scheme, host and port without a path, such as https://app.example.com")
			}
		}
	}
	redirects("callbacks", c.Callbacks)
	redirects("allowed_logout_urls", c.AllowedLogoutURLs)
	origins("web_origins", c.WebOrigins)
	origins("allowed_origins", c.AllowedOrigins)
	if c.InitiateLoginURI != "" {
		if message := redirectMessage(c.InitiateLoginURI, false); message != "" {
			r.problem(join(path, "initiate_login_uri"), message)
		}
	}
}

// redirectMessage says why an address can't be registered to redirect to, or "".
func redirectMessage(raw string, native bool) string {
	if strings.Contains(raw, "*") {
		return "wildcards do not work; list every address"
	}
	if u, err := url.Parse(raw); err == nil && strings.HasPrefix(u.Scheme, "http") && u.Hostname() == "" {
		return "must name a host"
	}
	return oauth.CheckRedirectURI(raw, native)
}

func validOrigin(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") &&
		u.Host != "" && u.User == nil && raw == u.Scheme+"://"+u.Host &&
		!strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("*%\\\"<>", c) })
}

// values returns the key set as a map, for printing.
func (j JWKS) values() map[string]any {
	out := map[string]any{}
	if json.Unmarshal(j.raw, &out) != nil || out == nil {
		return map[string]any{}
	}
	return out
}

// YAML returns the client as the file would declare it, its secret hidden.
func (c *Client) YAML() ([]byte, error) {
	return yaml.Marshal(node(reflect.ValueOf(c).Elem()))
}
