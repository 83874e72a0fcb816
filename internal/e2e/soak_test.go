//go:build soak

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/sqlstore"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// soakSends is how many people are texted.
const soakSends = 10_000

// TestSoak sends 10,000 codes through two senders, of which the first fails now and
// then, on a real Redis and a database on disk: every person gets exactly one text,
// it is on record once, it cost one unit of quota, and its code works. A sender that
// fails half the time is soon left out by its circuit breaker; one that fails every
// third time is not, and a third of the texts change over.
func TestSoak(t *testing.T) {
	for name, every := range map[string]int64{"FailsHalfTheTime": 2, "FailsEveryThirdTime": 3} {
		t.Run(name, func(t *testing.T) { soak(t, every) })
	}
}

// soak has the first sender fail every so many times.
func soak(t *testing.T, every int64) {
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	redis, err := redisstore.Open(t.Context(), redisstore.Config{URL: storagetest.StartRedis(t).URL, Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	sql, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "handset.db"), Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer sql.Close()

	shaky, whole := newGateway(t), newGateway(t)
	var asked atomic.Int64
	shaky.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if asked.Add(1)%every == 0 {
			return status(http.StatusInternalServerError)(w, r)
		}
		return true
	})
	senders, err := passcode.Sending{
		Deps: sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: true}), AllowPrivate: true},
		Senders: []passcode.NamedOptions{
			{Name: "shaky", Options: shaky.options(nil).JSON()}, {Name: "whole", Options: whole.options(nil).JSON()},
		},
		Rules: []passcode.Rule{{To: []string{"all"}, Via: []string{"shaky", "whole"}}},
	}.Open()
	if err != nil {
		t.Fatal(err)
	}
	connection, err := passcode.ParseConnection(storage.Connection{Name: "sms", Strategy: "sms"}, senders)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := passcode.New(passcode.Config{
		Store: redis, Vault: v, Records: sql, Logger: slog.New(slog.DiscardHandler),
		Limits: map[string]storage.Limit{"send_address": {Off: true}, "verify_address": {Off: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	began := time.Now()
	people := make(chan int)
	var work sync.WaitGroup
	for range 32 {
		work.Go(func() {
			for i := range people {
				soakOne(t, engine, redis, connection, shaky, whole, i)
			}
		})
	}
	for i := range soakSends {
		people <- i
	}
	close(people)
	work.Wait()
	took := time.Since(began)
	stop()
	running.Wait()
	if err := engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}

	all, err := sql.Deliveries(t.Context(), began.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	sent, verified := 0, 0
	for _, d := range all {
		sent, verified = sent+d.Sent, verified+d.Verified
	}
	if sent != soakSends || verified != soakSends {
		t.Errorf("on record: %d texts, %d codes entered", sent, verified)
	}
	if len(shaky.texts)+len(whole.texts) != soakSends {
		t.Errorf("%d and %d texts arrived", len(shaky.texts), len(whole.texts))
	}
	for i := range soakSends {
		stories, err := sql.Timelines(t.Context(), engine.Reference(soakChallenge(i)))
		if err != nil {
			t.Fatal(err)
		}
		checkSoaked(t, stories, soakChallenge(i))
	}
	t.Logf("%d texts in %s (%.0f a second): %d by the sender that fails (asked %d times), %d by the other",
		soakSends, took.Round(time.Second), float64(soakSends)/took.Seconds(), len(shaky.texts), asked.Load(), len(whole.texts))
}

func soakChallenge(i int) storage.ChallengeID { return storage.ChallengeID(fmt.Sprintf("login:%d", i)) }

// soakOne texts one person, who enters the code.
func soakOne(t *testing.T, engine *passcode.Engine, redis *redisstore.Store, c *passcode.Connection, shaky, whole *gateway, i int) {
	number, err := phone.FromStored(fmt.Sprintf("+44740%07d", i))
	if err != nil {
		t.Error(err)
		return
	}
	id := soakChallenge(i)
	address := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
	_, err = engine.Send(t.Context(), passcode.SendRequest{
		Challenge: id, Purpose: passcode.Login, Client: "app", Number: number, Address: address,
		Connection: c, Application: "Soak", Wait: time.Minute,
	})
	if err != nil {
		t.Errorf("person %d: %v", i, err)
		return
	}
	texts := append(shaky.to(number.E164()), whole.to(number.E164())...)
	if len(texts) != 1 {
		t.Errorf("person %d got %d texts", i, len(texts))
		return
	}
	challenge, err := redis.Challenge(t.Context(), id)
	if err != nil {
		t.Error(err)
		return
	}
	err = engine.Check(t.Context(), passcode.CheckRequest{
		Challenge: challenge, Purpose: passcode.Login, Client: "app", Number: number,
		Typed: codePattern.FindString(texts[0].Body), Address: address,
	})
	if err != nil {
		t.Errorf("person %d: the code: %v", i, err)
	}
}

// checkSoaked checks what is on record of one person: one text, which cost one of
// five. References of two people may be the same.
func checkSoaked(t *testing.T, stories []storage.TextTimeline, id storage.ChallengeID) {
	texts, entered := 0, 0
	i := slices.IndexFunc(stories, func(s storage.TextTimeline) bool { return len(s.Texts) > 0 && s.Texts[0].Challenge == id })
	if i < 0 {
		t.Error("nothing is on record of", id)
		return
	}
	for _, text := range stories[i].Texts {
		texts++
		if text.Outcome != storage.TextHandedOver || text.MessageID == "" || len(text.Story.Limits) != 1 || text.Story.Limits[0].Left != 4 {
			t.Errorf("%s is on record as %+v", id, text)
		}
	}
	for _, e := range stories[i].Events {
		if e.Kind == storage.CodeAccepted {
			entered++
		}
	}
	if texts != 1 || entered != 1 {
		t.Error(errors.New("recorded otherwise than once"), id, texts, entered)
	}
}
