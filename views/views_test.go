package views

import "testing"

// english returns the default language.
func english(t testing.TB) *Locale {
	t.Helper()
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Locale(nil, "")
}

func englishFrame(t testing.TB) Frame {
	t.Helper()
	return Frame{Base: "/openid-connect", Locale: english(t), App: "Tiny"}
}
