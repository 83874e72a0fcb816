//go:build unix

package docscheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/handset-oidc/handset/internal/porttest"
)

// TestReadme follows the README as a newcomer does, in a copy of the tree: it
// saves the files, runs every command in order, and signs in where the text says
// so. Ports are others, by the settings that are there for it; `make test`, which
// runs this test, is only looked at.
func TestReadme(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	for _, step := range n.steps(read(t, "README.md")) {
		t.Log(step)
		step.do(n)
	}
	for _, what := range []string{"demo", "serve", "webapp", "make test", "check"} {
		if !n.did[what] {
			t.Errorf("README.md had no %s, or it was not recognized", what)
		}
	}
}

// TestCommandsInDocuments looks at the commands of the other pages: each names a
// subcommand and flags that exist.
func TestCommandsInDocuments(t *testing.T) {
	t.Parallel()
	n := &newcomer{t: t, dir: root, env: environment()}
	binary := filepath.Join(t.TempDir(), "handset")
	n.build("./cmd/handset", binary)
	looked := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks("sh") {
			for _, line := range commandLines(b.text) {
				words := strings.Fields(strings.TrimPrefix(line, "sudo -u handset "))
				if len(words) < 2 || filepath.Base(words[0]) != "handset" {
					continue
				}
				looked++
				var path []string
				for _, w := range words[1:] {
					if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(w) || len(path) == 2 {
						break
					}
					path = append(path, w)
				}
				known := n.run(binary + " help " + strings.Join(path, " "))
				if len(path) == 2 && strings.Contains(known, "handset "+path[0]+" [command]") {
					t.Errorf("%s: %q is no command", p.name, line)
				}
				for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(line, -1) {
					if !strings.Contains(known, flag+" ") && !strings.Contains(known, flag+"\n") {
						t.Errorf("%s: %q: no flag %s", p.name, line, flag)
					}
				}
			}
		}
	}
	if looked < 20 {
		t.Errorf("only %d commands found", looked)
	}
}

// newcomer has a fresh copy of the tree and a terminal or two.
type newcomer struct {
	t    *testing.T
	dir  string
	env  []string
	port map[string]string // of the README, to one that is free
	did  map[string]bool

	running map[string]*program // by the port it listens on
}

// environment makes all builds alike, so that they find each other's work in the
// build cache.
func environment() []string { return append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0") }

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	for _, program := range []string{"sh", "make", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("there is no %s", program)
			}
			t.Skipf("there is no %s", program)
		}
	}
	n := &newcomer{t: t, dir: t.TempDir(), port: map[string]string{}, did: map[string]bool{}, running: map[string]*program{}}
	for _, p := range []string{"3000", "4000", "9300"} {
		n.port[p] = porttest.Reserve(t)
	}
	for _, name := range tree(t) {
		n.copy(name)
	}
	// docs/config.md and the comment of the example application say what these do.
	n.env = append(environment(),
		"HANDSET_LISTEN=localhost:"+n.port["3000"], "HANDSET_ADMIN_LISTEN=127.0.0.1:"+n.port["9300"],
		"ISSUER=http://localhost:"+n.port["3000"]+"/",
		"BASE_URL=http://localhost:"+n.port["4000"], "LISTEN=localhost:"+n.port["4000"])
	t.Cleanup(func() {
		for _, p := range n.running {
			p.stop()
		}
	})
	return n
}

// copy leaves out what is no source: a database or binary that somebody left.
func (n *newcomer) copy(name string) {
	n.t.Helper()
	from := filepath.Join(root, name)
	info, err := os.Stat(from)
	if errors.Is(err, os.ErrNotExist) || err == nil && (info.Size() > 4<<20 || strings.HasPrefix(name, "handset.")) {
		return
	}
	text, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return // it was somebody's temporary file
	}
	if err != nil {
		n.t.Fatal(err)
	}
	to := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
		n.t.Fatal(err)
	}
}

// step is one thing that the README asks for.
type step struct {
	what string
	do   func(*newcomer)
}

func (s step) String() string { return s.what }

var (
	compiles = regexp.MustCompile(`\bgo run (\S+)`)
	numbered = regexp.MustCompile(`:(3000|4000|9300)\b`)
	saved    = regexp.MustCompile(`^# (/?[\w/.-]+\.yaml)\n`)
)

func (n *newcomer) steps(p page) []step {
	var all []step
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		text := numbered.ReplaceAllStringFunc(m[2], func(s string) string { return ":" + n.port[s[1:]] })
		switch m[1] {
		case "yaml":
			name := saved.FindStringSubmatch(text)
			if name == nil {
				n.t.Fatalf("a block of YAML does not begin with the name of its file: %s", text)
			}
			if filepath.IsAbs(name[1]) {
				all = append(all, step{"check " + name[1], func(n *newcomer) { n.checkProduction(text) }})
				continue
			}
			all = append(all, step{"save " + name[1], func(n *newcomer) { n.save(name[1], text) }})
		case "sh":
			for _, line := range commandLines(text) {
				all = append(all, step{line, func(n *newcomer) { n.type_(line) }})
			}
		case "mermaid":
		default:
			n.t.Errorf("a block in %q, which nobody tries: %s", m[1], text)
		}
	}
	return all
}

// commandLines splits a block into its commands, without comments.
func commandLines(text string) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func (n *newcomer) save(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// type_ does what a command line of the README asks for.
func (n *newcomer) type_(line string) {
	n.t.Helper()
	provider, app := "http://localhost:"+n.port["3000"], "http://localhost:"+n.port["4000"]
	switch {
	case line == "make test":
		n.did["make test"] = true
		if plan := n.run("make -n test"); !regexp.MustCompile(`go test .*\./\.\.\.`).MatchString(plan) {
			n.t.Errorf("make test does not test everything: %s", plan)
		}
	case strings.HasSuffix(line, "handset demo"):
		n.did["demo"] = true
		n.start("3000", line+" --listen localhost:"+n.port["3000"]+" --app-listen localhost:"+n.port["4000"], provider+"/inbox")
		await(n.t, app+"/")
		n.logIn(app, "07700 900982", func() string { return digits(n.fetch(provider + "/inbox/messages?to=+447700900982")) })
	case strings.HasSuffix(line, "handset serve"):
		n.did["serve"] = true
		n.start("3000", line, provider+"/.well-known/openid-configuration")
	case strings.Contains(line, "examples/webapp/cmd/webapp"):
		n.did["webapp"] = true
		n.start("4000", line, app+"/")
		n.logIn(app, "07700 900982", func() string { return digits(n.running["3000"].output()) })
	default:
		if strings.HasSuffix(line, "handset check") {
			n.did["check"] = true
		}
		if out := n.run(line); strings.HasPrefix(line, "curl") && !strings.HasPrefix(strings.TrimSpace(out), "{") {
			n.t.Errorf("%s: %s", line, out)
		}
	}
}

// build compiles a program. It may take as long as the whole test: with a cold build
// cache on a machine that is busy, minutes.
func (n *newcomer) build(folder, binary string) {
	n.t.Helper()
	n.runWithin(n.t.Context(), "go build -o "+binary+" "+folder)
}

// run runs a command to its end, which must be a good one.
func (n *newcomer) run(line string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 15*time.Minute)
	defer cancel()
	return n.runWithin(ctx, line)
}

func (n *newcomer) runWithin(ctx context.Context, line string) string {
	n.t.Helper()
	cmd := exec.CommandContext(ctx, "sh", "-euc", line)
	cmd.Dir, cmd.Env = n.dir, n.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("%s: %v\n%s%s", line, err, &stdout, &stderr)
	}
	return stdout.String()
}

// checkProduction holds the file for a real host: everything in it is right but
// what is not there on this machine.
func (n *newcomer) checkProduction(text string) {
	n.t.Helper()
	n.did["production"] = true
	etc, lib := n.t.TempDir(), n.t.TempDir()
	text = strings.NewReplacer("/etc/handset", etc, "/var/lib/handset", lib, "redis://127.0.0.1:6379", "redis://127.0.0.1:1").Replace(text)
	for name, content := range map[string]string{
		"handset.yaml": text, "handset.key": strings.Repeat("1f", 32) + "\n", "gateway.secret": "a secret of the gateway\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	out := n.run("bin/handset check --config " + etc + "/handset.yaml 2>&1 || true")
	if strings.Contains(out, "warning") {
		n.t.Errorf("the configuration for a real host is warned about:\n%s", out)
	}
	for _, m := range regexp.MustCompile(`(?m)^  - (.*)$`).FindAllStringSubmatch(out, -1) {
		if !strings.HasPrefix(m[1], "redis: ") && !strings.HasPrefix(m[1], "connections[0]: options.gateway_url: the gateway can't be reached") {
			n.t.Errorf("the configuration for a real host: %s", m[1])
		}
	}
	if !strings.Contains(out, "- redis: ") {
		n.t.Errorf("check did not look at Redis:\n%s", out)
	}
}

// program is one that goes on until it is stopped, in a terminal of its own.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// stop presses Ctrl-C, which reaches every program of the terminal.
func (p *program) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// start runs a program and waits until it answers. One that has the port is
// stopped first.
func (n *newcomer) start(port, line, ready string) {
	n.t.Helper()
	if before := n.running[port]; before != nil {
		before.stop()
	}
	// What is waited for is that the program starts, not that it is compiled.
	if folder := compiles.FindStringSubmatch(line); folder != nil {
		n.build(folder[1], os.DevNull)
	}
	p := &program{cmd: exec.Command("sh", "-euc", line), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = n.dir, n.env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // it was interrupted
	}()
	n.running[port] = p
	defer func() {
		if n.t.Failed() {
			n.t.Logf("%s printed:\n%s", line, p.output())
		}
	}()
	await(n.t, ready)
}

// await polls an address until something answers there.
func await(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Minute)
	for {
		if res, err := http.Get(address); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nothing answers at %s", address)
		}
	}
}

func (n *newcomer) fetch(address string) string {
	n.t.Helper()
	res, err := http.Get(address)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

var code = regexp.MustCompile(`\b(\d{6})\b is your`)

// digits finds the newest code in texts.
func digits(texts string) string {
	all := code.FindAllStringSubmatch(texts, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// logIn presses Sign in at an application, types the number and the code, and
// wants the application to say who it is and what it checked.
func (n *newcomer) logIn(app, number string, read func() string) {
	n.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	b := &http.Client{Jar: jar}
	at, text := n.page(b.Get(app + "/login"))
	at, text = n.submit(b, at, text, "/login/phone", "phone", number)
	if !strings.Contains(text, "Check your phone") {
		n.t.Fatalf("after the number, at %s: %s", at, text)
	}
	at, text = n.submit(b, at, text, "/login/code", "code", awaitCode(n.t, read))
	for _, want := range []string{"State", "Nonce", "Signature", "sms|"} {
		if !strings.Contains(text, want) {
			n.t.Errorf("logged in, at %s: the application does not say %q: %s", at, want, text)
		}
	}
}

// awaitCode reads until there is a code: a program's output arrives a moment after
// its page.
func awaitCode(t *testing.T, read func() string) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		if code := read(); code != "" {
			return code
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no code was texted")
		}
	}
}

func (n *newcomer) page(res *http.Response, err error) (*url.URL, string) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %s, %v\n%s", res.Request.URL, res.Status, err, text)
	}
	return res.Request.URL, string(text)
}

// submit fills in one field of the form that posts to action.
func (n *newcomer) submit(b *http.Client, at *url.URL, text, action, field, value string) (*url.URL, string) {
	n.t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		n.t.Fatal(err)
	}
	for node := range doc.Descendants() {
		if node.Data != "form" || !strings.HasSuffix(attribute(node, "action"), action) {
			continue
		}
		form := url.Values{}
		for in := range node.Descendants() {
			switch {
			case in.Data == "input":
				form.Set(attribute(in, "name"), attribute(in, "value"))
			case in.Data == "option" && strings.Contains(fmt.Sprint(in.Attr), "GB"):
				form.Set("country", "GB")
			}
		}
		form.Set(field, value)
		to, err := at.Parse(attribute(node, "action"))
		if err != nil {
			n.t.Fatal(err)
		}
		return n.page(b.PostForm(to.String(), form))
	}
	n.t.Fatalf("%s has no form for %s: %s", at, action, text)
	return nil, ""
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
