package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

func newUserAddCommand(env *environment) *cobra.Command {
	var number string
	var set []string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "register a person",
		Long: `Add registers a person, who can then log in also where sign-up is off. The user
ID is written to standard output. Attributes are what the business says of the
person; tokens of an API have those that its claims name.`,
		Example: `  handset user add --phone +819012345678 --set employee_id=291 --set department=purchasing`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if number == "" {
				return usage(cmd, "missing --phone")
			}
			attributes := map[string]any{}
			if err := setAttributes(attributes, set); err != nil {
				return usage(cmd, err.Error())
			}
			return env.withNewSQL(cmd.Context(), func(db *database) error {
				parsed, err := parseNumber(db, number)
				if err != nil {
					return err
				}
				now := env.now()
				u := storage.User{ID: mint.UserID(), Number: parsed, CreatedAt: now, UpdatedAt: now, Attributes: attributes}
				err = db.AddUser(cmd.Context(), u)
				if errors.Is(err, storage.ErrConflict) {
					return withHint(errors.New("there is a person with this number already"), "handset user show NUMBER, or handset user update NUMBER")
				}
				if err != nil {
					return err
				}
				env.say("added %s", u.ID)
				_, err = fmt.Fprintln(env.stdout, u.ID)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&number, "phone", "", "the phone `number`, in international form")
	cmd.Flags().StringArrayVar(&set, "set", nil, "an attribute, as `name=value`; repeat for more")
	return cmd
}

// parseNumber reads a number as the login page does, so that it is found again.
// Its errors never repeat the number: terminals are recorded.
func parseNumber(db *database, text string) (phone.Number, error) {
	rules := server.Rules(db.config)
	if len(rules.Countries) == 0 {
		rules.Countries = []string{phone.AllRegions}
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "+") {
		return phone.Number{}, errors.New("--phone: want the international form, +81...")
	}
	n, err := rules.Parse(text, "")
	if _, foreign := errors.AsType[*phone.RegionError](err); foreign {
		return n, withHint(fmt.Errorf("--phone: %w", err), "add the region to countries in the configuration, or nobody can text this person")
	}
	if err != nil {
		return n, fmt.Errorf("--phone: %w", err)
	}
	return n, nil
}

var attributeNames = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// longestAttribute keeps a token with a few of them short enough for a header.
const longestAttribute = 500

// setAttributes reads name=value, one each.
func setAttributes(into map[string]any, set []string) error {
	for _, text := range set {
		name, value, ok := strings.Cut(text, "=")
		switch {
		case !ok || !attributeNames.MatchString(name):
			return errors.New("--set: want name=value, the name of letters, digits and _ only")
		case len(value) > longestAttribute || strings.ContainsFunc(value, unicode.IsControl):
			return fmt.Errorf("--set %s: want one line of at most %d bytes", name, longestAttribute)
		}
		into[name] = value
	}
	return nil
}

func newUserUpdateCommand(env *environment) *cobra.Command {
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "update NUMBER|ID",
		Short: "change what is said of a person",
		Long: `Update sets and removes attributes, and leaves the others. Tokens that are out
keep what they say; the next ones say what is set now.`,
		Example: `  handset user update +819012345678 --set department=sales --unset employee_id`,
		Args:    oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(set) == 0 && len(unset) == 0 {
				return usage(cmd, "nothing to change")
			}
			if err := setAttributes(map[string]any{}, set); err != nil {
				return usage(cmd, err.Error())
			}
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				err := db.UpdateUser(cmd.Context(), u.ID, func(u *storage.User) error {
					if u.Attributes == nil {
						u.Attributes = map[string]any{}
					}
					for _, name := range unset {
						delete(u.Attributes, name)
					}
					u.UpdatedAt = env.now()
					return setAttributes(u.Attributes, set)
				})
				if err != nil {
					return err
				}
				env.say("changed %s", u.ID)
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "an attribute, as `name=value`; repeat for more")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "the `name` of an attribute to remove; repeat for more")
	return cmd
}
