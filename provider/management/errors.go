package management

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/storage"
)

// The words of Auth0's Management API that its clients read, in one place: those that
// nobody has recorded from a tenant are marked, and can be corrected here.
const (
	codeBody         = "invalid_body"
	codeQuery        = "invalid_query_string"
	codePaging       = "invalid_paging"
	codeScope        = "insufficient_scope"
	codeBearer       = "Bearer"
	codeTooMany      = "too_many_requests"
	codeNoConnection = "inexistent_connection"
	codeConnection   = "connection_conflict"
	codeNoUser       = "inexistent_user"
	codeUser         = "auth0_idp_error"
	codeNoClient     = "inexistent_client"          // inferred
	codeNoAPI        = "inexistent_resource_server" // inferred
	codeAPI          = "resource_server_conflict"   // inferred
	codeNoGrant      = "inexistent_client_grant"    // inferred
	codeGrant        = "client_grant_conflict"      // inferred
	codeForbidden    = "operation_not_supported"    // ours: what the file declares

	textNoToken      = "Missing authentication"
	textToken        = "Invalid token"
	textNotJWT       = "Bad HTTP authentication header format"
	textScope        = "Insufficient scope, expected any of: "
	textTooMany      = "Global limit has been reached"
	textMediaType    = "Unsupported Media Type"
	textTooLong      = "Payload content length greater than maximum allowed: 262144"
	textMalformed    = "Invalid request payload JSON format"
	textNoConnection = "The connection does not exist"
	textConnection   = "A connection with the same name already exists"
	textNoUser       = "The user does not exist."
	textUser         = "The user already exists."
	textNoClient     = "The client does not exist"
	textNoAPI        = "The resource server does not exist"
	textAPI          = "A resource server with the same identifier already exists"
	textNoGrant      = "The client grant does not exist"
	textGrant        = "A client grant for this client and audience already exists"
	textPaging       = "You can only page through the first 1000 records. See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation"
)

// NotFound answers what is no operation of the API, with one status and its words.
func NotFound(status int) http.HandlerFunc {
	return web.StatusJSON(func(http.ResponseWriter, *http.Request) error {
		return fault(status, "", http.StatusText(status))
	})
}

func fault(status int, code, message string) *web.Fault {
	return &web.Fault{Status: status, Code: code, Message: message}
}

// propertyNames are those that may stand in an error, which is logged: what a stranger
// sends under a name of its own stays out.
var propertyNames = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\[\]]{0,63}$`)

func named(property string) string {
	if propertyNames.MatchString(property) {
		return property
	}
	return "(unnamed)"
}

// invalid is Auth0's answer to a body with a property that is wrong; property may be
// empty.
func invalid(property, format string, args ...any) *web.Fault {
	message := fmt.Sprintf("Payload validation error: '%s'", fmt.Sprintf(format, args...))
	if property != "" {
		message += " on property " + named(property)
	}
	return fault(http.StatusBadRequest, codeBody, message)
}

func badQuery(format string, args ...any) error {
	return fault(http.StatusBadRequest, codeQuery, "Query validation error: '"+fmt.Sprintf(format, args...)+"'")
}

// declared refuses to change what the configuration file declares.
func declared(what string) error {
	return fault(http.StatusForbidden, codeForbidden, what+" is declared in Handset's configuration file, or built in, and can't be changed by API; change it there and restart the server")
}

// translated turns an error of the store into Auth0's.
func translated(err error, missing, taken error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return missing
	case errors.Is(err, storage.ErrConflict):
		return taken
	}
	return err
}
