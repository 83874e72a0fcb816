package e2e

import (
	"net/url"
	"testing"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

// The APIs of a rig that has some.
const (
	purchasing = "https://purchasing.example.com" // for assigned people; gives employee_id; no refresh tokens
	stock      = "urn:stock"                      // for everyone; RS256; refresh tokens; one hour
	reports    = "https://reports.example.com"    // for assigned people, by granted clients
)

// The clients of a rig that has APIs, beside those of every rig.
const (
	purchasingBackend = "purchasing-backend" // the backend of purchasing
	pairwiseClient    = "pairwise"           // client_secret_post
	pairwiseOther     = "pairwise-other"     // of another host
)

// withAPIs declares the APIs and clients above. The client machine may read:vendors
// at purchasing.
func withAPIs() option {
	return func(o *options) {
		withConfig(func(c *config.Config) {
			for _, s := range []config.ResourceServer{
				{Identifier: purchasing, Name: "Purchasing", Scopes: []config.Scope{{Value: "read:vendors"}, {Value: "write:vendors"}},
					Claims: config.Claims{"employee_id": "user.employee_id"}},
				{Identifier: stock, SigningAlg: "RS256", TokenLifetime: 3600, AllowOfflineAccess: true, Users: "any",
					Scopes: []config.Scope{{Value: "read:stock"}}},
				{Identifier: reports, Clients: "granted", Scopes: []config.Scope{{Value: "read:reports"}}},
			} {
				s.SetDefaults()
				c.ResourceServers = append(c.ResourceServers, s)
			}
			c.ClientGrants = append(c.ClientGrants, []config.ClientGrant{
				{ClientID: machine, Audience: purchasing, Scope: []string{"read:vendors"}},
				{ClientID: basicClient, Audience: reports, AllowAllScopes: true},
			}...)
		})(o)
		ofSecret := func(change func(*config.Client)) func(*config.Client) {
			return func(c *config.Client) {
				c.ClientSecret, c.TokenEndpointAuthMethod = config.NewSecret(secret), "client_secret_post"
				change(c)
			}
		}
		withClient(purchasingBackend, ofSecret(func(c *config.Client) {
			c.AppType, c.ResourceServerIdentifier, c.Callbacks, c.AllowedLogoutURLs = "non_interactive", purchasing, nil, nil
		}))(o)
		withClient(pairwiseClient, ofSecret(func(c *config.Client) { c.SubjectType = "pairwise" }))(o)
		withClient(pairwiseOther, ofSecret(func(c *config.Client) {
			c.SubjectType, c.Callbacks, c.AllowedLogoutURLs = "pairwise", []string{"http://localhost/cb"}, nil
		}))(o)
	}
}

// asSecret are the changes that make a request one of a client with a secret in its body.
var asSecret = []string{"client_secret", secret}

// employee registers a person with an employee number who may use purchasing, with
// the scopes given or all.
func (r *rig) employee(number string, scopes ...string) storage.UserID {
	r.t.Helper()
	n, err := phone.FromStored(number)
	if err != nil {
		r.t.Fatal(err)
	}
	u := storage.User{
		ID: mint.UserID(), Number: n, CreatedAt: r.clock.Now(), UpdatedAt: r.clock.Now(),
		Attributes: map[string]any{"employee_id": "0291", "salary": "nobody's business"},
	}
	if err := r.server.SQL.AddUser(r.t.Context(), u); err != nil {
		r.t.Fatal(err)
	}
	r.assign(u.ID, purchasing, scopes...)
	return u.ID
}

func (r *rig) assign(id storage.UserID, audience storage.Audience, scopes ...string) {
	r.t.Helper()
	a := storage.Assignment{UserID: id, Audience: audience, Allowance: storage.Allowance{AllScopes: len(scopes) == 0, Scopes: scopes}, CreatedAt: r.clock.Now()}
	if err := r.server.SQL.Assign(r.t.Context(), a, r.clock.Now()); err != nil {
		r.t.Fatal(err)
	}
}

// forPurchasing is a request for a token of purchasing, and for nothing of the
// provider's.
func (r *rig) forPurchasing(client string, pairs ...string) request {
	return r.newRequest(client).with("audience", purchasing, "scope", "read:vendors write:vendors").with(pairs...)
}

// machineToken asks for a token in a client's own name.
func (r *rig) machineToken(client, audience string, change ...string) tokens {
	r.t.Helper()
	return r.token(client, url.Values{"grant_type": {"client_credentials"}, "audience": {audience}}, change...)
}

// purchasingToken logs a new employee in and returns the token for purchasing.
func (r *rig) purchasingToken(t testing.TB, client string, pairs ...string) (b *browser, number string, got tokens) {
	t.Helper()
	b, number = newBrowser(t), newNumber()
	r.employee(number)
	q := r.forPurchasing(client, pairs...)
	got = r.exchange(client, q, r.login(b, q, number).answer().Get("code"))
	if got.AccessToken == "" {
		t.Fatalf("exchange: %d %s %s", got.status, got.Error, got.Description)
	}
	return b, number, got
}
