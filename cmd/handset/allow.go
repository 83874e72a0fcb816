package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
)

// allowanceText is which scopes someone may have, for people.
func allowanceText(a storage.Allowance) string {
	switch {
	case a.AllScopes:
		return "all scopes"
	case len(a.Scopes) == 0:
		return "no scopes"
	}
	return strings.Join(a.Scopes, " ")
}

// allowed reads --scope. Without the flag every scope of the API is meant; an empty
// one means none.
func allowed(cmd *cobra.Command, scopes []string, api *storage.API) (storage.Allowance, error) {
	if !cmd.Flags().Changed("scope") {
		return storage.Allowance{AllScopes: true}, nil
	}
	a := storage.Allowance{}
	for _, s := range filled(scopes) {
		if !slices.Contains(a.Scopes, s) {
			a.Scopes = append(a.Scopes, s)
		}
	}
	if unknown := registration.UnknownScopes(a, api); len(unknown) > 0 {
		return a, withHint(fmt.Errorf("%s has no scope %s", api.Identifier, strings.Join(unknown, ", ")), "handset api show %s", api.Identifier)
	}
	return a, nil
}

func scopeFlag(cmd *cobra.Command, scopes *[]string) {
	cmd.Flags().StringArrayVar(scopes, "scope", nil, "a `scope` of the API, repeat for more; without it all of them, an empty one for none")
}

func newUserAllowCommand(env *environment) *cobra.Command {
	var scopes []string
	cmd := &cobra.Command{
		Use:   "allow NUMBER|ID AUDIENCE",
		Short: "let a person use an API",
		Long: `Allow lets a person use an API, in place of what they might there before: with
the scopes named, or with all of the API's, those that it will get included.
When that takes something from them, their tokens for the API are revoked.`,
		Example: `  handset user allow +819012345678 https://purchasing.example.com --scope read:vendors`,
		Args:    twoArguments("number or user ID", "audience"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				api, err := findAPI(cmd.Context(), db, storage.Audience(args[1]))
				if err != nil {
					return err
				}
				a, err := allowed(cmd, scopes, &api)
				if err != nil {
					return err
				}
				if api.Users == storage.Anyone {
					env.warn("%s is for everyone (users: any); assignments to it have no effect", api.Identifier)
				}
				now := env.now()
				err = db.Assign(cmd.Context(), storage.Assignment{UserID: u.ID, Audience: api.Identifier, Allowance: a, CreatedAt: now}, now)
				if err != nil {
					return err
				}
				env.say("%s may use %s (%s)", u.ID, api.Identifier, allowanceText(a))
				return nil
			})
		},
	}
	scopeFlag(cmd, &scopes)
	return cmd
}

func newUserDisallowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "disallow NUMBER|ID AUDIENCE",
		Short: "take an API from a person",
		Long: `Disallow takes an API from a person and revokes what was granted to applications
for it. A token that is out is refused wherever it is asked about, within a
second; an API that checks tokens by their signature alone takes it until its
end.`,
		Example: `  handset user disallow +819012345678 https://purchasing.example.com`,
		Args:    twoArguments("number or user ID", "audience"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				err := db.Unassign(cmd.Context(), u.ID, storage.Audience(args[1]), env.now())
				if errors.Is(err, storage.ErrNotFound) {
					return withHint(fmt.Errorf("%s is not assigned to %s", args[1], u.ID), "handset user show %s", u.ID)
				}
				if err != nil {
					return err
				}
				env.say("%s may use %s no more", u.ID, args[1])
				return nil
			})
		},
	}
}

func newClientAllowCommand(env *environment) *cobra.Command {
	var scopes []string
	cmd := &cobra.Command{
		Use:   "allow ID AUDIENCE",
		Short: "let an application use an API",
		Long: `Allow lets an application get tokens for an API in its own name
(client_credentials), and in the name of people where the API says
--clients granted. Auth0 calls this a client grant. It may have the scopes
named, or all of the API's, those that it will get included.`,
		Example: `  handset client allow batch https://purchasing.example.com --scope read:vendors`,
		Args:    twoArguments("client_id", "audience"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				return env.allowClient(cmd, db, storage.ClientID(args[0]), storage.Audience(args[1]), scopes)
			})
		},
	}
	scopeFlag(cmd, &scopes)
	return cmd
}

func (env *environment) allowClient(cmd *cobra.Command, db *database, id storage.ClientID, audience storage.Audience, scopes []string) error {
	if err := env.refuseGrantFromFile(db, id, audience); err != nil {
		return err
	}
	client, err := findClient(cmd.Context(), db, id)
	if err != nil {
		return unknownClient(err, string(id))
	}
	api, err := findAPI(cmd.Context(), db, audience)
	if err != nil {
		return err
	}
	a, err := allowed(cmd, scopes, &api)
	if err != nil {
		return err
	}
	if !client.MayUse(oauth.GrantClientCredentials) && api.Clients != storage.Granted {
		env.warn("this has no effect: client %s has not the grant type client_credentials, and people may use %s with any client", id, audience)
	}
	err = db.PutClientGrant(cmd.Context(), storage.ClientGrant{ClientID: id, Audience: audience, Allowance: a, CreatedAt: env.now()})
	if err != nil {
		return err
	}
	env.say("client %s may use %s (%s)", id, audience, allowanceText(a))
	return nil
}

// refuseGrantFromFile refuses to change a client grant that the file declares.
func (env *environment) refuseGrantFromFile(db *database, id storage.ClientID, audience storage.Audience) error {
	for i, g := range server.ClientGrants(db.config) {
		if g.ClientID == id && g.Audience == audience {
			return withHint(fmt.Errorf("can't change what client %s may do at %s: %s declares it (client_grants[%d])", id, audience, env.configPath, i),
				"change it there and restart the server")
		}
	}
	return nil
}

func newClientDisallowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "disallow ID AUDIENCE",
		Short: "take an API from an application",
		Long: `Disallow takes an API from an application. Its tokens are refused wherever they
are asked about, within a second; an API that checks tokens by their signature
alone takes them until their end.`,
		Example: `  handset client disallow batch https://purchasing.example.com`,
		Args:    twoArguments("client_id", "audience"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, audience := storage.ClientID(args[0]), storage.Audience(args[1])
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseGrantFromFile(db, id, audience); err != nil {
					return err
				}
				err := db.RemoveClientGrant(cmd.Context(), id, audience)
				if errors.Is(err, storage.ErrNotFound) {
					return withHint(fmt.Errorf("client %s has no grant for %s", id, audience), "handset api show %s", audience)
				}
				if err != nil {
					return err
				}
				env.say("client %s may use %s no more", id, audience)
				return nil
			})
		},
	}
}

// findAPI returns an API of the file or of the database, or Handset's own.
func findAPI(ctx context.Context, db *database, id storage.Audience) (storage.API, error) {
	api, err := lookUpAPI(ctx, db, id)
	if errors.Is(err, storage.ErrNotFound) {
		other, slash := strings.CutSuffix(string(id), "/")
		if !slash {
			other += "/"
		}
		if _, found := lookUpAPI(ctx, db, storage.Audience(other)); found == nil {
			return api, withHint(unknownAPI(err, string(id)), "did you mean %s?", other)
		}
	}
	return api, unknownAPI(err, string(id))
}

func lookUpAPI(ctx context.Context, db *database, id storage.Audience) (storage.API, error) {
	for _, api := range append(server.APIs(db.config), verification.BuiltIn(db.config.Issuer), management.BuiltIn(db.config.Issuer)) {
		if api.Identifier == id {
			return api, nil
		}
	}
	return db.API(ctx, id)
}
