package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// paths are all addresses below the issuer.
var paths = []string{
	"/authorize", "/oauth/token", "/userinfo", "/oauth/introspect", "/oauth/revoke", "/oidc/logout",
	"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json",
	"/login/phone", "/login/code", "/login/resend", "/login/continue", "/nowhere", "/",
}

// security.md §3.28: what the server says of itself is the configuration's.
func TestAttackHostInjection(t *testing.T) {
	t.Parallel()
	r := start(t)
	host := r.url().Host
	want := send(t, http.MethodGet, r.base+"/.well-known/openid-configuration", nil)
	for _, header := range [][]string{
		{"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Port", "444"}, {"X-Forwarded-Prefix", "/evil"}, {"X-Forwarded-Server", "evil.example"},
		{"Forwarded", "host=evil.example;proto=https;for=1.2.3.4"}, {"X-Host", "evil.example"}, {"X-Original-URL", "/oauth/token"}, {"X-Rewrite-URL", "/oauth/token"},
		{"X-HTTP-Method-Override", "DELETE"}, {"X-Http-Method", "POST"}, {"Front-End-Https", "on"}, {"Via", "1.1 evil.example"},
	} {
		got := send(t, http.MethodGet, r.base+"/.well-known/openid-configuration", nil, header...)
		if got.status != want.status || got.body != want.body {
			t.Errorf("%v: %d\n%s", header, got.status, got.body)
		}
		login := send(t, http.MethodGet, r.base+"/authorize?"+r.newRequest(webClient).Encode(), nil, header...)
		if to := login.header.Get("Location"); !strings.HasPrefix(to, "/login/phone?txn=") || strings.Contains(login.header.Get("Set-Cookie"), "Secure") {
			t.Errorf("%v: login at %q", header, to)
		}
	}
	port := host[strings.LastIndex(host, ":"):]
	for _, foreign := range []string{"evil.example", "evil.example" + port, "localhost" + port, "127.0.0.1", host + ".evil.example", "127.0.0.1.", "evil.example:80", "127.0.0.1:443", "user@" + host, "[::1]" + port} {
		for _, path := range []string{"/.well-known/openid-configuration", "/authorize?" + r.newRequest(webClient).Encode(), "/nowhere"} {
			got := r.raw("GET " + path + " HTTP/1.1\r\nHost: " + foreign + "\r\nConnection: close\r\n\r\n")
			if got.status != http.StatusMisdirectedRequest && got.status != http.StatusBadRequest || got.header.Get("Location") != "" || strings.Contains(got.body, "evil") {
				t.Errorf("Host %s, %s: %d %s", foreign, path, got.status, got.body)
			}
			// Whoever set the proxy up wrongly learns what to do.
			if got.status == http.StatusMisdirectedRequest && !strings.Contains(got.body, "a proxy in front must pass the Host header on") {
				t.Errorf("Host %s, %s: %s", foreign, path, got.body)
			}
		}
	}
	for name, request := range map[string]string{
		"absolute form":        "GET http://evil.example/.well-known/openid-configuration HTTP/1.1\r\nHost: " + host + "\r\n",
		"absolute form, https": "GET https://evil.example/authorize HTTP/1.1\r\nHost: " + host + "\r\n",
		"two hosts":            "GET /authorize HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example\r\n",
		"no host":              "GET /authorize HTTP/1.1\r\n",
		"HTTP/1.0, no host":    "GET /.well-known/openid-configuration HTTP/1.0\r\n",
		"folded host":          "GET /authorize HTTP/1.1\r\nHost: " + host + "\r\n evil.example\r\n",
		"two lengths":          "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 3\r\nContent-Length: 5\r\n",
		"two kinds of length":  "POST /oauth/token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, identity\r\n",
		"a space in a name":    "GET /authorize HTTP/1.1\r\nHost: " + host + "\r\nX-A : b\r\n",
	} {
		if got := r.raw(request + "Connection: close\r\n\r\n"); got.status < 400 || got.status >= 600 || strings.Contains(got.body, "evil") || got.header.Get("Location") != "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// Paths that are not spelled as the table has them lead nowhere: no redirect
// that could keep a form's body (307, 308) or leave this host.
func TestAttackOddPaths(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{
		"//evil.example", "//evil.example/%2e%2e", "//evil.example/..//authorize", "/\\evil.example", "/%5cevil.example/..", "/%2f%2fevil.example", "///evil.example//",
		"//authorize", "/./authorize", "/x/../authorize", "/authorize/", "/authorize/.", "/authorize/..", "/AUTHORIZE", "/authorize%2f", "/%61uthorize/", "/authorize;x", "/authorize%00",
		"//oauth/token", "/oauth//token", "/oauth/./token", "/oauth/token/", "//login/code", "/login/code/", "/login//code", "/login/../login/code",
		"/assets/../authorize", "/assets/%2e%2e/%2e%2e/etc/passwd", "/assets/x/..%2f..%2fetc%2fpasswd", "/assets/", "/assets//", "/assets/x/", "/.well-known/", "/debug/pprof/", "/metrics", "/healthz", "/readyz", "/inbox", "/.env", "/.git/config",
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			got := r.raw(method + " " + path + " HTTP/1.1\r\nHost: " + r.url().Host + "\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n")
			if got.status != http.StatusNotFound && got.status != http.StatusBadRequest && got.status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d to %q", method, path, got.status, got.header.Get("Location"))
			}
			if got.header.Get("Location") != "" || strings.Contains(got.body, "evil") || strings.Contains(got.body, "root:") {
				t.Errorf("%s %s: to %q\n%s", method, path, got.header.Get("Location"), got.body)
			}
		}
	}
}

// TRACE would hand HttpOnly cookies to scripts; what is not in the table does
// nothing.
func TestAttackOddMethods(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	cookie := r.cookies(b)
	for _, path := range paths {
		for _, method := range []string{"TRACE", "TRACK", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "FOO", "get", "POST\x0b"} {
			got := r.raw(method + " " + path + " HTTP/1.1\r\nHost: " + r.url().Host + "\r\nCookie: " + cookie + "\r\nX-Secret: echo-me\r\nConnection: close\r\n\r\n")
			if got.status != http.StatusMethodNotAllowed && got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
			if strings.Contains(got.body, "echo-me") || strings.Contains(got.body, "handset_sid") || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s %s echoes: %s", method, path, got.body)
			}
		}
		head := send(t, http.MethodHead, r.base+path, nil, "Cookie", cookie)
		if head.body != "" || head.status == http.StatusOK && strings.HasPrefix(path, "/oauth/") {
			t.Errorf("HEAD %s: %d %q", path, head.status, head.body)
		}
	}
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke", "/login/resend", "/login/continue"} {
		if got := send(t, http.MethodGet, r.base+path, nil); got.status != http.StatusMethodNotAllowed || !strings.Contains(got.header.Get("Allow"), "POST") {
			t.Errorf("GET %s: %d, Allow %q", path, got.status, got.header.Get("Allow"))
		}
	}
}

// Whatever is too large is refused before it is worked on, and nothing panics.
func TestAttackOversize(t *testing.T) {
	t.Parallel()
	r := start(t)
	p := r.askCode(newBrowser(t), r.newRequest(webClient), newNumber())
	form := r.stolen(p, "/login/code")
	long := strings.Repeat("x", 9000)
	for _, path := range paths {
		if got := send(t, http.MethodGet, r.base+path+"?x="+long, nil); got.status != http.StatusRequestURITooLong || strings.Contains(got.body, "xxx") {
			t.Errorf("%s with a URL of 9 kB: %d", path, got.status)
		}
		if got := send(t, http.MethodGet, r.base+path+"/"+long, nil); got.status != http.StatusRequestURITooLong {
			t.Errorf("%s with a path of 9 kB: %d", path, got.status)
		}
	}
	many := url.Values{}
	for i := range 60 {
		many.Set(fmt.Sprint("field", i), "x")
	}
	for _, path := range []string{"/authorize", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oidc/logout", "/login/phone", "/login/code", "/login/resend", "/login/continue"} {
		for name, tt := range map[string]struct {
			body   url.Values
			status int
		}{
			"a body of 20 kB":  {url.Values{"a": {long}, "b": {long}, "c": {long}}, http.StatusRequestEntityTooLarge},
			"a field of 5 kB":  {url.Values{"a": {long[:5000]}}, http.StatusRequestEntityTooLarge},
			"60 fields":        {many, http.StatusBadRequest},
			"one name of 5 kB": {url.Values{long[:5000]: {"a"}}, 0},
		} {
			got := send(t, http.MethodPost, r.base+path, tt.body, "Cookie", form.cookie)
			if tt.status != 0 && got.status != tt.status || got.status < 300 || got.status >= 500 {
				t.Errorf("%s with %s: %d", path, name, got.status)
			}
			if strings.Contains(got.body, "xxxx") {
				t.Errorf("%s with %s: echoed", path, name)
			}
		}
		for _, media := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/json", "application/xml", "application/x-www-form-urlencoded2", ";", "application/x-www-form-urlencoded; charset=\"", strings.Repeat("a", 500)} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base+path, strings.NewReader(form.fields.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			got := sendRequest(t, req, "Content-Type", media, "Cookie", form.cookie)
			// These read JSON, too, which a form is not.
			notJSON := (path == "/oauth/token" || path == "/oauth/revoke") && media == "application/json" && got.status == http.StatusBadRequest
			if !notJSON && got.status != http.StatusUnsupportedMediaType && got.status != http.StatusUnauthorized {
				t.Errorf("%s with Content-Type %q: %d", path, media, got.status)
			}
		}
	}
	// A body without a length, and one that never says how much comes.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base+"/oauth/token", io.LimitReader(zeros{}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if got := sendRequest(t, req, "Content-Type", "application/x-www-form-urlencoded"); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a megabyte in chunks: %d", got.status)
	}
	for name, headers := range map[string]string{
		"one of 30 kB": "X-A: " + strings.Repeat("x", 30000) + "\r\n", "5000 of them": strings.Repeat("X-A: b\r\n", 5000),
		"a cookie of 30 kB": "Cookie: handset_sid=" + strings.Repeat("x", 30000) + "\r\n",
	} {
		got := r.raw("GET /authorize HTTP/1.1\r\nHost: " + r.url().Host + "\r\n" + headers + "Connection: close\r\n\r\n")
		if got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("headers, %s: %d", name, got.status)
		}
	}
	// 400 cookies of our name: the first counts, or none.
	if got := send(t, http.MethodGet, r.base+"/oidc/logout", nil, "Cookie", strings.Repeat("handset_sid=x; ", 400)); got.status != http.StatusOK {
		t.Errorf("400 cookies: %d", got.status)
	}
	if strings.Contains(r.logs.String(), "panic") {
		t.Error("something panicked")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("0"), len(p))), nil }
