package redisstore_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/storagetest"
)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	storagetest.RunRedis(t, func(t *testing.T) storagetest.Redis { return open(t, "embedded") })
}

func TestRealRedis(t *testing.T) {
	t.Parallel()
	storagetest.RunRedis(t, func(t *testing.T) storagetest.Redis { return open(t, storagetest.StartRedis(t).URL) })
}

// TestReplacedSecretKey: a new active key reads what the old one wrote; once the
// old one is removed, its logins start over and nothing is an internal error.
func TestReplacedSecretKey(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	older, newer := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{9}, 32)
	openWith := func(keys ...[]byte) *redisstore.Store {
		v, err := vault.New(keys...)
		if err != nil {
			t.Fatal(err)
		}
		s, err := redisstore.Open(t.Context(), redisstore.Config{URL: server.URL, Vault: v, Timeout: storagetest.RedisPatience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	before := openWith(older)
	tr := storage.Transaction{ID: "T", ExpiresAt: start.Add(time.Hour)}
	if err := before.CreateTransaction(t.Context(), tr, start); err != nil {
		t.Fatal(err)
	}
	if _, err := before.StartChallenge(t.Context(), request("C", "tag")); err != nil {
		t.Fatal(err)
	}
	_, c, err := openWith(newer, older).Login(t.Context(), "T", "C")
	if err != nil || string(c.Context) != "context" {
		t.Errorf("with both keys: %+v, %v", c, err)
	}
	after := openWith(newer)
	if _, _, err := after.Login(t.Context(), "T", "C"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("without the old key: %v, want not found", err)
	}
	if c, err := after.Challenge(t.Context(), "C"); !errors.Is(err, storage.ErrNotFound) || c.State != storage.ChallengeGone {
		t.Errorf("without the old key: %+v, %v; want not found", c, err)
	}
}

func newVault(tb testing.TB) *vault.Vault {
	tb.Helper()
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func openStore(tb testing.TB, url string) (*redisstore.Store, *vault.Vault) {
	tb.Helper()
	v := newVault(tb)
	s, err := redisstore.Open(tb.Context(), redisstore.Config{URL: url, Vault: v, Timeout: storagetest.RedisPatience})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s, v
}

func open(tb testing.TB, url string) storagetest.Redis {
	tb.Helper()
	s, v := openStore(tb, url)
	return storagetest.Redis{Store: s, Raw: s.Raw(), Vault: v, Real: url != "embedded"}
}
