package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// exampleClients are the programs of examples/verification, as its readers start them.
var exampleClients = map[string][]string{
	"curl":   {"sh", "verify.sh"},
	"Go":     {"go", "run", "."},
	"Node":   {"node", "verify.mjs"},
	"Python": {"python3", "verify.py"},
	"sample": {"sh", "sample.sh"},
}

var exampleCode = regexp.MustCompile(`\b\d{4,8}\b`)

// conversation is a program that asks for codes.
type conversation struct {
	t     testing.TB
	in    io.WriteCloser
	out   *bufio.Scanner
	err   bytes.Buffer
	cmd   *exec.Cmd
	heard []string
}

func (r *rig) converse(command []string, number string, env ...string) *conversation {
	r.t.Helper()
	program, err := exec.LookPath(command[0])
	switch {
	case err != nil && os.Getenv("CI") == "true":
		r.t.Fatalf("%s is not installed", command[0])
	case err != nil:
		r.t.Skipf("%s is not installed", command[0])
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	r.t.Cleanup(cancel)
	c := &conversation{t: r.t, cmd: exec.CommandContext(ctx, program, append(command[1:], number)...)}
	c.cmd.Dir = filepath.Join("..", "..", "examples", "verification")
	// As make prepare built the one in Go.
	c.cmd.Env = append(append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0"), env...)
	c.cmd.Stderr = &c.err
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// waits until the program asks for a code.
func (c *conversation) asked() {
	c.t.Helper()
	for c.out.Scan() {
		if c.out.Text() == "Code?" {
			return
		}
		c.heard = append(c.heard, c.out.Text())
	}
	_ = c.cmd.Wait()
	c.t.Fatalf("it asked for no code: %q, %s", c.heard, c.err.String())
}

func (c *conversation) types(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// ends returns all that the program said, and how it ended.
func (c *conversation) ends() (said string, err error) {
	for c.out.Scan() {
		c.heard = append(c.heard, c.out.Text())
	}
	return strings.Join(c.heard, "\n"), c.cmd.Wait()
}

// TestExampleClients: who copies one has a client that works, and that says what is
// wrong.
func TestExampleClients(t *testing.T) {
	t.Parallel()
	for name, command := range exampleClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withMachines("shop"), withVerification(sampleClient))
			env := []string{"ISSUER=" + r.base + "/", "CLIENT_ID=shop", "CLIENT_SECRET=" + secret, "KEY=" + sampleClient + "." + secret}
			number := newNumber()
			c := r.converse(command, number, env...)
			c.asked()
			code := exampleCode.FindString(r.gateway.wait(number, 1).Body)
			wrong := otherCode(code, 1)
			c.types(wrong)
			c.asked()
			c.types(code)
			said, err := c.ends()
			if err != nil || !strings.Contains(said, "Wrong.") || !strings.Contains(said, "Verified") {
				t.Errorf("%v: %s%s", err, said, c.err.String())
			}
			if strings.Contains(said, code) {
				t.Errorf("it prints the code: %s", said)
			}

			number = newNumber()
			c = r.converse(command, number, env...)
			tries := 5
			if name == "sample" {
				tries = 4
			}
			for range tries {
				c.asked()
				c.types(otherCode(exampleCode.FindString(r.gateway.wait(number, 1).Body), 1))
			}
			if said, err := c.ends(); err == nil || !strings.Contains(c.err.String(), "error: ") {
				t.Errorf("nothing but wrong codes: %s%s", said, c.err.String())
			}

			c = r.converse(command, "+81", env...)
			if said, err := c.ends(); err == nil || !strings.Contains(c.err.String(), "error: ") || strings.Contains(said, "Code?") {
				t.Errorf("no number: %s%s", said, c.err.String())
			}
		})
	}
}
