package introspect_test

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

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/introspect"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

type bench struct {
	*endpointtest.World
	faults *faults
	h      *introspect.Handler
}

func setup(t *testing.T) *bench {
	t.Helper()
	w := endpointtest.New(t)
	f := &faults{World: w}
	h, err := introspect.New(introspect.Config{
		Issuer: endpointtest.Issuer, Clients: w.Clients, Minter: w.Minter, Records: f, AccessTokens: f,
		APITokens: w.APITokens, Subjects: w.Subjects, Revocations: w.Revocations, Now: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{w, f, h}
}

func (b *bench) ask(t testing.TB, id storage.ClientID, token string) endpointtest.Answer {
	t.Helper()
	return endpointtest.Call(t, b.h.Serve, endpointtest.Form(t, endpointtest.Basic(id), url.Values{"token": {token}}))
}

func active(t testing.TB, a endpointtest.Answer, want map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", a.StatusCode, a.Body, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", a.Reason, d)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control = %q", a.Header.Get("Cache-Control"))
	}
}

// inactive checks that nothing is told but that (RFC 7662 §2.2).
func inactive(t testing.TB, a endpointtest.Answer, reason string) {
	t.Helper()
	if a.StatusCode != http.StatusOK || strings.TrimSpace(a.Body) != `{"active":false}` || a.Reason != reason {
		t.Errorf("got %d %s (%s), want 200 and inactive (%s)", a.StatusCode, a.Body, a.Reason, reason)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.SPA, nil)
	b.Pass(time.Minute)
	token := b.AccessToken(t, g)
	want := map[string]any{
		"active": true, "token_type": "Bearer", "scope": "openid profile phone offline_access", "client_id": "spa",
		"sub": string(g.UserID), "iss": endpointtest.Issuer, "iat": float64(b.Now().Unix()),
		"exp": float64(b.Now().Add(endpointtest.AccessLife).Unix()), "auth_time": float64(g.AuthTime.Unix()),
	}
	active(t, b.ask(t, endpointtest.Service, token), want)

	_, g = b.Login(t, endpointtest.Web, nil)
	want["client_id"], want["sub"], want["auth_time"] = "web", string(g.UserID), float64(g.AuthTime.Unix())
	active(t, b.ask(t, endpointtest.Web, b.AccessToken(t, g)), want)
}

func TestRefreshToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	token := b.RefreshToken(t, g)
	want := map[string]any{
		"active": true, "scope": "openid profile phone offline_access", "client_id": "web", "sub": string(g.UserID),
		"iss": endpointtest.Issuer, "iat": float64(b.Now().Unix()), "exp": float64(b.Now().Add(7 * 24 * time.Hour).Unix()),
		"auth_time": float64(g.AuthTime.Unix()),
	}
	active(t, b.ask(t, endpointtest.Web, token), want)

	b.Pass(time.Hour)
	next := b.rotate(t, token)
	inactive(t, b.ask(t, endpointtest.Web, token), "token rotated")
	want["iat"], want["exp"] = float64(b.Now().Unix()), float64(b.Now().Add(time.Hour).Unix())
	active(t, b.ask(t, endpointtest.Web, next), want)
}

func (b *bench) rotate(t testing.TB, token string) string {
	t.Helper()
	family, n, _ := b.Minter.ParseRefreshToken(token)
	rotated, err := b.SQL.RotateRefreshToken(t.Context(), storage.Rotation{
		Family: family, Presented: n, Now: b.Now(), IdleExpires: b.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Minter.RefreshToken(family, rotated.Counter)
}

// RFC 7662 §2.1: a hint may be wrong, or unknown.
// RFC 9068: what a token for an API says is repeated to its client and to the API.
func TestAPIToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.SPA, b.ForAPI(t, endpointtest.Purchasing))
	b.Pass(time.Minute)
	token := b.APIToken(t, g)
	read, err := b.Minter.VerifyAPIToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"active": true, "token_type": "Bearer", "scope": "openid phone read:vendors write:vendors", "client_id": "spa",
		"sub": string(g.UserID), "iss": endpointtest.Issuer, "aud": []any{string(endpointtest.Purchasing), endpointtest.Userinfo},
		"jti": string(read.ID), "iat": float64(b.Now().Unix()), "exp": float64(g.AuthTime.Add(endpointtest.APILife).Unix()),
		"auth_time": float64(g.AuthTime.Unix()), "amr": []any{"sms", "otp"}, "employee_id": "291",
	}
	active(t, b.ask(t, endpointtest.Backend, token), want)

	_, g = b.Login(t, endpointtest.Web, b.ForAPI(t, endpointtest.Purchasing))
	if a := b.ask(t, endpointtest.Web, b.APIToken(t, g)); !strings.HasPrefix(a.Body, `{"active":true`) {
		t.Errorf("its own client is told %s", a.Body)
	}
}

// security.md §3.25: an API learns nothing of tokens that are for another one, and
// nothing of those that are for none.
func TestAttackAskAboutTokensForOtherAPIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, b.ForAPI(t, endpointtest.Stock))
	stock := b.APIToken(t, g)
	_, g = b.Login(t, endpointtest.Web, b.ForAPI(t, endpointtest.Purchasing))
	purchasing := b.APIToken(t, g)
	inactive(t, b.ask(t, endpointtest.Backend, stock), "token for another audience")
	inactive(t, b.ask(t, endpointtest.Other, purchasing), "token for another audience")
	inactive(t, b.ask(t, endpointtest.Service, purchasing), "token for another audience")
	_, g = b.Login(t, endpointtest.Web, nil)
	inactive(t, b.ask(t, endpointtest.Backend, b.AccessToken(t, g)), "token of another client")
}

// The names of a person are those of the token's client, whoever asks.
func TestPairwiseSubjects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Pairwise, b.ForAPI(t, endpointtest.Purchasing))
	c, err := b.Clients.Get(t.Context(), endpointtest.Pairwise)
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.Subjects.Of(t.Context(), c, g.UserID)
	if err != nil || want == storage.Subject(g.UserID) {
		t.Fatal(want, err)
	}
	for name, a := range map[string]endpointtest.Answer{
		"opaque":  b.ask(t, endpointtest.Service, b.AccessToken(t, g)),
		"refresh": b.ask(t, endpointtest.Pairwise, b.RefreshToken(t, g)),
		"API":     b.ask(t, endpointtest.Backend, b.APIToken(t, g)),
	} {
		var got struct{ Sub storage.Subject }
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got.Sub != want {
			t.Errorf("%s: %s, want sub %s", name, a.Body, want)
		}
	}
}

func TestAPITokensDie(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end    func(context.Context, *bench, storage.Grant, storage.TokenID) error
		reason string
	}{
		"time": {func(_ context.Context, b *bench, _ storage.Grant, _ storage.TokenID) error {
			b.Pass(endpointtest.APILife)
			return nil
		}, "token expired"},
		"revocation": {func(ctx context.Context, b *bench, g storage.Grant, id storage.TokenID) error {
			return b.SQL.RevokeToken(ctx, storage.RevokedToken{ID: id, RevokedAt: b.Now(), ExpiresAt: g.TokensUntil})
		}, "token revoked"},
		"revocation of the grant": {func(ctx context.Context, b *bench, g storage.Grant, _ storage.TokenID) error {
			return b.SQL.RevokeGrant(ctx, g.ID, b.Now())
		}, "grant revoked"},
		"logout": {func(ctx context.Context, b *bench, g storage.Grant, _ storage.TokenID) error {
			return b.SQL.EndSession(ctx, g.SessionID, b.Now())
		}, "grant revoked"},
		"blocking": {func(ctx context.Context, b *bench, g storage.Grant, _ storage.TokenID) error {
			return b.SQL.BlockUser(ctx, g.UserID, b.Now())
		}, "grant revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, g := b.Login(t, endpointtest.Web, b.ForAPI(t, endpointtest.Purchasing))
			token := b.APIToken(t, g)
			read, err := b.Minter.VerifyAPIToken(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			b.Pass(23 * time.Hour) // long after an opaque token would have ended
			if err := b.SQL.Sweep(t.Context(), b.Now()); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(t.Context(), b, g, read.ID); err != nil {
				t.Fatal(err)
			}
			if err := b.Revocations.Refresh(t.Context()); err != nil { // as the change row makes every server do
				t.Fatal(err)
			}
			inactive(t, b.ask(t, endpointtest.Backend, token), tt.reason)
			inactive(t, b.ask(t, endpointtest.Web, token), tt.reason)
		})
	}
}

func TestHintsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	for _, token := range []string{b.AccessToken(t, g), b.RefreshToken(t, g)} {
		for _, hint := range []string{"access_token", "refresh_token", "id_token", ""} {
			form := url.Values{"token": {token}, "token_type_hint": {hint}}
			a := endpointtest.Call(t, b.h.Serve, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), form))
			if !strings.HasPrefix(a.Body, `{"active":true`) {
				t.Errorf("%s: %s", hint, a.Body)
			}
		}
	}
}

// A client's tokens are its own; a refresh token is nobody else's, an API's included.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
	inactive(t, b.ask(t, endpointtest.Other, access), "token of another client")
	inactive(t, b.ask(t, endpointtest.Other, refresh), "token of another client")
	inactive(t, b.ask(t, endpointtest.Service, refresh), "token of another client")
}

func TestWhatIsNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	forged, _ := b.Minter.AccessToken()
	idToken, err := b.Minter.IDToken(mint.IDTokenClaims{Subject: storage.Subject(g.UserID), Client: g.ClientID, AuthTime: g.AuthTime})
	if err != nil {
		t.Fatal(err)
	}
	for text, reason := range map[string]string{
		"x": "not a token", code: "not a token", string(g.ID): "not a token", idToken: "not a token",
		forged: "unknown token", b.Minter.RefreshToken("nobody's", 1): "unknown token",
	} {
		inactive(t, b.ask(t, endpointtest.Web, text), reason)
	}
}

func TestTokensDie(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end             func(context.Context, *bench, storage.Grant) error
		access, refresh string // reasons
	}{
		"time": {func(_ context.Context, b *bench, _ storage.Grant) error {
			b.Pass(7 * 24 * time.Hour)
			return nil
		}, "token expired", "token expired"},
		"revocation": {func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.RevokeGrant(ctx, g.ID, b.Now())
		}, "grant revoked", "grant revoked"},
		"logout": {func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.EndSession(ctx, g.SessionID, b.Now())
		}, "grant revoked", "grant revoked"},
		"blocking": {func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.BlockUser(ctx, g.UserID, b.Now())
		}, "grant revoked", "grant revoked"},
		"removal": {func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.RemoveUser(ctx, g.UserID, b.Now())
		}, "grant revoked", "unknown token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, g := b.Login(t, endpointtest.Web, nil)
			access, refresh := b.AccessToken(t, g), b.RefreshToken(t, g)
			if err := tt.end(t.Context(), b, g); err != nil {
				t.Fatal(err)
			}
			if err := b.Revocations.Refresh(t.Context()); err != nil { // as the change row makes every server do
				t.Fatal(err)
			}
			inactive(t, b.ask(t, endpointtest.Web, access), tt.access)
			inactive(t, b.ask(t, endpointtest.Web, refresh), tt.refresh)
		})
	}
}

// security.md §3.41.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.SPA, nil)
	access := b.AccessToken(t, g)
	form := url.Values{"token": {access}}
	inQuery := endpointtest.Form(t, endpointtest.Basic(endpointtest.Service), nil)
	inQuery.URL.RawQuery = form.Encode()
	jsonBody := httptest.NewRequest(http.MethodPost, "/oauth/introspect", strings.NewReader(`{"token":"x"}`))
	jsonBody.Header.Set("Content-Type", "application/json")
	bearer := endpointtest.Form(t, "", form)
	bearer.Header.Set("Authorization", "Bearer "+access)
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		code   oauth.Code
	}{
		"no client":              {endpointtest.Form(t, "", form), http.StatusUnauthorized, oauth.InvalidClient},
		"wrong secret":           {endpointtest.Form(t, "service:wrong", form), http.StatusUnauthorized, oauth.InvalidClient},
		"public client":          {endpointtest.Form(t, "", url.Values{"token": {access}, "client_id": {"spa"}}), http.StatusUnauthorized, oauth.InvalidClient},
		"the token as a bearer":  {bearer, http.StatusUnauthorized, oauth.InvalidClient},
		"the token in the query": {inQuery, http.StatusUnauthorized, oauth.InvalidClient},
		"no token":               {endpointtest.Form(t, endpointtest.Basic(endpointtest.Service), nil), http.StatusBadRequest, oauth.InvalidRequest},
		"two tokens":             {endpointtest.Form(t, endpointtest.Basic(endpointtest.Service), url.Values{"token": {access, access}}), http.StatusBadRequest, oauth.InvalidRequest},
		"JSON":                   {jsonBody, http.StatusUnsupportedMediaType, oauth.InvalidRequest},
	} {
		a := endpointtest.Call(t, b.h.Serve, tt.r)
		if a.StatusCode != tt.status || !strings.Contains(a.Body, `"error":"`+string(tt.code)+`"`) || strings.Contains(a.Body, "active") {
			t.Errorf("%s: got %d %s, want %d %s", name, a.StatusCode, a.Body, tt.status, tt.code)
		}
		// RFC 6749 §5.2: for who used the Authorization header.
		want := tt.status == http.StatusUnauthorized && tt.r.Header.Get("Authorization") != ""
		if (a.Header.Get("WWW-Authenticate") != "") != want {
			t.Errorf("%s: %d with WWW-Authenticate %q", name, a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
	}
}

// faults fails the method it names, and counts.
type faults struct {
	*endpointtest.World
	fail string
	err  error
	hit  int
	// unrevoked hides that the grant was revoked: a person can be blocked first.
	unrevoked bool
}

func (f *faults) RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error) {
	if f.fail == "RefreshFamily" {
		f.hit++
		return storage.RefreshFamily{}, storage.Grant{}, storage.User{}, f.err
	}
	family, g, u, err := f.SQL.RefreshFamily(ctx, id)
	if f.unrevoked {
		family.RevokedAt, g.RevokedAt = time.Time{}, time.Time{}
	}
	return family, g, u, err
}

func (f *faults) AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error) {
	if f.fail == "AccessToken" {
		f.hit++
		return storage.AccessToken{}, f.err
	}
	return f.Redis.AccessToken(ctx, macs)
}

func TestABlockedPersonsRefreshToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	refresh := b.RefreshToken(t, g)
	if err := b.SQL.BlockUser(t.Context(), g.UserID, b.Now()); err != nil {
		t.Fatal(err)
	}
	b.faults.unrevoked = true
	inactive(t, b.ask(t, endpointtest.Web, refresh), "person blocked")
}

// An API that can't learn is told so: never "active":false of a token that lives.
func TestAPartThatIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, g := b.Login(t, endpointtest.Web, nil)
	for method, token := range map[string]string{"AccessToken": b.AccessToken(t, g), "RefreshFamily": b.RefreshToken(t, g)} {
		for _, tt := range []struct {
			err    error
			status int
		}{
			{storage.ErrUnavailable, http.StatusServiceUnavailable},
			{errors.New("disk on fire"), http.StatusInternalServerError},
		} {
			b.faults.fail, b.faults.err, b.faults.hit = method, tt.err, 0
			a := b.ask(t, endpointtest.Web, token)
			if b.faults.hit != 1 {
				t.Errorf("%s failed %d times", method, b.faults.hit)
			}
			if a.StatusCode != tt.status || strings.Contains(a.Body, "active") || strings.Contains(a.Body, "fire") {
				t.Errorf("%s: got %d %s, want %d", method, a.StatusCode, a.Body, tt.status)
			}
		}
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []introspect.Config{{}, {Issuer: endpointtest.Issuer}} {
		if _, err := introspect.New(c); err == nil {
			t.Error("no error")
		}
	}
}
