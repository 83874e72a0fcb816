package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/storagetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// operations are all that a request may ask of a store.
func operations(s *redisstore.Store, v *vault.Vault) map[string]func(context.Context) error {
	mac := v.MAC(vault.AccessToken, "token")
	return map[string]func(context.Context) error{
		"Ping": s.Ping,
		"CreateTransaction": func(ctx context.Context) error {
			return s.CreateTransaction(ctx, storage.Transaction{ID: "T", ExpiresAt: start.Add(time.Hour)}, start)
		},
		"CreateTransactionWithin": func(ctx context.Context) error {
			return s.CreateTransaction(ctx, storage.Transaction{ID: "T", ExpiresAt: start.Add(time.Hour)}, start,
				storage.Limit{Name: "pending_address", Key: "net", Burst: 1000, Every: time.Minute})
		},
		"KeepPosted": func(ctx context.Context) error { return s.KeepPosted(ctx, storage.Posted{Ref: "R"}, start) },
		"Posted":     func(ctx context.Context) error { _, err := s.Posted(ctx, "/authorize", "R"); return err },
		"Login":      func(ctx context.Context) error { _, _, err := s.Login(ctx, "T", "C"); return err },
		"Challenge":  func(ctx context.Context) error { _, err := s.Challenge(ctx, "C"); return err },
		"StartChallenge": func(ctx context.Context) error {
			_, err := s.StartChallenge(ctx, request("C", "tag"))
			return err
		},
		"UndoSend": func(ctx context.Context) error {
			return s.UndoSend(ctx, "C", []byte(`{"i":"X","t":1772366400000}`), true, start)
		},
		"CheckChallenge": func(ctx context.Context) error {
			_, err := s.CheckChallenge(ctx, storage.CheckChallenge{ID: "C", Now: start, MAC: []byte("x")})
			return err
		},
		"PutAccessToken": func(ctx context.Context) error {
			return s.PutAccessToken(ctx, mac, storage.AccessToken{ExpiresAt: start.Add(time.Hour)}, start)
		},
		"AccessToken":       func(ctx context.Context) error { _, err := s.AccessToken(ctx, [][]byte{mac}); return err },
		"AccessToken2":      func(ctx context.Context) error { _, err := s.AccessToken(ctx, [][]byte{mac, mac}); return err },
		"DeleteAccessToken": func(ctx context.Context) error { return s.DeleteAccessToken(ctx, [][]byte{mac}) },
		"TakeLimit": func(ctx context.Context) error {
			_, err := s.TakeLimit(ctx, storage.Limit{Name: "manage_client", Key: "k", Burst: 1000, Every: time.Minute}, start)
			return err
		},
		"UseAssertion": func(ctx context.Context) error {
			return s.UseAssertion(ctx, "tag", start.Add(time.Minute), start)
		},
	}
}

func request(id storage.ChallengeID, tag string) storage.StartChallenge {
	return storage.StartChallenge{
		ID: id, Now: start, NumberTag: tag, Context: []byte("context"), Tries: 5,
		Limits: []storage.Limit{
			{Name: "send_number", Key: tag, Burst: 5, Every: 3 * time.Hour},
			{Name: "send_address", Key: "net", Burst: 10, Every: time.Minute},
		},
		Guess: storage.Limit{Name: "guess_number", Key: tag, Burst: 10, Every: 144 * time.Minute},
		Short: storage.NewCode{Length: 6, MAC: bytes.Repeat([]byte{6}, 36), Sealed: bytes.Repeat([]byte{6}, 38)},
		Long:  storage.NewCode{Length: 8, MAC: bytes.Repeat([]byte{8}, 36), Sealed: bytes.Repeat([]byte{8}, 40)},
		Life:  5 * time.Minute, MaxLife: 10 * time.Minute, RepeatWithin: 2 * time.Minute, Keep: 30 * time.Minute,
	}
}

func TestKilledRedisIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	s, v := openStore(t, server.URL)
	all := operations(s, v)
	wantUnavailable := func(ctx context.Context) {
		t.Helper()
		for name, operation := range all {
			if err := operation(ctx); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%s without Redis: %v, want unavailable", name, err)
			}
		}
	}
	wantAnswers := func() {
		t.Helper()
		// After many refused connections the pool looks again once a second.
		for deadline := time.Now().Add(time.Minute); s.Ping(t.Context()) != nil && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		for name, operation := range all {
			if err := operation(t.Context()); errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%s with Redis: %v", name, err)
			}
		}
	}
	wantAnswers()
	server.Kill()
	wantUnavailable(t.Context())
	server.Start()
	wantAnswers()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(ended)
	server.Kill()
	if _, err := redisstore.Open(t.Context(), redisstore.Config{URL: server.URL, Vault: v}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Open without Redis: %v, want unavailable", err)
	}
}

// TestHangingRedisIsUnavailable stops the server (SIGSTOP): it accepts and never answers.
func TestHangingRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	v := newVault(t)
	s, err := redisstore.Open(t.Context(), redisstore.Config{URL: server.URL, Vault: v, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	server.Pause()
	defer server.Resume()
	began := time.Now()
	_, err = s.StartChallenge(t.Context(), request("C", "tag"))
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("StartChallenge: %v, want unavailable", err)
	}
	_, err = s.AccessToken(t.Context(), v.MACs(vault.AccessToken, "x"))
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("AccessToken: %v, want unavailable", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("two commands took %v with timeouts of 2 s", took)
	}
	// A command that may have run is not sent again.
	server.Resume()
	if c, err := s.Challenge(t.Context(), "C"); c.Sends > 1 {
		t.Errorf("afterwards %+v, %v; want one send at most", c, err)
	}
}

// TestRightCodeAfterRedisWasLost is a login during which Redis is killed and
// comes back empty: never a wrong success.
func TestRightCodeAfterRedisWasLost(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	s, _ := openStore(t, server.URL)
	r := request("C", "tag")
	if _, err := s.StartChallenge(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	check := storage.CheckChallenge{ID: "C", Now: start, MAC: r.Short.MAC}
	if _, err := s.CheckChallenge(t.Context(), check); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("without Redis: %v, want unavailable", err)
	}
	server.Start()
	if checked, err := s.CheckChallenge(t.Context(), check); err != nil || checked.Status != storage.CheckGone {
		t.Errorf("with an empty Redis: %+v, %v; want gone", checked, err)
	}
	if _, err := s.StartChallenge(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if checked, err := s.CheckChallenge(t.Context(), check); err != nil || checked.Status != storage.CheckOK {
		t.Errorf("after a new start: %+v, %v; want ok", checked, err)
	}
}

func TestEvictingRedisIsRefused(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "allkeys-random"} {
		server := storagetest.StartRedis(t, "--maxmemory-policy", policy)
		_, err := redisstore.Open(t.Context(), redisstore.Config{URL: server.URL, Vault: newVault(t)})
		if err == nil || !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), "set it to noeviction") {
			t.Errorf("%s: %v; want refused, and told what to set", policy, err)
		}
	}
}

// TestRedisThatForbidsConfig still tells its policy in INFO; one that forbids
// both is accepted with a warning.
func TestRedisThatForbidsConfig(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	var log bytes.Buffer
	openLogged := func(url string) error {
		s, err := redisstore.Open(t.Context(), redisstore.Config{
			URL: url, Vault: v, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err == nil {
			s.Close()
		}
		return err
	}
	evicting := storagetest.StartRedis(t, "--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", "")
	if err := openLogged(evicting.URL); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("evicting, without CONFIG: %v; want refused", err)
	}
	silent := storagetest.StartRedis(t, "--rename-command", "CONFIG", "", "--rename-command", "INFO", "")
	if err := openLogged(silent.URL); err != nil {
		t.Errorf("without CONFIG and INFO: %v", err)
	}
	if !strings.Contains(log.String(), "maxmemory-policy") {
		t.Errorf("no warning: %q", log.String())
	}
}

func TestFullRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t, "--maxmemory", "1")
	s, v := openStore(t, server.URL)
	for name, operation := range operations(s, v) {
		switch name {
		case "CreateTransaction", "CreateTransactionWithin", "KeepPosted", "StartChallenge", "PutAccessToken", "UseAssertion":
		default:
			continue // needs no memory
		}
		if err := operation(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s with Redis out of memory: %v, want unavailable", name, err)
		}
	}
}

func TestReplicaIsUnavailable(t *testing.T) {
	t.Parallel()
	server := storagetest.StartRedis(t)
	s, v := openStore(t, server.URL)
	if err := s.Raw().Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"StartChallenge", "CreateTransaction", "CreateTransactionWithin", "KeepPosted", "PutAccessToken", "UseAssertion"} {
		if err := operations(s, v)[name](t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s on a replica: %v, want unavailable", name, err)
		}
	}
}
