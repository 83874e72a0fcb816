package client

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Problem is one thing that is wrong with a registration.
type Problem struct {
	Field   string // as configuration and API spell it: callbacks[1]
	Message string // what is wrong and what to do
}

// String returns field and message on one line.
func (p Problem) String() string { return p.Field + ": " + p.Message }

// clientIDs are what fits everywhere: in a form, in an HTTP Basic header
// without escaping (RFC 6749 §2.3.1), on a command line.
var clientIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)

// otherGrants are the grant types of Auth0 that a registration may list and
// that have no effect here.
var otherGrants = []string{
	"client_credentials", "implicit", "password",
	"urn:ietf:params:oauth:grant-type:device_code",
	"urn:ietf:params:oauth:grant-type:token-exchange",
	"http://auth0.com/oauth/grant-type/passwordless/otp",
	"http://auth0.com/oauth/grant-type/password-realm",
	"http://auth0.com/oauth/grant-type/mfa-oob",
	"http://auth0.com/oauth/grant-type/mfa-otp",
	"http://auth0.com/oauth/grant-type/mfa-recovery-code",
}

// findings collects problems.
type findings []Problem

func (f *findings) add(field, format string, args ...any) {
	*f = append(*f, Problem{field, fmt.Sprintf(format, args...)})
}

func (f *findings) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(field, "want one of %s", strings.Join(allowed, ", "))
	}
}

// Validate says all that is wrong with a complete registration, secrets
// included; nil when nothing is. It looks at nothing but c.
func Validate(c storage.Client) []Problem {
	var f findings
	switch {
	case c.ClientID == "":
		f.add("client_id", "missing")
	case !clientIDs.MatchString(string(c.ClientID)):
		f.add("client_id", "want letters, digits and . _ ~ - only, at most 128")
	}
	if len(c.Name) > 200 || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		f.add("name", "want one line of at most 200 characters")
	}
	f.oneOf("app_type", c.AppType, oauth.AppRegularWeb, oauth.AppSPA, oauth.AppNative, oauth.AppNonInteractive)
	if c.SubjectType == "pairwise" {
		f.add("subject_type", "pairwise is not supported; use public")
	} else {
		f.oneOf("subject_type", c.SubjectType, "public")
	}
	f.authentication(c)
	f.grants(c)
	f.addresses(c)
	return f
}

func (f *findings) authentication(c storage.Client) {
	const method = "token_endpoint_auth_method"
	f.oneOf(method, c.TokenEndpointAuthMethod,
		oauth.AuthSecretPost, oauth.AuthSecretBasic, oauth.AuthPrivateKeyJWT, oauth.AuthNone)
	secret := c.TokenEndpointAuthMethod == oauth.AuthSecretBasic || c.TokenEndpointAuthMethod == oauth.AuthSecretPost
	switch {
	case secret && len(c.SecretMACs) == 0:
		f.add("client_secret", "missing: %s needs one", c.TokenEndpointAuthMethod)
	case !secret && len(c.SecretMACs) > 0:
		f.add("client_secret", "not allowed with %s %s", method, c.TokenEndpointAuthMethod)
	case c.TokenEndpointAuthMethod == oauth.AuthPrivateKeyJWT && noKeySet(c):
		f.add("jwks", "missing: private_key_jwt needs the client's public keys: {keys: [...]}")
	}
	if c.Public() && c.AppType == oauth.AppNonInteractive {
		f.add(method, "a non_interactive client must authenticate")
	}
	// RFC 9700 §2.1.1: public clients must use PKCE.
	if c.Public() && !c.RequirePKCE {
		f.add("require_pkce", "a client that does not authenticate must use PKCE")
	}
	f.keySet(c)
}

// keySet looks at every key, and for two that a kid can't tell apart.
func (f *findings) keySet(c storage.Client) {
	set, seen := splitSet(c.JWKS), map[string]bool{}
	if len(set) == 0 && !noKeySet(c) {
		f.add("jwks", "want a key set (RFC 7517) with at least one key: {keys: [...]}")
	}
	for i, text := range set {
		field := fmt.Sprintf("jwks.keys[%d]", i)
		key, problem := parseJWK(text)
		switch {
		case problem != "":
			f.add(field, "%s", problem)
		case key.KeyID == "" && len(set) > 1:
			f.add(field, "has no kid, which every key of several needs")
		case seen[key.KeyID]:
			f.add(field, "has the kid of another key")
		}
		seen[key.KeyID] = true
	}
}

// noKeySet reports whether nothing is registered; design.md §4 writes it {}.
func noKeySet(c storage.Client) bool {
	return slices.Contains([]string{"", "null", "{}"}, string(c.JWKS))
}

func (f *findings) grants(c storage.Client) {
	for i, grant := range c.GrantTypes {
		if grant != oauth.GrantAuthorizationCode && grant != oauth.GrantRefreshToken && !slices.Contains(otherGrants, grant) {
			f.add(fmt.Sprintf("grant_types[%d]", i), "unknown grant type; want %s or %s",
				oauth.GrantAuthorizationCode, oauth.GrantRefreshToken)
		}
	}
	if MayUse(&c, oauth.GrantAuthorizationCode) && len(c.Callbacks) == 0 {
		f.add("callbacks", "missing: the address that a login returns to")
	}
}

func (f *findings) addresses(c storage.Client) {
	redirects := func(field string, addresses []string) {
		for i, address := range addresses {
			if problem := oauth.CheckRedirectURI(address, Native(&c)); problem != "" {
				f.add(fmt.Sprintf("%s[%d]", field, i), "%s", problem)
			} else if strings.Contains(address, "*") {
				f.add(fmt.Sprintf("%s[%d]", field, i), "wildcards do not work; list every address")
			}
		}
	}
	origins := func(field string, list []string) {
		for i, origin := range list {
			if !validOrigin(origin) {
				f.add(fmt.Sprintf("%s[%d]", field, i), "want an origin, scheme, host and port without a path, such as https://app.example.com")
			}
		}
	}
	redirects("callbacks", c.Callbacks)
	redirects("allowed_logout_urls", c.AllowedLogoutURLs)
	origins("web_origins", c.WebOrigins)
	origins("allowed_origins", c.AllowedOrigins)
	if c.InitiateLogin != "" {
		if problem := oauth.CheckRedirectURI(c.InitiateLogin, false); problem != "" {
			f.add("initiate_login_uri", "%s", problem)
		}
	}
}

// validOrigin reports whether a text is an origin as browsers send it, or it
// would never match.
func validOrigin(origin string) bool {
	return origin != "" && originOf(origin) == origin && !strings.ContainsAny(origin, "*@ ")
}
