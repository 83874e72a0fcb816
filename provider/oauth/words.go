package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// The scopes that Handset knows. Others are ignored (OIDC Core §3.1.2.1).
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopePhone         = "phone"
	ScopeOfflineAccess = "offline_access"
)

// Scopes returns the supported scopes, in the order of the discovery document.
func Scopes() []string { return []string{ScopeOpenID, ScopeProfile, ScopePhone, ScopeOfflineAccess} }

// ParseScope splits a scope parameter (RFC 6749 §3.3), drops repetitions and
// what Handset doesn't know, and keeps the order.
func ParseScope(scope string) []string {
	return slices.DeleteFunc(SplitScope(scope), func(s string) bool { return !slices.Contains(Scopes(), s) })
}

// SplitScope splits a scope parameter and drops repetitions.
func SplitScope(scope string) []string {
	var out []string
	for s := range strings.FieldsSeq(scope) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// ReservedClaim reports whether an access token says something by this name
// already (RFC 9068 §2.2, RFC 7519 §4.1), or another specification would read
// something into it. No API's configuration may set such a claim.
func ReservedClaim(name string) bool { return slices.Contains(reservedClaims, name) }

var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "auth_time", "acr", "amr",
	"azp", "nonce", "sid", "at_hash", "c_hash", "s_hash", "typ", "cnf", "act", "may_act", "events", "active", "token_type",
}

// Response modes (OAuth 2.0 Multiple Response Type Encoding Practices §2.1, OAuth 2.0 Form Post Response Mode).
// ModeWebMessage is what Auth0's single-page applications renew tokens by, in a hidden
// frame; it is not advertised.
const (
	ModeQuery    = "query"
	ModeFragment = "fragment"
	ModeFormPost = "form_post"

	ModeWebMessage = "web_message"
)

// Response types. ResponseIDToken is for clients that move here from Auth0
// with its implicit switch; it is not advertised.
const (
	ResponseCode    = "code"
	ResponseIDToken = "id_token"
)

// Grant types.
const (
	GrantImplicit          = "implicit"
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	// GrantPasswordlessOTP is Auth0's: a texted code for tokens.
	GrantPasswordlessOTP = "http://auth0.com/oauth/grant-type/passwordless/otp"
)

// Subject types (OIDC Core §8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// Client authentication methods (OIDC Core §9).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Application types, as Auth0 names them.
const (
	AppSPA            = "spa"
	AppNative         = "native"
	AppRegularWeb     = "regular_web"
	AppNonInteractive = "non_interactive"
	// AppVerification is ours: a caller of the Durable Functions dialect, whose secret
	// is part of its key.
	AppVerification = "verification"
)

// MatchRedirectURI reports whether requested is one of the registered URIs: by
// exact string (RFC 9700 §2.1); only the port of a native client's loopback
// address may differ (RFC 8252 §7.3).
func MatchRedirectURI(registered []string, requested, appType string) bool {
	if slices.Contains(registered, requested) {
		return true
	}
	if appType != AppNative {
		return false
	}
	path, ok := loopbackTail(requested)
	if !ok {
		return false
	}
	return slices.ContainsFunc(registered, func(r string) bool {
		p, ok := loopbackTail(r)
		return ok && p == path
	})
}

// loopbackTail returns a loopback redirect URI without its port, as
// "127.0.0.1/path?query". Only the two literal addresses over http count, and
// nothing but host, port, path and query may be there: a user part or a
// fragment is no loopback redirect URI.
func loopbackTail(uri string) (string, bool) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(uri, "http://"+host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			// No client listens on port 0, and browsers read 00080 as 80.
			if n, err := strconv.ParseUint(port[:digits], 10, 16); err != nil || n == 0 || port[0] == '0' {
				return "", false
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' || strings.ContainsAny(rest, "#@\\ ") {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// ValidChallenge reports whether an S256 code_challenge has the shape that
// SHA-256 gives it: 43 characters of base64url (RFC 7636 §4.2).
func ValidChallenge(challenge string) bool {
	// The decoder skips line breaks, so the length is looked at as well.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(raw) == sha256.Size && len(challenge) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// VerifyPKCE reports whether verifier is well-formed (RFC 7636 §4.1) and
// belongs to the S256 challenge.
func VerifyPKCE(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, notUnreserved) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

func notUnreserved(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~", r)
}
