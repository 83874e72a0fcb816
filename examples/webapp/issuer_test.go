package webapp

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
)

// issuer is a provider that can be told to misbehave.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu      sync.Mutex
	nonces  map[string]string // by code
	proofs  map[string]string // PKCE challenges by code
	refuses string            // an error for the authorization response
	signer  *rsa.PrivateKey   // nil: the published key
	change  func(claims map[string]any)
	subject string // of userinfo
	denies  bool   // the token endpoint answers invalid_grant
	down    bool
}

var issuerKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey() })

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{key: issuerKey(), nonces: map[string]string{}, proofs: map[string]string{},
		change: func(map[string]any) {}, subject: "sms|0123456789abcdef01234567"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /jwks", i.jwks)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /userinfo", i.userinfo)
	mux.HandleFunc("GET /logout", i.logout)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// set changes the issuer's behaviour.
func (i *issuer) set(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/jwks", "userinfo_endpoint": i.URL + "/userinfo", "end_session_endpoint": i.URL + "/logout",
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (i *issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
}

func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := url.Values{"state": {q.Get("state")}, "iss": {i.URL}}
	if i.refuses != "" {
		out.Set("error", i.refuses)
		out.Set("error_description", "the person <b>said</b> no")
	} else {
		code := rand.Text()
		i.nonces[code], i.proofs[code] = q.Get("nonce"), q.Get("code_challenge")
		out.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+out.Encode(), http.StatusFound)
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("code")
	proven := oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) == i.proofs[code]
	if i.denies || !proven || r.PostFormValue("client_secret") != "secret" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "code is used up"})
		return
	}
	claims := map[string]any{
		"iss": i.URL, "sub": "sms|0123456789abcdef01234567", "aud": "tiny", "nonce": i.nonces[code],
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "name": "Ada <script>",
	}
	i.change(claims)
	answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": i.sign(claims)})
}

func (i *issuer) sign(claims map[string]any) string {
	key := i.key
	if i.signer != nil {
		key = i.signer
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

func (i *issuer) userinfo(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"sub": i.subject, "phone_number": "+447700900982", "phone_number_verified": true})
}

func (i *issuer) logout(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("id_token_hint") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, r.URL.Query().Get("post_logout_redirect_uri"), http.StatusFound)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
