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
)
