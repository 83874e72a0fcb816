// Package vendorspb is the gRPC API of the example, generated from vendors.proto.
package vendorspb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative vendors.proto
