package views

import (
	"cmp"
	"net/url"
	"strconv"
	"time"
)

// LoginCode is the page that asks for the code. It posts to {Base}/login/code:
// csrf, txn, code; and, to have a text sent again, to {Base}/login/resend: csrf,
// txn. "Change number" leads to {Base}/login/phone?txn=….
type LoginCode struct {
	Frame
	CSRF string
	Txn  string
	// Number is the number as it was typed in this browser. Empty when it came
	// from elsewhere (login_hint, a session): then Ending is shown.
	Number string
	// Ending is the last two digits.
	Ending string
	// Digits is the length of the code.
	Digits int
	// Lifetime is how long a code works from when it is sent, as told to people.
	Lifetime time.Duration
	// ExpiresIn is what is left of it; the page stops listening for the text then.
	// Zero means all of Lifetime.
	ExpiresIn time.Duration
	// ResendIn is how long it takes until another text may be asked for; zero
	// when it may be now. The button works in any case: the server decides.
	ResendIn time.Duration
	// Notice is zero, or one of SentAgain, SentNew, TooEarly.
	Notice Message
	// Error is zero, or one of the problems of this package. After CodeSpent and
	// CodeExpired the page offers a new code instead of the field.
	Error Message
	// Reference finds what is on record of the texts; see [Problem.Reference].
	Reference string
	// Contact is a line of the operator for people who get no text; may be empty.
	Contact string
}

// sent says where the code went; when there is none, whom the next one is for.
func (p LoginCode) sent() Message {
	if p.Error.Key == keyGateway || p.numberIsWrong() || p.dead() {
		if p.Number == "" {
			return Message{"code.unsent_ending", Args{"number": Digits(p.Ending)}}
		}
		return Message{"code.unsent", Args{"number": Digits(p.Number)}}
	}
	key, number := "code.sent", p.Number
	if number == "" {
		key, number = "code.sent_ending", p.Ending
	}
	if p.Digits == 8 { // "an 8-digit code": the article differs in some languages
		key += "_8"
	}
	return Message{key, Args{"n": p.Digits, "number": Digits(number)}}
}

func (p LoginCode) hint() Message {
	return Message{"code.hint", Args{"lifetime": Wait(p.Lifetime)}}
}

func (p LoginCode) expires() string { return seconds(cmp.Or(p.ExpiresIn, p.Lifetime)) }

func (p LoginCode) helpNumber() Message {
	if p.Number == "" {
		return Message{"code.help_number_ending", Args{"number": Digits(p.Ending)}}
	}
	return Message{"code.help_number", Args{"number": Digits(p.Number)}}
}

func (p LoginCode) helpWait() Message {
	if p.ResendIn <= 0 {
		return Message{Key: "code.help_ask"}
	}
	return Message{Key: "code.help_wait"}
}

func (p LoginCode) waitArgs() Args { return Args{"wait": Wait(p.ResendIn)} }

// dead reports that the only way on is a new code.
func (p LoginCode) dead() bool { return p.Error.codeIsDead() }

// fieldIsWrong reports that the error is about the code that was typed.
func (p LoginCode) fieldIsWrong() bool {
	return !p.Error.IsZero() && !p.dead() && !p.numberIsWrong() && !p.Error.aboutSending()
}

// numberIsWrong reports that the number gets no texts: only another one helps.
func (p LoginCode) numberIsWrong() bool { return p.Error.Key == keyNumberKind }

// target is where the error is put right; empty where the button that does it is all
// that the page has.
func (p LoginCode) target() string {
	switch {
	case p.dead():
		return ""
	case p.numberIsWrong():
		return "change"
	case p.fieldIsWrong():
		return "code"
	}
	return "resend"
}

func (p LoginCode) describedBy() string {
	if p.fieldIsWrong() {
		return "code-hint code-error"
	}
	return "code-hint"
}

func (p LoginCode) resendLabel() string {
	if p.dead() {
		return p.text("code.resend_new")
	}
	return p.text("code.resend")
}

func (p LoginCode) changeAddress() string {
	return p.Base + "/login/phone?txn=" + url.QueryEscape(p.Txn)
}

// seconds is a duration as the script reads it, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
