package e2e

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// security.md row 37: an address begins logins without end, each with as much to
// keep as it can. What is over the limit leaves nothing in Redis, and costs no other
// address anything.
func TestAttackFloodOfPendingLogins(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	db := redis.NewClient(redisOptions(t, server.URL))
	t.Cleanup(func() { db.Close() })
	r := start(t, withRedis(server.URL), withConfig(func(c *config.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Limits["pending_address"] = config.Limit{Burst: 5, Every: 36 * time.Second}
	}))
	from := func(address string) *browser {
		b := newBrowser(t)
		b.header = http.Header{"X-Forwarded-For": {address}}
		return b
	}
	const flood, other = "192.0.2.1", "198.51.100.7"
	begin := func(address string, more ...string) *page {
		return r.authorize(from(address), r.newRequest(webClient).with(more...))
	}
	big := []string{"login_hint", strings.Repeat("4", 3000), "ui_locales", strings.TrimSpace(strings.Repeat("ja ", 900))}
	for range 5 {
		begin(flood, big...).form("/login/phone")
	}
	keys := func() []string {
		all, err := db.Keys(t.Context(), "handset:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := keys()
	for _, key := range before {
		if size := db.MemoryUsage(t.Context(), key).Val(); size > 1000 {
			t.Errorf("%s takes %d bytes", key, size)
		}
	}
	for range 20 {
		p := begin(flood, big...)
		p.wants(http.StatusTooManyRequests, "Too many tries from your network", "The web app")
		if p.header.Get("Retry-After") == "" {
			t.Fatal("429 without Retry-After")
		}
	}
	from(flood).post(r.base+"/authorize", r.newRequest(webClient).Values).wants(http.StatusTooManyRequests)
	from(flood).post(r.base+"/oidc/logout", url.Values{"client_id": {webClient}}).wants(http.StatusTooManyRequests)
	if after := keys(); len(after) != len(before) {
		t.Errorf("Redis had %d keys before and has %d", len(before), len(after))
	}
	// It keeps nothing with prompt=none, and others are none of its business.
	if got := begin(flood, "prompt", "none").answer(); got.Get("error") != "login_required" {
		t.Errorf("prompt=none: %v", got)
	}
	begin(other).form("/login/phone")
	r.clock.Advance(37 * time.Second)
	begin(flood).form("/login/phone")
	begin(flood).wants(http.StatusTooManyRequests)
}
