package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// wantsAuth0Broken checks what Auth0's clients are told of what breaks on our side: by the
// Authentication API's shape, and by the Management API's.
func wantsAuth0Broken(t *testing.T, status int, header http.Header, body string, managed bool) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("no JSON: %s", body)
	}
	code := map[int]string{http.StatusServiceUnavailable: "temporarily_unavailable", http.StatusInternalServerError: "server_error"}[status]
	keys, want := slices.Sorted(maps.Keys(got)), []string{"error", "error_description"}
	if managed {
		code, want = http.StatusText(status), []string{"error", "message", "statusCode"}
		if got["statusCode"] != float64(status) {
			t.Errorf("statusCode %v", got["statusCode"])
		}
	}
	if !slices.Equal(keys, want) || got["error"] != code {
		t.Errorf("%d %s", status, body)
	}
	if ct := header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
}

func ofReply(r *rig, f func() reply) func() answer {
	return func() answer {
		a := f()
		at, _ := url.Parse(r.base)
		return answer{a.status, a.header, a.body, at}
	}
}

// otpAfterLoss asks for another code in place of one that was used up in Redis while SQL
// knew nothing of it, and signs in by it.
func (r *rig) otpAfterLoss(number, lost string) {
	r.t.Helper()
	r.clock.Advance(time.Minute)
	code := r.otpFor(number)
	if code == lost {
		r.t.Error("the used code was sent again")
	}
	if a := r.form("/oauth/token", otp(number, code)); a.status != http.StatusOK {
		r.t.Errorf("once the store works: %d %s", a.status, a.body)
	}
}

// doorFaults are Auth0's doors with all methods of stores that they call.
func doorFaults(assert func(r *rig) object) []handlerFault {
	start := func(body func(r *rig, number string) object) func(*testing.T, *rig) struck {
		return func(t *testing.T, r *rig) struck {
			number := newNumber()
			ask := func() reply { return r.postJSON("/passwordless/start", body(r, number)) }
			return struck{ofReply(r, ask), func() {
				if n := len(r.gateway.to(number)); n != 0 {
					t.Errorf("%d texts although the store failed", n)
				}
				if a := ask(); a.status != http.StatusOK {
					t.Errorf("once the store works: %d %s", a.status, a.body)
				}
				r.gateway.wait(number, 1)
			}}
		}
	}
	plain := start(func(_ *rig, number string) object { return smsStart(number) })
	unknown := func(path string, body object) func(*testing.T, *rig) struck {
		return func(t *testing.T, r *rig) struck {
			body := body.but("client_id", "of-the-database-"+newNumber()[1:])
			ask := func() reply { return r.postJSON(path, body, "Origin", pageOrigin) }
			return struck{ofReply(r, ask), func() { ask().wantsError(t, 403, "unauthorized_client", "invalid client") }}
		}
	}
	// spent says that the code is used up where the fault struck behind that.
	grant := func(spent bool) func(*testing.T, *rig) struck {
		return func(t *testing.T, r *rig) struck {
			number := newNumber()
			code := r.otpFor(number)
			redeem := func() reply { return r.form("/oauth/token", otp(number, code)) }
			return struck{ofReply(r, redeem), func() {
				if spent {
					redeem().wantsError(t, 403, "invalid_grant", wrongCode)
					r.otpAfterLoss(number, code)
				} else if a := redeem(); a.status != http.StatusOK {
					t.Errorf("the same code, once the store works: %d %s", a.status, a.body)
				}
			}}
		}
	}
	// page is a code that a page checks, at one of two doors.
	page := func(path string, spent bool) func(*testing.T, *rig) struck {
		return func(t *testing.T, r *rig) struck {
			number := newNumber()
			code := r.otpFor(number)
			body := object{"client_id": webClient, "username": number, "otp": code, "realm": "sms", "credential_type": otpGrant}
			if path == "/passwordless/verify" {
				body = object{"client_id": webClient, "connection": "sms", "phone_number": number, "verification_code": code}
			}
			try := func() reply { return r.postJSON(path, body, "Origin", pageOrigin) }
			return struck{ofReply(r, try), func() {
				if spent {
					r.otpAfterLoss(number, code)
				} else if a := try(); a.status != http.StatusOK {
					t.Errorf("the same code, once the store works: %d %s", a.status, a.body)
				}
			}}
		}
	}
	older := func(spent bool) func(*testing.T, *rig) struck {
		return func(t *testing.T, r *rig) struck {
			number := newNumber()
			code := r.otpFor(number)
			try := func() reply {
				return r.postJSON("/passwordless/verify", object{"grant_type": "password", "client_id": webClient, "client_secret": secret,
					"connection": "sms", "username": number, "password": code, "scope": "openid"})
			}
			return struck{ofReply(r, try), func() {
				if spent {
					r.otpAfterLoss(number, code)
				} else if a := try(); a.status != http.StatusOK {
					t.Errorf("the same code, once the store works: %d %s", a.status, a.body)
				}
			}}
		}
	}
	return []handlerFault{
		{"Start", "UserByNumber", caller, plain},
		{"Start", "StartChallenge", caller, plain},
		{"StartUnknownClient", "Client", caller, unknown("/passwordless/start", smsStart("+447400100000").but("client_secret", nil))},
		{"StartByAssertion", "UseAssertion", caller, start(func(r *rig, number string) object {
			body := assert(r)
			body["phone_number"] = number
			return body
		})},
		{"Grant", "Challenge", caller, grant(false)},
		{"Grant", "CheckChallenge", caller, grant(false)},
		{"GrantIsNotWritten", "OpenSession", caller, grant(true)},
		{"GrantFindsItsCode", "GrantByCode", caller, grant(true)},
		{"GrantKeepsAccessToken", "PutAccessToken", caller, grant(true)},
		{"GrantSpendsItsCode", "RedeemGrant", caller, grant(true)},
		{"VerifyForTokens", "Challenge", caller, older(false)},
		{"VerifyForTokens", "CheckChallenge", caller, older(false)},
		{"VerifyForTokensIsNotWritten", "OpenSession", caller, older(true)},
		{"VerifyForTokensSpendsItsCode", "RedeemGrant", caller, older(true)},
		{"VerifyUnknownClient", "Client", caller, unknown("/passwordless/verify", object{"connection": "sms", "phone_number": "+447400100000", "verification_code": "123456"})},
		{"Verify", "Challenge", caller, page("/passwordless/verify", false)},
		{"Verify", "CheckChallenge", caller, page("/passwordless/verify", false)},
		{"VerifyIsNotKept", "KeepPosted", caller, page("/passwordless/verify", true)},
		{"CrossOriginUnknownClient", "Client", caller, unknown("/co/authenticate", object{"username": "+447400100000", "otp": "123456", "realm": "sms", "credential_type": otpGrant})},
		{"CrossOrigin", "Challenge", caller, page("/co/authenticate", false)},
		{"CrossOrigin", "CheckChallenge", caller, page("/co/authenticate", false)},
		{"CrossOriginIsNotKept", "KeepPosted", caller, page("/co/authenticate", true)},
		{"VerifyRedirect", "TakePosted", redirected, verifyRedirect},
		{"VerifyRedirectIsNotWritten", "OpenSession", redirected, func(t *testing.T, r *rig) struck {
			s := verifyRedirect(t, r)
			s.after = func() { // the proof is good for one login, and nobody knows whether that was written
				number := newNumber()
				r.otpAfterLoss(number, "")
			}
			return s
		}},
	}
}

// verifyRedirect is a browser that has verified and goes on.
func verifyRedirect(t *testing.T, r *rig) struck {
	number := newNumber()
	code, b := r.otpFor(number), newBrowser(t)
	if a := b.postJSON(r.base+"/passwordless/verify", object{"client_id": webClient, "connection": "sms", "phone_number": number, "verification_code": code}); a.status != http.StatusOK {
		t.Fatalf("verify: %d %s", a.status, a.body)
	}
	q := url.Values{"client_id": {webClient}, "response_type": {"code"}, "redirect_uri": {r.callback}, "scope": {"openid"},
		"state": {"s"}, "nonce": {"n"}, "connection": {"sms"}, "phone_number": {number}, "verification_code": {code}}
	on := func() *page { return b.get(r.base + "/passwordless/verify_redirect?" + q.Encode()) }
	return struck{ofPage(on), func() {
		if got := on().answer(); !got.Has("code") {
			t.Errorf("once the store works: %v", got)
		}
	}}
}

// TestAuth0DoorsSurviveEveryStore is TestEveryHandlerSurvivesEveryStore for the doors of
// Auth0's clients, who read its errors.
func TestAuth0DoorsSurviveEveryStore(t *testing.T) {
	t.Parallel()
	keyed, key := withKeyedClient(t)
	r, f := startFailing(t, withPasswordless(), keyed)
	assert := func(r *rig) object {
		now := r.clock.Now().Unix()
		claims := map[string]any{"iss": keyedClient, "sub": keyedClient, "aud": r.issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
		return object{"client_id": keyedClient, "connection": "sms", "client_assertion_type": assertionType,
			"client_assertion": jwt(t, map[string]any{"alg": "RS256", "kid": "k"}, claims, rs256(t, key))}
	}
	for _, h := range doorFaults(assert) {
		survives(t, r, f, h, func(t *testing.T, got answer, status int) {
			if h.who == caller {
				wantsAuth0Broken(t, status, got.header, got.body, false)
			}
		})
	}
}

// A text that did not leave is told as such, whether or not its cost could be taken back.
func TestAuth0StartWhoseUndoFails(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withPasswordless())
	r.gateway.answers(status(http.StatusInternalServerError))
	f.arm("UndoSend", fault{err: storage.ErrUnavailable})
	r.postJSON("/passwordless/start", smsStart(newNumber())).wantsError(t, 400, "sms_provider_error", "Unexpected response while calling the SMS gateway: 500")
	if f.disarm("UndoSend") != 1 {
		t.Error("the store was not asked")
	}
}

// managedFault is a route of the Management API, with a method of a store that fails
// under it. see is what shows whether anything was written.
type managedFault struct {
	method, path, body string
	under              []string // methods of stores
	see                string
	want               int
}

// TestManagementSurvivesEveryStore fails each method of the stores under each route of
// the Management API: the answer is Auth0's, nothing is written, and the same call works
// when the store does. Where the work was done and its answer lost, the call can be
// repeated: what is there already is a conflict, and nothing is there twice.
func TestManagementSurvivesEveryStore(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withManagement(), withAPIs())
	m := r.managedBy(manager)
	const detail = "the-cause-that-no-stranger-may-read"
	n := 0
	next := func(kind string) string { n++; return fmt.Sprintf("%s-%d", kind, n) }
	// rows are made anew for each way to fail: what one removed is there for the next.
	rows := func() []managedFault {
		number := newNumber()
		connection := m.does(http.StatusCreated, "POST", "/connections", object{"name": next("c"), "strategy": "sms", "options": object{"provider": "console"}}).one
		client := m.does(http.StatusCreated, "POST", "/clients", object{"name": next("client"), "app_type": "non_interactive"}).one
		api := m.does(http.StatusCreated, "POST", "/resource-servers", object{"identifier": "https://" + next("api") + ".example", "scopes": []object{{"value": "read:it"}}}).one
		grant := m.does(http.StatusCreated, "POST", "/client-grants", object{"client_id": client["client_id"], "audience": api["identifier"], "scope": []string{}}).one
		user := m.does(http.StatusCreated, "POST", "/users", object{"connection": "sms", "phone_number": number}).one
		con, cli, rs, cgr, usr := "/connections/"+m.text(connection, "id"), "/clients/"+m.text(client, "client_id"),
			"/resource-servers/"+m.text(api, "id"), "/client-grants/"+m.text(grant, "id"), "/users/"+escaped(m.text(user, "user_id"))
		other := "https://" + next("api") + ".example"
		return []managedFault{
			{"GET", "/connections", "", []string{"TakeLimit", "Connections"}, "", 200},
			{"GET", con, "", []string{"Connections"}, "", 200},
			{"GET", con + "/clients", "", []string{"Connections", "Clients"}, "", 200},
			{"POST", "/connections", `{"name":"` + next("c") + `","strategy":"sms","options":{"provider":"console"}}`, []string{"TakeLimit", "CreateConnection"}, "/connections", 201},
			{"PATCH", con, `{"display_name":"` + next("shown") + `"}`, []string{"Connections", "UpdateConnection"}, con, 200},
			{"PATCH", con + "/clients", `[{"client_id":"web","status":false}]`, []string{"Connections", "Clients", "UpdateConnection"}, con + "/clients", 204},
			{"GET", "/clients", "", []string{"Clients"}, "", 200},
			{"GET", cli, "", []string{"Client"}, "", 200},
			{"POST", "/clients", `{"name":"` + next("client") + `"}`, []string{"CreateClient"}, "/clients", 201},
			{"PATCH", cli, `{"name":"` + next("client") + `"}`, []string{"UpdateClient"}, cli, 200},
			{"POST", cli + "/rotate-secret", "", []string{"UpdateClient"}, "", 200},
			{"GET", "/resource-servers", "", []string{"APIs"}, "", 200},
			{"GET", rs, "", []string{"APIs"}, "", 200},
			{"POST", "/resource-servers", `{"identifier":"` + other + `"}`, []string{"CreateAPI"}, "/resource-servers", 201},
			{"PATCH", rs, `{"name":"` + next("api") + `"}`, []string{"APIs", "UpdateAPI"}, rs, 200},
			{"GET", "/client-grants", "", []string{"ClientGrants"}, "", 200},
			{"GET", cgr, "", []string{"ClientGrants"}, "", 200},
			{"PATCH", cgr, `{"scope":["read:it"]}`, []string{"ClientGrants", "APIs", "UpdateClientGrant"}, cgr, 200},
			{"POST", "/client-grants", `{"client_id":"web","audience":"` + m.text(api, "identifier") + `","scope":[]}`, []string{"APIs", "CreateClientGrant"}, "/client-grants", 201},
			{"GET", "/users", "", []string{"Profiles"}, "", 200},
			{"GET", "/users?q=" + url.QueryEscape(`phone_number:"`+number+`"`), "", []string{"UserByNumber", "Profile"}, "", 200},
			{"GET", usr, "", []string{"Profile"}, "", 200},
			{"POST", "/users", `{"connection":"sms","phone_number":"` + newNumber() + `"}`, []string{"AddProfile"}, "/users?per_page=100", 201},
			{"PATCH", usr, `{"blocked":true,"user_metadata":{"a":"b"}}`, []string{"EditProfile"}, usr, 200},
			{"DELETE", usr, "", []string{"RemoveUser"}, usr, 204},
			{"DELETE", cgr, "", []string{"ClientGrants", "RemoveClientGrant"}, cgr, 204},
			{"DELETE", rs, "", []string{"APIs", "RemoveAPI"}, rs, 204},
			{"DELETE", cli, "", []string{"RemoveClient"}, cli, 204},
			{"DELETE", con, "", []string{"Connections", "RemoveConnection"}, con, 202},
		}
	}
	covered := map[string]bool{}
	for _, kind := range faultKinds(detail) {
		for _, row := range rows() {
			for _, under := range row.under {
				if under == "TakeLimit" && kind.name == "unavailable" {
					continue // goes on: TestManagementGoesOnWithoutRedis
				}
				t.Run(row.method+strings.ReplaceAll(row.path, "/", "_")+"/"+under+"/"+kind.name, func(t *testing.T) {
					m := managed{r.in(t), m.token}
					before := m.seen(row.see)
					f.arm(under, kind.fault)
					got := m.send(row.method, row.path, row.body)
					if f.disarm(under) == 0 {
						t.Fatal("the store was not asked")
					}
					if got.status != kind.status || strings.Contains(got.raw, detail) || got.header.Get("Cache-Control") != "no-store" {
						t.Errorf("%d %s %v, want %d", got.status, got.raw, got.header, kind.status)
					}
					if after := got.header.Get("Retry-After"); (after != "") != (kind.status == http.StatusServiceUnavailable) {
						t.Errorf("Retry-After %q", after)
					}
					wantsAuth0Broken(t, got.status, got.header, got.raw, true)
					if after := m.seen(row.see); after != before {
						t.Errorf("something was written:\n%s\n%s", before, after)
					}
				})
			}
			t.Run(row.method+strings.ReplaceAll(row.path, "/", "_")+"/works again", func(t *testing.T) {
				m := managed{r.in(t), m.token}
				before := m.seen(row.see)
				if got := m.send(row.method, row.path, row.body); got.status != row.want {
					t.Errorf("%d %s, want %d", got.status, got.raw, row.want)
				}
				if row.see != "" && m.seen(row.see) == before {
					t.Errorf("nothing was written: %s", before)
				}
			})
			covered[row.method+" "+row.path[:strings.Index(row.path[1:]+"/", "/")+1]] = true
		}
	}
	// Each folder, with each method that it has, stands in the table.
	for _, pattern := range managedRoutes(r) {
		method, path, _ := strings.Cut(pattern, " /api/v2")
		if !covered[method+" "+path[:strings.Index(path[1:]+"/", "/")+1]] {
			t.Errorf("%s is not in the table", pattern)
		}
	}
}

// seen is what a GET shows, "" for none.
func (m managed) seen(path string) string {
	m.t.Helper()
	if path == "" {
		return ""
	}
	return m.send("GET", path, "").raw
}

// A write that was done and whose answer was lost can be asked for again.
func TestManagementAnswersThatAreLost(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withManagement())
	m := r.managedBy(manager)
	number := newNumber()
	for _, tt := range []struct {
		under, method, path, body string
		again                     int
		see                       string
	}{
		{"CreateConnection", "POST", "/connections", `{"name":"once","strategy":"sms","options":{"provider":"console"}}`, 409, "/connections?name=once"},
		{"CreateAPI", "POST", "/resource-servers", `{"identifier":"https://once.example"}`, 409, "/resource-servers?identifiers=https://once.example"},
		{"CreateClientGrant", "POST", "/client-grants", `{"client_id":"web","audience":"https://once.example","scope":[]}`, 409, "/client-grants?client_id=web"},
		{"AddProfile", "POST", "/users", `{"connection":"sms","phone_number":"` + number + `"}`, 409, "/users"},
		{"RemoveAPI", "DELETE", "/resource-servers/" + escaped("https://once.example"), "", 204, ""},
	} {
		f.arm(tt.under, fault{err: storage.ErrUnavailable, behind: true})
		got := m.send(tt.method, tt.path, tt.body)
		if f.disarm(tt.under) != 1 || got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", tt.under, got.status, got.raw)
		}
		if got := m.send(tt.method, tt.path, tt.body); got.status != tt.again {
			t.Errorf("%s, again: %d %s, want %d", tt.under, got.status, got.raw, tt.again)
		}
		if tt.see == "" {
			continue
		}
		if list := m.does(http.StatusOK, "GET", tt.see, nil).list; len(list) != 1 {
			t.Errorf("%s: %d are there", tt.under, len(list))
		}
	}
	// What was written is in force all the same, when this server could not read of it.
	f.arm("Changes", fault{err: storage.ErrUnavailable})
	made := m.does(http.StatusCreated, "POST", "/clients", object{"name": "made"}).one
	if f.disarm("Changes") == 0 {
		t.Error("changes were not read")
	}
	m.does(http.StatusOK, "GET", "/clients/"+m.text(made, "client_id"), nil)
}

// With Redis gone the doors are 503 in Auth0's words, and people are managed; when it is
// back, people sign in.
func TestAuth0WithoutRedis(t *testing.T) {
	t.Parallel()
	redis := storagetest.StartRedis(t)
	r := start(t, withPasswordless(), withManagement(), withRedis(redis.URL), withoutAddressLimits())
	m := r.managedBy(manager)
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), object{"options": m.toGateway(nil)})
	number := newNumber()
	code := r.otpFor(number)
	redis.Kill()
	page := object{"client_id": webClient, "connection": "sms", "phone_number": number, "verification_code": code}
	for name, ask := range map[string]func() reply{
		"start":  func() reply { return r.postJSON("/passwordless/start", smsStart(newNumber())) },
		"grant":  func() reply { return r.form("/oauth/token", otp(number, code)) },
		"verify": func() reply { return r.postJSON("/passwordless/verify", page) },
		"co": func() reply {
			return r.postJSON("/co/authenticate", object{"client_id": webClient, "username": number, "otp": code, "realm": "sms", "credential_type": otpGrant}, "Origin", pageOrigin)
		},
	} {
		a := ask()
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		wantsAuth0Broken(t, a.status, a.header, a.body, false)
	}
	m.does(http.StatusCreated, "POST", "/users", object{"connection": "sms", "phone_number": newNumber(), "blocked": true})
	r.gateway.wantsTexts(1)
	redis.Start()
	r.awaitsReady()
	r.otpAfterLoss(number, "") // that Redis kept nothing
}
