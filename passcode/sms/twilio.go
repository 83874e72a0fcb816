package sms

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TwilioConfig describes an account of Twilio, as Auth0's `provider: twilio` does.
type TwilioConfig struct {
	// AccountSID and AuthToken are the account's: an API key can't check receipts,
	// which Twilio signs with the account's token.
	AccountSID string
	AuthToken  string
	// From is a number, short code or name; MessagingServiceSID a service that picks
	// one, and wins. One of the two is required.
	From                string
	MessagingServiceSID string
	// Edge and Region lead to Twilio's data centres outside the United States
	// ("dublin", "ie1"); both or neither.
	Edge   string
	Region string
	// BaseURL replaces Twilio's address, in tests.
	BaseURL string
	// Client is from [NewHTTPClient]; required.
	Client *http.Client
	// Timeout is how long Twilio may take; zero is 10 s.
	Timeout time.Duration
}

// Twilio sends by Twilio's Programmable Messaging and reads its status callbacks.
type Twilio struct {
	opaque
	config TwilioConfig
	api    api
}

// twilioFaults are the codes of Twilio's dictionary of errors that mean the number,
// and those that mean the account or its sender, whatever the number. With all others
// another route may do better; with 21612 too, which is about the pair of numbers.
var twilioFaults = faults{
	"21211": KindNumber, // not a phone number
	"21214": KindNumber, // can't be reached
	"21217": KindNumber, // does not appear to be valid
	"21265": KindNumber, // a short code
	"21610": KindNumber, // its owner answered STOP
	"21614": KindNumber, // no mobile number
	"21635": KindNumber, // a landline
	"30003": KindNumber, // handset unreachable
	"30004": KindNumber, // blocked
	"30005": KindNumber, // unknown handset
	"30006": KindNumber, // landline or unreachable carrier

	"20003": KindAccount, // authentication failed
	"20005": KindAccount, // account not active
	"20006": KindAccount, // access denied
	"20008": KindAccount, // test credentials
	"20404": KindAccount, // no such account
	"20429": KindAccount, // too many requests
	"21212": KindAccount, // bad From
	"21603": KindAccount, // no From
	"21611": KindAccount, // From's queue is full
	"21701": KindAccount, // no such Messaging Service
	"21705": KindAccount, // the Messaging Service can't be used
	"30001": KindAccount, // queue overflow
	"30002": KindAccount, // account suspended
}

// twilioLongest is the most that ValidityPeriod can be, in seconds.
const twilioLongest = 36_000

var (
	twilioAccounts = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	twilioServices = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	twilioPlaces   = regexp.MustCompile(`^[a-z0-9-]{2,32}$`)
)

// check returns what is wrong, by the names of the options.
func (c TwilioConfig) check() Problems {
	var found Problems
	found.note(c.AccountSID == "", "twilio_sid", "is missing")
	found.note(c.AccountSID != "" && !twilioAccounts.MatchString(c.AccountSID), "twilio_sid", "is not AC and 32 hexadecimal digits")
	found.note(c.AuthToken == "", "twilio_token", "is missing")
	found.note(c.From == "" && c.MessagingServiceSID == "", "from", "is missing; or set messaging_service_sid")
	found.note(c.MessagingServiceSID != "" && !twilioServices.MatchString(c.MessagingServiceSID), "messaging_service_sid", "is not MG and 32 hexadecimal digits")
	found.note(c.Edge != "" && !twilioPlaces.MatchString(c.Edge), "twilio_edge", `is not the name of one, such as "dublin"`)
	found.note(c.Region != "" && !twilioPlaces.MatchString(c.Region), "twilio_region", `is not the name of one, such as "ie1"`)
	found.note(c.Edge == "" && c.Region != "", "twilio_edge", "is missing: it goes with twilio_region")
	found.note(c.Edge != "" && c.Region == "", "twilio_region", "is missing: it goes with twilio_edge")
	return found
}

// NewTwilio checks the configuration. The error is of type [Problems] when a
// value is wrong.
func NewTwilio(c TwilioConfig) (*Twilio, error) {
	if found := c.check(); len(found) > 0 {
		return nil, found
	}
	if c.Client == nil {
		return nil, errors.New("twilio without an HTTP client")
	}
	if c.BaseURL == "" {
		c.BaseURL = "https://api.twilio.com"
		if c.Region != "" {
			c.BaseURL = "https://api." + c.Edge + "." + c.Region + ".twilio.com"
		}
	}
	return &Twilio{"twilio", c, api{c.Client, cmp.Or(c.Timeout, vendorTimeout)}}, nil
}

// newTwilio reads Auth0's options of `provider: twilio`.
func newTwilio(o *Options, d Deps) Sender {
	c := TwilioConfig{
		AccountSID: o.Text("twilio_sid"), AuthToken: o.Text("twilio_token"),
		From: o.Text("from"), MessagingServiceSID: o.Text("messaging_service_sid"),
		Edge: o.Text("twilio_edge"), Region: o.Text("twilio_region"),
		Client: d.Client, Timeout: o.vendorTimeout(),
	}
	return o.made(NewTwilio(c))
}

// Send creates a message. 201 means that Twilio has it, whatever comes behind.
func (t *Twilio) Send(ctx context.Context, m Message) (string, error) {
	form := url.Values{"To": {m.To.E164()}, "Body": {m.Body}}
	if t.config.MessagingServiceSID != "" {
		form.Set("MessagingServiceSid", t.config.MessagingServiceSID)
	} else {
		form.Set("From", t.config.From)
	}
	if callback := callbackFor(m.ReceiptURL); callback != "" {
		form.Set("StatusCallback", callback)
	}
	if seconds := m.validSeconds(1, twilioLongest); seconds > 0 {
		form.Set("ValidityPeriod", strconv.Itoa(seconds))
	}
	path := t.config.BaseURL + "/2010-04-01/Accounts/" + t.config.AccountSID + "/Messages.json"
	got, err := t.api.post(ctx, path, "application/x-www-form-urlencoded", form.Encode(), basic(t.config.AccountSID, t.config.AuthToken))
	if err != nil {
		return "", err
	}
	var said struct {
		SID  string `json:"sid"`
		Code int    `json:"code"`
	}
	// An answer that can't be read has neither, and then its status decides.
	readable := json.Unmarshal(got.body, &said) == nil
	if got.status == http.StatusCreated {
		return cleanName(said.SID), nil
	}
	if !readable || said.Code == 0 {
		return "", got.failure("", nil)
	}
	return "", got.failure(strconv.Itoa(said.Code), twilioFaults)
}

// twilioStates are the values of MessageStatus for what we sent.
var twilioStates = map[string]State{
	"accepted": Accepted, "scheduled": Accepted, "queued": Accepted, "sending": Accepted,
	"sent": Sent, "delivered": Delivered, "read": Delivered,
	"undelivered": Undelivered, "failed": Failed, "canceled": Failed,
}

// Receipts reads a status callback. Twilio's signature covers no time, so one
// that is sent again can't be told from the first: it says the same again.
func (t *Twilio) Receipts(c Callback) ([]Receipt, error) {
	form, err := url.ParseQuery(string(c.Body))
	if err != nil || !t.signed(c, form) {
		return nil, ErrForged
	}
	// A subaccount's messages are signed with its own token; this is in case a
	// token is shared.
	if account := form.Get("AccountSid"); account != "" && account != t.config.AccountSID {
		return nil, ErrForged
	}
	status, name := form.Get("MessageStatus"), cleanName(form.Get("MessageSid"))
	if name == "" || status == "" || twilioStates[status] == Accepted {
		return nil, nil // it was accepted when it was sent; several words say so
	}
	code := cleanCode(form.Get("ErrorCode"))
	if code == "0" {
		code = ""
	}
	return []Receipt{{Message: name, State: cmp.Or(twilioStates[status], Unknown), Code: code}}, nil
}

// signed checks X-Twilio-Signature: HMAC-SHA1 with the account's token over the
// address and the sorted parameters, names and values without anything between.
func (t *Twilio) signed(c Callback, form url.Values) bool {
	signature, err := base64.StdEncoding.Strict().DecodeString(c.Header.Get("X-Twilio-Signature"))
	if err != nil {
		return false
	}
	var parameters strings.Builder
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			parameters.WriteString(name + value)
		}
	}
	found := false
	for _, address := range withAndWithoutPort(c.URL) {
		mac := hmac.New(sha1.New, []byte(t.config.AuthToken))
		mac.Write([]byte(address + parameters.String()))
		found = hmac.Equal(mac.Sum(nil), signature) || found
	}
	return found
}

// withAndWithoutPort returns an address as it is, and with the scheme's port
// added or its port taken away: Twilio's own libraries try both, since its
// servers do not agree on which one they sign.
func withAndWithoutPort(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return []string{address}
	}
	host := strings.TrimSuffix(u.Host, ":"+u.Port())
	if u.Port() == "" {
		host += map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	}
	return []string{address, strings.Replace(address, u.Host, host, 1)}
}
