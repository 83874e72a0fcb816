//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// Numbers of the demo, whose code is 424242: its one employee, and somebody else.
const (
	hanako   = "+15005550006"
	stranger = "+15005550007"
)

// TestPurchasing is a day at the company: everything is started by the one command, an
// employee logs in with the command-line client and uses both APIs, a stranger is
// refused, and Ctrl-C ends everything.
func TestPurchasing(t *testing.T) {
	t.Parallel()
	c := start(t)
	employee := c.client(t)

	if out := employee.fails(t, "list"); !strings.Contains(out, "you are not logged in") {
		t.Errorf("without a login: %s", out)
	}
	if out := employee.logIn(t, hanako); !strings.Contains(out, "employee 291, with openid read:vendors write:vendors until ") {
		t.Errorf("logged in: %s", out)
	}
	const paper, steel = "1  Aobayama Paper  added by employee 291\n", "2  Sendai Steel    added by employee 291\n"
	for _, step := range []struct {
		args []string
		says string
	}{
		{[]string{"add", "Aobayama Paper"}, paper},
		{[]string{"add", "-grpc", "Sendai Steel"}, strings.ReplaceAll(steel, "Steel    ", "Steel  ")},
		{[]string{"list"}, paper + steel},
		{[]string{"list", "-grpc"}, paper + steel},
	} {
		if out := employee.does(t, step.args...); out != step.says {
			t.Errorf("%q: %q, want %q", step.args, out, step.says)
		}
	}
	if out := employee.fails(t, "add", " "); !strings.Contains(out, "422") || !strings.Contains(out, "a vendor needs a name") {
		t.Errorf("without a name: %s", out)
	}

	if out := c.client(t).logInFails(t, stranger); !strings.Contains(out, "you are not registered for this") {
		t.Errorf("a stranger: %s", out)
	}

	employee.does(t, "logout")
	if out := employee.fails(t, "list", "-grpc"); !strings.Contains(out, "you are not logged in") {
		t.Errorf("after the logout: %s", out)
	}
	c.stop(t)
	if _, err := http.Get(c.issuer); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the demo goes on behind Ctrl-C: %v", err)
	}
}

// TestAPIsOfTheCompany calls the APIs as programs of other people would, with what
// package resourcetest gets from the demo.
func TestAPIsOfTheCompany(t *testing.T) {
	t.Parallel()
	c := start(t)
	h := resourcetest.FromEnvironment()
	h.Issuer, h.Scopes = c.issuer, resource.Scopes{"read:vendors"}
	reader := h.Login(t, hanako).AccessToken
	for _, call := range []struct {
		name, method, token string
		status              int
	}{
		{"reads", http.MethodGet, reader, http.StatusOK},
		{"writes without the scope", http.MethodPost, reader, http.StatusForbidden},
		{"without a token", http.MethodGet, "", http.StatusUnauthorized},
		{"with a token that was changed", http.MethodGet, reader[:len(reader)-4] + "AAAA", http.StatusUnauthorized},
	} {
		if got := status(t, call.method, c.rest, call.token); got != call.status {
			t.Errorf("%s: %d, want %d", call.name, got, call.status)
		}
	}
	var denied *resource.AccessDenied
	if _, err := h.TryLogin(t.Context(), stranger); !errors.As(err, &denied) {
		t.Errorf("a stranger gets %v", err)
	}
}

// TestADemoThatCannotStart: what it says is told, and the rest ends with it.
func TestADemoThatCannotStart(t *testing.T) {
	t.Parallel()
	p := programs(t)
	out, err := exec.CommandContext(t.Context(), p.purchasing, "-handset", p.handset, "-rest", "localhost:0", "-grpc", "localhost:0",
		"-handset-listen", "0.0.0.0:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "loopback addresses only") || !strings.Contains(string(out), "handset demo has ended") {
		t.Errorf("%v: %s", err, out)
	}
}

// built are the three programs of the example.
type built struct{ purchasing, vendors, handset string }

// binaries is where they are built, once for all tests.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "purchasing-test-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binaries = dir
		return m.Run()
	}())
}

var build = sync.OnceValues(func() (built, error) {
	b := built{filepath.Join(binaries, "purchasing"), filepath.Join(binaries, "vendors"), filepath.Join(binaries, "handset")}
	for _, args := range [][]string{
		{"-o", b.purchasing, "."}, {"-o", b.vendors, "./cmd/vendors"}, {"-C", tree, "-o", b.handset, "./cmd/handset"},
	} {
		cmd := exec.Command("go", append([]string{"build"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return b, fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return b, nil
})

func programs(t *testing.T) built {
	t.Helper()
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// company is the one command while it runs.
type company struct {
	cmd                *exec.Cmd
	out                *output
	issuer, rest, grpc string
}

// output is what a program says, and can be waited for.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has an entry when there is more
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

// Write keeps it.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

// String is what was said so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// find waits until the program has said what the pattern has a group for.
func (o *output) find(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		if m := pattern.FindStringSubmatch(o.String()); m != nil {
			return m[1:]
		}
		select {
		case <-o.more:
		case <-deadline:
			t.Fatalf("the program does not say %v:\n%s", pattern, o)
		}
	}
}

var (
	upLine     = regexp.MustCompile(`(?s)The issuer is (\S+)\n.*REST at (\S+)/vendors, gRPC at (\S+)\.\n`)
	loginLines = regexp.MustCompile(`Log in here:\n\n  (\S+)\n`)
)

// start runs the one command on ports that are free, until the test ends.
func start(t *testing.T) *company {
	t.Helper()
	p := programs(t)
	c := &company{out: newOutput()}
	c.cmd = exec.Command(p.purchasing, "-handset", p.handset, "-rest", "localhost:0", "-grpc", "localhost:0",
		"-handset-listen", "localhost:0", "-app-listen", "localhost:0")
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			c.stop(t)
		}
	})
	found := c.out.find(t, upLine)
	c.issuer, c.rest, c.grpc = found[0], found[1], found[2]
	return c
}

// stop interrupts the command alone: at a terminal Ctrl-C would reach the demo, too.
func (c *company) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v\n%s", err, c.out)
	}
}

// client is the command line of one person.
type client struct {
	company *company
	program string
	env     []string
}

func (c *company) client(t *testing.T) *client {
	t.Helper()
	return &client{c, programs(t).vendors, append(os.Environ(), "HANDSET_ISSUER="+c.issuer, "PURCHASING_REST="+c.rest, "PURCHASING_GRPC="+c.grpc,
		"VENDORS_LOGIN="+filepath.Join(t.TempDir(), "login", "file.json"))}
}

func (c *client) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Env = c.env
	return cmd
}

// does runs a command, which must work, and returns what it says.
func (c *client) does(t *testing.T, args ...string) string {
	t.Helper()
	cmd := c.command(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("vendors %q: %v\n%s\nthe company:\n%s", args, err, &stderr, c.company.out)
	}
	return string(out)
}

// fails runs a command, which must not work, and returns what it says.
func (c *client) fails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.command(t, args...).CombinedOutput()
	if err == nil {
		t.Errorf("vendors %q works: %s", args, out)
	}
	return string(out)
}

// tryLogIn runs the login and does in the browser what a person does there. It returns
// what the program and the page say.
func (c *client) tryLogIn(t *testing.T, number string) (out, page string, err error) {
	t.Helper()
	cmd := c.command(t, "login", "-no-browser")
	said := newOutput()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	request := said.find(t, loginLines)[0]
	back, err := resourcetest.Handset{Issuer: c.company.issuer}.Visit(t.Context(), request, number)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(back.String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	return said.String(), string(text), err
}

func (c *client) logIn(t *testing.T, number string) string {
	t.Helper()
	out, page, err := c.tryLogIn(t, number)
	if err != nil || !strings.Contains(page, "You are logged in.") {
		t.Fatalf("log in: %v: %s; the page says %q", err, out, page)
	}
	return out
}

func (c *client) logInFails(t *testing.T, number string) string {
	t.Helper()
	out, page, err := c.tryLogIn(t, number)
	if err == nil || !strings.Contains(page, "You are not logged in:") {
		t.Errorf("log in: %v: %s; the page says %q", err, out, page)
	}
	return out
}

// status calls the REST API.
func status(t *testing.T, method, rest, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, rest+"/vendors", strings.NewReader(`{"name": "Paper"}`))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
