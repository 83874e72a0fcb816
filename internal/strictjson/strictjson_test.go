package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", ` null `: "", `"a"`: "", `1.5e3`: "", "\t{\r\n\"a\" : [ 1 , {\"a\":2} ] }": "",
		`{"a":{"b":1},"c":{"b":1}}`:             "", // each its own
		`[{"a":1},{"a":1}]`:                     "",
		`{"a":"{\"a\":1,\"a\":2}"}`:             "", // text is no member
		`{"a":1,"A":2}`:                         "", // names are compared exactly
		`{"\ud83d\ude00":1,"\u0000":"\\ud800"}`: "",
		``:                                      "not one JSON value",
		`{`:                                     "not one JSON value",
		`{"a":1}{"b":2}`:                        "not one JSON value",
		`{"a":1,}`:                              "not one JSON value",
		"\ufeff{}":                              "not one JSON value",
		"{\"\xff\":1}":                          "text that is not Unicode",
		"\"\xed\xa0\x80\"":                      "text that is not Unicode",
		`"\ud800"`:                              "text that is not Unicode",
		`"\udc00\ud800"`:                        "text that is not Unicode",
		`"\ud800x\udc00"`:                       "text that is not Unicode",
		`"\ud800\n"`:                            "text that is not Unicode",
		`{"a":{"\ud800":1}}`:                    "text that is not Unicode",
		`{"a":1,"a":2}`:                         "a member stands twice",
		`{"a":1,"b":0,"\u0061":2}`:              "a member stands twice",
		`{"a":[{"b":{},"b":[]}]}`:               "a member stands twice",
		`{"":1,"":1}`:                           "a member stands twice",

		strings.Repeat("[", 100) + strings.Repeat("]", 100):             "",
		strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100):   "",
		strings.Repeat("[", 101) + strings.Repeat("]", 101):             "too many levels",
		strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999): "too many levels",
	} {
		got := ""
		if err := Check([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

type sample struct {
	A    string             `json:"a"`
	B    *int               `json:"b,omitempty"`
	C    []sample           `json:"c"`
	Raw  json.RawMessage    `json:"raw"`
	Any  map[string]any     `json:"any"`
	Kept string             `json:"-"`
	Text map[string]*string `json:"text"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got sample
	text := `{"a":"x","b":7,"c":[{"a":"y"}],"raw":{"free":1},"any":{"n":1e400,"free":{}},"text":{"k":null}}`
	if err := Decode([]byte(text), &got); err != nil || got.A != "x" || *got.B != 7 || got.C[0].A != "y" || string(got.Raw) != `{"free":1}` {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Any["n"] != json.Number("1e400") {
		t.Errorf("a number became %v", got.Any["n"])
	}
	for text, name := range map[string]string{
		`{"nope":1}`: "nope", `{"A":"x"}`: "A", `{"a":"x","c":[{"a":"y"},{"B":1}]}`: "B", `{"Kept":"x"}`: "Kept", `{"-":"x"}`: "-",
	} {
		err := Decode([]byte(text), &sample{})
		if strange, ok := errors.AsType[*UnknownError](err); !ok || strange.Name != name {
			t.Errorf("%s: %v, want %s", text, err, name)
		}
	}
	twice, ok := errors.AsType[*TwiceError](Decode([]byte(`{"a":"x","a":"y"}`), &sample{}))
	if !ok || twice.Name != "a" {
		t.Errorf("twice: %v", twice)
	}
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](Decode([]byte(`{"c":[{"b":"x"}]}`), &sample{}))
	if !ok || wrong.Field != "c.b" {
		t.Errorf("of another type: %v", wrong)
	}
	for _, text := range []string{`[]`, `"x"`, `1`} {
		if err := Decode([]byte(text), &sample{}); err == nil {
			t.Errorf("%s is taken for an object", text)
		}
	}
}

// FuzzCheck holds the walk against the tokens of encoding/json, and what was taken
// against being written and read again.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":[{"c":1,"c":1}]}}`, `[1,"\ud83d\ude00",null,true,-1e9]`, `"\ud800"`, "\"\xff\"", `{"a`, `{} {}`,
		" [ ] ", `{"\\":"\"","\\\\":"\\"}`, `[[[]],{}]`, `""`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := Check(text)
		twice, isTwice := errors.AsType[*TwiceError](err)
		switch {
		case !json.Valid(text):
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		case isTwice:
			if !utf8.ValidString(twice.Name) || !repeats(text) {
				t.Fatalf("%q: %q is not there twice", text, twice.Name)
			}
			return
		case err != nil:
			surrogates := strings.Contains(strings.ToLower(string(text)), `\ud`)
			deep := bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxDepth
			if bytes.Equal(bytes.ToValidUTF8(text, nil), text) && !surrogates && !deep {
				t.Fatalf("%q: %v", text, err)
			}
			return
		case repeats(text):
			t.Fatalf("%q is taken", text)
		}
		var one, other any
		if err := json.Unmarshal(text, &one); err != nil {
			return // numbers that are too large for the type
		}
		again, err := json.Marshal(one)
		if err != nil || Check(again) != nil || json.Unmarshal(again, &other) != nil || !reflect.DeepEqual(one, other) {
			t.Fatalf("%q is written as %q, %v", text, again, err)
		}
	})
}

// repeats reports whether an object in the text has a member twice.
func repeats(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type level struct {
		seen  map[string]bool // nil in a list
		value bool            // a value comes next, not a name
	}
	var open []*level
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		var top *level
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		if end, ok := token.(json.Delim); ok && (end == '}' || end == ']') {
			open = open[:len(open)-1]
			continue
		}
		if top != nil && top.seen != nil {
			if !top.value {
				if top.seen[token.(string)] {
					return true
				}
				top.seen[token.(string)], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, &level{seen: map[string]bool{}})
		case json.Delim('['):
			open = append(open, &level{})
		}
	}
}
