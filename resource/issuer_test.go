package resource_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// TestTheEnvironmentFillsInWhatIsEmpty: an empty configuration works in production,
// and on a developer's machine.
func TestTheEnvironmentFillsInWhatIsEmpty(t *testing.T) {
	issuer := resourcetest.NewIssuer(t, audience)
	t.Setenv("HANDSET_ISSUER", issuer.URL())
	t.Setenv("HANDSET_AUDIENCE", string(audience))
	api, err := resource.New(t.Context(), resource.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
		t.Error(err)
	}
	other, err := resource.New(t.Context(), resource.Config{Audience: "urn:other"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Audience() != "urn:other" {
		t.Errorf("the program's own audience became %q", other.Audience())
	}

	t.Setenv("HANDSET_ISSUER", "")
	t.Setenv("HANDSET_AUDIENCE", "")
	asked := &recorded{base: &canned{documents: map[string]string{}}}
	_, err = resource.New(t.Context(), resource.Config{HTTPClient: &http.Client{Transport: asked}})
	if err == nil || len(asked.all) != 1 || asked.all[0].URL.String() != "http://localhost:3000/.well-known/openid-configuration" {
		t.Errorf("without an environment: %v, %v", asked.all, err)
	}
	local, err := resource.New(t.Context(), resource.Config{StartWithoutIssuer: true, HTTPClient: &http.Client{Transport: asked}})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if local.Audience() != resource.DefaultAudience {
		t.Errorf("audience = %q", local.Audience())
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	for name, change := range map[string]func(*resource.Config){
		"plain http":                func(c *resource.Config) { c.Issuer = "http://login.example.com/" },
		"no scheme":                 func(c *resource.Config) { c.Issuer = "login.example.com" },
		"another scheme":            func(c *resource.Config) { c.Issuer = "ftp://localhost/" },
		"a query":                   func(c *resource.Config) { c.Issuer += "?x=1" },
		"an empty query":            func(c *resource.Config) { c.Issuer += "?" },
		"a fragment":                func(c *resource.Config) { c.Issuer += "#x" },
		"a password":                func(c *resource.Config) { c.Issuer = "https://u:hunter2@localhost/" },
		"no address":                func(c *resource.Config) { c.Issuer = "http://[::1" },
		"a name like loopback":      func(c *resource.Config) { c.Issuer = "http://localhost.example.com/" },
		"an audience with a quote":  func(c *resource.Config) { c.Audience = `a"b` },
		"an audience with a space":  func(c *resource.Config) { c.Audience = "a b" },
		"a refresh without a pause": func(c *resource.Config) { c.RefreshEvery = 1 },
		"introspection without ID":  func(c *resource.Config) { c.Introspect = &resource.Introspection{ClientSecret: "s"} },
		"without a secret":          func(c *resource.Config) { c.Introspect = &resource.Introspection{ClientID: "c"} },
		"a negative time": func(c *resource.Config) {
			c.Introspect = &resource.Introspection{ClientID: "c", ClientSecret: "s", CacheFor: -1}
		},
	} {
		c := issuer.Config()
		change(&c)
		asked := &recorded{base: &canned{}}
		c.HTTPClient = &http.Client{Transport: asked}
		_, err := resource.New(t.Context(), c)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if len(asked.all) > 0 {
			t.Errorf("%s: the issuer was asked", name)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

// TestInsecureHTTPIsForThoseWhoSaySo: http://handset:3000/ in a network of
// containers.
func TestInsecureHTTPIsForThoseWhoSaySo(t *testing.T) {
	t.Parallel()
	const name = "http://handset:3000/"
	documents := newCanned(t, resourcetest.NewIssuer(t, audience))
	documents.documents[resourcetest.PathMetadata] = `{"issuer": "` + name + `", "jwks_uri": "http://handset:3000/.well-known/jwks.json"}`
	c := resource.Config{Issuer: name, HTTPClient: &http.Client{Transport: documents}, InsecureSkipHTTPSCheck: true}
	api, err := resource.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	api.Close()
}

// fakeMetadata serves an issuer whose answers a test chooses; MINE in them stands
// for the issuer's address.
func fakeMetadata(t *testing.T, metadata, keys string) string {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := map[string]string{resourcetest.PathMetadata: metadata, "/keys": keys}[r.URL.Path]
		if where, ok := strings.CutPrefix(text, "redirect "); ok {
			http.Redirect(w, r, strings.ReplaceAll(where, "MINE", s.URL), http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(text, "MINE", s.URL)))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The keys of RFC 7517's appendix A.1, one good and those that must not count.
const (
	ecKey      = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}`
	goodKeys   = `{"keys":[` + ecKey + `]}`
	rightNames = `{"issuer":"MINE/","jwks_uri":"MINE/keys"}`
)

func TestIssuersThatAreRefused(t *testing.T) {
	t.Parallel()
	key := func(change ...string) string {
		return `{"keys":[` + strings.NewReplacer(change...).Replace(ecKey) + `]}`
	}
	rsa := func(n, e string) string {
		return fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"1","n":%q,"e":%q}]}`, n, e)
	}
	modulus := strings.Repeat("_", 342) + "8"
	for name, c := range map[string]struct{ metadata, keys string }{
		"nothing there":             {"", ""},
		"no JSON":                   {"<html>", ""},
		"another issuer":            {`{"issuer":"https://other.example.com/","jwks_uri":"MINE/keys"}`, goodKeys},
		"an issuer without a slash": {`{"issuer":"MINE","jwks_uri":"MINE/keys"}`, goodKeys},
		"an issuer in other case":   {`{"issuer":"HTTP://localhost/","jwks_uri":"MINE/keys"}`, goodKeys},
		"no issuer":                 {`{"jwks_uri":"MINE/keys"}`, goodKeys},
		"no keys":                   {`{"issuer":"MINE/"}`, goodKeys},
		"keys over plain http":      {`{"issuer":"MINE/","jwks_uri":"http://keys.example.com/"}`, goodKeys},
		"keys in a file":            {`{"issuer":"MINE/","jwks_uri":"file:///etc/passwd"}`, goodKeys},
		"metadata elsewhere":        {"redirect MINE/other", goodKeys},
		"keys elsewhere":            {rightNames, "redirect MINE/other"},
		"endless metadata":          {`{"issuer":"MINE/","jwks_uri":"MINE/keys","x":"` + strings.Repeat("x", 300<<10) + `"}`, goodKeys},
		"keys that are no JSON":     {rightNames, "keys"},
		"a set without keys":        {rightNames, `{"keys":[]}`},
		"a key for encryption":      {rightNames, key(`"sig"`, `"enc"`)},
		"a key without a name":      {rightNames, key(`"kid"`, `"x5t"`)},
		"a key of another curve":    {rightNames, key("P-256", "P-384")},
		"a key off its curve":       {rightNames, key("MKBC", "MKBD")},
		"a key that is too short":   {rightNames, key("MKBCTNIc", "")},
		"a key for another alg":     {rightNames, key(`"use"`, `"alg":"ES384","use"`)},
		"a symmetric key":           {rightNames, `{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"1"}]}`},
		"a small RSA key":           {rightNames, rsa(strings.Repeat("_", 170)+"8", "AQAB")},
		"an even exponent":          {rightNames, rsa(modulus, "Ag")},
		"an exponent of one":        {rightNames, rsa(modulus, "AQ")},
		"an exponent beyond all":    {rightNames, rsa(modulus, "AQABAQABAQAB")},
		"a modulus beyond all":      {rightNames, rsa(strings.Repeat("_", 2731)+"8", "AQAB")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := fakeMetadata(t, c.metadata, c.keys)
			api, err := resource.New(t.Context(), resource.Config{Issuer: base + "/", Audience: audience})
			if err == nil {
				api.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), base) {
				t.Errorf("the error does not name the issuer: %v", err)
			}
		})
	}
}

// TestKeysOfOtherKindsAreNoFault: one good key among those that are passed over.
func TestKeysOfOtherKindsAreNoFault(t *testing.T) {
	t.Parallel()
	keys := `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"2"},` +
		`{"kty":"oct","k":"AAAA","kid":"1"},{"kty":"new"},` + ecKey + `]}`
	if !json.Valid([]byte(keys)) {
		t.Fatal("the test's keys are no JSON")
	}
	api, err := resource.New(t.Context(), resource.Config{Issuer: fakeMetadata(t, rightNames, keys) + "/"})
	if err != nil {
		t.Fatal(err)
	}
	api.Close()
}

// TestTheRightIssuerMustAnswer: StartWithoutIssuer is for one that is down, not for
// another one.
func TestTheRightIssuerMustAnswer(t *testing.T) {
	t.Parallel()
	base := fakeMetadata(t, `{"issuer":"https://other.example.com/","jwks_uri":"MINE/keys"}`, goodKeys)
	if _, err := resource.New(t.Context(), resource.Config{Issuer: base + "/", StartWithoutIssuer: true}); err == nil {
		t.Error("accepted")
	}
}
