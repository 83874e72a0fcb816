package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// each runs a benchmark on the embedded and on a real server.
func each(b *testing.B, run func(b *testing.B, s *redisstore.Store, v *vault.Vault)) {
	b.Run("embedded", func(b *testing.B) {
		s, v := openStore(b, "embedded")
		run(b, s, v)
	})
	b.Run("redis", func(b *testing.B) {
		s, v := openStore(b, storagetest.StartRedis(b).URL)
		run(b, s, v)
	})
}

// nth is a request in a place and with limits of its own.
func nth(n int) storage.StartChallenge {
	r := request(storage.ChallengeID(fmt.Sprint("login:", n)), fmt.Sprint("tag", n))
	r.Limits[1].Key = r.Limits[0].Key
	return r
}

func BenchmarkStartChallenge(b *testing.B) {
	each(b, func(b *testing.B, s *redisstore.Store, _ *vault.Vault) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if started, err := s.StartChallenge(b.Context(), nth(n)); err != nil || started.Limited != nil {
				b.Fatal(started.Limited, err)
			}
		}
	})
}

func BenchmarkCheckChallenge(b *testing.B) {
	each(b, func(b *testing.B, s *redisstore.Store, _ *vault.Vault) {
		r := nth(0)
		r.Tries = 1 << 50
		if _, err := s.StartChallenge(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		c := storage.CheckChallenge{
			ID: r.ID, Now: start, MAC: r.Long.MAC, Guess: r.Guess, LongLength: 6,
			Limits: []storage.Limit{{Name: "verify_address", Key: "net", Burst: 1 << 40, Every: time.Second}},
		}
		b.ReportAllocs()
		for b.Loop() {
			if checked, err := s.CheckChallenge(b.Context(), c); err != nil || checked.Status != storage.CheckWrong {
				b.Fatal(checked, err)
			}
		}
	})
}

func BenchmarkStartUndo(b *testing.B) {
	each(b, func(b *testing.B, s *redisstore.Store, _ *vault.Vault) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			r := nth(n)
			started, err := s.StartChallenge(b.Context(), r)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.UndoSend(b.Context(), r.ID, started.Undo, false, start); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	each(b, func(b *testing.B, s *redisstore.Store, _ *vault.Vault) {
		t := storage.Transaction{
			ID: "T", ExpiresAt: start.Add(time.Hour), ClientID: "tiny-client", RedirectURI: "http://localhost:4000/oidc/callback",
			State: "0123456789abcdef0123456789abcdef", Nonce: "0123456789abcdef", Scopes: []string{"openid", "phone"},
		}
		r := nth(0)
		if err := s.CreateTransaction(b.Context(), t, start); err != nil {
			b.Fatal(err)
		}
		if _, err := s.StartChallenge(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := s.Login(b.Context(), t.ID, r.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAccessToken(b *testing.B) {
	each(b, func(b *testing.B, s *redisstore.Store, v *vault.Vault) {
		macs := v.MACs(vault.AccessToken, "token")
		token := storage.AccessToken{
			GrantID: "4FXZ2JQH7KDMPWRT6VNYBACE3S", ClientID: "tiny-client", UserID: "sms|0123456789abcdef01234567",
			SessionID: "Q7KDMPWRT6VNYBACE3S4FXZ2JH", Scopes: []string{"openid", "phone"},
			IssuedAt: start, ExpiresAt: start.Add(time.Hour), AuthTime: start,
		}
		if err := s.PutAccessToken(b.Context(), macs[0], token, start); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.AccessToken(b.Context(), macs); err != nil {
				b.Fatal(err)
			}
		}
	})
}
