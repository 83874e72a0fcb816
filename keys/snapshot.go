package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// State is where a key stands.
type State string

// The states of a key.
const (
	Pending State = "pending" // published, waits for its turn
	Signing State = "signing"
	Retired State = "retired" // verifies what it signed
	File    State = "file"    // of the keys folder; Info.Signs says whether it signs
)

// Info describes a key without its secret.
type Info struct {
	ID           storage.KeyID
	Algorithm    string
	State        State
	Signs        bool
	File         string // the PEM file's name; empty for a kept key
	CreatedAt    time.Time
	SignsFrom    time.Time
	PublishUntil time.Time // zero while it signs or may yet

	worldReadable bool
}

// snapshot is all that requests use, built once and never changed.
type snapshot struct {
	turns map[Algorithm][]turn // the latest first; never empty
	byID  map[storage.KeyID]crypto.PublicKey
	infos []Info
	body  []byte
	etag  string
}

// turn is a signer and when its time begins.
type turn struct {
	from   time.Time
	signer *Signer
}

// signerAt returns the signer of an algorithm whose turn came last. A clock that
// was set back before every turn gets the earliest: a token from it fails on its
// own times.
func (s *snapshot) signerAt(alg Algorithm, now time.Time) *Signer {
	turns := s.turns[alg]
	for _, t := range turns {
		if !t.from.After(now) {
			return t.signer
		}
	}
	return turns[len(turns)-1].signer
}

// build makes the snapshot: the keys that sign first, then the others, the
// latest turn first.
func build(files []file, kept []storage.SigningKey, now time.Time) (*snapshot, error) {
	s := &snapshot{turns: map[Algorithm][]turn{}, byID: map[storage.KeyID]crypto.PublicKey{}}
	for _, f := range files {
		if err := s.addFile(f); err != nil {
			return nil, err
		}
	}
	for _, alg := range Algorithms() {
		if err := s.addAllKept(of(kept, alg), signs(files, alg), now); err != nil {
			return nil, err
		}
		if len(s.turns[alg]) == 0 {
			return nil, fmt.Errorf("no signing key for %s: %w", alg, storage.ErrNotFound)
		}
	}
	slices.SortStableFunc(s.infos, func(a, b Info) int { return cmp.Compare(rank(a), rank(b)) })
	return s, s.publish()
}

// of returns the keys of one algorithm, by their turn.
func of(kept []storage.SigningKey, alg Algorithm) []storage.SigningKey {
	out := slices.DeleteFunc(slices.Clone(kept), func(k storage.SigningKey) bool { return k.Algorithm != string(alg) })
	slices.SortFunc(out, bySignsFrom)
	return out
}

func (s *snapshot) addAllKept(kept []storage.SigningKey, fileSigns bool, now time.Time) error {
	signer := signerAt(kept, now)
	for i, k := range slices.Backward(kept) {
		if err := s.addKept(k, stateOf(k, i-signer, fileSigns), fileSigns, now); err != nil {
			return err
		}
	}
	return nil
}

// rank puts the keys that sign before the others, and that of ID tokens before
// all: careless relying parties take the first key of a set.
func rank(i Info) int {
	if !i.Signs {
		return len(Algorithms())
	}
	return slices.Index(Algorithms(), Algorithm(i.Algorithm))
}

// stateOf says where a kept key stands whose turn comes offset places after
// the signer's. While a file signs, none of them does.
func stateOf(k storage.SigningKey, offset int, fileSigns bool) State {
	switch {
	case offset < 0, fileSigns && !k.RetiredAt.IsZero():
		return Retired
	case offset == 0 && !fileSigns:
		return Signing
	}
	return Pending
}

// addFile adds a key of the folder. Files come newest first, and the newest of an
// algorithm signs, whatever the clock says.
func (s *snapshot) addFile(f file) error {
	public := f.key.Public()
	id, alg := ID(public), algorithmOf(public)
	if _, twice := s.byID[id]; twice {
		return nil
	}
	newest := len(s.turns[alg]) == 0
	if newest {
		signer, err := newSigner(f.key, id)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		s.turns[alg] = []turn{{signer: signer}}
	}
	s.byID[id] = public
	s.infos = append(s.infos, Info{ID: id, Algorithm: string(alg), State: File, Signs: newest, File: f.name,
		CreatedAt: f.changed.UTC(), SignsFrom: f.changed.UTC(), worldReadable: f.mode.Perm()&0o004 != 0})
	return nil
}

// addKept adds a kept key, unless a file holds it, too, or its last token has expired.
func (s *snapshot) addKept(k storage.SigningKey, state State, fileSigns bool, now time.Time) error {
	if _, known := s.byID[k.ID]; known || expired(k, now) {
		return nil
	}
	key, err := parsePKCS8(k.PKCS8)
	if err != nil {
		return fmt.Errorf("kept signing key %s: %w", k.ID, err)
	}
	if state != Retired && !fileSigns {
		signer, err := newSigner(key, k.ID)
		if err != nil {
			return err
		}
		s.turns[Algorithm(k.Algorithm)] = append(s.turns[Algorithm(k.Algorithm)], turn{k.SignsFrom, signer})
	}
	s.byID[k.ID] = key.Public()
	s.infos = append(s.infos, Info{ID: k.ID, Algorithm: k.Algorithm, State: state, Signs: state == Signing,
		CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom, PublishUntil: k.PublishUntil})
	return nil
}

// jwk is a public key as published. The list of members is closed and in this
// order; what a library may come to add does not get out.
type jwk struct {
	Type      string        `json:"kty"`
	Use       string        `json:"use"`
	ID        storage.KeyID `json:"kid"`
	Algorithm string        `json:"alg"`
	N         string        `json:"n,omitempty"`
	E         string        `json:"e,omitempty"`
	Curve     string        `json:"crv,omitempty"`
	X         string        `json:"x,omitempty"`
	Y         string        `json:"y,omitempty"`
}

// member writes a number as JWKs do (RFC 7518 §6).
func member(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newJWK(i Info, key crypto.PublicKey) (jwk, error) {
	out := jwk{Use: "sig", ID: i.ID, Algorithm: i.Algorithm}
	switch key := key.(type) {
	case *rsa.PublicKey:
		out.Type, out.N, out.E = "RSA", member(key.N.Bytes()), member(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, then both coordinates in full length (SEC 1)
		if err != nil {
			return jwk{}, fmt.Errorf("publish key %s: %w", i.ID, err)
		}
		half := (len(point) - 1) / 2
		out.Type, out.Curve, out.X, out.Y = "EC", "P-256", member(point[1:1+half]), member(point[1+half:])
	}
	return out, nil
}

// publish makes what JWKS returns, in the order of infos.
func (s *snapshot) publish() error {
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, i := range s.infos {
		key, err := newJWK(i, s.byID[i.ID])
		if err != nil {
			return err
		}
		set.Keys = append(set.Keys, key)
	}
	body, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode key set: %w", err)
	}
	sum := sha256.Sum256(body)
	s.body, s.etag = body, `"`+hex.EncodeToString(sum[:12])+`"`
	return nil
}

// List returns all keys as store and folder hold them now, the one that signs first.
func (r *Ring) List(ctx context.Context) ([]Info, error) {
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(r.current.Load().infos), nil
}

// List returns the keys of a store and a folder as they are, the one that signs
// first, and writes nothing: where there is none yet, none is made.
func List(ctx context.Context, store Store, dir string, now time.Time) ([]Info, error) {
	s, err := read(ctx, store, dir, now)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.infos, nil
}

// read makes the snapshot of what store and folder hold.
func read(ctx context.Context, store Store, dir string, now time.Time) (*snapshot, error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	kept, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return build(files, kept, now)
}
