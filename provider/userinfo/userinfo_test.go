package userinfo_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/userinfo"
	"github.com/handset-oidc/handset/storage"
)

func setup(t testing.TB) (*endpointtest.World, web.Handler) {
	t.Helper()
	w := endpointtest.New(t)
	return w, handler(t, userinfo.Config{
		Minter: w.Minter, AccessTokens: w.Redis, APITokens: w.APITokens, Subjects: w.Subjects, People: w.SQL, Revocations: w.Revocations, Now: w.Now,
	})
}

func handler(t testing.TB, c userinfo.Config) web.Handler {
	t.Helper()
	h, err := userinfo.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h.Serve
}

// get makes a request with the token in the header.
func get(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// refused checks a refusal and that it says so as RFC 6750 §3 wants it.
func refused(t *testing.T, a endpointtest.Answer, status int, code oauth.Code, reason string) {
	t.Helper()
	if a.StatusCode != status || a.Reason != reason || !strings.Contains(a.Body, `"error":"`+string(code)+`"`) {
		t.Errorf("got %d, reason %q, body %s; want %d, reason %q, error %s", a.StatusCode, a.Reason, a.Body, status, reason, code)
	}
	challenge := a.Header.Get("WWW-Authenticate")
	if !strings.HasPrefix(challenge, "Bearer ") {
		t.Errorf("WWW-Authenticate = %q, want the scheme Bearer", challenge)
	}
	if reason != "no token" && !strings.Contains(challenge, `error="`+string(code)+`"`) {
		t.Errorf("WWW-Authenticate = %q, want error %s", challenge, code)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
}

func TestClaimsFollowTheScopes(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	for _, tt := range []struct {
		scopes []string
		want   []string // beside sub
	}{
		{[]string{"openid"}, nil},
		{[]string{"openid", "offline_access"}, nil},
		{[]string{"openid", "profile"}, []string{"updated_at"}},
		{[]string{"openid", "phone"}, []string{"phone_number", "phone_number_verified"}},
		{[]string{"openid", "profile", "phone"}, []string{"phone_number", "phone_number_verified", "updated_at"}},
	} {
		_, g := w.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.Scopes = tt.scopes })
		a := endpointtest.Call(t, h, get(w.AccessToken(t, g)))
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%v: %d %s", tt.scopes, a.StatusCode, a.Body)
		}
		var claims map[string]any
		if err := json.Unmarshal([]byte(a.Body), &claims); err != nil {
			t.Fatal(err)
		}
		if claims["sub"] != string(g.UserID) {
			t.Errorf("%v: sub = %v, want %s", tt.scopes, claims["sub"], g.UserID)
		}
		if len(claims) != len(tt.want)+1 {
			t.Errorf("%v: got %s, want sub and %v", tt.scopes, a.Body, tt.want)
		}
		for _, name := range tt.want {
			if claims[name] == nil {
				t.Errorf("%v: no %s in %s", tt.scopes, name, a.Body)
			}
		}
	}
}

func TestTheNumberIsWholeAndVerified(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	person, err := w.SQL.User(t.Context(), g.UserID)
	if err != nil {
		t.Fatal(err)
	}
	a := endpointtest.Call(t, h, get(w.AccessToken(t, g)))
	var claims struct {
		Number    string `json:"phone_number"`
		Verified  bool   `json:"phone_number_verified"`
		UpdatedAt int64  `json:"updated_at"`
	}
	if err := json.Unmarshal([]byte(a.Body), &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Number != person.Number.E164() || !claims.Verified || claims.UpdatedAt != person.UpdatedAt.Unix() {
		t.Errorf("got %s, want the number of %s, verified, updated at %d", a.Body, person.ID, person.UpdatedAt.Unix())
	}
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type = %q", got)
	}
}

func TestTheTokenMayComeInAFormBody(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	token := w.AccessToken(t, g)
	for name, r := range map[string]*http.Request{
		"POST body":   endpointtest.Form(t, "", url.Values{"access_token": {token}}),
		"POST header": func() *http.Request { r := get(token); r.Method = http.MethodPost; return r }(),
		"POST header, other form": func() *http.Request {
			r := endpointtest.Form(t, "", url.Values{"x": {"y"}})
			r.Header.Set("Authorization", "bearer "+token) // schemes ignore case
			return r
		}(),
		"POST header, JSON body": func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/userinfo", strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token)
			return r
		}(),
	} {
		if a := endpointtest.Call(t, h, r); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.Body)
		}
	}
}

func TestNoTokenIsAskedForOne(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	basic := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	basic.SetBasicAuth("web", "secret")
	for name, r := range map[string]*http.Request{
		"nothing":      httptest.NewRequest(http.MethodGet, "/userinfo", nil),
		"basic":        basic,
		"empty bearer": get(""),
		"empty body":   endpointtest.Form(t, "", url.Values{"access_token": {""}}),
		// RFC 6750 §2.2: a body counts in POST requests only.
		"GET with a body": func() *http.Request {
			r := endpointtest.Form(t, "", url.Values{"access_token": {"hsa_x"}})
			r.Method = http.MethodGet
			return r
		}(),
	} {
		a := endpointtest.Call(t, h, r)
		refused(t, a, http.StatusUnauthorized, oauth.InvalidToken, "no token")
		if c := a.Header.Get("WWW-Authenticate"); strings.Contains(c, "error") {
			t.Errorf("%s: WWW-Authenticate = %q names an error (RFC 6750 §3.1)", name, c)
		}
		if want := `"error_description":"there is no access token; send it in the header Authorization: Bearer"`; !strings.Contains(a.Body, want) {
			t.Errorf("%s: %s, want %s", name, a.Body, want)
		}
	}
}

func TestTokenInTheQuery(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	token := w.AccessToken(t, g)
	for _, query := range []string{"access_token=" + token, "access%5Ftoken=" + token, "access_token="} {
		r := httptest.NewRequest(http.MethodGet, "/userinfo?"+query, nil)
		refused(t, endpointtest.Call(t, h, r), http.StatusBadRequest, oauth.InvalidRequest, "token in query")
		r = get(token)
		r.URL.RawQuery = query
		refused(t, endpointtest.Call(t, h, r), http.StatusBadRequest, oauth.InvalidRequest, "token in query")
	}
}

func TestTokenSentTwice(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	token := w.AccessToken(t, g)

	both := endpointtest.Form(t, "", url.Values{"access_token": {token}})
	both.Header.Set("Authorization", "Bearer "+token)
	refused(t, endpointtest.Call(t, h, both), http.StatusBadRequest, oauth.InvalidRequest, "token sent twice")

	headers := get(token)
	headers.Header.Add("Authorization", "Bearer "+token)
	refused(t, endpointtest.Call(t, h, headers), http.StatusBadRequest, oauth.InvalidRequest, "repeated authorization header")

	body := endpointtest.Form(t, "", url.Values{"access_token": {token, token}})
	refused(t, endpointtest.Call(t, h, body), http.StatusBadRequest, oauth.InvalidRequest, "repeated parameter")
}

func TestHugeBody(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	a := endpointtest.Call(t, h, endpointtest.Form(t, "", url.Values{"x": {strings.Repeat("a", 20<<10)}}))
	if a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s, want 413", a.StatusCode, a.Body)
	}
}

// oidc-library.md §4.1 G9, security.md §3.25: the libraries around accept any
// JWT of ours here.
func TestIDTokenAsAccessToken(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	idToken, err := w.Minter.IDToken(mint.IDTokenClaims{
		Subject: storage.Subject(g.UserID), Client: g.ClientID, Session: g.SessionID, AuthTime: g.AuthTime, Nonce: g.Nonce,
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, endpointtest.Call(t, h, get(idToken)), http.StatusUnauthorized, oauth.InvalidToken, "not a token")
}

// A token for an API is good here when its audience says so, as it does when openid
// was granted.
func TestTokenForAnAPIAndUserinfo(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Pairwise, w.ForAPI(t, endpointtest.Purchasing))
	a := endpointtest.Call(t, h, get(w.APIToken(t, g)))
	var got map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	c, err := w.Clients.Get(t.Context(), endpointtest.Pairwise)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := w.Subjects.Of(t.Context(), c, g.UserID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got["sub"] != string(sub) || got["phone_number_verified"] != true {
		t.Errorf("%d %s (%s), want the number of %s", a.StatusCode, a.Body, a.Reason, sub)
	}
	// The opaque token of the same client names the person alike.
	if a := endpointtest.Call(t, h, get(w.AccessToken(t, g))); !strings.Contains(a.Body, string(sub)) || strings.Contains(a.Body, string(g.UserID)) {
		t.Errorf("opaque: %d %s", a.StatusCode, a.Body)
	}
	if err := w.SQL.BlockUser(t.Context(), g.UserID, w.Now()); err != nil {
		t.Fatal(err)
	}
	refused(t, endpointtest.Call(t, h, get(w.APIToken(t, g))), http.StatusUnauthorized, oauth.InvalidToken, "person blocked")
	w.Revocations.Add(g.ID)
	refused(t, endpointtest.Call(t, h, get(w.APIToken(t, g))), http.StatusUnauthorized, oauth.InvalidToken, "grant revoked")
}

// security.md §3.25.
func TestAttackTokenForAnAPIAlone(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, w.ForAPI(t, endpointtest.Purchasing))
	for name, audience := range map[string][]storage.Audience{
		"one API":               {endpointtest.Purchasing},
		"two APIs":              {endpointtest.Purchasing, endpointtest.Stock},
		"a userinfo of its own": {endpointtest.Purchasing, endpointtest.Purchasing + "/userinfo"},
	} {
		token, err := w.Minter.APIToken("ES256", mint.APITokenClaims{
			ID: mint.TokenID(g.ID), Subject: storage.Subject(g.UserID), Client: g.ClientID, Audience: audience,
			Scopes: []string{"openid", "phone"}, Expires: g.TokensUntil, AuthTime: g.AuthTime,
		})
		if err != nil {
			t.Fatal(err)
		}
		a := endpointtest.Call(t, h, get(token))
		refused(t, a, http.StatusUnauthorized, oauth.InvalidToken, "token for another audience")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestOtherSecretsAsAccessToken(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	code, g := w.Login(t, endpointtest.Web, nil)
	for name, text := range map[string]string{
		"authorization code": code,
		"refresh token":      w.RefreshToken(t, g),
		"grant":              string(g.ID),
		"session":            string(g.SessionID),
	} {
		a := endpointtest.Call(t, h, get(text))
		refused(t, a, http.StatusUnauthorized, oauth.InvalidToken, "not a token")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	forged, _ := w.Minter.AccessToken() // well-formed, never kept
	refused(t, endpointtest.Call(t, h, get(forged)), http.StatusUnauthorized, oauth.InvalidToken, "unknown token")
}

func TestATokenDies(t *testing.T) {
	t.Parallel()
	for reason, kill := range map[string]func(*testing.T, *endpointtest.World, storage.Grant){
		"token expired": func(_ *testing.T, w *endpointtest.World, _ storage.Grant) { w.Pass(endpointtest.AccessLife) },
		"grant revoked": func(_ *testing.T, w *endpointtest.World, g storage.Grant) { w.Revocations.Add(g.ID) },
		"person blocked": func(t *testing.T, w *endpointtest.World, g storage.Grant) {
			if err := w.SQL.BlockUser(t.Context(), g.UserID, w.Now()); err != nil {
				t.Fatal(err)
			}
		},
		"person removed": func(t *testing.T, w *endpointtest.World, g storage.Grant) {
			if err := w.SQL.RemoveUser(t.Context(), g.UserID, w.Now()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w, h := setup(t)
			_, g := w.Login(t, endpointtest.Web, nil)
			token := w.AccessToken(t, g)
			if a := endpointtest.Call(t, h, get(token)); a.StatusCode != http.StatusOK {
				t.Fatalf("before: %d %s", a.StatusCode, a.Body)
			}
			kill(t, w, g)
			a := endpointtest.Call(t, h, get(token))
			refused(t, a, http.StatusUnauthorized, oauth.InvalidToken, reason)
			if strings.Contains(a.Body, reason) {
				t.Errorf("the client is told why: %s", a.Body)
			}
		})
	}
}

func TestTokenWithoutOpenID(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.Scopes = []string{"phone"} })
	a := endpointtest.Call(t, h, get(w.AccessToken(t, g)))
	refused(t, a, http.StatusForbidden, oauth.InsufficientScope, "no openid scope")
	if strings.Contains(a.Body, "+81") {
		t.Errorf("the number is in %s", a.Body)
	}
}

// broken is a part that is down; hit says that it was asked.
type broken struct {
	err error
	hit bool
}

func (b *broken) AccessToken(context.Context, [][]byte) (storage.AccessToken, error) {
	b.hit = true
	return storage.AccessToken{}, b.err
}

func (b *broken) User(context.Context, storage.UserID) (storage.User, error) {
	b.hit = true
	return storage.User{}, b.err
}

func TestAPartThatIsDown(t *testing.T) {
	t.Parallel()
	w, _ := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	token := w.AccessToken(t, g)
	for _, tt := range []struct {
		err    error
		status int
	}{
		{storage.ErrUnavailable, http.StatusServiceUnavailable},
		{errors.New("disk on fire"), http.StatusInternalServerError},
	} {
		redis, sql := &broken{err: tt.err}, &broken{err: tt.err}
		c := userinfo.Config{Minter: w.Minter, AccessTokens: redis, APITokens: w.APITokens, Subjects: w.Subjects, People: w.SQL, Revocations: w.Revocations, Now: w.Now}
		down(t, endpointtest.Call(t, handler(t, c), get(token)), tt.status, redis)
		c.AccessTokens, c.People = w.Redis, sql
		down(t, endpointtest.Call(t, handler(t, c), get(token)), tt.status, sql)
	}
}

func down(t *testing.T, a endpointtest.Answer, status int, b *broken) {
	t.Helper()
	if !b.hit {
		t.Error("the broken part was never asked")
	}
	if a.StatusCode != status || strings.Contains(a.Body, "fire") {
		t.Errorf("got %d %s, want %d and no cause", a.StatusCode, a.Body, status)
	}
	if (a.Header.Get("Retry-After") != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("%d with Retry-After %q", status, a.Header.Get("Retry-After"))
	}
}

// FuzzAuthorization sends headers and bodies: whatever they are, nobody is let
// in, and no error is ours.
func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer hsa_"+strings.Repeat("A", 43), "access_token=x")
	f.Add("bearer  x y", "access_token=a&access_token=b")
	f.Add("Basic d2ViOng=", "a;b")
	f.Add("", "%")
	// One for all inputs: making one takes longer than a thousand of them.
	w, h := setup(f)
	w.Login(f, endpointtest.Web, nil)
	f.Fuzz(func(t *testing.T, header, body string) {
		r := httptest.NewRequest(http.MethodPost, "/userinfo", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Authorization"] = []string{header}
		if a := endpointtest.Call(t, h, r); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("got %d %s", a.StatusCode, a.Body)
		}
	})
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	if _, err := userinfo.New(userinfo.Config{Now: time.Now}); err == nil {
		t.Error("no error")
	}
}

// Imported people keep the subject that they had, colons included. A token that is
// a record holds nothing that a subject could break out of.
func TestAttackColonsInTheSubject(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	number, err := phone.FromStored("+819098765432")
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []storage.UserID{"auth0|sms:+81:x", ":", "a:b:c", storage.UserID(g.ID) + ":" + g.UserID} {
		if err := w.SQL.AddUser(t.Context(), storage.User{ID: sub, Number: number, CreatedAt: w.Now(), UpdatedAt: w.Now()}); err != nil {
			t.Fatal(err)
		}
		of := g
		of.UserID = sub
		a := endpointtest.Call(t, h, get(w.AccessToken(t, of)))
		var claims struct {
			Subject storage.UserID `json:"sub"`
		}
		if err := json.Unmarshal([]byte(a.Body), &claims); err != nil || a.StatusCode != http.StatusOK || claims.Subject != sub {
			t.Errorf("userinfo of %q: %d %s", sub, a.StatusCode, a.Body)
		}
		if err := w.SQL.RemoveUser(t.Context(), sub, w.Now()); err != nil {
			t.Fatal(err)
		}
	}
}
