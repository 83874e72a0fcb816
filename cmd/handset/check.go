package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheckCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "read the configuration and say all that is wrong",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if _, err := env.loadServeConfig(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(env.stdout, "ok")
			return err
		},
	}
}
