package mint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/storage"
)

// amr is how a person proved who they are here: a code by text message. SMS as
// the only factor never claims more (RFC 8176 §2).
var amr = oidc.AuthenticationMethodsReferences{"sms", "otp"}

// Methods is how every person proved who they are, as `amr` says it.
func Methods() []string { return slices.Clone(amr) }

// IDTokenClaims is what an ID token says beside what every one says.
type IDTokenClaims struct {
	Subject  storage.Subject   // as the client sees it
	Client   storage.ClientID  // the only audience, so there is no azp
	Session  storage.SessionID // `sid`
	AuthTime time.Time
	Nonce    string // as sent; empty: none was sent
	ACR      string // empty unless asked for and met
	// Algorithm is the client's, of those that [registration.IDTokenAlgorithms]
	// lists; empty is RS256.
	Algorithm string
	// AccessToken is the token issued beside this one, for at_hash; empty: none was.
	AccessToken string
	// Phone is what scope phone tells, where the client is told it here as well as at
	// userinfo (OIDC Core §5.4); nil: not here.
	Phone *PhoneClaims
}

// PhoneClaims are the claims of scope phone.
type PhoneClaims struct {
	Number   string `json:"phone_number"` // E.164
	Verified bool   `json:"phone_number_verified"`
}

// idToken is the library's claims with the audience as the one string it is:
// RFC 7519 §4.1.3 allows an array too, which applications that compare it with
// their client_id don't expect.
type idToken struct {
	oidc.TokenClaims
	Audience        storage.ClientID  `json:"aud"`
	AccessTokenHash string            `json:"at_hash,omitempty"`
	SessionID       storage.SessionID `json:"sid,omitempty"`
	*PhoneClaims
}

// IDToken returns a signed ID token (OIDC Core §2) that lives from now. One
// signature is all its cost.
func (m *Minter) IDToken(c IDTokenClaims) (string, error) {
	if c.Subject == "" || c.Client == "" {
		return "", errors.New("id token: no subject or no client")
	}
	alg := keys.Algorithm(cmp.Or(c.Algorithm, string(keys.RS256)))
	if !slices.Contains(keys.Algorithms(), alg) {
		return "", fmt.Errorf("id token: no keys for the algorithm %q", alg)
	}
	now := m.now()
	claims := idToken{
		TokenClaims: oidc.TokenClaims{
			Issuer:                              m.issuer,
			Subject:                             string(c.Subject),
			IssuedAt:                            oidc.FromTime(now),
			Expiration:                          oidc.FromTime(now.Add(m.life)),
			AuthTime:                            oidc.FromTime(c.AuthTime),
			Nonce:                               c.Nonce,
			AuthenticationContextClassReference: c.ACR,
			AuthenticationMethodsReferences:     amr,
		},
		Audience:    c.Client,
		SessionID:   c.Session,
		PhoneClaims: c.Phone,
	}
	if c.AccessToken != "" {
		hash, err := oidc.ClaimHash(c.AccessToken, alg) // OIDC Core §3.1.3.6
		if err != nil {
			return "", fmt.Errorf("id token: at_hash: %w", err)
		}
		claims.AccessTokenHash = hash
	}
	payload, err := json.Marshal(&claims)
	if err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	return m.keys.Signer(alg).Sign(keys.TypeJWT, payload)
}

// Hint is what an id_token_hint says.
type Hint struct {
	Subject  storage.Subject // as the client at the time saw it
	Session  storage.SessionID
	ClientID storage.ClientID // its audience
	IssuedAt time.Time
}

// ErrHint says that a text is no ID token that this issuer signed with a key
// it still publishes. What exactly is wrong is for the log.
var ErrHint = errors.New("invalid id_token_hint")

// VerifyHint reads an id_token_hint, or returns [ErrHint]. An expired one
// counts: it says who was here, not that they still are (OIDC Core §3.1.2.1,
// RP-Initiated Logout §2). Retired keys count as long as they are published.
func (m *Minter) VerifyHint(_ context.Context, raw string) (Hint, error) {
	var claims struct {
		Issuer   string           `json:"iss"`
		Subject  string           `json:"sub"`
		Audience oidclib.Audience `json:"aud"`
		IssuedAt oidclib.Time     `json:"iat"`
		Session  string           `json:"sid"`
	}
	err := oidclib.Verify(raw, oidclib.Rules{
		Algorithms: keys.Algorithms(),
		// An access token or a logout token of ours is signed by the same keys.
		Types: []string{"jwt"},
		Key:   func(kid string, _ keys.Algorithm) any { return m.keys.PublicKey(storage.KeyID(kid)) },
	}, &claims)
	switch {
	case err != nil:
		return Hint{}, fmt.Errorf("%w: %w", ErrHint, err)
	case claims.Issuer != m.issuer:
		return Hint{}, fmt.Errorf("%w: another issuer", ErrHint)
	case claims.Subject == "" || len(claims.Audience) != 1 || claims.Audience[0] == "" || claims.IssuedAt == 0:
		return Hint{}, fmt.Errorf("%w: not an ID token's claims", ErrHint)
	}
	return Hint{
		Subject:  storage.Subject(claims.Subject),
		Session:  storage.SessionID(claims.Session),
		ClientID: storage.ClientID(claims.Audience[0]),
		IssuedAt: claims.IssuedAt.Time(),
	}, nil
}
