package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/grpcauth"

	"github.com/handset-oidc/handset/examples/purchasing/vendors"
	"github.com/handset-oidc/handset/examples/purchasing/vendorspb"
)

// callTime is how long a call may take.
const callTime = 30 * time.Second

func (p *program) list(ctx context.Context, c *resource.Client, overGRPC bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var all []vendors.Vendor
	var err error
	if overGRPC {
		all, err = p.listGRPC(ctx, c)
	} else {
		err = p.callREST(ctx, c, http.MethodGet, nil, &all)
	}
	if err != nil {
		return err
	}
	return p.print(all...)
}

func (p *program) add(ctx context.Context, c *resource.Client, overGRPC bool, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var v vendors.Vendor
	var err error
	if overGRPC {
		v, err = p.addGRPC(ctx, c, name)
	} else {
		err = p.callREST(ctx, c, http.MethodPost, map[string]string{"name": name}, &v)
	}
	if err != nil {
		return err
	}
	return p.print(v)
}

func (p *program) print(all ...vendors.Vendor) error {
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, v := range all {
		fmt.Fprintf(t, "%d\t%s\tadded by employee %s\n", v.ID, v.Name, v.AddedBy)
	}
	return t.Flush()
}

// callREST calls /vendors with the person's token.
func (p *program) callREST(ctx context.Context, c *resource.Client, method string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.rest, "/")+"/vendors", bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	caller := &http.Client{Transport: &resource.RoundTripper{Client: c}}
	res, err := caller.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return refused(res)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// refused says what the API says: for a bad token that stands in a header.
func refused(res *http.Response) error {
	var said struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said) // it may say nothing
	if said.Error == "" {
		said.Error = res.Header.Get("WWW-Authenticate")
	}
	return fmt.Errorf("the API answers %s: %s", res.Status, said.Error)
}

// grpcOrigin is where the gRPC API is, as an address: without TLS on this machine.
func (p *program) grpcOrigin() string {
	if p.grpcIsLocal() {
		return "http://" + p.grpc
	}
	return "https://" + p.grpc
}

func (p *program) grpcIsLocal() bool {
	host, _, err := net.SplitHostPort(p.grpc)
	if err != nil {
		host = p.grpc
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (p *program) connect(c *resource.Client) (*grpc.ClientConn, error) {
	transport := credentials.NewTLS(nil)
	if p.grpcIsLocal() {
		transport = insecure.NewCredentials()
	}
	return grpc.NewClient("dns:///"+p.grpc, grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(grpcauth.PerRPC(c)))
}

func (p *program) listGRPC(ctx context.Context, c *resource.Client) ([]vendors.Vendor, error) {
	conn, err := p.connect(c)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stream, err := vendorspb.NewVendorsClient(conn).List(ctx, &vendorspb.ListRequest{})
	if err != nil {
		return nil, inPlainWords(err)
	}
	var all []vendors.Vendor
	for {
		v, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, inPlainWords(err)
		}
		all = append(all, vendor(v))
	}
}

func (p *program) addGRPC(ctx context.Context, c *resource.Client, name string) (vendors.Vendor, error) {
	conn, err := p.connect(c)
	if err != nil {
		return vendors.Vendor{}, err
	}
	defer conn.Close()
	v, err := vendorspb.NewVendorsClient(conn).Create(ctx, &vendorspb.CreateRequest{Name: name})
	if err != nil {
		return vendors.Vendor{}, inPlainWords(err)
	}
	return vendor(v), nil
}

func vendor(v *vendorspb.Vendor) vendors.Vendor {
	return vendors.Vendor{ID: v.GetId(), Name: v.GetName(), AddedBy: vendors.Employee(v.GetAddedBy())}
}

// inPlainWords keeps an error's cause, if it is of the client's own making, and says
// in a line what else the API answered.
func inPlainWords(err error) error {
	if s, ok := status.FromError(err); ok && !errors.Is(err, resource.ErrLoginRequired) {
		return fmt.Errorf("the API answers %s: %s", s.Code(), s.Message())
	}
	return err
}
