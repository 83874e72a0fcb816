package provider

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/provider/discovery"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/passwordless"
	"github.com/handset-oidc/handset/provider/receipts"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/views"
)

// route is one row of the table: which method and path below the issuer, what
// answers, and the policies around it. Whether caches may keep an answer is
// decided by the writers of package web: documents may be kept, all else not.
type route struct {
	method, path string
	handler      http.Handler
	// cors lets pages of every origin read the answer, without credentials: what
	// protects these routes is in the request itself, never in a cookie. The
	// authorization endpoint and the pages stay closed (RFC 9700 §2.1).
	cors bool
	// clients lets pages of the client's own origins ask: its handler holds the origin
	// against the client's, which only the body names. With cookies, when it says so.
	clients, cookies bool
	// ownSite refuses forms that other sites post (login CSRF). Applications post
	// to the other routes across sites, and those protect themselves.
	ownSite bool
	// root is at the host's root, followed by the issuer's path (RFC 8414 §3.1).
	root bool
}

// routes is the only route table.
func (p *Provider) routes(h handlers) []route {
	page, oauthJSON := p.pages.Page, web.OAuth
	get, post := http.MethodGet, http.MethodPost
	return append(p.managementRoutes(h.management), []route{
		{method: get, path: discovery.PathAuthorize, handler: page(h.authorize.Authorize)},
		{method: post, path: discovery.PathAuthorize, handler: page(h.authorize.Authorize)},
		{method: post, path: discovery.PathToken, handler: oauthJSON(h.token.Serve), cors: true},
		{method: get, path: discovery.PathUserinfo, handler: oauthJSON(h.userinfo.Serve), cors: true},
		{method: post, path: discovery.PathUserinfo, handler: oauthJSON(h.userinfo.Serve), cors: true},
		{method: post, path: discovery.PathIntrospect, handler: oauthJSON(h.introspect.Serve)},
		{method: post, path: discovery.PathRevoke, handler: oauthJSON(h.revoke.Serve), cors: true},
		{method: get, path: discovery.PathLogout, handler: page(h.logout.Logout)},
		{method: post, path: discovery.PathLogout, handler: page(h.logout.Logout)},
		{method: get, path: discovery.PathAuth0Logout, handler: page(h.logout.Auth0)},
		{method: get, path: "/.well-known/openid-configuration", handler: oauthJSON(h.discovery.Serve), cors: true},
		{method: get, path: "/.well-known/oauth-authorization-server", handler: oauthJSON(h.discovery.Serve), cors: true, root: true},
		{method: get, path: discovery.PathKeys, handler: oauthJSON(p.serveKeys), cors: true},
		{method: get, path: "/login/phone", handler: page(h.login.ShowNumber)},
		{method: post, path: "/login/phone", handler: page(h.login.SubmitNumber), ownSite: true},
		{method: get, path: "/login/code", handler: page(h.login.ShowCode)},
		{method: post, path: "/login/code", handler: page(h.login.SubmitCode), ownSite: true},
		{method: post, path: "/login/resend", handler: page(h.login.Resend), ownSite: true},
		{method: post, path: "/login/continue", handler: page(h.login.Continue), ownSite: true},
		{method: post, path: receipts.Path, handler: oauthJSON(h.receipts.Serve)},
		{method: get, path: verification.PathOpenAPI, handler: web.ProblemJSON(h.verify.OpenAPI), cors: true},
		{method: post, path: verification.PathVerifications, handler: web.ProblemJSON(h.verify.Start)},
		{method: get, path: verification.PathVerification, handler: web.ProblemJSON(h.verify.Show)},
		{method: http.MethodDelete, path: verification.PathVerification, handler: web.ProblemJSON(h.verify.Remove)},
		{method: post, path: verification.PathAnswers, handler: web.ProblemJSON(h.verify.Answer)},
		{method: post, path: verification.PathResend, handler: web.ProblemJSON(h.verify.Resend)},
		{method: post, path: verification.PathResults, handler: web.ProblemJSON(h.verify.Redeem)},
		{method: post, path: verification.PathStart, handler: web.MessageJSON(h.durable.Start)},
		{method: get, path: verification.PathInstance, handler: web.MessageJSON(h.durable.Status)},
		{method: http.MethodDelete, path: verification.PathInstance, handler: web.MessageJSON(h.durable.Purge)},
		{method: post, path: verification.PathRaise, handler: web.MessageJSON(h.durable.Raise)},
		{method: post, path: verification.PathTerminate, handler: web.MessageJSON(h.durable.Terminate)},
		{method: post, path: passwordless.PathStart, handler: oauthJSON(h.doors.Start), clients: true},
		{method: post, path: passwordless.PathVerify, handler: oauthJSON(h.doors.Verify), clients: true},
		{method: get, path: passwordless.PathRedirect, handler: page(h.authorize.VerifyRedirect)},
		{method: get, path: passwordless.PathRedirectLink, handler: page(h.authorize.VerifyRedirect)},
		{method: post, path: passwordless.PathChallenge, handler: oauthJSON(h.doors.Challenge), cors: true},
		{method: post, path: passwordless.PathCrossOrigin, handler: oauthJSON(h.doors.CrossOrigin), clients: true, cookies: true},
		{method: get, path: "/assets/{hash}/{name}", handler: views.Assets()},
	}...)
}

// managementRoutes are the rows of the Management API, each with the scope that it takes.
func (p *Provider) managementRoutes(m *management.Handler) []route {
	get, post, patch, remove := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	managed := func(scope string, h web.Handler) http.Handler { return web.StatusJSON(m.Guard(scope, h)) }
	return []route{
		{method: get, path: management.PathConnections, handler: managed("read:connections", m.ListConnections)},
		{method: post, path: management.PathConnections, handler: managed("create:connections", m.CreateConnection)},
		{method: get, path: management.PathConnection, handler: managed("read:connections", m.ShowConnection)},
		{method: patch, path: management.PathConnection, handler: managed("update:connections", m.UpdateConnection)},
		{method: remove, path: management.PathConnection, handler: managed("delete:connections", m.RemoveConnection)},
		{method: get, path: management.PathConnectionClients, handler: managed("read:connections", m.ListConnectionClients)},
		{method: patch, path: management.PathConnectionClients, handler: managed("update:connections", m.UpdateConnectionClients)},
		{method: get, path: management.PathClients, handler: managed("read:clients", m.ListClients)},
		{method: post, path: management.PathClients, handler: managed("create:clients", m.CreateClient)},
		{method: get, path: management.PathClient, handler: managed("read:clients", m.ShowClient)},
		{method: patch, path: management.PathClient, handler: managed("update:clients", m.UpdateClient)},
		{method: remove, path: management.PathClient, handler: managed("delete:clients", m.RemoveClient)},
		{method: post, path: management.PathRotateSecret, handler: managed("update:client_keys", m.RotateSecret)},
		{method: get, path: management.PathResourceServers, handler: managed("read:resource_servers", m.ListAPIs)},
		{method: post, path: management.PathResourceServers, handler: managed("create:resource_servers", m.CreateAPI)},
		{method: get, path: management.PathResourceServer, handler: managed("read:resource_servers", m.ShowAPI)},
		{method: patch, path: management.PathResourceServer, handler: managed("update:resource_servers", m.UpdateAPI)},
		{method: remove, path: management.PathResourceServer, handler: managed("delete:resource_servers", m.RemoveAPI)},
		{method: get, path: management.PathClientGrants, handler: managed("read:client_grants", m.ListGrants)},
		{method: post, path: management.PathClientGrants, handler: managed("create:client_grants", m.CreateGrant)},
		{method: get, path: management.PathClientGrant, handler: managed("read:client_grants", m.ShowGrant)},
		{method: patch, path: management.PathClientGrant, handler: managed("update:client_grants", m.UpdateGrant)},
		{method: remove, path: management.PathClientGrant, handler: managed("delete:client_grants", m.RemoveGrant)},
		{method: get, path: management.PathUsers, handler: managed("read:users", m.ListUsers)},
		{method: post, path: management.PathUsers, handler: managed("create:users", m.CreateUser)},
		{method: get, path: management.PathUser, handler: managed("read:users", m.ShowUser)},
		{method: patch, path: management.PathUser, handler: managed("update:users", m.UpdateUser)},
		{method: remove, path: management.PathUser, handler: managed("delete:users", m.RemoveUser)},
	}
}

// Routes returns the route table as patterns, such as "GET /authorize", with the
// issuer's path in them: for the documents and tests that are held against it.
func (p *Provider) Routes() []string { return slices.Clone(p.patterns) }

// serveKeys answers GET /.well-known/jwks.json.
func (p *Provider) serveKeys(w http.ResponseWriter, r *http.Request) error {
	body, etag := p.c.Keys.JWKS()
	d := web.Document{Body: body, ContentType: "application/jwk-set+json", ETag: etag, MaxAge: keys.MaxAge}
	return d.Serve(w, r)
}

// mux routes below the issuer's path.
func (p *Provider) mux(routes []route) http.Handler {
	mux, preflight := http.NewServeMux(), map[string]bool{}
	for _, r := range routes {
		address := p.base + r.path
		if r.root {
			address = r.path + p.base
		}
		if decoded, err := url.PathUnescape(address); err == nil {
			address = decoded
		}
		h := r.handler
		if r.ownSite {
			h = web.OwnSite(h, p.pages)
		}
		if r.cors {
			h = web.AnyOrigin(h)
			preflight[address] = true
		}
		if r.clients {
			mux.Handle("OPTIONS "+address, web.PreflightOfClient(r.cookies))
		}
		mux.Handle(r.method+" "+address, h)
		p.patterns = append(p.patterns, r.method+" "+address)
	}
	for address := range preflight {
		mux.Handle("OPTIONS "+address, web.Preflight())
	}
	mux.HandleFunc(unrouted, func(w http.ResponseWriter, r *http.Request) { p.unrouted(w, r, mux) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would lead "//oauth/token" to "/oauth/token" with 307, and with it
		// the form (RFC 9700 §4.12). Nobody is told such an address.
		if !clean(r.URL.EscapedPath()) {
			p.notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// clean reports whether a path is one that the mux takes as it is.
func clean(address string) bool {
	return address == path.Clean(address) || address == path.Clean(address)+"/"
}

// unrouted is the pattern of what no row takes.
const unrouted = "/"

// unrouted answers what no row takes: 405 with the methods that would do, else 404.
func (p *Provider) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != unrouted {
			methods = append(methods, m)
		}
	}
	if len(methods) == 0 {
		p.notFound(w, r)
		return
	}
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	if missing := p.missing(r); missing != nil {
		missing(http.StatusMethodNotAllowed)(w, r)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") { // a person's browser, not an application
		p.pages.Fail(w, r, &web.Problem{Kind: views.ProblemMethod, Status: http.StatusMethodNotAllowed,
			Details: "this address takes " + allow})
		return
	}
	web.OAuth(func(http.ResponseWriter, *http.Request) error {
		return &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed, Description: "this address takes " + allow}
	})(w, r)
}

// missing answers, in the form of its folder, what an API does not have: its clients
// read errors that way. nil: the folder is of no API.
func (p *Provider) missing(r *http.Request) func(status int) http.HandlerFunc {
	address, below := strings.CutPrefix(r.URL.Path, strings.TrimRight(p.url.Path, "/"))
	if !below {
		return nil
	}
	for _, folder := range []struct {
		path    string
		missing func(status int) http.HandlerFunc
	}{
		{management.Path, management.NotFound},
		{verification.PathVerifications, nothing(web.ProblemJSON)},
		{"/orchestrators/", nothing(web.MessageJSON)},
		{"/runtime/webhooks/", nothing(web.MessageJSON)},
	} {
		if strings.HasPrefix(address, folder.path) {
			return folder.missing
		}
	}
	return nil
}

// nothing is an answer of a status and its words.
func nothing(form func(web.Handler) http.HandlerFunc) func(status int) http.HandlerFunc {
	return func(status int) http.HandlerFunc {
		return form(func(http.ResponseWriter, *http.Request) error {
			return &web.Fault{Status: status, Code: strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_"), Message: http.StatusText(status)}
		})
	}
}

func (p *Provider) notFound(w http.ResponseWriter, r *http.Request) {
	if missing := p.missing(r); missing != nil {
		missing(http.StatusNotFound)(w, r)
		return
	}
	p.pages.Fail(w, r, &web.Problem{Kind: views.ProblemNotFound, Status: http.StatusNotFound})
}
