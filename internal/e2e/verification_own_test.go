package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// withMachines registers clients that may verify numbers.
func withMachines(ids ...string) option {
	return func(o *options) {
		for _, id := range ids {
			withClient(id, func(c *config.Client) {
				c.AppType, c.ClientSecret, c.Callbacks, c.AllowedLogoutURLs = "non_interactive", config.NewSecret(secret), nil, nil
			})(o)
			withConfig(func(c *config.Config) {
				c.ClientGrants = append(c.ClientGrants, config.ClientGrant{ClientID: id, Audience: strings.TrimRight(c.Issuer, "/") + "/verifications", Scope: []string{"verify:phone"}})
			})(o)
		}
	}
}

// verifier is a client of our own dialect.
type verifier struct {
	*rig
	token string
}

// seen is what a client sees of a verification.
type seen struct {
	ID, Result, Purpose string
	Status              any    // a word; a problem's is a number
	PhoneNumber         string `json:"phone_number"`
	AttemptsLeft        *int   `json:"attempts_left"`
	Approved            *bool
	ResendAfter         string    `json:"resend_after"`
	ExpiresAt           time.Time `json:"expires_at"`
	Type, Detail        string    // of a problem
	Errors              []struct{ Field string }
	Metadata            map[string]string
	ApprovedAt          string `json:"approved_at"`
}

func (r *rig) verifier(client string) verifier {
	r.t.Helper()
	res, err := http.PostForm(r.base+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {client},
		"client_secret": {secret}, "audience": {r.base + "/verifications"}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
		Scope string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Scope != "verify:phone" {
		r.t.Fatalf("token: %d, scope %q, %v", res.StatusCode, answer.Scope, err)
	}
	return verifier{r, answer.Token}
}

func (v verifier) do(method, path, body string, headers ...string) (int, seen) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+v.token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	var s seen
	if len(text) > 0 {
		if err := json.Unmarshal(text, &s); err != nil {
			v.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
		}
	}
	if problem := res.Header.Get("Content-Type") == "application/problem+json"; problem != (res.StatusCode >= 400) || problem && !strings.HasPrefix(s.Type, "urn:handset:problem:") {
		v.t.Errorf("%s %s: %d as %s: %s", method, path, res.StatusCode, res.Header.Get("Content-Type"), text)
	}
	return res.StatusCode, s
}

func (v verifier) wants(status int, method, path, body string, headers ...string) seen {
	v.t.Helper()
	got, s := v.do(method, path, body, headers...)
	if got != status {
		v.t.Fatalf("%s %s: %d %+v, want %d", method, path, got, s, status)
	}
	return s
}

func (v verifier) begin(number, more string) seen {
	v.t.Helper()
	return v.wants(201, "POST", "/verifications", `{"phone_number":`+strconv.Quote(number)+more+`}`)
}

func answerOf(code string) string { return `{"code":"` + code + `"}` }

func TestVerificationStory(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop", "rival"))
	v, rival, number := r.verifier("shop"), r.verifier("rival"), newNumber()
	s := v.begin(number, `,"code_length":8,"expires_in":120,"attempts":3,"purpose":"payment","metadata":{"order":"7"}`)
	if s.Status != "pending" || strings.Contains(s.PhoneNumber, number[3:]) || s.ResendAfter == "" || s.Purpose != "payment" || s.Metadata["order"] != "7" {
		t.Errorf("started: %+v", s)
	}
	at := "/verifications/" + s.ID
	code := r.gateway.code(number)
	wrong := v.wants(200, "POST", at+"/answers", answerOf(otherCode(code, 1)))
	if *wrong.Approved || *wrong.AttemptsLeft != 2 || wrong.Status != "pending" {
		t.Errorf("wrong: %+v", wrong)
	}
	v.wants(429, "POST", at+"/resend", "")
	r.clock.Advance(40 * time.Second)
	v.wants(200, "POST", at+"/resend", "")
	if again := codePattern.FindString(r.gateway.wait(number, 2).Body); again != code {
		t.Error("the second text has another code")
	}
	waited := make(chan seen, 1)
	go func() { waited <- v.wants(200, "GET", at+"?wait=20s", "") }()
	right := v.wants(200, "POST", at+"/answers", answerOf(code))
	if !*right.Approved || right.Status != "approved" || right.Result == "" {
		t.Fatalf("right: %+v", right)
	}
	if got := <-waited; got.Status != "approved" {
		t.Errorf("who waited was told %+v", got)
	}
	v.wants(410, "POST", at+"/answers", answerOf(code))
	v.wants(410, "POST", at+"/resend", "")

	result := `{"result":"` + right.Result + `"}`
	rival.wants(422, "POST", "/verifications/results", result) // row 36: for another tenant
	proof := v.wants(200, "POST", "/verifications/results", result)
	if proof.ID != s.ID || proof.PhoneNumber != number || proof.Purpose != "payment" || proof.ApprovedAt == "" {
		t.Errorf("proved: %+v", proof)
	}
	v.wants(409, "POST", "/verifications/results", result) // and twice
	for _, path := range []string{at, at + "/answers", at + "/resend"} {
		method := "POST"
		if path == at {
			method = "GET"
		}
		_, foreign := rival.do(method, path, answerOf(code))
		_, unknown := rival.do(method, strings.Replace(path, s.ID, "0123456789abcdef0123456789abcdef", 1), answerOf(code))
		if foreign.Detail != unknown.Detail || foreign.Type != "urn:handset:problem:not_found" {
			t.Errorf("%s: another tenant is told %+v, of none %+v", path, foreign, unknown)
		}
	}
	v.wants(204, "DELETE", at, "")
	v.wants(404, "GET", at, "")
}

func TestVerificationResultIsGoodForFiveMinutes(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop"))
	v, number := r.verifier("shop"), newNumber()
	s := v.begin(number, "")
	right := v.wants(200, "POST", "/verifications/"+s.ID+"/answers", answerOf(r.gateway.code(number)))
	r.clock.Advance(5*time.Minute + time.Second)
	v.wants(422, "POST", "/verifications/results", `{"result":"`+right.Result+`"}`)
	if late := v.wants(200, "GET", "/verifications/"+s.ID, ""); late.Status != "approved" || late.Result != "" {
		t.Errorf("later: %+v", late)
	}
	for _, text := range []string{"", "x", v.token, right.Result + "x"} {
		v.wants(422, "POST", "/verifications/results", `{"result":"`+text+`"}`)
	}
}

func TestVerificationByIdempotencyKey(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop", "rival"))
	v, number := r.verifier("shop"), newNumber()
	body := `{"phone_number":"` + number + `"}`
	ids := make([]string, 5)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { ids[i] = v.wants(201, "POST", "/verifications", body, "Idempotency-Key", "k1").ID })
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("one key, verifications %v", ids)
		}
	}
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts", n)
	}
	v.wants(422, "POST", "/verifications", `{"phone_number":"`+newNumber()+`"}`, "Idempotency-Key", "k1")
	if other := r.verifier("rival").wants(201, "POST", "/verifications", `{"phone_number":"`+newNumber()+`"}`, "Idempotency-Key", "k1"); other.ID == ids[0] {
		t.Error("another client's key is the same")
	}
}

// hook is a client's callback address.
type hook struct {
	mu     sync.Mutex
	got    []string
	fail   int
	header []http.Header
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got, h.header = append(h.got, string(body)), append(h.header, r.Header)
	if len(h.got) <= h.fail {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (h *hook) calls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

func TestVerificationCallback(t *testing.T) {
	t.Parallel()
	key := vault.Generate()
	r := start(t, withMachines("shop"), withKey(key))
	h := &hook{fail: 1}
	listens := httptest.NewServer(h)
	t.Cleanup(listens.Close)
	v, number := r.verifier("shop"), newNumber()
	s := v.begin(number, `,"callback_url":`+strconv.Quote(listens.URL)+`,"expires_in":30`)
	r.clock.Advance(70 * time.Second) // nobody reads it: its end is told all the same
	awaits(t, "the first attempt", func() bool { return h.calls() == 1 })
	awaits(t, "the second attempt", func() bool { r.clock.Advance(6 * time.Second); return h.calls() == 2 })
	secrets := verification.WebhookSecrets(mustVault(t, key), "shop")
	w, err := standardwebhooks.NewWebhook(secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range h.got {
		if err := w.VerifyIgnoringTimestamp([]byte(body), h.header[i]); err != nil {
			t.Errorf("attempt %d: %v", i+1, err)
		}
		if h.header[i].Get("Webhook-Id") != h.header[0].Get("Webhook-Id") || strings.Contains(body, number[3:]) {
			t.Errorf("attempt %d: %v %s", i+1, h.header[i], body)
		}
	}
	var event struct {
		Type string
		Data seen
	}
	if err := json.Unmarshal([]byte(h.got[0]), &event); err != nil || event.Type != "verification.expired" || event.Data.ID != s.ID {
		t.Errorf("%s, %v", h.got[0], err)
	}
}

// TestVerificationCallbackIsGivenUpAfterADay: a receiver that is down for a night
// hears of what it missed, and one that is gone is left alone.
func TestVerificationCallbackIsGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop"))
	gone := &hook{fail: 1 << 20}
	listens := httptest.NewServer(gone)
	t.Cleanup(listens.Close)
	v, number := r.verifier("shop"), newNumber()
	s := v.begin(number, `,"callback_url":`+strconv.Quote(listens.URL))
	v.wants(http.StatusOK, "POST", "/verifications/"+s.ID+"/answers", `{"code":"`+r.gateway.code(number)+`"}`)
	ended := r.clock.Now()
	state := func() storage.Callback {
		c, err := r.server.SQL.VerificationCallback(t.Context(), storage.VerificationID(s.ID))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// While an attempt is under way it is due again in a minute, in case that its
	// server dies; no wait between attempts is as long as that.
	const claimed = time.Minute
	for state().State == storage.CallbackWaiting {
		var wait time.Duration
		awaits(t, "an attempt has ended", func() bool {
			c := state()
			wait = c.DueAt.Sub(r.clock.Now())
			return c.State != storage.CallbackWaiting || wait > 0 && wait != claimed
		})
		r.clock.Advance(wait)
	}
	took, c := r.clock.Now().Sub(ended), state()
	if took < 19*time.Hour || took > 24*time.Hour || c.State != storage.CallbackGivenUp || c.Outcome != "status 500" {
		t.Errorf("%s after %v and %d attempts: %s", c.State, took, c.Attempts, c.Outcome)
	}
	calls := gone.calls()
	r.clock.Advance(48 * time.Hour)
	again := &hook{}
	listensAgain := httptest.NewServer(again)
	t.Cleanup(listensAgain.Close)
	v, number = r.verifier("shop"), newNumber()
	s2 := v.begin(number, `,"callback_url":`+strconv.Quote(listensAgain.URL))
	v.wants(http.StatusOK, "POST", "/verifications/"+s2.ID+"/answers", `{"code":"`+r.gateway.code(number)+`"}`)
	awaits(t, "another client is told", func() bool { return again.calls() == 1 })
	if n := gone.calls() - calls; n > 0 {
		t.Errorf("%d attempts after it was given up", n)
	}
}

// TestVerificationsOnTwoServers: each end is told once, by whichever server comes
// first, and either server knows what the other one did.
func TestVerificationsOnTwoServers(t *testing.T) {
	t.Parallel()
	front := newTap(t)
	redis := storagetest.StartRedis(t)
	file, key := filepath.Join(t.TempDir(), "handset.db"), vault.Generate()
	a := start(t, front.in(), withRedis(redis.URL), withDatabase(file), withKey(key), withMachines("shop"), withoutAddressLimits())
	start(t, front.beside(), withClock(a.clock), withRedis(redis.URL), withDatabase(file), withKey(key), withoutAddressLimits(), withConfig(func(c *config.Config) {
		c.Clients, c.Connections, c.ClientGrants = a.config.Clients, a.config.Connections, a.config.ClientGrants
	}))
	h := &hook{}
	listens := httptest.NewServer(h)
	t.Cleanup(listens.Close)
	v := a.verifier("shop")
	const n = 10
	for i := range n {
		number := newNumber()
		s := v.begin(number, `,"callback_url":`+strconv.Quote(listens.URL))
		for range i % 2 {
			front.skip()
		}
		code := a.gateway.code(number)
		if wrong := v.wants(http.StatusOK, "POST", "/verifications/"+s.ID+"/answers", `{"code":"`+otherCode(code, 1)+`"}`); *wrong.Approved || *wrong.AttemptsLeft != 4 {
			t.Errorf("wrong: %+v", wrong)
		}
		v.wants(http.StatusOK, "POST", "/verifications/"+s.ID+"/answers", `{"code":"`+code+`"}`)
		if got := v.wants(http.StatusOK, "GET", "/verifications/"+s.ID, ""); got.Status != "approved" {
			t.Errorf("the other server says %v", got.Status)
		}
	}
	awaits(t, "every end is told", func() bool { return h.calls() >= n })
	told := map[string]int{}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range h.header {
		told[header.Get("Webhook-Id")]++
	}
	if len(told) != n || len(h.header) != n {
		t.Errorf("%d ends were told %d times, want %d once each", len(told), len(h.header), n)
	}
}

func mustVault(t *testing.T, key string) *vault.Vault {
	t.Helper()
	v, err := vault.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerificationBadInput(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop"), withConfig(func(c *config.Config) {
		// Whatever is refused here and counted all the same leaves too little for the rest.
		c.Limits["send_client"] = config.Limit{Burst: 1, Every: time.Hour}
		c.Limits["guess_number"] = config.Limit{Burst: 3, Every: time.Hour}
	}))
	v, number := r.verifier("shop"), newNumber()
	with := func(more string) string { return `{"phone_number":"` + number + `",` + more + `}` }
	for _, tt := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"nothing", ``, 400, ""},
		{"not JSON", `{`, 400, ""},
		{"two objects", `{}{}`, 400, ""},
		{"a list", `[]`, 400, ""},
		{"null", `null`, 400, ""},
		{"not UTF-8", with("\"purpose\":\"\xff\""), 400, ""},
		{"half of a surrogate pair", with(`"purpose":"\ud800"`), 400, ""},
		{"a member twice", with(`"attempts":1,"attempts":2`), 400, ""},
		{"a number twice, once escaped", with(`"phone\u005fnumber":"+447400100000"`), 400, ""},
		{"metadata twice", with(`"metadata":{"a":"1","a":"2"}`), 400, ""},
		{"no number", `{}`, 422, "phone_number"},
		{"a number that is none", `{"phone_number":"hello"}`, 422, "phone_number"},
		{"a number as a number", `{"phone_number":447400100000}`, 422, "phone_number"},
		{"a country that is not allowed", `{"phone_number":"+33612345678"}`, 422, "phone_number"},
		{"an unknown member", with(`"colour":"red"`), 422, "colour"},
		{"a member by another name", with(`"Attempts":1`), 422, "Attempts"},
		{"a hostile member", with(`"\u202e<b>\r\n":1`), 422, "<b>"},
		{"a long member", with(`"` + strings.Repeat("x", 2000) + `":1`), 422, strings.Repeat("x", 100) + "…"},
		{"a secret member", with(`"+447400100009":1`), 422, "+447400100009"},
		{"a short code", with(`"code_length":3`), 422, "code_length"},
		{"a long code", with(`"code_length":11`), 422, "code_length"},
		{"a negative life", with(`"expires_in":-1`), 422, "expires_in"},
		{"a long life", with(`"expires_in":601`), 422, "expires_in"},
		{"no attempts", with(`"attempts":0`), 422, "attempts"},
		{"many attempts", with(`"attempts":11`), 422, "attempts"},
		{"a fraction", with(`"attempts":1.5`), 422, "attempts"},
		{"a long purpose", with(`"purpose":"` + strings.Repeat("x", 65) + `"`), 422, "purpose"},
		{"metadata of numbers", with(`"metadata":{"a":1}`), 422, "metadata"},
		{"a callback to a metadata service", with(`"callback_url":"https://169.254.169.254/"`), 422, "callback_url"},
		{"a callback with a user", with(`"callback_url":"https://u:p@example.com/"`), 422, "callback_url"},
		{"a huge body", with(`"purpose":"` + strings.Repeat("x", 20<<10) + `"`), 413, ""},
	} {
		status, s := v.do("POST", "/verifications", tt.body)
		field := ""
		if len(s.Errors) > 0 {
			field = s.Errors[0].Field
		}
		if status != tt.status || tt.field != "" && field != tt.field {
			t.Errorf("%s: %d %+v, want %d about %q", tt.name, status, s, tt.status, tt.field)
		}
	}
	v.wants(422, "POST", "/verifications", with(`"attempts":1`), "Idempotency-Key", strings.Repeat("k", 256))
	v.wants(415, "POST", "/verifications", with(`"attempts":1`), "Content-Type", "text/plain")
	r.gateway.wantsTexts(0)
	if strings.Contains(r.logs.String(), "447400100009") {
		t.Error("the log has a member that is named like a number")
	}
	for name, token := range map[string]string{"none": "", "not a token": "x.y.z", "another's": r.signIn(newNumber()).AccessToken} {
		if status, _ := (verifier{r, token}).do("POST", "/verifications", with(`"attempts":1`)); status != http.StatusUnauthorized {
			t.Errorf("token %s: %d", name, status)
		}
	}
	live := v.begin(number, `,"attempts":3`)
	at, code := "/verifications/"+live.ID, r.gateway.code(number)
	for _, wait := range []string{"x", "-1s", "31s", "30"} {
		if status, _ := v.do("GET", at+"?wait="+wait, ""); status != http.StatusBadRequest {
			t.Errorf("wait %s: %d", wait, status)
		}
	}
	for _, tt := range []struct {
		name, body string
		status     int
	}{
		{"nothing", "", 400},
		{"not JSON", "{", 400},
		{"a code twice", `{"code":"1","code":"2"}`, 400},
		{"not UTF-8", "{\"code\":\"\xff\"}", 400},
		{"no code", "{}", 422},
		{"null", `{"code":null}`, 422},
		{"an empty code", answerOf(""), 422},
		{"a code that is short", answerOf(code[1:]), 422},
		{"a code that is long", answerOf(code + "0"), 422},
		{"letters", answerOf("abcdef"), 422},
		{"a number, whose zeros are lost", `{"code":123456}`, 422},
		{"an unknown member", `{"code":"` + code + `","colour":"red"}`, 422},
		{"a huge code", answerOf(strings.Repeat("1", 20<<10)), 413},
	} {
		if status, s := v.do("POST", at+"/answers", tt.body); status != tt.status || s.Detail == "" {
			t.Errorf("an answer, %s: %d %+v, want %d", tt.name, status, s, tt.status)
		}
	}
	for _, id := range []string{"x", strings.Repeat("Z", 32), strings.ToUpper(live.ID), live.ID + "0", strings.Repeat("0", 32)} {
		for _, do := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/answers"}, {"POST", "/resend"}} {
			body := ""
			if do[1] == "/answers" {
				body = answerOf(code)
			}
			if status, _ := v.do(do[0], "/verifications/"+id+do[1], body); status != http.StatusNotFound {
				t.Errorf("%s of the id %s%s: %d", do[0], id, do[1], status)
			}
		}
	}
	for n := range 2 { // nothing of all that was a try
		if wrong := v.wants(200, "POST", at+"/answers", answerOf(otherCode(code, n+1))); *wrong.AttemptsLeft != 2-n {
			t.Errorf("wrong code %d leaves %d tries", n+1, *wrong.AttemptsLeft)
		}
	}
	if right := v.wants(200, "POST", at+"/answers", answerOf(code)); !*right.Approved {
		t.Errorf("right: %+v", right)
	}
	v.wants(429, "POST", "/verifications", `{"phone_number":"`+newNumber()+`"}`) // the limit that showed it is one
	r.gateway.wantsTexts(2)                                                      // with that of the person who signed in
}

// The document names exactly the routes that there are.
func TestOpenAPINamesEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, body := r.fetch(http.MethodGet, "/verifications/openapi.json")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(body, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("OpenAPI %s, %v", doc.OpenAPI, err)
	}
	var documented, routes []string
	for path, methods := range doc.Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, route := range r.server.Provider.Routes() {
		if strings.Contains(route, " /verifications") {
			routes = append(routes, route)
		}
	}
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(routes, documented); diff != "" {
		t.Errorf("routes (-table +document):\n%s", diff)
	}
}
