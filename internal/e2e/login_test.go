package e2e

import (
	"net/http"
	"testing"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	q := r.newRequest(webClient)
	answer := r.login(newBrowser(t), q, number).answer()
	if answer.Get("state") != q.Get("state") {
		t.Errorf("state = %q, want %q", answer.Get("state"), q.Get("state"))
	}
	if answer.Get("iss") != r.issuer {
		t.Errorf("iss = %q, want %q", answer.Get("iss"), r.issuer)
	}
	got := r.exchange(webClient, q, answer.Get("code"))
	if got.status != http.StatusOK {
		t.Fatalf("token endpoint: %d %s %s", got.status, got.Error, got.Description)
	}
	id := claims(t, got.IDToken)
	if id["nonce"] != q.Get("nonce") {
		t.Errorf("nonce = %v, want %q", id["nonce"], q.Get("nonce"))
	}
	status, info := r.userinfo(got.AccessToken)
	if status != http.StatusOK || info["phone_number"] != number || info["phone_number_verified"] != true || info["sub"] != id["sub"] {
		t.Errorf("userinfo: %d %v", status, info)
	}
	next := r.refresh(webClient, got.Refresh)
	if next.status != http.StatusOK || next.Refresh == got.Refresh || next.AccessToken == got.AccessToken {
		t.Errorf("refresh: %d %s %s", next.status, next.Error, next.Description)
	}
}
