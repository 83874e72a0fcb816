package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// struck is a request that met a fault, and what must work when the fault is over.
type struck struct {
	// answer is the request's.
	answer func() answer
	// after repeats it, or goes on with it, once the store works again.
	after func()
}

// handlerFault is one method of a store that fails under one endpoint.
type handlerFault struct {
	name, method string
	who          told
	prepare      func(t *testing.T, r *rig) struck
}

// told is who is told of an error.
type told int

const (
	// person: by a page.
	person told = iota
	// redirected: the client, by way of the browser; but a person who may try
	// again when a store is back, by a page.
	redirected
	// caller: the client, by JSON.
	caller
)

// answer is what came of a request, and where.
type answer struct {
	status int
	header http.Header
	body   string
	at     *url.URL
}

func ofPage(f func() *page) func() answer {
	return func() answer {
		p := f()
		return answer{p.status, p.header, p.body, p.url}
	}
}

func ofCall(f func() (*http.Response, []byte)) func() answer {
	return func() answer {
		res, body := f()
		return answer{res.StatusCode, res.Header, string(body), res.Request.URL}
	}
}

// handlerFaults are all endpoints with all methods of stores that they call.
func handlerFaults() []handlerFault {
	return []handlerFault{
		{"Authorize", "CreateTransaction", redirected, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(webClient)
			return struck{ofPage(func() *page { return r.authorize(b, q) }), func() { r.login(b, q, newNumber()).answer() }}
		}},
		{"AuthorizeUnknownClient", "Client", person, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(webClient).with("client_id", "of-the-database-"+newNumber()[1:])
			return struck{ofPage(func() *page { return r.authorize(b, q) }), func() { r.authorize(b, q).wants(http.StatusBadRequest, "do not know") }}
		}},
		{"AuthorizeWithSession", "SessionByMAC", redirected, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(webClient)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			return struck{ofPage(func() *page { return r.authorize(b, q) }), func() { r.authorize(b, q).answer() }}
		}},
		{"AuthorizeTouchesSession", "TouchSession", redirected, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(webClient)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			r.clock.Advance(r.config.Sessions.Idle / 2)
			return struck{ofPage(func() *page { return r.authorize(b, q) }), func() { r.authorize(b, q).answer() }}
		}},
		{"AuthorizeAnswersBySession", "CreateGrant", redirected, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(webClient)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			return struck{ofPage(func() *page { return r.authorize(b, q) }), func() { r.authorize(b, q).answer() }}
		}},
		{"AuthorizeByPost", "KeepPosted", person, authorizeByPost},
		{"AuthorizeByPostGoesOn", "Posted", person, authorizeByPost},
		{"LogoutByPost", "KeepPosted", person, func(t *testing.T, r *rig) struck {
			ask := func() *page { return newBrowser(t).post(r.base+"/oidc/logout", url.Values{"client_id": {webClient}}) }
			return struck{ofPage(ask), func() { ask().wants(http.StatusOK) }}
		}},
		{"ShowNumber", "Login", person, func(t *testing.T, r *rig) struck {
			b := newBrowser(t)
			p := r.authorize(b, r.newRequest(webClient)).wants(http.StatusOK)
			again := func() *page { return b.get(p.url.String()) }
			return struck{ofPage(again), func() { again().wants(http.StatusOK, "mobile") }}
		}},
		{"SubmitNumber", "UserByNumber", person, submitNumber},
		{"SubmitNumberStarts", "StartChallenge", person, submitNumber},
		{"ShowCode", "Login", person, func(t *testing.T, r *rig) struck {
			b, number := newBrowser(t), newNumber()
			p := r.askCode(b, r.newRequest(webClient), number)
			again := func() *page { return b.get(p.url.String()) }
			return struck{ofPage(again), func() {
				again().wants(http.StatusOK, "Check your phone").submit("/login/code", "code", r.gateway.code(number)).answer()
			}}
		}},
		{"SubmitCode", "CheckChallenge", person, func(t *testing.T, r *rig) struck {
			number := newNumber()
			p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
			right := func() *page { return p.submit("/login/code", "code", r.gateway.code(number)) }
			return struck{ofPage(right), func() { right().answer() }}
		}},
		{"SubmitCodeIsNotWritten", "OpenSession", redirected, func(t *testing.T, r *rig) struck {
			number := newNumber()
			p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
			right := func() *page { return p.submit("/login/code", "code", r.gateway.code(number)) }
			return struck{ofPage(right), func() { r.newCodeAfterLoss(p, number) }}
		}},
		{"Resend", "StartChallenge", person, func(t *testing.T, r *rig) struck {
			number := newNumber()
			p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
			r.clock.Advance(45 * time.Second)
			return struck{ofPage(func() *page { return p.submit("/login/resend") }), func() {
				p.submit("/login/resend").wants(http.StatusOK, "Check your phone")
				r.gateway.wait(number, 2)
			}}
		}},
		{"Continue", "CreateGrant", redirected, func(t *testing.T, r *rig) struck {
			b := newBrowser(t)
			other := r.authorize(b, r.newRequest(webClient)).wants(http.StatusOK)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			p := b.get(other.url.String()).wants(http.StatusOK)
			return struck{ofPage(func() *page { return p.submit("/login/continue") }), func() { p.submit("/login/continue").answer() }}
		}},
		{"LogoutAsks", "SessionByMAC", person, func(t *testing.T, r *rig) struck {
			b := newBrowser(t)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			ask := func() *page { return b.get(r.base + "/oidc/logout") }
			return struck{ofPage(ask), func() { ask().wants(http.StatusOK).form("/oidc/logout") }}
		}},
		{"LogoutEnds", "EndSession", person, func(t *testing.T, r *rig) struck {
			b := newBrowser(t)
			r.login(b, r.newRequest(webClient), newNumber()).answer()
			p := b.get(r.base + "/oidc/logout").wants(http.StatusOK)
			approve := func() *page { return p.submit("/oidc/logout", "decision", "approve") }
			return struck{ofPage(approve), func() {
				r.authorize(b, r.newRequest(webClient)).answer() // still signed in
				approve().wants(http.StatusOK)
				r.authorize(b, r.newRequest(webClient)).form("/login/phone")
			}}
		}},
		{"TokenFindsCode", "GrantByCode", caller, redeem},
		{"TokenKeepsAccessToken", "PutAccessToken", caller, redeem},
		{"TokenSpendsCode", "RedeemGrant", caller, redeem},
		{"TokenUnknownClient", "Client", caller, func(t *testing.T, r *rig) struck {
			call := func() (*http.Response, []byte) {
				return r.call(publicClient, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}},
					"client_id", "of-the-database-"+newNumber()[1:])
			}
			return struck{ofCall(call), func() {
				if res, _ := call(); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("unknown client: %d", res.StatusCode)
				}
			}}
		}},
		{"RefreshFindsFamily", "RefreshFamily", caller, refreshing},
		{"RefreshKeepsAccessToken", "PutAccessToken", caller, refreshing},
		{"RefreshRotates", "RotateRefreshToken", caller, refreshing},
		{"CodeReuseRevokes", "RevokeGrant", caller, func(t *testing.T, r *rig) struck {
			q := r.newRequest(webClient)
			code := r.login(newBrowser(t), q, newNumber()).answer().Get("code")
			got := r.exchange(webClient, q, code)
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {r.callback}, "code_verifier": {q.verifier}}
			return struck{ofCall(func() (*http.Response, []byte) { return r.call(webClient, "/oauth/token", form) }), func() {
				if again := r.exchange(webClient, q, code); again.Error != "invalid_grant" {
					t.Errorf("code used twice: %d %s", again.status, again.Error)
				}
				if dead := r.refresh(webClient, got.Refresh); dead.Error != "invalid_grant" {
					t.Errorf("refresh token of a code used twice: %d %s", dead.status, dead.Error)
				}
			}}
		}},
		{"Userinfo", "AccessToken", caller, userinfo},
		{"UserinfoFindsPerson", "User", caller, userinfo},
		{"IntrospectAccessToken", "AccessToken", caller, func(t *testing.T, r *rig) struck {
			return introspecting(t, r, func(got tokens) string { return got.AccessToken })
		}},
		{"IntrospectRefreshToken", "RefreshFamily", caller, func(t *testing.T, r *rig) struck {
			return introspecting(t, r, func(got tokens) string { return got.Refresh })
		}},
		{"RevokeRefreshToken", "RevokeGrant", caller, func(t *testing.T, r *rig) struck {
			got := r.signIn(newNumber())
			call := func() (*http.Response, []byte) {
				return r.call(webClient, "/oauth/revoke", url.Values{"token": {got.Refresh}})
			}
			return struck{ofCall(call), func() {
				if res, _ := call(); res.StatusCode != http.StatusOK {
					t.Errorf("revoke: %d", res.StatusCode)
				}
				if dead := r.refresh(webClient, got.Refresh); dead.Error != "invalid_grant" {
					t.Errorf("revoked: %d %s", dead.status, dead.Error)
				}
			}}
		}},
		{"RevokeAccessToken", "DeleteAccessToken", caller, func(t *testing.T, r *rig) struck {
			got := r.signIn(newNumber())
			call := func() (*http.Response, []byte) {
				return r.call(webClient, "/oauth/revoke", url.Values{"token": {got.AccessToken}})
			}
			return struck{ofCall(call), func() {
				if res, _ := call(); res.StatusCode != http.StatusOK {
					t.Errorf("revoke: %d", res.StatusCode)
				}
				if status, _ := r.userinfo(got.AccessToken); status != http.StatusUnauthorized {
					t.Errorf("revoked access token: userinfo %d", status)
				}
			}}
		}},
		{"RevokeTokenForAnAPI", "RevokeToken", caller, func(t *testing.T, r *rig) struck {
			_, _, got := r.purchasingToken(t, webClient)
			call := func() (*http.Response, []byte) {
				return r.call(webClient, "/oauth/revoke", url.Values{"token": {got.AccessToken}})
			}
			return struck{ofCall(call), func() {
				if info := r.introspect(webClient, got.AccessToken); info["active"] != true {
					t.Errorf("half revoked: %v", info)
				}
				if res, _ := call(); res.StatusCode != http.StatusOK {
					t.Errorf("revoke: %d", res.StatusCode)
				}
				if info := r.introspect(webClient, got.AccessToken); info["active"] != false {
					t.Errorf("revoked: %v", info)
				}
			}}
		}},
		{"TokenNamesPersonInASector", "Subject", caller, func(t *testing.T, r *rig) struck {
			q := r.newRequest(pairwiseClient)
			code := r.login(newBrowser(t), q, newNumber()).answer().Get("code")
			form := r.redeemForm(q, code)
			return struck{ofCall(func() (*http.Response, []byte) { return r.call(pairwiseClient, "/oauth/token", form, asSecret...) }), func() {
				if got := r.exchange(pairwiseClient, q, code, asSecret...); got.status != http.StatusOK {
					t.Errorf("the code, once the store works: %d %s %s", got.status, got.Error, got.Description)
				}
			}}
		}},
		{"HintOfASector", "UserBySubject", redirected, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(pairwiseClient)
			hint := r.exchange(pairwiseClient, q, r.login(b, q, newNumber()).answer().Get("code"), asSecret...).IDToken
			ask := func() *page { return r.authorize(b, r.newRequest(pairwiseClient).with("id_token_hint", hint)) }
			return struck{ofPage(ask), func() { ask().answer() }}
		}},
		{"LogoutByAHintOfASector", "UserBySubject", person, func(t *testing.T, r *rig) struck {
			b, q := newBrowser(t), r.newRequest(pairwiseClient)
			hint := r.exchange(pairwiseClient, q, r.login(b, q, newNumber()).answer().Get("code"), asSecret...).IDToken
			out := func() *page { return r.logout(b, "id_token_hint", hint) }
			return struck{ofPage(out), func() {
				r.authorize(b, r.newRequest(webClient)).answer() // still signed in
				out().wants(http.StatusOK)
				r.loginRequired(b)
			}}
		}},
	}
}

func authorizeByPost(t *testing.T, r *rig) struck {
	b, q := newBrowser(t), r.newRequest(webClient)
	post := func() *page { return b.post(r.base+"/authorize", q.Values) }
	return struck{ofPage(post), func() { post().form("/login/phone") }}
}

func submitNumber(t *testing.T, r *rig) struck {
	number := newNumber()
	p := r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
	send := func() *page { return p.submit("/login/phone", "phone", number) }
	return struck{ofPage(send), func() {
		if n := len(r.gateway.to(number)); n != 0 {
			t.Errorf("%d texts although the store failed", n)
		}
		send().wants(http.StatusOK, "Check your phone").submit("/login/code", "code", r.gateway.code(number)).answer()
	}}
}

// newCodeAfterLoss asks for a new code in place of one that was used up in
// Redis while SQL knew nothing of it, and finishes.
func (r *rig) newCodeAfterLoss(p *page, number string) {
	r.t.Helper()
	lost := r.gateway.code(number)
	p.submit("/login/code", "code", lost).wants(http.StatusUnprocessableEntity, "Send a new code")
	r.clock.Advance(45 * time.Second)
	again := p.submit("/login/resend").wants(http.StatusOK, "Check your phone")
	r.gateway.wait(number, 2)
	if r.gateway.code(number) == lost {
		r.t.Error("the used code was sent again")
	}
	again.submit("/login/code", "code", r.gateway.code(number)).answer()
}

// signIn logs a person in and returns the web client's tokens.
func (r *rig) signIn(number string) tokens {
	r.t.Helper()
	q := r.newRequest(webClient)
	got := r.exchange(webClient, q, r.login(newBrowser(r.t), q, number).answer().Get("code"))
	if got.status != http.StatusOK {
		r.t.Fatalf("token endpoint: %d %s %s", got.status, got.Error, got.Description)
	}
	return got
}

func redeem(t *testing.T, r *rig) struck {
	q := r.newRequest(webClient)
	code := r.login(newBrowser(t), q, newNumber()).answer().Get("code")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {r.callback}, "code_verifier": {q.verifier}}
	return struck{ofCall(func() (*http.Response, []byte) { return r.call(webClient, "/oauth/token", form) }), func() {
		got := r.exchange(webClient, q, code)
		if got.status != http.StatusOK {
			t.Errorf("the code, once the store works: %d %s %s", got.status, got.Error, got.Description)
		}
	}}
}

func refreshing(t *testing.T, r *rig) struck {
	first := r.signIn(newNumber())
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}
	return struck{ofCall(func() (*http.Response, []byte) { return r.call(webClient, "/oauth/token", form) }), func() {
		// Long after any grace: were it rotated, this would be reuse.
		r.clock.Advance(10 * time.Minute)
		got := r.refresh(webClient, first.Refresh)
		if got.status != http.StatusOK || got.Refresh == first.Refresh {
			t.Errorf("the refresh token, once the store works: %d %s %s", got.status, got.Error, got.Description)
		}
	}}
}

func userinfo(t *testing.T, r *rig) struck {
	got := r.signIn(newNumber())
	call := func() (*http.Response, []byte) {
		return r.fetch(http.MethodGet, "/userinfo", "Authorization", "Bearer "+got.AccessToken)
	}
	return struck{ofCall(call), func() {
		if status, _ := r.userinfo(got.AccessToken); status != http.StatusOK {
			t.Errorf("userinfo, once the store works: %d", status)
		}
	}}
}

func introspecting(t *testing.T, r *rig, token func(tokens) string) struck {
	got := r.signIn(newNumber())
	call := func() (*http.Response, []byte) {
		return r.call(webClient, "/oauth/introspect", url.Values{"token": {token(got)}})
	}
	return struck{ofCall(call), func() {
		if _, body := call(); !strings.Contains(string(body), `"active":true`) {
			t.Errorf("introspection, once the store works: %s", body)
		}
	}}
}

var shownReference = regexp.MustCompile(`\b[A-Z2-7]{12}\b`)

// TestEveryHandlerSurvivesEveryStore fails each method of the stores under each
// endpoint that calls it, in three ways, and goes on afterwards as if nothing
// had been: a store that is down is 503, one that fails otherwise 500, and so is
// a panic, in a process that lives. People get a page, applications OAuth JSON; and
// where a redirect URI was validated, they get server_error there (RFC 6749 §4.1.2.1).
func TestEveryHandlerSurvivesEveryStore(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withAPIs())
	for _, h := range handlerFaults() {
		survives(t, r, f, h, func(*testing.T, answer, int) {})
	}
}

// survives fails one method of a store under one endpoint, in each way.
func survives(t *testing.T, r *rig, f *faults, h handlerFault, check func(t *testing.T, got answer, status int)) {
	const detail = "the-cause-that-no-stranger-may-read"
	for _, kind := range faultKinds(detail) {
		t.Run(h.name+"/"+h.method+"/"+kind.name, func(t *testing.T) {
			s := h.prepare(t, r.in(t))
			f.arm(h.method, kind.fault)
			got := s.answer()
			if f.disarm(h.method) == 0 {
				t.Fatal("the store was not asked")
			}
			if strings.Contains(got.body+got.at.String(), detail) {
				t.Errorf("the answer tells the cause: %s %s", got.at, got.body)
			}
			if h.who == redirected && kind.name == "internal" {
				got.wantsError(t, r, "server_error")
			} else {
				got.wantsStatus(t, h.who, kind.status)
			}
			check(t, got, kind.status)
			s.after()
		})
	}
}

// faultKinds are the ways in which stores fail. Nobody may read detail.
func faultKinds(detail string) []faultKind {
	return []faultKind{
		{"unavailable", fault{err: fmt.Errorf("%s: %w", detail, storage.ErrUnavailable)}, http.StatusServiceUnavailable},
		{"internal", fault{err: errors.New(detail)}, http.StatusInternalServerError},
		{"panic", fault{panics: detail}, http.StatusInternalServerError},
	}
}

type faultKind struct {
	name   string
	fault  fault
	status int
}

// wantsStatus checks an error that is a page, or JSON.
func (a answer) wantsStatus(t *testing.T, who told, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
	}
	if after := a.header.Get("Retry-After"); (after != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("Retry-After %q with status %d", after, status)
	}
	content := "text/html"
	if who == caller {
		content = "application/json"
	} else if status == http.StatusInternalServerError && shownReference.FindString(a.body) != a.header.Get("X-Request-Id") {
		t.Errorf("the page does not show the reference %s", a.header.Get("X-Request-Id"))
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), content) {
		t.Errorf("Content-Type %q, want %s", a.header.Get("Content-Type"), content)
	}
}

// wantsError checks an error that the browser took to the client's callback.
func (a answer) wantsError(t *testing.T, r *rig, code string) {
	t.Helper()
	q := a.at.Query()
	if !strings.HasPrefix(a.body, "callback GET") || q.Get("error") != code || q.Get("state") == "" || q.Get("iss") != r.issuer {
		t.Errorf("status %d at %s, want the callback with %s, state and iss: %s", a.status, a.at, code, a.body)
	}
}

// TestPromptNoneWhileAStoreIsDown: no person is there to try again, and the client
// waits in a hidden frame. It is told at once (RFC 6749 §4.1.2.1).
func TestPromptNoneWhileAStoreIsDown(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	b := newBrowser(t)
	r.login(b, r.newRequest(webClient), newNumber()).answer()
	for _, method := range []string{"SessionByMAC", "CreateGrant"} {
		f.arm(method, fault{err: storage.ErrUnavailable})
		p := r.authorize(b, r.newRequest(webClient).with("prompt", "none"))
		answer{p.status, p.header, p.body, p.url}.wantsError(t, r, "temporarily_unavailable")
		if f.disarm(method) == 0 {
			t.Errorf("%s was not asked", method)
		}
	}
	r.authorize(b, r.newRequest(webClient).with("prompt", "none")).answer()
	if strings.Contains(r.logs.String(), `"level":"ERROR"`) {
		t.Error("a store that is down for a moment is logged as an error")
	}
	f.arm("CreateGrant", fault{err: errors.New("broken")})
	r.authorize(b, r.newRequest(webClient).with("prompt", "none"))
	f.disarm("CreateGrant")
	if !strings.Contains(r.logs.String(), `"level":"ERROR"`) {
		t.Error("a human must look at what broke, and no record says so")
	}
}

// TestLostAnswerOfTheRightCode loses Redis's answer to the right code: it was
// used up, and nobody knows. The person gets a new one and finishes.
func TestLostAnswerOfTheRightCode(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	f.arm("CheckChallenge", fault{err: storage.ErrUnavailable, behind: true})
	p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusServiceUnavailable)
	if f.disarm("CheckChallenge") != 1 {
		t.Fatal("the store was not asked")
	}
	r.newCodeAfterLoss(p, number)
}

// TestLostAnswerOfOpenedSession loses SQL's answer to a login that was written:
// there is one session, and never a second answer for the transaction.
func TestLostAnswerOfOpenedSession(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	number := newNumber()
	b := newBrowser(t)
	p := r.askCode(b, r.newRequest(webClient), number)
	f.arm("OpenSession", fault{err: storage.ErrUnavailable, behind: true})
	p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusServiceUnavailable)
	if f.disarm("OpenSession") != 1 {
		t.Fatal("the store was not asked")
	}
	p.submit("/login/code", "code", r.gateway.code(number)).wants(http.StatusBadRequest, "Go back to The web app to start again")
	// The cookie was not given: whoever holds none is nobody. A new start works.
	r.login(b, r.newRequest(webClient), newNumber()).answer()
}

// TestLostAnswerOfRotation loses SQL's answer to a rotation that was written:
// the client that tries again gets the successor, once more.
func TestLostAnswerOfRotation(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	first := r.signIn(newNumber())
	f.arm("RotateRefreshToken", fault{err: storage.ErrUnavailable, behind: true})
	if got := r.refresh(webClient, first.Refresh); got.status != http.StatusServiceUnavailable {
		t.Fatalf("status %d", got.status)
	}
	if f.disarm("RotateRefreshToken") != 1 {
		t.Fatal("the store was not asked")
	}
	second := r.refresh(webClient, first.Refresh)
	if second.status != http.StatusOK {
		t.Fatalf("the retry: %d %s", second.status, second.Description)
	}
	if third := r.refresh(webClient, second.Refresh); third.status != http.StatusOK {
		t.Fatalf("the successor: %d %s", third.status, third.Description)
	}
}

// TestUndoThatFails: the text did not leave and could not be taken back. The
// person still reads what happened, and the record says that they paid for nothing.
func TestUndoThatFails(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	r.gateway.answers(status(http.StatusInternalServerError))
	f.arm("UndoSend", fault{err: storage.ErrUnavailable})
	p := r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
	p.submit("/login/phone", "phone", newNumber()).wants(http.StatusServiceUnavailable, "cannot send texts")
	if f.disarm("UndoSend") != 1 {
		t.Fatal("the store was not asked")
	}
	if !strings.Contains(r.logs.String(), "undo of a failed text failed") {
		t.Error("no record of the undo that failed")
	}
	// Where a text is on its way, no request's recovery is around.
	f.arm("UndoSend", fault{panics: "a panic"})
	p = r.authorize(newBrowser(t), r.newRequest(webClient)).wants(http.StatusOK)
	p.submit("/login/phone", "phone", newNumber()).wants(http.StatusServiceUnavailable, "cannot send texts")
	if f.disarm("UndoSend") != 1 {
		t.Fatal("the store was not asked")
	}
	r.gateway.answers(nil)
	r.login(newBrowser(t), r.newRequest(webClient), newNumber()).answer()
}

// TestClientThatLeaves hangs up while a store works for it: that is no error
// that a human must look at, and the request has its record.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t)
	ctx, leave := context.WithCancel(t.Context())
	// The store answers only when the request has ended, as its record tells.
	ended := func() bool { return strings.Contains(r.logs.String(), `"route":"GET /authorize"`) }
	f.arm("Client", fault{before: func() {
		leave()
		awaits(t, "the request ends", ended)
	}, err: storage.ErrNotFound})
	q := r.newRequest(webClient).with("client_id", "of-the-database")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		res.Body.Close()
		t.Fatalf("answered with %d", res.StatusCode)
	}
	awaits(t, "the request has its record", func() bool {
		all, _ := records(t, r.logs.String())
		for _, rec := range all {
			if rec.text("msg") == "request" && rec.text("route") == "GET /authorize" {
				if rec.text("level") == "ERROR" {
					t.Errorf("record: %v", rec)
				}
				return true
			}
		}
		return false
	})
	if f.disarm("Client") != 1 {
		t.Error("the store was not asked")
	}
}
