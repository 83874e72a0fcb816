package keys_test

import (
	"bytes"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// TestServersOnOneDatabase starts two servers at once on a new database and
// takes them through a rotation. The store is the real one.
func TestServersOnOneDatabase(t *testing.T) {
	t.Parallel()
	v, err := vault.New(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	url, c := "sqlite:"+filepath.Join(t.TempDir(), "handset.db"), &clock{now: start}
	rings := make([]*keys.Ring, 2)
	stores := make([]*sqlstore.Store, len(rings))
	for i := range stores {
		if stores[i], err = sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Vault: v}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stores[i].Close() })
	}
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			r, err := keys.Open(t.Context(), keys.Config{Store: stores[i], RotateEvery: 30 * day, LongestToken: day, Now: c.Now})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			rings[i] = r
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	old := rings[0].Signer(keys.RS256).ID
	if rings[1].Signer(keys.RS256).ID != old || len(published(t, rings[0])) != 1 {
		t.Fatal("the servers differ in their first key")
	}
	token := sign(t, rings[0])
	now := c.advance(29 * day)
	for _, r := range rings { // both maintain at once, as servers do
		wg.Go(func() {
			if err := r.Maintain(t.Context(), now); err != nil {
				t.Errorf("maintain: %v", err)
			}
		})
	}
	wg.Wait()
	c.advance(day + time.Second)
	for i, r := range rings {
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Signer(keys.RS256).ID == old || r.Signer(keys.RS256).ID != rings[0].Signer(keys.RS256).ID || len(published(t, r)) != 2 || !verifies(t, r, token) {
			t.Errorf("server %d: %d keys are published", i, len(published(t, r)))
		}
	}
}
