package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

func newUserAddCommand(env *environment) *cobra.Command {
	var number string
	var set []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add",
		Short: "register a person",
		Long: `Add registers a person, who can then sign in also where sign-up is off. The user
ID is written to standard output. Attributes are what the business says of the
person; tokens of an API have those that its claims name. Which there are can be
said by people.attributes of the configuration.`,
		Example: `  handset user add --phone +819012345678 --set employee_id=291 --set department=purchasing`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if number == "" {
				return usage(cmd, "missing --phone")
			}
			return env.withNewSQL(cmd.Context(), func(db *database) error {
				schema := db.config.People.Schema()
				parsed, err := parseNumber(cmd, db, number)
				if err != nil {
					return err
				}
				now := env.now()
				u := storage.User{ID: mint.UserID(), Number: parsed, CreatedAt: now, UpdatedAt: now, Attributes: map[string]any{}}
				if err := editAttributes(schema, u.Attributes, set, nil); err != nil {
					return err
				}
				if err := db.AddUser(cmd.Context(), u); err != nil {
					return takenError(err)
				}
				env.say("added %s", u.ID)
				if asJSON {
					return env.printJSON(userAsJSON(u))
				}
				_, err = fmt.Fprintln(env.stdout, u.ID)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&number, "phone", "", "the phone `number`, in international form")
	setFlag(cmd, &set)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func setFlag(cmd *cobra.Command, set *[]string) {
	cmd.Flags().StringArrayVar(set, "set", nil, "an attribute, as `name=value`; repeat for more")
}

// takenError says who is in the way, and how to look at them.
func takenError(err error) error {
	taken, ok := errors.AsType[*storage.TakenError](err)
	switch {
	case !ok:
		return err
	case taken.Field == "phone_number":
		return withHint(errors.New("there is a person with this number already"), "handset user show '%s'", taken.By)
	case taken.By == "":
		return taken
	}
	return withHint(taken, "handset user show '%s'", taken.By)
}

// parseNumber reads a number as the login page does, so that it is found again.
// Its errors never repeat the number: terminals are recorded.
func parseNumber(cmd *cobra.Command, db *database, text string) (phone.Number, error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "+") {
		return phone.Number{}, usage(cmd, "--phone: want the international form, +81...")
	}
	n, err := numberRules(db).Parse(text, "")
	if _, foreign := errors.AsType[*phone.RegionError](err); foreign {
		return n, withHint(usage(cmd, "--phone: "+err.Error()), "add the region to countries in the configuration, or nobody can text this person")
	}
	if err != nil {
		return n, usage(cmd, "--phone: "+err.Error())
	}
	return n, nil
}

// numberRules are those of the login page; without countries, of no country.
func numberRules(db *database) phone.Rules {
	rules := server.Rules(db.config)
	if len(rules.Countries) == 0 {
		rules.Countries = []string{phone.AllRegions}
	}
	return rules
}

// editAttributes sets name=value and takes names away, and holds the result to the
// schema. What is there already and the schema does not know stays.
func editAttributes(schema attributes.Schema, of map[string]any, set, unset []string) error {
	for _, name := range unset {
		if _, there := of[name]; !there {
			return fmt.Errorf("--unset %s: the person has no such attribute", name)
		}
		delete(of, name)
	}
	for _, text := range set {
		name, value, ok := strings.Cut(text, "=")
		if !ok || !attributes.IsName(name) {
			return errors.New("--set: want name=value, the name of letters, digits and _ only")
		}
		parsed, err := schema.Parse(name, value)
		if err != nil && value == "" && schema.Known(name) == nil {
			return withHint(fmt.Errorf("--set %s: %w", name, err), "--unset %s takes an attribute away", name)
		}
		if err != nil {
			return fmt.Errorf("--set %s: %w", name, err)
		}
		of[name] = parsed
	}
	if missing := schema.Missing(of); len(missing) > 0 {
		return withHint(fmt.Errorf("missing %s, which people.attributes requires", strings.Join(missing, ", ")), "--set %s=...", missing[0])
	}
	return nil
}

func newUserUpdateCommand(env *environment) *cobra.Command {
	var number string
	var set, unset []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "update NUMBER|ID",
		Short: "change a person's number and what is said of them",
		Long: `Update sets and removes attributes, and leaves the others. Tokens that are out
keep what they say; the next ones say what is set now.

--phone gives the person another number. The user ID stays, and so do sessions
and tokens: block and unblock the person to end these. The number before is
nobody's from then on.`,
		Example: `  handset user update +819012345678 --set department=sales --unset employee_id
  handset user update +819012345678 --phone +819087654321`,
		Args: oneArgument("number or user ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(set) == 0 && len(unset) == 0 && number == "" {
				return usage(cmd, "nothing to change")
			}
			return env.withUser(cmd.Context(), args[0], func(db *database, u storage.User) error {
				schema := db.config.People.Schema()
				to := u.Number
				if number != "" {
					var err error
					if to, err = parseNumber(cmd, db, number); err != nil {
						return err
					}
				}
				err := db.UpdateUser(cmd.Context(), u.ID, func(u *storage.User) error {
					if u.Attributes == nil {
						u.Attributes = map[string]any{}
					}
					if number != "" {
						u.Number = to
					}
					u.UpdatedAt = env.now()
					return editAttributes(schema, u.Attributes, set, unset)
				})
				if err != nil {
					return takenError(err)
				}
				return env.changedUser(cmd.Context(), db, u.ID, "changed", asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&number, "phone", "", "the new phone `number`, in international form")
	setFlag(cmd, &set)
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "the `name` of an attribute to remove; repeat for more")
	jsonFlag(cmd, &asJSON)
	return cmd
}
