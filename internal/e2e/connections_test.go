package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/storage"
)

// newConnection makes a connection whose texts go to a gateway of its own.
func (m managed) newConnection(name string, more map[string]any, enabled ...string) (*gateway, string) {
	m.t.Helper()
	g := newGateway(m.t)
	var options map[string]any
	if err := json.Unmarshal(g.options(more).JSON(), &options); err != nil {
		m.t.Fatal(err)
	}
	made := m.does(http.StatusCreated, "POST", "/connections", map[string]any{"name": name, "strategy": "sms", "options": options, "enabled_clients": enabled}).one
	return g, "/connections/" + m.text(made, "id")
}

// A connection with a name of its own was made and listed, and every door said that it
// did not exist.
func TestNamedConnectionsServeAuth0sDoors(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withPasswordless(), withoutAddressLimits())
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(nil)})
	g, path := m.newConnection("sms-custom-wt", map[string]any{
		"template": "Custom @@password@@", "syntax": "md_with_macros", "from": "+19998887", "totp": map[string]any{"length": 8, "time_step": 120}}, webClient)
	asked := func(number string) string {
		t.Helper()
		before := len(g.to(number))
		if a := m.postJSON("/passwordless/start", smsStart(number).but("connection", "sms-custom-wt")); a.status != http.StatusOK {
			t.Fatalf("start: %d %s", a.status, a.body)
		}
		if got := g.wait(number, before+1); !strings.HasPrefix(got.Body, "Custom ") || got.Sender != "+19998887" {
			t.Errorf("text %q from %q", got.Body, got.Sender)
		}
		return g.code(number)
	}
	named := func(v url.Values) url.Values { v.Set("realm", "sms-custom-wt"); return v }

	// The OTP grant: the code is good by the connection that texted it alone.
	number := newNumber()
	code := asked(number)
	if len(code) != 8 {
		t.Errorf("a code of %d digits", len(code))
	}
	m.form("/oauth/token", otp(number, code)).wantsError(t, 403, "invalid_grant", wrongCode)
	first := m.form("/oauth/token", named(otp(number, code)))
	if first.status != http.StatusOK {
		t.Fatalf("grant: %d %s", first.status, first.body)
	}

	// The older shape of verify, and the page's.
	number = newNumber()
	old := object{"grant_type": "password", "client_id": webClient, "client_secret": secret, "connection": "sms-custom-wt",
		"username": number, "password": asked(number), "scope": "openid"}
	if a := m.postJSON("/passwordless/verify", old); a.status != http.StatusOK {
		t.Errorf("verify: %d %s", a.status, a.body)
	}
	number = newNumber()
	code = asked(number)
	b := newBrowser(t)
	if a := b.postJSON(m.base+"/passwordless/verify", object{"client_id": webClient, "connection": "sms-custom-wt", "phone_number": number, "verification_code": code}); a.status != http.StatusOK {
		t.Fatalf("verify: %d %s", a.status, a.body)
	}
	q := url.Values{"client_id": {webClient}, "response_type": {"code"}, "redirect_uri": {m.callback}, "scope": {"openid"},
		"state": {"s"}, "connection": {"sms-custom-wt"}, "phone_number": {number}, "verification_code": {code}}
	if answer := b.get(m.base + "/passwordless/verify_redirect?" + q.Encode()).answer(); !answer.Has("code") {
		t.Errorf("verify_redirect answers %v", answer)
	}

	// A page of another site, while the connection of other logins is nobody's of these.
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"enabled_clients": []string{publicClient}})
	number = newNumber()
	b = newBrowser(t)
	a := b.postJSON(m.base+"/co/authenticate", object{"client_id": webClient, "username": number, "otp": asked(number), "realm": "sms-custom-wt", "credential_type": otpGrant}, "Origin", pageOrigin)
	var ticket map[string]string
	if err := json.Unmarshal([]byte(a.body), &ticket); err != nil || a.status != http.StatusOK {
		t.Fatalf("co/authenticate: %d %s", a.status, a.body)
	}
	if answer := m.authorize(b, m.newRequest(webClient).with("realm", "sms-custom-wt", "login_ticket", ticket["login_ticket"])).answer(); !answer.Has("code") {
		t.Errorf("login by ticket: %v", answer)
	}

	// The login pages.
	number = newNumber()
	page := m.authorize(newBrowser(t), m.newRequest(webClient).with("connection", "sms-custom-wt")).submit("/login/phone", "phone", number)
	if got := g.wait(number, 1); !strings.HasPrefix(got.Body, "Custom ") {
		t.Errorf("text of the login page: %q", got.Body)
	}
	if answer := page.submit("/login/code", "code", g.code(number)).answer(); !answer.Has("code") {
		t.Errorf("login: %v", answer)
	}
	if got := m.authorize(newBrowser(t), m.newRequest(webClient)).url.Query().Get("error"); got != "unauthorized_client" {
		t.Errorf("a login that names none, by the connection in use: %q", got)
	}

	// Who may use it, what it is changed to, and that it is gone.
	start := smsStart(newNumber()).but("connection", "sms-custom-wt", "client_id", publicClient, "client_secret", nil)
	m.postJSON("/passwordless/start", start).wantsError(t, 400, "bad.connection", "Connection is disabled")
	if got := m.authorize(newBrowser(t), m.newRequest(publicClient).with("connection", "sms-custom-wt")).url.Query().Get("error"); got != "unauthorized_client" {
		t.Errorf("a login of another application: %q", got)
	}
	var options map[string]any
	if err := json.Unmarshal(g.options(map[string]any{"template": "Custom too @@password@@", "disable_signup": true}).JSON(), &options); err != nil {
		t.Fatal(err)
	}
	m.does(http.StatusOK, "PATCH", path, map[string]any{"options": options})
	m.postJSON("/passwordless/start", smsStart(newNumber()).but("connection", "sms-custom-wt")).wantsError(t, 400, "bad.connection", "Public signup is disabled")
	m.does(http.StatusCreated, "POST", "/users", map[string]any{"connection": "sms-custom-wt", "phone_number": newNumber()})
	page = m.authorize(newBrowser(t), m.newRequest(webClient).with("connection", "sms-custom-wt"))
	m.does(http.StatusAccepted, "DELETE", path, nil)
	m.postJSON("/passwordless/start", smsStart(newNumber()).but("connection", "sms-custom-wt")).wantsError(t, 400, "bad.connection", "Connection does not exist")
	m.form("/oauth/token", named(otp(newNumber(), "123456"))).wantsError(t, 400, "invalid_request", "the connection was not found")
	if got := page.submit("/login/phone", "phone", newNumber()); got.status != http.StatusBadRequest {
		t.Errorf("a login by a connection that is gone: %d", got.status)
	}
}

// Another server serves a connection that was made beside it; and the one of the file
// stays that of logins that name none.
func TestNamedConnectionsReachEveryServer(t *testing.T) {
	t.Parallel()
	b := startBeside(t, withPasswordless(), withoutAddressLimits())
	other := newGateway(t)
	if err := b.sql.CreateConnection(t.Context(), storage.Connection{Name: "beside", Strategy: "sms", Options: other.options(nil).JSON(), UpdatedAt: b.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "new connection", func() bool {
		return b.postJSON("/passwordless/start", smsStart(newNumber()).but("connection", "beside")).status == http.StatusOK
	})
	number := newNumber()
	b.otpFor(number)
	if len(other.to(number)) > 0 {
		t.Error("the connection of the file has the other's gateway")
	}
	// One that can't be used lets nobody by: who names it does not come by another.
	if err := b.sql.CreateConnection(t.Context(), storage.Connection{Name: "broken", Strategy: "sms", Options: json.RawMessage(`{"provider":"pigeon"}`), UpdatedAt: b.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "connection that can't be used", func() bool {
		return b.authorize(newBrowser(t), b.newRequest(webClient).with("connection", "broken")).url.Query().Get("error") == "unauthorized_client"
	})
	b.postJSON("/passwordless/start", smsStart(newNumber()).but("connection", "broken")).wantsError(t, 400, "bad.connection", "Connection does not exist")
	// The database has one named sms, too, from the first start: it stays behind the file's.
	if err := b.sql.RemoveConnection(t.Context(), "beside"); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "removed connection", func() bool {
		return b.postJSON("/passwordless/start", smsStart(newNumber()).but("connection", "beside")).status == http.StatusBadRequest
	})
}

// What a connection says of sign-ups and applications holds for the logins that name it,
// and is looked at on each of their pages.
func TestNamedConnectionsAreHeldToWhatTheySay(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withPasswordless(), withoutAddressLimits())
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(nil)})
	g, path := m.newConnection("staff", map[string]any{"disable_signup": true}, webClient)
	byStaff := m.newRequest(webClient).with("connection", "staff")
	typed := func(number string) *page {
		t.Helper()
		return m.authorize(newBrowser(t), byStaff).submit("/login/phone", "phone", number).wants(http.StatusOK)
	}

	// Nobody signs up by its pages, and nobody sees that.
	stranger := newNumber()
	p := typed(stranger)
	known := newNumber()
	m.person(known)
	registered := typed(known)
	g.wait(known, 1)
	if got := len(g.to(stranger)); got != 0 {
		t.Errorf("an unknown number got %d texts", got)
	}
	p.submit("/login/code", "code", "123456").wants(http.StatusUnprocessableEntity)

	// Taken from the application between the pages.
	m.does(http.StatusNoContent, "PATCH", path+"/clients", []map[string]any{{"client_id": webClient, "status": false}})
	if got := registered.submit("/login/code", "code", g.code(known)); got.status != http.StatusBadRequest {
		t.Errorf("a login by a connection that was taken from the application: %d %s", got.status, got.url)
	}
	m.does(http.StatusOK, "PATCH", path, map[string]any{"enabled_clients": []string{webClient}})

	// A proof is of its connection.
	number := newNumber()
	m.person(number)
	if a := m.postJSON("/passwordless/start", smsStart(number).but("connection", "staff")); a.status != http.StatusOK {
		t.Fatalf("start: %d %s", a.status, a.body)
	}
	g.wait(number, 1)
	b := newBrowser(t)
	a := b.postJSON(m.base+"/co/authenticate", object{"client_id": webClient, "username": number, "otp": g.code(number), "realm": "staff", "credential_type": otpGrant}, "Origin", pageOrigin)
	var ticket map[string]string
	if err := json.Unmarshal([]byte(a.body), &ticket); err != nil || a.status != http.StatusOK {
		t.Fatalf("co/authenticate: %d %s", a.status, a.body)
	}
	// Whoever takes the last application away leaves nobody.
	m.does(http.StatusOK, "PATCH", path, map[string]any{"enabled_clients": []string{}})
	for _, client := range []string{webClient, publicClient} {
		if got := m.authorize(newBrowser(t), m.newRequest(client).with("connection", "staff")).url.Query().Get("error"); got != "unauthorized_client" {
			t.Errorf("%s by a connection of nobody: %q", client, got)
		}
	}
	m.does(http.StatusAccepted, "DELETE", path, nil)
	if answer := m.authorize(b, m.newRequest(webClient).with("realm", "staff", "login_ticket", ticket["login_ticket"])).answer(); answer.Get("error") != "access_denied" {
		t.Errorf("a ticket of a connection that is gone: %v", answer)
	}
}
