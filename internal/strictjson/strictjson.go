// Package strictjson reads JSON of strangers so that no two readers of a text can
// believe different things of it: it is UTF-8, no member of an object stands in it
// twice, and names are compared exactly (RFC 8259 §4 and §8 leave all three to the
// reader, and encoding/json takes any of them).
//
// It is a leaf. It tells what is wrong by its kind and quotes no value: which words
// and which status that becomes is the business of who asks.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrSyntax says that a text is not one JSON value.
	ErrSyntax = errors.New("not one JSON value")
	// ErrText says that a text is no UTF-8, or has half of a surrogate pair in it, which
	// encoding/json would read as U+FFFD: many names would become one.
	ErrText = errors.New("text that is not Unicode")
)

// ErrDeep says that lists and objects stand in each other more than [maxDepth] deep: what
// is kept of it could not be read in a longer text.
var ErrDeep = errors.New("too many levels")

// maxDepth is more than anybody writes.
const maxDepth = 100

// TwiceError says that an object has a member twice.
type TwiceError struct{ Name string }

func (*TwiceError) Error() string { return "a member stands twice" }

// UnknownError says that an object has a member which nobody asked for.
type UnknownError struct{ Name string }

func (*UnknownError) Error() string { return "a member is not known" }

// Check reports what is wrong with a text: [ErrSyntax], [ErrText], [ErrDeep], or a [*TwiceError].
func Check(text []byte) error {
	switch {
	case !json.Valid(text):
		return ErrSyntax
	case !utf8.Valid(text):
		return ErrText
	}
	w := walker{text: text}
	w.value()
	return w.err
}

// Decode reads a text into a value as [json.Unmarshal] does, except that numbers of no
// type stay as they are written and that members must have exactly the names of
// fields. Beside the errors of [Check] it returns a [*UnknownError], and those of
// encoding/json for what is of another type.
func Decode(text []byte, into any) error {
	if err := Check(text); err != nil {
		return err
	}
	if name, strange := unknown(text, reflect.TypeOf(into)); strange {
		return &UnknownError{name}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// walker goes through valid JSON, and remembers the first thing that is wrong.
type walker struct {
	text      []byte
	at, depth int
	err       error
}

// next returns the next byte that is no space, and stands on it.
func (w *walker) next() byte {
	for strings.IndexByte(" \t\r\n", w.text[w.at]) >= 0 {
		w.at++
	}
	return w.text[w.at]
}

func (w *walker) value() {
	switch w.next() {
	case '{':
		w.object()
	case '[':
		w.list(']', w.value)
	case '"':
		w.str()
	default: // a number or a word ends where something else begins
		for w.at < len(w.text) && strings.IndexByte(",]} \t\r\n", w.text[w.at]) < 0 {
			w.at++
		}
	}
}

// list goes through what stands between commas, up to an end.
func (w *walker) list(end byte, one func()) {
	if w.depth++; w.depth > maxDepth && w.err == nil {
		w.err = ErrDeep
	}
	for w.at++; w.next() != end; {
		if one(); w.next() == ',' {
			w.at++
		}
	}
	w.at++
	w.depth--
}

func (w *walker) object() {
	seen := map[string]bool{}
	w.list('}', func() {
		w.next()
		name := w.str()
		if seen[name] && w.err == nil {
			w.err = &TwiceError{name}
		}
		seen[name] = true
		w.next()
		w.at++ // the colon
		w.value()
	})
}

// str reads a string.
func (w *walker) str() string {
	from, escaped := w.at, false
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	raw := w.text[from:w.at]
	if !escaped {
		return string(raw[1 : len(raw)-1])
	}
	if !whole(raw) && w.err == nil {
		w.err = ErrText
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it is valid
	return s
}

// whole reports whether all surrogates that a string escapes are in pairs.
func whole(raw []byte) bool {
	high := false // the escape before was the first half of a pair
	for i := 0; i < len(raw); i++ {
		unit := uint64(0)
		if raw[i] == '\\' {
			if i++; raw[i] == 'u' {
				unit, _ = strconv.ParseUint(string(raw[i+1:i+5]), 16, 16) // it is valid
				i += 4
			}
		}
		if low := unit&0xfc00 == 0xdc00; low != high {
			return false
		}
		high = unit&0xfc00 == 0xd800
	}
	return true
}

// unknown finds a member that a type has no field of exactly that name for. What is of
// another type than the field is left for the decoder to refuse.
func unknown(text []byte, t reflect.Type) (name string, found bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return "", false
	}
	switch t.Kind() {
	case reflect.Struct:
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members)
		known := fields(t)
		for member, value := range members {
			of, ok := known[member]
			if !ok {
				return member, true
			}
			if name, found = unknown(value, of); found {
				return name, true
			}
		}
	case reflect.Slice, reflect.Array:
		var list []json.RawMessage
		_ = json.Unmarshal(text, &list)
		for _, value := range list {
			if name, found = unknown(value, t.Elem()); found {
				return name, true
			}
		}
	}
	return "", false
}

// fields are the names that a struct has in JSON. Ours embed nothing and omit no name.
func fields(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	return out
}
