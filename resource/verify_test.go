package resource_test

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

const audience = resource.Audience("https://purchasing.example.com")

// wantRefused fails unless err is a refusal for this reason.
func wantRefused(t *testing.T, err error, reason resource.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*resource.Refusal](err)
	if !ok {
		t.Fatalf("error = %v, want a refusal: %s", err, reason)
	}
	if refusal.Reason != reason {
		t.Errorf("reason = %q, want %q", refusal.Reason, reason)
	}
}

func TestAGoodTokenSaysWhoCalls(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	for name, rs256 := range map[string]bool{"ES256": false, "RS256": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{
				Subject: "sms|1", ClientID: "purchasing-cli", Scopes: []resource.Scope{"read:vendors", "write:vendors"}, RS256: rs256,
				Claims: map[string]any{"employee_id": "291", "grades": []int{1, 2}, "acr": "urn:one", "manager": (*string)(nil)},
			}))
			if err != nil {
				t.Fatal(err)
			}
			if caller.Subject != "sms|1" || caller.IsClient() || caller.ClientID != "purchasing-cli" || caller.Issuer != issuer.URL() {
				t.Errorf("caller = %v of %s", caller, caller.Issuer)
			}
			if !caller.Scopes.Has("write:vendors", "read:vendors") || caller.Scopes.Has("read:vendors", "admin") || caller.Scopes.String() != "read:vendors write:vendors" {
				t.Errorf("scopes = %q", caller.Scopes)
			}
			if len(caller.Audience) != 1 || caller.Audience[0] != audience || caller.ID == "" {
				t.Errorf("audience %q, ID %q", caller.Audience, caller.ID)
			}
			if life := caller.ExpiresAt.Sub(caller.IssuedAt); life != time.Hour || caller.AuthTime.IsZero() {
				t.Errorf("it lives %v, authenticated at %v", life, caller.AuthTime)
			}
			if caller.ACR != "urn:one" || strings.Join(caller.AMR, " ") != "sms otp" {
				t.Errorf("acr %q, amr %q", caller.ACR, caller.AMR)
			}
			var employee string
			var grades []int
			if err := errors.Join(caller.Claim("employee_id", &employee), caller.Claim("grades", &grades)); err != nil {
				t.Fatal(err)
			}
			if employee != "291" || len(grades) != 2 {
				t.Errorf("employee_id = %q, grades = %v", employee, grades)
			}
			for _, absent := range []string{"department", "manager", "Employee_id"} {
				if err := caller.Claim(absent, &employee); !errors.Is(err, resource.ErrNoClaim) {
					t.Errorf("%s, which is not there: %v", absent, err)
				}
			}
			if err := caller.Claim("grades", &employee); err == nil || errors.Is(err, resource.ErrNoClaim) {
				t.Errorf("a list into a string: %v", err)
			}
		})
	}
}

func TestTokensThatAreTaken(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	claims := func(name string, value any) resourcetest.Token {
		return resourcetest.Token{Claims: map[string]any{name: value}}
	}
	header := func(name string, value any) resourcetest.Token {
		return resourcetest.Token{Header: map[string]any{name: value}}
	}
	now := issuer.Now()
	for name, token := range map[string]resourcetest.Token{
		"one audience of several":          claims("aud", []string{"https://other.example.com", string(audience)}),
		"a type with its prefix":           header("typ", "application/at+jwt"),
		"a type in other case":             header("typ", "AT+JWT"),
		"an unknown header":                header("cty", "json"),
		"no scope":                         claims("scope", nil),
		"an empty scope":                   claims("scope", ""),
		"times with fractions":             claims("iat", float64(now.UnixMilli())/1000),
		"an issuer's clock a little ahead": claims("iat", now.Add(20*time.Second).Unix()),
		"nbf a little ahead":               claims("nbf", now.Add(20*time.Second).Unix()),
		"a client for itself":              {Subject: "batch@clients", ClientID: "batch", Claims: map[string]any{"auth_time": nil, "amr": nil}},
		"amr a single text":                claims("amr", "sms"),
		"24 hours":                         {Lifetime: 24 * time.Hour},
		"escapes and Unicode":              claims("name", "\u2028\\\"{[:,発注"),
		"objects within":                   claims("address", map[string]any{"sub": map[string]any{"sub": ":"}}),
		// encoding/json would take these for the struct's own names.
		"names that differ in case": {Claims: map[string]any{"SUB": "root", "Aud": "x", "EXP": 1, "Iss": "x"}},
	} {
		caller, err := api.Verify(t.Context(), issuer.Token(token))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if caller.Subject == "root" {
			t.Errorf("%s: SUB spoke for sub", name)
		}
	}
}

// Each of issue 6's bad tokens, and more; over HTTP and gRPC they are sent again.
func TestFaultyTokensAreRefused(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	for name, rs256 := range map[string]bool{"ES256": false, "RS256": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := issuer.Faults(resourcetest.Token{RS256: rs256})
			if len(faults) < 60 {
				t.Fatalf("only %d faults", len(faults))
			}
			for _, fault := range faults {
				t.Run(fault.Name, func(t *testing.T) {
					t.Parallel()
					caller, err := api.Verify(t.Context(), fault.Token)
					if caller != nil {
						t.Error("there is a caller")
					}
					wantRefused(t, err, fault.Reason)
				})
			}
		})
	}
}

// Line breaks can't come in a header, but in what other ways of transport bring; the
// library's base64 would skip them, and a token would have many spellings.
func TestATokenHasOneSpelling(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	token := issuer.Token(resourcetest.Token{})
	for _, at := range []int{5, strings.IndexByte(token, '.') + 5, len(token) - 5, len(token)} {
		for _, insert := range []string{"\n", "\r", "\r\n", "=", " ", "\x00", "."} {
			_, err := api.Verify(t.Context(), token[:at]+insert+token[at:])
			wantRefused(t, err, resource.ReasonMalformed)
		}
	}
	// The last letter of 64 bytes has bits to spare.
	last := token[len(token)-1]
	for _, other := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if byte(other) == last {
			continue
		}
		if _, err := api.Verify(t.Context(), token[:len(token)-1]+string(other)); err == nil {
			t.Errorf("%c for %c at the end", other, last)
		}
	}
}

// A token's time is over at the second that it names; there is no grace.
func TestATokenExpiresOnTime(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	token := issuer.Token(resourcetest.Token{Lifetime: 24 * time.Hour})
	issuer.Advance(24*time.Hour - 10*time.Second)
	if _, err := api.Verify(t.Context(), token); err != nil {
		t.Fatalf("ten seconds before its end: %v", err)
	}
	issuer.Advance(11 * time.Second)
	_, err := api.Verify(t.Context(), token)
	wantRefused(t, err, resource.ReasonExpired)
}

// TestCheapChecksComeFirst: a token that could not be accepted anyway leads to no
// request, even when its key is not known.
func TestCheapChecksComeFirst(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	before := issuer.Requests(resourcetest.PathKeys)
	for _, fault := range issuer.Faults(resourcetest.Token{Header: map[string]any{"kid": "unknown"}}) {
		if fault.Reason == resource.ReasonUnknownKey || fault.Reason == resource.ReasonSignature {
			continue
		}
		if _, err := api.Verify(t.Context(), fault.Token); err == nil {
			t.Errorf("%s: accepted", fault.Name)
		}
	}
	if got := issuer.Requests(resourcetest.PathKeys); got != before {
		t.Errorf("%d requests for keys", got-before)
	}
}

// TestHugeTokensCostNothing: refused by their length, before anything is decoded.
func TestHugeTokensCostNothing(t *testing.T) {
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	huge := issuer.Token(resourcetest.Token{Claims: map[string]any{"padding": strings.Repeat("x", 1<<20)}})
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := api.Verify(t.Context(), huge); err == nil {
			t.Error("accepted")
		}
	})
	if allocations > 2 {
		t.Errorf("%v allocations", allocations)
	}
}

// TestClaimsAreFew: a token is looked through for each claim, so there are not many.
func TestClaimsAreFew(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	verify := func(n int) error {
		claims := map[string]any{}
		for i := range n {
			claims[strconv.Itoa(i)] = i
		}
		_, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{Claims: claims}))
		return err
	}
	if err := verify(50); err != nil {
		t.Errorf("50 claims of an API's own: %v", err)
	}
	wantRefused(t, verify(60), resource.ReasonClaims)
}

// A caller's claims may be personal; printing a caller, a secret or an error shows
// none.
func TestNothingPrintsItself(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	caller, err := issuer.API().Verify(t.Context(), issuer.Token(resourcetest.Token{Claims: map[string]any{"employee_id": "emp-291"}}))
	if err != nil {
		t.Fatal(err)
	}
	printed := everyPrint(caller) + everyPrint(resource.Secret("hunter2")) + everyPrint(resource.ClientConfig{ClientSecret: "hunter2", RefreshToken: "hunter2"}) +
		everyPrint(resource.Config{Introspect: &resource.Introspection{ClientSecret: "hunter2"}}.Introspect)
	for _, secret := range []string{"emp-291", "hunter2"} {
		if strings.Contains(printed, secret) {
			t.Errorf("%s is in: %s", secret, printed)
		}
	}
	if !strings.Contains(printed, string(caller.Subject)) {
		t.Errorf("the subject is not in: %s", printed)
	}
}

// requirements.md D8: none can be passed where another is wanted, as the
// compiler decides it.
func TestIdentifiersAreTypes(t *testing.T) {
	t.Parallel()
	types := []reflect.Type{
		reflect.TypeFor[resource.Subject](), reflect.TypeFor[resource.ClientID](), reflect.TypeFor[resource.Audience](),
		reflect.TypeFor[resource.TokenID](), reflect.TypeFor[resource.Scope](), reflect.TypeFor[resource.Secret](),
		reflect.TypeFor[resource.Reason](), reflect.TypeFor[string](),
	}
	for _, from := range types {
		for _, to := range types {
			if from != to && from.AssignableTo(to) {
				t.Errorf("a %v passes for a %v", from, to)
			}
		}
	}
}
