package sms

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
	"golang.org/x/time/rate"
)

const (
	smppEnquireLink = 30 * time.Second
	smppWindow      = 10
	// smppBackoff is the first wait before binding again.
	smppBackoff = time.Second
	// What the fields of a bind have room for (SMPP 3.4 §4.1.5). SMSCs give longer
	// passwords than §5.2.2 allows, so that one has no limit here.
	maxSystemID, maxSystemType = 15, 12
)

// SMPPConfig describes an account at an SMSC that speaks SMPP 3.4.
type SMPPConfig struct {
	// Host is where the SMSC listens, as "host:port".
	Host string
	// SystemID, Password and SystemType are the account's.
	SystemID, Password, SystemType string
	// InsecurePlain speaks SMPP without TLS: password, numbers and codes can be read
	// on the way.
	InsecurePlain bool
	// RootCAs vouch for the SMSC; nil are those of the system.
	RootCAs *x509.CertPool
	// AllowPrivate allows loopback and private addresses.
	AllowPrivate bool
	// Window is how many messages may be without an answer; zero is 10. Those that
	// find no place wait.
	Window int
	// Rate is how many messages, or parts of them, leave in a second; zero is no limit.
	Rate int
	// EnquireLink is how often the SMSC is asked whether it is there; zero is 30 s.
	EnquireLink time.Duration
	// Timeout is how long a message may take, and binding; zero is 10 s.
	Timeout time.Duration
	// Backoff is the first wait before binding again, which doubles up to 30 s;
	// zero is 1 s.
	Backoff time.Duration
	// From is the sender as the person sees it: a number, a short code or a name. Empty
	// leaves it to the SMSC.
	From string
	// Source and Destination say what kind of addresses sender and number are.
	Source, Destination SMPPAddress
	// LongPayload sends long texts whole, in message_payload, and not in parts.
	LongPayload bool
	// ReceiptID is the base of the IDs in receipts, where the SMSC writes a number one
	// way when it answers and another in its receipts: "decimal" or "hex". Empty and
	// "same": it writes both alike.
	ReceiptID string
	// Receipts is [Deps.Receipts]. Without it the bind is a transmitter's, so that the
	// SMSC keeps its receipts for whoever wants them.
	Receipts func(context.Context, Receipt) error
}

// SMPP hands messages to an SMSC over one connection, which it opens with the first
// message and opens again, by itself, when it breaks: receipts arrive on it. Each
// SMPP has a bind of its own.
type SMPP struct {
	opaque
	config   SMPPConfig
	source   pdu.Address
	receipts *smppReceipts
	window   chan struct{}
	limiter  *rate.Limiter
	// ref is the name of the last split text; phones put parts together by it.
	ref atomic.Uint32
	// endless: the SMSC does not take the form of our validity_period.
	endless atomic.Bool

	mu   sync.Mutex
	stop context.CancelFunc // nil before the first message
	// closed refuses messages that come after Close.
	closed bool
	bound  *smppBound
	work   sync.WaitGroup
}

// check returns what is wrong, by the names of the options.
func (c SMPPConfig) check() Problems {
	var found Problems
	if err := checkSMPPHost(c.Host, c.AllowPrivate); err != nil {
		found = append(found, Problem{"smpp_host", err.Error()})
	}
	found.note(c.SystemID == "", "smpp_system_id", "is missing")
	found.note(len(c.SystemID) > maxSystemID, "smpp_system_id", fmt.Sprintf("has more than %d characters", maxSystemID))
	found.note(len(c.SystemType) > maxSystemType, "smpp_system_type", fmt.Sprintf("has more than %d characters", maxSystemType))
	const foreign = "has characters that are not ASCII"
	found.note(!plainASCII(c.SystemID), "smpp_system_id", foreign)
	found.note(!plainASCII(c.Password), "smpp_password", foreign)
	found.note(!plainASCII(c.SystemType), "smpp_system_type", foreign)
	_, err := c.Source.sender(c.From)
	found.note(err != nil, "from", "is no number, no short code, and no name of at most 11 ASCII characters")
	return found
}

// NewSMPP checks the configuration and opens nothing. The error is of type
// [Problems].
func NewSMPP(c SMPPConfig) (*SMPP, error) {
	if found := c.check(); len(found) > 0 {
		return nil, found
	}
	c.Window = cmp.Or(c.Window, smppWindow)
	c.EnquireLink = cmp.Or(c.EnquireLink, smppEnquireLink)
	c.Timeout = cmp.Or(c.Timeout, vendorTimeout)
	c.Backoff = cmp.Or(c.Backoff, smppBackoff)
	source, _ := c.Source.sender(c.From) // it was checked
	s := &SMPP{
		opaque: "smpp", config: c, source: source, receipts: newSMPPReceipts(c.Receipts), window: make(chan struct{}, c.Window),
		limiter: rate.NewLimiter(rate.Inf, 1), bound: &smppBound{done: make(chan struct{})},
	}
	if c.Rate > 0 {
		s.limiter.SetLimit(rate.Limit(c.Rate))
	}
	// Servers that begin with the same number would mix up their parts on a phone.
	s.ref.Store(rand.Uint32())
	return s, nil
}

// checkSMPPHost returns what is wrong with an SMSC's address.
func checkSMPPHost(hostPort string, allowPrivate bool) error {
	host, port, err := net.SplitHostPort(hostPort)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	switch {
	case hostPort == "":
		return errors.New("is missing")
	case err != nil || host == "" || notNumber != nil || n == 0:
		return errors.New("is not host:port")
	}
	if a, err := netip.ParseAddr(host); err == nil && !reachable(a, allowPrivate) {
		return errors.New("is a private or reserved address (see allow_private_gateways)")
	}
	return nil
}

// Send submits the message and returns the SMSC's name of it, or of its first part.
// The parts of a long text leave one after the other; when the SMSC takes the first
// and not the next, the message has failed, and phones do not show what is there.
func (s *SMPP) Send(ctx context.Context, m Message) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", transportError(err)
	}
	parts, err := s.parts(m)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	select {
	case s.window <- struct{}{}:
		defer func() { <-s.window }()
	case <-ctx.Done():
		return "", busy(ctx.Err())
	}
	ticket := s.receipts.begin()
	var names []string
	defer func() { s.receipts.end(ticket, names) }() // whatever happens: receipts wait for it
	if names, err = s.submit(ctx, parts); err != nil {
		return "", err
	}
	return names[0], nil
}

// busy: a message that found no place in the window, or no time within the rate,
// was not sent.
func busy(err error) *Error {
	if errors.Is(err, context.Canceled) {
		return transportError(err)
	}
	return &Error{Kind: KindRefused, Code: "EBUSY"} // the SMSC is well: it is our own rate
}

// parts makes the PDUs of a message.
func (s *SMPP) parts(m Message) ([]*pdu.SubmitSM, error) {
	destination, err := s.config.Destination.international(strings.TrimPrefix(m.To.E164(), "+"))
	if err != nil {
		return nil, statusError(data.ESME_RINVDSTADR)
	}
	parts, err := submits(m.Body, s.config.LongPayload, byte(s.ref.Add(1)))
	if err != nil {
		return nil, &Error{Kind: KindInternal, Code: "EINTERNAL"}
	}
	for _, p := range parts {
		p.SourceAddr, p.DestAddr, p.ValidityPeriod = s.source, destination, relativeTime(m.validSeconds(1, smppLongest))
	}
	return parts, nil
}

// smppLongest is the most that a validity_period without days can say, in seconds.
const smppLongest = 24*3600 - 1

// relativeTime writes a time from now as the SMSC counts it (SMPP 3.4 §7.1.1.2);
// none is what the SMSC says.
func relativeTime(seconds int) string {
	if seconds == 0 {
		return ""
	}
	return fmt.Sprintf("000000%02d%02d%02d000R", seconds/3600, seconds/60%60, seconds%60)
}

// submit sends the parts and returns their names, or an [*Error].
func (s *SMPP) submit(ctx context.Context, parts []*pdu.SubmitSM) ([]string, error) {
	var names []string
	for _, p := range parts {
		if err := s.limiter.Wait(ctx); err != nil {
			return nil, busy(ctx.Err())
		}
		if s.endless.Load() {
			p.ValidityPeriod = ""
		}
		a, err := s.submitPart(ctx, p)
		if err == nil && a.status == data.ESME_RINVEXPIRY && p.ValidityPeriod != "" {
			// It was not taken, so it does not go out twice. SMSCs may know absolute
			// times only, and their clock is not ours.
			s.endless.Store(true)
			p.ValidityPeriod = ""
			a, err = s.submitPart(ctx, p)
		}
		if err != nil {
			return nil, err
		}
		if a.status != data.ESME_ROK {
			return nil, statusError(a.status)
		}
		names = append(names, a.id)
	}
	return names, nil
}

// submitPart uses the session there is, and the next one when that one ended before
// the part left.
func (s *SMPP) submitPart(ctx context.Context, p *pdu.SubmitSM) (smppAnswer, error) {
	for {
		session, err := s.session(ctx)
		if err != nil {
			return smppAnswer{}, err
		}
		a, err := session.submit(ctx, p)
		if !errors.Is(err, errNotSubmitted) {
			return a, err
		}
		s.lost(session)
	}
}

// Close unbinds and hangs up; it returns when nothing of the connection is left. The
// error says how many receipts the SMSC thinks we have and nobody took.
func (s *SMPP) Close() error {
	s.mu.Lock()
	s.closed = true
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.work.Wait()
	if n := s.receipts.left(); n > 0 {
		return fmt.Errorf("%d receipts could not be kept", n)
	}
	return nil
}

// Reach opens a connection and closes it: somebody is there, the address is allowed,
// and the certificate is good. It does not bind, since accounts have few binds.
func (s *SMPP) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	conn, err := s.config.dial(ctx)
	if err != nil {
		return transportError(err)
	}
	return conn.Close()
}
