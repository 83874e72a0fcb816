package endpointtest

import (
	"context"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/posted"
	"github.com/handset-oidc/handset/storage"
)

// Forms are posted forms in memory.
type Forms map[string]storage.Posted

// KeepPosted keeps a form and counts nothing.
func (f Forms) KeepPosted(_ context.Context, p storage.Posted, _ time.Time, _ ...storage.Limit) error {
	f[p.Ref] = p
	return nil
}

// Posted returns a form.
func (f Forms) Posted(_ context.Context, endpoint, ref string) (string, error) {
	if p, ok := f[ref]; ok && p.Endpoint == endpoint {
		return p.Form, nil
	}
	return "", storage.ErrNotFound
}

// Waiting are the forms as endpoints have them.
func (f Forms) Waiting() *posted.Forms {
	return &posted.Forms{Store: f, Limit: func(netip.Addr) storage.Limit { return storage.Limit{Off: true} }, Now: time.Now}
}

// Check checks that a POST of form leads to the endpoint by a reference to the same
// form, and by nothing else.
func (f Forms) Check(t *testing.T, location, endpoint string, form url.Values) {
	t.Helper()
	to, err := url.Parse(location)
	if err != nil || to.Path != endpoint || to.Host != "" || len(to.Query()) != 1 {
		t.Fatalf("POST %v goes on as %q", form, location)
	}
	if kept := f[to.Query().Get("posted")]; kept.Endpoint != endpoint || kept.Form != form.Encode() {
		t.Errorf("POST %v is kept as %q for %s", form, kept.Form, kept.Endpoint)
	}
}
