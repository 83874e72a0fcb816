package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// reply is an answer as it came: no redirect followed, no cookie kept.
type reply struct {
	status int
	header http.Header
	body   string
}

// location is where the answer redirects to.
func (a reply) location(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// random is what differs between any two answers: the reference.
var random = regexp.MustCompile(`\b[A-Z2-7]{12}\b`)

// alike is what of an answer must be the same where two causes must not be
// told apart: status, names of headers and the body without its reference.
func (a reply) alike() string {
	return fmt.Sprint(a.status, " ", a.header.Get("Content-Length"), " ", a.header.Get("Content-Type"), " ",
		a.header.Get("Location"), " ", len(a.header), " ", random.ReplaceAllString(a.body, "-"))
}

// wire sends requests as an attacker's tool does: just what it is told.
var wire = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 256, DisableCompression: true,
		// One certificate serves all rigs with TLS and is known to nobody else.
		TLSClientConfig: &tls.Config{RootCAs: certificate().pool},
	},
}

// send makes one request; header holds names and values in turn. It may be
// called from any goroutine.
func send(t testing.TB, method, address string, form url.Values, header ...string) reply {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return sendRequest(t, req, header...)
}

func sendRequest(t testing.TB, req *http.Request, header ...string) reply {
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	res, err := wire.Do(req)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// raw writes bytes to the public listener and reads one answer.
func (r *rig) raw(request string) reply {
	r.t.Helper()
	u, err := url.Parse(r.base)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	// The server may answer and close before it has read all.
	go io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}
}

// cookies is the Cookie header that the browser sends to the rig.
func (r *rig) cookies(b *browser) string {
	var out []string
	for _, c := range b.jar.Cookies(r.url()) {
		out = append(out, c.Name+"="+c.Value)
	}
	return strings.Join(out, "; ")
}

// cookie is the value of one of the browser's cookies, or "".
func (r *rig) cookie(b *browser, name string) string {
	for _, c := range b.jar.Cookies(r.url()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (r *rig) url() *url.URL {
	u, err := url.Parse(r.base + "/")
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// plant puts a cookie into a browser, as an attacker does from a neighbouring
// host or over a network that is not his.
func (r *rig) plant(b *browser, name, value string) {
	b.jar.SetCookies(r.url(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// posted is a form of a page, ready to be posted by anyone.
type posted struct {
	action string
	fields url.Values
	cookie string
}

// stolen takes a form off a browser's page, with the cookies of that browser.
func (r *rig) stolen(p *page, end string, fill ...string) posted {
	p.b.t.Helper()
	action, fields := p.form(end)
	for i := 0; i < len(fill); i += 2 {
		fields.Set(fill[i], fill[i+1])
	}
	return posted{action, fields, r.cookies(p.b)}
}

func (f posted) with(pairs ...string) posted {
	fields := url.Values{}
	for k, v := range f.fields {
		fields[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	f.fields = fields
	return f
}

// send posts the form with the browser's cookies.
func (f posted) send(t testing.TB, header ...string) reply {
	if f.cookie != "" {
		header = append(header, "Cookie", f.cookie)
	}
	return send(t, http.MethodPost, f.action, f.fields, header...)
}

// decided sends until it is told something: of a hundred at once a store may leave
// some unanswered on a busy machine, and 503 has decided nothing.
func decided(t testing.TB, send func() reply) reply {
	for {
		if a := send(); a.status != http.StatusServiceUnavailable || t.Context().Err() != nil {
			return a
		}
	}
}

// wrong is the nth code that is not the right one.
func wrong(code string, n int) string {
	size := 1
	for range len(code) {
		size *= 10
	}
	v, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%0*d", len(code), (v+1+n)%size)
}

// atOnce runs f n times in parallel, all let go at the same moment.
func atOnce(n int, f func(i int)) {
	var wait, ready sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		ready.Add(1)
		wait.Go(func() {
			ready.Done()
			<-gate
			f(i)
		})
	}
	ready.Wait()
	close(gate)
	wait.Wait()
}

// bothRedis runs a test on the embedded Redis and on a real one.
func bothRedis(t *testing.T, test func(t *testing.T, redis option)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, withRedis("embedded"))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		test(t, withRedis(storagetest.StartRedis(t).URL))
	})
}

// withoutLimits turns limits off by name.
func withoutLimits(names ...string) option {
	return withConfig(func(c *config.Config) {
		for _, name := range names {
			c.Limits[name] = config.Limit{Off: true}
		}
	})
}

// certificate is one for 127.0.0.1 that is trusted by this package's clients alone.
var certificate = sync.OnceValue(func() (c struct {
	pair tls.Certificate
	pool *x509.CertPool
}) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	c.pair, c.pool = s.TLS.Certificates[0], x509.NewCertPool()
	c.pool.AddCert(s.Certificate())
	return c
})

// withTLS puts the rig on https, as a server on the Internet is.
func withTLS() option {
	return func(o *options) {
		o.issuer = func(address string) string { return "https://" + address + "/" }
		o.wrap = func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate().pair}, NextProtos: []string{"http/1.1"}})
		}
	}
}

// startTLS starts a rig on https whose own requests trust its certificate.
func startTLS(t testing.TB, opts ...option) *rig {
	t.Helper()
	r := start(t, append(opts, withTLS())...)
	r.http = &http.Client{Transport: wire.Transport}
	return r
}

// trusting is a browser that knows the certificate of the rigs on https.
func trusting(t testing.TB) *browser {
	b := newBrowser(t)
	b.client.Transport = wire.Transport
	return b
}
