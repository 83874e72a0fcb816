package sms

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// vendorTimeout is how long a vendor may take: a person waits for the page, and
	// another route may be quicker.
	vendorTimeout = 10 * time.Second
	// maxVendorTimeout is the most that the option timeout can make of it.
	maxVendorTimeout = 30 * time.Second
	// maxCode, maxDigits and maxName bound what is kept of a vendor's words. Codes
	// that are texted have 6 digits unless the connection says less.
	maxCode, maxDigits, maxName = 40, 5, 128
	// callbackWindow is how far the time in a callback may be from ours.
	callbackWindow = 5 * time.Minute
)

// api posts to the HTTP API of a vendor. Everything a vendor sends is cut short:
// its status decides, and a text that was taken is never sent again because the
// rest of the answer was no good.
type api struct {
	client  *http.Client
	timeout time.Duration
}

// answer is what a vendor answered; body is empty when it did not come whole or
// is longer than an answer has reason to be.
type answer struct {
	status int
	body   []byte
}

// post sends one request, once. The error is an [*Error].
func (a api) post(ctx context.Context, url, contentType, body string, sign func(*http.Request) error) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return answer{}, &Error{Kind: KindInternal, Code: "EINTERNAL"}
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Handset")
	if err := sign(req); err != nil {
		return answer{}, &Error{Kind: KindInternal, Code: "EINTERNAL"}
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{}, transportError(err)
	}
	defer resp.Body.Close()
	got := answer{status: resp.StatusCode}
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(read) <= maxAnswer {
		got.body = read
	}
	return got, nil
}

// opaque is in every sender that holds a secret: whatever the verb, it prints as
// its name.
type opaque string

// Format prints the name.
func (o opaque) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s sender", string(o)) }

// basic is HTTP Basic authentication.
func basic(user, password string) func(*http.Request) error {
	return func(r *http.Request) error {
		r.SetBasicAuth(user, password)
		return nil
	}
}

// callbackFor returns where a vendor is told to call back: nowhere when it could
// not, since vendors refuse a message with an address that leads them nowhere.
func callbackFor(receiptURL string) string {
	u, err := url.Parse(receiptURL)
	if err != nil || u.Scheme != "https" {
		return ""
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		if !reachable(a, false) {
			return ""
		}
	} else if !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") {
		return ""
	}
	return receiptURL
}

// faults are the codes of a vendor that mean more than that it doesn't take this
// message.
type faults map[string]Kind

// failure says what an answer that does not take the message means. code is the
// vendor's name of the fault. Only a 4xx has a meaning of that kind: a redirect's or
// a broken server's words have none.
func (a answer) failure(code string, known faults) *Error {
	e := &Error{Kind: KindRefused, Status: a.status, Code: cleanCode(code)}
	if kind, ok := known[e.Code]; ok {
		e.Kind = kind
	}
	switch {
	case a.status < 400 || a.status >= 500 || e.Code == "":
		e.Kind, e.Code = KindStatus, ""
		if a.status == http.StatusUnauthorized {
			e.Kind = KindUnauthorized
		}
	case e.Kind == KindNumber:
	case a.status == http.StatusUnauthorized || a.status == http.StatusPaymentRequired || a.status == http.StatusTooManyRequests:
		e.Kind = KindAccount
	}
	return e
}

// cleanCode keeps a vendor's code when it is one: nothing of a sentence, and nothing
// with digits enough for a phone number or for the code of a text.
func cleanCode(code string) string {
	digits := 0
	for _, r := range code {
		if '0' <= r && r <= '9' {
			digits++
		} else if !isLetter(r) && r != '-' && r != '.' {
			return ""
		}
	}
	if len(code) > maxCode || digits > maxDigits {
		return ""
	}
	return code
}

// cleanName keeps a route's name of a message when it can be one: it is stored,
// looked for and shown.
func cleanName(name string) string {
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return name
}

func isLetter(r rune) bool {
	return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// isFresh reports whether a callback was made just now, as far as clocks agree.
func isFresh(made, now time.Time) bool {
	age := now.Sub(made)
	return -callbackWindow <= age && age <= callbackWindow
}
