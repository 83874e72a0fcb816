package token_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/token"
	"github.com/handset-oidc/handset/storage"
)

func TestGrantTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{
		"password", "implicit", "Authorization_Code", "authorization_code ", "code",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
	} {
		a := b.post(t, endpointtest.Web, url.Values{"grant_type": {name}, "username": {"u"}, "password": {"p"}})
		refused(t, a, oauth.UnsupportedGrantType, "")
	}
	code, _ := b.Login(t, endpointtest.Service, nil)
	refused(t, b.post(t, endpointtest.Service, codeForm(code)), oauth.UnauthorizedClient, "")
	refused(t, b.post(t, endpointtest.Narrow, refreshForm("hsr1_x")), oauth.UnauthorizedClient, "")
	refused(t, b.post(t, endpointtest.Web, url.Values{"grant_type": {"client_credentials"}}), oauth.UnauthorizedClient, "")
}

// A client whose registration lacks a grant gets nothing by it, and spends nothing:
// not even what it was given while it had the grant.
func TestAttackGrantThatTheClientLacks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Service, nil)
	refused(t, b.post(t, endpointtest.Service, codeForm(code)), oauth.UnauthorizedClient, "")
	_, g := b.Login(t, endpointtest.Narrow, nil)
	kept := b.RefreshToken(t, g)
	refused(t, b.post(t, endpointtest.Narrow, refreshForm(kept)), oauth.UnauthorizedClient, "")
	refused(t, b.post(t, endpointtest.Web, refreshForm(kept)), oauth.InvalidGrant, "")
	refused(t, b.post(t, endpointtest.Web, url.Values{"grant_type": {"client_credentials"}}), oauth.UnauthorizedClient, "")
	// Grants that are not built are nobody's, whatever they bring.
	for _, name := range []string{
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "password",
	} {
		form := url.Values{"grant_type": {name}, "subject_token": {kept}, "device_code": {kept}, "assertion": {kept}, "scope": {"openid"}}
		for _, id := range []storage.ClientID{endpointtest.Web, endpointtest.Service} {
			refused(t, b.post(t, id, form), oauth.UnsupportedGrantType, "")
		}
	}
}

// security.md §3.21, §3.22: whoever does not authenticate learns nothing, and
// spends nothing.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	web := string(endpointtest.Web)
	with := func(pairs ...string) url.Values {
		form := codeForm(code)
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return form
	}
	for name, r := range map[string]*http.Request{
		"no client":                          endpointtest.Form(t, "", with()),
		"unknown client":                     endpointtest.Form(t, "nobody:"+endpointtest.Secret, with()),
		"wrong secret":                       endpointtest.Form(t, web+":wrong", with()),
		"empty secret":                       endpointtest.Form(t, web+":", with()),
		"confidential client without secret": endpointtest.Form(t, "", with("client_id", web)),
		"secret by the wrong method":         endpointtest.Form(t, "", with("client_id", web, "client_secret", endpointtest.Secret)),
		"two methods":                        endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), with("client_secret", endpointtest.Secret)),
		"two clients":                        endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), with("client_id", "other")),
		"public client with a secret":        endpointtest.Form(t, endpointtest.Basic(endpointtest.SPA), with()),
		"assertion of none": endpointtest.Form(t, "", with("client_id", web, "client_assertion", "eyJhbGciOiJub25lIn0.e30.",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")),
	} {
		a := b.send(t, r)
		refused(t, a, oauth.InvalidClient, "")
		header := r.Header.Get("Authorization") != ""
		if got := a.Header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Basic ") != header || (got != "") != header {
			t.Errorf("%s: WWW-Authenticate = %q (RFC 6749 §5.2)", name, got)
		}
	}
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

func TestClientSecretPost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Post, nil)
	form := codeForm(code)
	form.Set("client_id", string(endpointtest.Post))
	form.Set("client_secret", endpointtest.Secret)
	issued(t, b.send(t, endpointtest.Form(t, "", form)))
}

// oidc-library.md §4.1 G13, RFC 9700 §4.3.2: what is in a URL is in a log.
func TestSecretsInTheQuery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	for name, value := range map[string]string{
		"client_secret": endpointtest.Secret, "client_assertion": "x", "code": code, "refresh_token": "x", "code_verifier": verifier,
	} {
		r := endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), codeForm(code))
		r.URL.RawQuery = url.Values{name: {value}}.Encode()
		refused(t, b.send(t, r), oauth.InvalidClient, "credentials in query")
	}
	// Parameters in the URL do not count, whatever they are (RFC 6749 §3.2).
	form := codeForm(code)
	form.Del("grant_type")
	r := endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), form)
	r.URL.RawQuery = "grant_type=authorization_code"
	refused(t, b.send(t, r), oauth.InvalidRequest, "")
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

// oidc-library.md §4.1 G14, security.md §3.13.
func TestRepeatedParameters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	for _, name := range []string{"grant_type", "code", "redirect_uri", "client_id", "scope", "whatever"} {
		form := codeForm(code)
		form.Set(name, "x")
		form.Add(name, "x")
		refused(t, b.post(t, endpointtest.Web, form), oauth.InvalidRequest, "repeated parameter")
	}
	r := endpointtest.Form(t, endpointtest.Basic(endpointtest.Web), nil)
	r.Body = http.NoBody
	refused(t, b.send(t, r), oauth.InvalidRequest, "")
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

func TestBodiesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, _ := b.Login(t, endpointtest.Web, nil)
	for name, tt := range map[string]struct {
		contentType, body string
		status            int
	}{
		"broken JSON":  {"application/json", `{"grant_type":"authorization_code"`, http.StatusBadRequest},
		"JSON text":    {"text/json", `{"grant_type":"authorization_code"}`, http.StatusUnsupportedMediaType},
		"multipart":    {"multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType},
		"no type":      {"", codeForm(code).Encode(), http.StatusUnsupportedMediaType},
		"garbled type": {"application/x-www-form-urlencoded; =", codeForm(code).Encode(), http.StatusUnsupportedMediaType},
		"semicolons":   {"application/x-www-form-urlencoded", "grant_type=authorization_code;code=" + code, http.StatusBadRequest},
		"bad escape":   {"application/x-www-form-urlencoded", "grant_type=%zz", http.StatusBadRequest},
		"huge":         {"application/x-www-form-urlencoded", "x=" + strings.Repeat("x", 17<<10), http.StatusRequestEntityTooLarge},
		"huge field":   {"application/x-www-form-urlencoded", "code=" + strings.Repeat("x", 5<<10), http.StatusRequestEntityTooLarge},
		"many fields":  {"application/x-www-form-urlencoded", manyFields(), http.StatusBadRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(tt.body))
		r.SetBasicAuth(string(endpointtest.Web), url.QueryEscape(endpointtest.Secret))
		if tt.contentType != "" {
			r.Header.Set("Content-Type", tt.contentType)
		}
		if a := b.send(t, r); a.StatusCode != tt.status || a.Error != string(oauth.InvalidRequest) {
			t.Errorf("%s: got %d %s, want %d invalid_request", name, a.StatusCode, a.Body, tt.status)
		}
	}
	issued(t, b.post(t, endpointtest.Web, codeForm(code)))
}

// security.md §3.42: the log names who and why, never what opens something.
func TestTheLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code, g := b.Login(t, endpointtest.Web, func(g *storage.NewGrant) { g.CodeChallenge = challenge })
	form := codeForm(code)
	form.Set("code_verifier", verifier)
	wrong := codeForm(code)
	wrong.Set("code_verifier", strings.Repeat("w", 43))
	refusal := b.post(t, endpointtest.Web, wrong)
	first := issued(t, b.post(t, endpointtest.Web, form))
	second := issued(t, b.post(t, endpointtest.Web, refreshForm(first.RefreshToken)))
	replay := b.post(t, endpointtest.Web, form)

	for _, want := range []string{"client_id=web", "sub=" + string(g.UserID), "grant_type=authorization_code"} {
		if !strings.Contains(first.Log, want) {
			t.Errorf("%s is not in the log:\n%s", want, first.Log)
		}
	}
	secrets := []string{code, verifier, endpointtest.Secret, first.AccessToken, first.RefreshToken, first.IDToken,
		second.AccessToken, second.RefreshToken, "+8190", endpointtest.Nonce}
	for _, a := range []answer{refusal, first, second, replay} {
		for _, secret := range secrets {
			if strings.Contains(a.Log, secret) {
				t.Errorf("%q is in the log:\n%s", secret, a.Log)
			}
		}
	}
}

func manyFields() string {
	form := url.Values{}
	for i := range 50 {
		form.Set("f"+string(rune('A'+i)), "x")
	}
	return form.Encode()
}

// FuzzToken sends bodies of a client that authenticates: whatever they are, the
// answer is a refusal of the client's mistake, never an error of ours.
func FuzzToken(f *testing.F) {
	for _, body := range []string{
		codeForm("hsc_" + strings.Repeat("A", 43)).Encode(), refreshForm("hsr1_" + strings.Repeat("A", 96)).Encode(),
		"grant_type=refresh_token&refresh_token=hsr1_&scope=%20", "grant_type=a&grant_type=b", "a;b", "%", "client_id=web&client_secret=x",
	} {
		f.Add(body)
	}
	// One for all inputs: making one takes longer than a thousand of them.
	b := setup(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(string(endpointtest.Web), url.QueryEscape(endpointtest.Secret))
		if a := b.send(t, r); a.StatusCode < 400 || a.StatusCode >= 500 || a.Error == "" {
			t.Errorf("got %d %s", a.StatusCode, a.Body)
		}
	})
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	w := endpointtest.New(t)
	f := &faults{World: w}
	whole := token.Config{
		Clients: w.Clients, Grants: f, AccessTokens: f, Minter: f, Revocations: w.Revocations,
		APIs: w.APIs, Subjects: w.Subjects, SignIns: noSignIns{}, Userinfo: endpointtest.Userinfo,
		AccessLife: time.Hour, RefreshIdle: time.Hour, RefreshAbsolute: time.Hour,
	}
	if _, err := token.New(whole); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*token.Config){
		"clients":       func(c *token.Config) { c.Clients = nil },
		"grants":        func(c *token.Config) { c.Grants = nil },
		"access tokens": func(c *token.Config) { c.AccessTokens = nil },
		"minter":        func(c *token.Config) { c.Minter = nil },
		"revocations":   func(c *token.Config) { c.Revocations = nil },
		"APIs":          func(c *token.Config) { c.APIs = nil },
		"subjects":      func(c *token.Config) { c.Subjects = nil },
		"sign-ins":      func(c *token.Config) { c.SignIns = nil },
		"userinfo":      func(c *token.Config) { c.Userinfo = "" },
		"access life":   func(c *token.Config) { c.AccessLife = 0 },
		"idle life":     func(c *token.Config) { c.RefreshIdle = 0 },
		"absolute life": func(c *token.Config) { c.RefreshAbsolute = -1 },
		"grace":         func(c *token.Config) { c.RefreshGrace = -1 },
	} {
		c := whole
		spoil(&c)
		if _, err := token.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
