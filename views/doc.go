// Package views draws the pages that people see: the login, its errors, the
// logout, and the demo's inbox. Each page is a templ component with a view model
// of ready-to-print fields beside it; handlers fill the model and write no words.
// Texts come from messages/<language>.json, so that a language, a direction or a
// colour joins without a change in a handler.
//
// The pages follow a Content-Security-Policy of style-src 'self' and script-src
// 'self': nothing is inline. They are complete without JavaScript. The package
// reads no request, sets no header of a page and knows nothing of logins.
package views
