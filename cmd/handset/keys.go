package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/storage"
)

func newKeysCommand(env *environment) *cobra.Command {
	return group("keys", "the keys that sign tokens",
		`Keys lists, replaces and imports the keys that sign tokens. A new key is
published before it signs, and an old one stays published until its last token
has expired, so no application notices. There is a line of keys per algorithm:
RS256 signs ID tokens and ES256 the tokens of APIs, where a client or an API is
not registered otherwise.`,
		newKeysListCommand(env),
		newKeysRotateCommand(env),
		newKeysImportCommand(env),
	)
}

func newKeysListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the signing keys",
		Long: `List writes the keys that are published, those that sign first. The state is
pending (published, will sign), signing, retired (verifies what it signed), or
file (of the keys folder). It makes and changes nothing.`,
		Example: `  handset keys list
  handset keys list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.readSQL(cmd.Context(), func(db *database) error {
				all, err := server.ListKeys(cmd.Context(), db.config, db, env.now)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					env.say("there is no key yet; handset serve or handset keys rotate makes the first")
				}
				return env.printKeys(all, asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// onKeys is work on the keys of a configuration, as work on its database.
func (env *environment) onKeys(ctx context.Context, work func(*keys.Ring) error) func(*database) error {
	return func(db *database) error {
		ring, err := server.OpenKeys(ctx, db.config, db, env.logger(), env.now)
		if err != nil {
			return err
		}
		return work(ring)
	}
}

// keyJSON is a key as --json writes it.
type keyJSON struct {
	KID          storage.KeyID `json:"kid"`
	Algorithm    string        `json:"alg"`
	State        keys.State    `json:"state"`
	Signs        bool          `json:"signs"`
	File         string        `json:"file,omitempty"`
	CreatedAt    *time.Time    `json:"created_at"`
	SignsFrom    *time.Time    `json:"signs_from"`
	PublishUntil *time.Time    `json:"publish_until"`
}

func keyAsJSON(i keys.Info) keyJSON {
	return keyJSON{i.ID, i.Algorithm, i.State, i.Signs, i.File,
		timeJSON(i.CreatedAt), timeJSON(i.SignsFrom), timeJSON(i.PublishUntil)}
}

func (env *environment) printKeys(all []keys.Info, asJSON bool) error {
	if asJSON {
		out := make([]keyJSON, len(all))
		for i, key := range all {
			out[i] = keyAsJSON(key)
		}
		return env.printJSON(out)
	}
	t := env.table("KID", "ALGORITHM", "STATE", "SIGNS", "SIGNS FROM", "PUBLISHED UNTIL", "FILE")
	for _, k := range all {
		signs := "no"
		if k.Signs {
			signs = "yes"
		}
		t.row(string(k.ID), k.Algorithm, string(k.State), signs, timeText(k.SignsFrom), timeText(k.PublishUntil), k.File)
	}
	return t.flush()
}

func newKeysRotateCommand(env *environment) *cobra.Command {
	var alg string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "make new signing keys",
		Long: `Rotate makes a key for each algorithm, or for that of --alg, and publishes it at
once; it signs when applications have had time to see it. The key IDs are
written to standard output, one on each line. When a key is waiting for its turn
already, that one is named and none is made. While a file of the keys folder
signs, keys of its algorithm are rotated by putting a newer file there.`,
		Example: `  handset keys rotate
  handset keys rotate --alg ES256`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			algorithms := keys.Algorithms()
			if alg != "" {
				if !slices.Contains(algorithms, keys.Algorithm(alg)) {
					return usage(cmd, "--alg: want RS256 or ES256")
				}
				algorithms = []keys.Algorithm{keys.Algorithm(alg)}
			}
			return env.withNewSQL(cmd.Context(), env.onKeys(cmd.Context(), func(ring *keys.Ring) error {
				return env.rotateKeys(cmd.Context(), ring, algorithms)
			}))
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "rotate only the keys of this `algorithm`: RS256 or ES256")
	return cmd
}

// rotateKeys passes over algorithms for which a file signs, unless that is all there is.
func (env *environment) rotateKeys(ctx context.Context, ring *keys.Ring, algorithms []keys.Algorithm) error {
	var files error
	rotated := 0
	for _, alg := range algorithms {
		before, err := ring.List(ctx)
		if err != nil {
			return err
		}
		key, err := ring.Rotate(ctx, alg)
		if errors.Is(err, keys.ErrFileSigns) {
			files = fmt.Errorf("%s: %w", alg, err)
			continue
		}
		rotated++
		if err == nil && key.State == keys.Pending && slices.ContainsFunc(before, func(k keys.Info) bool { return k.ID == key.ID }) {
			env.say("%s: a key is waiting already and signs from %s on; none was made", alg, timeText(key.SignsFrom))
			_, err = fmt.Fprintln(env.stdout, key.ID)
		} else {
			err = env.printNewKey(key, err)
		}
		if err != nil {
			return err
		}
	}
	if rotated == 0 {
		return env.printNewKey(keys.Info{}, files)
	}
	if files != nil {
		env.warn("%s", files)
	}
	return nil
}

func newKeysImportCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "sign with a key that exists",
		Long: `Import reads a private key (PEM): RSA of at least 2048 bits, for RS256, or
EC on the curve P-256, for ES256. It keeps the key sealed in the database and
publishes it; it signs when applications have had time to see it. FILE - is
standard input. The key ID is written to standard output.`,
		Example: `  openssl genrsa 2048 > key.pem && handset keys import key.pem
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 > api.pem && handset keys import api.pem`,
		Args: oneArgument("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := env.readFileOrStdin(args[0])
			if err != nil {
				return err
			}
			return env.withNewSQL(cmd.Context(), env.onKeys(cmd.Context(), func(ring *keys.Ring) error {
				key, err := ring.Import(cmd.Context(), text)
				if errors.Is(err, storage.ErrConflict) {
					return withHint(errors.New("this key is there already"), "handset keys list")
				}
				return env.printNewKey(key, err)
			}))
		},
	}
}

// maxPEM is more than any key file holds.
const maxPEM = 1 << 20

func (env *environment) readFileOrStdin(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(env.stdin, maxPEM))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxPEM))
}

func (env *environment) printNewKey(key keys.Info, err error) error {
	if errors.Is(err, keys.ErrFileSigns) {
		return withHint(err, "or empty keys.dir in the configuration to let the database sign")
	}
	if err != nil {
		return err
	}
	env.say("the key is published now and signs %s from %s on", key.Algorithm, timeText(key.SignsFrom))
	_, err = fmt.Fprintln(env.stdout, key.ID)
	return err
}
