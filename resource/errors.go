package resource

import (
	"errors"
	"net/http"
	"strings"
)

// Reason says in plain words why a call was refused. It is one of the constants
// here: it never holds a part of the token, so it can be told to the caller and
// written to logs.
type Reason string

// The reasons, in the order in which a call is looked at.
const (
	ReasonNoToken      Reason = "there is no token"
	ReasonRepeated     Reason = "there is more than one Authorization header"
	ReasonTooLong      Reason = "the token is longer than 8192 bytes"
	ReasonMalformed    Reason = "the token is not a JWT in compact form"
	ReasonHeader       Reason = "the token's header has a parameter that is not accepted"
	ReasonAlgorithm    Reason = "the token's algorithm is neither ES256 nor RS256"
	ReasonType         Reason = "the token is not of type at+jwt"
	ReasonClaims       Reason = "the token's claims are not those of an access token"
	ReasonIssuer       Reason = "the token is from another issuer"
	ReasonAudience     Reason = "the token is for another API"
	ReasonExpired      Reason = "the token has expired"
	ReasonNotYet       Reason = "the token is not valid yet"
	ReasonUnknownKey   Reason = "the token is signed with a key that the issuer does not have"
	ReasonSignature    Reason = "the token's signature is wrong"
	ReasonRevoked      Reason = "the token is no longer in force"
	ReasonMissingScope Reason = "the token lacks a scope"
)

// The error codes of RFC 6750 §3.1.
const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

// Refusal is the error of a call whose token does not do.
type Refusal struct {
	Reason Reason
	// Scopes are those that the call needs, if it needs any.
	Scopes Scopes
}

// Error says why.
func (r *Refusal) Error() string { return "resource: " + string(r.Reason) }

// Code is the error code of RFC 6750 §3.1; empty for a call without a token,
// which is asked for one and told of no error.
func (r *Refusal) Code() string {
	switch r.Reason {
	case ReasonNoToken:
		return ""
	case ReasonRepeated:
		return invalidRequest
	case ReasonMissingScope:
		return insufficientScope
	}
	return invalidToken
}

// Status is the HTTP status that goes with the code.
func (r *Refusal) Status() int {
	switch r.Code() {
	case invalidRequest:
		return http.StatusBadRequest
	case insufficientScope:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// challenge is the value of WWW-Authenticate (RFC 6750 §3). Everything in it is
// ours or was checked when the API was configured, so nothing needs escaping.
func (r *Refusal) challenge(realm Audience) string {
	var b strings.Builder
	b.WriteString(`Bearer realm="` + string(realm) + `"`)
	if code := r.Code(); code != "" {
		b.WriteString(`, error="` + code + `", error_description="` + string(r.Reason) + `"`)
	}
	if len(r.Scopes) > 0 {
		b.WriteString(`, scope="` + r.Scopes.String() + `"`)
	}
	return b.String()
}

// ErrUnavailable says that a token could be neither accepted nor refused, because
// the issuer can't be reached and what is needed of it is not at hand. The caller
// may try again.
var ErrUnavailable = errors.New("resource: the issuer can't be reached")

// ErrNoClaim says that a token lacks a claim.
var ErrNoClaim = errors.New("the token has no such claim")

// ErrLoginRequired says that a refresh token is of no use any more: it has
// expired, was used before, or was revoked. The person has to log in again.
var ErrLoginRequired = errors.New("resource: the person has to log in again")

// AccessDenied is the error of a login or a renewal that the issuer refuses for
// good (`access_denied`): the person is not registered, is blocked, or may not use
// this API. Find it with [errors.As].
type AccessDenied struct {
	// Description is what the issuer says, for the developer's eyes.
	Description string
}

// Error says so.
func (e *AccessDenied) Error() string { return withDescription("access denied", e.Description) }

// OAuthError is any other error that the issuer answered with (RFC 6749 §5.2).
type OAuthError struct {
	Code        string // such as invalid_client
	Description string
}

// Error is the code and what the issuer says about it.
func (e *OAuthError) Error() string { return withDescription(e.Code, e.Description) }

func withDescription(what, description string) string {
	if description == "" {
		return "the issuer says: " + what
	}
	return "the issuer says: " + what + ": " + description
}

// issuerError makes an error of an issuer's error code.
func issuerError(code, description string) error {
	if code == "access_denied" {
		return &AccessDenied{description}
	}
	return &OAuthError{code, description}
}
