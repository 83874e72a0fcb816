package storage

import (
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

// User is a person. The number is sealed at rest and found by a blind index.
type User struct {
	ID          UserID
	Number      phone.Number
	CreatedAt   time.Time
	UpdatedAt   time.Time // when a claim about the person last changed: `updated_at`
	LastLoginAt time.Time // zero before the first login
	Blocked     bool
	VerifiedAt  time.Time // when the number was last proved by a code; zero: never
	// Attributes are what the business says of the person, an employee number
	// for example. They are sealed at rest; numbers in them are json.Number.
	Attributes map[string]any
}

// Metadata is what applications keep with a person, in Auth0's words: App is theirs,
// User is the person's own. Numbers in it are json.Number.
type Metadata struct {
	App  map[string]any `json:"app_metadata,omitempty"`
	User map[string]any `json:"user_metadata,omitempty"`
}

// Profile is a person with all that is kept of them.
type Profile struct {
	User
	Metadata Metadata
}

// Session is one sign-on of one person in one browser (single sign-on).
type Session struct {
	ID        SessionID
	UserID    UserID
	AuthTime  time.Time // when the code was accepted: `auth_time`
	CreatedAt time.Time
	SeenAt    time.Time // last use; idle life counts from here
	ExpiresAt time.Time // end of the absolute life
}

// Login is what a proved number writes, in one durable transaction: the person
// (made when new), the session, and the grant that answers the client.
type Login struct {
	Number phone.Number
	// Challenge opened this session. It is unique: a second Login with the same
	// challenge is ErrConsumed, whatever Redis said.
	Challenge ChallengeID
	// SignupDisabled makes an unknown number ErrRefused.
	SignupDisabled bool
	// OnlyUser, when set, is who must log in (id_token_hint): another or a new
	// person is ErrConflict, and nothing is written.
	OnlyUser UserID
	// NewUserID is used when the person is new.
	NewUserID UserID
	SessionID SessionID
	// SessionMAC is the MAC of the session cookie's secret.
	SessionMAC []byte
	ExpiresAt  time.Time // the session's absolute end
	// ReplacesMAC is the MAC of the session cookie that the browser held
	// before, if any: that session ends (session fixation). MACs of all live keys.
	ReplacesMACs [][]byte
	// Grant answers the client. UserID, SessionID and AuthTime are filled by the store.
	Grant NewGrant
}

// Opened is what a Login made.
type Opened struct {
	User    User
	Session Session
	NewUser bool
}

// Import is one person of a list that comes from elsewhere.
type Import struct {
	// ID is the person's subject, kept verbatim. Empty: it is whoever has the
	// number, or a new person with the subject NewID.
	ID     UserID
	NewID  UserID
	Number phone.Number
	// Decide returns the person as they shall be kept. It gets them as they are
	// kept, or a new person of nothing but ID and Number, whose CreatedAt and VerifiedAt
	// it may say; those of others stay. An error refuses this
	// person alone. Decide must be quick and must not use the store.
	Decide func(u User, known bool) (User, error)
	// Metadata replaces what is kept with a person who is not refused; nil leaves it.
	Metadata *Metadata
	// MetadataDiffers refuses people who are there with other metadata; nil: it is
	// replaced.
	MetadataDiffers error
}

// ImportMode says what becomes of the others when a person is refused.
type ImportMode int

const (
	// ImportEach keeps all that are not refused.
	ImportEach ImportMode = iota
	// ImportAll keeps nobody when one is refused.
	ImportAll
	// ImportNone keeps nobody, and tells what would become of them.
	ImportNone
)

// Imported is what became of one person of a list.
type Imported struct {
	ID      UserID
	Outcome Outcome
	// Err is why the person was refused: a [*TakenError], or what Decide returned.
	Err error
}

// Outcome is what an import did with one person.
type Outcome int

const (
	Refused Outcome = iota
	Added
	Updated
	Unchanged
)
