package provider

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A page of the attacker's lets its own name point at this machine, so that the
// browser takes the listener for the page's own site.
func TestAttackRebindTheAdminListener(t *testing.T) {
	t.Parallel()
	p := &Provider{metrics: newMetrics()}
	loopback, anywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for _, c := range []struct {
		at         net.Addr
		configured string
		host, path string
		want       int
	}{
		{loopback, "127.0.0.1", "127.0.0.1:9300", "/healthz", http.StatusOK},
		{loopback, "127.0.0.1", "localhost:9300", "/healthz", http.StatusOK},
		{loopback, "127.0.0.1", "[::1]:9300", "/healthz", http.StatusOK},
		{loopback, "127.0.0.1", "[::1]", "/healthz", http.StatusOK},
		{anywhere, "", "10.1.2.3:9300", "/healthz", http.StatusOK},
		{anywhere, "handset", "Handset:9300", "/healthz", http.StatusOK},
		{anywhere, "handset", "handset", "/healthz", http.StatusOK},
		{anywhere, "", "handset:9300", "/healthz", http.StatusMisdirectedRequest},
		{anywhere, "", "", "/healthz", http.StatusMisdirectedRequest},
		{loopback, "127.0.0.1", "evil.example:9300", "/healthz", http.StatusMisdirectedRequest},
		{loopback, "127.0.0.1", "evil.example", "/debug/pprof/", http.StatusMisdirectedRequest},
		{loopback, "127.0.0.1", "127.0.0.1.evil.example:9300", "/metrics", http.StatusMisdirectedRequest},
		{loopback, "127.0.0.1", "localhost.evil.example", "/metrics", http.StatusMisdirectedRequest},
		{loopback, "127.0.0.1", "127.0.0.1:9300", "/debug/pprof/", http.StatusOK},
		{&net.TCPAddr{IP: net.IPv6loopback}, "::1", "[::1]:9300", "/debug/pprof/", http.StatusOK},
		{anywhere, "", "10.1.2.3:9300", "/debug/pprof/", http.StatusNotFound},
		{anywhere, "", "10.1.2.3:9300", "/debug/pprof/profile", http.StatusNotFound},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		p.Admin(c.at, c.configured).ServeHTTP(w, r)
		if got := w.Result().StatusCode; got != c.want {
			t.Errorf("%s of %q, at %v configured as %q: %d, want %d", c.path, c.host, c.at, c.configured, got, c.want)
		}
	}
}
