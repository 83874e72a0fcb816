package oauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/provider/oauth"
)

var registered = []string{"http://127.0.0.1/cb", "http://[::1]/v6?x=1", "com.example.app:/cb", "https://app.example/cb", "http://127.0.0.1:9000/fixed"}

func TestMatchRedirectURI(t *testing.T) {
	t.Parallel()
	for uri, native := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:1/cb": true, "http://127.0.0.1:65535/cb": true, "http://127.0.0.1:9001/fixed": true,
		"http://[::1]:8080/v6?x=1": true, "http://[::1]:8080/v6": false, "http://[::1]:8080/cb": false,
		"http://127.0.0.1:0/cb": false, "http://127.0.0.1:080/cb": false, "http://127.0.0.1:65536/cb": false, "http://127.0.0.1:99999999999999999999/cb": false,
		"http://127.0.0.1:/cb": false, "http://127.0.0.1:+1/cb": false, "http://127.0.0.1:1x/cb": false, "http://127.0.0.1:1@evil.example/cb": false,
		"https://app.example:8443/cb": false, "com.example.app:1/cb": false, "": false,
	} {
		if got := oauth.MatchRedirectURI(registered, uri, oauth.AppNative); got != native {
			t.Errorf("MatchRedirectURI(%q) = %v, want %v", uri, got, native)
		}
		if exact := slices.Contains(registered, uri); oauth.MatchRedirectURI(registered, uri, oauth.AppRegularWeb) != exact {
			t.Errorf("for a client that is not native, %q: want %v", uri, exact)
		}
	}
}

// A registered address is no pattern, even if one got into the registration: what a
// star or a question mark would match is the attacker's.
func TestAttackGlobsInRedirectURIs(t *testing.T) {
	t.Parallel()
	patterns := []string{"https://*.app.example/cb", "https://app.example/*", "https://app.example/**", "https://app.exampl?/cb", "https://{app,evil}.example/cb", "https://[a-z]pp.example/cb", "*"}
	for _, uri := range []string{
		"https://evil.app.example/cb", "https://evil.example/.app.example/cb", "https://app.example/cb", "https://app.example/a/b",
		"https://app.example@evil.example/cb", "https://evil.example/cb", "https://.app.example/cb",
	} {
		for _, kind := range []string{oauth.AppNative, oauth.AppRegularWeb, oauth.AppSPA} {
			if oauth.MatchRedirectURI(patterns, uri, kind) {
				t.Errorf("%s client: %q matches a pattern", kind, uri)
			}
		}
	}
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	// RFC 7636 appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if !oauth.ValidChallenge(challenge) || !oauth.VerifyPKCE(challenge, verifier) {
		t.Error("the example of RFC 7636 does not verify")
	}
	for _, wrong := range []string{"", challenge[:42], challenge + "=", challenge + "A", challenge[:20] + "\n" + challenge[20:], "+" + challenge[1:], challenge[:42] + "N"} {
		if oauth.ValidChallenge(wrong) {
			t.Errorf("challenge %q is taken", wrong)
		}
	}
	for _, wrong := range []string{"", verifier[:42], verifier + "A", strings.Repeat("a", 129), verifier[:42] + "+", verifier + "\n", challenge} {
		if oauth.VerifyPKCE(challenge, wrong) {
			t.Errorf("verifier %q is taken", wrong)
		}
	}
}
