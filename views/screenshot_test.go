package views

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// look is how a state is drawn.
type look struct {
	name   string
	width  int64
	height int64
	scheme string
	frame  Frame
	only   []string // empty: all states
}

// TestScreenshots draws every state of the gallery at the width of a phone and of a
// desktop into artifacts/views, and some in the dark and from right to left, for
// people to look at. The browser must have nothing to complain of under the policy.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	folder := filepath.Join("..", "artifacts", "views")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	en := englishFrame(t)
	some := []string{"phone-country", "code", "code-wrong", "problem-redirect", "signed-in", "inbox"}
	for _, l := range []look{
		{"360", 360, 740, "light", en, nil},
		{"1280", 1280, 900, "light", en, nil},
		{"360-dark", 360, 740, "dark", en, some},
		{"1280-dark", 1280, 900, "dark", en, some},
		{"360-rtl", 360, 740, "light", Frame{Locale: hebrew(t), App: "טייני"}, some},
	} {
		photograph(t, ctx, folder, l)
	}
}

func photograph(t *testing.T, ctx context.Context, folder string, l look) {
	t.Helper()
	server := galleryServer(t, l.frame)
	said := listen(t, ctx)
	for _, s := range Gallery(l.frame) {
		if strings.HasPrefix(s.Name, "form-post") || len(l.only) > 0 && !slices.Contains(l.only, s.Name) {
			continue // a form that posts itself is gone before it is seen
		}
		err := chromedp.Do(ctx, chromedp.EmulateViewport(l.width, l.height), scheme(l.scheme),
			chromedp.Navigate(server.URL+l.frame.Base+"/state/"+s.Name))
		if err != nil {
			t.Fatalf("%s at %s: %v", s.Name, l.name, err)
		}
		png, err := photo(ctx, l)
		if err != nil {
			t.Fatalf("%s at %s: %v", s.Name, l.name, err)
		}
		if complaint := said.take(); complaint != "" {
			t.Errorf("%s at %s: the browser says: %s", s.Name, l.name, complaint)
		}
		if err := os.WriteFile(filepath.Join(folder, s.Name+"-"+l.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// photo makes the window as high as the page and takes the window: Chromium's own
// picture of a whole page is shifted where the page runs from right to left.
func photo(ctx context.Context, l look) ([]byte, error) {
	height, err := chromedp.Run(ctx, chromedp.Evaluate[int64]("document.documentElement.scrollHeight"))
	if err != nil {
		return nil, err
	}
	if height > l.height {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(l.width, height)); err != nil {
			return nil, err
		}
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
