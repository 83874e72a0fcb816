package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// demo is `handset demo`, as a child of this process.
type demo struct {
	program, listen, appListen string
}

// tree is Handset's own, when this is run from its folder there.
const tree = "../.."

// find returns the program to run, built where this is Handset's own tree, and what
// removes it again.
func (d demo) find(ctx context.Context, out io.Writer) (program string, cleanUp func(), err error) {
	if d.program != "" {
		return d.program, func() {}, nil
	}
	if _, err := os.Stat(filepath.Join(tree, "cmd", "handset", "demo.go")); err != nil {
		program, err := exec.LookPath("handset")
		if err != nil {
			return "", nil, errors.New("there is no handset in the PATH; say where it is with -handset")
		}
		return program, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "purchasing-*")
	if err != nil {
		return "", nil, err
	}
	cleanUp = func() { _ = os.RemoveAll(dir) }  // the system does it another day
	program = filepath.Join(dir, "handset.exe") // a name that every system can run
	fmt.Fprintln(out, "purchasing: building handset; the first time that takes a minute")
	build := exec.CommandContext(ctx, "go", "build", "-C", tree, "-o", program, "./cmd/handset")
	build.Stdout, build.Stderr = out, out
	if err := build.Run(); err != nil {
		cleanUp()
		return "", nil, fmt.Errorf("build handset: %w", err)
	}
	return program, cleanUp, nil
}

var (
	// errStopped ends everything, and is no fault.
	errStopped = errors.New("stopped")
	// errEnded is a demo that has ended by itself; it has said why.
	errEnded = errors.New("handset demo has ended")
)

// run runs it until ctx ends, and tells its issuer once.
func (d demo) run(ctx context.Context, program string, out io.Writer, issuer chan<- string) error {
	child := exec.CommandContext(ctx, program, "demo", "--listen", d.listen, "--app-listen", d.appListen)
	child.Stdout, child.Stderr = &listener{out: out, issuer: issuer}, out
	// As Ctrl-C would, which reaches it anyway at a terminal.
	child.Cancel = func() error {
		if err := child.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return child.Process.Kill() // not every system can interrupt
		}
		return nil
	}
	child.WaitDelay = 30 * time.Second // it lets logins under way finish
	err := child.Run()
	if ctx.Err() != nil || err == nil {
		return errStopped // by us, or by the Ctrl-C that reaches it as well
	}
	if child.ProcessState == nil {
		return fmt.Errorf("start handset: %w", err)
	}
	return errEnded
}

// listener passes on what the demo says, and finds the issuer in it.
type listener struct {
	out    io.Writer
	issuer chan<- string
	said   []byte // until the issuer was found
	found  bool
}

var issuerLine = regexp.MustCompile(`(?m)^The issuer is (\S+)\n`)

// Write is called by one goroutine.
func (l *listener) Write(text []byte) (int, error) {
	if !l.found {
		l.said = append(l.said, text...)
		if m := issuerLine.FindSubmatch(l.said); m != nil {
			l.found, l.said = true, nil
			l.issuer <- string(m[1])
		}
	}
	return l.out.Write(text)
}
