package views

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file as it is served.
type asset struct {
	contentType string
	body        string
}

type assetSet struct {
	hash  string
	files map[string]asset
}

// assets reads the embedded files once. Their common hash is in every address, so
// that browsers may keep them for good.
var assets = sync.OnceValue(func() assetSet {
	set := assetSet{files: map[string]asset{}}
	sum := sha256.New()
	entries, _ := fs.ReadDir(assetFiles, "assets") // embedded: cannot fail
	for _, entry := range entries {
		body, _ := fs.ReadFile(assetFiles, "assets/"+entry.Name())
		sum.Write([]byte(entry.Name() + "\x00"))
		sum.Write(body)
		set.files[entry.Name()] = asset{contentTypes[path.Ext(entry.Name())], string(body)}
	}
	set.hash = hex.EncodeToString(sum.Sum(nil))[:12]
	return set
})

// contentTypes are written out: those of package mime depend on the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// AssetPath returns the address of an asset below the issuer's path:
// "/assets/<hash>/handset.css".
func AssetPath(name string) string { return "/assets/" + assets().hash + "/" + name }

// Assets serves the files that pages refer to. It looks at the last two parts of
// the path, <hash>/<name>, so that it can be mounted below any issuer path. A
// hash of another version, as seen while servers are being replaced, gets the
// present file, but no promise to keep it.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		folder, name := path.Split(r.URL.Path)
		file, ok := assets().files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.contentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if path.Base(folder) == assets().hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Set("ETag", `"`+assets().hash+`"`)
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(file.body))
	})
}
