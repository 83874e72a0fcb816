package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/revoke"
	"github.com/handset-oidc/handset/storage"
)

type bench struct {
	*endpointtest.World
	faults *faults
	h      *revoke.Handler
}

func setup(t *testing.T) *bench {
	t.Helper()
	w := endpointtest.New(t)
	f := &faults{World: w}
	h, err := revoke.New(revoke.Config{
		Clients: w.Clients, Minter: w.Minter, Grants: f, AccessTokens: f, APITokens: w.APITokens,
		Revocations: w.Revocations, Now: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{w, f, h}
}

func (b *bench) post(t testing.TB, id storage.ClientID, form url.Values) endpointtest.Answer {
	t.Helper()
	credentials := endpointtest.Basic(id)
	if id == endpointtest.SPA {
		credentials = ""
		form.Set("client_id", string(id))
	}
	return endpointtest.Call(t, b.h.Serve, endpointtest.Form(t, credentials, form))
}

func (b *bench) revoke(t testing.TB, id storage.ClientID, token string) endpointtest.Answer {
	t.Helper()
	return b.post(t, id, url.Values{"token": {token}})
}

// done checks the one answer to every authenticated request (RFC 7009 §2.2).
func done(t testing.TB, a endpointtest.Answer, reason string) {
	t.Helper()
	if a.StatusCode != http.StatusOK || a.Body != "" || a.Reason != reason {
		t.Errorf("got %d %q (%s), want 200, nothing (%s)", a.StatusCode, a.Body, a.Reason, reason)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control = %q", a.Header.Get("Cache-Control"))
	}
}

func (b *bench) works(t testing.TB, accessToken string) bool {
	t.Helper()
	found, err := b.Redis.AccessToken(t.Context(), b.Minter.AccessTokenMACs(accessToken))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil && !b.Revocations.Revoked(found.GrantID)
}

func (b *bench) revoked(t testing.TB, code string) bool {
	t.Helper()
	g, _, err := b.SQL.GrantByCode(t.Context(), b.Minter.AuthCodeMACs(code))
	if err != nil {
		t.Fatal(err)
	}
	return !g.RevokedAt.IsZero()
}

func TestAnAccessTokenDiesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	one, two := b.AccessToken(t, g), b.AccessToken(t, g)
	b.RefreshToken(t, g)
	done(t, b.revoke(t, endpointtest.Web, one), "")
	if b.works(t, one) {
		t.Error("the token is let in")
	}
	if !b.works(t, two) || b.revoked(t, code) {
		t.Error("more than the token died")
	}
	done(t, b.revoke(t, endpointtest.Web, one), "unknown token") // again
}

func TestATokenForAnAPIDiesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.SPA, b.ForAPI(t, endpointtest.Purchasing))
	one, two := b.APIToken(t, g), b.APIToken(t, g)
	inForce := func(token string) bool {
		_, err := b.APITokens.InForce(t.Context(), token)
		return err == nil
	}
	for _, id := range []storage.ClientID{endpointtest.Other, endpointtest.Backend, endpointtest.Service} {
		done(t, b.revoke(t, id, one), "token of another client")
	}
	if !inForce(one) {
		t.Fatal("a foreign client revoked it")
	}
	done(t, b.revoke(t, endpointtest.SPA, one), "")
	if inForce(one) {
		t.Error("the token is in force")
	}
	if !inForce(two) || b.revoked(t, code) {
		t.Error("more than the token died")
	}
	done(t, b.revoke(t, endpointtest.SPA, one), "token revoked") // again
	kept, err := b.SQL.RevokedTokens(t.Context(), time.Time{})
	if err != nil || len(kept) != 1 || !kept[0].ExpiresAt.Equal(g.TokensUntil) {
		t.Errorf("revoked tokens %v, %v; want the one until its end", kept, err)
	}
	b.Pass(endpointtest.APILife)
	done(t, b.revoke(t, endpointtest.SPA, two), "token expired")
}

// RFC 7009 §2.1: the access tokens of the same grant too.
func TestARefreshTokenTakesItsGrantAlong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
	done(t, b.revoke(t, endpointtest.Web, refresh), "")
	if b.works(t, access) || !b.revoked(t, code) {
		t.Error("the grant stands")
	}
	done(t, b.revoke(t, endpointtest.Web, refresh), "") // again
}

// A client that lost the answer of its last refresh has no newer token.
func TestARotatedRefreshTokenStillRevokes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	refresh := b.RefreshToken(t, g)
	family, n, _ := b.Minter.ParseRefreshToken(refresh)
	_, err := b.SQL.RotateRefreshToken(t.Context(), storage.Rotation{
		Family: family, Presented: n, Now: b.Now(), IdleExpires: b.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Pass(time.Minute)
	done(t, b.revoke(t, endpointtest.Web, refresh), "")
	if !b.revoked(t, code) {
		t.Error("the grant stands")
	}
}

func TestAPublicClientRevokesItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.SPA, nil)
	access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
	done(t, b.revoke(t, endpointtest.SPA, access), "")
	done(t, b.revoke(t, endpointtest.SPA, refresh), "")
	if b.works(t, access) || !b.revoked(t, code) {
		t.Error("the tokens live")
	}
}

// RFC 7009 §2.1: a hint may be wrong, or unknown.
func TestHintsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, hint := range []string{"access_token", "refresh_token", "id_token", "x"} {
		code, g := b.Login(t, endpointtest.Web, nil)
		access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
		done(t, b.post(t, endpointtest.Web, url.Values{"token": {access}, "token_type_hint": {hint}}), "")
		if b.works(t, access) {
			t.Errorf("%s: the access token lives", hint)
		}
		done(t, b.post(t, endpointtest.Web, url.Values{"token": {refresh}, "token_type_hint": {hint}}), "")
		if !b.revoked(t, code) {
			t.Errorf("%s: the refresh token lives", hint)
		}
	}
}

// security.md §3.41.
func TestRevokingAForeignToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
	for _, id := range []storage.ClientID{endpointtest.Other, endpointtest.SPA, endpointtest.Service} {
		done(t, b.revoke(t, id, access), "token of another client")
		done(t, b.revoke(t, id, refresh), "token of another client")
	}
	if !b.works(t, access) || b.revoked(t, code) {
		t.Error("a foreign client revoked")
	}
}

func TestRevokingWhatIsNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	forged, _ := b.Minter.AccessToken()
	for text, reason := range map[string]string{
		"x": "not a token", code: "not a token", string(g.ID): "not a token", "hsr1_AAAA": "not a token",
		forged: "unknown token", b.Minter.RefreshToken("nobody's", 1): "unknown token",
	} {
		done(t, b.revoke(t, endpointtest.Web, text), reason)
	}
	if b.revoked(t, code) {
		t.Error("a code or a grant's name revoked the grant")
	}
}

func asJSON(id, secret, token string) *http.Request {
	body := fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"token":%q}`, id, secret, token)
	r := httptest.NewRequest(http.MethodPost, "/oauth/revoke", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// Auth0's SDKs revoke refresh tokens so.
func TestRevokingByJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Post, nil)
	access := b.AccessToken(t, g)
	done(t, endpointtest.Call(t, b.h.Serve, asJSON(string(endpointtest.Post), endpointtest.Secret, access)), "")
	if b.works(t, access) {
		t.Error("the token works")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	access := b.AccessToken(t, g)
	form := url.Values{"token": {access}}
	web := string(endpointtest.Web)
	inQuery := endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), nil)
	inQuery.URL.RawQuery = form.Encode()
	text := httptest.NewRequest(http.MethodPost, "/oauth/revoke", strings.NewReader(form.Encode()))
	text.Header.Set("Content-Type", "text/plain")
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		code   oauth.Code
	}{
		"no client":               {endpointtest.Form(t, "", form), http.StatusUnauthorized, oauth.InvalidClient},
		"wrong secret":            {endpointtest.Form(t, web+":wrong", form), http.StatusUnauthorized, oauth.InvalidClient},
		"confidential, no secret": {endpointtest.Form(t, "", url.Values{"token": {access}, "client_id": {web}}), http.StatusUnauthorized, oauth.InvalidClient},
		"token in the query":      {inQuery, http.StatusUnauthorized, oauth.InvalidClient},
		"no token":                {endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), url.Values{"token": {""}}), http.StatusBadRequest, oauth.InvalidRequest},
		"two tokens":              {endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), url.Values{"token": {access, access}}), http.StatusBadRequest, oauth.InvalidRequest},
		"text":                    {text, http.StatusUnsupportedMediaType, oauth.InvalidRequest},
		"JSON, wrong secret":      {asJSON(web, "wrong", access), http.StatusUnauthorized, oauth.InvalidClient},
		"JSON, no token":          {asJSON(string(endpointtest.Post), endpointtest.Secret, ""), http.StatusBadRequest, oauth.InvalidRequest},
		"huge": {endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), url.Values{"token": {strings.Repeat("x", 20<<10)}}),
			http.StatusRequestEntityTooLarge, oauth.InvalidRequest},
	} {
		a := endpointtest.Call(t, b.h.Serve, tt.r)
		if a.StatusCode != tt.status || !strings.Contains(a.Body, `"error":"`+string(tt.code)+`"`) {
			t.Errorf("%s: got %d %s, want %d %s", name, a.StatusCode, a.Body, tt.status, tt.code)
		}
	}
	if !b.works(t, access) {
		t.Error("a refused request revoked")
	}
}

// faults fails the method it names, and counts.
type faults struct {
	*endpointtest.World
	fail string
	err  error
	hit  int
}

func (f *faults) broken(method string) error {
	if f.fail != method {
		return nil
	}
	f.hit++
	return f.err
}

func (f *faults) RevokeToken(ctx context.Context, t storage.RevokedToken) error {
	if err := f.broken("RevokeToken"); err != nil {
		return err
	}
	return f.SQL.RevokeToken(ctx, t)
}

func (f *faults) RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error) {
	if err := f.broken("RefreshFamily"); err != nil {
		return storage.RefreshFamily{}, storage.Grant{}, storage.User{}, err
	}
	return f.SQL.RefreshFamily(ctx, id)
}

func (f *faults) RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error {
	if err := f.broken("RevokeGrant"); err != nil {
		return err
	}
	return f.SQL.RevokeGrant(ctx, id, now)
}

func (f *faults) AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error) {
	if err := f.broken("AccessToken"); err != nil {
		return storage.AccessToken{}, err
	}
	return f.Redis.AccessToken(ctx, macs)
}

func (f *faults) DeleteAccessToken(ctx context.Context, macs [][]byte) error {
	if err := f.broken("DeleteAccessToken"); err != nil {
		return err
	}
	return f.Redis.DeleteAccessToken(ctx, macs)
}

// RFC 7009 §2.2.1: 503, and the client knows that the token lives.
func TestAPartThatIsDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
	}{
		{storage.ErrUnavailable, http.StatusServiceUnavailable},
		{errors.New("disk on fire"), http.StatusInternalServerError},
	} {
		for method, kind := range map[string]string{
			"RefreshFamily": "refresh", "RevokeGrant": "refresh", "AccessToken": "opaque", "DeleteAccessToken": "opaque", "RevokeToken": "API",
		} {
			b := setup(t)
			code, g := b.Login(t, endpointtest.Web, b.ForAPI(t, endpointtest.Purchasing))
			access := b.AccessToken(t, g)
			token := access
			switch kind {
			case "refresh":
				token = b.RefreshToken(t, g)
			case "API":
				token = b.APIToken(t, g)
			}
			b.faults.fail, b.faults.err = method, tt.err
			a := b.revoke(t, endpointtest.Web, token)
			if b.faults.hit != 1 {
				t.Errorf("%s failed %d times", method, b.faults.hit)
			}
			if a.StatusCode != tt.status || strings.Contains(a.Body, "fire") {
				t.Errorf("%s: got %d %s, want %d", method, a.StatusCode, a.Body, tt.status)
			}
			if !b.works(t, access) || b.revoked(t, code) {
				t.Errorf("%s: half revoked", method)
			}
			b.faults.fail = ""
			done(t, b.revoke(t, endpointtest.Web, token), "")
		}
	}
}

// A grant that was swept between look-up and revocation is as dead as can be.
func TestAGrantThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	refresh := b.RefreshToken(t, g)
	b.faults.fail, b.faults.err = "RevokeGrant", storage.ErrNotFound
	done(t, b.revoke(t, endpointtest.Web, refresh), "")
	if b.faults.hit != 1 {
		t.Error("the fault did not happen")
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	if _, err := revoke.New(revoke.Config{}); err == nil {
		t.Error("no error")
	}
}
