package token_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/token"
	"github.com/handset-oidc/handset/storage"
)

// login logs a person in and returns the grant and its first tokens.
func (b *bench) login(t testing.TB) (storage.Grant, answer) {
	t.Helper()
	code, g := b.Login(t, endpointtest.Web, nil)
	return g, issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

func (b *bench) refresh(t testing.TB, refreshToken string) answer {
	t.Helper()
	return b.post(t, endpointtest.Web, refreshForm(refreshToken))
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g, first := b.login(t)
	b.Pass(time.Hour)
	second := issued(t, b.refresh(t, first.RefreshToken))
	if second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
		t.Error("the refresh token was not rotated")
	}
	if second.Scope != first.Scope || second.ExpiresIn != 3600 || !b.works(t, second.AccessToken) {
		t.Errorf("got %s", second.Body)
	}
	issued(t, b.refresh(t, second.RefreshToken))

	// OIDC Core §12.2
	old, renewed := b.claims(t, first.IDToken), b.claims(t, second.IDToken)
	for _, name := range []string{"iss", "sub", "auth_time", "sid"} {
		if old[name] == nil || old[name] != renewed[name] {
			t.Errorf("%s was %v and is %v", name, old[name], renewed[name])
		}
	}
	if renewed["iat"] != float64(b.Now().Unix()) || renewed["sub"] != string(g.UserID) {
		t.Errorf("iat = %v, sub = %v", renewed["iat"], renewed["sub"])
	}
	if renewed["nonce"] != nil {
		t.Errorf("nonce = %v in a renewed ID token", renewed["nonce"])
	}
	if renewed["at_hash"] == nil || renewed["at_hash"] == old["at_hash"] {
		t.Errorf("at_hash = %v, of the first %v", renewed["at_hash"], old["at_hash"])
	}
}

func TestIDTokenOnRefreshIsASetting(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *token.Config) { c.IDTokenOnRefresh = false })
	_, first := b.login(t)
	if a := issued(t, b.refresh(t, first.RefreshToken)); a.IDToken != "" {
		t.Error("an ID token was issued")
	}
}

// security.md §3.24: the answer is narrower, the grant is not.
func TestNarrowingScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.login(t)
	form := refreshForm(first.RefreshToken)
	form.Set("scope", "phone  phone offline_access")
	second := issued(t, b.post(t, endpointtest.Web, form))
	if second.Scope != "phone offline_access" || second.IDToken != "" {
		t.Errorf("got %s, want phone and offline_access, and no ID token without openid", second.Body)
	}
	found, err := b.Redis.AccessToken(t.Context(), b.Minter.AccessTokenMACs(second.AccessToken))
	if err != nil || strings.Join(found.Scopes, " ") != second.Scope {
		t.Errorf("the access token's scopes are %v (%v)", found.Scopes, err)
	}
	if third := issued(t, b.refresh(t, second.RefreshToken)); third.Scope != first.Scope {
		t.Errorf("scope = %q afterwards, want all that was granted", third.Scope)
	}
}

// security.md §3.24, oidc-library.md §4.1 G8.
func TestWideningScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.Scopes = []string{"openid", "offline_access"} })
	first := issued(t, b.post(t, endpointtest.Web, codeForm(code)))
	for _, scope := range []string{"openid phone", "admin", "OPENID", "openid,phone"} {
		form := refreshForm(first.RefreshToken)
		form.Set("scope", scope)
		refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidScope, "scope widened")
	}
	if a := issued(t, b.refresh(t, first.RefreshToken)); a.RefreshToken != b.successor(t, first.RefreshToken) {
		t.Error("a refused request rotated the token")
	}
}

// successor is the token that replaces another.
func (b *bench) successor(t testing.TB, refreshToken string) string {
	t.Helper()
	family, n, ok := b.Minter.ParseRefreshToken(refreshToken)
	if !ok {
		t.Fatal("not a refresh token")
	}
	return b.Minter.RefreshToken(family, n+1)
}

// design.md §7: the answer was lost on its way.
func TestARetryGetsTheSameSuccessor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.login(t)
	second := issued(t, b.refresh(t, first.RefreshToken))
	b.Pass(grace)
	again := issued(t, b.refresh(t, first.RefreshToken))
	if again.RefreshToken != second.RefreshToken {
		t.Error("the retry got another successor")
	}
	if again.AccessToken == second.AccessToken || !b.works(t, again.AccessToken) {
		t.Error("the retry got no access token of its own")
	}
	issued(t, b.refresh(t, again.RefreshToken))
}

// security.md §3.23, RFC 9700 §4.14.2.
func TestRefreshTokenReplayKillsTheFamily(t *testing.T) {
	t.Parallel()
	for name, replay := range map[string]func(*testing.T, *bench, answer) answer{
		"after the grace": func(t *testing.T, b *bench, first answer) answer {
			second := issued(t, b.refresh(t, first.RefreshToken))
			b.Pass(grace + time.Second)
			return second
		},
		"within the grace, of a token used since": func(t *testing.T, b *bench, first answer) answer {
			second := issued(t, b.refresh(t, first.RefreshToken))
			return issued(t, b.refresh(t, second.RefreshToken))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			g, first := b.login(t)
			last := replay(t, b, first)
			refused(t, b.refresh(t, first.RefreshToken), oauth.InvalidGrant, "refresh token reused")
			if !b.Revocations.Revoked(g.ID) || b.works(t, last.AccessToken) {
				t.Error("the access token of the last rotation is let in")
			}
			refused(t, b.refresh(t, last.RefreshToken), oauth.InvalidGrant, "grant revoked")
			refused(t, b.refresh(t, first.RefreshToken), oauth.InvalidGrant, "grant revoked")
		})
	}
}

// Another request rotated in between: the store notices what the reading did not.
func TestAReplayThatOnlyTheStoreSees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g, first := b.login(t)
	second := issued(t, b.refresh(t, first.RefreshToken))
	b.Pass(grace + time.Second)
	b.faults.stale = func(f *storage.RefreshFamily, _ *storage.Grant) { f.Counter, f.RotatedAt = 1, time.Time{} }
	refused(t, b.refresh(t, first.RefreshToken), oauth.InvalidGrant, "refresh token reused")
	if !b.Revocations.Revoked(g.ID) || b.works(t, second.AccessToken) {
		t.Error("the grant stands")
	}
	if puts, deletes := b.faults.puts.Load(), b.faults.deletes.Load(); puts != deletes+2 {
		t.Errorf("%d access tokens kept, %d withdrawn; two were answered", puts, deletes)
	}
}

func TestParallelRefresh(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.login(t)
	answers := inParallel(t, 50, func() answer { return b.refresh(t, first.RefreshToken) })
	for _, a := range answers {
		if got := issued(t, a); got.RefreshToken != b.successor(t, first.RefreshToken) {
			t.Fatal("two successors of one refresh token")
		}
		if !b.works(t, a.AccessToken) {
			t.Error("a winner's access token is not let in")
		}
	}
	issued(t, b.refresh(t, b.successor(t, first.RefreshToken)))
}

func TestNoGrace(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *token.Config) { c.RefreshGrace = 0 })
	g, first := b.login(t)
	issued(t, b.refresh(t, first.RefreshToken))
	b.Pass(time.Second)
	refused(t, b.refresh(t, first.RefreshToken), oauth.InvalidGrant, "refresh token reused")
	if !b.Revocations.Revoked(g.ID) {
		t.Error("the grant stands")
	}
}

// security.md §3.22, §3.23: bound to its client.
func TestRefreshTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g, first := b.login(t)
	issued(t, b.refresh(t, first.RefreshToken))
	b.Pass(time.Hour)
	form := refreshForm(first.RefreshToken) // a replay as well, and yet:
	refused(t, b.post(t, endpointtest.Other, form), oauth.InvalidGrant, "refresh token of another client")
	form.Set("client_id", string(endpointtest.SPA))
	refused(t, b.send(t, endpointtest.Form(t, "", form)), oauth.InvalidGrant, "refresh token of another client")
	if b.Revocations.Revoked(g.ID) {
		t.Error("a foreign client revoked the grant")
	}
	issued(t, b.refresh(t, b.successor(t, first.RefreshToken)))
}

func TestThingsThatAreNoRefreshToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	_, first := b.login(t)
	family, _, _ := b.Minter.ParseRefreshToken(first.RefreshToken)
	for name, text := range map[string]string{
		"access token":   first.AccessToken,
		"ID token":       first.IDToken,
		"code":           code,
		"family":         string(family),
		"cut":            first.RefreshToken[:len(first.RefreshToken)-1],
		"longer":         first.RefreshToken + "A",
		"forged":         "hsr1_" + strings.Repeat("A", 96),
		"another spaced": first.RefreshToken + " ",
		"newline":        first.RefreshToken[:20] + "\n" + first.RefreshToken[20:],
	} {
		refused(t, b.refresh(t, text), oauth.InvalidGrant, "not a refresh token")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	refused(t, b.refresh(t, b.Minter.RefreshToken("nobody's", 1)), oauth.InvalidGrant, "unknown refresh token")
	// As after a database was restored from yesterday: no such token is known, and none is stolen.
	refused(t, b.refresh(t, b.Minter.RefreshToken(family, 7)), oauth.InvalidGrant, "grant revoked")
	issued(t, b.refresh(t, first.RefreshToken))
}

func TestMissingRefreshToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refused(t, b.refresh(t, ""), oauth.InvalidRequest, "")
}

// security.md §3.23: idle 7 days, absolute 30 days.
func TestRefreshTokensEnd(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, a := b.login(t)
		b.Pass(refreshIdle - time.Second)
		a = issued(t, b.refresh(t, a.RefreshToken))
		b.Pass(refreshIdle)
		refused(t, b.refresh(t, a.RefreshToken), oauth.InvalidGrant, "refresh token expired")
	})
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, a := b.login(t)
		end := b.Now().Add(refreshAbsolute)
		for b.Now().Add(100 * time.Hour).Before(end) {
			b.Pass(100 * time.Hour)
			a = issued(t, b.refresh(t, a.RefreshToken))
		}
		b.Pass(end.Sub(b.Now()))
		refused(t, b.refresh(t, a.RefreshToken), oauth.InvalidGrant, "refresh token expired")
	})
}

func TestARefreshTokenDiesWithItsPersonAndSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, tt := range map[string]struct {
		end    func(*testing.T, *bench, storage.Grant) error
		reason string
	}{
		"session": {func(t *testing.T, b *bench, g storage.Grant) error {
			return b.SQL.EndSession(t.Context(), g.SessionID, b.Now())
		}, "grant revoked"},
		"blocked": {func(t *testing.T, b *bench, g storage.Grant) error {
			return b.SQL.BlockUser(t.Context(), g.UserID, b.Now())
		}, "grant revoked"},
		"removed": {func(t *testing.T, b *bench, g storage.Grant) error {
			return b.SQL.RemoveUser(t.Context(), g.UserID, b.Now())
		}, "unknown refresh token"},
		"grant": {func(t *testing.T, b *bench, g storage.Grant) error {
			return b.SQL.RevokeGrant(t.Context(), g.ID, b.Now())
		}, "grant revoked"},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they count what is kept
			g, a := b.login(t)
			puts := b.faults.puts.Load()
			if err := tt.end(t, b, g); err != nil {
				t.Fatal(err)
			}
			refused(t, b.refresh(t, a.RefreshToken), oauth.InvalidGrant, tt.reason)
			if b.faults.puts.Load() != puts {
				t.Error("an access token was kept for a dead grant")
			}
		})
	}
}

// design.md §8: 503, and nothing is rotated.
func TestAPartThatIsDownRotatesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, method := range []string{"RefreshFamily", "PutAccessToken", "IDToken", "RotateRefreshToken"} {
		for how := range maps.Keys(breakdowns) {
			_, first := b.login(t)
			b.breaks(t, method, how, endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), refreshForm(first.RefreshToken)))
			family, n, _ := b.Minter.ParseRefreshToken(first.RefreshToken)
			if f, _, _, err := b.SQL.RefreshFamily(t.Context(), family); err != nil || f.Counter != n {
				t.Errorf("%s %s: counter %d (%v), want %d", method, how, f.Counter, err, n)
			}
			issued(t, b.refresh(t, first.RefreshToken))
		}
	}
}

// A thief is refused, and the grant revoked, also while Redis is down.
func TestAReplayIsRevokedWithoutRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g, first := b.login(t)
	issued(t, b.refresh(t, first.RefreshToken))
	b.Pass(time.Hour)
	b.faults.fail, b.faults.err = "PutAccessToken", storage.ErrUnavailable
	refused(t, b.refresh(t, first.RefreshToken), oauth.InvalidGrant, "refresh token reused")
	if !b.Revocations.Revoked(g.ID) {
		t.Error("the grant stands")
	}
}
