package views

import "time"

// ProblemKind chooses the words of an error page.
type ProblemKind string

// The kinds of error pages, with the status that their answer usually has.
const (
	// ProblemTimedOut (400): the login is lost, expired, or of another browser.
	ProblemTimedOut ProblemKind = "timed_out"
	// ProblemApplication (400): the client is unknown or switched off.
	ProblemApplication ProblemKind = "application"
	// ProblemRedirect (400): the redirect URI is not a registered one.
	ProblemRedirect ProblemKind = "redirect"
	// ProblemRequest (400, 413, 414, 415): anything else that can't be read.
	ProblemRequest ProblemKind = "request"
	// ProblemMethod (405): an address that only takes what is posted to it.
	ProblemMethod ProblemKind = "method"
	// ProblemForeign (403): a form from another site, or without its token.
	ProblemForeign ProblemKind = "foreign"
	// ProblemBusy (429): too many requests of this address.
	ProblemBusy ProblemKind = "busy"
	// ProblemUnavailable (503): Redis or SQL is away.
	ProblemUnavailable ProblemKind = "unavailable"
	// ProblemNotFound (404): no such page.
	ProblemNotFound ProblemKind = "not_found"
	// ProblemInternal (500): everything that has no other name.
	ProblemInternal ProblemKind = "internal"
)

// Problem is the page of an error that no form can put right. It has no field to
// go back to, so it says what happened and what to do next.
type Problem struct {
	Frame
	Kind ProblemKind
	// AppURL leads back to the application. It must come from the client's
	// registration, never from the request; empty shows no link.
	AppURL string
	// Wait is told with ProblemBusy and ProblemUnavailable when it is known.
	Wait time.Duration
	// Details are for the application's developers, in English: "invalid_request:
	// code_challenge is missing". Must not hold what a stranger sent unread.
	Details string
	// Reference finds the log record of this answer, or what is on record of a text
	// that was refused.
	Reference string
}

func (p Problem) heading() Message { return Message{Key: "problem." + string(p.kind()) + ".heading"} }
func (p Problem) what() string     { return p.text("problem." + string(p.kind()) + ".text") }

// kind is ProblemInternal where none was chosen: saying too little is safe.
func (p Problem) kind() ProblemKind {
	if p.Kind == "" {
		return ProblemInternal
	}
	return p.Kind
}

// next says what to do.
func (p Problem) next() Message {
	switch p.kind() {
	case ProblemTimedOut, ProblemForeign:
		return p.either("problem.next.start_again")
	case ProblemBusy, ProblemUnavailable:
		if p.Wait > 0 {
			return Message{"problem.next.wait", Args{"wait": Wait(p.Wait)}}
		}
		return Message{Key: "problem.next.wait_plain"}
	case ProblemInternal:
		return Message{Key: "problem.next.reference"}
	}
	return Message{Key: "problem.next.tell"}
}

func (p Problem) back() Message { return Message{"loggedout.back", Args{"app": Name(p.App)}} }

// nextIsLink reports that the next step is to go back to the application, and the
// way is known.
func (p Problem) nextIsLink() bool {
	return p.AppURL != "" && p.next().Key == "problem.next.start_again"
}
