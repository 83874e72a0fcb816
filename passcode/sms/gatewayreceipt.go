package sms

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// minReceiptSecret is the least number of bytes of a receipt secret: whoever
// guesses it can lie about texts.
const minReceiptSecret = 16

// CheckReceiptSecret returns what is wrong with a secret for receipts, without
// quoting it. None is none.
func CheckReceiptSecret(secret string) error {
	_, err := newReceiptVerifier(secret)
	return err
}

// newReceiptVerifier returns nil without a secret.
func newReceiptVerifier(secret string) (*standardwebhooks.Webhook, error) {
	if secret == "" {
		return nil, nil
	}
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		decoded, err := decodeBase64(encoded)
		if err != nil {
			return nil, errors.New("is not base64 behind whsec_")
		}
		key = decoded
	}
	if len(key) < minReceiptSecret {
		return nil, errors.New("is shorter than " + strconv.Itoa(minReceiptSecret) + " bytes")
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// gatewayReceipt is the body of a gateway's callback, which is ours, since Auth0
// has none.
type gatewayReceipt struct {
	Message string `json:"message_id"`
	Status  State  `json:"status"`
	Code    string `json:"code"`
}

// Receipts reads a callback signed as Standard Webhooks say. One that is sent
// again within five minutes passes: a gateway that lost our answer must send it again,
// by the same specification. It says the same, and whoever keeps receipts knows that
// it was told.
func (g *Gateway) Receipts(c Callback) ([]Receipt, error) {
	if g.receipts == nil {
		return nil, ErrForged
	}
	// The library's own look at the time is by a clock that tests can't move.
	if err := g.receipts.VerifyIgnoringTimestamp(c.Body, c.Header); err != nil {
		return nil, ErrForged
	}
	made, err := strconv.ParseInt(c.Header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil || !isFresh(time.Unix(made, 0), g.config.Now()) {
		return nil, ErrForged
	}
	var said gatewayReceipt
	if err := json.Unmarshal(c.Body, &said); err != nil {
		return nil, errBadReceipt
	}
	switch said.Status {
	case Accepted, Sent, Delivered, Undelivered, Failed, Unknown:
	default:
		return nil, errBadReceipt
	}
	if said.Message = cleanName(said.Message); said.Message == "" {
		return nil, errBadReceipt
	}
	code := cleanCode(said.Code)
	if strings.Trim(code, "0123456789") == "" {
		code = "" // it might be the code of the text
	}
	return []Receipt{{Message: said.Message, State: said.Status, Code: code}}, nil
}
