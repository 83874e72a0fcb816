// Command handset is an OpenID Connect provider with login by a texted code,
// and the tools to run it. Each subcommand is one file, one function, whose
// help comes first; docs/cli.md is made from it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(execute())
}

// execute runs the command until it ends or the process is told to stop.
func execute() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		if obey(signals, cancel, func(line string) { fmt.Fprintln(os.Stderr, line) }) {
			os.Exit(1)
		}
	}()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
}

const (
	// oneSignal is how long a signal that comes again is the same one: a terminal tells
	// the whole process group, and so may whatever started the command.
	oneSignal = 100 * time.Millisecond
	// longStop is when whoever waits for a stop is told how to have it at once.
	longStop = time.Second
)

// obey calls stop at the first signal, and returns true at the second, which must end the
// process at once; false when the channel is closed. It says how on the way.
func obey(signals <-chan os.Signal, stop func(), say func(line string)) bool {
	if _, ok := <-signals; !ok {
		return false
	}
	stop()
	repeats, long := time.After(oneSignal), time.After(longStop)
	for {
		select {
		case _, ok := <-signals:
			switch {
			case !ok:
				return false
			case repeats == nil:
				say("handset: stopped at once by a second signal: what was under way is cut off")
				return true
			}
		case <-repeats:
			repeats = nil
		case <-long:
			say("handset: stopping when what is under way is done; a second signal stops at once")
		}
	}
}
