package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var links = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)

// TestLinksLeadSomewhere follows the relative links of all documents.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	err := walk(".md", func(name string) error {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, match := range links.FindAllStringSubmatch(withoutCode(string(text)), -1) {
			u, err := url.Parse(match[1])
			if err != nil || u.IsAbs() || u.Path == "" {
				continue
			}
			target := path.Join(path.Dir(name), u.Path)
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var fences = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

func withoutCode(markdown string) string { return fences.ReplaceAllString(markdown, "") }

const conformance = "docs/conformance.md"

var (
	testNames = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9_]*\b`)
	rfcs      = regexp.MustCompile(`\bRFC (\d{4})\b`)
)

// TestConformanceNamesTestsThatExist: a promise whose test was renamed away is
// no promise.
func TestConformanceNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text := readConformance(t)
	exists := map[string]bool{}
	err := walk(".go", func(name string) error {
		if !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "storage/storagetest/") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				exists[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range testNames.FindAllString(text, -1) {
		if !exists[name] {
			t.Errorf("%s names %s, which does not exist", conformance, name)
		}
	}
}

// TestCitedSpecificationsAreInConformance: what the code cites, the page lists.
func TestCitedSpecificationsAreInConformance(t *testing.T) {
	t.Parallel()
	text := readConformance(t)
	files, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]string{}
	for _, f := range files {
		for _, group := range f.file.Comments {
			for _, match := range rfcs.FindAllStringSubmatch(group.Text(), -1) {
				if !strings.Contains(text, "RFC "+match[1]) {
					missing[match[1]] = f.path
				}
			}
		}
	}
	for number, where := range missing {
		t.Errorf("%s cites RFC %s, which %s does not list", where, number, conformance)
	}
}

func readConformance(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, conformance))
	if err != nil {
		t.Skipf("there is no %s to hold to", conformance)
	}
	return string(text)
}
