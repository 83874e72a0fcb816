package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

func withManageLimit(burst int, every time.Duration) option {
	return withConfig(func(c *config.Config) { c.Limits["manage_client"] = config.Limit{Burst: burst, Every: every} })
}

// wantsLimit checks what Auth0's clients read of a limit.
func (a managedAnswer) wantsLimit(t *testing.T, burst, left int, reset time.Time) {
	t.Helper()
	got := [...]string{a.header.Get("X-RateLimit-Limit"), a.header.Get("X-RateLimit-Remaining"), a.header.Get("X-RateLimit-Reset")}
	// In whole seconds, and never too early.
	want := [...]string{strconv.Itoa(burst), strconv.Itoa(left), strconv.FormatInt(reset.Add(time.Second-1).Unix(), 10)}
	if got != want {
		t.Errorf("%d: limit, remaining and reset are %v, want %v", a.status, got, want)
	}
}

// Every answer to a client that authenticated tells what is left; beyond it is 429 in
// Auth0's words, for that client alone, and nothing is done.
func TestManagementCallsAreLimited(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withManageLimit(3, 10*time.Second))
	now := m.clock.Now()
	for _, header := range []string{"Bearer a.b.c", "Bearer"} { // nobody's calls count for nobody
		if got := m.send("GET", "/clients", "", "Authorization", header); got.header.Get("X-RateLimit-Limit") != "" {
			t.Errorf("%s: %v", header, got.header)
		}
	}
	m.does(http.StatusOK, "GET", "/connections", nil).wantsLimit(t, 3, 2, now.Add(10*time.Second))
	m.does(http.StatusNotFound, "GET", "/clients/nope", nil).wantsLimit(t, 3, 1, now.Add(20*time.Second))
	m.does(http.StatusBadRequest, "POST", "/connections", map[string]any{}).wantsLimit(t, 3, 0, now.Add(30*time.Second))
	for range 2 {
		got := m.send("POST", "/connections", `{"name":"c","strategy":"sms","options":{"provider":"console"}}`)
		m.refuses(got, http.StatusTooManyRequests, "too_many_requests", "Global limit has been reached")
		got.wantsLimit(t, 3, 0, now.Add(10*time.Second))
		if after := got.header.Get("Retry-After"); after != "10" {
			t.Errorf("Retry-After %q", after)
		}
	}
	weak := m.managedBy(reader)
	weak.refuses(weak.send("GET", "/clients", ""), http.StatusForbidden, "insufficient_scope", "Insufficient scope")
	weak.does(http.StatusOK, "GET", "/users", nil).wantsLimit(t, 3, 1, now.Add(20*time.Second))

	m.clock.Advance(10 * time.Second)
	got := m.does(http.StatusOK, "GET", "/connections", nil)
	got.wantsLimit(t, 3, 0, now.Add(40*time.Second))
	if len(got.list) != 1 || got.header.Get("Retry-After") != "" {
		t.Errorf("after what was refused: %v %s", got.header, got.raw)
	}
	if !strings.Contains(m.logs.String(), "limit manage_client") {
		t.Error("the log does not say what refused")
	}
}

func TestManagementLimitIsOff(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withoutLimits("manage_client"))
	for range 20 {
		if got := m.does(http.StatusOK, "GET", "/connections", nil); got.header.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("%v", got.header)
		}
	}
}

// Calls count over all servers, whichever takes them.
func TestManagementLimitIsOfAllServers(t *testing.T) {
	t.Parallel()
	front := newTap(t)
	redis := storagetest.StartRedis(t)
	file, key := filepath.Join(t.TempDir(), "handset.db"), vault.Generate()
	all := []option{withRedis(redis.URL), withDatabase(file), withKey(key), withManagement(), withManageLimit(4, time.Minute)}
	a := start(t, append(all, front.in())...)
	start(t, append(all, front.beside(), withClock(a.clock), withConfig(func(c *config.Config) { c.Clients, c.ClientGrants = a.config.Clients, a.config.ClientGrants }))...)
	m := a.managedBy(manager)
	for left := 3; left >= 0; left-- {
		got := m.does(http.StatusOK, "GET", "/connections", nil)
		if remaining := got.header.Get("X-RateLimit-Remaining"); remaining != strconv.Itoa(left) {
			t.Errorf("remaining %s, want %d", remaining, left)
		}
	}
	for range 2 {
		m.refuses(m.send("GET", "/connections", ""), http.StatusTooManyRequests, "too_many_requests", "Global limit")
	}
}

// While Redis is away operators can manage, uncounted; when it is back calls count again.
func TestManagementGoesOnWithoutRedis(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withManagement())
	m := r.managedBy(manager)
	user := m.does(http.StatusCreated, "POST", "/users", map[string]any{"connection": "sms", "phone_number": newNumber()}).one
	f.arm("TakeLimit", fault{err: fmt.Errorf("the-cause: %w", storage.ErrUnavailable)})
	got := m.does(http.StatusOK, "PATCH", "/users/"+escaped(m.text(user, "user_id")), map[string]any{"blocked": true})
	if got.one["blocked"] != true || got.header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("%v %s", got.header, got.raw)
	}
	if f.disarm("TakeLimit") != 1 {
		t.Error("the limit was not asked once")
	}
	if !strings.Contains(r.logs.String(), `"uncounted":true`) {
		t.Error("the log does not say that the call was not counted")
	}
	if got := m.does(http.StatusOK, "GET", "/users", nil); got.header.Get("X-RateLimit-Limit") == "" {
		t.Errorf("with Redis again: %v", got.header)
	}
}

// Auth0's published clients wait as they are told, in seconds and until a second of the
// epoch, and go through with what they were asked.
func TestAuth0ClientsWaitForTheLimit(t *testing.T) {
	t.Parallel()
	limited := func(t *testing.T, r *rig) {
		t.Helper()
		if !strings.Contains(r.logs.String(), "limit manage_client") {
			t.Error("nothing was refused, so that nothing was tried again")
		}
	}
	t.Run("npm", func(t *testing.T) {
		t.Parallel()
		needsAuth0(t)
		r := startAuth0(t, withManagement(), withManageLimit(2, time.Second))
		s := r.sdk("auth0-7", "")
		s.run(modern, args{"domain": r.domain(), "clientId": manager, "clientSecret": secret}, nil)
		var lists int
		s.run(`let n = 0; for (let i = 0; i < 4; i++) n += (await it.list({strategy: ['sms']})).length; return n`, nil, &lists)
		if lists != 4 {
			t.Errorf("%d of 4 lists", lists)
		}
		limited(t, r)
	})
	t.Run("go", func(t *testing.T) {
		t.Parallel()
		binary := goClients(t)
		r := startAuth0(t, withManagement(), withManageLimit(4, 300*time.Millisecond))
		trusted := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(trusted, localhost().pem, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), binary, "v1", r.domain(), manager, secret, r.gateway.url, newNumber())
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trusted)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		limited(t, r)
	})
}
