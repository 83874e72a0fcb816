package storage

import (
	"slices"
	"time"
)

// API is what access tokens can be for: a resource server, in Auth0's words and
// with its field names, so that an exported tenant can be pasted.
type API struct {
	Identifier Audience `json:"identifier"`
	Name       string   `json:"name"`
	Scopes     []Scope  `json:"scopes"`
	// TokenLifetime is in seconds, and counts from when the person logged in.
	TokenLifetime int `json:"token_lifetime"`
	// SigningAlg is ES256 or RS256.
	SigningAlg         string `json:"signing_alg"`
	AllowOfflineAccess bool   `json:"allow_offline_access"`
	// Users is [Assigned] or [Anyone].
	Users string `json:"users"`
	// Clients is [Granted] or [Anyone]: who may ask for tokens in the name of people.
	Clients string `json:"clients"`
	// Claims are what tokens say beside the usual: a claim's name, and where its
	// value comes from (user.employee_id).
	Claims map[string]string `json:"claims,omitempty"`

	// FromFile says that no command can change the API: configuration declares it.
	FromFile  bool      `json:"-"`
	CreatedAt time.Time `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

// Who may use an API.
const (
	Anyone   = "any"
	Assigned = "assigned" // people with an [Assignment]
	Granted  = "granted"  // clients with a [ClientGrant]
)

// Scope is one thing that an API allows.
type Scope struct {
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// Lifetime is how long after a login the API's tokens are good.
func (a *API) Lifetime() time.Duration { return time.Duration(a.TokenLifetime) * time.Second }

// Offers returns those of scopes that the API has, in their order.
func (a *API) Offers(scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if slices.ContainsFunc(a.Scopes, func(own Scope) bool { return own.Value == s }) {
			out = append(out, s)
		}
	}
	return out
}

// ScopeValues returns all scopes of the API.
func (a *API) ScopeValues() []string {
	out := make([]string, len(a.Scopes))
	for i, s := range a.Scopes {
		out[i] = s.Value
	}
	return out
}

// Allowance is which scopes of an API someone may have.
type Allowance struct {
	// AllScopes are every scope of the API, those that it will get included.
	AllScopes bool
	Scopes    []string
}

// Narrow returns those of scopes that are allowed, in their order.
func (a Allowance) Narrow(scopes []string) []string {
	if a.AllScopes {
		return scopes
	}
	var out []string
	for _, s := range scopes {
		if slices.Contains(a.Scopes, s) {
			out = append(out, s)
		}
	}
	return out
}

// Covers reports whether everything that b allows is allowed.
func (a Allowance) Covers(b Allowance) bool {
	if a.AllScopes || b.AllScopes {
		return a.AllScopes
	}
	return len(a.Narrow(b.Scopes)) == len(b.Scopes)
}

// ClientGrant lets a client use an API: as itself (client_credentials), and in
// the name of people where the API's Clients is [Granted].
type ClientGrant struct {
	ClientID ClientID
	Audience Audience
	Allowance
	// FromFile says that configuration declares it.
	FromFile  bool
	CreatedAt time.Time
}

// Assignment lets a person use an API.
type Assignment struct {
	UserID   UserID
	Audience Audience
	Allowance
	CreatedAt time.Time
}
