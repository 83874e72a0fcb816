package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
)

// OIDC Core §8.1: per sector another name, in all that a client sees, and the same
// one for ever.
func TestPairwiseSubjects(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withoutAddressLimits(), withClient("sibling", func(c *config.Client) {
		c.ClientSecret, c.SubjectType = config.NewSecret(secret), "pairwise"
	}))
	b, number := newBrowser(t), newNumber()
	id := r.employee(number)
	q := r.newRequest(pairwiseClient).with("scope", "openid phone offline_access")
	got := r.exchange(pairwiseClient, q, r.login(b, q, number).answer().Get("code"), asSecret...)
	sub, _ := claims(t, got.IDToken)["sub"].(string)
	if len(sub) < 22 || sub == string(id) || strings.Contains(got.IDToken, string(id)) {
		t.Fatalf("sub = %q, want 128 random bits", sub)
	}

	same := map[string]any{}
	if status, info := r.userinfo(got.AccessToken); status == http.StatusOK && info["phone_number"] == number {
		same["userinfo"] = info["sub"]
	}
	same["introspection"] = r.introspect(pairwiseClient, got.AccessToken, asSecret...)["sub"]
	same["introspection by a service"] = r.introspect(machine, got.AccessToken)["sub"]
	same["introspection of the refresh token"] = r.introspect(pairwiseClient, got.Refresh, asSecret...)["sub"]
	got = r.refresh(pairwiseClient, got.Refresh, asSecret...)
	same["a refreshed ID token"] = claims(t, got.IDToken)["sub"]
	q = r.newRequest(pairwiseClient).with("audience", purchasing, "scope", "openid read:vendors")
	forAPI := r.exchange(pairwiseClient, q, r.authorize(b, q).answer().Get("code"), asSecret...)
	same["a token for an API"] = claims(t, forAPI.AccessToken)["sub"]
	same["its ID token"] = claims(t, forAPI.IDToken)["sub"]
	same["introspection by the API"] = r.introspect(purchasingBackend, forAPI.AccessToken, asSecret...)["sub"]
	if _, info := r.userinfo(forAPI.AccessToken); info != nil {
		same["userinfo by a token for an API"] = info["sub"]
	}
	q = r.newRequest("sibling").with("scope", "openid")
	sibling := r.exchange("sibling", q, r.authorize(b, q).answer().Get("code"), asSecret...)
	same["another client of the same host"] = claims(t, sibling.IDToken)["sub"]
	r.clock.Advance(400 * time.Hour)
	q = r.newRequest(pairwiseClient).with("scope", "openid")
	later := r.exchange(pairwiseClient, q, r.login(newBrowser(t), q, number).answer().Get("code"), asSecret...)
	same["a login later"] = claims(t, later.IDToken)["sub"]
	for where, found := range same {
		if found != sub {
			t.Errorf("%s: sub = %v, want %s", where, found, sub)
		}
	}
	if len(same) != 11 {
		t.Errorf("%d places were looked at: %v", len(same), same)
	}

	// A public client sees another name, and so does another person's client.
	_, public := r.newTokensFor(webClient, number)
	if c := claims(t, public.IDToken); c["sub"] != string(id) {
		t.Errorf("the public sub = %v, want %s", c["sub"], id)
	}
	q = r.newRequest(pairwiseClient).with("scope", "openid")
	other := r.exchange(pairwiseClient, q, r.login(newBrowser(t), q, newNumber()).answer().Get("code"), asSecret...)
	if c := claims(t, other.IDToken); c["sub"] == sub {
		t.Error("two people have one sub")
	}
}

// A client of another host: its redirect goes to a server that is not there, so the
// answer is read from the redirect.
func TestPairwiseSubjectsOfTwoSectorsDiffer(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(pairwiseClient)
	first := claims(t, r.exchange(pairwiseClient, q, r.login(b, q, number).answer().Get("code"), asSecret...).IDToken)["sub"]
	q = r.newRequest(pairwiseOther).with("redirect_uri", "http://localhost/cb")
	to := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", r.cookies(b)).location(t)
	second := claims(t, r.exchange(pairwiseOther, q, to.Query().Get("code"), asSecret...).IDToken)["sub"]
	if first == second || first == nil || second == nil {
		t.Errorf("subs of two hosts: %v and %v", first, second)
	}
}

// An ID token with a pairwise sub is a hint as good as any: at the authorization
// endpoint and at logout, its own client's and no stranger's.
func TestPairwiseIDTokenHint(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs())
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(pairwiseClient)
	mine := r.exchange(pairwiseClient, q, r.login(b, q, number).answer().Get("code"), asSecret...).IDToken
	q = r.newRequest(pairwiseClient)
	other := r.exchange(pairwiseClient, q, r.login(newBrowser(t), q, newNumber()).answer().Get("code"), asSecret...).IDToken
	if _, got := r.silently(b, pairwiseClient, "id_token_hint", mine); got.Get("code") == "" {
		t.Errorf("own hint: %v", got)
	}
	if _, got := r.silently(b, pairwiseClient, "id_token_hint", other); got.Get("error") != "login_required" {
		t.Errorf("another person's hint: %v", got)
	}
	// Another person logs in than the hint names.
	q = r.newRequest(pairwiseClient).with("id_token_hint", mine)
	r.wantsError(t, r.login(newBrowser(t), q, newNumber()).answer(), "login_required", "another person")

	if p := r.logout(b, "id_token_hint", other); !strings.Contains(p.body, "decision") {
		t.Errorf("logout with another person's hint does not ask: %s", p.words())
	}
	r.logout(b, "id_token_hint", mine).wants(http.StatusOK)
	r.loginRequired(b)
}

// ID tokens by form post (Auth0's implicit switch) name people alike.
func TestPairwiseIDTokenResponse(t *testing.T) {
	t.Parallel()
	r := start(t, withAPIs(), withClient("posted", func(c *config.Client) {
		c.ClientSecret, c.SubjectType, c.GrantTypes = config.NewSecret(secret), "pairwise", []string{"implicit"}
	}))
	b, number := newBrowser(t), newNumber()
	q := r.newRequest(pairwiseClient)
	want := claims(t, r.exchange(pairwiseClient, q, r.login(b, q, number).answer().Get("code"), asSecret...).IDToken)["sub"]
	q = r.newRequest("posted").with("response_type", "id_token", "response_mode", "form_post", "code_challenge", "", "code_challenge_method", "")
	got := r.authorize(b, q).submit("/cb").answer()
	if c := claims(t, got.Get("id_token")); c["sub"] != want {
		t.Errorf("sub = %v, want %v", c["sub"], want)
	}
}
