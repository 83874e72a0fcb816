package views

import (
	"time"

	"github.com/a-h/templ"
)

// State is one page in one of its states.
type State struct {
	// Name is lower case with dashes: "code-wrong".
	Name string
	// Page draws it, with a made-up person and application.
	Page templ.Component
}

// Gallery lists every state of every page once, in the language of f. Tests of all
// pages go through it, and the demo shows it.
func Gallery(f Frame) []State {
	var all []State
	for _, states := range [][]State{
		galleryPhone(f), galleryCode(f), galleryProblems(f), galleryOthers(f), galleryInbox(f),
	} {
		all = append(all, states...)
	}
	return all
}

func galleryPhone(f Frame) []State {
	page := LoginPhone{Frame: f, CSRF: "csrf-token", Txn: "txn-id", Countries: galleryCountries()}
	one := page
	one.Countries = galleryCountries()[1:2]
	none := page
	none.Countries = append(galleryCountries()[:1], Country{Region: "TA", Calling: "290", Selected: true})
	with := func(typed string, problem Message) templ.Component {
		p := page
		p.Phone, p.Error = typed, problem
		return p.Page()
	}
	refused := func(problem Message) templ.Component {
		p := page
		p.Phone, p.Error, p.Reference = "07700 900 982", problem, "7F3K-Q2"
		return p.Page()
	}
	unnamed := page
	unnamed.App = ""
	return []State{
		{"phone", page.Page()},
		{"phone-one-country", one.Page()},
		{"phone-no-example", none.Page()},
		{"phone-no-app", unnamed.Page()},
		{"phone-prefilled", with("07700 900 982", Message{})},
		{"phone-unreadable", with("07700", NumberUnreadable())},
		{"phone-country", with("+1 202 555 0123", CountryNotAllowed("US", []string{"DE", "GB", "JP"}))},
		{"phone-kind", with("020 7946 0958", NumberKind())},
		{"phone-extension", with("07700 900982 ext 12", NumberExtension())},
		{"phone-send-limit", refused(SendLimit(2 * time.Hour))},
		{"phone-not-texted", refused(NotTextedYet(26 * time.Second))},
		{"phone-gateway", refused(GatewayDown())},
	}
}

func galleryCountries() []Country {
	return []Country{
		{Region: "JP", Calling: "81", National: "090-1234-5678", International: "+81 90-1234-5678"},
		{Region: "GB", Calling: "44", Selected: true, National: "07700 900 982", International: "+44 7700 900982"},
		{Region: "DE", Calling: "49", National: "01512 3456789", International: "+49 1512 3456789"},
	}
}

func galleryCode(f Frame) []State {
	page := LoginCode{
		Frame: f, CSRF: "csrf-token", Txn: "txn-id", Number: "07700 900 982", Digits: 6,
		Lifetime: 5 * time.Minute, ExpiresIn: 5 * time.Minute, ResendIn: 30 * time.Second, Reference: "7F3K-Q2",
	}
	with := func(change func(*LoginCode)) templ.Component {
		p := page
		change(&p)
		return p.Page()
	}
	failed := func(problem Message) templ.Component {
		return with(func(p *LoginCode) { p.Error, p.ResendIn = problem, 0 })
	}
	return []State{
		{"code", page.Page()},
		{"code-may-resend", with(func(p *LoginCode) { p.ResendIn = 0 })},
		{"code-8-digits", with(func(p *LoginCode) { p.Digits = 8 })},
		{"code-masked", with(func(p *LoginCode) { p.Number, p.Ending = "", "82" })},
		{"code-masked-8-digits", with(func(p *LoginCode) { p.Number, p.Ending, p.Digits = "", "82", 8 })},
		{"code-contact", with(func(p *LoginCode) { p.Contact = "Call 0800 000 000, 9 to 17" })},
		{"code-sent-again", with(func(p *LoginCode) { p.Notice = SentAgain() })},
		{"code-sent-new", with(func(p *LoginCode) { p.Notice = SentNew() })},
		{"code-too-early", with(func(p *LoginCode) { p.Notice = TooEarly() })},
		{"code-format", failed(CodeFormat(6))},
		{"code-wrong", failed(CodeWrong(4))},
		{"code-wrong-last", failed(CodeWrong(1))},
		{"code-spent", failed(CodeSpent())},
		{"code-spent-early", with(func(p *LoginCode) { p.Error, p.ResendIn = CodeSpent(), 12*time.Second })},
		{"code-expired", failed(CodeExpired())},
		{"code-send-limit", failed(SendLimit(14 * time.Minute))},
		{"code-gateway", failed(GatewayDown())},
		{"code-kind", failed(NumberKind())},
	}
}

func galleryProblems(f Frame) []State {
	nobody := f
	nobody.App = ""
	const reference, home = "5Q7TLM2XK4", "https://tiny.example/"
	page := func(p Problem) templ.Component {
		p.Reference = reference
		return p.Page()
	}
	return []State{
		{"problem-timed-out", page(Problem{Frame: f, Kind: ProblemTimedOut, AppURL: home})},
		{"problem-timed-out-no-app", page(Problem{Frame: nobody, Kind: ProblemTimedOut})},
		{"problem-application", page(Problem{Frame: nobody, Kind: ProblemApplication})},
		{"problem-redirect", page(Problem{Frame: f, Kind: ProblemRedirect, AppURL: home,
			Details: "invalid_request: redirect_uri is not registered for this client"})},
		{"problem-request", page(Problem{Frame: nobody, Kind: ProblemRequest,
			Details: "invalid_request: client_id is given twice"})},
		{"problem-method", page(Problem{Frame: nobody, Kind: ProblemMethod, Details: "this address takes POST"})},
		{"problem-foreign", page(Problem{Frame: nobody, Kind: ProblemForeign})},
		{"problem-busy", page(Problem{Frame: f, Kind: ProblemBusy, Wait: time.Minute})},
		{"problem-unavailable", page(Problem{Frame: f, Kind: ProblemUnavailable})},
		{"problem-not-found", page(Problem{Frame: nobody, Kind: ProblemNotFound})},
		{"problem-internal", page(Problem{Frame: nobody, Kind: ProblemInternal})},
	}
}

func galleryOthers(f Frame) []State {
	nobody := f
	nobody.App = ""
	fields := []Field{{"code", "SplxlOBeZQQYbYS6WxSbIA"}, {"state", "af0ifjsldkj"}, {"iss", "https://login.example.com/"}}
	return []State{
		{"signed-in", AlreadySignedIn{Frame: f, CSRF: "csrf-token", Txn: "txn-id", CanContinue: true}.Page()},
		{"signed-in-answered", AlreadySignedIn{Frame: f, AppURL: "https://tiny.example.com/login"}.Page()},
		{"signed-in-answered-nobody", AlreadySignedIn{Frame: nobody}.Page()},
		{"logout", Logout{Frame: f, CSRF: "csrf-token", Logout: "logout-request"}.Page()},
		{"logout-no-app", Logout{Frame: nobody, CSRF: "csrf-token", Logout: "logout-request"}.Page()},
		{"logged-out", LoggedOut{Frame: nobody}.Page()},
		{"logged-out-app", LoggedOut{Frame: f, AppURL: "https://tiny.example/"}.Page()},
		{"form-post", FormPost{Frame: f, Action: "https://tiny.example/callback", Fields: fields}.Page()},
		{"web-message", WebMessage{Frame: f, Origin: "https://tiny.example", Fields: fields}.Page()},
		{"form-post-no-app", FormPost{Frame: nobody, Action: "com.example.tiny:/callback", Fields: fields}.Page()},
	}
}

func galleryInbox(f Frame) []State {
	at := time.Date(2026, 3, 2, 9, 41, 0, 0, time.UTC)
	return []State{
		{"inbox", Inbox{Frame: f, Messages: []InboxMessage{
			{"+447700900982", "042137 is your Tiny code. Don't share it with anyone.\n\n@login.example.com #042137", at},
			{"+819012345678", "Your verification code is 2168", at.Add(40 * time.Second)},
			{"+4915123456789", "Welcome to Tiny.", at.Add(95 * time.Second)},
		}}.Page()},
		{"inbox-empty", Inbox{Frame: f}.Page()},
	}
}
