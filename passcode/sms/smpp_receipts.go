package sms

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the receipts that nobody has taken yet. An SMSC keeps what we
	// have no room for, and comes again.
	maxWaiting = 1024
	// maxSplit bounds the split messages whose receipts are put together.
	maxSplit = 4096
	// keepAgain is the first wait before a receipt that could not be kept is tried
	// again; it doubles up to maxBackoff.
	keepAgain = time.Second
)

// smppReceipts stands between a connection, on which receipts come at any time, and
// whoever wants them. A receipt may overtake the answer that names its message, and
// the parts of a split message have a receipt each. It is safe for concurrent use.
type smppReceipts struct {
	to func(context.Context, Receipt) error

	mu sync.Mutex
	// tickets counts the messages that were begun; open are those under way.
	tickets uint64
	open    map[uint64]bool
	early   []earlyReceipt
	// parts finds a split message by the name of each of its parts; split has them
	// in their order, oldest first.
	parts map[string]*splitMessage
	split []*splitMessage
	ready []Receipt
	// stuck says that a receipt could not be kept: the SMSC keeps what comes now.
	stuck bool
	// more has room for one: somebody was told that there is something to do.
	more   chan struct{}
	closed chan struct{}
}

// earlyReceipt came when messages were under way of which one may be its own: those
// with tickets up to this one.
type earlyReceipt struct {
	receipt Receipt
	ticket  uint64
}

// splitMessage is a message of several parts.
type splitMessage struct {
	// names are those of its parts; the first one is the message's.
	names []string
	// waiting are the parts without a final receipt.
	waiting map[string]bool
	// sent and ended say what was passed on; unknown, that a part's fate is.
	sent, ended, unknown bool
}

func newSMPPReceipts(to func(context.Context, Receipt) error) *smppReceipts {
	return &smppReceipts{
		to: to, open: map[uint64]bool{}, parts: map[string]*splitMessage{},
		more: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// begin says that a message is about to leave. Whoever begins must end.
func (s *smppReceipts) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets++
	s.open[s.tickets] = true
	return s.tickets
}

// end says how the message is named, part by part; nothing when it was not taken.
func (s *smppReceipts) end(ticket uint64, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ticket)
	s.remember(names)
	s.release()
}

func (s *smppReceipts) remember(names []string) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	if len(names) < 2 {
		return
	}
	m := &splitMessage{names: names, waiting: map[string]bool{}}
	for _, name := range names {
		m.waiting[name] = true
		s.parts[name] = m
	}
	s.split = append(s.split, m)
	if len(s.split) > maxSplit {
		s.forget(s.split[0])
		s.split = s.split[1:]
	}
}

// forget leaves the first part to speak for the message.
func (s *smppReceipts) forget(m *splitMessage) {
	for _, name := range m.names {
		if s.parts[name] == m {
			delete(s.parts, name)
		}
	}
}

// take takes a receipt from the connection, and returns false when there is no room
// or nobody to keep it: the SMSC then sends it again.
func (s *smppReceipts) take(r Receipt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.to == nil || s.stuck || len(s.ready)+len(s.early) >= maxWaiting:
		return false
	case s.parts[r.Message] == nil && len(s.open) > 0:
		s.early = append(s.early, earlyReceipt{r, s.tickets})
	default:
		s.pass(r)
	}
	return true
}

// release passes on what came early, once no message is under way that it might
// speak of.
func (s *smppReceipts) release() {
	oldest := s.tickets + 1
	for ticket := range s.open {
		oldest = min(oldest, ticket)
	}
	kept := s.early[:0]
	for _, e := range s.early {
		if s.parts[e.receipt.Message] == nil && e.ticket >= oldest {
			kept = append(kept, e)
			continue
		}
		s.pass(e.receipt)
	}
	s.early = kept
}

// pass makes a receipt ready, or puts it together with those of the other parts.
// One without a message that we know is passed on as it is: another server, or this
// one before it was started anew, may have sent what it speaks of.
func (s *smppReceipts) pass(r Receipt) {
	if m := s.parts[r.Message]; m != nil {
		s.merge(m, r)
		return
	}
	s.tell(r)
}

// merge: a message is sent when a part is, delivered when all parts are, and lost
// with the first part that is.
func (s *smppReceipts) merge(m *splitMessage, r Receipt) {
	if r.State == Sent {
		if !m.sent && !m.ended {
			m.sent = true
			s.tell(Receipt{Message: m.names[0], State: Sent})
		}
		return
	}
	delete(m.waiting, r.Message)
	m.unknown = m.unknown || r.State == Unknown
	lost := r.State == Undelivered || r.State == Failed
	switch {
	case m.ended:
	case lost:
		s.tell(Receipt{Message: m.names[0], State: r.State, Code: r.Code})
	case len(m.waiting) == 0 && m.unknown:
		s.tell(Receipt{Message: m.names[0], State: Unknown, Code: r.Code})
	case len(m.waiting) == 0:
		s.tell(Receipt{Message: m.names[0], State: Delivered})
	}
	m.ended = m.ended || lost
	if len(m.waiting) == 0 {
		s.forget(m)
		s.split = slices.DeleteFunc(s.split, func(other *splitMessage) bool { return other == m })
	}
}

func (s *smppReceipts) tell(r Receipt) {
	s.ready = append(s.ready, r)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// run passes receipts on, one after the other, until close was called and none is
// left, or none that can be kept.
func (s *smppReceipts) run(ctx context.Context) {
	for open := true; open; {
		select {
		case <-s.more:
		case <-s.closed:
			open = false
		}
		for r, ok := s.first(); ok; r, ok = s.first() {
			if !s.keep(ctx, r) {
				return
			}
			s.kept()
		}
	}
}

// keep passes a receipt on until it is kept; after close it tries once more.
func (s *smppReceipts) keep(ctx context.Context, r Receipt) bool {
	for failures := 0; ; failures++ {
		last := s.isClosed()
		if s.offer(ctx, r) == nil {
			return true
		}
		if last {
			return false
		}
		s.mu.Lock()
		s.stuck = true
		s.mu.Unlock()
		timer := time.NewTimer(backoff(keepAgain, failures))
		select {
		case <-timer.C:
		case <-s.closed:
			timer.Stop()
		}
	}
}

// offer tells of a receipt. One that makes whoever keeps it panic would do so again:
// it counts as kept, and holds up no other.
func (s *smppReceipts) offer(ctx context.Context, r Receipt) (err error) {
	defer func() {
		if recover() != nil {
			err = nil
		}
	}()
	return s.to(ctx, r)
}

func (s *smppReceipts) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// first returns the receipt that has been ready longest, and leaves it there.
func (s *smppReceipts) first() (Receipt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return Receipt{}, false
	}
	return s.ready[0], true
}

// kept drops that receipt.
func (s *smppReceipts) kept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.stuck = s.ready[1:], false
}

// left returns how many receipts are ready and not kept.
func (s *smppReceipts) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// close ends run. No message is under way and no connection open any more.
func (s *smppReceipts) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.open)
	s.release()
	close(s.closed)
}
