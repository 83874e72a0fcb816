package views

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/a-h/templ"
	"github.com/andybalholm/cascadia"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden files")

// english returns the default language.
func english(t testing.TB) *Locale {
	t.Helper()
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Locale(nil, "")
}

func englishFrame(t testing.TB) Frame {
	t.Helper()
	return Frame{Base: "/openid-connect", Locale: english(t), App: "Tiny"}
}

// hebrew returns a language that exists only here and runs from right to left: the
// English words between Hebrew letters, with all their placeholders.
func hebrew(t testing.TB) *Locale {
	t.Helper()
	master, err := fs.ReadFile(messageFiles, "messages/en.json")
	if err != nil {
		t.Fatal(err)
	}
	pseudo := strings.NewReplacer(`": "`, `": "שלום `, `",`+"\n", ` סוף",`+"\n").Replace(string(master))
	catalog, err := newCatalog(fstest.MapFS{"en.json": {Data: master}, "he.json": {Data: []byte(pseudo)}})
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Locale([]string{"he"}, "")
}

// frames are the languages that all pages are tried in.
func frames(t testing.TB) map[string]Frame {
	return map[string]Frame{
		"en": englishFrame(t),
		"he": {Locale: hebrew(t), App: "טייני"},
	}
}

func render(t testing.TB, page templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := page.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func parse(t testing.TB, page templ.Component) *html.Node {
	t.Helper()
	node, err := html.Parse(strings.NewReader(render(t, page)))
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func find(node *html.Node, selector string) []*html.Node {
	return cascadia.QueryAll(node, cascadia.MustCompile(selector))
}

func attr(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(node *html.Node, name string) bool {
	return slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// textOf returns what a person reads, with single spaces.
func textOf(node *html.Node) string {
	var b strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestGolden holds the markup of every state, so that a change is seen in review.
func TestGolden(t *testing.T) {
	t.Parallel()
	hash := regexp.MustCompile(`/assets/[0-9a-f]+/`)
	for _, s := range Gallery(englishFrame(t)) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			got := hash.ReplaceAllString(render(t, s.Page), "/assets/HASH/")
			got = strings.ReplaceAll(got, "><", ">\n<") + "\n"
			file := filepath.Join("testdata", "golden", s.Name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v (write it with -update)", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("differs from the golden file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGalleryNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Gallery(englishFrame(t)) {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
	}
}

// TestForms holds the names and addresses that the handlers read.
func TestForms(t *testing.T) {
	t.Parallel()
	states := map[string]templ.Component{}
	for _, s := range Gallery(englishFrame(t)) {
		states[s.Name] = s.Page
	}
	cases := []struct{ state, action, fields string }{
		{"phone", "/openid-connect/login/phone", "csrf txn country phone"},
		{"phone-one-country", "/openid-connect/login/phone", "csrf txn country phone"},
		{"code", "/openid-connect/login/code", "csrf txn code"},
		{"code", "/openid-connect/login/resend", "csrf txn"},
		{"code-expired", "/openid-connect/login/resend", "csrf txn"},
		{"signed-in", "/openid-connect/login/continue", "csrf txn"},
		{"logout", "/openid-connect/oidc/logout", "csrf logout decision"},
		{"form-post", "https://tiny.example/callback", "code state iss"},
		{"form-post-no-app", "com.example.tiny:/callback", "code state iss"},
	}
	for _, c := range cases {
		t.Run(c.state+" "+c.fields, func(t *testing.T) {
			t.Parallel()
			forms := find(parse(t, states[c.state]), `form[action="`+c.action+`"]`)
			if len(forms) != 1 {
				t.Fatalf("%d forms to %s, want 1", len(forms), c.action)
			}
			var names []string
			for _, n := range find(forms[0], "[name]") {
				names = append(names, attr(n, "name"))
			}
			if got := strings.Join(names, " "); got != c.fields {
				t.Errorf("fields %q, want %q", got, c.fields)
			}
		})
	}
	link := find(parse(t, states["code"]), `.lead a`)
	if got := attr(link[0], "href"); got != "/openid-connect/login/phone?txn=txn-id" {
		t.Errorf("change number leads to %q", got)
	}
}

// TestCodeFieldTakesWhatPeopleHave: pages.md forbids what would reject "123 456".
func TestCodeFieldTakesWhatPeopleHave(t *testing.T) {
	t.Parallel()
	page := LoginCode{Frame: englishFrame(t), Digits: 6}
	field := find(parse(t, page.Page()), "#code")[0]
	want := map[string]string{
		"type": "text", "inputmode": "numeric", "autocomplete": "one-time-code", "dir": "ltr",
		"maxlength": "24", "autocapitalize": "off", "spellcheck": "false", "value": "", "pattern": "",
	}
	for name, value := range want {
		if got := attr(field, name); got != value {
			t.Errorf("%s=%q, want %q", name, got, value)
		}
	}
}

// TestOneCountryHasNoChoice and sends its region all the same.
func TestOneCountryHasNoChoice(t *testing.T) {
	t.Parallel()
	page := LoginPhone{Frame: englishFrame(t), Countries: []Country{{Region: "JP", Calling: "81", National: "090-1234-5678", International: "+81 90-1234-5678"}}}
	page.Error = NumberUnreadable()
	node := parse(t, page.Page())
	if len(find(node, "select")) > 0 {
		t.Error("a choice of one")
	}
	if got := attr(find(node, `input[name="country"]`)[0], "value"); got != "JP" {
		t.Errorf("country %q, want JP", got)
	}
	if got, want := textOf(find(node, ".summary a")[0]), "Enter a mobile number, like 090-1234-5678 or +81 90-1234-5678"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCountriesAreSortedByName(t *testing.T) {
	t.Parallel()
	var got []string
	states := Gallery(englishFrame(t))
	for _, n := range find(parse(t, states[0].Page), "option") {
		got = append(got, attr(n, "value")+" "+textOf(n))
	}
	want := []string{"DE Germany (+49)", "JP Japan (+81)", "GB United Kingdom (+44)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

// TestNoExampleIsBetterThanAnothers: nobody knows a mobile number of Tristan da
// Cunha, and a British one would be refused there.
func TestNoExampleIsBetterThanAnothers(t *testing.T) {
	t.Parallel()
	page := LoginPhone{Frame: englishFrame(t), Countries: []Country{{Region: "TA", Calling: "290"}}, Error: NumberUnreadable()}
	one := parse(t, page.Page())
	if len(find(one, "#phone-hint")) > 0 || attr(find(one, "#phone")[0], "aria-describedby") != "phone-error" {
		t.Error("a hint without an example")
	}
	if got := textOf(find(one, ".summary a")[0]); got != "Enter a mobile number" {
		t.Errorf("got %q", got)
	}
	page.Countries = append(galleryCountries()[:1], Country{Region: "TA", Calling: "290", Selected: true})
	several := parse(t, page.Page())
	if !has(find(several, "#phone-example")[0], "hidden") {
		t.Error("an example is shown")
	}
	if got := attr(find(several, "#phone")[0], "aria-describedby"); got != "phone-hint phone-error" {
		t.Errorf("described by %q", got)
	}
}

// TestDeadCodeHasNoField: the one way on is a new code, and the number stays. It is
// offered once: a link that sends nothing, and help for texts that do not come, stood
// beside the button in the same words.
func TestDeadCodeHasNoField(t *testing.T) {
	t.Parallel()
	for _, problem := range []Message{CodeSpent(), CodeExpired()} {
		page := parse(t, LoginCode{Frame: englishFrame(t), Number: "07700 900 982", Digits: 6, Error: problem}.Page())
		if len(find(page, "#code")) > 0 {
			t.Errorf("%s: a field for a dead code", problem.Key)
		}
		if got := textOf(find(page, "#resend")[0]); got != "Send a new code" {
			t.Errorf("%s: button %q", problem.Key, got)
		}
		if n := len(find(page, ".summary a, .error, details")); n > 0 {
			t.Errorf("%s: %d things beside the button", problem.Key, n)
		}
		if got := textOf(find(page, ".lead")[0]); got != "Your number is 07700 900 982. Change number" {
			t.Errorf("%s: %q", problem.Key, got)
		}
	}
}

// TestWhatIsSaidStaysTrue: a page is read for minutes. The line below the button
// counts down; nothing else names the wait, and would go on naming it.
func TestWhatIsSaidStaysTrue(t *testing.T) {
	t.Parallel()
	page := LoginCode{Frame: englishFrame(t), Number: "07700 900 982", Digits: 6, Lifetime: 5 * time.Minute, ResendIn: 26 * time.Second, Notice: TooEarly()}
	node := parse(t, page.Page())
	if n := strings.Count(textOf(node), "26 seconds"); n != 1 {
		t.Errorf("the wait is named %d times: %s", n, textOf(node))
	}
	if got := textOf(find(node, ".notice")[0]); got != "We have not sent another text yet." {
		t.Errorf("notice %q", got)
	}
}

// TestAlreadySignedIn: the page says what is true however the person came to it. By
// Back it is the same tab; and what was finished in another tab may be the sign-in
// to another application.
func TestAlreadySignedIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		page AlreadySignedIn
		want string
	}{
		{AlreadySignedIn{Frame: englishFrame(t)}, "You have already signed in to Tiny."},
		{AlreadySignedIn{Frame: englishFrame(t), CanContinue: true}, "You do not need another code for Tiny."},
	} {
		if got := textOf(find(parse(t, c.page.Page()), ".lead")[0]); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestSizes: a page with all that it loads is under 20 KB, as it is before any
// compression.
func TestSizes(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	for _, s := range Gallery(englishFrame(t)) {
		total := len(render(t, s.Page))
		for _, n := range find(parse(t, s.Page), "script[src], link[href]") {
			name := filepath.Base(attr(n, "src") + attr(n, "href"))
			total += len(assets().files[name].body)
		}
		total += len(assets().files["chevron.svg"].body)
		if total >= limit {
			t.Errorf("%s: %d bytes, want less than %d", s.Name, total, limit)
		}
	}
}
