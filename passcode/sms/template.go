package sms

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// The syntaxes of templates.
const (
	// SyntaxMacros is Auth0's md_with_macros: @@password@@ and its like.
	SyntaxMacros = "md_with_macros"
)

// maxApplication is how many characters of an application's name go into a text.
const maxApplication = 20

// maxTemplate bounds a template's length: ten segments are more than anyone reads.
const maxTemplate = 1600

// Fields are what a text is made from.
type Fields struct {
	Code string
	// Application is the client's name; it is cleaned here.
	Application string
	// Language is the language that was asked for, for templates that name it.
	Language string
	// Host ends the text with the line that binds the code to the login page of
	// that host (origin-bound one-time codes); empty leaves the line out. See [OriginHost].
	Host string
}

// Template turns fields into the body of a text. The zero Template, and nil,
// is the default text.
type Template struct {
	parts []part
}

// part is text as it stands, or the name of a field.
type part struct{ text, field string }

// defaultTemplate is the text of which security notices speak: it names the
// application, as context against a caller who asks for the code.
var defaultTemplate = &Template{parts: []part{
	{field: "code"}, {text: " is your "}, {field: "application.name"},
	{text: " code. Don't share it with anyone."},
}}

// ParseTemplate reads a template in one of the syntaxes; an empty syntax is
// md_with_macros. An empty text is the default one. A template that doesn't show
// the code is an error, since nobody could log in with its texts.
func ParseTemplate(syntax, text string) (*Template, error) {
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	switch {
	case syntax != "" && syntax != SyntaxMacros:
		return nil, &SyntaxError{Syntax: syntax}
	case text == "":
		return defaultTemplate, nil
	case len(text) > maxTemplate:
		return nil, fmt.Errorf("has more than %d bytes", maxTemplate)
	}
	return parseMacros(text)
}

// SyntaxError says that a template's syntax is not known.
type SyntaxError struct{ Syntax string }

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%q is not one of: %s", e.Syntax, SyntaxMacros)
}

// macros maps the names that Auth0's templates use to fields.
var macros = map[string]string{
	"password": "code", "code": "code",
	"application.name": "application.name",
	"request_language": "request_language",
}

func parseMacros(text string) (*Template, error) {
	t := &Template{}
	rest := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for {
		before, name, after, ok := cutMacro(rest)
		if !ok {
			break
		}
		field, known := macros[strings.TrimSpace(name)]
		if !known {
			return nil, fmt.Errorf("has an unknown macro @@%s@@ (known: @@password@@, @@code@@, @@application.name@@, @@request_language@@)", name)
		}
		t.parts = append(t.parts, part{text: before}, part{field: field})
		rest = after
	}
	t.parts = append(t.parts, part{text: rest})
	for _, p := range t.parts {
		if p.field == "code" {
			return t, nil
		}
	}
	return nil, errors.New("doesn't show the code: write @@password@@ where it belongs")
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

// Execute returns the body of a text. Equal fields give equal bodies.
func (t *Template) Execute(f Fields) string {
	if t == nil || len(t.parts) == 0 {
		t = defaultTemplate
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		switch p.field {
		case "code":
			b.WriteString(f.Code)
		case "application.name":
			b.WriteString(CleanName(f.Application))
		case "request_language":
			b.WriteString(clean(f.Language, maxApplication))
		}
	}
	if f.Host != "" {
		// The last line decides, and nothing may follow it (origin-bound
		// one-time codes): host, one space, code.
		b.WriteString("\n\n@" + f.Host + " #" + f.Code)
	}
	return b.String()
}

// CleanName makes an application's name fit for a text: without line ends,
// controls, invisible characters, "@" and "#", at most 20 characters. Otherwise
// a client could name itself "X\n@evil.example #1" and end texts with a line of
// its own. An empty name becomes "login".
func CleanName(name string) string {
	if name = clean(name, maxApplication); name != "" {
		return name
	}
	return "login"
}

func clean(s string, most int) string {
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
	if len(runes) > most {
		runes = runes[:most]
	}
	return strings.TrimSpace(string(runes))
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
