package docscheck

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks follows every relative link, images and headings included.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(p.prose(), ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %s is no address", p.name, m[1])
				continue
			}
			if u.IsAbs() {
				continue
			}
			target := p.name
			if u.Path != "" {
				target = path.Join(path.Dir(p.name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", p.name, m[1])
				continue
			}
			if u.Fragment != "" && !hasHeading(read(t, target), u.Fragment) {
				t.Errorf("%s links to %s: the page has no such heading", p.name, m[1])
			}
		}
	}
}

func hasHeading(p page, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(p.prose(), -1) {
		if anchorOf(m[1]) == anchor {
			return true
		}
	}
	return false
}

// anchorOf is the name that Markdown's readers give a heading: lower case,
// without punctuation, with hyphens for spaces.
func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestEveryDecisionHasItsParts: context, decision, what was rejected, and what
// follows, on one page.
func TestEveryDecisionHasItsParts(t *testing.T) {
	t.Parallel()
	n := 0
	for _, p := range pages(t) {
		if path.Dir(p.name) != "docs/decisions" {
			continue
		}
		n++
		for _, part := range []string{"## Context", "## Decision", "## Rejected", "## Consequences"} {
			if !strings.Contains(p.text, part+"\n") {
				t.Errorf("%s has no %q", p.name, part)
			}
		}
		if lines := strings.Count(p.text, "\n"); lines > 70 {
			t.Errorf("%s has %d lines; a decision fits on one page", p.name, lines)
		}
	}
	if n == 0 {
		t.Error("there are no decisions")
	}
}
