package storagetest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

func transaction() storage.Transaction {
	return storage.Transaction{
		ID: "TRANSACTION", BrowserMAC: []byte{1, 2, 3}, CreatedAt: start, ExpiresAt: start.Add(30 * time.Minute),
		ClientID: "tiny-client", RedirectURI: "http://localhost:4000/oidc/callback", ResponseMode: "form_post",
		State: "st\u00e4te", Nonce: "n", Scopes: []string{"openid", "phone"}, CodeChallenge: "c",
		Audience: "https://api.example.com", APIScopes: []string{"read:a", "write:a"},
		AuthAfter: start.Add(-time.Minute), LoginHint: number, HintUser: "sms|0123456789abcdef01234567",
		UILocales: []string{"ja", "en"}, ACR: "x",
	}
}

func accessToken() storage.AccessToken {
	return storage.AccessToken{
		GrantID: "4FXZ2JQH7KDMPWRT6VNYBACE3S", ClientID: "TinyClient0123456789abcdefghijkl",
		UserID: "sms|0123456789abcdef01234567", SessionID: "Q7KDMPWRT6VNYBACE3S4FXZ2JH",
		Scopes: []string{"openid", "profile", "phone", "offline_access"}, IssuedAt: start,
		ExpiresAt: start.Add(time.Hour), AuthTime: start.Add(-3 * time.Minute),
	}
}

func transactionWhole(t *testing.T, p *place) {
	want := transaction()
	if err := p.Store.CreateTransaction(t.Context(), want, p.now); err != nil {
		t.Fatal(err)
	}
	p.send("tag")
	got, c, err := p.Store.Login(t.Context(), want.ID, p.id)
	if err != nil || !same(got, want) {
		t.Errorf("Login = %+v, %v; want %+v", got, err, want)
	}
	if alone := p.challenge(); !same(c, alone) || c.State != storage.ChallengeLive {
		t.Errorf("Login's challenge %+v, Challenge says %+v", c, alone)
	}
	if !strings.Contains(string(c.Context), number) {
		t.Errorf("context = %q", c.Context)
	}
	for _, none := range []storage.ChallengeID{"", "login:OTHER"} {
		if _, c, err = p.Store.Login(t.Context(), want.ID, none); err != nil || c.State != storage.ChallengeGone {
			t.Errorf("without a challenge: %+v, %v", c, err)
		}
	}
	for _, id := range []storage.TransactionID{"", "OTHER"} {
		if _, _, err := p.Store.Login(t.Context(), id, p.id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Login(%q): %v, want not found", id, err)
		}
	}
	if err := p.Store.CreateTransaction(t.Context(), want, want.ExpiresAt); err == nil {
		t.Error("an expired transaction was kept")
	}
}

func limitTellsWhatIsLeft(t *testing.T, p *place) {
	l := storage.Limit{Name: "manage_client", Key: "one", Burst: 3, Every: 50 * time.Millisecond}
	other := l
	other.Key = "another"
	for left := 2; left >= 0; left-- {
		got, err := p.Store.TakeLimit(t.Context(), l, p.now)
		want := storage.Taken{Left: left, FullAt: p.now.Add(time.Duration(3-left) * l.Every).Truncate(time.Millisecond)}
		if err != nil || got.Left != want.Left || !got.FullAt.Equal(want.FullAt) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for range 2 { // who is refused pays nothing
		_, err := p.Store.TakeLimit(t.Context(), l, p.now)
		refused, limited := errors.AsType[*storage.Limited](err)
		if !limited || refused.Name != l.Name || !refused.RetryAt.Equal(p.now.Add(l.Every).Truncate(time.Millisecond)) {
			t.Errorf("the fourth: %v", err)
		}
	}
	if got, err := p.Store.TakeLimit(t.Context(), other, p.now); err != nil || got.Left != 2 {
		t.Errorf("another's: %+v, %v", got, err)
	}
	if got, err := p.Store.TakeLimit(t.Context(), l, p.now.Add(l.Every)); err != nil || got.Left != 0 {
		t.Errorf("when it gives again: %+v, %v", got, err)
	}
}

func limitUnderRacers(t *testing.T, p *place) {
	l := storage.Limit{Name: "manage_client", Key: "one", Burst: 20, Every: time.Hour}
	var given atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := p.Store.TakeLimit(t.Context(), l, p.now); err == nil {
				given.Add(1)
			}
		})
	}
	wg.Wait()
	if given.Load() != 20 {
		t.Errorf("%d were given, want 20", given.Load())
	}
}

// refusedIsNotKept is security.md row 37.
func refusedIsNotKept(t *testing.T, p *place) {
	ctx := t.Context()
	few := storage.Limit{Name: "pending_address", Key: "net", Burst: 2, Every: time.Minute}
	off := storage.Limit{Name: "other", Key: "net", Off: true}
	tr := transaction()
	for i, want := range []bool{true, true, false, false} {
		tr.ID = storage.TransactionID(fmt.Sprint("TRANSACTION", i))
		err := p.Store.CreateTransaction(ctx, tr, p.now, few, off)
		refused, limited := errors.AsType[*storage.Limited](err)
		if (err == nil) != want || !want && (!limited || refused.Name != few.Name || !refused.RetryAt.Equal(p.now.Add(time.Minute))) {
			t.Errorf("transaction %d: %v", i+1, err)
		}
		if _, _, err := p.Store.Login(ctx, tr.ID, ""); errors.Is(err, storage.ErrNotFound) == want {
			t.Errorf("transaction %d is kept: %v", i+1, err)
		}
	}
	form := storage.Posted{Ref: "REF", Endpoint: "/authorize", Form: "state=s"}
	if _, limited := errors.AsType[*storage.Limited](p.Store.KeepPosted(ctx, form, p.now, few)); !limited {
		t.Error("a form beyond the limit was taken")
	}
	if _, err := p.Store.Posted(ctx, form.Endpoint, form.Ref); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a form beyond the limit is kept: %v", err)
	}
	// Redis may lose the script between two requests.
	if err := p.Raw.ScriptFlush(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.Store.CreateTransaction(ctx, tr, p.now.Add(time.Minute), few); err != nil {
		t.Errorf("once the limit gives again: %v", err)
	}
	if _, _, err := p.Store.Login(ctx, tr.ID, ""); err != nil {
		t.Error(err)
	}
}

func postedForm(t *testing.T, p *place) {
	ctx := t.Context()
	want := storage.Posted{Ref: "REF", Endpoint: "/authorize", Form: "nonce=%FF&state=a&state=b\xff"}
	if err := p.Store.KeepPosted(ctx, want, p.now); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a browser may ask again
		if got, err := p.Store.Posted(ctx, want.Endpoint, want.Ref); err != nil || got != want.Form {
			t.Errorf("form = %q, %v", got, err)
		}
	}
	for _, other := range [][2]string{{"/oidc/logout", "REF"}, {"/authorize", "OTHER"}, {"/authorize", ""}} {
		if _, err := p.Store.Posted(ctx, other[0], other[1]); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%v: %v, want not found", other, err)
		}
	}
	if ttl := p.Raw.PTTL(ctx, "handset:{REF}:posted").Val(); ttl <= 0 || ttl > 5*time.Minute {
		t.Errorf("it is kept for %v", ttl)
	}
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch got, err := p.Store.TakePosted(ctx, want.Endpoint, want.Ref); {
			case err == nil && got == want.Form:
				taken.Add(1)
			case !errors.Is(err, storage.ErrNotFound):
				t.Errorf("taken: %q, %v", got, err)
			}
		})
	}
	if wg.Wait(); taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
}

func transactionMoved(t *testing.T, p *place) {
	if err := p.Store.CreateTransaction(t.Context(), transaction(), p.now); err != nil {
		t.Fatal(err)
	}
	sealed, err := p.Raw.Get(t.Context(), "handset:{TRANSACTION}:txn").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Raw.Set(t.Context(), "handset:{OTHER}:txn", sealed, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Store.Login(t.Context(), "OTHER", ""); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a moved transaction: %v, want not found", err)
	}
}

func accessTokenAnyKey(t *testing.T, p *place) {
	want := accessToken()
	mac := p.Vault.MAC(vault.AccessToken, "token")
	if err := p.Store.PutAccessToken(t.Context(), mac, want, p.now); err != nil {
		t.Fatal(err)
	}
	other := p.Vault.MAC(vault.AccessToken, "other")
	for _, macs := range [][][]byte{{mac}, {other, mac}, {mac, other}} {
		if got, err := p.Store.AccessToken(t.Context(), macs); err != nil || !same(got, want) {
			t.Errorf("AccessToken = %+v, %v; want %+v", got, err, want)
		}
	}
	for _, macs := range [][][]byte{{other}, {other, other}, {}} {
		if _, err := p.Store.AccessToken(t.Context(), macs); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("unknown token: %v, want not found", err)
		}
	}
	if err := p.Store.PutAccessToken(t.Context(), other, want, want.ExpiresAt); err == nil {
		t.Error("an expired token was kept")
	}
}

func accessTokenDeleted(t *testing.T, p *place) {
	mac, other := p.Vault.MAC(vault.AccessToken, "token"), p.Vault.MAC(vault.AccessToken, "other")
	if err := p.Store.PutAccessToken(t.Context(), mac, accessToken(), p.now); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Store.DeleteAccessToken(t.Context(), [][]byte{other, mac}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Store.AccessToken(t.Context(), [][]byte{mac}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a deleted token: %v, want not found", err)
	}
}

// accessTokenSize is the budget: at most 300 bytes with its key.
func accessTokenSize(t *testing.T, p *place) {
	mac := p.Vault.MAC(vault.AccessToken, "token")
	if err := p.Store.PutAccessToken(t.Context(), mac, accessToken(), p.now); err != nil {
		t.Fatal(err)
	}
	key := p.keys("*")[0]
	value, err := p.Raw.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(key) + len(value); got > 300 {
		t.Errorf("key %d + value %d bytes, want at most 300", len(key), len(value))
	}
	p.atMost(key, 300)
}

// atMost compares what a key takes in a real server, with all of the server's own.
func (p *place) atMost(key string, bytes int64) {
	p.t.Helper()
	if !p.Real {
		return
	}
	used, err := p.Raw.MemoryUsage(p.t.Context(), key).Result()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("%s takes %d bytes", key, used)
	if used > bytes {
		p.t.Errorf("%s takes %d bytes, want at most %d", key, used, bytes)
	}
}

func challengeSize(t *testing.T, p *place) {
	p.id = "login:4FXZ2JQH7KDMPWRT6VNYBACE3S"
	r := p.request("0123456789abcdef")
	r.Context = []byte(number)
	if _, err := p.Store.StartChallenge(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p.atMost("handset:{codes}:challenge:"+string(p.id), 400)
}

func assertionOnce(t *testing.T, p *place) {
	ctx := t.Context()
	if err := p.Store.UseAssertion(ctx, "tag", p.now.Add(time.Minute), p.now); err != nil {
		t.Fatal(err)
	}
	if err := p.Store.UseAssertion(ctx, "tag", p.now.Add(time.Minute), p.now); !errors.Is(err, storage.ErrConsumed) {
		t.Errorf("second use: %v, want consumed", err)
	}
	if err := p.Store.UseAssertion(ctx, "other", p.now.Add(-time.Second), p.now); err != nil {
		t.Errorf("within a verifier's leeway: %v", err)
	}
	if err := p.Store.UseAssertion(ctx, "other", p.now.Add(-time.Second), p.now); !errors.Is(err, storage.ErrConsumed) {
		t.Errorf("second use within a verifier's leeway: %v, want consumed", err)
	}
}

// fill writes everything there is, and returns the codes that are live and used.
func (p *place) fill() (live, used string) {
	p.t.Helper()
	ctx := p.t.Context()
	p.cooldowns = nil
	p.refunds = p.limits
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	must(p.Store.CreateTransaction(ctx, transaction(), p.now))
	must(p.Store.KeepPosted(ctx, storage.Posted{Ref: "REF", Endpoint: "/authorize",
		Form: "login_hint=" + number}, p.now, storage.Limit{Name: "pending_address", Key: "net", Burst: 5, Every: time.Minute}))
	must(p.Store.PutAccessToken(ctx, p.Vault.MAC(vault.AccessToken, "token"), accessToken(), p.now))
	must(p.Store.UseAssertion(ctx, "tag", p.now.Add(time.Minute), p.now))
	p.id = "used"
	_, used = p.send("tag")
	p.check("999999")
	p.check("")
	p.check(used)
	p.id = "early"
	p.send("tag")
	started, _ := p.send("other")
	p.undo(started, false)
	p.id = "late"
	started, _ = p.send("tag")
	p.undo(started, true)
	p.id = "live"
	_, live = p.send("tag")
	return live, used
}

func everythingHasATTL(t *testing.T, p *place) {
	p.fill()
	keys := p.keys("*")
	kinds := map[string]int{}
	for _, key := range keys {
		ttl, err := p.Raw.PTTL(t.Context(), key).Result()
		if err != nil || ttl <= 0 || ttl > 48*time.Hour {
			t.Errorf("%s lives %v (%v)", key, ttl, err)
		}
		for _, kind := range []string{":challenge:", ":undone:", ":limit:send", ":limit:guess", ":limit:verify", ":limit:refund", ":txn", ":at:", ":assertion:"} {
			if strings.Contains(key, kind) {
				kinds[kind]++
			}
		}
	}
	if len(kinds) != 9 {
		t.Errorf("not every kind of record was there: %v", kinds)
	}
}

// dump is every byte that the server holds: keys and values.
func (p *place) dump() []byte {
	p.t.Helper()
	ctx := p.t.Context()
	var all bytes.Buffer
	for _, key := range p.keys("*") {
		all.WriteString(key + "\n")
		kind, err := p.Raw.Type(ctx, key).Result()
		if err != nil {
			p.t.Fatal(err)
		}
		if kind == "string" {
			all.WriteString(p.Raw.Get(ctx, key).Val() + "\n")
			continue
		}
		if kind != "hash" {
			p.t.Fatalf("%s is a %s: the dump does not know it", key, kind)
		}
		for field, value := range p.Raw.HGetAll(ctx, key).Val() {
			all.WriteString(field + "=" + value + "\n")
		}
	}
	return all.Bytes()
}

// dumpShowsNothing is security.md row 10. Who has the dump tries every code with
// every unkeyed hash; that finds a code exactly when one of these forms of the
// code itself is there.
func dumpShowsNothing(t *testing.T, p *place) {
	live, used := p.fill()
	dump := p.dump()
	if len(dump) < 1000 {
		t.Fatalf("the dump has only %d bytes", len(dump))
	}
	for _, code := range []string{live, used} {
		// Digits may stand in a time by chance; a field of their own is never chance.
		for _, plain := range []string{"=" + code + "\n", "\n" + code + "\n"} {
			if bytes.Contains(dump, []byte(plain)) {
				t.Errorf("the dump shows a code")
			}
		}
		for _, text := range []string{code, number + code, code + number, "live" + code, code + "live", "tag" + code} {
			for name, sum := range hashes(text) {
				for _, form := range [][]byte{
					sum, []byte(hex.EncodeToString(sum)), []byte(base64.RawStdEncoding.EncodeToString(sum)),
					[]byte(base64.RawURLEncoding.EncodeToString(sum)), sum[:8],
				} {
					if bytes.Contains(dump, form) {
						t.Errorf("the dump shows %s of a code", name)
					}
				}
			}
		}
	}
	for _, digits := range []string{number, number[1:], number[3:], "0" + number[3:]} {
		if bytes.Contains(dump, []byte(digits)) {
			t.Errorf("the dump shows a number")
		}
	}
	for _, secret := range []string{"token", "tiny-client", "localhost:4000"} {
		if bytes.Contains(dump, []byte("="+secret)) {
			t.Errorf("the dump shows %q", secret)
		}
	}
}

func hashes(text string) map[string][]byte {
	b := []byte(text)
	one, two, five, six := sha1.Sum(b), sha256.Sum256(b), sha512.Sum512(b), md5.Sum(b)
	return map[string][]byte{"SHA-1": one[:], "SHA-256": two[:], "SHA-512": five[:], "MD5": six[:]}
}

// flushedNeverAccepts is security.md row 26.
func flushedNeverAccepts(t *testing.T, p *place) {
	started, code := p.send("tag")
	mac := p.Vault.MAC(vault.AccessToken, "token")
	tr := transaction()
	if err := errors.Join(
		p.Store.CreateTransaction(t.Context(), tr, p.now),
		p.Store.PutAccessToken(t.Context(), mac, accessToken(), p.now),
	); err != nil {
		t.Fatal(err)
	}
	if err := p.Raw.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.try(code, storage.CheckGone, 0)
	if _, _, err := p.Store.Login(t.Context(), tr.ID, p.id); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("transaction after a flush: %v", err)
	}
	if _, err := p.Store.AccessToken(t.Context(), [][]byte{mac}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("token after a flush: %v", err)
	}
	for _, late := range []bool{false, true} {
		p.undo(started, late)
	}
	if c := p.challenge(); c.State != storage.ChallengeGone {
		t.Errorf("an undo brought back %+v", c)
	}
	if got := p.buckets(); fmt.Sprint(got) != fmt.Sprint(map[string]string{
		"handset:{codes}:limit:verify_address:net": fmt.Sprint(p.now.Add(time.Second).UnixMilli()),
	}) {
		t.Errorf("limits after a flush and an undo: %v", got)
	}
}

func flushedScripts(t *testing.T, p *place) {
	_, code := p.send("tag")
	if err := p.Raw.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.try("999999", storage.CheckWrong, 4)
	if err := p.Raw.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.try(code, storage.CheckOK, 0)
}
