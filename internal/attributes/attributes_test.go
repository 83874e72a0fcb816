package attributes

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func schema(t testing.TB) Schema {
	t.Helper()
	s, problems := New(map[string]Attribute{
		"employee_id": {Type: String, Required: true, Unique: true, Pattern: "[0-9]{4}|x"},
		"team":        {Max: 3},
		"level":       {Type: Integer, Max: 9},
		"badge":       {Type: Integer, Unique: true},
		"hired":       {Type: Date},
		"on_site":     {Type: Boolean},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func TestValues(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, tt := range []struct {
		name, text string
		value      any // what it is as JSON; nil: the text
		want       any
		refused    string
	}{
		{name: "employee_id", text: "0291", want: "0291"},
		{name: "employee_id", text: "x", want: "x"},
		{name: "employee_id", text: "02911", refused: "does not match the pattern [0-9]{4}|x"},
		{name: "employee_id", text: "xx", refused: "pattern"},
		{name: "employee_id", text: " 0291\n", want: "0291"},
		{name: "team", text: "a\nb", refused: "want one line"},
		{name: "team", text: "購買部", want: "購買部"},
		{name: "team", text: "four", refused: "want at most 3 characters"},
		{name: "team", text: "", refused: "is empty"},
		{name: "team", text: " \u3000", refused: "is empty"},
		{name: "team", text: "\xff", refused: "is not UTF-8"},
		{name: "team", text: "a\x00", refused: "want one line"},
		{name: "team", text: strings.Repeat("a", 501), refused: "want at most 500 bytes"},
		{name: "level", text: "7", value: json.Number("7"), want: json.Number("7")},
		{name: "level", text: "007", value: json.Number("7"), want: json.Number("7")},
		{name: "level", text: "-7", value: json.Number("-7"), want: json.Number("-7")},
		{name: "level", text: "10", value: json.Number("10"), refused: "want at most 9"},
		{name: "level", text: "7.0", value: json.Number("7.0"), refused: "want a whole number"},
		{name: "level", text: "7e0", value: json.Number("7e0"), refused: "want a whole number"},
		{name: "badge", text: "9223372036854775808", value: json.Number("9223372036854775808"), refused: "want a whole number"},
		{name: "badge", text: "", refused: "want a whole number"},
		{name: "hired", text: "2024-02-29", want: "2024-02-29"},
		{name: "hired", text: "2023-02-29", refused: "want a date"},
		{name: "hired", text: "4/1/2024", refused: "want a date"},
		{name: "on_site", text: "TRUE", value: true, want: true},
		{name: "on_site", text: "false", value: false, want: false},
		{name: "on_site", text: "yes", refused: "want true or false"},
		{name: "shoe", text: "43", refused: "no attribute of people; they are badge, employee_id, hired, level, on_site, team"},
	} {
		value := tt.value
		if value == nil {
			value = tt.text
		}
		parsed, parseErr := s.Parse(tt.name, tt.text)
		checked, checkErr := s.Check(tt.name, value)
		for how, got := range map[string]struct {
			value any
			err   error
		}{"Parse": {parsed, parseErr}, "Check": {checked, checkErr}} {
			switch {
			case tt.refused == "" && (got.err != nil || got.value != tt.want):
				t.Errorf("%s(%s, %q) = %#v, %v; want %#v", how, tt.name, tt.text, got.value, got.err, tt.want)
			case tt.refused != "" && (got.err == nil || !strings.Contains(got.err.Error(), tt.refused)):
				t.Errorf("%s(%s, %q) = %v, want an error with %q", how, tt.name, tt.text, got.err, tt.refused)
			case got.err != nil && len(tt.text) > 4 && strings.Contains(got.err.Error(), tt.text):
				t.Errorf("%s(%s): the error repeats the value: %v", how, tt.name, got.err)
			}
		}
	}
	for name, value := range map[string]any{
		"employee_id": json.Number("291"), "level": "7", "on_site": "true", "hired": true, "team": []any{"a"}, "badge": map[string]any{},
	} {
		if got, err := s.Check(name, value); err == nil {
			t.Errorf("Check(%s, %v) = %v, want an error", name, value, got)
		}
	}
}

func TestWithoutASchemaStringsAreTaken(t *testing.T) {
	t.Parallel()
	var s Schema
	if got, err := s.Parse("level", "3"); got != "3" || err != nil {
		t.Errorf("Parse = %#v, %v", got, err)
	}
	if got, err := s.Check("level", "3"); got != "3" || err != nil {
		t.Errorf("Check = %#v, %v", got, err)
	}
	for _, value := range []any{json.Number("3"), true, []any{}, nil} {
		if got, err := s.Check("level", value); err == nil {
			t.Errorf("Check(%v) = %v, want an error", value, got)
		}
	}
	for _, name := range []string{"", "1st", "employee id", "a.b", "Phone", "user_id", strings.Repeat("a", 65)} {
		if _, err := s.Parse(name, "x"); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	if s.Missing(nil) != nil || s.Unique() != nil || !s.None() {
		t.Error("no schema asks for something")
	}
}

func TestWhatTheSchemaAsksFor(t *testing.T) {
	t.Parallel()
	s := schema(t)
	if got := s.Unique(); !slices.Equal(got, []string{"badge", "employee_id"}) {
		t.Errorf("unique = %v", got)
	}
	for _, tt := range []struct {
		has  map[string]any
		want []string
	}{
		{nil, []string{"employee_id"}},
		{map[string]any{"employee_id": nil}, []string{"employee_id"}},
		{map[string]any{"employee_id": "x"}, nil},
	} {
		if got := s.Missing(tt.has); !slices.Equal(got, tt.want) {
			t.Errorf("Missing(%v) = %v, want %v", tt.has, got, tt.want)
		}
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	t.Parallel()
	_, problems := New(map[string]Attribute{
		"1st": {}, "Number": {}, "a": {Type: "text"}, "b": {Type: Boolean, Unique: true, Max: 1}, "c": {Pattern: "("},
		"d": {Type: Integer, Pattern: "x", Max: -1}, "e": {Max: 501}, "f": {Type: Date, Unique: true},
	})
	var got []string
	for path := range problems {
		got = append(got, path)
	}
	slices.Sort(got)
	want := []string{"1st", "Number", "a.type", "b.max", "b.unique", "c.pattern", "d.max", "d.pattern", "e.max", "f.unique"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, problems)
	}
}
