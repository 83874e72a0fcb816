package config

import (
	"slices"
	"strings"
	"testing"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	c, warnings, err := load(t, minimal+`
people: {attributes: {employee_id: {required: true, unique: true}, level: {type: integer, max: 9}}}
resource_servers: [{identifier: a, claims: {x: user.employee_id, y: user.shoe}}]
`)
	if err != nil {
		t.Fatal(err)
	}
	s := c.People.Schema()
	if !slices.Equal(s.Names(), []string{"employee_id", "level"}) || !slices.Equal(s.Unique(), []string{"employee_id"}) || !slices.Equal(s.Missing(nil), s.Unique()) {
		t.Errorf("schema = %+v", s)
	}
	if _, err := s.Parse("level", "10"); err == nil {
		t.Error("the greatest level does not hold")
	}
	if !slices.ContainsFunc(warnings, func(w Warning) bool {
		return w.String() == "resource_servers[0].claims.y: people.attributes has no shoe, so that nobody has this claim"
	}) {
		t.Errorf("warnings = %v", warnings)
	}
	if _, _, err := load(t, minimal, "HANDSET_PEOPLE__ATTRIBUTES=x"); err == nil || !strings.Contains(err.Error(), "write people.attributes in the file") {
		t.Errorf("by environment: %v", err)
	}
}
