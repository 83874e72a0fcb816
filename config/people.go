package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/attributes"
)

// People says what may be said of a person.
type People struct {
	// Attributes by name, each with its `type` and, where they hold, `required`,
	// `unique`, `pattern` and `max`.
	Attributes Attributes `yaml:"attributes" example:"{employee_id: {type: string, required: true, unique: true}, hired: {type: date}, level: {type: integer}}"`
}

// Attributes are attributes by name.
type Attributes map[string]Attribute

// Attribute is an attribute of people.
type Attribute struct {
	Type     string `yaml:"type"`
	Required bool   `yaml:"required"`
	Unique   bool   `yaml:"unique"`
	Pattern  string `yaml:"pattern"`
	Max      int    `yaml:"max"`
}

func (a *Attributes) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want names of attributes, each with its type, such as {employee_id: {type: string}}")
		return
	}
	*a = Attributes{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		one := Attribute{Type: string(attributes.String)}
		d.decode(join(path, name), m[name], &one)
		(*a)[name] = one
	}
}

// Schema returns the attributes as those who write people hold to them.
func (p People) Schema() attributes.Schema {
	schema, _ := p.schema()
	return schema
}

func (p People) schema() (attributes.Schema, map[string]string) {
	all := map[string]attributes.Attribute{}
	for name, a := range p.Attributes {
		all[name] = attributes.Attribute{
			Type: attributes.Type(a.Type), Required: a.Required, Unique: a.Unique, Pattern: a.Pattern, Max: a.Max,
		}
	}
	return attributes.New(all)
}

func (c *Config) checkPeople(r *report) {
	schema, problems := c.People.schema()
	for _, path := range slices.Sorted(maps.Keys(problems)) {
		r.problem(join("people.attributes", path), problems[path])
	}
	if schema.None() {
		return
	}
	for i, server := range c.ResourceServers {
		for _, claim := range slices.Sorted(maps.Keys(server.Claims)) {
			name, ok := strings.CutPrefix(server.Claims[claim], "user.")
			if ok && schema.Known(name) != nil {
				r.warn(at("resource_servers", i)+".claims."+claim, fmt.Sprintf("people.attributes has no %s, so that nobody has this claim", name))
			}
		}
	}
}
