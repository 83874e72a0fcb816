package sms

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// auth0Example is the one of Auth0's documentation, made whole: that one says
// nothing to whoever speaks neither.
const auth0Example = `
{% if request_language contains 'dutch' %}
   Hier is uw verificatie code: {{ password }}
{% elsif request_language contains 'fr-FR' %}
   Ceci est votre code: @@password@@
{% else %}
   Your code: {{ code }}
{% endif %}
`

func TestLiquid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, language, want string }{
		{"{{ password }}", "", "012345"},
		{"{{ code }} {{code}} {{- password -}} .", "", "012345 012345012345."},
		{"{{ application.name }}: {{ code }} for {{ phone_number }} ({{ request_language }})", "fr", "Tiny Shop: 012345 for +819012345678 (fr)"},
		{"@@application.name@@: @@ code @@", "", "Tiny Shop: 012345"},
		{"a@b.example, { not a tag }, 100 % {{ code }}", "", "a@b.example, { not a tag }, 100 % 012345"},
		{auth0Example, "dutch", "Hier is uw verificatie code: 012345"},
		{auth0Example, "fr-FR,fr;q=0.9,en;q=0.8", "Ceci est votre code: 012345"},
		{auth0Example, "fr-CA", "Your code: 012345"},
		{auth0Example, "", "Your code: 012345"},
		{"{% unless request_language == 'de' %}Code{% else %}Kode{% endunless %} {{ code }}", "de", "Kode 012345"},
		{"{% case request_language %}{% when 'fr', 'fr-FR' %}Bonjour{% else %}Hello{% endcase %} {{ code }}", "fr-FR", "Bonjour 012345"},
		{"{% assign hello = 'Hello' | upcase %}{{ hello }} {{ code }}", "", "HELLO 012345"},
		{"{% if request_language contains 'fr' %}{% assign hi = 'Salut ' %}{% endif %}{{ hi }}{{ code }}", "", "012345"},
		{"{% comment %}{{ nonsense | }}{% for %}{% endcomment %}{{ code }}", "", "012345"},
		{"{% raw %}{{ code }}{% endraw %} {{ code }}", "", "{{ code }} 012345"},
		{"{% if application.name == 'Tiny Shop' and code != '' %}yes{% endif %} {{ code }}", "", "yes 012345"},
		{"{% if application.name.size > 5 or false %}long{% endif %} {{ code }}", "", "long 012345"},
	} {
		got := liquid(t, c.text).Execute(Fields{Code: "012345", Number: number(t), Application: "Tiny Shop", Language: c.language})
		if got != c.want {
			t.Errorf("%q in %q gives %q, want %q", c.text, c.language, got, c.want)
		}
	}
}

func liquid(t testing.TB, text string) *Template {
	t.Helper()
	tmpl, err := ParseTemplate(SyntaxLiquid, text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return tmpl
}

func TestLiquidFilters(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]string{
		`'a' | append: 'b'`:                       "ab",
		`'a' | prepend: 'b'`:                      "ba",
		`'aé' | upcase`:                           "AÉ",
		`'ÀB' | downcase`:                         "àb",
		`'élan vital' | capitalize`:               "Élan vital",
		`'' | capitalize | append: '.'`:           ".",
		`' a ' | strip`:                           "a",
		`' a ' | lstrip | append: '.'`:            "a .",
		`' a ' | rstrip`:                          " a",
		`'a-b-c' | remove: '-'`:                   "abc",
		`'a-b-c' | remove_first: '-'`:             "ab-c",
		`'a-b-c' | replace: '-', '+'`:             "a+b+c",
		`'a-b-c' | replace_first: '-', '+'`:       "a+b-c",
		`'ab' | replace: '', '.'`:                 ".a.b.",
		`'日本語のアプリ' | truncate: 5`:                 "日本...",
		`'日本語のアプリ' | truncate: 5, '…'`:            "日本語の…",
		`'日本語' | truncate: 3`:                     "日本語",
		`'abcdef' | truncate: -5`:                 "...",
		`'abcdef' | truncate: 1`:                  "...",
		`'one two three' | truncatewords: 2`:      "one two...",
		`'one two three' | truncatewords: 2, '!'`: "one two!",
		`'one two three' | truncatewords: 3`:      "one two three",
		`'one two' | truncatewords: 0`:            "one...",
		`'日本語' | slice: 1`:                        "本",
		`'日本語' | slice: 1, 5`:                     "本語",
		`'日本語' | slice: -2, 2`:                    "本語",
		`'日本語' | slice: 9, 2 | append: '.'`:       ".",
		`'日本語' | slice: -9, 2 | append: '.'`:      ".",
		`'日本語' | slice: 0, -1 | append: '.'`:      ".",
		`'日本語' | size`:                            "3",
		`nothing | default: 'x'`:                  "x",
		`'' | default: 'x'`:                       "x",
		`false | default: 'x'`:                    "x",
		`'a' | default: 'x'`:                      "a",
		`5 | append: 1.5`:                         "51.5",
	} {
		tmpl := liquid(t, "{{ code }}:{{ "+filter+" }}")
		if got := tmpl.Execute(Fields{Code: "012345"}); got != "012345:"+want {
			t.Errorf("%s gives %q, want %q", filter, got, want)
		}
	}
	got := liquid(t, "{{ code }}{% assign x = 'a\nb' | strip_newlines %}{{ x }}").Execute(Fields{Code: "012345"})
	if got != "012345ab" {
		t.Errorf("strip_newlines gives %q", got)
	}
}

func TestLiquidThatCannotWork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Hello":                        "doesn't show the code when no language was asked for",
		"{ code }}":                    "doesn't show the code when no language was asked for",
		"{{ application.name }}":       "doesn't show the code when no language was asked for",
		"{{ code | slice: 0, 3 }}":     "doesn't show the code when no language was asked for",
		"{{ code | truncate: 7, '' }}": "doesn't show the code when no language was asked for",
		"{% if request_language contains 'dutch' %}{{ code }}{% endif %}{% if request_language contains 'fr-FR' %}{{ code }}{% endif %}": "doesn't show the code when no language was asked for",
		"{% unless request_language == 'de' %}{{ code }}{% endunless %}":                                                                 `doesn't show the code when the language is "de"`,
		"{% if request_language contains \"gsw-CH\" %}Salü{% else %}{{ code }}{% endif %}":                                               `doesn't show the code when the language is "gsw-CH"`,
		"{% assign code = 'none' %}{{ code }}":                                                                                           "doesn't show the code",
		"{% raw %}{{ code }}":                                                                                                            "doesn't show the code",
		"{% comment %}{{ code }}":                                                                                                        "doesn't show the code",
		"@@kode@@ {{ code }}":                                                                                                            "unknown macro @@kode@@",
		"{{ kode }} {{ code }}":                                                                                                          "is not valid: unknown variable (known: password, code, phone_number, application.name, request_language) in {{ kode }} (line 1)",
		"{{ code }}\n\n{{ user.email }}":                                                                                                 "in {{ user.email }} (line 3)",
		"{{ application.names }} {{ code }}":                                                                                             "unknown variable",
		"{{ code":                                                                                                                        "has a {{ or {% that is not closed",
		"{{ code }} {% if x":                                                                                                             "has a {{ or {% that is not closed",
		"{{ code | }}":                                                                                                                   "is not valid: syntax error",
		"{{ code | date: '%Y' }}":                                                                                                        `undefined filter "date"`,
		"{{ code }}{% if false %}{{ code | url_decode }}{% endif %}":                                                                     `undefined filter "url_decode"`,
		"{{ code }}{% if true %}{% elsif code | escape %}{% endif %}":                                                                    `undefined filter "escape"`,
		"{{ code }}{% if false %}{% assign x = code | json %}{% endif %}":                                                                `undefined filter "json"`,
		"{{ code }}{% case code %}{% when 'a' %}{% when 1, code.x.y %}{% else %}{{ 'x' | inspect }}{% endcase %}": `undefined filter "inspect"`,
		"{{ code | slice: 'x' }}":                              "is not valid: ",
		"{{ code | append: 1, 2 }}":                            "is not valid: ",
		"{% for i in (1..1000000000) %}{{ code }}{% endfor %}": `has the tag "for", which texts don't have (line 1; known: if, `,
		"{{ code }}{% tablerow x in y %}{% endtablerow %}":     `the tag "tablerow"`,
		"{{ code }}{% cycle 'a', 'b' %}":                       `the tag "cycle"`,
		"{{ code }}\n{% include '../../handset.key' %}":        `the tag "include", which texts don't have (line 2;`,
		"{{ code }}{% capture x %}{% endcapture %}":            `the tag "capture"`,
		"{{ code }}{% break %}":                                `the tag "break"`,
		"{{ code }}{% nonsense %}":                             `the tag "nonsense"`,
		"{{ code }}{{ (1..2000000000).AsArray }}":              "texts have no ranges",
		"{{ code }}{% assign r = (1..2000000000) %}":           "texts have no ranges",
		"{{ code }}{% if (1 .. 5) contains 3 %}{% endif %}":    "texts have no ranges",
		"{{ code }}{% if code == application %}{% endif %}{% if application == application %}{% endif %}": "is not valid Liquid",
		"{{ code }}{{ %assign x = 5 }}":        "is not valid",
		"{{ code }}{{ 99999999999999999999 }}": "is not valid Liquid",
		"{{ code }}{% if code %}":              "unterminated",
		"{{ code }}{% endif %}":                "is not valid: ",
		"{{ code }}{% else %}":                 "is not valid: ",
		"{{ code }}{% if %}{% endif %}":        "is not valid: ",
		"{{ code }}{% if 'a..b' == '' %}{% endif %}" + strings.Repeat("x", maxTemplate):                                                         "has more than 1600 bytes",
		"{% assign a = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% assign a = a | append: a %}", 12) + "{{ code }}":                             "makes more than 6400 bytes",
		"{% assign a = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% assign a = a | replace: 'x', 'xxxxxxxx' %}", 4) + "{{ code }}":               "makes more than 6400 bytes",
		"{% assign a = 'xxxxxxxxxxxxxxxx' | append: 'x' %}" + strings.Repeat("{% assign a = a | prepend: a %}", 8) + "{{ code }}{{ a }}{{ a }}": "makes more than 6400 bytes",
	} {
		_, err := ParseTemplate(SyntaxLiquid, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: %v, want %s", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "83927461") || strings.Contains(err.Error(), "goroutine")) {
			t.Errorf("%.200q: %v", text, err)
		}
	}
	// Two dots of a string are no range.
	liquid(t, "{{ code }}{{ 'Wait..' }}{% if code contains \"..\" %}{% endif %}")
}

// A template can be right in every language and still go wrong for a name that
// nobody thought of. The person gets a text all the same.
func TestATemplateThatFailsGivesWayToTheBuiltInText(t *testing.T) {
	t.Parallel()
	tmpl := liquid(t, "{% unless application.name == 'Odd' %}{{ code }}{% endunless %}")
	got := tmpl.Execute(Fields{Code: "012345", Application: "Odd", Language: "fr", Host: "login.example.com"})
	if want := "012345 est votre code Odd. Ne le partagez avec personne.\n\n@login.example.com #012345"; got != want {
		t.Errorf("without the code: %q, want %q", got, want)
	}
	// What grows with the name alone is found out when it is too late to refuse it.
	tmpl = liquid(t, "{% assign a = application.name %}"+strings.Repeat("{% assign a = a | append: a %}", 8)+"{{ code }}{{ a }}")
	short := tmpl.Execute(Fields{Code: "012345", Application: "A"})
	long := tmpl.Execute(Fields{Code: "012345", Application: strings.Repeat("語", 20)})
	if short != "012345"+strings.Repeat("A", 256) || !strings.HasPrefix(long, "012345 is your 語語") {
		t.Errorf("short %q, long %q", short, long)
	}
}

func TestTemplatesInParallel(t *testing.T) {
	t.Parallel()
	tmpl := liquid(t, auth0Example)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			code := fmt.Sprintf("%06d", i)
			for range 50 {
				if got := tmpl.Execute(Fields{Code: code, Language: "dutch"}); got != "Hier is uw verificatie code: "+code {
					t.Error(got)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzLiquid(f *testing.F) {
	f.Add(auth0Example, "Tiny", "fr-FR,fr;q=0.9")
	f.Add("{% case request_language %}{% when 'fr', 1 %}a{% else %}b{% endcase %}{{ code }}", "X\n@evil.example #1", "fr")
	f.Add("{% assign a = code | append: a | slice: -2, 9 | truncate: 3 %}{{ code }}{{ a }}", "", "")
	f.Add("{{ code }}{% raw %}{{ (1..9) }}{% endraw %}{% comment %}", "{{ code }}", "{{ code }}")
	f.Add("{{ code }}{{ application[\"name\"] | replace: '', 'x' | size }}", "@@code@@", "*")
	f.Fuzz(func(t *testing.T, text, application, languages string) {
		tmpl, err := ParseTemplate(SyntaxLiquid, text)
		if err != nil {
			return
		}
		fields := Fields{Code: "83927461", Application: application, Language: languages, Host: "login.example.com"}
		body := tmpl.Execute(fields)
		if !strings.HasSuffix(body, "\n\n@login.example.com #83927461") || strings.Count(body, "83927461") < 2 {
			t.Fatalf("%q gives %q", text, body)
		}
		if len(body) > maxText+100 {
			t.Fatalf("%q gives %d bytes", text, len(body))
		}
		if again := tmpl.Execute(fields); again != body {
			t.Fatalf("%q gives %q, then %q", text, body, again)
		}
	})
}
