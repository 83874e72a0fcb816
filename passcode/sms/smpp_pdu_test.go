package sms

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// Whatever a server sends, the PDU after it begins where its length says, and
// nothing of it can stop the program.
func FuzzSMPPPDU(f *testing.F) {
	for _, p := range []pdu.PDU{pdu.NewSubmitSMResp(), pdu.NewEnquireLink(), pdu.NewUnbind(), pdu.NewGenericNack(), pdu.NewBindTransceiverResp()} {
		b := pdu.NewBuffer(nil)
		p.Marshal(b)
		f.Add(b.Bytes())
	}
	receipt := pdu.NewDeliverSM().(*pdu.DeliverSM)
	receipt.EsmClass = data.SM_UDH_GSM | data.SM_SMSC_DLV_RCPT_TYPE
	if err := receipt.Message.SetMessageDataWithEncoding([]byte("id:7 stat:DELIVRD"), data.GSM7BIT); err != nil {
		f.Fatal(err)
	}
	receipt.Message.SetUDH(pdu.UDH{pdu.NewIEConcatMessage(2, 1, 9)})
	receipt.RegisterOptionalParam(pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("7\x00")})
	b := pdu.NewBuffer(nil)
	receipt.Marshal(b)
	f.Add(b.Bytes())
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	next, err := hex.DecodeString("00000010800000150000000000000063")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		stream := bytes.NewReader(append(bytes.Clone(octets), next...))
		header, p, err := readPDU(stream)
		if err != nil {
			return
		}
		if header.CommandLength < headerSize || header.CommandLength > maxPDU {
			t.Fatalf("a length of %d", header.CommandLength)
		}
		if r, ok := readReceipt(p, sameID); ok && (r.Message == "" || r.Message != cleanName(r.Message)) {
			t.Errorf("receipt %+v", r)
		}
		if int(header.CommandLength) == len(octets) {
			after, _, err := readPDU(stream)
			if err != nil || after.SequenceNumber != 0x63 {
				t.Errorf("the next PDU is %+v, %v", after, err)
			}
		}
	})
}
