package sms

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTestTwilio(t *testing.T, at vendorAt, change func(*TwilioConfig)) *Twilio {
	t.Helper()
	at = at.or(t)
	c := TwilioConfig{
		AccountSID: twilioSID, AuthToken: twilioToken, From: "+15005550006",
		BaseURL: at.base, Client: at.client, Timeout: at.timeout,
	}
	if change != nil {
		change(&c)
	}
	s, err := NewTwilio(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeTwilio is the resource Messages of Twilio's API as its reference describes
// it. A message to a number of faults is refused with the code that stands there;
// status is the HTTP status that goes with it.
type fakeTwilio struct {
	*recorder
	faults map[string]twilioFault
	got    chan url.Values
}

type twilioFault struct{ status, code int }

func newFakeTwilio(t *testing.T) *fakeTwilio {
	t.Helper()
	f := &fakeTwilio{faults: map[string]twilioFault{}, got: make(chan url.Values, 16)}
	f.recorder = newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fail := func(status, code int, message string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code":%[1]d,"message":%[2]q,"more_info":"https://www.twilio.com/docs/errors/%[1]d","status":%[3]d}`, code, message, status)
		}
		user, password, ok := r.BasicAuth()
		if !ok || user != twilioSID || password != twilioToken {
			fail(http.StatusUnauthorized, 20003, "Authenticate")
			return
		}
		if r.URL.Path != "/2010-04-01/Accounts/"+twilioSID+"/Messages.json" || r.URL.RawQuery != "" {
			fail(http.StatusNotFound, 20404, "The requested resource was not found")
			return
		}
		form, err := url.ParseQuery(f.lastBody())
		if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("not a form: %v", err)
		}
		to := form.Get("To")
		if fault, ok := f.faults[to]; ok {
			fail(fault.status, fault.code, "The 'To' number "+to+" is at fault: "+form.Get("Body"))
			return
		}
		switch {
		case to == "":
			fail(400, 21604, "A 'To' phone number is required.")
		case form.Get("From") == "" && form.Get("MessagingServiceSid") == "":
			fail(400, 21603, "A 'From' phone number is required.")
		case form.Get("Body") == "":
			fail(400, 21602, "Message body is required.")
		default:
			f.got <- form
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"account_sid":%q,"api_version":"2010-04-01","body":%q,"date_created":"Thu, 24 Aug 2023 05:01:45 +0000",`+
				`"date_sent":null,"direction":"outbound-api","error_code":null,"error_message":null,"from":%q,"num_media":"0","num_segments":"1",`+
				`"price":null,"price_unit":null,"messaging_service_sid":null,"sid":"SM00000000000000000000000000000007","status":"queued",`+
				`"subresource_uris":{"media":"/Media.json"},"to":%q,"uri":"/2010-04-01"}`, twilioSID, form.Get("Body"), form.Get("From"), to)
		}
	})
	return f
}

func (g *recorder) lastBody() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bodies[len(g.bodies)-1]
}

func TestTwilioRequest(t *testing.T) {
	t.Parallel()
	const service = "MG00000000000000000000000000000001"
	for name, c := range map[string]struct {
		config  func(*TwilioConfig)
		message func(*Message)
		want    url.Values
	}{
		"from": {nil, nil, url.Values{
			"To": {testNumber}, "From": {"+15005550006"}, "Body": {testBody}, "StatusCallback": {receiptURL}}},
		"a service": {func(c *TwilioConfig) { c.MessagingServiceSID = service }, nil, url.Values{
			"To": {testNumber}, "MessagingServiceSid": {service}, "Body": {testBody}, "StatusCallback": {receiptURL}}},
		"nobody can call back": {nil, func(m *Message) { m.ReceiptURL = "https://localhost:3000/" }, url.Values{
			"To": {testNumber}, "From": {"+15005550006"}, "Body": {testBody}}},
		"for five minutes": {nil, func(m *Message) { m.ReceiptURL, m.ValidFor = "", 5*time.Minute }, url.Values{
			"To": {testNumber}, "From": {"+15005550006"}, "Body": {testBody}, "ValidityPeriod": {"300"}}},
		"nobody listens": {nil, func(m *Message) { m.ReceiptURL = "" }, url.Values{
			"To": {testNumber}, "From": {"+15005550006"}, "Body": {testBody}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeTwilio(t)
			m := testMessage(t)
			m.ReceiptURL = receiptURL
			if c.message != nil {
				c.message(&m)
			}
			id, err := newTestTwilio(t, vendorAt{base: fake.URL}, c.config).Send(t.Context(), m)
			if err != nil || id != "SM00000000000000000000000000000007" {
				t.Fatalf("Send = %q, %v", id, err)
			}
			if d := cmp.Diff(c.want, <-fake.got); d != "" {
				t.Errorf("form (-want +got):\n%s", d)
			}
		})
	}
}

// The codes are those that Twilio's dictionary of errors gives for creating a
// message. A number that can't be texted ends the search for a route; whatever is
// the account's, the sender's or the country's does not.
func TestTwilioErrors(t *testing.T) {
	t.Parallel()
	fake := newFakeTwilio(t)
	s := newTestTwilio(t, vendorAt{base: fake.URL}, nil)
	for _, c := range []struct {
		fault twilioFault
		want  Kind
	}{
		{twilioFault{400, 21211}, KindNumber}, {twilioFault{400, 21214}, KindNumber},
		{twilioFault{400, 21217}, KindNumber}, {twilioFault{400, 21265}, KindNumber},
		{twilioFault{400, 21610}, KindNumber}, {twilioFault{400, 21614}, KindNumber},
		{twilioFault{400, 21635}, KindNumber}, {twilioFault{400, 30003}, KindNumber},
		{twilioFault{400, 30004}, KindNumber}, {twilioFault{400, 30005}, KindNumber},
		{twilioFault{400, 30006}, KindNumber},

		{twilioFault{400, 21212}, KindAccount}, // bad From
		{twilioFault{400, 21219}, KindRefused}, // a trial account and an unverified number
		{twilioFault{400, 21266}, KindRefused}, // To is From
		{twilioFault{403, 21408}, KindRefused}, // no permission for the region
		{twilioFault{400, 21606}, KindRefused}, // From can't send here
		{twilioFault{400, 21608}, KindRefused}, // a trial account and an unverified number
		{twilioFault{429, 21611}, KindAccount}, // From's queue is full
		{twilioFault{400, 21612}, KindRefused}, // this pair of numbers has no route
		{twilioFault{400, 21617}, KindRefused}, // body too long
		{twilioFault{400, 21703}, KindRefused}, // the service has no number for it
		{twilioFault{401, 20003}, KindAccount}, // wrong token
		{twilioFault{400, 20005}, KindAccount}, // account not active
		{twilioFault{403, 20008}, KindAccount}, // test credentials
		{twilioFault{404, 20404}, KindAccount}, // no such account
		{twilioFault{429, 20429}, KindAccount}, // too many requests
		{twilioFault{400, 30001}, KindAccount}, // queue overflow
		{twilioFault{400, 30002}, KindAccount}, // account suspended
		{twilioFault{400, 30007}, KindRefused}, // filtered
		{twilioFault{400, 99999}, KindRefused}, // what comes some day

		{twilioFault{500, 20500}, KindStatus}, {twilioFault{503, 20503}, KindStatus},
	} {
		fake.faults[testNumber] = c.fault
		want := Error{Kind: c.want, Status: c.fault.status, Code: fmt.Sprint(c.fault.code)}
		if c.want == KindStatus {
			want.Code = ""
		}
		err := try(t.Context(), t, s)
		checkVendorFailure(t, err, want)
		if final := AsError(err).Final(); final != (c.want == KindNumber) {
			t.Errorf("%d: Final() = %t", c.fault.code, final)
		}
	}
}

func TestTwilioKnowsItsAccount(t *testing.T) {
	t.Parallel()
	fake := newFakeTwilio(t)
	s := newTestTwilio(t, vendorAt{base: fake.URL}, func(c *TwilioConfig) { c.AuthToken = "another-hunter2" })
	checkVendorFailure(t, try(t.Context(), t, s), Error{Kind: KindAccount, Status: 401, Code: "20003"})
}

func TestTwilioOptions(t *testing.T) {
	t.Parallel()
	d := Deps{Client: NewHTTPClient(ClientConfig{})}
	good := `"provider":"twilio","twilio_sid":"` + twilioSID + `","twilio_token":"` + twilioToken + `"`
	s, problems := senderOf(t, `{`+good+`,"from":"Shop","timeout":5,"twilio_edge":"dublin","twilio_region":"ie1"}`, d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := s.(*Twilio); got.config.BaseURL != "https://api.dublin.ie1.twilio.com" || got.api.timeout.Seconds() != 5 {
		t.Errorf("options are lost: %s, %v", got.config.BaseURL, got.api.timeout)
	}
	s, problems = senderOf(t, `{`+good+`,"messaging_service_sid":"MG00000000000000000000000000000001"}`, d)
	if len(problems) > 0 || s.(*Twilio).config.BaseURL != "https://api.twilio.com" || s.(*Twilio).api.timeout != vendorTimeout {
		t.Errorf("defaults: %v", problems)
	}
	for options, want := range map[string][]string{
		`{"provider":"twilio"}`: {"options.twilio_sid: is missing", "options.twilio_token: is missing", "options.from: is missing; or set messaging_service_sid"},
		`{"provider":"twilio","twilio_sid":"AC1","twilio_token":7,"from":true}`: {
			"options.twilio_token: is not a string", "options.from: is not a string", "options.twilio_sid: is not AC and 32 hexadecimal digits"},
		`{` + good + `,"from":"x","messaging_service_sid":"PN1","twilio_edge":"a/b"}`: {
			"options.messaging_service_sid: is not MG", "options.twilio_edge: is not the name", "options.twilio_region: is missing"},
		`{` + good + `,"from":"x","twilio_region":"ie1","timeout":60}`:                  {"options.timeout: is not between 1 and 30 seconds", "options.twilio_edge: is missing"},
		`{` + good + `,"from":"x","twilio_edge":"x.evil.example/","twilio_region":"?"}`: {"options.twilio_edge: is not", "options.twilio_region: is not"},
	} {
		checkProblems(t, options, d, want)
	}
}

// checkProblems compares the problems of options, by their beginnings.
func checkProblems(t *testing.T, options string, d Deps, want []string) {
	t.Helper()
	s, problems := senderOf(t, options, d)
	if s != nil {
		t.Errorf("%s makes a sender", options)
	}
	if len(problems) != len(want) {
		t.Errorf("%s: got %d problems, want %d:\n%v", options, len(problems), len(want), problems)
		return
	}
	checkSaysNoSecret(t, problems.Error())
	for i, p := range problems {
		if got := p.Path + ": " + p.Text; !strings.HasPrefix(got, want[i]) {
			t.Errorf("%s: problem %d is %q, want %q", options, i, got, want[i])
		}
	}
}

// signTwilio makes X-Twilio-Signature as Twilio's page on security describes it.
func signTwilio(token, address string, form url.Values) string {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	sort.Strings(names)
	text := address
	for _, name := range names {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The examples are those of Twilio's own libraries and documentation.
func TestTwilioSignatureExamples(t *testing.T) {
	t.Parallel()
	form := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"},
		"From": {"+14158675309"}, "To": {"+18005551212"},
	}
	const address = "https://mycompany.com/myapp.php?foo=1&bar=2"
	withPort := strings.Replace(address, ".com", ".com:1234", 1)
	plain := func(a string) string { return strings.Replace(a, "https:", "http:", 1) }
	s := &Twilio{config: TwilioConfig{AuthToken: "12345"}}
	for _, c := range []struct {
		url, signature string
		want           bool
	}{
		{address, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{withPort, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true}, // signed without the port
		{address, "kvajT1Ptam85bY51eRf/AJRuM3w=", true},  // signed with port 443
		{plain(address), "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
		{plain(withPort), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true},
		{plain(address), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
		{address + "&x", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
		{address, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", false},
		{address, "", false},
		{"%zz", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
	} {
		got := s.signed(Callback{URL: c.url, Header: http.Header{"X-Twilio-Signature": {c.signature}}}, form)
		if got != c.want {
			t.Errorf("signed(%s, %s) = %t", c.url, c.signature, got)
		}
	}
}

// Twilio's libraries sort and compact the values of a name that comes twice, and
// sort by names: a value must not decide where its name stands.
func TestTwilioSignatureOfNamesThatBeginAlike(t *testing.T) {
	t.Parallel()
	s := newTestTwilio(t, vendorAt{base: "http://127.0.0.1"}, nil)
	form := url.Values{"From": {"Shop"}, "FromCity": {"Ulm"}, "MessageSid": {"SM1", "SM1"}, "MessageStatus": {"sent"}}
	c := Callback{URL: receiptURL, Body: []byte(form.Encode()), Header: http.Header{
		"X-Twilio-Signature": {signTwilio(twilioToken, receiptURL, form)}}}
	if receipts, forged := receive(t, s, c); forged || len(receipts) != 1 {
		t.Errorf("receipts %v, forged %t", receipts, forged)
	}
}

// twilioCallback is a status callback as Twilio's guide shows it.
func twilioCallback(change func(url.Values)) Callback {
	form := url.Values{
		"SmsSid": {"SM2xxxxxx"}, "SmsStatus": {"sent"}, "MessageStatus": {"sent"}, "To": {testNumber},
		"MessageSid": {"SM2xxxxxx"}, "AccountSid": {twilioSID}, "From": {"+15017250604"}, "ApiVersion": {"2010-04-01"},
	}
	if change != nil {
		change(form)
	}
	return Callback{URL: receiptURL, Body: []byte(form.Encode()), Header: http.Header{
		"X-Twilio-Signature": {signTwilio(twilioToken, receiptURL, form)}}}
}

func TestTwilioReceipts(t *testing.T) {
	t.Parallel()
	s := newTestTwilio(t, vendorAt{base: "http://127.0.0.1"}, nil)
	for status, want := range map[string]State{
		"sent":      Sent,
		"delivered": Delivered, "read": Delivered, "undelivered": Undelivered, "failed": Failed, "canceled": Failed,
		"partially_delivered": Unknown, "what comes some day": Unknown,
	} {
		c := twilioCallback(func(f url.Values) { f.Set("MessageStatus", status) })
		receipts, forged := receive(t, s, c)
		if d := cmp.Diff([]Receipt{{Message: "SM2xxxxxx", State: want}}, receipts); d != "" || forged {
			t.Errorf("%s: forged %t, (-want +got):\n%s", status, forged, d)
		}
	}
	// What was said when the message was sent is no news, and no replay when it comes in
	// several words.
	for _, status := range []string{"accepted", "scheduled", "queued", "sending"} {
		c := twilioCallback(func(f url.Values) { f.Set("MessageStatus", status) })
		if receipts, forged := receive(t, s, c); forged || len(receipts) != 0 {
			t.Errorf("%s: forged %t, receipts %v", status, forged, receipts)
		}
	}
	for code, want := range map[string]string{"30003": "30003", "0": "", "": "", "a sentence to " + testNumber: ""} {
		c := twilioCallback(func(f url.Values) {
			f.Set("MessageStatus", "undelivered")
			f.Set("ErrorCode", code)
		})
		receipts, _ := receive(t, s, c)
		if d := cmp.Diff([]Receipt{{Message: "SM2xxxxxx", State: Undelivered, Code: want}}, receipts); d != "" {
			t.Errorf("ErrorCode %q (-want +got):\n%s", code, d)
		}
	}
	for name, change := range map[string]func(url.Values){
		"a text to us":   func(f url.Values) { f.Del("MessageStatus") },
		"without a name": func(f url.Values) { f.Del("MessageSid") },
		"a name too odd": func(f url.Values) { f.Set("MessageSid", "SM\n1") },
	} {
		if receipts, forged := receive(t, s, twilioCallback(change)); len(receipts) > 0 || forged {
			t.Errorf("%s: receipts %v, forged %t", name, receipts, forged)
		}
	}
}

func TestTwilioRefusesForgedReceipts(t *testing.T) {
	t.Parallel()
	s := newTestTwilio(t, vendorAt{base: "http://127.0.0.1"}, nil)
	good := func(change func(*Callback)) Callback {
		c := twilioCallback(nil)
		change(&c)
		return c
	}
	form, _ := url.ParseQuery(string(twilioCallback(nil).Body))
	cases := map[string]Callback{
		"no signature":       good(func(c *Callback) { c.Header = http.Header{} }),
		"no header at all":   good(func(c *Callback) { c.Header = nil }),
		"empty signature":    good(func(c *Callback) { c.Header.Set("X-Twilio-Signature", "") }),
		"not base64":         good(func(c *Callback) { c.Header.Set("X-Twilio-Signature", "%") }),
		"another token":      good(func(c *Callback) { c.Header.Set("X-Twilio-Signature", signTwilio("another", receiptURL, form)) }),
		"empty token":        good(func(c *Callback) { c.Header.Set("X-Twilio-Signature", signTwilio("", receiptURL, form)) }),
		"another address":    good(func(c *Callback) { c.URL += "2" }),
		"a query added":      good(func(c *Callback) { c.URL += "?a=b" }),
		"a parameter added":  good(func(c *Callback) { c.Body = append(c.Body, "&a=b"...) }),
		"a status put first": good(func(c *Callback) { c.Body = append([]byte("MessageStatus=delivered&"), c.Body...) }),
		"no form":            good(func(c *Callback) { c.Body = append(c.Body, "&%zz"...) }),
		"nothing":            good(func(c *Callback) { c.Body = nil }),
		"another account":    twilioCallback(func(f url.Values) { f.Set("AccountSid", "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb") }),
	}
	for i, body := range altered(twilioCallback(nil).Body) {
		c := good(func(c *Callback) { c.Body = body })
		// Two spellings of one form are one form: "+" and "%20", "%2b" and "%2B".
		if changed, err := url.ParseQuery(string(body)); err == nil && cmp.Equal(changed, form) {
			continue
		}
		cases[fmt.Sprint("bit ", i)] = c
	}
	for name, c := range cases {
		if receipts, forged := receive(t, s, c); !forged {
			t.Errorf("%s: not forged, receipts %v", name, receipts)
		}
	}
}

func FuzzTwilioReceipts(f *testing.F) {
	f.Add(string(twilioCallback(nil).Body), receiptURL)
	f.Add("MessageSid=SM1&MessageStatus=failed&ErrorCode=30007", "http://[::1]:80/?a=b#c")
	f.Add("MessageSid=a&MessageSid=b&MessageStatus=%00;", "%")
	f.Fuzz(func(t *testing.T, body, address string) {
		s := newTestTwilio(t, vendorAt{base: "http://127.0.0.1"}, nil)
		form, err := url.ParseQuery(body)
		c := Callback{URL: address, Body: []byte(body), Header: http.Header{"X-Twilio-Signature": {signTwilio("another", address, form)}}}
		if _, forged := receive(t, s, c); !forged {
			t.Fatal("another token's signature is taken")
		}
		// What no form is can't be signed; names that come twice are another test's.
		if err != nil || hasTwice(form) {
			return
		}
		c.Header.Set("X-Twilio-Signature", signTwilio(twilioToken, address, form))
		receipts, forged := receive(t, s, c)
		checkFuzzed(t, receipts)
		if account := form.Get("AccountSid"); forged != (account != "" && account != twilioSID) {
			t.Fatalf("forged: %t", forged)
		}
	})
}

func hasTwice(form url.Values) bool {
	for _, values := range form {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// checkFuzzed holds receipts to what others rely on.
func checkFuzzed(t *testing.T, receipts []Receipt) {
	t.Helper()
	for _, r := range receipts {
		switch r.State {
		case Accepted, Sent, Delivered, Undelivered, Failed, Unknown:
		default:
			t.Errorf("state %q", r.State)
		}
		if r.Message == "" || cleanName(r.Message) != r.Message || cleanCode(r.Code) != r.Code {
			t.Errorf("receipt %+q", r)
		}
	}
}
