// Package resource is for APIs that accept the access tokens of a Handset issuer,
// and for programs that call them. It protects an API in five lines:
//
//	api, err := resource.New(ctx, resource.Config{Issuer: "https://login.example.com/", Audience: "https://purchasing.example.com"})
//	if err != nil {
//		return err
//	}
//	mux.Handle("GET /vendors", api.RequireScope("read:vendors")(http.HandlerFunc(vendors)))
//
// and a handler knows who calls:
//
//	caller, _ := resource.FromContext(r.Context())
//	var employee string
//	err := caller.Claim("employee_id", &employee)
//
// Package grpcauth does the same for gRPC, package resourcetest makes tokens for an
// API's own tests, and [Client] with [RoundTripper] is the caller's half.
//
// # What is checked
//
// On every call: the token's size and form, its type (`at+jwt`: an ID token is no
// access token), issuer, audience and time, its signature (ES256 or RS256, by a key
// that the issuer publishes), and the scopes of the route (RFC 9068 §4, RFC 8725).
// The cheap checks come first: nothing is fetched and no signature is computed for a
// token that could not be accepted anyway. Keys are fetched in the background and
// stay in use while the issuer is down.
//
// A token is good until it expires, unless [Config.Introspect] asks the issuer about
// each one.
//
// # What it refuses to do
//
// It takes tokens from the Authorization header alone, never from a URL or a form.
// It follows no redirect of the issuer, believes no key that a token brings along,
// and prints no token, not in errors and not in logs. It depends on nothing but Go's
// own library.
package resource
