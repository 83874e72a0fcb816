package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// slot is Redis Cluster's: CRC16 (XMODEM) of the hash tag, or of the whole key,
// modulo 16384.
func slot(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}

func TestSlotIsRedisClusters(t *testing.T) {
	t.Parallel()
	// The cluster specification's own example is CRC16("123456789") = 0x31C3.
	if got := slot("123456789"); got != 0x31c3 {
		t.Errorf("slot = %#x, want 0x31c3", got)
	}
	if slot("{user1000}.following") != slot("user1000") {
		t.Error("hash tags are not followed")
	}
}

// TestKeysOfAScriptShareASlot: a Cluster runs a script on one node. Everything
// that a script touches is challenge, marker or limit.
func TestKeysOfAScriptShareASlot(t *testing.T) {
	t.Parallel()
	want := slot(challengeKey("login:A"))
	for _, key := range []string{
		challengeKey("login:B{x}"), challengeKey(""), challengeKey("{other}"),
		undoneKey("SEND"), limitKey(storage.Limit{}), limitKey(storage.Limit{Name: "send_number", Key: "{tag}"}),
	} {
		if slot(key) != want {
			t.Errorf("%s is in slot %d, not %d", key, slot(key), want)
		}
	}
	if slot(transactionKey("A")) == slot(transactionKey("B")) || slot(accessTokenKey([]byte("a"))) == slot(accessTokenKey([]byte("b"))) {
		t.Error("records of different logins share a slot")
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, user, password, master string
		addrs                       []string
		db                          int
		tls                         bool
	}{
		{url: "redis://localhost", addrs: []string{"localhost:6379"}},
		{url: "redis://r:7000/3", addrs: []string{"r:7000"}, db: 3},
		{url: "redis://[::1]:7000", addrs: []string{"[::1]:7000"}},
		{url: "redis://[::1]", addrs: []string{"[::1]:6379"}},
		{url: "rediss://u:p%40ss@r", addrs: []string{"r:6379"}, user: "u", password: "p@ss", tls: true},
		{url: "redis://:secret@r", addrs: []string{"r:6379"}, password: "secret"},
		{url: "redis://u:p@a:1,b,c:3", addrs: []string{"a:1", "b:6379", "c:3"}, user: "u", password: "p"},
		{url: "sentinel://main@a,b:1/2", addrs: []string{"a:26379", "b:1"}, master: "main", db: 2},
		{url: "sentinel://main:secret@a", addrs: []string{"a:26379"}, master: "main", password: "secret"},
		{url: "unix:///run/redis.sock", addrs: []string{"/run/redis.sock"}},
	} {
		o, err := parseURL(c.url, timeout)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		got := []any{o.Addrs, o.Username, o.Password, o.MasterName, o.DB, o.TLSConfig != nil}
		want := []any{c.addrs, c.user, c.password, c.master, c.db, c.tls}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.url, diff)
		}
	}
}

func TestParseURLKinds(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://a": "*redis.Client", "unix:///s": "*redis.Client", "redis://a,b": "*redis.ClusterClient",
		"sentinel://m@a": "*redis.Client", "rediss://a,b": "*redis.ClusterClient",
	} {
		o, err := parseURL(url, timeout)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewUniversalClient(o)
		if got := fmt.Sprintf("%T", client); got != want {
			t.Errorf("%s makes a %s, want %s", url, got, want)
		}
		client.Close()
	}
}

var badURLs = []string{
	"", "localhost:6379", "http://hunter2@a", "redis://", "redis://u:hunter2@", "redis://hunter2@a/x", "redis://a/-1",
	"redis://u:hunter2@a?db=1", "redis://u:hunter2@a#x", "redis://u:%hunter2@a", "redis://a:b", "redis://a:0", "redis://a:70000",
	"redis://:6379", "redis://a,", "redis://a,b/1", "sentinel://a,b", "sentinel://:hunter2@a", "unix://s", "redis://a b", "redis://a:b:c",
}

func TestBadURLsAreRefusedUnquoted(t *testing.T) {
	t.Parallel()
	for _, url := range badURLs {
		_, err := parseURL(url, timeout)
		if err == nil {
			t.Errorf("%q was taken", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, url := range badURLs {
		f.Add(url)
	}
	f.Add("rediss://u:p@a:1,b,[::1]:3")
	f.Fuzz(func(t *testing.T, url string) {
		o, err := parseURL(url, timeout)
		if err == nil && (len(o.Addrs) == 0 || o.ReadTimeout != timeout) {
			t.Errorf("%q: %+v", url, o)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeToken(storage.AccessToken{}))
	f.Add(encodeToken(storage.AccessToken{
		GrantID: "g", ClientID: "c", UserID: "u", SessionID: "s", Scopes: []string{"openid", "x"},
		IssuedAt: time.Unix(1, 0), ExpiresAt: time.Unix(2, 0), AuthTime: time.Unix(3, 0),
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := decodeToken(b)
		if err != nil {
			return
		}
		again, err := decodeToken(encodeToken(token))
		if err != nil || !cmp.Equal(token, again) {
			t.Errorf("%+v reads back as %+v, %v", token, again, err)
		}
	})
}

func TestEveryPassingAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	s := embeddedStore(t)
	for _, answer := range []string{
		"LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
		"CLUSTERDOWN The cluster is down", "OOM command not allowed when used memory > 'maxmemory'.",
		"MASTERDOWN Link with MASTER is down", "TRYAGAIN Multiple keys request during rehashing of slot",
		"BUSY Redis is busy running a script.", "MISCONF Redis is configured to save RDB snapshots",
		"NOREPLICAS Not enough good replicas to write.", "ERR max number of clients reached",
	} {
		s.embedded.server.SetError(answer)
		if err := s.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q is %v, want unavailable", answer, err)
		}
		if _, err := s.CheckChallenge(t.Context(), storage.CheckChallenge{ID: "x"}); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("a script's %q is %v, want unavailable", answer, err)
		}
	}
	for _, answer := range []string{"WRONGTYPE Operation against a key", "NOAUTH Authentication required.", "ERR what"} {
		s.embedded.server.SetError(answer)
		if err := s.Ping(t.Context()); err == nil || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q is %v, want an internal error", answer, err)
		}
	}
}

func embeddedStore(t *testing.T) *Store {
	t.Helper()
	v, err := vault.New([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{URL: "embedded", Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpenWantsAVault(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Config{URL: "embedded"}); err == nil {
		t.Error("opened without a vault")
	}
}

// TestEmbeddedListensNowhere: no one else on the machine may connect.
func TestEmbeddedListensNowhere(t *testing.T) {
	t.Parallel()
	s := embeddedStore(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if addr := s.embedded.server.Server().Addr(); addr != nil {
		t.Errorf("the embedded server listens on %v", addr)
	}
}

func TestTwoEmbeddedStoresShareNothing(t *testing.T) {
	t.Parallel()
	a, b := embeddedStore(t), embeddedStore(t)
	now := time.Now()
	if err := a.UseAssertion(t.Context(), "tag", now.Add(time.Minute), now); err != nil {
		t.Fatal(err)
	}
	if err := b.UseAssertion(t.Context(), "tag", now.Add(time.Minute), now); err != nil {
		t.Errorf("the other store: %v", err)
	}
}

// lossy is a connection that loses the answer to the first command about
// something: the server has run it, and the connection breaks.
type lossy struct {
	net.Conn
	about string
	armed *atomic.Bool
	loses bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.about)) && c.armed.CompareAndSwap(true, false) {
		c.loses = true
	}
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // so the command has run
	if c.loses {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestLostAnswerIsNotTakenForASecondUse: the client of Redis would send a plain
// command again and find its own first one. The application may try again with a
// new assertion; a refusal would call it a thief.
func TestLostAnswerIsNotTakenForASecondUse(t *testing.T) {
	t.Parallel()
	e := newEmbedded()
	t.Cleanup(e.close)
	armed := &atomic.Bool{}
	o := options(0)
	o.Addrs = []string{"embedded"}
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		c, err := e.server.Dial()
		return &lossy{Conn: c, about: "handset:assertion:", armed: armed}, err
	}
	s := &Store{client: redis.NewUniversalClient(o)}
	t.Cleanup(func() { s.client.Close() })
	now := time.Now()
	armed.Store(true)
	err := s.UseAssertion(t.Context(), "tag", now.Add(time.Minute), now)
	if armed.Load() {
		t.Fatal("no answer was lost")
	}
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrConsumed) {
		t.Errorf("the answer was lost: %v, want unavailable", err)
	}
}

// TestEmbeddedForgetsWhileItRuns moves the clock in a bubble: Run drives the TTLs.
func TestEmbeddedForgetsWhileItRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := embeddedStore(t)
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- s.Run(ctx) }()
		now := time.Now()
		tr := storage.Transaction{ID: "T", ExpiresAt: now.Add(30 * time.Minute)}
		if err := s.CreateTransaction(t.Context(), tr, now); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*time.Minute + transactionKeep - 2*time.Second)
		if _, _, err := s.Login(t.Context(), "T", ""); err != nil {
			t.Errorf("2 s before it is forgotten: %v", err)
		}
		time.Sleep(3*time.Second + transactionKeep)
		if _, _, err := s.Login(t.Context(), "T", ""); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after that: %v, want not found", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
