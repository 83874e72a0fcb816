package views

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAssets(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("GET /openid-connect/assets/{hash}/{name}", Assets())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	cases := []struct {
		name, path  string
		status      int
		contentType string
		cache       string
	}{
		{"Style", AssetPath("handset.css"), 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"Brand", AssetPath("brand.css"), 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"Script", AssetPath("login.js"), 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"Picture", AssetPath("icon.svg"), 200, "image/svg+xml", "public, max-age=31536000, immutable"},
		{"AnotherVersion", "/assets/0123456789ab/handset.css", 200, "text/css; charset=utf-8", "no-cache"},
		{"Unknown", "/assets/0123456789ab/secret.txt", 404, "text/plain; charset=utf-8", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, err := server.Client().Get(server.URL + "/openid-connect" + c.path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.contentType || res.Header.Get("Cache-Control") != c.cache {
				t.Errorf("got %d %q %q", res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"))
			}
			if c.status == 200 && len(body) == 0 {
				t.Error("empty")
			}
		})
	}
}

// TestAssetAddressesFollowTheContent so that they may be kept for good.
func TestAssetAddressesFollowTheContent(t *testing.T) {
	t.Parallel()
	if parts := strings.Split(AssetPath("login.js"), "/"); len(parts) != 4 || len(parts[2]) != 12 {
		t.Errorf("AssetPath is %q", AssetPath("login.js"))
	}
	for name, file := range assets().files {
		if file.contentType == "" {
			t.Errorf("%s has no content type", name)
		}
	}
}
