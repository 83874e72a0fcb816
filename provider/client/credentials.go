package client

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// AssertionType is the client_assertion_type of private_key_jwt (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Credentials are what a request says about its client. Nothing of it is
// checked yet. They print without what is secret.
type Credentials struct {
	ClientID storage.ClientID
	// Method is how the client authenticates, as registrations name it:
	// client_secret_basic, client_secret_post, private_key_jwt or none.
	Method    string
	Secret    string
	Assertion string
}

// String names client and method.
func (c Credentials) String() string { return string(c.ClientID) + " by " + c.Method }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// basicChallenge is what goes with a 401: "If the client attempted to
// authenticate via the "Authorization" request header field" (RFC 6749 §5.2),
// the header names the scheme; otherwise there is none, and libraries read the
// error in the body.
const basicChallenge = "Basic"

// refused is the one answer to every failed authentication: what exactly
// failed, and whether the client exists, is for the log (RFC 6749 §5.2).
func refused(reason string) *oauth.Error {
	return &oauth.Error{Code: oauth.InvalidClient, Reason: reason,
		Description: "unknown client, wrong credentials, or another way to authenticate than the one registered"}
}

// refused is the answer in the manner in which the client authenticated.
func (c Credentials) refused(reason string) *oauth.Error {
	e := refused(reason)
	if c.Method == oauth.AuthSecretBasic {
		e.Challenge = basicChallenge
	}
	return e
}

// malformed is the answer to a request from which no credentials can be read;
// it depends on the request alone.
func malformed(reason, description string) *oauth.Error {
	return &oauth.Error{Code: oauth.InvalidClient, Reason: reason, Description: description}
}

// FromRequest reads the credentials out of a request whose body has the given
// values; the URL is never looked at. It returns an invalid_client [oauth.Error]
// for more than one method at once and for what it can't read.
func FromRequest(r *http.Request, values web.Values) (Credentials, error) {
	header := len(r.Header.Values("Authorization")) > 0
	c, err := read(r, values, header)
	if err != nil {
		if header {
			err.Challenge = basicChallenge
		}
		return Credentials{}, err
	}
	return c, nil
}

func read(r *http.Request, values web.Values, header bool) (Credentials, *oauth.Error) {
	secret := values.Has("client_secret")
	assertion := values.Has("client_assertion") || values.Has("client_assertion_type")
	// RFC 6749 §2.3: "The client MUST NOT use more than one authentication
	// method in each request."
	if header && secret || header && assertion || secret && assertion {
		return Credentials{}, malformed("two methods at once", "authenticate in one way only")
	}
	switch {
	case header:
		return fromBasic(r, values)
	case assertion:
		return fromAssertion(values)
	}
	c := Credentials{ClientID: storage.ClientID(values.Get("client_id")), Method: oauth.AuthNone}
	if c.ClientID == "" {
		return Credentials{}, malformed("no client_id", "client_id is missing")
	}
	if secret {
		c.Method, c.Secret = oauth.AuthSecretPost, values.Get("client_secret")
	}
	return c, nil
}

// fromBasic reads HTTP Basic, whose halves are form-encoded first (RFC 6749 §2.3.1).
func fromBasic(r *http.Request, values web.Values) (Credentials, *oauth.Error) {
	wrong := malformed("malformed Authorization header",
		"the Authorization header is not one Basic header of a form-encoded client_id and secret")
	headers := r.Header.Values("Authorization")
	id, secret, ok := parseBasic(headers[0])
	if len(headers) > 1 || !ok {
		return Credentials{}, wrong
	}
	if secret == "" {
		return Credentials{}, wrong.Because("empty secret")
	}
	// A request that names two clients is not to be guessed about.
	if named := values.Get("client_id"); named != "" && named != id {
		return Credentials{}, malformed("client_id differs from the Authorization header",
			"client_id is another one than that of the Authorization header")
	}
	return Credentials{ClientID: storage.ClientID(id), Method: oauth.AuthSecretBasic, Secret: secret}, nil
}

func parseBasic(header string) (id, secret string, ok bool) {
	scheme, encoded, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !utf8.Valid(text) {
		return "", "", false
	}
	rawID, rawSecret, found := strings.Cut(string(text), ":")
	if !found {
		return "", "", false
	}
	id, err = url.QueryUnescape(rawID)
	if err != nil || id == "" {
		return "", "", false
	}
	secret, err = url.QueryUnescape(rawSecret)
	if err != nil {
		return "", "", false
	}
	return id, secret, true
}

// fromAssertion reads private_key_jwt. client_id may be absent: the assertion
// names its client (RFC 7521 §4.2), whose keys it is verified with later.
func fromAssertion(values web.Values) (Credentials, *oauth.Error) {
	c := Credentials{
		ClientID:  storage.ClientID(values.Get("client_id")),
		Method:    oauth.AuthPrivateKeyJWT,
		Assertion: values.Get("client_assertion"),
	}
	if values.Get("client_assertion_type") != AssertionType || c.Assertion == "" {
		return Credentials{}, malformed("client_assertion_type", "send client_assertion with the client_assertion_type "+AssertionType)
	}
	if c.ClientID != "" {
		return c, nil
	}
	var claims assertionClaims
	if err := oidclib.Peek(c.Assertion, &claims); err != nil || claims.Subject == "" {
		return Credentials{}, malformed("unreadable assertion", "client_assertion is not a signed JWT that names its client")
	}
	c.ClientID = storage.ClientID(claims.Subject)
	return c, nil
}
