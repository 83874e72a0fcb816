package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

func newAPICommand(env *environment) *cobra.Command {
	return group("api", "register APIs that tokens can be for",
		`Api registers the APIs that access tokens can be for; Auth0 calls them resource
servers. It works on the database of a running server, and every server knows
within a second. Who may use an API is said by handset user allow and handset
client allow.

APIs that the configuration file declares are listed and shown, and can't be
changed here: change the file and restart the server.`,
		newAPIAddCommand(env),
		newAPIListCommand(env),
		newAPIShowCommand(env),
		newAPIUpdateCommand(env),
		newAPIRemoveCommand(env),
	)
}

// apiFlags are the settings of an API on the command line.
type apiFlags struct {
	name, signingAlg, users, clients string
	scopes, claims                   []string
	lifetime                         time.Duration
	offline                          bool
}

// apiFlagNames are the flags of an API's fields.
var apiFlagNames = map[string]string{
	"identifier": "IDENTIFIER", "name": "--name", "scopes": "--scope", "token_lifetime": "--token-lifetime",
	"signing_alg": "--signing-alg", "users": "--users", "clients": "--clients", "claims": "--claim",
}

func (f *apiFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the `name` that people call it")
	flags.StringArrayVar(&f.scopes, "scope", nil, "something it allows, as `scope` or scope=description; repeat for more")
	flags.DurationVar(&f.lifetime, "token-lifetime", registration.UsualToken, "how `long` after a login its tokens are good")
	flags.StringVar(&f.signingAlg, "signing-alg", "ES256", "how tokens are signed: ES256 or RS256")
	flags.BoolVar(&f.offline, "allow-offline-access", false, "let applications get refresh tokens for it")
	flags.StringVar(&f.users, "users", storage.Assigned, "who may use it: assigned (handset user allow) or any")
	flags.StringVar(&f.clients, "clients", storage.Anyone, "which applications may ask for tokens in the name of people: any or granted (handset client allow)")
	flags.StringArrayVar(&f.claims, "claim", nil, "what its tokens say of the person, as `claim=user.attribute`; repeat for more")
}

// apply copies the flags that were given.
func (f *apiFlags) apply(cmd *cobra.Command, s *config.ResourceServer) error {
	changed := cmd.Flags().Changed
	if changed("name") {
		s.Name = f.name
	}
	if changed("token-lifetime") {
		s.TokenLifetime = int(f.lifetime.Seconds())
	}
	if changed("signing-alg") {
		s.SigningAlg = f.signingAlg
	}
	if changed("allow-offline-access") {
		s.AllowOfflineAccess = f.offline
	}
	if changed("users") {
		s.Users = f.users
	}
	if changed("clients") {
		s.Clients = f.clients
	}
	if changed("scope") {
		s.Scopes = nil
		for _, text := range filled(f.scopes) {
			value, description, _ := strings.Cut(text, "=")
			s.Scopes = append(s.Scopes, config.Scope{Value: value, Description: description})
		}
	}
	if !changed("claim") {
		return nil
	}
	s.Claims = config.Claims{}
	for _, text := range filled(f.claims) {
		name, source, ok := strings.Cut(text, "=")
		if !ok {
			return usage(cmd, "--claim: want claim=user.attribute")
		}
		s.Claims[name] = source
	}
	return nil
}

func newAPIAddCommand(env *environment) *cobra.Command {
	f := &apiFlags{}
	cmd := &cobra.Command{
		Use:   "add IDENTIFIER",
		Short: "register an API",
		Long: `Add registers an API. The identifier is what requests name (audience or
resource) and tokens carry (aud): the API's address, most often. It can't be
changed later.`,
		Example: `  handset api add https://purchasing.example.com --scope read:vendors="see vendors" --claim employee_id=user.employee_id
  handset api add https://status.example.com --users any --token-lifetime 1h`,
		Args: oneArgument("identifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			declared := config.ResourceServer{Identifier: args[0]}
			if err := f.apply(cmd, &declared); err != nil {
				return err
			}
			declared.SetDefaults()
			return env.addAPI(cmd, declared.Record())
		},
	}
	f.register(cmd)
	return cmd
}

func (env *environment) addAPI(cmd *cobra.Command, api storage.API) error {
	return env.withNewSQL(cmd.Context(), func(db *database) error {
		if err := env.refuseAPIFromFile(db, api.Identifier, "add"); err != nil {
			return err
		}
		api.CreatedAt = env.now()
		api.UpdatedAt = api.CreatedAt
		if err := checkAPI(cmd, db, api); err != nil {
			return err
		}
		err := db.CreateAPI(cmd.Context(), api)
		if errors.Is(err, storage.ErrConflict) {
			return withHint(fmt.Errorf("there is an API %s already", api.Identifier), "handset api update %s", api.Identifier)
		}
		if err != nil {
			return err
		}
		env.say("added API %s", api.Identifier)
		return nil
	})
}

// checkAPI holds an API to the rules of every registration, in terms of flags.
func checkAPI(cmd *cobra.Command, db *database, api storage.API) error {
	problems := registration.ValidateAPI(api, db.config.Issuer)
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = "  - " + inFlagsOf(apiFlagNames, p)
	}
	return usage(cmd, "the API can't be registered\n"+strings.Join(lines, "\n"))
}

// refuseAPIFromFile refuses to change an API that the file declares.
func (env *environment) refuseAPIFromFile(db *database, id storage.Audience, verb string) error {
	for i := range db.config.ResourceServers {
		if db.config.ResourceServers[i].Identifier == string(id) {
			return withHint(fmt.Errorf("can't %s API %s: %s declares it (resource_servers[%d])", verb, id, env.configPath, i),
				"change it there and restart the server")
		}
	}
	return nil
}

// unknownAPI explains an identifier that is nowhere.
func unknownAPI(err error, id string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return withHint(fmt.Errorf("there is no API %s", id), "handset api list")
	}
	return err
}

func newAPIUpdateCommand(env *environment) *cobra.Command {
	f := &apiFlags{}
	cmd := &cobra.Command{
		Use:   "update IDENTIFIER",
		Short: "change an API",
		Long: `Update changes what is given and leaves the rest. A list is replaced as a whole:
repeat the flag for each value, or give it an empty value to empty the list. A
shorter lifetime counts for the tokens that are out, too, wherever they are
asked about; a longer one for logins from now on.`,
		Example: `  handset api update https://purchasing.example.com --token-lifetime 12h
  handset api update https://purchasing.example.com --scope read:vendors --scope write:vendors`,
		Args: oneArgument("identifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !given(cmd) {
				return usage(cmd, "nothing to change")
			}
			id := storage.Audience(args[0])
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseAPIFromFile(db, id, "change"); err != nil {
					return err
				}
				err := db.UpdateAPI(cmd.Context(), id, func(api *storage.API) error {
					declared := config.FromAPI(*api)
					if err := f.apply(cmd, &declared); err != nil {
						return err
					}
					changed := declared.Record()
					changed.UpdatedAt = env.now()
					if err := checkAPI(cmd, db, changed); err != nil {
						return err
					}
					*api = changed
					return nil
				})
				if err != nil {
					return unknownAPI(err, args[0])
				}
				env.say("changed API %s", id)
				return nil
			})
		},
	}
	f.register(cmd)
	hideDefaults(cmd)
	return cmd
}

func newAPIRemoveCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove IDENTIFIER",
		Short: "remove an API",
		Long: `Remove ends an API's registration, and with it all that says who may use it, and
revokes what was granted for it. A token that is out is refused wherever it is
asked about, within a second; an API that checks tokens by their signature alone
takes it until its end.`,
		Example: `  handset api remove https://purchasing.example.com --yes`,
		Args:    oneArgument("identifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirmed(cmd, yes, "this removes API "+args[0]+", who may use it, and what was granted for it"); err != nil {
				return err
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseAPIFromFile(db, storage.Audience(args[0]), "remove"); err != nil {
					return err
				}
				if err := db.RemoveAPI(cmd.Context(), storage.Audience(args[0]), env.now()); err != nil {
					return unknownAPI(err, args[0])
				}
				env.say("removed API %s", args[0])
				return nil
			})
		},
	}
	yesFlag(cmd, &yes)
	return cmd
}

func newAPIListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the APIs",
		Long:  `List writes all APIs, those of the file and those of the database.`,
		Example: `  handset api list
  handset api list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				all, err := allAPIs(cmd.Context(), db)
				if err != nil {
					return err
				}
				return env.printAPIs(all, asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// allAPIs returns the APIs by identifier; the file's hide those of the database.
func allAPIs(ctx context.Context, db *database) ([]storage.API, error) {
	kept, err := db.APIs(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[storage.Audience]storage.API{}
	for _, api := range append(kept, server.APIs(db.config)...) {
		byID[api.Identifier] = api
	}
	out := make([]storage.API, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, byID[id])
	}
	return out, nil
}

func (env *environment) printAPIs(all []storage.API, asJSON bool) error {
	if asJSON {
		out := make([]apiJSON, len(all))
		for i, api := range all {
			out[i] = apiAsJSON(api)
		}
		return env.printJSON(out)
	}
	t := env.table("IDENTIFIER", "NAME", "USERS", "CLIENTS", "LIFETIME", "ALGORITHM", "DECLARED IN")
	for _, a := range all {
		t.row(string(a.Identifier), a.Name, a.Users, a.Clients, config.FormatDuration(a.Lifetime()), a.SigningAlg, declaredIn(a.FromFile))
	}
	return t.flush()
}

// apiJSON is an API as --json writes it: Auth0's fields, and where it is declared.
type apiJSON struct {
	storage.API
	Source string `json:"source"`
}

func apiAsJSON(a storage.API) apiJSON {
	if a.Scopes == nil {
		a.Scopes = []storage.Scope{} // scripts iterate over it
	}
	return apiJSON{API: a, Source: declaredIn(a.FromFile)}
}

func newAPIShowCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show IDENTIFIER",
		Short: "show one API",
		Long: `Show writes an API as the configuration file would declare it, and the clients
that may use it in their own name.`,
		Example: `  handset api show https://purchasing.example.com
  handset api show https://purchasing.example.com --json`,
		Args: oneArgument("identifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				api, err := findAPI(cmd.Context(), db, storage.Audience(args[0]))
				if err != nil {
					return err
				}
				grants, err := grantsFor(cmd.Context(), db, api.Identifier)
				if err != nil {
					return err
				}
				if asJSON {
					return env.printJSON(shownAPI{apiAsJSON(api), grantsAsJSON(grants)})
				}
				return env.printAPI(api, grants)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// grantsFor returns which clients may use an API; the file's hide those of the database.
func grantsFor(ctx context.Context, db *database, id storage.Audience) ([]storage.ClientGrant, error) {
	kept, err := db.ClientGrants(ctx)
	if err != nil {
		return nil, err
	}
	byClient := map[storage.ClientID]storage.ClientGrant{}
	for _, g := range append(kept, server.ClientGrants(db.config)...) {
		if g.Audience == id {
			byClient[g.ClientID] = g
		}
	}
	var out []storage.ClientGrant
	for _, client := range slices.Sorted(maps.Keys(byClient)) {
		out = append(out, byClient[client])
	}
	return out, nil
}

// shownAPI is an API as show writes it.
type shownAPI struct {
	apiJSON
	ClientGrants []clientGrantJSON `json:"client_grants"`
}

// clientGrantJSON is a client grant as --json writes it.
type clientGrantJSON struct {
	ClientID  storage.ClientID `json:"client_id"`
	AllScopes bool             `json:"allow_all_scopes"`
	Scope     []string         `json:"scope"`
	Source    string           `json:"source"`
}

func grantsAsJSON(grants []storage.ClientGrant) []clientGrantJSON {
	out := []clientGrantJSON{}
	for _, g := range grants {
		out = append(out, clientGrantJSON{g.ClientID, g.AllScopes, append([]string{}, g.Scopes...), declaredIn(g.FromFile)})
	}
	return out
}

func (env *environment) printAPI(a storage.API, grants []storage.ClientGrant) error {
	declared := config.FromAPI(a)
	text, err := declared.YAML()
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "# declared in the %s", declaredIn(a.FromFile))
	if !a.CreatedAt.IsZero() {
		fmt.Fprintf(env.stdout, ", created %s, changed %s", timeText(a.CreatedAt), timeText(a.UpdatedAt))
	}
	fmt.Fprintf(env.stdout, "\n%s", text)
	for _, g := range grants {
		fmt.Fprintf(env.stdout, "# client %s (%s), declared in the %s\n", g.ClientID, allowanceText(g.Allowance), declaredIn(g.FromFile))
	}
	return nil
}
