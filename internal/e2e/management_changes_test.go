package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a change says of a list or an object stood there mixed with what was there before.
func TestChangesReplaceListsAndObjects(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	object := func(text string) (o any) {
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	made := m.does(http.StatusCreated, "POST", "/resource-servers", object(`{"identifier":"https://mixed.example.com",
		"scopes":[{"value":"read:a","description":"Old A"},{"value":"read:b","description":"Old B"}],"claims":{"a":"user.a"}}`)).one
	api := "/resource-servers/" + m.text(made, "id")
	connection := "/connections/" + m.smsID()
	client := "/clients/" + m.text(m.does(http.StatusCreated, "POST", "/clients", object(`{"name":"Mixed","callbacks":["https://a.example/cb","https://b.example/cb"]}`)).one, "client_id")
	for _, tt := range []struct{ path, change, property, want string }{
		{api, `{"scopes":[{"value":"read:c"}]}`, "scopes", `[{"value":"read:c"}]`},
		{api, `{"claims":{"b":"user.b"}}`, "claims", `{"b":"user.b"}`},
		{api, `{"claims":{}}`, "claims", `null`},
		{api, `{"scopes":[]}`, "scopes", `[]`},
		{connection, `{"metadata":{"a":"1","b":"2"}}`, "metadata", `{"a":"1","b":"2"}`},
		{connection, `{"metadata":{"c":"3"}}`, "metadata", `{"c":"3"}`},
		{connection, `{"authentication":{"active":true,"long":"a text that is long"}}`, "authentication", `{"active":true,"long":"a text that is long"}`},
		{connection, `{"authentication":{"active":false}}`, "authentication", `{"active":false}`},
		{connection, `{"realms":["one","two"]}`, "realms", `["one","two"]`},
		{connection, `{"realms":["three"]}`, "realms", `["three"]`},
		{client, `{"callbacks":["https://c.example/cb"]}`, "callbacks", `["https://c.example/cb"]`},
		{client, `{"callbacks":[]}`, "callbacks", `[]`},
	} {
		changed := m.does(http.StatusOK, "PATCH", tt.path, object(tt.change)).one
		if diff := cmp.Diff(object(tt.want), changed[tt.property]); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.path, tt.change, diff)
		}
		if diff := cmp.Diff(changed, m.does(http.StatusOK, "GET", tt.path, nil).one); diff != "" {
			t.Errorf("%s %s (-answer +kept):\n%s", tt.path, tt.change, diff)
		}
	}
}

// A person whose user_id was given already was an error of the server's.
func TestAPersonIsMadeOnce(t *testing.T) {
	t.Parallel()
	m := startManaged(t)
	person := func(number, id string) string {
		return `{"connection":"sms","phone_number":"` + number + `","user_id":"` + id + `"}`
	}
	taken := func(got managedAnswer) {
		t.Helper()
		m.refuses(got, http.StatusConflict, "auth0_idp_error", "The user already exists.")
	}
	number, other := newNumber(), newNumber()
	first := m.send("POST", "/users", person(number, "aaaaaaaaaaaaaaaaaaaaaaaa"))
	if first.status != http.StatusCreated {
		t.Fatalf("made: %d %s", first.status, first.raw)
	}
	taken(m.send("POST", "/users", person(number, "aaaaaaaaaaaaaaaaaaaaaaaa")))
	taken(m.send("POST", "/users", person(other, "aaaaaaaaaaaaaaaaaaaaaaaa")))
	taken(m.send("POST", "/users", person(number, "bbbbbbbbbbbbbbbbbbbbbbbb")))
	second := m.does(http.StatusCreated, "POST", "/users", map[string]any{"connection": "sms", "phone_number": other}).one
	taken(m.send("PATCH", "/users/"+escaped(m.text(second, "user_id")), `{"phone_number":"`+number+`"}`))
}

// Of many who make the same thing at once one does, and the others are told so.
func TestRacingObjectsAreMadeOnce(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs())
	for path, body := range map[string]string{
		"/users":            `{"connection":"sms","phone_number":"` + newNumber() + `","user_id":"cccccccccccccccccccccccc"}`,
		"/connections":      `{"name":"racing","strategy":"sms","options":{"provider":"console"}}`,
		"/resource-servers": `{"identifier":"https://racing.example.com"}`,
		"/client-grants":    `{"client_id":"` + machine + `","audience":"` + managementAudience(m.issuer) + `","scope":[]}`,
	} {
		answers := make(chan managedAnswer, 10)
		for range cap(answers) {
			go func() { answers <- m.send("POST", path, body) }()
		}
		made := 0
		for range cap(answers) {
			switch got := <-answers; got.status {
			case http.StatusCreated:
				made++
			case http.StatusConflict:
			default:
				t.Errorf("%s: %d %s", path, got.status, got.raw)
			}
		}
		if made != 1 {
			t.Errorf("%s: %d were made, want 1", path, made)
		}
	}
}
