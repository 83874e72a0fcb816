package sms

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var vonageNow = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newTestVonage(t *testing.T, at vendorAt, change func(*VonageConfig)) *Vonage {
	t.Helper()
	at = at.or(t)
	c := VonageConfig{
		APIKey: vonageKey, APISecret: vonageSecret, SignatureSecret: vonageSigning, From: "+447700900001",
		BaseURL: at.base, Client: at.client, Timeout: at.timeout, Now: func() time.Time { return vonageNow },
	}
	if change != nil {
		change(&c)
	}
	s, err := NewVonage(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newFakeVonage is the Messages API of Vonage as its reference describes it. With
// fault set it answers with that status and problem.
func newFakeVonage(t *testing.T, fault *vonageAnswer) *recorder {
	t.Helper()
	var rec *recorder
	rec = newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		answer := func(a vonageAnswer) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(a.status)
			fmt.Fprint(w, a.body)
		}
		user, password, ok := r.BasicAuth()
		var m struct {
			Type       string `json:"message_type"`
			Channel    string `json:"channel"`
			To         string `json:"to"`
			From       string `json:"from"`
			Text       string `json:"text"`
			WebhookURL string `json:"webhook_url"`
			Version    string `json:"webhook_version"`
		}
		invalid := vonageAnswer{422, `{"type":"https://developer.vonage.com/api-errors/messages#1150","title":"Invalid params",` +
			`"detail":"The value of one or more parameters is invalid.","instance":"bf0ca0bf927b3b52e3cb03217e1a1ddf"}`}
		switch {
		case !ok || user != vonageKey || password != vonageSecret:
			answer(vonageAnswer{401, `{"type":"https://developer.vonage.com/api-errors#unauthorized","title":"Unauthorized",` +
				`"detail":"You did not provide correct credentials.","instance":"bf0ca0bf927b3b52e3cb03217e1a1ddf"}`})
		case r.URL.Path != "/v1/messages" || r.Header.Get("Content-Type") != "application/json":
			answer(vonageAnswer{404, `{"type":"https://developer.vonage.com/api-errors#not-found","title":"Not Found"}`})
		case fault != nil:
			answer(*fault)
		case json.Unmarshal([]byte(rec.lastBody()), &m) != nil, m.Type != "text", m.Channel != "sms", m.Text == "",
			m.From == "", !isDigits(m.To), (m.WebhookURL == "") != (m.Version == ""):
			answer(invalid)
		default:
			answer(vonageAnswer{202, `{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"}`})
		}
	})
	return rec
}

type vonageAnswer struct {
	status int
	body   string
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func TestVonageRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from    string
		message func(*Message)
		want    map[string]any
	}{
		"a number": {"+447700900001", func(*Message) {}, map[string]any{
			"from": "447700900001", "client_ref": "m-1", "webhook_url": receiptURL, "webhook_version": "v1"}},
		"for five minutes": {"Shop", func(m *Message) { m.ID, m.ReceiptURL, m.ValidFor = "", "", 299500*time.Millisecond },
			map[string]any{"from": "Shop", "ttl": 300.0}},
		"for a moment": {"Shop", func(m *Message) { m.ID, m.ReceiptURL, m.ValidFor = "", "", time.Second },
			map[string]any{"from": "Shop", "ttl": 20.0}},
		"a name and nobody who listens": {"Shop", func(m *Message) { m.ReceiptURL, m.ID = "", "" }, map[string]any{"from": "Shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeVonage(t, nil)
			m := testMessage(t)
			m.ID, m.ReceiptURL = "m-1", receiptURL
			c.message(&m)
			id, err := newTestVonage(t, vendorAt{base: fake.URL}, func(v *VonageConfig) { v.From = c.from }).Send(t.Context(), m)
			if err != nil || id != "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab" {
				t.Fatalf("Send = %q, %v", id, err)
			}
			for k, v := range map[string]any{
				"message_type": "text", "channel": "sms", "to": strings.TrimPrefix(testNumber, "+"), "text": testBody,
				"sms": map[string]any{"encoding_type": "auto"},
			} {
				c.want[k] = v
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(fake.lastBody()), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

// The codes are those of Vonage's list of errors of the Messages API.
func TestVonageErrors(t *testing.T) {
	t.Parallel()
	problem := func(status int, kind, title string) vonageAnswer {
		return vonageAnswer{status, fmt.Sprintf(`{"type":%q,"title":%s,"detail":"to %s: %s","instance":"bf0c"}`, kind, title, testNumber, `\"x\"`)}
	}
	messages := func(code string) string { return "https://developer.vonage.com/api-errors/messages#" + code }
	generic := func(code string) string { return "https://developer.vonage.com/api-errors#" + code }
	for _, c := range []struct {
		answer vonageAnswer
		kind   Kind
		code   string
	}{
		{problem(422, messages("1050"), `"Number barred"`), KindNumber, "1050"},
		{problem(422, messages("1170"), `"Invalid MSISDN"`), KindNumber, "1170"},
		{problem(422, messages("1190"), `"Absent Subscriber Permanent"`), KindNumber, "1190"},
		{problem(422, messages("1240"), `"Illegal Number"`), KindNumber, "1240"},
		{problem(422, messages("1430"), `"Invalid recipient"`), KindNumber, "1430"},
		{problem(422, messages("rejected"), `"1430"`), KindNumber, "1430"},
		{problem(422, messages("rejected"), `1240`), KindNumber, "1240"},

		{problem(429, messages("1000"), `"Throttled"`), KindAccount, "1000"},
		{problem(422, messages("1020"), `"Invalid params"`), KindRefused, "1020"},
		{problem(422, messages("1040"), `"Invalid message"`), KindRefused, "1040"},
		{problem(403, messages("1060"), `"Partner account barred"`), KindAccount, "1060"},
		{problem(402, messages("1070"), `"Partner quota exceeded"`), KindAccount, "1070"},
		{problem(422, messages("1120"), `"Illegal Sender Address"`), KindRefused, "1120"},
		{problem(422, messages("1160"), `"Non White-listed Destination"`), KindRefused, "1160"},
		{problem(422, messages("1210"), `"Anti-Spam Rejection"`), KindRefused, "1210"},
		{problem(422, messages("1470"), `"Fraud Defender"`), KindRefused, "1470"},
		{problem(422, messages("9999"), `"What comes some day"`), KindRefused, "9999"},
		{problem(402, generic("low-balance"), `"Low balance"`), KindAccount, "low-balance"},
		{problem(401, generic("unauthorized"), `"Unauthorized"`), KindAccount, "unauthorized"},
		{problem(403, generic("account-suspended"), `"Account suspended"`), KindAccount, "account-suspended"},

		{problem(500, messages("1030"), `"Internal error"`), KindStatus, ""},
		{problem(503, messages("1430"), `"Invalid recipient"`), KindStatus, ""},
		{problem(422, "about:blank", `"Unprocessable"`), KindStatus, ""},
	} {
		fake := newFakeVonage(t, &c.answer)
		s := newTestVonage(t, vendorAt{base: fake.URL}, nil)
		checkVendorFailure(t, try(t.Context(), t, s), Error{Kind: c.kind, Status: c.answer.status, Code: c.code})
	}
	s := newTestVonage(t, vendorAt{base: newFakeVonage(t, nil).URL}, func(c *VonageConfig) { c.APISecret = "another-hunter2" })
	checkVendorFailure(t, try(t.Context(), t, s), Error{Kind: KindAccount, Status: 401, Code: "unauthorized"})
}

func TestVonageOptions(t *testing.T) {
	t.Parallel()
	d := Deps{Client: NewHTTPClient(ClientConfig{})}
	s, problems := senderOf(t, `{"provider":"vonage","vonage_api_key":"k","vonage_api_secret":"s","vonage_signature_secret":"x","from":"Shop"}`, d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := s.(*Vonage); got.config.BaseURL != "https://api.nexmo.com" || got.config.SignatureSecret != "x" || got.config.Now == nil {
		t.Error("options are lost")
	}
	checkProblems(t, `{"provider":"vonage"}`, d, []string{
		"options.vonage_api_key: is missing", "options.vonage_api_secret: is missing", "options.from: is missing"})
	checkProblems(t, `{"provider":"vonage","vonage_api_key":"k","vonage_api_secret":["`+vonageSecret+`"],"from":"x"}`, d, []string{
		"options.vonage_api_secret: is not a string"})
}

// vonageClaims are the claims of Vonage's sample.
type vonageClaims map[string]any

func claimsOf(body []byte) vonageClaims {
	sum := sha256.Sum256(body)
	return vonageClaims{
		"iat": vonageNow.Unix(), "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage",
		"payload_hash": hex.EncodeToString(sum[:]), "api_key": vonageKey, "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
	}
}

// signVonage makes the JWT by hand, as Vonage does.
func signVonage(header, secret string, claims vonageClaims) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(text)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return "Bearer " + signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const vonageHeader = `{"alg":"HS256","typ":"JWT"}`

func vonageCallback(body string) Callback {
	return Callback{URL: receiptURL, Body: []byte(body), Header: http.Header{
		"Authorization": {signVonage(vonageHeader, vonageSigning, claimsOf([]byte(body)))}}}
}

// vonageStatus is a webhook as Vonage's reference shows it.
func vonageStatus(status, more string) string {
	return fmt.Sprintf(`{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab","to":"447700900000","from":"447700900001",`+
		`"timestamp":"2025-02-03T12:14:25Z","status":%q,"channel":"sms","sms":{"count_total":"1"}%s}`, status, more)
}

func TestVonageReceipts(t *testing.T) {
	t.Parallel()
	const id = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
	fault := `,"error":{"type":"https://developer.vonage.com/api-errors/messages#1260","title":1260,"detail":"to ` + testNumber + `","instance":"bf0c"}`
	wrapped := `,"error":{"error":{"type":"https://developer.vonage.com/api-errors/messages#rejected","title":"1030","detail":"x"}}`
	for body, want := range map[string][]Receipt{
		vonageStatus("submitted", `,"usage":{"currency":"EUR","price":"0.0333"}`): {{Message: id, State: Sent}},
		vonageStatus("delivered", ""):                                                       {{Message: id, State: Delivered}},
		vonageStatus("read", ""):                                                            {{Message: id, State: Delivered}},
		vonageStatus("rejected", fault):                                                     {{Message: id, State: Undelivered, Code: "1260"}},
		vonageStatus("undeliverable", wrapped):                                              {{Message: id, State: Failed, Code: "1030"}},
		vonageStatus("rejected", `,"error":{"title":"no"}`):                                 {{Message: id, State: Undelivered}},
		vonageStatus("rejected", `,"error":null`):                                           {{Message: id, State: Undelivered}},
		vonageStatus("what comes some day", ""):                                             {{Message: id, State: Unknown}},
		`{"message_uuid":"` + id + `","channel":"sms","text":"STOP","from":"447700900000"}`: nil, // a text to us
		vonageStatus("", ""):                                                                nil,
		`{"status":"delivered"}`:                                                            nil,
		`{"message_uuid":"a b","status":"delivered"}`:                                       nil,
	} {
		receipts, err := newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, nil).Receipts(vonageCallback(body))
		if d := cmp.Diff(want, receipts); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, d)
		}
	}
	for _, body := range []string{"", "null,", `{"message_uuid":7}`, vonageStatus("sent", `,"error":"x"`)} {
		receipts, forged := receive(t, newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, nil), vonageCallback(body))
		if len(receipts) > 0 || forged {
			t.Errorf("%s: receipts %v, forged %t", body, receipts, forged)
		}
	}
}

func TestVonageReceiptsInTime(t *testing.T) {
	t.Parallel()
	body := vonageStatus("delivered", "")
	for away, want := range map[time.Duration]bool{
		0: true, -5 * time.Minute: true, 5 * time.Minute: true, -5*time.Minute - time.Second: false,
		5*time.Minute + time.Second: false, -time.Hour: false, 100 * 365 * 24 * time.Hour: false,
	} {
		claims := claimsOf([]byte(body))
		claims["iat"] = vonageNow.Add(away).Unix()
		c := vonageCallback(body)
		c.Header.Set("Authorization", signVonage(vonageHeader, vonageSigning, claims))
		if _, forged := receive(t, newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, nil), c); forged == want {
			t.Errorf("made %v from now: forged %t", away, forged)
		}
	}
}

func TestVonageRefusesForgedReceipts(t *testing.T) {
	t.Parallel()
	body := []byte(vonageStatus("delivered", ""))
	with := func(header, secret string, change func(vonageClaims)) string {
		claims := claimsOf(body)
		if change != nil {
			change(claims)
		}
		return signVonage(header, secret, claims)
	}
	good := with(vonageHeader, vonageSigning, nil)
	s := newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, nil)
	for name, authorization := range map[string]string{
		"none":               "",
		"no token":           "Bearer ",
		"not a bearer":       strings.TrimPrefix(good, "Bearer "),
		"two parts":          good[:strings.LastIndex(good, ".")],
		"no signature":       good[:strings.LastIndex(good, ".")+1],
		"another secret":     with(vonageHeader, "another", nil),
		"no secret":          with(vonageHeader, "", nil),
		"alg none":           with(`{"alg":"none","typ":"JWT"}`, vonageSigning, nil),
		"alg HS512":          with(`{"alg":"HS512","typ":"JWT"}`, vonageSigning, nil),
		"no alg":             with(`{"typ":"JWT"}`, vonageSigning, nil),
		"another account":    with(vonageHeader, vonageSigning, func(c vonageClaims) { c["api_key"] = "ffffffff" }),
		"no time":            with(vonageHeader, vonageSigning, func(c vonageClaims) { delete(c, "iat") }),
		"a time in words":    with(vonageHeader, vonageSigning, func(c vonageClaims) { c["iat"] = "now" }),
		"no hash":            with(vonageHeader, vonageSigning, func(c vonageClaims) { delete(c, "payload_hash") }),
		"an empty hash":      with(vonageHeader, vonageSigning, func(c vonageClaims) { c["payload_hash"] = "" }),
		"half of the hash":   with(vonageHeader, vonageSigning, func(c vonageClaims) { c["payload_hash"] = c["payload_hash"].(string)[:32] }),
		"a hash of no digit": with(vonageHeader, vonageSigning, func(c vonageClaims) { c["payload_hash"] = strings.Repeat("x", 64) }),
	} {
		c := Callback{URL: receiptURL, Body: body, Header: http.Header{"Authorization": {authorization}}}
		if receipts, forged := receive(t, s, c); !forged {
			t.Errorf("%s: not forged, receipts %v", name, receipts)
		}
	}
	for i, changed := range append(altered(body), append(body, ' '), nil) {
		c := Callback{URL: receiptURL, Body: changed, Header: http.Header{"Authorization": {good}}}
		if receipts, forged := receive(t, s, c); !forged {
			t.Errorf("body %d changed: not forged, receipts %v", i, receipts)
		}
	}
	if _, forged := receive(t, s, Callback{URL: receiptURL, Body: body}); !forged {
		t.Error("no header at all: not forged")
	}
	if _, forged := receive(t, s, vonageCallback(string(body))); forged {
		t.Error("the good one is refused")
	}
	deaf := newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, func(c *VonageConfig) { c.SignatureSecret = "" })
	for _, secret := range []string{vonageSigning, "", strings.Repeat("\x00", 32)} {
		c := Callback{URL: receiptURL, Body: body, Header: http.Header{"Authorization": {with(vonageHeader, secret, nil)}}}
		if _, forged := receive(t, deaf, c); !forged {
			t.Errorf("without a signature secret, one signed with %q is taken", secret)
		}
	}
}

// Secrets of every length that Vonage lets people choose make good keys.
func TestVonageSignatureSecretsOfAnyLength(t *testing.T) {
	t.Parallel()
	body := vonageStatus("delivered", "")
	for _, secret := range []string{"s", "abcdefghijklmnop", strings.Repeat("k", 32), strings.Repeat("longer than a block of the hash. ", 3)} {
		s := newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, func(c *VonageConfig) { c.SignatureSecret = secret })
		c := vonageCallback(body)
		c.Header.Set("Authorization", signVonage(vonageHeader, secret, claimsOf([]byte(body))))
		if _, forged := receive(t, s, c); forged {
			t.Errorf("a secret of %d bytes: forged", len(secret))
		}
	}
}

func FuzzVonageReceipts(f *testing.F) {
	f.Add([]byte(vonageStatus("delivered", "")), vonageHeader, vonageNow.Unix())
	f.Add([]byte(vonageStatus("rejected", `,"error":{"error":{"title":"1030"}}`)), vonageHeader, vonageNow.Unix()+299)
	f.Add([]byte(`{"error":{"error":{"error":{}}}}`), `{"alg":"none"}`, int64(-1))
	f.Fuzz(func(t *testing.T, body []byte, header string, issued int64) {
		s := newTestVonage(t, vendorAt{base: "http://127.0.0.1"}, nil)
		claims := claimsOf(body)
		c := Callback{URL: receiptURL, Body: body, Header: http.Header{"Authorization": {signVonage(header, "another", claims)}}}
		if _, forged := receive(t, s, c); !forged {
			t.Fatal("another secret's signature is taken")
		}
		claims["iat"] = issued
		c.Header.Set("Authorization", signVonage(header, vonageSigning, claims))
		if receipts, forged := receive(t, s, c); forged && bytes.Equal([]byte(header), []byte(vonageHeader)) && issued == vonageNow.Unix() {
			t.Fatal("a good signature is refused")
		} else if checkFuzzed(t, receipts); !forged && (issued > vonageNow.Unix()+300 || issued < vonageNow.Unix()-300) {
			t.Fatal("an old signature is taken")
		}
	})
}
