package mint

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// A refresh token is its family, a counter and a MAC over both, so that a
// store keeps nothing but the family's row, and the successor that a lost
// answer carried can be made again (design.md §7). In base64url behind the
// prefix stand: the MAC, the counter as 8 bytes, the family's name.
const (
	refreshPrefix = "hsr1_"
	macSize       = 4 + 32 // the key's name and HMAC-SHA-256
	counterSize   = 8
	maxFamily     = 64
)

// strict refuses texts whose last character has stray bits: one token has one text.
var strict = base64.RawURLEncoding.Strict()

// RefreshToken returns the family's token with that counter. Under one secret
// key it is always the same.
func (m *Minter) RefreshToken(family storage.FamilyID, counter int64) string {
	b := make([]byte, 0, macSize+counterSize+len(family))
	b = append(b, m.vault.MAC(vault.RefreshToken, string(family), strconv.FormatInt(counter, 10))...)
	b = binary.BigEndian.AppendUint64(b, uint64(counter))
	b = append(b, family...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseRefreshToken returns the family and counter of a token that RefreshToken
// made under any live key. Whether it may still be used is the store's to say.
func (m *Minter) ParseRefreshToken(text string) (family storage.FamilyID, counter int64, ok bool) {
	encoded, ok := strings.CutPrefix(text, refreshPrefix)
	if !ok || len(encoded) > base64.RawURLEncoding.EncodedLen(macSize+counterSize+maxFamily) {
		return "", 0, false
	}
	b, err := strict.DecodeString(encoded)
	// The decoder passes over line breaks; a token has none.
	if err != nil || len(b) <= macSize+counterSize || strings.ContainsAny(encoded, "\r\n") {
		return "", 0, false
	}
	mac, rest := b[:macSize], b[macSize:]
	counter = int64(binary.BigEndian.Uint64(rest))
	family = storage.FamilyID(rest[counterSize:])
	if counter < 0 || !m.vault.Verify(mac, vault.RefreshToken, string(family), strconv.FormatInt(counter, 10)) {
		return "", 0, false
	}
	return family, counter, true
}
