package storage

import "errors"

// Errors that stores return. Callers compare with [errors.Is]; a store wraps
// them with the operation that met them. Any other error is internal.
var (
	// ErrNotFound says that no such record exists, or that it has expired.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a unique value is taken (a number, a client ID), or
	// that another person was meant.
	ErrConflict = errors.New("conflict")
	// ErrConsumed says that a single-use thing was used before: a code, a
	// challenge that opened a session, a transaction that was answered.
	ErrConsumed = errors.New("already consumed")
	// ErrRefused says that a rule forbids the write: sign-up is off and the
	// person is unknown, or the person is blocked.
	ErrRefused = errors.New("refused")
	// ErrForbidden says that the person may not use the API that a grant is for.
	ErrForbidden = errors.New("forbidden")
	// ErrUnavailable says that the store can't be reached in time. Nothing was
	// decided; the caller answers 503 and may be asked again.
	ErrUnavailable = errors.New("unavailable")
)

// TakenError says what of a person is another's already: phone_number, user_id, or
// attributes and a name. It is an [ErrConflict].
type TakenError struct {
	Field string
	// By has it. Empty: somebody who was removed.
	By UserID
}

func (e *TakenError) Error() string {
	if e.By == "" {
		return e.Field + ": was a removed person's, and is never given again"
	}
	return e.Field + ": is another person's (" + string(e.By) + ")"
}

// Unwrap makes it an ErrConflict.
func (e *TakenError) Unwrap() error { return ErrConflict }
