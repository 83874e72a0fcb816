package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/storage/storagetest"
)

// A Redis that fails over may forget that a code was used. SQL has the last word.
func TestAttackReplayAfterRedisWentBack(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	r := start(t, withRedis(server.URL))
	db := redis.NewClient(redisOptions(t, server.URL))
	t.Cleanup(func() { db.Close() })

	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	form := r.stolen(p, "/login/code", "code", r.gateway.code(number))
	kept := dump(t, db)
	if first := form.send(t); !first.location(t).Query().Has("code") {
		t.Fatalf("login: %d", first.status)
	}
	for key, value := range kept {
		if err := db.RestoreReplace(t.Context(), key, time.Hour, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got := form.send(t)
	if got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) > 0 {
		t.Errorf("the code was spent again: %d to %q", got.status, got.header.Get("Location"))
	}
	if accepted := r.checks()["accepted"]; accepted != 2 {
		t.Errorf("Redis accepted the code %d times; the test wants it to forget, and SQL to refuse", accepted)
	}
}

// dump copies all that a Redis holds.
func dump(t testing.TB, db *redis.Client) map[string]string {
	t.Helper()
	keys, err := db.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	out := map[string]string{}
	for _, key := range keys {
		if out[key], err = db.Dump(t.Context(), key).Result(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func redisOptions(t testing.TB, url string) *redis.Options {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.DisableIdentity = true
	return o
}

// security.md row 26: with the counters everything of the login is gone, and
// what is gone opens nothing.
func TestAttackFlushMidLogin(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	r := start(t, withRedis(server.URL))
	db := redis.NewClient(redisOptions(t, server.URL))
	t.Cleanup(func() { db.Close() })
	flush := func() {
		t.Helper()
		if err := db.FlushAll(context.WithoutCancel(t.Context())).Err(); err != nil {
			t.Fatal(err)
		}
	}

	b, number := newBrowser(t), newNumber()
	p := r.askCode(b, r.newRequest(webClient), number)
	code := r.gateway.code(number)
	flush()
	p.submit("/login/code", "code", code).wants(http.StatusBadRequest, "timed out")
	p.submit("/login/resend").wants(http.StatusBadRequest, "timed out")
	b.get(p.url.String()).wants(http.StatusBadRequest, "timed out")
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
	if r.cookie(b, "handset_sid") != "" {
		t.Error("there is a session")
	}

	// The challenge alone is lost: an eviction that took some keys.
	p = r.askCode(b, r.newRequest(webClient), number)
	code = r.gateway.code(number)
	keys, err := db.Keys(t.Context(), "handset:{codes}:*").Result()
	if err != nil || len(keys) < 3 {
		t.Fatalf("%q, %v", keys, err)
	}
	if err := db.Del(t.Context(), keys...).Err(); err != nil {
		t.Fatal(err)
	}
	p.submit("/login/code", "code", code).wants(http.StatusBadRequest, "timed out")
	b.get(r.base+"/login/code?txn="+p.url.Query().Get("txn")).wants(http.StatusOK, "Mobile number")

	// Access tokens are gone as well, and what is in SQL goes on.
	b2, q := newBrowser(t), r.newRequest(webClient)
	got := r.exchange(webClient, q, r.login(b2, q, newNumber()).answer().Get("code"))
	flush()
	if status, _ := r.userinfo(got.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("userinfo with a token that is lost: %d", status)
	}
	if next := r.refresh(webClient, got.Refresh); next.status != http.StatusOK {
		t.Errorf("refresh: %d %s", next.status, next.Error)
	}
}
