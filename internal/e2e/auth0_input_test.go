package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// noLog is a number that stands where none belongs, and never in the log.
const noLog = "+447400199999"

// badJSON are bodies that are no JSON object, or that two readers could read
// differently. good is an object with the member name in it.
func badJSON(good object, name string) map[string]string {
	text, err := json.Marshal(good)
	if err != nil {
		panic(err)
	}
	more := func(member string) string { return strings.TrimSuffix(string(text), "}") + "," + member + "}" }
	return map[string]string{
		"nothing": "", "cut off": string(text[:len(text)-1]), "two objects": string(text) + "{}", "a list": "[]", "null": "null", "a text": `"x"`, "a number": "1",
		"a zero byte": "\x00", "a byte order mark": "\ufeff" + string(text), "a comment": string(text) + "//",
		"a member twice": more(`"` + name + `":"` + noLog + `"`), "a member twice, once escaped": more(fmt.Sprintf(`"\u%04x%s":"x"`, name[0], name[1:])),
		"a member twice within": more(`"x":{"y":[{"z":1,"z":2}]}`), "not UTF-8": more("\"x\":\"\xff\""), "a name that is not UTF-8": more("\"\xc3\":1"),
		"half of a surrogate pair": more(`"x":"\ud800"`), "deep": more(`"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)),
	}
}

// Whatever comes to a door of Auth0's clients that is no body, the answer is one of that
// door's, nothing is texted and no code is tried.
func TestAuth0DoorsBadBodies(t *testing.T) {
	t.Parallel()
	r := start(t, withPasswordless())
	number := newNumber()
	code := r.otpFor(number)
	noObject := "the body is not a JSON object of at most 16384 bytes with Content-Type application/json"
	others := newNumber()
	for _, door := range []struct {
		path, name                string
		good                      object
		code, description, repeat string
		tooLong, otherType        int
	}{
		{"/passwordless/start", "connection", smsStart(others), "bad.request", noObject, "", 400, 400},
		{"/passwordless/verify", "connection", object{"client_id": webClient, "connection": "sms", "phone_number": number, "verification_code": "000000"},
			"bad.request", noObject, "", 400, 400},
		{"/passwordless/verify", "password", object{"grant_type": "password", "client_id": webClient, "client_secret": secret, "connection": "sms", "username": number,
			"password": "000000"}, "bad.request", noObject, "", 400, 400},
		{"/passwordless/challenge", "client_id", object{"client_id": webClient}, "bad.request", noObject, "", 400, 400},
		{"/co/authenticate", "otp", object{"client_id": webClient, "username": number, "otp": "000000", "realm": "sms", "credential_type": otpGrant}, "invalid_request",
			"Invalid request body. All and only of client_id, credential_type, username, otp, realm are required.", "", 400, 400},
		{"/oauth/token", "otp", object{"grant_type": otpGrant, "client_id": webClient, "client_secret": secret, "username": number, "otp": "000000", "realm": "sms"},
			"invalid_request", "the body is not a JSON object of strings", "a parameter is given twice; send each once", 413, 415},
	} {
		for what, body := range badJSON(door.good, door.name) {
			description := door.description
			if door.repeat != "" && strings.HasPrefix(what, "a member twice") && what != "a member twice within" {
				description = door.repeat
			}
			t.Run(door.path+"/"+door.name+"/"+what, func(t *testing.T) {
				r.in(t).postJSON(door.path, body, "Origin", pageOrigin).wantsError(t, 400, door.code, description)
			})
		}
		long := r.postJSON(door.path, door.good.but("x", strings.Repeat("x", 20<<10)))
		if long.status != door.tooLong {
			t.Errorf("%s: oversized: %d %s", door.path, long.status, long.body)
		}
		many := object{}
		for i := range 50 {
			many[fmt.Sprint("x", i)] = "x"
		}
		maps.Copy(many, door.good)
		if a := r.postJSON(door.path, many); a.status != 400 {
			t.Errorf("%s: many members: %d %s", door.path, a.status, a.body)
		}
		text, err := json.Marshal(door.good)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json/x", ";", ""} {
			a := r.post(door.path, string(text), "Content-Type", content)
			if a.status != door.otherType || !strings.Contains(a.body, `"error":"`+door.code+`"`) {
				t.Errorf("%s of type %q: %d %s", door.path, content, a.status, a.body)
			}
		}
		for name := range door.good {
			for _, value := range []any{1, true, object{"a": "b"}, []any{1}, []string{"a", "b"}} {
				a := r.postJSON(door.path, door.good.but(name, value))
				if door.path == "/passwordless/challenge" { // reads nothing of it
					continue
				}
				var got map[string]string
				if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 400 || len(got) != 2 || got["error"] == "" || got["error_description"] == "" {
					t.Errorf("%s with %s %v: %d %s", door.path, name, value, a.status, a.body)
				}
			}
		}
	}
	for _, kind := range []struct {
		value any
		is    string
	}{{"x", "string"}, {1, "number"}, {false, "boolean"}, {[]int{}, "array"}} {
		r.postJSON("/passwordless/start", smsStart(others).but("authParams", kind.value)).
			wantsError(t, 400, "bad.authParams", "error in authParams - invalid type: "+kind.is+" (expected object)")
	}
	// What is named as nobody should is shown, and stands in no log.
	r.postJSON("/passwordless/start", smsStart(others).but(noLog, 1)).wantsError(t, 400, "bad.request", "the following properties are not allowed: "+noLog)
	r.postJSON("/passwordless/start", smsStart(others).but("a\u202eb\u2028c\u0085"+strings.Repeat("d", 200), 1)).
		wantsError(t, 400, "bad.request", "the following properties are not allowed: abc"+strings.Repeat("d", 97)+"…")
	r.postJSON("/passwordless/verify", object{noLog: 1}).wantsError(t, 400, "bad.request", noObject)
	r.postJSON("/co/authenticate", object{"client_id": webClient, "username": number, "otp": "000000", "realm": noLog, "credential_type": otpGrant}, "Origin", pageOrigin).
		wantsError(t, 400, "invalid_request", "Unknown realm "+noLog+".")
	for _, path := range []string{"/passwordless/start", "/passwordless/verify", "/co/authenticate", "/oauth/token"} {
		if a := send(t, http.MethodGet, r.base+path, nil); a.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	r.gateway.wantsTexts(1)
	if a := r.form("/oauth/token", otp(number, code)); a.status != http.StatusOK {
		t.Errorf("the code after all that: %d %s", a.status, a.body)
	}
	if strings.Contains(r.logs.String(), noLog[1:]) {
		t.Error("the log has what a stranger put where no number belongs")
	}
}

// managedBody is a route that takes a body: one that is taken, and the types of its
// properties.
type managedBody struct {
	method, path string
	good         object
	types        map[string]string
}

// Each route of the Management API that takes a body, with all that can be wrong with
// one, property by property: Auth0's answer, and nothing is written.
func TestManagementBadBodies(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withAPIs(), withoutLimits("manage_client"))
	connection := map[string]string{"options": "object", "enabled_clients": "array", "display_name": "string", "is_domain_connection": "boolean",
		"show_as_button": "boolean", "realms": "array", "metadata": "object", "authentication": "object", "connected_accounts": "object"}
	client := map[string]string{"name": "string", "app_type": "string", "callbacks": "array", "allowed_logout_urls": "array", "web_origins": "array",
		"allowed_origins": "array", "grant_types": "array", "token_endpoint_auth_method": "string", "jwks": "object", "is_first_party": "boolean",
		"require_pkce": "boolean", "require_state": "boolean", "require_nonce": "boolean", "subject_type": "string", "id_token_signed_response_alg": "string",
		"initiate_login_uri": "string", "resource_server_identifier": "string", "countries": "array", "addresses": "array",
		"is_token_endpoint_ip_header_trusted": "boolean", "cross_origin_authentication": "boolean", "oidc_conformant": "boolean", "jwt_configuration": "object"}
	api := map[string]string{"name": "string", "scopes": "array", "token_lifetime": "number", "signing_alg": "string", "allow_offline_access": "boolean",
		"users": "string", "clients": "string", "claims": "object", "skip_consent_for_verifiable_first_party_clients": "boolean", "token_lifetime_for_web": "number"}
	grant := map[string]string{"scope": "array", "allow_all_scopes": "boolean", "subject_type": "string"}
	user := map[string]string{"phone_number": "string", "phone_verified": "boolean", "blocked": "boolean", "app_metadata": "object", "user_metadata": "object", "connection": "string"}
	with := func(types map[string]string, pairs ...string) map[string]string {
		out := maps.Clone(types)
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	kept := m.does(http.StatusCreated, "POST", "/clients", object{"name": "kept", "app_type": "non_interactive"}).one
	keptAPI := m.does(http.StatusCreated, "POST", "/resource-servers", object{"identifier": "https://kept.example", "scopes": []object{{"value": "read:it"}}}).one
	keptGrant := m.does(http.StatusCreated, "POST", "/client-grants", object{"client_id": kept["client_id"], "audience": "https://kept.example", "scope": []string{}}).one
	keptUser := m.does(http.StatusCreated, "POST", "/users", object{"connection": "sms", "phone_number": newNumber()}).one
	folders := []string{"/connections", "/clients", "/resource-servers", "/client-grants", "/users", "/connections/" + m.smsID() + "/clients"}
	see := func() (all string) {
		for _, path := range folders {
			all += m.does(http.StatusOK, "GET", path, nil).raw
		}
		return all
	}
	before := see()
	bodies := []managedBody{
		{"POST", "/connections", object{"name": "c", "strategy": "sms", "options": object{"provider": "console"}}, with(connection, "name", "string", "strategy", "string")},
		{"PATCH", "/connections/" + m.smsID(), object{"display_name": "x"}, connection},
		{"PATCH", "/connections/" + m.smsID() + "/clients", nil, nil},
		{"POST", "/clients", object{"name": "c"}, client},
		{"PATCH", "/clients/" + m.text(kept, "client_id"), object{"name": "c"}, client},
		{"POST", "/resource-servers", object{"identifier": "https://a.example"}, with(api, "identifier", "string")},
		{"PATCH", "/resource-servers/" + m.text(keptAPI, "id"), object{"name": "x"}, api},
		{"POST", "/client-grants", object{"client_id": webClient, "audience": "https://kept.example", "scope": []string{}}, with(grant, "client_id", "string", "audience", "string")},
		{"PATCH", "/client-grants/" + m.text(keptGrant, "id"), object{"scope": []string{}}, grant},
		{"POST", "/users", object{"connection": "sms", "phone_number": newNumber()}, with(user, "user_id", "string")},
		{"PATCH", "/users/" + escaped(m.text(keptUser, "user_id")), object{"blocked": false}, user},
	}
	values := map[string]any{"string": noLog, "boolean": true, "number": 60, "array": []any{}, "object": object{}}
	for _, b := range bodies {
		t.Run(b.method+" "+b.path, func(t *testing.T) {
			m := managed{m.in(t), m.token}
			isList := b.types == nil
			if isList {
				b.good = object{"client_id": webClient}
			}
			for what, body := range badJSON(b.good, slices.Sorted(maps.Keys(b.good))[0]) {
				switch got := m.send(b.method, b.path, body, "Content-Type", "application/json"); what {
				case "a list", "null", "a text", "a number":
					m.refuses(got, 400, "invalid_body", "Payload validation error: '")
				default:
					m.refuses(got, 400, "", "Invalid request payload JSON format")
				}
			}
			m.refuses(m.send(b.method, b.path, ""), 400, "invalid_body", "but found type null")
			for _, content := range []string{"text/plain", "application/x-www-form-urlencoded", ";", "application/json/x", "application/merge-patch+json"} {
				m.refuses(m.send(b.method, b.path, "{}", "Content-Type", content), 415, "", "Unsupported Media Type")
			}
			m.refuses(m.send(b.method, b.path, `{"x":"`+strings.Repeat("x", 300<<10)+`"}`), 413, "", "greater than maximum allowed")
			text := func(o object) string {
				raw, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				return string(raw)
			}
			if isList {
				for _, body := range []string{`[{"client_id":"web","status":"yes"}]`, `[{"client_id":"web","status":true,"x":1}]`, `[{"Client_id":"web","status":true}]`, `[1]`, `[[]]`, `[null]`} {
					m.refuses(m.send(b.method, b.path, body), 400, "invalid_body", "Payload validation error: '")
				}
				return
			}
			for _, name := range []string{"unknown", "__proto__", strings.ToUpper(slices.Sorted(maps.Keys(b.good))[0])} {
				m.refuses(m.send(b.method, b.path, text(b.good.but(name, 1))), 400, "invalid_body", "Additional properties not allowed: "+name)
			}
			m.refuses(m.send(b.method, b.path, text(b.good.but(noLog, 1))), 400, "invalid_body", "Additional properties not allowed: (unnamed)")
			for property, right := range b.types {
				for kind, value := range values {
					if kind == right {
						continue
					}
					got := m.send(b.method, b.path, text(b.good.but(property, value)))
					if got.status != 400 || got.one["errorCode"] != "invalid_body" || !strings.Contains(got.raw, property) {
						t.Errorf("%s %v, want a %s: %d %s", property, value, right, got.status, got.raw)
					}
				}
			}
			for property, value := range map[string]any{"scopes": []object{{"value": "read:it", "x": 1}}, "jwt_configuration": object{"alg": "RS256", "x": 1}} {
				if b.types[property] != "" {
					m.refuses(m.send(b.method, b.path, text(b.good.but(property, value))), 400, "invalid_body", "Additional properties not allowed: ")
				}
			}
		})
	}
	if after := see(); after != before {
		t.Errorf("something was written:\n%s\n%s", before, after)
	}
	if strings.Contains(m.logs.String(), noLog[1:]) {
		t.Error("the log has what was sent")
	}
	// Each route that takes a body stands in the table.
	for _, pattern := range managedRoutes(m.rig) {
		method, path, _ := strings.Cut(pattern, " /api/v2")
		folder, rest, _ := strings.Cut(path[1:], "/")
		if method != "POST" && method != "PATCH" || strings.HasSuffix(path, "/rotate-secret") {
			continue
		}
		if !slices.ContainsFunc(bodies, func(b managedBody) bool {
			f, r, _ := strings.Cut(b.path[1:], "/")
			return b.method == method && f == folder && strings.Count(r, "/") == strings.Count(rest, "/") && (r == "") == (rest == "")
		}) {
			t.Errorf("%s is not in the table", pattern)
		}
	}
}

// Queries that say nothing clear are refused in Auth0's words; addresses of nothing are
// 404, whatever bytes they are made of.
func TestManagementBadQueries(t *testing.T) {
	t.Parallel()
	m := startManaged(t, withoutLimits("manage_client"))
	for _, path := range []string{"/connections", "/clients", "/resource-servers", "/client-grants", "/users", "/connections/" + m.smsID() + "/clients"} {
		for _, query := range []string{
			"unknown=1", url.QueryEscape(noLog) + "=1", "page=1&page=2", "include_totals=true&include_totals=true", "page=-1", "page=1e3", "page=99999999999999999999",
			"per_page=101", "per_page=x", "include_totals=yes", "include_fields=maybe", "%zz", "page=1;per_page=2", "page=" + strings.Repeat("1", 5000),
			"fields=" + strings.Repeat("x", 5000), "Page=1",
		} {
			m.refuses(m.send("GET", path+"?"+query, ""), 400, "invalid_query_string", "Query validation error: '")
		}
		if path != "/users" {
			m.refuses(m.send("GET", path+"?take=0x10", ""), 400, "invalid_query_string", "Query validation error: '")
			m.refuses(m.send("GET", path+"?take=1&from=%21", ""), 400, "invalid_query_string", "Query validation error: '")
		}
	}
	for _, q := range []string{
		"", " ", "*", "name:x", `email:"a@b.example"`, `phone_number:` + noLog + ` AND blocked:true`, `phone_number:"` + noLog, `-phone_number:"x"`, `phone_number:["a" TO "b"]`,
		`user_id:"a" OR `, ` OR user_id:"a"`, `user_id:"a" OR email:"b"`, strings.Repeat(`user_id:"a" OR `, 200) + `user_id:"a"`, "\xff", "user_id:\x00 x", noLog,
		"user_id:*", "phone_number:+44*", "phone_number:[+1", `user_id:a"b"`,
	} {
		got := m.send("GET", "/users?q="+url.QueryEscape(q), "")
		if q == "" { // the same as none
			continue
		}
		m.refuses(got, 400, "invalid_query_string", "Query validation error: '")
	}
	m.refuses(m.send("GET", "/users?q=user_id:a&q=user_id:b", ""), 400, "invalid_query_string", "Expected one value on property q")
	for _, id := range []string{"nope", "%00", "%FF", "%ED%A0%80", "a%2Fb", "%2e%2e", strings.Repeat("x", 3000), url.PathEscape(noLog), "%F0%9F%98%80"} {
		for folder, code := range map[string]string{"connections": "inexistent_connection", "clients": "inexistent_client", "resource-servers": "inexistent_resource_server",
			"client-grants": "inexistent_client_grant", "users": "inexistent_user"} {
			m.refuses(m.send("GET", "/"+folder+"/"+id, ""), 404, code, "does not exist")
			m.refuses(m.send("PATCH", "/"+folder+"/"+id, "{}"), 404, code, "does not exist")
			if got := m.send("DELETE", "/"+folder+"/"+id, ""); got.status != 204 {
				t.Errorf("DELETE %s/%s: %d %s", folder, id, got.status, got.raw)
			}
		}
		m.refuses(m.send("POST", "/clients/"+id+"/rotate-secret", ""), 404, "inexistent_client", "does not exist")
		m.refuses(m.send("GET", "/connections/"+id+"/clients", ""), 404, "inexistent_connection", "does not exist")
		m.refuses(m.send("PATCH", "/connections/"+id+"/clients", `[{"client_id":"web","status":true}]`), 404, "inexistent_connection", "does not exist")
	}
	if strings.Contains(m.logs.String(), noLog[1:]) {
		t.Error("the log has what was sent")
	}
}
