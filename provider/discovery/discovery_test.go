package discovery_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/discovery"
)

var update = flag.Bool("update", false, "write golden files")

func handler(t *testing.T, issuer string) http.Handler {
	t.Helper()
	h, err := discovery.New(discovery.Config{
		Issuer: issuer, AssertionAlgorithms: []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}, IDTokenAlgorithms: []string{"RS256", "ES256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return web.OAuth(h.Serve)
}

func get(t *testing.T, h http.Handler, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result(), rec.Body.String()
}

func TestDocument(t *testing.T) {
	t.Parallel()
	const golden = "testdata/openid-configuration.json"
	_, got := get(t, handler(t, "http://localhost:3000/"))
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", d)
	}
}

// RFC 8259 §4 leaves it open which of two members of one name counts, and the
// document is made of an embedded struct.
func TestNoMemberStandsTwice(t *testing.T) {
	t.Parallel()
	_, body := get(t, handler(t, "http://localhost:3000/"))
	dec := json.NewDecoder(strings.NewReader(body))
	if _, err := dec.Token(); err != nil { // {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if seen[name.(string)] {
			t.Errorf("%s stands twice", name)
		}
		seen[name.(string)] = true
	}
	if len(seen) < 20 {
		t.Errorf("only %d members seen", len(seen))
	}
}

func TestIssuerPath(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"http://localhost:3000/":                "http://localhost:3000/oauth/token",
		"http://localhost:3000/openid-connect":  "http://localhost:3000/openid-connect/oauth/token",
		"http://localhost:3000/openid-connect/": "http://localhost:3000/openid-connect/oauth/token",
	} {
		var doc struct {
			Issuer string `json:"issuer"`
			Token  string `json:"token_endpoint"`
		}
		_, body := get(t, handler(t, issuer), "Host", "evil.example", "X-Forwarded-Host", "evil.example")
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Issuer != issuer || doc.Token != want {
			t.Errorf("issuer %q: got issuer %q, token endpoint %q, want %q", issuer, doc.Issuer, doc.Token, want)
		}
	}
}

// What is not built, or must never be, is not promised (security.md §3.8).
func TestNothingIsOverclaimed(t *testing.T) {
	t.Parallel()
	_, body := get(t, handler(t, "http://localhost:3000/"))
	for _, word := range []string{"implicit", "password\"", "HS256", "\"none\"\n  ],\n  \"id_token", "plain", "token-exchange",
		"jwt-bearer", "registration_endpoint", "device_authorization", "check_session", "backchannel", "c_hash"} {
		if strings.Contains(body, word) {
			t.Errorf("the document says %q", word)
		}
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	h := handler(t, "http://localhost:3000/")
	resp, _ := get(t, h)
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control = %q", got)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q", got)
	}
	resp, body := get(t, h, "If-None-Match", resp.Header.Get("ETag"))
	if resp.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("with its ETag: status %d, %d bytes", resp.StatusCode, len(body))
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]discovery.Config{
		"no issuer":               {AssertionAlgorithms: []jose.SignatureAlgorithm{jose.RS256}, IDTokenAlgorithms: []string{"RS256"}},
		"no algorithms":           {Issuer: "http://localhost:3000/", IDTokenAlgorithms: []string{"RS256"}},
		"ID tokens without RS256": {Issuer: "http://localhost:3000/", AssertionAlgorithms: []jose.SignatureAlgorithm{jose.RS256}, IDTokenAlgorithms: []string{"ES256"}},
	} {
		if _, err := discovery.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
