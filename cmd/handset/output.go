package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// say tells the person at the terminal; scripts do not see it.
func (env *environment) say(format string, args ...any) {
	fmt.Fprintf(env.stderr, "handset: "+format+"\n", args...)
}

// warn tells of something that works and is probably not meant.
func (env *environment) warn(format string, args ...any) {
	fmt.Fprintf(env.stderr, "handset: warning: "+format+"\n", args...)
}

// printJSON writes what was asked for as indented JSON.
func (env *environment) printJSON(v any) error {
	encoder := json.NewEncoder(env.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// table writes rows in columns. Cells hold no tabs: names are checked when
// they are registered.
type table struct{ w *tabwriter.Writer }

func (env *environment) table(head ...string) *table {
	t := &table{tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// timeText is a time for people; empty for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// timeJSON is a time for scripts; nil for none.
func timeJSON(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "json", false, "write JSON")
}

// yesFlag adds --yes, which a command that destroys must be given.
func yesFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "yes", false, "do it; without this the command refuses")
}

// confirmed refuses a destructive command without --yes.
func confirmed(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	return withHint(usage(cmd, what), "add --yes to do it")
}

// logger is for the parts that log, in a command that is not a server: what
// deserves a warning goes to standard error.
func (env *environment) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
