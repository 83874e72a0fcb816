package sms

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSMPPOptions(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	pemText, err := json.Marshal(ca.pem)
	if err != nil {
		t.Fatal(err)
	}
	one, zero := byte(1), byte(0)
	for name, c := range map[string]struct {
		options string
		want    SMPPConfig
	}{
		"least": {`{"provider":"smpp","smpp_host":"smsc.example:3550","smpp_system_id":"a"}`, SMPPConfig{
			Host: "smsc.example:3550", SystemID: "a", Window: 10, EnquireLink: 30 * time.Second, Timeout: 10 * time.Second, ReceiptID: "same",
		}},
		"most": {`{"provider":"smpp","smpp_host":"10.0.0.1:2775","smpp_system_id":"a","smpp_password":"hunter2","smpp_system_type":"b",
			"smpp_tls":"false","smpp_ca":` + string(pemText) + `,"smpp_window":3,"smpp_rate":20,"smpp_enquire_link":15,"timeout":5,
			"smpp_source_ton":1,"smpp_source_npi":0,"smpp_destination_ton":0,"smpp_destination_npi":1,
			"smpp_long":"payload","smpp_receipt_id":"decimal","from":"Handset"}`, SMPPConfig{
			From: "Handset",
			Host: "10.0.0.1:2775", SystemID: "a", Password: "hunter2", SystemType: "b", InsecurePlain: true, RootCAs: ca.pool(),
			Window: 3, Rate: 20, EnquireLink: 15 * time.Second, Timeout: 5 * time.Second,
			Source: SMPPAddress{&one, &zero}, Destination: SMPPAddress{&zero, &one}, LongPayload: true, ReceiptID: "decimal",
		}},
		"spelled out": {`{"provider":"smpp","smpp_host":"[2001:4860::1]:3550","smpp_system_id":"a","smpp_tls":true,"smpp_long":"udh","smpp_receipt_id":"hex","smpp_password":null}`, SMPPConfig{
			Host: "[2001:4860::1]:3550", SystemID: "a", Window: 10, EnquireLink: 30 * time.Second, Timeout: 10 * time.Second, ReceiptID: "hex",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, problems := senderOf(t, c.options, Deps{AllowPrivate: true})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if said := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(said, "hunter2") {
				t.Errorf("it prints its password: %s", said)
			}
			c.want.AllowPrivate, c.want.Backoff = true, time.Second
			if d := cmp.Diff(c.want, s.(*SMPP).config); d != "" {
				t.Errorf("configuration (-want +got):\n%s", d)
			}
		})
	}
}

func TestSMPPOptionProblems(t *testing.T) {
	t.Parallel()
	const least = `"provider":"smpp","smpp_host":"smsc.example:3550","smpp_system_id":"a"`
	for options, want := range map[string]string{
		`{"provider":"smpp"}`: "options.smpp_host: is missing\noptions.smpp_system_id: is missing",
		`{"provider":"smpp","smpp_system_id":"a","smpp_host":"smsc.example"}`:     "options.smpp_host: is not host:port",
		`{"provider":"smpp","smpp_system_id":"a","smpp_host":":3550"}`:            "options.smpp_host: is not host:port",
		`{"provider":"smpp","smpp_system_id":"a","smpp_host":"a:65536"}`:          "options.smpp_host: is not host:port",
		`{"provider":"smpp","smpp_system_id":"a","smpp_host":"a:0"}`:              "options.smpp_host: is not host:port",
		`{"provider":"smpp","smpp_system_id":"a","smpp_host":"127.0.0.1:2775"}`:   "options.smpp_host: is a private or reserved address (see allow_private_gateways)",
		`{"provider":"smpp","smpp_system_id":7,"smpp_host":"a:2775"}`:             "options.smpp_system_id: is not a string",
		`{` + least + `,"smpp_password":"hunter2\u0000"}`:                         "options.smpp_password: has characters that are not ASCII",
		`{` + least + `,"smpp_system_type":"hunter2hunter2"}`:                     "options.smpp_system_type: has more than 12 characters",
		`{` + least + `,"smpp_tls":"maybe"}`:                                      "options.smpp_tls: is neither true nor false",
		`{` + least + `,"smpp_ca":"hunter2"}`:                                     "options.smpp_ca: holds no certificate in PEM",
		`{` + least + `,"smpp_window":0}`:                                         "options.smpp_window: is not between 1 and 1000",
		`{` + least + `,"smpp_window":1.5}`:                                       "options.smpp_window: is not a whole number",
		`{` + least + `,"smpp_rate":-1}`:                                          "options.smpp_rate: is not between 0 and 10000",
		`{` + least + `,"smpp_enquire_link":0}`:                                   "options.smpp_enquire_link: is not between 1 and 600 seconds",
		`{` + least + `,"timeout":61}`:                                            "options.timeout: is not between 1 and 30 seconds",
		`{` + least + `,"smpp_source_ton":7}`:                                     "options.smpp_source_ton: is not between 0 and 6",
		`{` + least + `,"smpp_destination_npi":-1}`:                               "options.smpp_destination_npi: is not between 0 and 18",
		`{` + least + `,"smpp_long":"sar"}`:                                       "options.smpp_long: is not one of: udh, payload",
		`{` + least + `,"smpp_receipt_id":"octal"}`:                               "options.smpp_receipt_id: is not one of: same, decimal, hex",
		`{` + least + `,"from":"a very long name"}`:                               "options.from: is no number, no short code, and no name of at most 11 ASCII characters",
		`{` + least + `,"smpp_window":0,"smpp_rate":"a","smpp_receipt_id":"oct"}`: "options.smpp_window: is not between 1 and 1000\noptions.smpp_rate: is not a whole number\noptions.smpp_receipt_id: is not one of: same, decimal, hex",
	} {
		s, problems := senderOf(t, options, Deps{})
		if problems.Error() != want || s != nil {
			t.Errorf("%s:\n got %v\nwant %s", options, problems, want)
		}
		if strings.Contains(problems.Error(), "hunter2") {
			t.Errorf("a problem quotes a secret: %v", problems)
		}
	}
}

func TestSMPPReceiptsGoWhereDepsSay(t *testing.T) {
	t.Parallel()
	var got []Receipt
	s, problems := senderOf(t, `{"provider":"smpp","smpp_host":"smsc.example:3550","smpp_system_id":"a"}`, Deps{
		Receipts: func(_ context.Context, r Receipt) error { got = append(got, r); return nil },
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := s.(*SMPP).config.Receipts(t.Context(), Receipt{Message: "a"}); err != nil || len(got) != 1 {
		t.Errorf("receipts %v, %v", got, err)
	}
}

func TestSMPPNeedsAnAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []SMPPConfig{{Host: "smsc.example:3550"}, {SystemID: "a"}, {Host: "127.0.0.1:2775", SystemID: "a"}} {
		if s, err := NewSMPP(c); err == nil {
			t.Errorf("%+v makes %v", c, s)
		}
	}
}
