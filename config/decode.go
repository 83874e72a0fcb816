package config

import (
	"encoding"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder fills structs from the maps that YAML gives, and notes all that does
// not fit with its key path. It is ours rather than a library's so that an
// unknown key, a wrong type and a missing pair of quotes are told in the same
// words, all at once.
type decoder struct{ report }

// decodable is implemented by types that read themselves.
type decodable interface {
	decode(d *decoder, path string, in any)
}

// field is a field of a struct as a key.
type field struct {
	index int
	key   string
	typ   reflect.Type
	tag   reflect.StructTag
	name  string
}

// fields yields the fields that have a key.
func fields(t reflect.Type) iter.Seq[field] {
	return func(yield func(field) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			key := f.Tag.Get("yaml")
			if key == "" || key == "-" {
				continue
			}
			if !yield(field{i, key, f.Type, f.Tag, f.Name}) {
				return
			}
		}
	}
}

// isScalar reports whether a struct type is one value to the reader.
func isScalar(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[decodable]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// decode fills out, a pointer. Null is the same as an absent key.
func (d *decoder) decode(path string, in, out any) {
	if in == nil {
		return
	}
	if v, ok := out.(decodable); ok {
		v.decode(d, path, in)
		return
	}
	if v, ok := out.(encoding.TextUnmarshaler); ok {
		if text, ok := d.text(path, in); ok {
			if err := v.UnmarshalText([]byte(text)); err != nil {
				d.problem(path, "want a network such as 10.0.0.0/8 or 192.0.2.7/32")
			}
		}
		return
	}
	v := reflect.ValueOf(out).Elem()
	switch v.Kind() {
	case reflect.Struct:
		d.structure(path, in, v)
	case reflect.Slice:
		d.list(path, in, v)
	case reflect.Bool:
		d.boolean(path, in, v)
	case reflect.Int, reflect.Int64:
		d.number(path, in, v)
	case reflect.String:
		if text, ok := d.text(path, in); ok {
			v.SetString(text)
		}
	default:
		panic("config: no way to decode " + v.Type().String()) // unreachable: Config has no such field
	}
}

func (d *decoder) structure(path string, in any, v reflect.Value) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want keys and values here")
		return
	}
	known := map[string]field{}
	for f := range fields(v.Type()) {
		known[f.key] = f
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		f, ok := known[key]
		if !ok {
			d.problem(join(path, key), unknownMessage(v.Type(), key, slices.Sorted(maps.Keys(known))))
			continue
		}
		d.decode(join(path, key), m[key], v.Field(f.index).Addr().Interface())
	}
	switch c := v.Addr().Interface().(type) {
	case *Client:
		c.complete(m)
	case *ResourceServer:
		c.SetDefaults()
	}
}

func (d *decoder) list(path string, in any, v reflect.Value) {
	items, ok := in.([]any)
	if !ok {
		d.problem(path, "want a list, such as [a, b]")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if item == nil {
			d.problem(at(path, i), "is empty")
			continue
		}
		d.decode(at(path, i), item, out.Index(i).Addr().Interface())
	}
	v.Set(out)
}

func (d *decoder) boolean(path string, in any, v reflect.Value) {
	switch in {
	case true, "true":
		v.SetBool(true)
	case false, "false":
		v.SetBool(false)
	default:
		d.problem(path, "want true or false")
	}
}

func (d *decoder) number(path string, in any, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		text, ok := in.(string)
		if in == 0 {
			text, ok = "0s", true
		}
		duration, err := time.ParseDuration(text)
		if !ok || err != nil {
			d.problem(path, errNotDuration.Error())
			return
		}
		v.SetInt(int64(duration))
		return
	}
	n, err := strconv.Atoi(fmt.Sprint(in))
	if err != nil {
		d.problem(path, "want a whole number")
		return
	}
	v.SetInt(int64(n))
}

// text takes a string. YAML reads 0042 and +15005550006 as numbers, which have
// lost their zeros and signs: those must be quoted.
func (d *decoder) text(path string, in any) (string, bool) {
	switch v := in.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			d.problem(path, "must not contain a null character")
			return "", false
		}
		return v, true
	case map[string]any, []any:
		d.problem(path, "want text")
	default:
		d.problem(path, `want text: put it in quotes, "like this"`)
	}
	return "", false
}

// later are keys of the plan that this version does not have.
var later = []string{"enabled_clients"}

func unknownMessage(t reflect.Type, key string, known []string) string {
	if slices.Contains(later, key) && (t == reflect.TypeFor[Config]() || t == reflect.TypeFor[Connection]()) {
		return "not supported by this version; remove it"
	}
	if near := nearest(key, known); near != "" {
		return "unknown key; did you mean " + near + "?"
	}
	return "unknown key; the keys here are " + list(known)
}

// nearest returns the known word that a typing error would make of word, or "".
func nearest(word string, known []string) string {
	word = strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	best, distance := "", 3
	for _, k := range known {
		if n := edits(word, k); n < distance && n < len(k) {
			best, distance = k, n
		}
	}
	return best
}

// edits is the Levenshtein distance of two short words; long ones are far.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
