package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of many that make one client grant at once, one does: none is told that it did while
// another's scopes are in force.
func TestRacingClientGrantsAreMadeOnce(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs())
	done := make(chan int, 10)
	for i := range cap(done) {
		scope := []string{"read:vendors", "write:vendors"}[:1+i%2]
		go func() {
			body, _ := json.Marshal(map[string]any{"client_id": basicClient, "audience": purchasing, "scope": scope})
			done <- m.send("POST", "/client-grants", string(body)).status
		}()
	}
	made := 0
	for range cap(done) {
		switch status := <-done; status {
		case http.StatusCreated:
			made++
		case http.StatusConflict:
		default:
			t.Errorf("a grant: %d", status)
		}
	}
	if made != 1 {
		t.Errorf("%d grants were made, want 1", made)
	}
}

// Who changes a client grant does not give it again when another takes it away.
func TestChangesDoNotBringClientGrantsBack(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs())
	for range 5 {
		made := m.does(http.StatusCreated, "POST", "/client-grants", map[string]any{"client_id": machine, "audience": reports, "scope": []string{"read:reports"}}).one
		path := "/client-grants/" + m.text(made, "id")
		changed := make(chan int, 4)
		for range cap(changed) {
			go func() { changed <- m.send("PATCH", path, `{"scope":[]}`).status }()
		}
		m.does(http.StatusNoContent, "DELETE", path, nil)
		for range cap(changed) {
			if status := <-changed; status != http.StatusOK && status != http.StatusNotFound {
				t.Errorf("a change: %d", status)
			}
		}
		m.refuses(m.send("GET", path, ""), http.StatusNotFound, "inexistent_client_grant", "does not exist")
		if got := m.machineToken(machine, reports); got.status != http.StatusForbidden {
			t.Errorf("a token by a grant that was taken away: %d", got.status)
		}
	}
}

// What secrets connections have, and what is known of people, is not in the database's
// files and not in the log, however the requests went.
func TestManagedSecretsAreSealedAndUnlogged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	m := startManaged(t, withDatabase(file))
	const token, shared, plan, colour = "the-token-of-twilio", "the-secret-of-a-gateway", "the-plan-of-somebody", "the-colour-of-somebody"
	number := newNumber()
	m.does(http.StatusCreated, "POST", "/connections", map[string]any{"name": "vendor", "strategy": "sms", "options": map[string]any{
		"provider": "twilio", "twilio_sid": "AC00000000000000000000000000000000", "twilio_token": token, "from": "+12345678"}})
	m.does(http.StatusOK, "PATCH", "/connections/"+m.smsID(), map[string]any{"options": m.toGateway(map[string]any{
		"gateway_authentication": map[string]any{"method": "bearer", "audience": "urn:a", "secret": shared}})})
	user := m.does(http.StatusCreated, "POST", "/users", map[string]any{"connection": "sms", "phone_number": number,
		"app_metadata": map[string]any{"plan": plan}, "user_metadata": map[string]any{"colour": colour}}).one
	made := m.does(http.StatusCreated, "POST", "/clients", map[string]any{"name": "kept", "app_type": "non_interactive"}).one
	secrets := []string{token, shared, plan, colour, number[1:], m.text(made, "client_secret"), m.token}

	// Requests that fail, with secrets where none belongs.
	for _, bad := range []struct{ method, path, body string }{
		{"PATCH", "/connections/" + m.smsID(), `{"options":{"provider":"sms_gateway","gateway_url":"` + token + `","syntax":"` + shared + `"}}`},
		{"PATCH", "/connections/" + m.smsID(), `{"options":{"provider":"twilio","twilio_sid":"` + shared + `","twilio_token":7}}`},
		{"PATCH", "/connections/" + m.smsID(), `{"options":{"provider":"console","template":"{{ ` + number + ` }}","syntax":"liquid"}}`},
		{"POST", "/clients", `{"name":"x","client_secret":"` + shared + `"}`},
		{"POST", "/users", `{"connection":"sms","phone_number":"` + number + `0000000"}`},
		{"POST", "/users", `{"connection":"sms","phone_number":"` + number + `"}`},
		{"PATCH", "/users/" + escaped(number), `{"blocked":true}`},
		{"GET", "/users/" + escaped(number), ""},
		{"GET", "/users?q=" + url.QueryEscape(number), ""},
		{"GET", "/users?" + url.QueryEscape(number) + "=1", ""},
		{"GET", "/connections?from=" + url.QueryEscape(number), ""},
	} {
		if got := m.send(bad.method, bad.path, bad.body); got.status < 400 || got.status >= 500 {
			t.Errorf("%s %s: %d %s", bad.method, bad.path, got.status, got.raw)
		}
	}
	for _, path := range []string{"/clients/" + m.text(made, "client_id"), "/clients"} {
		if got := m.does(http.StatusOK, "GET", path, nil); strings.Contains(got.raw, m.text(made, "client_secret")) {
			t.Errorf("a client that is read: %s", got.raw)
		}
	}
	if got := m.does(http.StatusOK, "GET", "/users/"+escaped(m.text(user, "user_id")), nil); !strings.Contains(got.raw, plan) || !strings.Contains(got.raw, colour) {
		t.Errorf("kept: %s", got.raw)
	}
	m.shutdown()
	kept := ""
	for _, name := range []string{file, file + "-wal"} {
		raw, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		kept += string(raw)
	}
	if !strings.Contains(kept, "client_grants") {
		t.Fatal("this is no database")
	}
	for i, s := range secrets {
		if strings.Contains(kept, s) {
			t.Errorf("the database shows secret %d", i)
		}
		if strings.Contains(m.logs.String(), s) {
			t.Errorf("the log shows secret %d", i)
		}
	}
}
