package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
)

func newServeCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "run the provider",
		Long: `Run the provider until it is told to stop (SIGTERM or Ctrl-C). It then lets
requests that are under way finish, for at most 31 seconds, and then texts, for
at most a minute: stop it with two minutes of patience. A second signal ends it
at once.

Logs go to standard error, one record a request. /healthz, /readyz and
/metrics are on admin_listen.`,
		Example: `    handset serve --config /etc/handset/handset.yaml`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := env.loadServeConfig()
			if err != nil {
				return err
			}
			v, err := env.openVault(c)
			if err != nil {
				return err
			}
			logger := newLogger(c.Log, env.stderr)
			s, err := server.New(cmd.Context(), server.Config{Config: c, Vault: v, Logger: logger, Now: env.now, Console: env.stderr})
			if err != nil {
				if err = explained(err); hintOf(err) != "" {
					return err
				}
				return withHint(err, "handset check names everything that is wrong")
			}
			defer s.Close()
			public, admin, err := server.Listen(c)
			if err != nil {
				return withHint(err, "another program may use the port; listen and admin_listen change it")
			}
			fmt.Fprintf(env.stderr, "handset: %s on %s\n", c.Issuer, public.Addr())
			if len(c.Connections) == 0 {
				stored, err := storedConnection(cmd.Context(), s.SQL)
				if err != nil {
					return err
				}
				env.say("connection: %s", databaseConnection(c, stored))
			}
			return s.Serve(cmd.Context(), public, admin)
		},
	}
}

// newLogger writes records as the configuration says.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// Validation has made sure of the word; an unknown one is info.
	_ = level.UnmarshalText([]byte(c.Level))
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
