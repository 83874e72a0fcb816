package e2e

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/views"
)

// policy is what stands around a route.
type policy struct {
	cors  bool // pages of other sites may read the answer
	ask   bool // pages of other sites may ask; whether they may read is up to the client
	kept  bool // caches may keep it
	own   bool // forms of other sites are refused
	html  bool // people see the answer
	login bool // belongs to the pages of a login
}

// policies say what every route of the table must do; a route that is not
// listed fails the test.
func policies() map[string]policy {
	page, step := policy{html: true}, policy{html: true, login: true}
	form := policy{html: true, login: true, own: true}
	document := policy{cors: true, kept: true}
	return map[string]policy{
		"GET /authorize":                              page,
		"POST /authorize":                             page,
		"POST /oauth/token":                           {cors: true},
		"GET /userinfo":                               {cors: true},
		"POST /userinfo":                              {cors: true},
		"POST /oauth/introspect":                      {},
		"POST /oauth/revoke":                          {cors: true},
		"GET /oidc/logout":                            page,
		"POST /oidc/logout":                           page,
		"GET /v2/logout":                              page,
		"GET /.well-known/openid-configuration":       document,
		"GET /.well-known/oauth-authorization-server": document,
		"GET /.well-known/jwks.json":                  document,
		"GET /login/phone":                            step,
		"POST /login/phone":                           form,
		"GET /login/code":                             step,
		"POST /login/code":                            form,
		"POST /login/resend":                          form,
		"POST /login/continue":                        form,
		"POST /sms/receipts/{sender}":                 {},
		"GET /assets/{hash}/{name}":                   {kept: true},

		"POST /passwordless/start":          {ask: true},
		"POST /passwordless/verify":         {ask: true},
		"GET /passwordless/verify_redirect": page,
		"GET /passwordless/verify-redirect": page,
		"POST /passwordless/challenge":      {cors: true},
		"POST /co/authenticate":             {ask: true},

		"GET /verifications/openapi.json":                                      document,
		"POST /verifications":                                                  {},
		"GET /verifications/{id}":                                              {},
		"DELETE /verifications/{id}":                                           {},
		"POST /verifications/{id}/answers":                                     {},
		"POST /verifications/{id}/resend":                                      {},
		"POST /verifications/results":                                          {},
		"POST /orchestrators/E4_SmsPhoneVerification":                          {},
		"GET /runtime/webhooks/durabletask/instances/{id}":                     {},
		"DELETE /runtime/webhooks/durabletask/instances/{id}":                  {},
		"POST /runtime/webhooks/durabletask/instances/{id}/raiseEvent/{event}": {},
		"POST /runtime/webhooks/durabletask/instances/{id}/terminate":          {},

		"GET /api/v2/connections":                 {},
		"POST /api/v2/connections":                {},
		"GET /api/v2/connections/{id}":            {},
		"PATCH /api/v2/connections/{id}":          {},
		"DELETE /api/v2/connections/{id}":         {},
		"GET /api/v2/clients":                     {},
		"POST /api/v2/clients":                    {},
		"GET /api/v2/clients/{id}":                {},
		"PATCH /api/v2/clients/{id}":              {},
		"DELETE /api/v2/clients/{id}":             {},
		"GET /api/v2/resource-servers":            {},
		"POST /api/v2/resource-servers":           {},
		"GET /api/v2/resource-servers/{id}":       {},
		"PATCH /api/v2/resource-servers/{id}":     {},
		"DELETE /api/v2/resource-servers/{id}":    {},
		"GET /api/v2/client-grants":               {},
		"POST /api/v2/client-grants":              {},
		"GET /api/v2/client-grants/{id}":          {},
		"PATCH /api/v2/client-grants/{id}":        {},
		"DELETE /api/v2/client-grants/{id}":       {},
		"GET /api/v2/users":                       {},
		"POST /api/v2/users":                      {},
		"GET /api/v2/users/{id}":                  {},
		"PATCH /api/v2/users/{id}":                {},
		"DELETE /api/v2/users/{id}":               {},
		"GET /api/v2/connections/{id}/clients":    {},
		"PATCH /api/v2/connections/{id}/clients":  {},
		"POST /api/v2/clients/{id}/rotate-secret": {},
	}
}

// address is where a pattern of the table can be asked.
func address(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	if strings.HasPrefix(path, "/assets/") {
		path = views.AssetPath("handset.css")
	}
	return method, path
}

// knock sends a request that each route answers without being any further
// use: an empty form, or an empty query. Headers come in pairs.
func (r *rig) knock(method, path string, headers ...string) *http.Response {
	r.t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("x=1")
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	return res
}

func TestRouteTableIsTheOneWithPolicies(t *testing.T) {
	t.Parallel()
	got := start(t).server.Provider.Routes()
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(policies())), got); diff != "" {
		t.Errorf("routes (-with a policy here +in the table):\n%s", diff)
	}
}

func TestHeadersOfEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern, want := range policies() {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			method, path := address(pattern)
			res := r.knock(method, path, "Origin", "https://app.example")
			h := res.Header

			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Request-Id") == "" {
				t.Errorf("common headers: %v", h)
			}
			if h.Get("Strict-Transport-Security") != "" {
				t.Error("HSTS over http")
			}
			if h.Get("Server") != "" || h.Get("X-Powered-By") != "" {
				t.Errorf("the server tells what it is: %v", h)
			}

			if kept := strings.HasPrefix(h.Get("Cache-Control"), "public, max-age="); kept != want.kept {
				t.Errorf("Cache-Control = %q", h.Get("Cache-Control"))
			} else if !kept && (h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache") {
				t.Errorf("Cache-Control = %q, Pragma = %q, want no-store", h.Get("Cache-Control"), h.Get("Pragma"))
			}
			if want.kept && h.Get("ETag") == "" {
				t.Error("no ETag")
			}

			if got := h.Get("Access-Control-Allow-Origin"); (got == "*") != want.cors || got != "" && got != "*" {
				t.Errorf("Access-Control-Allow-Origin = %q", got)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies would be sent across sites")
			}
			r.checkPage(res, want)
		})
	}
}

// checkPage looks at the headers that only answers for people have.
func (r *rig) checkPage(res *http.Response, want policy) {
	r.t.Helper()
	h := res.Header
	if isHTML := h.Get("Content-Type") == "text/html; charset=utf-8"; isHTML != want.html && res.StatusCode != http.StatusSeeOther {
		r.t.Errorf("%d, Content-Type = %q", res.StatusCode, h.Get("Content-Type"))
	}
	if h.Get("Content-Type") != "text/html; charset=utf-8" {
		return
	}
	csp := h.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
		"base-uri 'none'", "object-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
		if !strings.Contains(csp, directive) {
			r.t.Errorf("Content-Security-Policy lacks %s: %s", directive, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		r.t.Errorf("Content-Security-Policy: %s", csp)
	}
}

func TestPreflightOfEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern, want := range policies() {
		method, path := address(pattern)
		res := r.knock(http.MethodOptions, path, "Origin", "https://app.example",
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization, content-type")
		h := res.Header
		if want.ask { // TestPasswordlessCORS has more
			if res.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://app.example" {
				t.Errorf("%s: %d %v", pattern, res.StatusCode, h)
			}
			continue
		}
		if !want.cors {
			if res.StatusCode != http.StatusMethodNotAllowed || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %d %v, want no preflight", pattern, res.StatusCode, h)
			}
			continue
		}
		if res.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), method) ||
			!strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "authorization") ||
			h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", pattern, res.StatusCode, h)
		}
	}
}

// A page that may ask must be able to read the refusal too.
func TestErrorsAreReadableAcrossSites(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, pattern := range []string{"POST /oauth/token", "GET /userinfo", "POST /oauth/revoke"} {
		method, path := address(pattern)
		res := r.knock(method, path, "Origin", "https://app.example")
		if res.StatusCode < 400 || res.Header.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
			t.Errorf("%s: %d %v", pattern, res.StatusCode, res.Header)
		}
	}
}

// Login CSRF: what another site posts is refused before anything is read; what
// applications post across sites is not.
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern, want := range policies() {
		method, path := address(pattern)
		if method != http.MethodPost {
			continue
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			if res := r.knock(method, path, header...); (res.StatusCode == http.StatusForbidden) != want.own {
				t.Errorf("%s, %v: %d", pattern, header, res.StatusCode)
			}
		}
		if !want.own {
			continue
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "null"}, nil} {
			if res := r.knock(method, path, header...); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, %v: %d, want 400: the form token decides", pattern, header, res.StatusCode)
			}
		}
	}
}

func TestStepsOfNoLoginStartOver(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern, want := range policies() {
		if !want.login {
			continue
		}
		method, path := address(pattern)
		if res := r.knock(method, path+"?txn=AAAAAAAAAAAAAAAAAAAAAAAAAA"); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", pattern, res.StatusCode)
		}
	}
}

// RFC 9110 §15.5.6 and §10.2.1: a wrong method is told the right ones.
func TestWrongMethods(t *testing.T) {
	t.Parallel()
	r := start(t)
	allowed := map[string][]string{}
	for pattern, want := range policies() {
		method, path := address(pattern)
		allowed[path] = append(allowed[path], method)
		if method == http.MethodGet {
			allowed[path] = append(allowed[path], http.MethodHead)
		}
		if (want.cors || want.ask) && !slices.Contains(allowed[path], http.MethodOptions) {
			allowed[path] = append(allowed[path], http.MethodOptions)
		}
	}
	// These two have the form of a verification's address: with its methods they are
	// an ID that there is not.
	for _, path := range []string{"/verifications/results", "/verifications/openapi.json"} {
		methods := append(allowed[path], http.MethodGet, http.MethodHead, http.MethodDelete)
		slices.Sort(methods)
		allowed[path] = slices.Compact(methods)
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(methods, method) {
				continue
			}
			res := r.knock(method, path)
			got := strings.Split(res.Header.Get("Allow"), ", ")
			slices.Sort(got)
			if res.StatusCode != http.StatusMethodNotAllowed || !slices.Equal(got, methods) {
				t.Errorf("%s %s: %d, Allow %v; want 405, %v", method, path, res.StatusCode, got, methods)
			}
		}
	}
}

func TestAnythingElseIsNotFound(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{
		"/", "/index.html", "/authorize/", "/Authorize", "/oauth", "/oauth/token/", "/token", "/login", "/login/", "/login/phone/x",
		"/.well-known/", "/.well-known/jwks.json/x", "/assets/", "/assets/x", "/healthz", "/readyz", "/metrics", "/inbox", "/debug/pprof/",
		"//authorize", "/./authorize", "/login/../authorize", "//oauth/token", "/assets/../authorize", "/login//phone", "//evil.example/..",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			res := r.knock(method, path)
			if res.StatusCode != http.StatusNotFound || res.Header.Get("Location") != "" {
				t.Errorf("%s %s: %d to %q, want 404", method, path, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
	if res := r.knock("GET", "/assets/x/none.css"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an asset that there is not: %d", res.StatusCode)
	}
	marker := "no-such-page-<script>"
	p := newBrowser(t).get(r.base + "/" + url.PathEscape(marker) + "?" + url.QueryEscape(marker))
	if p.status != http.StatusNotFound || strings.Contains(p.body, "no-such-page") {
		t.Errorf("%d; the page repeats the address: %v", p.status, strings.Contains(p.body, "no-such-page"))
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern := range policies() {
		method, path := address(pattern)
		if method != http.MethodGet {
			continue
		}
		get := r.knock(http.MethodGet, path)
		head, body := r.fetch(http.MethodHead, path)
		if get.StatusCode == http.StatusSeeOther { // which fetch follows
			head = r.knock(http.MethodHead, path)
		}
		if head.StatusCode != get.StatusCode || len(body) != 0 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") ||
			head.Header.Get("Cache-Control") != get.Header.Get("Cache-Control") {
			t.Errorf("HEAD %s: %d %v; GET: %d %v", path, head.StatusCode, head.Header, get.StatusCode, get.Header)
		}
	}
}

// The issuer comes from the configuration, whatever a request says about hosts.
func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	for pattern := range policies() {
		method, path := address(pattern)
		if res := r.knock(method, path, "Host", "evil.example"); res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d, want 421", pattern, res.StatusCode)
		}
	}
	own := strings.TrimPrefix(r.base, "http://")
	for _, host := range []string{"127.0.0.1", "127.0.0.1:1", own + ".evil.example", "localhost:" + own[strings.LastIndex(own, ":")+1:], "evil.example:80"} {
		if res := r.knock(http.MethodGet, "/.well-known/openid-configuration", "Host", host); res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("Host %s: %d, want 421", host, res.StatusCode)
		}
	}
	_, plain := r.fetch(http.MethodGet, "/.well-known/openid-configuration")
	_, forwarded := r.fetch(http.MethodGet, "/.well-known/openid-configuration", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example")
	if diff := cmp.Diff(string(plain), string(forwarded)); diff != "" {
		t.Errorf("forwarded headers change the metadata:\n%s", diff)
	}
}

func TestSizesOfRequests(t *testing.T) {
	t.Parallel()
	r := start(t)
	if res := r.knock("GET", "/authorize?x="+strings.Repeat("x", 9000)); res.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a URL of 9000 bytes: %d, want 414", res.StatusCode)
	}
	for _, tt := range []struct {
		name   string
		form   url.Values
		status int
	}{
		{"a field of 5 KiB", url.Values{"x": {strings.Repeat("x", 5<<10)}}, http.StatusRequestEntityTooLarge},
		{"a body of 20 KiB", url.Values{"x": {strings.Repeat("x", 20<<10)}}, http.StatusRequestEntityTooLarge},
	} {
		res, body := r.call(webClient, "/oauth/token", tt.form)
		if res.StatusCode != tt.status || !strings.Contains(string(body), "invalid_request") {
			t.Errorf("%s: %d %s, want %d", tt.name, res.StatusCode, body, tt.status)
		}
	}
	many := url.Values{}
	for i := range 50 {
		many.Set("field"+strings.Repeat("x", i), "1")
	}
	if res, body := r.call(webClient, "/oauth/token", many); res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "invalid_request") {
		t.Errorf("50 fields: %d %s", res.StatusCode, body)
	}
}
