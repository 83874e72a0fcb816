// Package server assembles a running Handset from a configuration: stores,
// keys, senders, the provider, and the listeners it is served on. The command
// and the end-to-end tests share it, so that what is tested is what runs.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// Config is what a Server needs.
type Config struct {
	Config *config.Config
	Vault  *vault.Vault
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Console is where the provider console prints texts.
	Console io.Writer
	// Inbox, when set, gets every text in place of a sender (the demo).
	Inbox *sms.Inbox
	// Waits are set by tests, on whose machine a wait may not be what decides.
	Waits Waits
	// Mount, when set, puts more pages beside the provider's (the demo's inbox).
	Mount func(p http.Handler) http.Handler
}

// Waits are the real times that a server waits for others; zero is the default of each.
type Waits struct {
	Redis time.Duration // for each step of a command: redisstore.Config.Timeout
	Text  time.Duration // for a text to be handed over: provider.Config.SendWait
	HTTP  time.Duration // for a request to come, as long again for its answer, and for the next one
}

// Server is an assembled Handset.
type Server struct {
	Provider *provider.Provider
	SQL      *sqlstore.Store
	Redis    *redisstore.Store

	c       Config
	handler http.Handler
}

// New opens every part. What it opened is closed again when it fails, and by [Server.Close].
func New(ctx context.Context, c Config) (_ *Server, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{c: c}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.SQL, err = OpenSQL(ctx, c.Config, c.Vault); err != nil {
		return nil, err
	}
	if s.Redis, err = openRedis(ctx, c.Config, c.Vault, c.Logger, c.Waits.Redis); err != nil {
		return nil, err
	}
	ring, err := OpenKeys(ctx, c.Config, s.SQL, c.Logger, c.Now)
	if err != nil {
		return nil, err
	}
	s.Provider, err = provider.New(ctx, s.providerConfig(ring))
	if err != nil {
		return nil, err
	}
	s.handler = s.Provider
	if c.Mount != nil {
		s.handler = c.Mount(s.Provider)
	}
	return s, nil
}

// OpenSQL opens the database of a configuration; commands use it too.
func OpenSQL(ctx context.Context, c *config.Config, v *vault.Vault) (*sqlstore.Store, error) {
	s, err := sqlstore.Open(ctx, sqlConfig(c, v))
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", c.Database, err)
	}
	return s, nil
}

// OpenSQLToRead opens the database for commands that change nothing, and returns
// how many migrations are pending.
func OpenSQLToRead(ctx context.Context, c *config.Config, v *vault.Vault) (*sqlstore.Store, int, error) {
	s, pending, err := sqlstore.OpenToRead(ctx, sqlConfig(c, v))
	if err != nil {
		return nil, 0, fmt.Errorf("database %s: %w", c.Database, err)
	}
	return s, pending, nil
}

func sqlConfig(c *config.Config, v *vault.Vault) sqlstore.Config {
	return sqlstore.Config{URL: c.Database.Reveal(), Vault: v, TokenLife: c.Tokens.Access, Unique: c.People.Schema().Unique()}
}

// OpenRedis opens the Redis of a configuration; check uses it too.
func OpenRedis(ctx context.Context, c *config.Config, v *vault.Vault, logger *slog.Logger) (*redisstore.Store, error) {
	return openRedis(ctx, c, v, logger, 0)
}

func openRedis(ctx context.Context, c *config.Config, v *vault.Vault, logger *slog.Logger, timeout time.Duration) (*redisstore.Store, error) {
	s, err := redisstore.Open(ctx, redisstore.Config{URL: c.Redis.Reveal(), Vault: v, Logger: logger, Timeout: timeout})
	switch {
	case errors.Is(err, storage.ErrUnavailable):
		return nil, fmt.Errorf("redis: can't reach Redis at %s; is it running? (%w)", redisHost(c), err)
	case err != nil:
		return nil, fmt.Errorf("redis: %w", err)
	}
	return s, nil
}

// redisHost is where Redis is, without what the address holds of secrets.
func redisHost(c *config.Config) string {
	u, err := url.Parse(c.Redis.Reveal())
	if err != nil {
		return c.Redis.String()
	}
	return cmp.Or(u.Host, u.Path)
}

// hintLife is how long an ID token stays good as id_token_hint after it was
// issued: an application may present it at logout, as late as the session lasts.
const hintLife = 7 * 24 * time.Hour

// OpenKeys opens the signing keys of a configuration; commands use it too.
func OpenKeys(ctx context.Context, c *config.Config, store keys.Store, logger *slog.Logger, now func() time.Time) (*keys.Ring, error) {
	ring, err := keys.Open(ctx, keys.Config{
		Store: store, Dir: c.Keys.Dir, RotateEvery: c.Keys.RotateEvery,
		LongestToken: max(hintLife, c.Tokens.ID, c.Sessions.Absolute, registration.LongestToken), Now: now, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return ring, nil
}

// ListKeys returns the signing keys of a configuration as they are, and makes none.
func ListKeys(ctx context.Context, c *config.Config, store keys.Store, now func() time.Time) ([]keys.Info, error) {
	all, err := keys.List(ctx, store, c.Keys.Dir, now())
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return all, nil
}

func (s *Server) providerConfig(ring *keys.Ring) provider.Config {
	c := s.c.Config
	return provider.Config{
		Issuer: c.Issuer, SQL: s.SQL, Redis: s.Redis, Vault: s.c.Vault, Keys: ring,
		Clients: Clients(c, s.c.Vault), APIs: APIs(c), Grants: ClientGrants(c), Rules: s.rules(), Limits: limits(c),
		Lifetimes: provider.Lifetimes{
			Access: c.Tokens.Access, ID: c.Tokens.ID, RefreshIdle: c.Tokens.RefreshIdle, RefreshAbsolute: c.Tokens.RefreshAbsolute,
			SessionIdle: c.Sessions.Idle, SessionAbsolute: c.Sessions.Absolute, IDTokenOnRefresh: c.Tokens.IDTokenOnRefresh,
		},
		Connection: Connection(c), ShownConnections: ShownConnections(c), Schema: c.People.Schema(),
		Sending: Sending(c, sms.Deps{
			Client:       sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: c.AllowPrivateGateways}),
			AllowPrivate: c.AllowPrivateGateways, Console: s.c.Console, Inbox: s.c.Inbox, Now: s.c.Now,
		}),
		AllowPrivateCallbacks: c.AllowPrivateCallbacks, TrustedProxies: c.TrustedProxies, Logger: s.c.Logger, Now: s.c.Now, SendWait: s.c.Waits.Text,
	}
}

func (s *Server) rules() phone.Rules {
	rules := Rules(s.c.Config)
	rules.Now = s.c.Now
	return rules
}

// Rules returns which numbers the configuration lets people have; commands use it too.
func Rules(c *config.Config) phone.Rules {
	rules := phone.Rules{Countries: c.Countries, Fictional: c.Local()}
	for _, t := range c.TestNumbers {
		rules.TestNumbers = append(rules.TestNumbers, phone.TestNumber{Number: t.Number, Prefix: t.Prefix, Code: t.Code.Reveal(), Until: t.ValidUntil.Time()})
	}
	return rules
}

func limits(c *config.Config) map[string]storage.Limit {
	out := map[string]storage.Limit{}
	for name, l := range c.Limits {
		out[name] = storage.Limit{Name: name, Burst: l.Burst, Every: l.Every, Off: l.Off}
	}
	return out
}

// Clients returns the clients that the file declares, with the MACs of their secrets.
func Clients(c *config.Config, v *vault.Vault) []storage.Client {
	out := make([]storage.Client, len(c.Clients))
	for i := range c.Clients {
		out[i] = c.Clients[i].Record()
		out[i].FromFile = true
		if secret := c.Clients[i].ClientSecret; !secret.IsZero() {
			out[i].SecretMACs = [][]byte{client.SecretMAC(v, out[i].ClientID, secret.Reveal())}
		}
	}
	return out
}

// Sending returns the senders and routes of the file; commands use it too.
func Sending(c *config.Config, deps sms.Deps) passcode.Sending {
	out := passcode.Sending{Deps: deps, Covered: c.Covered()}
	for _, name := range slices.Sorted(maps.Keys(c.Senders)) {
		out.Senders = append(out.Senders, passcode.NamedOptions{Name: name, Options: c.Senders[name].JSON()})
	}
	for _, r := range c.Routes {
		out.Rules = append(out.Rules, passcode.Rule{To: r.To, Via: r.Via})
	}
	return out
}

// APIs returns the APIs that the file declares.
func APIs(c *config.Config) []storage.API {
	out := make([]storage.API, len(c.ResourceServers))
	for i := range c.ResourceServers {
		out[i] = c.ResourceServers[i].Record()
		out[i].FromFile = true
	}
	return out
}

// ClientGrants returns the client grants that the file declares.
func ClientGrants(c *config.Config) []storage.ClientGrant {
	out := make([]storage.ClientGrant, len(c.ClientGrants))
	for i := range c.ClientGrants {
		out[i] = c.ClientGrants[i].Record()
		out[i].FromFile = true
	}
	return out
}

// Connection returns the connection that the file declares, or nil.
func Connection(c *config.Config) *storage.Connection {
	if len(c.Connections) == 0 {
		return nil
	}
	first := c.Connections[0]
	return &storage.Connection{Name: storage.ConnectionName(first.Name), Strategy: first.Strategy, Options: first.Options.JSON()}
}

// ShownConnections returns the connections of the file without the secrets of their
// options.
func ShownConnections(c *config.Config) []storage.Connection {
	if len(c.Connections) == 0 {
		return nil
	}
	shown := *Connection(c)
	shown.FromFile = true
	shown.Options, _ = json.Marshal(c.Connections[0].Options.Redacted()) // it was JSON
	return []storage.Connection{shown}
}

// ServeHTTP answers a request of people and applications.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close closes the stores.
func (s *Server) Close() error {
	var errs []error
	if s.Redis != nil {
		errs = append(errs, s.Redis.Close())
	}
	if s.SQL != nil {
		errs = append(errs, s.SQL.Close())
	}
	return errors.Join(errs...)
}

// requestsWithin bounds how long a stop waits for requests under way: Auth0's doors
// wait half a minute for a gateway. Texts have a time
// of their own behind it (provider.DrainWithin): a request may have begun one just now.
const requestsWithin = 31 * time.Second

// Serve serves on the listeners until ctx ends, and then lets requests and
// texts that are under way finish. admin may be nil.
func (s *Server) Serve(ctx context.Context, public, admin net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, failed := errgroup.WithContext(ctx)
	work, _ := errgroup.WithContext(background)
	work.Go(func() error { return s.Redis.Run(background) })
	work.Go(func() error { return s.Provider.Run(background) })

	people := s.httpServer(s.handler)
	people.RegisterOnShutdown(s.Provider.Stop)
	servers := []*http.Server{people}
	g.Go(func() error { return serve(people, public) })
	if admin != nil {
		host, _, _ := net.SplitHostPort(s.c.Config.AdminListen) // validated with the configuration
		operators := s.httpServer(s.Provider.Admin(admin.Addr(), host))
		servers = append(servers, operators)
		g.Go(func() error { return serve(operators, admin) })
	}
	g.Go(func() error {
		<-failed.Done()
		return s.shutdown(ctx, servers)
	})
	err := g.Wait()
	stop()
	return errors.Join(err, work.Wait())
}

func (s *Server) shutdown(ctx context.Context, servers []*http.Server) error {
	s.c.Logger.InfoContext(ctx, "stopping")
	// The context that ended is what asked for the stop; the stop has its own time.
	ctx = context.WithoutCancel(ctx)
	requests, cancel := context.WithTimeout(ctx, requestsWithin)
	defer cancel()
	var errs []error
	for _, server := range servers {
		if err := server.Shutdown(requests); err != nil {
			errs = append(errs, err, server.Close())
		}
	}
	texts, cancel := context.WithTimeout(ctx, provider.DrainWithin)
	defer cancel()
	return errors.Join(append(errs, s.Provider.Drain(texts))...)
}

func serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// httpServer sets the limits of security.md §4. Without them a client could
// hold a connection for good.
func (s *Server) httpServer(h http.Handler) *http.Server {
	wait := s.c.Waits.HTTP
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: cmp.Or(wait, 5*time.Second),
		ReadTimeout:       cmp.Or(wait, 10*time.Second),
		WriteTimeout:      cmp.Or(2*wait, 15*time.Second),
		IdleTimeout:       cmp.Or(wait, 60*time.Second),
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slogErrors(s.c.Logger),
	}
}

// slogErrors takes what net/http has to say (broken handshakes, mostly) at debug level.
func slogErrors(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// Listen opens the public listener, with TLS when the configuration says so,
// and the admin listener unless that is empty.
func Listen(c *config.Config) (public, admin net.Listener, err error) {
	public, err = net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	if c.TLS.On() {
		pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
		if err != nil {
			public.Close()
			return nil, nil, fmt.Errorf("tls: %w", err)
		}
		public = tls.NewListener(public, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	if c.AdminListen == "" {
		return public, nil, nil
	}
	if admin, err = net.Listen("tcp", c.AdminListen); err != nil {
		public.Close()
		return nil, nil, fmt.Errorf("admin_listen: %w", err)
	}
	return public, admin, nil
}
