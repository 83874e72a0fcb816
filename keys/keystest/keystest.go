// Package keystest gives tests signing keys without the price of making them:
// keys are generated once per process, and a Ring over them in memory.
package keystest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/storage"
)

// made are the keys of this process, each generated when it is first asked for.
var made = func() (list [4]func() *rsa.PrivateKey) {
	for i := range list {
		list[i] = sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("keystest: " + err.Error())
			}
			return key
		})
	}
	return list
}()

// curves are the P-256 keys of this process.
var curves = func() (list [4]func() *ecdsa.PrivateKey) {
	for i := range list {
		list[i] = sync.OnceValue(func() *ecdsa.PrivateKey {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				panic("keystest: " + err.Error())
			}
			return key
		})
	}
	return list
}()

// Key returns the process's i-th RSA-2048 key, 0 to 3.
func Key(i int) *rsa.PrivateKey { return made[i]() }

// ECKey returns the process's i-th P-256 key, 0 to 3.
func ECKey(i int) *ecdsa.PrivateKey { return curves[i]() }

// PKCS1 returns the i-th key as `openssl genrsa -traditional` writes it.
func PKCS1(i int) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(Key(i))})
}

// PKCS8 returns the i-th key as `openssl genrsa` writes it.
func PKCS8(i int) []byte { return pkcs8(Key(i)) }

// ECPKCS8 returns the i-th P-256 key as `openssl genpkey` writes it.
func ECPKCS8(i int) []byte { return pkcs8(ECKey(i)) }

// SEC1 returns the i-th P-256 key as `openssl ecparam -genkey` writes it: behind
// the name of its curve.
func SEC1(i int) []byte {
	der, err := x509.MarshalECPrivateKey(ECKey(i))
	if err != nil {
		panic("keystest: " + err.Error())
	}
	curve := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} // prime256v1
	return append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: curve}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})...)
}

func pkcs8(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der(key)})
}

func der(key crypto.Signer) []byte {
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("keystest: " + err.Error())
	}
	return b
}

// Store is a [keys.Store] in memory.
type Store struct {
	mu      sync.Mutex
	kept    []storage.SigningKey
	Updates int   // how often the keys were written
	Err     error // when set, every call fails with it
}

// NewStore returns a Store that holds the given keys.
func NewStore(kept ...storage.SigningKey) *Store { return &Store{kept: kept} }

// SigningKeys returns the kept keys.
func (s *Store) SigningKeys(context.Context) ([]storage.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept), s.Err
}

// UpdateSigningKeys replaces the kept keys.
func (s *Store) UpdateSigningKeys(_ context.Context, change func([]storage.SigningKey) ([]storage.SigningKey, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return s.Err
	}
	next, err := change(slices.Clone(s.kept))
	if err != nil {
		return err
	}
	s.kept = next
	s.Updates++
	return nil
}

// Record returns the process's i-th RSA key as a store keeps it.
func Record(i int, signsFrom time.Time) storage.SigningKey {
	return record(keys.RS256, Key(i), signsFrom)
}

// ECRecord returns the process's i-th P-256 key as a store keeps it.
func ECRecord(i int, signsFrom time.Time) storage.SigningKey {
	return record(keys.ES256, ECKey(i), signsFrom)
}

func record(alg keys.Algorithm, key crypto.Signer, signsFrom time.Time) storage.SigningKey {
	return storage.SigningKey{ID: keys.ID(key.Public()), Algorithm: string(alg), PKCS8: der(key),
		CreatedAt: signsFrom, SignsFrom: signsFrom}
}

// NewRing returns a Ring that signs with the process's keys 0 and is never rotated.
func NewRing(t testing.TB) *keys.Ring {
	t.Helper()
	ring, err := keys.Open(context.Background(), keys.Config{
		Store:        NewStore(Record(0, time.Unix(0, 0).UTC()), ECRecord(0, time.Unix(0, 0).UTC())),
		LongestToken: 24 * time.Hour,
	})
	if err != nil {
		t.Fatalf("open the test ring: %v", err)
	}
	return ring
}
