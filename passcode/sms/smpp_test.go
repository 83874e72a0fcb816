package sms

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"golang.org/x/time/rate"
)

func TestSMPPSubmits(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	id, err := sender.Send(t.Context(), testMessage(t))
	if err != nil || id != "text-1" {
		t.Fatalf("Send = %q, %v", id, err)
	}
	bind := server.got("bind_transceiver")[0]
	if bind.SystemID != "handset" || bind.Password != "hunter2" || bind.SystemType != "login" || bind.Version != 0x34 {
		t.Errorf("bind %+v", bind)
	}
	p := server.got("submit_sm")[0]
	if p.Short.Message != testBody || p.DataCoding != 0 || p.ESMClass != 0 || p.Registered != 1 {
		t.Errorf("text %+v", p)
	}
	if p.Dest != "819012345678" || p.DestTON != 1 || p.DestNPI != 1 || p.Source != "7654321" || p.SourceTON != 1 || p.SourceNPI != 1 {
		t.Errorf("addresses %+v", p)
	}
}

// The encoder and what operators are told by Segments have one alphabet.
func TestSMPPAlphabetIsThatOfSegments(t *testing.T) {
	t.Parallel()
	for r := range rune(0x20000) {
		if got, want := len(data.ValidateGSM7String(string(r))) == 0, len(OutsideGSM7(string(r))) == 0; got != want {
			t.Errorf("%q: the encoder has it is %t, Segments says %t", r, got, want)
		}
	}
}

// The server's own library puts together what we took apart.
func TestSMPPTextsArriveWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		payload bool
		coding  int
		parts   int
	}{
		"empty":                             {"", false, 0, 1},
		"160 of GSM-7":                      {strings.Repeat("@$_è", 40), false, 0, 1},
		"80 of the extension":               {strings.Repeat("€", 80), false, 0, 1},
		"161 of GSM-7":                      {strings.Repeat("x", 161), false, 0, 2},
		"an escape at the seam":             {strings.Repeat("x", 152) + "€" + strings.Repeat("y", 100), false, 0, 2},
		"70 of UCS-2":                       {strings.Repeat("字", 70), false, 8, 1},
		"71 of UCS-2":                       {strings.Repeat("字", 71), false, 8, 2},
		"a surrogate pair at the seam":      {strings.Repeat("字", 66) + "😀" + strings.Repeat("字", 60), false, 8, 2},
		"one character that GSM-7 lacks":    {"314159 is your café code. ê", false, 8, 1},
		"three parts":                       {strings.Repeat("0123456789", 40), false, 0, 3},
		"payload, short":                    {"314159", true, 0, 1},
		"payload, long":                     {strings.Repeat("0123456789", 40), true, 0, 1},
		"payload, long and not of GSM-7":    {strings.Repeat("字", 200), true, 8, 1},
		"payload, 160 of the default table": {strings.Repeat("ü", 160), true, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newSMSC(t, nil, nil)
			sender, _ := server.client(t, func(s *SMPPConfig) { s.LongPayload = c.payload })
			m := testMessage(t)
			m.Body = c.body
			if id, err := sender.Send(t.Context(), m); err != nil || id != "text-1" {
				t.Fatalf("Send = %q, %v", id, err)
			}
			submits := server.got("submit_sm")
			if _, segments, _ := Segments(c.body); !c.payload && segments != c.parts {
				t.Errorf("Segments says %d, want %d", segments, c.parts)
			}
			if len(submits) != c.parts {
				t.Fatalf("%d parts, want %d", len(submits), c.parts)
			}
			body, ref := "", ""
			for i, p := range submits {
				body += p.Short.Message + p.Payload.Message
				if p.DataCoding != c.coding || p.Registered != 1 {
					t.Errorf("part %d: %+v", i+1, p)
				}
				if c.parts == 1 {
					if p.ESMClass != 0 || len(p.Short.UDH) != 0 {
						t.Errorf("a header: %+v", p)
					}
					continue
				}
				place := fmt.Sprintf("%02x%02x", c.parts, i+1)
				if len(p.Short.UDH) != 1 || p.ESMClass != 0x40 || len(p.Short.UDH[0]) != 10 || p.Short.UDH[0][:4] != "0003" || p.Short.UDH[0][6:] != place {
					t.Fatalf("part %d has the header %v, esm_class %#x", i+1, p.Short.UDH, p.ESMClass)
				}
				if i > 0 && p.Short.UDH[0][4:6] != ref {
					t.Errorf("part %d is of another text: %v after %s", i+1, p.Short.UDH, ref)
				}
				ref = p.Short.UDH[0][4:6]
			}
			if body != c.body {
				t.Errorf("arrived as %q, want %q", body, c.body)
			}
		})
	}
}

// A text that nobody could put together is not begun.
func TestSMPPTextTooLong(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	for _, payload := range []bool{false, true} {
		sender, _ := server.client(t, func(c *SMPPConfig) { c.LongPayload = payload })
		m := testMessage(t)
		m.Body = strings.Repeat("x", 256*153)
		_, err := sender.Send(t.Context(), m)
		checkFailure(t, err, Error{Kind: KindInternal, Code: "EINTERNAL"})
	}
	if got := server.got("submit_sm"); len(got) != 0 {
		t.Errorf("%d parts left", len(got))
	}
}

func TestSMPPStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[uint32]Error{
		0x0b:  {Kind: KindNumber, Code: "ESME_RINVDSTADR"},
		0x0a:  {Kind: KindRefused, Code: "ESME_RINVSRCADR"},
		0x08:  {Kind: KindAccount, Code: "ESME_RSYSERR"},
		0x14:  {Kind: KindAccount, Code: "ESME_RMSGQFUL"},
		0x45:  {Kind: KindRefused, Code: "ESME_RSUBMITFAIL"},
		0x50:  {Kind: KindRefused, Code: "ESME_RINVDSTTON"},
		0x58:  {Kind: KindAccount, Code: "ESME_RTHROTTLED"},
		0x40a: {Kind: KindRefused, Code: "ESME_0x40A"},
	} {
		t.Run(want.Code, func(t *testing.T) {
			t.Parallel()
			server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
				if p.Command != "submit_sm" {
					return false
				}
				c.refuse(p, status)
				return true
			})
			sender, _ := server.client(t, nil)
			for range 2 { // the bind outlives a refusal
				checkFailure(t, try(t.Context(), t, sender), want)
			}
			if n := len(server.got("bind_transceiver")); n != 1 {
				t.Errorf("bound %d times", n)
			}
		})
	}
}

// A PDU that the SMSC does not understand is refused without its name.
func TestSMPPGenericNack(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, numbered("submit_sm", func(c smscConn, p smscPDU, n int) bool {
		c.send("generic_nack", map[string]any{"sequence_number": p.Sequence, "command_status": []int{3, 0}[n-1]})
		return true
	}))
	sender, _ := server.client(t, nil)
	checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindRefused, Code: "ESME_RINVCMDID"})
	checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindRefused, Code: "ESME_RUNKNOWNERR"})
}

func TestSMPPBindNotUnderstood(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{0: "ESME_RUNKNOWNERR", 3: "ESME_RINVCMDID"} {
		server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
			c.send("generic_nack", map[string]any{"sequence_number": p.Sequence, "command_status": status})
			return true
		})
		sender, _ := server.client(t, func(c *SMPPConfig) { c.Backoff = time.Hour })
		checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: code})
	}
}

func TestSMPPSender(t *testing.T) {
	t.Parallel()
	one, nine := byte(1), byte(9)
	for from, want := range map[string]string{
		"": "0 0 ", "+4915112345678": "1 1 4915112345678", "4915112345678": "1 1 4915112345678", "+12345678": "1 1 12345678",
		"12345": "3 0 12345", "12345678": "3 0 12345678", "Handset": "5 0 Handset", "My Shop 24": "5 0 My Shop 24",
		"+": "5 0 +", "123-45": "5 0 123-45",
	} {
		a, err := SMPPAddress{}.sender(from)
		if got := fmt.Sprintf("%d %d %s", a.Ton(), a.Npi(), a.Address()); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", from, got, err, want)
		}
		if a, err = (SMPPAddress{TON: &one, NPI: &nine}).sender(from); err != nil || a.Ton() != 1 || a.Npi() != 9 {
			t.Errorf("%q with overrides: %d %d, %v", from, a.Ton(), a.Npi(), err)
		}
	}
	for _, from := range []string{"Grüße", "a\x00b", "line\n", "123456789012345678901", "twelve chars"} {
		if a, err := (SMPPAddress{}).sender(from); err == nil {
			t.Errorf("%q: %v", from, a)
		}
	}
}

// A bind that is refused fails what waits for it, and what comes after it at once,
// until one succeeds.
func TestSMPPBindRefused(t *testing.T) {
	t.Parallel()
	for status, code := range map[uint32]string{
		0x0d: "ESME_RBINDFAIL", 0x0e: "ESME_RINVPASWD", 0x0f: "ESME_RINVSYSID", 0x05: "ESME_RALYBND", 0x58: "ESME_RTHROTTLED",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
				if p.Command != "bind_transceiver" {
					return false
				}
				c.refuse(p, status)
				return true
			})
			sender, _ := server.client(t, func(c *SMPPConfig) { c.Backoff = time.Hour })
			for range 3 {
				checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: code})
			}
			if n := len(server.got("bind_transceiver")); n != 1 {
				t.Errorf("it tried %d times", n)
			}
		})
	}
}

func TestSMPPBindsAgain(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, numbered("bind_transceiver", func(c smscConn, p smscPDU, n int) bool {
		switch n {
		case 1:
			c.refuse(p, 0x0d)
		case 2:
			c.destroy()
		case 3:
			c.respond(p, map[string]any{})
			c.destroy() // let in, and hung up on at once
		default:
			return false
		}
		return true
	}))
	sender, _ := server.client(t, nil)
	checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: "ESME_RBINDFAIL"})
	server.wait("bind_transceiver", 4)
	sendEventually(t, sender)
}

// A server that lets everybody in and hangs up is no reason to wait.
func TestSMPPLetInAndHungUpOn(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
		if p.Command == "submit_sm" {
			c.destroy()
		}
		return p.Command == "submit_sm"
	})
	sender, _ := server.client(t, func(c *SMPPConfig) { c.Backoff = time.Hour })
	for range 3 {
		checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: "ECONNRESET"})
	}
	if n := len(server.got("bind_transceiver")); n != 1 {
		t.Errorf("bound %d times", n)
	}
}

// sendEventually sends until a message is taken: binding takes its time.
func sendEventually(t *testing.T, s *SMPP) string {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		id, err := s.Send(t.Context(), testMessage(t))
		if err == nil {
			return id
		}
		select {
		case <-time.After(time.Millisecond):
		case <-patience:
			t.Fatalf("no message is taken: %v", err)
		}
	}
}

func TestSMPPSilence(t *testing.T) {
	t.Parallel()
	t.Run("to the bind", func(t *testing.T) {
		t.Parallel()
		server := newSMSC(t, nil, func(_ smscConn, p smscPDU) bool { return p.Command == "bind_transceiver" })
		sender, _ := server.client(t, func(c *SMPPConfig) { c.Timeout = 100 * time.Millisecond })
		checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
	})
	t.Run("to a message", func(t *testing.T) {
		t.Parallel()
		server := newSMSC(t, nil, numbered("submit_sm", func(_ smscConn, _ smscPDU, n int) bool { return n == 2 }))
		sender, _ := server.client(t, func(c *SMPPConfig) { c.Window = 1 })
		if err := try(t.Context(), t, sender); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() {
			server.wait("submit_sm", 2)
			cancel(nil)
		}()
		checkFailure(t, try(ctx, t, sender), Error{Kind: KindUnreachable, Code: "ECANCELED"})
		// Nobody waits for its answer, its place in the window is free again, and the
		// bind is the same.
		session, err := sender.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		session.mu.Lock()
		if len(session.pending) != 0 {
			t.Errorf("answers are waited for: %v", session.pending)
		}
		session.mu.Unlock()
		if err := try(t.Context(), t, sender); err != nil {
			t.Fatal(err)
		}
		if n := len(server.got("bind_transceiver")); n != 1 {
			t.Errorf("bound %d times", n)
		}
	})
	t.Run("to a message, for too long", func(t *testing.T) {
		t.Parallel()
		server := newSMSC(t, nil, func(_ smscConn, p smscPDU) bool { return p.Command == "submit_sm" })
		sender, _ := server.client(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		checkFailure(t, try(ctx, t, sender), Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
	})
	t.Run("to everything", func(t *testing.T) {
		t.Parallel()
		server := newSMSC(t, nil, func(_ smscConn, p smscPDU) bool {
			return p.Session == 1 && p.Command == "enquire_link"
		})
		sender, _ := server.client(t, func(c *SMPPConfig) {
			c.EnquireLink, c.Timeout = 100*time.Millisecond, 2*time.Second
		})
		sendEventually(t, sender)
		server.wait("enquire_link", 2)
		server.wait("bind_transceiver", 2)
		sendEventually(t, sender)
	})
}

func TestSMPPKeepsItsBind(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, func(c *SMPPConfig) { c.EnquireLink = 10 * time.Millisecond })
	for range 3 {
		if err := try(t.Context(), t, sender); err != nil {
			t.Fatal(err)
		}
		server.wait("enquire_link", 3)
	}
	seen := map[uint32]bool{}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.opened != 1 {
		t.Errorf("%d connections", server.opened)
	}
	for _, p := range server.received {
		if seen[p.Sequence] || p.Sequence == 0 || int(p.Sequence) > len(server.received) {
			t.Errorf("sequence number %d of %s", p.Sequence, p.Command)
		}
		seen[p.Sequence] = true
	}
}

// What an SMSC asks us is answered, what we do not know is refused, and neither
// costs the bind.
func TestSMPPAnswersTheServer(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	sendEventually(t, sender)
	c := smscConn{server, 1}
	c.send("enquire_link", map[string]any{})
	c.send("query_sm", map[string]any{"message_id": "1", "sequence_number": 77})
	c.write([]byte{0, 0, 0, 18, 0, 0, 0x7f, 0x7f, 0, 0, 0, 0, 0, 0, 0, 78, 1, 2}, 0)                             // no such command
	c.write([]byte{0, 0, 0, 20, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 79, 'x', 'x', 'x', 'x'}, 0)                     // a deliver_sm that ends too soon
	c.write([]byte{0, 0, 0, 16, 0x80, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 80}, 0)                                   // an answer to nothing
	c.write([]byte{0, 0, 0, 20, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 81, 0, 0, 0, 0}, 0)                             // alert_notification, which has no answer
	c.send("deliver_sm", map[string]any{"esm_class": 0, "short_message": "STOP", "source_addr": "819012345678"}) // a person
	server.wait("deliver_sm_resp", 2)
	if got := server.got("enquire_link_resp"); len(got) != 1 {
		t.Errorf("enquire_link: %+v", got)
	}
	var refused []string
	for _, p := range append(server.got("generic_nack"), server.got("deliver_sm_resp")...) {
		refused = append(refused, fmt.Sprintf("%s %d %#x", p.Command, p.Sequence, p.Status))
	}
	if got := strings.Join(refused[:3], ", "); got != "generic_nack 77 0x3, generic_nack 78 0x3, deliver_sm_resp 79 0x65" {
		t.Errorf("answers: %s", got)
	}
	if p := server.got("deliver_sm_resp")[1]; p.Status != 0 {
		t.Errorf("a person's text: %+v", p)
	}
	sendEventually(t, sender)
	if n := len(server.got("bind_transceiver")); n != 1 {
		t.Errorf("bound %d times", n)
	}
}

func TestSMPPServerUnbinds(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	sendEventually(t, sender)
	smscConn{server, 1}.send("unbind", map[string]any{})
	server.wait("unbind_resp", 1)
	server.until("it was hung up on", func() bool { return server.closed == 1 })
	// It is bound again by itself: receipts have to come from somewhere.
	server.wait("bind_transceiver", 2)
	sendEventually(t, sender)
}

// A bind that breaks fails what was under way, and nothing that comes after.
func TestSMPPDroppedMidway(t *testing.T) {
	t.Parallel()
	const texts = 5
	server := newSMSC(t, nil, numbered("submit_sm", func(c smscConn, _ smscPDU, n int) bool {
		if n == 1+texts {
			c.destroy()
		}
		return n > 1 && n <= 1+texts
	}))
	sender, box := server.client(t, nil)
	if err := try(t.Context(), t, sender); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range texts {
		wg.Go(func() { checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: "ECONNRESET"}) })
	}
	wg.Wait()
	// The message waits for the bind and is taken; so are receipts of what was sent before.
	if err := try(t.Context(), t, sender); err != nil {
		t.Fatal(err)
	}
	smscConn{server, 2}.send("deliver_sm", receiptFor("text-1", "DELIVRD"))
	if r := box.next(t); r != (Receipt{Message: "text-1", State: Delivered}) {
		t.Errorf("receipt %+v", r)
	}
}

func TestSMPPGarbage(t *testing.T) {
	t.Parallel()
	http := []byte("HTTP/1.1 400 Bad Request\r\n\r\n")
	huge := []byte{0x00, 0xa0, 0x00, 0x00, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2} // 10 MB
	short := []byte{0, 0, 0, 15, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2}
	negative := []byte{0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2}
	for name, c := range map[string]struct {
		octets []byte
		zeros  int
	}{
		"another protocol": {http, 0}, "10 MB": {huge, 10<<20 - 16}, "a length below the header's": {short, 0}, "a negative length": {negative, 0},
	} {
		for _, command := range []string{"bind_transceiver", "submit_sm"} {
			t.Run(name+" to "+command, func(t *testing.T) {
				t.Parallel()
				server := newSMSC(t, nil, numbered(command, func(s smscConn, _ smscPDU, n int) bool {
					if n == 1 {
						s.write(c.octets, c.zeros)
					}
					return n == 1
				}))
				sender, _ := server.client(t, nil)
				checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: "EPROTO"})
				sendEventually(t, sender)
			})
		}
	}
}

// An answer is an answer, whatever stands in it: the text is on its way.
func TestSMPPUnreadableAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1234567890", 13)
	server := newSMSC(t, nil, numbered("submit_sm", func(c smscConn, p smscPDU, n int) bool {
		switch n {
		case 1: // no NUL behind the name
			c.write([]byte{0, 0, 0, 18, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, byte(p.Sequence), 'x', 'y'}, 0)
		case 2:
			c.respond(p, map[string]any{"message_id": long})
		case 3:
			c.respond(p, map[string]any{"message_id": "a\r\nb"})
		case 4:
			c.respond(p, map[string]any{"message_id": ""})
		case 5:
			c.respond(p, map[string]any{"message_id": "0012AB"})
		}
		return true
	}))
	sender, _ := server.client(t, nil)
	for _, want := range []string{"", "", "", "", "12ab"} {
		if id, err := sender.Send(t.Context(), testMessage(t)); err != nil || id != want {
			t.Errorf("Send = %q, %v, want %q", id, err, want)
		}
	}
}

func TestSMPPWindow(t *testing.T) {
	t.Parallel()
	var held []smscPDU
	server := newSMSC(t, nil, func(_ smscConn, p smscPDU) bool {
		if p.Command == "submit_sm" {
			held = append(held, p)
		}
		return p.Command == "submit_sm"
	})
	sender, _ := server.client(t, func(c *SMPPConfig) { c.Window = 2 })
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := try(t.Context(), t, sender); err != nil {
				t.Error(err)
			}
		})
	}
	server.wait("submit_sm", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkFailure(t, try(ctx, t, sender), Error{Kind: KindRefused, Code: "EBUSY"})
	ended, end := context.WithCancel(t.Context())
	go end()
	checkFailure(t, try(ended, t, sender), Error{Kind: KindUnreachable, Code: "ECANCELED"})
	if n := len(server.got("submit_sm")); n != 2 {
		t.Errorf("%d messages left through a window of 2", n)
	}
	for _, p := range held {
		smscConn{server, 1}.answer(p)
	}
	wg.Wait()
}

func TestSMPPRate(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, func(c *SMPPConfig) { c.Rate = 1 })
	if got := sender.limiter.Limit(); got != 1 {
		t.Errorf("the limit is %v in a second", got)
	}
	sender.limiter.SetLimit(rate.Every(time.Hour))
	if err := try(t.Context(), t, sender); err != nil {
		t.Fatal(err)
	}
	checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindRefused, Code: "EBUSY"})
}

// 1,000 messages at once through a window of 10, to an SMSC that throttles every
// other one, answers ten of them in the wrong order, and sends receipts before and
// after the answers: each message has its own answer, and each that was taken its
// receipt.
func TestSMPPThousandThroughAWindow(t *testing.T) {
	t.Parallel()
	const texts, window = 1000, 10
	var held []smscPDU
	n := 0
	server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
		if p.Command != "submit_sm" {
			return false
		}
		if held = append(held, p); len(held) < window {
			return true
		}
		for _, p := range slices.Backward(held) {
			if n++; n%2 == 0 {
				c.refuse(p, 0x58)
				continue
			}
			answer := func() { c.respond(p, map[string]any{"message_id": "N" + p.Short.Message}) }
			if n%4 == 1 {
				answer()
			}
			c.send("deliver_sm", receiptFor("n"+p.Short.Message, "DELIVRD"))
			if n%4 == 3 {
				answer()
			}
		}
		held = nil
		return true
	})
	sender, box := server.client(t, func(c *SMPPConfig) { c.Window, c.Timeout = window, time.Minute })
	var taken, throttled atomic.Int64
	var wg sync.WaitGroup
	sent := make([]string, texts)
	for i := range texts {
		wg.Go(func() {
			m := testMessage(t)
			m.Body = fmt.Sprint(i)
			id, err := sender.Send(t.Context(), m)
			switch e := AsError(err); {
			case err == nil && id == fmt.Sprintf("n%d", i):
				taken.Add(1)
				sent[i] = id
			case err != nil && *e == Error{Kind: KindAccount, Code: "ESME_RTHROTTLED"}:
				throttled.Add(1)
			default:
				t.Errorf("message %d: %q, %v", i, id, err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != texts/2 || throttled.Load() != texts/2 {
		t.Errorf("%d taken, %d throttled", taken.Load(), throttled.Load())
	}
	receipts := map[string]bool{}
	for range texts / 2 {
		r := box.next(t)
		if receipts[r.Message] || r.State != Delivered {
			t.Errorf("receipt %+v", r)
		}
		receipts[r.Message] = true
	}
	for i, id := range sent {
		if id != "" && !receipts[id] {
			t.Errorf("message %d has no receipt", i)
		}
	}
	if got := len(server.got("submit_sm")); got != texts {
		t.Errorf("%d submits", got)
	}
	server.wait("deliver_sm_resp", texts/2)
}

func TestSMPPUnreachable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host    string
		private bool
		want    Error
	}{
		"refused":      {refusingPort(t), true, Error{Kind: KindUnreachable, Code: "ECONNREFUSED"}},
		"no such host": {"no-such-host.invalid:2775", true, Error{Kind: KindUnreachable, Code: "ENOTFOUND"}},
		"private":      {"localhost:2775", false, Error{Kind: KindForbidden, Code: "EACCES"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender, err := NewSMPP(SMPPConfig{Host: c.host, SystemID: "handset", Password: "hunter2", AllowPrivate: c.private, InsecurePlain: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeSMPP(t, sender) })
			checkFailure(t, try(t.Context(), t, sender), c.want)
			checkFailure(t, sender.Reach(t.Context()), c.want)
		})
	}
}

// refusingPort is one where nobody listens any more.
func refusingPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSMPPObeysItsContext(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	ended, end := context.WithCancel(t.Context())
	end()
	checkFailure(t, try(ended, t, sender), Error{Kind: KindUnreachable, Code: "ECANCELED"})
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.opened != 0 {
		t.Error("it connected for nobody")
	}
}

// Not parallel: it looks at all goroutines of the package.
func TestSMPPEndsWithClose(t *testing.T) {
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	if err := try(t.Context(), t, sender); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(goroutines(t), "smppSession") {
		t.Error("no goroutine is found where there is one")
	}
	closeSMPP(t, sender)
	if left := goroutines(t); strings.Contains(left, "smppSession") || strings.Contains(left, "sms.(*SMPP)") || strings.Contains(left, "smppReceipts") {
		t.Errorf("goroutines are left:\n%s", left)
	}
	server.wait("unbind", 1)
	server.until("it was hung up on", func() bool { return server.closed == 1 })
	checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: "ECANCELED"})

	unused, _ := server.client(t, nil)
	closeSMPP(t, unused)
	checkFailure(t, try(t.Context(), t, unused), Error{Kind: KindUnreachable, Code: "ECANCELED"})

	// An SMSC that says no goodbye, and one that is not there, hold nobody up.
	silent := newSMSC(t, nil, func(_ smscConn, p smscPDU) bool { return p.Command == "unbind" })
	for _, host := range []string{silent.addr(), refusingPort(t)} {
		sender, _ := silent.client(t, func(c *SMPPConfig) { c.Host, c.Backoff = host, time.Hour })
		_ = try(t.Context(), t, sender) // it fails where nobody is
		closeSMPP(t, sender)
	}
	if left := goroutines(t); strings.Contains(left, "smppSession") || strings.Contains(left, "sms.(*SMPP)") {
		t.Errorf("goroutines are left:\n%s", left)
	}
}

func goroutines(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&out, 1); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSMPPBackoff(t *testing.T) {
	t.Parallel()
	for failures, most := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		most *= time.Second
		for range 100 {
			if got := backoff(time.Second, failures); got < most/2 || got > most {
				t.Errorf("after %d failures: %v", failures, got)
			}
		}
	}
	if got := backoff(time.Second, 1_000_000); got < 15*time.Second || got > 30*time.Second {
		t.Errorf("after many failures: %v", got)
	}
}

// Whoever comes while a session is being replaced gets the next one.
func TestSMPPManyDrops(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
		if p.Command == "submit_sm" && rand.N(20) == 0 {
			c.destroy()
			return true
		}
		return false
	})
	sender, _ := server.client(t, func(c *SMPPConfig) { c.Timeout = time.Minute })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				err := try(t.Context(), t, sender)
				if e, ok := errors.AsType[*Error](err); err != nil && (!ok || *e != Error{Kind: KindUnreachable, Code: "ECONNRESET"}) {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
	wg.Wait()
	sendEventually(t, sender)
}

// A text that comes when its code has ended is of no use: the SMSC is told.
func TestSMPPValidity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		valid time.Duration
		want  string
	}{
		{0, ""}, {-time.Second, ""}, {time.Millisecond, "000000000001000R"}, {5 * time.Minute, "000000000500000R"},
		{time.Hour + time.Minute + 59500*time.Millisecond, "000000010200000R"}, {48 * time.Hour, "000000235959000R"},
	} {
		if got := relativeTime(Message{ValidFor: c.valid}.validSeconds(1, smppLongest)); got != c.want {
			t.Errorf("%v is written %q, want %q", c.valid, got, c.want)
		}
	}
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, nil)
	for i, valid := range []time.Duration{0, 5 * time.Minute} {
		m := testMessage(t)
		m.ValidFor = valid
		if _, err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if said := server.got("submit_sm")[i].Validity; (said != nil && said != "") != (valid > 0) {
			t.Errorf("for %v it says %v", valid, said)
		}
	}
}

// An SMSC that knows no times from now gets none, from the same text on.
func TestSMPPValidityNotUnderstood(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, numbered("submit_sm", func(c smscConn, p smscPDU, _ int) bool {
		if p.Validity == nil || p.Validity == "" {
			return false
		}
		c.refuse(p, 0x62)
		return true
	}))
	sender, _ := server.client(t, nil)
	for range 2 {
		m := testMessage(t)
		m.ValidFor = 5 * time.Minute
		if _, err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(server.got("submit_sm")); n != 3 {
		t.Errorf("%d tries for two texts, want 3", n)
	}
}

// Who has nobody to take receipts binds so that the SMSC sends it none.
func TestSMPPTransmitter(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, func(c *SMPPConfig) { c.Receipts = nil })
	sendEventually(t, sender)
	if n := len(server.got("bind_transmitter")); n != 1 || len(server.got("bind_transceiver")) != 0 {
		t.Errorf("bound %d times as a transmitter", n)
	}
	// One that comes all the same is the SMSC's to keep.
	smscConn{server, 1}.send("deliver_sm", receiptFor("t1", "DELIVRD"))
	if p := server.wait("deliver_sm_resp", 1)[0]; p.Status != 0x64 {
		t.Errorf("answer %+v", p)
	}
}
