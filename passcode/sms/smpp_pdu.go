package sms

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

const (
	headerSize = data.PDU_HEADER_SIZE
	// maxPDU is far above what an SMSC has to say: a text is 254 octets, a payload
	// some thousand.
	maxPDU = data.MAX_PDU_LEN
)

var errPDU = errors.New("not SMPP")

// readPDU reads the next PDU. It is nil, and its header all there is, when its body
// can't be read or nobody looks at it: the library panics at bodies of commands that
// an SMSC has no business to send. The next one begins where it should all the same.
// A length that can't be one is an error: nothing says where the next PDU begins.
func readPDU(r io.Reader) (pdu.Header, pdu.PDU, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return pdu.Header{}, nil, err
	}
	header := pdu.ParseHeader(head)
	if header.CommandLength < headerSize || header.CommandLength > maxPDU {
		return header, nil, errPDU
	}
	frame := make([]byte, header.CommandLength)
	copy(frame, head[:])
	if _, err := io.ReadFull(r, frame[headerSize:]); err != nil {
		return header, nil, err
	}
	switch header.CommandID {
	case data.SUBMIT_SM_RESP, data.DELIVER_SM, data.DATA_SM:
		return parsePDU(header, frame)
	}
	return header, nil, nil
}

// parsePDU reads a body. A panic of the library is an error, which ends the session
// and not the process: nothing is known of what comes behind such a PDU.
func parsePDU(header pdu.Header, frame []byte) (_ pdu.Header, p pdu.PDU, err error) {
	defer func() {
		if recover() != nil {
			p, err = nil, errPDU
		}
	}()
	p, parsed := pdu.Parse(bytes.NewReader(frame))
	if parsed != nil {
		return header, nil, nil
	}
	return header, p, nil
}

// statusError makes an error of command_status (SMPP 3.4 §5.1.3). Only a destination
// that the SMSC can't have is the number's fault.
func statusError(status data.CommandStatusType) *Error {
	kind := KindRefused
	switch status {
	case data.ESME_RINVDSTADR:
		kind = KindNumber
	case data.ESME_RTHROTTLED, data.ESME_RMSGQFUL, data.ESME_RSYSERR, data.ESME_RINVBNDSTS:
		kind = KindAccount
	}
	code := status.String()
	if !strings.HasPrefix(code, "ESME_") { // one of the vendor's own
		code = fmt.Sprintf("ESME_0x%X", uint32(status))
	}
	return &Error{Kind: kind, Code: code}
}
