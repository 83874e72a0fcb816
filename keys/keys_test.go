package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/storage"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

func open(t *testing.T, c keys.Config) *keys.Ring {
	t.Helper()
	if c.LongestToken == 0 {
		c.LongestToken = 7 * day
	}
	r, err := keys.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return r
}

func maintain(t *testing.T, r *keys.Ring, now time.Time) {
	t.Helper()
	if err := r.Maintain(t.Context(), now); err != nil {
		t.Fatalf("maintain: %v", err)
	}
}

func verifies(t *testing.T, r *keys.Ring, token string) bool {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, keys.Algorithms())
	if err != nil {
		t.Fatalf("parse our own token: %v", err)
	}
	_, err = jws.Verify(r.PublicKey(storage.KeyID(jws.Signatures[0].Protected.KeyID)))
	return err == nil
}

// published returns the RSA keys of the JWKS.
func published(t *testing.T, r *keys.Ring) []jose.JSONWebKey {
	t.Helper()
	return publishedFor(t, r, keys.RS256)
}

// list returns what List says of the RSA keys.
func list(t *testing.T, r *keys.Ring) []keys.Info { return listFor(t, r, keys.RS256) }

// listFor returns what List says of the keys of one algorithm.
func listFor(t *testing.T, r *keys.Ring, alg keys.Algorithm) []keys.Info {
	t.Helper()
	infos, err := r.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return slices.DeleteFunc(infos, func(i keys.Info) bool { return i.Algorithm != string(alg) })
}

// publishedFor returns the keys of the JWKS for one algorithm.
func publishedFor(t *testing.T, r *keys.Ring, alg keys.Algorithm) []jose.JSONWebKey {
	t.Helper()
	body, _ := r.JWKS()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatalf("JWKS: %v", err)
	}
	return slices.DeleteFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.Algorithm != string(alg) })
}

func sign(t *testing.T, r *keys.Ring) string {
	t.Helper()
	return signWith(t, r, keys.RS256)
}

func signWith(t *testing.T, r *keys.Ring, alg keys.Algorithm) string {
	t.Helper()
	token, err := r.Signer(alg).Sign(keys.TypeJWT, []byte(`{"a":1}`))
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return token
}

func TestTheFirstStartMakesAKey(t *testing.T) {
	t.Parallel()
	store := keystest.NewStore()
	r := open(t, keys.Config{Store: store})
	if !verifies(t, r, sign(t, r)) {
		t.Error("the ring does not verify what it signed")
	}
	again := open(t, keys.Config{Store: store})
	if again.Signer(keys.RS256).ID != r.Signer(keys.RS256).ID || store.Updates != len(keys.Algorithms()) {
		t.Errorf("the second start signs with %s after %d updates, want %s after one for each algorithm", again.Signer(keys.RS256).ID, store.Updates, r.Signer(keys.RS256).ID)
	}
}

func TestServersThatStartAtOnceEndWithOneKey(t *testing.T) {
	t.Parallel()
	store := keystest.NewStore()
	rings := make([]*keys.Ring, 4)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			r, err := keys.Open(t.Context(), keys.Config{Store: store, LongestToken: day})
			if err != nil {
				t.Errorf("open: %v", err)
			}
			rings[i] = r
		})
	}
	wg.Wait()
	for _, r := range rings {
		if r == nil || r.Signer(keys.RS256).ID != rings[0].Signer(keys.RS256).ID || len(published(t, r)) != 1 {
			t.Fatal("the servers differ in their keys")
		}
	}
}

// TestRotation follows one key through its life on two servers, one of which
// hears of changes by change rows alone.
func TestRotation(t *testing.T) {
	t.Parallel()
	store, c := keystest.NewStore(keystest.Record(0, start)), &clock{now: start}
	one := open(t, keys.Config{Store: store, RotateEvery: 30 * day, Now: c.Now})
	other := open(t, keys.Config{Store: store, RotateEvery: 30 * day, Now: c.Now})
	old := one.Signer(keys.RS256).ID
	token := sign(t, one)

	maintain(t, one, c.advance(29*day))
	if err := other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*keys.Ring{"one": one, "other": other} {
		if r.Signer(keys.RS256).ID != old || len(published(t, r)) != 2 {
			t.Fatalf("%s: a new key must be published and not sign yet", name)
		}
	}
	c.advance(day - time.Second)
	if one.Signer(keys.RS256).ID != old {
		t.Fatal("the new key signs before it was published for a day")
	}
	c.advance(time.Second) // and nobody maintains anything
	if one.Signer(keys.RS256).ID == old || other.Signer(keys.RS256).ID != one.Signer(keys.RS256).ID {
		t.Fatal("the turn must change on both servers by the clock alone")
	}
	if !verifies(t, other, token) {
		t.Fatal("a token of the retired key must verify")
	}
	maintain(t, one, c.advance(6*day))
	if !verifies(t, one, token) {
		t.Fatal("a token of the retired key must verify until it has expired")
	}
	maintain(t, one, c.advance(2*day))
	if verifies(t, one, token) || len(published(t, one)) != 1 {
		t.Fatal("after its last token the retired key must be gone")
	}
}

func TestRotateByCommand(t *testing.T) {
	t.Parallel()
	store, c := keystest.NewStore(keystest.Record(0, start)), &clock{now: start.Add(day)}
	r := open(t, keys.Config{Store: store, Now: c.Now})
	old := r.Signer(keys.RS256).ID
	info, err := r.Rotate(t.Context(), keys.RS256)
	if err != nil {
		t.Fatal(err)
	}
	if info.State != keys.Pending || !info.SignsFrom.Equal(c.Now().Add(keys.PublishAhead)) || r.Signer(keys.RS256).ID != old {
		t.Errorf("got %+v, want a pending key that signs in a day", info)
	}
	if again, err := r.Rotate(t.Context(), keys.RS256); err != nil || again.ID != info.ID {
		t.Errorf("a second rotate gave %+v, %v; want the key that waits already", again, err)
	}
	c.advance(keys.PublishAhead)
	infos := list(t, r)
	if len(infos) != 2 || infos[0].ID != info.ID || infos[0].State != keys.Signing ||
		!infos[0].Signs || infos[1].State != keys.Retired {
		t.Errorf("list: %+v", infos)
	}
}

func TestAnEmptyStoreGetsOneKeyOfEachAlgorithmThatSigns(t *testing.T) {
	t.Parallel()
	r := open(t, keys.Config{Store: keystest.NewStore()})
	for _, alg := range keys.Algorithms() {
		if infos := listFor(t, r, alg); len(infos) != 1 || infos[0].State != keys.Signing {
			t.Errorf("list for %s: %+v", alg, infos)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	store, c := keystest.NewStore(keystest.Record(0, start)), &clock{now: start.Add(day)}
	r := open(t, keys.Config{Store: store, Now: c.Now})
	info, err := r.Import(t.Context(), keystest.PKCS1(1))
	if err != nil {
		t.Fatal(err)
	}
	if info.ID != keys.ID(&keystest.Key(1).PublicKey) || info.State != keys.Pending ||
		!info.SignsFrom.Equal(c.Now().Add(keys.PublishAhead)) {
		t.Errorf("imported %+v", info)
	}
	second, err := r.Import(t.Context(), keystest.PKCS8(2))
	if err != nil || !second.SignsFrom.After(info.SignsFrom) {
		t.Errorf("a second import must sign after the first: %+v, %v", second, err)
	}
	if _, err := r.Import(t.Context(), keystest.PKCS8(1)); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("importing a kept key: %v, want ErrConflict", err)
	}
	if _, err := r.Import(t.Context(), []byte("hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("importing garbage: %v; want an error that does not quote it", err)
	}
	c.advance(2 * day)
	if r.Signer(keys.RS256).ID != second.ID {
		t.Error("the key imported last must sign in the end")
	}
}

func writeKey(t *testing.T, dir, name string, text []byte, changed time.Time) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}

func TestTheNewestFileOfTheFolderSigns(t *testing.T) {
	t.Parallel()
	store := keystest.NewStore(keystest.Record(0, start), keystest.ECRecord(0, start.Add(90*day)))
	dir, c := t.TempDir(), &clock{now: start.Add(90 * day)}
	writeKey(t, dir, "a.pem", keystest.PKCS8(1), start.Add(2*day))
	writeKey(t, dir, "b.pem", keystest.PKCS1(2), start.Add(day))
	writeKey(t, dir, "notes.txt", []byte("no key"), start)
	writeKey(t, dir, ".hidden.pem", []byte("no key"), start)
	r := open(t, keys.Config{Store: store, Dir: dir, RotateEvery: 30 * day, Now: c.Now})

	if got, want := r.Signer(keys.RS256).ID, keys.ID(&keystest.Key(1).PublicKey); got != want {
		t.Errorf("signer %s, want the newest file's %s", got, want)
	}
	if len(published(t, r)) != 3 || published(t, r)[0].KeyID != string(r.Signer(keys.RS256).ID) {
		t.Errorf("want both files and the kept key published, the signer first: %+v", published(t, r))
	}
	if store.Updates != 0 {
		t.Error("while a file signs, kept keys must not be rotated")
	}
	if _, err := r.Rotate(t.Context(), keys.RS256); !errors.Is(err, keys.ErrFileSigns) {
		t.Errorf("rotate: %v, want ErrFileSigns", err)
	}
	if _, err := r.Import(t.Context(), keystest.PKCS8(3)); !errors.Is(err, keys.ErrFileSigns) {
		t.Errorf("import: %v, want ErrFileSigns", err)
	}
	infos := list(t, r)
	if infos[0].State != keys.File || !infos[0].Signs || infos[1].Signs || infos[2].State != keys.Pending {
		t.Errorf("list: %+v", infos)
	}

	writeKey(t, dir, "c.pem", keystest.PKCS8(3), start.Add(3*day))
	maintain(t, r, c.Now())
	if got, want := r.Signer(keys.RS256).ID, keys.ID(&keystest.Key(3).PublicKey); got != want {
		t.Errorf("signer %s after a newer file came, want %s", got, want)
	}
	for _, name := range []string{"a.pem", "b.pem", "c.pem"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	maintain(t, r, c.Now())
	if got, want := r.Signer(keys.RS256).ID, keys.ID(&keystest.Key(0).PublicKey); got != want {
		t.Errorf("signer %s after the files left, want the kept key %s", got, want)
	}
}

func TestFilesOfOneAgeSignByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeKey(t, dir, "2026-02.pem", keystest.PKCS8(1), start)
	writeKey(t, dir, "2026-01.pem", keystest.PKCS8(0), start)
	r := open(t, keys.Config{Store: keystest.NewStore(), Dir: dir})
	if got, want := r.Signer(keys.RS256).ID, keys.ID(&keystest.Key(1).PublicKey); got != want {
		t.Errorf("signer %s, want that of the last name %s", got, want)
	}
}

func TestABadFileIsNamedAndNeverQuoted(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	broken := keystest.PKCS8(0)
	block, _ := pem.Decode(broken)
	block.Bytes = block.Bytes[:len(block.Bytes)-7]
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("abcdefgh"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})
	tests := []struct {
		name string
		text []byte
		want string
	}{
		{"empty", nil, "no PEM block"},
		{"garbage", []byte("correct horse battery staple"), "no PEM block"},
		{"1024 bits", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "1024 bits"},
		{"another curve", encode("PRIVATE KEY", ecDER), "P-384"},
		{"another kind of key", encode("PRIVATE KEY", edDER), "neither an RSA nor a P-256 key"},
		{"SEC 1 that is none", encode("EC PRIVATE KEY", []byte("abcdefgh")), "not a sound SEC 1"},
		{"parameters alone", encode("EC PARAMETERS", []byte("abcdefgh")), "no PEM block"},
		{"cut", pem.EncodeToMemory(block), "not a sound PKCS#8"},
		{"PKCS#8 named PKCS#1", encode("RSA PRIVATE KEY", []byte("abcdefgh")), "not a sound PKCS#1"},
		{"public", encode("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&small.PublicKey)), "holds a public key"},
		{"encrypted", encrypted, "encrypted"},
		{"encrypted PKCS#8", encode("ENCRYPTED PRIVATE KEY", []byte("abcdefgh")), "encrypted"},
		{"OpenSSH", encode("OPENSSH PRIVATE KEY", []byte("abcdefgh")), "not an RSA or P-256 private key"},
		{"two keys", slices.Concat(keystest.PKCS8(0), keystest.PKCS8(1)), "more than one"},
		{"long", []byte(strings.Repeat("x", 100<<10)), "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeKey(t, dir, "mine.pem", tt.text, start)
			_, err := keys.Open(t.Context(), keys.Config{Store: keystest.NewStore(), Dir: dir, LongestToken: day})
			if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "mine.pem")) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want the file's name and %q", err, tt.want)
			}
			for line := range strings.Lines(string(tt.text)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") && strings.Contains(err.Error(), line) {
					t.Errorf("the error quotes the file: %v", err)
				}
			}
		})
	}
}

func TestAMissingFolderIsAnError(t *testing.T) {
	t.Parallel()
	_, err := keys.Open(t.Context(), keys.Config{Store: keystest.NewStore(), Dir: filepath.Join(t.TempDir(), "none"), LongestToken: day})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsLeaveTheKeysAtHandInUse(t *testing.T) {
	t.Parallel()
	dir, store := t.TempDir(), keystest.NewStore(keystest.Record(0, start))
	r := open(t, keys.Config{Store: store, Dir: dir})
	want := r.Signer(keys.RS256).ID
	store.Err = storage.ErrUnavailable
	if err := r.Maintain(t.Context(), time.Now()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("maintain without a store: %v", err)
	}
	if err := r.Reload(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("reload without a store: %v", err)
	}
	store.Err = nil
	writeKey(t, dir, "bad.pem", []byte("no key"), start)
	if err := r.Maintain(t.Context(), time.Now()); err == nil {
		t.Error("a bad file was passed over")
	}
	if r.Signer(keys.RS256).ID != want {
		t.Error("the signer changed")
	}
}

// TestJWKSHasPublicMembersOnly reads the document as a relying party does.
func TestJWKSHasPublicMembersOnly(t *testing.T) {
	t.Parallel()
	c := &clock{now: start.Add(2 * day)}
	r := open(t, keys.Config{Store: keystest.NewStore(keystest.ECRecord(0, start), keystest.Record(1, start), keystest.Record(0, start.Add(day))), Now: c.Now})
	body, etag := r.JWKS()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 3 {
		t.Fatalf("%d keys are published, want 3", len(set.Keys))
	}
	for _, k := range set.Keys {
		want := []string{"alg", "e", "kid", "kty", "n", "use"}
		if k["kty"] == "EC" {
			want = []string{"alg", "crv", "kid", "kty", "use", "x", "y"}
		}
		var members []string
		for name := range k {
			members = append(members, name)
		}
		slices.Sort(members)
		if !slices.Equal(members, want) {
			t.Errorf("members %v, want %v", members, want)
		}
	}
	if set.Keys[0]["kid"] != string(r.Signer(keys.RS256).ID) || set.Keys[0]["e"] != "AQAB" || set.Keys[0]["alg"] != "RS256" {
		t.Errorf("the first key is %v, want the signer's", set.Keys[0])
	}
	n, err := base64.RawURLEncoding.DecodeString(set.Keys[0]["n"].(string))
	if err != nil || keystest.Key(0).N.Cmp(new(big.Int).SetBytes(n)) != 0 {
		t.Error("n is not the signer's modulus")
	}
	x, err := base64.RawURLEncoding.DecodeString(set.Keys[1]["x"].(string))
	point, pointErr := keystest.ECKey(0).PublicKey.Bytes()
	if set.Keys[1]["kid"] != string(r.Signer(keys.ES256).ID) || set.Keys[1]["alg"] != "ES256" || set.Keys[1]["crv"] != "P-256" ||
		err != nil || pointErr != nil || string(x) != string(point[1:33]) {
		t.Errorf("the second key is %v, want that of the signer for APIs", set.Keys[1])
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, tag := r.JWKS(); string(again) != string(body) || tag != etag {
		t.Error("the document must not change when the keys do not")
	}
}

// TestKidIsTheThumbprint uses the example of RFC 7638 §3.1.
func TestKidIsTheThumbprint(t *testing.T) {
	t.Parallel()
	const modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	n, err := base64.RawURLEncoding.DecodeString(modulus)
	if err != nil {
		t.Fatal(err)
	}
	got := keys.ID(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("kid %s", got)
	}
}

func TestSignNamesKeyAndType(t *testing.T) {
	t.Parallel()
	r := keystest.NewRing(t)
	for _, alg := range keys.Algorithms() {
		for _, typ := range []string{keys.TypeJWT, keys.TypeAccessToken, keys.TypeLogoutToken} {
			token, err := r.Signer(alg).Sign(typ, []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			header, _, _ := strings.Cut(token, ".")
			text, err := base64.RawURLEncoding.DecodeString(header)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if len(got) != 3 || got["typ"] != typ || got["alg"] != string(alg) || got["kid"] != string(r.Signer(alg).ID) {
				t.Errorf("header %v", got)
			}
		}
		if _, err := r.Signer(alg).Sign("other", nil); err == nil {
			t.Error("an unknown typ was signed")
		}
	}
}

func TestASignatureWithoutKidIsNotGuessedAbout(t *testing.T) {
	t.Parallel()
	r := keystest.NewRing(t)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: keystest.Key(0)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if verifies(t, r, text) {
		t.Error("a signature that names no key was accepted")
	}
}

// TestReadersNeverWait swaps keys under readers; the race detector watches.
func TestReadersNeverWait(t *testing.T) {
	t.Parallel()
	r := keystest.NewRing(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if body, _ := r.JWKS(); len(body) == 0 || r.Signer(keys.RS256) == nil || len(published(t, r)) == 0 {
					t.Error("a reader saw half a ring")
					return
				}
			}
		})
	}
	for range 50 {
		if err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
}

func BenchmarkSigner(b *testing.B) {
	r := keystest.NewRing(b)
	payload := []byte(`{"iss":"https://login.example.com/","sub":"sms|0123456789abcdef01234567"}`)
	for _, alg := range keys.Algorithms() {
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Signer(alg).Sign(keys.TypeJWT, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJWKS(b *testing.B) {
	r := keystest.NewRing(b)
	b.ReportAllocs()
	for b.Loop() {
		r.JWKS()
	}
}

// A server whose clock stands before every key's turn signs nothing that anyone
// would take, and says that it is not ready.
func TestReadyWhenAKeySigns(t *testing.T) {
	t.Parallel()
	c := &clock{now: start}
	r := open(t, keys.Config{Store: &keystest.Store{}, Now: c.Now})
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("with a key that signs: %v", err)
	}
	c.advance(-time.Hour)
	if r.Ready(t.Context()) == nil {
		t.Error("ready before the first key's turn")
	}
}
