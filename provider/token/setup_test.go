package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/token"
	"github.com/handset-oidc/handset/storage"
)

const (
	refreshIdle     = 168 * time.Hour
	refreshAbsolute = 720 * time.Hour
	grace           = 30 * time.Second
)

// verifier is a PKCE verifier and challenge its S256 challenge.
var (
	verifier  = strings.Repeat("v", 43)
	challenge = s256(verifier)
)

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// noSignIns proves nothing: the doors of passwordless have their tests in internal/e2e.
type noSignIns struct{}

func (noSignIns) SignIn(http.ResponseWriter, *http.Request, *storage.Client, web.Values) (string, error) {
	return "", oauth.Errorf(oauth.InvalidGrant, "nobody signs in here")
}

// bench is a token endpoint over real stores, between which faults can be put.
type bench struct {
	*endpointtest.World
	faults *faults
	h      *token.Handler
}

func setup(t testing.TB, change ...func(*token.Config)) *bench {
	t.Helper()
	w := endpointtest.New(t)
	f := &faults{World: w}
	c := token.Config{
		Clients: w.Clients, Grants: f, AccessTokens: f, Minter: f, Revocations: w.Revocations,
		APIs: w.APIs, Subjects: w.Subjects, SignIns: noSignIns{}, Userinfo: endpointtest.Userinfo,
		AccessLife: endpointtest.AccessLife, RefreshIdle: refreshIdle, RefreshAbsolute: refreshAbsolute, RefreshGrace: grace,
		IDTokenOnRefresh: true, Now: w.Now,
	}
	for _, f := range change {
		f(&c)
	}
	h, err := token.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{World: w, faults: f, h: h}
}

// answer is a token answer or an error, as a client reads it.
type answer struct {
	endpointtest.Answer
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
}

func (b *bench) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	a := answer{Answer: endpointtest.Call(t, b.h.Serve, r)}
	if err := json.Unmarshal([]byte(a.Body), &a); err != nil {
		t.Fatalf("%d %s: %v", a.StatusCode, a.Body, err)
	}
	return a
}

func (b *bench) post(t testing.TB, id storage.ClientID, form url.Values) answer {
	t.Helper()
	return b.send(t, endpointtest.Form(t, endpointtest.Basic(id), form))
}

// codeForm is a correct exchange of the code.
func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {endpointtest.RedirectURI}}
}

func refreshForm(refreshToken string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
}

// issued fails the test unless tokens were issued.
func issued(t testing.TB, a answer) answer {
	t.Helper()
	if a.StatusCode != http.StatusOK || a.AccessToken == "" {
		t.Fatalf("got %d %s (%s), want tokens", a.StatusCode, a.Body, a.Reason)
	}
	return a
}

// refused checks an error by status, code and, "" for any, the log's reason.
func refused(t testing.TB, a answer, code oauth.Code, reason string) {
	t.Helper()
	status := (&oauth.Error{Code: code}).HTTPStatus()
	if a.StatusCode != status || a.Error != string(code) || reason != "" && a.Reason != reason {
		t.Errorf("got %d %s (%s), want %d %s (%s)", a.StatusCode, a.Body, a.Reason, status, code, reason)
	}
	if a.AccessToken != "" || a.IDToken != "" || a.RefreshToken != "" {
		t.Errorf("a token is in %s", a.Body)
	}
	if reason != "" && strings.Contains(a.Body, reason) {
		t.Errorf("the client is told the log's reason: %s", a.Body)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("a cache may keep it: %v", a.Header)
	}
}

// works reports whether an access token would be let in.
func (b *bench) works(t testing.TB, accessToken string) bool {
	t.Helper()
	found, err := b.Redis.AccessToken(t.Context(), b.Minter.AccessTokenMACs(accessToken))
	if errors.Is(err, storage.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return !b.Revocations.Revoked(found.GrantID) && b.Now().Before(found.ExpiresAt)
}

// jwtPayload is what a JWT says, as text.
func jwtPayload(t testing.TB, token string) []byte {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims verifies an ID token by the published keys and returns its claims.
func (b *bench) claims(t testing.TB, idToken string) map[string]any {
	t.Helper()
	jws, err := jose.ParseSignedCompact(idToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(b.Keys.PublicKey(storage.KeyID(jws.Signatures[0].Header.KeyID)))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func (b *bench) grant(t testing.TB, code string) storage.Grant {
	t.Helper()
	g, _, err := b.SQL.GrantByCode(t.Context(), b.Minter.AuthCodeMACs(code))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// faults stands before the stores and the minter. The method named by fail
// fails with err; hit counts how often it did, so that a test can tell that its
// fault took place. stale changes what is read, as if another request had been
// faster in between.
type faults struct {
	*endpointtest.World
	fail  string
	err   error
	hit   atomic.Int32
	stale func(*storage.RefreshFamily, *storage.Grant)
	// after runs when a grant has been read.
	after func()

	puts, deletes atomic.Int32
}

func (f *faults) broken(method string) error {
	if f.fail != method {
		return nil
	}
	f.hit.Add(1)
	return f.err
}

func (f *faults) read(family *storage.RefreshFamily, g *storage.Grant) {
	if f.stale != nil {
		f.stale(family, g)
	}
	if f.after != nil {
		f.after()
	}
}

func (f *faults) GrantByCode(ctx context.Context, macs [][]byte) (storage.Grant, storage.User, error) {
	if err := f.broken("GrantByCode"); err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	g, u, err := f.SQL.GrantByCode(ctx, macs)
	f.read(nil, &g)
	return g, u, err
}

func (f *faults) RedeemGrant(ctx context.Context, r storage.Redemption) error {
	if err := f.broken("RedeemGrant"); err != nil {
		return err
	}
	return f.SQL.RedeemGrant(ctx, r)
}

func (f *faults) RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error {
	if err := f.broken("RevokeGrant"); err != nil {
		return err
	}
	return f.SQL.RevokeGrant(ctx, id, now)
}

func (f *faults) RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error) {
	if err := f.broken("RefreshFamily"); err != nil {
		return storage.RefreshFamily{}, storage.Grant{}, storage.User{}, err
	}
	family, g, u, err := f.SQL.RefreshFamily(ctx, id)
	f.read(&family, &g)
	return family, g, u, err
}

func (f *faults) RotateRefreshToken(ctx context.Context, r storage.Rotation) (storage.Rotated, error) {
	if err := f.broken("RotateRefreshToken"); err != nil {
		return storage.Rotated{}, err
	}
	return f.SQL.RotateRefreshToken(ctx, r)
}

func (f *faults) PutAccessToken(ctx context.Context, mac []byte, t storage.AccessToken, now time.Time) error {
	if err := f.broken("PutAccessToken"); err != nil {
		return err
	}
	f.puts.Add(1)
	return f.Redis.PutAccessToken(ctx, mac, t, now)
}

func (f *faults) DeleteAccessToken(ctx context.Context, macs [][]byte) error {
	if err := f.broken("DeleteAccessToken"); err != nil {
		return err
	}
	f.deletes.Add(1)
	return f.Redis.DeleteAccessToken(ctx, macs)
}

func (f *faults) AccessToken() (string, []byte)     { return f.Minter.AccessToken() }
func (f *faults) AuthCodeMACs(code string) [][]byte { return f.Minter.AuthCodeMACs(code) }
func (f *faults) RefreshToken(family storage.FamilyID, n int64) string {
	return f.Minter.RefreshToken(family, n)
}
func (f *faults) ParseRefreshToken(text string) (storage.FamilyID, int64, bool) {
	return f.Minter.ParseRefreshToken(text)
}

func (f *faults) APIToken(alg string, c mint.APITokenClaims) (string, error) {
	if err := f.broken("APIToken"); err != nil {
		return "", err
	}
	return f.Minter.APIToken(alg, c)
}

func (f *faults) IDToken(c mint.IDTokenClaims) (string, error) {
	if err := f.broken("IDToken"); err != nil {
		return "", err
	}
	return f.Minter.IDToken(c)
}

// breakdown is what a request must be told while a part is down.
var breakdowns = map[string]struct {
	err    error
	status int
}{
	"unavailable": {storage.ErrUnavailable, http.StatusServiceUnavailable},
	"timeout":     {context.DeadlineExceeded, http.StatusServiceUnavailable},
	"broken":      {errors.New("disk on fire"), http.StatusInternalServerError},
}

// breaks sends a request while one method fails, checks what it is told, and
// mends the method.
func (b *bench) breaks(t testing.TB, method, how string, r *http.Request) {
	t.Helper()
	want := breakdowns[how]
	b.faults.fail, b.faults.err = method, want.err
	b.faults.puts.Store(0)
	b.faults.deletes.Store(0)
	a := b.send(t, r)
	b.faults.fail = ""
	if b.faults.hit.Swap(0) == 0 {
		t.Errorf("%s was not reached", method)
	}
	if a.StatusCode != want.status || strings.Contains(a.Body, "fire") || a.AccessToken != "" {
		t.Errorf("%s %s: got %d %s, want %d", method, how, a.StatusCode, a.Body, want.status)
	}
	if (a.Header.Get("Retry-After") != "") != (want.status == http.StatusServiceUnavailable) {
		t.Errorf("%s %s: Retry-After %q", method, how, a.Header.Get("Retry-After"))
	}
	if b.faults.puts.Load() != b.faults.deletes.Load() {
		t.Errorf("%s %s: %d access tokens kept, %d withdrawn", method, how, b.faults.puts.Load(), b.faults.deletes.Load())
	}
}
