package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

func newSMSCommand(env *environment) *cobra.Command {
	return group("sms", "look at texts before people do",
		`Sms shows what the configured connection texts to people.`,
		newSMSPreviewCommand(env),
	)
}

// connectionDeps are for connections that are read and not used: the console
// prints nothing.
func connectionDeps(c *config.Config) passcode.Deps {
	return passcode.Deps{
		Client:       sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: c.AllowPrivateGateways}),
		AllowPrivate: c.AllowPrivateGateways, Console: io.Discard,
	}
}

// parseConnection reads a connection as serve does; what is wrong is on one line.
func parseConnection(record storage.Connection, deps passcode.Deps) (*passcode.Connection, error) {
	c, err := passcode.ParseConnection(record, deps)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return c, nil
}

// storedConnection is the connection that serves when the file declares none; nil
// when it is not there yet.
func storedConnection(ctx context.Context, store *sqlstore.Store) (*storage.Connection, error) {
	all, err := store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == "sms" {
			return &all[i], nil
		}
	}
	return nil, nil
}
