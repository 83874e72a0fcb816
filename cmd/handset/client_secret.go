package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	registered "github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
)

func newClientRotateSecretCommand(env *environment) *cobra.Command {
	var dropOld, now, yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate-secret ID",
		Short: "give an application a new secret",
		Long: `Rotate-secret makes a new secret and writes it to standard output, alone. The
one before stays in force too, so that the application can be changed without
an interruption; end it with --drop-old when that is done. With --now the old
ones end at once: for a secret that has leaked. Running servers accept the new
secret at once, or within half a second while the client is being refused;
an old one ends everywhere within a second.`,
		Example: `  handset client rotate-secret shop
  handset client rotate-secret shop --drop-old --yes
  handset client rotate-secret shop --now --yes`,
		Args: oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dropOld && now {
				return usage(cmd, "--drop-old and --now exclude each other")
			}
			if dropOld || now {
				if err := confirmed(cmd, yes, "this ends secrets of "+args[0]+" that may be in use"); err != nil {
					return err
				}
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				if err := env.refuseFromFile(db, storage.ClientID(args[0]), "change"); err != nil {
					return err
				}
				id := storage.ClientID(args[0])
				if dropOld {
					return env.dropOldSecrets(cmd.Context(), db, id)
				}
				return env.rotateSecret(cmd.Context(), db, id, secretRotation{replace: now, json: asJSON})
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

func (env *environment) rotateSecret(ctx context.Context, db *database, id storage.ClientID, r secretRotation) error {
	secret := registered.NewSecret()
	old, appType := 0, ""
	err := db.UpdateClient(ctx, id, func(c *storage.Client) error {
		if !c.NeedsSecret() {
			return withHint(fmt.Errorf("client %s has no secret: it authenticates by %s", id, c.TokenEndpointAuthMethod),
				"handset client update %s --auth-method client_secret_post", id)
		}
		macs := [][]byte{registered.SecretMAC(db.vault, id, secret)}
		if !r.replace && len(c.SecretMACs) > 0 {
			macs = append(macs, c.SecretMACs[0])
		}
		old = len(macs) - 1
		c.SecretMACs, c.UpdatedAt, appType = macs, env.now(), c.AppType
		return nil
	})
	if err != nil {
		return unknownClient(err, string(id))
	}
	if old > 0 {
		env.say("the secret before works too, until: handset client rotate-secret %s --drop-old --yes", id)
	}
	return env.printCredentials(id, appType, secret, r.json)
}

func (env *environment) dropOldSecrets(ctx context.Context, db *database, id storage.ClientID) error {
	dropped := 0
	err := db.UpdateClient(ctx, id, func(c *storage.Client) error {
		if len(c.SecretMACs) > 1 {
			dropped = len(c.SecretMACs) - 1
			c.SecretMACs, c.UpdatedAt = c.SecretMACs[:1], env.now()
		}
		return nil
	})
	if err != nil {
		return unknownClient(err, string(id))
	}
	secrets := "secrets"
	if dropped == 1 {
		secrets = "secret"
	}
	env.say("ended %d old %s of client %s", dropped, secrets, id)
	return nil
}
