// Command bench measures what a login costs: it starts the built server, a
// Redis and a gateway on loopback, drives whole logins and single endpoints
// through HTTP, and prints each cost as a multiple of R beside its budget.
//
// R is the CPU time of one RSA-2048 signature by crypto/rsa, measured in the
// same run before and after each phase, so that figures of different machines
// and hours compare. CPU is user and system time of the server process and of
// Redis, from the operating system. It fails on errors, never on time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	seconds := flag.Duration("phase", 5*time.Second, "how long each phase runs")
	profile := flag.String("profile", "", "a `file` for a CPU profile of the server")
	profiled := flag.String("profiled", "login, 16 at a time", "the `phase` that the profile is of")
	open := flag.Int("open", 100_000, "how many verifications are open at once in the last phase; 0 leaves it out")
	only := flag.String("only", "", "run only the phases whose name has these `words`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *seconds, profiling{*profile, *profiled}, *only, *open); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// budget is what performance.md allows, in R: the budget, and above which a
// change has made things worse.
type budget struct{ want, worse float64 }

// phase is one measurement.
type phase struct {
	name    string
	workers int
	budget  budget
	prepare func(w *worker) error
	op      func(w *worker) error
}

// profiling says which phase is profiled, and into which file.
type profiling struct{ file, phase string }

func run(ctx context.Context, length time.Duration, profile profiling, only string, open int) error {
	w, err := startWorld(ctx)
	if err != nil {
		return err
	}
	defer w.stop()
	fmt.Printf("start to first answer %d ms, memory idle %.1f MiB\n\n", w.started.Milliseconds(), w.server.memory("VmRSS"))

	phases := []phase{
		{"login, 1 at a time", 1, budget{}, (*worker).prepare, (*worker).login},
		{"login, 16 at a time", 16, budget{2.0, 2.5}, (*worker).prepare, (*worker).login},
		{"login, 64 at a time", 64, budget{}, (*worker).prepare, (*worker).login},
		{"login, 16, ES256", 16, budget{1.0, 1.3}, (*worker).prepare, (*worker).loginES256},
		{"login for an API, 16, ES256", 16, budget{}, (*worker).prepare, (*worker).loginForAPI},
		{"login with a refresh token, 16", 16, budget{}, (*worker).prepare, (*worker).loginRefreshable},
		{"login, 64, one person (test number)", 64, budget{}, (*worker).prepare, (*worker).loginOnePerson},
		{"refresh with ID token", 16, budget{1.35, 1.6}, (*worker).prepare, (*worker).refresh},
		{"introspection", 16, budget{0.10, 0.15}, (*worker).prepare, (*worker).introspect},
		{"userinfo", 16, budget{0.09, 0.13}, (*worker).prepare, (*worker).userinfo},
		{"verification started", 16, budget{0.50, 0.8}, (*worker).prepareMachine, (*worker).startVerification},
		{"verification answered", 16, budget{0.30, 0.5}, (*worker).prepareMachine, (*worker).answerVerification},
		{"discovery", 16, budget{0.03, 0.04}, (*worker).prepare, (*worker).discovery},
		{"JWKS", 16, budget{0.03, 0.04}, (*worker).prepare, (*worker).jwks},
	}
	fmt.Printf("%-38s %9s %8s %8s %8s %8s %9s %9s %7s\n", "", "per s", "server R", "redis R", "total R", "budget", "p50 ms", "p99 ms", "errors")
	var failed []error
	for _, p := range phases {
		if !strings.Contains(p.name, only) {
			continue
		}
		if profile.file != "" && p.name == profile.phase {
			go w.profile(ctx, profile.file, length)
		}
		r, err := w.measure(ctx, p, length)
		if err != nil {
			return err
		}
		fmt.Println(r)
		if r.errors > 0 {
			failed = append(failed, fmt.Errorf("%s: %d errors, the first: %w", p.name, r.errors, r.firstError))
		}
	}
	fmt.Printf("\nmemory peak %.1f MiB; 1 R was %.2f ms at the end\n", w.server.memory("VmHWM"), w.lastR*1e3)
	if open > 0 && strings.Contains("verifications open at once", only) {
		h, err := w.hold(ctx, open)
		if err != nil {
			return err
		}
		fmt.Printf("%d verifications open at once, started in %.0f s: Redis %.0f bytes each (budget 600), SQL %.0f with the record of the text, server memory %.0f\n",
			open, h.took.Seconds(), h.redis, h.sql, h.memory)
		failed = append(failed, h.answered)
	}
	return errors.Join(failed...)
}
