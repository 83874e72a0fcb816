package passcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// Connection is a way to prove numbers, made from a [storage.Connection]. It is
// immutable; keep it as long as its record does not change.
type Connection struct {
	Name storage.ConnectionName
	// Routes say by which senders texts leave.
	Routes   *sms.Routes
	From     string
	Template *sms.Template
	// Unbound leaves out the last line of a text, which binds the code to the login
	// page: Auth0 has no such line.
	Unbound bool
	// Length is how many digits codes have, and Life how long they live after
	// the last text; zero means 6 digits and 5 minutes.
	Length int
	Life   time.Duration
	// SignupDisabled: only people who are registered get codes.
	SignupDisabled bool
	// BruteForceProtection is Auth0's switch of that name: the doors of its API block
	// guessing ([CheckRequest.BlockGuessing]). The login pages never lock anyone out.
	BruteForceProtection bool
	// Restricted means that Clients alone may use the connection.
	Restricted bool
	Clients    []storage.ClientID

	own *ownSender
}

// ownSender is the sender that a connection's own options make. It outlives the
// connection when the next one's options make the same.
type ownSender struct {
	*sms.Named
	// made are the options that it was made of.
	made string
	uses background

	once sync.Once
	err  error
}

// Close closes the sender, once, and says the same afterwards.
func (o *ownSender) Close() error {
	o.once.Do(func() { o.err = o.Named.Close() })
	return o.err
}

// Enabled reports whether a client may use the connection.
func (c *Connection) Enabled(id storage.ClientID) bool {
	return !c.Restricted || slices.Contains(c.Clients, id)
}

// use says that a text of the connection is on its way, until the function that it
// returns is called.
func (c *Connection) use() (done func()) {
	if c.own == nil {
		return func() {}
	}
	c.own.uses.begin()
	return c.own.uses.done
}

// Close closes the connection's own sender, when no text is on its way by it any
// more. Those with a name of their own are used on.
func (c *Connection) Close() error {
	if c.own == nil {
		return nil
	}
	return c.own.Close()
}

// SharesSender reports whether the two have one own sender, or the first has none.
func (c *Connection) SharesSender(other *Connection) bool { return c.own == nil || c.own == other.own }

// Retire is Close when no text is on its way any more, or ctx has ended.
func (c *Connection) Retire(ctx context.Context) error {
	if c.own == nil {
		return nil
	}
	err := c.own.uses.wait(ctx)
	return errors.Join(err, c.own.Close())
}

func (c *Connection) length() int {
	if c.Length == 0 {
		return defaultLength
	}
	return c.Length
}

// Text is the body of a text of the connection.
func (c *Connection) Text(f sms.Fields) string {
	if c.Unbound {
		f.Host = ""
	}
	return c.Template.Execute(f)
}

// Example is a text as people get it, with a code that is none: digits in their
// order, as many as the connection's codes have.
func (c *Connection) Example(f sms.Fields) string {
	f.Code = "1234567890"[:c.length()]
	return c.Text(f)
}

// CodeLife is how long a code of the connection works after its text.
func (c *Connection) CodeLife() time.Duration {
	if c.Life == 0 {
		return defaultLife
	}
	return min(c.Life, maxLife)
}

// ParseConnection reads a connection with Auth0's options. Keys that it doesn't
// know are left alone, as Auth0 leaves them; null counts as absent. Where rules
// name other senders, the connection needs no provider of its own. The error is an
// [sms.Problems] with all that is wrong.
func ParseConnection(c storage.Connection, senders Senders) (*Connection, error) {
	o := sms.ReadOptions(c.Options, "options")
	if len(o.Problems()) > 0 {
		return nil, o.Problems()
	}
	out := &Connection{
		Name: c.Name, From: o.Text("from"), Restricted: c.Settings.Restricted, Clients: c.Settings.EnabledClients,
		Unbound:              !o.Flag("origin_bound", true),
		SignupDisabled:       o.Flag("disable_signup", false),
		BruteForceProtection: o.Flag("brute_force_protection", true),
	}
	readTOTP(o, out)
	readTemplate(o, out)
	out.Routes = readRoutes(o, out, senders)
	problems := o.Problems()
	if c.Strategy != "sms" {
		problems = append(problems, sms.Problem{Path: "strategy", Text: `must be "sms"`})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return out, nil
}

func readTOTP(o *sms.Options, c *Connection) {
	totp, ok := o.Object("totp")
	if !ok {
		return
	}
	c.Life = totp.Seconds("time_step", 0, time.Second, maxLife)
	if totp.Read("length", &c.Length, "a whole number of digits") && (c.Length < 4 || c.Length > longLength) {
		totp.Problem("length", fmt.Sprintf("is not between 4 and %d digits", longLength))
	}
}

func readTemplate(o *sms.Options, c *Connection) {
	syntax, text := o.Text("syntax"), o.Text("template")
	t, err := sms.ParseTemplate(syntax, text)
	switch err := err.(type) {
	case nil:
		c.Template = t
	case *sms.SyntaxError:
		o.Problem("syntax", err.Error())
	default:
		o.Problem("template", err.Error())
	}
}
