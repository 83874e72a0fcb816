package views

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"
)

func testCatalog(t testing.TB) *Catalog {
	t.Helper()
	catalog, err := newCatalog(fstest.MapFS{
		"en.json":    {Data: []byte(`{"a": "English {x}", "only": "only here", "n": {"one": "{n} try", "other": "{n} tries"}}`)},
		"ar.json":    {Data: []byte(`{"a": "عربي {x}", "n": {"zero":"0", "one": "1", "two": "2", "few": "few", "many": "many", "other": "other"}}`)},
		"pt-BR.json": {Data: []byte(`{"a": "Português {x}"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

func TestLocaleIsChosen(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name      string
		uiLocales []string
		accept    string
		want      string
	}{
		{"Default", nil, "", "en"},
		{"UILocalesFirst", []string{"ar"}, "pt-BR", "ar"},
		{"FirstOfUILocales", []string{"pt-BR", "ar"}, "", "pt-BR"},
		{"UnknownUILocale", []string{"xx-not a tag", "ja"}, "ar", "ar"},
		{"Region", []string{"ar-EG"}, "", "ar"},
		{"RelatedRegion", nil, "pt-PT", "pt-BR"},
		{"Quality", nil, "ja, ar;q=0.5, pt-BR;q=0.9", "pt-BR"},
		{"NothingFits", nil, "ja", "en"},
		{"Broken", nil, ";;;q=,,", "en"},
		{"Long", nil, strings.Repeat("ja,", 100_000), "en"},
	}
	catalog := testCatalog(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := catalog.Locale(c.uiLocales, c.accept).Lang; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzLocale(f *testing.F) {
	catalog := testCatalog(f)
	f.Add("ar en", "pt-BR;q=0.5, *")
	f.Add("x-y-z", "\x00;q=9")
	f.Fuzz(func(t *testing.T, uiLocales, accept string) {
		if catalog.Locale(strings.Fields(uiLocales), accept) == nil {
			t.Error("no locale")
		}
	})
}

func TestDirections(t *testing.T) {
	t.Parallel()
	catalog := testCatalog(t)
	if got := catalog.Locale([]string{"ar"}, "").Dir; got != "rtl" {
		t.Errorf("Arabic runs %s", got)
	}
	if got := catalog.Locale(nil, "").Dir; got != "ltr" {
		t.Errorf("English runs %s", got)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	catalog := testCatalog(t)
	en, ar := catalog.Locale(nil, ""), catalog.Locale([]string{"ar"}, "")
	cases := []struct{ name, got, want string }{
		{"Place", en.Text("a", Args{"x": "!"}), "English !"},
		{"ArgumentIsNoTemplate", en.Text("a", Args{"x": "{x}{{.}}"}), "English {x}{{.}}"},
		{"MissingArgument", en.Text("a", nil), "English {x}"},
		{"One", en.Text("n", Args{"n": 1}), "1 try"},
		{"Many", en.Text("n", Args{"n": 2}), "2 tries"},
		{"ArabicTwo", ar.Text("n", Args{"n": 2}), "2"},
		{"ArabicFew", ar.Text("n", Args{"n": 3}), "few"},
		{"BorrowedFromTheDefault", ar.Text("only", nil), "only here"},
		{"Unknown", en.Text("no.such", nil), "no.such"},
		{"Country", en.Text("a", Args{"x": Region("JP")}), "English Japan"},
		{"CountryInArabic", ar.Text("a", Args{"x": Region("JP")}), "عربي اليابان"},
		{"UnknownCountry", en.Text("a", Args{"x": Region("??")}), "English ??"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

// The library's names are those of 2017; people looked for their country in vain.
func TestCountriesThatHaveAnotherNameSince(t *testing.T) {
	t.Parallel()
	l := english(t)
	for region, want := range map[string]string{"SZ": "Eswatini", "MK": "North Macedonia", "TR": "Türkiye", "CZ": "Czechia"} {
		if got := l.country(region); got != want {
			t.Errorf("%s is %q, want %q", region, got, want)
		}
	}
	var order []string
	for _, c := range l.sortCountries([]Country{{Region: "TM"}, {Region: "TR"}, {Region: "NO"}, {Region: "MK"}, {Region: "KP"}}) {
		order = append(order, c.Region)
	}
	if got := strings.Join(order, " "); got != "KP MK NO TR TM" {
		t.Errorf("sorted %s, want them by their names of today", got)
	}
	if got := testCatalog(t).Locale([]string{"ar"}, "").country("TR"); got != "تركيا" {
		t.Errorf("in Arabic %q", got)
	}
}

// TestWaits: who comes back after the time that was told never comes too early.
func TestWaits(t *testing.T) {
	t.Parallel()
	l := english(t)
	cases := map[time.Duration]string{
		0:                         "1 second",
		time.Millisecond:          "1 second",
		29*time.Second + 1:        "30 seconds",
		90 * time.Second:          "90 seconds",
		91 * time.Second:          "2 minutes",
		5 * time.Minute:           "5 minutes",
		90 * time.Minute:          "90 minutes",
		2*time.Hour + time.Second: "3 hours",
	}
	for d, want := range cases {
		if got := l.wait(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

// TestPiecesSurviveForgery: a name that holds our marks stays a name.
func TestPiecesSurviveForgery(t *testing.T) {
	t.Parallel()
	pieces := english(t).pieces(Message{"phone.heading", Args{"app": Name("a\uE000b\uE001")}})
	if len(pieces) != 2 || pieces[0].text != "Sign in to " || pieces[1].text != "ab" || pieces[1].own {
		t.Errorf("got %+v", pieces)
	}
}

func TestBrokenCatalogs(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]fstest.MapFS{
		"NotJSON":      {"en.json": {Data: []byte(`{`)}},
		"NotALanguage": {"en.json": {Data: []byte(`{}`)}, "notalanguage.json": {Data: []byte(`{}`)}},
	} {
		if _, err := newCatalog(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzPlaceholders(f *testing.F) {
	f.Add("a {b} c")
	f.Add("{}")
	f.Add("{a")
	f.Fuzz(func(t *testing.T, src string) {
		text, err := placeholders.Parse(src, "", "")
		if err != nil || !utf8.ValidString(src) {
			return
		}
		if got, err := text.Execute(map[string]string(nil)); err != nil || got != src {
			t.Errorf("got %q, %v; want %q", got, err, src)
		}
	})
}

func BenchmarkPages(b *testing.B) {
	for _, s := range Gallery(englishFrame(b)) {
		if s.Name != "phone" && s.Name != "code" {
			continue
		}
		b.Run(s.Name, func(b *testing.B) {
			for b.Loop() {
				render(b, s.Page)
			}
		})
	}
}

func BenchmarkLocale(b *testing.B) {
	catalog := testCatalog(b)
	many := strings.Fields(strings.Repeat("zh-Hant-TW-x-a ", 130))
	for name, c := range map[string]struct {
		uiLocales []string
		accept    string
	}{
		"usual": {nil, "en-GB,en;q=0.9,de;q=0.8"},
		"worst": {many, strings.Repeat("zh-Hant-TW-x-a,", 40)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				catalog.Locale(c.uiLocales, c.accept)
			}
		})
	}
}
