package views

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestScreenshots draws every state of the gallery at the width of a phone and of a
// desktop, and in the dark, into artifacts/views for people to look at.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	said := listen(t, ctx)
	folder := filepath.Join("..", "artifacts", "views")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	looks := []struct {
		name   string
		width  int64
		height int64
		scheme string
	}{
		{"360", 360, 740, "light"},
		{"1280", 1280, 900, "light"},
		{"360-dark", 360, 740, "dark"},
		{"1280-dark", 1280, 900, "dark"},
	}
	f := englishFrame(t)
	server := galleryServer(t, f)
	for _, look := range looks {
		for _, s := range Gallery(f) {
			if s.Name == "form-post" || s.Name == "form-post-no-app" {
				continue // leaves at once
			}
			err := chromedp.Do(ctx, chromedp.EmulateViewport(look.width, look.height), scheme(look.scheme),
				chromedp.Navigate(server.URL+f.Base+"/state/"+s.Name))
			if err != nil {
				t.Fatalf("%s at %s: %v", s.Name, look.name, err)
			}
			png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatalf("%s at %s: %v", s.Name, look.name, err)
			}
			if complaint := said.take(); complaint != "" {
				t.Errorf("%s at %s: the browser says: %s", s.Name, look.name, complaint)
			}
			file := filepath.Join(folder, s.Name+"-"+look.name+".png")
			if err := os.WriteFile(file, png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
