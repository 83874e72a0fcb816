package resourcetest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// newHandler is the API under test, as its main function makes it.
func newHandler(api *resource.API) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /vendors", api.RequireScope("read:vendors")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	return mux
}

func TestVendors(t *testing.T) {
	issuer := resourcetest.NewIssuer(t, "https://purchasing.example.com")
	handler := newHandler(issuer.API())

	get := func(token string) int {
		req := httptest.NewRequest("GET", "/vendors", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		return rec.Code
	}
	clerk := resourcetest.Token{Scopes: resource.Scopes{"read:vendors"}, Claims: map[string]any{"employee_id": "291"}}
	if got := get(issuer.Token(clerk)); got != http.StatusOK {
		t.Errorf("a clerk: %d", got)
	}
	if got := get(issuer.Token(resourcetest.Token{})); got != http.StatusForbidden {
		t.Errorf("without the scope: %d", got)
	}
	for _, fault := range issuer.Faults(clerk) {
		if got := get(fault.Token); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", fault.Name, got)
		}
	}
}
