package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/handset-oidc/handset/config"
)

// metadata is the provider's, as OpenID Connect Discovery 1.0 §4 finds it.
func (r *rig) metadata() map[string]any {
	r.t.Helper()
	return r.document(r.base + "/.well-known/openid-configuration")
}

func (r *rig) document(address string) map[string]any {
	r.t.Helper()
	res, body := r.fetch(http.MethodGet, address)
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		r.t.Fatalf("%s: %d %s %v", address, res.StatusCode, res.Header.Get("Content-Type"), err)
	}
	return m
}

func TestMetadataSaysExactlyWhatThereIs(t *testing.T) {
	t.Parallel()
	r := start(t)
	strings := func(s ...string) []any {
		out := make([]any, len(s))
		for i := range s {
			out[i] = s[i]
		}
		return out
	}
	algorithms := strings("RS256", "PS256", "ES256")
	want := map[string]any{
		"issuer":                                                   r.issuer,
		"authorization_endpoint":                                   r.base + "/authorize",
		"token_endpoint":                                           r.base + "/oauth/token",
		"userinfo_endpoint":                                        r.base + "/userinfo",
		"introspection_endpoint":                                   r.base + "/oauth/introspect",
		"revocation_endpoint":                                      r.base + "/oauth/revoke",
		"end_session_endpoint":                                     r.base + "/oidc/logout",
		"jwks_uri":                                                 r.base + "/.well-known/jwks.json",
		"scopes_supported":                                         strings("openid", "profile", "phone", "offline_access"),
		"response_types_supported":                                 strings("code"),
		"response_modes_supported":                                 strings("query", "fragment", "form_post"),
		"grant_types_supported":                                    strings("authorization_code", "refresh_token", "client_credentials"),
		"subject_types_supported":                                  strings("public", "pairwise"),
		"id_token_signing_alg_values_supported":                    strings("RS256", "ES256"),
		"code_challenge_methods_supported":                         strings("S256"),
		"ui_locales_supported":                                     strings("en"),
		"prompt_values_supported":                                  strings("none", "login"),
		"authorization_response_iss_parameter_supported":           true,
		"claims_parameter_supported":                               false,
		"request_parameter_supported":                              false,
		"request_uri_parameter_supported":                          false,
		"token_endpoint_auth_methods_supported":                    strings("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
		"revocation_endpoint_auth_methods_supported":               strings("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
		"introspection_endpoint_auth_methods_supported":            strings("client_secret_basic", "client_secret_post", "private_key_jwt"),
		"token_endpoint_auth_signing_alg_values_supported":         algorithms,
		"revocation_endpoint_auth_signing_alg_values_supported":    algorithms,
		"introspection_endpoint_auth_signing_alg_values_supported": algorithms,
		"claims_supported": strings("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid", "at_hash",
			"phone_number", "phone_number_verified", "updated_at"),
	}
	if diff := cmp.Diff(want, r.metadata()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, r.document(r.base+"/.well-known/oauth-authorization-server")); diff != "" {
		t.Errorf("RFC 8414 metadata (-want +got):\n%s", diff)
	}
}

// What the metadata advertises works. The client authentication methods and
// their algorithms are TestEveryWayToAuthenticateAClient, the response modes
// TestEveryResponseModeAfterALogin, the prompts session_test.go.
func TestEverythingAdvertisedWorks(t *testing.T) {
	t.Parallel()
	r := start(t)
	m := r.metadata()
	for field, value := range m {
		address, ok := value.(string)
		if !ok || !strings.HasSuffix(field, "_endpoint") && field != "jwks_uri" {
			continue
		}
		get, _ := r.fetch(http.MethodGet, address)
		post, _ := r.fetch(http.MethodPost, address, "Content-Type", "application/x-www-form-urlencoded")
		if get.StatusCode == http.StatusNotFound || post.StatusCode == http.StatusNotFound {
			t.Errorf("%s: nothing at %s", field, address)
		}
	}
	var scopes []string
	for _, s := range m["scopes_supported"].([]any) {
		scopes = append(scopes, s.(string))
	}
	got := r.newTokens(webClient, "scope", strings.Join(scopes, " "))
	if got.Scope != strings.Join(scopes, " ") {
		t.Errorf("scope = %q, advertised %q", got.Scope, scopes)
	}
	// Every claim is in the ID token or at userinfo, and nothing else is.
	_, found := r.userinfo(got.AccessToken)
	maps.Copy(found, claims(t, got.IDToken))
	var advertised []string
	for _, c := range m["claims_supported"].([]any) {
		advertised = append(advertised, c.(string))
	}
	slices.Sort(advertised)
	if diff := cmp.Diff(advertised, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("claims (-advertised +found):\n%s", diff)
	}
}

// RFC 9110 §13.1.2.
func TestDocumentsAreSentOnlyWhenTheyChanged(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"} {
		first, _ := r.fetch(http.MethodGet, path)
		etag := first.Header.Get("ETag")
		if !strings.HasPrefix(etag, `"`) {
			t.Fatalf("%s: ETag = %q", path, etag)
		}
		for _, match := range []string{etag, "W/" + etag, `"x", ` + etag, `W/"x",W/` + etag + `,"y"`, "*"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res, body := r.fetch(method, path, "If-None-Match", match)
				if res.StatusCode != http.StatusNotModified || len(body) != 0 || res.Header.Get("ETag") != etag ||
					res.Header.Get("Cache-Control") != first.Header.Get("Cache-Control") || res.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s %s, If-None-Match: %s: %d %v", method, path, match, res.StatusCode, res.Header)
				}
			}
		}
		for _, match := range []string{`"x"`, strings.Trim(etag, `"`), `"` + strings.Trim(etag, `"`) + `x"`, ""} {
			if res, body := r.fetch(http.MethodGet, path, "If-None-Match", match); res.StatusCode != http.StatusOK || len(body) == 0 {
				t.Errorf("%s, If-None-Match: %s: %d", path, match, res.StatusCode)
			}
		}
	}
}

func TestKeySetHasPublicMembersOnly(t *testing.T) {
	t.Parallel()
	r := start(t)
	res, body := r.fetch(http.MethodGet, "/.well-known/jwks.json")
	if got := res.Header.Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("Content-Type = %q", got)
	}
	var set map[string][]map[string]any
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	if len(set) != 1 || len(set["keys"]) == 0 {
		t.Fatalf("JWKS: %s", body)
	}
	members := map[string][]string{
		"RS256 RSA": {"alg", "e", "kid", "kty", "n", "use"},
		"ES256 EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
	}
	found := map[string]int{}
	for _, key := range set["keys"] {
		kind := fmt.Sprintf("%v %v", key["alg"], key["kty"])
		found[kind]++
		if diff := cmp.Diff(members[kind], slices.Sorted(maps.Keys(key))); diff != "" {
			t.Errorf("members of %s (-want +got):\n%s", kind, diff)
		}
		if n, _ := key["n"].(string); key["use"] != "sig" || key["kty"] == "RSA" && len(n) < 342 || key["kty"] == "EC" && key["crv"] != "P-256" {
			t.Errorf("key: %v", key)
		}
	}
	if len(found) != len(members) {
		t.Errorf("keys: %v", found)
	}
}

// OIDC Discovery §4.1, RFC 8414 §3.1: an issuer may have a path; all that is
// served, is served below it.
func TestIssuerWithAPath(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{
		"none, no slash": "", "none, a slash": "/", "one": "/openid-connect", "one, a slash": "/openid-connect/", "two": "/tenants/one",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withPath(tail))
			host, path := strings.TrimSuffix(r.issuer, tail), strings.TrimSuffix(tail, "/")
			m := r.document(strings.TrimSuffix(r.issuer, "/") + "/.well-known/openid-configuration")
			if m["issuer"] != r.issuer {
				t.Errorf("issuer = %v, want %s", m["issuer"], r.issuer)
			}
			if diff := cmp.Diff(m, r.document(host+"/.well-known/oauth-authorization-server"+path)); diff != "" {
				t.Errorf("RFC 8414 metadata differs:\n%s", diff)
			}
			for field, value := range m {
				if address, ok := value.(string); ok && field != "issuer" && !strings.HasPrefix(address, host+path+"/") {
					t.Errorf("%s = %s, not below the issuer", field, address)
				}
			}
			r.wholeLogin(host, path)
			if path != "" {
				for _, p := range []string{"/authorize", "/oauth/token", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/login/phone"} {
					if res, _ := r.fetch(http.MethodGet, host+p); res.StatusCode != http.StatusNotFound {
						t.Errorf("%s: %d outside of the issuer's path", p, res.StatusCode)
					}
				}
			}
		})
	}
}

// wholeLogin goes from the first page to the end of the session and looks at
// every address on the way.
func (r *rig) wholeLogin(host, path string) {
	t := r.t
	t.Helper()
	b, number := newBrowser(t), newNumber()
	b.watch(func(res *http.Response) {
		for _, c := range res.Cookies() {
			if c.Path != "/" { // as the prefix __Host- demands over https
				t.Errorf("cookie %s has the path %s", c.Name, c.Path)
			}
		}
	})
	q := r.newRequest(webClient)
	first := r.authorize(b, q).wants(http.StatusOK)
	r.checkAssets(first, path)
	second := first.submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
	r.checkAssets(second, path)
	r.gateway.wait(number, 1)
	answer := second.submit("/login/code", "code", r.gateway.code(number)).answer()
	if answer.Get("iss") != r.issuer {
		t.Errorf("iss = %q, want %q", answer.Get("iss"), r.issuer)
	}
	got := r.exchange(webClient, q, answer.Get("code"))
	if iss := claims(t, got.IDToken)["iss"]; iss != r.issuer {
		t.Errorf("iss of the ID token = %v, want %s", iss, r.issuer)
	}
	if info := r.introspect(webClient, got.AccessToken); info["iss"] != r.issuer {
		t.Errorf("introspection: %v", info)
	}
	r.wantsAlive(webClient, got.AccessToken)
	r.stillIn(b)
	q = r.newRequest(webClient).with("prompt", "none")
	if b.post(r.base+"/authorize", q.Values).answer().Get("code") == "" {
		t.Error("no code by POST")
	}
	question := r.logout(b).wants(http.StatusOK, "Sign out")
	r.checkAssets(question, path)
	question.submit("/oidc/logout", "decision", "approve").wants(http.StatusOK, "You are signed out")
	if p := b.post(r.base+"/oidc/logout", url.Values{"state": {"s"}}); p.url.Path != path+"/oidc/logout" {
		t.Errorf("logout by POST led to %s", p.url)
	}
	r.loginRequired(b)
}

// checkAssets fetches all that a page refers to.
func (r *rig) checkAssets(p *page, path string) {
	r.t.Helper()
	n := 0
	for node := range p.doc.Descendants() {
		if node.Type != html.ElementNode || node.Data != "link" && node.Data != "script" && node.Data != "img" {
			continue
		}
		ref := attribute(node, "href") + attribute(node, "src")
		if ref == "" || strings.HasPrefix(ref, "data:") {
			continue
		}
		n++
		to, err := p.url.Parse(ref)
		if err != nil {
			r.t.Fatal(err)
		}
		if res, body := r.fetch(http.MethodGet, to.String()); res.StatusCode != http.StatusOK || len(body) == 0 || !strings.HasPrefix(to.Path, path+"/assets/") {
			r.t.Errorf("%s: %d", to, res.StatusCode)
		}
	}
	if n < 2 {
		r.t.Errorf("%s refers to %d assets", p.url.Path, n)
	}
}

// Discovery must not depend on what a configuration leaves out.
func TestMetadataOfAnIssuerWithoutClients(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(func(c *config.Config) { c.Clients = nil }))
	if m := r.metadata(); m["issuer"] != r.issuer {
		t.Errorf("issuer = %v", m["issuer"])
	}
}
