package sms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// Receipts as vendors document them.
func TestSMPPReceiptTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]receiptText{
		"id:0123456789 sub:001 dlvrd:001 submit date:0809011130 done date:0809011131 stat:DELIVRD err:000 text:":                 {"0123456789", "DELIVRD", "000"},
		"id:0911897980 sub:001 dlvrd:000 submit date:1201121551 done date:1201121551 stat:UNDELIV err:075 text:-PROFILE":         {"0911897980", "UNDELIV", "075"},
		"id:0118Z-0122I-2309U-57DGB sub:000 dlvrd:000 submitdate:180122230957 donedate:000000000000 stat:REJECTED err:375 text:": {"0118Z-0122I-2309U-57DGB", "REJECTED", "375"},
		"id:40072910491427628 sub:001 dlvrd:001 submit date:1007291049 done date:1007291049 stat:DELIVRD err:000":                {"40072910491427628", "DELIVRD", "000"},
		"ID:7 STAT:expired ERR:1a":   {"7", "EXPIRED", "1a"},
		"stat:DELIVRD id:7":          {"7", "DELIVRD", ""},
		"id:7;stat:DELIVRD;err:0":    {"7", "DELIVRD", "0"},
		"id:7\nstat:DELIVRD\x00rest": {"7", "DELIVRD", ""},
		"id: stat:DELIVRD":           {"", "DELIVRD", ""},
		"":                           {},
		"STOP":                       {},
		"pid:7 xstat:DELIVRD":        {},
		// What we texted stands at the end, and may look like anything.
		"id:7 stat:UNDELIV err:001 text:stat:DELIVRD id:8":            {"7", "UNDELIV", "001"},
		"id:7 Text:stat:DELIVRD":                                      {"7", "", ""},
		"id:" + strings.Repeat("7", 129) + " stat:DELIVRD":            {"", "DELIVRD", ""},
		"id:7\x1b[31m stat:DEL/IVRD err:$(x)":                         {"7", "", ""},
		"id:7 stat:" + strings.Repeat("x", 41) + " err:+819012345678": {"7", "", ""},
		"id:7 stat:ДОСТАВЛЕНО err:000":                                {"7", "", "000"},
		"\xff\xfeid:8 id:9 stat:DELIVRD":                              {"9", "DELIVRD", ""},
		strings.Repeat("text", 5) + " id:7 stat:DELIVRD":              {"7", "DELIVRD", ""},
		strings.Repeat("i", 1000) + " id:7 stat:" + "UNKNOWN":         {"7", "UNKNOWN", ""},
	} {
		if got := parseReceiptText(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestSMPPReceiptStates(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]State{
		"ENROUTE": Sent, "ACCEPTD": Sent, "DELIVRD": Delivered, "EXPIRED": Undelivered, "UNDELIV": Undelivered,
		"DELETED": Undelivered, "REJECTD": Failed, "UNKNOWN": Unknown, "WHATEVER": Unknown, "": Unknown,
	} {
		if got := (receiptText{stat: word}).state(); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
	for value, want := range map[byte]State{1: Sent, 2: Delivered, 3: Undelivered, 4: Undelivered, 5: Undelivered, 6: Sent, 7: Unknown, 8: Failed} {
		word := messageStates[value]
		if got := (receiptText{stat: word}).state(); got != want {
			t.Errorf("message_state %d: %s, want %s", value, got, want)
		}
	}
}

// receipts of the text form, of parameters alone, and of both.
func TestSMPPReceiptPDUs(t *testing.T) {
	t.Parallel()
	const (
		delivered = "id:00123 sub:001 stat:DELIVRD err:000 text:"
		lost      = "id:00123 sub:001 stat:UNDELIV err:011 text:"
	)
	tlv := func(fields ...pdu.Field) map[pdu.Tag]pdu.Field {
		out := map[pdu.Tag]pdu.Field{}
		for _, f := range fields {
			out[f.Tag] = f
		}
		return out
	}
	named := pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("00ABC\x00")}
	state := func(n byte) pdu.Field { return pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{n}} }
	network := pdu.Field{Tag: pdu.TagNetworkErrorCode, Data: []byte{3, 0x01, 0x02}}
	for name, c := range map[string]struct {
		esm  byte
		text string
		tlvs map[pdu.Tag]pdu.Field
		want Receipt
		ok   bool
	}{
		"text":                        {0x04, delivered, nil, Receipt{Message: "123", State: Delivered}, true},
		"text, lost":                  {0x04, lost, nil, Receipt{Message: "123", State: Undelivered, Code: "UNDELIV-011"}, true},
		"with a reply path":           {0x84, delivered, nil, Receipt{Message: "123", State: Delivered}, true},
		"intermediate":                {0x20, "id:123 stat:ENROUTE err:011", nil, Receipt{Message: "123", State: Sent}, true},
		"parameters":                  {0x04, "", tlv(named, state(2)), Receipt{Message: "abc", State: Delivered}, true},
		"parameters, lost":            {0x04, "", tlv(named, state(5), network), Receipt{Message: "abc", State: Undelivered, Code: "UNDELIV-258"}, true},
		"parameters without the mark": {0x00, "", tlv(named, state(8)), Receipt{Message: "abc", State: Failed, Code: "REJECTD"}, true},
		"both":                        {0x04, lost, tlv(named, state(3)), Receipt{Message: "abc", State: Undelivered, Code: "EXPIRED-011"}, true},
		"a state of later versions":   {0x04, delivered, tlv(state(9)), Receipt{Message: "123", State: Delivered}, true},
		"a state of two octets":       {0x04, delivered, tlv(pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{0, 5}}), Receipt{Message: "123", State: Delivered}, true},
		"no state":                    {0x04, "id:1", nil, Receipt{Message: "1", State: Unknown}, true},
		"no name":                     {0x04, "stat:DELIVRD", nil, Receipt{State: Delivered}, false},
		"nothing":                     {0x04, "", nil, Receipt{State: Unknown}, false},
		"what a person texts":         {0x00, delivered, nil, Receipt{}, false},
		"what a phone acknowledges":   {0x08, delivered, nil, Receipt{}, false},
		"a state of no message":       {0x00, delivered, tlv(state(2)), Receipt{}, false},
		"a name that is none":         {0x04, "", tlv(pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("a\nb\x00")}, state(2)), Receipt{State: Delivered}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := receiptOf(c.esm, c.text, c.tlvs, sameID); ok != c.ok || got != c.want {
				t.Errorf("%+v, %t, want %+v, %t", got, ok, c.want, c.ok)
			}
		})
	}
}

// Some SMSCs answer in hexadecimal and write receipts in decimal, or the other way
// round, and with zeros in front.
func TestSMPPReceiptIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ answer, receipt, base string }{
		{"abc", "ABC", sameID}, {"12345", "0000012345", sameID}, {"0012345", "12345", sameID}, {"0", "000", sameID},
		{"0118Z-0122I", "0118Z-0122I", sameID}, {"0f3a9c1e-11d2", "0F3A9C1E-11D2", sameID}, {"text-1", "text-1", ""},
		{"1A2B3C4D", "439041101", decimalID}, {"1a2b3c4d", "0439041101", decimalID}, {"0000000012345678", "305419896", decimalID},
		{"FFFFFFFFFFFFFFFFFF", "4722366482869645213695", decimalID},
		{"1a2b3c4d", "1a2b3c4d", decimalID}, // in hexadecimal after all
		{"439041101", "1A2B3C4D", hexID}, {"0439041101", "1a2b3c4d", hexID},
		{"uuid-7", "uuid-7", decimalID}, {"uuid-7", "uuid-7", hexID},
	} {
		if named, said := messageID(c.answer), receiptID(c.receipt, c.base); named != said || named == "" {
			t.Errorf("%s: answered %q is %q, receipted %q is %q", c.base, c.answer, named, c.receipt, said)
		}
	}
	for _, id := range []string{"-1", "+1", "1_0", "0x10"} {
		if got := receiptID(id, decimalID); got != messageID(id) {
			t.Errorf("%q is taken for a number: %q", id, got)
		}
	}
	if messageID("12") == messageID("13") || receiptID("12", decimalID) == messageID("12") {
		t.Error("different messages have one name")
	}
}

func TestSMPPReceiptsArrive(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, box := server.client(t, nil)
	sendEventually(t, sender)
	c := smscConn{server, 1}
	ucs2, err := data.UCS2.Encode("id:u1 stat:EXPIRED err:003 text:")
	if err != nil {
		t.Fatal(err)
	}
	type fields = map[string]any
	for _, r := range []struct {
		command string
		options fields
		want    Receipt
	}{
		{"deliver_sm", receiptFor("t1", "DELIVRD"), Receipt{Message: "t1", State: Delivered}},
		{"deliver_sm", receiptFor("t2", "UNDELIV"), Receipt{Message: "t2", State: Undelivered, Code: "UNDELIV"}},
		{"deliver_sm", fields{"esm_class": 4, "receipted_message_id": "t3", "message_state": 8}, Receipt{Message: "t3", State: Failed, Code: "REJECTD"}},
		{"deliver_sm", fields{"esm_class": 4, "data_coding": 8, "short_message": fields{"hex": hex.EncodeToString(ucs2)}}, Receipt{Message: "u1", State: Undelivered, Code: "EXPIRED-003"}},
		{"deliver_sm", fields{"esm_class": 4, "message_payload": "id:t4 stat:ACCEPTD"}, Receipt{Message: "t4", State: Sent}},
		{"data_sm", fields{"esm_class": 4, "receipted_message_id": "t5", "message_state": 2}, Receipt{Message: "t5", State: Delivered}},
		{"data_sm", fields{"esm_class": 4, "message_payload": "id:t6 stat:DELETED err:000"}, Receipt{Message: "t6", State: Undelivered, Code: "DELETED"}},
	} {
		c.send(r.command, r.options)
		if got := box.next(t); got != r.want {
			t.Errorf("%v: %+v, want %+v", r.options, got, r.want)
		}
	}
	for _, p := range append(server.wait("deliver_sm_resp", 5), server.wait("data_sm_resp", 2)...) {
		if p.Status != 0 {
			t.Errorf("%s %#x", p.Command, p.Status)
		}
	}
}

// Whoever texts us what looks like a receipt has made none, and is answered all the
// same.
func TestSMPPForgedReceipts(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, box := server.client(t, nil)
	sendEventually(t, sender)
	c := smscConn{server, 1}
	forged := receiptFor("text-1", "DELIVRD")
	forged["esm_class"] = 0
	c.send("deliver_sm", forged)
	c.send("deliver_sm", map[string]any{"esm_class": 0x40, "short_message": map[string]any{"hex": "0003000201" + hex.EncodeToString([]byte("id:text-1 stat:DELIVRD"))}})
	server.wait("deliver_sm_resp", 2)
	c.send("deliver_sm", receiptFor("text-1", "UNDELIV"))
	if r := box.next(t); r.State != Undelivered {
		t.Errorf("receipt %+v", r)
	}
}

// A receipt that overtakes the answer comes after it; one that speaks of another
// server's message does not wait for long.
func TestSMPPReceiptBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	var held smscPDU
	server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
		if p.Command == "submit_sm" {
			held = p
			c.send("deliver_sm", receiptFor("early", "DELIVRD"))
			c.send("deliver_sm", receiptFor("elsewhere", "UNDELIV"))
		}
		return p.Command == "submit_sm"
	})
	sender, box := server.client(t, nil)
	done := make(chan error, 1)
	go func() {
		id, err := sender.Send(t.Context(), testMessage(t))
		if id != "early" && err == nil {
			err = fmt.Errorf("named %q", id)
		}
		done <- err
	}()
	// Both are answered, and neither is passed on while the message has no name.
	server.wait("deliver_sm_resp", 2)
	select {
	case r := <-box:
		t.Errorf("too early: %+v", r)
	default:
	}
	smscConn{server, 1}.respond(held, map[string]any{"message_id": "early"})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Receipt{
		{Message: "early", State: Delivered}, {Message: "elsewhere", State: Undelivered, Code: "UNDELIV"},
	}, []Receipt{box.next(t), box.next(t)}); d != "" {
		t.Errorf("receipts (-want +got):\n%s", d)
	}
}

func TestSMPPReceiptsOfParts(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, func(c smscConn, p smscPDU) bool {
		if p.Command != "submit_sm" {
			return false
		}
		part := p.Short.UDH[0][8:]
		if part == "02" { // its receipt comes before its answer, and before that of the first
			c.send("deliver_sm", receiptFor("P02", "DELIVRD"))
		}
		c.respond(p, map[string]any{"message_id": "p" + part})
		return true
	})
	sender, box := server.client(t, nil)
	m := testMessage(t)
	m.Body = strings.Repeat("0123456789", 40)
	if id, err := sender.Send(t.Context(), m); err != nil || id != "p01" {
		t.Fatalf("Send = %q, %v", id, err)
	}
	server.wait("deliver_sm_resp", 1)
	c := smscConn{server, 1}
	c.send("deliver_sm", receiptFor("p03", "ENROUTE"))
	c.send("deliver_sm", receiptFor("p01", "DELIVRD"))
	c.send("deliver_sm", receiptFor("p03", "DELIVRD"))
	want := []Receipt{{Message: "p01", State: Sent}, {Message: "p01", State: Delivered}}
	if d := cmp.Diff(want, []Receipt{box.next(t), box.next(t)}); d != "" {
		t.Errorf("receipts (-want +got):\n%s", d)
	}
}

// A second part that is refused fails the message; so does the first.
func TestSMPPPartsRefused(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, numbered("submit_sm", func(c smscConn, p smscPDU, n int) bool {
		if n == 2 {
			c.refuse(p, 0x58)
		}
		return n == 2
	}))
	sender, _ := server.client(t, nil)
	m := testMessage(t)
	m.Body = strings.Repeat("0123456789", 40)
	_, err := sender.Send(t.Context(), m)
	checkFailure(t, err, Error{Kind: KindAccount, Code: "ESME_RTHROTTLED"})
	if n := len(server.got("submit_sm")); n != 2 {
		t.Errorf("%d parts left", n)
	}
}

// What nobody takes is asked for again, so that nothing is lost.
func TestSMPPReceiptsWithoutRoom(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	blocked, got := make(chan struct{}), make(chan Receipt, 8*maxWaiting)
	unblock := sync.OnceFunc(func() { close(blocked) })
	sender, _ := server.client(t, func(c *SMPPConfig) {
		c.Receipts = func(_ context.Context, r Receipt) error { <-blocked; got <- r; return nil }
	})
	t.Cleanup(unblock) // before it is closed
	sendEventually(t, sender)
	c := smscConn{server, 1}
	n := 0
	for full := false; !full; {
		for range 256 {
			n++
			c.send("deliver_sm", receiptFor(fmt.Sprintf("t%d", n), "DELIVRD"))
		}
		for _, p := range server.wait("deliver_sm_resp", n) {
			full = full || p.Status == 0x64
		}
		if n > 4*maxWaiting {
			t.Fatal("there is always room")
		}
	}
	// Texts go on meanwhile.
	sendEventually(t, sender)
	unblock()
	taken := 0
	for _, p := range server.got("deliver_sm_resp") {
		if p.Status == 0 {
			taken++
		}
	}
	for range taken {
		receiptBox(got).next(t)
	}
	if taken < maxWaiting {
		t.Errorf("room for %d", taken)
	}
}

// What can't be kept is tried again, and the SMSC keeps what comes meanwhile: its
// receipts would be lost with a server that ends.
func TestSMPPReceiptsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var kept []string
		var tries atomic.Int32
		s := newSMPPReceipts(func(_ context.Context, r Receipt) error {
			if tries.Add(1); down.Load() {
				return errors.New("SQL is down")
			}
			kept = append(kept, r.Message)
			return nil
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(t.Context())
		}()
		down.Store(true)
		if !s.take(Receipt{Message: "a", State: Delivered}) {
			t.Fatal("the first is not taken")
		}
		synctest.Wait()
		if s.take(Receipt{Message: "b", State: Delivered}) {
			t.Error("one is taken while none can be kept")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := tries.Load(); n < 4 || n > 10 {
			t.Errorf("%d tries in a minute", n)
		}
		down.Store(false)
		time.Sleep(maxBackoff)
		synctest.Wait()
		if !s.take(Receipt{Message: "c", State: Delivered}) {
			t.Error("none is taken though they can be kept again")
		}
		synctest.Wait()

		// At the end each has one more try, and what is lost is told.
		down.Store(true)
		s.take(Receipt{Message: "d", State: Delivered})
		synctest.Wait()
		s.close()
		<-done
		if n := s.left(); n != 1 {
			t.Errorf("%d are left, want 1", n)
		}
		if want := []string{"a", "c"}; !slices.Equal(kept, want) {
			t.Errorf("kept %q, want %q", kept, want)
		}
	})
}

// A receipt at which whoever keeps it panics holds up no other.
func TestSMPPReceiptThatPanics(t *testing.T) {
	t.Parallel()
	var kept []string
	s := newSMPPReceipts(func(_ context.Context, r Receipt) error {
		if r.Message == "a" {
			panic("broken")
		}
		kept = append(kept, r.Message)
		return nil
	})
	s.take(Receipt{Message: "a", State: Delivered})
	s.take(Receipt{Message: "b", State: Delivered})
	s.close()
	s.run(t.Context())
	if !slices.Equal(kept, []string{"b"}) || s.left() != 0 {
		t.Errorf("kept %q, %d left", kept, s.left())
	}
}

// tracked runs a history of the tracker and returns what it passed on.
func tracked(history func(s *smppReceipts)) []string {
	var out []string
	s := newSMPPReceipts(func(_ context.Context, r Receipt) error {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Message, r.State, r.Code)))
		return nil
	})
	history(s)
	s.close()
	s.run(context.Background())
	return out
}

func TestSMPPReceiptsTracked(t *testing.T) {
	t.Parallel()
	send := func(s *smppReceipts, names ...string) { s.end(s.begin(), names) }
	got := func(s *smppReceipts, id string, state State) {
		code := ""
		if state != Delivered && state != Sent {
			code = "x"
		}
		s.take(Receipt{Message: id, State: state, Code: code})
	}
	for name, c := range map[string]struct {
		history func(s *smppReceipts)
		want    []string
	}{
		"one part":  {func(s *smppReceipts) { send(s, "a"); got(s, "a", Sent); got(s, "a", Delivered) }, []string{"a sent", "a delivered"}},
		"of nobody": {func(s *smppReceipts) { got(s, "b", Delivered) }, []string{"b delivered"}},
		"all parts": {func(s *smppReceipts) {
			send(s, "a", "b", "c")
			for _, id := range []string{"c", "a", "b"} {
				got(s, id, Delivered)
			}
		}, []string{"a delivered"}},
		"sent once": {func(s *smppReceipts) {
			send(s, "a", "b")
			got(s, "b", Sent)
			got(s, "a", Sent)
			got(s, "a", Delivered)
			got(s, "b", Delivered)
		}, []string{"a sent", "a delivered"}},
		"the first loss decides": {func(s *smppReceipts) {
			send(s, "a", "b", "c")
			got(s, "b", Delivered)
			got(s, "c", Undelivered)
			got(s, "c", Sent)
			got(s, "a", Failed)
		}, []string{"a undelivered x"}},
		"a part of which nothing is known": {func(s *smppReceipts) {
			send(s, "a", "b")
			got(s, "a", Unknown)
			got(s, "b", Delivered)
		}, []string{"a unknown"}},
		"the same part twice": {func(s *smppReceipts) {
			send(s, "a", "b")
			got(s, "a", Delivered)
			got(s, "a", Delivered)
		}, nil},
		"parts of one name":    {func(s *smppReceipts) { send(s, "a", "a"); got(s, "a", Delivered) }, []string{"a delivered"}},
		"parts without a name": {func(s *smppReceipts) { send(s, "", ""); got(s, "a", Delivered) }, []string{"a delivered"}},
		"before their names": {func(s *smppReceipts) {
			ticket := s.begin()
			got(s, "b", Delivered)
			got(s, "a", Delivered)
			s.end(ticket, []string{"a", "b"})
		}, []string{"a delivered"}},
		"before the name of the older of two": {func(s *smppReceipts) {
			older := s.begin()
			got(s, "a", Delivered)
			newer := s.begin()
			s.end(newer, []string{"n"})
			got(s, "n", Delivered)
			s.end(older, []string{"a"})
		}, []string{"a delivered", "n delivered"}},
		"later messages do not hold it up": {func(s *smppReceipts) {
			older := s.begin()
			got(s, "a", Delivered)
			later := s.begin()
			got(s, "z", Sent)
			s.end(older, []string{"a"})
			s.take(Receipt{Message: fmt.Sprint(len(s.ready)), State: Delivered})
			s.end(later, nil)
		}, []string{"a delivered", "z sent", "1 delivered"}},
		"of a message that failed": {func(s *smppReceipts) {
			ticket := s.begin()
			got(s, "a", Undelivered)
			s.end(ticket, nil)
		}, []string{"a undelivered x"}},
		"never ended": {func(s *smppReceipts) { s.begin(); got(s, "a", Delivered) }, []string{"a delivered"}},
		"more split messages than are kept": {func(s *smppReceipts) {
			for i := range maxSplit + 1 {
				send(s, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
			}
			got(s, "a0", Delivered) // forgotten: the first part speaks for the message
			got(s, "b1", Delivered)
			got(s, "a1", Delivered)
		}, []string{"a0 delivered", "a1 delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, tracked(c.history)); d != "" {
				t.Errorf("receipts (-want +got):\n%s", d)
			}
		})
	}
}

// What is kept of messages goes when their receipts have come.
func TestSMPPReceiptsForget(t *testing.T) {
	t.Parallel()
	s := newSMPPReceipts(func(context.Context, Receipt) error { return nil })
	for i := range 100 {
		ticket := s.begin()
		names := []string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)}
		s.take(Receipt{Message: names[1], State: Delivered})
		s.end(ticket, names)
		s.take(Receipt{Message: names[0], State: Undelivered})
	}
	s.close()
	s.run(t.Context())
	if n := len(s.open) + len(s.early) + len(s.parts) + len(s.split) + len(s.ready); n != 0 {
		t.Errorf("%d things are kept: %+v", n, s)
	}
}

func FuzzSMPPReceiptText(f *testing.F) {
	for _, seed := range []string{
		"id:0123456789 sub:001 dlvrd:001 submit date:0809011130 done date:0809011131 stat:DELIVRD err:000 text:",
		"id:0118Z-0122I-2309U-57DGB sub:000 dlvrd:000 submitdate:180122230957 donedate:000000000000 stat:REJECTED err:375 text:x",
		"ID:7;STAT:expired;ERR:1a", "text:id:7 stat:DELIVRD", "id:7\x00stat:ДОСТАВЛЕНО", "id:-1 stat:", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		said := parseReceiptText(text)
		if said.id != cleanName(said.id) || strings.ContainsAny(said.id, " ,;") {
			t.Errorf("id %q", said.id)
		}
		// Nothing behind "text:" is heard.
		if more := parseReceiptText("text:" + text); more != (receiptText{}) {
			t.Errorf("%+v", more)
		}
		for _, base := range []string{sameID, decimalID, hexID} {
			r, ok := receiptOf(esmReceipt, text, nil, base)
			if ok != (r.Message != "") || ok != (said.id != "") || r.Code != cleanCode(r.Code) {
				t.Errorf("%s: %+v, %t of %+v", base, r, ok, said)
			}
			if again := receiptID(r.Message, sameID); again != r.Message {
				t.Errorf("%s: %q becomes %q", base, r.Message, again)
			}
		}
	})
}
