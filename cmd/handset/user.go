package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

func newUserCommand(env *environment) *cobra.Command {
	return group("user", "register people, say what they may use, block and remove them",
		`User works on the people of the database of a running server, and every server
knows within a second. A person is named by the phone number, in international
form, or by the user ID (the sub of tokens). Numbers are shown masked.`,
		newUserAddCommand(env),
		newUserListCommand(env),
		newUserShowCommand(env),
		newUserUpdateCommand(env),
		newUserAllowCommand(env),
		newUserDisallowCommand(env),
		newUserBlockCommand(env),
		newUserUnblockCommand(env),
		newUserRemoveCommand(env),
		newUserImportCommand(env),
		newUserExportCommand(env),
	)
}

// userPage is how many people are read at a time.
const userPage = 500

func newUserListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list people",
		Long:  `List writes all people in the order of their IDs, numbers masked.`,
		Example: `  handset user list
  handset user list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.withSQL(cmd.Context(), func(db *database) error {
				if asJSON {
					return writeUsersJSON(cmd.Context(), env.stdout, db)
				}
				return env.printUsers(cmd.Context(), db)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// eachUser reads everyone, page by page.
func eachUser(ctx context.Context, db *database, visit func(storage.User) error) error {
	for after := storage.UserID(""); ; {
		page, err := db.Users(ctx, after, userPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			if err := visit(u); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

func (env *environment) printUsers(ctx context.Context, db *database) error {
	t := env.table("USER_ID", "NUMBER", "CREATED", "LAST LOGIN", "STATE")
	err := eachUser(ctx, db, func(u storage.User) error {
		t.row(string(u.ID), u.Number.String(), timeText(u.CreatedAt), timeText(u.LastLoginAt), userState(u))
		return nil
	})
	return errors.Join(err, t.flush())
}

// writeUsersJSON writes one array without holding everyone in memory.
func writeUsersJSON(ctx context.Context, w io.Writer, db *database) error {
	separator := "[\n  "
	err := eachUser(ctx, db, func(u storage.User) error {
		text, err := json.Marshal(userAsJSON(u))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%s", separator, text)
		separator = ",\n  "
		return err
	})
	if err != nil {
		return err
	}
	if strings.HasPrefix(separator, "[") {
		_, err = fmt.Fprintln(w, "[]")
		return err
	}
	_, err = fmt.Fprintln(w, "\n]")
	return err
}

func userState(u storage.User) string {
	if u.Blocked {
		return "blocked"
	}
	return "active"
}

// userJSON is a person as --json writes it.
type userJSON struct {
	UserID      storage.UserID `json:"user_id"`
	PhoneNumber string         `json:"phone_number"`
	Blocked     bool           `json:"blocked"`
	CreatedAt   *time.Time     `json:"created_at"`
	UpdatedAt   *time.Time     `json:"updated_at"`
	LastLogin   *time.Time     `json:"last_login"`
	VerifiedAt  *time.Time     `json:"verified_at"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

func userAsJSON(u storage.User) userJSON {
	return userJSON{
		UserID: u.ID, PhoneNumber: u.Number.String(), Blocked: u.Blocked,
		CreatedAt: timeJSON(u.CreatedAt), UpdatedAt: timeJSON(u.UpdatedAt),
		LastLogin: timeJSON(u.LastLoginAt), VerifiedAt: timeJSON(u.VerifiedAt),
		Attributes: u.Attributes,
	}
}

func newUserShowCommand(env *environment) *cobra.Command {
	var asJSON, reveal bool
	cmd := &cobra.Command{
		Use:   "show NUMBER|ID",
		Short: "show one person",
		Long: `Show writes what is known of a person. The number is masked; --reveal shows its
last four digits, enough to talk about it with its owner.`,
		Example: `  handset user show +819012345678
  handset user show 'sms|0123456789abcdef01234567' --json`,
		Args: oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				apis, err := db.Assignments(cmd.Context(), u.ID)
				if err != nil {
					return err
				}
				out := shownUser{userJSON: userAsJSON(u), APIs: []assignedJSON{}}
				if reveal {
					out.PhoneNumber = lastFour(u.Number)
				}
				for _, a := range apis {
					out.APIs = append(out.APIs, assignedJSON{a.Audience, a.AllScopes, a.Scopes})
				}
				if asJSON {
					return env.printJSON(out)
				}
				return env.printUser(u, out)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&reveal, "reveal", false, "show the last four digits of the number")
	return cmd
}

// lastFour is the form that support may see (security.md, privacy).
func lastFour(n phone.Number) string {
	masked, raw := n.String(), n.E164()
	if len(raw) < 8 {
		return masked
	}
	return masked[:len(masked)-4] + raw[len(raw)-4:]
}

// shownUser is a person as show writes them.
type shownUser struct {
	userJSON
	APIs []assignedJSON `json:"apis"`
}

// assignedJSON is an API that a person may use.
type assignedJSON struct {
	Audience  storage.Audience `json:"audience"`
	AllScopes bool             `json:"allow_all_scopes"`
	Scopes    []string         `json:"scope"`
}

func (env *environment) printUser(u storage.User, shown shownUser) error {
	fmt.Fprintf(env.stdout, "user_id:     %s\nnumber:      %s\nstate:       %s\ncreated:     %s\nlast login:  %s\nverified:    %s\n",
		u.ID, shown.PhoneNumber, userState(u), orDash(timeText(u.CreatedAt)), orDash(timeText(u.LastLoginAt)), orDash(timeText(u.VerifiedAt)))
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		fmt.Fprintf(env.stdout, "attribute:   %s = %v\n", name, u.Attributes[name])
	}
	for _, a := range shown.APIs {
		fmt.Fprintf(env.stdout, "api:         %s (%s)\n", a.Audience, allowanceText(storage.Allowance{AllScopes: a.AllScopes, Scopes: a.Scopes}))
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// withUser finds a person and works on them.
func (env *environment) withUser(ctx context.Context, who string, work func(*database, storage.User) error) error {
	return env.withSQL(ctx, func(db *database) error {
		u, err := findUser(ctx, db, who)
		if errors.Is(err, storage.ErrNotFound) {
			// The number stays out of the error: terminals are recorded.
			return withHint(errors.New("there is no such person"), "name the number in international form (+81...), or the user ID; handset user list")
		}
		if err != nil {
			return err
		}
		return work(db, u)
	})
}

func findUser(ctx context.Context, db *database, who string) (storage.User, error) {
	if !strings.HasPrefix(who, "+") {
		return db.User(ctx, storage.UserID(who))
	}
	number, err := typedNumber(who)
	if err != nil {
		return storage.User{}, storage.ErrNotFound
	}
	return db.UserByNumber(ctx, number)
}

// changedUser tells what became of a person: in words, or as JSON what they are now.
func (env *environment) changedUser(ctx context.Context, db *database, id storage.UserID, done string, asJSON bool) error {
	env.say("%s %s", done, id)
	if !asJSON {
		return nil
	}
	u, err := db.User(ctx, id)
	if err != nil {
		return err
	}
	return env.printJSON(userAsJSON(u))
}

// typedNumber reads a number in international form, as people write it.
func typedNumber(text string) (phone.Number, error) {
	return phone.FromStored(strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(text))
}

func newUserBlockCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "block NUMBER|ID",
		Short: "refuse a person from now on",
		Long: `Block refuses a person: their sessions end, what was granted to applications is
revoked, and no code is accepted until they are unblocked.`,
		Example: `  handset user block +819012345678`,
		Args:    oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				if err := db.BlockUser(cmd.Context(), u.ID, env.now()); err != nil {
					return err
				}
				return env.changedUser(cmd.Context(), db, u.ID, "blocked", asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newUserUnblockCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "unblock NUMBER|ID",
		Short:   "let a blocked person sign in again",
		Long:    `Unblock lets a blocked person sign in again. What blocking ended stays ended.`,
		Example: `  handset user unblock +819012345678`,
		Args:    oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				if err := db.UnblockUser(cmd.Context(), u.ID, env.now()); err != nil {
					return err
				}
				return env.changedUser(cmd.Context(), db, u.ID, "unblocked", asJSON)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newUserRemoveCommand(env *environment) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove NUMBER|ID",
		Short: "erase a person",
		Long: `Remove erases a person with their number and sessions, and revokes what was
granted to applications. Their user ID is never given to anyone again: the same
number that signs in later is a new person.`,
		Example: `  handset user remove +819012345678 --yes`,
		Args:    oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirmed(cmd, yes, "this erases a person and can't be undone"); err != nil {
				return err
			}
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				if err := db.RemoveUser(cmd.Context(), u.ID, env.now()); err != nil {
					return err
				}
				env.say("removed %s", u.ID)
				if !asJSON {
					return nil
				}
				return env.printJSON(map[string]any{"user_id": u.ID, "removed": true})
			})
		},
	}
	yesFlag(cmd, &yes)
	jsonFlag(cmd, &asJSON)
	return cmd
}
