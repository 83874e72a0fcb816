package docscheck

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder, seen from here.
const root = "../.."

// page is a Markdown document.
type page struct {
	name string // from the module's root, with slashes
	text string
}

func read(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return page{name, string(text)}
}

// tree lists the files of the source tree with one of the endings, without what
// is installed, built or left behind.
func tree(t *testing.T, endings ...string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's temporary file
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "node_modules", "artifacts", "bin"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if len(endings) == 0 || slices.Contains(endings, filepath.Ext(name)) {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, name := range tree(t, ".md") {
		all = append(all, read(t, name))
	}
	return all
}

// block is a fenced block of code.
type block struct {
	language string
	text     string
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func (p page) blocks(language string) []block {
	var all []block
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			all = append(all, block{m[1], m[2]})
		}
	}
	return all
}

// prose is the page without its blocks of code.
func (p page) prose() string { return fence.ReplaceAllString(p.text, "") }

// chapter is what stands between a heading of the second level and the next.
type chapter struct {
	heading string
	rows    [][]string // the cells of its tables, without heads
}

var ruler = regexp.MustCompile(`^\|[-:| ]+\|$`)

func (p page) chapters() []chapter {
	all := []chapter{{}}
	for line := range strings.Lines(p.prose()) {
		line = strings.TrimSpace(line)
		last := &all[len(all)-1]
		switch {
		case strings.HasPrefix(line, "## "):
			all = append(all, chapter{heading: strings.TrimPrefix(line, "## ")})
		case ruler.MatchString(line):
			last.rows = last.rows[:len(last.rows)-1] // what stood above was the head
		case strings.HasPrefix(line, "|"):
			last.rows = append(last.rows, cells(line))
		}
	}
	return all
}

func cells(line string) []string {
	out := strings.Split(strings.Trim(line, "|"), "|")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}
