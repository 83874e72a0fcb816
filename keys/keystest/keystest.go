// Package keystest gives tests signing keys without the price of making them:
// RSA keys are generated once per process, and a Ring over them in memory.
package keystest

import (
	"context"
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

// Key returns the process's i-th RSA-2048 key, 0 to 3.
func Key(i int) *rsa.PrivateKey { return made[i]() }

// PKCS1 returns the i-th key as `openssl genrsa -traditional` writes it.
func PKCS1(i int) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(Key(i))})
}

// PKCS8 returns the i-th key as `openssl genrsa` writes it.
func PKCS8(i int) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der(i)})
}

func der(i int) []byte {
	b, err := x509.MarshalPKCS8PrivateKey(Key(i))
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

// Record returns the process's i-th key as a store keeps it.
func Record(i int, signsFrom time.Time) storage.SigningKey {
	return storage.SigningKey{ID: keys.ID(&Key(i).PublicKey), Algorithm: "RS256", PKCS8: der(i),
		CreatedAt: signsFrom, SignsFrom: signsFrom}
}

// NewRing returns a Ring that signs with the process's key 0 and is never rotated.
func NewRing(t testing.TB) *keys.Ring {
	t.Helper()
	ring, err := keys.Open(context.Background(), keys.Config{
		Store:        NewStore(Record(0, time.Unix(0, 0).UTC())),
		LongestToken: 24 * time.Hour,
	})
	if err != nil {
		t.Fatalf("open the test ring: %v", err)
	}
	return ring
}
