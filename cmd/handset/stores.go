package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
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
	return store, explained(err)
}

// explained adds the next step to what a part of the provider could not be
// opened for, where there is one.
func explained(err error) error {
	if errors.Is(err, vault.ErrSealed) {
		return withHint(err, "the secret key is not the one that the database was made with")
	}
	if errors.Is(err, storage.ErrConflict) {
		return withHint(err, "take unique away in people.attributes, give one of them another value, and put it back")
	}
	return err
}

// database is the database of a configuration, which a server may be using
// meanwhile.
type database struct {
	*sqlstore.Store
	config *config.Config
	vault  *vault.Vault
}

// withSQL runs work on the database of the configuration, which must be there:
// a command in the wrong folder must not find an empty one.
func (env *environment) withSQL(ctx context.Context, work func(*database) error) error {
	return env.onSQL(ctx, work, noDatabase)
}

func noDatabase(file string) error {
	return withHint(fmt.Errorf("there is no database at %s", file),
		"a relative name begins at the working directory; a new database is made by handset serve")
}

// withNewSQL is withSQL for what may be prepared before the first start.
func (env *environment) withNewSQL(ctx context.Context, work func(*database) error) error {
	made := ""
	err := env.onSQL(ctx, func(db *database) error {
		if made != "" {
			env.warn("made a new database at %s", made)
		}
		return work(db)
	}, func(file string) error {
		made = file
		return nil
	})
	return err
}

// readSQL is withSQL for what changes nothing, neither keys nor the schema.
func (env *environment) readSQL(ctx context.Context, work func(*database) error) error {
	return env.openedSQL(work, noDatabase, func(c *config.Config, v *vault.Vault) (*sqlstore.Store, error) {
		store, _, err := server.OpenSQLToRead(ctx, c, v)
		return store, explained(err)
	})
}

// onSQL runs work on the database; missing decides what becomes of one that is
// not there yet.
func (env *environment) onSQL(ctx context.Context, work func(*database) error, missing func(file string) error) error {
	return env.openedSQL(work, missing, func(c *config.Config, v *vault.Vault) (*sqlstore.Store, error) {
		return openSQL(ctx, c, v)
	})
}

func (env *environment) openedSQL(work func(*database) error, missing func(file string) error,
	open func(*config.Config, *vault.Vault) (*sqlstore.Store, error)) error {
	c, err := env.loadConfig()
	if err != nil {
		return err
	}
	v, err := env.openVault(c)
	if err != nil {
		return err
	}
	if file, absent := missingDatabase(c); absent {
		if err := missing(file); err != nil {
			return err
		}
	}
	store, err := open(c, v)
	if err != nil {
		return err
	}
	return errors.Join(work(&database{store, c, v}), store.Close())
}

// databaseFile is the file of a SQLite database, if it is in one.
func databaseFile(c *config.Config) (name string, ok bool) {
	name, ok = strings.CutPrefix(c.Database.Reveal(), "sqlite:")
	return strings.TrimPrefix(name, "//"), ok && name != ":memory:"
}

// missingDatabase returns where the database would be, when it is not there.
func missingDatabase(c *config.Config) (file string, absent bool) {
	name, ok := databaseFile(c)
	if !ok {
		return "", false
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	if file, err := filepath.Abs(name); err == nil {
		return file, true
	}
	return name, true
}
