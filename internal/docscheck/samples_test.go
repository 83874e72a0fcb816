package docscheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSamplesOfTheLibraryCompile: every block of Go in the page for APIs stands in a
// test or an example, line by line, and so is compiled and true.
func TestSamplesOfTheLibraryCompile(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, name := range tree(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, unindented(string(text)))
		}
	}
	blocks := read(t, "docs/integration/api.md").blocks("go")
	if len(blocks) < 8 {
		t.Errorf("only %d blocks", len(blocks))
	}
	for _, b := range blocks {
		if !containsAny(sources, unindented(b.text)) {
			t.Errorf("no test and no example has this:\n%s", b.text)
		}
	}
}

// unindented is text without what stands before and behind its lines.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func containsAny(texts []string, part string) bool {
	for _, text := range texts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
