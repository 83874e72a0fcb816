package oauth

import "strings"

// Endpoint returns the URL of a path below the issuer, with exactly one slash
// between them: the issuer is what tokens carry, to the byte, and may or may
// not end in a slash (OIDC Discovery §4).
func Endpoint(issuer, path string) string {
	return strings.TrimRight(issuer, "/") + "/" + strings.TrimLeft(path, "/")
}
