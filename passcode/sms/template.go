package sms

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/handset-oidc/handset/passcode/phone"
)

// The syntaxes of templates.
const (
	// SyntaxMacros is Auth0's md_with_macros: @@password@@ and its like.
	SyntaxMacros = "md_with_macros"
	// SyntaxLiquid is the template language that Auth0 took from Shopify.
	SyntaxLiquid = "liquid"
)

// maxApplication is how many characters of an application's name go into a text.
const maxApplication = 20

const (
	// maxTemplate bounds a template's length: ten segments are more than anyone reads.
	maxTemplate = 1600
	// maxText bounds what a template makes: a name may be longer than its placeholder.
	maxText = 4 * maxTemplate
)

// Fields are what a text is made from.
type Fields struct {
	Code string
	// Number is whom the text goes to, for templates that name it.
	Number phone.Number
	// Application is the client's name; it is cleaned here.
	Application string
	// Language are the languages that were asked for, best first, as the header
	// Accept-Language lists them. The built-in text is in the first that there is;
	// templates get the list, cleaned, as request_language.
	Language string
	// Host ends the text with the line that binds the code to the login page of
	// that host (origin-bound one-time codes); empty leaves the line out. See [OriginHost].
	Host string
}

// values are the fields by the names that templates have for them.
func (f Fields) values() map[string]string {
	return map[string]string{
		"password": f.Code, "code": f.Code, "phone_number": f.Number.E164(),
		"application.name": CleanName(f.Application), "request_language": cleanLanguages(f.Language),
	}
}

// variables are the names of values, as documents list them.
var variables = []string{"password", "code", "phone_number", "application.name", "request_language"}

// Template turns fields into the body of a text. The zero Template, and nil,
// is the built-in text in the person's language. It is safe for concurrent use.
type Template struct{ body body }

// body makes a text of values; empty when it can't.
type body func(values map[string]string) string

// ParseTemplate reads a template in one of the syntaxes; an empty syntax is
// md_with_macros. An empty text is the built-in one. A template that doesn't show
// the code in every language is an error, since nobody could log in with its texts.
func ParseTemplate(syntax, text string) (*Template, error) {
	text = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
	switch {
	case syntax != "" && syntax != SyntaxMacros && syntax != SyntaxLiquid:
		return nil, &SyntaxError{Syntax: syntax}
	case text == "":
		return &Template{}, nil
	case len(text) > maxTemplate:
		return nil, fmt.Errorf("has more than %d bytes", maxTemplate)
	case syntax == SyntaxLiquid:
		return parseLiquid(text)
	case strings.Contains(text, "{{") || strings.Contains(text, "{%"):
		// Auth0 takes either in one box; people would get the tags to read.
		return nil, errors.New("holds Liquid, which md_with_macros does not read: set syntax to liquid, which reads macros too")
	}
	m, err := parseMacros(text)
	if err != nil {
		return nil, err
	}
	return &Template{body: m.body}, nil
}

// SyntaxError says that a template's syntax is not known.
type SyntaxError struct{ Syntax string }

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%q is not one of: %s, %s", e.Syntax, SyntaxMacros, SyntaxLiquid)
}

// BuiltIn reports whether the template is the built-in text.
func (t *Template) BuiltIn() bool { return t == nil || t.body == nil }

// Execute returns the body of a text. Equal fields give equal bodies. A template
// that fails or leaves out the code for these fields, which [ParseTemplate] could
// not know, gives way to the built-in text: a login counts for more than its words.
func (t *Template) Execute(f Fields) string {
	values, body := f.values(), ""
	if !t.BuiltIn() {
		body = t.body(values)
	}
	if body == "" || !strings.Contains(body, f.Code) {
		i, _ := builtIn().match(f.Language)
		body = builtIn().bodies[i].body(values)
	}
	if f.Host != "" {
		// The last line decides, and nothing may follow it (origin-bound
		// one-time codes): host, one space, code.
		body += "\n\n@" + f.Host + " #" + f.Code
	}
	return body
}

// macros are a template in md_with_macros, in pieces.
type macros []part

// part is text as it stands, or the name of a value.
type part struct{ text, value string }

func parseMacros(text string) (macros, error) {
	m, err := splitMacros(text)
	if err != nil {
		return nil, err
	}
	for _, p := range m {
		if p.value == "code" || p.value == "password" {
			return m, nil
		}
	}
	return nil, errors.New("doesn't show the code: write @@password@@ where it belongs")
}

func splitMacros(text string) (macros, error) {
	var m macros
	for {
		before, name, after, ok := cutMacro(text)
		if !ok {
			return append(m, part{text: text}), nil
		}
		value := strings.TrimSpace(name)
		if !slices.Contains(variables, value) {
			return nil, fmt.Errorf("has an unknown macro @@%s@@ (known: @@%s@@)", name, strings.Join(variables, "@@, @@"))
		}
		m = append(m, part{text: before}, part{value: value})
		text = after
	}
}

// cutMacro cuts text around its first @@name@@.
func cutMacro(text string) (before, name, after string, ok bool) {
	before, rest, ok := strings.Cut(text, "@@")
	if !ok {
		return "", "", "", false
	}
	name, after, ok = strings.Cut(rest, "@@")
	return before, name, after, ok
}

func (m macros) body(values map[string]string) string {
	var b strings.Builder
	for _, p := range m {
		b.WriteString(p.text)
		b.WriteString(values[p.value])
	}
	return b.String()
}

// CleanName makes an application's name fit for a text: without line ends,
// controls, invisible characters, "@" and "#", at most 20 characters. Otherwise
// a client could name itself "X\n@evil.example #1" and end texts with a line of
// its own. An empty name becomes "login".
func CleanName(name string) string {
	if name = clean(name); name != "" {
		return name
	}
	return "login"
}

func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '@', r == '#', r == unicode.ReplacementChar, unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r), unicode.Is(unicode.Z, r):
			return ' '
		}
		return r
	}, s)
	runes := []rune(strings.Join(strings.Fields(s), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), maxApplication)]))
}

// OriginHost returns the host for [Fields].Host: that of an https issuer at the
// usual port, else "". Browsers bind codes to https origins without a port.
func OriginHost(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || (u.Port() != "" && u.Port() != "443") {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
