// Command vendors is the client of the example: it logs a person in with their browser,
// and calls the REST and the gRPC API in their name. Where things are comes from the
// environment, with defaults for a developer's machine:
//
//	HANDSET_ISSUER     the Handset that people log in to (http://localhost:3000/)
//	HANDSET_AUDIENCE   the API (https://purchasing.example.com)
//	HANDSET_CLIENT_ID  this program's registration (demo-cli)
//	PURCHASING_REST    the REST API (http://localhost:8080)
//	PURCHASING_GRPC    the gRPC API (localhost:8081)
//	VENDORS_LOGIN      the file that keeps the login (in the user's configuration folder)
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/handset-oidc/handset/resource"
)

const usage = `usage: vendors COMMAND

  login [-no-browser]   log in, in your browser
  whoami                who the APIs see
  list [-grpc]          the vendors
  add [-grpc] NAME      a new vendor
  logout                end the login
`

// errUsage says that a command line makes no sense.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := newProgram(os.Getenv, os.Stdout, os.Stderr)
	if err == nil {
		err = p.run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprint(os.Stderr, inWords(err))
		os.Exit(1)
	}
}

// inWords says what a person can do about an error.
func inWords(err error) string {
	denied, isDenied := errors.AsType[*resource.AccessDenied](err)
	switch {
	case errors.Is(err, errUsage):
		return usage
	case isDenied:
		return "vendors: you are not registered for this: " + denied.Description + "\n"
	case errors.Is(err, resource.ErrLoginRequired), errors.Is(err, errNoLogin):
		return "vendors: you are not logged in; run: vendors login\n"
	}
	return "vendors: " + err.Error() + "\n"
}

// program is the command with what it found in its environment.
type program struct {
	issuer     string
	audience   resource.Audience
	clientID   resource.ClientID
	rest, grpc string
	keeper     keeper
	out, err   io.Writer
}

func newProgram(getenv func(string) string, out, errors io.Writer) (*program, error) {
	file, err := loginFile(getenv)
	if err != nil {
		return nil, err
	}
	p := &program{
		issuer:   cmp.Or(getenv("HANDSET_ISSUER"), resource.DefaultIssuer),
		audience: cmp.Or(resource.Audience(getenv("HANDSET_AUDIENCE")), resource.DefaultAudience),
		clientID: cmp.Or(resource.ClientID(getenv("HANDSET_CLIENT_ID")), "demo-cli"),
		rest:     cmp.Or(getenv("PURCHASING_REST"), "http://localhost:8080"),
		grpc:     cmp.Or(getenv("PURCHASING_GRPC"), "localhost:8081"),
		out:      out, err: errors,
	}
	p.keeper = keeper{file, p.issuer, p.clientID}
	return p, nil
}

func (p *program) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet("vendors "+args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	overGRPC := flags.Bool("grpc", false, "")
	noBrowser := flags.Bool("no-browser", false, "")
	if err := flags.Parse(args[1:]); err != nil {
		return errUsage
	}
	words := 0
	if args[0] == "add" {
		words = 1
	}
	if flags.NArg() != words {
		return errUsage
	}
	switch args[0] {
	case "login":
		return p.login(ctx, !*noBrowser)
	case "whoami":
		return p.with(ctx, p.whoami)
	case "list":
		return p.with(ctx, func(ctx context.Context, c *resource.Client) error { return p.list(ctx, c, *overGRPC) })
	case "add":
		return p.with(ctx, func(ctx context.Context, c *resource.Client) error { return p.add(ctx, c, *overGRPC, flags.Arg(0)) })
	case "logout":
		return p.logout(ctx)
	}
	return errUsage
}

// with calls what needs a login. A renewal that is under way at the end is waited for:
// a refresh token works once, and the next one must be kept.
func (p *program) with(ctx context.Context, do func(context.Context, *resource.Client) error) error {
	refresh, err := p.keeper.load()
	if err != nil {
		return err
	}
	client, err := resource.NewClient(ctx, resource.ClientConfig{
		Issuer: p.issuer, Audience: p.audience, APIs: []string{p.rest, p.grpcOrigin()},
		ClientID: p.clientID, RefreshToken: refresh, KeepRefreshToken: p.keeper.keep,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	return do(ctx, client)
}

// whoami verifies the client's own token, as the APIs do.
func (p *program) whoami(ctx context.Context, c *resource.Client) error {
	caller, err := c.Caller(ctx)
	if err != nil {
		return err
	}
	var employee string
	if err := caller.Claim("employee_id", &employee); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "employee %s, with %s until %s\n", employee, caller.Scopes, caller.ExpiresAt.Local().Format("2006-01-02 15:04"))
	return err
}
