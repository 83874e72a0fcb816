package people

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/auth0"
	"github.com/handset-oidc/handset/storage"
)

// Auth0 is the format of that provider's users, as JSON: one per line, as export jobs
// and its extension write them, or a list, as its API does.
const Auth0 = "auth0"

// sms is Auth0's name of the provider whose users log in with a code.
const sms = "sms"

// auth0Users reads an export of Auth0. It has what its user was asked to put in, and
// what it has beyond people as they are here is named.
type auth0Users struct{ schema attributes.Schema }

// openAuth0 begins to read an export. How it begins says whether it goes line by line.
func openAuth0(r io.Reader, schema attributes.Schema) (Rows, error) {
	in := bufio.NewReaderSize(marked(r), maxLine)
	begin, err := in.Peek(maxLine)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	parse := auth0Users{schema}.parse
	begin = bytes.TrimSpace(begin)
	first, _, _ := bytes.Cut(begin, []byte("\n"))
	switch first = bytes.TrimSpace(first); {
	case len(begin) == 0:
		return nil, errEmpty
	case first[0] != '{' && first[0] != '[' && bytes.Contains(first, []byte("user_id")):
		return nil, errors.New("is CSV; want JSON: an export job of format json")
	case first[0] == '[', string(first) == "{", isPage(begin):
		list, err := auth0.ReadUsers(in)
		if err != nil {
			return nil, err
		}
		return &entries{list: list, parse: parse}, nil
	}
	return &objects{newLines(in), parse}, nil
}

// isPage reports whether a text begins as a page of users, which has numbers before
// them.
func isPage(begin []byte) bool {
	d := json.NewDecoder(bytes.NewReader(begin))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	for d.More() {
		name, _ := d.Token()
		value, err := d.Token()
		if _, nested := value.(json.Delim); nested {
			return name == "users" && value == json.Delim('[')
		}
		if err != nil || name == "user_id" {
			return false
		}
	}
	return false
}

// entries are the users of a list that is in memory. They have no lines: a list may
// stand in one.
type entries struct {
	list  []json.RawMessage
	n     int
	parse func(line) (Row, error)
}

// entryUnit is what they are counted by.
const entryUnit = "entry"

// Next returns the next person.
func (e *entries) Next() (Row, error) {
	if e.n == len(e.list) {
		return Row{}, io.EOF
	}
	e.n++
	one := checked(e.n, e.list[e.n-1], len(e.list[e.n-1]) > maxLine)
	if one.err != nil {
		return Row{}, one.err
	}
	return parsed(one, e.parse)
}

// auth0User is what is taken of a user.
type auth0User struct {
	id, number, created string
	verified, blocked   *bool // nil: not said
	app, user           map[string]any
	identities          []auth0Identity
	// guessed says that nothing but the lack of another makes sms the provider.
	guessed bool
}

// auth0Identity is one way in which a user logs in.
type auth0Identity struct {
	provider, id string
	// number and verified are those of an identity that was linked to another.
	number   string
	verified *bool
}

func readAuth0User(o auth0.Object) (u auth0User, err error) {
	var identities []auth0.Object
	err = o.Read(map[string]any{
		"user_id": &u.id, "phone_number": &u.number, "phone_verified": &u.verified, "blocked": &u.blocked,
		"app_metadata": &u.app, "user_metadata": &u.user, "identities": &identities, "created_at": &u.created,
	})
	for _, in := range identities {
		var one auth0Identity
		var profile auth0.Object
		err = errors.Join(err, in.Read(map[string]any{"provider": &one.provider, "user_id": &one.id, "profileData": &profile}))
		err = errors.Join(err, profile.Read(map[string]any{"phone_number": &one.number, "phone_verified": &one.verified}))
		if err != nil {
			return u, errors.New("identities: has a member of the wrong type")
		}
		u.identities = append(u.identities, one)
	}
	return u, err
}

// parse reads a user.
func (a auth0Users) parse(one line) (Row, error) {
	o, err := auth0.ReadObject(one.text)
	if err != nil {
		return Row{}, objectError(one, err)
	}
	in, err := readAuth0User(o)
	if err != nil {
		return Row{}, err
	}
	row := Row{Line: one.n, Blocked: in.blocked}
	if err := in.identify(&row); err != nil {
		return Row{}, err
	}
	if err := in.prove(&row); err != nil {
		return Row{}, err
	}
	if row.CreatedAt, err = time.Parse(time.RFC3339, in.created); err == nil && row.CreatedAt.Year() < 1970 {
		err = errors.New("before there was an Auth0")
	}
	if name := ""; o.Read(map[string]any{"name": &name}) == nil && name == in.number {
		delete(o, "name") // Auth0 calls people who log in with a number by it
	}
	taken := []string{"user_id", "phone_number", "phone_verified", "blocked", "app_metadata", "user_metadata", "identities"}
	if err == nil {
		taken = append(taken, "created_at")
	}
	for _, name := range o.Beside(taken, nil) {
		row.notTaken(foreign(name))
	}
	return row, a.metadata(&row, in)
}

// identify takes the user_id. Without the provider before it, as in what Auth0 itself
// imports, it is no sub that an application knows.
func (u *auth0User) identify(row *Row) error {
	if u.id == "" {
		return errors.New("user_id: is missing: applications know people by it; export it")
	}
	if err := checkID(u.id); err != nil {
		return err
	}
	provider, inner, whole := strings.Cut(u.id, "|")
	if whole && (provider == "" || inner == "") {
		return errors.New("user_id: want the provider and an ID, such as sms|ID")
	}
	if !whole {
		provider, u.guessed = sms, true
		for _, identity := range u.identities {
			if identity.id == u.id && providers.MatchString(identity.provider) {
				provider, u.guessed = identity.provider, false
				break
			}
		}
		u.id = provider + "|" + u.id
		row.Notes = append(row.Notes, "user_id: has no provider before it, and gets "+provider+"|")
	}
	row.ID = u.id
	return checkID(row.ID)
}

// providers are what Auth0 calls them.
var providers = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// prove takes the number that the person logs in with, and whether it was proved to be
// theirs: whoever typed somebody's number once must not be found by it.
func (u *auth0User) prove(row *Row) error {
	own := strings.HasPrefix(u.id, sms+"|")
	texted := own && !u.guessed
	var linked []auth0Identity // those that bring a number
	for _, identity := range u.identities {
		switch texted = texted || identity.provider == sms; {
		case identity.provider != sms:
			row.notTaken("identities of " + foreignProvider(identity.provider))
		case identity.number != "":
			linked = append(linked, identity)
		}
	}
	proved := u.verified
	row.Number = u.number
	if len(linked) > 0 && (!own || row.Number == "") {
		if row.Number != "" && row.Number != linked[0].number {
			row.notTaken(auth0.Quote("phone_number")) // a second factor's: nobody logs in with it alone
		}
		row.Number, proved = linked[0].number, linked[0].verified
	}
	for _, identity := range linked {
		if identity.number != row.Number {
			row.notTaken("identities of " + auth0.Quote(sms))
		}
	}
	row.Verified = proved == nil && texted || proved != nil && *proved
	switch {
	case row.Number == "":
		return errors.New("phone_number: is missing: people log in with one here")
	case !row.Verified && !own && len(linked) == 0:
		return errors.New("phone_number: was never verified, and the user logs in by other means")
	}
	return nil
}

// metadata makes attributes of what people.attributes has of app_metadata, and keeps the
// rest. Nothing of user_metadata becomes an attribute: people could write that themselves.
func (a auth0Users) metadata(row *Row, in auth0User) error {
	maps.DeleteFunc(in.app, func(_ string, value any) bool { return value == nil })
	found, rest, err := a.schema.Split(in.app)
	if err != nil {
		return fmt.Errorf("app_metadata: %w", err)
	}
	for name := range rest {
		if attributes.IsName(name) {
			found[name] = nil // it may have been one before
		}
	}
	row.Attributes, row.Metadata = found, &storage.Metadata{App: rest, User: in.user}
	return nil
}

// long finds what could be a number.
var long = regexp.MustCompile(`[0-9]{6}`)

// foreign is a name of others, quoted, unless it could be anything.
func foreign(name string) string {
	if !attributes.IsName(name) || long.MatchString(name) {
		return "a member of another form"
	}
	return auth0.Quote(name)
}

func foreignProvider(name string) string {
	if !providers.MatchString(name) || long.MatchString(name) {
		return "another form"
	}
	return auth0.Quote(name)
}

// notTaken remembers what of a person is not taken, once.
func (r *Row) notTaken(what string) {
	if !slices.Contains(r.NotTaken, what) {
		r.NotTaken = append(r.NotTaken, what)
	}
}
