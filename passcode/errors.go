package passcode

import (
	"errors"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/passcode/sms"
)

// ErrNotSent says that the text could not be handed over to any route. Nothing
// was charged and no countdown began. The [*sms.Error] is in the same chain.
var ErrNotSent = errors.New("text message was not handed over")

// Limited says that a limit, or the wait between two texts (limit.Cooldown),
// refused a text. Nothing was changed.
type Limited struct {
	Name    string
	RetryAt time.Time
}

func (e *Limited) Error() string { return "limited by " + e.Name }

// Reason says why a code was rejected.
type Reason string

// The reasons. Towards a browser that is not the person's own they must all look alike.
const (
	// Wrong: it was counted; there are tries left.
	Wrong Reason = "wrong"
	// Malformed: not as many digits as the code has; not counted as a try.
	Malformed Reason = "malformed"
	// Dead: no tries left; only a new code helps.
	Dead Reason = "dead"
	// Expired: the code's time is over.
	Expired Reason = "expired"
	// Used: the code was accepted before.
	Used Reason = "used"
	// Gone: there is no such challenge, or it is forgotten.
	Gone Reason = "gone"
	// TooMany: too many codes were tried from one address, or too many wrong ones for
	// the number from there; nothing was looked at.
	TooMany Reason = "too_many"
)

// Rejection is a code that proves nothing.
type Rejection struct {
	Reason    Reason
	TriesLeft int
	// Length is how many digits the code has; 0 when it isn't known.
	Length int
	// RetryAt is when another code can be tried, for TooMany; for all other reasons
	// when the person may ask for another text.
	RetryAt time.Time
	// Limit is the name of the limit that refused, for TooMany.
	Limit string
}

func (e *Rejection) Error() string { return "code rejected: " + string(e.Reason) }

func notSent(err error) error {
	if i, ok := errors.AsType[*imitated](err); ok {
		return fmt.Errorf("%w: %w", ErrNotSent, i)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, sms.AsError(err))
}
