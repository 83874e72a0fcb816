package phone

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTyped is the length of the number field in runes. Anything longer is no
// number that a person typed.
const maxTyped = 40

// FoldDigits returns the ASCII digits of a code as people type and paste it: it
// drops spaces, all forms of dashes and invisible format characters (\p{Cf}),
// and maps every Unicode decimal digit (\p{Nd}) by its value. It reports false
// when anything else is there, nothing is left, or the input is longer than a
// field may be: the code is malformed.
//
// Unicode normalisation (NFKC) is no substitute: it leaves Arabic-Indic, Persian
// and Devanagari digits as they are and makes digits of circled ones.
func FoldDigits(typed string) (string, bool) {
	if tooLong(typed) {
		return "", false
	}
	out := make([]byte, 0, len(typed))
	for _, r := range typed {
		if d, ok := digit(r); ok {
			out = append(out, d)
			continue
		}
		if !isSpace(r) && !isDash(r) && !unicode.Is(unicode.Cf, r) {
			return "", false
		}
	}
	return string(out), len(out) > 0
}

// tooLong counts runes only when the bytes leave a doubt, so that a megabyte costs nothing.
func tooLong(typed string) bool {
	return len(typed) > maxTyped*utf8.UTFMax || utf8.RuneCountInString(typed) > maxTyped
}

// folded is what is left of a typed number: its digits, in ASCII.
type folded struct {
	digits string
	// international says that the digits begin with a country calling code.
	international bool
}

// fold reads a typed number, or returns ErrUnreadable or ErrExtension.
func fold(typed string) (folded, error) {
	if tooLong(typed) {
		return folded{}, ErrUnreadable
	}
	runes := []rune(typed)
	out := make([]byte, 0, len(runes))
	plus := false
	for i := 0; i < len(runes); i++ {
		r := narrow(runes[i])
		if d, ok := digit(r); ok {
			out = append(out, d)
			continue
		}
		switch {
		case r == '+' && !plus && len(out) == 0:
			plus = true
		case isOpening(r):
			// "+44 (0)7911 123456": the zero is for callers at home.
			if n := trunkZero(runes[i:]); n > 0 && afterCallingCode(out, plus) {
				i += n - 1
			}
		case isSpace(r), isDash(r), isDot(r), isClosing(r), unicode.Is(unicode.Cf, r):
		case len(out) >= 3 && isExtension(runes[i:]):
			return folded{}, ErrExtension
		default:
			return folded{}, ErrUnreadable
		}
	}
	f := folded{digits: string(out), international: plus}
	if rest, ok := strings.CutPrefix(f.digits, "00"); ok && !plus {
		f = folded{digits: rest, international: true}
	}
	if f.digits == "" {
		return folded{}, ErrUnreadable
	}
	return f, nil
}

// afterCallingCode reports whether the digits so far can be a country calling
// code alone: one to three digits behind "+" or "00".
func afterCallingCode(out []byte, plus bool) bool {
	if !plus {
		rest, ok := strings.CutPrefix(string(out), "00")
		return ok && len(rest) >= 1 && len(rest) <= 3
	}
	return len(out) >= 1 && len(out) <= 3
}

// trunkZero returns the length of "(0)" at the start of runes, or 0.
func trunkZero(runes []rune) int {
	zeros := 0
	for i, r := range runes[1:] {
		r = narrow(r)
		d, ok := digit(r)
		switch {
		case ok && d == '0' && zeros == 0:
			zeros++
		case isClosing(r) && zeros == 1:
			return i + 2
		case isSpace(r), unicode.Is(unicode.Cf, r):
		default:
			return 0
		}
	}
	return 0
}

// extensionMarks begin an extension; longer ones stand before their beginnings.
var extensionMarks = []string{
	"extensión", "extension", "extn", "ext", "xtn", "x", "#", ",", "anexo", "int", "доб", "内線",
}

// isExtension reports whether runes begin with an extension's mark and a digit.
func isExtension(runes []rune) bool {
	var b strings.Builder
	for _, r := range runes {
		b.WriteRune(unicode.ToLower(narrow(r)))
	}
	rest := strings.TrimLeft(b.String(), "; ")
	for _, mark := range extensionMarks {
		after, ok := strings.CutPrefix(rest, mark)
		if !ok {
			continue
		}
		after = strings.TrimLeft(after, ".:=- \u00a0")
		first, _ := utf8.DecodeRuneInString(after)
		_, isDigit := digit(first)
		return isDigit
	}
	return false
}

// digit maps a Unicode decimal digit to its ASCII form.
func digit(r rune) (byte, bool) {
	if r >= '0' && r <= '9' {
		return byte(r), true
	}
	if r < utf8.RuneSelf {
		return 0, false
	}
	// Every run of \p{Nd} starts with a zero and holds whole tens (a test holds
	// the tables of each Go release to that).
	for _, run := range unicode.Nd.R16 {
		if r >= rune(run.Lo) && r <= rune(run.Hi) {
			return '0' + byte((r-rune(run.Lo))%10), true
		}
	}
	for _, run := range unicode.Nd.R32 {
		if r >= rune(run.Lo) && r <= rune(run.Hi) {
			return '0' + byte((r-rune(run.Lo))%10), true
		}
	}
	return 0, false
}

// narrow maps a full-width form (U+FF01 to U+FF5E) to ASCII.
func narrow(r rune) rune {
	if r >= 0xFF01 && r <= 0xFF5E {
		return r - 0xFEE0
	}
	return r
}

func isSpace(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Z, r) || r == '\u2800' || r == '\u3164'
}

// isDash holds what keyboards give for a dash: \p{Pd}, the minus signs, and the
// prolonged sound marks of Japanese ones.
func isDash(r rune) bool {
	switch r {
	case '\u2212', '\u2043', '\u2053', '\u02d7', '\u30fc', '\uff70', '\u2500':
		return true
	}
	return unicode.Is(unicode.Pd, r)
}

// isDot holds dots and the slash that German numbers are written with.
func isDot(r rune) bool {
	switch r {
	case '.', '/', '\u00b7', '\u2022', '\u2024', '\u2027', '\u22c5', '\u30fb', '\uff65', '\u3002', '\uff61':
		return true
	}
	return false
}

func isOpening(r rune) bool { return unicode.Is(unicode.Ps, r) }
func isClosing(r rune) bool { return unicode.Is(unicode.Pe, r) }
