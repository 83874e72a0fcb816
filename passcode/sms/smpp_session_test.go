package sms

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// A server is asked whether it is there as often as the configuration says, for as
// long as it answers, and hung up on when it has said nothing for that long and the
// time of an answer besides. Hours pass here, so that the peer is one of our own.
func TestSMPPSilenceIsMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := newSMPPSession(&SMPPConfig{EnquireLink: 30 * time.Second, Timeout: 10 * time.Second}, ours, nil)
		began := time.Now()
		asked := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				header, _, err := readPDU(theirs)
				if err != nil {
					return
				}
				if header.CommandID != data.ENQUIRE_LINK || header.CommandStatus != 0 {
					t.Errorf("it says %+v", header)
				}
				if asked++; asked > 120 {
					continue // an hour has passed
				}
				answer := pdu.NewEnquireLinkResp()
				answer.SetSequenceNumber(header.SequenceNumber)
				b := pdu.NewBuffer(nil)
				answer.Marshal(b)
				if _, err := theirs.Write(b.Bytes()); err != nil {
					t.Error(err)
				}
			}
		}()
		s.run(t.Context())
		<-done
		if took := time.Since(began); took != time.Hour+40*time.Second || asked != 121 {
			t.Errorf("it ended after %v, having asked %d times", took, asked)
		}
		if why := s.why(); *why != (Error{Kind: KindTimeout, Code: "ETIMEDOUT"}) {
			t.Errorf("it ended by %v", why)
		}
	})
}

// Whatever an SMSC sends, the worst it can end is the session.
func TestSMPPPanicEndsTheSession(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := newSMPPSession(&SMPPConfig{EnquireLink: time.Hour, Timeout: 10 * time.Second}, ours, func(Receipt) bool { panic("broken") })
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(t.Context())
	}()
	p := pdu.NewDeliverSM().(*pdu.DeliverSM)
	p.EsmClass = esmReceipt
	if err := p.Message.SetMessageWithEncoding("id:1 stat:DELIVRD", data.GSM7BIT); err != nil {
		t.Fatal(err)
	}
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	if _, err := theirs.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	<-done
	if why := s.why(); *why != (Error{Kind: KindUnreachable, Code: "EPROTO"}) {
		t.Errorf("it ended by %v", why)
	}
}

// A body at which the library panics: whatever an SMSC sends, the worst it can end is
// the session.
func TestSMPPBodyThatPanics(t *testing.T) {
	t.Parallel()
	if _, p, err := parsePDU(pdu.Header{}, panickingFrame()); p != nil || !errors.Is(err, errPDU) {
		t.Errorf("read as %v, %v", p, err)
	}
}

// panickingFrame is a query_sm with a parameter, which decision 0014 tells of.
func panickingFrame() []byte {
	frame := []byte{0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 0x00, 0x1e, 0, 1, 0}
	frame[3] = byte(len(frame))
	return frame
}

// A peer that reads nothing holds a message up no longer than an answer may take.
func TestSMPPPeerThatReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s := newSMPPSession(&SMPPConfig{EnquireLink: time.Hour, Timeout: 10 * time.Second}, ours, nil)
		began := time.Now()
		go s.run(t.Context())
		_, err := s.submit(t.Context(), pdu.NewSubmitSM().(*pdu.SubmitSM))
		checkFailure(t, err, Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
