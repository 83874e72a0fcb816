package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

func newSMSCommand(env *environment) *cobra.Command {
	return group("sms", "what is texted, by which routes, and how it fares",
		`Sms shows what is texted to people and what it costs, where texts leave and
whether they arrive, and sends one to try it.`,
		newSMSPreviewCommand(env),
		newSMSRoutesCommand(env),
		newSMSSendCommand(env),
	)
}

// openSenders opens the senders of the file for commands that read them and send
// nothing: the console prints nothing. What is wrong is on one line.
func openSenders(c *config.Config) (passcode.Senders, error) {
	return onOneLine(sending(c, io.Discard).Open())
}

// sending is what the file says of sending; console is where that provider prints.
func sending(c *config.Config, console io.Writer) passcode.Sending {
	return server.Sending(c, sms.Deps{
		Client:       sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: c.AllowPrivateGateways}),
		AllowPrivate: c.AllowPrivateGateways, Console: console,
	})
}

// parseConnection reads a connection as serve does; what is wrong is on one line.
func parseConnection(record storage.Connection, senders passcode.Senders) (*passcode.Connection, error) {
	return onOneLine(passcode.ParseConnection(record, senders))
}

// onOneLine puts the lines of an error side by side.
func onOneLine[T any](v T, err error) (T, error) {
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return v, err
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
