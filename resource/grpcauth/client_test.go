package grpcauth_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// client is one that may send its tokens to these APIs.
func (s *served) client(apis ...string) *resource.Client {
	s.t.Helper()
	s.AddClient("batch", "a-secret")
	c := s.Config()
	client, err := resource.NewClient(s.t.Context(), resource.ClientConfig{
		Issuer: c.Issuer, Audience: c.Audience, ClientID: "batch", ClientSecret: "a-secret",
		Scopes: resource.Scopes{"read:vendors"}, APIs: apis, Now: c.Now, Logger: c.Logger,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

func perRPC(c *resource.Client) grpc.DialOption {
	return grpc.WithPerRPCCredentials(grpcauth.PerRPC(c))
}

// TestAClientCallsAnAPI: both halves, over gRPC, on this machine and with TLS.
func TestAClientCallsAnAPI(t *testing.T) {
	t.Parallel()
	plain := serve(t, rules())
	transport, roots := certificate(t)
	encrypted := serve(t, rules(), grpc.Creds(transport))
	encrypted.roots = roots
	for name, c := range map[string]struct {
		s    *served
		apis []string
	}{
		"plain on this machine":      {plain, nil},
		"plain, named":               {plain, []string{"http://" + plain.target}},
		"encrypted":                  {encrypted, []string{"https://" + encrypted.target}},
		"encrypted, on this machine": {encrypted, nil},
		"one of several":             {encrypted, []string{"https://rest.example.com", "https://" + encrypted.target}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := c.s.connect(perRPC(c.s.client(c.apis...)))
			if got, err := call(t.Context(), conn, list); err != nil || got != "batch@clients by way of batch" {
				t.Errorf("%q, %v", got, err)
			}
			stream, err := conn.NewStream(t.Context(), duplex, watch)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(&pb.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
			got := &pb.HealthCheckRequest{}
			if err := stream.RecvMsg(got); err != nil || got.GetService() != "batch@clients by way of batch" {
				t.Errorf("stream: %q, %v", got.GetService(), err)
			}
		})
	}
}

// TestATokenStaysHome: it is not even asked for when the connection leads elsewhere,
// or is not encrypted.
func TestATokenStaysHome(t *testing.T) {
	t.Parallel()
	s := serve(t, rules())
	for name, conn := range map[string]*grpc.ClientConn{
		"another API":         s.connect(perRPC(s.client("https://purchasing.example.com"))),
		"another port":        s.connect(perRPC(s.client("http://127.0.0.1:1"))),
		"https is configured": s.connect(perRPC(s.client("https://" + s.target))),
		"another machine":     s.connect(perRPC(s.client()), grpc.WithAuthority("purchasing.example.com")),
		"plain to an https API": s.connect(perRPC(s.client("https://purchasing.example.com")),
			grpc.WithAuthority("purchasing.example.com")),
	} {
		_, err := call(t.Context(), conn, list)
		if grpcstatus.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "gets no token") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.Requests(resourcetest.PathToken); got != 0 {
		t.Errorf("%d tokens were asked for", got)
	}
}

// TestTypedErrorsPassThroughGRPC: a program finds out that a person is not
// registered, whichever way it calls.
func TestTypedErrorsPassThroughGRPC(t *testing.T) {
	t.Parallel()
	s := serve(t, rules())
	s.Deny(resourcetest.ClientSubject("batch"))
	_, err := call(t.Context(), s.connect(perRPC(s.client())), list)
	if _, denied := errors.AsType[*resource.AccessDenied](err); !denied || grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("denied: %v", err)
	}
	wrong := s.client()
	s.AddClient("batch", "another-secret")
	_, err = call(t.Context(), s.connect(perRPC(wrong)), list)
	if answer, ok := errors.AsType[*resource.OAuthError](err); !ok || answer.Code != "invalid_client" || grpcstatus.Code(err) != codes.Unauthenticated {
		t.Errorf("a wrong secret: %v", err)
	}
	s.Stop()
	if _, err = call(t.Context(), s.connect(perRPC(s.client())), list); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("an issuer that is down: %v", err)
	}
}
