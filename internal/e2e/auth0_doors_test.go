package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
)

// object is a body, sent as JSON.
type object map[string]any

// but is a copy with other members; nil takes one away.
func (o object) but(pairs ...any) object {
	out := maps.Clone(o)
	for i := 0; i < len(pairs); i += 2 {
		if name := pairs[i].(string); pairs[i+1] == nil {
			delete(out, name)
		} else {
			out[name] = pairs[i+1]
		}
	}
	return out
}

// postJSON posts a body as JSON; a string goes as it is.
func (r *rig) postJSON(path string, body any, header ...string) reply {
	r.t.Helper()
	text, raw := body.(string)
	if !raw {
		b, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		text = string(b)
	}
	return r.post(path, text, append([]string{"Content-Type", "application/json"}, header...)...)
}

func (r *rig) post(path, body string, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return sendRequest(r.t, req, header...)
}

// postJSON posts a body as a script of a page does.
func (b *browser) postJSON(address string, body object, header ...string) reply {
	b.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, bytes.NewReader(text))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Header.Set("Content-Type", "application/json")
	p := b.do(req)
	return reply{p.status, p.header, p.body}
}

// wantsError fails unless the answer is Auth0's error of that status and words.
func (a reply) wantsError(t testing.TB, status int, code, description string) {
	t.Helper()
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal([]byte(a.body), &got)
	if a.status != status || got.Error != code || got.Description != description {
		t.Errorf("answer %d %s\nwant   %d %s: %s", a.status, a.body, status, code, description)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type = %q", ct)
	}
}

func smsStart(number string) object {
	return object{"client_id": webClient, "client_secret": secret, "connection": "sms", "phone_number": number}
}

// otpFor asks for a code as a client with a secret, and returns it.
func (r *rig) otpFor(number string) string {
	r.t.Helper()
	before := len(r.gateway.to(number))
	if a := r.postJSON("/passwordless/start", smsStart(number)); a.status != http.StatusOK {
		r.t.Fatalf("start: %d %s", a.status, a.body)
	}
	r.gateway.wait(number, before+1)
	return r.gateway.code(number)
}

// otp are the parameters of the OTP grant.
func otp(number, code string) url.Values {
	return url.Values{"grant_type": {otpGrant}, "client_id": {webClient}, "client_secret": {secret},
		"username": {number}, "otp": {code}, "realm": {"sms"}, "scope": {"openid"}}
}

const (
	wrongCode = "Wrong phone number or verification code."
	spentCode = "You've reached the maximum number of attempts. Please try to login again."
)

func TestPasswordlessStartAnswersAsAuth0(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	a := r.postJSON("/passwordless/start", smsStart(number).but("send", "code", "authParams", object{"scope": "openid", "nonce": "n"}),
		"Auth0-Client", "eyJuYW1lIjoibm9kZS1hdXRoMCJ9", "x-request-language", "fr")
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || len(got) != 3 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if id, _ := got["_id"].(string); !regexp.MustCompile(`^[0-9a-f]{24}$`).MatchString(id) {
		t.Errorf("_id = %v", got["_id"])
	}
	if got["phone_number"] != number || got["phone_verified"] != false {
		t.Errorf("answer %s", a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type = %q", ct)
	}
	m := r.gateway.wait(number, 1)
	if m.Req == nil || m.Req.IP != "127.0.0.1" || m.Sender != "+12345678" {
		t.Errorf("the gateway got %+v", m)
	}

	// A code was right: the number counts as verified from then on, to this client.
	if a := r.form("/oauth/token", otp(number, r.gateway.code(number))); a.status != http.StatusOK {
		t.Fatalf("token: %d %s", a.status, a.body)
	}
	r.clock.Advance(time.Hour)
	again := r.postJSON("/passwordless/start", smsStart(number))
	if !strings.Contains(again.body, `"phone_verified":true`) {
		t.Errorf("second start: %d %s", again.status, again.body)
	}
	r.clock.Advance(time.Hour)
	public := r.postJSON("/passwordless/start", object{"client_id": publicClient, "connection": "sms", "phone_number": number})
	if public.status != http.StatusOK || !strings.Contains(public.body, `"phone_verified":false`) {
		t.Errorf("a public client is told: %d %s", public.status, public.body)
	}
}

func (r *rig) form(path string, v url.Values, header ...string) reply {
	r.t.Helper()
	return r.post(path, v.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded;charset=UTF-8"}, header...)...)
}

// Every row of Auth0's table of errors of the endpoint, and bad input beside it. None
// of them has a text sent.
func TestPasswordlessStartErrors(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	good := smsStart(newNumber())
	pattern := `String does not match pattern: ^\+[0-9]{1,15}$`
	noObject := "the body is not a JSON object of at most 16384 bytes with Content-Type application/json"
	for _, c := range []struct {
		name              string
		body              any
		status            int
		code, description string
	}{
		{"no client_id", good.but("client_id", nil, "client_secret", nil), 400, "bad.client_id", "Missing required property: client_id"},
		{"no connection", good.but("connection", nil), 400, "bad.connection", "Missing required property: connection"},
		{"unknown connection", good.but("connection", "nope"), 400, "bad.connection", "Connection does not exist"},
		{"email", good.but("connection", "email", "email", "a@b.example"), 400, "bad.connection", "Connection does not exist"},
		{"email alone", good.but("connection", "email", "email", "a@b.example", "phone_number", nil), 400, "bad.connection", "Connection does not exist"},
		{"authParams a string", good.but("authParams", "x"), 400, "bad.authParams", "error in authParams - invalid type: string (expected object)"},
		{"unknown property", good.but("x", 1), 400, "bad.request", "the following properties are not allowed: x"},
		{"hostile property", good.but("<a\r\n>", 1), 400, "bad.request", "the following properties are not allowed: <a>"},
		{"no number", good.but("phone_number", nil), 400, "bad.phone_number", "Missing required property: phone_number"},
		{"null number", object{"client_id": webClient, "client_secret": secret, "connection": "sms", "phone_number": nil}, 400, "bad.phone_number", "Missing required property: phone_number"},
		{"letters", good.but("phone_number", "+44abc"), 400, "bad.phone_number", pattern},
		{"without plus", good.but("phone_number", "447400123456"), 400, "bad.phone_number", pattern},
		{"too long", good.but("phone_number", "+1234567890123456"), 400, "bad.phone_number", pattern},
		{"another country", good.but("phone_number", "+33612345678"), 400, "bad.phone_number", "the number is not one of a mobile phone in a country that may be texted"},
		{"a number", good.but("phone_number", 447400123456), 400, "bad.request", "a property is not a string"},
		{"no secret", good.but("client_secret", nil), 403, "unauthorized_client", "Client authentication is required"},
		{"wrong secret", good.but("client_secret", "x"), 401, "invalid_client", "Client authentication failed"},
		{"unknown client", good.but("client_id", "nobody"), 403, "unauthorized_client", "invalid client"},
		{"another grant", good.but("client_id", strictClient), 403, "unauthorized_client", "Grant type '" + otpGrant + "' not allowed for the client."},
		{"an array", `[]`, 400, "bad.request", noObject},
		{"null", `null`, 400, "bad.request", noObject},
		{"cut off", `{"client_id":`, 400, "bad.request", noObject},
		{"oversized", `{"client_id":"` + strings.Repeat("x", 20<<10) + `"}`, 400, "bad.request", noObject},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.in(t).postJSON("/passwordless/start", c.body).wantsError(t, c.status, c.code, c.description)
		})
	}
	r.post("/passwordless/start", "client_id=web", "Content-Type", "application/x-www-form-urlencoded").wantsError(t, 400, "bad.request", noObject)
	if texts := r.gateway.to(good["phone_number"].(string)); len(texts) != 0 {
		t.Errorf("%d texts were sent", len(texts))
	}
}

// A start that comes again at once sends nothing: 429, with what Auth0's SDKs read.
func TestPasswordlessStartAgainIsHarmless(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	code := r.otpFor(number)
	for range 3 {
		a := r.postJSON("/passwordless/start", smsStart(number))
		a.wantsError(t, 429, "too_many_requests", "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.")
		reset, _ := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
		if wait := time.Unix(reset, 0).Sub(r.clock.Now()); wait < 20*time.Second || wait > 40*time.Second {
			t.Errorf("reset in %v", wait)
		}
		if a.header.Get("X-RateLimit-Limit") != "1" || a.header.Get("X-RateLimit-Remaining") != "0" || a.header.Get("Retry-After") == "" {
			t.Errorf("headers: %v", a.header)
		}
	}
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts", n)
	}
	// While it lives for a while yet, a code is texted again rather than replaced.
	r.clock.Advance(40 * time.Second)
	if again := r.otpFor(number); again != code {
		t.Errorf("the second text has %s, want %s", again, code)
	}
	if a := r.form("/oauth/token", otp(number, code)); a.status != http.StatusOK {
		t.Errorf("the code after that: %d %s", a.status, a.body)
	}
}

// §3: what the custom gateway answers is told in Auth0's words, and no such text
// counts: the next one goes at once.
func TestPasswordlessStartTellsWhatTheGatewaySaid(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	for status, want := range map[int]string{
		201: "Unexpected response while calling the SMS gateway: 201",
		204: "Unexpected response while calling the SMS gateway: 204",
		302: "Unexpected response while calling the SMS gateway: 302",
		500: "Unexpected response while calling the SMS gateway: 500",
		401: "Authentication failed while calling the SMS gateway: 401",
	} {
		number := newNumber()
		r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			return false
		})
		r.postJSON("/passwordless/start", smsStart(number)).wantsError(t, 400, "sms_provider_error", want)
		r.gateway.answers(nil)
		r.otpFor(number)
	}
}

func TestPasswordlessOTPGrant(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	v := otp(number, r.otpFor(number))
	v.Set("scope", "openid profile phone offline_access")
	a := r.form("/oauth/token", v)
	var tokens struct {
		Access  string `json:"access_token"`
		ID      string `json:"id_token"`
		Refresh string `json:"refresh_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	id := claims(t, tokens.ID)
	sub, _ := id["sub"].(string)
	if !regexp.MustCompile(`^sms\|[0-9a-f]{24}$`).MatchString(sub) || id["aud"] != webClient || id["nonce"] != nil || id["iss"] != r.issuer {
		t.Errorf("ID token: %v", id)
	}
	if id["phone_number"] != number || id["phone_number_verified"] != true {
		t.Errorf("scope phone in the ID token: %v", id)
	}
	if tokens.Type != "Bearer" || tokens.Expires <= 0 || tokens.Refresh == "" || tokens.Access == "" {
		t.Errorf("answer: %s", a.body)
	}
	refreshed := r.form("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}, "client_id": {webClient}, "client_secret": {secret}})
	var second struct {
		ID string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(refreshed.body), &second); err != nil || refreshed.status != http.StatusOK || claims(t, second.ID)["phone_number"] != number {
		t.Errorf("refresh: %d %s", refreshed.status, refreshed.body)
	}
	r.form("/oauth/token", v).wantsError(t, 403, "invalid_grant", wrongCode) // used

	// By JSON; the same person; without openid no ID token.
	r.clock.Advance(time.Hour)
	body := object{}
	for name := range v {
		body[name] = v.Get(name)
	}
	a = r.postJSON("/oauth/token", body.but("otp", r.otpFor(number)))
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || claims(t, tokens.ID)["sub"] != sub {
		t.Errorf("by JSON: %d %s", a.status, a.body)
	}
	r.clock.Advance(time.Hour)
	a = r.postJSON("/oauth/token", body.but("otp", r.otpFor(number), "scope", "openid"))
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || claims(t, tokens.ID)["phone_number"] != nil {
		t.Errorf("without scope phone: %d %s", a.status, a.body)
	}
	r.clock.Advance(time.Hour)
	a = r.postJSON("/oauth/token", body.but("otp", r.otpFor(number), "scope", nil))
	if a.status != http.StatusOK || strings.Contains(a.body, "id_token") || strings.Contains(a.body, "refresh_token") {
		t.Errorf("without scope: %d %s", a.status, a.body)
	}
}

func TestPasswordlessOTPGrantErrors(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless(), withClient("other", func(c *config.Client) {
		c.ClientSecret = config.NewSecret(secret)
		c.GrantTypes = []string{"authorization_code", otpGrant}
	}))
	number := newNumber()
	code := r.otpFor(number)
	with := func(pairs ...string) url.Values {
		v := otp(number, code)
		for i := 0; i < len(pairs); i += 2 {
			if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				v.Del(pairs[i])
			}
		}
		return v
	}
	for _, c := range []struct {
		name              string
		form              url.Values
		status            int
		code, description string
	}{
		{"no username", with("username", ""), 400, "invalid_request", "missing username parameter"},
		{"no otp", with("otp", ""), 400, "invalid_request", "missing otp parameter"},
		{"auth_session", with("username", "", "realm", "", "auth_session", "x"), 400, "invalid_request", "missing username parameter"},
		{"no client_id", with("client_id", ""), 400, "invalid_request", "missing client_id parameter"},
		{"unknown realm", with("realm", "nope"), 400, "invalid_request", "the connection was not found"},
		{"wrong secret", with("client_secret", "x"), 401, "invalid_client", "Client authentication failed"},
		{"unknown client", with("client_id", "nobody"), 401, "invalid_client", "Client authentication failed"},
		{"another grant", with("client_id", strictClient), 403, "unauthorized_client", "Grant type '" + otpGrant + "' not allowed for the client."},
		{"another client's code", with("client_id", "other"), 403, "invalid_grant", wrongCode},
		{"another number", with("username", newNumber()), 403, "invalid_grant", wrongCode},
		{"no number", with("username", "x"), 403, "invalid_grant", wrongCode},
		{"five digits", with("otp", "12345"), 403, "invalid_grant", wrongCode},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.in(t).form("/oauth/token", c.form).wantsError(t, c.status, c.code, c.description)
		})
	}
	if a := r.form("/oauth/token", with("client_id", strictClient)); !strings.Contains(a.body, `"error_uri":"https://auth0.com/docs/clients/client-grant-types"`) {
		t.Errorf("no error_uri: %s", a.body)
	}
	for range 3 {
		r.form("/oauth/token", with("otp", wrong(code, 1))).wantsError(t, 403, "invalid_grant", wrongCode)
	}
	r.form("/oauth/token", with()).wantsError(t, 403, "invalid_grant", spentCode)

	late := newNumber()
	v := otp(late, r.otpFor(late))
	r.clock.Advance(3*time.Minute + time.Second)
	r.form("/oauth/token", v).wantsError(t, 403, "invalid_grant", "The verification code has expired. Please try to login again.")
}

// With sign-up off, or for a blocked person: who has a secret is told, others are not.
func TestPasswordlessWithSignUpOff(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless(), withoutSignup())
	number := newNumber()
	r.postJSON("/passwordless/start", smsStart(number)).wantsError(t, 400, "bad.connection", "Public signup is disabled")
	a := r.postJSON("/passwordless/start", object{"client_id": publicClient, "connection": "sms", "phone_number": number})
	if a.status != http.StatusOK || len(r.gateway.to(number)) != 0 {
		t.Errorf("a public client: %d %s, %d texts", a.status, a.body, len(r.gateway.to(number)))
	}
}

// Pages of a client's own origins may read the answers, and no others.
func TestPasswordlessCORS(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	body := object{"client_id": publicClient, "connection": "sms", "phone_number": newNumber()}
	a := r.postJSON("/passwordless/start", body, "Origin", pageOrigin)
	if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != pageOrigin || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("own origin: %d %v", a.status, a.header)
	}
	body["phone_number"] = newNumber()
	a = r.postJSON("/passwordless/start", body, "Origin", "https://test.app")
	if a.status != http.StatusForbidden || strings.TrimSpace(a.body) != "Origin https://test.app is not allowed." || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("other origin: %d %s %v", a.status, a.body, a.header)
	}
	if len(r.gateway.to(body["phone_number"].(string))) != 0 {
		t.Error("a page of another origin had a text sent")
	}
	// They may also read what is wrong with a request.
	for name, c := range map[string]struct {
		path    string
		body    object
		cookies string
	}{
		"number":     {"/passwordless/start", body.but("phone_number", "1"), ""},
		"connection": {"/passwordless/start", body.but("connection", nil), ""},
		"property":   {"/passwordless/start", body.but("colour", "red"), ""},
		"type":       {"/passwordless/start", body.but("send", 1), ""},
		"cross":      {"/co/authenticate", object{"client_id": publicClient}, "true"},
		"cross type": {"/co/authenticate", object{"client_id": publicClient, "otp": 1}, "true"},
		"verify":     {"/passwordless/verify", object{"client_id": publicClient}, ""},
		"exchange":   {"/passwordless/verify", object{"client_id": publicClient, "grant_type": "password"}, ""},
	} {
		a := r.postJSON(c.path, c.body, "Origin", pageOrigin)
		if a.status != http.StatusBadRequest || a.header.Get("Access-Control-Allow-Origin") != pageOrigin ||
			a.header.Get("Access-Control-Allow-Credentials") != c.cookies {
			t.Errorf("%s: %d %s %v", name, a.status, a.body, a.header)
		}
		if a := r.postJSON(c.path, c.body, "Origin", "https://test.app"); a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s of another origin: %d %s %v", name, a.status, a.body, a.header)
		}
	}
	for path, cookies := range map[string]string{"/passwordless/start": "", "/co/authenticate": "true"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, r.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", pageOrigin)
		a := sendRequest(t, req)
		if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != pageOrigin ||
			a.header.Get("Access-Control-Allow-Credentials") != cookies ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Auth0-Client") {
			t.Errorf("preflight of %s: %d %v", path, a.status, a.header)
		}
	}
}

// A client that is trusted to names the person's address; nobody else does.
func TestPasswordlessForwardedFor(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless(), withClient("untrusted", func(c *config.Client) {
		c.ClientSecret = config.NewSecret(secret)
		c.GrantTypes = []string{"authorization_code", otpGrant}
	}))
	for name, c := range map[string]struct {
		body object
		want string
	}{
		"trusted":   {smsStart(newNumber()), "192.0.2.7"},
		"untrusted": {smsStart(newNumber()).but("client_id", "untrusted"), "127.0.0.1"},
		"public":    {smsStart(newNumber()).but("client_id", publicClient, "client_secret", nil), "127.0.0.1"},
	} {
		number := c.body["phone_number"].(string)
		if a := r.postJSON("/passwordless/start", c.body, "auth0-forwarded-for", "192.0.2.7"); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		if m := r.gateway.wait(number, 1); m.Req == nil || m.Req.IP != c.want {
			t.Errorf("%s: the gateway was told %+v, want %s", name, m.Req, c.want)
		}
	}
}

// brute_force_protection: ten failures for a number from an address, over all doors, and
// nothing is texted to the number or looked at from there for an hour.
func TestPasswordlessBruteForceProtection(t *testing.T) {
	t.Parallel()
	const blocked = "Your account has been blocked after multiple consecutive login attempts. Please try again later."
	r := start(t, withPasswordless())
	number, address := newNumber(), []string{"auth0-forwarded-for", "192.0.2.7"}
	begin := func(number string, header ...string) reply {
		r.clock.Advance(time.Hour) // no wait between two texts, and limits of texts are full
		return r.postJSON("/passwordless/start", smsStart(number), header...)
	}
	exchange := func(number, code string, header ...string) reply {
		return r.form("/oauth/token", otp(number, code), header...)
	}
	fail := func(n int, header ...string) {
		t.Helper()
		for range n {
			if a := exchange(number, "000000", header...); a.status != http.StatusForbidden {
				t.Fatalf("a failure: %d %s", a.status, a.body)
			}
		}
	}
	wantsBlock := func(a reply) {
		t.Helper()
		a.wantsError(t, 429, "too_many_attempts", blocked)
		reset, _ := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
		if a.header.Get("Retry-After") != "3600" || a.header.Get("X-RateLimit-Limit") != "10" || a.header.Get("X-RateLimit-Remaining") != "0" ||
			reset < r.clock.Now().Add(time.Hour).Unix() {
			t.Errorf("headers %v", a.header)
		}
	}
	mustLogIn := func(a reply) {
		t.Helper()
		if a.status != http.StatusOK {
			t.Fatalf("log in: %d %s", a.status, a.body)
		}
	}

	// A right code forgets the failures before it.
	begin(number, address...)
	code := r.gateway.code(number)
	fail(2, address...)
	mustLogIn(exchange(number, code, address...))
	begin(number, address...)
	code = r.gateway.code(number)
	fail(9, address...)
	r.postJSON("/passwordless/verify", object{"grant_type": "password", "client_id": webClient, "client_secret": secret,
		"connection": "sms", "username": number, "password": wrong(code, 1)}, address...).wantsError(t, 401, "invalid_user_password", wrongCode)
	wantsBlock(exchange(number, code, address...))
	texts := len(r.gateway.to(number))
	wantsBlock(r.postJSON("/passwordless/start", smsStart(number), address...))
	if got := len(r.gateway.to(number)); got != texts {
		t.Errorf("%d texts while blocked", got-texts)
	}

	// The pair alone: neither the number elsewhere, nor others from there, nor a server
	// that names no address, nor the login pages.
	other := []string{"auth0-forwarded-for", "192.0.2.8"}
	r.clock.Advance(5 * time.Minute)
	mustLogIn(r.postJSON("/passwordless/start", smsStart(number), other...))
	mustLogIn(exchange(number, r.gateway.code(number), other...))
	second := newNumber()
	mustLogIn(r.postJSON("/passwordless/start", smsStart(second), address...))
	mustLogIn(exchange(second, r.gateway.code(second), address...))
	r.clock.Advance(5 * time.Minute)
	mustLogIn(r.postJSON("/passwordless/start", smsStart(number)))
	fail(20)
	mustLogIn(begin(number))
	mustLogIn(exchange(number, r.gateway.code(number)))

	// It ended with the hour.
	mustLogIn(begin(number, address...))
	mustLogIn(exchange(number, r.gateway.code(number), address...))

	// A page counts by its own address.
	third := newNumber()
	cross := object{"client_id": webClient, "credential_type": otpGrant, "realm": "sms", "username": third, "otp": "000000"}
	page := object{"client_id": publicClient, "connection": "sms", "phone_number": third}
	begin(third)
	for range 10 {
		r.postJSON("/co/authenticate", cross, "Origin", pageOrigin).wantsError(t, 403, "access_denied", wrongCode)
	}
	wantsBlock(r.postJSON("/co/authenticate", cross, "Origin", pageOrigin))
	wantsBlock(r.postJSON("/passwordless/start", page, "Origin", pageOrigin))
}

// Without brute_force_protection nobody is blocked.
func TestPasswordlessWithoutBruteForceProtection(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless(), withOption("brute_force_protection", false))
	number := newNumber()
	code := r.otpFor(number)
	for range 12 {
		if a := r.form("/oauth/token", otp(number, wrong(code, 1)), "auth0-forwarded-for", "192.0.2.7"); a.status != http.StatusForbidden {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
}

// §2b(a): the older shape gives tokens; (b) checks a code for the browser that goes on
// to verify_redirect with it.
func TestPasswordlessVerify(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	code := r.otpFor(number)
	old := object{"grant_type": "password", "client_id": webClient, "client_secret": secret, "connection": "sms",
		"username": number, "password": code, "scope": "openid"}
	r.postJSON("/passwordless/verify", old.but("password", wrong(code, 1))).wantsError(t, 401, "invalid_user_password", wrongCode)
	r.postJSON("/passwordless/verify", old.but("username", nil)).wantsError(t, 400, "invalid_request", "missing username parameter")
	r.postJSON("/passwordless/verify", old.but("password", nil)).wantsError(t, 400, "invalid_request", "missing password parameter")
	r.postJSON("/passwordless/verify", old.but("connection", nil)).wantsError(t, 400, "invalid_request", "missing connection parameter")
	r.postJSON("/passwordless/verify", old.but("client_id", "nobody")).wantsError(t, 403, "unauthorized_client", "invalid client")
	if a := r.postJSON("/passwordless/verify", old); a.status != http.StatusOK || !strings.Contains(a.body, `"id_token":"`) {
		t.Errorf("older shape: %d %s", a.status, a.body)
	}

	for _, path := range []string{"/passwordless/verify_redirect", "/passwordless/verify-redirect"} {
		number := newNumber()
		code := r.otpFor(number)
		body := object{"client_id": webClient, "connection": "sms", "phone_number": number, "verification_code": code}
		r.postJSON("/passwordless/verify", body.but("verification_code", wrong(code, 1))).wantsError(t, 401, "invalid_user_password", wrongCode)
		b := newBrowser(t)
		if a := b.postJSON(r.base+"/passwordless/verify", body); a.status != http.StatusOK {
			t.Fatalf("verify: %d %s", a.status, a.body)
		}
		q := url.Values{"client_id": {webClient}, "response_type": {"code"}, "redirect_uri": {r.callback}, "scope": {"openid"},
			"state": {"s"}, "nonce": {"n"}, "connection": {"sms"}, "phone_number": {number}, "verification_code": {code}, "auth0Client": {"x"}}
		address := r.base + path + "?" + q.Encode()
		stranger := newBrowser(t).get(address).answer()
		if stranger.Get("error") != "access_denied" || stranger.Has("code") {
			t.Errorf("another browser got %v", stranger)
		}
		answer := b.get(address).answer()
		if answer.Get("state") != "s" || !answer.Has("code") {
			t.Fatalf("verify_redirect answers %v", answer)
		}
		if again := b.get(address).answer(); again.Has("code") || again.Get("error") != "access_denied" {
			t.Errorf("a second time: %v", again)
		}
		r.in(t).stillIn(b)
	}
}

// §2d: a page of another site proves the number, and the browser goes to /authorize
// with the ticket.
func TestCrossOriginAuthenticate(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	code := r.otpFor(number)
	body := object{"client_id": webClient, "username": number, "otp": code, "realm": "sms", "credential_type": otpGrant}
	all := "Invalid request body. All and only of client_id, credential_type, username, otp, realm are required."
	origin := []string{"Origin", pageOrigin}
	r.postJSON("/co/authenticate", body.but("realm", nil), origin...).wantsError(t, 400, "invalid_request", all)
	r.postJSON("/co/authenticate", body.but("x", "y"), origin...).wantsError(t, 400, "invalid_request", all)
	r.postJSON("/co/authenticate", `{`, origin...).wantsError(t, 400, "invalid_request", all)
	r.postJSON("/co/authenticate", body.but("credential_type", "password"), origin...).wantsError(t, 400, "unsupported_credential_type", "Unknown credential type parameter.")
	r.postJSON("/co/authenticate", body.but("realm", "non-existent-connection"), origin...).wantsError(t, 400, "invalid_request", "Unknown realm non-existent-connection.")
	r.postJSON("/co/authenticate", body.but("client_id", strictClient), "Origin", originOf(r.callback)).wantsError(t, 401, "unauthorized_client", "Cross origin login not allowed.")
	r.postJSON("/co/authenticate", body.but("otp", wrong(code, 1)), origin...).wantsError(t, 403, "access_denied", wrongCode)
	if a := r.postJSON("/co/authenticate", body, "Origin", "https://evil.example"); a.status != http.StatusForbidden {
		t.Errorf("another origin: %d %s", a.status, a.body)
	}

	b := newBrowser(t)
	a := b.postJSON(r.base+"/co/authenticate", body, origin...)
	var got map[string]string
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || len(got) != 3 ||
		got["login_ticket"] == "" || got["co_id"] == "" || got["co_verifier"] == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a.header.Get("Access-Control-Allow-Origin") != pageOrigin || a.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("CORS: %v", a.header)
	}
	ask := r.newRequest(webClient).with("realm", "sms", "login_ticket", got["login_ticket"], "auth0Client", "x")
	if other := r.authorize(newBrowser(t), ask).answer(); other.Get("error") != "access_denied" {
		t.Errorf("the ticket in another browser: %v", other)
	}
	answer := r.authorize(b, ask).answer()
	if !answer.Has("code") || answer.Get("state") != ask.Get("state") {
		t.Fatalf("answer: %v", answer)
	}
	if again := r.authorize(b, ask).answer(); again.Get("error") != "access_denied" {
		t.Errorf("the ticket a second time: %v", again)
	}
	challenge := r.postJSON("/passwordless/challenge", object{"state": "x"})
	if challenge.status != http.StatusOK || strings.TrimSpace(challenge.body) != `{"required":false}` {
		t.Errorf("challenge: %d %s", challenge.status, challenge.body)
	}
}

func originOf(address string) string {
	u, _ := url.Parse(address)
	return u.Scheme + "://" + u.Host
}

// A ticket is used up by its login, whatever becomes of the person.
func TestLoginTicketOfARemovedPerson(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withPasswordless())
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(nil)})
	number := newNumber()
	b := newBrowser(t)
	a := b.postJSON(m.base+"/co/authenticate", object{
		"client_id": webClient, "username": number, "otp": m.otpFor(number), "realm": "sms", "credential_type": otpGrant}, "Origin", pageOrigin)
	var got map[string]string
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	ask := m.newRequest(webClient).with("realm", "sms", "login_ticket", got["login_ticket"])
	if answer := m.authorize(b, ask).answer(); !answer.Has("code") {
		t.Fatalf("answer: %v", answer)
	}
	people := m.does(http.StatusOK, "GET", "/users?q="+url.QueryEscape(`phone_number:"`+number+`"`), nil).list
	if len(people) != 1 {
		t.Fatalf("people: %v", people)
	}
	m.does(http.StatusNoContent, "DELETE", "/users/"+url.PathEscape(m.text(people[0], "user_id")), nil)
	if again := m.authorize(b, ask).answer(); again.Get("error") != "access_denied" {
		t.Errorf("the ticket of a removed person: %v", again)
	}
}

// Who has logged in may do so again at once.
func TestPasswordlessLoginAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	for range 4 {
		if a := r.form("/oauth/token", otp(number, r.otpFor(number))); a.status != http.StatusOK {
			t.Fatalf("log in: %d %s", a.status, a.body)
		}
	}
}

// What a stranger sends in the wrong place is told, and is in no log.
func TestPasswordlessLogsNothingOfStrangers(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	const number, code = "+14155550133", "424242"
	name := number + " " + code
	r.postJSON("/passwordless/start", smsStart(newNumber()).but(name, "x")).wantsError(t, 400, "bad.request", "the following properties are not allowed: "+name)
	r.postJSON("/co/authenticate", object{"client_id": webClient, "credential_type": otpGrant, "otp": code, "username": number, "realm": name},
		"Origin", pageOrigin).wantsError(t, 400, "invalid_request", "Unknown realm "+name+".")
	r.postJSON("/co/authenticate", object{"client_id": webClient, name: 1}, "Origin", pageOrigin)
	for _, sdk := range []object{{"name": number, "version": code}, {"name": "auth0.js", "version": code}, {"name": code, "version": "1"}, {"name": "node-auth0", "version": "4.37.1"}} {
		text, err := json.Marshal(sdk)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.postJSON("/passwordless/start", smsStart(newNumber()), "Auth0-Client", base64.StdEncoding.EncodeToString(text)); a.status != http.StatusOK {
			t.Errorf("start: %d %s", a.status, a.body)
		}
	}
	logs := r.logs.String()
	if strings.Contains(logs, number[1:]) || strings.Contains(logs, code) {
		t.Errorf("logged:\n%s", logs)
	}
	if !strings.Contains(logs, "node-auth0 4.37.1") {
		t.Error("the SDK's name is not logged")
	}
}

// A connection that is taken from a client through the Management API has no texts for it.
func TestPasswordlessOfADisabledClient(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withPasswordless())
	m.does(http.StatusNoContent, "PATCH", "/connections/"+m.smsID()+"/clients", []map[string]any{{"client_id": webClient, "status": false}})
	m.postJSON("/passwordless/start", smsStart(newNumber())).wantsError(t, 400, "bad.connection", "Connection is disabled")
	m.form("/oauth/token", otp(newNumber(), "123456")).wantsError(t, 400, "invalid_request", "the connection was disabled")
}

// The text of a start: the connection's template by the language that was asked for,
// in the header of Auth0's SDKs or by the caller's, a code of the connection's length and
// life, and no line that binds it to our own pages.
func TestPasswordlessTemplates(t *testing.T) {
	t.Parallel()
	with := func(more map[string]any) *rig {
		return start(t, withPasswordless(), withConfig(func(c *config.Config) {
			var o map[string]any
			if err := json.Unmarshal(c.Connections[0].Options.JSON(), &o); err != nil {
				t.Fatal(err)
			}
			maps.Copy(o, more)
			text, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			c.Connections[0].Options = config.NewOptions(string(text))
		}))
	}
	macros := with(map[string]any{"syntax": "md_with_macros", "template": "@@password@@ for @@application.name@@", "totp": map[string]any{"length": 8, "time_step": 60}})
	number := newNumber()
	code := macros.otpFor(number)
	if body := macros.gateway.wait(number, 1).Body; len(code) != 8 || body != code+" for The web app" {
		t.Errorf("the text is %q", body)
	}
	macros.clock.Advance(61 * time.Second)
	macros.form("/oauth/token", otp(number, code)).wantsError(t, 403, "invalid_grant", "The verification code has expired. Please try to login again.")

	for length := 4; length <= 8; length++ {
		r := with(map[string]any{"syntax": "md_with_macros", "template": "@@password@@", "totp": map[string]any{"length": length}})
		number := newNumber()
		if a := r.postJSON("/passwordless/start", smsStart(number)); a.status != http.StatusOK {
			t.Fatalf("length %d: %d %s", length, a.status, a.body)
		}
		code := r.gateway.wait(number, 1).Body
		if !regexp.MustCompile(fmt.Sprintf(`^\d{%d}$`, length)).MatchString(code) {
			t.Errorf("length %d: the text is %q", length, code)
		}
		if a := r.form("/oauth/token", otp(number, code)); a.status != http.StatusOK {
			t.Errorf("length %d: %d %s", length, a.status, a.body)
		}
	}

	liquid := with(map[string]any{"syntax": "liquid", "template": "{% if request_language contains 'fr-FR' %}Votre code : {{ code }}{% else %}Your code: {{ password }}{% endif %}"})
	for want, header := range map[string][]string{
		"Votre code : ": {"x-request-language", "fr-FR"},
		"Your code: ":   {"x-request-language", "de", "Accept-Language", "fr-FR"},
	} {
		number := newNumber()
		if a := liquid.postJSON("/passwordless/start", smsStart(number), header...); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if body := liquid.gateway.wait(number, 1).Body; !strings.HasPrefix(body, want) {
			t.Errorf("%v: the text is %q", header, body)
		}
	}
	number = newNumber()
	liquid.postJSON("/passwordless/start", smsStart(number), "Accept-Language", "fr-FR,fr;q=0.9")
	if body := liquid.gateway.wait(number, 1).Body; !strings.HasPrefix(body, "Votre code : ") {
		t.Errorf("by Accept-Language: the text is %q", body)
	}
}
