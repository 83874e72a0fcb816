package passwordless

import (
	"testing"

	"github.com/handset-oidc/handset/passcode/sms"
)

// Auth0's three texts, and what goes with a vendor's own code.
func TestGatewayErrorsInAuth0sWords(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*sms.Error{
		"Unexpected response while calling the SMS gateway: 503":          {Kind: sms.KindStatus, Status: 503},
		"Authentication failed while calling the SMS gateway: 401":        {Kind: sms.KindUnauthorized, Status: 401},
		"Timeout while calling the SMS gateway: ETIMEDOUT":                {Kind: sms.KindTimeout},
		"Unexpected response while calling the SMS gateway: ECONNREFUSED": {Kind: sms.KindUnreachable, Code: "ECONNREFUSED"},
		"Unexpected response while calling the SMS gateway: 422":          {Kind: sms.KindNumber, Status: 422},
		"The SMS provider refused the message (Code: 21408)":              {Kind: sms.KindRefused, Code: "21408"},
	} {
		if got := gatewayError(e); got != want {
			t.Errorf("%v: %q, want %q", e, got, want)
		}
	}
}
