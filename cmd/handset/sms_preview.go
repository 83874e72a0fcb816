package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

func newSMSPreviewCommand(env *environment) *cobra.Command {
	var to, language, client string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "preview --to NUMBER",
		Short: "show a text as it would be sent, and what it costs",
		Long: `Preview writes the text that the login pages would have sent, with a code that
is none, and how it travels: GSM-7 has room for 160 characters in a segment,
UCS-2, which a single character can force, for 70, and each segment is paid for.
It warns about more than one segment, about a character that forces UCS-2 and
about a name that was shortened. Nothing is sent.`,
		Example: `  handset sms preview --to +819012345678
  handset sms preview --to +819012345678 --lang ja --client shop
  handset sms preview --to +819012345678 --lang 'fr-CA,fr;q=0.9' --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			number, err := typedNumber(to)
			if err != nil {
				return withHint(usage(cmd, "--to: not a phone number"), "write it in international form, such as +819012345678")
			}
			c, err := env.loadConfig()
			if err != nil {
				return err
			}
			connection, name, err := env.textParts(cmd.Context(), c, client)
			if err != nil {
				return err
			}
			return env.printPreview(previewText(connection, sms.Fields{
				Number: number, Application: name, Language: language, Host: sms.OriginHost(c.Issuer),
			}), asJSON)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `number`, in international form")
	cmd.Flags().StringVar(&language, "lang", "", "the `languages` that the person asks for, as a browser would; English when there are none")
	cmd.Flags().StringVar(&client, "client", "", "the `ID` of the application that is named; a made-up one when not given")
	jsonFlag(cmd, &asJSON)
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // unreachable: the flag is made above
	}
	return cmd
}

// exampleName stands for an application when none was named.
const exampleName = "Example"

// textParts finds what texts are made of: the connection in use and the name of a
// client. The database is read only for what the file does not declare.
func (env *environment) textParts(ctx context.Context, c *config.Config, id string) (*passcode.Connection, string, error) {
	record := server.Connection(c)
	name, found := exampleName, id == ""
	for i := range c.Clients {
		if c.Clients[i].ClientID == id {
			name, found = c.Clients[i].Name, true
		}
	}
	if _, absent := missingDatabase(c); !absent && (record == nil || !found) {
		err := env.withSQL(ctx, func(db *database) (err error) {
			if record == nil {
				if record, err = storedConnection(ctx, db.Store); err != nil {
					return err
				}
			}
			if found {
				return nil
			}
			client, err := db.Client(ctx, storage.ClientID(id))
			name, found = client.Name, err == nil
			return unknownClient(err, id)
		})
		if err != nil {
			return nil, "", err
		}
	}
	switch {
	case !found:
		return nil, "", unknownClient(storage.ErrNotFound, id)
	case record == nil: // the first start makes one that says nothing of texts
		return &passcode.Connection{}, name, nil
	}
	senders, err := openSenders(c)
	if err != nil {
		return nil, "", err
	}
	connection, err := parseConnection(*record, senders)
	if err != nil {
		return nil, "", fmt.Errorf("connection %s: %w", record.Name, err)
	}
	return connection, name, nil
}

// preview is a text and what it costs.
type preview struct {
	Text     string   `json:"text"`
	Encoding string   `json:"encoding"`
	Units    int      `json:"units"`
	Segments int      `json:"segments"`
	Warnings []string `json:"warnings"`
}

// fewCharacters is up to how many characters are worth naming: more are a script.
const fewCharacters = 3

func previewText(c *passcode.Connection, f sms.Fields) preview {
	p := preview{Text: c.Example(f), Warnings: []string{}}
	p.Encoding, p.Segments, p.Units = sms.Segments(p.Text)
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	if _, fits := sms.MatchLanguage(f.Language); f.Language != "" && !fits && c.Template.BuiltIn() {
		warn("there is no text in %q: this is the English one", f.Language)
	}
	if cleaned := sms.CleanName(f.Application); cleaned != f.Application {
		what := "changed"
		if strings.HasPrefix(f.Application, cleaned) {
			what = "shortened"
		}
		warn("the application's name is %s to %q", what, cleaned)
	}
	if outside := sms.OutsideGSM7(p.Text); len(outside) > 0 && len(outside) <= fewCharacters {
		warn("UCS-2, which has less than half of the room, is forced by %s", characters(outside))
	}
	if p.Segments > 1 {
		warn("%s", segmentsWarning(c, f, p))
	}
	return p
}

// characters names characters by their signs and numbers.
func characters(all []rune) string {
	names := make([]string, len(all))
	for i, r := range all {
		names[i] = fmt.Sprintf("%q (%U)", r, r)
	}
	return strings.Join(names, " and ")
}

// segmentsWarning says what a text of several segments has too much of.
func segmentsWarning(c *passcode.Connection, f sms.Fields, p preview) string {
	warning := fmt.Sprintf("%d segments, each of which is paid for (%d units of %s)", p.Segments, p.Units, p.Encoding)
	host := f.Host
	f.Host = ""
	if _, segments, units := sms.Segments(c.Example(f)); host != "" && segments < p.Segments {
		warning += fmt.Sprintf("; %d with %d units without the last line, which binds the code to %s: origin_bound: false leaves it out",
			segments, units, host)
	}
	return warning
}

func (env *environment) printPreview(p preview, asJSON bool) error {
	if asJSON {
		return env.printJSON(p)
	}
	for _, w := range p.Warnings {
		env.warn("%s", w)
	}
	_, err := fmt.Fprintf(env.stdout, "encoding: %s\nunits:    %d\nsegments: %d\n\n%s\n", p.Encoding, p.Units, p.Segments, p.Text)
	return err
}

// longest is as long as a number can be (E.164).
const longest = "+123456789012345"

// measure warns when the longest text that the connection's own template makes for
// a client that there is takes more than one segment.
func (k *checker) measure(template string, c *passcode.Connection) {
	if c.Template.BuiltIn() {
		return // they fit
	}
	names := slices.Clone(k.names)
	for i := range k.c.Clients {
		names = append(names, k.c.Clients[i].Name)
	}
	number, err := phone.FromStored(longest)
	if err != nil {
		panic(err) // unreachable: it is a constant
	}
	f := sms.Fields{Number: number, Application: widest(names), Host: sms.OriginHost(k.c.Issuer)}
	var most preview
	in := f
	for _, language := range sms.Languages() {
		f.Language = language
		if p := previewText(c, f); p.Segments > most.Segments {
			most, in = p, f
		}
	}
	if most.Segments > 1 {
		k.env.warn("%s: for the client %q in %q: %s", template, in.Application, in.Language, segmentsWarning(c, in, most))
	}
}

// widest returns the name that makes texts longest: a character that GSM-7 lacks
// counts for more than any length, since it leaves less than half of the room.
func widest(names []string) string {
	found, most := exampleName, 0
	for _, name := range names {
		encoding, _, units := sms.Segments(sms.CleanName(name))
		if encoding == sms.UCS2 {
			units += 1000 // it comes first, however short
		}
		if units > most {
			found, most = name, units
		}
	}
	return found
}
