package config

import (
	"log/slog"
	"net/url"
	"strings"
	"unique"
)

// hidden is what is printed in place of a secret.
const hidden = "(hidden)"

// Secret is a value that must not be printed: every way to print it gives
// "(hidden)". It sits behind a handle, so that %+v of a struct that holds a
// Secret in an unexported field prints a pointer. It is comparable.
type Secret struct{ value unique.Handle[string] }

// NewSecret wraps a secret. The empty string is the zero Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{unique.Make(s)}
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// String hides the secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String: JSON and YAML show that there is a secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Secret) decode(d *decoder, path string, in any) {
	if text, ok := d.text(path, in); ok {
		*s = NewSecret(text)
	}
}

// Address says where a store is. It may hold a password, which every way to
// print it leaves out.
type Address struct{ value Secret }

// NewAddress wraps an address.
func NewAddress(s string) Address { return Address{NewSecret(s)} }

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a.value.IsZero() }

// Reveal returns the address with its password.
func (a Address) Reveal() string { return a.value.Reveal() }

// String returns the address without its password and its parameters.
func (a Address) String() string {
	raw := a.Reveal()
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		if user, _, found := strings.Cut(rest[:i], ":"); found {
			rest = user + ":" + hidden + rest[i:]
		}
	}
	if where, query, found := strings.Cut(rest, "?"); found {
		rest = where + "?" + maskQuery(query)
	}
	return scheme + "://" + rest
}

// maskQuery keeps the names of parameters and hides their values.
func maskQuery(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return hidden
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, url.QueryEscape(name)+"="+hidden)
	}
	return strings.Join(sorted(names), "&")
}

// GoString is String.
func (a Address) GoString() string { return a.String() }

// LogValue is String.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText is String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a *Address) decode(d *decoder, path string, in any) {
	if text, ok := d.text(path, in); ok {
		*a = NewAddress(text)
	}
}
