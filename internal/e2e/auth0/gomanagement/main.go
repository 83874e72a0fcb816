// Command gomanagement manages a running Handset, and logs in to one, with Auth0's published Go clients,
// for the tests of internal/e2e. It is a module of its own, so that nobody who uses
// Handset gets these clients with it. It says what went wrong, and exits with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// tenant is what a client is told of a tenant. Its domain begins with http:// where it
// has no TLS.
type tenant struct{ domain, id, secret, gateway, number string }

func main() {
	if len(os.Args) == 5 && os.Args[1] == "passwordless" {
		passwordless(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage: gomanagement v1|v3 DOMAIN CLIENT_ID SECRET GATEWAY_URL NUMBER")
		os.Exit(2)
	}
	run := map[string]func(context.Context, tenant) error{"v1": v1, "v3": v3}[os.Args[1]]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, tenant{os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// step names what failed.
func step(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// want is an error unless ok.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("want "+format, args...)
}

// first is the first error, so that later steps are not blamed for it.
func first(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

var errNotRefused = errors.New("was not refused")
