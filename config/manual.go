package config

import (
	"embed"
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// source is this package's own text: the comments on the fields are the manual.
//
//go:embed config.go client.go api.go people.go limits.go routes.go
var source embed.FS

// comments returns the comments on struct fields, by "Type.Field".
var comments = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, name := range []string{"config.go", "client.go", "api.go", "people.go", "limits.go", "routes.go"} {
		text, err := source.ReadFile(name)
		if err != nil {
			panic("config: " + err.Error()) // unreachable: the file is embedded
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			panic("config: " + err.Error()) // unreachable: it compiled
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range structure.Fields.List {
					for _, ident := range f.Names {
						out[spec.Name.Name+"."+ident.Name] = strings.TrimSpace(f.Doc.Text())
					}
				}
			}
			return false
		})
	}
	return out
})

func comment(t reflect.Type, f field) string { return comments()[t.Name()+"."+f.name] }

// Example returns a configuration file that explains every key. It sets what
// most people change; every other key stands there with its default, commented
// out, and taking away the "#" before it is all there is to do.
func Example() string {
	e := &example{}
	e.line("", false, "# Configuration of Handset. Every value can also be set by environment:")
	e.line("", false, "# HANDSET_ISSUER, and HANDSET_TOKENS__ACCESS for a nested one (lists can't).")
	e.structure(reflect.ValueOf(Default()).Elem(), "", false, "")
	return e.text.String()
}

type example struct{ text strings.Builder }

// line writes one line; off comments it out.
func (e *example) line(indent string, off bool, text string) {
	if off {
		e.text.WriteString("#")
	}
	e.text.WriteString(strings.TrimRight(indent+text, " ") + "\n")
}

// structure writes the keys of a struct. bullet stands before the first key
// when the struct is an item of a list.
func (e *example) structure(v reflect.Value, indent string, off bool, bullet string) {
	for f := range fields(v.Type()) {
		value, set := f.tag.Lookup("example")
		if value == "-" {
			continue
		}
		_, live := f.tag.Lookup("live")
		fieldOff := off || !live
		if indent == "" {
			e.text.WriteString("\n")
		}
		at := indent
		if bullet != "" {
			at = strings.TrimSuffix(indent, "  ") + bullet
		}
		if bullet == "" {
			e.comment(indent, off, comment(v.Type(), f))
		}
		bullet = ""
		switch {
		case set:
			e.line(at, fieldOff, f.key+": "+value)
		case f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct && !isScalar(f.typ.Elem()):
			e.line(at, fieldOff, f.key+":")
			e.structure(reflect.New(f.typ.Elem()).Elem(), indent+"    ", fieldOff, "- ")
		case f.typ == reflect.TypeFor[Limits]():
			e.line(at, fieldOff, f.key+":")
			limits := v.Field(f.index).Interface().(Limits)
			for _, name := range limits.names() {
				e.line(indent+"  ", fieldOff, fmt.Sprintf("%s: {burst: %d, every: %s}", name, limits[name].Burst, FormatDuration(limits[name].Every)))
			}
		case f.typ.Kind() == reflect.Struct && !isScalar(f.typ):
			e.line(at, fieldOff, f.key+":")
			e.structure(v.Field(f.index), indent+"  ", fieldOff, "")
		default:
			e.line(at, fieldOff, f.key+": "+literal(v.Field(f.index)))
		}
	}
}

func (e *example) comment(indent string, off bool, text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		e.line(indent, off, strings.TrimRight("# "+strings.ReplaceAll(line, "`", ""), " "))
	}
}

// literal returns a value as YAML on one line.
func literal(v reflect.Value) string {
	n := node(v)
	n.Style |= yaml.FlowStyle
	text, err := yaml.Marshal(n)
	if err != nil {
		panic("config: " + err.Error()) // unreachable: node makes valid nodes
	}
	return strings.TrimSpace(string(text))
}

// Manual returns docs/config.md.
func Manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	t := reflect.TypeFor[Config]()
	defaults := reflect.ValueOf(Default()).Elem()
	for f := range fields(t) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", f.key, comment(t, f))
		switch inner := itemType(f.typ); {
		case f.typ == reflect.TypeFor[Limits]():
			limitTable(&b)
		case inner != nil && inner.Kind() == reflect.Struct && !isScalar(inner):
			isList := f.typ.Kind() == reflect.Slice
			fieldTable(&b, f.key, inner, defaults.Field(f.index), isList)
		default:
			b.WriteString("\n" + facts(f, defaults.Field(f.index)) + "\n")
		}
	}
	return b.String()
}

const manualHead = `<!-- Generated from the comments in config/ by "make generate"; DO NOT EDIT. -->

# Configuration

Handset reads one YAML file, ` + "`handset.yaml`" + ` unless ` + "`--config`" + ` names another.
` + "`handset config example`" + ` prints one to start from, ` + "`handset config print`" + ` shows
what is in effect, and ` + "`handset check`" + ` says all that is wrong at once.

- **Environment.** Every value can be set by an environment variable, which wins
  over the file: ` + "`HANDSET_ISSUER`" + `, and two underscores before a nested key:
  ` + "`HANDSET_TOKENS__ACCESS`" + `. Lists are set in the file only. An empty variable
  counts as not set. A ` + "`HANDSET_…`" + ` variable that no key has is warned about.
- **Secrets by file.** A key that ends in ` + "`_file`" + ` names a file that holds the
  value (` + "`HANDSET_REDIS_FILE`" + `); a line feed at its end is dropped. Relative
  names begin at the working directory.
- **Unknown keys are errors**, so that a typing error can't switch something off.
- **Durations** are written like ` + "`90s`, `10m`, `3h` or `168h`" + `.
- **Text that looks like a number** (phone numbers, codes) must be in quotes.
- What the file declares under ` + "`clients`, `resource_servers`, `client_grants`" + ` and
  ` + "`connections`" + ` can't be changed by command or API; everything else of that kind lives
  in the database.
`

// itemType is the struct behind a field: its own type or that of its items.
func itemType(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return t
}

// facts is the line below a key: its default and its environment variable.
func facts(f field, value reflect.Value) string {
	out := "Default: " + defaultText(value)
	if f.typ.Kind() == reflect.Slice || f.typ == reflect.TypeFor[Senders]() {
		return out + ". Set in the file only."
	}
	return out + ". Environment: `" + prefix + strings.ToUpper(f.key) + "`."
}

func defaultText(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool {
		return "none"
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err == nil {
			return "`" + string(text) + "`"
		}
	}
	return "`" + literal(v) + "`"
}

func fieldTable(b *strings.Builder, key string, t reflect.Type, defaults reflect.Value, isList bool) {
	if isList {
		b.WriteString("\n| key | what |\n|---|---|\n")
	} else {
		b.WriteString("\n| key | default | environment | what |\n|---|---|---|---|\n")
	}
	for f := range fields(t) {
		what := strings.ReplaceAll(strings.ReplaceAll(comment(t, f), "\n", " "), "|", "\\|")
		if isList {
			fmt.Fprintf(b, "| `%s` | %s |\n", f.key, what)
			continue
		}
		variable := "`" + prefix + strings.ToUpper(key) + "__" + strings.ToUpper(f.key) + "`"
		if f.typ.Kind() == reflect.Map {
			variable = "in the file only"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.key, defaultText(defaults.Field(f.index)), variable, what)
	}
}

func limitTable(b *strings.Builder) {
	b.WriteString("\n| key | default | environment |\n|---|---|---|\n")
	limits := DefaultLimits()
	for _, name := range limits.names() {
		variable := prefix + "LIMITS__" + strings.ToUpper(name)
		fmt.Fprintf(b, "| `%s` | `{burst: %d, every: %s}` | `%s__BURST`, `%s__EVERY`, or `%s=off` |\n",
			name, limits[name].Burst, FormatDuration(limits[name].Every), variable, variable, variable)
	}
}
