package grpcauth_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

const (
	audience = resource.Audience("https://purchasing.example.com")
	list     = "/purchasing.v1.Vendors/List"
	add      = "/purchasing.v1.Vendors/Add"
	watch    = "/purchasing.v1.Vendors/Watch"
	push     = "/purchasing.v1.Vendors/Push"
	status   = "/purchasing.v1.Status/Get"
	check    = "/grpc.health.v1.Health/Check"
	reflect  = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
)

// served is a gRPC API over loopback, of the services above. Its messages are those
// of gRPC's own health service: the answer says who called.
type served struct {
	*resourcetest.Issuer
	t      *testing.T
	target string
	logs   *logs
	// push makes every stream send a message, whatever it has received.
	push chan struct{}
	// roots verify the server's certificate; nil without TLS.
	roots *x509.CertPool
}

type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newServed(t *testing.T) *served {
	t.Helper()
	return &served{Issuer: resourcetest.NewIssuer(t, audience), t: t, logs: &logs{}, push: make(chan struct{})}
}

// serve starts the API. The rules are Scopes and Exempt.
func serve(t *testing.T, rules grpcauth.Config, options ...grpc.ServerOption) *served {
	t.Helper()
	s := newServed(t)
	c := s.Config()
	c.Logger = slog.New(slog.NewJSONHandler(s.logs, nil))
	s.start(c, rules, options...)
	return s
}

func (s *served) start(c resource.Config, rules grpcauth.Config, options ...grpc.ServerOption) {
	s.t.Helper()
	api, err := resource.New(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(api.Close)
	rules.API = api
	auth, err := grpcauth.New(rules)
	if err != nil {
		s.t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))...)
	pb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "purchasing.v1.Vendors", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "List", Handler: whoami(list)}, {MethodName: "Add", Handler: whoami(add)}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", Handler: echo, ServerStreams: true, ClientStreams: true},
			{StreamName: "Push", Handler: s.pushes, ServerStreams: true},
		}}, nil)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "purchasing.v1.Status", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Get", Handler: whoami(status)}}}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.target = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.t.Errorf("serve: %v", err)
		}
	})
}

// caller is who called, or nobody.
func caller(ctx context.Context) *pb.HealthCheckRequest {
	if c, ok := resource.FromContext(ctx); ok {
		return &pb.HealthCheckRequest{Service: c.String()}
	}
	return &pb.HealthCheckRequest{Service: "nobody"}
}

// whoami is a unary method as protoc would generate it.
func whoami(method string) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := &pb.HealthCheckRequest{}
		if err := decode(req); err != nil {
			return nil, err
		}
		handle := func(ctx context.Context, _ any) (any, error) { return caller(ctx), nil }
		return intercept(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, handle)
	}
}

// echo answers each message with who called.
func echo(_ any, stream grpc.ServerStream) error {
	for {
		err := stream.RecvMsg(&pb.HealthCheckRequest{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(caller(stream.Context())); err != nil {
			return err
		}
	}
}

// pushes sends who called, each time it is told to.
func (s *served) pushes(_ any, stream grpc.ServerStream) error {
	for range s.push {
		if err := stream.SendMsg(caller(stream.Context())); err != nil {
			return err
		}
	}
	return nil
}

// connect is a connection to the API, with TLS if it has it.
func (s *served) connect(options ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	transport := insecure.NewCredentials()
	if s.roots != nil {
		transport = credentials.NewClientTLSFromCert(s.roots, "")
	}
	conn, err := grpc.NewClient("passthrough:///"+s.target, append(options, grpc.WithTransportCredentials(transport))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call calls a unary method and returns who the API says has called.
func call(ctx context.Context, conn *grpc.ClientConn, method string) (string, error) {
	out := &pb.HealthCheckRequest{}
	err := conn.Invoke(ctx, method, &pb.HealthCheckRequest{}, out)
	return out.GetService(), err
}

var duplex = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// certificate is one for 127.0.0.1, and the roots that verify it.
func certificate(t *testing.T) (credentials.TransportCredentials, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return credentials.NewServerTLSFromCert(&s.TLS.Certificates[0]), roots
}
