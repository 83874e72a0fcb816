package sms

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// VonageConfig describes an account of Vonage.
type VonageConfig struct {
	APIKey    string
	APISecret string
	// SignatureSecret is what Vonage signs its webhooks with. Empty: all receipts
	// are refused.
	SignatureSecret string
	// From is a number or a name; required.
	From string
	// BaseURL replaces Vonage's address, in tests.
	BaseURL string
	// Client is from [NewHTTPClient]; required.
	Client *http.Client
	// Timeout is how long Vonage may take; zero is 10 s.
	Timeout time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Vonage sends by Vonage's Messages API and reads its signed webhooks. The older
// SMS API would say more at once about a bad number, but signs receipts only for
// accounts that had this switched on, and sends them by GET unless told otherwise.
type Vonage struct {
	opaque
	config VonageConfig
	api    api
	key    []byte
}

// vonageFaults are the codes of Vonage's list of errors that mean the number, and
// those that mean the account.
var vonageFaults = faults{
	"1050": KindNumber, // barred
	"1170": KindNumber, // missing or invalid
	"1190": KindNumber, // no longer active
	"1240": KindNumber, // its owner answered STOP
	"1430": KindNumber, // invalid recipient

	"1000": KindAccount, // throttled
	"1060": KindAccount, // account barred
	"1070": KindAccount, // quota exceeded
	"1080": KindAccount, // account not enabled for the API

	"account-suspended": KindAccount,
}

// vonageShortest and vonageLongest are the least and the most that ttl can be, in
// seconds.
const vonageShortest, vonageLongest = 20, 7 * 24 * 3600

func (c VonageConfig) check() Problems {
	var found Problems
	found.note(c.APIKey == "", "vonage_api_key", "is missing")
	found.note(c.APISecret == "", "vonage_api_secret", "is missing")
	found.note(c.From == "", "from", "is missing")
	return found
}

// NewVonage checks the configuration. The error is of type [Problems] when a
// value is wrong.
func NewVonage(c VonageConfig) (*Vonage, error) {
	if found := c.check(); len(found) > 0 {
		return nil, found
	}
	if c.Client == nil {
		return nil, errors.New("vonage without an HTTP client")
	}
	c.BaseURL = cmp.Or(c.BaseURL, "https://api.nexmo.com")
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Vonage{"vonage", c, api{c.Client, cmp.Or(c.Timeout, vendorTimeout)}, longKey([]byte(c.SignatureSecret))}, nil
}

func newVonage(o *Options, d Deps) Sender {
	return o.made(NewVonage(VonageConfig{
		APIKey: o.Text("vonage_api_key"), APISecret: o.Text("vonage_api_secret"),
		SignatureSecret: o.Text("vonage_signature_secret"), From: o.Text("from"),
		Client: d.Client, Timeout: o.vendorTimeout(), Now: d.Now,
	}))
}

// vonageMessage is a message of the channel sms. Vonage chooses the encoding by
// what the text needs.
type vonageMessage struct {
	Type    string `json:"message_type"`
	Channel string `json:"channel"`
	To      string `json:"to"`
	From    string `json:"from"`
	Text    string `json:"text"`
	SMS     struct {
		Encoding string `json:"encoding_type"`
	} `json:"sms"`
	TTL            int    `json:"ttl,omitempty"`
	Ref            string `json:"client_ref,omitempty"`
	WebhookURL     string `json:"webhook_url,omitempty"`
	WebhookVersion string `json:"webhook_version,omitempty"`
}

// vonageFault is what Vonage calls an error. Its type ends with the code when
// there is one; in webhooks the code is the title, as a string or a number, and
// Vonage's own libraries know the object wrapped once more.
type vonageFault struct {
	Type  string          `json:"type"`
	Title json.RawMessage `json:"title"`
	Inner *vonageFault    `json:"error"`
}

// code returns the code: four digits, or a word such as low-balance.
func (f vonageFault) code() string {
	if f.Inner != nil {
		return f.Inner.code()
	}
	title := strings.Trim(string(f.Title), `"`)
	if len(title) == 4 && strings.Trim(title, "0123456789") == "" {
		return title
	}
	_, code, _ := strings.Cut(f.Type, "#")
	return cleanCode(code)
}

// Send creates a message. 202 means that Vonage has it, whatever comes behind.
func (v *Vonage) Send(ctx context.Context, m Message) (string, error) {
	out := vonageMessage{
		Type: "text", Channel: "sms", Text: m.Body, Ref: m.ID, WebhookURL: callbackFor(m.ReceiptURL),
		// Vonage wants numbers without the plus, those that we send from as well.
		To: strings.TrimPrefix(m.To.E164(), "+"), From: strings.TrimPrefix(v.config.From, "+"),
		TTL: m.validSeconds(vonageShortest, vonageLongest),
	}
	out.SMS.Encoding = "auto"
	if out.WebhookURL != "" {
		out.WebhookVersion = "v1"
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(out); err != nil {
		return "", &Error{Kind: KindInternal, Code: "EINTERNAL"}
	}
	got, err := v.api.post(ctx, v.config.BaseURL+"/v1/messages", "application/json", body.String(), basic(v.config.APIKey, v.config.APISecret))
	if err != nil {
		return "", err
	}
	var said struct {
		Message string `json:"message_uuid"`
		vonageFault
	}
	// An answer that can't be read has neither, and then its status decides.
	readable := json.Unmarshal(got.body, &said) == nil
	if got.status == http.StatusAccepted {
		return cleanName(said.Message), nil
	}
	if !readable {
		return "", got.failure("", nil)
	}
	return "", got.failure(said.code(), vonageFaults)
}

// vonageStates are the values of status of a text.
var vonageStates = map[string]State{
	"submitted": Sent, "delivered": Delivered, "read": Delivered,
	"rejected": Undelivered, "undeliverable": Failed,
}

// Receipts reads a webhook about the status of a message.
func (v *Vonage) Receipts(c Callback) ([]Receipt, error) {
	if !v.signed(c) {
		return nil, ErrForged
	}
	var said struct {
		Message string      `json:"message_uuid"`
		Status  string      `json:"status"`
		Error   vonageFault `json:"error"`
	}
	if err := json.Unmarshal(c.Body, &said); err != nil {
		return nil, errBadReceipt
	}
	name := cleanName(said.Message)
	if name == "" || said.Status == "" { // a text to us, which we have no use for
		return nil, nil
	}
	return []Receipt{{Message: name, State: cmp.Or(vonageStates[said.Status], Unknown), Code: said.Error.code()}}, nil
}

// signed checks the JWT of a webhook. It must be fresh and must name the body's
// hash: without it one signature would do for any body.
func (v *Vonage) signed(c Callback) bool {
	if v.config.SignatureSecret == "" {
		return false
	}
	token, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return false
	}
	var claims struct {
		IssuedAt *jwt.NumericDate `json:"iat"`
		Hash     string           `json:"payload_hash"`
		APIKey   string           `json:"api_key"`
	}
	if err := parsed.Claims(v.key, &claims); err != nil {
		return false
	}
	hash, err := hex.DecodeString(claims.Hash)
	sum := sha256.Sum256(c.Body)
	return err == nil && subtle.ConstantTimeCompare(hash, sum[:]) == 1 &&
		claims.IssuedAt != nil && isFresh(claims.IssuedAt.Time(), v.config.Now()) &&
		(claims.APIKey == "" || claims.APIKey == v.config.APIKey)
}
