package sms

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"time"
)

// maxBackoff is the longest wait before binding again.
const maxBackoff = 30 * time.Second

// smppBound is what comes, or came, of binding: a session or an error, when done is
// closed.
type smppBound struct {
	done    chan struct{}
	session *smppSession
	err     *Error
}

// session returns the session that is bound, and waits for one that is about to be.
// When the last try to bind failed, it fails as that one did, until one succeeds:
// another route can do better than wait.
func (s *SMPP) session(ctx context.Context) (*smppSession, error) {
	s.mu.Lock()
	s.start(ctx)
	bound, closed := s.bound, s.closed
	s.mu.Unlock()
	if closed {
		return nil, transportError(context.Canceled)
	}
	select {
	case <-bound.done:
	case <-ctx.Done():
		return nil, transportError(ctx.Err())
	}
	if bound.err != nil {
		return nil, bound.err
	}
	return bound.session, nil
}

// start begins to keep a connection, once. It outlives the message that opened it.
func (s *SMPP) start(ctx context.Context) {
	if s.stop != nil || s.closed {
		return
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.work.Go(func() { s.keep(ctx) })
	s.work.Go(func() { s.receipts.run(context.WithoutCancel(ctx)) }) // what the SMSC was told we have is kept to the end
}

// keep binds, and binds again, until ctx ends.
func (s *SMPP) keep(ctx context.Context) {
	defer s.receipts.close()
	failures := 0
	for ctx.Err() == nil {
		session, err := s.bind(ctx)
		s.outcome(session, err)
		if err == nil {
			session.run(ctx)
		}
		switch {
		case err != nil:
			failures++
		case session.proved(): // whoever finds it ended waits for the next one
			failures = 0
		default: // a server that lets us in and hangs up is as good as one that refuses
			failures++
			s.outcome(nil, session.why())
		}
		pause(ctx, backoff(s.config.Backoff, failures))
	}
	s.outcome(nil, transportError(context.Canceled))
}

func (s *SMPP) bind(ctx context.Context) (*smppSession, *Error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	session, err := openSMPP(ctx, &s.config, s.receipts.take)
	if err != nil {
		return nil, AsError(err)
	}
	return session, nil
}

// outcome tells those who wait, and those who come, what became of binding.
func (s *SMPP) outcome(session *smppSession, err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bound
	select {
	case <-b.done:
		b = &smppBound{done: make(chan struct{})}
		s.bound = b
	default:
	}
	b.session, b.err = session, err
	close(b.done)
}

// lost makes those who come wait for the next session.
func (s *SMPP) lost(session *smppSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound.session == session {
		s.bound = &smppBound{done: make(chan struct{})}
	}
}

// backoff doubles with each failure and takes a random part off, so that servers
// that lost the same SMSC do not come back as one.
func backoff(first time.Duration, failures int) time.Duration {
	wait := first
	for range failures {
		if wait = min(2*wait, maxBackoff); wait == maxBackoff {
			break
		}
	}
	return wait/2 + rand.N(wait/2+1)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *SMPPConfig) dial(ctx context.Context) (net.Conn, error) {
	conn, err := newDialer(c.AllowPrivate).DialContext(ctx, "tcp", c.Host)
	if err != nil || c.InsecurePlain {
		return conn, err
	}
	host, _, _ := net.SplitHostPort(c.Host) // NewSMPP looked
	secured := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: c.RootCAs})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
