package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Caller is who makes a call: what its verified token says. It belongs to one
// call and never changes; callers that share a token get a Caller each.
type Caller struct {
	// Subject is the person, or the client itself when nobody is behind the call.
	Subject Subject
	// ClientID is the application that makes the call.
	ClientID ClientID
	// Scopes are what the token allows.
	Scopes Scopes
	// Audience are the APIs that the token is for; this one is among them.
	Audience []Audience
	// Issuer made the token.
	Issuer string
	// ID is the token's own name.
	ID TokenID
	// IssuedAt and ExpiresAt are the token's time; they are whole seconds.
	IssuedAt, ExpiresAt time.Time
	// AuthTime is when the person proved to be who they are; zero for a client
	// that speaks for itself.
	AuthTime time.Time
	// ACR and AMR say how the person proved it, if the token says so.
	ACR string
	AMR []string

	claims object
}

// IsClient reports whether the client calls for itself (client credentials), with no
// person behind it. Handset names such a subject CLIENT@clients, and no person so
// (RFC 9068 §5).
func (c *Caller) IsClient() bool { return string(c.Subject) == string(c.ClientID)+"@clients" }

// Claim decodes a claim of the token into v, which is a pointer, as
// [json.Unmarshal] does. A token without the claim, or with a null for it, is an
// error that wraps [ErrNoClaim]:
//
//	var employee string
//	if err := caller.Claim("employee_id", &employee); err != nil {
//		return err
//	}
func (c *Caller) Claim(name string, v any) error {
	raw := c.claims.raw(name)
	if raw == "" || raw == "null" { // which json would decode into anything, without an error
		return fmt.Errorf("claim %q: %w", name, ErrNoClaim)
	}
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		return fmt.Errorf("claim %q: %w", name, err)
	}
	return nil
}

// String names the caller without its claims, which may be personal.
func (c *Caller) String() string {
	return fmt.Sprintf("%s by way of %s", c.Subject, c.ClientID)
}

// GoString is String, so that %#v shows no more.
func (c *Caller) GoString() string { return c.String() }

// LogValue is what a log record shows of a caller.
func (c *Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.String("sub", string(c.Subject)), slog.String("client_id", string(c.ClientID)))
}

// verified is a caller in a context, and the API that let it in: another API of
// the same program must not take its word.
type verified struct {
	caller *Caller
	by     *API
}

type contextKey struct{}

// FromContext returns who makes the call that ctx belongs to. Behind
// [API.Require], [API.RequireScope] or the interceptors of package grpcauth there
// is always a caller; elsewhere there is none, and the pointer is nil.
func FromContext(ctx context.Context) (*Caller, bool) {
	v, ok := ctx.Value(contextKey{}).(verified)
	return v.caller, ok
}
