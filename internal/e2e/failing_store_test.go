package e2e

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider"
	"github.com/handset-oidc/handset/storage"
)

// faults makes the stores of a [failingRig] fail, method by method, and counts
// how often they did: a test that armed a fault which never struck proves nothing.
type faults struct {
	mu     sync.Mutex
	armed  map[string]fault
	struck map[string]int
	called map[string]int // since during began
}

// fault is how a method fails: by an error or a panic, in place of its work or
// behind it, when the work was done and the answer is lost.
type fault struct {
	before func() // what happens first; nil is nothing
	err    error
	panics any
	behind bool
}

// arm makes a method fail until disarm.
func (f *faults) arm(method string, how fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[method] = how
	f.struck[method] = 0
}

// disarm makes a method work again and returns how often it failed.
func (f *faults) disarm(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.armed, method)
	return f.struck[method]
}

// during counts the calls of each method while do runs.
func (f *faults) during(do func()) map[string]int {
	f.mu.Lock()
	f.called = map[string]int{}
	f.mu.Unlock()
	do()
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.called)
}

// call runs a store's method, or its fault.
func (f *faults) call(method string, work func() error) error {
	f.mu.Lock()
	f.called[method]++
	how, failing := f.armed[method]
	if failing {
		f.struck[method]++
	}
	f.mu.Unlock()
	if !failing {
		return work()
	}
	if how.before != nil {
		how.before()
	}
	if how.behind {
		if err := work(); err != nil {
			return err
		}
	}
	if how.panics != nil {
		panic(how.panics)
	}
	return how.err
}

// result is call for methods that return something.
func result[T any](f *faults, method string, work func() (T, error)) (out T, err error) {
	err = f.call(method, func() (err error) {
		out, err = work()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// failingSQL is a store in SQL whose methods fail when told to.
type failingSQL struct {
	provider.Durable
	f *faults
}

func (s failingSQL) SessionByMAC(ctx context.Context, macs [][]byte, now time.Time, idle time.Duration) (session storage.Session, user storage.User, err error) {
	err = s.f.call("SessionByMAC", func() (err error) {
		session, user, err = s.Durable.SessionByMAC(ctx, macs, now, idle)
		return err
	})
	return session, user, err
}

func (s failingSQL) TouchSession(ctx context.Context, id storage.SessionID, now time.Time) error {
	return s.f.call("TouchSession", func() error { return s.Durable.TouchSession(ctx, id, now) })
}

func (s failingSQL) EndSession(ctx context.Context, id storage.SessionID, now time.Time) error {
	return s.f.call("EndSession", func() error { return s.Durable.EndSession(ctx, id, now) })
}

func (s failingSQL) OpenSession(ctx context.Context, l storage.Login, now time.Time) (storage.Opened, error) {
	return result(s.f, "OpenSession", func() (storage.Opened, error) { return s.Durable.OpenSession(ctx, l, now) })
}

func (s failingSQL) CreateGrant(ctx context.Context, g storage.NewGrant, now time.Time) error {
	return s.f.call("CreateGrant", func() error { return s.Durable.CreateGrant(ctx, g, now) })
}

func (s failingSQL) UserByNumber(ctx context.Context, n phone.Number) (storage.User, error) {
	return result(s.f, "UserByNumber", func() (storage.User, error) { return s.Durable.UserByNumber(ctx, n) })
}

func (s failingSQL) User(ctx context.Context, id storage.UserID) (storage.User, error) {
	return result(s.f, "User", func() (storage.User, error) { return s.Durable.User(ctx, id) })
}

func (s failingSQL) Client(ctx context.Context, id storage.ClientID) (storage.Client, error) {
	return result(s.f, "Client", func() (storage.Client, error) { return s.Durable.Client(ctx, id) })
}

func (s failingSQL) GrantByCode(ctx context.Context, macs [][]byte) (grant storage.Grant, user storage.User, err error) {
	err = s.f.call("GrantByCode", func() (err error) {
		grant, user, err = s.Durable.GrantByCode(ctx, macs)
		return err
	})
	return grant, user, err
}

func (s failingSQL) RedeemGrant(ctx context.Context, r storage.Redemption) error {
	return s.f.call("RedeemGrant", func() error { return s.Durable.RedeemGrant(ctx, r) })
}

func (s failingSQL) RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error {
	return s.f.call("RevokeGrant", func() error { return s.Durable.RevokeGrant(ctx, id, now) })
}

func (s failingSQL) RefreshFamily(ctx context.Context, id storage.FamilyID) (family storage.RefreshFamily, grant storage.Grant, user storage.User, err error) {
	err = s.f.call("RefreshFamily", func() (err error) {
		family, grant, user, err = s.Durable.RefreshFamily(ctx, id)
		return err
	})
	return family, grant, user, err
}

func (s failingSQL) RotateRefreshToken(ctx context.Context, r storage.Rotation) (storage.Rotated, error) {
	return result(s.f, "RotateRefreshToken", func() (storage.Rotated, error) { return s.Durable.RotateRefreshToken(ctx, r) })
}

func (s failingSQL) RevokeToken(ctx context.Context, t storage.RevokedToken) error {
	return s.f.call("RevokeToken", func() error { return s.Durable.RevokeToken(ctx, t) })
}

func (s failingSQL) Subject(ctx context.Context, user storage.UserID, sector storage.Sector, fresh storage.Subject) (storage.Subject, error) {
	return result(s.f, "Subject", func() (storage.Subject, error) { return s.Durable.Subject(ctx, user, sector, fresh) })
}

func (s failingSQL) UserBySubject(ctx context.Context, sub storage.Subject) (storage.UserID, error) {
	return result(s.f, "UserBySubject", func() (storage.UserID, error) { return s.Durable.UserBySubject(ctx, sub) })
}

// failingRedis is a store in Redis whose methods fail when told to.
type failingRedis struct {
	provider.Ephemeral
	f *faults
}

func (s failingRedis) CreateTransaction(ctx context.Context, tx storage.Transaction, now time.Time, limits ...storage.Limit) error {
	return s.f.call("CreateTransaction", func() error { return s.Ephemeral.CreateTransaction(ctx, tx, now, limits...) })
}

func (s failingRedis) KeepPosted(ctx context.Context, p storage.Posted, now time.Time, limits ...storage.Limit) error {
	return s.f.call("KeepPosted", func() error { return s.Ephemeral.KeepPosted(ctx, p, now, limits...) })
}

func (s failingRedis) Posted(ctx context.Context, endpoint, ref string) (string, error) {
	return result(s.f, "Posted", func() (string, error) { return s.Ephemeral.Posted(ctx, endpoint, ref) })
}

func (s failingRedis) TakePosted(ctx context.Context, endpoint, ref string) (string, error) {
	return result(s.f, "TakePosted", func() (string, error) { return s.Ephemeral.TakePosted(ctx, endpoint, ref) })
}

func (s failingRedis) Login(ctx context.Context, id storage.TransactionID, challenge storage.ChallengeID) (tx storage.Transaction, c storage.Challenge, err error) {
	err = s.f.call("Login", func() (err error) {
		tx, c, err = s.Ephemeral.Login(ctx, id, challenge)
		return err
	})
	return tx, c, err
}

func (s failingRedis) StartChallenge(ctx context.Context, c storage.StartChallenge) (storage.Started, error) {
	return result(s.f, "StartChallenge", func() (storage.Started, error) { return s.Ephemeral.StartChallenge(ctx, c) })
}

func (s failingRedis) UndoSend(ctx context.Context, id storage.ChallengeID, undo []byte, late bool, now time.Time) error {
	return s.f.call("UndoSend", func() error { return s.Ephemeral.UndoSend(ctx, id, undo, late, now) })
}

func (s failingRedis) CheckChallenge(ctx context.Context, c storage.CheckChallenge) (storage.Checked, error) {
	return result(s.f, "CheckChallenge", func() (storage.Checked, error) { return s.Ephemeral.CheckChallenge(ctx, c) })
}

func (s failingRedis) PutAccessToken(ctx context.Context, mac []byte, t storage.AccessToken, now time.Time) error {
	return s.f.call("PutAccessToken", func() error { return s.Ephemeral.PutAccessToken(ctx, mac, t, now) })
}

func (s failingRedis) AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error) {
	return result(s.f, "AccessToken", func() (storage.AccessToken, error) { return s.Ephemeral.AccessToken(ctx, macs) })
}

func (s failingRedis) DeleteAccessToken(ctx context.Context, macs [][]byte) error {
	return s.f.call("DeleteAccessToken", func() error { return s.Ephemeral.DeleteAccessToken(ctx, macs) })
}

func (s failingRedis) UseAssertion(ctx context.Context, tag string, expires, now time.Time) error {
	return s.f.call("UseAssertion", func() error { return s.Ephemeral.UseAssertion(ctx, tag, expires, now) })
}

func (s failingRedis) TakeLimit(ctx context.Context, l storage.Limit, now time.Time) (storage.Taken, error) {
	return result(s.f, "TakeLimit", func() (storage.Taken, error) { return s.Ephemeral.TakeLimit(ctx, l, now) })
}

// startFailing is start with stores that fail when told to. The provider is
// put together here, since a server opens its stores itself; all else is the rig's.
func startFailing(t testing.TB, opts ...option) (*rig, *faults) {
	t.Helper()
	key := vault.Generate()
	inner := start(t, append(opts, withKey(key), withoutAddressLimits())...)
	f := &faults{armed: map[string]fault{}, struck: map[string]int{}, called: map[string]int{}}
	v, err := vault.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	o := options{issuer: func(address string) string { return "http://" + address + "/" }}
	for _, opt := range opts {
		opt(&o)
	}
	l := listen(t)
	r := inner.in(t)
	r.issuer = o.issuer(l.Addr().String())
	r.base = strings.TrimRight(r.issuer, "/")
	logger := slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ring, err := server.OpenKeys(t.Context(), r.config, r.server.SQL, logger, r.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := r.config
	rules := phone.Rules{Countries: c.Countries}
	for _, n := range c.TestNumbers {
		rules.TestNumbers = append(rules.TestNumbers, phone.TestNumber{Number: n.Number, Prefix: n.Prefix, Code: n.Code.Reveal()})
	}
	grants := server.ClientGrants(c)
	for i, g := range grants {
		if path, own := strings.CutPrefix(string(g.Audience), inner.base); own { // the provider's own APIs are below its issuer
			grants[i].Audience = storage.Audience(r.base + path)
		}
	}
	p, err := provider.New(t.Context(), provider.Config{
		Issuer: r.issuer, SQL: failingSQL{r.server.SQL, f}, Redis: failingRedis{r.server.Redis, f}, Vault: v, Keys: ring,
		Clients: server.Clients(c, v), APIs: server.APIs(c), Grants: grants, Rules: rules,
		Limits: map[string]storage.Limit{"send_address": {Off: true}, "verify_address": {Off: true}, "pending_address": {Off: true}},
		Lifetimes: provider.Lifetimes{
			Access: c.Tokens.Access, ID: c.Tokens.ID, RefreshIdle: c.Tokens.RefreshIdle, RefreshAbsolute: c.Tokens.RefreshAbsolute,
			SessionIdle: c.Sessions.Idle, SessionAbsolute: c.Sessions.Absolute, IDTokenOnRefresh: true,
		},
		Connection: server.Connection(c),
		Sending: server.Sending(c, sms.Deps{
			Client: sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: true}), AllowPrivate: true, Console: io.Discard,
		}),
		Logger: logger, Now: r.clock.Now, SendWait: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	admin := httptest.NewUnstartedServer(nil)
	admin.Config.Handler = p.Admin(admin.Listener.Addr(), "")
	admin.Start()
	t.Cleanup(admin.Close)
	r.admin = admin.URL
	s := &http.Server{Handler: p}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return r, f
}
