package views

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

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
