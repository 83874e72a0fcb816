package resourcetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// Handset is a running Handset that tests log in to, through its real pages.
type Handset struct {
	// Issuer is its name. Default: [resource.DefaultIssuer], which is `handset demo`.
	Issuer string
	// ClientID is a registered application. Default: [DemoClient].
	ClientID resource.ClientID
	// ClientSecret is empty for a public client.
	ClientSecret resource.Secret
	// RedirectURI is one of the application's callbacks; nothing needs to listen
	// there. Default: [DemoRedirectURI].
	RedirectURI string
	// Audience is the API that the token is to be for. Empty: none, and the access
	// token is the issuer's own.
	Audience resource.Audience
	// Scopes are asked for beside openid.
	Scopes resource.Scopes
	// Code returns the code that was texted to a number. Default: 424242 for numbers
	// that begin with +1500555, which Handset's manual configures so (test_numbers) and
	// the demo has; the demo's inbox for all others.
	Code func(ctx context.Context, number string) (string, error)
}

// What `handset demo` has registered for tests and command lines.
const (
	DemoClient      = resource.ClientID("demo-cli")
	DemoRedirectURI = "http://127.0.0.1/callback"
)

// Session is what a login has brought.
type Session struct {
	AccessToken string
	IDToken     string
	// RefreshToken is there when offline_access was asked for and the client may.
	RefreshToken resource.Secret
	Scopes       resource.Scopes
	ExpiresIn    time.Duration
}

// FromEnvironment is the Handset that the environment names by HANDSET_ISSUER,
// HANDSET_AUDIENCE, HANDSET_CLIENT_ID, HANDSET_CLIENT_SECRET and
// HANDSET_REDIRECT_URI; without them, the demo on this machine.
func FromEnvironment() Handset { return fromEnvironment(os.Getenv) }

func fromEnvironment(getenv func(string) string) Handset {
	return Handset{
		Issuer:       getenv("HANDSET_ISSUER"),
		Audience:     cmp.Or(resource.Audience(getenv("HANDSET_AUDIENCE")), resource.DefaultAudience),
		ClientID:     resource.ClientID(getenv("HANDSET_CLIENT_ID")),
		ClientSecret: resource.Secret(getenv("HANDSET_CLIENT_SECRET")),
		RedirectURI:  getenv("HANDSET_REDIRECT_URI"),
	}
}

// Login logs a number in to the Handset of [FromEnvironment] and fails the test when
// it can't.
//
//	token := resourcetest.Login(t, "+15005550006").AccessToken
func Login(t testing.TB, number string) *Session {
	t.Helper()
	return FromEnvironment().Login(t, number)
}

// Login logs a number in and fails the test when it can't.
func (h Handset) Login(t testing.TB, number string) *Session {
	t.Helper()
	s, err := h.TryLogin(t.Context(), number)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TryLogin logs a number in as a person does: it opens the login page, types the
// number, reads the code and types that. The error of somebody who may not use the
// API can be found to be a [resource.AccessDenied].
func (h Handset) TryLogin(ctx context.Context, number string) (*Session, error) {
	h.Issuer = cmp.Or(h.Issuer, resource.DefaultIssuer)
	h.ClientID = cmp.Or(h.ClientID, DemoClient)
	h.RedirectURI = cmp.Or(h.RedirectURI, DemoRedirectURI)
	l, err := h.newLogin(ctx)
	if err != nil {
		return nil, fmt.Errorf("resourcetest: log in to %s: %w", h.Issuer, err)
	}
	answer, err := l.throughThePages(ctx, l.request(), number)
	if err == nil {
		err = l.check(answer)
	}
	if err != nil {
		return nil, fmt.Errorf("resourcetest: log in to %s: %w", h.Issuer, err)
	}
	s, err := l.exchange(ctx, answer.Get("code"))
	if err != nil {
		return nil, fmt.Errorf("resourcetest: log in to %s: exchange the code: %w", h.Issuer, err)
	}
	return s, nil
}

// login is a login under way.
type login struct {
	h               Handset
	browser         *browser
	authorize       string
	token           string
	state, verifier string
}

func (h Handset) newLogin(ctx context.Context) (*login, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	l := &login{h: h, state: rand.Text(), verifier: rand.Text() + rand.Text()}
	l.browser = &browser{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}, end: h.RedirectURI}
	var m struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	if err := l.browser.json(ctx, strings.TrimSuffix(h.Issuer, "/")+PathMetadata, &m); err != nil {
		return nil, fmt.Errorf("%w (is it running? try: handset demo)", err)
	}
	if m.Issuer != h.Issuer {
		return nil, fmt.Errorf("the issuer there is %s", m.Issuer)
	}
	l.authorize, l.token = m.Authorize, m.Token
	return l, nil
}

// request is the authorization request, with PKCE (RFC 7636 §4.2).
func (l *login) request() string {
	sum := sha256.Sum256([]byte(l.verifier))
	q := url.Values{
		"client_id": {string(l.h.ClientID)}, "redirect_uri": {l.h.RedirectURI}, "response_type": {"code"},
		"scope": {append(resource.Scopes{"openid"}, l.h.Scopes...).String()}, "state": {l.state}, "nonce": {rand.Text()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if l.h.Audience != "" {
		q.Set("audience", string(l.h.Audience))
	}
	return l.authorize + "?" + q.Encode()
}

// Visit is a person's browser: it opens the authorization request of an application,
// types the number and the code, and returns the address that it is sent back to, with
// the answer. That address is the application's; Visit does not open it. Tests of a
// program that logs in by itself give it what the program would show to a person.
// Issuer and Code are all that it needs of a Handset.
func (h Handset) Visit(ctx context.Context, request, number string) (*url.URL, error) {
	back, err := h.visit(ctx, request, number)
	if err != nil {
		return nil, fmt.Errorf("resourcetest: %w", err)
	}
	return back, nil
}

func (h Handset) visit(ctx context.Context, request, number string) (*url.URL, error) {
	h.Issuer = cmp.Or(h.Issuer, resource.DefaultIssuer)
	u, err := url.Parse(request)
	if err != nil {
		return nil, errors.New("the request is not an address")
	}
	if h.RedirectURI = u.Query().Get("redirect_uri"); h.RedirectURI == "" {
		return nil, errors.New("the request has no redirect_uri")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	l := &login{h: h, browser: &browser{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}, end: h.RedirectURI}}
	answer, err := l.throughThePages(ctx, request, number)
	if err != nil {
		return nil, err
	}
	back, err := url.Parse(h.RedirectURI)
	if err != nil {
		return nil, err
	}
	back.RawQuery = answer.Encode()
	return back, nil
}

// throughThePages returns the answer that the application gets at its callback.
func (l *login) throughThePages(ctx context.Context, request, number string) (url.Values, error) {
	read, err := l.h.codeReader(ctx, number)
	if err != nil {
		return nil, err
	}
	p, err := l.browser.get(ctx, request)
	if err != nil {
		return nil, err
	}
	if p.answer == nil {
		if p, err = p.submit(ctx, "phone", number); err != nil {
			return nil, err
		}
	}
	if p.answer == nil {
		if err := p.mustAskFor("code"); err != nil {
			return nil, err
		}
		code, err := read(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the code: %w", err)
		}
		if p, err = p.submit(ctx, "code", code); err != nil {
			return nil, err
		}
	}
	if p.answer == nil {
		return nil, fmt.Errorf("the code did not lead to the application; the page says: %s", p.words)
	}
	return p.answer, nil
}

func (l *login) check(answer url.Values) error {
	if err := resource.AuthorizationError(answer); err != nil {
		return err
	}
	if answer.Get("state") != l.state {
		return errors.New("the answer is for another login: its state differs")
	}
	// RFC 9207 §2.4: the answer says whose it is.
	if iss := answer.Get("iss"); iss != "" && iss != l.h.Issuer {
		return fmt.Errorf("the answer is from another issuer, %s", iss)
	}
	return nil
}

func (l *login) exchange(ctx context.Context, code string) (*Session, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {l.h.RedirectURI},
		"code_verifier": {l.verifier}, "client_id": {string(l.h.ClientID)},
	}
	if l.h.ClientSecret != "" {
		form.Set("client_secret", string(l.h.ClientSecret))
	}
	req, err := formRequest(ctx, l.token, form)
	if err != nil {
		return nil, err
	}
	res, err := l.browser.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, err
	}
	var got struct {
		Access      string          `json:"access_token"`
		ID          string          `json:"id_token"`
		Refresh     resource.Secret `json:"refresh_token"`
		Scope       string          `json:"scope"`
		ExpiresIn   int64           `json:"expires_in"`
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return nil, fmt.Errorf("the token endpoint answers %d without JSON", res.StatusCode)
	}
	if got.Error != "" {
		return nil, resource.AuthorizationError(url.Values{"error": {got.Error}, "error_description": {got.Description}})
	}
	if got.Access == "" {
		return nil, fmt.Errorf("the token endpoint answers %d without a token", res.StatusCode)
	}
	s := &Session{AccessToken: got.Access, IDToken: got.ID, RefreshToken: got.Refresh, ExpiresIn: time.Duration(got.ExpiresIn) * time.Second}
	for word := range strings.FieldsSeq(got.Scope) {
		s.Scopes = append(s.Scopes, resource.Scope(word))
	}
	return s, nil
}
