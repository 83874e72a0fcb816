package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/storage"
)

func newClientListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the applications",
		Long:  `List writes all clients, those of the file and those of the database.`,
		Example: `  handset client list
  handset client list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				all, err := allClients(cmd.Context(), db)
				if err != nil {
					return err
				}
				return env.printClients(all, asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// allClients returns the clients by ID; the file's hide those of the database.
func allClients(ctx context.Context, db *database) ([]storage.Client, error) {
	kept, err := db.Clients(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[storage.ClientID]storage.Client{}
	for _, client := range slices.Concat(kept, server.Clients(db.config, db.vault)) {
		byID[client.ClientID] = client
	}
	out := make([]storage.Client, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, byID[id])
	}
	return out, nil
}

func (env *environment) printClients(all []storage.Client, asJSON bool) error {
	if asJSON {
		out := make([]clientJSON, len(all))
		for i, client := range all {
			out[i] = clientAsJSON(client)
		}
		return env.printJSON(out)
	}
	t := env.table("CLIENT_ID", "NAME", "TYPE", "AUTHENTICATION", "DECLARED IN")
	for _, c := range all {
		t.row(string(c.ClientID), c.Name, c.AppType, c.TokenEndpointAuthMethod, source(c))
	}
	return t.flush()
}

// source says where a client is declared.
func source(c storage.Client) string { return declaredIn(c.FromFile) }

func declaredIn(file bool) string {
	if file {
		return "file"
	}
	return "database"
}

// clientJSON is a client as --json writes it: Auth0's fields, and where it is declared.
type clientJSON struct {
	storage.Client
	Source  string `json:"source"`
	Secrets int    `json:"secrets"`
}

func clientAsJSON(c storage.Client) clientJSON {
	for _, list := range []*[]string{&c.Callbacks, &c.AllowedLogoutURLs, &c.WebOrigins, &c.AllowedOrigins, &c.GrantTypes} {
		if *list == nil {
			*list = []string{} // scripts iterate over it
		}
	}
	return clientJSON{Client: c, Source: source(c), Secrets: len(c.SecretMACs)}
}

func newClientShowCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show one application",
		Long: `Show writes a client as the configuration file would declare it. Secrets are
kept as MACs and can't be shown.`,
		Example: `  handset client show shop
  handset client show shop --json`,
		Args: oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				client, err := findClient(cmd.Context(), db, storage.ClientID(args[0]))
				if err != nil {
					return unknownClient(err, args[0])
				}
				if asJSON {
					return env.printJSON(clientAsJSON(client))
				}
				return env.printClient(client)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func findClient(ctx context.Context, db *database, id storage.ClientID) (storage.Client, error) {
	for _, client := range server.Clients(db.config, db.vault) {
		if client.ClientID == id {
			return client, nil
		}
	}
	return db.Client(ctx, id)
}

func (env *environment) printClient(c storage.Client) error {
	declared := config.FromRecord(c)
	if len(c.SecretMACs) > 0 {
		declared.ClientSecret = config.NewSecret("kept as a MAC")
	}
	text, err := declared.YAML()
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "# declared in the %s", source(c))
	if n := len(c.SecretMACs); n > 1 {
		fmt.Fprintf(env.stdout, ", %d secrets in force", n)
	}
	if !c.CreatedAt.IsZero() {
		fmt.Fprintf(env.stdout, ", created %s, changed %s", timeText(c.CreatedAt), timeText(c.UpdatedAt))
	}
	_, err = fmt.Fprintf(env.stdout, "\n%s", text)
	return err
}
