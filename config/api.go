package config

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// ResourceServer is an API, in Auth0's words.
type ResourceServer struct {
	// How requests (`audience` or `resource`) and tokens (`aud`) name the API; its
	// address, most often. Required. Nothing at or below the issuer: there are
	// Handset's own.
	Identifier string `yaml:"identifier" example:"https://purchasing.example.com"`
	// What people call it. Default: the identifier.
	Name string `yaml:"name" example:"Purchasing"`
	// What it allows, each as `{value: "read:vendors", description: "see vendors"}`.
	// Tokens have those that were asked for and may be had.
	Scopes []Scope `yaml:"scopes" example:"[{value: \"read:vendors\", description: \"see vendors\"}]"`
	// How many seconds after a login its tokens are good, 60 to 2592000 (30 days).
	// No session and no refresh token makes that longer: afterwards the person
	// signs in with a new code. Default: 86400.
	TokenLifetime int `yaml:"token_lifetime" example:"86400"`
	// How tokens are signed: `ES256`, the default, or `RS256`.
	SigningAlg string `yaml:"signing_alg" example:"ES256"`
	// Whether applications can get refresh tokens for it.
	AllowOfflineAccess bool `yaml:"allow_offline_access" example:"false"`
	// Who may use it: `assigned`, the default, those that `handset user allow`
	// names, with the scopes named there; or `any`, everyone, with all scopes.
	Users string `yaml:"users" example:"assigned"`
	// Which applications may ask for its tokens in the name of people: `any`, the
	// default, or `granted`, those that have a client grant for it. Machines that
	// ask in their own name need a client grant always.
	Clients string `yaml:"clients" example:"any"`
	// What tokens say of the person beside the usual: the name of a claim, and the
	// attribute that it comes from. Who has no such attribute has no such claim.
	Claims Claims `yaml:"claims" example:"{employee_id: user.employee_id}"`
}

// Scope is one thing that an API allows.
type Scope struct {
	// Its name in requests and tokens.
	Value string `yaml:"value"`
	// What it means, for people.
	Description string `yaml:"description"`
}

// Claims are claims by name, each with its source.
type Claims map[string]string

func (c *Claims) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want names of claims and where they come from, such as {employee_id: user.employee_id}")
		return
	}
	*c = Claims{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var source string
		d.decode(join(path, name), m[name], &source)
		(*c)[name] = source
	}
}

// ClientGrant lets a client use an API, in Auth0's words.
type ClientGrant struct {
	// The client.
	ClientID string `yaml:"client_id" example:"batch"`
	// The identifier of the API.
	Audience string `yaml:"audience" example:"https://purchasing.example.com"`
	// The scopes that the client may have there.
	Scope []string `yaml:"scope" example:"[\"read:vendors\"]"`
	// Every scope of the API in place of `scope`, those that it will get included.
	AllowAllScopes bool `yaml:"allow_all_scopes" example:"false"`
}

// SetDefaults fills in what nothing is said of.
func (s *ResourceServer) SetDefaults() {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.Name, s.Identifier)
	fill(&s.SigningAlg, registration.SigningAlgorithms()[0])
	fill(&s.Users, storage.Assigned)
	fill(&s.Clients, storage.Anyone)
	if s.TokenLifetime == 0 {
		s.TokenLifetime = int(registration.UsualToken.Seconds())
	}
}

// Record returns the API as stores and the provider know it.
func (s *ResourceServer) Record() storage.API {
	out := storage.API{
		Identifier: storage.Audience(s.Identifier), Name: s.Name, TokenLifetime: s.TokenLifetime, SigningAlg: s.SigningAlg,
		AllowOfflineAccess: s.AllowOfflineAccess, Users: s.Users, Clients: s.Clients, Claims: s.Claims,
	}
	for _, scope := range s.Scopes {
		out.Scopes = append(out.Scopes, storage.Scope(scope))
	}
	return out
}

// FromAPI returns an API of the database as the file would declare it.
func FromAPI(a storage.API) ResourceServer {
	out := ResourceServer{
		Identifier: string(a.Identifier), Name: a.Name, TokenLifetime: a.TokenLifetime, SigningAlg: a.SigningAlg,
		AllowOfflineAccess: a.AllowOfflineAccess, Users: a.Users, Clients: a.Clients, Claims: a.Claims,
	}
	for _, scope := range a.Scopes {
		out.Scopes = append(out.Scopes, Scope(scope))
	}
	return out
}

// YAML returns the API as the file would declare it.
func (s *ResourceServer) YAML() ([]byte, error) { return yaml.Marshal(structNode(s)) }

// Record returns the client grant as stores and the provider know it.
func (g *ClientGrant) Record() storage.ClientGrant {
	return storage.ClientGrant{
		ClientID: storage.ClientID(g.ClientID), Audience: storage.Audience(g.Audience),
		Allowance: storage.Allowance{AllScopes: g.AllowAllScopes, Scopes: g.Scope},
	}
}

func (c *Config) checkAPIs(r *report) {
	seen := map[string]int{}
	for i := range c.ResourceServers {
		server := &c.ResourceServers[i]
		path := at("resource_servers", i)
		for _, p := range registration.ValidateAPI(server.Record(), c.Issuer) {
			r.problem(join(path, p.Field), p.Message)
		}
		if first, ok := seen[server.Identifier]; ok && server.Identifier != "" {
			r.problem(path+".identifier", "is the same as that of "+at("resource_servers", first))
			continue
		}
		seen[server.Identifier] = i
	}
	c.checkClientGrants(r, seen)
}

// checkClientGrants holds grants to the rules and to the APIs of the file. Clients
// and APIs that the file does not declare may be in the database.
func (c *Config) checkClientGrants(r *report, servers map[string]int) {
	seen := map[[2]string]int{}
	for i := range c.ClientGrants {
		grant := &c.ClientGrants[i]
		path := at("client_grants", i)
		for _, p := range registration.ValidateClientGrant(grant.Record()) {
			r.problem(join(path, p.Field), p.Message)
		}
		key := [2]string{grant.ClientID, grant.Audience}
		if first, ok := seen[key]; ok {
			r.problem(path, "is for the same client and API as "+at("client_grants", first))
			continue
		}
		seen[key] = i
		if n, ok := servers[grant.Audience]; ok {
			api := c.ResourceServers[n].Record()
			for _, scope := range registration.UnknownScopes(grant.Record().Allowance, &api) {
				r.problem(path+".scope", fmt.Sprintf("%s is no scope of %s", scope, at("resource_servers", n)))
			}
		}
	}
}
