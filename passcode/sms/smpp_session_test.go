package sms

import (
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
