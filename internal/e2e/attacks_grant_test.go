package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// redemption is the form by which the client web redeems a code.
func (r *rig) redemption(q request, code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Get("redirect_uri")},
		"code_verifier": {q.verifier}, "client_id": {webClient}, "client_secret": {secret},
	}
}

// newCode logs a new person in and returns the request with its code.
func (r *rig) newCode(client string, pairs ...string) (request, string) {
	r.t.Helper()
	q := r.newRequest(client).with(pairs...)
	return q, r.login(newBrowser(r.t), q, newNumber()).answer().Get("code")
}

// tokensOf reads a token answer in any goroutine.
func tokensOf(t testing.TB, a reply) tokens {
	var out tokens
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Errorf("token answer is not JSON: %s", a.body)
	}
	out.status, out.header = a.status, a.header
	return out
}

// security.md §3.7: fifty redemptions of one code bring one set of tokens at
// most, and none of it lives.
func TestAttackRedeemOneCodeInParallel(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		q, code := r.newCode(webClient)
		answers := make([]tokens, 50)
		atOnce(len(answers), func(i int) {
			answers[i] = tokensOf(t, decided(t, func() reply { return send(t, http.MethodPost, r.base+"/oauth/token", r.redemption(q, code)) }))
		})
		var won []tokens
		for _, a := range answers {
			switch {
			case a.status == http.StatusOK:
				won = append(won, a)
			case a.status != http.StatusBadRequest || a.Error != "invalid_grant" || a.AccessToken != "":
				t.Errorf("%d %s", a.status, a.Error)
			}
		}
		if len(won) > 1 {
			t.Fatalf("%d sets of tokens", len(won))
		}
		for _, w := range won {
			if status, _ := r.userinfo(w.AccessToken); status != http.StatusUnauthorized {
				t.Errorf("userinfo after the code was used fifty times: %d", status)
			}
			if next := r.refresh(webClient, w.Refresh); next.Error != "invalid_grant" {
				t.Errorf("refresh after the code was used fifty times: %d %s", next.status, next.Error)
			}
		}
	})
}

// Fifty uses of one refresh token have one successor; later the old one is a
// replay, which ends the line.
func TestAttackRefreshInParallel(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		first := r.newTokens(webClient)
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}, "client_id": {webClient}, "client_secret": {secret}}
		answers := make([]tokens, 50)
		atOnce(len(answers), func(i int) {
			answers[i] = tokensOf(t, decided(t, func() reply { return send(t, http.MethodPost, r.base+"/oauth/token", form) }))
		})
		successors, access := map[string]bool{}, map[string]bool{}
		for _, a := range answers {
			if a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.Error)
			}
			successors[a.Refresh], access[a.AccessToken] = true, true
		}
		if len(successors) != 1 || successors[first.Refresh] {
			t.Errorf("%d successors, want one", len(successors))
		}
		r.clock.Advance(31 * time.Second)
		r.refresh(webClient, first.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		for token := range successors {
			r.refresh(webClient, token).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		}
		for token := range access {
			if status, _ := r.userinfo(token); status != http.StatusUnauthorized {
				t.Fatalf("an access token of the line lives: %d", status)
			}
		}
	})
}

// A code that a foreign client got hold of is worth nothing to it, does not get
// spent by it, and its own grant is not revoked by it.
func TestAttackCodeSwapBetweenClients(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	for _, from := range []string{webClient, basicClient, publicClient, strictClient} {
		q, code := r.newCode(from)
		for _, to := range []string{webClient, basicClient, publicClient, strictClient, nativeClient} {
			if to == from {
				continue
			}
			for range 2 {
				r.exchange(to, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
			}
		}
		if got := r.exchange(from, q, code); got.status != http.StatusOK {
			t.Errorf("%s: after others tried: %d %s", from, got.status, got.Error)
		} else {
			for _, to := range []string{webClient, basicClient, publicClient} {
				if to != from {
					r.exchange(to, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
					r.refresh(to, got.Refresh).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
				}
			}
			if status, _ := r.userinfo(got.AccessToken); status != http.StatusOK {
				t.Errorf("%s: another client's replay revoked the grant", from)
			}
		}
	}
}

// RFC 9700 §4.5: a code injected into another login of the same client fails
// at PKCE, whatever verifier the attacker has.
func TestAttackCodeInjectionBetweenTransactions(t *testing.T) {
	t.Parallel()
	r := start(t)
	victims, code := r.newCode(publicClient)
	attackers, _ := r.newCode(publicClient)
	r.exchange(publicClient, attackers, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	if got := r.exchange(publicClient, victims, code); got.status != http.StatusOK {
		t.Errorf("the victim's own: %d %s", got.status, got.Error)
	}
}

func TestAttackPKCEDowngrade(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	challengeOf := func(verifier string) string {
		sum := sha256.Sum256([]byte(verifier))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	t.Run("at the authorization endpoint", func(t *testing.T) {
		for name, pairs := range map[string][]string{
			"omitted":              {"code_challenge", "", "code_challenge_method", ""},
			"method plain":         {"code_challenge_method", "plain"},
			"no method":            {"code_challenge_method", ""},
			"method in lower case": {"code_challenge_method", "s256"},
			"method alone":         {"code_challenge", ""},
			"padded":               {"code_challenge", challengeOf("x") + "="},
			"too short":            {"code_challenge", challengeOf("x")[:42]},
			"too long":             {"code_challenge", challengeOf("x") + "A"},
			"with a line break":    {"code_challenge", challengeOf("x")[:20] + "\n" + challengeOf("x")[20:]},
			"of another alphabet":  {"code_challenge", strings.Repeat("+", 43)},
		} {
			for _, client := range []string{publicClient, nativeClient, strictClient} {
				q := r.newRequest(client).with(pairs...)
				got := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil).location(t).Query()
				if got.Get("error") != "invalid_request" {
					t.Errorf("%s of %s: %v", name, client, got)
				}
			}
		}
	})
	t.Run("at the token endpoint", func(t *testing.T) {
		r := r.in(t)
		q, code := r.newCode(webClient) // requires nothing, but a challenge was sent
		for name, verifier := range map[string]string{
			"omitted": "", "wrong": strings.Repeat("a", 43), "cut": q.verifier[:43], "with a space": q.verifier + " ",
			"the challenge": q.Get("code_challenge"), "in other case": strings.ToLower(q.verifier),
		} {
			if got := r.exchange(webClient, q, code, "code_verifier", verifier); got.Error != "invalid_grant" {
				t.Errorf("verifier %s: %d %s", name, got.status, got.Error)
			}
		}
		if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
			t.Errorf("the right verifier: %d %s", got.status, got.Error)
		}
	})
	t.Run("a verifier that is too short, long or odd", func(t *testing.T) {
		for _, verifier := range []string{"abc", strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a", 43) + "%", strings.Repeat("é", 30)} {
			r := r.in(t)
			q, code := r.newCode(publicClient, "code_challenge", challengeOf(verifier))
			q.verifier = verifier
			r.exchange(publicClient, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		}
	})
	t.Run("a verifier nobody asked for", func(t *testing.T) {
		r := r.in(t)
		q, code := r.newCode(webClient, "code_challenge", "", "code_challenge_method", "")
		r.exchange(webClient, q, code, "code_verifier", q.verifier).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
		if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
			t.Errorf("without it: %d %s", got.status, got.Error)
		}
	})
}

// RFC 6749 §4.1.3: the redirect URI of the token request is that of the
// authorization request, to the byte.
func TestAttackRedeemWithAnotherRedirectURI(t *testing.T) {
	t.Parallel()
	r := start(t)
	q, code := r.newCode(nativeClient)
	for _, uri := range []string{
		"http://127.0.0.1/cb", "com.example.app:/cb", "http://127.0.0.1:1/cb", strings.ToUpper(q.Get("redirect_uri")),
		q.Get("redirect_uri") + "/", q.Get("redirect_uri") + "?", url.QueryEscape(q.Get("redirect_uri")),
	} {
		if got := r.exchange(nativeClient, q, code, "redirect_uri", uri); got.Error != "invalid_grant" {
			t.Errorf("%s: %d %s", uri, got.status, got.Error)
		}
	}
	r.exchange(nativeClient, q, code, "redirect_uri", "").wantsRefused(t, http.StatusBadRequest, "invalid_request")
	if got := r.exchange(nativeClient, q, code); got.status != http.StatusOK {
		t.Errorf("the right one: %d %s", got.status, got.Error)
	}
}

// A code that lay about for a minute, or whose person has left meanwhile.
func TestAttackStaleCode(t *testing.T) {
	t.Parallel()
	r := start(t)
	q, code := r.newCode(webClient)
	r.clock.Advance(61 * time.Second)
	r.exchange(webClient, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")

	b, q := newBrowser(t), r.newRequest(webClient)
	code = r.login(b, q, newNumber()).answer().Get("code")
	b.get(r.base+"/oidc/logout").submit("/oidc/logout", "decision", "approve").wants(http.StatusOK, "signed out")
	r.exchange(webClient, q, code).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
}

// A public client must not come by what is another's: grants of clients with
// secrets, and secrets that it does not have.
func TestAttackPoseAsAnotherClient(t *testing.T) {
	t.Parallel()
	r := start(t)
	q, code := r.newCode(webClient)
	form := r.redemption(q, code)
	for name, change := range map[string]func(url.Values){
		"no secret":                     func(v url.Values) { v.Del("client_secret") },
		"empty secret":                  func(v url.Values) { v.Set("client_secret", "") },
		"another's secret":              func(v url.Values) { v.Set("client_secret", secret+"x") },
		"secret with a null byte":       func(v url.Values) { v.Set("client_secret", secret+"\x00") },
		"an assertion that is nothing":  func(v url.Values) { v.Del("client_secret"); v.Set("client_assertion", "x") },
		"the machine's name":            func(v url.Values) { v.Set("client_id", machine) },
		"a name in other case":          func(v url.Values) { v.Set("client_id", "WEB") },
		"a name with spaces":            func(v url.Values) { v.Set("client_id", " web ") },
		"a client registered for basic": func(v url.Values) { v.Set("client_id", basicClient) },
	} {
		bent := url.Values{}
		for k, v := range form {
			bent[k] = v
		}
		change(bent)
		if got := tokensOf(t, send(t, http.MethodPost, r.base+"/oauth/token", bent)); got.status != http.StatusUnauthorized || got.Error != "invalid_client" {
			t.Errorf("%s: %d %s", name, got.status, got.Error)
		}
	}
	both := send(t, http.MethodPost, r.base+"/oauth/token", form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(webClient+":"+secret)))
	if both.status != http.StatusUnauthorized {
		t.Errorf("two methods at once: %d", both.status)
	}
	for _, grant := range []string{"password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code", "", "Authorization_Code"} {
		form := url.Values{"grant_type": {grant}, "username": {"+447400100001"}, "password": {"1"}, "client_id": {webClient}, "client_secret": {secret}}
		got := tokensOf(t, send(t, http.MethodPost, r.base+"/oauth/token", form))
		if got.status != http.StatusBadRequest || got.AccessToken != "" {
			t.Errorf("grant %q: %d %s", grant, got.status, got.Error)
		}
	}
	if got := r.exchange(webClient, q, code); got.status != http.StatusOK {
		t.Errorf("the client itself: %d %s", got.status, got.Error)
	}
}

// One login has one answer, ever: "continue" by a session of another tab, fifty
// times at once, and the right code in the same moment.
func TestAttackAnswerOneLoginTwice(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine)
		b, number := newBrowser(t), newNumber()
		pending := r.askCode(b, r.newRequest(webClient), number)
		typed := r.stolen(pending, "/login/code", "code", r.gateway.code(number))
		r.login(b, r.newRequest(webClient), newNumber()) // in another tab
		form := r.stolen(b.get(pending.url.String()).wants(http.StatusOK, "already signed in"), "/login/continue")
		typed.cookie = form.cookie
		answers := make([]reply, 50)
		atOnce(len(answers), func(i int) {
			if i%10 == 0 {
				answers[i] = decided(t, func() reply { return typed.send(t) })
				return
			}
			answers[i] = decided(t, func() reply { return form.send(t) })
		})
		codes := 0
		for i, a := range answers {
			switch {
			case a.location(t).Query().Has("code"):
				codes++
			case a.status == http.StatusOK, a.status == http.StatusUnprocessableEntity, a.location(t).Path == "/login/phone":
			case i%10 == 0 && a.status == http.StatusBadRequest && strings.Contains(a.body, "Your sign-in has timed out"):
				// The same code typed a moment before won, and its session took the
				// place of the one that these cookies are of.
			default:
				t.Errorf("%d to %q", a.status, a.header.Get("Location"))
			}
		}
		if codes != 1 {
			t.Errorf("%d answers to one login", codes)
		}
	})
}
