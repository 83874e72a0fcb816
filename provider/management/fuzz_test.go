package management_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

// everything is a token that may do all.
type everything struct{ api.Token }

func (e everything) InForce(context.Context, string) (api.Token, error) { return e.Token, nil }

// plenty is a limit that never refuses.
type plenty struct{}

func (plenty) TakeLimit(context.Context, storage.Limit, time.Time) (storage.Taken, error) {
	return storage.Taken{Left: 1}, nil
}

// desk is the Management API on real stores.
type desk struct {
	*endpointtest.World
	mux *http.ServeMux
}

func newDesk(f *testing.F) *desk {
	f.Helper()
	w := endpointtest.New(f)
	builtIn := management.BuiltIn(endpointtest.Issuer)
	schema, problems := attributes.New(map[string]attributes.Attribute{"employee_id": {Type: "string", Unique: true}, "level": {Type: "integer"}})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	m, err := management.New(management.Config{
		Issuer: endpointtest.Issuer, Store: w.SQL, Vault: w.Vault, InUse: "sms", Limits: plenty{}, FileAPIs: []storage.API{builtIn},
		Tokens: everything{api.Token{APIToken: mint.APIToken{APITokenClaims: mint.APITokenClaims{
			Client: "manager", Audience: []storage.Audience{builtIn.Identifier}, Scopes: builtIn.ScopeValues(),
		}}}},
		Limit: func(storage.ClientID) storage.Limit {
			return storage.Limit{Name: "manage_client", Burst: 1, Every: time.Second}
		},
		CheckConnection: func(c storage.Connection) error {
			parsed, err := passcode.ParseConnection(c, passcode.Senders{Deps: sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{}), Console: io.Discard}})
			if err == nil {
				err = parsed.Close()
			}
			return err
		},
		Rules: phone.Rules{Countries: []string{"GB"}}, Schema: schema, Now: w.Now, Changed: func(context.Context) {},
	})
	if err != nil {
		f.Fatal(err)
	}
	d := &desk{w, http.NewServeMux()}
	for pattern, h := range map[string]web.Handler{
		"GET " + management.PathConnection: m.ShowConnection, "POST " + management.PathConnections: m.CreateConnection,
		"PATCH " + management.PathConnection: m.UpdateConnection, "DELETE " + management.PathConnection: m.RemoveConnection,
		"GET " + management.PathConnectionClients: m.ListConnectionClients, "PATCH " + management.PathConnectionClients: m.UpdateConnectionClients,
		"GET " + management.PathClient: m.ShowClient, "POST " + management.PathClients: m.CreateClient,
		"PATCH " + management.PathClient: m.UpdateClient, "DELETE " + management.PathClient: m.RemoveClient,
		"GET " + management.PathResourceServer: m.ShowAPI, "POST " + management.PathResourceServers: m.CreateAPI,
		"PATCH " + management.PathResourceServer: m.UpdateAPI, "DELETE " + management.PathResourceServer: m.RemoveAPI,
		"GET " + management.PathUsers: m.ListUsers, "GET " + management.PathUser: m.ShowUser, "POST " + management.PathUsers: m.CreateUser,
		"PATCH " + management.PathUser: m.UpdateUser, "DELETE " + management.PathUser: m.RemoveUser,
	} {
		d.mux.HandleFunc(pattern, web.StatusJSON(m.Guard(builtIn.Scopes[0].Value, h)))
	}
	return d
}

// said is an answer; one is its body, when that is an object.
type said struct {
	status int
	text   string
	one    map[string]any
}

// ask sends a request and checks what holds for each: JSON, and Auth0's errors where it
// is refused, which is never our own failure.
func (d *desk) ask(t *testing.T, method, path, body string) said {
	t.Helper()
	r := httptest.NewRequest(method, "/api/v2"+path, strings.NewReader(body))
	r = r.WithContext(reqctx.With(r.Context(), &reqctx.Request{})) // as web.Outer does
	r.Header.Set("Authorization", "Bearer a.b.c")
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	d.mux.ServeHTTP(rec, r)
	a := said{status: rec.Result().StatusCode, text: rec.Body.String()}
	if strings.HasPrefix(a.text, "{") {
		if err := strictjson.Decode([]byte(a.text), &a.one); err != nil {
			t.Fatalf("%s %s %q: %s: %v", method, path, body, a.text, err)
		}
	}
	if a.status < 400 {
		return a
	}
	keys := slices.Sorted(maps.Keys(a.one))
	if a.status >= 500 || a.one["statusCode"] != json.Number(itoa(a.status)) || a.one["error"] != http.StatusText(a.status) || a.one["message"] == "" ||
		!slices.Equal(keys, []string{"error", "message", "statusCode"}) && !slices.Equal(keys, []string{"error", "errorCode", "message", "statusCode"}) {
		t.Fatalf("%s %s %q: %d %s", method, path, body, a.status, a.text)
	}
	return a
}

func itoa(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

// FuzzConnectionBody creates and changes connections with bodies of strangers. What is
// taken reads the same when it is sent back, as Auth0's callers do to change one option.
func FuzzConnectionBody(f *testing.F) {
	for _, body := range []string{
		`{"name":"c","strategy":"sms","options":{"provider":"console"}}`, `{"options":{"provider":"console","template":"@@password@@","syntax":"md_with_macros","totp":{"time_step":180,"length":6},"mine":[1,{"a":null}]}}`,
		`{"options":{"provider":"sms_gateway","gateway_url":"https://gateway.example/","gateway_authentication":{"method":"bearer","audience":"a","secret":"s"},"from":null,"messaging_service_sid":null}}`,
		`{"options":{"provider":"twilio","twilio_sid":"AC00000000000000000000000000000000","twilio_token":"t","from":"+12345678"},"display_name":"x","realms":["a"],"metadata":{"a":"b"},"show_as_button":true}`,
		`{"enabled_clients":["web"],"is_domain_connection":true,"authentication":{"active":true},"connected_accounts":{}}`, `{"options":{"provider":"console","provider":"twilio"}}`,
		`{"options":{"n":1e400,"provider":"console"}}`, `{"options":[]}`, `{"options":null,"enabled_clients":null}`, `{"metadata":{"a":"\u0000"}}`, `[]`, `null`, `{`, "{\"display_name\":\"\xff\"}",
		`[{"client_id":"web","status":false}]`, `[{"client_id":"\u0000","status":true},{"client_id":"web","status":true}]`, `{"options":{"provider":"console","syntax":"liquid","template":"{{ code }}{% if"}}`,
		`{"name":"sms","strategy":"sms"}`, `{"name":"-","strategy":"sms"}`, `{"strategy":"auth0","name":"c"}`,
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	d := newDesk(f)
	f.Fuzz(func(t *testing.T, body string, within bool) {
		if within {
			body = `{"options":{"provider":"console","mine":` + body + `}}`
		}
		made := d.ask(t, "POST", "/connections", `{"name":"fuzzed","strategy":"sms","options":{"provider":"console"}}`)
		path := "/connections/" + made.one["id"].(string)
		defer d.ask(t, "DELETE", path, "")
		if a := d.ask(t, "POST", "/connections", body); a.status < 400 {
			at := "/connections/" + a.one["id"].(string)
			if read := d.ask(t, "GET", at, ""); read.text != a.text {
				t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
			}
			d.ask(t, "DELETE", at, "")
		}
		before := d.ask(t, "GET", path, "")
		a := d.ask(t, "PATCH", path, body)
		read := d.ask(t, "GET", path, "")
		if a.status >= 400 {
			if read.text != before.text {
				t.Fatalf("%q is refused and written: %s", body, read.text)
			}
		} else if read.text != a.text {
			t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
		}
		delete(read.one, "id")
		delete(read.one, "name")
		delete(read.one, "strategy")
		back, err := json.Marshal(read.one)
		if err != nil {
			t.Fatal(err)
		}
		a = d.ask(t, "PATCH", path, string(back))
		for _, name := range []string{"id", "name", "strategy"} {
			delete(a.one, name)
		}
		if read.one["display_name"] == nil { // as at Auth0, it is the name from the first change on
			delete(a.one, "display_name")
		}
		if diff := cmp.Diff(read.one, a.one); a.status != http.StatusOK || diff != "" {
			t.Fatalf("%q, read and sent back: %d %s", body, a.status, diff)
		}
		d.ask(t, "PATCH", path+"/clients", body)
	})
}

// FuzzUserBody is FuzzConnectionBody for people.
func FuzzUserBody(f *testing.F) {
	for _, body := range []string{
		`{"connection":"sms","phone_number":"+447400100001"}`, `{"connection":"sms","phone_number":"+447400100001","user_id":"abc","blocked":true,"phone_verified":true}`,
		`{"app_metadata":{"employee_id":"1","level":7,"free":{"a":[1,1.5,1e400,null]}},"user_metadata":{"colour":"red","":null}}`, `{"app_metadata":{"level":"x"}}`, `{"app_metadata":{"level":null}}`,
		`{"user_metadata":{"a":"\u0000"},"blocked":null}`, `{"user_metadata":{}}`, `{"user_metadata":{"a":1,"a":2}}`, `{"phone_number":"+447400100000"}`, `{"phone_number":"x"}`, `{"connection":"email"}`,
		`{"connection":"sms","phone_number":"+447400100001","user_id":"x@clients"}`, `{"connection":"sms","phone_number":"+447400100001","user_id":"sms|sms|x"}`, `{"app_metadata":{"__proto__":{}}}`, `[]`, `null`, `{`,
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	d := newDesk(f)
	f.Fuzz(func(t *testing.T, body string, within bool) {
		if within {
			body = `{"app_metadata":{"free":` + body + `}}`
		}
		if a := d.ask(t, "POST", "/users", body); a.status < 400 {
			at := "/users/" + url.PathEscape(a.one["user_id"].(string))
			if read := d.ask(t, "GET", at, ""); read.text != a.text {
				t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
			}
			d.ask(t, "DELETE", at, "")
		}
		made := d.ask(t, "POST", "/users", `{"connection":"sms","phone_number":"+447400100000","user_metadata":{"before":true}}`)
		path := "/users/" + url.PathEscape(made.one["user_id"].(string))
		defer d.ask(t, "DELETE", path, "")
		a := d.ask(t, "PATCH", path, body)
		read := d.ask(t, "GET", path, "")
		if a.status >= 400 {
			if read.text != made.text {
				t.Fatalf("%q is refused and written: %s", body, read.text)
			}
			return
		}
		if read.text != a.text {
			t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
		}
		back := map[string]any{}
		for _, name := range []string{"phone_number", "phone_verified", "blocked", "app_metadata", "user_metadata"} {
			if value, there := read.one[name]; there {
				back[name] = value
			}
		}
		text, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if a = d.ask(t, "PATCH", path, string(text)); a.text != read.text {
			t.Fatalf("%q, read and sent back: %s becomes %s", body, read.text, a.text)
		}
	})
}

// FuzzRegistrationBody is for clients and resource servers.
func FuzzRegistrationBody(f *testing.F) {
	for _, body := range []string{
		`{"name":"c"}`, `{"name":"c","app_type":"spa","callbacks":["https://app.example/cb"],"web_origins":["https://app.example"],"grant_types":["authorization_code","refresh_token"]}`,
		`{"app_type":"non_interactive","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`, `{"jwt_configuration":{"alg":"ES256"},"oidc_conformant":true}`, `{"countries":["GB"],"addresses":["192.0.2.0/24"]}`,
		`{"name":"\u202e\u0000"}`, `{"callbacks":[null,"x"]}`, `{"name":null}`, `{"identifier":"https://a.example","scopes":[{"value":"read:it","description":"x"}],"token_lifetime":60,"claims":{"n":"user.employee_id"}}`,
		`{"identifier":"urn:a","token_lifetime":1.5}`, `{"identifier":"urn:a","token_lifetime":99999999999999999999}`, `{"identifier":"\u0000"}`, `{"identifier":"urn:a","signing_alg":"none"}`, `{"scopes":[{"value":"a b"}]}`, `[]`, `{`,
	} {
		f.Add(body)
	}
	d := newDesk(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, kind := range []struct{ folder, id, first string }{
			{"/clients", "client_id", `{"name":"fuzzed"}`}, {"/resource-servers", "id", `{"identifier":"urn:fuzzed"}`},
		} {
			if a := d.ask(t, "POST", kind.folder, body); a.status < 400 {
				at := kind.folder + "/" + a.one[kind.id].(string)
				delete(a.one, "client_secret")
				if read := d.ask(t, "GET", at, ""); !cmp.Equal(read.one, a.one) {
					t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
				}
				d.ask(t, "DELETE", at, "")
			}
			made := d.ask(t, "POST", kind.folder, kind.first)
			at := kind.folder + "/" + made.one[kind.id].(string)
			before := d.ask(t, "GET", at, "")
			a := d.ask(t, "PATCH", at, body)
			delete(a.one, "client_secret")
			switch read := d.ask(t, "GET", at, ""); {
			case a.status >= 400 && read.text != before.text:
				t.Fatalf("%q is refused and written: %s", body, read.text)
			case a.status < 400 && !cmp.Equal(read.one, a.one):
				t.Fatalf("%q is told as %s and read as %s", body, a.text, read.text)
			}
			d.ask(t, "DELETE", at, "")
		}
	})
}

// FuzzUserSearch answers any search with people whose number or ID stands in it, or with
// Auth0's error.
func FuzzUserSearch(f *testing.F) {
	for _, q := range []string{
		`phone_number:"+447400100000"`, `user_id:"sms|one"`, `user_id:"sms|one" OR phone_number:"+447400100001"`, `user_id:sms|one`, `user_id:"sms\|one"`, `phone_number:\+447400100000`,
		`phone_number:*`, `user_id:"`, ` OR `, `user_id:"a" OR `, `user_id:"a OR b"`, "user_id:\"\xff\"", "user_id:\x00", `NOT user_id:"sms|one"`, `user_id:"sms|one" AND blocked:true`, `user_id:["a" TO "b"]`,
	} {
		f.Add(q)
	}
	d := newDesk(f)
	people := map[string]string{"sms|one": "+447400100000", "sms|two": "+447400100001"}
	for id, number := range people {
		parsed, err := phone.FromStored(number)
		if err != nil {
			f.Fatal(err)
		}
		if err := d.SQL.AddProfile(f.Context(), storage.Profile{User: storage.User{ID: storage.UserID(id), Number: parsed, CreatedAt: d.Now()}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, q string) {
		a := d.ask(t, "GET", "/users?include_totals=true&q="+url.QueryEscape(q), "")
		if a.status >= 400 || q == "" {
			return
		}
		literal := strings.ReplaceAll(q, `\`, "")
		users := a.one["users"].([]any)
		if a.one["total"] != json.Number(itoa(len(users))) {
			t.Errorf("%q: %s", q, a.text)
		}
		for _, u := range users {
			id := u.(map[string]any)["user_id"].(string)
			if !strings.Contains(literal, id) && !strings.Contains(literal, people[id]) {
				t.Errorf("%q finds %s", q, id)
			}
		}
	})
}
