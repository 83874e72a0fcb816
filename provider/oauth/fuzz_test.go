package oauth_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/provider/oauth"
)

// FuzzMatchRedirectURI accepts nothing that is not equal to what is registered,
// but for the port of a native client's loopback address (RFC 8252 §7.3).
func FuzzMatchRedirectURI(f *testing.F) {
	for _, registered := range []string{"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:80/cb?a=b", "com.example.app:/cb", "http://127.0.0.1"} {
		for _, requested := range []string{
			"https://app.example/cb/", "https://app.example/cb#", "http://127.0.0.1:8080/cb", "http://127.0.0.1:8080@evil.example/cb",
			"http://127.0.0.1.evil.example/cb", "http://[::1]:1/cb?a=b", "http://127.0.0.1:/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1\\@evil.example/cb",
		} {
			f.Add(registered, requested, true)
			f.Add(registered, requested, false)
		}
	}
	f.Fuzz(func(t *testing.T, registered, requested string, native bool) {
		appType := oauth.AppRegularWeb
		if native {
			appType = oauth.AppNative
		}
		if !oauth.MatchRedirectURI([]string{"https://first.example/", registered}, registered, appType) {
			t.Error("a registered URI is refused")
		}
		if !oauth.MatchRedirectURI([]string{registered}, requested, appType) || requested == registered {
			return
		}
		if !native {
			t.Fatalf("%q is taken for %q", requested, registered)
		}
		a, errA := url.Parse(registered)
		b, errB := url.Parse(requested)
		if errA != nil || errB != nil {
			return // byte for byte equal behind the port; no browser can be sent there either
		}
		loopback := []string{"127.0.0.1", "::1"}
		if b.Scheme != "http" || !slices.Contains(loopback, b.Hostname()) || a.Hostname() != b.Hostname() || b.User != nil {
			t.Errorf("%q is taken for %q", requested, registered)
		}
		if a.EscapedPath() != b.EscapedPath() || a.RawQuery != b.RawQuery || b.Fragment != "" || strings.Contains(requested, "#") {
			t.Errorf("%q is taken for %q", requested, registered)
		}
	})
}

// FuzzParseScope returns known scopes only, each once, whatever is asked for;
// what it returns means the same when it is asked for again.
func FuzzParseScope(f *testing.F) {
	for _, scope := range []string{"openid", "openid phone profile offline_access", "  openid\topenid ", "OPENID", "openid\x00phone", "phone%20openid"} {
		f.Add(scope)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		got := oauth.ParseScope(scope)
		for i, s := range got {
			if !slices.Contains(oauth.Scopes(), s) || slices.Contains(got[:i], s) {
				t.Errorf("ParseScope(%q) = %q", scope, got)
			}
		}
		if again := oauth.ParseScope(strings.Join(got, " ")); !slices.Equal(again, got) {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}

// FuzzVerifyPKCE accepts a verifier for the challenge that was made of it, and
// for no other (RFC 7636 §4.6).
func FuzzVerifyPKCE(f *testing.F) {
	f.Add("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
	f.Add("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, challenge, verifier string) {
		if !oauth.VerifyPKCE(challenge, verifier) {
			return
		}
		if !oauth.ValidChallenge(challenge) || len(verifier) < 43 || len(verifier) > 128 {
			t.Errorf("%q is taken for %q", verifier, challenge)
		}
		if oauth.VerifyPKCE(challenge, verifier[1:]+verifier[:1]) && verifier[1:]+verifier[:1] != verifier {
			t.Errorf("two verifiers for %q", challenge)
		}
	})
}
