package keys_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/storage"
)

// TestAlgorithmsRotateApart follows the keys for APIs beside those of ID tokens,
// which are younger: each line has its own turn.
func TestAlgorithmsRotateApart(t *testing.T) {
	t.Parallel()
	store := keystest.NewStore(keystest.ECRecord(0, start), keystest.Record(0, start.Add(10*day)))
	c := &clock{now: start.Add(10 * day)}
	r := open(t, keys.Config{Store: store, RotateEvery: 30 * day, Now: c.Now})
	rsa, ec := r.Signer(keys.RS256).ID, r.Signer(keys.ES256).ID
	if ec != keys.ID(&keystest.ECKey(0).PublicKey) {
		t.Fatalf("signer for APIs is %s, want the kept key", ec)
	}
	token := signWith(t, r, keys.ES256)

	maintain(t, r, c.advance(19*day))
	if len(publishedFor(t, r, keys.ES256)) != 2 || len(published(t, r)) != 1 || r.Signer(keys.ES256).ID != ec {
		t.Fatal("a new key for APIs must be published and not sign yet, and no other be made")
	}
	c.advance(day)
	if r.Signer(keys.ES256).ID == ec || r.Signer(keys.RS256).ID != rsa || !verifies(t, r, token) {
		t.Fatal("the new key must sign, the old one verify, and the other line stay")
	}
	maintain(t, r, c.advance(8*day))
	if verifies(t, r, token) || len(publishedFor(t, r, keys.ES256)) != 1 {
		t.Fatal("after its last token the retired key must be gone")
	}
	maintain(t, r, c.advance(day))
	if len(published(t, r)) != 2 {
		t.Fatal("the line of ID tokens must go on by its own time")
	}
}

func TestRotateOneAlgorithm(t *testing.T) {
	t.Parallel()
	store, c := keystest.NewStore(keystest.Record(0, start), keystest.ECRecord(0, start)), &clock{now: start.Add(day)}
	r := open(t, keys.Config{Store: store, Now: c.Now})
	info, err := r.Rotate(t.Context(), keys.ES256)
	if err != nil || info.State != keys.Pending || info.Algorithm != "ES256" {
		t.Fatalf("got %+v, %v; want a pending key", info, err)
	}
	if len(list(t, r)) != 1 || len(listFor(t, r, keys.ES256)) != 2 {
		t.Error("the other algorithm was rotated, too")
	}
}

// A folder decides for the algorithms that it has files for.
func TestAFileSignsForItsAlgorithm(t *testing.T) {
	t.Parallel()
	for name, text := range map[string][]byte{"PKCS8": keystest.ECPKCS8(1), "SEC1": keystest.SEC1(1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, store := t.TempDir(), keystest.NewStore(keystest.Record(0, start), keystest.ECRecord(0, start))
			c := &clock{now: start.Add(40 * day)}
			writeKey(t, dir, "api.pem", text, start)
			r := open(t, keys.Config{Store: store, Dir: dir, RotateEvery: 30 * day, Now: c.Now})
			if got, want := r.Signer(keys.ES256).ID, keys.ID(&keystest.ECKey(1).PublicKey); got != want {
				t.Errorf("signer for APIs %s, want the file's %s", got, want)
			}
			if got, want := r.Signer(keys.RS256).ID, keys.ID(&keystest.Key(0).PublicKey); got != want {
				t.Errorf("signer of ID tokens %s, want the kept key %s", got, want)
			}
			if len(published(t, r)) != 2 || len(publishedFor(t, r, keys.ES256)) != 2 {
				t.Error("ID tokens need the next key published, APIs the file's and the kept one")
			}
			if _, err := r.Rotate(t.Context(), keys.ES256); !errors.Is(err, keys.ErrFileSigns) {
				t.Errorf("rotate: %v, want ErrFileSigns", err)
			}
			if _, err := r.Import(t.Context(), keystest.ECPKCS8(2)); !errors.Is(err, keys.ErrFileSigns) {
				t.Errorf("import of a P-256 key: %v, want ErrFileSigns", err)
			}
			if _, err := r.Import(t.Context(), keystest.PKCS8(1)); err != nil {
				t.Errorf("import of an RSA key: %v", err)
			}
		})
	}
}

func TestImportOfAP256Key(t *testing.T) {
	t.Parallel()
	store, c := keystest.NewStore(keystest.Record(0, start), keystest.ECRecord(0, start)), &clock{now: start.Add(day)}
	r := open(t, keys.Config{Store: store, Now: c.Now})
	info, err := r.Import(t.Context(), keystest.SEC1(1))
	if err != nil || info.ID != keys.ID(&keystest.ECKey(1).PublicKey) || info.State != keys.Pending || info.Algorithm != "ES256" {
		t.Fatalf("imported %+v, %v", info, err)
	}
	if _, err := r.Import(t.Context(), keystest.ECPKCS8(1)); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("the same key again: %v, want a conflict", err)
	}
	c.advance(keys.PublishAhead)
	if r.Signer(keys.ES256).ID != info.ID || r.Signer(keys.RS256).ID != keys.ID(&keystest.Key(0).PublicKey) {
		t.Error("the imported key must sign for APIs, and for nothing else")
	}
}

// RFC 8725 §3.1: a key verifies by its own algorithm alone.
func TestAKeyOfOneAlgorithmVerifiesNoOther(t *testing.T) {
	t.Parallel()
	r := keystest.NewRing(t)
	for alg, other := range map[keys.Algorithm]keys.Algorithm{keys.RS256: keys.ES256, keys.ES256: keys.RS256} {
		token := signWith(t, r, alg)
		jws, err := jose.ParseSignedCompact(token, keys.Algorithms())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(r.PublicKey(r.Signer(other).ID)); err == nil {
			t.Errorf("a signature by %s verifies with the key for %s", alg, other)
		}
	}
}

// RFC 7518 §3.4: both numbers in full length; one of 128 signatures has a shorter one.
func TestES256SignaturesHaveOneLength(t *testing.T) {
	t.Parallel()
	signer := open(t, keys.Config{Store: keystest.NewStore(keystest.Record(0, start), keystest.ECRecord(0, start)), Now: (&clock{now: start}).Now}).Signer(keys.ES256)
	for i := range 1000 {
		token, err := signer.Sign(keys.TypeAccessToken, fmt.Appendf(nil, `{"jti":"%d"}`, i))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil || len(parsed.Signatures[0].Signature) != 64 {
			t.Fatalf("%s: %v", token, err)
		}
		if payload, err := parsed.Verify(&keystest.ECKey(0).PublicKey); err != nil || string(payload) != fmt.Sprintf(`{"jti":"%d"}`, i) {
			t.Fatalf("%s: %s, %v", token, payload, err)
		}
	}
}
