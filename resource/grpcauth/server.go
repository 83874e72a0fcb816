// Package grpcauth protects gRPC APIs with the tokens of a Handset issuer, and lets
// gRPC clients attach them. It is package resource for gRPC: what a token must be,
// and how a client renews one, is decided there.
//
//	auth, err := grpcauth.New(grpcauth.Config{API: api, Exempt: grpcauth.HealthAndReflection()})
//	if err != nil {
//		return err
//	}
//	server := grpc.NewServer(grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))
//
// A call without a good token ends with UNAUTHENTICATED, one that lacks a scope with
// PERMISSION_DENIED, and one whose token can't be verified because the issuer is
// down with UNAVAILABLE. Handlers find the caller by [resource.FromContext].
package grpcauth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
)

// Config says which calls need what. Methods are named as gRPC does,
// /package.Service/Method; /package.Service/ means all methods of a service.
type Config struct {
	// API verifies the tokens.
	API *resource.API
	// Scopes are what a method needs beyond a good token. A method that is not
	// mentioned needs a token only.
	Scopes map[string][]resource.Scope
	// Exempt are methods that anyone may call, without a token. Default: none. See
	// [HealthAndReflection].
	//
	// What Scopes and Exempt say of a method counts before what they say of its service.
	Exempt []string
}

// HealthAndReflection are the services of gRPC itself that balancers and tools call
// without a token: health checks, and reflection, which tells whoever asks what the
// API looks like.
func HealthAndReflection() []string {
	return []string{
		"/grpc.health.v1.Health/",
		"/grpc.reflection.v1.ServerReflection/",
		"/grpc.reflection.v1alpha.ServerReflection/",
	}
}

// Interceptor lets calls in that carry a token. It is safe for concurrent use.
type Interceptor struct {
	api    *resource.API
	scopes map[string][]resource.Scope
	exempt map[string]bool
}

var methodOrService = regexp.MustCompile(`^/[A-Za-z0-9_.]+/[A-Za-z0-9_]*$`)

// New checks the configuration.
func New(c Config) (*Interceptor, error) {
	if c.API == nil {
		return nil, errors.New("grpcauth: no API")
	}
	i := &Interceptor{api: c.API, scopes: map[string][]resource.Scope{}, exempt: map[string]bool{}}
	for name, scopes := range c.Scopes {
		if !methodOrService.MatchString(name) {
			return nil, fmt.Errorf("grpcauth: %q in Scopes is neither /package.Service/Method nor /package.Service/", name)
		}
		i.scopes[name] = slices.Clone(scopes)
	}
	for _, name := range c.Exempt {
		if !methodOrService.MatchString(name) {
			return nil, fmt.Errorf("grpcauth: %q in Exempt is neither /package.Service/Method nor /package.Service/", name)
		}
		if _, both := i.scopes[name]; both {
			return nil, fmt.Errorf("grpcauth: %q is in Scopes and in Exempt", name)
		}
		i.exempt[name] = true
	}
	return i, nil
}

// Unary is a [grpc.UnaryServerInterceptor].
func (i *Interceptor) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := i.authorize(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// Stream is a [grpc.StreamServerInterceptor]. A stream that outlives its token ends
// with UNAUTHENTICATED at its next message, in either direction.
func (i *Interceptor) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := i.authorize(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &authorizedStream{stream, ctx, i.api})
}

// authorize lets exempt methods pass and asks the API about the others.
func (i *Interceptor) authorize(ctx context.Context, method string) (context.Context, error) {
	scopes, needed := i.needs(method)
	if !needed {
		return ctx, nil
	}
	authorized, err := i.api.Authorize(ctx, resource.Attempt{
		Authorization: metadata.ValueFromIncomingContext(ctx, "authorization"), Scopes: scopes, Target: method,
	})
	if err != nil {
		return nil, statusOf(err)
	}
	return authorized, nil
}

// needs returns the scopes of a method and whether it needs a token at all. What is
// said of the method itself counts before what is said of its service.
func (i *Interceptor) needs(method string) (scopes []resource.Scope, token bool) {
	for _, name := range []string{method, service(method)} {
		if i.exempt[name] {
			return nil, false
		}
		if scopes, said := i.scopes[name]; said {
			return scopes, true
		}
	}
	return nil, true
}

// service is the part of a method's name that ends with its last slash.
func service(method string) string { return method[:strings.LastIndexByte(method, '/')+1] }

func statusOf(err error) error {
	refusal, ok := errors.AsType[*resource.Refusal](err)
	switch {
	case !ok:
		return status.Error(codes.Unavailable, "the token can't be verified now; try again in a few seconds")
	case refusal.Reason == resource.ReasonMissingScope:
		return status.Errorf(codes.PermissionDenied, "%s: %s", refusal.Reason, refusal.Scopes)
	}
	return status.Error(codes.Unauthenticated, string(refusal.Reason))
}

// authorizedStream has the caller in its context, for as long as the token lasts.
type authorizedStream struct {
	grpc.ServerStream
	ctx context.Context
	api *resource.API
}

// Context is the stream's, with the caller.
func (s *authorizedStream) Context() context.Context { return s.ctx }

// RecvMsg receives a message, unless the token has expired meanwhile.
func (s *authorizedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.expired()
}

// SendMsg sends a message, unless the token has expired.
func (s *authorizedStream) SendMsg(m any) error {
	if err := s.expired(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

func (s *authorizedStream) expired() error {
	if err := s.api.StillGood(s.ctx); err != nil {
		return statusOf(err)
	}
	return nil
}
