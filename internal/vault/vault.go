// Package vault is the only user of the secret key. It derives one sub-key per
// use (HKDF, RFC 5869), makes MACs of what is secret and need only be compared
// (codes, tokens, client secrets), blind indexes of what must be found (phone
// numbers), and seals what must be read again (AES-256-GCM).
//
// Every MAC and every sealed value begins with the name of its key, so that a
// key can be replaced while servers run: the first key of the file is active
// and writes, all keys read.
package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// Use names what a sub-key is for. A value of one use is worthless for another.
type Use string

// The uses. Add one for every new kind of secret; never share.
const (
	SMSCode        Use = "sms-code"          // MAC of a texted code, and its sealed copy for a resend
	AuthCode       Use = "auth-code"         // MAC of an authorization code
	AccessToken    Use = "access-token"      // MAC of an opaque access token
	RefreshToken   Use = "refresh-token"     // MAC inside a refresh token
	ClientSecret   Use = "client-secret"     // MAC of a client secret
	SessionCookie  Use = "session-cookie"    // MAC of the session cookie's secret
	BrowserCookie  Use = "browser-cookie"    // MAC of the transaction cookie's secret
	FormToken      Use = "form-token"        // the token of our forms (CSRF)
	NumberIndex    Use = "number-index"      // blind index of a phone number in SQL
	NumberTag      Use = "number-tag"        // keyed tag of a number in Redis and in logs
	AddressTag     Use = "address-tag"       // keyed tag of a network address in Redis
	Number         Use = "number"            // sealed phone number
	Attributes     Use = "attributes"        // sealed attributes of a person
	Metadata       Use = "metadata"          // sealed metadata of a person
	AttributeIndex Use = "attribute-index"   // blind index of an attribute that no two people share
	MessageIndex   Use = "message-index"     // blind index of what a sender calls a text, in SQL
	SigningKey     Use = "signing-key"       // sealed private key
	Options        Use = "options"           // sealed connection options
	Transaction    Use = "transaction"       // sealed login transaction
	Context        Use = "challenge-context" // sealed context of a challenge
	Assertion      Use = "assertion"         // tag of a client assertion's jti
	Posted         Use = "posted-form"       // sealed form that another site posted
	Reference      Use = "reference"         // short name of a challenge, for people who ask for help
	Verification   Use = "verification"      // sealed details of a verification
	InstanceKey    Use = "instance-key"      // MAC in the key that opens one verification
	Idempotency    Use = "idempotency"       // MAC of an Idempotency-Key, and of the request that it came with
	Webhook        Use = "webhook"           // what the callbacks of a client are signed with
)

const (
	nameSize = 4
	macSize  = sha256.Size
)

// ErrSealed says that a sealed value can't be opened: it was changed, moved to
// another record, or its key is not in the key file any more.
var ErrSealed = errors.New("sealed value does not open")

// Vault is safe for concurrent use.
type Vault struct {
	keys []*secretKey // the first is active
}

type secretKey struct {
	name   [nameSize]byte
	secret []byte

	mu    sync.RWMutex
	macs  map[Use]*sync.Pool
	aeads map[Use]cipher.AEAD
}

// New takes the secret keys, 32 bytes each, the active one first.
func New(secrets ...[]byte) (*Vault, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret key")
	}
	v := &Vault{}
	seen := map[[nameSize]byte]bool{}
	for i, s := range secrets {
		if len(s) != 32 {
			return nil, fmt.Errorf("secret key %d: %d bytes, want 32", i+1, len(s))
		}
		if string(s) == string(make([]byte, 32)) {
			return nil, fmt.Errorf("secret key %d is all zeros", i+1)
		}
		k := &secretKey{secret: s, macs: map[Use]*sync.Pool{}, aeads: map[Use]cipher.AEAD{}}
		copy(k.name[:], k.derive("name", nameSize))
		if seen[k.name] {
			return nil, fmt.Errorf("secret key %d stands in the file twice", i+1)
		}
		seen[k.name] = true
		v.keys = append(v.keys, k)
	}
	return v, nil
}

// Parse reads a secret key file: lines of 64 hex digits, the active key first;
// empty lines and lines that begin with # are passed over. Its errors never
// quote the file.
func Parse(text string) (*Vault, error) {
	var secrets [][]byte
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("line %d is not 64 hex digits (make one with: openssl rand -hex 32)", n)
		}
		secrets = append(secrets, key)
	}
	return New(secrets...)
}

// Generate returns a new random key as a line for a secret key file.
func Generate() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand)
	return hex.EncodeToString(key) + "\n"
}

func (k *secretKey) derive(info string, size int) []byte {
	out, err := hkdf.Key(sha256.New, k.secret, nil, "handset v1 "+info, size)
	if err != nil {
		panic("vault: hkdf: " + err.Error()) // unreachable: sizes are constants within bounds
	}
	return out
}

// pool returns the reusable HMACs of one use: keying one costs two SHA-256 blocks.
func (k *secretKey) pool(use Use) *sync.Pool {
	k.mu.RLock()
	p := k.macs[use]
	k.mu.RUnlock()
	if p != nil {
		return p
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p = k.macs[use]; p == nil {
		sub := k.derive("mac "+string(use), 32)
		p = &sync.Pool{New: func() any { return hmac.New(sha256.New, sub) }}
		k.macs[use] = p
	}
	return p
}

func (k *secretKey) aead(use Use) cipher.AEAD {
	k.mu.RLock()
	a := k.aeads[use]
	k.mu.RUnlock()
	if a != nil {
		return a
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if a = k.aeads[use]; a == nil {
		block, err := aes.NewCipher(k.derive("seal "+string(use), 32))
		if err != nil {
			panic("vault: aes: " + err.Error()) // unreachable: the key has 32 bytes
		}
		if a, err = cipher.NewGCMWithRandomNonce(block); err != nil {
			panic("vault: gcm: " + err.Error()) // unreachable
		}
		k.aeads[use] = a
	}
	return a
}

// mac writes the key's name and the HMAC-SHA-256 of the parts. Each part goes
// in behind its length, so that no two lists of parts read alike.
func (k *secretKey) mac(use Use, parts []string) []byte {
	p := k.pool(use)
	h := p.Get().(hash.Hash)
	h.Reset()
	var size [4]byte
	for _, part := range parts {
		n := len(part)
		size = [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		h.Write(size[:])
		h.Write([]byte(part))
	}
	out := make([]byte, 0, nameSize+macSize)
	out = append(out, k.name[:]...)
	out = h.Sum(out)
	p.Put(h)
	return out
}

// MAC returns the MAC of the parts under the active key.
func (v *Vault) MAC(use Use, parts ...string) []byte { return v.keys[0].mac(use, parts) }

// MACs returns one MAC per live key, the active one first: what to look a record up by.
func (v *Vault) MACs(use Use, parts ...string) [][]byte {
	out := make([][]byte, len(v.keys))
	for i, k := range v.keys {
		out[i] = k.mac(use, parts)
	}
	return out
}

// MACLike returns the MAC of the parts under the key that like names, or nil
// when that key is not in the file any more.
func (v *Vault) MACLike(like []byte, use Use, parts ...string) []byte {
	if k := v.named(like); k != nil {
		return k.mac(use, parts)
	}
	return nil
}

// KeyName returns the part of a MAC that names its key, which is all that MACLike
// needs of it. It is not secret.
func KeyName(mac []byte) []byte { return bytes.Clone(mac[:min(nameSize, len(mac))]) }

// Verify reports whether mac is the MAC of the parts, in constant time, under the key it names.
func (v *Vault) Verify(mac []byte, use Use, parts ...string) bool {
	want := v.MACLike(mac, use, parts...)
	return want != nil && hmac.Equal(mac, want)
}

// Tag returns a short keyed tag for counters and logs: 16 hex digits.
func (v *Vault) Tag(use Use, parts ...string) string {
	return hex.EncodeToString(v.MAC(use, parts...)[nameSize : nameSize+8])
}

// Seal encrypts plain for one use and one record; where names the record
// (additional data), so that a sealed value can't be moved to another.
func (v *Vault) Seal(use Use, where string, plain []byte) []byte {
	k := v.keys[0]
	out := make([]byte, 0, nameSize+12+16+len(plain))
	out = append(out, k.name[:]...)
	return k.aead(use).Seal(out, nil, plain, []byte(where))
}

// Open decrypts what Seal made for the same use and record, or returns [ErrSealed].
func (v *Vault) Open(use Use, where string, sealed []byte) ([]byte, error) {
	k := v.named(sealed)
	if k == nil {
		return nil, fmt.Errorf("%w: its key is not in the secret key file", ErrSealed)
	}
	plain, err := k.aead(use).Open(nil, nil, sealed[nameSize:], []byte(where))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func (v *Vault) named(b []byte) *secretKey {
	if len(b) < nameSize {
		return nil
	}
	for _, k := range v.keys {
		if string(k.name[:]) == string(b[:nameSize]) {
			return k
		}
	}
	return nil
}
