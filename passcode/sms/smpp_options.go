package sms

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const (
	// What the fields of a bind have room for (SMPP 3.4 §4.1.5). SMSCs give longer
	// passwords than §5.2.2 allows, so that one has no limit here.
	maxSystemID, maxSystemType = 15, 12
	// maxTON and maxNPI are the last values of SMPP 3.4 §5.2.5 and §5.2.6.
	maxTON, maxNPI = 6, 18
)

// newSMPP reads the options of `provider: smpp`.
func newSMPP(o *Options, d Deps) Sender {
	before := len(*o.found)
	c := SMPPConfig{
		Host:          o.Text("smpp_host"),
		SystemID:      plainOption(o, "smpp_system_id", o.Needed("smpp_system_id"), maxSystemID),
		Password:      plainOption(o, "smpp_password", o.Text("smpp_password"), 0),
		SystemType:    plainOption(o, "smpp_system_type", o.Text("smpp_system_type"), maxSystemType),
		InsecurePlain: !o.Flag("smpp_tls", true), RootCAs: rootsOption(o), AllowPrivate: d.AllowPrivate,
		Window:      wholeOption(o, "smpp_window", smppWindow, 1, 1000),
		Rate:        wholeOption(o, "smpp_rate", 0, 0, 10_000),
		EnquireLink: o.Seconds("smpp_enquire_link", smppEnquireLink, time.Second, 10*time.Minute),
		Timeout:     o.Seconds("timeout", smppTimeout, time.Second, time.Minute),
		Source:      SMPPAddress{byteOption(o, "smpp_source_ton", maxTON), byteOption(o, "smpp_source_npi", maxNPI)},
		Destination: SMPPAddress{byteOption(o, "smpp_destination_ton", maxTON), byteOption(o, "smpp_destination_npi", maxNPI)},
		LongPayload: choiceOption(o, "smpp_long", "udh", "payload") == "payload",
		ReceiptID:   choiceOption(o, "smpp_receipt_id", sameID, decimalID, hexID),
		Receipts:    d.Receipts,
	}
	if err := CheckSMPPHost(c.Host, c.AllowPrivate); err != nil {
		o.Problem("smpp_host", err.Error())
	}
	var from string
	_ = json.Unmarshal(o.values["from"], &from) // whoever reads the connection says when it is no string
	if _, err := c.Source.sender(from); err != nil {
		o.Problem("from", err.Error())
	}
	if len(*o.found) > before {
		return nil
	}
	s, err := NewSMPP(c)
	if err != nil {
		o.Problem("provider", err.Error())
		return nil
	}
	return s
}

// plainOption checks a string that goes into a PDU as it is; most is its longest
// length, 0 for any.
func plainOption(o *Options, key, s string, most int) string {
	switch {
	case !plainASCII(s):
		o.Problem(key, "has characters that are not ASCII")
	case most > 0 && len(s) > most:
		o.Problem(key, fmt.Sprintf("has more than %d characters", most))
	}
	return s
}

func wholeOption(o *Options, key string, otherwise, least, most int) int {
	n := otherwise
	if o.Read(key, &n, "a whole number") && (n < least || n > most) {
		o.Problem(key, fmt.Sprintf("is not between %d and %d", least, most))
	}
	return n
}

// byteOption returns nil when the option is absent.
func byteOption(o *Options, key string, most int) *byte {
	if n := wholeOption(o, key, -1, 0, most); n >= 0 && n <= most {
		b := byte(n)
		return &b
	}
	return nil
}

// choiceOption returns the first of the words when the option is absent.
func choiceOption(o *Options, key string, words ...string) string {
	said := o.Text(key)
	for _, word := range words {
		if said == word {
			return word
		}
	}
	if said != "" {
		o.Problem(key, fmt.Sprintf("is not one of: %s", strings.Join(words, ", ")))
	}
	return words[0]
}

// rootsOption reads the certificates that vouch for the SMSC, instead of the system's.
func rootsOption(o *Options) *x509.CertPool {
	text := o.Text("smpp_ca")
	if text == "" {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		o.Problem("smpp_ca", "holds no certificate in PEM")
	}
	return pool
}
