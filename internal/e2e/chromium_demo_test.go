package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/porttest"
)

// TestDemo runs the program that people start first, as they start it. Like
// [TestProcess], it does so before the parallel tests.
func TestDemo(t *testing.T) {
	program := filepath.Join(t.TempDir(), "handset")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/handset").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Run("FirstLoginInTime", func(t *testing.T) { demoInTime(t, program) })
	t.Run("FirstLogin", func(t *testing.T) {
		t.Parallel()
		demoLogin(t, program, look{"JavaScript", 1280, true})
	})
	t.Run("FirstLoginWithoutJavaScript", func(t *testing.T) {
		t.Parallel()
		demoLogin(t, program, look{"NoJavaScript", 360, false})
	})
	t.Run("DataIsKept", func(t *testing.T) {
		t.Parallel()
		demoKeepsData(t, program)
	})
	t.Run("Refusals", func(t *testing.T) {
		t.Parallel()
		demoRefuses(t, program)
	})
}

// demo is the program while it runs.
type demo struct {
	t                    *testing.T
	cmd                  *exec.Cmd
	stderr               safeBuffer
	began                time.Time // its first line of output
	provider, app, inbox string
}

var addressPattern = regexp.MustCompile(`(Application|Inbox|Provider)\s+(http://localhost:\d+\S*)`)

// startDemo runs it until the test ends, and returns once it has printed its
// three addresses.
func startDemo(t *testing.T, program string, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, cmd: exec.Command(program, append([]string{"demo"}, args...)...)}
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	for lines := bufio.NewScanner(out); d.provider == "" && lines.Scan(); {
		if d.began.IsZero() {
			d.began = time.Now()
		}
		switch found := addressPattern.FindStringSubmatch(lines.Text()); {
		case found == nil:
		case found[1] == "Application":
			d.app = found[2]
		case found[1] == "Inbox":
			d.inbox = found[2]
		default:
			d.provider = strings.TrimSuffix(found[2], ".well-known/openid-configuration")
		}
	}
	if d.app == "" || d.provider == "" || d.inbox != d.provider+"inbox" {
		t.Fatalf("addresses %q, %q, %q; it says: %s", d.app, d.inbox, d.provider, d.stderr.String())
	}
	return d
}

// interrupt ends it as Ctrl-C does.
func (d *demo) interrupt(signal syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(signal); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil || d.stderr.String() != "" {
			d.t.Errorf("it ended with %v and said: %s", err, d.stderr.String())
		}
	case <-time.After(patience):
		d.t.Errorf("it goes on after %v", signal)
	}
}

// texts are the messages to a number as scripts read them.
func (d *demo) texts(number string) []struct{ To, Body, At string } {
	d.t.Helper()
	res, err := http.Get(d.inbox + "/messages?to=" + number)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !bytes.HasPrefix(body, []byte(`{"messages":[`)) {
		d.t.Fatalf("inbox: %s, %v", body, err)
	}
	var got struct {
		Messages []struct{ To, Body, At string }
	}
	if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != http.StatusOK {
		d.t.Fatalf("inbox: %d, %v", res.StatusCode, err)
	}
	return got.Messages
}

// demoInTime: the promise is ten seconds from the first line of output to the first
// login, a person's typing included. What the program takes of them is less than
// one; the rest of the bound is for a busy machine.
func demoInTime(t *testing.T, program string) {
	d := startDemo(t, program, "--listen", "localhost:0", "--app-listen", "localhost:0")
	d.login(newBrowser(t), newNumber())
	took := time.Since(d.began)
	t.Logf("the first login took %v from the first line of output", took)
	if took > time.Minute {
		t.Error("that is too long")
	}
	d.interrupt(syscall.SIGINT)
}

func demoLogin(t *testing.T, program string, l look) {
	person := newTab(t, chromium(t), l)
	d := startDemo(t, program, "--listen", "localhost:0", "--app-listen", "localhost:0")
	const typed, number = "+44 7400 123456", "+447400123456"

	person.open(d.app).says("Welcome to Tiny", "Sign in with your phone").is("document.querySelector('main p a[target]').href", d.inbox)
	person.click("#login").wants(200, "Sign in to Tiny")
	inbox := person.beside()
	inbox.open(d.inbox).says("No messages yet")
	person.fill("#phone", typed).click(submitButton).wants(200, "We sent a 6-digit code to "+typed)
	// The inbox updates by itself.
	inbox.until("document.querySelector('li strong')")
	person.fill("#code", inbox.text("document.querySelector('li strong').textContent")).click(submitButton)
	person.until("document.querySelector('[data-check=State] .tick') && document.querySelector('[data-check=Nonce] .tick')")
	person.says("You are signed in", number, "phone_number_verified", "auth_time", d.provider).photographed("app-signed-in")
	inbox.photographed("inbox")
	sub := person.text("document.querySelector('[data-claim=sub] .value').textContent")

	person.click("#logout").says("Welcome to Tiny", "Sign in with your phone").is("location.origin", d.app).photographed("app")
	person.click("#login").wants(200, "Sign in to Tiny")
	person.fill("#phone", typed).click(submitButton).wants(200, "Check your phone")
	inbox.until("document.querySelectorAll('li strong').length === 2")
	person.fill("#code", inbox.text("document.querySelector('li strong').textContent")).click(submitButton)
	person.says("You are signed in").is("document.querySelector('[data-claim=sub] .value').textContent", sub)
	// Who is signed in at the provider is not asked again.
	person.open(d.app+"/login").says("You are signed in").is("location.href", d.app+"/")

	texts := d.texts(number)
	if len(texts) != 2 || texts[0].To != number || !codePattern.MatchString(texts[1].Body) {
		t.Errorf("texts: %+v", texts)
	}
	for _, m := range texts {
		if _, err := time.Parse(time.RFC3339, m.At); err != nil {
			t.Error(err)
		}
	}
	if texts := d.texts("+447400123457"); texts == nil || len(texts) > 0 {
		t.Errorf("texts to another number: %#v, want an empty list", texts)
	}
	inbox.open("about:blank")
	d.interrupt(syscall.SIGINT)
}

func demoKeepsData(t *testing.T, program string) {
	args := []string{"--data", filepath.Join(t.TempDir(), "data"),
		"--listen", "localhost:" + porttest.Reserve(t), "--app-listen", "localhost:" + porttest.Reserve(t)}
	d := startDemo(t, program, args...)
	number := newNumber()
	sub, keys := d.login(newBrowser(t), number), newBrowser(t).get(d.provider+".well-known/jwks.json").body
	d.interrupt(syscall.SIGTERM)

	again := startDemo(t, program, args...)
	if got := newBrowser(t).get(again.provider + ".well-known/jwks.json").body; got != keys {
		t.Errorf("keys after the restart %s, before %s", got, keys)
	}
	if got := again.login(newBrowser(t), number); got != sub {
		t.Errorf("sub %s after the restart, %s before", got, sub)
	}
	again.interrupt(syscall.SIGTERM)
}

var subPattern = regexp.MustCompile(`(?s)data-claim="sub".*?class="value">([^<]+)<`)

// login takes a browser through the application and returns who it is.
func (d *demo) login(b *browser, number string) string {
	d.t.Helper()
	p := b.get(d.app+"/login").submit("/login/phone", "phone", number)
	var code string
	awaits(d.t, "a text; the page: "+p.words(), func() bool {
		for _, text := range d.texts(number) {
			code = codePattern.FindString(text.Body)
		}
		return code != ""
	})
	p = p.submit("/login/code", "code", code)
	found := subPattern.FindStringSubmatch(p.body)
	if found == nil {
		d.t.Fatalf("not signed in: %s", p.words())
	}
	return found[1]
}

func demoRefuses(t *testing.T, program string) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, c := range []struct {
		flag, address, says, hint string
		exit                      int
	}{
		{"--listen", "0.0.0.0:0", "loopback", "--listen localhost:3000", 2},
		{"--listen", ":0", "loopback", "--listen localhost:3000", 2},
		{"--listen", "example.com:3000", "loopback", "--listen localhost:3000", 2},
		{"--listen", "3160", "want a host and a port", "--listen localhost:3160", 2},
		{"--app-listen", "192.0.2.1:0", "loopback", "--app-listen localhost:4000", 2},
		{"--app-listen", "[::]:0", "loopback", "--app-listen localhost:4000", 2},
		{"--listen", "localhost:" + port, "address already in use", "--listen", 1},
		{"--app-listen", "localhost:" + port, "address already in use", "--app-listen", 1},
	} {
		args := []string{"demo", "--listen", "localhost:0", "--app-listen", "localhost:0", c.flag, c.address}
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != c.exit {
			t.Errorf("%s %s: %v, want exit %d", c.flag, c.address, err, c.exit)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "handset: error: ") || !strings.Contains(lines[0], c.says) ||
			!strings.HasPrefix(lines[1], "hint: ") || !strings.Contains(lines[1], c.hint) {
			t.Errorf("%s %s: %s", c.flag, c.address, out)
		}
	}
}
