package views

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// measure is run in each page and returns what is wrong with its layout.
//
//go:embed testdata/measure.js
var measure string

// TestLayout: every state at 320 px, light and dark, in both directions, fits without
// a sideways scroll (WCAG 2.2 §1.4.10), has targets of at least 44 px, and text with a
// contrast of 4.5:1 (§1.4.3).
func TestLayout(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	for language, f := range frames(t) {
		server := galleryServer(t, f)
		for _, s := range Gallery(f) {
			if strings.HasPrefix(s.Name, "form-post") {
				continue // posts itself away
			}
			for _, mode := range []string{"light", "dark"} {
				err := chromedp.Do(ctx, chromedp.EmulateViewport(320, 640), scheme(mode),
					chromedp.Navigate(server.URL+f.Base+"/state/"+s.Name))
				if err != nil {
					t.Fatalf("%s/%s: %v", language, s.Name, err)
				}
				wrong, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](measure))
				if err != nil {
					t.Fatalf("%s/%s: %v", language, s.Name, err)
				}
				for _, what := range wrong {
					t.Errorf("%s/%s in the %s: %s", language, s.Name, mode, what)
				}
			}
		}
	}
}
