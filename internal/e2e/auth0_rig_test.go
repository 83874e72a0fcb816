package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
)

// localhost is a certificate for localhost, and the same as PEM: Auth0's SDKs speak
// https alone and want a name, which Node.js trusts by NODE_EXTRA_CA_CERTS.
var localhost = sync.OnceValue(func() (c struct {
	pair tls.Certificate
	pool *x509.CertPool
	pem  []byte
}) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	c.pair = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	c.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.pool = x509.NewCertPool()
	c.pool.AppendCertsFromPEM(c.pem)
	return c
})

// startAuth0 starts a rig as an Auth0 tenant looks to its SDKs: https, a name in
// place of an address, the real time.
func startAuth0(t testing.TB, opts ...option) *rig {
	t.Helper()
	asTenant := func(o *options) {
		o.issuer = func(address string) string {
			_, port, _ := net.SplitHostPort(address)
			return "https://localhost:" + port + "/"
		}
		o.wrap = func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{localhost().pair}, NextProtos: []string{"http/1.1"}})
		}
	}
	r := start(t, append([]option{onRealTime(), asTenant, withPasswordless()}, opts...)...)
	r.http = localClient()
	return r
}

// localClient is a client that trusts localhost, and follows no redirects.
func localClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: localhost().pool}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// withPasswordless lets the clients of the rig use Auth0's passwordless API.
func withPasswordless() option {
	return withConfig(func(c *config.Config) {
		for i := range c.Clients {
			if cl := &c.Clients[i]; cl.ClientID == webClient || cl.ClientID == publicClient {
				cl.GrantTypes = append(cl.GrantTypes, otpGrant)
				cl.AllowedOrigins, cl.CrossOriginAuthentication = []string{pageOrigin}, true
				cl.IsTokenEndpointIPHeaderTrusted = true
			}
		}
	})
}

const (
	otpGrant   = "http://auth0.com/oauth/grant-type/passwordless/otp"
	pageOrigin = "https://app.example"
)

// domain is how Auth0's SDKs are told of a tenant.
func (r *rig) domain() string {
	u, err := url.Parse(r.issuer)
	if err != nil {
		r.t.Fatal(err)
	}
	return u.Host
}

// needsAuth0 is needsNode for the SDKs.
func needsAuth0(t testing.TB) {
	t.Helper()
	needsNode(t, "auth0")
}

// everySDK is set by make test-all; without it one version of each SDK is run.
func everySDK() bool { return os.Getenv("HANDSET_TEST_EVERY_SDK") == "true" }

// nodeScript starts a script of internal/e2e/auth0 that trusts the rigs of startAuth0.
func nodeScript(t testing.TB, script string, args ...string) nodeRP {
	t.Helper()
	needsAuth0(t)
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Dir = "auth0"
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+trusted(t))
	return startNode(t, cmd)
}

// trusted is a file with the certificate of startAuth0.
func trusted(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, localhost().pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pageOf serves a page at every address, and scripts of npm packages at theirs.
func pageOf(t testing.TB, page func() string, scripts map[string]string) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page())
	})
	for path, name := range scripts {
		script, err := os.ReadFile(filepath.Join("auth0", "node_modules", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(script)
		})
	}
	return mux
}

// sdk is a published package in a process of Node.js (auth0/sdk.mjs).
type sdk struct {
	nodeRP
	mu sync.Mutex
}

// args are the names that a piece of code sees.
type args map[string]any

// sdk loads a package of internal/e2e/auth0. The code of with runs in it first, and
// sees domain, and clientId and clientSecret of webClient.
func (r *rig) sdk(name, with string) *sdk {
	r.t.Helper()
	s := &sdk{nodeRP: nodeScript(r.t, "sdk.mjs", name)}
	s.run(with, args{"domain": r.domain(), "clientId": webClient, "clientSecret": secret}, nil)
	return s
}

// told is what a piece of code came to.
type toldByNode struct {
	Returned json.RawMessage
	Thrown   json.RawMessage
}

func (s *sdk) call(code string, a args) toldByNode {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil {
		a = args{}
	}
	line, err := json.Marshal(map[string]any{"code": code, "args": a})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tell(string(line))
	var answer toldByNode
	s.hear(&answer)
	return answer
}

// run runs code that must not throw, and reads what it returns.
func (s *sdk) run(code string, a args, into any) {
	s.t.Helper()
	answer := s.call(code, a)
	if answer.Thrown != nil {
		s.t.Fatalf("%s\nthrew %s", code, answer.Thrown)
	}
	if into != nil {
		if err := json.Unmarshal(answer.Returned, into); err != nil {
			s.t.Fatalf("%s\nreturned %s: %v", code, answer.Returned, err)
		}
	}
}

// fails runs code that must throw, and returns what can be read of it by a path
// such as "cause.error".
func (s *sdk) fails(code string, a args) func(path string) any {
	s.t.Helper()
	answer := s.call(code, a)
	var err map[string]any
	if answer.Thrown == nil || json.Unmarshal(answer.Thrown, &err) != nil {
		s.t.Fatalf("%s\nreturned %s, and threw no object: %s", code, answer.Returned, answer.Thrown)
	}
	return func(path string) any {
		var at any = err
		for name := range strings.SplitSeq(path, ".") {
			object, _ := at.(map[string]any)
			at = object[name]
		}
		return at
	}
}

// wantsThrown fails unless what was thrown reads so.
func wantsThrown(t testing.TB, thrown func(string) any, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if n, ok := value.(int); ok {
			value = float64(n)
		}
		if got := thrown(path); got != value {
			t.Errorf("%s of the error is %v, want %v", path, got, value)
		}
	}
}

// startNode starts a process that talks by lines of JSON.
func startNode(t testing.TB, cmd *exec.Cmd) nodeRP {
	t.Helper()
	rp := nodeRP{t: t, stderr: &safeBuffer{}}
	cmd.Stderr = rp.stderr
	var err error
	if rp.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	rp.out = bufio.NewScanner(out)
	rp.out.Buffer(nil, 1<<20)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // the test's context has ended it when it still ran
	})
	return rp
}

// An SDK finds the keys of the provider: the certificate is trusted, and what comes
// back is what the SDK expects.
func TestAuth0RigRunsAnSDK(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	r := startAuth0(t)
	s := r.sdk("@auth0/auth0-auth-js", `it.client = new sdk.AuthClient({domain, clientId, clientSecret})`)
	var address string
	s.run(`const {authorizationUrl} = await it.client.buildAuthorizationUrl({authorizationParams: {redirect_uri}});
	return String(authorizationUrl)`, args{"redirect_uri": r.callback}, &address)
	if !strings.HasPrefix(address, r.issuer+"authorize?") {
		t.Errorf("the SDK begins a login at %s", address)
	}
	resp, err := r.http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%s: %d %s", address, resp.StatusCode, body)
	}
	wantsThrown(t, s.fails(`throw Object.assign(new TypeError('no'), {cause: {error: 'x'}})`, nil),
		map[string]any{"class": "TypeError", "message": "no", "cause.error": "x"})
}
