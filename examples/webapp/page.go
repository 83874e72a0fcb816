package webapp

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"time"
)

//go:embed page.html
var pageSource string

//go:embed style.css
var styleSource []byte

//go:embed icon.svg
var iconSource []byte

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is what the one template prints.
type page struct {
	Name    string
	Issuer  string
	Inbox   string
	Failure *failure
	Person  *person
}

// person is the page of somebody who is signed in.
type person struct {
	Name     string
	Number   string
	Checks   []check
	Claims   []row
	UserInfo []row
}

// row is one claim, and what it means where that helps.
type row struct{ Name, Value, Meaning string }

// home shows who is signed in, or the way in.
func (a *app) home(w http.ResponseWriter, r *http.Request) {
	var p page
	if u := a.sessions.user(a.sessionID(r)); u != nil {
		p.Person = u.person()
	}
	a.write(w, http.StatusOK, p)
}

// fail shows what went wrong. Only a failure was written for people to read.
func (a *app) fail(w http.ResponseWriter, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{http.StatusInternalServerError, "Something went wrong", "Sign in again.", ""}
	}
	a.write(w, f.Status, page{Failure: f})
}

// write draws the page before it sends the first byte.
func (a *app) write(w http.ResponseWriter, status int, p page) {
	p.Name, p.Issuer, p.Inbox = a.config.Name, a.config.Issuer, a.config.InboxURL
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client may have left
}

func (u *user) person() *person {
	p := &person{Checks: u.checks, Claims: rows(u.claims), UserInfo: rows(u.userInfo)}
	for _, c := range []claims{u.userInfo, u.claims} {
		if p.Number == "" {
			p.Number = c.text("phone_number")
		}
		if p.Name == "" {
			p.Name = c.text("name")
		}
	}
	return p
}

// rows lists claims by name.
func rows(c claims) []row {
	var out []row
	for _, name := range slices.Sorted(maps.Keys(c)) {
		out = append(out, row{name, shown(c[name]), meaning(name, c[name])})
	}
	return out
}

// shown prints a string without its quotes, and everything else as JSON.
func shown(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// meaning turns the claims that are seconds since 1970 into a time.
func meaning(name string, value json.RawMessage) string {
	switch name {
	case "exp", "iat", "auth_time", "updated_at":
	default:
		return ""
	}
	var seconds int64
	if json.Unmarshal(value, &seconds) != nil {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format("2 January 2006, 15:04:05 UTC")
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(styleSource)
}

func icon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(iconSource)
}
