package views

import (
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

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

// TestAccessibilityBasics checks what markup alone can promise, in both directions.
func TestAccessibilityBasics(t *testing.T) {
	t.Parallel()
	for language, f := range frames(t) {
		for _, s := range Gallery(f) {
			t.Run(language+"/"+s.Name, func(t *testing.T) {
				t.Parallel()
				page := parse(t, s.Page)
				root := find(page, "html")[0]
				if attr(root, "lang") != f.Locale.Lang || attr(root, "dir") != f.Locale.Dir {
					t.Errorf("lang %q dir %q, want %q %q", attr(root, "lang"), attr(root, "dir"), f.Locale.Lang, f.Locale.Dir)
				}
				checkOutline(t, page)
				checkNothingInline(t, page)
				checkIDs(t, page)
				checkFields(t, page)
				checkPost(t, page)
			})
		}
	}
}

func checkOutline(t *testing.T, page *html.Node) {
	t.Helper()
	for _, once := range []string{"h1", "main", "title", `meta[name="viewport"]`, `meta[charset]`} {
		if n := len(find(page, once)); n != 1 {
			t.Errorf("%d of %s, want 1", n, once)
		}
	}
	for _, named := range []string{"h1", "h2", "title", "button", "a", "label", "summary"} {
		for _, n := range find(page, named) {
			if textOf(n) == "" {
				t.Errorf("an empty %s", named)
			}
		}
	}
}

// checkNothingInline holds the pages to the policy: no inline script, style or
// handler, and no address but our own assets.
func checkNothingInline(t *testing.T, page *html.Node) {
	t.Helper()
	for _, n := range find(page, "script") {
		if !has(n, "src") || textOf(n) != "" {
			t.Error("an inline script")
		}
	}
	if len(find(page, "style, [style], base, iframe, object, embed")) > 0 {
		t.Error("an inline style, or an element that the policy refuses")
	}
	for n := range page.Descendants() {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("a handler in an attribute: %s", a.Key)
			}
		}
	}
	for _, n := range find(page, "script[src], link[href], img[src]") {
		if address := attr(n, "src") + attr(n, "href"); !strings.Contains(address, "/assets/") || strings.Contains(address, "//") {
			t.Errorf("%s is not an asset", address)
		}
	}
}

// checkIDs holds every id to one element, and every reference to an id that exists.
func checkIDs(t *testing.T, page *html.Node) {
	t.Helper()
	ids := map[string]int{}
	for _, n := range find(page, "[id]") {
		ids[attr(n, "id")]++
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%d elements have the id %s", n, id)
		}
	}
	for n := range page.Descendants() {
		for _, name := range []string{"for", "aria-describedby", "aria-labelledby"} {
			for _, id := range strings.Fields(attr(n, name)) {
				if ids[id] == 0 {
					t.Errorf("%s of a %s names %s, which is not there", name, n.Data, id)
				}
			}
		}
	}
	for _, n := range find(page, `a[href^="#"]`) {
		if id := attr(n, "href")[1:]; ids[id] == 0 {
			t.Errorf("a link leads to #%s, which is not there", id)
		}
	}
}

// checkFields wants a label and an autocomplete purpose (WCAG 2.2 §1.3.5) on every
// field that a person fills.
func checkFields(t *testing.T, page *html.Node) {
	t.Helper()
	for _, n := range find(page, `input:not([type="hidden"]), select`) {
		if len(find(page, `label[for="`+attr(n, "id")+`"]`)) != 1 {
			t.Errorf("%s has no label of its own", attr(n, "name"))
		}
		if attr(n, "autocomplete") == "" {
			t.Errorf("%s has no autocomplete", attr(n, "name"))
		}
		if attr(n, "aria-invalid") == "true" && !strings.Contains(attr(n, "aria-describedby"), "-error") {
			t.Errorf("%s is invalid, but its error does not describe it", attr(n, "name"))
		}
	}
}

func checkPost(t *testing.T, page *html.Node) {
	t.Helper()
	for _, n := range find(page, "form") {
		if attr(n, "method") != "post" {
			t.Error("a form that is not sent by POST")
		}
		if len(find(n, `button`)) != 1 {
			t.Error("a form without one button")
		}
	}
}

// TestErrorsAreToldThreeTimes: in the title, on top with a link to the place, and at
// that place in the same words (pages.md).
func TestErrorsAreToldThreeTimes(t *testing.T) {
	t.Parallel()
	for _, s := range Gallery(englishFrame(t)) {
		page := parse(t, s.Page)
		links := find(page, ".summary a")
		if len(links) == 0 {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if title := textOf(find(page, "title")[0]); !strings.HasPrefix(title, "Error: ") {
				t.Errorf("title %q does not start with Error:", title)
			}
			if heading := textOf(find(page, ".summary h2")[0]); heading != "There is a problem" {
				t.Errorf("heading %q", heading)
			}
			if got, want := textOf(find(page, ".error")[0]), "Error: "+textOf(links[0]); got != want {
				t.Errorf("beside the field: %q, want %q", got, want)
			}
			if n := len(find(page, attr(links[0], "href"))); n != 1 {
				t.Errorf("the link leads to %d elements", n)
			}
		})
	}
}

// TestCopy holds the words of pages.md.
func TestCopy(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"phone-unreadable": "Enter a mobile number, like 07700 900 982 or +44 7700 900982",
		"phone-country":    "We cannot text numbers in United States. Countries we can text: Germany, United Kingdom, Japan",
		"phone-kind":       "Enter a mobile number that can get text messages",
		"phone-extension":  "Enter the number without an extension",
		"phone-send-limit": "We have sent several codes to this number. Try again in 2 hours",
		"phone-gateway":    "We cannot send texts right now. Try again in a few minutes",
		"code-format":      "Enter the 6 digits from the text message",
		"code-wrong":       "That code is not right. Check the newest message. 4 tries left",
		"code-wrong-last":  "That code is not right. Check the newest message. 1 try left",
		"code-spent":       "That code can no longer be used. Send a new code",
		"code-expired":     "That code has expired. Send a new code",
		"code-send-limit":  "We have sent several codes to this number. Try again in 14 minutes",
		"code-gateway":     "We cannot send texts right now. Try again in a few minutes",
	}
	for _, s := range Gallery(englishFrame(t)) {
		links := find(parse(t, s.Page), ".summary a")
		if len(links) == 0 {
			if want[s.Name] != "" {
				t.Errorf("%s: no summary", s.Name)
			}
			continue
		}
		if got := textOf(links[0]); got != want[s.Name] {
			t.Errorf("%s:\n got %q\nwant %q", s.Name, got, want[s.Name])
		}
		delete(want, s.Name)
	}
	for name := range want {
		t.Errorf("%s is not in the gallery", name)
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

// TestDeadCodeHasNoField: the one way on is a new code, and the number stays.
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

// TestInjection puts markup into every field of every page.
func TestInjection(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>' onfocus='alert(1)`
	f := englishFrame(t)
	f.App = evil
	code := LoginCode{Frame: f, CSRF: evil, Txn: evil, Number: evil, Digits: 6, Contact: evil}
	ending := code
	ending.Number, ending.Ending = "", evil
	pages := map[string]templ.Component{
		"phone": LoginPhone{Frame: f, CSRF: evil, Txn: evil, Phone: evil, Error: CountryNotAllowed(evil, []string{evil}),
			Countries: []Country{{Region: evil, Calling: evil, National: evil, International: evil}, {Region: "GB"}}}.Page(),
		"code":       code.Page(),
		"ending":     ending.Page(),
		"signed-in":  AlreadySignedIn{Frame: f, CSRF: evil, Txn: evil, CanContinue: true}.Page(),
		"problem":    Problem{Frame: f, Kind: ProblemTimedOut, AppURL: evil, Details: evil, Reference: evil}.Page(),
		"logout":     Logout{Frame: f, CSRF: evil, Logout: evil}.Page(),
		"logged-out": LoggedOut{Frame: f, AppURL: evil}.Page(),
		"form-post":  FormPost{Frame: f, Action: evil, Fields: []Field{{evil, evil}}}.Page(),
		"inbox":      Inbox{Frame: f, Messages: []InboxMessage{{To: evil, Body: evil + " 123456 " + evil + "\n\n@" + evil}}}.Page(),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := parse(t, page)
			checkNothingInline(t, node)
			if len(find(node, "img")) > 0 {
				t.Error("the text became an element")
			}
		})
	}
}

// TestLinksNeverRunScripts: addresses come from registrations, and even those can't
// run in our pages.
func TestLinksNeverRunScripts(t *testing.T) {
	t.Parallel()
	f := englishFrame(t)
	for _, address := range []string{"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x"} {
		for name, page := range map[string]templ.Component{
			"problem":    Problem{Frame: f, Kind: ProblemTimedOut, AppURL: address}.Page(),
			"logged-out": LoggedOut{Frame: f, AppURL: address}.Page(),
			"form-post":  FormPost{Frame: f, Action: address}.Page(),
		} {
			if strings.Contains(render(t, page), address) {
				t.Errorf("%s leads to %s", name, address)
			}
		}
	}
}

func TestFormPostActions(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://tiny.example/cb?a=1&b=2", "http://127.0.0.1:4000/cb", "com.example.app:/cb", "myapp://callback",
	} {
		form := find(parse(t, FormPost{Frame: englishFrame(t), Action: address}.Page()), "form")[0]
		if got := attr(form, "action"); got != address {
			t.Errorf("action %q, want %q", got, address)
		}
	}
}

// TestFormPostKeepsValues: the client gets the bytes that were meant for it.
func TestFormPostKeepsValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", " a  b ", "é漢🙂", `<>&"'`, "a+b%20c", "tab\tend", "{state}", "\uE000"} {
		page := parse(t, FormPost{Frame: englishFrame(t), Action: "https://tiny.example/", Fields: []Field{{"state", value}}}.Page())
		if got := attr(find(page, `input[name="state"]`)[0], "value"); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	}
}

// keyUse finds a text's key where code or a page names it.
var keyUse = regexp.MustCompile(`"((?:list|wait|summary|error|notice|phone|code|signedin|problem|logout|loggedout|formpost|inbox|title)\.[a-z0-9_.]+)"`)

// TestKeys: every text that is used is there, and every text that is there is used.
func TestKeys(t *testing.T) {
	t.Parallel()
	defined := keysOf(t, "messages/en.json")
	used := map[string]bool{}
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") ||
			!strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, ".templ") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyUse.FindAllStringSubmatch(string(source), -1) {
			if ext := filepath.Ext(m[1]); ext != ".css" && ext != ".js" {
				used[m[1]] = true
			}
		}
	}
	for _, kind := range problemKinds {
		used["problem."+string(kind)+".heading"], used["problem."+string(kind)+".text"] = true, true
	}
	for key := range used {
		if !defined[key] {
			t.Errorf("%s is used, but has no text", key)
		}
	}
	for key := range defined {
		plain := strings.TrimSuffix(strings.TrimSuffix(key, "_8"), "_plain")
		if !used[key] && !used[plain] {
			t.Errorf("%s has a text, but is not used", key)
		}
	}
}

var problemKinds = []ProblemKind{
	ProblemTimedOut, ProblemApplication, ProblemRedirect, ProblemRequest, ProblemForeign,
	ProblemBusy, ProblemUnavailable, ProblemNotFound, ProblemInternal,
}

// TestLocalesAreWhole: every language has every text, with the same places.
func TestLocalesAreWhole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("messages/*.json")
	if err != nil {
		t.Fatal(err)
	}
	master := keysOf(t, "messages/en.json")
	for _, file := range files {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(master)), slices.Sorted(maps.Keys(keysOf(t, file)))); diff != "" {
			t.Errorf("%s (-en +it):\n%s", file, diff)
		}
	}
}

func keysOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for key := range texts {
		keys[key] = true
	}
	return keys
}

// TestNoPlaceIsLeftOpen: no page shows a {placeholder} or the name of a text.
func TestNoPlaceIsLeftOpen(t *testing.T) {
	t.Parallel()
	for language, f := range frames(t) {
		for _, s := range Gallery(f) {
			words := textOf(parse(t, s.Page))
			if strings.ContainsAny(words, "{}\uE000\uE001") || keyUse.MatchString(`"`+words+`"`) {
				t.Errorf("%s/%s: %s", language, s.Name, words)
			}
		}
	}
}

// TestRightToLeft: another language and direction come by a file of texts alone.
func TestRightToLeft(t *testing.T) {
	t.Parallel()
	f := Frame{Locale: hebrew(t), App: "Tiny"}
	page := parse(t, LoginCode{Frame: f, Number: "07700 900 982", Digits: 6}.Page())
	if dir := attr(find(page, "html")[0], "dir"); dir != "rtl" {
		t.Errorf("dir %q, want rtl", dir)
	}
	if !strings.Contains(textOf(page), "שלום") {
		t.Error("the words are not the language's")
	}
	number := find(page, `.lead bdi[dir="ltr"]`)
	if len(number) != 1 || textOf(number[0]) != "07700 900 982" {
		t.Error("the number does not keep its direction")
	}
	phone := parse(t, LoginPhone{Frame: f, Countries: galleryCountries()}.Page())
	if got := textOf(find(phone, `option[value="DE"]`)[0]); !strings.Contains(got, "גרמניה") {
		t.Errorf("Germany is %q", got)
	}
}
