package views

import (
	"fmt"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n/template"
)

// placeholders reads texts with {named} places. Translators need no more, and an
// argument can never act as a template.
var placeholders template.Parser = placeholderParser{}

type placeholderParser struct{}

// Cacheable lets the catalogue parse each text once.
func (placeholderParser) Cacheable() bool { return true }

// Parse splits src at its placeholders.
func (placeholderParser) Parse(src, _, _ string) (template.ParsedTemplate, error) {
	var t placedText
	for {
		before, rest, found := strings.Cut(src, "{")
		t.literals = append(t.literals, before)
		if !found {
			return &t, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return nil, fmt.Errorf("unclosed or empty placeholder in %q", src)
		}
		t.names = append(t.names, name)
		src = after
	}
}

// placedText is literals with a name between each two.
type placedText struct{ literals, names []string }

// Execute fills the places from data, a map[string]string. A name without a value
// stays as it is, so that the mistake can be seen.
func (t *placedText) Execute(data any) (string, error) {
	values, _ := data.(map[string]string)
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, name := range t.names {
		if value, ok := values[name]; ok {
			b.WriteString(value)
		} else {
			b.WriteString("{" + name + "}")
		}
		b.WriteString(t.literals[i+1])
	}
	return b.String(), nil
}
