package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

func newCheckCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "read the configuration, reach every part, say all that is wrong",
		Long: `Check reads the configuration as serve does, reaches the database, Redis, the
gateway and every file, and says all that is wrong at once. It sends no text and
changes nothing: serve makes a database that does not exist yet, and brings an
older one up to date. A server may be running meanwhile.`,
		Example: `  handset check
  handset check --config /etc/handset/handset.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return env.check(cmd.Context()) },
	}
}

// check reaches every part whose settings can be understood.
func (env *environment) check(ctx context.Context) error {
	c, warnings, err := config.Load(env.configPath, env.environ)
	env.printWarnings(warnings)
	if c == nil {
		return env.configError(err)
	}
	k := &checker{env: env, c: c}
	known := config.Join(env.configPath, err, c.ValidateServe()...)
	if all, ok := errors.AsType[*config.Error](known); ok {
		k.known = all.Problems
	}
	k.part("secret_key_file", "secret key", func() (string, error) { return k.secretKey() })
	k.part("tls", "certificate", func() (string, error) { return k.certificate() })
	k.part("keys.dir", "keys folder", func() (string, error) { return k.keysFolder(ctx) })
	k.part("database", "database", func() (string, error) { return k.database(ctx) })
	k.part("redis", "redis", func() (string, error) { return k.redis(ctx) })
	k.part("connections[0]", "connection", func() (string, error) { return k.connection(ctx) })
	if err := config.Join(env.configPath, known, k.problems...); err != nil {
		if len(k.known) == 0 {
			return err // no key is wrong, so what the keys mean does not help
		}
		return env.configError(err)
	}
	for _, line := range k.fine {
		fmt.Fprintln(env.stdout, line)
	}
	_, err = fmt.Fprintf(env.stdout, "%s is fine\n", env.configPath)
	return err
}

// checker collects what it finds.
type checker struct {
	env   *environment
	c     *config.Config
	vault *vault.Vault // once the secret key was read
	// names are those of the clients, and stored the connection, of the database.
	names  []string
	stored *storage.Connection
	// prints says that the connection of the database texts nobody.
	prints bool

	known    []config.Problem
	problems []config.Problem
	fine     []string
}

// reachWithin bounds the wait for one part.
const reachWithin = 5 * time.Second

// part runs one check unless the settings it needs are known to be wrong. The
// check returns what it found, empty when there is nothing to check.
func (k *checker) part(path, name string, check func() (string, error)) {
	for _, p := range k.known {
		if p.Path == path || strings.HasPrefix(p.Path, path+".") {
			return
		}
	}
	found, err := check()
	switch {
	case errors.Is(err, errSkip):
	case err != nil:
		message := strings.TrimPrefix(err.Error(), path+": ")
		if hint := hintOf(err); hint != "" {
			message += " (" + hint + ")"
		}
		k.problems = append(k.problems, config.Problem{Path: path, Message: message})
	case found != "":
		k.fine = append(k.fine, fmt.Sprintf("%-12s %s", name+":", found))
	}
}

// errSkip says that a part can't be looked at for a reason that is told elsewhere.
var errSkip = errors.New("skip")

func (k *checker) secretKey() (string, error) {
	v, err := k.env.openVault(k.c)
	if err != nil {
		return "", err
	}
	k.vault = v
	if k.c.SecretKeyFile == "" {
		return "set by environment", nil
	}
	return k.c.SecretKeyFile, nil
}

func (k *checker) certificate() (string, error) {
	if !k.c.TLS.On() {
		return "none, plain HTTP", nil
	}
	pair, err := tls.LoadX509KeyPair(k.c.TLS.CertFile, k.c.TLS.KeyFile)
	if err != nil {
		return "", err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return "", err
	}
	left := leaf.NotAfter.Sub(k.env.now())
	switch {
	case left < 0:
		return "", fmt.Errorf("the certificate %s has expired on %s", k.c.TLS.CertFile, timeText(leaf.NotAfter))
	case left < 14*24*time.Hour:
		k.env.warn("tls: the certificate %s expires on %s", k.c.TLS.CertFile, timeText(leaf.NotAfter))
	}
	return fmt.Sprintf("%s, until %s", k.c.TLS.CertFile, timeText(leaf.NotAfter)), nil
}

// keysFolder reads the PEM files with a store that keeps nothing.
func (k *checker) keysFolder(ctx context.Context) (string, error) {
	if k.c.Keys.Dir == "" {
		return "none, keys are kept in the database", nil
	}
	if _, err := os.ReadDir(k.c.Keys.Dir); err != nil {
		return "", err
	}
	names, err := filepath.Glob(filepath.Join(k.c.Keys.Dir, "*.pem"))
	if err != nil || len(names) == 0 {
		k.env.warn("keys.dir: there is no *.pem file in %s; keys of the database sign", k.c.Keys.Dir)
		return k.c.Keys.Dir, err
	}
	ring, err := server.OpenKeys(ctx, k.c, &forgottenKeys{}, k.env.logger(), k.env.now)
	if err != nil {
		return "", err
	}
	all, err := ring.List(ctx)
	if err != nil {
		return "", err
	}
	files, signers := 0, ""
	for _, key := range all {
		from := key.File
		if from == "" {
			from = "the database"
		} else {
			files++
		}
		if key.Signs {
			signers += fmt.Sprintf(", %s by %s", key.Algorithm, from)
		}
	}
	return fmt.Sprintf("%d files%s", files, signers), nil
}

// forgottenKeys is a keys.Store whose keys are gone with the check: they stand for
// those of the database.
type forgottenKeys struct{ kept []storage.SigningKey }

var _ keys.Store = (*forgottenKeys)(nil)

func (f *forgottenKeys) SigningKeys(context.Context) ([]storage.SigningKey, error) {
	return slices.Clone(f.kept), nil
}

func (f *forgottenKeys) UpdateSigningKeys(_ context.Context, change func([]storage.SigningKey) ([]storage.SigningKey, error)) (err error) {
	f.kept, err = change(f.kept)
	return err
}

func (k *checker) database(ctx context.Context) (string, error) {
	if _, absent := missingDatabase(k.c); absent {
		k.prints = true
		file, _ := databaseFile(k.c)
		return notYet(file)
	}
	if k.vault == nil {
		return "", errSkip
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	store, pending, err := server.OpenSQLToRead(ctx, k.c, k.vault)
	if err != nil {
		return "", explained(err)
	}
	defer store.Close()
	err = explained(k.records(ctx, store))
	if pending == 0 {
		return k.c.Database.String(), err
	}
	// What this version reads may be missing before them; a key that does not fit is
	// one that does not fit.
	if !errors.Is(err, vault.ErrSealed) {
		err = nil
	}
	if pending == 1 {
		return k.c.Database.String() + ", 1 migration is pending; serve applies it", err
	}
	return fmt.Sprintf("%s, %d migrations are pending; serve applies them", k.c.Database, pending), err
}

// records reads what the other checks need of the database, and what the secret
// key must open.
func (k *checker) records(ctx context.Context, store *sqlstore.Store) (err error) {
	if _, err := store.SigningKeys(ctx); err != nil {
		return err
	}
	if err := store.CheckUnique(ctx); err != nil {
		return err
	}
	clients, err := store.Clients(ctx)
	if err != nil {
		return err
	}
	for _, client := range clients {
		k.names = append(k.names, client.Name)
	}
	k.stored, err = storedConnection(ctx, store)
	k.prints = err == nil && (k.stored == nil || !leavesTheMachine(*k.stored))
	return err
}

// notYet is about a database that serve will make.
func notYet(file string) (string, error) {
	dir := filepath.Dir(file)
	probe, err := os.CreateTemp(dir, ".handset-check-*")
	if err != nil {
		return "", fmt.Errorf("%s does not exist yet and can't be made: the folder %s is missing or may not be written to", file, dir)
	}
	return file + " does not exist yet; serve makes it", errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (k *checker) redis(ctx context.Context) (string, error) {
	if k.vault == nil {
		return "", errSkip
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	store, err := server.OpenRedis(ctx, k.c, k.vault, k.env.logger())
	if err != nil {
		return "", err
	}
	defer store.Close()
	return k.c.Redis.String(), store.Ping(ctx)
}

// databaseConnection says which connection serves when the file declares none, and
// where its texts go. stored is nil before the first start, which makes one that prints.
func databaseConnection(c *config.Config, stored *storage.Connection) string {
	switch {
	case len(c.Routes) > 0: // which name every country, or the configuration is refused
		return "sms (in the database; texts go by the routes)"
	case stored == nil || !leavesTheMachine(*stored):
		return "sms (in the database; prints texts to the log until you configure a gateway)"
	}
	return "sms (in the database)"
}

// leavesTheMachine reports whether a connection's texts go further than the log.
func leavesTheMachine(c storage.Connection) bool {
	var options struct{ Provider string }
	return json.Unmarshal(c.Options, &options) == nil && options.Provider != "" && options.Provider != "console"
}

// connection reads senders and the connection in use as serve does, and reaches their
// gateways and SMSCs.
func (k *checker) connection(ctx context.Context) (string, error) {
	senders, err := openSenders(k.c)
	if err != nil {
		return "", err
	}
	defer senders.Close()
	for _, named := range senders.Named {
		if _, err := k.gateway(ctx, senders.Deps, k.c.Senders[named.Name]); err != nil {
			return "", fmt.Errorf("senders.%s: %w", named.Name, err)
		}
	}
	record := server.Connection(k.c)
	if record == nil {
		if k.prints && len(k.c.Routes) == 0 && !k.c.Local() {
			k.env.warn("connections: none declared: codes are printed to the log and texted to nobody; declare one with a gateway")
		}
		reached, err := k.storedConnection(ctx, senders)
		return databaseConnection(k.c, k.stored) + reached, err
	}
	parsed, err := parseConnection(*record, senders)
	if err != nil {
		return "", err
	}
	defer parsed.Close()
	k.measure("connections[0].options.template", parsed)
	reached, err := k.gateway(ctx, senders.Deps, k.c.Connections[0].Options)
	if err != nil {
		return "", fmt.Errorf("options.%w", err)
	}
	return string(record.Name) + reached, nil
}

// gateway reaches the gateway or SMSC of the options, if they have one, and says so.
func (k *checker) gateway(ctx context.Context, d sms.Deps, o config.Options) (string, error) {
	if address, ok := o.GatewayURL(); ok {
		return ", gateway answers", k.reach(ctx, d.Client, address)
	}
	smsc, ok := sms.NewSender(sms.ReadOptions(o.JSON(), ""), d).(*sms.SMPP)
	if !ok {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	if err := smsc.Reach(ctx); err != nil {
		return "", fmt.Errorf("smpp_host: the SMSC can't be reached: %w", err)
	}
	return ", SMSC answers", nil
}

// storedConnection reads the connection of the database, and reaches where its texts go.
func (k *checker) storedConnection(ctx context.Context, senders passcode.Senders) (string, error) {
	if k.stored == nil {
		return "", nil
	}
	parsed, err := parseConnection(*k.stored, senders)
	reached := ""
	if err == nil {
		defer parsed.Close()
		k.measure("the template of the connection sms", parsed)
		if len(k.c.Routes) == 0 {
			reached, err = k.gateway(ctx, senders.Deps, config.NewOptions(string(k.stored.Options)))
		}
	}
	if err != nil {
		return "", fmt.Errorf("the connection sms of the database: %w", err)
	}
	return reached, nil
}

// reach asks the gateway's server for its options. Any answer will do: what
// counts is that the name resolves to an address that is allowed, that the port
// is open and that the certificate is good. No text is sent.
func (k *checker) reach(ctx context.Context, client *http.Client, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodOptions, gateway, nil)
	if err != nil {
		return errors.New("gateway_url: not a valid address")
	}
	response, err := client.Do(request)
	if err != nil {
		// The error of net/http quotes the address, whose query may hold a key.
		for {
			inner := errors.Unwrap(err)
			if inner == nil {
				break
			}
			err = inner
		}
		return fmt.Errorf("gateway_url: the gateway can't be reached: %w", err)
	}
	return response.Body.Close()
}
