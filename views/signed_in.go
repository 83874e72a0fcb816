package views

// AlreadySignedIn is shown where the login was finished in another tab. Continue
// posts to {Base}/login/continue: csrf, txn.
type AlreadySignedIn struct {
	Frame
	CSRF string
	Txn  string
	// CanContinue tells that the application still waits for its one answer.
	CanContinue bool
	// AppURL leads back to the application when it had its answer: a browser may
	// have dropped it (a second press on the button). It must come from the
	// client's registration; empty shows no link.
	AppURL string
}

func (p AlreadySignedIn) back() Message { return Message{"loggedout.back", Args{"app": Name(p.App)}} }
