package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// newMachine makes a client that acts as itself, with a client grant for the Management
// API: of all scopes when none are named. It returns its client_id, its secret and the
// path of the grant.
func (m managed) newMachine(scopes ...string) (id, hidden, grant string) {
	m.t.Helper()
	made := m.does(http.StatusCreated, "POST", "/clients", map[string]any{
		"name": "Machine", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}}).one
	id, hidden = m.text(made, "client_id"), m.text(made, "client_secret")
	return id, hidden, m.allow(id, scopes...)
}

// allow gives a client a client grant for the Management API.
func (m managed) allow(id string, scopes ...string) (path string) {
	m.t.Helper()
	grant := map[string]any{"client_id": id, "audience": managementAudience(m.issuer), "allow_all_scopes": true}
	if len(scopes) > 0 {
		delete(grant, "allow_all_scopes")
		grant["scope"] = scopes
	}
	return "/client-grants/" + m.text(m.does(http.StatusCreated, "POST", "/client-grants", grant).one, "id")
}

// as is the Management API with a new token of a client.
func (m managed) as(id, hidden string) managed {
	m.t.Helper()
	got := m.machineToken(id, managementAudience(m.issuer), "client_secret", hidden)
	if got.AccessToken == "" {
		m.t.Fatalf("management token: %d %s %s", got.status, got.Error, got.Description)
	}
	return managed{m.rig, got.AccessToken}
}

// scoped is the Management API for a new client with these scopes.
func (m managed) scoped(scopes ...string) managed {
	m.t.Helper()
	id, hidden, _ := m.newMachine(scopes...)
	return m.as(id, hidden)
}

// A client that might change clients, and nothing else, gave another one credentials
// that it knew, and was all that the other was.
func TestCredentialsTakeTheirScope(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	victim, hidden, _ := m.newMachine()
	path := "/clients/" + victim
	limited := m.scoped("read:clients", "update:clients")
	keeper := m.scoped("read:clients", "update:clients", "update:client_keys")
	keys := `{"keys":[{"kty":"EC","crv":"P-256","kid":"mine","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	for _, body := range []string{
		`{"token_endpoint_auth_method":"none","grant_types":["authorization_code"],"app_type":"native"}`,
		`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + keys + `}`,
		`{"token_endpoint_auth_method":"client_secret_basic"}`,
		`{"jwks":` + keys + `}`,
		`{"app_type":"native","grant_types":["authorization_code"],"token_endpoint_auth_method":""}`,
	} {
		got := limited.send("PATCH", path, body)
		m.refuses(got, http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: update:client_keys")
		if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("WWW-Authenticate = %q", got.header.Get("WWW-Authenticate"))
		}
	}
	m.refuses(limited.send("POST", path+"/rotate-secret", ""), http.StatusForbidden, "insufficient_scope", "update:client_keys")
	for _, property := range []string{"client_secret", "jwks_uri", "client_authentication_methods"} {
		m.refuses(limited.send("PATCH", path, `{"`+property+`":"x"}`), http.StatusBadRequest, "invalid_body", "Additional properties not allowed: "+property)
	}
	m.as(victim, hidden) // its own secret works as before

	// Who sends back what it read changes nothing, and needs no more.
	read := m.does(http.StatusOK, "GET", path, nil).one
	back := map[string]any{"name": "Renamed", "token_endpoint_auth_method": read["token_endpoint_auth_method"], "app_type": read["app_type"]}
	if got := limited.does(http.StatusOK, "PATCH", path, back).one; got["name"] != "Renamed" || got["client_secret"] != nil {
		t.Errorf("renamed: %v", got)
	}
	keeper.does(http.StatusOK, "PATCH", path, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(keys)})
	shown := m.does(http.StatusOK, "GET", path, nil).one
	limited.does(http.StatusOK, "PATCH", path, map[string]any{"jwks": shown["jwks"], "name": "Again"})
	again := keeper.does(http.StatusOK, "PATCH", path, map[string]any{"token_endpoint_auth_method": "client_secret_post"}).one
	if m.text(again, "client_secret") == hidden {
		t.Error("the secret is the old one")
	}
	if got := m.machineToken(victim, managementAudience(m.issuer), "client_secret", hidden); got.Error != "invalid_client" {
		t.Errorf("with the secret before: %d %s", got.status, got.Error)
	}
}

// A scope that was taken from a client grant worked on in tokens that were out, for a
// day.
func TestTokensFollowTheirClientGrant(t *testing.T) {
	t.Parallel()
	b := startBeside(t, withManagement(), withAPIs(), withoutAddressLimits())
	m := b.managedBy(manager)
	id, hidden, grant := m.newMachine("read:clients", "read:users", "read:connections")
	batch := m.as(id, hidden)
	business := m.does(http.StatusCreated, "POST", "/client-grants", map[string]any{"client_id": machine, "audience": reports, "scope": []string{"read:reports"}}).one
	report := m.machineToken(machine, reports).AccessToken
	backend := m.does(http.StatusCreated, "POST", "/clients", map[string]any{
		"name": "Backend", "app_type": "non_interactive", "grant_types": []string{}, "resource_server_identifier": reports}).one
	scopeThere := func() any {
		return m.introspect(m.text(backend, "client_id"), report, "client_secret", m.text(backend, "client_secret"))["scope"]
	}
	if got := scopeThere(); got != "read:reports" {
		t.Errorf("scope at the business API: %v", got)
	}

	m.does(http.StatusOK, "PATCH", grant, map[string]any{"scope": []string{"read:clients"}})
	batch.does(http.StatusOK, "GET", "/clients", nil)
	m.refuses(batch.send("GET", "/users", ""), http.StatusForbidden, "insufficient_scope", "read:users")
	m.does(http.StatusOK, "PATCH", "/client-grants/"+m.text(business, "id"), map[string]any{"scope": []string{}})
	if got := scopeThere(); got != nil && got != "" {
		t.Errorf("scope at the business API after it was taken away: %v", got)
	}

	// Another server knows within a second.
	if err := b.sql.UpdateClientGrant(t.Context(), storage.ClientID(id), storage.Audience(managementAudience(m.issuer)), func(g *storage.ClientGrant) error {
		g.Scopes = []string{"read:connections"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "narrowed client grant", func() bool {
		return batch.send("GET", "/clients", "").status == http.StatusForbidden
	})
	batch.does(http.StatusOK, "GET", "/connections", nil)
}

// A client grant that was taken away and given again brought the tokens of the one
// before back.
func TestAClientGrantMadeAgainRevivesNoToken(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	id, hidden, grant := m.newMachine("read:clients")
	before := m.as(id, hidden)
	m.does(http.StatusNoContent, "DELETE", grant, nil)
	// Tokens and grants know whole seconds.
	m.clock.Advance(time.Second)
	m.allow(id, "read:clients")
	m.refuses(before.send("GET", "/clients", ""), http.StatusUnauthorized, "", "Invalid token")
	after := m.as(id, hidden)
	after.does(http.StatusOK, "GET", "/clients", nil)
	if list := after.does(http.StatusOK, "GET", "/clients", nil).list; !slices.ContainsFunc(list, func(o map[string]any) bool { return o["client_id"] == id }) {
		t.Error("the list lacks the client itself")
	}
}
