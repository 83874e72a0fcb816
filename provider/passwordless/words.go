package passwordless

import (
	"fmt"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/provider/oauth"
)

// Auth0's numbers where its clients see them (security.md).
const (
	// tries is how many codes can be typed for one text.
	tries = 3
	// life is that of a code when the connection does not say (totp.time_step).
	life = 3 * time.Minute
)

// wording is an error as Auth0's clients know it: some of Auth0's own SDKs compare
// the texts.
type wording struct {
	status      int
	code        oauth.Code
	description string
}

// Errors that Auth0 documents, or that its clients are known to look for.
var (
	missingClient      = wording{400, "bad.client_id", "Missing required property: client_id"}
	missingConnection  = wording{400, "bad.connection", "Missing required property: connection"}
	noConnection       = wording{400, "bad.connection", "Connection does not exist"}
	disabledConnection = wording{400, "bad.connection", "Connection is disabled"}
	notAllowed         = wording{400, "bad.request", "the following properties are not allowed: "}
	badAuthParams      = wording{400, "bad.authParams", "error in authParams - invalid type: %s (expected object)"}
	missingNumber      = wording{400, "bad.phone_number", "Missing required property: phone_number"}
	badNumber          = wording{400, "bad.phone_number", `String does not match pattern: ^\+[0-9]{1,15}$`}
	needsSecret        = wording{403, oauth.UnauthorizedClient, "Client authentication is required"}
	unknownClient      = wording{403, oauth.UnauthorizedClient, "invalid client"}

	wrongCode   = wording{403, oauth.InvalidGrant, "Wrong phone number or verification code."}
	spentCode   = wording{403, oauth.InvalidGrant, "You've reached the maximum number of attempts. Please try to login again."}
	userBlocked = wording{401, "unauthorized", "user is blocked"}

	otherFields   = wording{400, oauth.InvalidRequest, "Invalid request body. All and only of client_id, credential_type, username, otp, realm are required."}
	unknownRealm  = wording{400, oauth.InvalidRequest, "Unknown realm "}
	noCrossOrigin = wording{401, oauth.UnauthorizedClient, "Cross origin login not allowed."}
	otherType     = wording{400, "unsupported_credential_type", "Unknown credential type parameter."}
	wrongCross    = wording{403, oauth.AccessDenied, "Wrong phone number or verification code."}
	wrongPassword = wording{401, "invalid_user_password", "Wrong phone number or verification code."}
	realmNotFound = wording{400, oauth.InvalidRequest, "the connection was not found"}
	realmDisabled = wording{400, oauth.InvalidRequest, "the connection was disabled"}
)

// Values that no document of Auth0's confirms. Whoever has a tenant to compare with
// corrects them here and nowhere else.
var (
	// wrongSecret is that of /passwordless/start: documented is 401 without a body.
	wrongSecret = wording{401, oauth.InvalidClient, "Client authentication failed"}
	// expiredCode: the text is known, the status is not.
	expiredCode = wording{403, oauth.InvalidGrant, "The verification code has expired. Please try to login again."}
	// signupDisabled: the text is known, the code is not.
	signupDisabled = wording{400, "bad.connection", "Public signup is disabled"}
	// tooMany is the body of a 429 of /passwordless/start.
	tooMany = wording{http.StatusTooManyRequests, "too_many_requests",
		"Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."}
	// tooManyAttempts says in Auth0 that an e-mail was sent, which nobody gets here.
	tooManyAttempts = wording{http.StatusTooManyRequests, "too_many_attempts",
		"Your account has been blocked after multiple consecutive login attempts. Please try again later."}
	// numberRefused is for a number of the right form that can't be texted: Auth0 leaves
	// that to its sender.
	numberRefused = wording{400, "bad.phone_number", "the number is not one of a mobile phone in a country that may be texted"}
	// malformed is for a body that is none.
	malformed = wording{400, "bad.request", "the body is not a JSON object of at most 16384 bytes with Content-Type application/json"}
	// wrongType is for members of the wrong type other than authParams.
	wrongType = wording{400, "bad.request", "a property is not a string"}
)

// Auth0's texts about gateways. What follows noAnswer is unconfirmed: noAnswerCode.
const (
	noAnswer         = "Timeout while calling the SMS gateway: "
	noAnswerCode     = "ETIMEDOUT"
	unexpectedAnswer = "Unexpected response while calling the SMS gateway: "
	gatewayRefused   = "Authentication failed while calling the SMS gateway: 401"
)

// err returns the error that the client reads.
func (w wording) err() *oauth.Error {
	return &oauth.Error{Status: w.status, Code: w.code, Description: w.description}
}

// about is err with a word of ours in its text.
func (w wording) about(word string) *oauth.Error {
	w.description = fmt.Sprintf(w.description, word)
	return w.err()
}

// quoting is err with what a stranger sent at the end of its text.
func (w wording) quoting(quote string) *oauth.Error {
	e := w.err()
	e.Quote = quote
	return e
}

// because is err with a reason for the log.
func (w wording) because(reason string) *oauth.Error { return w.err().Because(reason) }
