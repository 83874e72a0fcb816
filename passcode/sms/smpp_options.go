package sms

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// maxTON and maxNPI are the last values of SMPP 3.4 §5.2.5 and §5.2.6.
const maxTON, maxNPI = 6, 18

// newSMPP reads the options of `provider: smpp`.
func newSMPP(o *Options, d Deps) Sender {
	return o.made(NewSMPP(SMPPConfig{
		Host: o.Text("smpp_host"), SystemID: o.Text("smpp_system_id"), Password: o.Text("smpp_password"),
		SystemType: o.Text("smpp_system_type"), From: o.Text("from"),
		InsecurePlain: !o.Flag("smpp_tls", true), RootCAs: rootsOption(o), AllowPrivate: d.AllowPrivate,
		Window:      wholeOption(o, "smpp_window", smppWindow, 1, 1000),
		Rate:        wholeOption(o, "smpp_rate", 0, 0, 10_000),
		EnquireLink: o.Seconds("smpp_enquire_link", smppEnquireLink, time.Second, 10*time.Minute),
		Timeout:     o.vendorTimeout(),
		Source:      SMPPAddress{byteOption(o, "smpp_source_ton", maxTON), byteOption(o, "smpp_source_npi", maxNPI)},
		Destination: SMPPAddress{byteOption(o, "smpp_destination_ton", maxTON), byteOption(o, "smpp_destination_npi", maxNPI)},
		LongPayload: choiceOption(o, "smpp_long", "udh", "payload") == "payload",
		ReceiptID:   choiceOption(o, "smpp_receipt_id", sameID, decimalID, hexID),
		Receipts:    d.Receipts,
	}))
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
