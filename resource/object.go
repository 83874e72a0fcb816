package resource

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// object is a JSON object: its members, each with its JSON text, which is decoded when
// it is asked for. Names are compared exactly: encoding/json would take "SUB" for a
// struct's "sub", so that one claim could speak for another.
type object []member

type member struct{ name, value string }

// maxMembers bounds an object, so that looking through it stays cheap. Handset's
// tokens have a dozen claims and those that are configured.
const maxMembers = 64

// parseObject wants one object of valid UTF-8 without a member twice, of which two
// readers could believe different ones (RFC 7515 §4, RFC 7519 §4).
func parseObject(text []byte) (object, bool) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "{")
	if !ok {
		return nil, false
	}
	o := make(object, 0, min(strings.Count(rest, ",")+1, maxMembers))
	for rest = strings.TrimSpace(rest); rest[0] != '}'; rest = strings.TrimPrefix(rest, ",") {
		var name, value string
		name, rest = cutValue(rest)
		value, rest = cutValue(rest[1:]) // behind the colon
		if name, ok = unquote(name); !ok || o.has(name) || len(o) == maxMembers {
			return nil, false
		}
		o = append(o, member{name, value})
	}
	return o, true
}

// cutValue splits valid JSON behind its first value: at the comma, colon, brace or
// bracket that is in no string and no inner value.
func cutValue(text string) (value, rest string) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case depth == 0 && (c == ',' || c == ':' || c == '}' || c == ']'):
			return strings.TrimSpace(text[:i]), text[i:]
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return text, "}]" // unreachable: the text is valid JSON
}

// unquote decodes a JSON string.
func unquote(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	var s string
	err := json.Unmarshal([]byte(raw), &s)
	return s, err == nil
}

// raw is a member's JSON text; "" when there is none of the name.
func (o object) raw(name string) string {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

func (o object) has(name string) bool { return o.raw(name) != "" }

// text is a member that is a string.
func (o object) text(name string) (string, bool) { return unquote(o.raw(name)) }

func (o object) textInto(to *string, name string) bool {
	s, ok := o.text(name)
	*to = s
	return ok
}

// texts is a member that is a string or a list of strings (RFC 7519 §4.1.3).
func (o object) texts(name string) ([]string, bool) {
	raw := o.raw(name)
	if one, ok := unquote(raw); ok {
		return []string{one}, true
	}
	rest, ok := strings.CutPrefix(raw, "[")
	if !ok {
		return nil, false
	}
	out := make([]string, 0, strings.Count(rest, ",")+1)
	for rest = strings.TrimSpace(rest); rest[0] != ']'; rest = strings.TrimPrefix(rest, ",") {
		var value string
		value, rest = cutValue(rest)
		one, ok := unquote(value)
		if !ok {
			return nil, false
		}
		out = append(out, one)
	}
	return out, true
}

// maxTime is where a NumericDate stops being a time: the year 5138.
const maxTime = 1e11

// timeInto reads a NumericDate (RFC 7519 §2): seconds, possibly with a fraction,
// which is cut off.
func (o object) timeInto(to *time.Time, name string) bool {
	f, err := strconv.ParseFloat(o.raw(name), 64) // JSON spells nothing but numbers so
	if err != nil || f <= 0 || f > maxTime {
		return false
	}
	*to = time.Unix(int64(f), 0).UTC()
	return true
}
