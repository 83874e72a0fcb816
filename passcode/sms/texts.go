package sms

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// textsJSON holds the built-in texts, one sentence for each language, in md_with_macros.
// They are those of which security notices speak: they name the application, as
// context against a caller who asks for the code.
//
// Each fits into one segment with a code of 8 digits and a name of 20 characters.
// That is why Spanish, Portuguese and Polish lack accents that GSM-7 lacks, and why
// Vietnamese is written as operators there write it: a text with one such letter
// costs twice as much.
//
//go:embed texts.json
var textsJSON []byte

// texts are the built-in ones, in the order of their tags, English first: it is the
// default.
type texts struct {
	tags    []string
	bodies  []macros
	matcher language.Matcher
}

const defaultLanguage = "en"

var builtIn = sync.OnceValue(func() *texts {
	t, err := readTexts(textsJSON)
	if err != nil {
		panic("sms: built-in texts: " + err.Error()) // unreachable: the file is compiled in, and a test reads it
	}
	return t
})

func readTexts(file []byte) (*texts, error) {
	byTag := map[string]string{}
	if err := json.Unmarshal(file, &byTag); err != nil {
		return nil, err
	}
	t := &texts{tags: slices.Sorted(maps.Keys(byTag))}
	t.tags = slices.DeleteFunc(t.tags, func(tag string) bool { return tag == defaultLanguage })
	t.tags = slices.Insert(t.tags, 0, defaultLanguage)
	var known []language.Tag
	for _, name := range t.tags {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		body, err := parseMacros(byTag[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		known, t.bodies = append(known, tag), append(t.bodies, body)
	}
	t.matcher = language.NewMatcher(known)
	return t, nil
}

// Languages returns the tags of the built-in texts, English first.
func Languages() []string { return slices.Clone(builtIn().tags) }

// MatchLanguage returns the language of the built-in text for whoever asks for
// languages as Accept-Language lists them, and whether that is one they asked for;
// otherwise it is English.
func MatchLanguage(asked string) (tag string, fits bool) {
	t := builtIn()
	i, fits := t.match(asked)
	return t.tags[i], fits
}

func (t *texts) match(asked string) (i int, fits bool) {
	_, i, confidence := t.matcher.Match(parseLanguages(asked)...)
	if confidence == language.No {
		return 0, false
	}
	return i, true
}

// What is read of the languages of a request: more than anybody speaks, less than
// what costs time.
const (
	languageLimit      = 10
	languageBytesLimit = 256
)

// parseLanguages reads what Accept-Language may hold (RFC 9110 §12.5.4), best
// first. What can't be read is passed over: one odd entry, such as the word that an
// application's own header may hold, leaves the others.
func parseLanguages(asked string) []language.Tag {
	type wish struct {
		tag    language.Tag
		weight float32
	}
	var wishes []wish
	for _, entry := range entries(asked) {
		tags, weights, err := language.ParseAcceptLanguage(entry)
		if err == nil && len(tags) == 1 {
			wishes = append(wishes, wish{tags[0], weights[0]})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	out := make([]language.Tag, len(wishes))
	for i, w := range wishes {
		out[i] = w.tag
	}
	return out
}

func entries(asked string) []string {
	asked = asked[:min(len(asked), languageBytesLimit)]
	all := strings.SplitN(asked, ",", languageLimit+1)
	return all[:min(len(all), languageLimit)]
}

// cleanLanguages makes what was asked for fit for a text: the tags as they were
// written, without their weights, at most 20 characters. Only what tags are made of
// is left: whoever asks for a text writes this, and it may go to somebody else.
func cleanLanguages(asked string) string {
	out := ""
	for _, entry := range entries(asked) {
		tag, _, _ := strings.Cut(entry, ";")
		tag = strings.TrimSpace(tag)
		if tag == "" || strings.ContainsFunc(tag, notOfTags) {
			continue
		}
		if out != "" {
			tag = "," + tag
		}
		if len(out)+len(tag) > maxApplication {
			break
		}
		out += tag
	}
	return out
}

func notOfTags(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
