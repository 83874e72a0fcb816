package sms

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// Kind says how a message failed to be handed over.
type Kind string

// The kinds of failure.
const (
	// KindStatus: the gateway answered with a status other than 200.
	KindStatus Kind = "status"
	// KindUnauthorized: the gateway answered 401 to our token.
	KindUnauthorized Kind = "unauthorized"
	// KindTimeout: no answer in time. The message may have been sent.
	KindTimeout Kind = "timeout"
	// KindUnreachable: there was no conversation: refused, no such host, TLS.
	KindUnreachable Kind = "unreachable"
	// KindForbidden: the address is one that we may not talk to.
	KindForbidden Kind = "forbidden"
	// KindRefused: the route does not take this message, for reasons of its own: no
	// permission for the country, a sender that the country does not allow. It says
	// nothing about the next message.
	KindRefused Kind = "refused"
	// KindAccount: the route takes no message of ours for now, whoever it is for: a
	// wrong token, no credit, too many messages.
	KindAccount Kind = "account"
	// KindNumber: the number can't be texted, by this route or any other: it is
	// unknown, is none that gets texts, or its owner wants none.
	KindNumber Kind = "number"
	// KindInternal: the message never left, through a fault of our own.
	KindInternal Kind = "internal"
)

// Error is a message that was not handed over. Its text names neither the
// person nor the gateway and quotes nothing that the gateway said.
type Error struct {
	Kind Kind
	// Status is the gateway's HTTP status, 0 when there was none.
	Status int
	// Code names the fault: a vendor's own code ("21610"), or what Node.js calls it
	// ("ECONNREFUSED"), which is what operators who come from Auth0 know; empty when
	// Status says it. It is short, and has letters, digits, "_", "-" and "." only.
	Code string
}

// Final reports whether no other route can do better.
func (e *Error) Final() bool { return e.Kind == KindNumber }

func (e *Error) Error() string {
	switch e.Kind {
	case KindStatus, KindUnauthorized:
		return fmt.Sprintf("sms gateway answered with status %d", e.Status)
	case KindTimeout:
		return "sms gateway did not answer in time"
	case KindForbidden:
		return "sms gateway is at an address that is not allowed"
	case KindUnreachable:
		return "sms gateway is out of reach (" + e.Code + ")"
	case KindRefused:
		return "sms gateway refused the message (" + e.Code + ")"
	case KindAccount:
		return "sms gateway takes no messages (" + e.Code + ")"
	case KindNumber:
		return "number can't be texted (" + cmp.Or(e.Code, "status "+strconv.Itoa(e.Status)) + ")"
	}
	return "sms could not be made"
}

// AsError returns the [*Error] in err. An error of any other type becomes one of
// KindInternal: its text might hold what must not be printed.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindInternal, Code: "EINTERNAL"}
}

// transportError names what went wrong below HTTP. The cause is left behind on
// purpose: the text of a *url.Error is the gateway's address with its query.
func transportError(err error) *Error {
	if errors.Is(err, ErrForbidden) {
		return &Error{Kind: KindForbidden, Code: "EACCES"}
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: KindTimeout, Code: "ETIMEDOUT"}
	}
	return &Error{Kind: KindUnreachable, Code: transportCode(err)}
}

func transportCode(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "ENOTFOUND"
	}
	if isTLS(err) {
		return "EPROTO"
	}
	for _, c := range []struct {
		is   error
		code string
	}{
		{syscall.ECONNREFUSED, "ECONNREFUSED"},
		{syscall.EHOSTUNREACH, "EHOSTUNREACH"},
		{syscall.ENETUNREACH, "ENETUNREACH"},
		{context.Canceled, "ECANCELED"},
		{syscall.ECONNRESET, "ECONNRESET"},
		{syscall.EPIPE, "ECONNRESET"},
		{io.EOF, "ECONNRESET"},
		{io.ErrUnexpectedEOF, "ECONNRESET"},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	return "EPROTO"
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}
