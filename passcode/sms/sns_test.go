package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var snsNow = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newTestSNS(t *testing.T, at vendorAt, change func(*SNSConfig)) *SNS {
	t.Helper()
	at = at.or(t)
	c := SNSConfig{
		Region: awsRegion, AccessKeyID: awsKeyID, SecretAccessKey: awsSecret,
		BaseURL: at.base, Client: at.client, Timeout: at.timeout, Now: func() time.Time { return snsNow },
	}
	if change != nil {
		change(&c)
	}
	s, err := NewSNS(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// snsAccepted is the answer of Publish.
func snsAccepted(id string) string {
	return `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>` + id +
		`</MessageId></PublishResult><ResponseMetadata><RequestId>f187a3c1-376f-11df-8963-01868b7c937a</RequestId></ResponseMetadata></PublishResponse>`
}

func snsFault(kind, code, message string) string {
	return `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>` + kind + `</Type><Code>` + code +
		`</Code><Message>` + message + `</Message></Error><RequestId>9dd01905-5012-5f99-8663-4b3ecd0dfaef</RequestId></ErrorResponse>`
}

// sigV4 computes a signature as Amazon's guide describes it (Signature Version 4,
// "Create a signed AWS API request"), apart from the library that signs.
func sigV4(secret, scope string, r *http.Request, body string, signedHeaders []string) string {
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n"
	for _, name := range signedHeaders {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical += name + ":" + strings.Join(strings.Fields(value), " ") + "\n"
	}
	canonical += "\n" + strings.Join(signedHeaders, ";") + "\n" + sum([]byte(body))
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + sum([]byte(canonical))
	return hex.EncodeToString(mac(key, text))
}

// The example is post-x-www-form-urlencoded of Amazon's test suite for Signature
// Version 4: it holds the fake that holds the sender.
func TestSigV4OfTheFake(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodPost, "https://example.amazonaws.com/", strings.NewReader("Param1=value1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	got := sigV4("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830/us-east-1/service/aws4_request", r, "Param1=value1",
		[]string{"content-type", "host", "x-amz-date"})
	if want := "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

type snsAnswer struct {
	status int
	body   string
}

// newFakeSNS is the action Publish of SNS as its reference describes it. With
// fault set it answers with that.
func newFakeSNS(t *testing.T, fault *snsAnswer) *recorder {
	t.Helper()
	var rec *recorder
	rec = newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		answer := func(a snsAnswer) {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(a.status)
			fmt.Fprint(w, a.body)
		}
		body := rec.lastBody()
		form, err := url.ParseQuery(body)
		switch {
		case !snsSigned(r, body):
			answer(snsAnswer{403, snsFault("Sender", "SignatureDoesNotMatch", "The request signature we calculated does not match")})
		case fault != nil:
			answer(*fault)
		case err != nil, form.Get("Action") != "Publish", form.Get("Version") != "2010-03-31",
			!strings.HasPrefix(form.Get("PhoneNumber"), "+"), form.Get("Message") == "":
			answer(snsAnswer{400, snsFault("Sender", "InvalidParameter", "Invalid parameter: "+form.Get("PhoneNumber"))})
		default:
			answer(snsAnswer{200, snsAccepted("94f20ce6-13c5-43a0-9a9e-ca52d816e90b")})
		}
	})
	return rec
}

// snsSigned checks the header Authorization.
func snsSigned(r *http.Request, body string) bool {
	scope := snsNow.Format("20060102") + "/" + awsRegion + "/sns/aws4_request"
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+awsKeyID+"/"+scope+", SignedHeaders=")
	headers, signature, found := strings.Cut(rest, ", Signature=")
	names := strings.Split(headers, ";")
	for _, needed := range []string{"host", "x-amz-date"} {
		ok = ok && strings.Contains(";"+headers+";", ";"+needed+";")
	}
	if r.Header.Get("X-Amz-Security-Token") != "" {
		ok = ok && strings.Contains(headers, "x-amz-security-token")
	}
	return ok && found && r.Header.Get("X-Amz-Date") == snsNow.Format("20060102T150405Z") &&
		signature == sigV4(awsSecret, scope, r, body, names)
}

func TestSNSRequest(t *testing.T) {
	t.Parallel()
	attributes := func(pairs ...string) url.Values {
		form := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "PhoneNumber": {testNumber}, "Message": {testBody}}
		for i := 0; i < len(pairs); i += 3 {
			prefix := fmt.Sprintf("MessageAttributes.entry.%d.", i/3+1)
			form.Set(prefix+"Name", pairs[i])
			form.Set(prefix+"Value.DataType", pairs[i+1])
			form.Set(prefix+"Value.StringValue", pairs[i+2])
		}
		return form
	}
	const kind, name, number, price = "AWS.SNS.SMS.SMSType", "AWS.SNS.SMS.SenderID", "AWS.MM.SMS.OriginationNumber", "AWS.SNS.SMS.MaxPrice"
	for title, c := range map[string]struct {
		config func(*SNSConfig)
		want   url.Values
	}{
		"nothing said": {nil, attributes(kind, "String", "Transactional")},
		"a sender ID": {func(c *SNSConfig) { c.SenderID = "Shop" },
			attributes(kind, "String", "Transactional", name, "String", "Shop")},
		"a number": {func(c *SNSConfig) { c.From = "+15005550006" },
			attributes(kind, "String", "Transactional", number, "String", "+15005550006")},
		"a short code": {func(c *SNSConfig) { c.From = "12345" },
			attributes(kind, "String", "Transactional", number, "String", "12345")},
		"a name as from": {func(c *SNSConfig) { c.From = "Shop" },
			attributes(kind, "String", "Transactional", name, "String", "Shop")},
		"all of it, with temporary credentials": {func(c *SNSConfig) {
			c.From, c.SenderID, c.MaxPrice, c.SessionToken = "+15005550006", "Shop", "0.25", "session-hunter2"
		}, attributes(kind, "String", "Transactional", name, "String", "Shop", number, "String", "+15005550006", price, "Number", "0.25")},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			fake := newFakeSNS(t, nil)
			s := newTestSNS(t, vendorAt{base: fake.URL}, c.config)
			id, err := s.Send(t.Context(), testMessage(t))
			if err != nil || id != "94f20ce6-13c5-43a0-9a9e-ca52d816e90b" {
				t.Fatalf("Send = %q, %v", id, err)
			}
			got, err := url.ParseQuery(fake.lastBody())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("form (-want +got):\n%s", d)
			}
			if token := fake.headers[0].Get("X-Amz-Security-Token"); token != s.config.SessionToken {
				t.Errorf("X-Amz-Security-Token %q", token)
			}
		})
	}
}

// The codes are those of SNS' reference and of Amazon's common errors.
func TestSNSErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer snsAnswer
		kind   Kind
		code   string
	}{
		{snsAnswer{400, snsFault("Sender", "OptedOut", testNumber+" is opted out")}, KindNumber, "OptedOut"},

		{snsAnswer{400, snsFault("Sender", "InvalidParameter", "Invalid parameter: PhoneNumber Reason: "+testNumber+" is not valid to publish to")}, KindRefused, "InvalidParameter"},
		{snsAnswer{400, snsFault("Sender", "InvalidParameterValue", "x")}, KindRefused, "InvalidParameterValue"},
		{snsAnswer{403, snsFault("Sender", "AuthorizationError", "is not authorized to perform: SNS:Publish")}, KindAccount, "AuthorizationError"},
		{snsAnswer{403, snsFault("Sender", "InvalidClientTokenId", "x")}, KindAccount, "InvalidClientTokenId"},
		{snsAnswer{403, snsFault("Sender", "ExpiredToken", "x")}, KindAccount, "ExpiredToken"},
		{snsAnswer{400, snsFault("Sender", "Throttling", "Rate exceeded")}, KindAccount, "Throttling"},
		{snsAnswer{429, snsFault("Sender", "Throttled", "x")}, KindAccount, "Throttled"},
		{snsAnswer{400, snsFault("Sender", "What Comes Some Day", "x")}, KindStatus, ""},

		{snsAnswer{500, snsFault("Receiver", "InternalError", "x")}, KindStatus, ""},
		{snsAnswer{503, snsFault("Receiver", "ServiceUnavailable", "x")}, KindStatus, ""},
		{snsAnswer{400, `<!DOCTYPE x [<!ENTITY a "` + testNumber + `">]><ErrorResponse><Error><Code>&a;</Code></Error></ErrorResponse>`}, KindStatus, ""},
	} {
		s := newTestSNS(t, vendorAt{base: newFakeSNS(t, &c.answer).URL}, nil)
		checkVendorFailure(t, try(t.Context(), t, s), Error{Kind: c.kind, Status: c.answer.status, Code: c.code})
	}
	s := newTestSNS(t, vendorAt{base: newFakeSNS(t, nil).URL}, func(c *SNSConfig) { c.SecretAccessKey = "another-hunter2" })
	checkVendorFailure(t, try(t.Context(), t, s), Error{Kind: KindAccount, Status: 403, Code: "SignatureDoesNotMatch"})
}

func TestSNSSendsNoReceipts(t *testing.T) {
	t.Parallel()
	if _, ok := Sender(newTestSNS(t, vendorAt{}, nil)).(Receiver); ok {
		t.Error("SNS is a Receiver, and has nothing to check a callback by")
	}
}

func TestSNSOptions(t *testing.T) {
	t.Parallel()
	d := Deps{Client: NewHTTPClient(ClientConfig{})}
	keys := `"provider":"sns","sns_region":"us-gov-west-1","aws_access_key_id":"k","aws_secret_access_key":"s"`
	for options, price := range map[string]string{
		`{` + keys + `}`:                           "",
		`{` + keys + `,"sns_max_price":0.2}`:       "0.2",
		`{` + keys + `,"sns_max_price":"0.50"}`:    "0.50",
		`{` + keys + `,"sender_id":"Shop-1"}`:      "",
		`{` + keys + `,"from":"+15005550006"}`:     "",
		`{` + keys + `,"aws_session_token":"tok"}`: "",
	} {
		s, problems := senderOf(t, options, d)
		if len(problems) > 0 {
			t.Errorf("%s: %v", options, problems)
			continue
		}
		if got := s.(*SNS).config; got.BaseURL != "https://sns.us-gov-west-1.amazonaws.com/" || got.MaxPrice != price {
			t.Errorf("%s: %s, price %q", options, got.BaseURL, got.MaxPrice)
		}
	}
	for options, want := range map[string][]string{
		`{"provider":"sns"}`: {"options.sns_region: is missing", "options.aws_access_key_id: is missing", "options.aws_secret_access_key: is missing"},
		`{` + strings.Replace(keys, "us-gov-west-1", "evil.example/", 1) + `}`:       {"options.sns_region: is not the name of a region"},
		`{` + keys + `,"sender_id":"12345","from":"a name too long"}`:                {"options.sender_id: is not 1 to 11", "options.from: is neither"},
		`{` + keys + `,"sns_max_price":-1,"sender_id":"über"}`:                       {"options.sender_id: is not", "options.sns_max_price: is not a price"},
		`{` + keys + `,"sns_max_price":"cheap"}`:                                     {"options.sns_max_price: is not a price"},
		`{` + strings.Replace(keys, `"s"`, `{"secret":"hunter2"}`, 1) + `}`:          {"options.aws_secret_access_key: is not a string"},
		`{` + strings.Replace(keys, `"us-gov-west-1"`, `"us-gov-west-1\n"`, 1) + `}`: {"options.sns_region: is not"},
	} {
		checkProblems(t, options, d, want)
	}
}
