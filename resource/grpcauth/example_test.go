package grpcauth_test

import (
	"context"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"
)

// A server whose methods need scopes, but for health checks and reflection.
func Example() {
	api, err := resource.New(context.Background(), resource.Config{})
	if err != nil {
		log.Fatal(err)
	}

	auth, err := grpcauth.New(grpcauth.Config{
		API: api,
		Scopes: map[string][]resource.Scope{
			"/purchasing.v1.Vendors/":       {"read:vendors"},
			"/purchasing.v1.Vendors/Create": {"write:vendors"},
		},
		Exempt: grpcauth.HealthAndReflection(),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))

	server.Stop()
}

// A client attaches its token to each call.
func ExamplePerRPC() {
	client, err := resource.NewClient(context.Background(), resource.ClientConfig{
		ClientID: "nightly-batch", ClientSecret: "from the registration", APIs: []string{"https://grpc.purchasing.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	transport := credentials.NewTLS(nil)

	conn, err := grpc.NewClient("dns:///grpc.purchasing.example.com",
		grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(grpcauth.PerRPC(client)))

	if err == nil {
		conn.Close()
	}
}
