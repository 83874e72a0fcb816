package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Who presses Ctrl-C twice wants it to end. Who is told twice of one press, by the
// terminal and by what started the command, does not.
func TestSignals(t *testing.T) {
	t.Parallel()
	const patience, cut = "a second signal stops at once", "stopped at once by a second signal"
	for name, c := range map[string]struct {
		at    []time.Duration // of each signal, from the first on
		ended bool
		said  []string
	}{
		"none":                  {nil, false, nil},
		"one":                   {[]time.Duration{0}, false, []string{patience}},
		"one, told three times": {[]time.Duration{0, 0, 99 * time.Millisecond}, false, []string{patience}},
		"two":                   {[]time.Duration{0, 101 * time.Millisecond}, true, []string{cut}},
		"two, told twice each":  {[]time.Duration{0, 0, 300 * time.Millisecond, 300 * time.Millisecond}, true, []string{cut}},
		"two, with patience":    {[]time.Duration{0, 20 * time.Second}, true, []string{patience, cut}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				signals, stopped := make(chan os.Signal, 1), 0
				var said []string
				ended := make(chan bool, 1)
				go func() {
					ended <- obey(signals, func() { stopped++ }, func(line string) { said = append(said, line) })
				}()
				began := time.Now()
				for _, at := range c.at {
					time.Sleep(at - time.Since(began))
					select {
					case signals <- syscall.SIGTERM:
					default: // as package signal does
					}
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				close(signals)
				if got := <-ended; got != c.ended || stopped != min(1, len(c.at)) {
					t.Errorf("ended at once %t, want %t; stopped %d times", got, c.ended, stopped)
				}
				if !slices.EqualFunc(said, c.said, strings.Contains) {
					t.Errorf("said %q, want %q", said, c.said)
				}
			})
		})
	}
}
