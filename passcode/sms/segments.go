package sms

import (
	"slices"
	"sync"
	"unicode/utf16"

	"github.com/warthog618/sms/encoding/gsm7/charset"
)

// The encodings of texts. Carriers take the smaller one that fits.
const (
	// GSM7 is the default alphabet of GSM 03.38: 160 septets in one segment.
	GSM7 = "GSM-7"
	// UCS2 is UTF-16: 70 units in one segment. One character that GSM-7 lacks is
	// enough to need it.
	UCS2 = "UCS-2"
)

// room is how many units fit into a segment: of a text that is one segment, and of
// a longer one, in which each segment has a header that tells its place.
type room struct{ alone, together int }

var rooms = map[string]room{GSM7: {160, 153}, UCS2: {70, 67}}

// Segments tells how a body travels and what it costs: its encoding, in how many
// segments, each of which is paid for, and how many units of the encoding it has.
func Segments(body string) (encoding string, segments, units int) {
	encoding, width := GSM7, septets
	if len(OutsideGSM7(body)) > 0 {
		encoding, width = UCS2, utf16Units
	}
	// A character of two units is never split, so a segment may end one early.
	inLast, parts := 0, 1
	for _, r := range body {
		w := width(r)
		units += w
		if inLast += w; inLast > rooms[encoding].together {
			inLast, parts = w, parts+1
		}
	}
	if units <= rooms[encoding].alone {
		parts = 1
	}
	return encoding, parts, units
}

// OutsideGSM7 returns the characters of a body that force it into UCS-2, each once,
// in their order.
func OutsideGSM7(body string) []rune {
	var out []rune
	for _, r := range body {
		if septets(r) == 0 && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// alphabet has the septets of each character of GSM-7. Those of the extension
// table (the euro, brackets) have an escape in front and count as two. Shift tables
// of languages are left out: few carriers take them.
var alphabet = sync.OnceValue(func() map[rune]int {
	const escape = '\x1b' // stands in the table and is no character
	out := map[rune]int{}
	for r := range charset.DefaultExtEncoder() {
		out[r] = 2
	}
	for r := range charset.DefaultEncoder() {
		out[r] = 1
	}
	delete(out, escape)
	return out
})

func septets(r rune) int { return alphabet()[r] }

func utf16Units(r rune) int { return max(1, utf16.RuneLen(r)) }
