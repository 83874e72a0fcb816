package views

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed messages/*.json
var messageFiles embed.FS

// Catalog holds the texts of all languages. It is safe for concurrent use.
type Catalog struct {
	matcher language.Matcher
	locales []*Locale // the default language first
}

// NewCatalog reads the languages that are built in. The default is English.
func NewCatalog() (*Catalog, error) {
	sub, err := fs.Sub(messageFiles, "messages")
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return newCatalog(sub)
}

// newCatalog reads one <language>.json for each language of files. English must be
// among them: it is the default, and lends its text where another lacks one.
func newCatalog(files fs.FS) (*Catalog, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	tags := []language.Tag{language.English}
	for _, name := range names {
		if _, err := bundle.LoadMessageFileFS(files, name); err != nil {
			return nil, fmt.Errorf("read messages of %s: %w", name, err)
		}
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return nil, fmt.Errorf("language of %s: %w", name, err)
		}
		if tag != language.English {
			tags = append(tags, tag)
		}
	}
	c := &Catalog{matcher: language.NewMatcher(tags)}
	for _, tag := range tags {
		c.locales = append(c.locales, newLocale(bundle, tag))
	}
	return c, nil
}

// What is read of a request: more than anybody speaks, less than what costs time.
const (
	languageLimit       = 10
	acceptLanguageLimit = 256 // bytes
)

// Locale chooses the language of a page: the first of uiLocales that there is
// (OIDC Core §3.1.2.1), else the best of the Accept-Language header, else the
// default. What cannot be read is ignored. It never returns nil.
func (c *Catalog) Locale(uiLocales []string, acceptLanguage string) *Locale {
	var wanted []language.Tag
	for _, s := range uiLocales[:min(len(uiLocales), languageLimit)] {
		if tag, err := language.Parse(s); err == nil {
			wanted = append(wanted, tag)
		}
	}
	if _, i, confidence := c.matcher.Match(wanted...); confidence > language.No {
		return c.locales[i]
	}
	if len(acceptLanguage) > acceptLanguageLimit {
		acceptLanguage = acceptLanguage[:acceptLanguageLimit]
	}
	accepted, _, _ := language.ParseAcceptLanguage(acceptLanguage)
	_, i, _ := c.matcher.Match(accepted[:min(len(accepted), languageLimit)]...)
	return c.locales[i]
}

// Locale is one language's texts and names of countries. It is safe for
// concurrent use.
type Locale struct {
	// Lang is the BCP 47 tag for the page's lang attribute.
	Lang string
	// Dir is ltr or rtl.
	Dir string

	texts     *i18n.Localizer
	countries map[string]countryName
	fixed     sync.Map // key -> text, of the texts without arguments
}

func newLocale(bundle *i18n.Bundle, tag language.Tag) *Locale {
	return &Locale{
		Lang:      tag.String(),
		Dir:       direction(tag),
		texts:     i18n.NewLocalizer(bundle, tag.String()),
		countries: countryNames(tag),
	}
}

// direction tells how the language's script runs.
func direction(tag language.Tag) string {
	script, _ := tag.Script()
	switch script.String() {
	case "Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg", "Mand", "Samr":
		return "rtl"
	}
	return "ltr"
}

// Message returns the words of m; empty for the zero Message.
func (l *Locale) Message(m Message) string {
	if m.IsZero() {
		return ""
	}
	return l.Text(m.Key, m.Args)
}

// Text returns the words of key with args in their places. A key that is missing
// in the language is taken from the default one; one that is missing there too
// is returned as it is, so that a page is drawn in any case.
func (l *Locale) Text(key string, args Args) string {
	spelled := make(map[string]string, len(args))
	for name, value := range args {
		spelled[name] = l.spell(value)
	}
	return l.localize(key, args["n"], spelled)
}

func (l *Locale) localize(key string, plural any, spelled map[string]string) string {
	if _, countable := plural.(int); !countable {
		plural = nil
	}
	if plural == nil && len(spelled) == 0 {
		return l.fixedText(key)
	}
	return l.look(key, plural, spelled)
}

// fixedText returns a text without arguments, which is the same each time.
// Keys come from our own code, so there are only so many.
func (l *Locale) fixedText(key string) string {
	if text, ok := l.fixed.Load(key); ok {
		return text.(string)
	}
	text := l.look(key, nil, nil)
	l.fixed.Store(key, text)
	return text
}

func (l *Locale) look(key string, plural any, spelled map[string]string) string {
	text, _ := l.texts.Localize(&i18n.LocalizeConfig{
		MessageID:      key,
		PluralCount:    plural,
		TemplateData:   spelled,
		TemplateParser: placeholders,
	})
	if text == "" {
		return key
	}
	return text
}

// spell turns one argument into words.
func (l *Locale) spell(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case Name:
		return string(v)
	case Digits:
		return string(v)
	case int:
		return strconv.Itoa(v)
	case Region:
		return l.country(string(v))
	case Regions:
		names := make([]string, len(v))
		for i, region := range slices.SortedStableFunc(slices.Values(v), l.compareRegions) {
			names[i] = l.country(region)
		}
		return strings.Join(names, l.Text("list.separator", nil))
	case Wait:
		return l.wait(time.Duration(v))
	}
	return fmt.Sprint(value)
}

// wait spells a duration in the largest unit that keeps it honest, rounded up:
// who comes back then never comes too early.
func (l *Locale) wait(d time.Duration) string {
	key, unit := "wait.hours", time.Hour
	switch {
	case d <= 90*time.Second:
		key, unit = "wait.seconds", time.Second
	case d <= 90*time.Minute:
		key, unit = "wait.minutes", time.Minute
	}
	n := max(1, int((d+unit-1)/unit))
	return l.Text(key, Args{"n": n})
}
