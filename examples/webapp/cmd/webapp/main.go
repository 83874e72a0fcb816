// Command webapp runs the example application by itself, against any OpenID
// Connect provider. It is set up by the environment:
//
//	ISSUER         the provider (http://localhost:3000/)
//	CLIENT_ID      the application's registration (required)
//	CLIENT_SECRET  its secret; empty for a public client
//	BASE_URL       its own address (http://localhost:4000)
//	LISTEN         where it listens (localhost:4000)
//	APP_NAME       what it calls itself (Example application)
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/handset-oidc/handset/examples/webapp"
)

// usage says what the environment must and may hold.
const usage = `CLIENT_ID is missing; set by environment:
  CLIENT_ID      the application's registration (required)
  CLIENT_SECRET  its secret; empty for a public client
  ISSUER         the provider, as its tokens name it (http://localhost:3000/)
  BASE_URL       the application's own address (http://localhost:4000)
  LISTEN         where it listens (localhost:4000)
  APP_NAME       what it calls itself (Example application)`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "webapp: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if os.Getenv("CLIENT_ID") == "" {
		return errors.New(usage)
	}
	base := cmp.Or(os.Getenv("BASE_URL"), "http://localhost:4000")
	app, err := webapp.New(ctx, webapp.Config{
		Name:         os.Getenv("APP_NAME"),
		Issuer:       cmp.Or(os.Getenv("ISSUER"), "http://localhost:3000/"),
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		BaseURL:      base,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "localhost:4000"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: app, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	fmt.Fprintln(os.Stderr, "webapp:", base)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(closing)
}
