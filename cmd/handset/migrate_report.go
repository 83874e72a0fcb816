package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/handset-oidc/handset/internal/auth0"
)

const (
	// firstLines is how often a terminal gets one kind of note.
	firstLines = 10
	// mostKinds and mostNames bound what a file can make of a report.
	mostKinds = 100
	mostNames = 20
	// longestTold is how many characters of a line are told.
	longestTold = 1000
)

// numbers could be somebody's.
var numbers = regexp.MustCompile(`\+?[0-9]{7,}`)

// tally counts the notes about the file that is read.
type tally struct {
	notes, notTaken map[string]int
	hidden          int
}

// count counts one more of a kind, and returns how many there are.
func count(kinds *map[string]int, kind string) int {
	if *kinds == nil {
		*kinds = map[string]int{}
	}
	if (*kinds)[kind] == 0 && len(*kinds) >= mostKinds {
		kind = "others"
	}
	(*kinds)[kind]++
	return (*kinds)[kind]
}

// entryName is what a client or a connection is called in the report.
func entryName(kind, name, place string) string {
	if name == "" {
		return place
	}
	return kind + " " + auth0.Quote(name)
}

// tell writes one line. Whatever words of a file got into it, it stays one, and does
// nothing to a terminal.
func (m *migration) tell(what, text string) error {
	_, err := fmt.Fprintf(m.out, "%s: %s\n", what, printable(text))
	return err
}

func printable(text string) string {
	var out strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > longestTold {
			return out.String() + "…"
		}
		if strconv.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return out.String()
}

// remark tells what is not taken of an entry that is. The report gets all of it, a
// terminal the first of a kind: of a tenant's people all have the same.
func (m *migration) remark(what string, notes, notTaken []string) error {
	shown := m.report != ""
	for _, note := range notes {
		shown = count(&m.tally.notes, note) <= firstLines || shown
	}
	for _, name := range notTaken {
		shown = count(&m.tally.notTaken, name) <= firstLines || shown
	}
	if !shown && len(notes)+len(notTaken) > 0 {
		m.tally.hidden++
		return nil
	}
	for _, note := range notes {
		if err := m.tell(what, "note: "+note); err != nil {
			return err
		}
	}
	if len(notTaken) == 0 {
		return nil
	}
	if more := len(notTaken) - mostNames; more > 0 {
		notTaken = append(slices.Clone(notTaken[:mostNames]), fmt.Sprintf("%d more", more))
	}
	return m.tell(what, "note: not taken: "+strings.Join(notTaken, ", "))
}

// sum counts the notes about a file.
func (m *migration) sum(what string) error {
	t := m.tally
	for _, note := range slices.Sorted(maps.Keys(t.notes)) {
		if n := t.notes[note]; n > 1 {
			if err := m.tell(what, fmt.Sprintf("note: of %d: %s", n, note)); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.notTaken)) {
		if err := m.tell(what, fmt.Sprintf("note: not taken of %d: %s", t.notTaken[name], name)); err != nil {
			return err
		}
	}
	if t.hidden > 0 {
		return m.tell(what, fmt.Sprintf("note: %d more lines have such notes; --report FILE lists them", t.hidden))
	}
	return nil
}
