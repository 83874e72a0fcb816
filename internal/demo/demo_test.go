package demo_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/demo"
	"github.com/handset-oidc/handset/passcode/sms"
)

// A page of another site whose name its owner lets resolve to 127.0.0.1 (DNS
// rebinding) is of the inbox's origin to the browser, and could read all codes.
// What gives it away is its name in Host.
func TestInboxOnlyByALocalName(t *testing.T) {
	t.Parallel()
	h := demo.Mount(http.NotFoundHandler(), sms.NewInbox(10, time.Now))
	for host, want := range map[string]int{
		"localhost:3000": http.StatusOK, "LOCALHOST": http.StatusOK, "127.0.0.1:3000": http.StatusOK, "[::1]:3000": http.StatusOK,
		"handset.localhost:3000": http.StatusOK,
		"evil.example:3000":      http.StatusMisdirectedRequest, "evil.example": http.StatusMisdirectedRequest,
		"localhost.evil.example": http.StatusMisdirectedRequest, "192.0.2.1:3000": http.StatusMisdirectedRequest,
		"": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/inbox", "/inbox/messages"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s by %q: %d, want %d", path, host, w.Code, want)
			}
		}
	}
}
