package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"

	"github.com/handset-oidc/handset/examples/purchasing/api"
	"github.com/handset-oidc/handset/examples/purchasing/vendors"
	"github.com/handset-oidc/handset/examples/purchasing/vendorspb"
)

// rig is both APIs on one book, behind an issuer of the test's own.
type rig struct {
	issuer *resourcetest.Issuer
	rest   http.Handler
	grpc   *grpc.ClientConn
}

func newRig(t *testing.T) *rig {
	t.Helper()
	issuer := resourcetest.NewIssuer(t, resource.DefaultAudience)
	log, book := slog.New(slog.NewTextHandler(t.Output(), nil)), &vendors.Book{}
	server, err := api.NewGRPC(issuer.API(), book, log)
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 20)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///company", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rig{issuer, api.NewREST(issuer.API(), book, log), conn}
}

// call is one call to the REST API.
func (r *rig) call(t *testing.T, method, token, body string) (status int, answer string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "/vendors", strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	r.rest.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// list and create call the gRPC API.
func (r *rig) list(t *testing.T, token string) ([]*vendorspb.Vendor, error) {
	t.Helper()
	stream, err := vendorspb.NewVendorsClient(r.grpc).List(with(t, token), &vendorspb.ListRequest{})
	if err != nil {
		return nil, err
	}
	var all []*vendorspb.Vendor
	for {
		v, err := stream.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
}

func (r *rig) create(t *testing.T, token, name string) (*vendorspb.Vendor, error) {
	t.Helper()
	return vendorspb.NewVendorsClient(r.grpc).Create(with(t, token), &vendorspb.CreateRequest{Name: name})
}

func with(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

// clerk is an employee who may do everything.
func clerk() resourcetest.Token {
	return resourcetest.Token{Scopes: resource.Scopes{api.Read, api.Write}, Claims: map[string]any{"employee_id": "291"}}
}

func TestAnEmployeeUsesBothAPIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(clerk())
	if code, body := r.call(t, http.MethodGet, token, ""); code != http.StatusOK || body != "[]\n" {
		t.Errorf("no vendors: %d %s", code, body)
	}
	if code, body := r.call(t, http.MethodPost, token, `{"name": " Aobayama Paper "}`); code != http.StatusCreated ||
		body != `{"id":1,"name":"Aobayama Paper","added_by":"291"}`+"\n" {
		t.Errorf("by REST: %d %s", code, body)
	}
	if v, err := r.create(t, token, "Sendai Steel"); err != nil || v.GetId() != 2 || v.GetAddedBy() != "291" {
		t.Errorf("by gRPC: %v, %v", v, err)
	}
	if all, err := r.list(t, token); err != nil || len(all) != 2 || all[0].GetName() != "Aobayama Paper" {
		t.Errorf("all: %v, %v", all, err)
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	reader, machine := clerk(), clerk()
	reader.Scopes = resource.Scopes{api.Read}
	machine.Claims = nil
	if code, _ := r.call(t, http.MethodPost, r.issuer.Token(reader), `{"name": "Paper"}`); code != http.StatusForbidden {
		t.Errorf("REST without the scope: %d", code)
	}
	if _, err := r.create(t, r.issuer.Token(reader), "Paper"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("gRPC without the scope: %v", err)
	}
	// A token may be good and have no employee behind it: a machine's, for one.
	token := r.issuer.Token(machine)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if code, body := r.call(t, method, token, `{"name": "Paper"}`); code != http.StatusForbidden || !strings.Contains(body, "for employees only") {
			t.Errorf("%s by nobody's number: %d %s", method, code, body)
		}
	}
	if _, err := r.list(t, token); status.Code(err) != codes.PermissionDenied {
		t.Errorf("list by nobody's number: %v", err)
	}
	if _, err := r.create(t, token, "Paper"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("create by nobody's number: %v", err)
	}
	for _, body := range []string{"", "[]", `{"name": 1}`, strings.Repeat(" ", 100<<10) + `{"name": "Paper"}`} {
		if code, _ := r.call(t, http.MethodPost, r.issuer.Token(clerk()), body); code != http.StatusBadRequest {
			t.Errorf("a body of %d bytes that is no vendor: %d", len(body), code)
		}
	}
	for _, name := range []string{"", " ", strings.Repeat("a", 101)} {
		if code, _ := r.call(t, http.MethodPost, r.issuer.Token(clerk()), `{"name": "`+name+`"}`); code != http.StatusUnprocessableEntity {
			t.Errorf("REST with the name %q: %d", name, code)
		}
		if _, err := r.create(t, r.issuer.Token(clerk()), name); status.Code(err) != codes.InvalidArgument {
			t.Errorf("gRPC with the name %q: %v", name, err)
		}
	}
	if all, err := r.list(t, r.issuer.Token(clerk())); err != nil || len(all) > 0 {
		t.Errorf("what was refused is there: %v, %v", all, err)
	}
}

// Every kind of token that must be refused is refused by both.
func TestFaultyTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, fault := range r.issuer.Faults(clerk()) {
		if code, _ := r.call(t, http.MethodGet, fault.Token, ""); code != http.StatusUnauthorized {
			t.Errorf("REST, %s: %d", fault.Name, code)
		}
		if strings.ContainsFunc(fault.Token, func(c rune) bool { return c < ' ' || c > '~' }) || len(fault.Token) > 1<<20 {
			continue // it can't travel in metadata
		}
		if _, err := r.list(t, fault.Token); status.Code(err) != codes.Unauthenticated {
			t.Errorf("gRPC, %s: %v", fault.Name, err)
		}
	}
	if code, _ := r.call(t, http.MethodGet, "", ""); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
}

func TestHealthNeedsNoToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := grpc_health_v1.NewHealthClient(r.grpc).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}
