package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// What all commands open, and in the same way as serve does.

// openVault reads the secret key.
func (env *environment) openVault(c *config.Config) (*vault.Vault, error) {
	if !c.SecretKey.IsZero() {
		v, err := vault.Parse(c.SecretKey.Reveal())
		if err != nil {
			return nil, fmt.Errorf("secret_key: %w", err)
		}
		return v, nil
	}
	text, err := os.ReadFile(c.SecretKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, withHint(fmt.Errorf("secret_key_file: there is no file %s", c.SecretKeyFile),
			"openssl rand -hex 32 > %s && chmod 600 %s", c.SecretKeyFile, c.SecretKeyFile)
	case err != nil:
		return nil, fmt.Errorf("secret_key_file: %w", err)
	}
	if info, err := os.Stat(c.SecretKeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
		env.warn("secret_key_file: other users of this machine may read %s; chmod 600 %s", c.SecretKeyFile, c.SecretKeyFile)
	}
	v, err := vault.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("secret_key_file: %s: %w", c.SecretKeyFile, err)
	}
	return v, nil
}

// openSQL opens the database with the vault that seals what is in it.
func openSQL(ctx context.Context, c *config.Config, v *vault.Vault) (*sqlstore.Store, error) {
	store, err := server.OpenSQL(ctx, c, v)
	if errors.Is(err, vault.ErrSealed) {
		return nil, withHint(err, "the secret key is not the one that the database was made with")
	}
	return store, err
}

// database is the database of a configuration, which a server may be using
// meanwhile.
type database struct {
	*sqlstore.Store
	config *config.Config
	vault  *vault.Vault
}

// withSQL runs work on the database of the configuration.
func (env *environment) withSQL(ctx context.Context, work func(*database) error) error {
	c, err := env.loadConfig()
	if err != nil {
		return err
	}
	v, err := env.openVault(c)
	if err != nil {
		return err
	}
	store, err := openSQL(ctx, c, v)
	if err != nil {
		return err
	}
	return errors.Join(work(&database{store, c, v}), store.Close())
}
