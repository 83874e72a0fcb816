package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newDemoCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "everything at once, nothing to configure, nothing kept",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("demo is being wired")
		},
	}
}
