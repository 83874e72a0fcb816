package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/people"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
)

// importFlags are those of handset user import.
type importFlags struct {
	format, country, report        string
	update, atomic, dryRun, asJSON bool
}

func newUserImportCommand(env *environment) *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "register many people from a list",
		Long: `Import registers the people of a list: CSV with a header, separated by commas,
semicolons or tabs, or NDJSON, one object per line. UTF-8, or UTF-16 with a
byte-order mark. - is standard input.

  CSV      columns phone_number (or phone, number), user_id and blocked, all but
           the first optional; every other one is an attribute. An empty cell
           says nothing.
  NDJSON   {"phone_number": "+819012345678", "user_id": "...", "blocked": false,
           "attributes": {"employee_id": "291"}}; null takes an attribute away.

A user_id is kept as it is. A line without one means whoever has the number, or
somebody new. People who are there already are left alone when nothing differs,
so that a list can be imported twice. When something differs, --update changes
them; without it the line is refused. Blocking ends sessions and tokens.

Each line that is refused is reported with its reason, never with a number, and
the exit status is then 1; the others are kept, unless --atomic says that all
stand or fall together. Logins go on meanwhile; with --atomic they wait while
the list is written.`,
		Example: `  handset user import people.csv --dry-run
  handset user import people.csv --country JP --report refused.txt
  handset user import people.ndjson --update --atomic`,
		Args: oneArgument("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.format != "" && !slices.Contains(people.Formats(), flags.format) {
				return usage(cmd, "--format: want "+strings.Join(people.Formats(), " or "))
			}
			if flags.country != "" && !phone.KnownRegion(flags.country) {
				return usage(cmd, "--country: want a region of two capital letters, such as JP")
			}
			return env.withNewSQL(cmd.Context(), func(db *database) error {
				return env.importPeople(cmd.Context(), db, args[0], flags)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "", "csv or ndjson; without it the first line decides")
	f.StringVar(&flags.country, "country", "", "the `region` of numbers without a country calling code, such as JP")
	f.BoolVar(&flags.update, "update", false, "change people who are there already")
	f.BoolVar(&flags.atomic, "atomic", false, "all or nobody")
	f.BoolVar(&flags.dryRun, "dry-run", false, "keep nobody, and say what would become of them")
	f.StringVar(&flags.report, "report", "", "write refused lines to this `file` instead of standard error")
	jsonFlag(cmd, &flags.asJSON)
	return cmd
}

func (env *environment) importPeople(ctx context.Context, db *database, name string, flags importFlags) error {
	in, err := env.openList(name)
	if err != nil {
		return err
	}
	defer in.Close()
	report, closeReport, err := env.openReport(flags.report)
	if err != nil {
		return err
	}
	importer := people.Importer{
		Store: db, Schema: db.config.People.Schema(), Rules: numberRules(db), Country: flags.country, Format: flags.format,
		NewID: mint.UserID, Now: env.now, Update: flags.update, Atomic: flags.atomic, DryRun: flags.dryRun,
		Report: func(e *people.LineError) error {
			_, err := fmt.Fprintln(report, e)
			return err
		},
	}
	summary, err := importer.Import(ctx, in)
	err = errors.Join(err, closeReport())
	if err != nil && summary == (people.Summary{}) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if flags.asJSON {
		err = errors.Join(err, env.printJSON(struct {
			people.Summary
			DryRun bool `json:"dry_run"`
		}{summary, flags.dryRun}))
	}
	env.sayImported(summary, flags)
	switch {
	case err != nil:
		return withHint(fmt.Errorf("%s: %w", name, err), "what was counted is kept; the list can be imported again")
	case summary.Refused == 0:
		return nil
	case flags.atomic:
		return withHint(fmt.Errorf("%d lines were refused, and nobody was imported", summary.Refused), "correct them, or leave --atomic away to import the others")
	}
	return withHint(fmt.Errorf("%d lines were refused", summary.Refused), "correct them and import the list again; who is there stays unchanged")
}

func (env *environment) sayImported(s people.Summary, flags importFlags) {
	would := ""
	if flags.dryRun {
		would = "would be "
	}
	env.say("%s%d added, %d updated, %d unchanged, %d refused", would, s.Added, s.Updated, s.Unchanged, s.Refused)
}

// openList opens a list; - is standard input.
func (env *environment) openList(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(env.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, plainFileError(name, err)
	}
	return f, nil
}

// plainFileError names the file once, however it was named to the system.
func plainFileError(name string, err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		err = pathErr.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// openReport is where refused lines go, and what closes it.
func (env *environment) openReport(name string) (io.Writer, func() error, error) {
	if name == "" {
		out := bufio.NewWriter(env.stderr)
		return out, out.Flush, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, plainFileError(name, err)
	}
	out := bufio.NewWriter(f)
	return out, func() error { return errors.Join(out.Flush(), f.Close()) }, nil
}

func newUserExportCommand(env *environment) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "write everyone, with whole numbers, as a list",
		Long: `Export writes everyone to a file that only its owner can read, or to standard
output: user ID, number, whether they are blocked, and their attributes. It is
the list that import takes. It holds whole numbers: keep it as you keep the
database and its key, and delete it when it has served.

What people may use, sessions and tokens are not in it.`,
		Example: `  handset user export people.csv
  handset user export --format ndjson people.ndjson`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "want one file")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(people.Formats(), format) {
				return usage(cmd, "--format: want "+strings.Join(people.Formats(), " or "))
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				e := &people.Exporter{Store: db, Schema: db.config.People.Schema(), Format: format}
				if len(args) == 0 || args[0] == "-" {
					return env.export(cmd.Context(), e, env.stdout)
				}
				return env.exportTo(cmd.Context(), e, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", people.CSV, "csv or ndjson")
	return cmd
}

// exportTo makes the file beside its place, so that the one before is there until the
// new one is whole, and nobody else can read it at any time.
func (env *environment) exportTo(ctx context.Context, e *people.Exporter, name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*") // mode 0600
	if err != nil {
		return plainFileError(name, err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(env.export(ctx, e, f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return plainFileError(name, err)
	}
	return nil
}

func (env *environment) export(ctx context.Context, e *people.Exporter, w io.Writer) error {
	n, unknown, err := e.Export(ctx, w)
	if err != nil {
		return err
	}
	env.warn("the list holds the whole numbers of %d people", n)
	if len(unknown) > 0 {
		env.warn("people.attributes has no %s; handset user import will refuse them", strings.Join(unknown, ", "))
	}
	return nil
}
