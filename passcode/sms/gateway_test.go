package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/porttest"
	"github.com/handset-oidc/handset/passcode/phone"
)

const (
	testNumber = "+819012345678"
	testBody   = "314159 is your Tiny code. <&> \"ü\""
)

func testMessage(t *testing.T) Message {
	t.Helper()
	to, err := phone.FromStored(testNumber)
	if err != nil {
		t.Fatal(err)
	}
	return Message{To: to, From: "+1234567", Body: testBody, Request: &RequestInfo{IP: "167.56.227.117", UserAgent: "Mozilla/5.0"}}
}

// recorder is a gateway that remembers what it was asked.
type recorder struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	conns   int
}

// newRecorder serves a gateway whose answer is up to answer; nil answers 200.
func newRecorder(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	g := &recorder{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("gateway reads: %v", err)
		}
		g.mu.Lock()
		g.bodies = append(g.bodies, string(body))
		g.headers = append(g.headers, r.Header.Clone())
		g.mu.Unlock()
		if r.Method != http.MethodPost {
			t.Errorf("gateway is asked with %s", r.Method)
		}
		if answer != nil {
			answer(w, r)
		}
	}))
	g.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			g.mu.Lock()
			g.conns++
			g.mu.Unlock()
		}
	}
	g.Start()
	t.Cleanup(g.Close)
	return g
}

func (g *recorder) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.bodies)
}

func newTestGateway(t *testing.T, c GatewayConfig) *Gateway {
	t.Helper()
	c.AllowPrivate = true
	if c.Client == nil {
		c.Client = NewHTTPClient(ClientConfig{AllowPrivate: true})
		t.Cleanup(c.Client.CloseIdleConnections)
	}
	g, err := NewGateway(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// try sends the test message and returns what went wrong.
func try(ctx context.Context, t *testing.T, s Sender) error {
	t.Helper()
	_, err := s.Send(ctx, testMessage(t))
	return err
}

func TestGatewayRequestIsAuth0s(t *testing.T) {
	t.Parallel()
	base := map[string]any{"recipient": testNumber, "body": testBody}
	with := func(more map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{base, more} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	req := map[string]any{"ip": "167.56.227.117", "user-agent": "Mozilla/5.0"}
	for name, c := range map[string]struct {
		forward bool
		change  func(*Message)
		want    map[string]any
	}{
		"plain":           {false, func(*Message) {}, with(map[string]any{"sender": "+1234567"})},
		"no from":         {false, func(m *Message) { m.From = "" }, base},
		"request info":    {true, func(*Message) {}, with(map[string]any{"sender": "+1234567", "req": req})},
		"nothing to tell": {true, func(m *Message) { m.Request = nil }, with(map[string]any{"sender": "+1234567"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newRecorder(t, nil)
			g := newTestGateway(t, GatewayConfig{URL: rec.URL + "/send?key=1", ForwardRequestInfo: c.forward})
			m := testMessage(t)
			c.change(&m)
			if _, err := g.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(rec.bodies[0]), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
			if ct := rec.headers[0].Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			if a := rec.headers[0].Get("Authorization"); a != "" {
				t.Errorf("Authorization %q without gateway_authentication", a)
			}
		})
	}
}

func TestGatewayToken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, secret := range []string{"s", "short secret", strings.Repeat("exactly 32 bytes", 2), strings.Repeat("longer than one block of SHA-256 ", 3)} {
		rec := newRecorder(t, nil)
		g := newTestGateway(t, GatewayConfig{
			URL: rec.URL, Now: func() time.Time { return now },
			Auth: &GatewayAuth{Subject: "urn:handset", Audience: "urn:MySmsGateway", Secret: []byte(secret)},
		})
		if _, err := g.Send(t.Context(), testMessage(t)); err != nil {
			t.Fatal(err)
		}
		token, ok := strings.CutPrefix(rec.headers[0].Get("Authorization"), "Bearer ")
		if !ok {
			t.Fatal("no bearer token")
		}
		// Verified by hand, as a gateway in any language would.
		parts := strings.Split(token, ".")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(parts[0] + "." + parts[1]))
		if got := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); got != parts[2] {
			t.Errorf("secret of %d bytes: the signature does not verify", len(secret))
		}
		for i, want := range []string{
			`{"alg":"HS256","typ":"JWT"}`,
			fmt.Sprintf(`{"aud":"urn:MySmsGateway","exp":%d,"iat":%d,"iss":"Auth0","sub":"urn:handset"}`, now.Unix()+300, now.Unix()),
		} {
			if got, _ := base64.RawURLEncoding.DecodeString(parts[i]); string(got) != want {
				t.Errorf("token part %d = %s, want %s", i, got, want)
			}
		}
	}
}

// Only 200 counts, as with Auth0, and no error says anything that the gateway,
// the person or the operator would rather keep.
func TestGatewayFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			if code != http.StatusNoContent {
				fmt.Fprint(w, "to ", testNumber, ": ", testBody)
			}
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Error
	}{
		"201": {status(201), Error{Kind: KindStatus, Status: 201}},
		"202": {status(202), Error{Kind: KindStatus, Status: 202}},
		"204": {status(204), Error{Kind: KindStatus, Status: 204}},
		"301": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		}, Error{Kind: KindStatus, Status: 301}},
		"307": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, Error{Kind: KindStatus, Status: 307}},
		"400": {status(400), Error{Kind: KindStatus, Status: 400}},
		"401": {status(401), Error{Kind: KindUnauthorized, Status: 401}},
		"403": {status(403), Error{Kind: KindStatus, Status: 403}},
		"500": {status(500), Error{Kind: KindStatus, Status: 500}},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, Error{Kind: KindTimeout, Code: "ETIMEDOUT"}},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		}, Error{Kind: KindUnreachable, Code: "ECONNRESET"}},
		"speaks no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "220 %s ESMTP\r\n", testNumber)
				conn.Close()
			}
		}, Error{Kind: KindUnreachable, Code: "EPROTO"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newRecorder(t, c.answer)
			timeout := 20 * time.Second // what a busy machine never needs
			if c.want.Kind == KindTimeout {
				timeout = 100 * time.Millisecond
			}
			g := newTestGateway(t, GatewayConfig{URL: rec.URL + "/?key=hunter2", Timeout: timeout})
			checkFailure(t, try(t.Context(), t, g), c.want)
			// In a time that short, a busy machine may not even have connected.
			if n := rec.asked(); n != 1 && (n != 0 || c.want.Kind != KindTimeout) {
				t.Errorf("the gateway was asked %d times", n)
			}
		})
	}
}

func TestUnreachableGateways(t *testing.T) {
	t.Parallel()
	plain := newRecorder(t, nil)
	foreign := httptest.NewUnstartedServer(http.NotFoundHandler())
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	foreign.StartTLS()
	t.Cleanup(foreign.Close)
	for url, code := range map[string]string{
		"http://" + porttest.Address(t):                  "ECONNREFUSED",
		"http://no-such-host.invalid/":                   "ENOTFOUND",
		strings.Replace(plain.URL, "http:", "https:", 1): "EPROTO",
		foreign.URL: "EPROTO", // a certificate that nobody vouches for
	} {
		g := newTestGateway(t, GatewayConfig{URL: url, Timeout: 20 * time.Second})
		checkFailure(t, try(t.Context(), t, g), Error{Kind: KindUnreachable, Code: code})
	}
}

func TestGatewayObeysItsContext(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	g := newTestGateway(t, GatewayConfig{URL: rec.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkFailure(t, try(ctx, t, g), Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
	// A sender's share ends before its own time-out does: of a route's last sender always.
	share, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, ErrShare)
	defer stop()
	checkFailure(t, try(share, t, g), Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
	ended, end := context.WithCancel(t.Context())
	end()
	checkFailure(t, try(ended, t, g), Error{Kind: KindUnreachable, Code: "ECANCELED"})
}

func checkFailure(t *testing.T, err error, want Error) {
	t.Helper()
	got, ok := errors.AsType[*Error](err)
	if !ok || *got != want {
		t.Fatalf("error %#v, want %#v", err, want)
	}
	for _, secret := range []string{testNumber, "9012345678", "314159", "hunter2", "127.0.0.1", "Tiny"} {
		if said := got.Error() + fmt.Sprintf("%+v %#v", err, err); strings.Contains(said, secret) {
			t.Errorf("the error says %q: %s", secret, said)
		}
	}
}

// longAnswers are answers that nobody should wait for the end of.
var longAnswers = map[string]http.HandlerFunc{
	"10 MB": func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for range 10 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	},
	"endless": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	},
	"trickling": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "{")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	},
}

// An answer can be as large or as slow as it likes: the status decides.
func TestGatewayAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for name, answer := range longAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newRecorder(t, answer)
			g := newTestGateway(t, GatewayConfig{URL: rec.URL, Timeout: 10 * time.Minute})
			began := time.Now()
			if _, err := g.Send(t.Context(), testMessage(t)); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestGatewayKeepsItsConnection(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 5000)) })
	g := newTestGateway(t, GatewayConfig{URL: rec.URL})
	for range 5 {
		if _, err := g.Send(t.Context(), testMessage(t)); err != nil {
			t.Fatal(err)
		}
	}
	if rec.mu.Lock(); rec.conns != 1 {
		t.Errorf("5 texts took %d connections", rec.conns)
	}
	rec.mu.Unlock()
}

// A name that leads to a private address gets no connection, whatever it led to
// when somebody looked before: the check is made on the address that is dialed.
func TestPrivateGatewaysAreNotDialed(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, nil)
	client := NewHTTPClient(ClientConfig{})
	_, port, _ := net.SplitHostPort(rec.Listener.Addr().String())
	g, err := NewGateway(GatewayConfig{URL: "http://localhost:" + port + "/?key=hunter2", Client: client})
	if err != nil {
		t.Fatal(err)
	}
	checkFailure(t, try(t.Context(), t, g), Error{Kind: KindForbidden, Code: "EACCES"})
	if n := rec.asked(); n != 0 {
		t.Errorf("the gateway was asked %d times", n)
	}
}

func TestReachableAddresses(t *testing.T) {
	t.Parallel()
	const public, private, never = "public", "private", "never"
	for address, want := range map[string]string{
		"8.8.8.8": public, "1.1.1.1": public, "172.32.0.1": public, "192.169.0.1": public, "100.128.0.1": public,
		"2606:4700::1111": public, "64:ff9b::808:808": public, "2002:808:808::1": public, "::ffff:8.8.8.8": public,

		"127.0.0.1": private, "127.255.255.254": private, "10.0.0.1": private, "172.16.0.1": private,
		"172.31.255.255": private, "192.168.1.1": private, "100.64.0.1": private, "198.18.0.1": private,
		"::1": private, "fc00::1": private, "fd12:3456::1": private, "2001:db8::1": private,
		"::ffff:127.0.0.1": private, "::ffff:10.1.2.3": private, "64:ff9b::7f00:1": private, "2002:7f00:1::1": private,
		"::127.0.0.1": private, "192.0.2.1": private,

		"0.0.0.0": never, "0.1.2.3": never, "169.254.169.254": never, "169.254.1.1": never, "224.0.0.1": never,
		"255.255.255.255": never, "240.0.0.1": never, "100.100.100.200": never, "168.63.129.16": never,
		"::": never, "fe80::1": never, "fe80::1%eth0": never, "ff02::1": never, "fd00:ec2::254": never,
		"::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "2002:a9fe:a9fe::": never,
	} {
		a := netip.MustParseAddr(address)
		if got := reachable(a, false); got != (want == public) {
			t.Errorf("reachable(%s) = %t", address, got)
		}
		if got := reachable(a, true); got != (want != never) {
			t.Errorf("reachable(%s, private allowed) = %t", address, got)
		}
	}
	if reachable(netip.Addr{}, true) {
		t.Error("no address is reachable")
	}
}

func TestCheckGatewayURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://sms.example.com/send":                         true,
		"http://sms.example.com":                               true,
		"https://sms.example.com:8443/send?key=1":              true,
		"https://user:password@sms.example.com/":               true,
		"":                                                     false,
		"sms.example.com/send":                                 false,
		"ftp://sms.example.com/":                               false,
		"file:///etc/passwd":                                   false,
		"https://":                                             false,
		"https:sms.example.com":                                false,
		"https://sms.example.com/#x":                           false,
		"https://sms.example.com/%zz":                          false,
		"http://127.0.0.1:9000/send":                           false,
		"http://[::1]/":                                        false,
		"http://169.254.169.254/latest":                        false,
		"https://e.example/" + strings.Repeat("x", 255-18):     true,
		"https://e.example/" + strings.Repeat("x", 256-18):     false,
		"https://hunter2:hunter2@169.254.169.254/?key=hunter2": false,
	} {
		err := CheckGatewayURL(url, false)
		if (err == nil) != ok {
			t.Errorf("CheckGatewayURL(%q) = %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes the URL: %v", err)
		}
	}
	if err := CheckGatewayURL("http://127.0.0.1:9000/send", true); err != nil {
		t.Errorf("private allowed: %v", err)
	}
	if err := CheckGatewayURL("http://169.254.169.254/", true); err == nil {
		t.Error("private allowed: a metadata service is")
	}
}
