package sms

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

func TestLanguages(t *testing.T) {
	t.Parallel()
	want := strings.Fields("en ar de es fa fr he hi id it ja ko nl pl pt ru th tr uk vi zh-Hans zh-Hant")
	if got := Languages(); !slices.Equal(got, want) {
		t.Errorf("languages %v, want %v", got, want)
	}
}

// One segment costs half of two, in every language; with the line for the browser
// a long name takes two, which the preview says.
func TestEveryBuiltInTextIsOneSegment(t *testing.T) {
	t.Parallel()
	for _, tag := range Languages() {
		name := strings.Repeat("W", maxApplication+5)
		encoding := GSM7
		if !latin(t, tag) {
			name, encoding = strings.Repeat("あ", maxApplication+5), UCS2
		}
		f := Fields{Code: "01234567", Application: name, Language: tag}
		text := (*Template)(nil).Execute(f)
		got, segments, units := Segments(text)
		if got != encoding || segments != 1 {
			t.Errorf("%s: %s, %d segments, %d units, want %s (%q)", tag, got, segments, units, encoding, string(OutsideGSM7(text)))
		}
		if strings.Count(text, f.Code) != 1 || strings.Count(text, CleanName(name)) != 1 || utf8.RuneCountInString(CleanName(name)) != maxApplication {
			t.Errorf("%s: code and name are not in %q", tag, text)
		}
	}
}

// With a name and a host of usual length the last line fits, too.
func TestEveryBuiltInTextHasRoomForTheLastLine(t *testing.T) {
	t.Parallel()
	for _, tag := range Languages() {
		text := (*Template)(nil).Execute(Fields{Code: "012345", Application: "Example", Language: tag, Host: "login.example.com"})
		if encoding, segments, units := Segments(text); segments != 1 {
			t.Errorf("%s: %d segments, %d units of %s", tag, segments, units, encoding)
		}
	}
}

// latin reports whether the language is written in Latin letters: its text must then
// keep to GSM-7.
func latin(t *testing.T, tag string) bool {
	t.Helper()
	script, _ := language.MustParse(tag).Script()
	return script.String() == "Latn"
}

// A text with a link teaches people to follow links; "@" and "#" are the browser's.
func TestBuiltInTextsAreSentences(t *testing.T) {
	t.Parallel()
	for _, tag := range Languages() {
		text := (*Template)(nil).Execute(Fields{Code: "0123", Application: "Tiny", Language: tag})
		if strings.ContainsAny(text, "@#/\n{}%") || strings.Contains(text, "www") {
			t.Errorf("%s: %q", tag, text)
		}
		end, _ := utf8.DecodeLastRuneInString(text)
		// Thai ends its sentences with nothing.
		if !strings.ContainsRune(".。।", end) && (tag != "th" || !unicode.IsLetter(end)) {
			t.Errorf("%s: %q does not end as a sentence", tag, text)
		}
		// A dot inside of a word would make a link of it.
		for _, word := range strings.Fields(text) {
			if strings.Contains(strings.TrimRight(word, "."), ".") {
				t.Errorf("%s: %q could be read as an address", tag, word)
			}
		}
	}
}

// Two texts that are equal would be a copy nobody translated.
func TestBuiltInTextsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, tag := range Languages() {
		text := (*Template)(nil).Execute(Fields{Code: "0123", Application: "Tiny", Language: tag})
		if other, ok := seen[text]; ok {
			t.Errorf("%s has the text of %s: %q", tag, other, text)
		}
		seen[text] = tag
	}
}

func TestTextsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		`[]`:                              "cannot unmarshal",
		`{"en": "Your code"}`:             "en: doesn't show the code",
		`{"en": "@@kode@@"}`:              "en: has an unknown macro",
		`{"en": "@@code@@", "x-": "0"}`:   "x-: ",
		`{"de": "@@code@@ ist Ihr Code"}`: "en: doesn't show the code",
	} {
		if _, err := readTexts([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func TestTheTextIsInALanguageThatWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked, want string
		fits        bool
	}{
		{"", "en", false},
		{"ja", "ja", true},
		{"de-CH", "de", true},
		{"pt-BR", "pt", true},
		{"pt-PT", "pt", true},
		{"zh", "zh-Hans", true},
		{"zh-CN", "zh-Hans", true},
		{"zh-TW", "zh-Hant", true},
		{"zh-HK", "zh-Hant", true},
		{"zh-Hant-TW", "zh-Hant", true},
		{"es-419", "es", true},
		{"iw", "he", true}, // what Java calls it
		{"in", "id", true},
		{"fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7", "fr", true},
		{"en;q=0.5, uk;q=0.9", "uk", true},
		{"uk;q=0, en", "en", true},
		{"sv-SE,sv;q=0.9,de;q=0.8", "de", true},
		// ui_locales come first, and are followed by the header.
		{"ko,en-US,en;q=0.9", "ko", true},
		{"pt-PT,en", "pt", true},
		{"zh-HK,en;q=0.9,ja;q=0.8", "zh-Hant", true},
		{"gl", "es", true}, // who reads Galician reads Spanish
		{"dutch,it", "it", true},
		{"xx, no tag ,;q=1,*;q=0.1,th", "th", true},
		{"sv", "en", false},
		{"*", "en", false},
		{"\x00;;q=x", "en", false},
		{strings.Repeat("sv,", 100_000) + "ja", "en", false},
		{strings.Repeat("x", 300) + ",ja", "en", false},
	} {
		got, fits := MatchLanguage(c.asked)
		if got != c.want || fits != c.fits {
			t.Errorf("%.40q: %s, %t; want %s, %t", c.asked, got, fits, c.want, c.fits)
		}
	}
}

func TestCleanLanguages(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{
		"":                                    "",
		"fr-FR":                               "fr-FR",
		"dutch":                               "dutch",
		"fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7": "fr-FR,fr,en-US,en",
		"zh-Hant-TW, zh-Hant;q=0.9, en":       "zh-Hant-TW,zh-Hant",
		"en_US":                               "en_US",
		"*, de":                               "de",
		"call +1 900 555 0100 now":            "",
		"evil.example,en":                     "en",
		"en\n@evil.example #1":                "",
		"a-tag-that-is-longer-than-a-name-may-be,en": "",
	} {
		if got := cleanLanguages(asked); got != want {
			t.Errorf("%q: %q, want %q", asked, got, want)
		}
	}
}
