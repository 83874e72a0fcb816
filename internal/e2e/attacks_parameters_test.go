package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// oidc-library G13: credentials in a URL, which ends in logs and referrers,
// never work; nor are URL and body read together.
func TestAttackSecretsInTheQuery(t *testing.T) {
	t.Parallel()
	r := start(t)
	q, code := r.newCode(webClient)
	whole := r.redemption(q, code)
	if got := send(t, http.MethodGet, r.base+"/oauth/token?"+whole.Encode(), nil); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", got.status)
	}
	for name := range whole {
		rest := url.Values{}
		for k, v := range whole {
			if k != name {
				rest[k] = v
			}
		}
		escaped := "?" + strings.ReplaceAll(url.QueryEscape(name), "e", "%65") + "=" + url.QueryEscape(whole.Get(name))
		for _, query := range []string{"?" + url.Values{name: whole[name]}.Encode(), escaped} {
			if got := send(t, http.MethodPost, r.base+"/oauth/token"+query, rest); got.status < 400 || got.status >= 500 {
				t.Errorf("%s in the URL: %d", name, got.status)
			}
			// Even beside a body that would do by itself.
			got := send(t, http.MethodPost, r.base+"/oauth/introspect"+query, url.Values{"token": {"x"}, "client_id": {webClient}, "client_secret": {secret}})
			if leaks := slices.Contains([]string{"client_secret", "code", "code_verifier"}, name); leaks != (got.status == http.StatusUnauthorized) {
				t.Errorf("%s in the URL of introspection %s: %d", name, query, got.status)
			}
		}
	}
	got := r.exchange(webClient, q, code)
	if got.status != http.StatusOK {
		t.Fatalf("the code was spent: %d %s", got.status, got.Error)
	}
	for _, query := range []string{"?access_token=" + got.AccessToken, "?access%5Ftoken=" + got.AccessToken, "?access_token=" + got.AccessToken + "&access_token=x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, header := range [][]string{nil, {"Authorization", "Bearer " + got.AccessToken}} {
				if a := send(t, method, r.base+"/userinfo"+query, nil, header...); a.status == http.StatusOK || strings.Contains(a.body, "sub") {
					t.Errorf("%s userinfo with the token in the URL: %d", method, a.status)
				}
			}
		}
	}
	for _, endpoint := range []string{"/oauth/introspect", "/oauth/revoke"} {
		query := url.Values{"token": {got.AccessToken}, "client_id": {webClient}, "client_secret": {secret}}
		if a := send(t, http.MethodPost, r.base+endpoint+"?"+query.Encode(), url.Values{}); a.status == http.StatusOK {
			t.Errorf("%s by URL: %d", endpoint, a.status)
		}
	}
	r.wantsAlive(webClient, got.AccessToken)

	// The login's forms by URL: GET evaluates nothing, POST reads the body alone.
	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	form := r.stolen(p, "/login/code", "code", r.gateway.code(number))
	if a := send(t, http.MethodGet, form.action+"?"+form.fields.Encode(), nil, "Cookie", form.cookie); a.status != http.StatusOK || strings.Contains(a.body, form.fields.Get("code")) {
		t.Errorf("the code by GET: %d", a.status)
	}
	if a := send(t, http.MethodPost, form.action+"?"+form.fields.Encode(), url.Values{}, "Cookie", form.cookie); a.status != http.StatusBadRequest {
		t.Errorf("the form in the URL of a POST: %d", a.status)
	}
	half := url.Values{"csrf": form.fields["csrf"], "txn": form.fields["txn"]}
	if a := send(t, http.MethodPost, form.action+"?code="+form.fields.Get("code"), half, "Cookie", form.cookie); a.status != http.StatusUnprocessableEntity {
		t.Errorf("the code in the URL of a POST: %d", a.status)
	}
}

// oidc-library G14, RFC 6749 §3.1 and §3.2: two readers of a repeated parameter
// may each believe another one.
func TestAttackRepeatedParameters(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	cookie := r.cookies(b)
	q := r.newRequest(webClient).with("prompt", "none", "response_mode", "query", "max_age", "1000", "ui_locales", "en", "login_hint", "x", "display", "page", "acr_values", "x", "claims", "{}", "unknown", "x")
	for name := range q.Values {
		for _, second := range []string{q.Get(name), "other", ""} {
			for _, order := range []string{q.Encode() + "&" + url.Values{name: {second}}.Encode(), url.Values{name: {second}}.Encode() + "&" + q.Encode()} {
				got := send(t, http.MethodGet, r.base+"/authorize?"+order, nil, "Cookie", cookie)
				if name == "client_id" || name == "redirect_uri" {
					got.wantsNoRedirect(t, "twice", name)
				} else if a := got.location(t).Query(); a.Get("error") != "invalid_request" || a.Has("code") {
					t.Errorf("%s twice: %d %v", name, got.status, a)
				}
			}
		}
	}

	of, code := r.newCode(webClient)
	set := r.newTokens(webClient)
	twice := func(form url.Values, name, second string) url.Values {
		out := url.Values{}
		for k, v := range form {
			out[k] = v
		}
		out[name] = append([]string{second}, out[name]...)
		return out
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {set.Refresh}, "scope": {"openid"}, "client_id": {webClient}, "client_secret": {secret}, "unknown": {"x"}}
	ask := url.Values{"token": {set.AccessToken}, "token_type_hint": {"access_token"}, "client_id": {webClient}, "client_secret": {secret}}
	for _, tt := range []struct {
		path string
		form url.Values
	}{{"/oauth/token", r.redemption(of, code)}, {"/oauth/token", refresh}, {"/oauth/introspect", ask}, {"/oauth/revoke", ask}} {
		for name := range tt.form {
			for _, second := range []string{tt.form.Get(name), "other", ""} {
				got := send(t, http.MethodPost, r.base+tt.path, twice(tt.form, name, second))
				if got.status != http.StatusBadRequest || !strings.Contains(got.body, "invalid_request") {
					t.Errorf("%s with %s twice: %d %s", tt.path, name, got.status, got.body)
				}
			}
		}
	}
	if got := send(t, http.MethodPost, r.base+"/userinfo", url.Values{"access_token": {set.AccessToken, set.AccessToken}}); got.status == http.StatusOK {
		t.Errorf("userinfo with two tokens: %d", got.status)
	}
	if got := send(t, http.MethodGet, r.base+"/userinfo", nil, "Authorization", "Bearer "+set.AccessToken, "Authorization", "Bearer x"); got.status == http.StatusOK {
		t.Errorf("userinfo with two headers: %d", got.status)
	}
	r.wantsAlive(webClient, set.AccessToken)

	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	form := r.stolen(p, "/login/code", "code", r.gateway.code(number), "phone", number, "country", "GB")
	for _, step := range steps {
		for name := range form.fields {
			for _, second := range []string{form.fields.Get(name), "other", ""} {
				got := send(t, http.MethodPost, r.base+"/login/"+step, twice(form.fields, name, second), "Cookie", form.cookie)
				if got.status != http.StatusBadRequest || len(got.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s with %s twice: %d", step, name, got.status)
				}
			}
		}
	}
	txn := form.fields.Get("txn")
	for _, path := range []string{"/login/phone?txn=" + txn + "&txn=" + txn, "/login/code?txn=" + txn + "&txn=x", "/login/code?txn=" + txn + "&notice=again&notice=new", "/oidc/logout?client_id=web&client_id=web", "/oidc/logout?state=a&state=b"} {
		if got := send(t, http.MethodGet, r.base+path, nil, "Cookie", form.cookie); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := form.send(t); !got.location(t).Query().Has("code") {
		t.Errorf("the login that was attacked: %d", got.status)
	}
}
