//go:build unix

// Package porttest finds ports for programs that tests start: addresses that must
// be known before anybody listens there, or that somebody listens on twice.
package porttest

import (
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// Reserve returns a port of 127.0.0.1 that refuses connections until somebody
// listens on it by its number, and that no program is given which asks for any port:
// a socket of the test is bound to it, and never listens. On systems other than Linux
// such a socket is in everybody's way; there the port is just one that was free.
func Reserve(t testing.TB) (port string) {
	t.Helper()
	// Without the lock, a program that is started in this moment would inherit it.
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	// What [net.Listen] sets as well, and node: so they may share the port with a
	// socket that does not listen.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("socket option: %v", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("name of the socket: %v", err)
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(func() { syscall.Close(fd) })
	} else {
		syscall.Close(fd)
	}
	return strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}

// Address is host and port of a reserved port.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", Reserve(t))
}
