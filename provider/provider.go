// Package provider is the OpenID provider: [New] wires engines and endpoints
// to one http.Handler, and routes.go is the only route table. What it is given
// (stores, keys, senders, times) comes from cmd; what it decides is in the
// packages below it.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/authorize"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/discovery"
	"github.com/handset-oidc/handset/provider/introspect"
	"github.com/handset-oidc/handset/provider/login"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/passwordless"
	"github.com/handset-oidc/handset/provider/posted"
	"github.com/handset-oidc/handset/provider/receipts"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/provider/revocation"
	"github.com/handset-oidc/handset/provider/revoke"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/provider/subject"
	"github.com/handset-oidc/handset/provider/token"
	"github.com/handset-oidc/handset/provider/userinfo"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// Durable is what lasts: the methods that the endpoints need of SQL.
type Durable interface {
	authorize.Grants
	session.Store
	login.People
	token.Grants
	introspect.Records
	userinfo.People
	client.Store
	api.Store
	management.Store
	subject.Store
	revoke.Grants
	keys.Store
	revocation.Source
	passcode.Records
	receipts.Store
	passwordless.Store
	verification.Store
	verification.ResultStore
	verification.CallbackStore

	// Changes must return the rows behind after, in order, or
	// [storage.ErrNotFound] when some of them are gone already.
	Changes(ctx context.Context, after int64) ([]storage.Change, error)
	LastChange(ctx context.Context) (int64, error)
	Sweep(ctx context.Context, now time.Time) error
	// Reseal moves what older secret keys sealed to the active one.
	Reseal(ctx context.Context) error
	Ping(ctx context.Context) error
}

// Ephemeral is what lives for minutes: the methods that the endpoints need of Redis.
type Ephemeral interface {
	authorize.Transactions
	posted.Store
	passwordless.Tickets
	login.Store
	passcode.Store
	verification.Challenges
	token.AccessTokens
	introspect.AccessTokens
	client.Assertions
	management.Limits
	Ping(ctx context.Context) error
}

// Lifetimes are how long things live.
type Lifetimes struct {
	Access, ID                   time.Duration
	RefreshIdle, RefreshAbsolute time.Duration
	SessionIdle, SessionAbsolute time.Duration
	IDTokenOnRefresh             bool
}

// Config is what a Provider needs.
type Config struct {
	Issuer  string // exactly what tokens carry
	SQL     Durable
	Redis   Ephemeral
	Vault   *vault.Vault
	Keys    *keys.Ring
	Clients []storage.Client // declared by configuration
	// APIs and client grants that are declared by configuration.
	APIs      []storage.API
	Grants    []storage.ClientGrant
	Rules     phone.Rules
	Limits    map[string]storage.Limit
	Lifetimes Lifetimes
	// Connection is declared by configuration; nil takes the one named sms from SQL.
	Connection *storage.Connection
	// ShownConnections are those of the configuration as operators may see them: the
	// secrets of their options are left out.
	ShownConnections []storage.Connection
	// Schema says what may be said of people.
	Schema  attributes.Schema
	Sending passcode.Sending
	// AllowPrivateCallbacks lets clients of the verification API name loopback and
	// private addresses.
	AllowPrivateCallbacks bool
	TrustedProxies        []netip.Prefix
	Logger                *slog.Logger
	// SendWait is how long the number page waits for a text to be handed over
	// before it goes on as sent; zero is 3 s.
	SendWait time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Provider answers every request below the issuer.
type Provider struct {
	c    Config
	base string
	url  *url.URL

	pages       *web.Pages
	clients     *client.Registry
	apis        *api.Registry
	subjects    *subject.Names
	revocations *revocation.Set
	engine      *passcode.Engine
	senders     passcode.Senders
	connection  atomic.Pointer[passcode.Connection] // in use: for who names none
	others      others
	replaced    replaced
	receipts    *receipts.Handler
	callbacks   *verification.Callbacks
	// verifications is our own dialect, of which some requests wait.
	verifications *verification.API
	following     sync.Mutex // guards lastChange and unfollowed
	lastChange    int64
	unfollowed    map[storage.Change]bool // changes read, without their numbers, that are still to be applied
	metrics       *metrics
	patterns      []string
	handler       http.Handler
}

// New wires a Provider. It reads from the stores once and starts nothing; call
// [Provider.Run] beside serving.
func New(ctx context.Context, c Config) (*Provider, error) {
	if c.SQL == nil || c.Redis == nil || c.Vault == nil || c.Keys == nil || c.Logger == nil {
		return nil, errors.New("provider: SQL, Redis, Vault, Keys and Logger are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" {
		return nil, errors.New("provider: the issuer is no absolute URL")
	}
	catalog, err := views.NewCatalog()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		c: c, url: u, base: strings.TrimRight(u.EscapedPath(), "/"), metrics: newMetrics(),
		unfollowed: map[storage.Change]bool{},
	}
	p.metrics.registry.MustRegister(newSenderStates(p.sendersAtWork))
	p.pages = &web.Pages{Base: p.base, Catalog: catalog}
	if err := p.engines(ctx); err != nil {
		return nil, err
	}
	h, err := p.endpoints()
	if err != nil {
		return nil, err
	}
	p.handler = p.outer().Wrap(p.mux(p.routes(h)))
	return p, nil
}

// ServeHTTP answers a request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Stop lets go of requests that wait for something to happen. It is called once, when
// the server begins to stop.
func (p *Provider) Stop() { p.verifications.Stop() }

// DrainWithin is how long [Provider.Drain] may take where every sender hangs.
const DrainWithin = passcode.DrainWithin

// Drain waits for the texts that are on their way, writes their records, and closes
// the senders, at shutdown. The stores are needed to its end: senders that hold a
// connection have receipts to be kept.
func (p *Provider) Drain(ctx context.Context) error {
	return errors.Join(p.engine.Drain(ctx), p.replaced.close(), p.connection.Load().Close(), p.others.close(), p.senders.Close())
}

func (p *Provider) outer() *web.Outer {
	return &web.Outer{
		Issuer: p.url, TrustedProxies: p.c.TrustedProxies, Logger: p.c.Logger, Now: p.c.Now,
		Observe: p.metrics.request,
		Panic:   p.pages.Fail,
	}
}

// engines builds what the endpoints share.
func (p *Provider) engines(ctx context.Context) (err error) {
	p.lastChange, err = p.c.SQL.LastChange(ctx)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	p.clients, err = client.New(client.Config{
		Store: p.c.SQL, Assertions: p.c.Redis, Vault: p.c.Vault, FileClients: p.c.Clients, Now: p.c.Now,
		Issuer: p.c.Issuer, TokenEndpoint: oauth.Endpoint(p.c.Issuer, discovery.PathToken),
	})
	if err != nil {
		return err
	}
	p.subjects = subject.New(p.c.SQL, p.clients)
	p.apis, err = api.New(ctx, api.Config{
		Store: p.c.SQL, Fixed: p.fixedAPIs(), FixedGrants: p.c.Grants, Userinfo: p.userinfo(),
	})
	if err != nil {
		return err
	}
	p.revocations, err = revocation.New(revocation.Config{
		Source: p.c.SQL, Life: p.c.Lifetimes.Access, APILife: registration.LongestToken, Now: p.c.Now,
	})
	if err != nil {
		return err
	}
	if err := p.revocations.Load(ctx); err != nil {
		return err
	}
	return p.sending(ctx)
}

// fixedAPIs are the APIs that nobody changes while servers run: the configuration's and
// Handset's own.
func (p *Provider) fixedAPIs() []storage.API {
	return append(slices.Clone(p.c.APIs), verification.BuiltIn(p.c.Issuer), management.BuiltIn(p.c.Issuer))
}

// userinfo is the userinfo endpoint as tokens for APIs name it beside the API.
func (p *Provider) userinfo() storage.Audience {
	return storage.Audience(oauth.Endpoint(p.c.Issuer, discovery.PathUserinfo))
}
