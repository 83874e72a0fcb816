package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage"
)

func newSMSRoutesCommand(env *environment) *cobra.Command {
	var asJSON bool
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "show where texts leave, and how they fare",
		Long: `Routes writes the routes of the configuration, how the running servers see each
sender (the state of its circuit breaker), and how the texts of the last days
fared by sender and country: handed over, delivered as far as the sender tells,
their codes entered, and the seconds from asking for a text to entering its code
(the median, and what 95 of 100 stay below).`,
		Example: `  handset sms routes
  handset sms routes --since 1h
  handset sms routes --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since <= 0 || since > 30*24*time.Hour {
				return usage(cmd, "--since: want up to 720h, which is how long texts are on record")
			}
			return env.withSQL(cmd.Context(), func(db *database) error {
				return env.printRoutes(cmd.Context(), db, since, asJSON)
			})
		},
	}
	cmd.Flags().DurationVar(&since, "since", 7*24*time.Hour, "how far to look back")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// senderJSON is a sender as --json writes it.
type senderJSON struct {
	Server string     `json:"server"`
	Sender string     `json:"sender"`
	State  string     `json:"state"`
	Since  *time.Time `json:"since"`
}

// routeJSON is a route as --json writes it.
type routeJSON struct {
	To  []string `json:"to"`
	Via []string `json:"via"`
}

func (env *environment) printRoutes(ctx context.Context, db *database, since time.Duration, asJSON bool) error {
	states, err := db.SenderStates(ctx, env.now())
	if err != nil {
		return err
	}
	deliveries, err := db.Deliveries(ctx, env.now().Add(-since))
	if err != nil {
		return err
	}
	routes := routesOf(db.config)
	if asJSON {
		senders := make([]senderJSON, len(states))
		for i, s := range states {
			senders[i] = senderJSON{s.Server, s.Sender, s.State, timeJSON(s.Since)}
		}
		return env.printJSON(struct {
			Routes     []routeJSON        `json:"routes"`
			Senders    []senderJSON       `json:"senders"`
			Deliveries []storage.Delivery `json:"deliveries"`
		}{routes, senders, deliveries})
	}
	t := env.table("TO", "VIA")
	for _, r := range routes {
		t.row(strings.Join(r.To, ", "), strings.Join(r.Via, ", then "))
	}
	return errors.Join(t.flush(), env.printStates(states), env.printDeliveries(deliveries))
}

// routesOf are the routes of the configuration, and what takes the rest.
func routesOf(c *config.Config) []routeJSON {
	routes := []routeJSON{}
	for _, r := range c.Routes {
		routes = append(routes, routeJSON{r.To, r.Via})
	}
	if own, ok := c.OwnSender(); ok && !c.Covered() {
		rest := "all"
		if len(routes) > 0 {
			rest = "all others"
		}
		routes = append(routes, routeJSON{[]string{rest}, []string{own}})
	}
	return routes
}

func (env *environment) printStates(states []storage.SenderState) error {
	fmt.Fprintln(env.stdout)
	if len(states) == 0 {
		_, err := fmt.Fprintln(env.stdout, "no server is running")
		return err
	}
	t := env.table("SENDER", "BREAKER", "SINCE", "SERVER")
	for _, s := range states {
		t.row(s.Sender, s.State, timeText(s.Since), s.Server)
	}
	return t.flush()
}

func (env *environment) printDeliveries(all []storage.Delivery) error {
	fmt.Fprintln(env.stdout)
	if len(all) == 0 {
		_, err := fmt.Fprintln(env.stdout, "no text was handed over in this time")
		return err
	}
	t := env.table("SENDER", "COUNTRY", "SENT", "DELIVERED", "VERIFIED", "MEDIAN", "P95")
	for _, d := range all {
		t.row(d.Sender, d.Region, strconv.Itoa(d.Sent), share(d.Delivered, d.Sent), share(d.Verified, d.Sent),
			secondsText(d.Median, d.Verified), secondsText(d.P95, d.Verified))
	}
	return t.flush()
}

func share(n, of int) string { return fmt.Sprintf("%d (%d%%)", n, n*100/of) }

func secondsText(seconds float64, of int) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", seconds)
}
