package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newServeCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "run the provider",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if _, err := env.loadServeConfig(); err != nil {
				return err
			}
			return errors.New("serve is being wired")
		},
	}
}
