package views

// AlreadySignedIn is shown where there is no login to do any more: it was finished
// here, or another tab signed in. Continue posts to {Base}/login/continue: csrf, txn.
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

// what says what the person needs to know, and is true whatever led here.
func (p AlreadySignedIn) what() Message {
	if p.CanContinue {
		return p.either("signedin.waiting")
	}
	return p.either("signedin.text")
}

func (p AlreadySignedIn) back() Message { return Message{"loggedout.back", Args{"app": Name(p.App)}} }
