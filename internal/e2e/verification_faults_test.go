package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// What a client is told of a verification is true, whatever was refused beside it: of
// parallel requests with one key none is answered by one that a limit took back.
func TestAttackOneKeyManyStarts(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop"))
	v := r.verifier("shop")
	for range 5 {
		number := newNumber()
		for range 4 { // of a burst of five
			v.wants(http.StatusCreated, "POST", "/verifications", `{"phone_number":"`+number+`"}`)
		}
		for round, want := range []int{1, 0} { // the last of the burst, and none
			var accepted sync.Map
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					status, got := v.do("POST", "/verifications", `{"phone_number":"`+number+`"}`, "Idempotency-Key", number+strconv.Itoa(round))
					switch status {
					case http.StatusCreated:
						accepted.Store(got.ID, true)
						if status, _ := v.do("GET", "/verifications/"+got.ID, ""); status != http.StatusOK {
							t.Errorf("a verification that was accepted is read: %d", status)
						}
					case http.StatusTooManyRequests:
					default:
						t.Errorf("start: %d", status)
					}
				})
			}
			all.Wait()
			n := 0
			accepted.Range(func(any, any) bool { n++; return true })
			if n != want {
				t.Errorf("round %d: %d verifications, want %d", round, n, want)
			}
		}
		r.gateway.wait(number, 5)
	}
}

// A start that was answered 503 can be sent again, with the key that it had.
func TestVerificationWhoseTextDidNotLeaveIsAskedForAgain(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop"), withoutSignup())
	v, number := r.verifier("shop"), newNumber()
	body := `{"phone_number":"` + number + `"}`
	r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadRequest); return false })
	v.wants(http.StatusServiceUnavailable, "POST", "/verifications", body, "Idempotency-Key", "a key")
	r.gateway.answers(nil)
	s := v.wants(http.StatusCreated, "POST", "/verifications", body, "Idempotency-Key", "a key")
	if s.Status != "pending" || s.ResendAfter == "" {
		t.Errorf("again: %+v", s)
	}
	code := r.gateway.code(number)
	again := v.wants(http.StatusCreated, "POST", "/verifications", body, "Idempotency-Key", "a key")
	if again.ID != s.ID || again.ResendAfter == "" {
		t.Errorf("the answer was lost, and asked for again: %+v", again)
	}
	v.wants(http.StatusOK, "POST", "/verifications/"+s.ID+"/answers", `{"code":"`+code+`"}`)
}

// Receivers of one client that hang hold up nobody else's callbacks.
func TestAttackSlowCallbackReceivers(t *testing.T) {
	t.Parallel()
	r := start(t, withMachines("shop", "slow"))
	release := make(chan struct{})
	var hanging atomic.Int32
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hanging.Add(1); <-release }))
	quick := &hook{}
	listens := httptest.NewServer(quick)
	t.Cleanup(func() { close(release); slow.Close(); listens.Close() })
	denied := func(v verifier, hook string) {
		number := newNumber()
		s := v.begin(number, `,"attempts":1,"callback_url":`+strconv.Quote(hook))
		v.wants(http.StatusOK, "POST", "/verifications/"+s.ID+"/answers", `{"code":"`+otherCode(r.gateway.code(number), 1)+`"}`)
	}
	evil, shop := r.verifier("slow"), r.verifier("shop")
	for range 30 {
		denied(evil, slow.URL)
	}
	awaits(t, "receivers hang", func() bool { return hanging.Load() >= 4 })
	denied(shop, listens.URL)
	awaits(t, "the other client is told", func() bool { return quick.calls() == 1 })
	if n := hanging.Load(); n > 16 {
		t.Errorf("%d attempts for one client at a time", n)
	}
}

// A token for another API verifies nothing, whatever scopes that API has.
func TestAttackTokenForAnotherAPI(t *testing.T) {
	t.Parallel()
	const other = "https://other.example.com"
	r := start(t, withMachines("shop"), withConfig(func(c *config.Config) {
		api := config.ResourceServer{Identifier: other, Clients: "granted", Scopes: []config.Scope{{Value: "verify:phone"}}}
		api.SetDefaults()
		c.ResourceServers = append(c.ResourceServers, api)
		c.ClientGrants = append(c.ClientGrants, config.ClientGrant{ClientID: "shop", Audience: other, Scope: []string{"verify:phone"}})
	}))
	res, err := http.PostForm(r.base+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"shop"},
		"client_secret": {secret}, "audience": {other}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
		Scope string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Scope != "verify:phone" {
		t.Fatalf("token: %d, scope %q, %v", res.StatusCode, answer.Scope, err)
	}
	number := newNumber()
	if status, _ := (verifier{r, answer.Token}).do("POST", "/verifications", `{"phone_number":"`+number+`"}`); status != http.StatusUnauthorized {
		t.Errorf("a token for another API: %d", status)
	}
	r.gateway.wantsTexts(0)
}

// Errors have the form of the API that was asked, those of addresses that it doesn't
// have and of other methods included.
func TestWhatTheVerificationAPIsDoNotHave(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, c := range []struct {
		method, path, media, member string
		status                      int
	}{
		{"PUT", "/verifications", "application/problem+json", `"title"`, http.StatusMethodNotAllowed},
		{"GET", "/verifications", "application/problem+json", `"title"`, http.StatusMethodNotAllowed},
		{"GET", "/verifications/a/b/c", "application/problem+json", `"title"`, http.StatusNotFound},
		{"GET", "/orchestrators/E4_SmsPhoneVerification", "application/json; charset=utf-8", `"message"`, http.StatusMethodNotAllowed},
		{"POST", "/orchestrators/Other", "application/json; charset=utf-8", `"message"`, http.StatusNotFound},
		{"GET", "/runtime/webhooks/durabletask/other", "application/json; charset=utf-8", `"message"`, http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, r.base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, body := r.do(req)
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.media || !strings.Contains(string(body), c.member) {
			t.Errorf("%s %s: %d %s %s", c.method, c.path, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
	}
}
