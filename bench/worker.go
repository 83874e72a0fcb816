package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// worker is one person after the other, or one application.
type worker struct {
	w          *world
	latencies  []time.Duration
	errors     int
	firstError error

	done     bool
	client   string
	audience string // of the logins; empty: no API
	cookies  map[string]string
	tokens   tokens
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

func newWorker(w *world) *worker { return &worker{w: w, client: clientID} }

func (k *worker) once(op func(*worker) error) {
	begin := time.Now()
	err := op(k)
	if errors.Is(err, errDone) {
		k.done = true
		return
	}
	k.latencies = append(k.latencies, time.Since(begin))
	if err != nil {
		k.errors++
		if k.firstError == nil {
			k.firstError = err
		}
	}
}

// prepare gives the worker tokens to work with.
func (k *worker) prepare() error { return k.loginWith("openid phone offline_access") }

// prepareMachine gives the worker a token of an application that acts for itself.
func (k *worker) prepareMachine() error {
	k.cookies = map[string]string{}
	return k.machineToken()
}

var nextNumber atomic.Int64

// login is the whole thing, by a person who was never seen before.
func (k *worker) login() error { return k.loginWith("openid phone") }

// loginRefreshable is login by an application that asks for a refresh token,
// which is a second durable write.
func (k *worker) loginRefreshable() error { return k.loginWith("openid phone offline_access") }

// loginES256 is login by an application that takes ID tokens signed by ES256.
func (k *worker) loginES256() error {
	k.client = es256Client
	return k.login()
}

// loginForAPI is loginES256 with a token for an API, a second signature.
func (k *worker) loginForAPI() error {
	k.audience = audience
	return k.loginES256()
}

func (k *worker) loginWith(scope string) error {
	number := fmt.Sprintf("+447400%06d", nextNumber.Add(1))
	code := make(chan string, 1)
	k.w.codes.Store(number, code)
	defer k.w.codes.Delete(number)
	return k.loginAs(number, scope, func() string {
		select {
		case c := <-code:
			return c
		case <-time.After(10 * time.Second):
			return "no text came"
		}
	})
}

func (k *worker) loginOnePerson() error {
	return k.loginAs(testNumber, "openid phone", func() string { return testCode })
}

var hidden = regexp.MustCompile(`name="(csrf|txn)" value="([^"]*)"`)

func (k *worker) loginAs(number, scope string, code func() string) error {
	k.cookies = map[string]string{}
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	to, _, err := k.request(http.MethodGet, "/authorize?"+url.Values{
		"client_id": {k.client}, "redirect_uri": {callback}, "audience": {k.audience}, "response_type": {"code"}, "scope": {scope},
		"state": {state}, "nonce": {rand.Text()}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode(), nil, http.StatusSeeOther)
	if err != nil {
		return err
	}
	if to, err = k.step(to, "/login/phone", "phone", number); err != nil {
		return err
	}
	if to, err = k.step(to, "/login/code", "code", code()); err != nil {
		return err
	}
	back, err := url.Parse(to)
	if err != nil || back.Query().Get("state") != state || !back.Query().Has("code") {
		return fmt.Errorf("the login ended at %s", strings.SplitN(to, "?", 2)[0])
	}
	return k.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

// step opens a page and posts its form with one field filled in.
func (k *worker) step(address, action, field, value string) (string, error) {
	_, page, err := k.request(http.MethodGet, address, nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	form := url.Values{field: {value}, "country": {"GB"}}
	for _, m := range hidden.FindAllSubmatch(page, 2) {
		form.Set(string(m[1]), string(m[2]))
	}
	to, _, err := k.request(http.MethodPost, action, form, http.StatusSeeOther)
	return to, err
}

func (k *worker) token(form url.Values) error {
	form.Set("client_id", k.client)
	form.Set("client_secret", clientSecret)
	_, body, err := k.request(http.MethodPost, "/oauth/token", form, http.StatusOK)
	if err != nil {
		return err
	}
	k.tokens = tokens{}
	if err := json.Unmarshal(body, &k.tokens); err != nil {
		return err
	}
	if k.tokens.Access == "" || k.tokens.ID == "" {
		return fmt.Errorf("the token answer is not whole")
	}
	return nil
}

func (k *worker) refresh() error {
	return k.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.tokens.Refresh}})
}

func (k *worker) introspect() error {
	_, body, err := k.request(http.MethodPost, "/oauth/introspect", url.Values{
		"token": {k.tokens.Access}, "client_id": {clientID}, "client_secret": {clientSecret}}, http.StatusOK)
	if err == nil && !strings.Contains(string(body), `"active":true`) {
		return fmt.Errorf("the token is not active")
	}
	return err
}

func (k *worker) userinfo() error {
	req, err := http.NewRequest(http.MethodGet, k.w.base+"/userinfo", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+k.tokens.Access)
	_, _, err = k.do(req, http.StatusOK)
	return err
}

func (k *worker) discovery() error {
	_, _, err := k.request(http.MethodGet, "/.well-known/openid-configuration", nil, http.StatusOK)
	return err
}

func (k *worker) jwks() error {
	_, _, err := k.request(http.MethodGet, "/.well-known/jwks.json", nil, http.StatusOK)
	return err
}

// request sends one request below the issuer and returns where it leads and what it says.
func (k *worker) request(method, address string, form url.Values, status int) (location string, body []byte, err error) {
	if strings.HasPrefix(address, "/") {
		address = k.w.base + address
	}
	var send io.Reader
	if form != nil {
		send = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, address, send)
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range k.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return k.do(req, status)
}

func (k *worker) do(req *http.Request, status int) (location string, body []byte, err error) {
	res, err := k.w.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		return "", nil, err
	}
	if res.StatusCode != status {
		return "", nil, fmt.Errorf("%s %s: status %d, want %d", req.Method, req.URL.Path, res.StatusCode, status)
	}
	for _, c := range res.Cookies() {
		k.cookies[c.Name] = c.Value
	}
	return res.Header.Get("Location"), body, nil
}
