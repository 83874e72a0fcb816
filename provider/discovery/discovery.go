// Package discovery serves the provider's metadata: OpenID Connect Discovery 1.0
// §3 and RFC 8414 §2, one document under two names. It is built once, at start.
//
// Every field is true: what a client can't use is not advertised, and what a
// default of the specification would promise wrongly is denied aloud.
package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/text/language"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
)

// The paths below the issuer that the document names.
const (
	PathAuthorize   = "/authorize"
	PathToken       = "/oauth/token"
	PathUserinfo    = "/userinfo"
	PathIntrospect  = "/oauth/introspect"
	PathRevoke      = "/oauth/revoke"
	PathLogout      = "/oidc/logout"
	PathAuth0Logout = "/v2/logout"
	PathKeys        = "/.well-known/jwks.json"
)

// maxAge is how long a client may keep the document.
const maxAge = 5 * time.Minute

// Config is what the document says that is not the same everywhere.
type Config struct {
	// Issuer is exactly what tokens carry, whatever Host a request names.
	Issuer string
	// AssertionAlgorithms are the signatures taken from private_key_jwt clients.
	AssertionAlgorithms []jose.SignatureAlgorithm
	// IDTokenAlgorithms are those that clients may choose from for ID tokens. RS256
	// must be one (OIDC Discovery §3).
	IDTokenAlgorithms []string
	// UILocales are the languages of the pages; empty: English.
	UILocales []language.Tag
}

// Handler serves the document.
type Handler struct{ document web.Document }

// New builds the document.
func New(c Config) (*Handler, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("discovery: no issuer")
	case len(c.AssertionAlgorithms) == 0:
		return nil, errors.New("discovery: no assertion algorithms")
	case !slices.Contains(c.IDTokenAlgorithms, string(jose.RS256)):
		return nil, errors.New("discovery: ID tokens without RS256")
	}
	body, err := encode(describe(c))
	if err != nil {
		return nil, fmt.Errorf("encode discovery document: %w", err)
	}
	sum := sha256.Sum256(body)
	return &Handler{web.Document{
		Body:        body,
		ContentType: "application/json",
		ETag:        `"` + hex.EncodeToString(sum[:8]) + `"`,
		MaxAge:      maxAge,
	}}, nil
}

// Serve answers both GET /.well-known/openid-configuration and
// GET /.well-known/oauth-authorization-server.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	return h.document.Serve(w, r)
}

// metadata is the library's type with what it lacks. Booleans whose absence
// could be read as a promise are always written.
type metadata struct {
	oidc.DiscoveryConfiguration
	// IssParameter is RFC 9207 §3.
	IssParameter bool `json:"authorization_response_iss_parameter_supported"`
	// PromptValues is Initiating User Registration via OpenID Connect §4.
	PromptValues     []string `json:"prompt_values_supported"`
	ClaimsParameter  bool     `json:"claims_parameter_supported"`
	RequestParameter bool     `json:"request_parameter_supported"`
}

func describe(c Config) metadata {
	confidential := []oidc.AuthMethod{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthPrivateKeyJWT}
	all := append(slices.Clone(confidential), oauth.AuthNone)
	var algorithms []string
	for _, a := range c.AssertionAlgorithms {
		algorithms = append(algorithms, string(a))
	}
	locales := c.UILocales
	if len(locales) == 0 {
		locales = []language.Tag{language.English}
	}
	return metadata{
		DiscoveryConfiguration: oidc.DiscoveryConfiguration{
			Issuer:                c.Issuer,
			AuthorizationEndpoint: oauth.Endpoint(c.Issuer, PathAuthorize),
			TokenEndpoint:         oauth.Endpoint(c.Issuer, PathToken),
			UserinfoEndpoint:      oauth.Endpoint(c.Issuer, PathUserinfo),
			IntrospectionEndpoint: oauth.Endpoint(c.Issuer, PathIntrospect),
			RevocationEndpoint:    oauth.Endpoint(c.Issuer, PathRevoke),
			EndSessionEndpoint:    oauth.Endpoint(c.Issuer, PathLogout),
			JwksURI:               oauth.Endpoint(c.Issuer, PathKeys),

			ScopesSupported:                  oauth.Scopes(),
			ResponseTypesSupported:           []string{"code"},
			ResponseModesSupported:           []string{oauth.ModeQuery, oauth.ModeFragment, oauth.ModeFormPost},
			GrantTypesSupported:              []oidc.GrantType{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantClientCredentials},
			SubjectTypesSupported:            []string{oauth.SubjectPublic, oauth.SubjectPairwise},
			IDTokenSigningAlgValuesSupported: c.IDTokenAlgorithms,
			ClaimsSupported: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid",
				"at_hash", "phone_number", "phone_number_verified", "updated_at"},
			CodeChallengeMethodsSupported: []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
			UILocalesSupported:            locales,

			TokenEndpointAuthMethodsSupported:                  all,
			TokenEndpointAuthSigningAlgValuesSupported:         algorithms,
			RevocationEndpointAuthMethodsSupported:             all,
			RevocationEndpointAuthSigningAlgValuesSupported:    algorithms,
			IntrospectionEndpointAuthMethodsSupported:          confidential,
			IntrospectionEndpointAuthSigningAlgValuesSupported: algorithms,
		},
		IssParameter: true,
		PromptValues: []string{oidc.PromptNone, oidc.PromptLogin},
	}
}

// encode writes the document for eyes too: it is the first thing people open.
func encode(m metadata) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
