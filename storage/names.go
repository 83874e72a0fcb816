package storage

// Identifiers that must not be mixed are types.
type (
	// UserID is a person's public subject: "sms|" and 24 hex digits, or what an
	// import kept. It is the `sub` of every token and never derived from a number.
	UserID string
	// ClientID is a registered client's client_id.
	ClientID string
	// SessionID is the public name of a session, the `sid` of ID tokens. It
	// opens nothing: the cookie holds another secret.
	SessionID string
	// GrantID names one authorization: what one person allowed one client once.
	GrantID string
	// FamilyID names the line of refresh tokens of a grant. It is random, a part of each
	// token, and opens nothing without the rest.
	FamilyID string
	// TransactionID names one login transaction. It stands in URLs and opens
	// nothing without the browser's cookie.
	TransactionID string
	// ChallengeID names the place where one code counts. For the login pages it
	// is derived from the transaction's ID.
	ChallengeID string
	// KeyID is a signing key's `kid`, its RFC 7638 thumbprint.
	KeyID string
	// ConnectionName is a connection's name, "sms" unless configured otherwise.
	ConnectionName string
	// Audience is an API's identifier, the `aud` of its tokens.
	Audience string
	// Subject is a `sub` as one client sees it: the person's UserID, or another
	// name for clients with pairwise subjects.
	Subject string
	// Sector is what clients share that see a person under one pairwise Subject:
	// the host of their redirect URIs (OIDC Core §8.1).
	Sector string
	// TokenID is the `jti` of a token for an API. It opens nothing.
	TokenID string
)
