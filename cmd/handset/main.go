// Command handset is an OpenID Connect provider with login by a texted code,
// and the tools to run it. Each subcommand is one file, one function, whose
// help comes first; docs/cli.md is made from it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(execute())
}

// execute runs the command until it ends or the process is told to stop.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
}
