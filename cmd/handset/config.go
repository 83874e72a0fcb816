package main

import (
	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
)

func newConfigCommand(env *environment) *cobra.Command {
	return group("config", "print the configuration",
		`Config prints the configuration in effect, or an example of one.`,
		newConfigPrintCommand(env),
		newConfigExampleCommand(env),
	)
}

func newConfigPrintCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "print",
		Short: "print the configuration in effect, secrets hidden",
		Long: `Print writes the configuration as it is in effect, with the defaults and the
environment, as YAML. Secrets are hidden.`,
		Example: `  handset config print
  HANDSET_TOKENS__ACCESS=24h handset config print --config /etc/handset/handset.yaml`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			c, warnings, err := config.Load(env.configPath, env.environ)
			env.printWarnings(warnings)
			if err != nil {
				return env.configError(err)
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			_, err = env.stdout.Write(text)
			return err
		},
	}
}

func newConfigExampleCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "print a configuration file to start from",
		Long: `Example writes a configuration file that explains every key. What it sets is
what most people change; everything else shows its default, commented out.`,
		Example: `  handset config example > handset.yaml`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := env.stdout.Write([]byte(config.Example()))
			return err
		},
	}
}
