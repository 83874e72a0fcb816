// Package auth0 reads what a tenant of Auth0 exports, and says what Handset has no place
// for: clients and connections as the Management API returns them, and users as far as
// they are JSON; what a user is, is the business of internal/people. What an export holds
// is taken, or told; what says nothing (null, empty, as Auth0 sets it by itself) is not.
package auth0

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/handset-oidc/handset/storage"
)

// Entry is what is said of any entry of a list.
type Entry struct {
	// Place is where it stands: clients[3].
	Place string
	// Err is why it can't be taken, whatever else is right.
	Err error
	// Notes say what of it is taken otherwise than it stands there.
	Notes []string
	// NotTaken names what is not taken of it, quoted.
	NotTaken []string
}

func (e *Entry) note(really bool, format string, args ...any) {
	if really {
		e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
	}
}

// Client is a client of an export.
type Client struct {
	storage.Client
	// Secret is empty when the export has none.
	Secret string
	// Tenant says that it stands for the tenant itself, which nothing logs in with.
	Tenant bool
	Entry
}

// takenOfClients are the members that a client is made of, and the tenant, which is the
// same in all of them.
var takenOfClients = []string{
	"tenant", "client_id", "name", "client_secret", "app_type", "callbacks", "allowed_logout_urls", "web_origins",
	"allowed_origins", "grant_types", "token_endpoint_auth_method", "initiate_login_uri", "is_first_party", "global",
	"oidc_conformant", "jwt_configuration", "refresh_token", "client_authentication_methods", "cross_origin_auth", "cross_origin_authentication", "is_token_endpoint_ip_header_trusted",
}

// takenOfRefresh are the members of refresh_token that a note is about.
var takenOfRefresh = []string{
	"rotation_type", "expiration_type", "leeway", "token_lifetime", "infinite_token_lifetime", "idle_token_lifetime", "infinite_idle_token_lifetime",
}

// usualOfClients is what Auth0 gives every client.
var usualOfClients = map[string]any{
	"encrypted": true, "custom_login_page_on": true, "organization_usage": "deny", "organization_require_behavior": "no_prompt",
	"native_social_login": map[string]any{"apple": map[string]any{"enabled": false}, "facebook": map[string]any{"enabled": false}},
}

// ReadClients reads clients. One that can't be taken says so itself; an error is one
// of the file.
func ReadClients(r io.Reader) ([]Client, error) {
	list, err := readList(r, "clients", "client_id")
	if err != nil {
		return nil, err
	}
	out := make([]Client, len(list))
	ids := places[storage.ClientID]{}
	for i, raw := range list {
		c := &out[i]
		c.Place = fmt.Sprintf("clients[%d]", i)
		c.Err = readEntry(raw, c.read)
		if first := ids.first(c.ClientID, c.Place); c.Err == nil && first != c.Place {
			c.Err = fmt.Errorf("client_id: is the same as that of %s", first)
		}
	}
	return out, nil
}

// readEntry reads an entry that must be an object.
func readEntry(raw json.RawMessage, read func(Object) error) error {
	o, err := ReadObject(raw)
	if err != nil {
		return entryError(err)
	}
	return read(o)
}

// places are where names stand first.
type places[name ~string] map[name]string

func (p places[name]) first(of name, place string) string {
	if of == "" {
		return place
	}
	if p[of] == "" {
		p[of] = place
	}
	return p[of]
}

func (c *Client) read(o Object) error {
	var method, algorithm string
	var firstParty, conformant *bool
	var crossOrigin, crossOriginOld bool
	var jwt, refresh, methods Object
	// By itself: whatever else is wrong with it, a client is told by its ID.
	if err := o.Read(map[string]any{"client_id": &c.ClientID}); err != nil {
		return err
	}
	if c.ClientID == "" {
		return errors.New("has no client_id")
	}
	err := o.Read(map[string]any{
		"name": &c.Name, "client_secret": &c.Secret, "app_type": &c.AppType, "callbacks": &c.Callbacks,
		"allowed_logout_urls": &c.AllowedLogoutURLs, "web_origins": &c.WebOrigins, "allowed_origins": &c.AllowedOrigins,
		"grant_types": &c.GrantTypes, "token_endpoint_auth_method": &method, "initiate_login_uri": &c.InitiateLogin,
		"is_first_party": &firstParty, "oidc_conformant": &conformant, "global": &c.Tenant, "is_token_endpoint_ip_header_trusted": &c.TrustIPHeader,
		"cross_origin_authentication": &crossOrigin, "cross_origin_auth": &crossOriginOld,
		"jwt_configuration": &jwt, "refresh_token": &refresh, "client_authentication_methods": &methods,
	})
	if err != nil {
		return err
	}
	rotation := ""
	if jwt.Read(map[string]any{"alg": &algorithm}) != nil || refresh.Read(map[string]any{"rotation_type": &rotation}) != nil {
		return errors.New("jwt_configuration.alg or refresh_token.rotation_type: is of the wrong type")
	}
	c.IsFirstParty, c.SubjectType, c.CrossOrigin = true, "public", crossOrigin || crossOriginOld
	if c.AppType == "" { // clients made by the API may have none
		c.AppType = "regular_web"
	}
	switch c.TokenEndpointAuthMethod = method; {
	case method != "":
	case methods["private_key_jwt"] != nil:
		c.TokenEndpointAuthMethod = "private_key_jwt"
	case c.AppType == "spa" || c.AppType == "native":
		c.TokenEndpointAuthMethod = "none"
	default:
		c.TokenEndpointAuthMethod = "client_secret_post"
	}
	// Auth0 demands PKCE of nobody; an application that has a secret goes on as it did.
	c.RequirePKCE = c.TokenEndpointAuthMethod == "none"
	c.note(c.RequirePKCE && slices.Contains(c.GrantTypes, "authorization_code"), "logins of it must use PKCE here, for it has no secret")
	c.note(firstParty != nil && !*firstParty, "is_first_party: nobody is asked for consent here")
	c.note(conformant != nil && !*conformant, "oidc_conformant: every client is, here")
	c.note(algorithm != "" && algorithm != "RS256", "jwt_configuration.alg: ID tokens are signed with RS256 here, not %s", Quote(algorithm))
	if slices.Contains(c.GrantTypes, "refresh_token") {
		c.note(rotation == "rotating", "refresh_token: lifetimes are tokens.refresh_idle and tokens.refresh_absolute here")
		c.note(rotation == "non-rotating", "refresh_token: rotates here: the application must keep the newest, or people sign in again")
	}
	c.note(c.Secret != "" && !c.NeedsSecret(), "client_secret: is not taken: the client authenticates without one")
	if !c.NeedsSecret() {
		c.Secret = ""
	}
	c.NotTaken = quoted(o.Beside(takenOfClients, usualOfClients))
	for _, name := range methods.Beside([]string{"private_key_jwt"}, nil) {
		c.NotTaken = append(c.NotTaken, Quote("client_authentication_methods."+name))
	}
	for _, name := range refresh.Beside(takenOfRefresh, nil) {
		c.NotTaken = append(c.NotTaken, Quote("refresh_token."+name))
	}
	for _, name := range jwt.Beside([]string{"alg"}, map[string]any{"lifetime_in_seconds": 36000.0}) {
		c.NotTaken = append(c.NotTaken, Quote("jwt_configuration."+name))
	}
	return nil
}

// Connection is a connection of an export.
type Connection struct {
	storage.Connection
	Entry
}

var takenOfConnections = []string{
	"name", "strategy", "options", "enabled_clients", "display_name", "is_domain_connection", "show_as_button", "realms",
	"metadata", "authentication", "connected_accounts",
}

// ReadConnections reads connections, with the options as they are. One that can't be
// taken says so itself; an error is one of the file.
func ReadConnections(r io.Reader) ([]Connection, error) {
	list, err := readList(r, "connections", "strategy")
	if err != nil {
		return nil, err
	}
	out := make([]Connection, len(list))
	names := places[storage.ConnectionName]{}
	for i, raw := range list {
		c := &out[i]
		c.Place = fmt.Sprintf("connections[%d]", i)
		c.Err = readEntry(raw, c.read)
		if first := names.first(c.Name, c.Place); c.Err == nil && first != c.Place {
			c.Err = fmt.Errorf("name: is the same as that of %s", first)
		}
	}
	return out, nil
}

func (c *Connection) read(o Object) error {
	s := &c.Settings
	if err := o.Read(map[string]any{"name": &c.Name}); err != nil {
		return err
	}
	err := o.Read(map[string]any{
		"strategy": &c.Strategy, "options": &c.Options, "enabled_clients": &s.EnabledClients, "display_name": &s.DisplayName,
		"is_domain_connection": &s.IsDomainConnection, "show_as_button": &s.ShowAsButton, "realms": &s.Realms, "metadata": &s.Metadata,
	})
	if err != nil {
		return err
	}
	if c.Strategy == "" {
		return errors.New("has no strategy")
	}
	if s.Authentication, err = o.small("authentication"); err != nil {
		return err
	}
	if s.ConnectedAccounts, err = o.small("connected_accounts"); err != nil {
		return err
	}
	s.Restricted = len(s.EnabledClients) > 0 || s.EnabledClients != nil && c.Name != storage.DefaultConnection
	c.note(!s.Restricted, "enabled_clients: names none, so every client may use it here")
	c.note(s.Restricted && len(s.EnabledClients) == 0, "enabled_clients: names none, so no client may use it until one is enabled")
	c.NotTaken = quoted(o.Beside(takenOfConnections, nil))
	c.nameTwilio()
	return nil
}

// nameTwilio says that a connection is Twilio's where Auth0 leaves that out: only
// gateways have a provider in every tenant.
func (c *Connection) nameTwilio() {
	var options Object
	var provider, account string
	if json.Unmarshal(c.Options, &options) != nil || options.Read(map[string]any{"provider": &provider, "twilio_sid": &account}) != nil ||
		provider != "" || account == "" {
		return
	}
	options["provider"] = json.RawMessage(`"twilio"`)
	c.Options, _ = json.Marshal(options) // it was JSON before
	c.note(true, "options.provider: is taken for twilio, whose account it has")
}
