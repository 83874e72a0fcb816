// Package mint is the one way to make each token and each identifier: ID
// tokens, access tokens, authorization codes, refresh tokens, and the random
// names of records. It also reads back what only it can have made: refresh
// tokens and ID token hints.
//
// It stores nothing and decides nothing about who may have a token. Opaque
// tokens begin with a word that says what they are, so that secret scanners,
// and people who read a leaked log, recognise them:
//
//	hsa_   access token         hsc_   authorization code
//	hsr1_  refresh token, first layout
package mint

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/storage"
)

// Config is what a Minter needs.
type Config struct {
	Issuer string // exactly what tokens carry
	Keys   *keys.Ring
	Vault  *vault.Vault
	// IDTokenLife is from iat to exp; default 10 minutes.
	IDTokenLife time.Duration
	Now         func() time.Time // default time.Now
}

// Minter is safe for concurrent use.
type Minter struct {
	issuer string
	keys   *keys.Ring
	vault  *vault.Vault
	life   time.Duration
	now    func() time.Time

	verified remembered // access tokens for APIs
}

// New returns a Minter. A missing issuer is an error here, so that no token is
// ever made without one.
func New(c Config) (*Minter, error) {
	if c.Issuer == "" || c.Keys == nil || c.Vault == nil {
		return nil, errors.New("mint: Issuer, Keys and Vault are required")
	}
	m := &Minter{issuer: c.Issuer, keys: c.Keys, vault: c.Vault, life: c.IDTokenLife, now: c.Now}
	if m.life == 0 {
		m.life = 10 * time.Minute
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m, nil
}

const (
	accessPrefix = "hsa_"
	codePrefix   = "hsc_"
	secretSize   = 32 // bytes of randomness: 256 bits
)

// AccessToken returns a new opaque access token, for the client alone, and the
// MAC that stores are given in its place.
func (m *Minter) AccessToken() (text string, mac []byte) {
	return m.secret(accessPrefix, vault.AccessToken)
}

// AuthCode returns a new authorization code and its MAC.
func (m *Minter) AuthCode() (text string, mac []byte) {
	return m.secret(codePrefix, vault.AuthCode)
}

func (m *Minter) secret(prefix string, use vault.Use) (text string, mac []byte) {
	var b [secretSize]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	text = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, m.vault.MAC(use, text)
}

// AccessTokenMACs returns what to look an access token up by; nil when text
// has not the form of one, so that no store is asked for garbage.
func (m *Minter) AccessTokenMACs(text string) [][]byte {
	return m.lookup(text, accessPrefix, vault.AccessToken)
}

// AuthCodeMACs returns what to look an authorization code up by; nil when text
// has not the form of one.
func (m *Minter) AuthCodeMACs(text string) [][]byte {
	return m.lookup(text, codePrefix, vault.AuthCode)
}

func (m *Minter) lookup(text, prefix string, use vault.Use) [][]byte {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return nil
	}
	return m.vault.MACs(use, text)
}

// UserID returns a new person's `sub`: "sms|" and 24 hex digits (design.md §7).
func UserID() storage.UserID {
	var b [12]byte
	rand.Read(b[:])
	return storage.UserID("sms|" + hex.EncodeToString(b[:]))
}

// SessionID returns a new session's public name.
func SessionID() storage.SessionID { return storage.SessionID(ordered()) }

// GrantID returns a new grant's name.
func GrantID() storage.GrantID { return storage.GrantID(ordered()) }

// TransactionID returns a new login transaction's name.
func TransactionID() storage.TransactionID { return storage.TransactionID(ordered()) }

// ordered returns a name of 130 random bits behind the time, so that records
// made together stand together in an index of SQL: a login then touches a few
// pages at the end, however many records there are. The time tells nothing that
// auth_time and iat don't.
func ordered() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli())<<24) // 40 bits of ms: 34 years
	return base32.HexEncoding.EncodeToString(b[:5]) + rand.Text()
}

// FamilyID returns a new refresh token family's name.
func FamilyID() storage.FamilyID { return storage.FamilyID(rand.Text()) }
