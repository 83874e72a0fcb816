package oidclib_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handset-oidc/handset/internal/oidclib"
	"github.com/handset-oidc/handset/keys/keystest"
)

// The gaps of the pinned zitadel/oidc that this package exists for. A test that
// fails after an upgrade says that a gap was closed: then the library's own
// verifier may do.

const issuer = "https://login.example.com/"

// keySet lets the library verify with the process's key 0, whatever a token names.
type keySet struct{}

func (keySet) VerifySignature(_ context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	return jws.Verify(&keystest.Key(0).PublicKey)
}

func hint(t *testing.T, token string) (claims *oidc.IDTokenClaims, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return op.VerifyIDTokenHint[*oidc.IDTokenClaims](t.Context(), token, op.NewIDTokenHintVerifier(issuer, keySet{}))
}

func assertion(t *testing.T, token string) (err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	_, err = op.VerifyJWTAssertion(t.Context(), token, op.NewJWTProfileVerifierKeySet(keySet{}, issuer, time.Hour, 0))
	return err
}

func panics(err error) bool { return err != nil && len(err.Error()) > 6 && err.Error()[:6] == "panic:" }

func TestGapAStrangersNullPayloadPanicsTheHintVerifier(t *testing.T) {
	t.Parallel()
	token := assemble(`{"alg":"RS256"}`, `null`)
	if _, err := hint(t, token); !panics(err) {
		t.Errorf("the library answers %v: the gap is closed", err)
	}
	if err := oidclib.Verify(token, rules, &struct{}{}); err == nil {
		t.Error("ours accepts it")
	}
}

func TestGapAnAudienceOfNumbersPanicsBothVerifiers(t *testing.T) {
	t.Parallel()
	token := assemble(`{"alg":"RS256","kid":"k"}`, `{"iss":"`+issuer+`","aud":[1]}`)
	if _, err := hint(t, token); !panics(err) {
		t.Errorf("hint: the library answers %v: the gap is closed", err)
	}
	if err := assertion(t, token); !panics(err) {
		t.Errorf("assertion: the library answers %v: the gap is closed", err)
	}
	var claims struct {
		Audience oidclib.Audience `json:"aud"`
	}
	if err := oidclib.Peek(token, &claims); !errors.Is(err, oidclib.ErrClaims) {
		t.Errorf("ours answers %v, want ErrClaims", err)
	}
}

// TestGapAnyJWTOfOursIsAHint is G9 of the library's gap list.
func TestGapAnyJWTOfOursIsAHint(t *testing.T) {
	t.Parallel()
	exp := time.Now().Add(time.Hour).Unix()
	token := sign(t, map[string]any{"kid": "k", "typ": "at+jwt"},
		fmt.Sprintf(`{"iss":%q,"sub":"s","aud":"api","iat":%d,"exp":%d}`, issuer, time.Now().Unix(), exp))
	if _, err := hint(t, token); err != nil {
		t.Errorf("the library answers %v: the gap is closed", err)
	}
	if err := oidclib.Verify(token, rules, &struct{}{}); !errors.Is(err, oidclib.ErrType) {
		t.Errorf("ours answers %v, want ErrType", err)
	}
}

// TestGapAnAssertionNeedsIatAndTheIssuerAsAudience is G19: RFC 7523 §3 makes
// iat optional and lets the token endpoint be the audience.
func TestGapAnAssertionNeedsIatAndTheIssuerAsAudience(t *testing.T) {
	t.Parallel()
	now := time.Now()
	exp := now.Add(time.Minute).Unix()
	for name, claims := range map[string]string{
		"no iat":         fmt.Sprintf(`{"iss":"c","sub":"c","aud":%q,"exp":%d,"jti":"1"}`, issuer, exp),
		"token endpoint": fmt.Sprintf(`{"iss":"c","sub":"c","aud":%q,"exp":%d,"iat":%d,"jti":"1"}`, issuer+"oauth/token", exp, now.Unix()),
	} {
		token := sign(t, map[string]any{"kid": "k"}, claims)
		if err := assertion(t, token); err == nil {
			t.Errorf("%s: the library accepts it: the gap is closed", name)
		}
		if err := oidclib.Verify(token, rules, &struct{}{}); err != nil {
			t.Errorf("%s: ours answers %v", name, err)
		}
	}
}

// TestGapAnAssertionMayLiveForYears: the library bounds the age of iat and
// never how far ahead exp is, and never looks at jti.
func TestGapAnAssertionMayLiveForYears(t *testing.T) {
	t.Parallel()
	now := time.Now()
	token := sign(t, map[string]any{"kid": "k"}, fmt.Sprintf(`{"iss":"c","sub":"c","aud":%q,"exp":%d,"iat":%d}`,
		issuer, now.AddDate(10, 0, 0).Unix(), now.Unix()))
	for range 2 {
		if err := assertion(t, token); err != nil {
			t.Errorf("the library answers %v: the gap is closed", err)
		}
	}
}
