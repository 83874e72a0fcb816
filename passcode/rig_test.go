package passcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/storagetest"
)

const client storage.ClientID = "tiny-client"

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// journal is a log that many goroutines write and a test reads.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// rig is an engine on the embedded Redis, with a moved clock and an inbox.
type rig struct {
	t      testing.TB
	engine *Engine
	store  *redisstore.Store
	clock  *clock
	inbox  *sms.Inbox
	conn   *Connection
	log    *journal
	number phone.Number
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: "embedded", Vault: v, Timeout: storagetest.RedisPatience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r := &rig{
		t: t, store: store, log: &journal{}, number: number(t, "+819012345678"),
		clock: &clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)},
	}
	r.inbox = sms.NewInbox(1000, r.clock.Now)
	r.conn = &Connection{Name: "sms", Routes: via(r.inbox)}
	config := Config{
		Store: store, Vault: v, Now: r.clock.Now,
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&config)
	}
	if r.engine, err = New(config); err != nil {
		t.Fatal(err)
	}
	return r
}

func number(t testing.TB, e164 string) phone.Number {
	t.Helper()
	n, err := phone.FromStored(e164)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// address makes up another network for each n.
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
}

func (r *rig) request(id storage.ChallengeID, change ...func(*SendRequest)) SendRequest {
	req := SendRequest{
		Challenge: id, Purpose: Login, Client: client, Number: r.number, Context: []byte("context"),
		Address: address(1), UserAgent: "Mozilla/5.0", Connection: r.conn, Application: "Tiny",
		Host: "login.example.com", Wait: time.Minute,
	}
	for _, c := range change {
		c(&req)
	}
	return req
}

func (r *rig) send(id storage.ChallengeID, change ...func(*SendRequest)) (Sent, error) {
	return r.engine.Send(r.t.Context(), r.request(id, change...))
}

func (r *rig) mustSend(id storage.ChallengeID, change ...func(*SendRequest)) Sent {
	r.t.Helper()
	sent, err := r.send(id, change...)
	if err != nil {
		r.t.Fatalf("Send(%s): %v", id, err)
	}
	return sent
}

var codeInText = regexp.MustCompile(`^\d+`)

// code is the code of the newest text to the rig's number.
func (r *rig) code() string {
	r.t.Helper()
	texts := r.inbox.Texts(r.number)
	if len(texts) == 0 {
		r.t.Fatal("no text")
	}
	return codeInText.FindString(texts[len(texts)-1].Body)
}

func (r *rig) load(id storage.ChallengeID) storage.Challenge {
	r.t.Helper()
	c, err := r.store.Challenge(context.WithoutCancel(r.t.Context()), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) check(id storage.ChallengeID, typed string, change ...func(*CheckRequest)) error {
	r.t.Helper()
	req := CheckRequest{
		Challenge: r.load(id), Purpose: Login, Client: client, Number: r.number, Typed: typed, Address: address(2),
	}
	for _, c := range change {
		c(&req)
	}
	return r.engine.Check(r.t.Context(), req)
}

// decided tries a code until Redis says something: on a busy machine 200 guesses
// at once may wait longer for a connection than a person would have to. Unavailable
// has decided nothing.
func (r *rig) decided(c CheckRequest) error {
	for {
		if err := r.engine.Check(r.t.Context(), c); !errors.Is(err, storage.ErrUnavailable) || r.t.Context().Err() != nil {
			return err
		}
	}
}

func (r *rig) mustCheck(id storage.ChallengeID, typed string) {
	r.t.Helper()
	if err := r.check(id, typed); err != nil {
		r.t.Fatalf("Check(%s): %v", id, err)
	}
}

func (r *rig) wantReason(err error, want Reason) *Rejection {
	r.t.Helper()
	got, ok := errors.AsType[*Rejection](err)
	if !ok || got.Reason != want {
		r.t.Fatalf("error %v, want rejection as %s", err, want)
	}
	return got
}

func (r *rig) wantLimited(err error, name string) *Limited {
	r.t.Helper()
	got, ok := errors.AsType[*Limited](err)
	if !ok || got.Name != name {
		r.t.Fatalf("error %v, want limited by %s", err, name)
	}
	return got
}

// wrong is a code of the same length that is not code.
func wrong(code string, nth int) string {
	var n int
	fmt.Sscan(strings.TrimLeft(code, "0"), &n)
	size := 1
	for range code {
		size *= 10
	}
	return fmt.Sprintf("%0*d", len(code), (n+1+nth)%size)
}

// via are routes by one sender.
func via(s sms.Sender) *sms.Routes {
	return sms.NewRoutes(nil, sms.NewNamed("sms", "", s, time.Now))
}

// senderFunc is a sender made of a function.
type senderFunc func(context.Context, sms.Message) error

func (f senderFunc) Send(ctx context.Context, m sms.Message) (string, error) { return "", f(ctx, m) }
