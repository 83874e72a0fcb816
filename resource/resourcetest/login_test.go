package resourcetest

import "testing"

func TestTheEnvironmentNamesAHandset(t *testing.T) {
	t.Parallel()
	none := fromEnvironment(func(string) string { return "" })
	if none.Audience == "" || none.Issuer != "" || none.ClientID != "" {
		t.Errorf("without an environment: %+v", none)
	}
	h := fromEnvironment(func(name string) string { return "the " + name })
	if h.Issuer != "the HANDSET_ISSUER" || h.Audience != "the HANDSET_AUDIENCE" || h.ClientID != "the HANDSET_CLIENT_ID" ||
		h.ClientSecret != "the HANDSET_CLIENT_SECRET" || h.RedirectURI != "the HANDSET_REDIRECT_URI" {
		t.Errorf("%+v", h)
	}
}
