package provider

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/revocation"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
)

// durable is the part of SQL that following changes reads.
type durable struct {
	Durable
	changes        []storage.Change
	revoked        []storage.RevokedGrant
	connections    []storage.Connection
	connectionsErr error
}

func (d *durable) Changes(_ context.Context, after int64) ([]storage.Change, error) {
	for i, c := range d.changes {
		if c.ID > after {
			return d.changes[i:], nil
		}
	}
	return nil, nil
}

func (d *durable) RevokedGrants(context.Context, time.Time) ([]storage.RevokedGrant, error) {
	return d.revoked, nil
}

func (d *durable) RevokedAPIGrants(context.Context, time.Time) ([]storage.RevokedGrant, error) {
	return nil, nil
}

func (d *durable) RevokedTokens(context.Context, time.Time) ([]storage.RevokedToken, error) {
	return nil, nil
}

func (d *durable) Connections(context.Context) ([]storage.Connection, error) {
	return d.connections, d.connectionsErr
}

// A change that can't be followed must not keep a server from what comes behind
// it: tokens of grants that another server revoked would live on.
func TestAChangeThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	sql := &durable{
		connectionsErr: errors.New("broken"),
		changes: []storage.Change{
			{ID: 1, Kind: storage.ChangeConnection, Ref: "sms"},
			{ID: 2, Kind: storage.ChangeGrant},
		},
		revoked: []storage.RevokedGrant{{ID: "stolen", RevokedAt: time.Now()}},
	}
	set, err := revocation.New(revocation.Config{Source: sql, Life: time.Hour, APILife: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{
		callbacks:   &verification.Callbacks{},
		c:           Config{SQL: sql, Logger: slog.New(slog.DiscardHandler)},
		senders:     passcode.Senders{Deps: sms.Deps{Console: io.Discard}},
		revocations: set, unfollowed: map[storage.Change]bool{},
	}
	p.follow(t.Context())
	if !set.Revoked("stolen") {
		t.Error("the revocation behind the change that failed was not followed")
	}

	// It is tried again, although nothing new is in the table.
	sql.connectionsErr = nil
	sql.connections = []storage.Connection{{Name: "sms", Strategy: "sms", Options: []byte(`{"provider":"console"}`)}}
	p.follow(t.Context())
	if p.connection.Load() == nil {
		t.Error("the change that failed was not tried again")
	}
	if len(p.unfollowed) > 0 {
		t.Errorf("%d changes are left", len(p.unfollowed))
	}
}

// Changes of other connections, and of what says nothing of the sender, leave the
// sender at work: its breaker remembers, and its bind stays.
func TestAChangeThatIsNotOfTheSenderKeepsIt(t *testing.T) {
	t.Parallel()
	stored := func(options string) []storage.Connection {
		return []storage.Connection{
			{Name: "other", Strategy: "sms", Options: []byte(`{"provider":"console"}`)},
			{Name: "sms", Strategy: "sms", Options: []byte(options)},
		}
	}
	sql := &durable{connections: stored(`{"provider":"console"}`)}
	p := &Provider{
		callbacks:  &verification.Callbacks{},
		c:          Config{SQL: sql, Logger: slog.New(slog.DiscardHandler)},
		senders:    passcode.Senders{Deps: sms.Deps{Console: io.Discard}},
		unfollowed: map[storage.Change]bool{},
	}
	change := func(name, options string) {
		t.Helper()
		sql.connections = stored(options)
		sql.changes = append(sql.changes, storage.Change{ID: int64(len(sql.changes) + 1), Kind: storage.ChangeConnection, Ref: name})
		p.follow(t.Context())
		if len(p.unfollowed) > 0 {
			t.Fatalf("%d changes are left", len(p.unfollowed))
		}
	}
	change("sms", `{"provider":"console"}`)
	first, sender := p.connection.Load(), p.sendersAtWork()[0]
	change("other", `{"provider":"console"}`)
	if p.connection.Load() != first {
		t.Error("another connection's change replaced the one in use")
	}
	change("sms", `{"provider":"console","origin_bound":false}`)
	if c := p.connection.Load(); !c.Unbound || p.sendersAtWork()[0] != sender || len(p.replaced.all) > 0 {
		t.Errorf("unbound: %t, the sender is replaced: %t", c.Unbound, p.sendersAtWork()[0] != sender)
	}
	change("sms", `{"provider":"console","from":"Shop"}`)
	if p.sendersAtWork()[0] == sender || len(p.replaced.all) != 1 {
		t.Error("the sender's own options changed, and it was kept")
	}
	if err := p.replaced.close(); err != nil {
		t.Error(err)
	}

	// What the file declares can't change.
	p.c.Connection = &storage.Connection{Name: "sms"}
	sql.connectionsErr = errors.New("nobody asks")
	change("sms", `{}`)
}

// The connections beside the one in use come and go by themselves: one that can't be used
// keeps no other from its work, and a sender stays while nothing of it changes.
func TestConnectionsBesideTheOneInUse(t *testing.T) {
	t.Parallel()
	record := func(name storage.ConnectionName, options string) storage.Connection {
		return storage.Connection{Name: name, Strategy: "sms", Options: []byte(options)}
	}
	inUse, shop := record("sms", `{"provider":"console"}`), record("shop", `{"provider":"console"}`)
	var logs strings.Builder
	sql := &durable{connections: []storage.Connection{inUse, shop}}
	console := sms.Deps{Console: io.Discard}
	p := &Provider{
		callbacks:  &verification.Callbacks{},
		c:          Config{SQL: sql, Logger: slog.New(slog.NewTextHandler(&logs, nil))},
		senders:    passcode.Senders{Deps: console, Named: []*sms.Named{sms.NewNamed("main", "", nil, time.Now)}},
		unfollowed: map[storage.Change]bool{},
	}
	change := func(kept ...storage.Connection) {
		t.Helper()
		sql.connections = append([]storage.Connection{inUse}, kept...)
		sql.changes = append(sql.changes, storage.Change{ID: int64(len(sql.changes) + 1), Kind: storage.ChangeConnection, Ref: "shop"})
		p.follow(t.Context())
		if len(p.unfollowed) > 0 {
			t.Fatalf("%d changes are left", len(p.unfollowed))
		}
	}
	if err := p.loadConnection(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(shop)
	first := p.named("shop")
	if first == nil || p.named("nobody") != nil || p.named("") != p.connection.Load() || len(p.sendersAtWork()) != 2 {
		t.Fatalf("connections: %v", p.others.all())
	}
	change(record("broken", `{"provider":"console","syntax":"+447400100001"}`), record("main", `{"provider":"console"}`),
		record("shop", `{"provider":"console","totp":{"length":8}}`))
	if c := p.named("shop"); c == nil || c.Length != 8 || !c.SharesSender(first) {
		t.Errorf("changed: %v", c)
	}
	if p.named("broken") != nil || p.named("main") != nil {
		t.Error("connections that can't be used are there")
	}
	if text := logs.String(); !strings.Contains(text, "connection=broken reason=options.syntax") || !strings.Contains(text, "connection=main reason=name") || strings.Contains(text, "447400100001") {
		t.Errorf("log:\n%s", text)
	}
	change()
	if p.named("shop") != nil || len(p.replaced.all) != 1 {
		t.Errorf("removed: %v, %d senders wait to be closed", p.named("shop"), len(p.replaced.all))
	}
	if err := errors.Join(p.replaced.close(), p.others.close()); err != nil {
		t.Error(err)
	}

	// The database's sms stands back behind what the file declares, and so does one of
	// the same name.
	p.c.Connection = &storage.Connection{Name: "texts", Strategy: "sms", Options: inUse.Options}
	if err := p.loadConnection(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(record("texts", `{"provider":"console","totp":{"length":4}}`), shop)
	if c := p.named("texts"); c != p.connection.Load() || c.Length != 0 || p.named("sms") != nil || p.named("shop") == nil {
		t.Errorf("beside the file's: %v", p.others.all())
	}
}
