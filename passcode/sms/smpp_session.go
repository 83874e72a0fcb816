package sms

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// unbindWait is how long an SMSC has to say goodbye.
const unbindWait = 2 * time.Second

// smppSession is one bind: a connection that the SMSC has let in, with what was
// submitted on it and has no answer yet. It ends once, for whatever reason comes
// first, and never begins again.
type smppSession struct {
	config *SMPPConfig
	conn   net.Conn
	in     *bufio.Reader
	take   func(Receipt) bool
	// out leads to the one goroutine that writes; nil is the last word.
	out   chan pdu.PDU
	ended chan struct{}

	mu       sync.Mutex
	cause    *Error
	sequence int32
	pending  map[int32]chan<- smppAnswer
	// heard says that the SMSC spoke after it let us in.
	heard bool
}

// smppAnswer is what an SMSC said to a submit_sm.
type smppAnswer struct {
	status data.CommandStatusType
	id     string
}

func newSMPPSession(c *SMPPConfig, conn net.Conn, take func(Receipt) bool) *smppSession {
	return &smppSession{
		config: c, conn: conn, in: bufio.NewReader(conn), take: take,
		out: make(chan pdu.PDU), ended: make(chan struct{}), pending: map[int32]chan<- smppAnswer{},
	}
}

// openSMPP connects and binds. Its error is an [*Error].
func openSMPP(ctx context.Context, c *SMPPConfig, take func(Receipt) bool) (*smppSession, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, transportError(err)
	}
	s := newSMPPSession(c, conn, take)
	hangUp := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = s.bind()
	if !hangUp() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err() // what a closed connection says of itself is of no use
		}
		if refused, ok := errors.AsType[*Error](err); ok {
			return nil, refused
		}
		return nil, transportError(err)
	}
	return s, nil
}

func (s *smppSession) bind() error {
	kind, answer := pdu.Transceiver, data.BIND_TRANSCEIVER_RESP
	if s.config.Receipts == nil { // those that come are not ours to swallow
		kind, answer = pdu.Transmitter, data.BIND_TRANSMITTER_RESP
	}
	request := pdu.NewBindRequest(kind)
	request.SystemID, request.Password, request.SystemType = s.config.SystemID, s.config.Password, s.config.SystemType
	request.SetSequenceNumber(s.next())
	if err := s.put(request); err != nil {
		return err
	}
	for {
		header, _, err := readPDU(s.in)
		if err != nil {
			return err
		}
		switch status := statusOf(header); {
		case header.CommandID != answer && header.CommandID != data.GENERIC_NACK:
		case status != data.ESME_ROK:
			return &Error{Kind: KindUnreachable, Code: statusError(status).Code}
		default:
			return nil
		}
	}
}

// statusOf returns what a response says. A generic_nack is a refusal, whatever its
// status.
func statusOf(header pdu.Header) data.CommandStatusType {
	if header.CommandID == data.GENERIC_NACK && header.CommandStatus == data.ESME_ROK {
		return data.ESME_RUNKNOWNERR
	}
	return header.CommandStatus
}

// run serves the session until it ends; when ctx ends, it says goodbye.
func (s *smppSession) run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(s.write)
	work.Go(s.read)
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.unbind()
	}
	work.Wait()
}

// unbind lets the SMSC finish what it is saying.
func (s *smppSession) unbind() {
	timer := time.NewTimer(unbindWait)
	defer timer.Stop()
	request := pdu.NewUnbind()
	request.SetSequenceNumber(s.next())
	out := s.out
	for {
		select {
		case out <- request:
			out = nil
		case <-timer.C:
			s.end(context.Canceled)
		case <-s.ended:
			return
		}
	}
}

// end ends the session. What is under way fails by the cause.
func (s *smppSession) end(cause error) {
	s.mu.Lock()
	first := s.cause == nil
	if first {
		s.cause = transportError(cause)
	}
	s.mu.Unlock()
	if first {
		close(s.ended)
		_ = s.conn.Close() // it is of no use any more
	}
}

// why returns what ended the session.
func (s *smppSession) why() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// proved reports whether the SMSC did more than let us in.
func (s *smppSession) proved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// next returns a sequence number: 1 to 0x7fffffff (SMPP 3.4 §3.2).
func (s *smppSession) next() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextLocked()
}

func (s *smppSession) nextLocked() int32 {
	if s.sequence++; s.sequence <= 0 {
		s.sequence = 1
	}
	return s.sequence
}

var errNotSubmitted = errors.New("session ended before the message left")

// submit sends a message and waits for the answer. It returns errNotSubmitted when
// the message can't have left, and otherwise an [*Error].
func (s *smppSession) submit(ctx context.Context, p *pdu.SubmitSM) (smppAnswer, error) {
	answers := make(chan smppAnswer, 1)
	s.mu.Lock()
	sequence := s.nextLocked()
	s.pending[sequence] = answers
	s.mu.Unlock()
	defer s.forget(sequence)
	p.SetSequenceNumber(sequence)
	select {
	case s.out <- p:
	case <-s.ended:
		return smppAnswer{}, errNotSubmitted
	case <-ctx.Done():
		return smppAnswer{}, transportError(ctx.Err())
	}
	select {
	case a := <-answers:
		return a, nil
	case <-s.ended:
	case <-ctx.Done():
	}
	select {
	case a := <-answers: // it came together with the end
		return a, nil
	default:
	}
	if cause := s.why(); cause != nil {
		return smppAnswer{}, cause
	}
	return smppAnswer{}, transportError(ctx.Err())
}

func (s *smppSession) forget(sequence int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, sequence)
}

// write sends what is to be said, and asks whether anybody is there.
func (s *smppSession) write() {
	defer func() {
		if recover() != nil { // a PDU that the library can't make must not end the process
			s.end(errPDU)
		}
	}()
	ticker := time.NewTicker(s.config.EnquireLink)
	defer ticker.Stop()
	for {
		var p pdu.PDU
		select {
		case p = <-s.out:
		case <-ticker.C:
			p = pdu.NewEnquireLink()
			p.SetSequenceNumber(s.next())
		case <-s.ended:
			return
		}
		if p == nil {
			s.end(io.EOF)
			return
		}
		// A peer that reads nothing is hung up on.
		stalled := time.AfterFunc(s.config.Timeout, func() { s.end(context.DeadlineExceeded) })
		err := s.put(p)
		stalled.Stop()
		if err != nil {
			s.end(err)
			return
		}
	}
}

// put writes one PDU.
func (s *smppSession) put(p pdu.PDU) error {
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	_, err := s.conn.Write(b.Bytes())
	return err
}

// say hands a PDU to the writer. Nothing is left to be said when the session ended.
func (s *smppSession) say(p pdu.PDU) {
	select {
	case s.out <- p:
	case <-s.ended:
	}
}

// read hears the SMSC until the session ends, by silence at the latest: whatever
// comes is a sign of life.
func (s *smppSession) read() {
	defer func() {
		if recover() != nil { // what an SMSC sends must not end the process
			s.end(errPDU)
		}
	}()
	patience := s.config.EnquireLink + s.config.Timeout
	silence := time.AfterFunc(patience, func() { s.end(context.DeadlineExceeded) })
	defer silence.Stop()
	for {
		header, p, err := readPDU(s.in)
		if err != nil {
			s.end(err)
			return
		}
		silence.Reset(patience)
		if s.hear(header, p); header.CommandID == data.UNBIND || header.CommandID == data.UNBIND_RESP {
			return
		}
	}
}

// hear does what a PDU asks for; p is nil when readPDU says no more than the header.
func (s *smppSession) hear(header pdu.Header, p pdu.PDU) {
	switch header.CommandID {
	case data.SUBMIT_SM_RESP, data.GENERIC_NACK:
		s.answered(header, p)
	case data.DELIVER_SM, data.DATA_SM:
		s.deliver(header, p)
	case data.ENQUIRE_LINK:
		s.respond(header, pdu.NewEnquireLinkResp(), data.ESME_ROK)
	case data.UNBIND:
		s.respond(header, pdu.NewUnbindResp(), data.ESME_ROK)
		s.say(nil)
		return
	case data.UNBIND_RESP:
		s.end(io.EOF)
		return
	default:
		if isRequest(header.CommandID) {
			s.respond(header, pdu.NewGenericNack(), data.ESME_RINVCMDID)
		}
	}
	s.mu.Lock()
	s.heard = true
	s.mu.Unlock()
}

// isRequest reports whether a command wants an answer. Responses have the highest
// bit set; these two notices have none.
func isRequest(id data.CommandIDType) bool {
	return id >= 0 && id != data.ALERT_NOTIFICATION && id != data.OUTBIND
}

func (s *smppSession) respond(header pdu.Header, p pdu.PDU, status data.CommandStatusType) {
	p.SetSequenceNumber(header.SequenceNumber)
	switch p := p.(type) {
	case *pdu.DeliverSMResp:
		p.CommandStatus = status
	case *pdu.DataSMResp:
		p.CommandStatus = status
	case *pdu.GenericNack:
		p.CommandStatus = status
	}
	s.say(p)
}

// answered tells whoever waits for it. An answer that took too long finds nobody,
// and one whose body can't be read is an answer all the same.
func (s *smppSession) answered(header pdu.Header, p pdu.PDU) {
	s.mu.Lock()
	waiting := s.pending[header.SequenceNumber]
	delete(s.pending, header.SequenceNumber)
	s.mu.Unlock()
	if waiting == nil {
		return
	}
	a := smppAnswer{status: statusOf(header)}
	if resp, ok := p.(*pdu.SubmitSMResp); ok {
		a.id = messageID(resp.MessageID)
	}
	waiting <- a
}

// deliver takes a receipt and answers, always: an SMSC that gets no answer sends the
// same again and nothing else. It asks for another try only when there is no room.
func (s *smppSession) deliver(header pdu.Header, p pdu.PDU) {
	status := data.ESME_ROK
	if p == nil {
		status = data.ESME_RX_P_APPN
	} else if r, ok := readReceipt(p, s.config.ReceiptID); ok && !s.take(r) {
		status = data.ESME_RX_T_APPN
	}
	response := pdu.NewDeliverSMResp()
	if header.CommandID == data.DATA_SM {
		response = pdu.NewDataSMResp()
	}
	s.respond(header, response, status)
}
