package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/provider/registration"
)

// flagNames are the flags of client fields.
var flagNames = map[string]string{
	"client_id": "--id", "name": "--name", "app_type": "--type", "callbacks": "--callback",
	"allowed_logout_urls": "--logout-url", "web_origins": "--web-origin", "allowed_origins": "--allowed-origin",
	"token_endpoint_auth_method": "--auth-method", "grant_types": "--grant", "jwks": "--jwks",
	"require_pkce": "--require-pkce", "initiate_login_uri": "--initiate-login-uri",
	"subject_type": "--subject-type", "id_token_signed_response_alg": "--id-token-alg", "resource_server_identifier": "--api",
	"countries": "--country", "addresses": "--address",
}

// inFlags says --callback in place of callbacks[1], where there is such a flag.
func inFlags(p registration.Problem) string { return inFlagsOf(flagNames, p) }

// inFlagsOf is inFlags for the flags of another command.
func inFlagsOf(flagNames map[string]string, p registration.Problem) string {
	key := p.Field
	if i := strings.IndexAny(key, "[."); i >= 0 {
		key = key[:i]
	}
	switch name, ok := flagNames[key]; {
	case p.Field == "":
		return p.Message
	case !ok:
		return p.String()
	case strings.HasPrefix(p.Field, "jwks."):
		return name + ": " + strings.TrimPrefix(p.Field, "jwks.") + " " + p.Message
	default:
		return name + ": " + p.Message
	}
}

// clientFlags are the settings of a client on the command line.
type clientFlags struct {
	name, appType, authMethod, jwksFile, initiateLogin string
	subjectType, idTokenAlg, api                       string
	callbacks, logoutURLs, webOrigins, allowedOrigins  []string
	grants, countries, addresses                       []string
	pkce, state, nonce                                 bool
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the `name` that people see on the login page")
	flags.StringVar(&f.appType, "type", "regular_web", "the `type`: spa, native, regular_web, non_interactive or verification")
	flags.StringArrayVar(&f.callbacks, "callback", nil, "an `address` that a login may return to; repeat for more")
	flags.StringArrayVar(&f.logoutURLs, "logout-url", nil, "an `address` that a logout may return to; repeat for more")
	flags.StringArrayVar(&f.webOrigins, "web-origin", nil, "a further `origin` of the application, which a login may lead on to; repeat for more")
	flags.StringArrayVar(&f.allowedOrigins, "allowed-origin", nil, "an `origin` more, Auth0's other list; repeat for more")
	flags.StringVar(&f.authMethod, "auth-method", "", "the `method`: none, client_secret_post, client_secret_basic or private_key_jwt; by default what fits the type")
	flags.StringArrayVar(&f.grants, "grant", nil, "a grant `type`, repeat for more; by default authorization_code and refresh_token, and client_credentials for non_interactive")
	flags.StringVar(&f.jwksFile, "jwks", "", "a `file` with the client's public keys (JWKS), for private_key_jwt")
	flags.StringVar(&f.subjectType, "subject-type", "public", "the `type` of the names that people have for it: public, or pairwise, which no other application's lead to")
	flags.StringVar(&f.idTokenAlg, "id-token-alg", "RS256", "the `algorithm` that signs its ID tokens: RS256, which every library knows, or ES256")
	flags.StringVar(&f.api, "api", "", "the `identifier` of the API that it is the backend of, whose tokens it may ask about")
	flags.StringArrayVar(&f.countries, "country", nil, "a `region` whose numbers it may have verified, such as JP, repeat for more; by default all that may be texted")
	flags.StringArrayVar(&f.addresses, "address", nil, "an `address`, or a network such as 192.0.2.0/24, that it may ask for verifications from, repeat for more; by default any")
	flags.StringVar(&f.initiateLogin, "initiate-login-uri", "", "the `address` where the application starts a login")
	flags.BoolVar(&f.pkce, "require-pkce", true, "refuse requests without PKCE")
	flags.BoolVar(&f.state, "require-state", false, "refuse requests without state")
	flags.BoolVar(&f.nonce, "require-nonce", false, "refuse requests without nonce")
}

// given reports whether the command line sets anything of what a command is about.
func given(cmd *cobra.Command) bool {
	found := false
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		found = found || flag.Name != "json" && cmd.InheritedFlags().Lookup(flag.Name) == nil
	})
	return found
}

// hideDefaults is for a command that leaves what is not given as it is: a
// default in its help would read as what it resets to.
func hideDefaults(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() == "bool" {
			flag.DefValue = "false"
			return
		}
		flag.DefValue = ""
		flag.Usage, _, _ = strings.Cut(flag.Usage, "; by default ")
	})
}

// apply copies the flags that were given.
func (f *clientFlags) apply(cmd *cobra.Command, c *config.Client) error {
	set := func(flag string, apply func()) {
		if cmd.Flags().Changed(flag) {
			apply()
		}
	}
	set("name", func() { c.Name = f.name })
	set("type", func() { c.AppType = f.appType })
	set("callback", func() { c.Callbacks = filled(f.callbacks) })
	set("logout-url", func() { c.AllowedLogoutURLs = filled(f.logoutURLs) })
	set("web-origin", func() { c.WebOrigins = filled(f.webOrigins) })
	set("allowed-origin", func() { c.AllowedOrigins = filled(f.allowedOrigins) })
	set("auth-method", func() { c.TokenEndpointAuthMethod = f.authMethod })
	set("grant", func() { c.GrantTypes = filled(f.grants) })
	set("subject-type", func() { c.SubjectType = f.subjectType })
	set("id-token-alg", func() { c.IDTokenSignedResponseAlg = f.idTokenAlg })
	set("api", func() { c.ResourceServerIdentifier = f.api })
	set("country", func() { c.Countries = filled(f.countries) })
	set("address", func() { c.Addresses = filled(f.addresses) })
	set("initiate-login-uri", func() { c.InitiateLoginURI = f.initiateLogin })
	set("require-pkce", func() { c.RequirePKCE = f.pkce })
	set("require-state", func() { c.RequireState = f.state })
	set("require-nonce", func() { c.RequireNonce = f.nonce })
	if !cmd.Flags().Changed("jwks") {
		return nil
	}
	if f.jwksFile == "" {
		c.JWKS = config.JWKS{}
		return nil
	}
	text, err := os.ReadFile(f.jwksFile)
	if err != nil {
		return fmt.Errorf("read --jwks: %w", err)
	}
	if !json.Valid(text) {
		return fmt.Errorf("read --jwks: %s is not JSON", f.jwksFile)
	}
	c.JWKS = config.NewJWKS(text)
	return nil
}

// filled drops empty values, so that --callback "" empties the list.
func filled(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
}
