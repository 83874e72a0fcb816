package sms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// SNSConfig describes texts by Amazon SNS.
type SNSConfig struct {
	// Region is one where SNS sends texts ("eu-central-1").
	Region string
	// AccessKeyID, SecretAccessKey and, for temporary ones, SessionToken are the
	// credentials. They need sns:Publish and nothing else.
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	// SenderID is the name that people see, where a country allows one: at most 11
	// letters, digits and hyphens, one letter among them.
	SenderID string
	// From is a number or a short code of the account; a name counts as SenderID.
	// Empty leaves it to the account.
	From string
	// MaxPrice is the most that one text may cost, in US dollars ("0.20"); empty is
	// what the account says.
	MaxPrice string
	// BaseURL replaces Amazon's address, in tests.
	BaseURL string
	// Client is from [NewHTTPClient]; required.
	Client *http.Client
	// Timeout is how long Amazon may take; zero is 10 s.
	Timeout time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// SNS sends by the action Publish of Amazon SNS. There are no receipts: SNS says
// what became of texts to CloudWatch only.
type SNS struct {
	opaque
	config SNSConfig
	api    api
	signer *v4.Signer
}

var (
	awsRegions = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	snsNumbers = regexp.MustCompile(`^\+?[0-9]{3,15}$`)
	snsNames   = regexp.MustCompile(`^[A-Za-z0-9-]{1,11}$`)
	snsLetters = regexp.MustCompile(`[A-Za-z]`)
	snsPrices  = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,5})?$`)
)

func isSenderID(name string) bool {
	return snsNames.MatchString(name) && snsLetters.MatchString(name)
}

func (c SNSConfig) check() Problems {
	var found Problems
	found.note(c.Region == "", "sns_region", "is missing")
	found.note(c.Region != "" && !awsRegions.MatchString(c.Region), "sns_region", `is not the name of a region, such as "eu-central-1"`)
	found.note(c.AccessKeyID == "", "aws_access_key_id", "is missing")
	found.note(c.SecretAccessKey == "", "aws_secret_access_key", "is missing")
	found.note(c.SenderID != "" && !isSenderID(c.SenderID), "sender_id", "is not 1 to 11 letters, digits and hyphens with a letter among them")
	found.note(c.From != "" && !snsNumbers.MatchString(c.From) && !isSenderID(c.From), "from", "is neither a number nor a sender ID")
	found.note(c.MaxPrice != "" && !snsPrices.MatchString(c.MaxPrice), "sns_max_price", `is not a price in US dollars, such as "0.20"`)
	return found
}

// NewSNS checks the configuration. The error is of type [Problems] when a value
// is wrong.
func NewSNS(c SNSConfig) (*SNS, error) {
	if found := c.check(); len(found) > 0 {
		return nil, found
	}
	if c.Client == nil {
		return nil, errors.New("sns without an HTTP client")
	}
	c.BaseURL = cmp.Or(c.BaseURL, "https://sns."+c.Region+".amazonaws.com/")
	if c.Now == nil {
		c.Now = time.Now
	}
	return &SNS{"sns", c, api{c.Client, cmp.Or(c.Timeout, vendorTimeout)}, v4.NewSigner()}, nil
}

func newSNS(o *Options, d Deps) Sender {
	var price json.Number
	o.Read("sns_max_price", &price, "a price in US dollars")
	return o.made(NewSNS(SNSConfig{
		Region: o.Text("sns_region"), AccessKeyID: o.Text("aws_access_key_id"),
		SecretAccessKey: o.Text("aws_secret_access_key"), SessionToken: o.Text("aws_session_token"),
		SenderID: o.Text("sender_id"), From: o.Text("from"), MaxPrice: price.String(),
		Client: d.Client, Timeout: o.vendorTimeout(), Now: d.Now,
	}))
}

// form is the request of the Query API.
func (s *SNS) form(m Message) url.Values {
	c := s.config
	form := url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "PhoneNumber": {m.To.E164()}, "Message": {m.Body},
	}
	n := 0
	attribute := func(name, kind, value string) {
		if value == "" {
			return
		}
		n++
		prefix := "MessageAttributes.entry." + strconv.Itoa(n) + "."
		form.Set(prefix+"Name", name)
		form.Set(prefix+"Value.DataType", kind)
		form.Set(prefix+"Value.StringValue", value)
	}
	number, name := c.From, c.SenderID
	if !snsNumbers.MatchString(c.From) {
		number, name = "", cmp.Or(c.SenderID, c.From)
	}
	// Promotional is the default of accounts: cheaper, later, and not by every route.
	attribute("AWS.SNS.SMS.SMSType", "String", "Transactional")
	attribute("AWS.SNS.SMS.SenderID", "String", name)
	attribute("AWS.MM.SMS.OriginationNumber", "String", number)
	attribute("AWS.SNS.SMS.MaxPrice", "Number", c.MaxPrice)
	return form
}

// snsFaults are the codes of SNS that mean the number, and those that mean the
// account and its credentials.
var snsFaults = faults{
	"OptedOut": KindNumber,

	"AccessDenied":               KindAccount,
	"AccessDeniedException":      KindAccount,
	"AuthorizationError":         KindAccount,
	"ExpiredToken":               KindAccount,
	"IncompleteSignature":        KindAccount,
	"InvalidAccessKeyId":         KindAccount,
	"InvalidClientTokenId":       KindAccount,
	"InvalidSecurity":            KindAccount,
	"MissingAuthenticationToken": KindAccount,
	"NotAuthorized":              KindAccount,
	"OptInRequired":              KindAccount,
	"RequestExpired":             KindAccount,
	"SignatureDoesNotMatch":      KindAccount,
	"Throttled":                  KindAccount,
	"ThrottledException":         KindAccount,
	"Throttling":                 KindAccount,
	"ThrottlingException":        KindAccount,
}

// Send publishes to the number. 200 means that Amazon has it, whatever comes
// behind.
//
// An InvalidParameter about the number is not taken for a bad number: SNS says
// so, too, of good numbers in countries and regions that it doesn't serve.
func (s *SNS) Send(ctx context.Context, m Message) (string, error) {
	body := s.form(m).Encode()
	got, err := s.api.post(ctx, s.config.BaseURL, "application/x-www-form-urlencoded; charset=utf-8", body, func(r *http.Request) error {
		sum := sha256.Sum256([]byte(body))
		return s.signer.SignHTTP(r.Context(), aws.Credentials{
			AccessKeyID: s.config.AccessKeyID, SecretAccessKey: s.config.SecretAccessKey, SessionToken: s.config.SessionToken,
		}, r, hex.EncodeToString(sum[:]), "sns", s.config.Region, s.config.Now())
	})
	if err != nil {
		return "", err
	}
	var said struct {
		Message string `xml:"PublishResult>MessageId"`
		Code    string `xml:"Error>Code"`
	}
	// An answer that can't be read has neither, and then its status decides.
	readable := xml.Unmarshal(got.body, &said) == nil
	if got.status == http.StatusOK {
		return cleanName(said.Message), nil
	}
	if !readable {
		return "", got.failure("", nil)
	}
	return "", got.failure(said.Code, snsFaults)
}
