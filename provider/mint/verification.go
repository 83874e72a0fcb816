package mint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// Verified is what the signed result of a verification says: that a number was
// proved, to whom, what for, and until when the result is good.
type Verified struct {
	ID      storage.VerificationID
	Client  storage.ClientID
	Number  phone.Number
	Purpose string
	At      time.Time // of the proof
	Expires time.Time
}

type verified struct {
	Issuer   string                 `json:"iss"`
	Audience storage.ClientID       `json:"aud"`
	IssuedAt oidclib.Time           `json:"iat"`
	Expires  oidclib.Time           `json:"exp"`
	ID       storage.VerificationID `json:"jti"`
	Number   string                 `json:"phone_number"`
	Purpose  string                 `json:"purpose"`
}

// ErrVerified says that a text is no result of a verification that this issuer
// signed.
var ErrVerified = errors.New("not the result of a verification")

// Verified returns the signed result of a verification. It is never taken for a
// token: its typ is its own.
func (m *Minter) Verified(v Verified) (string, error) {
	payload, err := json.Marshal(struct {
		Issuer   string                 `json:"iss"`
		Audience storage.ClientID       `json:"aud"`
		IssuedAt oidc.Time              `json:"iat"`
		Expires  oidc.Time              `json:"exp"`
		ID       storage.VerificationID `json:"jti"`
		Number   string                 `json:"phone_number"`
		Purpose  string                 `json:"purpose,omitempty"`
	}{m.issuer, v.Client, oidc.FromTime(v.At), oidc.FromTime(v.Expires), v.ID, v.Number.E164(), v.Purpose})
	if err != nil {
		return "", fmt.Errorf("result of verification: %w", err)
	}
	return m.keys.Signer(keys.ES256).Sign(keys.TypeVerification, payload)
}

// ReadVerified reads a result that Verified made, or returns [ErrVerified]. Whether
// it is in force, and whose, is the caller's to say.
func (m *Minter) ReadVerified(raw string) (Verified, error) {
	var read verified
	err := oidclib.Verify(raw, oidclib.Rules{
		Algorithms: keys.Algorithms(),
		Types:      []string{strings.ToLower(keys.TypeVerification)},
		Key:        func(kid string, _ keys.Algorithm) any { return m.keys.PublicKey(storage.KeyID(kid)) },
	}, &read)
	switch {
	case err != nil:
		return Verified{}, fmt.Errorf("%w: %w", ErrVerified, err)
	case read.Issuer != m.issuer || read.ID == "":
		return Verified{}, fmt.Errorf("%w: another issuer, or no name", ErrVerified)
	}
	number, err := phone.FromStored(read.Number)
	if err != nil {
		return Verified{}, fmt.Errorf("%w: %w", ErrVerified, err)
	}
	return Verified{ID: read.ID, Client: read.Audience, Number: number, Purpose: read.Purpose,
		At: read.IssuedAt.Time(), Expires: read.Expires.Time()}, nil
}
