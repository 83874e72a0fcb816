package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// managementSDKs are Auth0's published clients of the Management API, newest first.
// make test runs the first, make test-all each.
func managementSDKs() []string {
	all := []string{"auth0-7", "auth0-6", "auth0-4", "auth0-3", "auth0-2"}
	if everySDK() {
		return all
	}
	return all[:1]
}

// inModern is how versions 6 and 7 are used, and the older ones in the words of their time.
const (
	modern = `
		it.m = new sdk.ManagementClient({domain, clientId, clientSecret});
		it.page = async (q) => (await it.m.connections.list(q)).data;
		it.list = async (q) => { const all = []; for await (const c of await it.m.connections.list(q)) all.push(c); return all; };
		it.get = (id) => it.m.connections.get(id);
		it.update = (id, body) => it.m.connections.update(id, body);
		it.create = (body) => it.m.connections.create(body);
		it.remove = async (id) => (await it.m.connections.delete(id).withRawResponse()).rawResponse.status;
		it.newClient = (body) => it.m.clients.create(body);
		it.newGrant = (body) => it.m.clientGrants.create(body);
		it.newAPI = (body) => it.m.resourceServers.create(body);
		it.newUser = (body) => it.m.users.create(body);
		it.getUser = (id) => it.m.users.get(id);
		it.changeUser = (id, body) => it.m.users.update(id, body);
		it.removeUser = (id) => it.m.users.delete(id);
		it.findUsers = async (q) => { const all = []; for await (const u of await it.m.users.list({q, search_engine: 'v3'})) all.push(u); return all; };
	`
	version4 = `
		it.m = new sdk.ManagementClient({domain, clientId, clientSecret});
		const data = async (p) => (await p).data;
		it.list = (q) => data(it.m.connections.getAll(q));
		it.get = (id) => data(it.m.connections.get({id}));
		it.update = (id, body) => data(it.m.connections.update({id}, body));
		it.create = (body) => data(it.m.connections.create(body));
		it.remove = async (id) => (await it.m.connections.delete({id})).status;
		it.newClient = (body) => data(it.m.clients.create(body));
		it.newGrant = (body) => data(it.m.clientGrants.create(body));
		it.newAPI = (body) => data(it.m.resourceServers.create(body));
		it.newUser = (body) => data(it.m.users.create(body));
		it.getUser = (id) => data(it.m.users.get({id}));
		it.changeUser = (id, body) => data(it.m.users.update({id}, body));
		it.removeUser = (id) => data(it.m.users.delete({id}));
		it.findUsers = (q) => data(it.m.users.getAll({q, search_engine: 'v3'}));
	`
	version3 = `
		it.m = new sdk.ManagementClient({domain, clientId, clientSecret});
		it.list = (q) => it.m.getConnections(q);
		it.get = (id) => it.m.getConnection({id});
		it.update = (id, body) => it.m.updateConnection({id}, body);
		it.create = (body) => it.m.createConnection(body);
		it.remove = async (id) => (await it.m.deleteConnection({id})).deleted_at && 202;
		it.newClient = (body) => it.m.createClient(body);
		it.newGrant = (body) => it.m.createClientGrant(body);
		it.newAPI = (body) => it.m.createResourceServer(body);
		it.newUser = (body) => it.m.createUser(body);
		it.getUser = (id) => it.m.getUser({id});
		it.changeUser = (id, body) => it.m.updateUser({id}, body);
		it.removeUser = (id) => it.m.deleteUser({id});
		it.findUsers = (q) => it.m.getUsers({q, search_engine: 'v3'});
	`
)

var managementWords = map[string]string{"auth0-7": modern, "auth0-6": modern, "auth0-4": version4, "auth0-3": version3, "auth0-2": version3}

// Row 2 to 4, and B, of Auth0's compatibility list: the published clients of the
// Management API, unmodified, against a running server.
func TestAuth0ManagementClients(t *testing.T) {
	t.Parallel()
	needsAuth0(t)
	for _, name := range managementSDKs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startAuth0(t, withManagement(), withoutAddressLimits())
			s := r.sdk(name, "")
			s.run(managementWords[name], args{"domain": r.domain(), "clientId": manager, "clientSecret": secret}, nil)
			r.connectionsBySDK(s, name)
			r.registrationsBySDK(s)
			r.usersBySDK(s)
		})
	}
}

func (r *rig) connectionsBySDK(s *sdk, name string) {
	t := s.t
	t.Helper()
	var list []map[string]any
	s.run(`return it.list({strategy: ['sms']})`, nil, &list)
	if len(list) != 1 || list[0]["name"] != "sms" {
		t.Fatalf("connections: %v", list)
	}
	options := managed{rig: r}.toGateway(map[string]any{"template": "Hello @@password@@", "mine": "kept"})
	var got map[string]any
	s.run(`await it.update(id, {options}); return it.get(id)`, args{"id": list[0]["id"], "options": options}, &got)
	if o := got["options"].(map[string]any); o["mine"] != "kept" || o["template"] != "Hello @@password@@" {
		t.Errorf("after an update: %v", got)
	}
	delete(options, "mine")
	s.run(`await it.update(id, {options}); return it.get(id)`, args{"id": list[0]["id"], "options": options}, &got)
	if o := got["options"].(map[string]any); o["mine"] != nil {
		t.Errorf("options were merged: %v", o)
	}
	s.run(`return it.create(body)`, args{"body": args{"name": "other", "strategy": "sms", "options": args{"provider": "console"}}}, &got)
	id := got["id"]
	thrown := s.fails(`return it.create(body)`, args{"body": args{"name": "other", "strategy": "sms", "options": args{"provider": "console"}}})
	want, gone := map[string]any{"statusCode": http.StatusConflict}, map[string]any{"statusCode": http.StatusNotFound}
	if strings.HasSuffix(name, "-7") || strings.HasSuffix(name, "-6") {
		want["class"], want["body.errorCode"] = "ConflictError", "connection_conflict"
		var walked []string
		s.run(`const all = []; for await (const c of await it.m.connections.list({take: 1})) all.push(c.name); return all`, nil, &walked)
		if !slices.Equal(walked, []string{"other", "sms"}) {
			t.Errorf("walked one by one: %v", walked)
		}
		gone["class"], gone["body.errorCode"] = "NotFoundError", "inexistent_connection"
		if s.run(`return it.page({strategy: ['sms']})`, nil, &list); len(list) != 2 {
			t.Errorf("the page's data: %v", list)
		}
	} else {
		var page struct{ Connections []map[string]any }
		if s.run(`return it.list({include_totals: true})`, nil, &page); len(page.Connections) != 2 {
			t.Errorf("with totals: %v", page)
		}
	}
	wantsThrown(t, thrown, want)
	var status int
	if s.run(`return it.remove(id)`, args{"id": id}, &status); status != http.StatusAccepted {
		t.Errorf("delete: %d", status)
	}
	wantsThrown(t, s.fails(`return it.get(id)`, args{"id": id}), gone)
}

func (r *rig) registrationsBySDK(s *sdk) {
	t := s.t
	t.Helper()
	var client, api, grant map[string]any
	s.run(`return it.newClient(body)`, args{"body": args{"name": "Batch", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}}}, &client)
	s.run(`return it.newAPI(body)`, args{"body": args{"identifier": "https://orders.example.com", "name": "Orders", "scopes": []args{{"value": "read:orders"}}}}, &api)
	s.run(`return it.newGrant(body)`, args{"body": args{"client_id": client["client_id"], "audience": api["identifier"], "scope": []string{"read:orders"}}}, &grant)
	id, _ := client["client_id"].(string)
	hidden, _ := client["client_secret"].(string)
	if got := r.machineToken(id, "https://orders.example.com", "client_secret", hidden); got.status != http.StatusOK || got.Scope != "read:orders" {
		t.Errorf("token of a client made by SDK: %d %s", got.status, got.Description)
	}
}

func (r *rig) usersBySDK(s *sdk) {
	t := s.t
	t.Helper()
	number := newNumber()
	var user map[string]any
	s.run(`return it.newUser(body)`, args{"body": args{"connection": "sms", "phone_number": number, "app_metadata": args{"employee_id": "291"}}}, &user)
	id, _ := user["user_id"].(string)
	if !strings.HasPrefix(id, "sms|") || user["phone_number"] != number {
		t.Errorf("made user: %v", user)
	}
	var found []map[string]any
	s.run(`return it.findUsers(q)`, args{"q": `phone_number:"` + number + `"`}, &found)
	if len(found) != 1 || found[0]["user_id"] != id {
		t.Errorf("found by number: %v", found)
	}
	s.run(`await it.changeUser(id, {blocked: true, user_metadata: {colour: 'red'}}); return it.getUser(id)`, args{"id": id}, &user)
	if user["blocked"] != true || user["user_metadata"].(map[string]any)["colour"] != "red" || user["app_metadata"].(map[string]any)["employee_id"] != "291" {
		t.Errorf("changed user: %v", user)
	}
	s.run(`await it.removeUser(id)`, args{"id": id}, nil)
	wantsThrown(t, s.fails(`return it.getUser(id)`, args{"id": id}), map[string]any{"statusCode": http.StatusNotFound})
	wantsThrown(t, s.fails(`return it.newUser({connection: 'sms'})`, nil), map[string]any{"statusCode": http.StatusBadRequest})
}

// A client of fewer scopes is told so in the class of the SDK.
func TestAuth0ManagementClientWithoutTheScope(t *testing.T) {
	t.Parallel()
	eachSDK(t, []string{"auth0-7", "auth0-6"}, func(t *testing.T, name string) {
		r := startAuth0(t, withManagement())
		s := r.sdk(name, "")
		s.run(modern, args{"domain": r.domain(), "clientId": reader, "clientSecret": secret}, nil)
		wantsThrown(t, s.fails(`return it.list({})`, nil), map[string]any{"class": "ForbiddenError", "statusCode": http.StatusForbidden, "body.errorCode": "insufficient_scope"})
	})
}

// Case B: two processes change a connection at once. None is refused, and what remains is
// what one of them wrote, whole.
func TestAuth0ManagementClientsRace(t *testing.T) {
	t.Parallel()
	eachSDK(t, []string{"auth0-7", "auth0-6"}, func(t *testing.T, name string) {
		r := startAuth0(t, withManagement())
		m := r.managedBy(manager)
		id := m.smsID()
		var processes [2]*sdk
		for i := range processes {
			processes[i] = r.sdk(name, "")
			processes[i].run(modern, args{"domain": r.domain(), "clientId": manager, "clientSecret": secret}, nil)
			processes[i].run(`return it.get(id)`, args{"id": id}, nil) // has its token
		}
		var wg sync.WaitGroup
		for i, s := range processes {
			mine := m.toGateway(map[string]any{"template": fmt.Sprintf("%d: @@password@@", i), fmt.Sprintf("of_%d", i): "mine"})
			wg.Go(func() {
				answer := s.call(`for (let n = 0; n < 20; n++) {
					const {options} = await it.update(id, {options: {...mine, n}});
					if (options.n !== n || options.template !== mine.template) throw new Error('answered ' + JSON.stringify(options));
				}`, args{"id": id, "mine": mine})
				if answer.Thrown != nil {
					t.Errorf("process %d: %s", i, answer.Thrown)
				}
			})
		}
		wg.Wait()
		var got struct{ Options map[string]any }
		processes[0].run(`return it.get(id)`, args{"id": id}, &got)
		winner, loser := "0", "1"
		if template, _ := got.Options["template"].(string); strings.HasPrefix(template, "1") {
			winner, loser = loser, winner
		}
		if got.Options["template"] != winner+": @@password@@" || got.Options["of_"+winner] != "mine" || got.Options["of_"+loser] != nil || got.Options["n"] != 19.0 {
			t.Errorf("what remains is nobody's: %v", got.Options)
		}
	})
}

// Rows 8 and 9: Go's published clients, in a module of their own (auth0/gomanagement);
// version 1 by plain http, too.
func TestAuth0ManagementClientsOfGo(t *testing.T) {
	t.Parallel()
	versions := []string{"v1"}
	if everySDK() {
		versions = append(versions, "v3", "v1 by http")
	}
	binary := goClients(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			client, _, plain := strings.Cut(version, " by http")
			var r *rig
			if plain {
				r = start(t, onRealTime(), withManagement())
			} else {
				r = startAuth0(t, withManagement())
			}
			domain := strings.TrimPrefix(r.base, "https://")
			cmd := exec.CommandContext(t.Context(), binary, client, domain, manager, secret, r.gateway.url, newNumber())
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trusted(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// goClients builds the program of Go's published clients.
func goClients(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("auth0", "gomanagement")
	binary := filepath.Join(t.TempDir(), "gomanagement")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		missing := t.Skipf // where its modules can't be had
		if os.Getenv("CI") == "true" {
			missing = t.Fatalf
		}
		missing("go build in %s: %v\n%s", dir, err, out)
	}
	return binary
}
