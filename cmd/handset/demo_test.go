package main

import (
	"net"
	"strings"
	"testing"
)

// placed is a listener that is somewhere else than it was asked to be.
type placed struct {
	net.Listener
	at     net.Addr
	closed bool
}

func (l *placed) Addr() net.Addr { return l.at }
func (l *placed) Close() error   { l.closed = true; return nil }

// A resolver that knows x.localhost by another address would show everybody of the
// network the texts of the demo.
func TestDemoLooksAtWhereItListens(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "0.0.0.0": false, "::": false, "192.168.1.7": false, "10.0.0.1": false,
	} {
		l := &placed{at: &net.TCPAddr{IP: net.ParseIP(ip), Port: 3000}}
		got, err := listenOnLoopback(func(string, string) (net.Listener, error) { return l, nil }, "x.localhost:3000", "--listen")
		if (err == nil) != want {
			t.Errorf("x.localhost at %s: %v", ip, err)
		}
		if !want && (got != nil || !l.closed) {
			t.Errorf("x.localhost at %s: the listener stays open", ip)
		}
		if !want && !strings.Contains(err.Error(), "loopback addresses only") {
			t.Errorf("x.localhost at %s: %v does not say why", ip, err)
		}
	}
}
