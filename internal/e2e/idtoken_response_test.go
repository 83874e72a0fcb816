package e2e

import (
	"net/http"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// implicitClient is registered with Auth0's implicit switch.
const implicitClient = "implicit"

func withImplicit(c *config.Config) {
	for _, cl := range c.Clients {
		if cl.ClientID == webClient {
			cl.ClientID, cl.GrantTypes = implicitClient, []string{"authorization_code", "implicit"}
			c.Clients = append(c.Clients, cl)
			return
		}
	}
}

// An application that asks for response_type=id_token gets the ID token by a
// form post, and no code; nobody else gets one, and never in a URL.
func TestIDTokenResponseIsAFormPostForRegisteredClients(t *testing.T) {
	t.Parallel()
	r := start(t, withConfig(withImplicit))
	ask := r.newRequest(implicitClient).with("response_type", "id_token", "response_mode", "form_post",
		"code_challenge", "", "code_challenge_method", "", "scope", "openid phone")
	b := newBrowser(t)
	p := r.login(b, ask, newNumber()).wants(http.StatusOK)
	p = p.submit("/cb")
	answer := p.answer()
	if answer.Get("state") != ask.Get("state") || answer.Get("iss") != r.issuer || answer.Has("code") || answer.Has("access_token") {
		t.Errorf("answer: %v", answer)
	}
	id := claims(t, answer.Get("id_token"))
	if id["nonce"] != ask.Get("nonce") || id["aud"] != implicitClient || id["at_hash"] != nil || id["sid"] == nil {
		t.Errorf("ID token: %v", id)
	}

	again := r.authorize(b, ask).submit("/cb").answer() // by the session
	if claims(t, again.Get("id_token"))["sub"] != id["sub"] {
		t.Error("another person by single sign-on")
	}

	for _, c := range []struct {
		name, want string
		request    request
	}{
		{"another client", "unsupported_response_type", ask.with("client_id", webClient)},
		{"without form_post", "invalid_request", ask.with("response_mode", "")},
		{"in a fragment", "invalid_request", ask.with("response_mode", "fragment")},
		{"without nonce", "invalid_request", ask.with("nonce", "")},
		{"without openid", "invalid_scope", ask.with("scope", "phone")},
		{"with a token", "unsupported_response_type", ask.with("response_type", "id_token token")},
	} {
		p := r.authorize(newBrowser(t), c.request)
		if c.request.Get("response_mode") == "form_post" {
			p = p.submit("/cb")
		}
		if c.request.Get("response_mode") == "fragment" {
			continue // the browser keeps it to itself; authorize_test.go reads fragments
		}
		if got := p.answer(); got.Get("error") != c.want || got.Has("id_token") {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}
