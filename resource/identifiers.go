package resource

import (
	"log/slog"
	"slices"
	"strings"
)

// The identifiers of a token are types of their own, so that the compiler refuses
// a person where a client is wanted.
type (
	// Subject is who a token speaks for: a person, who keeps it for ever, or a
	// client that speaks for itself, see [Caller.IsClient].
	Subject string
	// ClientID is the application that the token was given to.
	ClientID string
	// Audience is the identifier of an API, as it is registered with the issuer.
	Audience string
	// TokenID is the name of one token (`jti`).
	TokenID string
	// Scope is one thing that a token allows, such as read:vendors.
	Scope string
)

// Scopes are what a token allows, in the order of the token.
type Scopes []Scope

// Has reports whether every one of the wanted scopes is there.
func (s Scopes) Has(wanted ...Scope) bool {
	for _, w := range wanted {
		if !slices.Contains(s, w) {
			return false
		}
	}
	return true
}

// String is the wire form: the scopes with single spaces between them (RFC 6749 §3.3).
func (s Scopes) String() string {
	words := make([]string, len(s))
	for i, scope := range s {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// parseScopes reads the wire form.
func parseScopes(text string) Scopes {
	var s Scopes
	for word := range strings.FieldsSeq(text) {
		s = append(s, Scope(word))
	}
	return s
}

// valid reports whether a scope can stand in a token and in a header: one word of
// printable ASCII without quotes (RFC 6749 §3.3).
func (s Scope) valid() bool { return s != "" && !strings.ContainsFunc(string(s), notInScope) }

func notInScope(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }

// Secret is a client secret or a refresh token. It is a string that does not
// print itself: not in a log, not in an error, not as JSON.
type Secret string

const hidden = "(secret)"

// String hides the secret; string(s) is the secret itself.
func (s Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return hidden }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
