package sms

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// 3GPP TS 23.038 §6.2.1: the default alphabet and its extension table.
func TestSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, encoding string
		segments, units      int
	}{
		{"nothing", "", GSM7, 1, 0},
		{"all of the alphabet", "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà", GSM7, 1, 65},
		{"full", strings.Repeat("a", 160), GSM7, 1, 160},
		{"one more", strings.Repeat("a", 161), GSM7, 2, 161},
		{"two full", strings.Repeat("a", 306), GSM7, 2, 306},
		{"three", strings.Repeat("a", 307), GSM7, 3, 307},
		{"the extension table counts twice", "^{}\\[~]|€\f", GSM7, 1, 20},
		{"full of euros", strings.Repeat("€", 80), GSM7, 1, 160},
		{"one euro more", strings.Repeat("€", 81), GSM7, 2, 162},
		{"no euro is split", strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), GSM7, 3, 306},
		{"one accent", "Tu código", UCS2, 1, 9},
		{"an apostrophe of typographers", "Don’t", UCS2, 1, 5},
		{"a backtick", "`", UCS2, 1, 1},
		{"the escape is no character", "\x1b", UCS2, 1, 1},
		{"full", strings.Repeat("ж", 70), UCS2, 1, 70},
		{"one more", strings.Repeat("ж", 71), UCS2, 2, 71},
		{"two full", strings.Repeat("ж", 134), UCS2, 2, 134},
		{"three", strings.Repeat("ж", 135), UCS2, 3, 135},
		{"beyond the first plane", strings.Repeat("😀", 35), UCS2, 1, 70},
		{"one more", strings.Repeat("😀", 36), UCS2, 2, 72},
		{"no pair is split", strings.Repeat("a", 66) + "😀" + strings.Repeat("a", 66), UCS2, 3, 134},
		{"broken UTF-8", "\xff", UCS2, 1, 1},
	} {
		encoding, segments, units := Segments(c.body)
		if encoding != c.encoding || segments != c.segments || units != c.units {
			t.Errorf("%s: %s, %d segments, %d units; want %s, %d, %d",
				c.name, encoding, segments, units, c.encoding, c.segments, c.units)
		}
	}
}

func TestOutsideGSM7(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                        "",
		"Twoj kod [Tiny] 5€":      "",
		"Twój kod, wasz kód, żal": "óż",
		"コード":                     "コード",
	} {
		if got := string(OutsideGSM7(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

// The library fills its tables at their first use, without a lock.
func TestSegmentsInParallel(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if encoding, _, _ := Segments("[Tiny]"); encoding != GSM7 {
				t.Error(encoding)
			}
		})
	}
	wg.Wait()
}

func FuzzSegments(f *testing.F) {
	f.Add("012345 is your Tiny code.")
	f.Add(strings.Repeat("€a", 80))
	f.Add(strings.Repeat("😀", 70))
	f.Fuzz(func(t *testing.T, body string) {
		encoding, segments, units := Segments(body)
		if (encoding == GSM7) != (len(OutsideGSM7(body)) == 0) {
			t.Fatalf("%q is %s", body, encoding)
		}
		// A segment ends one unit early at most, when a pair would be split.
		one := rooms[encoding]
		least, most := (units+one.together-1)/one.together, (units+one.together-2)/(one.together-1)
		if units <= one.alone {
			least, most = 1, 1
		}
		if segments < least || segments > most {
			t.Fatalf("%q: %d units in %d segments", body, units, segments)
		}
		if n := utf8.RuneCountInString(body); units < n || units > 2*n {
			t.Fatalf("%q: %d units of %d characters", body, units, n)
		}
	})
}
