package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/auth0"
	"github.com/handset-oidc/handset/internal/people"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	registered "github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

func newMigrateCommand(env *environment) *cobra.Command {
	return group("migrate", "import another provider's people and settings",
		`Migrate imports what another provider exports.`,
		newMigrateAuth0Command(env),
	)
}

// auth0Flags are those of handset migrate auth0.
type auth0Flags struct {
	users, connections, clients, country, report string
	update, dryRun                               bool
}

func newMigrateAuth0Command(env *environment) *cobra.Command {
	var f auth0Flags
	cmd := &cobra.Command{
		Use:   "auth0 --clients FILE --connections FILE --users FILE",
		Short: "import people, clients and the sms connection of an Auth0 tenant",
		Long: `Auth0 imports what a tenant of Auth0 exports; any one of the files will do.

  --clients      the array of GET /api/v2/clients, read with a token that has
                 read:client_keys: applications keep their client_id and secret.
  --connections  the array of GET /api/v2/connections. The one of strategy sms
                 and name sms is then the one in use, unless the configuration
                 declares one.
  --users        an export job's file: one user per line, with user_id and
                 phone_number at least; or the array of GET /api/v2/users.
                 People keep their user_id, the sub that applications know them
                 by. Members of app_metadata that are in people.attributes
                 become attributes; without it every string does.

Files can be gzipped, and hold several pages one after the other.

What is not taken is told, line by line and with the reason, never with a
number, and counted at the end; without --report, of the first ten lines of a
kind. The exit status is 1 when a client, a connection or a person was refused.
What is there already is left alone when nothing differs, so that it can be done
again; when something differs, --update changes it, and without it the entry is
refused.`,
		Example: `  handset migrate auth0 --clients clients.json --connections connections.json --users users.json --dry-run
  handset migrate auth0 --users users.json --report refused.txt`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.country != "" && !phone.KnownRegion(f.country) {
				return usage(cmd, "--country: want a region of two capital letters, such as JP")
			}
			if f.users+f.connections+f.clients == "" {
				return withHint(usage(cmd, "nothing to import"), "--clients, --connections or --users FILE")
			}
			return env.withNewSQL(cmd.Context(), func(db *database) error { return env.migrateAuth0(cmd.Context(), db, f) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.clients, "clients", "", "a `file` of clients")
	flags.StringVar(&f.connections, "connections", "", "a `file` of connections")
	flags.StringVar(&f.users, "users", "", "a `file` of users")
	flags.StringVar(&f.country, "country", "", "the `region` of numbers without a country calling code, such as JP")
	flags.BoolVar(&f.update, "update", false, "change what is there already")
	flags.BoolVar(&f.dryRun, "dry-run", false, "keep nothing, and say what would become of it")
	flags.StringVar(&f.report, "report", "", "write what is not taken to this `file` instead of standard error")
	return cmd
}

// migration is one import of a tenant.
type migration struct {
	*environment
	auth0Flags
	db      *database
	out     io.Writer // the report
	refused int
	tally   tally
}

func (env *environment) migrateAuth0(ctx context.Context, db *database, f auth0Flags) error {
	out, closeReport, err := env.openReport(f.report)
	if err != nil {
		return err
	}
	m := &migration{environment: env, auth0Flags: f, db: db, out: out}
	err = errors.Join(m.file(f.clients, "clients", func(r io.Reader) error { return m.readClients(ctx, r) }),
		m.file(f.connections, "connections", func(r io.Reader) error { return m.readConnections(ctx, r) }),
		m.file(f.users, "users", func(r io.Reader) error { return m.readUsers(ctx, r) }), closeReport())
	if err == nil && m.refused > 0 {
		refused := "1 entry was refused"
		if m.refused > 1 {
			refused = fmt.Sprintf("%d entries were refused", m.refused)
		}
		err = withHint(errors.New(refused), "correct them and do it again; what is there stays unchanged")
	}
	return err
}

// file reads a file of those, when there is one to read.
func (m *migration) file(name, member string, read func(io.Reader) error) error {
	if name == "" {
		return nil
	}
	in, err := m.openList(name)
	if err != nil {
		return err
	}
	defer in.Close()
	m.tally = tally{}
	text, err := auth0.Open(in)
	if err == nil {
		err = read(text)
	}
	if err == nil {
		return nil
	}
	told := fmt.Errorf("%s: %w", name, err)
	if errors.Is(err, auth0.ErrPage) {
		return withHint(told, "jq -s 'map(.%[1]s) | add' PAGES > %[1]s.json joins pages", member)
	}
	return told
}

// entry counts and reports what became of a client or a connection.
func (m *migration) entry(what string, outcome storage.Outcome, problems []string, e auth0.Entry, count *people.Summary) error {
	switch outcome {
	case storage.Added:
		count.Added++
	case storage.Updated:
		count.Updated++
	case storage.Unchanged:
		count.Unchanged++
	case storage.Refused:
		count.Refused++
		m.refused++
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, m.tell(what, p))
	}
	if outcome != storage.Refused { // the rest is about what is taken
		errs = append(errs, m.remark(what, e.Notes, e.NotTaken))
	}
	return errors.Join(errs...)
}

const differs = "is there already, and differs (--update changes it)"

func (m *migration) say(what string, s people.Summary) {
	would := ""
	if m.dryRun {
		would = "would be "
	}
	m.environment.say("%s: %s%d added, %d updated, %d unchanged, %d refused", what, would, s.Added, s.Updated, s.Unchanged, s.Refused)
}

func (m *migration) readClients(ctx context.Context, r io.Reader) error {
	list, err := auth0.ReadClients(r)
	if err != nil {
		return err
	}
	var count people.Summary
	for _, c := range list {
		what := entryName("client", string(c.ClientID), c.Place)
		if c.Tenant {
			if err := m.tell(what, "note: stands for the tenant, and is nothing here"); err != nil {
				return err
			}
			continue
		}
		outcome, problems, err := m.client(ctx, &c)
		if err != nil {
			return err
		}
		if err := m.entry(what, outcome, problems, c.Entry, &count); err != nil {
			return err
		}
	}
	m.say("clients", count)
	return m.sum("clients")
}

// client takes over one client, whole or not at all.
func (m *migration) client(ctx context.Context, in *auth0.Client) (storage.Outcome, []string, error) {
	if in.Err != nil {
		return storage.Refused, []string{in.Err.Error()}, nil
	}
	if err := m.refuseFromFile(m.db, in.ClientID, "import"); err != nil {
		return storage.Refused, []string{"the configuration declares it"}, nil
	}
	c := in.Client
	if c.GrantTypes == nil {
		c.GrantTypes = registration.UsualGrants(c.AppType)
	}
	c.GrantTypes = slices.DeleteFunc(slices.Clone(c.GrantTypes), func(grant string) bool { return !registration.KnownGrant(grant) })
	for _, grant := range in.GrantTypes {
		if !registration.KnownGrant(grant) {
			in.NotTaken = append(in.NotTaken, "grant_types "+auth0.Quote(grant))
		}
	}
	for _, doubt := range registration.Doubts(c) {
		if doubt.Field != "" { // all tenants go without PKCE, state and nonce
			in.Notes = append(in.Notes, doubt.String())
		}
	}
	if in.Secret != "" {
		c.SecretMACs = [][]byte{registered.SecretMAC(m.db.vault, c.ClientID, in.Secret)}
	}
	var problems []string
	for _, p := range registration.Validate(c) {
		text := p.String()
		switch p.Field {
		case "client_id":
			return storage.Refused, []string{text}, nil // no command line may repeat it
		case "client_secret":
			text = "client_secret: is missing: read the clients with a token that has read:client_keys"
		case "jwks":
			text = fmt.Sprintf("jwks: its key is not in an export; register it: handset client add --id %s --auth-method private_key_jwt --jwks FILE", c.ClientID)
		}
		problems = append(problems, text)
	}
	if len(problems) > 0 {
		return storage.Refused, problems, nil
	}
	c.CreatedAt, c.UpdatedAt = m.now(), m.now()
	outcome := storage.Added
	before, err := m.db.Client(ctx, c.ClientID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return outcome, nil, err
	case sameClient(before, c):
		return storage.Unchanged, nil, nil
	case !m.update:
		return storage.Refused, []string{differs}, nil
	default:
		outcome = storage.Updated
	}
	switch {
	case m.dryRun:
		return outcome, nil, nil
	case outcome == storage.Added:
		return outcome, nil, m.db.CreateClient(ctx, c)
	}
	return outcome, nil, m.db.UpdateClient(ctx, c.ClientID, func(record *storage.Client) error {
		c.CreatedAt = record.CreatedAt
		*record = c
		return nil
	})
}

// sameClient compares all but times. An export that has the secret in force has not
// changed it, whatever others there are.
func sameClient(a, b storage.Client) bool {
	if len(b.SecretMACs) > 0 {
		found := false
		for _, mac := range a.SecretMACs {
			found = found || bytes.Equal(mac, b.SecretMACs[0])
		}
		if !found {
			return false
		}
	}
	text := func(c storage.Client) string {
		for _, list := range []*[]string{&c.Callbacks, &c.AllowedLogoutURLs, &c.WebOrigins, &c.AllowedOrigins, &c.GrantTypes} {
			*list = append([]string{}, *list...) // nil and empty say the same
		}
		out, _ := json.Marshal(c) // strings and lists of them
		return string(out)
	}
	return text(a) == text(b)
}

func (m *migration) readConnections(ctx context.Context, r io.Reader) error {
	list, err := auth0.ReadConnections(r)
	if err != nil {
		return err
	}
	if len(m.db.config.Connections) > 0 {
		m.warn("connections: the one of the configuration stays in use; take it out to use an imported one")
	}
	senders, err := openSenders(m.db.config)
	if err != nil {
		return err
	}
	defer senders.Close()
	var count people.Summary
	for _, c := range list {
		what := entryName("connection", string(c.Name), c.Place)
		outcome, problems, err := m.connection(ctx, c, senders)
		if err != nil {
			return err
		}
		if c.Name != "sms" {
			c.Notes = append(c.Notes, "serves the logins that name it; those that name none go by sms")
		}
		if err := m.entry(what, outcome, problems, c.Entry, &count); err != nil {
			return err
		}
	}
	m.say("connections", count)
	return m.sum("connections")
}

func (m *migration) connection(ctx context.Context, in auth0.Connection, senders passcode.Senders) (storage.Outcome, []string, error) {
	switch {
	case in.Err != nil:
		return storage.Refused, []string{in.Err.Error()}, nil
	case in.Strategy != "sms":
		return storage.Refused, []string{fmt.Sprintf("strategy %s: people log in by sms here", auth0.Quote(in.Strategy))}, nil
	case !registration.ConnectionNames.MatchString(string(in.Name)):
		return storage.Refused, []string{"name: want letters, digits and hyphens, at most 128, and no hyphen at an end"}, nil
	}
	parsed, err := parseConnection(in.Connection, senders)
	if err != nil {
		// Options are quoted, and people put numbers into texts.
		return storage.Refused, strings.Split(numbers.ReplaceAllString(err.Error(), "…"), "; "), nil
	}
	if err := parsed.Close(); err != nil {
		return storage.Refused, nil, err
	}
	kept, err := m.db.Connections(ctx)
	if err != nil {
		return storage.Refused, nil, err
	}
	outcome := storage.Added
	for i := range kept {
		switch {
		case kept[i].Name != in.Name || sameJSON(kept[i].Options, []byte(`{"provider":"console"}`)): // as every database begins
		case sameJSON(kept[i].Options, in.Options) && sameSettings(kept[i].Settings, in.Settings):
			return storage.Unchanged, nil, nil
		case !m.update:
			return storage.Refused, []string{differs}, nil
		default:
			outcome = storage.Updated
		}
	}
	if m.dryRun {
		return outcome, nil, nil
	}
	in.UpdatedAt = m.now()
	return outcome, nil, m.db.PutConnection(ctx, in.Connection)
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// sameSettings compares what is kept of settings.
func sameSettings(a, b storage.ConnectionSettings) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (m *migration) readUsers(ctx context.Context, r io.Reader) error {
	importer := people.Importer{
		Store: m.db, Schema: m.db.config.People.Schema(), Rules: numberRules(m.db), Country: m.country, Format: people.Auth0,
		NewID: mint.UserID, Now: m.now, Update: m.update, DryRun: m.dryRun,
		Report: func(e *people.LineError) error { return m.tell("users", e.Error()) },
		Note:   func(r people.Remark) error { return m.remark("users: "+r.Place, r.Notes, r.NotTaken) },
	}
	count, err := importer.Import(ctx, r)
	m.refused += count.Refused
	if err != nil && count == (people.Summary{}) {
		return err
	}
	m.say("users", count)
	return errors.Join(err, m.sum("users"))
}
