package views

import "strings"

// LoginPhone is the page that asks for the number. It posts to
// {Base}/login/phone: csrf, txn, country, phone.
type LoginPhone struct {
	Frame
	CSRF string
	Txn  string
	// Countries are the regions that may be texted, in any order. One country:
	// no choice is shown, and the form sends it.
	Countries []Country
	// Phone is what was typed, or the request's login_hint; it is shown again.
	Phone string
	// Error is zero, or one of the problems of this package.
	Error Message
	// Reference finds what is on record of a text that was refused or failed; empty
	// when none was asked for.
	Reference string
}

// Country is one choice of the number page.
type Country struct {
	// Region is the ISO 3166-1 code: "GB".
	Region string
	// Calling is the calling code: "44".
	Calling  string
	Selected bool
	// National and International are an example of a mobile number in the
	// region: "07700 900 982", "+44 7700 900982". Empty: none is known or shown.
	National      string
	International string
}

// chosen is the country that the select shows.
func (p LoginPhone) chosen() Country {
	var chosen Country
	if sorted := p.sorted(); len(sorted) > 0 {
		chosen = sorted[0]
	}
	for _, c := range p.Countries {
		if c.Selected {
			chosen = c
		}
	}
	return chosen
}

func (p LoginPhone) sorted() []Country { return p.Locale.sortCountries(p.Countries) }

func (p LoginPhone) option(c Country) string {
	return p.Locale.Text("phone.country_option", Args{"country": Region(c.Region), "calling": c.Calling})
}

// example shows how a number is written in the chosen country.
func (p LoginPhone) example() Message {
	return Message{"phone.hint", Args{"example": Digits(p.chosen().National)}}
}

// hinted reports whether there is anything to say about the field.
func (p LoginPhone) hinted() bool { return len(p.Countries) > 1 || p.chosen().National != "" }

// problem is the error with the examples of the chosen country in it.
func (p LoginPhone) problem() Message {
	if p.Error.Key != keyNumber {
		return p.Error
	}
	c := p.chosen()
	if c.National == "" || c.International == "" {
		return Message{Key: keyNumber + "_plain"}
	}
	return Message{keyNumber, Args{"national": Digits(c.National), "international": Digits(c.International)}}
}

func (p LoginPhone) describedBy() string {
	var ids []string
	if p.hinted() {
		ids = append(ids, "phone-hint")
	}
	if !p.Error.IsZero() {
		ids = append(ids, "phone-error")
	}
	return strings.Join(ids, " ")
}

func (p LoginPhone) fieldIsWrong() bool { return !p.Error.IsZero() && !p.Error.aboutSending() }
