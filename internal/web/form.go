package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/provider/oauth"
)

// Limits of what a request may carry (security.md §4).
const (
	maxURL       = 8 << 10
	maxBody      = 16 << 10
	maxFields    = 40
	maxFieldSize = 4 << 10 // an id_token_hint or a client assertion fits
)

// Values are a request's parameters, each given at most once. An empty value
// counts as absent (RFC 6749 §3.1).
type Values map[string][]string

// Get returns a parameter's value, or "".
func (v Values) Get(name string) string {
	if s := v[name]; len(s) > 0 {
		return s[0]
	}
	return ""
}

// Has reports whether the parameter is present and not empty.
func (v Values) Has(name string) bool { return v.Get(name) != "" }

// Repeated returns the parameters given more than once. `resource` may repeat (RFC 8707 §2).
func (v Values) Repeated() []string {
	var out []string
	for name, s := range v {
		if len(s) > 1 && name != "resource" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// parseValues is strict where url.ParseQuery hides its error behind the pairs it could read.
func parseValues(raw string) (Values, *oauth.Error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the parameters are not application/x-www-form-urlencoded")
	}
	return limited(Values(q))
}

func errTwice() *oauth.Error {
	return oauth.Errorf(oauth.InvalidRequest, "a parameter is given twice; send each once").Because("repeated parameter")
}

// limited refuses more or longer parameters than any request needs.
func limited(v Values) (Values, *oauth.Error) {
	if len(v) > maxFields {
		return nil, oauth.Errorf(oauth.InvalidRequest, "more than %d parameters", maxFields)
	}
	for _, vs := range v {
		for _, s := range vs {
			if len(s) > maxFieldSize {
				return nil, &oauth.Error{Code: oauth.InvalidRequest, Description: "a parameter is longer than 4096 bytes", Status: http.StatusRequestEntityTooLarge}
			}
		}
	}
	return v, nil
}

// parseJSON reads parameters from an object of strings; a list of strings repeats
// a parameter, and null is none. No member stands twice, be it null: to decode into a map
// would hide the first.
func parseJSON(raw string) (Values, *oauth.Error) {
	malformed := oauth.Errorf(oauth.InvalidRequest, "the body is not a JSON object of strings")
	err := strictjson.Check([]byte(raw))
	_, twice := errors.AsType[*strictjson.TwiceError](err)
	if err != nil && !twice {
		return nil, malformed
	}
	d := json.NewDecoder(strings.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	v := Values{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value any
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, malformed
		}
		switch value := value.(type) {
		case nil:
		case string:
			v[name] = append(v[name], value)
		case []any:
			for _, one := range value {
				s, ok := one.(string)
				if !ok {
					return nil, malformed
				}
				v[name] = append(v[name], s)
			}
		default:
			return nil, malformed
		}
	}
	if _, err := d.Token(); err != nil { // the brace that ends it
		return nil, malformed
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed
	}
	if twice {
		return nil, errTwice()
	}
	return limited(v)
}

// Query returns the parameters of the URL, repetitions included.
func Query(r *http.Request) (Values, error) {
	v, err := parseValues(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Body returns the parameters of a form body, repetitions included; the URL's
// are not looked at.
func Body(w http.ResponseWriter, r *http.Request) (Values, error) {
	return body(w, r, map[string]parser{formType: parseValues})
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// parser reads the parameters of one media type.
type parser func(raw string) (Values, *oauth.Error)

func body(w http.ResponseWriter, r *http.Request, parsers map[string]parser) (Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parse := parsers[media]
	if err != nil || parse == nil {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusUnsupportedMediaType,
			Description: "send the parameters in the body as " + formType}
	}
	raw, err := RawBody(w, r)
	if err != nil {
		return nil, err
	}
	v, e := parse(string(raw))
	if e != nil {
		return nil, e
	}
	return v, nil
}

// RawBody returns the body as it came, for what is signed as a whole.
func RawBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusRequestEntityTooLarge,
			Description: "the body is longer than 16384 bytes or did not arrive whole", Err: err}
	}
	return raw, nil
}

// JSONObject returns the members of a body that is a JSON object, none of them twice.
func JSONObject(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != jsonType {
		return nil, errors.New("Content-Type is not application/json")
	}
	raw, err := RawBody(w, r)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(raw, &body); err != nil || body == nil {
		return nil, errors.New("the body is not a JSON object")
	}
	if len(body) > maxFields {
		return nil, errors.New("too many members")
	}
	return body, nil
}

// Printable is a name that a stranger chose, as far as it can be shown: one line
// without marks that change how the rest reads, and of at most 100 bytes.
func Printable(name string) string {
	shown := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if len(shown) > 100 {
		shown = strings.ToValidUTF8(shown[:100], "") + "…"
	}
	return shown
}

// maxDocument is how long the JSON document of an operator's program may be.
const maxDocument = 256 << 10

// ErrTooLong says that a body is longer than what is taken, or did not arrive whole.
var ErrTooLong = errors.New("the body is too long, or did not arrive whole")

// ErrMediaType says that a body is of another media type than the one that is taken.
var ErrMediaType = errors.New("the body is of another media type")

// DocumentBody returns the JSON document of an operator's program as it came; whether
// it is one is for the caller to find out. The errors are [ErrMediaType] and [ErrTooLong].
func DocumentBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != jsonType {
		return nil, ErrMediaType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTooLong, err)
	}
	return raw, nil
}

// StrictBody is Body for the endpoints that clients call directly: a repeated
// parameter is refused (RFC 6749 §3.2), and so are credentials in the URL,
// which ends in logs (RFC 9700 §4.3.2).
func StrictBody(w http.ResponseWriter, r *http.Request) (Values, error) {
	return strict(w, r, map[string]parser{formType: parseValues})
}

// StrictBodyOrJSON is StrictBody that takes a JSON object too, which Auth0's
// clients send to the token endpoint and to the revocation endpoint.
func StrictBodyOrJSON(w http.ResponseWriter, r *http.Request) (Values, error) {
	return strict(w, r, map[string]parser{formType: parseValues, jsonType: parseJSON})
}

func strict(w http.ResponseWriter, r *http.Request, parsers map[string]parser) (Values, error) {
	q, err := Query(r)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"client_secret", "client_assertion", "code", "refresh_token", "token", "code_verifier"} {
		if _, present := q[name]; present {
			return nil, &oauth.Error{Code: oauth.InvalidClient, Challenge: basicWhenUsed(r),
				Description: "credentials do not belong in the URL; send the parameters in the body", Reason: "credentials in query"}
		}
	}
	v, err := body(w, r, parsers)
	if err != nil {
		return nil, err
	}
	if names := v.Repeated(); len(names) > 0 {
		return nil, errTwice()
	}
	return v, nil
}

// basicWhenUsed is the challenge that goes with a refused client: the scheme it
// tried in the Authorization header, if it did (RFC 6749 §5.2).
func basicWhenUsed(r *http.Request) string {
	if len(r.Header.Values("Authorization")) == 0 {
		return ""
	}
	return "Basic"
}
