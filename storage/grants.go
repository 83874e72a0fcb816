package storage

import "time"

// NewGrant is one authorization, written with the MAC of its authorization code.
type NewGrant struct {
	ID GrantID
	// Transaction is unique: one transaction is answered with one code, ever.
	Transaction TransactionID
	CodeMAC     []byte
	CodeExpires time.Time
	ClientID    ClientID
	RedirectURI string
	Scopes      []string
	Nonce       string
	// CodeChallenge is the S256 PKCE challenge, empty when none was sent.
	CodeChallenge string
	// ACR is the authentication context asked for and met, usually empty.
	ACR       string
	UserID    UserID
	SessionID SessionID
	AuthTime  time.Time
	// API is what the access tokens are for; zero: for this provider alone.
	API GrantedAPI
}

// GrantedAPI is the one API of a grant.
type GrantedAPI struct {
	Audience Audience
	// Scopes are the API's own; those of the provider are in NewGrant.Scopes. A
	// store that is told AssignedOnly narrows them to the person's assignment.
	Scopes []string
	// AssignedOnly makes a person without an assignment [ErrForbidden]. It is not kept.
	AssignedOnly bool
	// Lifetime ends every token that the grant brings forth so long after
	// AuthTime. It is kept as Grant.TokensUntil.
	Lifetime time.Duration
}

// Grant is a NewGrant as kept.
type Grant struct {
	NewGrant
	CreatedAt  time.Time
	RedeemedAt time.Time // zero: the code is unused
	RevokedAt  time.Time // zero: in force
	// TokensUntil is when the last token for an API has expired; zero: the grant
	// is for none.
	TokensUntil time.Time
}

// Redemption spends a grant's code.
type Redemption struct {
	Grant GrantID
	Now   time.Time
	// Refresh is written in the same, then durable, transaction; nil writes none.
	Refresh *RefreshFamily
}

// RefreshFamily is the line of refresh tokens of one grant. A token is family,
// counter and MAC; nothing of it but this row is stored.
type RefreshFamily struct {
	ID      FamilyID
	GrantID GrantID
	// Counter is that of the one token that may be used.
	Counter int64
	// RotatedAt is when Counter last grew; zero before the first rotation.
	RotatedAt time.Time
	CreatedAt time.Time
	// IdleExpires moves with each rotation, AbsoluteExpires never.
	IdleExpires     time.Time
	AbsoluteExpires time.Time
	RevokedAt       time.Time
}

// Rotation uses the token with counter Presented.
type Rotation struct {
	Family    FamilyID
	Presented int64
	Now       time.Time
	// Grace is how long after a rotation its predecessor still gets the same
	// successor (a lost answer, 30 s).
	Grace       time.Duration
	IdleExpires time.Time // the family's new idle end, capped by its absolute one
}

// Rotated is a rotation's outcome: the successor's counter.
type Rotated struct {
	Counter int64
	// Repeated says that the token had been rotated moments ago and the same
	// successor is given again; nothing was written.
	Repeated bool
}
