// Package auth0 reads clients and connections as Auth0's Management API returns them,
// and says what Handset has no place for.
package auth0

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/storage"
)

// maxFile bounds what is read of a file: a tenant has hundreds of clients.
const maxFile = 64 << 20

// Client is a client of an export.
type Client struct {
	storage.Client
	// Secret is empty when the export has none.
	Secret string
	// Notes say what of it is not taken.
	Notes []string
}

// readList reads an array, or the page of one that a list with totals is: the member
// of that name.
func readList(r io.Reader, member string) ([]json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("has more than %d MiB", maxFile>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	err = strictjson.Check(text)
	if _, twice := errors.AsType[*strictjson.TwiceError](err); twice {
		return nil, errors.New("has an object with a member twice: which one counts?")
	}
	if errors.Is(err, strictjson.ErrText) || errors.Is(err, strictjson.ErrDeep) {
		return nil, fmt.Errorf("has %w", err)
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil {
		return list, nil
	}
	var page map[string]json.RawMessage
	if json.Unmarshal(text, &page) != nil || json.Unmarshal(page[member], &list) != nil {
		if status := 0; json.Unmarshal(page["statusCode"], &status) == nil {
			return nil, fmt.Errorf("is an error of the Management API (status %d) in place of %s; read them again", status, member)
		}
		return nil, fmt.Errorf("want a JSON array of %s, as the Management API returns it", member)
	}
	if total := 0; json.Unmarshal(page["total"], &total) == nil && total > len(list) {
		return nil, fmt.Errorf("%w of %d of %d %s; want all in one file", ErrPage, len(list), total, member)
	}
	return list, nil
}

// ErrPage is returned for one page of a longer list.
var ErrPage = errors.New("is one page")

// client is what Handset knows of a client, by Auth0's names.
type client struct {
	ClientID          string   `json:"client_id"`
	Name              string   `json:"name"`
	Secret            string   `json:"client_secret"`
	AppType           string   `json:"app_type"`
	Callbacks         []string `json:"callbacks"`
	AllowedLogoutURLs []string `json:"allowed_logout_urls"`
	WebOrigins        []string `json:"web_origins"`
	AllowedOrigins    []string `json:"allowed_origins"`
	GrantTypes        []string `json:"grant_types"`
	AuthMethod        string   `json:"token_endpoint_auth_method"`
	InitiateLogin     string   `json:"initiate_login_uri"`
	FirstParty        *bool    `json:"is_first_party"`
	Global            bool     `json:"global"`
	TrustIPHeader     bool     `json:"is_token_endpoint_ip_header_trusted"`
	CrossOrigin       bool     `json:"cross_origin_authentication"`
	CrossOriginOld    bool     `json:"cross_origin_auth"`
	JWT               struct {
		Algorithm string `json:"alg"`
	} `json:"jwt_configuration"`
	Refresh struct {
		Rotation string `json:"rotation_type"`
	} `json:"refresh_token"`
	// Methods say how the client authenticates where AuthMethod does not.
	Methods struct {
		PrivateKeyJWT json.RawMessage `json:"private_key_jwt"`
	} `json:"client_authentication_methods"`
}

// silent are members that need no place here: what Auth0 says of itself, what is the
// same for every client of Handset, and pictures.
var silent = []string{
	"tenant", "client_id", "name", "client_secret", "app_type", "callbacks", "allowed_logout_urls", "web_origins",
	"allowed_origins", "grant_types", "token_endpoint_auth_method", "initiate_login_uri", "is_first_party", "global",
	"jwt_configuration", "signing_keys", "oidc_conformant", "sso", "sso_disabled", "logo_uri", "description",
	"custom_login_page_on", "cross_origin_auth", "cross_origin_authentication", "is_token_endpoint_ip_header_trusted",
	"callback_url_template", "resource_server_identifier", "client_metadata", "allowed_clients", "created_at", "updated_at",
	"encrypted", "refresh_token", "client_authentication_methods",
}

// ReadClients reads clients. An entry that can't be read is an error of its own: a
// list that is not understood is not taken in part.
func ReadClients(r io.Reader) ([]Client, error) {
	list, err := readList(r, "clients")
	if err != nil {
		return nil, err
	}
	var out []Client
	for i, raw := range list {
		var in client
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("clients[%d]: %w", i, wrongType(err))
		}
		if in.ClientID == "" {
			return nil, fmt.Errorf("clients[%d]: has no client_id", i)
		}
		if in.Global { // the tenant itself, which nothing logs in with
			continue
		}
		out = append(out, in.convert(raw))
	}
	return out, nil
}

// wrongType says what is wrong without the library's words, which quote the text.
func wrongType(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fmt.Errorf("%s is of the wrong type", wrong.Field)
	}
	return errors.New("is no JSON object")
}

func (in client) convert(raw json.RawMessage) Client {
	out := Client{Secret: in.Secret, Client: storage.Client{
		ClientID: storage.ClientID(in.ClientID), Name: in.Name, AppType: in.AppType,
		Callbacks: in.Callbacks, AllowedLogoutURLs: in.AllowedLogoutURLs, WebOrigins: in.WebOrigins,
		AllowedOrigins: in.AllowedOrigins, GrantTypes: in.GrantTypes, TokenEndpointAuthMethod: in.AuthMethod,
		InitiateLogin: in.InitiateLogin, IsFirstParty: true, SubjectType: "public",
		TrustIPHeader: in.TrustIPHeader, CrossOrigin: in.CrossOrigin || in.CrossOriginOld,
	}}
	if out.AppType == "" { // clients made by the API may have none
		out.AppType = "regular_web"
	}
	switch {
	case out.TokenEndpointAuthMethod != "":
	case len(in.Methods.PrivateKeyJWT) > 0:
		out.TokenEndpointAuthMethod = "private_key_jwt"
	case out.AppType == "spa" || out.AppType == "native":
		out.TokenEndpointAuthMethod = "none"
	default:
		out.TokenEndpointAuthMethod = "client_secret_post"
	}
	note := func(wrong bool, text string) {
		if wrong {
			out.Notes = append(out.Notes, text)
		}
	}
	// Auth0 demands PKCE of nobody; an application that has a secret goes on as it did.
	out.RequirePKCE = !out.NeedsSecret() && out.TokenEndpointAuthMethod == "none"
	note(out.RequirePKCE && slices.Contains(out.GrantTypes, "authorization_code"), "logins of it must use PKCE here, for it has no secret")
	note(in.FirstParty != nil && !*in.FirstParty, "is_first_party: nobody is asked for consent here")
	note(in.JWT.Algorithm != "" && in.JWT.Algorithm != "RS256", "jwt_configuration.alg: ID tokens are signed with RS256 here, not "+in.JWT.Algorithm)
	if slices.Contains(out.GrantTypes, "refresh_token") {
		note(in.Refresh.Rotation == "rotating", "refresh_token: lifetimes are tokens.refresh_idle and tokens.refresh_absolute here")
		note(in.Refresh.Rotation == "non-rotating", "refresh_token: rotates here: the application must keep the newest, or people sign in again")
	}
	if !out.NeedsSecret() {
		out.Secret = ""
	}
	if rest := beside(raw, silent); len(rest) > 0 {
		note(true, "not taken: "+strings.Join(rest, ", "))
	}
	return out
}

// beside returns the members of an object that say something and are not listed.
func beside(raw json.RawMessage, listed []string) []string {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(raw, &all) // it was read as an object before
	for _, name := range listed {
		delete(all, name)
	}
	maps.DeleteFunc(all, func(_ string, value json.RawMessage) bool { return !says(value) })
	return slices.Sorted(maps.Keys(all))
}

// says reports whether a value is more than an empty one.
func says(value json.RawMessage) bool {
	return !slices.Contains([]string{"", "null", "false", `""`, "[]", "{}"}, string(value))
}

// Connection is a connection of an export.
type Connection struct {
	storage.Connection
	Notes []string
}

// ReadConnections reads connections, with the options as they are.
func ReadConnections(r io.Reader) ([]Connection, error) {
	list, err := readList(r, "connections")
	if err != nil {
		return nil, err
	}
	out := make([]Connection, len(list))
	for i, raw := range list {
		var in struct {
			Name           string             `json:"name"`
			Strategy       string             `json:"strategy"`
			Options        json.RawMessage    `json:"options"`
			EnabledClients []storage.ClientID `json:"enabled_clients"`
		}
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("connections[%d]: %w", i, wrongType(err))
		}
		if in.Strategy == "" {
			return nil, fmt.Errorf("connections[%d]: has no strategy", i)
		}
		out[i] = Connection{Connection: storage.Connection{
			Name: storage.ConnectionName(in.Name), Strategy: in.Strategy, Options: in.Options,
			Settings: storage.ConnectionSettings{Restricted: len(in.EnabledClients) > 0, EnabledClients: in.EnabledClients},
		}}
		out[i].nameTwilio()
	}
	return out, nil
}

// nameTwilio says that a connection is Twilio's where Auth0 leaves that out: only
// gateways have a provider in every tenant.
func (c *Connection) nameTwilio() {
	var options map[string]json.RawMessage
	if json.Unmarshal(c.Options, &options) != nil || says(options["provider"]) || !says(options["twilio_sid"]) {
		return
	}
	options["provider"] = json.RawMessage(`"twilio"`)
	c.Options, _ = json.Marshal(options) // it was JSON before
	c.Notes = append(c.Notes, "options.provider: is taken for twilio, whose account it has")
}
