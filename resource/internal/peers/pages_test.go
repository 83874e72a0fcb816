package peers_test

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/handset-oidc/handset/resource/internal/pages"
)

// TestPagesAreReadAsBrowsersDo holds the forms of every page of Handset against those
// that a reader of HTML finds.
func TestPagesAreReadAsBrowsersDo(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../../views/testdata/golden/*.html")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d pages, %v", len(names), err)
	}
	asked := map[string]int{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, words := pages.Read(string(text))
		want := browserForms(t, string(text))
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: forms %v\nwant %v", name, got, want)
		}
		if words == "" || strings.Contains(words, "<") {
			t.Errorf("%s says %q", name, words)
		}
		for _, f := range got {
			for field := range f.Fields {
				asked[field]++
			}
		}
	}
	for _, field := range []string{"phone", "country", "code", "csrf", "txn"} {
		if asked[field] == 0 {
			t.Errorf("no page asks for %s", field)
		}
	}
}

func browserForms(t *testing.T, text string) []pages.Form {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	attr := func(n *html.Node, name string) (string, bool) {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	var all []pages.Form
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		action, _ := attr(n, "action")
		f := pages.Form{Action: action, Fields: url.Values{}}
		for in := range n.Descendants() {
			name, named := attr(in, "name")
			switch {
			case in.Data == "input" && named:
				value, _ := attr(in, "value")
				f.Fields.Set(name, value)
			case in.Data == "select":
				for o := range in.Descendants() {
					_, chosen := attr(o, "selected")
					if o.Data == "option" && (chosen || !f.Fields.Has(name)) {
						value, _ := attr(o, "value")
						f.Fields.Set(name, value)
					}
				}
			}
		}
		all = append(all, f)
	}
	return all
}
