package resource_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// served is an API of three routes over real HTTP.
type served struct {
	*resourcetest.Issuer
	t    *testing.T
	url  string
	logs *logs
}

func serve(t *testing.T, change func(*resource.Config)) *served {
	t.Helper()
	s := &served{Issuer: resourcetest.NewIssuer(t, audience), t: t, logs: &logs{}}
	api := newAPI(t, s.Issuer, func(c *resource.Config) {
		c.Logger = s.logs.logger()
		if change != nil {
			change(c)
		}
	})
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := resource.FromContext(r.Context())
		if !ok {
			t.Error("there is no caller behind the middleware")
			return
		}
		fmt.Fprintf(w, "%s by %s", caller.Subject, caller.ClientID)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /me", api.Require(whoami))
	mux.Handle("GET /vendors", api.RequireScope("read:vendors")(whoami))
	mux.Handle("POST /vendors", api.Require(api.RequireScope("read:vendors", "write:vendors")(whoami)))
	mux.HandleFunc("GET /open", func(_ http.ResponseWriter, r *http.Request) {
		if caller, ok := resource.FromContext(r.Context()); ok || caller != nil {
			t.Error("there is a caller on an open route")
		}
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.MaxHeaderBytes = 4 << 20 // so that huge tokens get as far as the middleware
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// call sends a request with these values of the Authorization header.
func (s *served) call(method, path string, authorization ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, value := range authorization {
		req.Header.Add("Authorization", value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(body)
}

func TestAGoodTokenOpensItsRoutes(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	reader := "Bearer " + s.Token(resourcetest.Token{Subject: "sms|1", Scopes: []resource.Scope{"read:vendors"}})
	for _, authorization := range []string{reader, strings.Replace(reader, "Bearer", "bearer", 1), strings.Replace(reader, " ", "  ", 1)} {
		if res, body := s.call("GET", "/vendors", authorization); res.StatusCode != http.StatusOK || body != "sms|1 by test-client" {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	if res, _ := s.call("GET", "/me", reader); res.StatusCode != http.StatusOK {
		t.Errorf("a route without scopes: %d", res.StatusCode)
	}
	if res, _ := s.call("GET", "/open"); res.StatusCode != http.StatusOK {
		t.Errorf("an open route: %d", res.StatusCode)
	}
}

// TestAnswersOfRFC6750 holds status, challenge and body of every kind of refusal.
func TestAnswersOfRFC6750(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	plain := "Bearer " + s.Token(resourcetest.Token{})
	reader := "Bearer " + s.Token(resourcetest.Token{Scopes: []resource.Scope{"read:vendors"}})
	expired := "Bearer " + s.Token(resourcetest.Token{Lifetime: -time.Minute})
	const realm = `Bearer realm="https://purchasing.example.com"`
	for name, c := range map[string]struct {
		method, path  string
		authorization []string
		status        int
		challenge     string
		code          string
	}{
		"no token": {"GET", "/me", nil, 401, realm, ""},
		"no token where a scope is needed": {"GET", "/vendors", nil, 401,
			realm + `, scope="read:vendors"`, ""},
		"another scheme":    {"GET", "/me", []string{"Basic dTpw"}, 401, realm, ""},
		"an empty header":   {"GET", "/me", []string{""}, 401, realm, ""},
		"a token in a URL":  {"GET", "/me?access_token=" + strings.TrimPrefix(reader, "Bearer "), nil, 401, realm, ""},
		"no scheme":         {"GET", "/me", []string{strings.TrimPrefix(reader, "Bearer ")}, 401, realm, ""},
		"a scheme alone":    {"GET", "/me", []string{"Bearer"}, 401, realm + `, error="invalid_token", error_description="the token is not a JWT in compact form"`, "invalid_token"},
		"two in one header": {"GET", "/me", []string{reader + ", " + reader}, 401, realm + `, error="invalid_token", error_description="the token is not a JWT in compact form"`, "invalid_token"},
		"two headers": {"GET", "/me", []string{reader, plain}, 400,
			realm + `, error="invalid_request", error_description="there is more than one Authorization header"`, "invalid_request"},
		"one header twice": {"GET", "/me", []string{reader, reader}, 400,
			realm + `, error="invalid_request", error_description="there is more than one Authorization header"`, "invalid_request"},
		"an expired token": {"GET", "/vendors", []string{expired}, 401,
			realm + `, error="invalid_token", error_description="the token has expired", scope="read:vendors"`, "invalid_token"},
		"a scope that is missing": {"GET", "/vendors", []string{plain}, 403,
			realm + `, error="insufficient_scope", error_description="the token lacks a scope", scope="read:vendors"`, "insufficient_scope"},
		"one scope of two": {"POST", "/vendors", []string{reader}, 403,
			realm + `, error="insufficient_scope", error_description="the token lacks a scope", scope="read:vendors write:vendors"`, "insufficient_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, body := s.call(c.method, c.path, c.authorization...)
			if res.StatusCode != c.status || res.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%d, WWW-Authenticate: %s\nwant %d: %s", res.StatusCode, res.Header.Get("WWW-Authenticate"), c.status, c.challenge)
			}
			var said map[string]string
			if err := json.Unmarshal([]byte(body), &said); err != nil || said["error"] != c.code || said["error_description"] == "" {
				t.Errorf("body = %s", body)
			}
			if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("header = %v", res.Header)
			}
		})
	}
}

// TestFaultyTokensOverHTTP sends every faulty token to a route. Each is 401, and in
// the log, without the token.
func TestFaultyTokensOverHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, fault := range s.Faults(resourcetest.Token{Scopes: []resource.Scope{"read:vendors"}}) {
		before := s.logs.String()
		res, body := s.call("GET", "/vendors?secret=in-the-query", "Bearer "+fault.Token)
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", fault.Name, res.StatusCode)
		}
		if challenge := res.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) || !strings.Contains(challenge, string(fault.Reason)) {
			t.Errorf("%s: WWW-Authenticate: %s", fault.Name, challenge)
		}
		log := strings.TrimPrefix(s.logs.String(), before)
		if !strings.Contains(log, `"target":"GET /vendors"`) || !strings.Contains(log, string(fault.Reason)) || !strings.Contains(log, `"level":"WARN"`) {
			t.Errorf("%s: log: %s", fault.Name, log)
		}
		for _, part := range strings.Split(fault.Token, ".") {
			if len(part) > 8 && (strings.Contains(log, part) || strings.Contains(body, part)) {
				t.Errorf("%s: a part of the token is in: %s %s", fault.Name, log, body)
			}
		}
		if strings.Contains(log, "in-the-query") {
			t.Errorf("%s: the query is in: %s", fault.Name, log)
		}
	}
}

// A token that lacks a scope is a good one: the log says whose it is.
func TestTheLogNamesWhoLacksAScope(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.call("GET", "/vendors", "Bearer "+s.Token(resourcetest.Token{Subject: "sms|7", ClientID: "cli"}))
	if got := s.logs.String(); !strings.Contains(got, `"caller":{"sub":"sms|7","client_id":"cli"}`) {
		t.Errorf("log: %s", got)
	}
}

// TestNoCallerSeesAnother: a thousand requests of a hundred people at once, each
// told who they are.
func TestNoCallerSeesAnother(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var all sync.WaitGroup
	for n := range 100 {
		subject := resource.Subject(fmt.Sprintf("sms|%d", n))
		token := "Bearer " + s.Token(resourcetest.Token{Subject: subject})
		all.Go(func() {
			for range 10 {
				if _, body := s.call("GET", "/me", token); body != string(subject)+" by test-client" {
					t.Errorf("%s is told to be %s", subject, body)
				}
			}
		})
	}
	all.Wait()
}

// TestTwoAPIsOfOneProgram: what one of them let in, the other looks at again.
func TestTwoAPIsOfOneProgram(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	one := issuer.API()
	other := newAPI(t, issuer, func(c *resource.Config) { c.Audience = "urn:other" })
	handler := one.Require(other.Require(http.NotFoundHandler()))
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	req.Header.Set("Authorization", "Bearer "+issuer.Token(resourcetest.Token{}))
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	if got := rec.Result(); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), "urn:other") {
		t.Errorf("%d %s", got.StatusCode, got.Header.Get("WWW-Authenticate"))
	}
}

// TestAnIssuerThatWasNeverThere: 503 for what would have to be verified, and no
// challenge, which would make clients throw their tokens away.
func TestAnIssuerThatWasNeverThere(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *resource.Config) {
		c.HTTPClient = &http.Client{Transport: &canned{documents: map[string]string{}}}
		c.StartWithoutIssuer = true
	})
	res, body := s.call("GET", "/me", "Bearer "+s.Token(resourcetest.Token{}))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" || !strings.Contains(body, "temporarily_unavailable") {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if res, _ := s.call("GET", "/me", "Bearer x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("no token at all: %d", res.StatusCode)
	}
}

func TestAScopeMustBeOne(t *testing.T) {
	t.Parallel()
	api := resourcetest.NewIssuer(t, audience).API()
	for _, scope := range []resource.Scope{"", "read vendors", `read"vendors`, "read\\", "lesen:verkäufer"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", scope)
				}
			}()
			api.RequireScope(scope)
		}()
	}
}
