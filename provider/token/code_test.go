package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	b.Pass(5 * time.Second)
	a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))

	if a.TokenType != "Bearer" || a.ExpiresIn != 3600 || a.Scope != "openid profile phone offline_access" {
		t.Errorf("got %s", a.Body)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("a cache may keep the answer (RFC 6749 §5.1): %v", a.Header)
	}
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type = %q", got)
	}
	if !b.works(t, a.AccessToken) {
		t.Error("the access token is not let in")
	}
	if _, n, ok := b.Minter.ParseRefreshToken(a.RefreshToken); !ok || n != 1 {
		t.Errorf("refresh token: counter %d, %t", n, ok)
	}
	sum := sha256.Sum256([]byte(a.AccessToken))
	want := map[string]any{
		"iss": endpointtest.Issuer, "sub": string(g.UserID), "aud": "web", "sid": string(g.SessionID), "nonce": endpointtest.Nonce,
		"iat": float64(b.Now().Unix()), "exp": float64(b.Now().Add(10 * time.Minute).Unix()),
		"auth_time": float64(g.AuthTime.Unix()), "amr": []any{"sms", "otp"},
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	got := b.claims(t, a.IDToken)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ID token (-want +got):\n%s", d)
	}
}

func TestTheGrantDecidesWhatIsIssued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct {
		name        string
		client      storage.ClientID
		scopes      []string
		id, refresh bool
	}{
		{"openid", endpointtest.Web, []string{"openid"}, true, false},
		{"offline_access", endpointtest.Web, []string{"openid", "offline_access"}, true, true},
		{"no openid", endpointtest.Web, []string{"phone", "offline_access"}, false, true},
		{"nothing", endpointtest.Web, nil, false, false},
		{"client without refresh_token", endpointtest.Narrow, []string{"openid", "offline_access"}, true, false},
	} {
		code, _ := b.Login(t, tt.client, func(g *storage.NewGrant) { g.Scopes, g.Nonce = tt.scopes, "" })
		a := issued(t, b.post(t, tt.client, codeForm(code)))
		if (a.IDToken != "") != tt.id || (a.RefreshToken != "") != tt.refresh || a.Scope != strings.Join(tt.scopes, " ") {
			t.Errorf("%s: got %s", tt.name, a.Body)
		}
		if tt.id {
			if nonce, ok := b.claims(t, a.IDToken)["nonce"]; ok {
				t.Errorf("%s: nonce %q, and none was sent", tt.name, nonce)
			}
		}
	}
}

// security.md §3.11: whatever it is made of.
func TestTheNonceIsCopiedUnchanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, nonce := range []string{"n", " spaces ", `<"&'>`, "%00 %2B + \x01", "日本語 🙂", strings.Repeat("x", 2048)} {
		code, _ := b.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.Nonce = nonce })
		a := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
		if got := b.claims(t, a.IDToken)["nonce"]; got != nonce {
			t.Errorf("nonce %q came back as %q", nonce, got)
		}
	}
}

// requirements.md A: a known relying party sends scope=undefined.
func TestScopeInACodeExchangeIsIgnored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.Scopes = []string{"openid"} })
	form := codeForm(code)
	form.Set("scope", "undefined phone")
	if a := issued(t, b.post(t, endpointtest.Web, form)); a.Scope != "openid" {
		t.Errorf("scope = %q, want the granted one", a.Scope)
	}
}

func TestMissingParameters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	for _, name := range []string{"grant_type", "code", "redirect_uri"} {
		form := codeForm(code)
		form.Del(name)
		a := b.post(t, endpointtest.Web, form)
		refused(t, a, oauth.InvalidRequest, "")
		if !strings.Contains(a.Body, name) {
			t.Errorf("%s does not name %s", a.Body, name)
		}
		form.Set(name, "") // RFC 6749 §3.2: as if omitted
		refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidRequest, "")
	}
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

// security.md §3.5, oidc-library.md §4.1 G7, conformance oidcc-codereuse.
func TestCodeReplayKillsWhatTheFirstUseIssued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	first := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "code reused")
	if b.works(t, first.AccessToken) {
		t.Error("the first access token is let in")
	}
	refused(t, b.post(t, endpointtest.Web, refreshForm(first.RefreshToken)), oauth.InvalidGrant, "grant revoked")
	// A third use, and one after the code's life, say the same.
	b.Pass(time.Hour)
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "code reused")
}

// A thief who replays a code with a wrong verifier or redirect URI has it all the same.
func TestCodeReplayWithWrongParametersRevokesToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	form := codeForm(code)
	form.Set("redirect_uri", "https://evil.example/")
	refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidGrant, "code reused")
	if !b.Revocations.Revoked(g.ID) {
		t.Error("the grant stands")
	}
}

// security.md §3.6, oidc-library.md §4.2 (#902, GHSA-xqxv-4jc2-x56x).
func TestCodeOfAnotherClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	refused(t, b.post(t, endpointtest.Other, codeForm(code)), oauth.InvalidGrant, "code of another client")
	public := codeForm(code)
	public.Set("client_id", string(endpointtest.SPA))
	refused(t, b.send(t, endpointtest.Form(t, "", public)), oauth.InvalidGrant, "code of another client")

	first := issued(t, b.post(t, endpointtest.Web, codeForm(code))) // it was not burnt
	// Nor can another client that replays it end what was issued.
	refused(t, b.post(t, endpointtest.Other, codeForm(code)), oauth.InvalidGrant, "code of another client")
	if b.Revocations.Revoked(g.ID) || !b.works(t, first.AccessToken) {
		t.Error("a foreign client revoked the grant")
	}
}

func TestACodeThatCannotBeRedeemed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pkce := func(g *storage.NewGrant) { g.CodeChallenge = challenge }
	with := func(name, value string) func(url.Values) {
		return func(form url.Values) { form.Set(name, value) }
	}
	for _, tt := range []struct {
		name   string
		grant  func(*storage.NewGrant)
		form   func(url.Values)
		reason string
	}{
		{"unknown code", nil, with("code", "hsc_"+strings.Repeat("A", 43)), "unknown code"},
		{"malformed code", nil, with("code", "'; DROP TABLE grants; --"), "not a code"},
		{"access token as code", nil, with("code", "hsa_"+strings.Repeat("A", 43)), "not a code"},
		{"redirect_uri of another page", nil, with("redirect_uri", "https://app.example/other"), "wrong redirect_uri"},
		{"redirect_uri with a slash", nil, with("redirect_uri", endpointtest.RedirectURI+"/"), "wrong redirect_uri"},
		{"redirect_uri in capitals", nil, with("redirect_uri", "https://APP.example/callback"), "wrong redirect_uri"},
		{"redirect_uri encoded", nil, with("redirect_uri", "https://app.example/%63allback"), "wrong redirect_uri"},
		{"PKCE verifier missing", pkce, nil, "wrong code_verifier"},
		{"PKCE verifier empty", pkce, with("code_verifier", ""), "wrong code_verifier"},
		{"PKCE verifier wrong", pkce, with("code_verifier", strings.Repeat("w", 43)), "wrong code_verifier"},
		{"PKCE plain", pkce, with("code_verifier", challenge), "wrong code_verifier"},
		{"PKCE verifier short", func(g *storage.NewGrant) { g.CodeChallenge = s256("abc") }, with("code_verifier", "abc"), "wrong code_verifier"},
		{"PKCE verifier long", func(g *storage.NewGrant) { g.CodeChallenge = s256(strings.Repeat("v", 129)) },
			with("code_verifier", strings.Repeat("v", 129)), "wrong code_verifier"},
		{"PKCE downgrade", nil, with("code_verifier", verifier), "pkce downgrade"},
	} {
		t.Run(tt.name, func(t *testing.T) { // one after the other: they count what is kept
			code, g := b.Login(t, endpointtest.Web, tt.grant)
			form := codeForm(code)
			if tt.form != nil {
				tt.form(form)
			}
			refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidGrant, tt.reason)
			kept := b.grant(t, code)
			if !kept.RedeemedAt.IsZero() || !kept.RevokedAt.IsZero() || b.Revocations.Revoked(g.ID) {
				t.Error("the code was spent")
			}
			if n := b.faults.puts.Load(); n != 0 {
				t.Errorf("%d access tokens were kept", n)
			}
		})
	}
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []storage.ClientID{endpointtest.Web, endpointtest.SPA} {
		code, _ := b.Login(t, id, func(g *storage.NewGrant) { g.CodeChallenge = challenge })
		form := codeForm(code)
		form.Set("code_verifier", verifier)
		r := endpointtest.Form(t, endpointtest.Basic(id), form)
		if id == endpointtest.SPA {
			form.Set("client_id", string(id))
			r = endpointtest.Form(t, "", form)
		}
		issued(t, b.send(t, r))
	}
}

// oidc-library.md §4.1 G1.
func TestPublicClientWithoutPKCE(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, sent := range []string{"", verifier} {
		code, _ := b.Login(t, endpointtest.SPA, nil)
		form := codeForm(code)
		form.Set("client_id", string(endpointtest.SPA))
		form.Set("code_verifier", sent)
		refused(t, b.send(t, endpointtest.Form(t, "", form)), oauth.InvalidGrant, "public client without pkce")
	}
}

func TestACodeLivesSixtySeconds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	late, _ := b.Login(t, endpointtest.Web, nil)
	b.Pass(59 * time.Second)
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	b.Pass(time.Second)
	refused(t, b.post(t, endpointtest.Web, codeForm(late)), oauth.InvalidGrant, "code expired")
}

func TestACodeDiesWithItsPersonAndSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for reason, end := range map[string]func(context.Context, *bench, storage.Grant) error{
		"grant revoked": func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.EndSession(ctx, g.SessionID, b.Now())
		},
		"grant revoked ": func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.BlockUser(ctx, g.UserID, b.Now())
		},
		"unknown code": func(ctx context.Context, b *bench, g storage.Grant) error {
			return b.SQL.RemoveUser(ctx, g.UserID, b.Now())
		},
	} {
		code, g := b.Login(t, endpointtest.Web, nil)
		if err := end(t.Context(), b, g); err != nil {
			t.Fatal(err)
		}
		refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, strings.TrimSpace(reason))
	}
}

// security.md §3.7, oidc-library.md §4.1 G7.
func TestParallelRedemption(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	answers := inParallel(t, 50, func() answer { return b.post(t, endpointtest.Web, codeForm(code)) })
	won := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.AccessToken == "" })
	if len(won) > 1 {
		t.Fatalf("%d token sets from one code", len(won))
	}
	for _, a := range answers {
		if a.AccessToken == "" {
			refused(t, a, oauth.InvalidGrant, "")
		}
	}
	if kept := b.grant(t, code); kept.RevokedAt.IsZero() || !b.Revocations.Revoked(g.ID) {
		t.Error("the code was used more than once, and its grant stands")
	}
	for _, a := range won {
		if b.works(t, a.AccessToken) {
			t.Error("the winner's access token is let in")
		}
		refused(t, b.post(t, endpointtest.Web, refreshForm(a.RefreshToken)), oauth.InvalidGrant, "grant revoked")
	}
	// Only the winner's record is left, and it opens nothing.
	if kept := int(b.faults.puts.Load() - b.faults.deletes.Load()); kept != len(won) {
		t.Errorf("%d access tokens are kept for %d answers", kept, len(won))
	}
}

// inParallel runs n requests that start together.
func inParallel(t *testing.T, n int, send func() answer) []answer {
	t.Helper()
	answers := make([]answer, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			answers[i] = send()
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// Both requests read the code as unspent; the store lets one win.
func TestTheLoserOfARaceRevokes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	first := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	b.faults.stale = func(_ *storage.RefreshFamily, g *storage.Grant) { g.RedeemedAt = time.Time{} }
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "code reused")
	if b.works(t, first.AccessToken) || b.grant(t, code).RevokedAt.IsZero() {
		t.Error("the winner's tokens live")
	}
	if puts, deletes := b.faults.puts.Load(), b.faults.deletes.Load(); puts != 2 || deletes != 1 {
		t.Errorf("%d access tokens kept and %d withdrawn, want 2 and 1", puts, deletes)
	}
}

func TestAGrantRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	b.faults.after = func() {
		if err := b.SQL.RevokeGrant(context.Background(), g.ID, b.Now()); err != nil {
			t.Error(err)
		}
	}
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "grant revoked")
	if b.faults.puts.Load() != b.faults.deletes.Load() {
		t.Error("an access token stayed behind")
	}
}

// An attacker can't keep stolen tokens alive by hanging up on the replay.
func TestHangingUpDoesNotStopARevocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, nil)
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	r := endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), codeForm(code))
	ctx, hangUp := context.WithCancel(r.Context())
	b.faults.after = hangUp
	b.send(t, r.WithContext(ctx))
	if b.grant(t, code).RevokedAt.IsZero() || !b.Revocations.Revoked(g.ID) {
		t.Error("the grant stands")
	}
}

// design.md §8: 503, and the code is not spent.
func TestAPartThatIsDownSpendsNoCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, method := range []string{"GrantByCode", "PutAccessToken", "IDToken", "RedeemGrant"} {
		for how := range maps.Keys(breakdowns) {
			code, _ := b.Login(t, endpointtest.Web, nil)
			b.breaks(t, method, how, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), codeForm(code)))
			issued(t, b.post(t, endpointtest.Web, codeForm(code)))
		}
	}
}

func TestARevocationThatFailsIsNotCalledDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for how := range maps.Keys(breakdowns) {
		code, g := b.Login(t, endpointtest.Web, nil)
		if err := b.SQL.RedeemGrant(t.Context(), storage.Redemption{Grant: g.ID, Now: b.Now()}); err != nil {
			t.Fatal(err)
		}
		b.breaks(t, "RevokeGrant", how, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), codeForm(code)))
		if b.Revocations.Revoked(g.ID) {
			t.Error("only this server holds the grant for revoked")
		}
		refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "code reused")
	}
}

func TestAWithdrawalThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	b.faults.stale = func(_ *storage.RefreshFamily, g *storage.Grant) { g.RedeemedAt = time.Time{} }
	b.faults.fail, b.faults.err = "DeleteAccessToken", storage.ErrUnavailable
	refused(t, b.post(t, endpointtest.Web, codeForm(code)), oauth.InvalidGrant, "code reused")
	if b.faults.hit.Load() != 1 {
		t.Error("the withdrawal was not tried")
	}
}
