package views

import "time"

// Args fill the {placeholders} of a text. A value is a string, an int, or one of
// [Name], [Digits], [Region], [Regions] and [Wait], which the locale spells out.
// The argument "n" also chooses the plural form.
type Args map[string]any

// Name is somebody else's text within ours, such as the name of an application.
// Pages isolate its direction from the words around it.
type Name string

// Digits is a phone number or a part of one. Pages set it from left to right in
// every language.
type Digits string

// Region is an ISO 3166-1 code ("GB"), spelled as the country's name.
type Region string

// Regions is spelled as a list of countries, in the order in which they are offered.
type Regions []string

// Wait is spelled in words, rounded up: "30 seconds", "2 minutes", "3 hours".
type Wait time.Duration

// Message is a text to be: handlers choose which, the page's locale has the words.
// The zero Message is no message.
type Message struct {
	Key  string
	Args Args
}

// IsZero reports whether m is no message.
func (m Message) IsZero() bool { return m.Key == "" }

// Problems of the login pages, with the answer's status as pages.md has it.

// NumberUnreadable (422): nothing that looks like a number was typed.
func NumberUnreadable() Message { return Message{Key: keyNumber} }

// CountryNotAllowed (422): the number's region is not among those that may be texted.
func CountryNotAllowed(region string, allowed []string) Message {
	return Message{"error.country", Args{"country": Region(region), "list": Regions(allowed)}}
}

// NumberKind (422): a landline, a premium-rate number, a short code. On the code page
// (200) it is what came out when the page had gone on as sent.
func NumberKind() Message { return Message{Key: keyNumberKind} }

// NumberExtension (422): a number with an extension.
func NumberExtension() Message { return Message{Key: "error.extension"} }

// CodeFormat (422): too few or too many digits, or other characters.
func CodeFormat(digits int) Message {
	return Message{"error.code_format", Args{"n": digits}}
}

// CodeWrong (422): not the code; left is how many tries remain.
func CodeWrong(left int) Message {
	return Message{"error.code_wrong", Args{"n": left}}
}

// CodeSpent (422): all tries of this code are used up.
func CodeSpent() Message { return Message{Key: keyCodeSpent} }

// CodeExpired (422): the code's time is over.
func CodeExpired() Message { return Message{Key: keyCodeExpired} }

// SendLimit (429): too many texts to this number.
func SendLimit(wait time.Duration) Message {
	return Message{keySendLimit, Args{"wait": Wait(wait)}}
}

// NotTextedYet (429): this number has not been texted, since the wait after the text
// to another one is not over.
func NotTextedYet(wait time.Duration) Message {
	return Message{keyNotTexted, Args{"wait": Wait(wait)}}
}

// GatewayDown (503): the text could not be handed to any route.
func GatewayDown() Message { return Message{Key: keyGateway} }

// Notices: good news, or none.

// SentAgain tells that the same code is on its way again.
func SentAgain() Message { return Message{Key: "notice.sent_again"} }

// SentNew tells that a new code is on its way and the old one is dead.
func SentNew() Message { return Message{Key: "notice.sent_new"} }

// TooEarly tells that a resend was asked for before its time; nothing was sent. How
// long to wait stands below the button, where it is counted down.
func TooEarly() Message { return Message{Key: "notice.too_early"} }

const (
	keyNumber      = "error.number"
	keyNumberKind  = "error.number_kind"
	keyCodeSpent   = "error.code_spent"
	keyCodeExpired = "error.code_expired"
	keySendLimit   = "error.send_limit"
	keyNotTexted   = "error.not_texted"
	keyGateway     = "error.gateway"
)

// aboutSending reports whether m is about the sending of a text rather than
// about what was typed into the field.
func (m Message) aboutSending() bool {
	return m.Key == keySendLimit || m.Key == keyNotTexted || m.Key == keyGateway
}

// codeIsDead reports whether m says that no code can be typed any more.
func (m Message) codeIsDead() bool { return m.Key == keyCodeSpent || m.Key == keyCodeExpired }
