package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider"
)

// testText is what sms send sends unless it is told otherwise.
const testText = "This is a test of text messages. Nothing is to be done."

func newSMSSendCommand(env *environment) *cobra.Command {
	text := testText
	cmd := &cobra.Command{
		Use:   "send NUMBER",
		Short: "send a real text by the configured routes",
		Long: `Send hands a real text over as a login would, by the senders that the
routes name for the number, and writes each attempt and how it ended. No limit
is asked, since limits are for strangers, and the text has no code. What the
sender says of it later is found under the reference by handset why.`,
		Example: `  handset sms send +819012345678
  handset sms send +819012345678 --text "Hello from the new gateway"`,
		Args: oneArgument("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := typedNumber(args[0])
			if err != nil {
				return withHint(usage(cmd, "NUMBER: not a phone number"), "write it in international form, such as +819012345678")
			}
			return env.withNewSQL(cmd.Context(), func(db *database) error {
				return env.sendText(cmd.Context(), db, number, text)
			})
		},
	}
	cmd.Flags().StringVar(&text, "text", testText, "the `words` of the text")
	return cmd
}

func (env *environment) sendText(ctx context.Context, db *database, number phone.Number, text string) (err error) {
	if err := mayText(db.config, number); err != nil {
		return err
	}
	record := server.Connection(db.config)
	if record == nil {
		if record, err = storedConnection(ctx, db.Store); err != nil {
			return err
		}
	}
	senders, err := onOneLine(sending(db.config, env.stderr).Open())
	if err != nil {
		return err
	}
	defer senders.Close()
	connection, err := parseConnection(*record, senders)
	if err != nil {
		return err
	}
	defer connection.Close()
	engine, err := passcode.New(passcode.Config{
		Store: noCodes{}, Vault: db.vault, Records: db, Now: env.now,
		ReceiptURL: provider.ReceiptURL(db.config.Issuer, db.config.AllowPrivateGateways),
	})
	if err != nil {
		return err
	}
	sent, err := engine.SendText(ctx, connection, number, text)
	for _, a := range sent.Story.Attempts {
		fmt.Fprintln(env.stdout, attemptLine(a))
	}
	fmt.Fprintf(env.stdout, "reference %s\n", sent.Reference)
	return errors.Join(err, engine.Drain(ctx))
}

// noCodes is the store of an engine that sends no codes.
type noCodes struct{ passcode.Store }

// mayText refuses numbers that the provider would not text either.
func mayText(c *config.Config, number phone.Number) error {
	rules := phone.Rules{Countries: c.Countries}
	if _, err := rules.Parse(number.E164(), ""); err != nil {
		return withHint(err, "countries says whose numbers may be texted; test numbers get no texts")
	}
	return nil
}
