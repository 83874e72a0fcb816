package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	registered "github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

func newClientCommand(env *environment) *cobra.Command {
	return group("client", "register applications",
		`Client registers the applications that people log in to. It works on the
database of a running server, and every server knows within a second.

Clients that the configuration file declares are listed and shown, and can't be
changed here: change the file and restart the server.`,
		newClientAddCommand(env),
		newClientListCommand(env),
		newClientShowCommand(env),
		newClientUpdateCommand(env),
		newClientRotateSecretCommand(env),
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
client without one, its client_id alone; the rest is told on standard error.
With --json it is {"client_id": ..., "client_secret": ...}. The secret is shown
once and kept as a MAC: it can be replaced, not read.`,
		Example: `  handset client add --id shop --name Shop --callback https://shop.example.com/callback
  handset client add --type spa --callback http://localhost:5173/ --web-origin http://localhost:5173
  handset client add --id batch --auth-method private_key_jwt --jwks batch.jwks.json --type non_interactive
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
			return env.addClient(cmd.Context(), client.Record(), asJSON)
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the client `ID`; random when not given")
	f.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (env *environment) addClient(ctx context.Context, client storage.Client, asJSON bool) error {
	return env.withSQL(ctx, func(c *config.Config, v *vault.Vault, store *sqlstore.Store) error {
		if err := refuseFromFile(env, c, client.ClientID, "add"); err != nil {
			return err
		}
		client.CreatedAt = env.now()
		client.UpdatedAt = client.CreatedAt
		secret := fitSecrets(&client, v)
		if err := env.checkClient(client); err != nil {
			return err
		}
		err := store.CreateClient(ctx, client)
		if errors.Is(err, storage.ErrConflict) {
			return withHint(fmt.Errorf("there is a client %s already", client.ClientID),
				"handset client update %s, or choose another --id", client.ClientID)
		}
		if err != nil {
			return err
		}
		env.say("added client %s (%s, %s)", client.ClientID, client.AppType, client.TokenEndpointAuthMethod)
		return env.printCredentials(client.ClientID, secret, asJSON)
	})
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
func (env *environment) printCredentials(id storage.ClientID, secret string, asJSON bool) error {
	if asJSON {
		return env.printJSON(struct {
			ClientID     storage.ClientID `json:"client_id"`
			ClientSecret string           `json:"client_secret,omitempty"`
		}{id, secret})
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
// flags.
func (env *environment) checkClient(client storage.Client) error {
	for _, d := range registration.Doubts(client) {
		env.warn("%s", inFlags(d))
	}
	problems := registration.Validate(client)
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = "  - " + inFlags(p)
	}
	return fmt.Errorf("the client can't be registered\n%s", strings.Join(lines, "\n"))
}

// flagNames are the flags of client fields.
var flagNames = map[string]string{
	"client_id": "--id", "name": "--name", "app_type": "--type", "callbacks": "--callback",
	"allowed_logout_urls": "--logout-url", "web_origins": "--web-origin", "allowed_origins": "--allowed-origin",
	"token_endpoint_auth_method": "--auth-method", "grant_types": "--grant", "jwks": "--jwks",
	"require_pkce": "--require-pkce", "initiate_login_uri": "--initiate-login-uri",
}

// inFlags says --callback in place of callbacks[1], where there is such a flag.
func inFlags(p registration.Problem) string {
	key := p.Field
	if i := strings.IndexAny(key, "[."); i >= 0 {
		key = key[:i]
	}
	switch name, ok := flagNames[key]; {
	case p.Field == "":
		return p.Message
	case !ok:
		return p.String()
	case strings.HasPrefix(p.Field, "jwks."):
		return name + ": " + strings.TrimPrefix(p.Field, "jwks.") + " " + p.Message
	default:
		return name + ": " + p.Message
	}
}

// clientFlags are the settings of a client on the command line.
type clientFlags struct {
	name, appType, authMethod, jwksFile, initiateLogin string
	callbacks, logoutURLs, webOrigins, allowedOrigins  []string
	grants                                             []string
	pkce, state, nonce                                 bool
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the `name` that people see on the login page")
	flags.StringVar(&f.appType, "type", "regular_web", "the `type`: spa, native, regular_web or non_interactive")
	flags.StringArrayVar(&f.callbacks, "callback", nil, "an `address` that a login may return to; repeat for more")
	flags.StringArrayVar(&f.logoutURLs, "logout-url", nil, "an `address` that a logout may return to; repeat for more")
	flags.StringArrayVar(&f.webOrigins, "web-origin", nil, "a further `origin` of the application, which a login may lead on to; repeat for more")
	flags.StringArrayVar(&f.allowedOrigins, "allowed-origin", nil, "an `origin` more, Auth0's other list; repeat for more")
	flags.StringVar(&f.authMethod, "auth-method", "", "the `method`: none, client_secret_post, client_secret_basic or private_key_jwt; by default what fits the type")
	flags.StringArrayVar(&f.grants, "grant", nil, "a grant `type`; by default authorization_code and refresh_token; repeat for more")
	flags.StringVar(&f.jwksFile, "jwks", "", "a `file` with the client's public keys (JWKS), for private_key_jwt")
	flags.StringVar(&f.initiateLogin, "initiate-login-uri", "", "the `address` where the application starts a login")
	flags.BoolVar(&f.pkce, "require-pkce", true, "refuse requests without PKCE")
	flags.BoolVar(&f.state, "require-state", false, "refuse requests without state")
	flags.BoolVar(&f.nonce, "require-nonce", false, "refuse requests without nonce")
}

// apply copies the flags that were given.
func (f *clientFlags) apply(cmd *cobra.Command, c *config.Client) error {
	set := func(flag string, apply func()) {
		if cmd.Flags().Changed(flag) {
			apply()
		}
	}
	set("name", func() { c.Name = f.name })
	set("type", func() { c.AppType = f.appType })
	set("callback", func() { c.Callbacks = filled(f.callbacks) })
	set("logout-url", func() { c.AllowedLogoutURLs = filled(f.logoutURLs) })
	set("web-origin", func() { c.WebOrigins = filled(f.webOrigins) })
	set("allowed-origin", func() { c.AllowedOrigins = filled(f.allowedOrigins) })
	set("auth-method", func() { c.TokenEndpointAuthMethod = f.authMethod })
	set("grant", func() { c.GrantTypes = filled(f.grants) })
	set("initiate-login-uri", func() { c.InitiateLoginURI = f.initiateLogin })
	set("require-pkce", func() { c.RequirePKCE = f.pkce })
	set("require-state", func() { c.RequireState = f.state })
	set("require-nonce", func() { c.RequireNonce = f.nonce })
	if !cmd.Flags().Changed("jwks") {
		return nil
	}
	if f.jwksFile == "" {
		c.JWKS = config.JWKS{}
		return nil
	}
	text, err := os.ReadFile(f.jwksFile)
	if err != nil {
		return fmt.Errorf("read --jwks: %w", err)
	}
	if !json.Valid(text) {
		return fmt.Errorf("read --jwks: %s is not JSON", f.jwksFile)
	}
	c.JWKS = config.NewJWKS(text)
	return nil
}

// filled drops empty values, so that --callback "" empties the list.
func filled(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
}

// refuseFromFile refuses to change a client that the file declares.
func refuseFromFile(env *environment, c *config.Config, id storage.ClientID, verb string) error {
	for i := range c.Clients {
		if c.Clients[i].ClientID == string(id) {
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
			return env.withSQL(cmd.Context(), func(c *config.Config, v *vault.Vault, store *sqlstore.Store) error {
				all, err := allClients(cmd.Context(), c, v, store)
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
func allClients(ctx context.Context, c *config.Config, v *vault.Vault, store *sqlstore.Store) ([]storage.Client, error) {
	kept, err := store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[storage.ClientID]storage.Client{}
	for _, client := range slices.Concat(kept, server.Clients(c, v)) {
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
func source(c storage.Client) string {
	if c.FromFile {
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
			return env.withSQL(cmd.Context(), func(c *config.Config, v *vault.Vault, store *sqlstore.Store) error {
				client, err := findClient(cmd.Context(), c, v, store, storage.ClientID(args[0]))
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

func findClient(ctx context.Context, c *config.Config, v *vault.Vault, store *sqlstore.Store, id storage.ClientID) (storage.Client, error) {
	for _, client := range server.Clients(c, v) {
		if client.ClientID == id {
			return client, nil
		}
	}
	return store.Client(ctx, id)
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

func newClientUpdateCommand(env *environment) *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "change an application",
		Long: `Update changes what is given and leaves the rest. A list is replaced as a
whole: repeat the flag for each value, or give it an empty value to empty the
list. When the new authentication method needs a secret and there is none, one
is made and written to standard output, alone.`,
		Example: `  handset client update shop --callback https://shop.example.com/callback --callback https://shop.example.com/other
  handset client update shop --require-state --require-nonce`,
		Args: oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 {
				return usage(cmd, "nothing to change")
			}
			return env.withSQL(cmd.Context(), func(c *config.Config, v *vault.Vault, store *sqlstore.Store) error {
				if err := refuseFromFile(env, c, storage.ClientID(args[0]), "change"); err != nil {
					return err
				}
				return env.updateClient(cmd, f, v, store, storage.ClientID(args[0]))
			})
		},
	}
	f.register(cmd)
	return cmd
}

func (env *environment) updateClient(cmd *cobra.Command, f *clientFlags, v *vault.Vault, store *sqlstore.Store, id storage.ClientID) error {
	secret := ""
	err := store.UpdateClient(cmd.Context(), id, func(record *storage.Client) error {
		client := config.FromRecord(*record)
		if err := f.apply(cmd, &client); err != nil {
			return err
		}
		changed := client.Record()
		changed.CreatedAt, changed.UpdatedAt, changed.SecretMACs = record.CreatedAt, env.now(), record.SecretMACs
		secret = fitSecrets(&changed, v)
		if err := env.checkClient(changed); err != nil {
			return err
		}
		*record = changed
		return nil
	})
	if err != nil {
		return unknownClient(err, string(id))
	}
	env.say("changed client %s", id)
	if secret == "" {
		return nil
	}
	return env.printCredentials(id, secret, false)
}

func newClientRotateSecretCommand(env *environment) *cobra.Command {
	var dropOld, now, yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate-secret ID",
		Short: "give an application a new secret",
		Long: `Rotate-secret makes a new secret and writes it to standard output, alone. The
one before stays in force too, so that the application can be changed without
an interruption; end it with --drop-old when that is done. With --now the old
ones end at once: for a secret that has leaked.`,
		Example: `  handset client rotate-secret shop
  handset client rotate-secret shop --drop-old --yes
  handset client rotate-secret shop --now --yes`,
		Args: oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dropOld && now {
				return usage(cmd, "--drop-old and --now exclude each other")
			}
			if dropOld || now {
				if err := confirmed(yes, "this ends secrets of "+args[0]+" that may be in use"); err != nil {
					return err
				}
			}
			return env.withSQL(cmd.Context(), func(c *config.Config, v *vault.Vault, store *sqlstore.Store) error {
				if err := refuseFromFile(env, c, storage.ClientID(args[0]), "change"); err != nil {
					return err
				}
				id := storage.ClientID(args[0])
				if dropOld {
					return env.dropOldSecrets(cmd.Context(), store, id)
				}
				return env.rotateSecret(cmd.Context(), v, store, id, secretRotation{replace: now, json: asJSON})
			})
		},
	}
	cmd.Flags().BoolVar(&dropOld, "drop-old", false, "end the secrets before the newest; make none")
	cmd.Flags().BoolVar(&now, "now", false, "end the old secrets at once")
	yesFlag(cmd, &yes)
	jsonFlag(cmd, &asJSON)
	return cmd
}

type secretRotation struct {
	replace bool // the old ones end at once
	json    bool
}

func (env *environment) rotateSecret(ctx context.Context, v *vault.Vault, store *sqlstore.Store, id storage.ClientID, r secretRotation) error {
	secret := registered.NewSecret()
	old := 0
	err := store.UpdateClient(ctx, id, func(c *storage.Client) error {
		if !c.NeedsSecret() {
			return withHint(fmt.Errorf("client %s has no secret: it authenticates by %s", id, c.TokenEndpointAuthMethod),
				"handset client update %s --auth-method client_secret_post", id)
		}
		macs := [][]byte{registered.SecretMAC(v, id, secret)}
		if !r.replace && len(c.SecretMACs) > 0 {
			macs = append(macs, c.SecretMACs[0])
		}
		old = len(macs) - 1
		c.SecretMACs, c.UpdatedAt = macs, env.now()
		return nil
	})
	if err != nil {
		return unknownClient(err, string(id))
	}
	if old > 0 {
		env.say("the secret before works too, until: handset client rotate-secret %s --drop-old --yes", id)
	}
	return env.printCredentials(id, secret, r.json)
}

func (env *environment) dropOldSecrets(ctx context.Context, store *sqlstore.Store, id storage.ClientID) error {
	dropped := 0
	err := store.UpdateClient(ctx, id, func(c *storage.Client) error {
		if len(c.SecretMACs) > 1 {
			dropped = len(c.SecretMACs) - 1
			c.SecretMACs, c.UpdatedAt = c.SecretMACs[:1], env.now()
		}
		return nil
	})
	if err != nil {
		return unknownClient(err, string(id))
	}
	env.say("ended %d old secrets of client %s", dropped, id)
	return nil
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
			if err := confirmed(yes, "this removes client "+args[0]+" and revokes its tokens"); err != nil {
				return err
			}
			return env.withSQL(cmd.Context(), func(c *config.Config, _ *vault.Vault, store *sqlstore.Store) error {
				if err := refuseFromFile(env, c, storage.ClientID(args[0]), "remove"); err != nil {
					return err
				}
				if err := store.RemoveClient(cmd.Context(), storage.ClientID(args[0]), env.now()); err != nil {
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
