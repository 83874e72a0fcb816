package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// process is a program that was started here.
type process struct{ cmd *exec.Cmd }

// end stops the process and waits for it; one that was never started is fine.
func (p *process) end() error {
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if _, failed := errors.AsType[*exec.ExitError](p.cmd.Wait()); failed {
		err = errors.Join(err, fmt.Errorf("%s: %s", p.cmd.Path, p.cmd.ProcessState))
	}
	p.cmd = nil
	return err
}

// ticksPerSecond is USER_HZ, which Linux fixes for what it shows in /proc.
const ticksPerSecond = 100

// cpu is the user and system time so far, in seconds (proc(5), /proc/pid/stat).
func (p *process) cpu() float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name in brackets may hold spaces; fields are counted behind it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}

// memory reads a line of /proc/pid/status, in MiB.
func (p *process) memory(line string) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
