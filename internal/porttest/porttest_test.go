//go:build unix

package porttest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestReservedPortRefusesUntilSomebodyListens(t *testing.T) {
	t.Parallel()
	address := Address(t)
	for range 2 {
		if conn, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				conn.Close()
			}
			t.Errorf("nobody listens: %v, want refused", err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("somebody listens: %v", err)
		}
		conn.Close()
		l.Close()
	}
}
