package people

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/storage"
)

// Auth0 is the format of that provider's export jobs: one user per line, as JSON.
const Auth0 = "auth0"

// ErrArray is returned for a list that is one array.
var ErrArray = errors.New("want one user per line, as an export job of Auth0 writes them")

// auth0Users reads an export of Auth0. It has what its user was asked to put in, and
// what it has beyond people as they are here is told by notes.
type auth0Users struct{ schema attributes.Schema }

// auth0User is what counts of a user.
type auth0User struct {
	UserID        string          `json:"user_id"`
	PhoneNumber   string          `json:"phone_number"`
	PhoneVerified bool            `json:"phone_verified"`
	Blocked       bool            `json:"blocked"`
	AppMetadata   map[string]any  `json:"app_metadata"`
	UserMetadata  map[string]any  `json:"user_metadata"`
	Identities    []auth0Identity `json:"identities"`
}

type auth0Identity struct {
	Provider string `json:"provider"`
	UserID   string `json:"user_id"`
	// ProfileData is that of an identity that was linked to another.
	ProfileData struct {
		PhoneNumber   string `json:"phone_number"`
		PhoneVerified bool   `json:"phone_verified"`
	} `json:"profileData"`
}

// sms is Auth0's name of the provider whose users log in with a code.
const sms = "sms"

// parse reads a line of an export.
func (u auth0Users) parse(one line) (Row, error) {
	var in auth0User
	if err := strictjson.Check(one.text); err != nil {
		return Row{}, objectError(one, err)
	}
	d := json.NewDecoder(bytes.NewReader(one.text))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return Row{}, objectError(one, err)
	}
	row := Row{Line: one.n, ID: in.UserID, Number: in.PhoneNumber, Blocked: &in.Blocked}
	if err := checkID(row.ID); err != nil {
		return Row{}, err
	}
	if row.ID == "" {
		return Row{}, errors.New("user_id: is missing: applications know people by it; export it")
	}
	proved := in.PhoneVerified || strings.HasPrefix(in.UserID, sms+"|")
	for _, identity := range in.Identities {
		if identity.Provider != sms {
			continue
		}
		proved = true
		if row.Number == "" {
			row.Number = identity.ProfileData.PhoneNumber
		}
	}
	switch {
	case row.Number == "":
		return Row{}, errors.New("phone_number: is missing: people log in with one here")
	case !proved:
		// Else whoever typed somebody's number once would be found by it.
		return Row{}, errors.New("phone_number: was never verified, and the user logs in by other means")
	}
	row.Verified = true
	return row, u.metadata(&row, in)
}

// metadata makes attributes of what people.attributes has of app_metadata, and keeps the
// rest. Nothing of user_metadata becomes an attribute: people could write that themselves.
func (u auth0Users) metadata(row *Row, in auth0User) error {
	kept := storage.Metadata{App: map[string]any{}, User: in.UserMetadata}
	for _, name := range slices.Sorted(maps.Keys(in.AppMetadata)) {
		value := in.AppMetadata[name]
		if !attributes.IsName(name) || u.schema.Known(name) != nil || compound(value) {
			kept.App[name] = value
			continue
		}
		if value == nil {
			continue
		}
		checked, err := u.schema.Check(name, value)
		if err != nil {
			return fmt.Errorf("app_metadata: %w", attributeError(name, err))
		}
		if row.Attributes == nil {
			row.Attributes = map[string]any{}
		}
		row.Attributes[name] = checked
	}
	row.Metadata = &kept
	var other []string
	for _, identity := range in.Identities {
		if identity.Provider != sms && !slices.Contains(other, identity.Provider) {
			other = append(other, identity.Provider)
		}
	}
	if len(other) > 0 {
		row.Notes = append(row.Notes, "identities: not taken: "+foreign(other))
	}
	return nil
}

// compound reports whether a value is an object or a list, which no attribute is.
func compound(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// foreign lists names of others, without those that could be anything.
func foreign(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name
		if !attributes.IsName(strings.ReplaceAll(name, "-", "_")) {
			out[i] = "one of another form"
		}
	}
	return strings.Join(out, ", ")
}
