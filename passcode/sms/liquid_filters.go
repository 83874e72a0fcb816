package sms

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// liquidFilters are those of Auth0's string filters that make sense in a text,
// with slice, size and default. The library's own are not used: some panic at odd
// arguments, count bytes for characters, or grow without end.
//
// HTML's are left out since a text is none; url_decode would bring back what was
// cleaned out of a name; date would make a text of the clock.
var liquidFilters = map[string]any{
	"append":   func(s, end string) (string, error) { return fitting(s + end) },
	"prepend":  func(s, start string) (string, error) { return fitting(start + s) },
	"upcase":   func(s string) (string, error) { return fitting(strings.ToUpper(s)) },
	"downcase": func(s string) (string, error) { return fitting(strings.ToLower(s)) },
	"capitalize": func(s string) string {
		_, size := utf8.DecodeRuneInString(s)
		return strings.ToUpper(s[:size]) + s[size:]
	},
	"strip":          strings.TrimSpace,
	"lstrip":         func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) },
	"rstrip":         func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) },
	"strip_newlines": func(s string) string { return strings.ReplaceAll(s, "\n", "") },
	"remove":         func(s, what string) string { return strings.ReplaceAll(s, what, "") },
	"remove_first":   func(s, what string) string { return strings.Replace(s, what, "", 1) },
	"replace":        func(s, old, by string) (string, error) { return replace(s, old, by, -1) },
	"replace_first":  func(s, old, by string) (string, error) { return replace(s, old, by, 1) },
	"truncate":       truncate,
	"truncatewords":  truncateWords,
	"slice":          slice,
	"size":           utf8.RuneCountInString,
	"default": func(value, otherwise any) any {
		if value == nil || value == false || value == "" {
			return otherwise
		}
		return value
	},
}

// fitting refuses a value that is longer than any text.
func fitting(s string) (string, error) {
	if len(s) > maxText {
		return "", errTooLong
	}
	return s, nil
}

// replace looks at the length before it makes the string: an empty old is between
// any two characters.
func replace(s, old, by string, n int) (string, error) {
	count := strings.Count(s, old)
	if n >= 0 {
		count = min(count, n)
	}
	if len(s)+count*(len(by)-len(old)) > maxText {
		return "", errTooLong
	}
	return strings.Replace(s, old, by, n), nil
}

// truncate cuts to so many characters, those of the ellipsis included.
func truncate(s string, length func(int) int, ellipsis func(string) string) (string, error) {
	n, end := length(50), ellipsis("...")
	runes := []rune(s)
	if len(runes) <= n {
		return s, nil
	}
	return fitting(string(runes[:max(0, n-utf8.RuneCountInString(end))]) + end)
}

func truncateWords(s string, length func(int) int, ellipsis func(string) string) (string, error) {
	n, end := max(1, length(15)), ellipsis("...")
	words := strings.Fields(s)
	if len(words) <= n {
		return s, nil
	}
	return fitting(strings.Join(words[:n], " ") + end)
}

// slice returns n characters from start on, which counts from the end when it is negative.
func slice(s string, start int, length func(int) int) string {
	runes := []rune(s)
	if start < 0 {
		start += len(runes)
	}
	if start < 0 || start > len(runes) {
		return ""
	}
	n := min(max(0, length(1)), len(runes)-start)
	return string(runes[start : start+n])
}
