package views

import (
	"unicode"
	"unicode/utf8"
)

// Frame is what every page shares.
type Frame struct {
	// Base is the issuer's path without a slash at its end: "" or
	// "/openid-connect". All addresses in a page are built from it.
	Base string
	// Locale is the language of the page; see [Catalog.Locale]. Required.
	Locale *Locale
	// App is the name of the client that the person signs in to; empty when
	// no registered client is known.
	App string
}

// asset returns the address of a file of [Assets].
func (f Frame) asset(name string) string { return f.Base + AssetPath(name) }

// text returns the words of key in the page's language.
func (f Frame) text(key string) string { return f.Locale.Text(key, nil) }

// either returns a message of key, which names the app, or of key_plain when no
// app is known.
func (f Frame) either(key string) Message {
	if f.App == "" {
		return Message{Key: key + "_plain"}
	}
	return Message{Key: key, Args: Args{"app": Name(f.App)}}
}

// title returns the text of <title>. With a problem on the page it starts
// "Error: ", which a screen reader says first.
func (f Frame) title(heading Message, problem bool) string {
	words := f.Locale.Message(heading)
	args := Args{"heading": words, "app": Name(f.App)}
	namesApp := f.App == "" || heading.Args["app"] != nil
	switch {
	case problem && namesApp:
		return f.Locale.Text("title.error", args)
	case problem:
		return f.Locale.Text("title.page_error", args)
	case namesApp:
		return words
	}
	return f.Locale.Text("title.page", args)
}

// initial is the letter that stands for the app until it has a logo; empty when
// its name starts with neither letter nor digit.
func (f Frame) initial() string {
	r, _ := utf8.DecodeRuneInString(f.App)
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return ""
	}
	return string(unicode.ToUpper(r))
}
