package config

import (
	"cmp"
	"encoding/json"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// Client is an application, in Auth0's words.
type Client struct {
	// The public name of the application in the protocol. Required.
	ClientID string `yaml:"client_id" example:"tiny-client"`
	// What people see on the login page. Default: the client_id.
	Name string `yaml:"name" example:"Tiny"`
	// `regular_web` (it has a server that keeps a secret, the default), `spa` or
	// `native` (they can't keep one), `non_interactive` (nobody signs in), or
	// `verification` (it calls the Durable Functions dialect of the verification API;
	// its key there is its `client_id`, a dot, and its secret, in which there is none).
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
	// Further origins of the application, which a login may lead on to. Its pages
	// can call the token endpoint and userinfo from any origin (CORS).
	WebOrigins []string `yaml:"web_origins"`
	// More of the same.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// What the client may exchange for tokens: `authorization_code` and
	// `refresh_token`, the default; `client_credentials`, the default of
	// `non_interactive`, for tokens of APIs in the client's own name (see
	// `client_grants`). `implicit`, Auth0's switch, allows ID tokens by form post
	// (`response_type=id_token`).
	// `http://auth0.com/oauth/grant-type/passwordless/otp` allows Auth0's passwordless
	// API (`/passwordless/start`, and texted codes for tokens). Other grants of Auth0 are kept, not used, and
	// warned about.
	GrantTypes []string `yaml:"grant_types" example:"[authorization_code, refresh_token]"`
	// How the client authenticates: `client_secret_post` (the default),
	// `client_secret_basic`, `private_key_jwt`, or `none`, the default of `spa`
	// and `native`.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" example:"client_secret_post"`
	// The client's public keys (RFC 7517), for `private_key_jwt`.
	JWKS JWKS `yaml:"jwks" example:"{}"`
	// Whether the application is the operator's own. True, the default, is all
	// that this version knows: nobody is asked for consent.
	IsFirstParty bool `yaml:"is_first_party" example:"true"`
	// Whether a request without PKCE is refused. Always true, and the default,
	// for a client that does not authenticate; otherwise false by default.
	RequirePKCE bool `yaml:"require_pkce" example:"true"`
	// Whether a request without `state` is refused.
	RequireState bool `yaml:"require_state" example:"true"`
	// Whether a request without `nonce` is refused.
	RequireNonce bool `yaml:"require_nonce" example:"true"`
	// `public`, the default: people have the same `sub` for every client. Or
	// `pairwise`: they have another one, which nothing leads back from, for each
	// host of callbacks; all callbacks of the client must then be of one host. To
	// change it later makes everyone a stranger to the application.
	SubjectType string `yaml:"subject_type" example:"public"`
	// How ID tokens for the client are signed: `RS256`, the default, which every
	// library knows, or `ES256`, which costs a twentieth of the work.
	IDTokenSignedResponseAlg string `yaml:"id_token_signed_response_alg" example:"RS256"`
	// The identifier of the API that this client is the backend of: it may ask
	// about the tokens for that API (introspection), and about no others but its
	// own. For clients that authenticate.
	ResourceServerIdentifier string `yaml:"resource_server_identifier" example:"-"`
	// The regions whose numbers this client may have verified, beside what
	// `countries` allows at all. Empty: all of those.
	Countries []string `yaml:"countries" example:"-"`
	// The addresses, or networks as in `192.0.2.0/24`, that this client may ask for
	// verifications from: a key that got lost is of no use elsewhere. Empty: all.
	Addresses []string `yaml:"addresses" example:"-"`
	// Whether `auth0-forwarded-for` of a call to `/passwordless/start` that carries the
	// client's secret names the person's address, which limits then count. The same
	// header counts for the codes that `/oauth/token` and `/passwordless/verify` take.
	IsTokenEndpointIPHeaderTrusted bool `yaml:"is_token_endpoint_ip_header_trusted" example:"false"`
	// Whether pages of the client's own origins may prove a number themselves
	// (`/co/authenticate`), as `auth0-js` embedded in an application does.
	CrossOriginAuthentication bool `yaml:"cross_origin_authentication" example:"false"`
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

// complete fills in the defaults of a client that was read from m.
func (c *Client) complete(m map[string]any) {
	if m["is_first_party"] == nil {
		c.IsFirstParty = true
	}
	c.SetDefaults()
	if m["require_pkce"] == nil && c.TokenEndpointAuthMethod == oauth.AuthNone {
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
	fill(&c.AppType, oauth.AppRegularWeb)
	fill(&c.SubjectType, "public")
	fill(&c.IDTokenSignedResponseAlg, registration.IDTokenAlgorithms()[0])
	if c.AppType == oauth.AppSPA || c.AppType == oauth.AppNative {
		fill(&c.TokenEndpointAuthMethod, oauth.AuthNone)
	}
	if !c.JWKS.IsZero() && !c.hasSecret() {
		fill(&c.TokenEndpointAuthMethod, oauth.AuthPrivateKeyJWT)
	}
	fill(&c.TokenEndpointAuthMethod, oauth.AuthSecretPost)
	if c.GrantTypes == nil {
		c.GrantTypes = registration.UsualGrants(c.AppType)
	}
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
		IDTokenAlg:              c.IDTokenSignedResponseAlg,
		InitiateLogin:           c.InitiateLoginURI,
		TrustIPHeader:           c.IsTokenEndpointIPHeaderTrusted,
		CrossOrigin:             c.CrossOriginAuthentication,
		API:                     storage.Audience(c.ResourceServerIdentifier),
		Countries:               c.Countries,
		Addresses:               c.Addresses,
	}
}

// FromRecord returns a client of the database as the file would declare it,
// without its secret.
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

		IDTokenSignedResponseAlg:       cmp.Or(r.IDTokenAlg, registration.IDTokenAlgorithms()[0]),
		ResourceServerIdentifier:       string(r.API),
		IsTokenEndpointIPHeaderTrusted: r.TrustIPHeader,
		CrossOriginAuthentication:      r.CrossOrigin,
		Countries:                      r.Countries,
		Addresses:                      r.Addresses,
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

// hasSecret reports whether the file gives the client a secret, readable or not.
func (c *Client) hasSecret() bool { return !c.ClientSecret.IsZero() || c.ClientSecretFile != "" }

// check holds the client to the rules of every registration.
func (c *Client) check(r *report, path string) {
	record := c.Record()
	if c.hasSecret() {
		record.SecretMACs = [][]byte{nil} // what the MAC is, the rules don't look at
	}
	for _, p := range registration.Validate(record) {
		r.problem(join(path, p.Field), p.Message)
	}
	for _, d := range registration.Doubts(record) {
		r.warn(join(path, d.Field), d.Message)
	}
	if secret := c.ClientSecret.Reveal(); secret != "" && len(secret) < shortestSecret {
		r.warn(join(path, "client_secret"), "is short enough to be guessed; use 32 random characters")
	}
}

// shortestSecret is 96 bits of base64; what people make up has fewer.
const shortestSecret = 16

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
	out := structNode(c)
	if c.JWKS.IsZero() {
		for i := 0; i < len(out.Content); i += 2 {
			if out.Content[i].Value == "jwks" {
				out.Content = slices.Delete(out.Content, i, i+2)
				break
			}
		}
	}
	return yaml.Marshal(out)
}
