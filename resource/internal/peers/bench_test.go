//go:build unix

package peers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// BenchmarkVerify puts the same token before this library and before the two that
// Go programs use otherwise, in one run. Each checks issuer, audience and expiry, and
// hands out the claims; keys are at hand. cpu-µs/op is what the process used, on
// whatever else the machine was busy with.
//
//	go test ./resource/internal/peers -run '^$' -bench Verify -count 5
func BenchmarkVerify(b *testing.B) {
	issuer := resourcetest.NewIssuer(b, audience)
	b.Run("ES256/signature alone", signatureAlone)
	for alg, rs256 := range map[string]bool{"ES256": false, "RS256": true} {
		token := issuer.Token(resourcetest.Token{
			Scopes: []resource.Scope{"read:vendors", "write:vendors"}, Lifetime: 24 * time.Hour, RS256: rs256,
			Claims: map[string]any{"employee_id": "291", "acr": "urn:handset:sms"},
		})
		for _, library := range []struct {
			name   string
			verify func(string) error
		}{
			{"resource", ours(issuer)},
			{"go-oidc", goOIDC(b, issuer, alg)},
			{"keyfunc", keyFunc(b, issuer, alg)},
		} {
			b.Run(alg+"/"+library.name, func(b *testing.B) { measure(b, func() error { return library.verify(token) }) })
		}
	}
}

// signatureAlone is what nobody who verifies ES256 with Go can do without.
func signatureAlone(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a token"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	measure(b, func() error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errors.New("refused")
		}
		return nil
	})
}

// BenchmarkRefuse is what a bad token costs.
func BenchmarkRefuse(b *testing.B) {
	issuer := resourcetest.NewIssuer(b, audience)
	api := issuer.API()
	for _, fault := range issuer.Faults(resourcetest.Token{}) {
		switch fault.Name {
		case "expired", "1 MB of claims", "signed by a stranger's key", "of an unknown key":
			b.Run(fault.Name, func(b *testing.B) {
				measure(b, func() error {
					if _, err := api.Verify(b.Context(), fault.Token); err == nil {
						return errors.New("accepted")
					}
					return nil
				})
			})
		}
	}
}

// measure runs f and reports the CPU time that it took.
func measure(b *testing.B, f func() error) {
	b.Helper()
	b.ReportAllocs()
	if err := f(); err != nil { // keys are fetched here, if they were not before
		b.Fatal(err)
	}
	before := used(b)
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used(b)-before)/float64(time.Microsecond)/float64(b.N), "cpu-µs/op")
}

// used is the CPU time of the process so far.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ours(issuer *resourcetest.Issuer) func(string) error {
	api := issuer.API()
	return func(token string) error {
		caller, err := api.Verify(context.Background(), token)
		if err != nil {
			return err
		}
		var employee string
		return caller.Claim("employee_id", &employee)
	}
}

func goOIDC(b *testing.B, issuer *resourcetest.Issuer, alg string) func(string) error {
	b.Helper()
	provider, err := oidc.NewProvider(b.Context(), issuer.URL())
	if err != nil {
		b.Fatal(err)
	}
	verifier := provider.VerifierContext(b.Context(), &oidc.Config{ClientID: string(audience), SupportedSigningAlgs: []string{alg}})
	return func(token string) error {
		t, err := verifier.Verify(context.Background(), token)
		if err != nil {
			return err
		}
		var claims struct {
			Employee string `json:"employee_id"`
			Scope    string `json:"scope"`
			Client   string `json:"client_id"`
		}
		return t.Claims(&claims)
	}
}

func keyFunc(b *testing.B, issuer *resourcetest.Issuer, alg string) func(string) error {
	b.Helper()
	keys, err := keyfunc.NewDefaultCtx(b.Context(), []string{issuer.URL() + ".well-known/jwks.json"})
	if err != nil {
		b.Fatal(err)
	}
	type claims struct {
		jwt.RegisteredClaims
		Employee string `json:"employee_id"`
		Scope    string `json:"scope"`
		Client   string `json:"client_id"`
	}
	parser := jwt.NewParser(jwt.WithIssuer(issuer.URL()), jwt.WithAudience(string(audience)),
		jwt.WithExpirationRequired(), jwt.WithValidMethods([]string{alg}))
	return func(token string) error {
		_, err := parser.ParseWithClaims(token, &claims{}, keys.Keyfunc)
		return err
	}
}
