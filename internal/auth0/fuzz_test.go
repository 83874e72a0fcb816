package auth0

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// told checks what is said of an export: one short line, which quotes no values.
func told(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n") {
		t.Fatalf("told: %q", text)
	}
}

// FuzzClients reads exports of clients. What is taken reads the same again, and nothing of
// a secret is in what is told.
func FuzzClients(f *testing.F) {
	for _, list := range []string{
		`[{"client_id":"a","name":"A","client_secret":"the-secret","app_type":"regular_web","callbacks":["https://a.example/cb"],"grant_types":["authorization_code"],"jwt_configuration":{"alg":"HS256"}}]`,
		`{"total":1,"start":0,"limit":50,"clients":[{"client_id":"a","app_type":"spa","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"is_first_party":false}]}`,
		`{"total":9,"clients":[{}]}`, `[{"global":true}]`, `[{"client_id":1}]`, `[{"client_id":"a","client_id":"b"}]`, `[null]`, `[]`, `null`, `{`, "\ufeff[]", `[{"addons":{"x":1},"mobile":{}}]`, "[{\"name\":\"\xff\"}]",
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		got, err := ReadClients(strings.NewReader(list))
		if err != nil {
			told(t, err.Error())
			return
		}
		again, err := ReadClients(strings.NewReader(list))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%q is read as %+v and as %+v, %v", list, got, again, err)
		}
		for _, c := range got {
			if c.Err != nil {
				told(t, c.Err.Error())
				continue
			}
			if c.AppType == "" || c.TokenEndpointAuthMethod == "" || c.Secret != "" && !c.NeedsSecret() {
				t.Fatalf("%q: %+v", list, c)
			}
			for _, note := range c.Notes {
				if len(c.Secret) > 20 && strings.Contains(note, c.Secret) {
					t.Fatalf("a note quotes the secret: %s", note)
				}
			}
		}
	})
}

// FuzzConnections reads exports of connections: the options stay what they are, and a
// list that is written of them reads the same.
func FuzzConnections(f *testing.F) {
	for _, list := range []string{
		`[{"id":"con_1","name":"sms","strategy":"sms","options":{"provider":"twilio","twilio_sid":"x","twilio_token":"the-token","n":1e400},"enabled_clients":["a","b"]}]`,
		`{"total":1,"connections":[{"name":"sms","strategy":"sms","options":null}]}`, `[{"name":"a"},{"name":"a"}]`, `[{"options":{"a":1,"a":2}}]`, `[{"name":7}]`, `[1]`, `{"connections":{}}`, `[`,
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		got, err := ReadConnections(strings.NewReader(list))
		if err != nil {
			told(t, err.Error())
			return
		}
		got = slices.DeleteFunc(got, func(c Connection) bool { return c.Err != nil })
		out := make([]map[string]any, len(got))
		for i, c := range got {
			out[i] = map[string]any{"name": c.Name, "strategy": c.Strategy, "options": c.Options, "enabled_clients": c.Settings.EnabledClients}
			if !c.Settings.Restricted && len(c.Settings.EnabledClients) > 0 {
				t.Fatalf("%q: %+v", list, c.Settings)
			}
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		again, err := ReadConnections(strings.NewReader(string(text)))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%q, written as %s: %v", list, text, err)
		}
		for i := range again {
			if again[i].Name != got[i].Name || !sameOptions(again[i].Options, got[i].Options) {
				t.Fatalf("%q, written as %s, is read as %+v", list, text, again[i])
			}
		}
	})
}

func sameOptions(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return (len(a) == 0 || string(a) == "null") && (len(b) == 0 || string(b) == "null")
	}
	decode := func(raw json.RawMessage) (v any) {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		_ = d.Decode(&v) // it was read
		return v
	}
	return reflect.DeepEqual(decode(a), decode(b))
}

// A list in which two readers would see two things is not taken.
func TestAMemberTwiceIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, list := range []string{`[{"client_id":"a","client_id":"b"}]`, `{"clients":[{"client_id":"a"}],"clients":[]}`, `[{"x":{"y":1,"y":2}}]`} {
		if got, err := ReadClients(strings.NewReader(list)); err == nil && (len(got) != 1 || got[0].Err == nil) {
			t.Errorf("%s: %+v", list, got)
		}
	}
}
