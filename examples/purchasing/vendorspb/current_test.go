package vendorspb

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
)

// TestGeneratedCodeIsCurrent: what is committed was generated from vendors.proto as it
// is. The compiler here is Go's own, so that nobody needs protoc who changes nothing.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "vendors.proto")
	if err != nil {
		t.Fatal(err)
	}
	want, got := protodesc.ToFileDescriptorProto(files[0]), protodesc.ToFileDescriptorProto(File_vendors_proto)
	if !proto.Equal(got, want) {
		t.Errorf("vendors.proto has changed; run go generate ./vendorspb\ngenerated from %v\nwant %v", got, want)
	}
}
