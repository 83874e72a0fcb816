// Package pages reads the forms of Handset's pages, for tests that log in as people
// do. It knows as much HTML as those pages have.
package pages

import (
	"encoding/xml"
	"net/url"
	"strings"
)

// Form is a form of a page, with its fields as they are filled in.
type Form struct {
	Action string
	Fields url.Values
}

// Read finds the forms of a page, and what it says. Go's reader of XML reads
// HTML when it is told to be lenient, and Handset's pages are tidy.
func Read(text string) (forms []Form, words string) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var said []string
	silent := "" // the element whose text is not for people
	choice := "" // the select element that options belong to
	for {
		next, err := d.Token()
		if err != nil { // the end, or what follows is not for us to read
			return forms, strings.Join(said, " ")
		}
		switch e := next.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(e)); s != "" && silent == "" {
				said = append(said, s)
			}
		case xml.EndElement:
			if e.Name.Local == silent {
				silent = ""
			}
		case xml.StartElement:
			switch e.Name.Local {
			case "script", "style", "select":
				silent = e.Name.Local
			}
			forms, choice = readElement(forms, choice, e)
		}
	}
}

// readElement adds what an element says to the last form.
func readElement(forms []Form, choice string, e xml.StartElement) ([]Form, string) {
	if e.Name.Local == "form" {
		return append(forms, Form{attribute(e, "action"), url.Values{}}), ""
	}
	if len(forms) == 0 {
		return forms, ""
	}
	fields := forms[len(forms)-1].Fields
	switch e.Name.Local {
	case "input":
		if name := attribute(e, "name"); name != "" {
			fields.Set(name, attribute(e, "value"))
		}
	case "select":
		choice = attribute(e, "name")
	case "option": // the first one, unless another is selected
		if !fields.Has(choice) || has(e, "selected") {
			fields.Set(choice, attribute(e, "value"))
		}
	}
	return forms, choice
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func has(e xml.StartElement, name string) bool {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return true
		}
	}
	return false
}
