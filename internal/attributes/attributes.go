// Package attributes says what may be said of a person: which attributes there are,
// of which type, and which values they take. Every door that writes people asks it:
// commands, imports, APIs. It keeps nothing and finds nobody; that a unique value is
// one person's is a promise of the store. A leaf.
package attributes

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Type is what values of an attribute are.
type Type string

// The types. A date is a string of the form 2006-01-02, wherever it is written.
const (
	String  Type = "string"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Date    Type = "date"
)

// Types lists them.
func Types() []string {
	return []string{string(String), string(Integer), string(Boolean), string(Date)}
}

// Longest is how many bytes a string may have: a token with a few of them must fit
// into a header.
const Longest = 500

// Attribute is one attribute of the schema.
type Attribute struct {
	Type     Type
	Required bool
	// Unique attributes have one person per value.
	Unique bool
	// Pattern must match the whole of a string (RE2). Empty: any.
	Pattern string
	// Max is the longest string in characters, or the greatest integer. 0: no other
	// bound than that of the type.
	Max int

	pattern *regexp.Regexp
}

// Schema is what may be said of people. The zero value is no schema: every name is
// taken, and strings only.
type Schema struct{ attributes map[string]Attribute }

var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// reserved are columns of a list of people that are no attributes.
var reserved = []string{"phone", "phone_number", "number", "user_id", "blocked"}

// New checks attributes and makes a schema of them. Problems are told by the name of
// the attribute and, behind a dot, of its setting.
func New(all map[string]Attribute) (Schema, map[string]string) {
	s, problems := Schema{attributes: map[string]Attribute{}}, map[string]string{}
	for name, a := range all {
		switch {
		case !names.MatchString(name):
			problems[name] = "want a name of letters, digits and _, at most 64, that begins with no digit"
		case slices.Contains(reserved, strings.ToLower(name)):
			problems[name] = "is a name that lists of people use for something else; choose another"
		}
		if a.Type == "" {
			a.Type = String
		}
		for setting, message := range a.problems() {
			problems[name+"."+setting] = message
		}
		if a.Pattern != "" {
			var err error
			if a.pattern, err = regexp.Compile(`\A(?:` + a.Pattern + `)\z`); err != nil {
				problems[name+".pattern"] = "is not a regular expression that RE2 knows"
			}
		}
		s.attributes[name] = a
	}
	return s, problems
}

func (a Attribute) problems() map[string]string {
	out := map[string]string{}
	if !slices.Contains(Types(), string(a.Type)) {
		out["type"] = "want one of " + strings.Join(Types(), ", ")
		return out
	}
	if a.Unique && a.Type != String && a.Type != Integer {
		out["unique"] = "is for strings and integers"
	}
	if a.Pattern != "" && a.Type != String {
		out["pattern"] = "is for strings"
	}
	switch {
	case a.Max == 0:
	case a.Max < 0 || a.Type == String && a.Max > Longest:
		out["max"] = fmt.Sprintf("want 1 to %d for strings, 1 or more for integers", Longest)
	case a.Type != String && a.Type != Integer:
		out["max"] = "is for strings and integers"
	}
	return out
}

// None reports whether there is no schema.
func (s Schema) None() bool { return len(s.attributes) == 0 }

// Names returns the names of the schema, sorted.
func (s Schema) Names() []string { return slices.Sorted(maps.Keys(s.attributes)) }

// Unique returns the names of the unique attributes, sorted.
func (s Schema) Unique() []string {
	return slices.DeleteFunc(s.Names(), func(name string) bool { return !s.attributes[name].Unique })
}

// IsName reports whether a text can be the name of an attribute.
func IsName(text string) bool { return names.MatchString(text) }

// Known refuses a name that the schema does not have; without a schema, one that can
// be no attribute's.
func (s Schema) Known(name string) error {
	if _, ok := s.attributes[name]; ok {
		return nil
	}
	switch {
	case !s.None():
		return fmt.Errorf("no attribute of people; they are %s", strings.Join(s.Names(), ", "))
	case !names.MatchString(name):
		return errors.New("want a name of letters, digits and _ only")
	case slices.Contains(reserved, strings.ToLower(name)):
		return errors.New("is not a name for an attribute")
	}
	return nil
}

// Parse reads the value of an attribute as text: of a command line or a table. Its
// errors never repeat the value.
func (s Schema) Parse(name, text string) (any, error) {
	if err := s.Known(name); err != nil {
		return nil, err
	}
	switch a := s.attributes[name]; a.Type {
	case Integer:
		return a.integer(text)
	case Boolean:
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, errors.New("want true or false")
	default:
		return a.text(text)
	}
}

// Check takes a value as JSON has it, numbers as [json.Number], and returns it as it is
// to be kept. Its errors never repeat the value.
func (s Schema) Check(name string, value any) (any, error) {
	if err := s.Known(name); err != nil {
		return nil, err
	}
	a := s.attributes[name]
	switch v := value.(type) {
	case string:
		if a.Type == "" || a.Type == String || a.Type == Date {
			return a.text(v)
		}
	case json.Number:
		if a.Type == Integer {
			return a.integer(v.String())
		}
	case bool:
		if a.Type == Boolean {
			return v, nil
		}
	}
	switch a.Type {
	case "", String:
		return nil, errors.New("want a string")
	case Integer:
		return nil, errWhole
	case Boolean:
		return nil, errors.New("want true or false")
	}
	return nil, errDate
}

var (
	errWhole = errors.New("want a whole number")
	errDate  = errors.New("want a date such as 2026-04-01")
)

func (a Attribute) integer(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, errWhole
	}
	if a.Max != 0 && n > int64(a.Max) {
		return nil, fmt.Errorf("want at most %d", a.Max)
	}
	return json.Number(strconv.FormatInt(n, 10)), nil // 007 and +7 are 7
}

// text cuts the spaces around a value: two people who differ in them don't differ.
func (a Attribute) text(text string) (any, error) {
	text = strings.TrimSpace(text)
	switch {
	case !utf8.ValidString(text):
		return nil, errors.New("is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return nil, errors.New("want one line, without control characters")
	case text == "":
		return nil, errors.New("is empty")
	case len(text) > Longest:
		return nil, fmt.Errorf("want at most %d bytes", Longest)
	case a.Max != 0 && utf8.RuneCountInString(text) > a.Max:
		return nil, fmt.Errorf("want at most %d characters", a.Max)
	case a.pattern != nil && !a.pattern.MatchString(text):
		return nil, fmt.Errorf("does not match the pattern %s", a.Pattern)
	}
	if a.Type == Date {
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, errDate
		}
	}
	return text, nil
}

// Missing returns the required attributes that are not there, sorted.
func (s Schema) Missing(attributes map[string]any) (missing []string) {
	for _, name := range s.Names() {
		if s.attributes[name].Required && attributes[name] == nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// Split takes what Auth0's app_metadata holds of a person apart: what is an attribute,
// checked, and the rest. Without a schema every string under a name that could be an
// attribute's is one. The error names the attribute whose value is wrong; what is
// missing is for [Schema.Missing] to say.
func (s Schema) Split(all map[string]any) (attributes, rest map[string]any, err error) {
	attributes, rest = map[string]any{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		if s.Known(name) != nil {
			rest[name] = value
			continue
		}
		checked, err := s.Check(name, value)
		switch {
		case err == nil:
			attributes[name] = checked
		case s.None():
			rest[name] = value
		default:
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return attributes, rest, nil
}
