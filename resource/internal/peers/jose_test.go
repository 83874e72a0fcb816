package peers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

const audience = resource.Audience("https://purchasing.example.com")

// joseIssuer is an issuer whose keys and tokens are made by go-jose, as a real
// Handset's are.
type joseIssuer struct {
	t    *testing.T
	url  string
	keys map[jose.SignatureAlgorithm]crypto.Signer
}

func newJoseIssuer(t *testing.T) *joseIssuer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &joseIssuer{t: t, keys: map[jose.SignatureAlgorithm]crypto.Signer{jose.ES256: ec, jose.RS256: r}}
	var set jose.JSONWebKeySet
	for alg, key := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: "the " + string(alg), Use: "sig", Algorithm: string(alg)})
	}
	mux := http.NewServeMux()
	serve := func(path string, body func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(body()); err != nil {
				t.Error(err)
			}
		})
	}
	serve(resourcetest.PathMetadata, func() any {
		return map[string]string{"issuer": i.url, "jwks_uri": i.url + "keys"}
	})
	serve("/keys", func() any { return set })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL + "/"
	return i
}

func (i *joseIssuer) sign(alg jose.SignatureAlgorithm, kid string, claims map[string]any) string {
	i.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: i.keys[alg], KeyID: kid}},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	jws, err := signer.Sign(text)
	if err != nil {
		i.t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

// TestTokensOfGoJose: what go-jose signs and publishes is good here, by the key that
// it names and no other.
func TestTokensOfGoJose(t *testing.T) {
	t.Parallel()
	issuer := newJoseIssuer(t)
	api, err := resource.New(t.Context(), resource.Config{Issuer: issuer.url, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	now := time.Now()
	claims := map[string]any{
		"iss": issuer.url, "sub": "sms|1", "aud": []string{string(audience)}, "client_id": "c", "jti": "j",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "employee_id": "<291>",
	}
	// Signatures differ each time; some begin with a zero, which must not get lost.
	for range 300 {
		for alg := range issuer.keys {
			caller, err := api.Verify(t.Context(), issuer.sign(alg, "the "+string(alg), claims))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			var employee string
			if err := caller.Claim("employee_id", &employee); err != nil || employee != "<291>" {
				t.Fatalf("employee %q, %v", employee, err)
			}
			if alg == jose.RS256 {
				break
			}
		}
	}
	_, err = api.Verify(t.Context(), issuer.sign(jose.ES256, "the RS256", claims))
	if refusal, ok := errors.AsType[*resource.Refusal](err); !ok || refusal.Reason != resource.ReasonUnknownKey {
		t.Errorf("ES256 by the name of the RSA key: %v", err)
	}
	stranger := newJoseIssuer(t)
	for alg := range issuer.keys {
		_, err := api.Verify(t.Context(), stranger.sign(alg, "the "+string(alg), claims))
		if refusal, ok := errors.AsType[*resource.Refusal](err); !ok || refusal.Reason != resource.ReasonSignature {
			t.Errorf("%s by a stranger: %v", alg, err)
		}
	}
}

// TestGoJoseAgrees: go-jose takes the tokens that the fake issuer calls good, so that
// they are none of our own making.
func TestGoJoseAgrees(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	res, err := http.Get(issuer.URL() + resourcetest.PathKeys[1:])
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	for name, rs256 := range map[string]bool{"ES256": false, "RS256": true} {
		jws, err := jose.ParseSignedCompact(issuer.Token(resourcetest.Token{RS256: rs256}), []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		keys := set.Key(jws.Signatures[0].Protected.KeyID)
		if len(keys) != 1 || keys[0].Algorithm != name || !keys[0].Valid() {
			t.Fatalf("%s: %d keys", name, len(keys))
		}
		if _, err := jws.Verify(keys[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
