package views

import (
	"strings"

	"github.com/a-h/templ"
)

// FormPost hands an authorization response to the client as a form (OAuth 2.0 Form
// Post Response Mode §2). A script from our own files posts it; without JavaScript
// there is a button.
type FormPost struct {
	Frame
	// Action is the registered redirect URI; an app's own scheme is fine.
	Action string
	// Fields are the response's parameters, in order.
	Fields []Field
}

// Field is a name and a value of a form, both arbitrary text.
type Field struct{ Name, Value string }

// address returns Action, past templ's list of schemes: the redirect URI is
// registered and validated, and an app's scheme is on no list. A scheme that runs
// in this page stays out whatever is registered.
func (p FormPost) address() templ.SafeURL {
	scheme, _, _ := strings.Cut(p.Action, ":")
	switch strings.ToLower(scheme) {
	case "javascript", "data", "vbscript", "blob", "filesystem", "about", "file", "view-source":
		return templ.FailedSanitizationURL
	}
	return templ.SafeURL(p.Action)
}
