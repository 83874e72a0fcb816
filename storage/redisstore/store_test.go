package redisstore_test

import (
	"bytes"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
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
	s, err := redisstore.Open(tb.Context(), redisstore.Config{URL: url, Vault: v})
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
	return storagetest.Redis{Store: s, Raw: s.Raw(), Vault: v}
}
