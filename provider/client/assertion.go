package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

const (
	// assertionAhead is how far ahead an assertion may expire, which bounds how
	// long its use must be remembered.
	assertionAhead = 5 * time.Minute
	// skew is how much a client's clock may differ.
	skew   = 30 * time.Second
	maxJTI = 256
)

// assertionClaims are those of RFC 7523 §3.
type assertionClaims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  oidclib.Audience `json:"aud"`
	Expires   oidclib.Time     `json:"exp"`
	NotBefore oidclib.Time     `json:"nbf"`
	IssuedAt  oidclib.Time     `json:"iat"`
	JTI       string           `json:"jti"`
}

// SigningAlgorithms are those that a client assertion may be signed with, for
// token_endpoint_auth_signing_alg_values_supported.
func SigningAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
}

// checkAssertion verifies an assertion by the client's registered keys and
// spends it: it works once.
func (r *Registry) checkAssertion(ctx context.Context, e *entry, raw string) error {
	var claims assertionClaims
	err := oidclib.Verify(raw, oidclib.Rules{
		Algorithms: SigningAlgorithms(),
		// Untyped is what most libraries send; the last is RFC 7523bis §3's.
		Types: []string{"", "jwt", "client-authentication+jwt"},
		Key:   func(kid string, alg jose.SignatureAlgorithm) any { return keyFor(e.keys, kid, alg) },
	}, &claims)
	if err != nil {
		return because("assertion", err)
	}
	now := r.config.Now()
	if reason := r.judge(claims, e.client.ClientID, now); reason != "" {
		return refused("assertion: " + reason)
	}
	// Only a verified assertion is spent: nobody else can use one up.
	tag := r.config.Vault.Tag(vault.Assertion, string(e.client.ClientID), claims.JTI)
	err = r.config.Assertions.UseAssertion(ctx, tag, claims.Expires.Time().Add(skew), now)
	if errors.Is(err, storage.ErrConsumed) {
		return because("assertion: used before", err)
	}
	if err != nil {
		return fmt.Errorf("use client assertion: %w", err)
	}
	return nil
}

func because(reason string, err error) *oauth.Error {
	e := refused(reason)
	e.Err = err
	return e
}

// judge says what is wrong with an assertion's claims at now, or "".
func (r *Registry) judge(c assertionClaims, id storage.ClientID, now time.Time) string {
	expires := c.Expires.Time()
	switch {
	case c.Issuer != string(id) || c.Subject != string(id): // RFC 7523 §3, items 1 and 2
		return "iss and sub are not the client"
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, r.foreign):
		return "aud"
	case expires.IsZero():
		return "no exp"
	case !now.Before(expires.Add(skew)):
		return "expired"
	case expires.After(now.Add(assertionAhead + skew)):
		return "exp is too far ahead"
	case c.NotBefore.Time().After(now.Add(skew)), c.IssuedAt.Time().After(now.Add(skew)):
		return "from the future"
	case c.JTI == "" || len(c.JTI) > maxJTI:
		return "no jti"
	}
	return ""
}

// foreign reports whether an audience is another one than this server. An
// assertion that is meant for others, too, could be replayed here by them.
func (r *Registry) foreign(audience string) bool {
	return audience != r.config.Issuer && audience != r.config.TokenEndpoint
}

// keyFor returns the registered key that kid and alg name. Without a kid the
// only key that fits will do; with two, guessing is not the server's part.
func keyFor(keys []jose.JSONWebKey, kid string, alg jose.SignatureAlgorithm) any {
	var fitting []jose.JSONWebKey
	for _, k := range keys {
		if slices.Contains(registration.Algorithms(k), alg) && (kid == "" || k.KeyID == kid) {
			fitting = append(fitting, k)
		}
	}
	if len(fitting) != 1 {
		return nil
	}
	return fitting[0].Key
}
