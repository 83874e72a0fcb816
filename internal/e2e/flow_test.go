package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// request is an authorization request in the making.
type request struct {
	url.Values
	verifier string
}

// newRequest is a request that every client of the rig may make.
func (r *rig) newRequest(client string) request {
	verifier := rand.Text() + rand.Text()
	return request{verifier: verifier, Values: url.Values{
		"client_id": {client}, "redirect_uri": {r.callback}, "response_type": {"code"},
		"scope": {"openid profile phone offline_access"}, "state": {rand.Text()}, "nonce": {rand.Text()},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}}
}

func (q request) with(pairs ...string) request {
	out := url.Values{}
	for k, v := range q.Values {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			out.Del(pairs[i])
		} else {
			out.Set(pairs[i], pairs[i+1])
		}
	}
	q.Values = out
	return q
}

// authorize opens the authorization endpoint in a browser.
func (r *rig) authorize(b *browser, q request) *page {
	b.t.Helper()
	return b.get(r.base + "/authorize?" + q.Encode())
}

// login takes a browser through the pages to the callback.
func (r *rig) login(b *browser, q request, number string) *page {
	b.t.Helper()
	code := r.askCode(b, q, number)
	return code.submit("/login/code", "code", r.gateway.code(number))
}

// askCode goes as far as the code page.
func (r *rig) askCode(b *browser, q request, number string) *page {
	b.t.Helper()
	before := len(r.gateway.to(number))
	p := r.authorize(b, q).wants(http.StatusOK).submit("/login/phone", "phone", number)
	p.wants(http.StatusOK, "Check your phone")
	r.gateway.wait(number, before+1)
	return p
}

// answer is the authorization response that the callback page got.
func (p *page) answer() url.Values {
	p.b.t.Helper()
	if !strings.HasPrefix(p.body, "callback ") {
		p.b.t.Fatalf("not at the callback but at %s (%d): %s", p.url.Path, p.status, p.words())
	}
	if body, ok := strings.CutPrefix(p.body, "callback POST "); ok {
		v, err := url.ParseQuery(body)
		if err != nil {
			p.b.t.Fatal(err)
		}
		return v
	}
	return p.url.Query()
}

// tokens is a token response or error, and its status.
type tokens struct {
	status      int
	header      http.Header
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	IDToken     string `json:"id_token"`
	Refresh     string `json:"refresh_token"`
	Scope       string `json:"scope"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// exchange redeems a code as the client does.
func (r *rig) exchange(client string, q request, code string, change ...string) tokens {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Get("redirect_uri")}}
	if q.verifier != "" && q.Has("code_challenge") {
		form.Set("code_verifier", q.verifier)
	}
	return r.token(client, form, change...)
}

func (r *rig) refresh(client, token string, change ...string) tokens {
	return r.token(client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change...)
}

// token posts to the token endpoint with the client's own authentication;
// change sets or, when empty, takes away parameters.
func (r *rig) token(client string, form url.Values, change ...string) tokens {
	r.t.Helper()
	res, body := r.call(client, "/oauth/token", form, change...)
	var out tokens
	if err := json.Unmarshal(body, &out); err != nil {
		r.t.Fatalf("token answer is not JSON: %s", body)
	}
	out.status, out.header = res.StatusCode, res.Header
	return out
}

// call posts a form to an endpoint as a client.
func (r *rig) call(client, path string, form url.Values, change ...string) (*http.Response, []byte) {
	r.t.Helper()
	basic := client == basicClient || client == machine
	if !basic {
		form.Set("client_id", client)
		if client == webClient || client == strictClient {
			form.Set("client_secret", secret)
		}
	}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "" {
			form.Del(change[i])
		} else {
			form.Set(change[i], change[i+1])
		}
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(client, secret)
	}
	return r.do(req)
}

func (r *rig) do(req *http.Request) (*http.Response, []byte) {
	r.t.Helper()
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, body
}

// userinfo asks who an access token stands for.
func (r *rig) userinfo(token string) (int, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+"/userinfo", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, body := r.do(req)
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		r.t.Fatalf("userinfo is not JSON: %s", body)
	}
	return res.StatusCode, claims
}

// claims reads an ID token's claims without verifying it; relying parties verify.
func claims(t testing.TB, idToken string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(part(t, idToken, 1), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// header reads a token's header.
func header(t testing.TB, jwt string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(part(t, jwt, 0), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// part is one of a JWT's three parts, decoded.
func part(t testing.TB, jwt string, n int) []byte {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatal("the token has not three parts")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	return text
}
