package docscheck

import (
	"bufio"
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const dependencies = "docs/dependencies.md"

// TestDependenciesAreExplained: every module that our code imports, every tool
// and every npm package has its line, and no line is left over.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	want := slices.Concat(importedModules(t), exampleModules(t), tools(t), npmPackages(t))
	var got []string
	for _, c := range read(t, dependencies).chapters() {
		for _, row := range c.rows {
			got = append(got, strings.Trim(row[0], "`"))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	want = slices.Compact(want)
	for _, m := range want {
		if !slices.Contains(got, m) {
			t.Errorf("%s has no line for %s", dependencies, m)
		}
	}
	for _, m := range got {
		if !slices.Contains(want, m) {
			t.Errorf("%s has a line for %s, which nothing uses", dependencies, m)
		}
	}
	if twice := len(got) - len(slices.Compact(got)); twice > 0 {
		t.Errorf("%d modules have two lines", twice)
	}
}

// TestTestModulesStandApart: what only tests import is in the table of tests.
func TestTestModulesStandApart(t *testing.T) {
	t.Parallel()
	shipped := map[string]bool{}
	for _, m := range modulesOf(t, func(name string) bool {
		return !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "storage/storagetest/") &&
			!strings.HasPrefix(name, "keys/keystest/") && !strings.HasPrefix(name, "provider/internal/")
	}) {
		shipped[m] = true
	}
	for _, c := range read(t, dependencies).chapters() {
		inBinary := c.heading == "In the binary"
		if !inBinary && c.heading != "In tests only" {
			continue
		}
		for _, row := range c.rows {
			if m := strings.Trim(row[0], "`"); shipped[m] != inBinary {
				t.Errorf("%s: %s stands under %q", dependencies, m, c.heading)
			}
		}
	}
}

func importedModules(t *testing.T) []string {
	t.Helper()
	return modulesOf(t, func(string) bool { return true })
}

// modulesOf returns the required modules that the chosen files import. One that
// nothing imports is for go mod tidy to remove.
func modulesOf(t *testing.T, chosen func(name string) bool) []string {
	t.Helper()
	required := requirements(t)
	found := map[string]bool{}
	for _, name := range tree(t, ".go") {
		if strings.HasPrefix(name, example+"/") || !chosen(name) || !compiled(t, name) {
			continue
		}
		for _, spec := range parse(t, name).Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			best := ""
			for _, m := range required {
				if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(best) {
					best = m
				}
			}
			if best != "" {
				found[best] = true
			}
		}
	}
	var all []string
	for m := range found {
		all = append(all, m)
	}
	return all
}

// example is a module of its own.
const example = "examples/purchasing"

// exampleModules are what it requires directly.
func exampleModules(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, line := range goMod(t, example) {
		m := requirement.FindStringSubmatch(line)
		if m != nil && !strings.HasSuffix(line, "// indirect") && m[1] != "github.com/handset-oidc/handset" {
			all = append(all, m[1])
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d modules found in the go.mod of %s", len(all), example)
	}
	return all
}

// compiled reports whether a file's build constraints let it in.
func compiled(t *testing.T, name string) bool {
	t.Helper()
	in, err := build.Default.MatchFile(filepath.Join(root, filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

var requirement = regexp.MustCompile(`^\t?(?:require )?([a-z0-9.-]+\.[a-z]+/?\S*) v\S+`)

// requirements are all modules of go.mod.
func requirements(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, line := range goMod(t, ".") {
		if m := requirement.FindStringSubmatch(line); m != nil {
			all = append(all, m[1])
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d modules found in go.mod", len(all))
	}
	return all
}

func tools(t *testing.T) []string {
	t.Helper()
	var all []string
	within := false
	for _, line := range goMod(t, ".") {
		switch {
		case line == "tool (":
			within = true
		case line == ")":
			within = false
		case within:
			all = append(all, strings.TrimSpace(line))
		case strings.HasPrefix(line, "tool "):
			all = append(all, strings.TrimPrefix(line, "tool "))
		}
	}
	return all
}

func goMod(t *testing.T, folder string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func npmPackages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range tree(t, ".json") {
		if filepath.Base(name) != "package.json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Dependencies, DevDependencies map[string]string }
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, deps := range []map[string]string{p.Dependencies, p.DevDependencies} {
			for m := range deps {
				all = append(all, m)
			}
		}
	}
	return all
}
