package api

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"

	"github.com/handset-oidc/handset/examples/purchasing/vendors"
	"github.com/handset-oidc/handset/examples/purchasing/vendorspb"
)

type server struct {
	vendorspb.UnimplementedVendorsServer
	book *vendors.Book
	log  *slog.Logger
}

// NewGRPC is the gRPC API, with health checks and reflection that need no token.
func NewGRPC(api *resource.API, book *vendors.Book, log *slog.Logger) (*grpc.Server, error) {
	auth, err := grpcauth.New(grpcauth.Config{
		API: api,
		Scopes: map[string][]resource.Scope{
			vendorspb.Vendors_List_FullMethodName:   {Read},
			vendorspb.Vendors_Create_FullMethodName: {Write},
		},
		Exempt: grpcauth.HealthAndReflection(),
	})
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(auth.Unary), grpc.StreamInterceptor(auth.Stream))
	vendorspb.RegisterVendorsServer(s, &server{book: book, log: log})
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s, nil
}

// List sends all vendors.
func (s *server) List(_ *vendorspb.ListRequest, stream grpc.ServerStreamingServer[vendorspb.Vendor]) error {
	if _, err := employee(stream.Context()); err != nil {
		return status.Error(codes.PermissionDenied, "for employees only")
	}
	for _, v := range s.book.All() {
		if err := stream.Send(message(v)); err != nil {
			return err
		}
	}
	return nil
}

// Create adds a vendor.
func (s *server) Create(ctx context.Context, in *vendorspb.CreateRequest) (*vendorspb.Vendor, error) {
	by, err := employee(ctx)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, "for employees only")
	}
	v, err := s.book.Add(in.GetName(), by)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.log.InfoContext(ctx, "vendor added", slog.Int64("vendor", v.ID), slog.String("employee", string(by)), slog.String("by", "gRPC"))
	return message(v), nil
}

func message(v vendors.Vendor) *vendorspb.Vendor {
	return &vendorspb.Vendor{Id: v.ID, Name: v.Name, AddedBy: string(v.AddedBy)}
}
