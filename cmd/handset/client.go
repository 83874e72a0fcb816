package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	registered "github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
)

func newClientCommand(env *environment) *cobra.Command {
	return group("client", "register applications",
		`Client registers the applications that people sign in to. It works on the
database of a running server, and every server knows within a second.

Clients that the configuration file declares are listed and shown, and can't be
changed here: change the file and restart the server.`,
		newClientAddCommand(env),
		newClientListCommand(env),
		newClientShowCommand(env),
		newClientUpdateCommand(env),
		newClientRotateSecretCommand(env),
		newClientAllowCommand(env),
		newClientDisallowCommand(env),
		newClientRemoveCommand(env),
	)
}

func newClientAddCommand(env *environment) *cobra.Command {
	f := &clientFlags{}
	var id string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add",
		Short: "register an application",
		Long: `Add registers an application and requires PKCE of it.

Standard output is what a script needs: the client secret alone, or, for a
client without one, its client_id alone, or, for one of the type verification,
the key that it calls the verification API with; the rest is told on standard
error. With --json it is {"client_id": ..., "client_secret": ..., "key": ...}.
Secret and key are shown once and kept as a MAC: they can be replaced, not read.`,
		Example: `  handset client add --id shop --name Shop --callback https://shop.example.com/callback
  handset client add --type spa --callback http://localhost:5173/ --web-origin http://localhost:5173
  handset client add --id batch --auth-method private_key_jwt --jwks batch.jwks.json --type non_interactive
  handset client add --id purchasing --type non_interactive --api https://purchasing.example.com
  key=$(handset client add --id signup --type verification --country JP)
  secret=$(handset client add --id shop --callback https://shop.example.com/callback)`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" {
				id = string(registered.NewID())
			}
			client := config.Client{ClientID: id, IsFirstParty: true, RequirePKCE: true}
			if err := f.apply(cmd, &client); err != nil {
				return err
			}
			client.SetDefaults()
			return env.addClient(cmd, client.Record(), asJSON)
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the client `ID`; random when not given")
	f.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (env *environment) addClient(cmd *cobra.Command, client storage.Client, asJSON bool) error {
	return env.withNewSQL(cmd.Context(), func(db *database) error {
		if err := env.refuseFromFile(db, client.ClientID, "add"); err != nil {
			return err
		}
		client.CreatedAt = env.now()
		client.UpdatedAt = client.CreatedAt
		secret := fitSecrets(&client, db.vault)
		if err := env.checkClient(cmd, client); err != nil {
			return err
		}
		err := db.CreateClient(cmd.Context(), client)
		if errors.Is(err, storage.ErrConflict) {
			return withHint(fmt.Errorf("there is a client %s already", client.ClientID),
				"handset client update %s, or choose another --id", client.ClientID)
		}
		if err != nil {
			return err
		}
		env.say("added client %s (%s, %s)", client.ClientID, client.AppType, client.TokenEndpointAuthMethod)
		return errors.Join(env.printCredentials(client.ClientID, client.AppType, secret, asJSON),
			env.warnOfClosedConnection(cmd.Context(), db, client))
	})
}

// warnOfClosedConnection is about a connection that lists the clients that may use it,
// as imported ones do, and knows nothing of a new one.
func (env *environment) warnOfClosedConnection(ctx context.Context, db *database, client storage.Client) error {
	if server.Connection(db.config) != nil || !client.MayUse(oauth.GrantAuthorizationCode) && !client.MayUse(oauth.GrantPasswordlessOTP) {
		return nil
	}
	stored, err := storedConnection(ctx, db.Store)
	if err != nil || stored == nil || !stored.Settings.Restricted || slices.Contains(stored.Settings.EnabledClients, client.ClientID) {
		return err
	}
	env.warn("people can't sign in to %s yet: the connection sms is for the clients that it lists; enable it by PATCH /api/v2/connections/%s/clients",
		client.ClientID, management.ConnectionID(stored.Name))
	return nil
}

// fitSecrets makes the first secret of a client that needs one, which it
// returns, and drops those of a client that has no use for them.
func fitSecrets(c *storage.Client, v *vault.Vault) (secret string) {
	switch {
	case !c.NeedsSecret():
		c.SecretMACs = nil
	case len(c.SecretMACs) == 0:
		secret = registered.NewSecret()
		c.SecretMACs = [][]byte{registered.SecretMAC(v, c.ClientID, secret)}
	}
	return secret
}

// printCredentials writes what a script needs: see the help of client add.
func (env *environment) printCredentials(id storage.ClientID, appType, secret string, asJSON bool) error {
	key := ""
	if appType == oauth.AppVerification && secret != "" {
		key = verification.CallerKey(id, secret)
	}
	switch {
	case asJSON:
		return env.printJSON(struct {
			ClientID     storage.ClientID `json:"client_id"`
			ClientSecret string           `json:"client_secret,omitempty"`
			Key          string           `json:"key,omitempty"`
		}{id, secret, key})
	case key != "":
		env.say("the key follows, for x-functions-key; it is shown this once")
		_, err := fmt.Fprintln(env.stdout, key)
		return err
	}
	if secret == "" {
		_, err := fmt.Fprintln(env.stdout, id)
		return err
	}
	env.say("the client secret follows; it is shown this once")
	_, err := fmt.Fprintln(env.stdout, secret)
	return err
}

// checkClient holds a client to the rules of every registration, in terms of
// flags. A grant type without effect, which a file may bring from elsewhere, is
// refused of who types it.
func (env *environment) checkClient(cmd *cobra.Command, client storage.Client) error {
	problems := registration.Validate(client)
	for _, d := range registration.Doubts(client) {
		if strings.HasPrefix(d.Field, "grant_types[") && cmd.Flags().Changed("grant") {
			problems = append(problems, d)
			continue
		}
		env.warn("%s", inFlags(d))
	}
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = "  - " + inFlags(p)
	}
	return usage(cmd, "the client can't be registered\n"+strings.Join(lines, "\n"))
}

// refuseFromFile refuses to change a client that the file declares.
func (env *environment) refuseFromFile(db *database, id storage.ClientID, verb string) error {
	for i := range db.config.Clients {
		if db.config.Clients[i].ClientID == string(id) {
			return withHint(fmt.Errorf("can't %s client %s: %s declares it (clients[%d])", verb, id, env.configPath, i),
				"change it there and restart the server")
		}
	}
	return nil
}

// unknownClient explains a client ID that is nowhere.
func unknownClient(err error, id string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return withHint(fmt.Errorf("there is no client %s", id), "handset client list")
	}
	return err
}

func newClientUpdateCommand(env *environment) *cobra.Command {
	f := &clientFlags{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "change an application",
		Long: `Update changes what is given and leaves the rest; giving nothing is wrong
usage, giving what is set already is not. A list is replaced as a whole: repeat
the flag for each value, or give it an empty value to empty the list. When the
new authentication method needs a secret and there is none, one is made and
written to standard output, alone; with --json it is
{"client_id": ..., "client_secret": ...}.`,
		Example: `  handset client update shop --callback https://shop.example.com/callback --callback https://shop.example.com/other
  handset client update shop --require-state --require-nonce`,
		Args: oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !given(cmd) {
				return usage(cmd, "nothing to change")
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseFromFile(db, storage.ClientID(args[0]), "change"); err != nil {
					return err
				}
				changed, secret, err := env.updateClient(cmd, f, db, storage.ClientID(args[0]))
				if err != nil || secret == "" && !asJSON {
					return err
				}
				return env.printCredentials(changed.ClientID, changed.AppType, secret, asJSON)
			})
		},
	}
	f.register(cmd)
	hideDefaults(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// updateClient returns the client as it is then, and the secret that the change made
// necessary, if any.
func (env *environment) updateClient(cmd *cobra.Command, f *clientFlags, db *database, id storage.ClientID) (changed storage.Client, secret string, err error) {
	err = db.UpdateClient(cmd.Context(), id, func(record *storage.Client) error {
		client := config.FromRecord(*record)
		if err := f.apply(cmd, &client); err != nil {
			return err
		}
		changed = client.Record()
		changed.CreatedAt, changed.UpdatedAt, changed.SecretMACs = record.CreatedAt, env.now(), record.SecretMACs
		secret = fitSecrets(&changed, db.vault)
		if err := env.checkClient(cmd, changed); err != nil {
			return err
		}
		*record = changed
		return nil
	})
	if err != nil {
		return changed, "", unknownClient(err, string(id))
	}
	env.say("changed client %s", id)
	return changed, secret, nil
}

func newClientRemoveCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "remove an application",
		Long: `Remove ends an application's registration and revokes all that was granted to
it: its tokens stop working within a second.`,
		Example: `  handset client remove shop --yes`,
		Args:    oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirmed(cmd, yes, "this removes client "+args[0]+" and revokes its tokens"); err != nil {
				return err
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseFromFile(db, storage.ClientID(args[0]), "remove"); err != nil {
					return err
				}
				if err := db.RemoveClient(cmd.Context(), storage.ClientID(args[0]), env.now()); err != nil {
					return unknownClient(err, args[0])
				}
				env.say("removed client %s", args[0])
				return nil
			})
		},
	}
	yesFlag(cmd, &yes)
	return cmd
}
