package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/handset-oidc/handset/resource"
)

func vendors(http.ResponseWriter, *http.Request) {}

// Five lines protect a route.
func Example() {
	ctx, mux := context.Background(), http.NewServeMux()

	api, err := resource.New(ctx, resource.Config{Issuer: "https://login.example.com/", Audience: "https://purchasing.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("GET /vendors", api.RequireScope("read:vendors")(http.HandlerFunc(vendors)))

	log.Fatal(http.ListenAndServe(":8080", mux))
}

// A handler asks who calls.
func ExampleFromContext() {
	http.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		caller, _ := resource.FromContext(r.Context())
		var employee string
		if err := caller.Claim("employee_id", &employee); err != nil {
			http.Error(w, "for employees only", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "person %s, employee %s, by way of %s", caller.Subject, employee, caller.ClientID)
	})
}

// One middleware around all routes, and scopes where they are needed.
func ExampleAPI_Require() {
	api, err := resource.New(context.Background(), resource.Config{})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /vendors", vendors)
	mux.Handle("POST /vendors", api.RequireScope("write:vendors")(http.HandlerFunc(vendors)))
	protected := api.Require(mux)

	log.Fatal(http.ListenAndServe(":8080", protected))
}

// Revoking a token, or blocking a person, counts within five seconds.
func ExampleIntrospection() {
	ctx := context.Background()

	api, err := resource.New(ctx, resource.Config{
		Introspect: &resource.Introspection{
			ClientID:     "purchasing-api",
			ClientSecret: resource.Secret(os.Getenv("PURCHASING_API_SECRET")),
			CacheFor:     5 * time.Second,
		},
	})

	fmt.Println(api.Audience(), err)
}

// A service calls an API for itself.
func ExampleRoundTripper() {
	ctx := context.Background()

	client, err := resource.NewClient(ctx, resource.ClientConfig{
		Issuer: "https://login.example.com/", Audience: "https://purchasing.example.com",
		APIs:     []string{"https://purchasing.example.com"},
		ClientID: "nightly-batch", ClientSecret: resource.Secret(os.Getenv("BATCH_SECRET")),
	})
	if err != nil {
		log.Fatal(err)
	}
	program := &http.Client{Transport: &resource.RoundTripper{Client: client}}
	res, err := program.Get("https://purchasing.example.com/vendors")

	if err == nil {
		res.Body.Close()
	}
}

// file is where a command line keeps its login.
const file = "login.json"

// A command line of a person goes on with the refresh token of their login.
func ExampleNewClient() {
	ctx, kept := context.Background(), resource.Secret("from the login")

	client, err := resource.NewClient(ctx, resource.ClientConfig{
		ClientID:     "purchasing-cli",
		RefreshToken: kept,
		KeepRefreshToken: func(_ context.Context, token resource.Secret) error {
			text, err := json.Marshal(string(token)) // a Secret would not write itself
			if err != nil {
				return err
			}
			return os.WriteFile(file, text, 0o600)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	caller, err := client.Caller(ctx)
	var denied *resource.AccessDenied
	switch {
	case errors.Is(err, resource.ErrLoginRequired):
		fmt.Println("log in again")
	case errors.As(err, &denied):
		fmt.Println("you are not registered:", denied.Description)
	case err == nil:
		fmt.Println("you are", caller.Subject)
	}
}

// Other kinds of servers decide by the header alone.
func ExampleAPI_Authorize() {
	api, err := resource.New(context.Background(), resource.Config{})
	if err != nil {
		log.Fatal(err)
	}
	authorize := func(ctx context.Context, header http.Header) error {

		ctx, err := api.Authorize(ctx, resource.Attempt{
			Authorization: header.Values("Authorization"), Scopes: []resource.Scope{"read:vendors"}, Target: "vendors.list",
		})

		if err != nil {
			return err
		}
		caller, _ := resource.FromContext(ctx)
		fmt.Println(caller)
		return nil
	}
	_ = authorize
}
