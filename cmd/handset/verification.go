package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
)

func newVerificationCommand(env *environment) *cobra.Command {
	return group("verification", "look at verifications of numbers",
		`Verification looks at the numbers that clients have verified outside any login:
for 7 days how each of them went, and what its client was told.`,
		newVerificationShowCommand(env), newVerificationSecretCommand(env))
}

// verificationJSON is a verification as --json writes it.
type verificationJSON struct {
	ID        storage.VerificationID     `json:"id"`
	ClientID  storage.ClientID           `json:"client_id"`
	Dialect   storage.Dialect            `json:"dialect"`
	Number    string                     `json:"phone_number"`
	Status    storage.VerificationStatus `json:"status"`
	CreatedAt time.Time                  `json:"created_at"`
	SentAt    *time.Time                 `json:"sent_at"`
	ExpiresAt time.Time                  `json:"expires_at"`
	EndedAt   *time.Time                 `json:"ended_at"`
	Reason    string                     `json:"reason,omitempty"`
	Callback  *callbackJSON              `json:"callback"`
}

type callbackJSON struct {
	State    storage.CallbackState `json:"state"`
	Attempts int                   `json:"attempts"`
	Outcome  string                `json:"outcome"`
	DueAt    *time.Time            `json:"due_at"`
}

func newVerificationShowCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show one verification and its callback",
		Long: `Show writes how a verification stands, its number masked, and what became of
telling its client at its callback_url.`,
		Example: `  handset verification show 741c65651d4c40cea29acdd5bb47baf1`,
		Args:    oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				return env.showVerification(cmd.Context(), db, storage.VerificationID(strings.ToLower(args[0])), asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (env *environment) showVerification(ctx context.Context, db *database, id storage.VerificationID, asJSON bool) error {
	v, err := db.Verification(ctx, id, "", env.now())
	if errors.Is(err, storage.ErrNotFound) {
		return withHint(fmt.Errorf("there is no verification %s", id), "verifications are kept for 7 days, and have 32 hex digits")
	}
	if err != nil {
		return err
	}
	out := verificationJSON{
		ID: v.ID, ClientID: v.ClientID, Dialect: v.Dialect, Number: v.Number.String(), Status: v.Status, CreatedAt: v.CreatedAt,
		SentAt: timeJSON(v.SentAt), ExpiresAt: v.Deadline, EndedAt: timeJSON(v.EndedAt), Reason: v.Reason,
	}
	callback, err := db.VerificationCallback(ctx, id)
	switch {
	case err == nil:
		out.Callback = &callbackJSON{State: callback.State, Attempts: callback.Attempts, Outcome: callback.Outcome, DueAt: timeJSON(callback.DueAt)}
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if asJSON {
		return env.printJSON(out)
	}
	return env.printVerification(out)
}

func (env *environment) printVerification(v verificationJSON) error {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-12s %s\n", name, value) }
	at := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format(time.RFC3339)
	}
	line("id", string(v.ID))
	line("client", string(v.ClientID)+" ("+string(v.Dialect)+")")
	line("number", v.Number)
	status := string(v.Status)
	if v.Reason != "" { // a client's words, which may hold anything
		status += ": " + strconv.Quote(v.Reason)
	}
	line("status", status)
	line("created", at(&v.CreatedAt))
	line("text left", at(v.SentAt))
	line("expires", at(&v.ExpiresAt))
	line("ended", at(v.EndedAt))
	switch {
	case v.Callback == nil:
		line("callback", "none")
	case v.Callback.State == storage.CallbackWaiting:
		line("callback", fmt.Sprintf("%d attempts, the last: %s; next at %s", v.Callback.Attempts, v.Callback.Outcome, at(v.Callback.DueAt)))
	default:
		line("callback", fmt.Sprintf("%s after %d attempts: %s", strings.ReplaceAll(string(v.Callback.State), "_", " "), v.Callback.Attempts, v.Callback.Outcome))
	}
	_, err := fmt.Fprint(env.stdout, b.String())
	return err
}

func newVerificationSecretCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "secret CLIENT_ID",
		Short: "show what a client's callbacks are signed with",
		Long: `Secret writes the secret of Standard Webhooks that the callbacks to a client are
signed with. It follows from the secret key; while the key file has several,
callbacks are signed with each, and the active one's secret is shown.`,
		Example: `  handset verification secret shop`,
		Args:    oneArgument("client_id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				if _, err := findClient(cmd.Context(), db, storage.ClientID(args[0])); err != nil {
					return unknownClient(err, args[0])
				}
				_, err := fmt.Fprintln(env.stdout, verification.WebhookSecrets(db.vault, storage.ClientID(args[0]))[0])
				return err
			})
		},
	}
}
