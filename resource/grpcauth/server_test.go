package grpcauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// rules are those of the tests' API.
func rules() grpcauth.Config {
	return grpcauth.Config{
		Scopes: map[string][]resource.Scope{
			"/purchasing.v1.Vendors/": {"read:vendors"},
			add:                       {"read:vendors", "write:vendors"},
		},
		Exempt: grpcauth.HealthAndReflection(),
	}
}

// with sends a call's authorization metadata, in these values.
func with(ctx context.Context, values ...string) context.Context {
	for _, v := range values {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
	}
	return ctx
}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	s := serve(t, rules())
	conn := s.connect()
	token := func(scopes ...resource.Scope) string {
		return "Bearer " + s.Token(resourcetest.Token{Subject: "sms|1", Scopes: scopes})
	}
	const me = "sms|1 by way of test-client"
	for _, c := range []struct {
		name, method  string
		authorization []string
		code          codes.Code
		says          string
	}{
		{"a scope of the service", list, []string{token("read:vendors")}, codes.OK, me},
		{"all scopes of the method", add, []string{token("write:vendors", "read:vendors")}, codes.OK, me},
		{"the scheme in other case", list, []string{"bearer " + strings.TrimPrefix(token("read:vendors"), "Bearer ")}, codes.OK, me},
		{"a method that is not mentioned", status, []string{token()}, codes.OK, me},
		{"a method that is not mentioned, without a token", status, nil, codes.Unauthenticated, string(resource.ReasonNoToken)},
		{"no scope", list, []string{token()}, codes.PermissionDenied, "read:vendors"},
		{"one scope of two", add, []string{token("read:vendors")}, codes.PermissionDenied, "read:vendors write:vendors"},
		{"no token", list, nil, codes.Unauthenticated, string(resource.ReasonNoToken)},
		{"another scheme", list, []string{"Basic dTpw"}, codes.Unauthenticated, string(resource.ReasonNoToken)},
		{"two tokens", list, []string{token("read:vendors"), token("read:vendors")}, codes.Unauthenticated, string(resource.ReasonRepeated)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := call(with(t.Context(), c.authorization...), conn, c.method)
			if err != nil {
				got = grpcstatus.Convert(err).Message()
			}
			if grpcstatus.Code(err) != c.code || !strings.Contains(got, c.says) {
				t.Errorf("%v: %s; want %v: %s", grpcstatus.Code(err), got, c.code, c.says)
			}
		})
	}
}

// TestFaultyTokensOverGRPC sends every faulty token to a method and to a stream.
func TestFaultyTokensOverGRPC(t *testing.T) {
	t.Parallel()
	s := serve(t, rules())
	conn := s.connect()
	for _, fault := range s.Faults(resourcetest.Token{Scopes: []resource.Scope{"read:vendors"}}) {
		before := s.logs.String()
		_, err := call(with(t.Context(), "Bearer "+fault.Token), conn, list)
		if grpcstatus.Code(err) != codes.Unauthenticated || grpcstatus.Convert(err).Message() != string(fault.Reason) {
			t.Errorf("%s: %v", fault.Name, err)
		}
		stream, err := conn.NewStream(with(t.Context(), "Bearer "+fault.Token), duplex, watch)
		if err == nil {
			err = stream.RecvMsg(&pb.HealthCheckRequest{})
		}
		if grpcstatus.Code(err) != codes.Unauthenticated {
			t.Errorf("%s on a stream: %v", fault.Name, err)
		}
		log := strings.TrimPrefix(s.logs.String(), before)
		if !strings.Contains(log, list) || !strings.Contains(log, watch) || !strings.Contains(log, string(fault.Reason)) {
			t.Errorf("%s: log: %s", fault.Name, log)
		}
		for _, part := range strings.Split(fault.Token, ".") {
			if len(part) > 8 && strings.Contains(log, part) {
				t.Errorf("%s: a part of the token is in: %s", fault.Name, log)
			}
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, rules())
	conn := s.connect()
	good := with(t.Context(), "Bearer "+s.Token(resourcetest.Token{Subject: "sms|1", Scopes: []resource.Scope{"read:vendors"}}))
	open := func(ctx context.Context, method string) grpc.ClientStream {
		stream, err := conn.NewStream(ctx, duplex, method)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	hear := func(stream grpc.ClientStream) (string, error) {
		got := &pb.HealthCheckRequest{}
		err := stream.RecvMsg(got)
		return got.GetService(), err
	}
	watched, pushed := open(good, watch), open(good, push)
	say := func() (string, error) {
		if err := watched.SendMsg(&pb.HealthCheckRequest{}); err != nil {
			return "", err
		}
		return hear(watched)
	}
	pushing := func() (string, error) {
		s.push <- struct{}{}
		return hear(pushed)
	}
	for range 3 {
		for name, exchange := range map[string]func() (string, error){"to and fro": say, "from the server": pushing} {
			if got, err := exchange(); err != nil || got != "sms|1 by way of test-client" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	// No token outlives its time, nor does what was opened with it.
	s.Advance(2 * time.Hour)
	for name, exchange := range map[string]func() (string, error){"to and fro": say, "from the server": pushing} {
		got, err := exchange()
		if grpcstatus.Code(err) != codes.Unauthenticated || grpcstatus.Convert(err).Message() != string(resource.ReasonExpired) {
			t.Errorf("%s, when the token has expired: %q, %v", name, got, err)
		}
	}
	_, err := hear(open(with(t.Context(), "Bearer "+s.Token(resourcetest.Token{})), watch))
	if grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("without the scope: %v", err)
	}
}

// TestHealthAndReflectionAreExemptByConfiguration, and not otherwise.
func TestHealthAndReflectionAreExemptByConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exempt []string
		want   codes.Code
	}{
		"exempt": {grpcauth.HealthAndReflection(), codes.OK},
		"not":    {nil, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := serve(t, grpcauth.Config{Exempt: c.exempt}).connect()
			_, err := pb.NewHealthClient(conn).Check(t.Context(), &pb.HealthCheckRequest{})
			if grpcstatus.Code(err) != c.want {
				t.Errorf("health: %v", err)
			}
			stream, err := conn.NewStream(t.Context(), duplex, reflect)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			// The end of a stream that was let in, without a word, is io.EOF.
			err = stream.RecvMsg(&pb.HealthCheckRequest{})
			if refused := grpcstatus.Code(err) == codes.Unauthenticated; refused != (c.want == codes.Unauthenticated) {
				t.Errorf("reflection: %v", err)
			}
			if _, err := call(t.Context(), conn, list); grpcstatus.Code(err) != codes.Unauthenticated {
				t.Errorf("any other method: %v", err)
			}
		})
	}
}

// TestWhatIsSaidOfAMethodCountsFirst: an exempt service does not open a method that
// has scopes, and the other way round.
func TestWhatIsSaidOfAMethodCountsFirst(t *testing.T) {
	t.Parallel()
	conn := serve(t, grpcauth.Config{
		Scopes: map[string][]resource.Scope{add: {"write:vendors"}, "/purchasing.v1.Status/": {"read:status"}},
		Exempt: []string{"/purchasing.v1.Vendors/", status},
	}).connect()
	for method, want := range map[string]codes.Code{list: codes.OK, add: codes.Unauthenticated, status: codes.OK, check: codes.Unauthenticated} {
		got, err := call(t.Context(), conn, method)
		if grpcstatus.Code(err) != want || want == codes.OK && got != "nobody" {
			t.Errorf("%s: %q, %v", method, got, err)
		}
	}
}

func TestNoCallerSeesAnother(t *testing.T) {
	t.Parallel()
	s := serve(t, grpcauth.Config{})
	conn := s.connect()
	var all sync.WaitGroup
	for n := range 100 {
		subject := resource.Subject(fmt.Sprintf("sms|%d", n))
		ctx := with(t.Context(), "Bearer "+s.Token(resourcetest.Token{Subject: subject}))
		all.Go(func() {
			for range 10 {
				if got, err := call(ctx, conn, list); err != nil || got != string(subject)+" by way of test-client" {
					t.Errorf("%s is told to be %q, %v", subject, got, err)
				}
			}
		})
	}
	all.Wait()
}

// TestAnIssuerThatWasNeverThere: UNAVAILABLE, which clients repeat, and not
// UNAUTHENTICATED, for which they would throw their tokens away.
func TestAnIssuerThatWasNeverThere(t *testing.T) {
	t.Parallel()
	s := newServed(t)
	s.Stop()
	c := s.Config()
	c.StartWithoutIssuer = true
	s.start(c, grpcauth.Config{})
	_, err := call(with(t.Context(), "Bearer "+s.Token(resourcetest.Token{})), s.connect(), list)
	if grpcstatus.Code(err) != codes.Unavailable || strings.Contains(err.Error(), http.MethodGet) {
		t.Errorf("error = %v", err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	api := resourcetest.NewIssuer(t, audience).API()
	read := []resource.Scope{"read:vendors"}
	for name, c := range map[string]grpcauth.Config{
		"no API":                 {},
		"a method without slash": {API: api, Exempt: []string{"purchasing.v1.Vendors/List"}},
		"a service alone":        {API: api, Exempt: []string{"/purchasing.v1.Vendors"}},
		"a pattern":              {API: api, Exempt: []string{"/purchasing.v1.*/"}},
		"everything":             {API: api, Exempt: []string{"/"}},
		"nothing":                {API: api, Exempt: []string{""}},
		"a scope's service":      {API: api, Scopes: map[string][]resource.Scope{"purchasing.v1.Vendors": read}},
		"both":                   {API: api, Scopes: map[string][]resource.Scope{list: read}, Exempt: []string{list}},
	} {
		if _, err := grpcauth.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
