package sms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The secrets of the accounts in tests. None may turn up in an error or in print.
const (
	twilioSID     = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	twilioToken   = "twilio-token-hunter2"
	vonageKey     = "a1b2c3d4"
	vonageSecret  = "vonage-secret-hunter2"
	vonageSigning = "vonage-signature-hunter2"
	awsKeyID      = "AKIDEXAMPLE"
	awsSecret     = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	awsRegion     = "eu-central-1"
	receiptURL    = "https://login.example.com/sms/receipts/main"
)

// vendorAt is one of the senders with an HTTP API, told where that is.
type vendorAt struct {
	base    string
	client  *http.Client
	timeout time.Duration
}

// vendorsUnderTest are the senders of which the same is expected when the network
// or the vendor fails. accepts and answers are what the API does with a message
// that it takes.
var vendorsUnderTest = map[string]struct {
	make    func(t *testing.T, at vendorAt) Sender
	accepts int
	answers string
	id      string
}{
	"twilio": {
		func(t *testing.T, at vendorAt) Sender { return newTestTwilio(t, at, nil) },
		http.StatusCreated, `{"sid":"SM00000000000000000000000000000001","status":"queued","error_code":null}`,
		"SM00000000000000000000000000000001",
	},
	"vonage": {
		func(t *testing.T, at vendorAt) Sender { return newTestVonage(t, at, nil) },
		http.StatusAccepted, `{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"}`,
		"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
	},
	"sns": {
		func(t *testing.T, at vendorAt) Sender { return newTestSNS(t, at, nil) },
		http.StatusOK, snsAccepted("94f20ce6-13c5-43a0-9a9e-ca52d816e90b"),
		"94f20ce6-13c5-43a0-9a9e-ca52d816e90b",
	},
}

// or fills in what most tests want: this machine, and time enough for a busy one.
func (at vendorAt) or(t *testing.T) vendorAt {
	t.Helper()
	if at.client == nil {
		at.client = NewHTTPClient(ClientConfig{AllowPrivate: true})
		t.Cleanup(at.client.CloseIdleConnections)
	}
	if at.timeout == 0 {
		at.timeout = 20 * time.Second
	}
	return at
}

// everyVendor runs a test once for each sender.
func everyVendor(t *testing.T, test func(t *testing.T, vendor string)) {
	for name := range vendorsUnderTest {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// checkVendorFailure is checkFailure for senders that hold secrets.
func checkVendorFailure(t *testing.T, err error, want Error) {
	t.Helper()
	checkFailure(t, err, want)
	checkSaysNoSecret(t, err.Error()+fmt.Sprintf("%+v %#v", err, err))
}

func checkSaysNoSecret(t *testing.T, said string) {
	t.Helper()
	for _, secret := range []string{"hunter2", awsSecret, awsKeyID, twilioSID, vonageKey} {
		if strings.Contains(said, secret) {
			t.Errorf("it says %q: %s", secret, said)
		}
	}
}

func TestVendorsTakeMessages(t *testing.T) {
	t.Parallel()
	everyVendor(t, func(t *testing.T, vendor string) {
		v := vendorsUnderTest[vendor]
		rec := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(v.accepts)
			fmt.Fprint(w, v.answers)
		})
		s := v.make(t, vendorAt{base: rec.URL})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if id, err := s.Send(t.Context(), testMessage(t)); err != nil || id != v.id {
					t.Errorf("Send = %q, %v", id, err)
				}
			})
		}
		wg.Wait()
		if n := rec.asked(); n != 8 {
			t.Errorf("8 texts took %d requests", n)
		}
	})
}

// A vendor that took a message has it, whatever the rest of its answer is: a
// second vendor would text the person again.
func TestVendorsAnswerBadlyAndHaveTheMessage(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	for name, answer := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"no JSON and no XML": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"sid": "SM0`, testNumber, "<")
		},
		"another type":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sid":1,"message_uuid":2}`) },
		"an array":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) },
		"a name too long":  sayName(strings.Repeat("x", 129)),
		"a name in clouds": sayName("☁"),
		"a name in lines":  sayName(`a\nb`),
		"10 MB":            longAnswers["10 MB"], "endless": longAnswers["endless"], "trickling": longAnswers["trickling"],
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyVendor(t, func(t *testing.T, vendor string) {
				v := vendorsUnderTest[vendor]
				rec := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(v.accepts)
					w.(http.Flusher).Flush()
					answer(w, r)
				})
				began := time.Now()
				id, err := v.make(t, vendorAt{base: rec.URL, timeout: patience}).Send(t.Context(), testMessage(t))
				if err != nil || id != "" {
					t.Errorf("Send = %q, %v; want no name and no error", id, err)
				}
				if took := time.Since(began); took > patience+10*time.Second {
					t.Errorf("took %v", took)
				}
				if n := rec.asked(); n != 1 {
					t.Errorf("it was asked %d times", n)
				}
			})
		})
	}
}

// sayName answers with a message's name in every vendor's words.
func sayName(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "AWS4") {
			fmt.Fprint(w, snsAccepted(strings.ReplaceAll(name, `\n`, "\n")))
			return
		}
		fmt.Fprintf(w, `{"sid":"%[1]s","message_uuid":"%[1]s"}`, name)
	}
}

// What a vendor does wrong on its way to an answer is the business of the next
// route, and nothing of it is quoted.
func TestVendorsFail(t *testing.T) {
	t.Parallel()
	said := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	leak := "to " + testNumber + ": " + testBody
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Error
	}{
		"400 in no words":     {said(400, ""), Error{Kind: KindStatus, Status: 400}},
		"400 in HTML":         {said(400, "<html>"+leak), Error{Kind: KindStatus, Status: 400}},
		"400 in broken JSON":  {said(400, `{"code":21211,"type":"x#1170"`), Error{Kind: KindStatus, Status: 400}},
		"400 in sentences":    {said(400, `{"code":"`+testNumber+` is bad","type":"x#`+testNumber+` is bad","title":"bad"}`), Error{Kind: KindStatus, Status: 400}},
		"400 in numbers":      {said(400, `{"code":1e99,"type":7,"title":7}`), Error{Kind: KindStatus, Status: 400}},
		"401":                 {said(401, leak), Error{Kind: KindUnauthorized, Status: 401}},
		"403":                 {said(403, leak), Error{Kind: KindStatus, Status: 403}},
		"429":                 {said(429, "slow down"), Error{Kind: KindStatus, Status: 429}},
		"500":                 {said(500, leak), Error{Kind: KindStatus, Status: 500}},
		"500 about a number":  {said(500, `{"code":21211,"type":"x#1170","title":"1170"}`), Error{Kind: KindStatus, Status: 500}},
		"502 in HTML":         {said(502, "<html><body>bad gateway</body></html>"), Error{Kind: KindStatus, Status: 502}},
		"203 is not its word": {said(203, `{"sid":"SM1","message_uuid":"1"}`), Error{Kind: KindStatus, Status: 203}},
		"204":                 {said(204, ""), Error{Kind: KindStatus, Status: 204}},
		"10 MB of failure": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			longAnswers["10 MB"](w, r)
		}, Error{Kind: KindStatus, Status: 400}},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, Error{Kind: KindTimeout, Code: "ETIMEDOUT"}},
		"answers after the timeout": {func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // which is when we hang up
			w.WriteHeader(http.StatusCreated)
		}, Error{Kind: KindTimeout, Code: "ETIMEDOUT"}},
		"hangs up": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, Error{Kind: KindUnreachable, Code: "ECONNRESET"}},
		"speaks no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "220 %s ESMTP\r\n", testNumber)
				conn.Close()
			}
		}, Error{Kind: KindUnreachable, Code: "EPROTO"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyVendor(t, func(t *testing.T, vendor string) {
				rec := newRecorder(t, c.answer)
				at := vendorAt{base: rec.URL}
				if c.want.Kind == KindTimeout {
					at.timeout = 100 * time.Millisecond
				}
				checkVendorFailure(t, try(t.Context(), t, vendorsUnderTest[vendor].make(t, at)), c.want)
				if n := rec.asked(); n != 1 {
					t.Errorf("it was asked %d times", n)
				}
			})
		})
	}
}

// A redirect is an answer like any other: whoever gives one does not choose what
// we ask next.
func TestVendorsLeadNowhere(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		everyVendorAnd(t, status, func(t *testing.T, vendor string) {
			var inside atomic.Int32
			internal := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
			t.Cleanup(internal.Close)
			rec := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, internal.URL+"/latest/meta-data", status)
			})
			checkVendorFailure(t, try(t.Context(), t, vendorsUnderTest[vendor].make(t, vendorAt{base: rec.URL})), Error{Kind: KindStatus, Status: status})
			if inside.Load() > 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func everyVendorAnd(t *testing.T, what any, test func(t *testing.T, vendor string)) {
	t.Run(fmt.Sprint(what), func(t *testing.T) {
		t.Parallel()
		everyVendor(t, test)
	})
}

func TestVendorsOutOfReach(t *testing.T) {
	t.Parallel()
	everyVendor(t, func(t *testing.T, vendor string) {
		v := vendorsUnderTest[vendor]
		refusing := newRecorder(t, nil)
		refusing.Close()
		foreign := httptest.NewUnstartedServer(http.NotFoundHandler())
		foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
		foreign.StartTLS()
		t.Cleanup(foreign.Close)
		for base, code := range map[string]string{
			refusing.URL:                  "ECONNREFUSED",
			foreign.URL:                   "EPROTO", // a certificate that nobody vouches for
			"http://no-such-host.invalid": "ENOTFOUND",
		} {
			checkVendorFailure(t, try(t.Context(), t, v.make(t, vendorAt{base: base})), Error{Kind: KindUnreachable, Code: code})
		}
		rec := newRecorder(t, nil)
		strict := NewHTTPClient(ClientConfig{})
		checkVendorFailure(t, try(t.Context(), t, v.make(t, vendorAt{base: rec.URL, client: strict})), Error{Kind: KindForbidden, Code: "EACCES"})
		if n := rec.asked(); n != 0 {
			t.Errorf("an address that is not allowed was asked %d times", n)
		}
		hanging := newRecorder(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		checkVendorFailure(t, try(ctx, t, v.make(t, vendorAt{base: hanging.URL})), Error{Kind: KindTimeout, Code: "ETIMEDOUT"})
	})
}

// What is kept of a vendor's words can be logged.
func TestCodes(t *testing.T) {
	t.Parallel()
	for code, kept := range map[string]bool{
		"21610": true, "low-balance": true, "InvalidParameter": true, "DLR-4.2": true, "E_1": true, "12345": true, "": true,
		"123456":       false, // as the codes of texts are
		"819012345678": false, testNumber: false, "a1b2c3d4e5f6": false, "a b": false, "a:b": false, "ä": false, "a\x00": false,
		"a/b": false, "<b>": false, strings.Repeat("x", 41): false,
	} {
		if got := cleanCode(code); got != map[bool]string{true: code}[kept] {
			t.Errorf("cleanCode(%q) = %q", code, got)
		}
	}
}

// A vendor that is told to call back to a place it can't reach refuses the text.
func TestVendorsAreToldOfReachableCallbacksOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		receiptURL: true, "https://login.example.com:8443/x": true, "https://[2606:4700::1111]/x": true,
		"": false, "http://login.example.com/x": false, "https://localhost/x": false, "https://x.localhost/x": false,
		"https://127.0.0.1/x": false, "https://192.168.1.7/x": false, "https://[::1]/x": false, "https://sms/x": false, "%": false,
	} {
		if got := callbackFor(address); got != map[bool]string{true: address}[want] {
			t.Errorf("callbackFor(%s) = %q", address, got)
		}
	}
}

func TestVendorsPrintNoSecret(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, s Sender) {
		holder := struct{ Sender Sender }{s}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			checkSaysNoSecret(t, fmt.Sprintf(format, s)+fmt.Sprintf(format, holder))
		}
	}
	everyVendor(t, func(t *testing.T, vendor string) {
		check(t, vendorsUnderTest[vendor].make(t, vendorAt{base: "http://127.0.0.1"}))
	})
	check(t, newTestGateway(t, GatewayConfig{
		URL: "https://gateway.example/?key=hunter2", ReceiptSecret: "receipt-secret-hunter2",
		Auth: &GatewayAuth{Audience: "a", Secret: []byte("hunter2hunter2")},
	}))
}

// receive returns what a sender makes of a callback, and whether it is forged.
func receive(t *testing.T, s Sender, c Callback) (receipts []Receipt, forged bool) {
	t.Helper()
	receipts, err := s.(Receiver).Receipts(c)
	if err != nil {
		checkSaysNoSecret(t, err.Error())
		if len(receipts) > 0 {
			t.Errorf("receipts %v and an error", receipts)
		}
	}
	return receipts, errors.Is(err, ErrForged)
}

// altered returns the body with one bit of one byte changed, for each byte.
func altered(body []byte) [][]byte {
	out := make([][]byte, len(body))
	for i := range body {
		out[i] = append([]byte(nil), body...)
		out[i][i] ^= 1
	}
	return out
}

// senderOf makes a sender of options, and says what is wrong with them.
func senderOf(t *testing.T, options string, d Deps) (Sender, Problems) {
	t.Helper()
	o := ReadOptions([]byte(options), "options")
	return NewSender(o, d), o.Problems()
}
