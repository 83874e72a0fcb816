package logout

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// The question may stand in a browser for days. An address that was taken out
// of the registration meanwhile gets neither the browser nor a link to it.
func TestNoWayToAnAddressThatIsNotRegisteredAnyMore(t *testing.T) {
	t.Parallel()
	catalog, err := views.NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Pages: &web.Pages{Catalog: catalog}})
	w := httptest.NewRecorder()
	err = h.leave(w, httptest.NewRequest("POST", "/oidc/logout", nil),
		request{ClientID: "app", URI: "https://sold.example/", State: "s"},
		&storage.Client{ClientID: "app", Name: "App", AllowedLogoutURLs: []string{"https://app.example/"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Location"); got != "" || strings.Contains(w.Body.String(), "sold.example") {
		t.Errorf("status %d, Location %q, and the page leads to sold.example: %t", w.Code, got, strings.Contains(w.Body.String(), "sold.example"))
	}
}
