package sms

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/handset-oidc/handset/passcode/phone"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	f := Fields{Code: "012345", Number: number(t), Application: "Tiny", Language: "sv-SE"}
	bound, french := f, f
	bound.Host, french.Language = "login.example.com", "fr-FR"
	const standard = "012345 is your Tiny code. Don't share it with anyone."
	for _, c := range []struct {
		syntax, text string
		fields       Fields
		want         string
	}{
		{"", "", f, standard},
		{SyntaxMacros, " \n", f, standard},
		{"", "", bound, standard + "\n\n@login.example.com #012345"},
		{"", "Your verification code is: @@password@@", f, "Your verification code is: 012345"},
		{SyntaxMacros, "@@code@@", f, "012345"},
		{SyntaxMacros, "@@code@@@@password@@", f, "012345012345"},
		{SyntaxMacros, "@@ application.name @@: @@code@@ (@@request_language@@)", f, "Tiny: 012345 (sv-SE)"},
		{SyntaxMacros, "a@b.example, one @ more, @@code@@ and @@", f, "a@b.example, one @ more, 012345 and @@"},
		{SyntaxMacros, "one\r\ntwo\rthree @@code@@", f, "one\ntwo\nthree 012345"},
		{SyntaxMacros, "Code @@code@@", bound, "Code 012345\n\n@login.example.com #012345"},
		{SyntaxMacros, "\n Code @@code@@\n", bound, "Code 012345\n\n@login.example.com #012345"},
		{SyntaxMacros, "@@code@@ for @@phone_number@@", f, "012345 for +819012345678"},
		{SyntaxLiquid, "", french, "012345 est votre code Tiny. Ne le partagez avec personne."},
		{SyntaxLiquid, "Your code: {{ code }}", bound, "Your code: 012345\n\n@login.example.com #012345"},
		{SyntaxLiquid, "one\r\ntwo\rthree {{code}}", f, "one\ntwo\nthree 012345"},
	} {
		tmpl, err := ParseTemplate(c.syntax, c.text)
		if err != nil {
			t.Errorf("ParseTemplate(%q): %v", c.text, err)
			continue
		}
		if got := tmpl.Execute(c.fields); got != c.want {
			t.Errorf("%q gives %q, want %q", c.text, got, c.want)
		}
		if got := tmpl.Execute(c.fields); got != c.want {
			t.Errorf("%q gives another text the second time: %q", c.text, got)
		}
	}
	for _, none := range []*Template{nil, {}} {
		if got := none.Execute(f); got != standard {
			t.Errorf("no template gives %q", got)
		}
	}
}

func TestTemplatesThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ syntax, text, want string }{
		{SyntaxMacros, "Hello", "doesn't show the code"},
		{SyntaxMacros, "Hello @@application.name@@", "doesn't show the code"},
		{SyntaxMacros, "@@code", "doesn't show the code"},
		{SyntaxMacros, "@@kode@@ @@code@@", "unknown macro @@kode@@"},
		{SyntaxMacros, strings.Repeat("x", maxTemplate) + "@@code@@", "more than"},
		{"mustache", "{{code}}", `"mustache" is not one of: md_with_macros, liquid`},
		{SyntaxMacros, "{{ code }}", "set syntax to liquid"},
		{"", "{% if request_language contains 'fr' %}@@code@@{% endif %}", "set syntax to liquid"},
	} {
		if _, err := ParseTemplate(c.syntax, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseTemplate(%s, %.40q) = %v, want %s", c.syntax, c.text, err, c.want)
		}
	}
}

// security.md row 31: the last line stays ours, whatever a client calls itself.
func TestClientNameCannotEndTheText(t *testing.T) {
	t.Parallel()
	const last = "@login.example.com #012345"
	for name, want := range map[string]string{
		"X\n@evil.example #1":                "X evil.example 1",
		"X\r\n\r\n@evil.example #1":          "X evil.example 1",
		"X\u2028@evil.example #1\u2029":      "X evil.example 1",
		"X\v\f\u0085@evil #1":                "X evil 1",
		"\u202etxet\u202c":                   "txet",
		"A very long name of an application": "A very long name of",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ":         "ABCDEFGHIJKLMNOPQRST",
		"日本語のとても長いアプリケーションの名前です": "日本語のとても長いアプリケーションの名前",
		"@@password@@":  "password",
		"\x00\x1b[31mX": "[31mX",
		"bad\xffutf8":   "badutf8",
		"":              "login",
		" @#\n":         "login",
	} {
		if got := CleanName(name); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", name, got, want)
		}
		for _, c := range []struct{ syntax, text string }{
			{SyntaxMacros, ""},
			{SyntaxMacros, "@@code@@ for @@application.name@@ @@request_language@@"},
			{SyntaxLiquid, "{{ code }} for {{ application.name }} {{ request_language }}"},
		} {
			tmpl, err := ParseTemplate(c.syntax, c.text)
			if err != nil {
				t.Fatal(err)
			}
			// Who asks for a text writes the language, as well.
			f := Fields{Code: "012345", Application: name, Language: name, Host: "login.example.com"}
			checkOriginBound(t, tmpl.Execute(f), last)
		}
	}
}

// checkOriginBound reads a text as the specification of origin-bound one-time
// codes says: the last line, from its first character.
func checkOriginBound(t *testing.T, text, last string) {
	t.Helper()
	lines := strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r)
	})
	if got := lines[len(lines)-1]; got != last {
		t.Errorf("the last line is %q", got)
	}
	for _, line := range lines[:len(lines)-1] {
		if strings.ContainsAny(line, "@#") {
			t.Errorf("another line could bind: %q", line)
		}
	}
	if !strings.HasSuffix(text, "\n\n"+last) {
		t.Errorf("no blank line before the last: %q", text)
	}
}

func TestOriginHost(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://login.example.com/":         "login.example.com",
		"https://Login.Example.com/path/":    "login.example.com",
		"https://login.example.com:443/":     "login.example.com",
		"https://login.example.com:8443/":    "",
		"http://localhost:3000/":             "",
		"http://login.example.com/":          "",
		"":                                   "",
		"https://[bad":                       "",
		"https://user@login.example.com/?x#": "login.example.com",
	} {
		if got := OriginHost(issuer); got != want {
			t.Errorf("OriginHost(%q) = %q, want %q", issuer, got, want)
		}
	}
}

func number(t *testing.T) phone.Number {
	t.Helper()
	n, err := phone.FromStored("+819012345678")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func FuzzTemplate(f *testing.F) {
	f.Add("Your code: @@code@@", "Tiny")
	f.Add("@@application.name@@@@password@@@@", "X\n@evil.example #1")
	f.Add("@@@@code@@@@", "@@code@@")
	f.Fuzz(func(t *testing.T, text, application string) {
		tmpl, err := ParseTemplate(SyntaxMacros, text)
		if err != nil {
			return
		}
		body := tmpl.Execute(Fields{Code: "83927461", Application: application, Host: "login.example.com"})
		if !strings.HasSuffix(body, "\n\n@login.example.com #83927461") {
			t.Fatalf("%q ends with another line", body)
		}
		if strings.Count(body, "83927461") < 2 {
			t.Fatalf("%q does not show the code", body)
		}
		name := CleanName(application)
		if strings.ContainsAny(name, "@#\r\n") || utf8.RuneCountInString(name) > maxApplication || !utf8.ValidString(name) {
			t.Fatalf("CleanName(%q) = %q", application, name)
		}
	})
}
