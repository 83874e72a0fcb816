package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var gatewayNow = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const gatewaySecret = "a secret of the gateway's receipts"

func receivingGateway(t *testing.T, secret string) *Gateway {
	t.Helper()
	return newTestGateway(t, GatewayConfig{URL: "https://gateway.example/", ReceiptSecret: secret, Now: func() time.Time { return gatewayNow }})
}

// signGateway signs as Standard Webhooks say, by hand.
func signGateway(key []byte, id string, at time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return h
}

func gatewayCallback(body string) Callback {
	return Callback{URL: receiptURL, Body: []byte(body), Header: signGateway([]byte(gatewaySecret), "r-1", gatewayNow, []byte(body))}
}

func TestGatewayReceipts(t *testing.T) {
	t.Parallel()
	g := receivingGateway(t, gatewaySecret)
	for body, want := range map[string][]Receipt{
		`{"message_id":"m-1","status":"accepted"}`:                      {{Message: "m-1", State: Accepted}},
		`{"message_id":"m-1","status":"sent"}`:                          {{Message: "m-1", State: Sent}},
		`{"message_id":"m-1","status":"delivered","more":[1]}`:          {{Message: "m-1", State: Delivered}},
		`{"message_id":"m-1","status":"undelivered","code":"DLR-4.2"}`:  {{Message: "m-1", State: Undelivered, Code: "DLR-4.2"}},
		`{"message_id":"m-1","status":"failed","code":"not a code: x"}`: {{Message: "m-1", State: Failed}},
		`{"message_id":"m-1","status":"failed","code":"31415"}`:         {{Message: "m-1", State: Failed}}, // it might be the text's
		`{"message_id":"m-1","status":"unknown","code":null}`:           {{Message: "m-1", State: Unknown}},
	} {
		receipts, err := g.Receipts(gatewayCallback(body))
		if d := cmp.Diff(want, receipts); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", body, err, d)
		}
	}
	for _, body := range []string{
		"", "x", "[]", `{}`, `{"message_id":"m-1"}`, `{"status":"sent"}`, `{"message_id":"m-1","status":"DELIVERED"}`,
		`{"message_id":"m 1","status":"sent"}`, `{"message_id":7,"status":"sent"}`, `{"message_id":"m-1","status":"sent","code":7}`,
		`{"message_id":"` + strings.Repeat("m", 129) + `","status":"sent"}`,
	} {
		if receipts, err := g.Receipts(gatewayCallback(body)); err != errBadReceipt || receipts != nil {
			t.Errorf("%s: receipts %v, %v", body, receipts, err)
		}
	}
}

func TestGatewayReceiptSecrets(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef01234567")
	body := []byte(`{"message_id":"m-1","status":"sent"}`)
	for _, secret := range []string{
		string(key), "whsec_" + base64.StdEncoding.EncodeToString(key), "whsec_" + base64.RawURLEncoding.EncodeToString(key),
	} {
		c := Callback{URL: receiptURL, Body: body, Header: signGateway(key, "r-1", gatewayNow, body)}
		if _, forged := receive(t, receivingGateway(t, secret), c); forged {
			t.Errorf("signed with %s: forged", secret)
		}
		rotating := signGateway(key, "r-1", gatewayNow, body)
		rotating.Set("webhook-signature", "v1a,AAAA v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))+" "+rotating.Get("webhook-signature"))
		if _, forged := receive(t, receivingGateway(t, secret), Callback{URL: receiptURL, Body: body, Header: rotating}); forged {
			t.Errorf("signed with %s among others: forged", secret)
		}
	}
	d := Deps{Client: NewHTTPClient(ClientConfig{})}
	for secret, want := range map[string]string{
		"hunter2":       "options.receipt_secret: is shorter than 16 bytes",
		"whsec_hunter2": "options.receipt_secret: is ",
		"whsec_%":       "options.receipt_secret: is not base64",
	} {
		checkProblems(t, `{"provider":"sms_gateway","gateway_url":"https://gateway.example/","receipt_secret":"`+secret+`"}`, d, []string{want})
	}
}

func TestGatewayRefusesForgedReceipts(t *testing.T) {
	t.Parallel()
	g := receivingGateway(t, gatewaySecret)
	body := `{"message_id":"m-1","status":"delivered"}`
	header := func(name, value string) Callback {
		c := gatewayCallback(body)
		if c.Header.Set(name, value); value == "" {
			c.Header.Del(name)
		}
		return c
	}
	at := func(d time.Duration) Callback {
		return Callback{URL: receiptURL, Body: []byte(body), Header: signGateway([]byte(gatewaySecret), "r-1", gatewayNow.Add(d), []byte(body))}
	}
	cases := map[string]Callback{
		"no id":              header("webhook-id", ""),
		"no timestamp":       header("webhook-timestamp", ""),
		"no signature":       header("webhook-signature", ""),
		"another id":         header("webhook-id", "r-2"),
		"another timestamp":  header("webhook-timestamp", strconv.FormatInt(gatewayNow.Unix()+1, 10)),
		"a timestamp's tail": header("webhook-timestamp", strconv.FormatInt(gatewayNow.Unix(), 10)+".5"),
		"version only":       header("webhook-signature", "v1,"),
		"another version":    header("webhook-signature", strings.Replace(gatewayCallback(body).Header.Get("webhook-signature"), "v1", "v2", 1)),
		"no version":         header("webhook-signature", strings.TrimPrefix(gatewayCallback(body).Header.Get("webhook-signature"), "v1,")),
		"another secret":     {Body: []byte(body), Header: signGateway([]byte("another"), "r-1", gatewayNow, []byte(body))},
		"an empty secret":    {Body: []byte(body), Header: signGateway(nil, "r-1", gatewayNow, []byte(body))},
		"no header at all":   {Body: []byte(body)},
		"too old":            at(-5*time.Minute - time.Second),
		"too new":            at(5*time.Minute + time.Second),
		"of the epoch":       at(time.Duration(-gatewayNow.Unix()) * time.Second),
	}
	for i, changed := range altered([]byte(body)) {
		c := gatewayCallback(body)
		c.Body = changed
		cases[fmt.Sprint("bit ", i)] = c
	}
	for name, c := range cases {
		if receipts, forged := receive(t, g, c); !forged {
			t.Errorf("%s: not forged, receipts %v", name, receipts)
		}
	}
	for _, d := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		if _, forged := receive(t, g, at(d)); forged {
			t.Errorf("made %v from now: forged", d)
		}
	}
	deaf := receivingGateway(t, "")
	for _, key := range []string{gatewaySecret, ""} {
		c := Callback{URL: receiptURL, Body: []byte(body), Header: signGateway([]byte(key), "r-1", gatewayNow, []byte(body))}
		if _, forged := receive(t, deaf, c); !forged {
			t.Errorf("without receipt_secret, one signed with %q is taken", key)
		}
	}
}

// A gateway that may send receipts is told how, beside Auth0's body and not in it.
func TestGatewayIsToldWhereToSendReceipts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret, url string
		told        bool
	}{
		"both":               {gatewaySecret, receiptURL, true},
		"no secret":          {"", receiptURL, false},
		"nobody who listens": {gatewaySecret, "", false},
	} {
		rec := newRecorder(t, nil)
		g := newTestGateway(t, GatewayConfig{URL: rec.URL, ReceiptSecret: c.secret})
		m := testMessage(t)
		m.ID, m.ReceiptURL = "m-1", c.url
		if id, err := g.Send(t.Context(), m); err != nil || id != "" {
			t.Fatalf("Send = %q, %v: a gateway speaks of messages by our name", id, err)
		}
		id, url := rec.headers[0].Get("Handset-Message-Id"), rec.headers[0].Get("Handset-Receipt-Url")
		if told := id == "m-1" && url == receiptURL; told != c.told || !told && id+url != "" {
			t.Errorf("%s: told %q and %q", name, id, url)
		}
		if body := rec.lastBody(); strings.Contains(body, "m-1") || strings.Contains(body, "receipt") {
			t.Errorf("%s: the body is not Auth0's: %s", name, body)
		}
	}
}

func TestGatewaySaysThatANumberIsBad(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) })
	err := try(t.Context(), t, newTestGateway(t, GatewayConfig{URL: rec.URL}))
	checkFailure(t, err, Error{Kind: KindNumber, Status: 422})
	if said := AsError(err).Error(); said != "number can't be texted (status 422)" || !AsError(err).Final() {
		t.Errorf("%s, final %t", said, AsError(err).Final())
	}
}

func FuzzGatewayReceipts(f *testing.F) {
	f.Add("r-1", []byte(`{"message_id":"m-1","status":"delivered","code":"a"}`), "v1,", int64(0))
	f.Add("", []byte(`{"message_id":null}`), "v1,AAAA v1a,", int64(-300))
	f.Add("r.1", []byte("{"), "", int64(301))
	f.Fuzz(func(t *testing.T, id string, body []byte, signature string, away int64) {
		g := receivingGateway(t, gatewaySecret)
		made := gatewayNow.Add(time.Duration(away%1000) * time.Second)
		c := Callback{URL: receiptURL, Body: body, Header: signGateway([]byte("another"), id, made, body)}
		c.Header.Set("webhook-signature", signature)
		if _, forged := receive(t, g, c); !forged {
			t.Fatal("a made-up signature is taken")
		}
		c.Header = signGateway([]byte(gatewaySecret), id, made, body)
		receipts, forged := receive(t, g, c)
		checkFuzzed(t, receipts)
		if away %= 1000; forged != (id == "" || away < -300 || away > 300) {
			t.Fatalf("forged: %t, %d s away", forged, away)
		}
	})
}
