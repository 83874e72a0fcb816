package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/resource"
)

// An answer counts once, and only that of the issuer to the login that was begun.
func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, answer, says string
		status             int
		done               bool
	}{
		{"another login", "state=other&code=c&iss=https://login.example.com/", "not the login that was begun", http.StatusBadRequest, false},
		{"no state", "code=c", "not the login that was begun", http.StatusBadRequest, false},
		{"another issuer", "state=mine&code=c&iss=https://evil.example.com/", "another issuer", http.StatusForbidden, true},
		{"no issuer", "state=mine&code=c", "another issuer", http.StatusForbidden, true},
		{"not registered", "state=mine&error=access_denied&iss=https://login.example.com/", "you are not registered", http.StatusForbidden, true},
		{"an error", "state=mine&error=server_error&iss=https://login.example.com/", "server_error", http.StatusForbidden, true},
	} {
		l := &login{issuer: "https://login.example.com/", state: "mine", done: make(chan result, 1)}
		open := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			l.routes().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/callback?"+c.answer, nil))
			return rec
		}
		if rec := open(); rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.name, rec.Code, rec.Body)
		}
		if done := len(l.done) == 1; done != c.done {
			t.Errorf("%s: the login is over: %v, want %v", c.name, done, c.done)
		}
		if rec := open(); rec.Code != http.StatusBadRequest {
			t.Errorf("%s, once more: %d", c.name, rec.Code)
		}
	}
}

// A refresh token is its owner's alone, and goes to nobody but the issuer it is from.
func TestALoginIsKept(t *testing.T) {
	t.Parallel()
	k := keeper{filepath.Join(t.TempDir(), "a", "login.json"), "https://login.example.com/", "demo-cli"}
	if _, err := k.load(); !errors.Is(err, errNoLogin) {
		t.Errorf("without a login: %v", err)
	}
	for _, token := range []resource.Secret{"one", "two"} {
		if err := k.keep(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got, err := k.load(); got != token || err != nil {
			t.Errorf("kept %q: %v", string(got), err)
		}
	}
	if info, err := os.Stat(k.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	for _, other := range []keeper{{k.file, "https://other.example.com/", k.clientID}, {k.file, k.issuer, "other"}} {
		if got, err := other.load(); got != "" || !errors.Is(err, errNoLogin) {
			t.Errorf("at %s by %s: %v", other.issuer, other.clientID, err)
		}
	}
	if err := os.WriteFile(k.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.load(); err == nil || errors.Is(err, errNoLogin) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"dance"}, {"add"}, {"add", "a", "b"}, {"list", "a"}, {"list", "-x"}} {
		p, err := newProgram(func(string) string { return "unused" }, &bytes.Buffer{}, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.run(t.Context(), args); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Tokens go without TLS to this machine only.
func TestWhereTheGRPCAPIIs(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"localhost:8081": "http://localhost:8081", "127.0.0.1:8081": "http://127.0.0.1:8081", "[::1]:8081": "http://[::1]:8081",
		"grpc.example.com": "https://grpc.example.com", "192.0.2.1:8081": "https://192.0.2.1:8081",
	} {
		if got := (&program{grpc: target}).grpcOrigin(); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
