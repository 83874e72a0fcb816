// Package phone turns what people type into phone numbers. A [Number] is E.164
// and valid by construction, and prints masked: the digits leave it only by
// [Number.E164]. The package is a leaf; it knows no storage and no HTTP.
package phone

import (
	"errors"
	"log/slog"
	"strings"
	"unique"
)

// Number is a valid phone number. It is comparable. All ways to print it give
// the masked form; marshalling it is an error. The digits sit behind a handle,
// so that %+v of a struct that holds a Number in an unexported field prints a
// pointer.
type Number struct{ e164 unique.Handle[string] }

// FromStored wraps an E.164 string that [Parse] made earlier and a store kept.
// It checks the form only: "+" and 7 to 15 digits.
func FromStored(e164 string) (Number, error) {
	if len(e164) < 8 || len(e164) > 16 || e164[0] != '+' || strings.Trim(e164[1:], "0123456789") != "" {
		return Number{}, errors.New("not an E.164 number")
	}
	return Number{unique.Make(e164)}, nil
}

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n == Number{} }

// E164 returns the number with all its digits: "+819012345678". Empty for the zero Number.
func (n Number) E164() string {
	if n.IsZero() {
		return ""
	}
	return n.e164.Value()
}

// String returns the number masked: "+81******78".
func (n Number) String() string {
	e := n.E164()
	if e == "" {
		return ""
	}
	return e[:3] + strings.Repeat("*", len(e)-5) + e[len(e)-2:]
}

// GoString is String.
func (n Number) GoString() string { return n.String() }

// LogValue is String.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalText always fails: a number must not slip into JSON. Use E164 where it is meant.
func (n Number) MarshalText() ([]byte, error) {
	return nil, errors.New("phone.Number does not marshal; use E164 where the digits are meant")
}
