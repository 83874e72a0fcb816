package sms

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"strconv"
	"strings"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// In which base receipts write a number that the answer to the message wrote in the
// other one; see [SMPPConfig.ReceiptID].
const (
	sameID    = "same"
	decimalID = "decimal"
	hexID     = "hex"
)

// Message types in esm_class (SMPP 3.4 §5.2.12) by which an SMSC marks a receipt.
// The mark is the SMSC's, while a text is anybody's: whoever texts us what looks
// like a receipt has not made one.
const (
	esmType         = 0x3c
	esmReceipt      = data.SM_SMSC_DLV_RCPT_TYPE
	esmIntermediate = data.SM_INTMD_DLV_NOTIFY_TYPE
)

// readReceipt returns the receipt that a deliver_sm or data_sm is, and false for
// messages of other kinds, such as what people answer to our texts.
func readReceipt(p pdu.PDU, base string) (Receipt, bool) {
	switch p := p.(type) {
	case *pdu.DeliverSM:
		return receiptOf(p.EsmClass, shortMessage(p), p.OptionalParameters, base)
	case *pdu.DataSM:
		text := p.OptionalParameters[pdu.TagMessagePayload]
		return receiptOf(p.EsmClass, decodeReceipt(text.Data, p.DataCoding), p.OptionalParameters, base)
	}
	return Receipt{}, false
}

// shortMessage returns what stands in short_message, or in message_payload when
// that one is empty.
func shortMessage(p *pdu.DeliverSM) string {
	octets, _ := p.Message.GetMessageData() // it never fails
	if len(octets) == 0 {
		payload := p.OptionalParameters[pdu.TagMessagePayload]
		octets = payload.Data
	}
	coding := data.GSM7BITCoding
	if e := p.Message.Encoding(); e != nil {
		coding = e.DataCoding()
	}
	return decodeReceipt(octets, coding)
}

// decodeReceipt reads a receipt's text. Its keys and values are the same in all
// alphabets of one octet.
func decodeReceipt(octets []byte, coding byte) string {
	if coding == data.UCS2Coding {
		if text, err := data.UCS2.Decode(octets); err == nil {
			return text
		}
	}
	return string(octets)
}

// receiptOf reads what SMSCs say in parameters of their own (SMPP 3.4 §5.3.2.12,
// §5.3.2.35) or in the text of appendix B; most say it in both, some in one.
func receiptOf(esm byte, text string, tlvs map[pdu.Tag]pdu.Field, base string) (Receipt, bool) {
	named := tlvs[pdu.TagReceiptedMessageID]
	if kind := esm & esmType; kind != esmReceipt && kind != esmIntermediate && len(named.Data) == 0 {
		return Receipt{}, false
	}
	said := parseReceiptText(text)
	id := named.String()
	if id == "" {
		id = said.id
	}
	r := Receipt{Message: receiptID(id, base), State: said.state()}
	reason := said.stat
	if tlv := tlvs[pdu.TagMessageStateOption]; len(tlv.Data) == 1 {
		if word, ok := messageStates[tlv.Data[0]]; ok {
			r.State, reason = states[word], word
		}
	}
	if r.State != Delivered && r.State != Sent {
		r.Code = joinCode(reason, said.err, tlvs[pdu.TagNetworkErrorCode].Data)
	}
	return r, r.Message != ""
}

// receiptText is what counts of "id:… sub:… dlvrd:… submit date:… done date:…
// stat:… err:… text:…".
type receiptText struct{ id, stat, err string }

// parseReceiptText reads a receipt's text. Vendors differ in order, case and what
// they leave out; what stands behind "text:" is ours and says nothing.
func parseReceiptText(text string) receiptText {
	if i := fieldAt(text, "text:"); i >= 0 {
		text = text[:i]
	}
	return receiptText{
		id:   cleanName(field(text, "id:")),
		stat: strings.ToUpper(cleanCode(field(text, "stat:"))),
		err:  cleanCode(field(text, "err:")),
	}
}

// fieldAt finds a key at the beginning of a word, in letters of either case.
func fieldAt(text, key string) int {
	for i := 0; i+len(key) <= len(text); i++ {
		if (i == 0 || isGap(text[i-1])) && strings.EqualFold(text[i:i+len(key)], key) {
			return i
		}
	}
	return -1
}

// field returns the word behind a key.
func field(text, key string) string {
	i := fieldAt(text, key)
	if i < 0 {
		return ""
	}
	value := text[i+len(key):]
	if end := strings.IndexFunc(value, func(r rune) bool { return r < 0x80 && isGap(byte(r)) }); end >= 0 {
		value = value[:end]
	}
	return value
}

func isGap(c byte) bool { return c <= ' ' || c == ',' || c == ';' }

// messageStates are the values of message_state (SMPP 3.4 §5.2.28) by their words.
var messageStates = map[byte]string{
	1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD", 7: "UNKNOWN", 8: "REJECTD",
}

// states are what the words of SMPP 3.4 appendix B mean here, with the spellings
// that vendors have besides.
var states = map[string]State{
	"ENROUTE": Sent, "ACCEPTD": Sent, "ACCEPTED": Sent, "ACKED": Sent, "BUFFERED": Sent, "BUFFRED": Sent, "SENT": Sent,
	"DELIVRD": Delivered, "DELIVERED": Delivered,
	"EXPIRED": Undelivered, "DELETED": Undelivered, "UNDELIV": Undelivered, "UNDELIVERABLE": Undelivered, "UNDELIVERED": Undelivered,
	"REJECTD": Failed, "REJECTED": Failed, "FAILED": Failed,
}

// state is [Unknown] for UNKNOWN and for words that nobody told us.
func (t receiptText) state() State {
	if s, ok := states[t.stat]; ok {
		return s
	}
	return Unknown
}

// joinCode makes "UNDELIV-011" of a state and the reason for it, which stands in
// the text or in network_error_code: a kind of network and a number.
func joinCode(word, reason string, network []byte) string {
	if len(network) == 3 && strings.Trim(reason, "0") == "" {
		reason = strconv.Itoa(int(binary.BigEndian.Uint16(network[1:])))
	}
	if strings.Trim(reason, "0") == "" {
		return word
	}
	return cmp.Or(cleanCode(strings.TrimPrefix(word+"-"+reason, "-")), word)
}

// messageID is the name of a message by what the SMSC answered: in lower case and,
// when it is a number, without zeros in front. Some SMSCs write it otherwise in
// their receipts.
func messageID(answered string) string {
	id := strings.ToLower(cleanName(answered))
	if strings.Trim(id, "0123456789abcdef") != "" {
		return id
	}
	if short := strings.TrimLeft(id, "0"); short != "" || id == "" {
		return short
	}
	return "0"
}

// receiptID is messageID of what a receipt says, written in the base of the answer.
// An ID that is no number of the receipts' base is in the answer's already.
func receiptID(said, base string) string {
	id := messageID(said)
	from, to := 10, 16
	switch base {
	case decimalID:
	case hexID:
		from, to = 16, 10
	default:
		return id
	}
	n, ok := new(big.Int).SetString(id, from)
	if !ok || strings.ContainsAny(id, "+-_") {
		return id
	}
	return n.Text(to)
}
