// Package management is Auth0's Management API for what Handset has of it:
// connections, clients, resource servers, client grants and users, below /api/v2/. It
// speaks Auth0's shapes, so that its published SDKs work unmodified, and holds what they
// write to the same rules as configuration and commands.
//
// It lets in access tokens of clients alone, got by client_credentials for the audience
// ISSUER + api/v2/, with a scope per operation. What the configuration file declares it
// shows, and never changes. It keeps nothing itself: every write is one transaction of
// the store, which tells all servers.
package management

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// The paths below the issuer.
const (
	Path                  = "/api/v2/"
	PathConnections       = "/api/v2/connections"
	PathConnection        = "/api/v2/connections/{id}"
	PathConnectionClients = "/api/v2/connections/{id}/clients"
	PathClients           = "/api/v2/clients"
	PathClient            = "/api/v2/clients/{id}"
	PathRotateSecret      = "/api/v2/clients/{id}/rotate-secret"
	PathResourceServers   = "/api/v2/resource-servers"
	PathResourceServer    = "/api/v2/resource-servers/{id}"
	PathClientGrants      = "/api/v2/client-grants"
	PathClientGrant       = "/api/v2/client-grants/{id}"
	PathUsers             = "/api/v2/users"
	PathUser              = "/api/v2/users/{id}"
)

// entities are what there are scopes for, each to read, create, update and delete.
var entities = []string{"connections", "clients", "resource_servers", "client_grants", "users"}

// ScopeRotate is what it takes to give a client another secret.
const ScopeRotate = "update:client_keys"

// BuiltIn is the API that tokens for this one are for. Clients get them in their own
// name, by a client grant for it.
func BuiltIn(issuer string) storage.API {
	a := storage.API{
		Identifier: storage.Audience(oauth.Endpoint(issuer, Path)), Name: "Management API",
		TokenLifetime: 86400, SigningAlg: "RS256", Users: storage.Assigned, Clients: storage.Granted, FromFile: true,
	}
	for _, entity := range entities {
		for _, verb := range []string{"read", "create", "update", "delete"} {
			a.Scopes = append(a.Scopes, storage.Scope{Value: verb + ":" + entity})
		}
	}
	a.Scopes = append(a.Scopes, storage.Scope{Value: ScopeRotate})
	return a
}

// Tokens reads access tokens for APIs.
type Tokens interface {
	// InForce must return [*api.NotInForce] for every other text, and for tokens
	// that have expired or were revoked.
	InForce(ctx context.Context, raw string) (api.Token, error)
}

// Connections are kept by name. UpdateConnection must let edit change a connection with
// no other change between.
type Connections interface {
	Connections(ctx context.Context) ([]storage.Connection, error)
	Connection(ctx context.Context, name storage.ConnectionName) (storage.Connection, error)
	CreateConnection(ctx context.Context, c storage.Connection) error
	UpdateConnection(ctx context.Context, name storage.ConnectionName, edit func(*storage.Connection) error) error
	RemoveConnection(ctx context.Context, name storage.ConnectionName) error
}

// Clients are kept by ID. RemoveClient must revoke what was granted to them.
type Clients interface {
	Clients(ctx context.Context) ([]storage.Client, error)
	Client(ctx context.Context, id storage.ClientID) (storage.Client, error)
	CreateClient(ctx context.Context, c storage.Client) error
	UpdateClient(ctx context.Context, id storage.ClientID, edit func(*storage.Client) error) error
	RemoveClient(ctx context.Context, id storage.ClientID, now time.Time) error
}

// APIs are kept by identifier. RemoveAPI must revoke the grants for it.
type APIs interface {
	APIs(ctx context.Context) ([]storage.API, error)
	CreateAPI(ctx context.Context, a storage.API) error
	UpdateAPI(ctx context.Context, id storage.Audience, edit func(*storage.API) error) error
	RemoveAPI(ctx context.Context, id storage.Audience, now time.Time) error
}

// Grants say which clients may use which APIs. UpdateClientGrant must not give again
// what was taken away meanwhile.
type Grants interface {
	ClientGrants(ctx context.Context) ([]storage.ClientGrant, error)
	CreateClientGrant(ctx context.Context, g storage.ClientGrant) error
	UpdateClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience, edit func(*storage.ClientGrant) error) error
	RemoveClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience) error
}

// People are kept with their metadata. EditProfile must end sessions and grants of who
// gets blocked, and RemoveUser those of who is removed.
type People interface {
	Profile(ctx context.Context, id storage.UserID) (storage.Profile, error)
	Profiles(ctx context.Context, skip, limit int) ([]storage.Profile, int, error)
	UserByNumber(ctx context.Context, number phone.Number) (storage.User, error)
	AddProfile(ctx context.Context, p storage.Profile) error
	EditProfile(ctx context.Context, id storage.UserID, now time.Time, edit func(*storage.Profile) error) (storage.Profile, error)
	RemoveUser(ctx context.Context, id storage.UserID, now time.Time) error
}

// Limits count over all servers.
type Limits interface {
	// TakeLimit must return a [*storage.Limited] when the limit refuses.
	TakeLimit(ctx context.Context, l storage.Limit, now time.Time) (storage.Taken, error)
}

// Store keeps all of it.
type Store interface {
	Connections
	Clients
	APIs
	Grants
	People
}

// Config is what a [Handler] needs.
type Config struct {
	Issuer string
	Store  Store
	Tokens Tokens
	Vault  *vault.Vault
	Limits Limits
	// Limit is that of a client's calls.
	Limit func(storage.ClientID) storage.Limit
	// CheckConnection says what is wrong with a connection, without quoting secrets.
	CheckConnection func(storage.Connection) error
	// InUse is the connection of the store that logins go by, empty when the file
	// declares one. It can be changed, and not removed.
	InUse storage.ConnectionName
	// What the file declares. The options of its connections are shown without secrets.
	FileConnections []storage.Connection
	FileClients     []storage.Client
	FileAPIs        []storage.API // those built in included
	FileGrants      []storage.ClientGrant
	Rules           phone.Rules
	Schema          attributes.Schema
	// Changed is called behind every write: what was written shall be in force here
	// when the caller reads the answer.
	Changed func(ctx context.Context)
	Now     func() time.Time
}

// Handler serves the Management API.
type Handler struct {
	c        Config
	audience storage.Audience
}

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Issuer == "" || c.Store == nil || c.Tokens == nil || c.Vault == nil || c.Limits == nil || c.Limit == nil || c.CheckConnection == nil ||
		c.Changed == nil || c.Now == nil {
		return nil, errors.New("management: every part but what the file declares is required")
	}
	return &Handler{c, BuiltIn(c.Issuer).Identifier}, nil
}

// now is in whole seconds, like the times in SQL.
func (h *Handler) now() time.Time { return h.c.Now().UTC().Truncate(time.Second) }

// changed answers with what a write made, once this server knows of it.
func (h *Handler) changed(w http.ResponseWriter, r *http.Request, status int, v any) error {
	h.c.Changed(r.Context())
	if v == nil {
		return web.NoContent(w, r, status)
	}
	return web.JSON(w, r, status, v)
}

// Auth0's IDs of what Handset knows by a name are made of the name: the same for
// configuration and database, for every server, and after a restore.
func derivedID(kind string, names ...string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + strings.Join(names, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// ConnectionID is Auth0's ID of a connection.
func ConnectionID(name storage.ConnectionName) string {
	return "con_" + derivedID("connection", string(name))
}

func grantID(client storage.ClientID, audience storage.Audience) string {
	return "cgr_" + derivedID("client_grant", string(client), string(audience))
}

func apiID(id storage.Audience) string {
	sum := sha256.Sum256([]byte("resource_server\x00" + string(id)))
	return hex.EncodeToString(sum[:12])
}

// timeText is how Auth0 writes a time.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
