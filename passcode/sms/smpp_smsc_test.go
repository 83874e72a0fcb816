package sms

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// smsc is a server of smsc/smsc.mjs, on a port of its own. What it does is up to its
// handler; what nothing is said about it answers as an SMSC does.
type smsc struct {
	t      testing.TB
	id     string
	port   int
	events chan smscEvent
	// handle returns true when it has dealt with a PDU.
	handle func(c smscConn, p smscPDU) bool

	mu       sync.Mutex
	received []smscPDU
	waiting  chan struct{} // closed when the next event has been dealt with
	opened   int
	closed   int
	errors   []string
	names    int
}

// smscConn is a connection as the server sees it.
type smscConn struct {
	*smsc
	session int
}

// smscPDU is a PDU as the server's library reads it.
type smscPDU struct {
	Session    int    `json:"-"`
	Command    string `json:"command"`
	CommandID  uint32 `json:"command_id"`
	Status     uint32 `json:"command_status"`
	Sequence   uint32 `json:"sequence_number"`
	SystemID   string `json:"system_id"`
	Password   string `json:"password"`
	SystemType string `json:"system_type"`
	Version    int    `json:"interface_version"`
	SourceTON  int    `json:"source_addr_ton"`
	SourceNPI  int    `json:"source_addr_npi"`
	Source     string `json:"source_addr"`
	DestTON    int    `json:"dest_addr_ton"`
	DestNPI    int    `json:"dest_addr_npi"`
	Dest       string `json:"destination_addr"`
	ESMClass   int    `json:"esm_class"`
	DataCoding int    `json:"data_coding"`
	Registered int    `json:"registered_delivery"`
	Validity   any    `json:"validity_period"` // as the library reads it: a time, or empty
	Short      struct {
		Message string   `json:"message"`
		UDH     []string `json:"udh"`
	} `json:"short_message"`
	Payload struct {
		Message string `json:"message"`
	} `json:"message_payload"`
}

type smscEvent struct {
	Server  string  `json:"server"`
	Session int     `json:"session"`
	Event   string  `json:"event"`
	Port    int     `json:"port"`
	Error   string  `json:"error"`
	PDU     smscPDU `json:"pdu"`
}

// smscProcess is the one process of Node.js that all servers live in. It ends when
// its input does: with the tests.
type smscProcess struct {
	in     io.Writer
	stderr *bytes.Buffer

	mu      sync.Mutex
	servers map[string]*smsc
	last    int
}

var nodeSMSC = sync.OnceValues(func() (*smscProcess, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, errors.New("node is not installed")
	}
	if _, err := os.Stat(filepath.Join("smsc", "node_modules", "smpp")); err != nil {
		return nil, errors.New("smpp is not installed: run npm ci in passcode/sms/smsc, or make test")
	}
	p := &smscProcess{stderr: &bytes.Buffer{}, servers: map[string]*smsc{}}
	cmd := exec.Command("node", "smsc.mjs")
	cmd.Dir, cmd.Stderr = "smsc", p.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	go p.hear(out)
	return p, cmd.Start()
})

func (p *smscProcess) hear(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e smscEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			panic(fmt.Sprintf("the SMSC says %s: %v", lines.Text(), err))
		}
		p.mu.Lock()
		server := p.servers[e.Server]
		p.mu.Unlock()
		if server != nil {
			server.events <- e
		}
	}
}

// tell writes a line for the process.
func (p *smscProcess) tell(order map[string]any) error {
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.in.Write(append(text, '\n'))
	return err
}

// newSMSC starts an SMSC; handle may be nil. tls has key and cert for one that
// speaks TLS.
func newSMSC(t testing.TB, tls map[string]string, handle func(c smscConn, p smscPDU) bool) *smsc {
	t.Helper()
	process, err := nodeSMSC()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if tls == nil {
		tls = map[string]string{}
	}
	if handle == nil {
		handle = func(smscConn, smscPDU) bool { return false }
	}
	// The room keeps the process from waiting for us while we wait for it.
	s := &smsc{t: t, events: make(chan smscEvent, 1<<16), handle: handle, waiting: make(chan struct{})}
	process.mu.Lock()
	process.last++
	s.id = strconv.Itoa(process.last)
	process.servers[s.id] = s
	process.mu.Unlock()
	s.order(map[string]any{"listen": tls})
	t.Cleanup(func() {
		process.mu.Lock()
		delete(process.servers, s.id)
		process.mu.Unlock()
		s.order(map[string]any{"close": true})
	})
	select {
	case e := <-s.events:
		s.port = e.Port
	case <-time.After(time.Minute):
		t.Fatalf("the SMSC does not start: %s", process.stderr)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e := <-s.events:
				s.deal(e)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return s
}

func (s *smsc) deal(e smscEvent) {
	if e.Event == "pdu" {
		e.PDU.Session = e.Session
		s.mu.Lock()
		s.received = append(s.received, e.PDU)
		s.mu.Unlock()
		if c := (smscConn{s, e.Session}); !s.handle(c, e.PDU) {
			c.answer(e.PDU)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Event {
	case "opened":
		s.opened++
	case "closed":
		s.closed++
	case "error":
		s.errors = append(s.errors, e.Error)
	}
	close(s.waiting)
	s.waiting = make(chan struct{})
}

func (s *smsc) order(order map[string]any) {
	process, err := nodeSMSC()
	if err != nil {
		s.t.Error(err)
		return
	}
	order["server"] = s.id
	if err := process.tell(order); err != nil {
		s.t.Errorf("the SMSC is gone: %v: %s", err, process.stderr)
	}
}

// answer answers as an SMSC does that is content with everything.
func (c smscConn) answer(p smscPDU) {
	switch p.Command {
	case "submit_sm":
		c.mu.Lock()
		c.names++
		name := fmt.Sprintf("text-%d", c.names)
		c.mu.Unlock()
		c.respond(p, map[string]any{"message_id": name})
	case "bind_transceiver", "bind_transmitter", "enquire_link", "unbind":
		c.respond(p, map[string]any{})
	}
}

// respond answers a PDU; options are the library's: command_status, message_id.
func (c smscConn) respond(p smscPDU, options map[string]any) {
	options["sequence_number"] = p.Sequence
	c.send(p.Command+"_resp", options)
}

func (c smscConn) refuse(p smscPDU, status uint32) {
	c.respond(p, map[string]any{"command_status": status})
}

func (c smscConn) send(command string, options map[string]any) {
	c.order(map[string]any{"session": c.session, "send": command, "options": options})
}

// write sends octets as they are, and zeros behind them.
func (c smscConn) write(octets []byte, zeros int) {
	c.order(map[string]any{"session": c.session, "raw": hex.EncodeToString(octets), "zeros": zeros})
}

func (c smscConn) destroy() { c.order(map[string]any{"session": c.session, "destroy": true}) }

// until waits until what is asked for is so; it is asked after each event.
func (s *smsc) until(what string, so func() bool) {
	s.t.Helper()
	patience := time.After(time.Minute)
	for {
		s.mu.Lock()
		waiting, ok := s.waiting, so()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-waiting:
		case <-patience:
			s.t.Fatalf("the SMSC waited in vain until %s", what)
		}
	}
}

// got returns the PDUs of a command that came so far.
func (s *smsc) got(command string) []smscPDU {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gotLocked(command)
}

func (s *smsc) gotLocked(command string) []smscPDU {
	var out []smscPDU
	for _, p := range s.received {
		if p.Command == command {
			out = append(out, p)
		}
	}
	return out
}

// wait returns the PDUs of a command when there are n of them.
func (s *smsc) wait(command string, n int) []smscPDU {
	s.t.Helper()
	s.until(fmt.Sprintf("%d of %s came", n, command), func() bool { return len(s.gotLocked(command)) >= n })
	return s.got(command)
}

func (s *smsc) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// receiptBox gets receipts.
type receiptBox chan Receipt

func (b receiptBox) next(t *testing.T) Receipt {
	t.Helper()
	select {
	case r := <-b:
		return r
	case <-time.After(time.Minute):
		t.Fatal("no receipt")
		return Receipt{}
	}
}

// client is a sender that binds to the SMSC with the account "handset", whatever
// change says besides.
func (s *smsc) client(t testing.TB, change func(*SMPPConfig)) (*SMPP, receiptBox) {
	t.Helper()
	box := make(receiptBox, 1<<12)
	c := SMPPConfig{
		Host: s.addr(), SystemID: "handset", Password: "hunter2", SystemType: "login", From: "+7654321",
		InsecurePlain: true, AllowPrivate: true, Timeout: 20 * time.Second, // what a busy machine never needs
		Backoff: time.Millisecond, Receipts: func(_ context.Context, r Receipt) error { box <- r; return nil },
	}
	if change != nil {
		change(&c)
	}
	sender, err := NewSMPP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSMPP(t, sender) })
	return sender, box
}

func closeSMPP(t testing.TB, s *SMPP) {
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// numbered makes a handler of one that is told which PDU of the command it gets.
func numbered(command string, handle func(c smscConn, p smscPDU, n int) bool) func(smscConn, smscPDU) bool {
	var n atomic.Int64
	return func(c smscConn, p smscPDU) bool {
		return p.Command == command && handle(c, p, int(n.Add(1)))
	}
}

// receiptOption makes the options of a deliver_sm with a receipt's text.
func receiptOptions(text string) map[string]any {
	return map[string]any{"esm_class": 4, "short_message": text, "data_coding": 0}
}

func receiptFor(id, stat string) map[string]any {
	return receiptOptions("id:" + id + " sub:001 dlvrd:001 submit date:2611262012 done date:2611262013 stat:" + stat + " err:000 text:" + strings.Repeat("x", 20))
}
