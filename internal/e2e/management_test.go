package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/storage"
)

// Every route of the Management API asks for a token of its audience with its scope,
// before it looks at anything else.
func TestManagementAuthorization(t *testing.T) {
	t.Parallel()
	r := start(t, withManagement(), withAPIs(), withConfig(func(c *config.Config) { c.Connections = nil }))
	none, other := managed{r, ""}, managed{r, r.machineToken(machine, purchasing).AccessToken}
	weak := managed{r, r.managedBy(reader).token}
	routes := managedRoutes(r)
	if len(routes) != 28 {
		t.Errorf("%d routes", len(routes))
	}
	for _, pattern := range routes {
		method, path, _ := strings.Cut(pattern, " /api/v2")
		path = strings.ReplaceAll(path, "{id}", "nope")
		none.refuses(none.send(method, path, "{"), http.StatusUnauthorized, "", "Missing authentication")
		other.refuses(other.send(method, path, "{"), http.StatusUnauthorized, "", "Invalid token")
		for _, header := range []string{"Bearer", "Bearer ", "Bearer opaque", "Basic bWFuYWdlcjpzZWNyZXQ=", weak.token} {
			none.refuses(none.send(method, path, "{", "Authorization", header), http.StatusBadRequest, "Bearer", "Bad HTTP authentication header format")
		}
		none.refuses(none.send(method, path, "{", "Authorization", "Bearer a.b.c"), http.StatusUnauthorized, "", "Invalid token")
		got := weak.send(method, path, "{")
		if strings.HasPrefix(pattern, "GET /api/v2/users") {
			if got.status == http.StatusForbidden || got.status == http.StatusUnauthorized {
				t.Errorf("%s with its scope: %d", pattern, got.status)
			}
			continue
		}
		weak.refuses(got, http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: ")
		if challenge := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("WWW-Authenticate = %q", challenge)
		}
	}
	if got := r.machineToken(webClient, managementAudience(r.issuer)); got.status != http.StatusBadRequest && got.status != http.StatusForbidden {
		t.Errorf("a client without a client grant gets a token: %d", got.status)
	}
}

// A token is in force as long as its client grant and client are.
func TestManagementTokensDieWithTheirGrant(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	made := m.does(http.StatusCreated, "POST", "/clients", map[string]any{
		"name": "Batch", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}}).one
	id, hidden := m.text(made, "client_id"), m.text(made, "client_secret")
	grant := m.does(http.StatusCreated, "POST", "/client-grants", map[string]any{
		"client_id": id, "audience": managementAudience(m.issuer), "scope": []string{"read:clients"}}).one
	batch := managed{m.rig, m.machineToken(id, managementAudience(m.issuer), "client_secret", hidden).AccessToken}
	batch.does(http.StatusOK, "GET", "/clients/"+id, nil)
	batch.refuses(batch.send("GET", "/users", ""), http.StatusForbidden, "insufficient_scope", "expected any of: read:users")
	m.does(http.StatusNoContent, "DELETE", "/client-grants/"+m.text(grant, "id"), nil)
	batch.refuses(batch.send("GET", "/clients/"+id, ""), http.StatusUnauthorized, "", "Invalid token")
}

// A person's token, of whatever scopes, manages nothing.
func TestPeopleDoNotManage(t *testing.T) {
	t.Parallel()
	r := start(t, withManagement(), withConfig(func(c *config.Config) {
		c.ClientGrants = append(c.ClientGrants, config.ClientGrant{ClientID: webClient, Audience: managementAudience(c.Issuer), AllowAllScopes: true})
		c.Connections = []config.Connection{{Name: "sms", Strategy: "sms", Options: config.NewOptions(`{"provider":"console"}`)}}
	}), withConfig(func(c *config.Config) {
		c.TestNumbers = []config.TestNumber{{Number: "+447400199999", Code: config.NewSecret("424242")}}
	}))
	got := r.authorize(newBrowser(t), r.newRequest(webClient).with("audience", managementAudience(r.issuer), "scope", "openid read:users", "prompt", "none"))
	if got.url.Query().Get("error") == "" {
		t.Errorf("a login for the Management API begins: %s", got.url)
	}
}

// The connection that serves is read, changed and obeyed, without a restart.
func TestManagedConnection(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withoutAddressLimits())
	first := m.does(http.StatusOK, "GET", "/connections", nil).list
	if len(first) != 1 || first[0]["name"] != "sms" || first[0]["id"] != m.smsID() || first[0]["strategy"] != "sms" {
		t.Fatalf("connections at the start: %v", first)
	}
	options := m.toGateway(map[string]any{
		"template": "First @@password@@", "syntax": "md_with_macros", "messaging_service_sid": nil, "unheard_of": map[string]any{"kept": true},
		"gateway_authentication": map[string]any{"method": "bearer", "subject": "urn:a", "audience": "urn:b", "secret": "gateway-secret-1", "secret_base64_encoded": false},
		"totp":                   map[string]any{"length": 7, "time_step": 120}, "name": "sms", "strategy": "sms",
		"non_persistent_attrs": []any{}, "upstream_params": map[string]any{}, "authParams": map[string]any{},
	})
	changed := m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": options}).one
	options["brute_force_protection"] = true // Auth0's default
	if diff := cmp.Diff(any(options), changed["options"]); diff != "" {
		t.Errorf("options (-sent +answer):\n%s", diff)
	}
	if diff := cmp.Diff(changed, m.does(http.StatusOK, "GET", "/connections/"+m.smsID(), nil).one); diff != "" {
		t.Errorf("connection (-changed +read):\n%s", diff)
	}
	if changed["display_name"] != "sms" {
		t.Errorf("display_name = %v, want the name where none is sent", changed["display_name"])
	}
	number := newNumber()
	m.login(newBrowser(t), m.newRequest(webClient), number)
	got := m.gateway.wait(number, 1)
	if !strings.HasPrefix(got.Body, "First ") || len(codePattern.FindString(got.Body)) != 7 || !strings.HasPrefix(got.Authorization, "Bearer ") {
		t.Errorf("text %q, authorization of %d bytes", got.Body, len(got.Authorization))
	}
	if strings.Contains(m.logs.String(), "gateway-secret-1") {
		t.Error("the log has the gateway's secret")
	}

	// The options are replaced whole; the rest is left.
	changed = m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(map[string]any{"template": "Second @@password@@"}), "realms": []string{"sms", "texts"}}).one
	if got := changed["options"].(map[string]any); got["totp"] != nil || got["gateway_authentication"] != nil || got["unheard_of"] != nil {
		t.Errorf("options are merged: %v", got)
	}
	changed = m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"display_name": "Texts", "metadata": map[string]any{"a": "b"}}).one
	if got := changed["options"].(map[string]any); got["template"] != "Second @@password@@" || changed["display_name"] != "Texts" ||
		!cmp.Equal(changed["realms"], any([]any{"sms", "texts"})) {
		t.Errorf("what was not sent has changed: %v", changed)
	}
	number = newNumber()
	m.login(newBrowser(t), m.newRequest(webClient), number)
	if got := m.gateway.wait(number, 1); !strings.HasPrefix(got.Body, "Second ") {
		t.Errorf("text %q", got.Body)
	}
	m.refuses(m.send("DELETE", "/connections/"+m.smsID(), ""), http.StatusForbidden, "operation_not_supported", "log in by this connection")
}

// Another server obeys, too.
func TestManagedConnectionReachesEveryServer(t *testing.T) {
	t.Parallel()
	b := startBeside(t, withManagement(), withoutAddressLimits())
	err := b.sql.UpdateConnection(t.Context(), "sms", func(c *storage.Connection) error {
		c.Options = b.gateway.options(map[string]any{"template": "Elsewhere @@password@@"}).JSON()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m := b.managedBy(manager)
	withinASecond(t, "changed connection", func() bool {
		number := newNumber()
		m.authorize(newBrowser(t), m.newRequest(webClient)).submit("/login/phone", "phone", number)
		return len(m.gateway.to(number)) > 0
	})
}

func TestManagedConnectionsAreMadeAndRemoved(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	body := map[string]any{"name": "sms-custom", "strategy": "sms", "options": map[string]any{"provider": "console"}, "enabled_clients": []string{webClient}}
	made := m.does(http.StatusCreated, "POST", "/connections", body).one
	id := m.text(made, "id")
	want := map[string]any{
		"id": id, "name": "sms-custom", "strategy": "sms", "options": map[string]any{"provider": "console", "brute_force_protection": true},
		"is_domain_connection": false, "realms": []any{"sms-custom"}, "enabled_clients": []any{webClient},
	}
	if diff := cmp.Diff(want, made); diff != "" || !strings.HasPrefix(id, "con_") || len(id) != 20 {
		t.Errorf("made connection (-want +got):\n%s", diff)
	}
	m.refuses(m.send("POST", "/connections", `{"name":"sms-custom","strategy":"sms","options":{"provider":"console"}}`), http.StatusConflict, "connection_conflict", "A connection with the same name already exists")
	gone := m.does(http.StatusAccepted, "DELETE", "/connections/"+id, nil).one
	if len(m.text(gone, "deleted_at")) != len("2025-05-16T07:36:35.300Z") || len(gone) != 1 {
		t.Errorf("answer of a removal: %v", gone)
	}
	m.refuses(m.send("GET", "/connections/"+id, ""), http.StatusNotFound, "inexistent_connection", "The connection does not exist")
	m.refuses(m.send("PATCH", "/connections/"+id, "{}"), http.StatusNotFound, "inexistent_connection", "The connection does not exist")
	if got := m.does(http.StatusNoContent, "DELETE", "/connections/"+id, nil); got.raw != "" {
		t.Errorf("body of 204: %q", got.raw)
	}
}

// The three shapes of a list, and its filters.
func TestManagedLists(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	for i := range 4 {
		m.does(http.StatusCreated, "POST", "/connections", map[string]any{"name": fmt.Sprintf("other-%d", i), "strategy": "sms", "options": map[string]any{"provider": "console"}})
	}
	names := func(all any) (out []string) {
		for _, o := range all.([]any) {
			out = append(out, m.text(o.(map[string]any), "name"))
		}
		return out
	}
	every := []string{"other-0", "other-1", "other-2", "other-3", "sms"}
	if got := m.does(http.StatusOK, "GET", "/connections?per_page=2&page=1", nil).list; len(got) != 2 || got[0]["name"] != "other-2" {
		t.Errorf("second page: %v", got)
	}
	got := m.does(http.StatusOK, "GET", "/connections?include_totals=true&per_page=2&page=2", nil).one
	if got["total"] != 5.0 || got["start"] != 4.0 || got["limit"] != 2.0 || !slices.Equal(names(got["connections"]), every[4:]) {
		t.Errorf("third page with totals: %v", got)
	}
	var walked []string
	for path := "/connections?include_totals=true&take=2"; ; { // take wins, as node's SDK has it
		page := m.does(http.StatusOK, "GET", path, nil).one
		if page["total"] != nil {
			t.Errorf("totals of a checkpoint: %v", page)
		}
		walked = append(walked, names(page["connections"])...)
		next, more := page["next"].(string)
		if !more {
			break
		}
		path = "/connections?take=2&from=" + url.QueryEscape(next)
	}
	if !slices.Equal(walked, every) {
		t.Errorf("walked %v", walked)
	}
	for query, want := range map[string]int{
		"strategy=sms": 5, "strategy=email": 0, "strategy=email&strategy=sms": 5, "name=sms": 1, "name=nope": 0, "per_page=0": 5, "page=9&per_page=3": 0,
	} {
		if got := m.does(http.StatusOK, "GET", "/connections?"+query, nil); len(got.list) != want || got.list == nil {
			t.Errorf("%s: %s", query, got.raw)
		}
	}
	if got := m.does(http.StatusOK, "GET", "/connections?fields=id&name=sms", nil).list[0]; len(got) != 1 || got["id"] != m.smsID() {
		t.Errorf("fields=id: %v", got)
	}
	if got := m.does(http.StatusOK, "GET", "/connections/"+m.smsID()+"?fields=options,id&include_fields=false", nil).one; got["options"] != nil || got["name"] != "sms" {
		t.Errorf("include_fields=false: %v", got)
	}
	for _, query := range []string{"nonsense=1", "per_page=101", "per_page=-1", "page=x", "take=1000", "include_totals=1", "include_fields=perhaps", "take=1&from=***"} {
		m.refuses(m.send("GET", "/connections?"+query, ""), http.StatusBadRequest, "invalid_query_string", "Query validation error: '")
	}
}

func TestManagedConnectionClients(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	path := "/connections/" + m.smsID() + "/clients"
	ids := func() (out []string) {
		for _, o := range m.does(http.StatusOK, "GET", path, nil).one["clients"].([]any) {
			out = append(out, m.text(o.(map[string]any), "client_id"))
		}
		return out
	}
	every := ids() // an open connection is everyone's
	if !slices.Contains(every, webClient) || !slices.Contains(every, manager) {
		t.Errorf("clients of an open connection: %v", every)
	}
	change := func(id string, status bool) []map[string]any {
		return []map[string]any{{"client_id": id, "status": status}}
	}
	if got := m.does(http.StatusNoContent, "PATCH", path, change(webClient, false)); got.raw != "" {
		t.Errorf("body of 204: %q", got.raw)
	}
	if got := ids(); slices.Contains(got, webClient) || len(got) != len(every)-1 {
		t.Errorf("after taking one away: %v", got)
	}
	for _, id := range every {
		m.does(http.StatusNoContent, "PATCH", path, change(id, false))
	}
	// Who reads a connection that was taken from all, and writes it back, opens it to nobody.
	read := m.does(http.StatusOK, "GET", "/connections/"+m.smsID(), nil).one
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"enabled_clients": read["enabled_clients"], "options": read["options"]})
	if got := ids(); len(got) != 0 {
		t.Errorf("after taking all away: %v", got)
	}
	if got := m.authorize(newBrowser(t), m.newRequest(webClient)).url.Query().Get("error"); got != "unauthorized_client" {
		t.Errorf("login of an application that the connection was taken from: %q", got)
	}
	m.does(http.StatusNoContent, "PATCH", path, change(webClient, true))
	m.authorize(newBrowser(t), m.newRequest(webClient)).wants(http.StatusOK)
	if got := ids(); !slices.Equal(got, []string{webClient}) {
		t.Errorf("after giving it to one: %v", got)
	}
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"enabled_clients": []string{}})
	if got := ids(); len(got) != len(every) {
		t.Errorf("an empty list means everyone: %v", got)
	}
	for _, body := range []string{"[]", "{}", `[{"client_id":"web"}]`, `[{"status":true}]`, `[{"client_id":1,"status":true}]`, "null"} {
		m.refuses(m.send("PATCH", path, body), http.StatusBadRequest, "invalid_body", "Payload validation error")
	}
	m.refuses(m.send("GET", "/connections/con_nope/clients", ""), http.StatusNotFound, "inexistent_connection", "does not exist")
}

// Whatever is wrong with a body, the answer is Auth0's, and nothing is written.
func TestManagementBadInput(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	paths := []string{"/connections", "/clients", "/resource-servers", "/client-grants", "/users"}
	for _, path := range paths {
		m.refuses(m.send("POST", path, `{"name":"a"}`, "Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
		m.refuses(m.send("POST", path, `{"name":"a"}`, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
		m.refuses(m.send("POST", path, `{"name":"`+strings.Repeat("a", 300<<10)+`"}`), http.StatusRequestEntityTooLarge, "", "greater than maximum allowed")
		for _, body := range []string{"{", "}", `{"name":}`, `{"a":1}{"b":2}`, "\x00"} {
			m.refuses(m.send("POST", path, body), http.StatusBadRequest, "", "Invalid request payload JSON format")
		}
		for _, body := range []string{"[]", "null", `"text"`, "1", "{}"} {
			m.refuses(m.send("POST", path, body), http.StatusBadRequest, "invalid_body", "Payload validation error")
		}
	}
	connection := func(more string) string {
		return `{"name":"c","strategy":"sms","options":{"provider":"console"}` + more + `}`
	}
	client := func(more string) string { return `{"name":"c"` + more + `}` }
	api := func(more string) string { return `{"identifier":"https://a.example"` + more + `}` }
	user := func(more string) string { return `{"connection":"sms","phone_number":"+447400100001"` + more + `}` }
	for _, tt := range []struct{ path, body, message string }{
		{"/connections", connection(`,"unknown":1`), "Additional properties not allowed: unknown"},
		{"/connections", connection(`,"+447400100001":1`), "Additional properties not allowed: (unnamed)"},
		{"/connections", `{"strategy":"sms"}`, "Missing required property: name"},
		{"/connections", `{"name":"c"}`, "Missing required property: strategy"},
		{"/connections", `{"name":"c","strategy":"auth0"}`, "No enum match"},
		{"/connections", `{"name":"c","strategy":7}`, "No enum match"},
		{"/connections", `{"name":"a b","strategy":"sms"}`, "String does not match pattern"},
		{"/connections", `{"name":"` + strings.Repeat("a", 129) + `","strategy":"sms"}`, "String does not match pattern"},
		{"/connections", `{"name":"c","strategy":"sms","options":[]}`, "Expected type object' on property options"},
		{"/connections", `{"name":"c","strategy":"sms","options":"x"}`, "Expected type object"},
		{"/connections", `{"name":"c","strategy":"sms","options":{"provider":"pigeon"}}`, "options.provider"},
		{"/connections", `{"name":"c","strategy":"sms","options":{"provider":"sms_gateway"}}`, "options.gateway_url"},
		{"/connections", `{"name":"c","strategy":"sms","options":{"provider":"console","totp":{"length":3}}}`, "totp.length"},
		{"/connections", `{"name":"c","strategy":"sms","options":{"provider":"console","totp":{"length":"x"}}}`, "totp.length"},
		{"/connections", connection(`,"realms":"sms"`), "Expected type array' on property realms"},
		{"/connections", connection(`,"is_domain_connection":"yes"`), "Expected type boolean"},
		{"/connections", connection(`,"metadata":{"a":1}`), "Expected type object"},
		{"/connections", connection(`,"authentication":1`), "Expected type object"},
		{"/clients", client(`,"unknown":1`), "Additional properties not allowed: unknown"},
		{"/clients", client(`,"client_id":"mine"`), "Additional properties not allowed: client_id"},
		{"/clients", `{"app_type":"spa"}`, "Missing required property: name"},
		{"/clients", `{"name":7}`, "Expected type string' on property name"},
		{"/clients", client(`,"app_type":"toaster"`), "app_type"},
		{"/clients", client(`,"callbacks":["http://example.com/cb"]`), "callbacks[0]"},
		{"/clients", client(`,"callbacks":"https://example.com/cb"`), "Expected type array"},
		{"/clients", client(`,"oidc_conformant":false`), "oidc_conformant"},
		{"/clients", client(`,"jwt_configuration":{"alg":"HS256"}`), "id_token_signed_response_alg"},
		{"/clients", client(`,"jwt_configuration":{"lifetime_in_seconds":1}`), "jwt_configuration.lifetime_in_seconds"},
		{"/clients", client(`,"app_type":"non_interactive","token_endpoint_auth_method":"none"`), "token_endpoint_auth_method"},
		{"/resource-servers", api(`,"unknown":1`), "Additional properties not allowed: unknown"},
		{"/resource-servers", `{"identifier":7}`, "Expected type string"},
		{"/resource-servers", `{"identifier":""}`, "identifier"},
		{"/resource-servers", api(`,"signing_alg":"HS256"`), "signing_alg"},
		{"/resource-servers", api(`,"token_lifetime":5`), "token_lifetime"},
		{"/resource-servers", api(`,"token_lifetime":"day"`), "Expected type integer"},
		{"/resource-servers", api(`,"scopes":[{"value":"a b"}]`), "scopes[0].value"},
		{"/resource-servers", api(`,"token_lifetime_for_web":60`), "token_lifetime_for_web"},
		{"/resource-servers", `{"identifier":"` + m.issuer + `mine"}`, "identifier"},
		{"/client-grants", `{"client_id":"web"}`, "audience"},
		{"/client-grants", `{"client_id":"web","audience":"` + managementAudience(m.issuer) + `","scope":["fly"]}`, "no such scope"},
		{"/client-grants", `{"client_id":"web","audience":"` + managementAudience(m.issuer) + `","scope":[],"subject_type":"user"}`, "subject_type"},
		{"/users", user(`,"email":"a@example.com"`), "Additional properties not allowed: email"},
		{"/users", user(`,"blocked":"yes"`), "Expected type boolean' on property blocked"},
		{"/users", user(`,"app_metadata":[]`), "Expected type object' on property app_metadata"},
		{"/users", user(`,"user_id":"a b"`), "user_id"},
		{"/users", `{"connection":"sms"}`, "Missing required property: phone_number"},
		{"/users", `{"phone_number":"+447400100001"}`, "Missing required property: connection"},
		{"/users", `{"connection":"sms","phone_number":"07400100001"}`, "String does not match pattern"},
		{"/users", `{"connection":"sms","phone_number":"+12"}`, "on property phone_number"},
		{"/users", `{"connection":"sms","phone_number":7}`, "Expected type string"},
	} {
		m.refuses(m.send("POST", tt.path, tt.body), http.StatusBadRequest, "invalid_body", tt.message)
	}
	m.refuses(m.send("POST", "/users", `{"connection":"email","phone_number":"+447400100001"}`), http.StatusBadRequest, "inexistent_connection", "does not exist")
	for path, want := range map[string]int{"/connections": 1, "/users": 0, "/resource-servers": 2} {
		if got := m.does(http.StatusOK, "GET", path, nil); len(got.list) != want {
			t.Errorf("%s after all that was refused: %s", path, got.raw)
		}
	}
	m.refuses(m.send("PATCH", "/connections/"+m.smsID(), `{"name":"other"}`), http.StatusBadRequest, "invalid_body", "Additional properties not allowed: name")
	m.refuses(m.send("PATCH", "/connections/"+m.smsID(), `{"options":{"provider":"sms_gateway"}}`), http.StatusBadRequest, "invalid_body", "gateway_url")
	m.refuses(m.send("GET", "/roles", ""), http.StatusNotFound, "", "Not Found")
	m.refuses(m.send("PUT", "/users", "{}"), http.StatusMethodNotAllowed, "", "Method Not Allowed")
	if strings.Contains(m.logs.String(), "447400100001") {
		t.Error("the log has a number")
	}
}

// What the file declares is shown, without secrets, and not changed.
func TestDeclaredThingsAreShownAndNotChanged(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs(), withConfig(func(c *config.Config) {
		c.Connections = []config.Connection{{Name: "sms", Strategy: "sms", Options: config.NewOptions(
			`{"provider":"twilio","twilio_sid":"AC00000000000000000000000000000000","twilio_token":"declared-token","from":"+12345678"}`)}}
	}))
	shown := m.does(http.StatusOK, "GET", "/connections/"+m.smsID(), nil)
	if shown.one["options"].(map[string]any)["provider"] != "twilio" || strings.Contains(shown.raw, "declared-token") {
		t.Errorf("declared connection: %s", shown.raw)
	}
	grants := m.does(http.StatusOK, "GET", "/client-grants?client_id="+machine, nil).list
	if len(grants) != 1 || grants[0]["audience"] != purchasing {
		t.Fatalf("client grants of a machine: %v", grants)
	}
	for method, paths := range map[string][]string{
		"PATCH":  {"/connections/" + m.smsID(), "/clients/" + webClient, "/resource-servers/" + escaped(purchasing), "/resource-servers/" + escaped(managementAudience(m.issuer)), "/client-grants/" + m.text(grants[0], "id")},
		"DELETE": {"/connections/" + m.smsID(), "/clients/" + webClient, "/resource-servers/" + escaped(purchasing), "/client-grants/" + m.text(grants[0], "id")},
		"POST":   {"/clients/" + webClient + "/rotate-secret"},
	} {
		for _, path := range paths {
			m.refuses(m.send(method, path, "{}"), http.StatusForbidden, "operation_not_supported", "configuration file")
		}
	}
	m.refuses(m.send("POST", "/connections", `{"name":"sms","strategy":"sms","options":{"provider":"console"}}`), http.StatusConflict, "connection_conflict", "same name")
	m.refuses(m.send("POST", "/resource-servers", `{"identifier":"`+purchasing+`"}`), http.StatusConflict, "resource_server_conflict", "same identifier")
	m.refuses(m.send("POST", "/client-grants", `{"client_id":"`+machine+`","audience":"`+purchasing+`","scope":[]}`), http.StatusConflict, "client_grant_conflict", "already exists")
}

func TestManagedClients(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(nil)})
	made := m.does(http.StatusCreated, "POST", "/clients", map[string]any{
		"name": "Shop", "app_type": "regular_web", "callbacks": []string{m.callback}, "oidc_conformant": true, "jwt_configuration": map[string]any{"alg": "ES256"}}).one
	id, first := m.text(made, "client_id"), m.text(made, "client_secret")
	if diff := cmp.Diff(map[string]any{"alg": "ES256"}, made["jwt_configuration"]); diff != "" || made["token_endpoint_auth_method"] != "client_secret_post" {
		t.Errorf("made client: %v", made)
	}
	exchange := func(secret string) tokens {
		q := m.newRequest(id)
		return m.exchange(id, q, m.login(newBrowser(t), q, newNumber()).answer().Get("code"), "client_secret", secret)
	}
	if got := exchange(first); got.status != http.StatusOK {
		t.Errorf("exchange: %d %s", got.status, got.Description)
	}
	read := m.does(http.StatusOK, "GET", "/clients/"+id, nil)
	if read.one["name"] != "Shop" || strings.Contains(read.raw, first) {
		t.Errorf("read client: %s", read.raw)
	}
	second := m.text(m.does(http.StatusOK, "POST", "/clients/"+id+"/rotate-secret", nil).one, "client_secret")
	if got := exchange(first); got.Error != "invalid_client" {
		t.Errorf("with the secret before: %d %s", got.status, got.Error)
	}
	if got := exchange(second); got.status != http.StatusOK {
		t.Errorf("with the new secret: %d %s", got.status, got.Description)
	}
	changed := m.does(http.StatusOK, "PATCH", "/clients/"+id, map[string]any{"name": "Store", "web_origins": []string{"https://store.example"}}).one
	if changed["name"] != "Store" || !cmp.Equal(changed["callbacks"], any([]any{m.callback})) || changed["client_secret"] != nil {
		t.Errorf("changed client: %v", changed)
	}
	bare := m.does(http.StatusCreated, "POST", "/clients", map[string]any{"name": "Later"}).one // its addresses are not known yet
	spa := m.does(http.StatusCreated, "POST", "/clients", map[string]any{"name": "Page", "app_type": "spa", "callbacks": []string{"http://localhost:5173/"}}).one
	if spa["client_secret"] != nil || spa["require_pkce"] != true || spa["token_endpoint_auth_method"] != "none" {
		t.Errorf("page: %v", spa)
	}
	m.refuses(m.send("POST", "/clients/"+m.text(spa, "client_id")+"/rotate-secret", ""), http.StatusBadRequest, "invalid_body", "without a secret")
	list := m.does(http.StatusOK, "GET", "/clients?app_type=spa,regular_web&include_totals=true&per_page=100&fields=client_id", nil).one
	for _, want := range []string{id, m.text(bare, "client_id"), m.text(spa, "client_id"), webClient} {
		if !slices.ContainsFunc(list["clients"].([]any), func(o any) bool { return o.(map[string]any)["client_id"] == want }) {
			t.Errorf("the list lacks %s", want)
		}
	}
	m.does(http.StatusNoContent, "DELETE", "/clients/"+id, nil)
	m.does(http.StatusNoContent, "DELETE", "/clients/"+id, nil)
	m.refuses(m.send("GET", "/clients/"+id, ""), http.StatusNotFound, "inexistent_client", "The client does not exist")
	m.refuses(m.send("PATCH", "/clients/"+id, "{}"), http.StatusNotFound, "inexistent_client", "The client does not exist")
	if got := m.authorize(newBrowser(t), m.newRequest(id)); got.status != http.StatusBadRequest {
		t.Errorf("login at a removed client: %d", got.status)
	}
}

func TestManagedAPIsAndGrants(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	const identifier = "https://orders.example.com/"
	made := m.does(http.StatusCreated, "POST", "/resource-servers", map[string]any{
		"identifier": identifier, "name": "Orders", "scopes": []map[string]any{{"value": "read:orders", "description": "see orders"}}, "token_lifetime": 7200}).one
	id := m.text(made, "id")
	if made["signing_alg"] != "ES256" || made["users"] != "any" || made["token_lifetime"] != 7200.0 || made["is_system"] != false || len(id) != 24 {
		t.Errorf("made API: %v", made)
	}
	m.refuses(m.send("POST", "/resource-servers", `{"identifier":"`+identifier+`"}`), http.StatusConflict, "resource_server_conflict", "same identifier")
	for _, by := range []string{id, escaped(identifier)} {
		if got := m.does(http.StatusOK, "GET", "/resource-servers/"+by, nil).one; got["name"] != "Orders" {
			t.Errorf("by %s: %v", by, got)
		}
	}
	if got := m.does(http.StatusOK, "PATCH", "/resource-servers/"+id, map[string]any{"name": "All orders"}).one; got["name"] != "All orders" || got["token_lifetime"] != 7200.0 {
		t.Errorf("changed API: %v", got)
	}
	grant := m.does(http.StatusCreated, "POST", "/client-grants", map[string]any{"client_id": machine, "audience": identifier, "scope": []string{"read:orders"}}).one
	if got := m.machineToken(machine, identifier); got.status != http.StatusOK || got.Scope != "read:orders" {
		t.Errorf("token: %d %s", got.status, got.Scope)
	}
	grantPath := "/client-grants/" + m.text(grant, "id")
	if got := m.does(http.StatusOK, "PATCH", grantPath, map[string]any{"scope": []string{}}).one; !cmp.Equal(got["scope"], any([]any{})) {
		t.Errorf("changed grant: %v", got)
	}
	if diff := cmp.Diff("", m.machineToken(machine, identifier).Scope); diff != "" {
		t.Errorf("scope after the change (-want +got):\n%s", diff)
	}
	m.does(http.StatusOK, "GET", grantPath, nil)
	if got := m.does(http.StatusOK, "GET", "/client-grants?audience="+url.QueryEscape(identifier)+"&include_totals=true", nil).one; got["total"] != 1.0 {
		t.Errorf("grants of the API: %v", got)
	}
	m.does(http.StatusNoContent, "DELETE", grantPath, nil)
	m.does(http.StatusNoContent, "DELETE", grantPath, nil)
	m.refuses(m.send("GET", grantPath, ""), http.StatusNotFound, "inexistent_client_grant", "does not exist")
	m.refuses(m.send("PATCH", grantPath, "{}"), http.StatusNotFound, "inexistent_client_grant", "does not exist")
	if got := m.machineToken(machine, identifier); got.status != http.StatusForbidden {
		t.Errorf("token without a grant: %d", got.status)
	}
	m.refuses(m.send("POST", "/client-grants", `{"client_id":"nobody","audience":"`+identifier+`","scope":[]}`), http.StatusNotFound, "inexistent_client", "does not exist")
	m.refuses(m.send("POST", "/client-grants", `{"client_id":"machine","audience":"urn:none","scope":[]}`), http.StatusNotFound, "inexistent_resource_server", "does not exist")
	m.does(http.StatusNoContent, "DELETE", "/resource-servers/"+escaped(identifier), nil)
	m.does(http.StatusNoContent, "DELETE", "/resource-servers/"+escaped(identifier), nil)
	m.refuses(m.send("GET", "/resource-servers/"+id, ""), http.StatusNotFound, "inexistent_resource_server", "does not exist")
}

func TestManagedUsers(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs(), withoutAddressLimits(), withConfig(func(c *config.Config) { c.Connections = nil }))
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(map[string]any{"disable_signup": true})})
	number := newNumber()
	made := m.does(http.StatusCreated, "POST", "/users", map[string]any{
		"connection": "sms", "phone_number": number, "user_id": "0123456789abcdef01234567",
		"app_metadata": map[string]any{"employee_id": "0291", "plan": map[string]any{"level": 3}}, "user_metadata": map[string]any{"colour": "red"}}).one
	const id = "sms|0123456789abcdef01234567"
	want := map[string]any{
		"user_id": id, "phone_number": number, "phone_verified": false, "name": number, "blocked": false,
		"identities":    []any{map[string]any{"user_id": "0123456789abcdef01234567", "provider": "sms", "connection": "sms", "isSocial": false}},
		"app_metadata":  map[string]any{"employee_id": "0291", "plan": map[string]any{"level": 3.0}},
		"user_metadata": map[string]any{"colour": "red"},
		"created_at":    made["created_at"], "updated_at": made["updated_at"],
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made user (-want +got):\n%s", diff)
	}
	m.refuses(m.send("POST", "/users", `{"connection":"sms","phone_number":"`+number+`"}`), http.StatusConflict, "auth0_idp_error", "The user already exists.")

	// What app_metadata says are attributes, which tokens for APIs have.
	b := newBrowser(t)
	m.assign(id, purchasing)
	q := m.forPurchasing(webClient)
	login := m.exchange(webClient, q, m.login(b, q, number).answer().Get("code"))
	if got := claims(t, login.AccessToken); got["employee_id"] != "0291" || got["sub"] != id {
		t.Errorf("claims: %v", got)
	}
	path := "/users/" + escaped(id)
	read := m.does(http.StatusOK, "GET", path, nil).one
	if read["phone_verified"] != true || read["last_login"] == nil {
		t.Errorf("after a login: %v", read)
	}
	changed := m.does(http.StatusOK, "PATCH", path, map[string]any{"app_metadata": map[string]any{"plan": nil, "employee_id": "7"}, "user_metadata": map[string]any{"size": 2}}).one
	if !cmp.Equal(changed["app_metadata"], any(map[string]any{"employee_id": "7"})) || !cmp.Equal(changed["user_metadata"], any(map[string]any{"colour": "red", "size": 2.0})) {
		t.Errorf("merged metadata: %v", changed)
	}
	if got := m.does(http.StatusOK, "PATCH", path, map[string]any{"user_metadata": map[string]any{}}).one; got["user_metadata"] != nil || got["app_metadata"] == nil {
		t.Errorf("emptied metadata: %v", got)
	}
	for _, search := range []string{
		`phone_number:"` + number + `"`, `phone_number:\` + number, `user_id:"` + id + `"`, `user_id:"nobody" OR phone_number:"` + number + `"`,
	} {
		got := m.does(http.StatusOK, "GET", "/users?search_engine=v3&q="+url.QueryEscape(search), nil).list
		if len(got) != 1 || got[0]["user_id"] != id {
			t.Errorf("%s: %v", search, got)
		}
	}
	if got := m.does(http.StatusOK, "GET", "/users?include_totals=true&q="+url.QueryEscape(`phone_number:"+819099999999"`), nil).one; got["total"] != 0.0 || got["length"] != 0.0 {
		t.Errorf("nobody's number: %v", got)
	}
	for _, search := range []string{"phone_number:*", "email:a", "a AND b", "user_id", "(a)"} {
		if search == "phone_number:*" {
			continue // a value like any other, that is no number
		}
		m.refuses(m.send("GET", "/users?q="+url.QueryEscape(search), ""), http.StatusBadRequest, "invalid_query_string", "q must be")
	}
	for _, query := range []string{"sort=created_at:1", "search_engine=v2", "take=1"} {
		m.refuses(m.send("GET", "/users?"+query, ""), http.StatusBadRequest, "invalid_query_string", "")
	}
	m.refuses(m.send("GET", "/users?per_page=100&page=10", ""), http.StatusBadRequest, "invalid_paging", "first 1000 records")

	// Blocking ends sessions and tokens, as by command.
	m.does(http.StatusOK, "PATCH", path, map[string]any{"blocked": true})
	if got := m.introspect(purchasingBackend, login.AccessToken, asSecret...); got["active"] != false {
		t.Errorf("the token of a blocked person: %v", got)
	}
	if got := m.authorize(b, m.newRequest(webClient).with("prompt", "none")); got.url.Query().Get("error") != "login_required" {
		t.Errorf("the session of a blocked person: %s", got.url)
	}
	m.does(http.StatusOK, "PATCH", path, map[string]any{"blocked": false})

	other := newNumber()
	if got := m.does(http.StatusOK, "PATCH", path, map[string]any{"phone_number": other, "connection": "sms"}).one; got["phone_number"] != other || got["phone_verified"] != false {
		t.Errorf("another number: %v", got)
	}
	if got := m.does(http.StatusOK, "PATCH", path, map[string]any{"phone_verified": true}).one; got["phone_verified"] != true {
		t.Errorf("verified by the operator: %v", got)
	}
	list := m.does(http.StatusOK, "GET", "/users?include_totals=true", nil).one
	if list["total"] != 1.0 || list["length"] != 1.0 || list["limit"] != 50.0 || list["start"] != 0.0 {
		t.Errorf("list: %v", list)
	}
	m.does(http.StatusNoContent, "DELETE", path, nil)
	m.does(http.StatusNoContent, "DELETE", path, nil)
	m.refuses(m.send("GET", path, ""), http.StatusNotFound, "inexistent_user", "The user does not exist.")
	m.refuses(m.send("PATCH", path, "{}"), http.StatusNotFound, "inexistent_user", "The user does not exist.")
	m.refuses(m.send("POST", "/users", `{"connection":"sms","phone_number":"`+other+`","user_id":"0123456789abcdef01234567"}`), http.StatusConflict, "auth0_idp_error", "already exists")
	for _, hidden := range []string{number[4:], other[4:]} {
		if strings.Contains(m.logs.String(), hidden) {
			t.Error("the log has a number")
		}
	}
}

// With a schema, app_metadata is held to it.
func TestManagedUsersAreHeldToTheSchema(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withConfig(func(c *config.Config) {
		c.People.Attributes = config.Attributes{"employee_id": {Type: "string", Required: true, Unique: true}, "level": {Type: "integer"}}
	}))
	person := func(metadata string) string {
		return `{"connection":"sms","phone_number":"` + newNumber() + `","app_metadata":` + metadata + `}`
	}
	made := m.send("POST", "/users", person(`{"employee_id":"1","level":12345678901234567,"plan":{"a":[1]}}`))
	if made.status != http.StatusCreated || !strings.Contains(made.raw, `"level":12345678901234567`) {
		t.Errorf("made: %d %s", made.status, made.raw)
	}
	for metadata, message := range map[string]string{`{"level":1}`: "employee_id", `{"employee_id":"2","level":"x"}`: "level", `{"employee_id":2}`: "employee_id"} {
		m.refuses(m.send("POST", "/users", person(metadata)), http.StatusBadRequest, "invalid_body", message)
	}
	m.refuses(m.send("POST", "/users", person(`{"employee_id":"1"}`)), http.StatusConflict, "auth0_idp_error", "employee_id")
}

// Changes at the same time are all kept, or refused: none is lost.
func TestRacingChangesOfAConnection(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	done := make(chan int, 20)
	for i := range cap(done) {
		go func() {
			body, _ := json.Marshal(map[string]any{"metadata": map[string]string{"n": fmt.Sprint(i)}, "options": map[string]any{"provider": "console", "n": i}})
			done <- m.send("PATCH", "/connections/"+m.smsID(), string(body)).status
		}()
	}
	for range cap(done) {
		if status := <-done; status != http.StatusOK {
			t.Errorf("a change: %d", status)
		}
	}
	got := m.does(http.StatusOK, "GET", "/connections/"+m.smsID(), nil).one
	n := got["options"].(map[string]any)["n"]
	if fmt.Sprint(n) != got["metadata"].(map[string]any)["n"] {
		t.Errorf("halves of two changes: %v", got)
	}
}
