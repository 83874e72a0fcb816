package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandManual keeps docs/cli.md what the commands say of themselves.
func TestCommandManual(t *testing.T) {
	t.Parallel()
	const name = "../../docs/cli.md"
	got := commandManual(newRootCommand(&environment{}))
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/cli.md is not current; run make generate\n%s", diff)
	}
}

// TestEveryCommandExplainsItself holds the manners of help texts.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	eachCommand(newRootCommand(&environment{}), func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s: no help", name)
		}
		if first := cmd.Short[:1]; strings.ToUpper(first) == first && !strings.HasPrefix(cmd.Short, "OpenID") || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q begins with a capital or ends with a period", name, cmd.Short)
		}
		if !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s: no example", name)
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 81 {
				t.Errorf("%s: line too long: %s", name, line)
			}
		}
	})
}

// eachCommand visits the commands that are advertised, a parent first.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			eachCommand(sub, visit)
		}
	}
}

// commandManual returns docs/cli.md.
func commandManual(root *cobra.Command) string {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from cmd/handset by "make generate"; DO NOT EDIT. -->

# Commands

What was asked for goes to standard output, everything else to standard error.
An error is ` + "`handset: error: …`" + ` with a ` + "`hint: …`" + ` where there is a next step; the exit
status is 1 for a failure and 2 for wrong usage. Every command takes
` + "`--config FILE`" + ` (default ` + "`handset.yaml`" + `). Lists take ` + "`--json`" + `, commands that destroy
want ` + "`--yes`" + `. Changes to people, clients and keys work on the database of a
running server and reach every server within a second.
`)
	eachCommand(root, func(cmd *cobra.Command) {
		fmt.Fprintf(&b, "\n%s %s\n\n%s\n", strings.Repeat("#", 2+strings.Count(cmd.CommandPath(), " ")), cmd.CommandPath(), help(cmd))
		if cmd.Runnable() && !cmd.HasSubCommands() {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", cmd.UseLine())
			flagTable(&b, cmd)
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindented(cmd.Example))
		}
	})
	return b.String()
}

// help is the long help; indented lines become code by Markdown's own rule.
func help(cmd *cobra.Command) string {
	if cmd.Long == "" {
		return cmd.Short
	}
	return strings.TrimSpace(cmd.Long)
}

func flagTable(b *bytes.Buffer, cmd *cobra.Command) {
	rows := 0
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		if rows == 0 {
			b.WriteString("\n| flag | what |\n|---|---|\n")
		}
		rows++
		variable, what := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + variable)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			what += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, what)
	})
}

func unindented(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimSpace(line))
	}
	return strings.Join(out, "\n")
}
