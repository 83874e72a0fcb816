package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/handset-oidc/handset/config"
)

// This file sets the manners of the command:
//
//   - What was asked for goes to standard output, everything else to standard
//     error: scripts can take standard output as it is.
//   - An error is "handset: error: ..." and, where there is a next step,
//     "hint: ...". No capital, no period.
//   - Exit status 1 is a failure, 2 is wrong usage.

// environment is what a command may touch of the process.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time
	// configPath is the value of --config.
	configPath string
}

// run is the whole command; tests call it too. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ, now: time.Now}
	root := newRootCommand(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "handset: error: %v\n", err)
	_, wrong := errors.AsType[*usageError](err)
	if !wrong && isUsage(err) {
		wrong, err = true, usage(cmd, err.Error())
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	if wrong {
		return 2
	}
	return 1
}

// newRootCommand lists the commands; a new one is one line.
func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "handset",
		Short: "an OpenID Connect provider with login by a texted code",
		Long: `Handset is an OpenID Connect provider that you host yourself. People sign in
with their phone number and a code that is texted to them; applications see
standard OpenID Connect.

To see it work, with nothing to configure and nothing kept:

    handset demo

To run it:

    handset config example > handset.yaml
    openssl rand -hex 32 > handset.key && chmod 600 handset.key
    handset check
    handset serve`,
		Version:           versionLine(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              noArguments,
		RunE:              showHelp,
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, flagMessage(err))
	})
	root.SetHelpCommand(newHelpCommand())
	root.PersistentFlags().StringVar(&env.configPath, "config", "handset.yaml", "the configuration `file`")
	root.AddCommand(
		newDemoCommand(env),
		newServeCommand(env),
		newCheckCommand(env),
		newConfigCommand(env),
		newKeysCommand(env),
		newClientCommand(env),
		newAPICommand(env),
		newUserCommand(env),
		newMigrateCommand(env),
		newVerificationCommand(env),
		newWhyCommand(env),
		newSMSCommand(env),
		newVersionCommand(env),
	)
	return root
}

// newHelpCommand is cobra's own, but for what is no command: that is wrong usage.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "help about any command",
		Long:  `Help writes the help of a command, as --help does.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, left, err := cmd.Root().Find(args)
			if err == nil {
				err = noArguments(about, left)
			}
			if err != nil {
				return usage(about, err.Error())
			}
			about.InitDefaultHelpFlag() // so that the help names it
			return about.Help()
		},
	}
}

// group is a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArguments, RunE: showHelp}
	cmd.AddCommand(commands...)
	return cmd
}

// showHelp is what a command does that needs a subcommand.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usageError is a command line that does not fit.
type usageError struct {
	message string
	command string
}

func (e *usageError) Error() string { return e.message }

func usage(cmd *cobra.Command, message string) error {
	return &usageError{message: message, command: cmd.CommandPath()}
}

// flagMessage says what a flag wants; the library's words for yes or no are
// those of a parser.
func flagMessage(err error) string {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok || wrong.GetFlag().Value.Type() != "bool" {
		return err.Error()
	}
	name := "--" + wrong.GetFlag().Name
	return fmt.Sprintf("%s=%s: want %s or %s=false", name, wrong.GetValue(), name, name)
}

// isUsage recognizes the complaints that cobra makes without giving them a type.
func isUsage(err error) bool {
	return strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "required flag")
}

// noArguments refuses what is left on the command line: an unknown
// subcommand, mostly.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usage(cmd, fmt.Sprintf("%q takes no argument", cmd.CommandPath()))
	}
	message := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + near[0] + "?"
	}
	return usage(cmd, message)
}

// oneArgument wants exactly one; what names it in the error.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usage(cmd, "missing "+what)
		case len(args) > 1:
			return usage(cmd, "want one "+what)
		}
		return nil
	}
}

// twoArguments wants exactly two.
func twoArguments(first, second string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage(cmd, "missing "+first+" and "+second)
		case 1:
			return usage(cmd, "missing "+second)
		case 2:
			return nil
		}
		return usage(cmd, "want one "+first+" and one "+second)
	}
}

// hintedError is an error with a next step.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// withHint adds a next step to an error.
func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

func hintOf(err error) string {
	if e, ok := errors.AsType[*hintedError](err); ok {
		return e.hint
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return fmt.Sprintf("%s --help", e.command)
	}
	return ""
}

// loadConfig reads the configuration. Its warnings are for who runs or looks
// at it: serve, check and config print.
func (env *environment) loadConfig() (*config.Config, error) {
	c, _, err := config.Load(env.configPath, env.environ)
	if err != nil {
		return nil, env.configError(err)
	}
	return c, nil
}

// loadServeConfig is loadConfig with what a running provider needs on top.
func (env *environment) loadServeConfig() (*config.Config, error) {
	c, warnings, err := config.Load(env.configPath, env.environ)
	env.printWarnings(warnings)
	var more []config.Problem
	if c != nil {
		more = c.ValidateServe()
	}
	if err := config.Join(env.configPath, err, more...); err != nil {
		return nil, env.configError(err)
	}
	return c, nil
}

func (env *environment) configError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("there is no configuration file %s", env.configPath),
			"handset config example > handset.yaml, or name the file with --config")
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return withHint(err, "the keys are explained in docs/config.md and by handset config example")
	}
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("read configuration file %s: %w", env.configPath, pathErr.Err)
	}
	return err
}

func (env *environment) printWarnings(warnings []config.Warning) {
	for _, w := range warnings {
		fmt.Fprintf(env.stderr, "handset: warning: %s\n", w)
	}
}
