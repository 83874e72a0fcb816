package storage

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Client is a registered application. Field names in JSON and YAML are Auth0's
// (design.md §4), so that an exported tenant can be pasted.
type Client struct {
	ClientID ClientID `json:"client_id" yaml:"client_id"`
	Name     string   `json:"name" yaml:"name"`
	// AppType is spa, native, regular_web or non_interactive.
	AppType string `json:"app_type" yaml:"app_type"`
	// Callbacks are the redirect URIs, matched exactly.
	Callbacks         []string `json:"callbacks" yaml:"callbacks"`
	AllowedLogoutURLs []string `json:"allowed_logout_urls" yaml:"allowed_logout_urls"`
	// WebOrigins and AllowedOrigins are further origins that a login may lead on to.
	WebOrigins     []string `json:"web_origins" yaml:"web_origins"`
	AllowedOrigins []string `json:"allowed_origins" yaml:"allowed_origins"`
	GrantTypes     []string `json:"grant_types" yaml:"grant_types"`
	// TokenEndpointAuthMethod is none, client_secret_basic, client_secret_post or private_key_jwt.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method" yaml:"token_endpoint_auth_method"`
	// JWKS holds the client's public keys for private_key_jwt (RFC 7517).
	JWKS         json.RawMessage `json:"jwks,omitempty" yaml:"-"`
	IsFirstParty bool            `json:"is_first_party" yaml:"is_first_party"`
	RequirePKCE  bool            `json:"require_pkce" yaml:"require_pkce"`
	RequireState bool            `json:"require_state" yaml:"require_state"`
	RequireNonce bool            `json:"require_nonce" yaml:"require_nonce"`
	// SubjectType is public or pairwise (OIDC Core §8).
	SubjectType string `json:"subject_type" yaml:"subject_type"`
	// IDTokenAlg signs the client's ID tokens: RS256, which empty means too, or ES256.
	IDTokenAlg    string `json:"id_token_signed_response_alg,omitempty" yaml:"id_token_signed_response_alg"`
	InitiateLogin string `json:"initiate_login_uri,omitempty" yaml:"initiate_login_uri"`
	// API is what the client is the backend of: it may ask about the tokens that
	// are for it. Auth0's name of the field.
	API Audience `json:"resource_server_identifier,omitempty" yaml:"resource_server_identifier"`

	// Countries are the regions whose numbers the client may have verified; none: all
	// that may be texted at all.
	Countries []string `json:"countries,omitempty" yaml:"countries"`
	// Addresses are the addresses and networks that the client may ask for
	// verifications from; none: all.
	Addresses []string `json:"addresses,omitempty" yaml:"addresses"`

	// TrustIPHeader says that a call with the client's secret names the person's address
	// in auth0-forwarded-for.
	TrustIPHeader bool `json:"is_token_endpoint_ip_header_trusted,omitempty" yaml:"is_token_endpoint_ip_header_trusted"`
	// CrossOrigin says that pages of the client's origins may prove a number themselves
	// (/co/authenticate).
	CrossOrigin bool `json:"cross_origin_authentication,omitempty" yaml:"cross_origin_authentication"`

	// SecretMACs are MACs of the client secrets in force (two while one is
	// being replaced), each naming its key. Never printed.
	SecretMACs [][]byte `json:"-" yaml:"-"`
	// FromFile says that configuration declares the client: it can't be changed
	// by command or API, and is in no database.
	FromFile  bool      `json:"-" yaml:"-"`
	CreatedAt time.Time `json:"-" yaml:"-"`
	UpdatedAt time.Time `json:"-" yaml:"-"`
}

// Public reports whether the client has no credentials (RFC 6749 §2.1).
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == "none" }

// NeedsSecret reports whether the client authenticates with a secret.
func (c *Client) NeedsSecret() bool {
	return strings.HasPrefix(c.TokenEndpointAuthMethod, "client_secret_")
}

// MayUse reports whether the registration lists a grant type.
func (c *Client) MayUse(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// DefaultConnection is the connection of the database that serves logins that name none,
// where configuration declares none.
const DefaultConnection ConnectionName = "sms"

// Connection is a way to prove a number. Options are Auth0's, as JSON, sealed at rest.
type Connection struct {
	Name     ConnectionName
	Strategy string
	Options  json.RawMessage
	Settings ConnectionSettings
	// FromFile says that configuration declares the connection.
	FromFile  bool
	UpdatedAt time.Time
}

// ConnectionSettings are what is said of a connection beside its options, by Auth0's
// names.
type ConnectionSettings struct {
	DisplayName string `json:"display_name,omitempty"`
	// Restricted means EnabledClients alone; otherwise every client may use the
	// connection, and EnabledClients is empty.
	Restricted     bool       `json:"restricted,omitempty"`
	EnabledClients []ClientID `json:"enabled_clients,omitempty"`
	// The others are kept for who asks, and change nothing here.
	IsDomainConnection bool              `json:"is_domain_connection,omitempty"`
	ShowAsButton       *bool             `json:"show_as_button,omitempty"`
	Realms             []string          `json:"realms,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
	Authentication     json.RawMessage   `json:"authentication,omitempty"`
	ConnectedAccounts  json.RawMessage   `json:"connected_accounts,omitempty"`
}

// SigningKey is a private key as kept: PKCS#8, sealed at rest.
type SigningKey struct {
	ID        KeyID
	Algorithm string // RS256 or ES256
	PKCS8     []byte
	CreatedAt time.Time
	// SignsFrom is when the key may start to sign; it is published before.
	SignsFrom time.Time
	// RetiredAt is when a newer key took over; zero while it has not.
	RetiredAt time.Time
	// PublishUntil is when its last token has expired; zero while it signs.
	PublishUntil time.Time
}

// ChangeKind says what a change row is about.
type ChangeKind string

// The kinds of changes that servers act on within a second.
const (
	ChangeClient     ChangeKind = "client"     // Ref: client ID
	ChangeUser       ChangeKind = "user"       // Ref: user ID, empty: many people
	ChangeGrant      ChangeKind = "grant"      // grants or tokens were revoked; Ref: empty
	ChangeKey        ChangeKind = "key"        // Ref: empty
	ChangeConnection ChangeKind = "connection" // Ref: name
	ChangeAPI        ChangeKind = "api"        // an API, or who may use it as a client; Ref: its identifier
)

// Change is a row that a write leaves for every server's cache (design.md §3).
type Change struct {
	ID   int64
	Kind ChangeKind
	Ref  string
}

// RevokedGrant is a grant that no token may use any more.
type RevokedGrant struct {
	ID        GrantID
	RevokedAt time.Time
	// TokensUntil is that of the Grant.
	TokensUntil time.Time
}

// RevokedToken is a token for an API that was revoked by itself.
type RevokedToken struct {
	ID        TokenID
	RevokedAt time.Time
	ExpiresAt time.Time
}

// Admits reports whether the client may ask for verifications from an address.
func (c *Client) Admits(from netip.Addr) bool {
	return len(c.Addresses) == 0 || slices.ContainsFunc(c.Addresses, func(address string) bool {
		network, err := ParseNetwork(address)
		return err == nil && network.Contains(from.Unmap())
	})
}

// ParseNetwork reads an address, or a network as in 192.0.2.0/24.
func ParseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return a.Prefix(a.BitLen())
}
