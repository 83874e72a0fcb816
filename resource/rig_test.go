package resource_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// everyPrint shows a value in every way that programs print one.
func everyPrint(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(err.Error())
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "v", v)
	return fmt.Sprintf("%v %+v %#v %s ", v, v, v, text) + log.String()
}

// logs keeps what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newAPI is an API with some of its configuration changed.
func newAPI(t testing.TB, issuer *resourcetest.Issuer, change func(*resource.Config)) *resource.API {
	t.Helper()
	c := issuer.Config()
	change(&c)
	api, err := resource.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return api
}

// ended is a context that must not be waited for.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// recorded is an http.RoundTripper that keeps the requests it sends.
type recorded struct {
	mu   sync.Mutex
	base http.RoundTripper
	all  []*http.Request
}

func (r *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.all = append(r.all, req)
	base := r.base
	r.mu.Unlock()
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(req)
}

func contains(all []string, part string) bool {
	for _, s := range all {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func randomText() string { return rand.Text() }
