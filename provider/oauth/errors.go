// Package oauth holds the words of the protocol: error codes, scopes, prompts,
// response modes, PKCE and the matching of redirect URIs. It is a leaf: it
// knows no HTTP handler, no store and no client registry.
package oauth

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is an error code of RFC 6749 §4.1.2.1 and §5.2, OIDC Core §3.1.2.6, RFC 6750 §3.1, RFC 7009 §2.2.1 or RFC 8707 §2.
type Code string

// The error codes that Handset answers with.
const (
	InvalidRequest          Code = "invalid_request"
	UnauthorizedClient      Code = "unauthorized_client"
	AccessDenied            Code = "access_denied"
	UnsupportedResponseType Code = "unsupported_response_type"
	InvalidScope            Code = "invalid_scope"
	ServerError             Code = "server_error"
	TemporarilyUnavailable  Code = "temporarily_unavailable"

	LoginRequired            Code = "login_required"
	RequestNotSupported      Code = "request_not_supported"
	RequestURINotSupported   Code = "request_uri_not_supported"
	RegistrationNotSupported Code = "registration_not_supported"

	InvalidClient        Code = "invalid_client"
	InvalidGrant         Code = "invalid_grant"
	UnsupportedGrantType Code = "unsupported_grant_type"

	InvalidTarget Code = "invalid_target" // RFC 8707 §2

	InvalidToken      Code = "invalid_token"
	InsufficientScope Code = "insufficient_scope"
)

// Error is what a client is told: a code, a description that says what to do,
// and the HTTP status where the answer is JSON. Err is the cause, for the log
// alone; it never reaches the client.
type Error struct {
	Code        Code
	Description string
	// Quote is what the description repeats, at its end, of what a stranger sent: only
	// an answer in JSON has it, and no log.
	Quote  string
	Status int // 0: by the code
	// URI is a page about the error (RFC 6749 §5.2); empty: none.
	URI string
	// Challenge is the scheme of the WWW-Authenticate header, "Basic" or
	// "Bearer"; empty: none.
	Challenge string
	// Unasked keeps the error out of the challenge, for a request that brought
	// no credentials (RFC 6750 §3.1).
	Unasked bool
	// Reason is a constant word for the log that keeps apart what the client
	// may not tell apart ("code expired", "code reused").
	Reason string
	Err    error
}

// Errorf returns an Error whose description is the formatted text. Never put
// text of a stranger into it other than names of parameters that we know.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// GrantNotAllowed tells a client that its registration does not list a grant type, in
// Auth0's words.
func GrantNotAllowed(grant string) *Error {
	return &Error{Code: UnauthorizedClient, Status: http.StatusForbidden, URI: "https://auth0.com/docs/clients/client-grant-types",
		Description: "Grant type '" + grant + "' not allowed for the client."}
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Because returns e with a reason for the log.
func (e *Error) Because(reason string) *Error {
	e.Reason = reason
	return e
}

// HTTPStatus returns the status of a JSON answer (RFC 6749 §5.2, RFC 6750 §3.1).
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case InvalidClient, InvalidToken:
		return http.StatusUnauthorized
	case InsufficientScope, AccessDenied:
		return http.StatusForbidden
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// AsError returns the Error in err's chain, or nil.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}
