package views

// AlreadySignedIn is shown where the login was finished in another tab. Continue
// posts to {Base}/login/continue: csrf, txn.
type AlreadySignedIn struct {
	Frame
	CSRF string
	Txn  string
	// CanContinue tells that the application still waits for its one answer.
	CanContinue bool
}
