package verification

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The document's schemas have the members that the code reads and writes.
func TestOpenAPIHasTheMembersOfTheTypes(t *testing.T) {
	t.Parallel()
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]struct{ Minimum, Maximum int }
			}
		}
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]any{"Start": startRequest{}, "Verification": view{}, "Proof": redeemed{}, "Event": event{}} {
		var members, always []string
		for i := range reflect.TypeOf(of).NumField() {
			member, rest, _ := strings.Cut(reflect.TypeOf(of).Field(i).Tag.Get("json"), ",")
			members = append(members, member)
			if rest == "" && name != "Start" {
				always = append(always, member)
			}
		}
		slices.Sort(members)
		schema := doc.Components.Schemas[name]
		if diff := cmp.Diff(members, slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
			t.Errorf("%s (-type +document):\n%s", name, diff)
		}
		if diff := cmp.Diff(always, schema.Required); name != "Start" && diff != "" {
			t.Errorf("%s, always there (-type +document):\n%s", name, diff)
		}
	}
	start := doc.Components.Schemas["Start"].Properties
	for name, want := range map[string][2]int{
		"code_length": {shortestCode, longestCode}, "expires_in": {leastExpires, mostExpires}, "attempts": {1, mostAttempts},
	} {
		if got := start[name]; got.Minimum != want[0] || got.Maximum != want[1] {
			t.Errorf("%s: %+v, want %v", name, got, want)
		}
	}
}
