package sms

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// Room in one short message (3GPP TS 23.040 §9.2.3.24.1), in octets as we hand them
// over: GSM-7 is sent unpacked, one septet to an octet, and the SMSC packs it; UCS-2
// takes two octets a unit. A part of a longer text has a header that tells its place.
const (
	gsm7Alone, gsm7Part = 160, 153
	ucs2Alone, ucs2Part = 140, 134
	// maxParts is what the header can count.
	maxParts = 255
)

// smppText is a body in the encoding it travels in.
type smppText struct {
	coding data.Encoding
	octets []byte
}

// encodeSMPP takes the default alphabet (data_coding 0) where it has all characters
// of the body, and UCS-2 (data_coding 8) otherwise, as [Segments] tells operators.
func encodeSMPP(body string) (smppText, error) {
	coding := data.GSM7BIT
	if encoding, _, _ := Segments(body); encoding == UCS2 {
		coding = data.UCS2
	}
	octets, err := coding.Encode(body)
	return smppText{coding, octets}, err
}

// long reports whether the text needs more than one short message.
func (t smppText) long() bool {
	if t.coding == data.UCS2 {
		return len(t.octets) > ucs2Alone
	}
	return len(t.octets) > gsm7Alone
}

// split cuts a long text into parts. An escape and the character it belongs to, and
// a surrogate pair, stay together: half of either is another character.
func (t smppText) split() [][]byte {
	room, together := gsm7Part, endsInEscape
	if t.coding == data.UCS2 {
		room, together = ucs2Part, endsInHighSurrogate
	}
	var parts [][]byte
	rest := t.octets
	for len(rest) > room {
		n := room
		if cut := together(rest[:n]); cut > 0 {
			n -= cut
		}
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	return append(parts, rest)
}

// endsInEscape returns 1 when the last septet is an escape that begins a character.
// No second half of an escaped character has the escape's own code.
func endsInEscape(septets []byte) int {
	if septets[len(septets)-1] == 0x1b {
		return 1
	}
	return 0
}

// endsInHighSurrogate returns 2 when the last unit needs the next one.
func endsInHighSurrogate(octets []byte) int {
	unit := rune(octets[len(octets)-2])<<8 | rune(octets[len(octets)-1])
	if utf16.IsSurrogate(unit) && unit < 0xdc00 {
		return 2
	}
	return 0
}

var errParts = errors.New("text is longer than texts can be")

// submits makes the PDUs of a body. Long texts are one PDU with the whole text in
// message_payload where payload says so, and else parts with a header each that
// names the text by ref.
func submits(body string, payload bool, ref byte) ([]*pdu.SubmitSM, error) {
	text, err := encodeSMPP(body)
	if err != nil {
		return nil, err
	}
	if !text.long() {
		return only(newSubmit(text.coding, text.octets))
	}
	if payload {
		return only(newPayload(text))
	}
	parts := text.split()
	if len(parts) > maxParts {
		return nil, errParts
	}
	var out []*pdu.SubmitSM
	for i, octets := range parts {
		p, err := newSubmit(text.coding, octets)
		if err != nil {
			return nil, err
		}
		p.EsmClass = data.SM_UDH_GSM
		p.Message.SetUDH(pdu.UDH{pdu.NewIEConcatMessage(byte(len(parts)), byte(i+1), ref)})
		out = append(out, p)
	}
	return out, nil
}

func only(p *pdu.SubmitSM, err error) ([]*pdu.SubmitSM, error) { return []*pdu.SubmitSM{p}, err }

// newSubmit asks for a receipt about the outcome, good or bad.
func newSubmit(coding data.Encoding, octets []byte) (*pdu.SubmitSM, error) {
	p := pdu.NewSubmitSM().(*pdu.SubmitSM)
	p.RegisteredDelivery = data.SM_SMSC_RECEIPT_REQUESTED
	return p, p.Message.SetMessageDataWithEncoding(octets, coding)
}

func newPayload(text smppText) (*pdu.SubmitSM, error) {
	if len(text.octets) > maxParts*ucs2Part {
		return nil, errParts
	}
	p, err := newSubmit(text.coding, nil)
	if err != nil {
		return nil, err
	}
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagMessagePayload, Data: text.octets})
	return p, nil
}

// SMPPAddress says what kind of address one is, where it is not what it looks like.
type SMPPAddress struct {
	// TON and NPI are type of number and numbering plan (SMPP 3.4 §5.2.5, §5.2.6);
	// nil leaves them to the look of the address.
	TON, NPI *byte
}

// maxAddress is source_addr's room (SMPP 3.4 §5.2.8), without the NUL behind it.
const maxAddress = 20

const (
	// maxShortCode is the longest row of digits that is taken for a short code.
	maxShortCode = 8
	// maxSenderName is what phones show of a name (3GPP TS 23.040 §9.1.2.5).
	maxSenderName = 11
)

var errSender = errors.New("sender is not one that a text can have")

// sender makes source_addr: "+4912345" and long rows of digits are international
// numbers, short ones short codes, all else is a name. Empty leaves the sender to
// the SMSC.
func (a SMPPAddress) sender(from string) (pdu.Address, error) {
	digits := strings.TrimPrefix(from, "+")
	numeric := digits != "" && strings.Trim(digits, "0123456789") == ""
	switch {
	case !plainASCII(from) || len(from) > maxAddress:
		return pdu.Address{}, errSender
	case from == "":
		return a.address(data.GSM_TON_UNKNOWN, data.GSM_NPI_UNKNOWN, "")
	case !numeric && len(from) > maxSenderName:
		return pdu.Address{}, errSender
	case !numeric:
		return a.address(data.GSM_TON_ALPHANUMERIC, data.GSM_NPI_UNKNOWN, from)
	case digits == from && len(from) <= maxShortCode:
		return a.address(data.GSM_TON_NETWORK, data.GSM_NPI_UNKNOWN, from)
	}
	return a.international(digits)
}

// international makes the address of an E.164 number, without its plus.
func (a SMPPAddress) international(digits string) (pdu.Address, error) {
	return a.address(data.GSM_TON_INTERNATIONAL, data.GSM_NPI_E164, digits)
}

func (a SMPPAddress) address(ton, npi byte, text string) (pdu.Address, error) {
	if a.TON != nil {
		ton = *a.TON
	}
	if a.NPI != nil {
		npi = *a.NPI
	}
	return pdu.NewAddressWithTonNpiAddr(ton, npi, text)
}

// plainASCII reports whether a text can be a C-octet string as it is: a NUL inside
// would end the field early and make other fields of what follows.
func plainASCII(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' || c > '~' })
}
