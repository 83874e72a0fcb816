package web

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
)

// Cookie is one of our cookies: a secret in the browser of which the server
// keeps a MAC. Over https its name begins with __Host-, so that no other host
// can plant it; over http, which only a loopback issuer may have, prefix and
// Secure drop (design.md §7).
type Cookie struct {
	name     string
	secure   bool
	sameSite http.SameSite
}

// NewCookie names a cookie ("handset_txn") for an issuer that is https or not.
func NewCookie(name string, https bool) Cookie {
	if https {
		name = "__Host-" + name
	}
	return Cookie{name: name, secure: https, sameSite: http.SameSiteLaxMode}
}

// NewCrossSiteCookie names a cookie that comes with requests of other sites' pages,
// too. Browsers take such a one over https alone; over http, on one machine, the pages
// are of our site.
func NewCrossSiteCookie(name string, https bool) Cookie {
	c := NewCookie(name, https)
	if https {
		c.sameSite = http.SameSiteNoneMode
	}
	return c
}

// Secret returns the cookie's value, or "" when it is absent or not of the
// shape that we give out.
func (c Cookie) Secret(r *http.Request) string {
	ck, err := r.Cookie(c.name)
	if err != nil || len(ck.Value) != secretLength {
		return ""
	}
	for _, b := range []byte(ck.Value) {
		if !(b >= 'A' && b <= 'Z' || b >= '2' && b <= '7') {
			return ""
		}
	}
	return ck.Value
}

// Set gives the browser a secret. Zero life makes it end with the browser.
func (c Cookie) Set(w http.ResponseWriter, secret string, life time.Duration) {
	http.SetCookie(w, c.cookie(secret, int(life.Seconds())))
}

// Clear takes the cookie away.
func (c Cookie) Clear(w http.ResponseWriter) { http.SetCookie(w, c.cookie("", -1)) }

func (c Cookie) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: c.name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: c.secure, HttpOnly: true, SameSite: c.sameSite}
}

// secretLength is that of rand.Text: 130 bits in base 32.
const secretLength = 26

// NewSecret returns a random cookie secret of at least 128 bits, in base 32.
func NewSecret() string { return rand.Text() }

// FormToken returns the token that a form must bring back: a MAC of what the
// form is for and of the browser's cookie secret. It needs no state, and
// nobody but that browser was ever shown it (login CSRF, security.md row 14).
func FormToken(v *vault.Vault, form, browser string) string {
	return base64.RawURLEncoding.EncodeToString(v.MAC(vault.FormToken, form, browser))
}

// CheckFormToken reports whether token is the FormToken of form in this
// browser. A browser without the cookie never has one.
func CheckFormToken(v *vault.Vault, token, form, browser string) bool {
	// The decoder skips line breaks, which no token of ours has.
	mac, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && base64.RawURLEncoding.EncodedLen(len(mac)) == len(token) && browser != "" && v.Verify(mac, vault.FormToken, form, browser)
}
