// Package registration says what the registrations of clients and of APIs may
// hold (RFC 7591 §2, in Auth0's field names), and reads the keys in them.
//
// It holds the rules once, for the configuration file, for the command and for
// the provider. It looks at nothing but the record: it is a leaf, keeps nothing
// and authenticates nobody.
package registration

import (
	"fmt"
	"net/url"
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

// Validate says all that is wrong with a complete registration, the presence
// of secrets included; nil when nothing is.
func Validate(c storage.Client) []Problem {
	var f findings
	f.identity(c)
	f.authentication(c)
	f.keySet(c)
	f.grants(c)
	f.addresses(c)
	f.subjects(c)
	return f
}

// Doubts says what of a sound registration works and is probably not meant.
// A Field that is empty means the registration as a whole.
func Doubts(c storage.Client) []Problem {
	var f findings
	for i, grant := range c.GrantTypes {
		if slices.Contains(otherGrants, grant) {
			f.add(member("grant_types", i), "%s has no effect in this version; what works is %s", grant, listed(grantTypes, "and"))
		}
	}
	if c.NeedsSecret() && (c.AppType == oauth.AppSPA || c.AppType == oauth.AppNative) {
		f.add("token_endpoint_auth_method", "an application of type %s can't keep a secret: whoever has it can read it; use %s", c.AppType, oauth.AuthNone)
	}
	if c.MayUse(oauth.GrantAuthorizationCode) && !c.RequirePKCE && !c.RequireState && !c.RequireNonce {
		f.add("", "%s requires neither PKCE, state nor nonce; set require_pkce, require_state and require_nonce when the application sends them", c.ClientID)
	}
	return f
}

// UsualGrants returns the grant types of an application that says nothing else.
func UsualGrants(appType string) []string {
	switch appType {
	case oauth.AppNonInteractive:
		return []string{oauth.GrantClientCredentials}
	case oauth.AppVerification:
		return []string{}
	}
	return []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken}
}

// grantTypes are those that have an effect. implicit, Auth0's switch, allows
// ID tokens by form post and nothing else; Auth0's passwordless grant allows its doors.
var grantTypes = []string{
	oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantClientCredentials, oauth.GrantImplicit,
	oauth.GrantPasswordlessOTP,
}

// otherGrants are the grant types of Auth0 that a registration may list and
// that have no effect here.
var otherGrants = []string{
	"password",
	"urn:ietf:params:oauth:grant-type:device_code",
	"urn:ietf:params:oauth:grant-type:token-exchange",
	"http://auth0.com/oauth/grant-type/password-realm",
	"http://auth0.com/oauth/grant-type/mfa-oob",
	"http://auth0.com/oauth/grant-type/mfa-otp",
	"http://auth0.com/oauth/grant-type/mfa-recovery-code",
}

// KnownGrant reports whether a registration may list a grant type.
func KnownGrant(grant string) bool {
	return slices.Contains(grantTypes, grant) || slices.Contains(otherGrants, grant)
}

// ConnectionNames are Auth0's: they stand in addresses and on command lines.
var ConnectionNames = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,126}[A-Za-z0-9])?$`)

// clientIDs are what fits everywhere: in a form, in an HTTP Basic header
// without escaping (RFC 6749 §2.3.1), on a command line.
var clientIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)

// regions are ISO 3166-1's codes.
var regions = regexp.MustCompile(`^[A-Z]{2}$`)

// longestName is what fits on a page.
const longestName = 200

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

// listed spells a list: "a, b or c".
func listed(words []string, last string) string {
	end := len(words) - 1
	return strings.Join(words[:end], ", ") + " " + last + " " + words[end]
}

func member(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

func (f *findings) identity(c storage.Client) {
	switch {
	case c.ClientID == "":
		f.add("client_id", "missing")
	case !clientIDs.MatchString(string(c.ClientID)):
		f.add("client_id", "want letters, digits and . _ ~ - only, at most 128")
	}
	if len(c.Name) > longestName || strings.ContainsFunc(c.Name, isControl) {
		f.add("name", "want one line of at most %d characters", longestName)
	}
	f.oneOf("app_type", c.AppType, oauth.AppRegularWeb, oauth.AppSPA, oauth.AppNative, oauth.AppNonInteractive, oauth.AppVerification)
	if !c.IsFirstParty {
		// Taken at its word it would promise people a page that asks them.
		f.add("is_first_party", "false is not supported by this version, which asks nobody for consent; set it to true for an application of your own")
	}
	for i, region := range c.Countries {
		if !regions.MatchString(region) {
			f.add(member("countries", i), "want a region as two capital letters, such as JP")
		}
	}
	for i, address := range c.Addresses {
		if _, err := storage.ParseNetwork(address); err != nil {
			f.add(member("addresses", i), "want an address, or a network such as 192.0.2.0/24")
		}
	}
	f.oneOf("subject_type", c.SubjectType, oauth.SubjectPublic, oauth.SubjectPairwise)
	if c.IDTokenAlg != "" {
		f.oneOf("id_token_signed_response_alg", c.IDTokenAlg, IDTokenAlgorithms()...)
	}
}

// subjects demands one sector of a client with pairwise subjects. Clients of many
// hosts would need a sector_identifier_uri (OIDC Core §8.1), an address to fetch,
// which Handset does not do.
func (f *findings) subjects(c storage.Client) {
	if c.SubjectType != oauth.SubjectPairwise {
		return
	}
	if _, ok := Sector(c); !ok {
		f.add("subject_type", "pairwise needs callbacks, all of one host: the host is what the subjects are for")
	}
}

// Sector returns the host of all of a client's redirect URIs, if there is one
// (OIDC Core §8.1).
func Sector(c storage.Client) (storage.Sector, bool) {
	sector := ""
	for _, callback := range c.Callbacks {
		u, err := url.Parse(callback)
		if err != nil || u.Hostname() == "" {
			return "", false
		}
		host := strings.ToLower(u.Hostname())
		if sector != "" && host != sector {
			return "", false
		}
		sector = host
	}
	return storage.Sector(sector), sector != ""
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (f *findings) authentication(c storage.Client) {
	const method = "token_endpoint_auth_method"
	f.oneOf(method, c.TokenEndpointAuthMethod,
		oauth.AuthSecretPost, oauth.AuthSecretBasic, oauth.AuthPrivateKeyJWT, oauth.AuthNone)
	switch {
	case c.NeedsSecret() && len(c.SecretMACs) == 0:
		f.add("client_secret", "missing: %s needs one; for a client that can't keep a secret set %s: none", c.TokenEndpointAuthMethod, method)
	case !c.NeedsSecret() && len(c.SecretMACs) > 0:
		f.add("client_secret", "not allowed with %s %s; remove it", method, c.TokenEndpointAuthMethod)
	}
	if c.AppType == oauth.AppVerification && c.TokenEndpointAuthMethod != oauth.AuthSecretPost {
		f.add(method, "the secret of a verification client is part of its key; want client_secret_post")
	}
	if !c.Public() {
		return
	}
	if c.API != "" {
		// Introspection is for clients with credentials (RFC 7662 §2.1).
		f.add("resource_server_identifier", "the backend of an API must authenticate; want another %s than none", method)
	}
	if c.AppType == oauth.AppNonInteractive {
		f.add(method, "a non_interactive client must authenticate; want another method than none")
	}
	if !c.RequirePKCE {
		// RFC 9700 §2.1.1: public clients must use PKCE.
		f.add("require_pkce", "a client that does not authenticate must use PKCE; leave require_pkce at true")
	}
}

func (f *findings) grants(c storage.Client) {
	for i, grant := range c.GrantTypes {
		if !KnownGrant(grant) {
			f.add(member("grant_types", i), "unknown grant type; want %s", listed(grantTypes, "or"))
		}
		if grant == oauth.GrantClientCredentials && c.Public() {
			// RFC 6749 §4.4: "MUST only be used by confidential clients".
			f.add(member("grant_types", i), "client_credentials is for clients that authenticate")
		}
	}
	if len(c.Callbacks) == 0 && (c.MayUse(oauth.GrantAuthorizationCode) || c.MayUse(oauth.GrantImplicit)) {
		f.add("callbacks", "missing: the address that a login returns to")
	}
}

// SetDefaults gives a client that comes by API what its kind of application has where
// nothing is said. A client that does not authenticate must use PKCE.
func SetDefaults(c *storage.Client) {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&c.Name, string(c.ClientID))
	fill(&c.AppType, oauth.AppRegularWeb)
	fill(&c.SubjectType, oauth.SubjectPublic)
	fill(&c.IDTokenAlg, IDTokenAlgorithms()[0])
	switch {
	case c.AppType == oauth.AppSPA || c.AppType == oauth.AppNative:
		fill(&c.TokenEndpointAuthMethod, oauth.AuthNone)
	case len(c.JWKS) > 0 && len(c.SecretMACs) == 0:
		fill(&c.TokenEndpointAuthMethod, oauth.AuthPrivateKeyJWT)
	}
	fill(&c.TokenEndpointAuthMethod, oauth.AuthSecretPost)
	if c.GrantTypes == nil {
		c.GrantTypes = UsualGrants(c.AppType)
	}
	c.RequirePKCE = c.RequirePKCE || c.Public()
}
