package storage

import (
	"time"
)

// Transaction is one authorization request, frozen when it was validated, that
// waits for a person in one browser (30 minutes). It is sealed at rest and
// never changes.
type Transaction struct {
	ID TransactionID `json:"-"`
	// BrowserMAC is the MAC of the transaction cookie's secret: nothing in a
	// URL alone lets anyone go on.
	BrowserMAC []byte    `json:"b"`
	CreatedAt  time.Time `json:"t"`
	ExpiresAt  time.Time `json:"x"`

	ClientID    ClientID `json:"c"`
	RedirectURI string   `json:"r"`
	// Connection is the one that the request named; empty: the one in use.
	Connection ConnectionName `json:"cn,omitempty"`
	// ResponseType is code when empty, else id_token.
	ResponseType string   `json:"rt,omitempty"`
	ResponseMode string   `json:"m,omitempty"` // query, fragment, form_post
	State        string   `json:"s,omitempty"`
	Nonce        string   `json:"n,omitempty"`
	Scopes       []string `json:"sc,omitempty"`
	// Audience is the API that tokens shall be for, empty for none, and APIScopes
	// those of its scopes that were asked for.
	Audience      Audience `json:"au,omitempty"`
	APIScopes     []string `json:"as,omitempty"`
	CodeChallenge string   `json:"cc,omitempty"`
	// AuthAfter is the earliest auth_time that satisfies prompt=login and
	// max_age; zero when any session will do.
	AuthAfter time.Time `json:"aa,omitzero"`
	// MaxAge is how old a session may be, by the request's max_age or the life of
	// the API's tokens; zero: as old as it likes, or AuthAfter says all. A session
	// that answers later than the request came must still be that young.
	MaxAge    time.Duration `json:"ma,omitempty"`
	LoginHint string        `json:"lh,omitempty"`
	// HintUser is the person an id_token_hint named; another one is login_required.
	HintUser  UserID   `json:"hu,omitempty"`
	UILocales []string `json:"ul,omitempty"`
	ACR       string   `json:"acr,omitempty"`
}

// ChallengeState is where a challenge stands.
type ChallengeState string

// The states of a challenge. ChallengeGone is what an unknown or expired-and-forgotten one is.
const (
	ChallengeLive ChallengeState = "live"
	ChallengeUsed ChallengeState = "used"
	ChallengeGone ChallengeState = "gone"
)

// Challenge is a pending code as its page may see it.
type Challenge struct {
	ID     ChallengeID
	State  ChallengeState
	Length int // digits
	// TriesLeft is 0 when the code can no longer be used.
	TriesLeft int
	CreatedAt time.Time
	ExpiresAt time.Time
	ResendAt  time.Time // earliest resend by the cooldown
	// ResendHint is what a page counts down to: the later of ResendAt and when
	// the limits, as the last send left them, give another text.
	ResendHint time.Time
	Sends      int // texts sent in this place so far, over all its numbers
	// SendFailed says that the last text could not be handed over; resending is free.
	SendFailed bool
	// NumberFailed says that it was because of the number, which gets no texts;
	// SendFailed says so, too.
	NumberFailed bool
	// NumberTag is the keyed tag of the number that the code went to.
	NumberTag string
	// Context is what the caller stored with the challenge, sealed at rest
	// (the login page keeps the number there).
	Context []byte
	// CodeMAC is the MAC of the code; its key is named in it.
	CodeMAC []byte
}

// Limit is one counter with the generic cell rate algorithm: Burst at once,
// one more Every. Keys are keyed tags, never raw numbers or addresses.
type Limit struct {
	Name  string
	Key   string
	Burst int
	Every time.Duration
	Off   bool
	// Sticks: what a text took of it is not given back where the number was at fault.
	Sticks bool
}

// Limited says which limit refused and when the next try can succeed.
type Limited struct {
	Name    string
	RetryAt time.Time
}

// Error makes it the error of what a limit refused.
func (l *Limited) Error() string { return "limit " + l.Name }

// Taken is what is left of a limit that gave one.
type Taken struct {
	Left int
	// FullAt is when it has all of its burst again.
	FullAt time.Time
}

// Posted is a form that another site posted, kept while the browser comes again by
// GET with the cookies that it leaves out of such a post.
type Posted struct {
	// Ref is random, and all that the URL tells of the form.
	Ref string
	// Endpoint is the path that it was posted to; it is worthless at another.
	Endpoint string
	// Form is its body, encoded for a URL, and the same to the byte when read again.
	Form string
}

// NewCode is a candidate code for a challenge.
type NewCode struct {
	Length int
	MAC    []byte
	Sealed []byte // the code, sealed, so that a resend can repeat it
}

// StartChallenge asks for a code to be sent. One atomic step: it refuses by
// cooldown or limit and then changes nothing; or it takes one from each limit
// and repeats the live code, or makes a new one.
type StartChallenge struct {
	ID        ChallengeID
	Now       time.Time
	NumberTag string
	Context   []byte
	// Limits are taken all or none.
	Limits []Limit
	// Block is looked at only: while it lasts, no text is sent.
	Block Limit
	// Guess is looked at only: while it recovers (it was emptied and is not yet
	// half full again), Long is used in place of Short.
	Guess       Limit
	Short, Long NewCode
	Tries       int
	// Life counts from each send, MaxLife from the code's creation.
	Life, MaxLife time.Duration
	// RepeatWithin: a live code for the same number with a try left and at
	// least this much life before the end of MaxLife is repeated.
	RepeatWithin time.Duration
	// Cooldown is how long after this send the next is refused.
	Cooldowns []time.Duration
	// Keep is how long the record outlives the code, so that a page can say
	// "expired" or "used" rather than "gone".
	Keep time.Duration
}

// Started is the outcome of StartChallenge.
type Started struct {
	// Limited is set when nothing happened: a limit (by its name) or the
	// cooldown (named "cooldown") refused.
	Limited *Limited
	// Limits are what the limits that are on have left now.
	Limits    []LimitLeft
	Repeated  bool
	Sealed    []byte // the code to send, sealed: the repeated one, or Short's or Long's
	Length    int
	Challenge Challenge
	// Undo is handed back to UndoSend as it is when the text could not be handed over.
	Undo []byte
	// UndoNumber is Undo for a text that no route takes because of its number: limits
	// that stick keep what it took.
	UndoNumber []byte
}

// CheckStatus is the outcome of a guess.
type CheckStatus string

// Outcomes of CheckChallenge.
const (
	CheckOK        CheckStatus = "ok"        // right, and consumed now
	CheckWrong     CheckStatus = "wrong"     // counted; TriesLeft more
	CheckMalformed CheckStatus = "malformed" // not of the challenge's length; not counted as a try
	CheckDead      CheckStatus = "dead"      // no tries left
	CheckExpired   CheckStatus = "expired"
	CheckUsed      CheckStatus = "used"
	CheckGone      CheckStatus = "gone"
	CheckLimited   CheckStatus = "limited" // a limit refused; nothing was evaluated
)

// CheckChallenge tries a code. One atomic step: the limits are taken (all or
// none), the try is counted, and only then the MACs are compared; the right
// one is consumed.
type CheckChallenge struct {
	ID  ChallengeID
	Now time.Time
	// MAC of the code typed; nil when it is malformed.
	MAC []byte
	// Limits are taken before anything is looked at (verify_address).
	Limits []Limit
	// Block refuses for Every once Burst codes in a row, each within Every of the one
	// before, proved nothing; a right code forgets them. One without a Burst is off.
	Block Limit
	// Guess is charged for a wrong code. When that empties it, or it is
	// recovering, a live code of fewer than LongLength digits keeps one try.
	Guess      Limit
	LongLength int
	// Refunds get one back for a right code (send_number), as long as Refundable allows.
	Refunds    []Limit
	Refundable Limit
	// MaxMalformed is how many malformed codes are taken before the challenge is dead.
	MaxMalformed int
}

// Checked is the outcome of CheckChallenge.
type Checked struct {
	Status    CheckStatus
	TriesLeft int
	Length    int
	Limited   *Limited
}

// AccessToken is an opaque access token's record, found by the token's MAC.
type AccessToken struct {
	GrantID   GrantID   `json:"g"`
	ClientID  ClientID  `json:"c"`
	UserID    UserID    `json:"u"`
	SessionID SessionID `json:"s"`
	Scopes    []string  `json:"sc"`
	IssuedAt  time.Time `json:"i"`
	ExpiresAt time.Time `json:"x"`
	AuthTime  time.Time `json:"a"`
}
