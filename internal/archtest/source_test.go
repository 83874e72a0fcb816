package archtest

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// rule forbids something in source text outside the places it names.
type rule struct {
	name string
	why  string
	// found reports whether a node is what the rule is about.
	found func(f source, n ast.Node) bool
	// except are files or folders, each with its reason.
	except map[string]string
}

// source is a parsed file of the product: no test, nothing generated.
type source struct {
	path  string // from the module's root, with slashes
	file  *ast.File
	lines []string
	fset  *token.FileSet
}

const (
	whyExample = "an example is a program of its own"
	whyMeasure = "it measures"
	whyServer  = "it answers inside of other people's servers"
	whyTests   = "it is a server for tests"
)

var rules = []rule{
	{
		name: "WriteHeader", found: method("WriteHeader"),
		why: "statuses and headers are written by internal/web alone, where nothing can be set after them",
		except: map[string]string{
			"internal/web":           "it is the place",
			"resource/middleware.go": whyServer,
			"resource/resourcetest":  whyTests,
			"examples":               whyExample,
		},
	},
	{
		name: "http.Error", found: call("http", "Error"),
		why:    "it drops headers and writes its own type; answers go through internal/web",
		except: map[string]string{"examples": whyExample},
	},
	{
		name: "time.Now()", found: call("time", "Now", "Since", "Until"),
		why: "time is told (a field now, an argument), so that tests can move it",
		except: map[string]string{
			"storage/redisstore/embedded.go": "the embedded server's own clock must run like the wall's",
			"provider/mint/mint.go":          "the time in a name only keeps an index together; nothing is decided by it",
			"storage/storagetest":            "it waits for a real server",
			"examples":                       whyExample,
			"bench":                          whyMeasure,
		},
	},
	{
		name: "time.Sleep", found: call("time", "Sleep"),
		why:    "waiting is by channels and deadlines",
		except: map[string]string{"storage/storagetest": "it waits for a real server to listen"},
	},
	{
		name: "the default logger", found: call("slog", "Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log",
			"DebugContext", "InfoContext", "WarnContext", "ErrorContext"),
		why: "loggers are handed in, so that a test can read all that is logged",
		except: map[string]string{
			"resource": "a library of an empty configuration logs where its program does, not nowhere",
		},
	},
	{
		name: "package log", found: call("log", "Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf",
			"Default", "SetOutput", "New"),
		why: "logs are structured records of log/slog",
	},
	{
		name: "printing", found: call("fmt", "Print", "Printf", "Println"),
		why:    "a command writes to the streams it was given",
		except: map[string]string{"bench": "its output is the figures", "examples/verification": whyExample},
	},
	{
		name: "the environment", found: call("os", "Getenv", "LookupEnv", "Environ", "ExpandEnv"),
		why: "the environment is read by config, from what main hands it",
		except: map[string]string{
			"cmd/handset/main.go": "it hands it over",
			"storage/storagetest": "CI says whether a missing server is a failure",
			"examples":            whyExample,
		},
	},
	{
		name: "os.Exit", found: call("os", "Exit"),
		why:    "it skips what is deferred; only main ends the process",
		except: map[string]string{"cmd/handset/main.go": "it is main", "bench": "it is main", "examples": whyExample},
	},
	{
		name: "context.Background()", found: call("context", "Background", "TODO"),
		why: "work belongs to a request or to the process, and ends with it",
		except: map[string]string{
			"cmd/handset/main.go":      "the process",
			"storage/sqlstore/conn.go": "a statement that began is not torn in two; callers bound it",
			"keys/keystest":            "a fixture without a test at hand",
			"bench":                    "the process",
			"examples":                 whyExample,
		},
	},
	{
		name: "panic", found: unexplainedPanic,
		why: `errors are returned; a panic is for what can't happen, and says so on its line: "// unreachable: ..."`,
		except: map[string]string{
			"internal/web/outer.go":       "it passes on the panic that net/http understands",
			"storage/sqlstore/batch.go":   "it passes on the panic of another goroutine",
			"provider/client/registry.go": "it passes on the panic of a shared lookup to the requests that wait",
			"keys/keystest":               "a fixture without a test at hand",
			"bench":                       "it measures nothing without a loopback",
		},
	},
	{
		name: "init", found: func(_ source, n ast.Node) bool {
			f, ok := n.(*ast.FuncDecl)
			return ok && f.Recv == nil && f.Name.Name == "init"
		},
		why: "nothing happens because a package was imported",
	},
	{
		name: "SQL text", found: sqlText,
		why: "SQL stands in storage/sqlstore/queries and migrations, one named statement each",
	},
}

// call matches pkg.name(...), where the file imports pkg by its usual name.
func call(pkg string, names ...string) func(source, ast.Node) bool {
	return func(f source, n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		selector, ok := c.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		x, ok := selector.X.(*ast.Ident)
		return ok && x.Name == pkg && imports(f.file, pkg) && contains(names, selector.Sel.Name)
	}
}

// method matches x.name(...) for any x.
func method(name string) func(source, ast.Node) bool {
	return func(_ source, n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		selector, ok := c.Fun.(*ast.SelectorExpr)
		return ok && selector.Sel.Name == name
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// imports reports whether a package of that name is imported, so that a
// variable called log is not taken for the package.
func imports(file *ast.File, pkg string) bool {
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if spec.Name == nil && (path == pkg || strings.HasSuffix(path, "/"+pkg)) {
			return true
		}
	}
	return false
}

func unexplainedPanic(f source, n ast.Node) bool {
	c, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := c.Fun.(*ast.Ident)
	return ok && name.Name == "panic" && !strings.Contains(f.lines[f.fset.Position(n.Pos()).Line-1], "// unreachable")
}

var sqlWords = regexp.MustCompile(`(?is)^\W*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+(unique\s+)?(table|index)\s|alter\s+table\s|drop\s+table\s)`)

func sqlText(_ source, n ast.Node) bool {
	literal, ok := n.(*ast.BasicLit)
	return ok && literal.Kind == token.STRING && sqlWords.MatchString(literal.Value)
}

// root is the module's folder, seen from here.
const root = "../.."

// sources are all files of the product.
var sources = sync.OnceValues(func() ([]source, error) {
	var out []source
	err := walk(".go", func(path string) error {
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			out = append(out, source{path, file, strings.Split(string(text), "\n"), fset})
		}
		return nil
	})
	return out, err
})

// walk visits the files of the tree with an extension, by their path with slashes.
func walk(extension string, visit func(path string) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "node_modules" || name == "testdata" || name == "artifacts" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir // a module of its own, which nobody gets with Handset
			}
			return nil
		}
		inner, err := filepath.Rel(root, path)
		if err != nil || filepath.Ext(name) != extension {
			return err
		}
		return visit(filepath.ToSlash(inner))
	})
}

func TestThingsDoneInOnePlace(t *testing.T) {
	t.Parallel()
	files, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			used := map[string]bool{}
			for _, f := range files {
				place := placeOf(f.path, r.except)
				ast.Inspect(f.file, func(n ast.Node) bool {
					if n == nil || !r.found(f, n) {
						return true
					}
					used[place] = true
					if place == "" {
						t.Errorf("%s:%d: %s", f.path, f.fset.Position(n.Pos()).Line, r.why)
					}
					return true
				})
			}
			for place := range r.except {
				if !used[place] {
					t.Errorf("%s is an exception that nothing needs: remove it", place)
				}
			}
		})
	}
}

// placeOf returns the exception that a file falls under, or "".
func placeOf(path string, except map[string]string) string {
	for place := range except {
		if path == place || strings.HasPrefix(path, place+"/") {
			return place
		}
	}
	return ""
}

// TestTheRulesBite feeds each rule something it must find: a rule that finds
// nothing anywhere would pass for ever.
func TestTheRulesBite(t *testing.T) {
	t.Parallel()
	const text = `package p
import ("context"; "fmt"; "log"; "log/slog"; "net/http"; "os"; "time")
func init() {}
func f(w http.ResponseWriter) {
	w.WriteHeader(200)
	http.Error(w, "", 500)
	_ = time.Now()
	time.Sleep(1)
	slog.Info("")
	log.Println()
	fmt.Println()
	_ = os.Getenv("X")
	os.Exit(1)
	_ = context.Background()
	_ = "SELECT a FROM b "
	panic("x")
}`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := source{"p.go", file, strings.Split(text, "\n"), fset}
	for _, r := range rules {
		hits := 0
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil && r.found(f, n) {
				hits++
			}
			return true
		})
		if hits != 1 {
			t.Errorf("%s: found %d times, want once", r.name, hits)
		}
	}
}

// comments that break a habit, with the habit.
var habits = []struct {
	broken *regexp.Regexp
	habit  string
}{
	{regexp.MustCompile(`\b(TODO|FIXME|XXX)\b(?:$|[^(]|\([^#])`), "TODO(#n): names an issue"},
	{regexp.MustCompile(`\b(?:RFC\d|rfc ?\d{4}|RFC-\d)`), "specifications are cited as RFC 6749 §4.1.2.1"},
	{regexp.MustCompile(`(?i)\bRFC \d+,? (?:section|sec\.|chapter|clause)\b`), "specifications are cited as RFC 6749 §4.1.2.1"},
	{regexp.MustCompile(`(?i)//\s*nolint`), "staticcheck's own //lint:ignore wants a reason"},
}

func TestCommentsKeepTheHabits(t *testing.T) {
	t.Parallel()
	err := walk(".go", func(path string) error {
		if strings.HasPrefix(path, "internal/archtest/") || strings.HasSuffix(path, "_templ.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(root, path), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				for _, h := range habits {
					if h.broken.MatchString(c.Text) {
						t.Errorf("%s:%d: %s: %s", path, fset.Position(c.Pos()).Line, h.habit, c.Text)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A name such as x_js_test.go keeps a file out of every build but that of js, and
// nobody notices that its tests never run: a file is left out by a //go:build line, or
// not at all.
func TestNoFileIsLeftOutByItsName(t *testing.T) {
	t.Parallel()
	constraint := regexp.MustCompile(`(?m)^//go:build `)
	err := walk(".go", func(path string) error {
		in, err := build.Default.MatchFile(filepath.Join(root, filepath.Dir(path)), filepath.Base(path))
		if err != nil || in {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err == nil && !constraint.Match(text) {
			t.Errorf("%s: its name keeps it out of the build", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
