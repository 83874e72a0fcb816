package verification

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/web"
)

// openAPI describes our own dialect (OpenAPI 3.1). The tests hold it against routes
// and types.
//
//go:embed openapi.json
var openAPI []byte

// OpenAPI answers GET /verifications/openapi.json.
func (a *API) OpenAPI(w http.ResponseWriter, r *http.Request) error {
	sum := sha256.Sum256(openAPI)
	d := web.Document{Body: openAPI, ContentType: "application/json; charset=utf-8",
		ETag: `"` + hex.EncodeToString(sum[:8]) + `"`, MaxAge: time.Hour}
	return d.Serve(w, r)
}
