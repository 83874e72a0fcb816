package grpcauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
)

// PerRPC attaches a client's token to each call:
//
//	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(grpcauth.PerRPC(client)))
//
// The token goes to the client's APIs alone, whose names are those that the
// connection is made to (its authority). A connection without encryption counts as
// plain http: it gets the token on this machine only. The error of a call that could
// not get a token has a status, and is found by [errors.As] as that of
// [resource.Client.Token].
func PerRPC(client *resource.Client) credentials.PerRPCCredentials { return perRPC{client} }

type perRPC struct{ client *resource.Client }

// RequireTransportSecurity leaves the decision to GetRequestMetadata, which knows the
// host.
func (perRPC) RequireTransportSecurity() bool { return false }

// GetRequestMetadata returns the authorization header of a call.
func (p perRPC) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	to, err := destination(ctx, uri)
	if err != nil {
		return nil, &callError{codes.Unauthenticated, err}
	}
	if !p.client.MaySend(to) {
		return nil, &callError{codes.Unauthenticated, fmt.Errorf("grpcauth: %s://%s is not one of the client's APIs, and gets no token", to.Scheme, to.Host)}
	}
	token, err := p.client.Token(ctx)
	if err != nil {
		return nil, &callError{codeOf(err), err}
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// destination is where a call goes. gRPC writes https whatever the connection is, so
// the scheme is found out from the connection itself.
func destination(ctx context.Context, uri []string) (*url.URL, error) {
	if len(uri) != 1 {
		return nil, errors.New("grpcauth: the call does not say where it goes")
	}
	to, err := url.Parse(uri[0])
	if err != nil {
		return nil, errors.New("grpcauth: the call does not say where it goes")
	}
	info, _ := credentials.RequestInfoFromContext(ctx)
	if credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		to.Scheme = "http"
	}
	return to, nil
}

func codeOf(err error) codes.Code {
	_, denied := errors.AsType[*resource.AccessDenied](err)
	_, answered := errors.AsType[*resource.OAuthError](err)
	switch {
	case denied:
		return codes.PermissionDenied
	case answered:
		return codes.Unauthenticated
	}
	return codes.Unavailable
}

// callError is a gRPC status that does not hide its cause.
type callError struct {
	code  codes.Code
	cause error
}

// Error is the cause's.
func (e *callError) Error() string { return e.cause.Error() }

// Unwrap is the cause.
func (e *callError) Unwrap() error { return e.cause }

// GRPCStatus is what package status reads.
func (e *callError) GRPCStatus() *status.Status { return status.New(e.code, e.cause.Error()) }
