package resource_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// asking is an API that asks the issuer about tokens.
func asking(t *testing.T, issuer *resourcetest.Issuer, in resource.Introspection) *resource.API {
	t.Helper()
	if in.ClientID == "" {
		in.ClientID, in.ClientSecret = "purchasing-api", "s3 cr:et"
	}
	issuer.AddClient("purchasing-api", "s3 cr:et")
	return newAPI(t, issuer, func(c *resource.Config) { c.Introspect = &in })
}

func TestRevocationCountsAtOnce(t *testing.T) {
	t.Parallel()
	for name, basic := range map[string]bool{"secret in the form": false, "secret in the header": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := resourcetest.NewIssuer(t, audience)
			api := asking(t, issuer, resource.Introspection{ClientID: "purchasing-api", ClientSecret: "s3 cr:et", ClientSecretBasic: basic})
			token := issuer.Token(resourcetest.Token{})
			for range 3 {
				if _, err := api.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
			}
			if got := issuer.Requests(resourcetest.PathIntrospect); got != 3 {
				t.Errorf("%d questions for 3 calls", got)
			}
			issuer.Revoke(token)
			_, err := api.Verify(t.Context(), token)
			wantRefused(t, err, resource.ReasonRevoked)
			if refusal, _ := errors.AsType[*resource.Refusal](err); refusal != nil && refusal.Status() != http.StatusUnauthorized {
				t.Errorf("status %d", refusal.Status())
			}
		})
	}
}

// TestOnlyGoodTokensAreAskedAbout: a stranger's nonsense never reaches the issuer.
func TestOnlyGoodTokensAreAskedAbout(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := asking(t, issuer, resource.Introspection{})
	for _, fault := range issuer.Faults(resourcetest.Token{}) {
		if _, err := api.Verify(t.Context(), fault.Token); err == nil {
			t.Errorf("%s: accepted", fault.Name)
		}
	}
	if got := issuer.Requests(resourcetest.PathIntrospect); got != 0 {
		t.Errorf("%d questions", got)
	}
}

// TestAnswersAreKept for the configured time, whatever they were, and asked for by
// one call of many.
func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := asking(t, issuer, resource.Introspection{CacheFor: 10 * time.Second})
	token, other := issuer.Token(resourcetest.Token{}), issuer.Token(resourcetest.Token{})
	verify := func(token string) error {
		_, err := api.Verify(t.Context(), token)
		return err
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := verify(token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := issuer.Requests(resourcetest.PathIntrospect); got != 1 {
		t.Errorf("%d questions about one token", got)
	}
	if err := verify(other); err != nil || issuer.Requests(resourcetest.PathIntrospect) != 2 {
		t.Errorf("another token: %v after %d questions", err, issuer.Requests(resourcetest.PathIntrospect))
	}
	issuer.Revoke(token)
	issuer.Advance(9 * time.Second)
	if err := verify(token); err != nil {
		t.Errorf("within its time: %v", err)
	}
	issuer.Advance(2 * time.Second)
	wantRefused(t, verify(token), resource.ReasonRevoked)
	wantRefused(t, verify(token), resource.ReasonRevoked)
	if got := issuer.Requests(resourcetest.PathIntrospect); got != 3 {
		t.Errorf("%d questions", got)
	}
}

// TestNobodyAnswers: a token that may have been revoked is not accepted, and the
// failure is not kept.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{0, time.Minute} {
		issuer := resourcetest.NewIssuer(t, audience)
		api := asking(t, issuer, resource.Introspection{CacheFor: keep})
		token := issuer.Token(resourcetest.Token{})
		issuer.Stop()
		if _, err := api.Verify(t.Context(), token); !errors.Is(err, resource.ErrUnavailable) {
			t.Errorf("error = %v", err)
		}
		issuer.Start()
		if _, err := api.Verify(t.Context(), token); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	}
}

// TestAWrongSecretRefusesNobodysToken: the fault is the API's, and the log says so.
func TestAWrongSecretRefusesNobodysToken(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := asking(t, issuer, resource.Introspection{ClientID: "purchasing-api", ClientSecret: "wrong-one"})
	_, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{}))
	if !errors.Is(err, resource.ErrUnavailable) || !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("error = %v", err)
	}
}

func TestAnIssuerWithoutIntrospection(t *testing.T) {
	t.Parallel()
	c := resource.Config{Issuer: fakeMetadata(t, rightNames, goodKeys) + "/", Introspect: &resource.Introspection{ClientID: "c", ClientSecret: "s"}}
	if _, err := resource.New(t.Context(), c); err == nil {
		t.Error("accepted")
	}
}
