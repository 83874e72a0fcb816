package views

import (
	"strings"
	"testing"

	"github.com/a-h/templ"
)

// TestInjection puts markup into every field of every page.
func TestInjection(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>' onfocus='alert(1)`
	f := englishFrame(t)
	f.App = evil
	code := LoginCode{Frame: f, CSRF: evil, Txn: evil, Number: evil, Digits: 6, Contact: evil}
	ending := code
	ending.Number, ending.Ending = "", evil
	pages := map[string]templ.Component{
		"phone": LoginPhone{Frame: f, CSRF: evil, Txn: evil, Phone: evil, Error: CountryNotAllowed(evil, []string{evil}),
			Countries: []Country{{Region: evil, Calling: evil, National: evil, International: evil}, {Region: "GB"}}}.Page(),
		"code":       code.Page(),
		"ending":     ending.Page(),
		"signed-in":  AlreadySignedIn{Frame: f, CSRF: evil, Txn: evil, CanContinue: true}.Page(),
		"problem":    Problem{Frame: f, Kind: ProblemTimedOut, AppURL: evil, Details: evil, Reference: evil}.Page(),
		"logout":     Logout{Frame: f, CSRF: evil, Logout: evil}.Page(),
		"logged-out": LoggedOut{Frame: f, AppURL: evil}.Page(),
		"form-post":  FormPost{Frame: f, Action: evil, Fields: []Field{{evil, evil}}}.Page(),
		"inbox":      Inbox{Frame: f, Messages: []InboxMessage{{To: evil, Body: evil + " 123456 " + evil + "\n\n@" + evil}}}.Page(),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := parse(t, page)
			checkNothingInline(t, node)
			if len(find(node, "img")) > 0 {
				t.Error("the text became an element")
			}
		})
	}
}

// TestLinksNeverRunScripts: addresses come from registrations, and even those can't
// run in our pages.
func TestLinksNeverRunScripts(t *testing.T) {
	t.Parallel()
	f := englishFrame(t)
	for _, address := range []string{"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x"} {
		for name, page := range map[string]templ.Component{
			"problem":    Problem{Frame: f, Kind: ProblemTimedOut, AppURL: address}.Page(),
			"logged-out": LoggedOut{Frame: f, AppURL: address}.Page(),
			"form-post":  FormPost{Frame: f, Action: address}.Page(),
		} {
			if strings.Contains(render(t, page), address) {
				t.Errorf("%s leads to %s", name, address)
			}
		}
	}
}

func TestFormPostActions(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://tiny.example/cb?a=1&b=2", "http://127.0.0.1:4000/cb", "com.example.app:/cb", "myapp://callback",
	} {
		form := find(parse(t, FormPost{Frame: englishFrame(t), Action: address}.Page()), "form")[0]
		if got := attr(form, "action"); got != address {
			t.Errorf("action %q, want %q", got, address)
		}
	}
}

// TestFormPostKeepsValues: the client gets the bytes that were meant for it.
func TestFormPostKeepsValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", " a  b ", "é漢🙂", `<>&"'`, "a+b%20c", "tab\tend", "{state}", "\uE000"} {
		page := parse(t, FormPost{Frame: englishFrame(t), Action: "https://tiny.example/", Fields: []Field{{"state", value}}}.Page())
		if got := attr(find(page, `input[name="state"]`)[0], "value"); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	}
}
