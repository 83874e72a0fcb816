package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/examples/webapp"
	"github.com/handset-oidc/handset/internal/demo"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// demoFlags are the demo's own settings.
type demoFlags struct {
	listen, appListen, data string
	verbose                 bool
}

func newDemoCommand(env *environment) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "everything at once, nothing to configure, nothing kept",
		Long: `Run a provider, an application that uses it, and an inbox that shows every text
message, on this machine and in memory. Open the application, sign in with any
mobile number, and read the code in the inbox.

It listens on loopback addresses only and is never part of handset serve.`,
		Example: `    handset demo
    handset demo --listen localhost:3100 --app-listen localhost:4100
    handset demo --data ./demo        keep people, sessions and keys in a folder`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"listen", "app-listen"} {
				if err := onLoopback(cmd, name); err != nil {
					return err
				}
			}
			return env.demo(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "localhost:3000", "the provider's `address`, on loopback; the issuer follows it")
	cmd.Flags().StringVar(&f.appListen, "app-listen", "localhost:4000", "the demo application's `address`, on loopback")
	cmd.Flags().StringVar(&f.data, "data", "", "a `folder` to keep the state in; empty: in memory")
	cmd.Flags().BoolVar(&f.verbose, "verbose", false, "print one log record a request")
	return cmd
}

// onLoopback refuses what is no address of this machine.
func onLoopback(cmd *cobra.Command, name string) error {
	flag := cmd.Flag(name)
	address, instead := flag.Value.String(), flag.DefValue
	if isPort(address) {
		instead = "localhost:" + address // the host was left out
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || !isPort(port):
		return withHint(usage(cmd, fmt.Sprintf("--%s %s: want a host and a port", name, address)), "--%s %s", name, instead)
	case !config.Loopback(host):
		return withHint(usage(cmd, fmt.Sprintf("--%s %s: the demo serves loopback addresses only", name, address)),
			"--%s %s; for other addresses there is handset serve", name, instead)
	}
	return nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func (env *environment) demo(ctx context.Context, f demoFlags) error {
	public, err := listenOnLoopback(net.Listen, f.listen, "--listen")
	if err != nil {
		return err
	}
	defer public.Close()
	app, err := listenOnLoopback(net.Listen, f.appListen, "--app-listen")
	if err != nil {
		return err
	}
	defer app.Close()
	f.listen, f.appListen = withPort(f.listen, public), withPort(f.appListen, app)
	return env.runDemo(ctx, f, public, app)
}

// listenOnLoopback opens a listener and looks at where it is: a name says little,
// x.localhost is what the resolver of this machine makes of it.
func listenOnLoopback(listen func(network, address string) (net.Listener, error), address, flag string) (net.Listener, error) {
	l, err := listen("tcp", address)
	if err != nil {
		return nil, withHint(err, "another program uses the port; choose one with %s", flag)
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s %s: the demo serves loopback addresses only", flag, address), l.Close())
	}
	return l, nil
}

// withPort is address with the port that the listener got, so that port 0 works.
func withPort(address string, l net.Listener) string {
	host, _, _ := strings.Cut(address, ":")
	if strings.HasPrefix(address, "[") {
		host = "[::1]"
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return host + ":" + port
}

func (env *environment) runDemo(ctx context.Context, f demoFlags, public, app net.Listener) error {
	secret := client.NewSecret()
	c, v, err := demoConfig(f, secret)
	if err != nil {
		return err
	}
	log := io.Discard
	if f.verbose {
		log = env.stderr
	}
	inbox := sms.NewInbox(200, env.now)
	s, err := server.New(ctx, server.Config{
		Config: c, Vault: v, Logger: newLogger(config.Log{Level: "info", Format: "text"}, log), Now: env.now,
		Inbox: inbox,
		Mount: func(p http.Handler) http.Handler { return demo.Mount(p, inbox) },
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := employ(ctx, s.SQL, c, env.now()); err != nil {
		return err
	}
	application, err := webapp.New(ctx, webapp.Config{
		Name: c.Clients[0].Name, Issuer: c.Issuer, ClientID: demoClientID, ClientSecret: secret, BaseURL: "http://" + f.appListen,
		InboxURL: c.Issuer + "inbox",
	})
	if err != nil {
		return err
	}
	env.greet(f, c, secret)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Serve(ctx, public, nil) })
	g.Go(func() error { return serveApp(ctx, app, application) })
	return g.Wait()
}

const (
	demoClientID = "demo-app"
	// demoCLI is for command lines and tests: package resourcetest logs in with it.
	demoCLI = "demo-cli"
	// demoVerification has numbers verified over HTTP.
	demoVerification = "demo-verification"
)

// The one person who is registered in the demo from the beginning, and may use its
// API: packages resourcetest and examples/purchasing log in as them. Everybody else is
// refused there, as in a company.
const (
	demoEmployee   = "+15005550006"
	demoEmployeeID = "291"
)

// employ registers the employee, unless a folder of data has them from before.
func employ(ctx context.Context, sql *sqlstore.Store, c *config.Config, now time.Time) error {
	number, err := server.Rules(c).Parse(demoEmployee, "")
	if err != nil {
		return fmt.Errorf("register the employee: %w", err)
	}
	u := storage.User{ID: mint.UserID(), Number: number, CreatedAt: now, UpdatedAt: now, Attributes: map[string]any{"employee_id": demoEmployeeID}}
	switch err := sql.AddUser(ctx, u); {
	case errors.As(err, new(*storage.TakenError)):
		return nil
	case err != nil:
		return fmt.Errorf("register the employee: %w", err)
	}
	a := storage.Assignment{UserID: u.ID, Audience: storage.Audience(resource.DefaultAudience), Allowance: storage.Allowance{AllScopes: true}, CreatedAt: now}
	if err := sql.Assign(ctx, a, now); err != nil {
		return fmt.Errorf("let the employee use the API: %w", err)
	}
	return nil
}

// demoConfig is the configuration that nobody has to write. It goes through
// the same validation as a file.
func demoConfig(f demoFlags, secret string) (*config.Config, *vault.Vault, error) {
	c := config.Default()
	c.Issuer = "http://" + f.listen + "/"
	c.Listen, c.AdminListen = f.listen, ""
	c.Database = config.NewAddress("sqlite::memory:")
	c.Countries = []string{"all"}
	c.Clients = []config.Client{{
		ClientID: demoClientID, Name: "Tiny", ClientSecret: config.NewSecret(secret),
		Callbacks: []string{"http://" + f.appListen + "/oidc/callback"}, AllowedLogoutURLs: []string{"http://" + f.appListen + "/"},
		InitiateLoginURI: "http://" + f.appListen + "/login", IsFirstParty: true,
		RequirePKCE: true, RequireState: true, RequireNonce: true,
	}}
	c.Clients = append(c.Clients, config.Client{
		ClientID: demoCLI, Name: "Tiny on the command line", AppType: "native",
		Callbacks: []string{"http://127.0.0.1/callback", "http://[::1]/callback"}, IsFirstParty: true,
		RequirePKCE: true, RequireState: true, RequireNonce: true,
	})
	c.Clients = append(c.Clients, config.Client{
		ClientID: demoVerification, Name: "Tiny", AppType: "verification", ClientSecret: config.NewSecret(secret),
	})
	for i := range c.Clients {
		c.Clients[i].SetDefaults()
	}
	c.ResourceServers = []config.ResourceServer{{
		Identifier: string(resource.DefaultAudience), Name: "Purchasing", Users: "assigned", AllowOfflineAccess: true,
		Claims: config.Claims{"employee_id": "user.employee_id"},
		Scopes: []config.Scope{{Value: "read:vendors", Description: "see vendors"}, {Value: "write:vendors", Description: "change vendors"}},
	}}
	c.ResourceServers[0].SetDefaults()
	// No country gives these numbers to anybody, and the manual shows them with this
	// code: a test need not read the inbox.
	c.TestNumbers = []config.TestNumber{{Prefix: "+1500555", Code: config.NewSecret("424242")}}
	// One person tries this many times in a row; nobody pays for the texts.
	for _, name := range []string{"send_number", "send_address", "pending_address"} {
		c.Limits[name] = config.Limit{Burst: 100, Every: time.Second}
	}
	key := vault.Generate()
	if f.data != "" {
		var err error
		if key, err = demoData(f.data); err != nil {
			return nil, nil, err
		}
		c.Database = config.NewAddress("sqlite:" + filepath.Join(f.data, "handset.db"))
	}
	v, err := vault.Parse(key)
	return c, v, err
}

// demoData makes the folder and its secret key where there is none.
func demoData(dir string) (key string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	name := filepath.Join(dir, "handset.key")
	text, err := os.ReadFile(name)
	if err == nil {
		return string(text), nil
	}
	if !os.IsNotExist(err) {
		return "", fmt.Errorf("read the demo's key: %w", err)
	}
	key = vault.Generate()
	if err := os.WriteFile(name, []byte(key), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's key: %w", err)
	}
	return key, nil
}

// greet prints the three addresses, and how a number is verified without any login.
func (env *environment) greet(f demoFlags, c *config.Config, secret string) {
	kept := "Nothing is kept: it lives in memory until you press Ctrl-C."
	if f.data != "" {
		kept = "State is kept in " + f.data + ". Press Ctrl-C to stop."
	}
	fmt.Fprint(env.stdout, "Handset demo\n\n")
	t := env.table("  Application", "http://"+f.appListen, "sign in here, with any mobile number")
	t.row("  Inbox", c.Issuer+"inbox", "read the code here")
	t.row("  Provider", c.Issuer+".well-known/openid-configuration")
	_ = t.flush() // with nobody at the terminal the demo runs all the same
	fmt.Fprintf(env.stdout, `
To verify a number over HTTP, without a login:
  curl -H "x-functions-key: %s.%s" -d '"+447400123456"' \
    %sorchestrators/E4_SmsPhoneVerification
`, demoVerification, secret, c.Issuer)
	fmt.Fprintf(env.stdout, "\nThe issuer is %s\nIts API %s takes employee %s alone: %s, code 424242.\n%s\n",
		c.Issuer, resource.DefaultAudience, demoEmployeeID, demoEmployee, kept)
}

// serveApp serves the demo application until ctx ends.
func serveApp(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	stop := context.AfterFunc(ctx, func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = s.Shutdown(within) // the demo ends either way
	})
	defer stop()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
