package docscheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const conformance = "docs/conformance.md"

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// namedTest is a test as pages name it: `folder.TestName`, or a promise of
// storage/storagetest.
var namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+|[A-Z][A-Za-z0-9]+)`")

// promise is a case of a suite in storage/storagetest.
var promise = regexp.MustCompile(`^"([A-Z][A-Za-z0-9]+)"$`)

// TestNamedTestsExist: a promise whose test was renamed away is none.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	exist := map[string]bool{}
	for _, name := range tree(t, ".go") {
		dir := path.Dir(name)
		suite := dir == "storage/storagetest"
		if !suite && !strings.HasSuffix(name, "_test.go") {
			continue
		}
		ast.Inspect(parse(t, name), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					exist[dir+"."+n.Name.Name] = true
				}
			case *ast.BasicLit:
				if m := promise.FindStringSubmatch(n.Value); suite && m != nil {
					exist[dir+"."+m[1]] = true
				}
			}
			return true
		})
	}
	named := 0
	for _, p := range pages(t) {
		for _, m := range namedTest.FindAllStringSubmatch(p.text, -1) {
			if !isTest(m) {
				continue
			}
			named++
			if name := m[1] + "." + m[2]; !exist[name] {
				t.Errorf("%s names the test %s, which does not exist", p.name, name)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named: has their spelling changed?", named)
	}
}

func isTest(m []string) bool {
	return m[1] == "storage/storagetest" || strings.HasPrefix(m[2], "Test") || strings.HasPrefix(m[2], "Fuzz")
}

// citation is a specification in a comment, with the section if one is named.
var citation = regexp.MustCompile(`\b(RFC \d+|OIDC Core|OIDC Discovery|RP-Initiated Logout|Form Post|Multiple Response Type|WCAG \d\.\d)` +
	`(?: Response Mode| Encoding Practices| 1\.0)?(?: §([0-9A-Z]+(?:\.[0-9]+)*))?`)

// TestCitedSectionsHaveARow: what code cites, the page lists.
func TestCitedSectionsHaveARow(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, c := range read(t, conformance).chapters() {
		for _, row := range c.rows {
			list(listed, c.heading, row[0])
		}
	}
	cited := 0
	for _, name := range tree(t, ".go") {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") {
			continue
		}
		for _, group := range parse(t, name).Comments {
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, m := range citation.FindAllStringSubmatch(text, -1) {
				cited++
				switch {
				case !listed[m[1]]:
					t.Errorf("%s cites %s, which %s does not list", name, m[1], conformance)
				case m[2] != "" && listed[m[1]+" has sections"] && !listed[m[1]+" §"+m[2]]:
					t.Errorf("%s cites %s §%s, which has no row in %s", name, m[1], m[2], conformance)
				}
			}
		}
	}
	if cited < 100 {
		t.Errorf("only %d citations found: has their spelling changed?", cited)
	}
}

var (
	specification = regexp.MustCompile(`RFC \d+|OIDC Core|OIDC Discovery|RP-Initiated Logout|Form Post|Multiple Response Type|WCAG \d\.\d`)
	section       = regexp.MustCompile(`§([0-9A-Z]+(?:\.[0-9]+)*)`)
)

// list notes what a row is about. Its specification stands in the first cell or,
// where that names sections alone, in the heading of the chapter.
func list(listed map[string]bool, heading, first string) {
	names := specification.FindAllString(first, -1)
	if len(names) == 0 {
		names = specification.FindAllString(heading, -1)
	}
	for _, name := range names {
		listed[name] = true
		for _, m := range section.FindAllStringSubmatch(first, -1) {
			listed[name+" has sections"] = true
			listed[name+" §"+m[1]] = true
		}
	}
}

// TestDeviationsAreListed: a comment that says "Deviation:" is in a file that the
// page links to.
func TestDeviationsAreListed(t *testing.T) {
	t.Parallel()
	text := read(t, conformance).text
	for _, name := range tree(t, ".go") {
		if strings.HasPrefix(name, "internal/docscheck/") {
			continue
		}
		for _, group := range parse(t, name).Comments {
			if strings.Contains(group.Text(), "Deviation:") && !strings.Contains(text, "("+"../"+name+")") {
				t.Errorf("%s says Deviation:, and %s does not link to it", name, conformance)
			}
		}
	}
}
