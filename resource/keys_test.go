package resource_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// canned answers for an issuer from memory, so that a test can hold time still.
type canned struct {
	documents map[string]string
	down      atomic.Bool
	fetched   atomic.Int64
	// hold, when there is one, delays answers until it is closed.
	hold chan struct{}
}

// newCanned keeps what an issuer publishes.
func newCanned(t *testing.T, issuer *resourcetest.Issuer) *canned {
	t.Helper()
	c := &canned{documents: map[string]string{}}
	for _, path := range []string{resourcetest.PathMetadata, resourcetest.PathKeys} {
		res, err := http.Get(strings.TrimSuffix(issuer.URL(), "/") + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		c.documents[path] = string(text)
	}
	return c
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == resourcetest.PathKeys {
		c.fetched.Add(1)
	}
	if c.hold != nil {
		<-c.hold
	}
	if c.down.Load() {
		return nil, errors.New("connection refused")
	}
	rec := httptest.NewRecorder()
	_, _ = rec.WriteString(c.documents[r.URL.Path])
	return rec.Result(), nil
}

// TestKeysAreRefreshedInTheBackground, verified with while the issuer is down, and
// fetched again soon when that failed.
func TestKeysAreRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	before := newCanned(t, issuer)
	synctest.Test(t, func(t *testing.T) {
		var l logs
		api := newAPI(t, issuer, func(c *resource.Config) {
			c.HTTPClient, c.RefreshEvery, c.Logger = &http.Client{Transport: before}, 10*time.Minute, l.logger()
		})
		step := func(wait time.Duration, want int64) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if got := before.fetched.Load(); got != want {
				t.Errorf("%d fetches, want %d", got, want)
			}
			if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
				t.Errorf("verify: %v", err)
			}
		}
		step(0, 1)
		step(9*time.Minute+59*time.Second, 1)
		step(2*time.Second, 2)
		before.down.Store(true)
		step(10*time.Minute, 2) // the metadata could not be had, so no keys were asked for
		step(24*time.Hour, 2)
		if got := l.String(); !strings.Contains(got, "keys not fetched") || !strings.Contains(got, `"keys_at_hand":true`) {
			t.Errorf("log: %s", got)
		}
		before.down.Store(false)
		step(31*time.Second, 3)
		api.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := before.fetched.Load(); got != 3 {
			t.Errorf("%d fetches after Close", got)
		}
		if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
			t.Errorf("verify after Close: %v", err)
		}
	})
}

// TestTheContextEndsTheRefresh: synctest fails when a goroutine is left.
func TestTheContextEndsTheRefresh(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	documents := newCanned(t, issuer)
	synctest.Test(t, func(t *testing.T) {
		c := issuer.Config()
		c.HTTPClient = &http.Client{Transport: documents}
		if _, err := resource.New(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	})
}

// TestANewKeyIsFetchedAtOnce: a token of a key that was made in an emergency.
func TestANewKeyIsFetchedAtOnce(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	old := issuer.Token(resourcetest.Token{})
	issuer.RotateKeys()
	if _, err := api.Verify(t.Context(), old); err != nil {
		t.Errorf("a token of before, while its key is at hand: %v", err)
	}
	if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	_, err := api.Verify(t.Context(), old)
	wantRefused(t, err, resource.ReasonUnknownKey)
}

// TestUnknownKeysMakeNoStorm: tokens of a hundred invented keys, many at once, cost
// the issuer one request in half a minute.
func TestUnknownKeysMakeNoStorm(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	invented := func() {
		var all sync.WaitGroup
		for range 100 {
			token := issuer.Token(resourcetest.Token{Header: map[string]any{"kid": randomText()}})
			all.Go(func() {
				_, err := api.Verify(t.Context(), token)
				if refusal, ok := errors.AsType[*resource.Refusal](err); !ok || refusal.Reason != resource.ReasonUnknownKey {
					t.Errorf("error = %v", err)
				}
			})
		}
		all.Wait()
	}
	before := issuer.Requests(resourcetest.PathKeys)
	for n := 1; n <= 3; n++ {
		invented()
		invented()
		if got := issuer.Requests(resourcetest.PathKeys) - before; got != n {
			t.Fatalf("%d fetches after %d rounds", got, n)
		}
		issuer.Advance(31 * time.Second)
	}
	// The allowance is there again for a key that is real, and good tokens never needed it.
	issuer.RotateKeys()
	if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
		t.Error(err)
	}
}

// TestOneFetchForAll: tokens of a new key that come together wait for one fetch.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	old := newCanned(t, issuer)
	issuer.RotateKeys()
	fresh := newCanned(t, issuer)
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(t, issuer, func(c *resource.Config) { c.HTTPClient = &http.Client{Transport: old} })
		old.documents, old.hold = fresh.documents, make(chan struct{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
					t.Errorf("verify: %v", err)
				}
			})
		}
		// One that can't wait gives up alone.
		if _, err := api.Verify(ended(t), issuer.Token(resourcetest.Token{})); !errors.Is(err, resource.ErrUnavailable) {
			t.Errorf("with an ended context: %v", err)
		}
		synctest.Wait()
		close(old.hold)
		all.Wait()
		if got := old.fetched.Load(); got != 2 {
			t.Errorf("%d fetches, want the first and one more", got)
		}
	})
}

// TestTheIssuerGoesDown: tokens are verified on; of unknown keys they are refused;
// and when the issuer is back, all is as it was.
func TestTheIssuerGoesDown(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	api := issuer.API()
	issuer.Stop()
	if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
		t.Errorf("a good token: %v", err)
	}
	_, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{Header: map[string]any{"kid": "unknown"}}))
	wantRefused(t, err, resource.ReasonUnknownKey)
	issuer.RotateKeys()
	issuer.Start()
	issuer.Advance(31 * time.Second)
	if _, err := api.Verify(t.Context(), issuer.Token(resourcetest.Token{})); err != nil {
		t.Errorf("a token of a new key: %v", err)
	}
}

func TestAnIssuerThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	documents := newCanned(t, issuer)
	synctest.Test(t, func(t *testing.T) {
		documents.down.Store(true)
		c := issuer.Config()
		c.HTTPClient = &http.Client{Transport: documents}
		if api, err := resource.New(t.Context(), c); err == nil || api != nil {
			t.Errorf("New = %v, %v", api, err)
		}
		c.StartWithoutIssuer = true
		api, err := resource.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		token := issuer.Token(resourcetest.Token{})
		if _, err := api.Verify(t.Context(), token); !errors.Is(err, resource.ErrUnavailable) {
			t.Errorf("error = %v", err)
		}
		// What is bad is bad, whoever is down.
		_, err = api.Verify(t.Context(), issuer.Token(resourcetest.Token{Audience: "https://other.example.com"}))
		wantRefused(t, err, resource.ReasonAudience)
		documents.down.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := api.Verify(t.Context(), token); err != nil {
			t.Errorf("once it is up: %v", err)
		}
	})
}
