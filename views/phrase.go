package views

import (
	"strings"
	"unicode/utf8"
)

// piece is a part of a text: our own words, or an argument whose direction is
// isolated from them.
type piece struct {
	text   string
	own    bool
	digits bool
}

// Private use characters stand for the isolated arguments while the catalogue
// builds the text; there is room for as many as one text has.
const (
	firstMark = '\uE000'
	lastMark  = '\uE00F'
)

// pieces returns the words of m, cut around the arguments that need isolation
// ([Name] and [Digits]).
func (l *Locale) pieces(m Message) []piece {
	if m.IsZero() {
		return nil
	}
	spelled := make(map[string]string, len(m.Args))
	isolated := map[rune]piece{}
	mark := firstMark
	for name, value := range m.Args {
		words := withoutMarks(l.spell(value))
		_, digits := value.(Digits)
		if _, named := value.(Name); (digits || named) && mark <= lastMark {
			isolated[mark] = piece{text: words, digits: digits}
			words = string(mark)
			mark++
		}
		spelled[name] = words
	}
	return cutAtMarks(l.localize(m.Key, m.Args["n"], spelled), isolated)
}

func cutAtMarks(text string, isolated map[rune]piece) []piece {
	var out []piece
	for text != "" {
		at := strings.IndexFunc(text, isMark)
		if at < 0 {
			return append(out, piece{text: text, own: true})
		}
		if at > 0 {
			out = append(out, piece{text: text[:at], own: true})
		}
		mark, size := utf8.DecodeRuneInString(text[at:])
		out = append(out, isolated[mark])
		text = text[at+size:]
	}
	return out
}

func isMark(r rune) bool { return r >= firstMark && r <= lastMark }

// withoutMarks keeps a stranger's text from posing as one of our marks.
func withoutMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	}, s)
}
