// Command purchasing is a small company on one machine: it starts `handset demo`, where
// its employees log in, and the REST and the gRPC API that take their tokens. The
// client is cmd/vendors. Ctrl-C ends all of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/handset-oidc/handset/resource"

	"github.com/handset-oidc/handset/examples/purchasing/api"
	"github.com/handset-oidc/handset/examples/purchasing/vendors"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, errStopped) && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "purchasing:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	rest, grpc string
	demo       demo
	noDemo     bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("purchasing", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&s.rest, "rest", "localhost:8080", "the `address` of the REST API")
	flags.StringVar(&s.grpc, "grpc", "localhost:8081", "the `address` of the gRPC API")
	flags.StringVar(&s.demo.listen, "handset-listen", "localhost:3000", "the `address` of the demo, on loopback; the issuer follows it")
	flags.StringVar(&s.demo.appListen, "app-listen", "localhost:4000", "the `address` of the demo's own application, on loopback")
	flags.StringVar(&s.demo.program, "handset", "", "the handset `program`; without it, the tree's own is built, or the one of the PATH is used")
	flags.BoolVar(&s.noDemo, "no-demo", false, "start no demo: take the tokens of HANDSET_ISSUER for HANDSET_AUDIENCE")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	return s, nil
}

// run serves until ctx ends or a part of it fails; then all of it ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	rest, err := net.Listen("tcp", s.rest)
	if err != nil {
		return fmt.Errorf("%w (choose another with -rest)", err)
	}
	defer rest.Close()
	calls, err := net.Listen("tcp", s.grpc)
	if err != nil {
		return fmt.Errorf("%w (choose another with -grpc)", err)
	}
	defer calls.Close()

	config := resource.Config{Logger: slog.New(slog.NewTextHandler(out, nil)), StartWithoutIssuer: s.noDemo}
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	defer g.Wait() // behind an error in between, the demo ends first
	defer stop()
	if !s.noDemo {
		program, cleanUp, err := s.demo.find(ctx, out)
		if err != nil {
			return err
		}
		defer cleanUp()
		issuer := make(chan string, 1)
		g.Go(func() error { return s.demo.run(ctx, program, out, issuer) })
		select {
		case config.Issuer = <-issuer:
			config.Audience = resource.DefaultAudience
		case <-ctx.Done():
			return g.Wait() // it was stopped, or the demo has said why it ended
		}
	}
	protect, err := resource.New(ctx, config)
	if err != nil {
		return err
	}
	defer protect.Close()
	var book vendors.Book
	calling, err := api.NewGRPC(protect, &book, config.Logger)
	if err != nil {
		return err
	}
	g.Go(func() error { return serveREST(ctx, rest, api.NewREST(protect, &book, config.Logger)) })
	g.Go(func() error { return serveGRPC(ctx, calls, calling) })
	fmt.Fprintf(out, "\nPurchasing is up: REST at http://%s/vendors, gRPC at %s.\nIn another terminal: go run ./cmd/vendors login\n\n", rest.Addr(), calls.Addr())
	return g.Wait()
}

// stopWithin is how long calls under way have when the program ends.
const stopWithin = 5 * time.Second

func serveREST(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		_ = s.Shutdown(within) // it ends either way
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serveGRPC(ctx context.Context, l net.Listener, s *grpc.Server) error {
	stop := context.AfterFunc(ctx, func() {
		hard := time.AfterFunc(stopWithin, s.Stop)
		defer hard.Stop()
		s.GracefulStop()
	})
	defer stop()
	return s.Serve(l)
}
