package auth0

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/handset-oidc/handset/internal/strictjson"
)

// Object is a JSON object of an export. Its members are found by their exact names:
// encoding/json would take PHONE_NUMBER for phone_number.
type Object map[string]json.RawMessage

// ReadObject reads an entry of an export. A member that stands there twice, at
// whatever depth, is a [*strictjson.TwiceError]: nobody knows which one counts.
func ReadObject(text []byte) (Object, error) {
	var o Object
	if err := strictjson.Decode(text, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errNoObject
	}
	return o, nil
}

var errNoObject = errors.New("want a JSON object")

// Read reads members by name, each into what a pointer points to. What is null says
// nothing; numbers of no type stay as they are written.
func (o Object) Read(into map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(into)) {
		if raw, ok := o[name]; !ok || string(raw) == "null" {
			continue
		}
		if strictjson.Decode(o[name], into[name]) != nil {
			return fmt.Errorf("%s: is of the wrong type", name)
		}
	}
	return nil
}

// longestSetting is far more than {"active":true}, and not so deep that a database
// refuses it.
const longestSetting = 1 << 10

// small returns a member that is an object, as it stands there; nil when it is empty.
func (o Object) small(name string) (json.RawMessage, error) {
	var in Object
	switch err := o.Read(map[string]any{name: &in}); {
	case err != nil:
		return nil, err
	case len(o[name]) > longestSetting:
		return nil, fmt.Errorf("%s: is longer than %d bytes", name, longestSetting)
	case len(in) == 0:
		return nil, nil
	}
	return o[name], nil
}

// Beside returns the names of the members that are not taken and say something: not
// null, false, 0 or empty, and not what usual has for them.
func (o Object) Beside(taken []string, usual map[string]any) []string {
	var rest []string
	for name, raw := range o {
		var value any
		_ = json.Unmarshal(raw, &value) // it is valid; a number too large says something
		if !slices.Contains(taken, name) && !saysNothing(value) && !reflect.DeepEqual(value, usual[name]) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return rest
}

func saysNothing(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return reflect.ValueOf(value).IsZero()
}

// longest is how many characters of an export's own words are told.
const longest = 64

// Quote makes words of an export safe to be told: one line, no controls, not long.
func Quote(text string) string {
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return strconv.Quote(text)
}

func quoted(names []string) []string {
	for i, name := range names {
		names[i] = Quote(name)
	}
	return names
}

// entryError says what is wrong with an entry without the library's words, which quote
// the text.
func entryError(err error) error {
	if twice, ok := errors.AsType[*strictjson.TwiceError](err); ok {
		return fmt.Errorf("%s: stands there twice", Quote(twice.Name))
	}
	switch {
	case errors.Is(err, strictjson.ErrText):
		return errors.New("is not Unicode")
	case errors.Is(err, strictjson.ErrDeep):
		return errors.New("has too many levels")
	}
	return errNoObject
}
