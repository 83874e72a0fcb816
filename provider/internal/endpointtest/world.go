// Package endpointtest gives the endpoints' tests a provider without its front
// door: real stores in memory, real keys, clients, people who have logged in,
// and a clock that the test moves. It is for tests only.
package endpointtest

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/keys/keystest"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/revocation"
	"github.com/handset-oidc/handset/provider/subject"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/redisstore"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// Facts that every test may use.
const (
	Issuer      = "https://login.example/"
	Userinfo    = "https://login.example/userinfo"
	RedirectURI = "https://app.example/callback"
	Nonce       = "a nonce"
	AccessLife  = time.Hour
	// APILife is that of Purchasing's tokens.
	APILife = 24 * time.Hour
)

// The APIs of every world. Purchasing has the scopes read:vendors and write:vendors,
// is for everyone, gives the employee number, and allows refresh tokens; Stock has
// none of that, and no claims.
const (
	Purchasing storage.Audience = "https://purchasing.example"
	Stock      storage.Audience = "urn:stock"
)

// The clients of every world. Those with credentials authenticate by
// client_secret_basic; their secret is [Secret].
const (
	Web      storage.ClientID = "web"      // regular_web
	Other    storage.ClientID = "other"    // regular_web
	Post     storage.ClientID = "post"     // regular_web, client_secret_post
	Narrow   storage.ClientID = "narrow"   // regular_web without refresh_token
	SPA      storage.ClientID = "spa"      // public
	Service  storage.ClientID = "service"  // non_interactive; may read:vendors at Purchasing
	Backend  storage.ClientID = "backend"  // non_interactive, the backend of Purchasing
	Pairwise storage.ClientID = "pairwise" // regular_web with pairwise subjects
)

// Secret is the secret of all clients.
const Secret = "correct horse battery staple"

// Basic are a client's credentials as [Form] takes them.
func Basic(id storage.ClientID) string { return string(id) + ":" + Secret }

// World is one provider.
type World struct {
	Vault       *vault.Vault
	SQL         *sqlstore.Store
	Redis       *redisstore.Store
	Keys        *keys.Ring
	Minter      *mint.Minter
	Clients     *client.Registry
	Revocations *revocation.Set
	APIs        *api.Registry
	APITokens   *api.Tokens
	Subjects    *subject.Names

	now    atomic.Int64
	people atomic.Int64
}

// New opens a world that is closed with the test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{Keys: keystest.NewRing(t)}
	w.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	var err error
	w.Vault, err = vault.Parse(vault.Generate())
	check(t, err)
	w.SQL, err = sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite::memory:", Vault: w.Vault})
	check(t, err)
	t.Cleanup(func() { w.SQL.Close() })
	w.Redis, err = redisstore.Open(t.Context(), redisstore.Config{URL: "embedded", Vault: w.Vault, Timeout: time.Minute})
	check(t, err)
	t.Cleanup(func() { w.Redis.Close() })
	w.Minter, err = mint.New(mint.Config{Issuer: Issuer, Keys: w.Keys, Vault: w.Vault, Now: w.Now})
	check(t, err)
	w.Revocations, err = revocation.New(revocation.Config{Source: w.SQL, Life: AccessLife, APILife: APILife, Now: w.Now})
	check(t, err)
	w.Clients = w.registry(t)
	w.Subjects = subject.New(w.SQL, w.Clients)
	w.APIs, err = api.New(t.Context(), api.Config{Store: w.SQL, Fixed: apis(), Userinfo: Userinfo, FixedGrants: []storage.ClientGrant{
		{ClientID: Service, Audience: Purchasing, Allowance: storage.Allowance{Scopes: []string{"read:vendors"}}},
	}})
	check(t, err)
	w.APITokens = &api.Tokens{Registry: w.APIs, Minter: w.Minter, Clients: w.Clients, Revocations: w.Revocations, Now: w.Now}
	return w
}

func apis() []storage.API {
	return []storage.API{
		{
			Identifier: Purchasing, SigningAlg: "ES256", TokenLifetime: int(APILife.Seconds()), AllowOfflineAccess: true,
			Users: storage.Anyone, Clients: storage.Anyone, Claims: map[string]string{"employee_id": "user.employee_id"},
			Scopes: []storage.Scope{{Value: "read:vendors"}, {Value: "write:vendors"}},
		},
		{Identifier: Stock, SigningAlg: "RS256", TokenLifetime: int(APILife.Seconds()), Users: storage.Assigned, Clients: storage.Anyone},
	}
}

// ForAPI changes a login's grant to one for an API, with all its scopes.
func (w *World) ForAPI(t testing.TB, id storage.Audience) func(*storage.NewGrant) {
	t.Helper()
	target, err := w.APIs.Target(id, w.APIs.Get(id).ScopeValues())
	check(t, err)
	target.AssignedOnly = false
	return func(g *storage.NewGrant) { g.API = target }
}

// APIToken makes an access token of the grant for its API, good at userinfo too.
func (w *World) APIToken(t testing.TB, g storage.Grant) string {
	t.Helper()
	c, err := w.Clients.Get(t.Context(), g.ClientID)
	check(t, err)
	sub, err := w.Subjects.Of(t.Context(), c, g.UserID)
	check(t, err)
	token, err := w.Minter.APIToken("ES256", mint.APITokenClaims{
		ID: mint.TokenID(g.ID), Subject: sub, Client: g.ClientID, Audience: []storage.Audience{g.API.Audience, Userinfo},
		Scopes: append([]string{"openid", "phone"}, g.API.Scopes...), Expires: g.TokensUntil, AuthTime: g.AuthTime,
		Claims: map[string]any{"employee_id": "291"},
	})
	check(t, err)
	return token
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *World) registry(t testing.TB) *client.Registry {
	t.Helper()
	both := []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken}
	var clients []storage.Client
	for _, c := range []storage.Client{
		{ClientID: Web, AppType: oauth.AppRegularWeb, GrantTypes: both, TokenEndpointAuthMethod: oauth.AuthSecretBasic},
		{ClientID: Other, AppType: oauth.AppRegularWeb, GrantTypes: both, TokenEndpointAuthMethod: oauth.AuthSecretBasic},
		{ClientID: Post, AppType: oauth.AppRegularWeb, GrantTypes: both, TokenEndpointAuthMethod: oauth.AuthSecretPost},
		{ClientID: Narrow, AppType: oauth.AppRegularWeb, GrantTypes: both[:1], TokenEndpointAuthMethod: oauth.AuthSecretBasic},
		{ClientID: SPA, AppType: oauth.AppSPA, GrantTypes: both, TokenEndpointAuthMethod: oauth.AuthNone},
		{ClientID: Service, AppType: oauth.AppNonInteractive, GrantTypes: []string{oauth.GrantClientCredentials}, TokenEndpointAuthMethod: oauth.AuthSecretBasic},
		{ClientID: Backend, AppType: oauth.AppNonInteractive, API: Purchasing, TokenEndpointAuthMethod: oauth.AuthSecretBasic},
		{ClientID: Pairwise, AppType: oauth.AppRegularWeb, GrantTypes: both, TokenEndpointAuthMethod: oauth.AuthSecretBasic, SubjectType: oauth.SubjectPairwise},
	} {
		if !c.Public() {
			c.SecretMACs = [][]byte{client.SecretMAC(w.Vault, c.ClientID, Secret)}
		}
		c.Callbacks = []string{RedirectURI}
		clients = append(clients, c)
	}
	r, err := client.New(client.Config{
		Store: w.SQL, Assertions: w.Redis, Vault: w.Vault, FileClients: clients,
		Issuer: Issuer, TokenEndpoint: oauth.Endpoint(Issuer, "/oauth/token"), Now: w.Now,
	})
	check(t, err)
	return r
}

// Now is the world's clock.
func (w *World) Now() time.Time { return time.Unix(w.now.Load(), 0).UTC() }

// Pass moves the clock.
func (w *World) Pass(d time.Duration) { w.now.Add(int64(d / time.Second)) }

// Login makes a new person log in to the client; change, if any, alters the
// grant. It returns the grant's code and the person.
func (w *World) Login(t testing.TB, id storage.ClientID, change func(*storage.NewGrant)) (code string, g storage.Grant) {
	t.Helper()
	number, err := phone.FromStored(fmt.Sprintf("+8190%08d", w.people.Add(1)))
	check(t, err)
	code, mac := w.Minter.AuthCode()
	_, sessionMAC := w.Minter.AuthCode() // any secret will do
	grant := storage.NewGrant{
		ID:          mint.GrantID(),
		Transaction: mint.TransactionID(),
		CodeMAC:     mac,
		CodeExpires: w.Now().Add(time.Minute),
		ClientID:    id,
		RedirectURI: RedirectURI,
		Scopes:      []string{oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopePhone, oauth.ScopeOfflineAccess},
		Nonce:       Nonce,
	}
	if change != nil {
		change(&grant)
	}
	_, err = w.SQL.OpenSession(t.Context(), storage.Login{
		Number:     number,
		Challenge:  storage.ChallengeID(rand.Text()),
		NewUserID:  mint.UserID(),
		SessionID:  mint.SessionID(),
		SessionMAC: sessionMAC,
		ExpiresAt:  w.Now().Add(7 * 24 * time.Hour),
		Grant:      grant,
	}, w.Now())
	check(t, err)
	kept, _, err := w.SQL.GrantByCode(t.Context(), w.Minter.AuthCodeMACs(code))
	check(t, err)
	return code, kept
}

// AccessToken puts an access token of the grant into Redis, as the token
// endpoint would.
func (w *World) AccessToken(t testing.TB, g storage.Grant) string {
	t.Helper()
	token, mac := w.Minter.AccessToken()
	check(t, w.Redis.PutAccessToken(t.Context(), mac, storage.AccessToken{
		GrantID: g.ID, ClientID: g.ClientID, UserID: g.UserID, SessionID: g.SessionID, Scopes: g.Scopes,
		IssuedAt: w.Now(), ExpiresAt: w.Now().Add(AccessLife), AuthTime: g.AuthTime,
	}, w.Now()))
	return token
}

// RefreshToken redeems the grant's code for a line of refresh tokens and
// returns the first.
func (w *World) RefreshToken(t testing.TB, g storage.Grant) string {
	t.Helper()
	family := storage.RefreshFamily{
		ID: mint.FamilyID(), GrantID: g.ID, Counter: 1, CreatedAt: w.Now(),
		IdleExpires: w.Now().Add(7 * 24 * time.Hour), AbsoluteExpires: w.Now().Add(30 * 24 * time.Hour),
	}
	check(t, w.SQL.RedeemGrant(t.Context(), storage.Redemption{Grant: g.ID, Now: w.Now(), Refresh: &family}))
	return w.Minter.RefreshToken(family.ID, family.Counter)
}

// Answer is an answer as it went over the wire.
type Answer struct {
	*http.Response
	Body string
	// Reason is what the log says of a refusal.
	Reason string
	// Log is all that the request's log record would hold.
	Log string
}

// Call sends a request to the handler through the adapter of its route.
func Call(t testing.TB, h web.Handler, r *http.Request) Answer {
	t.Helper()
	facts := &reqctx.Request{}
	rec := httptest.NewRecorder()
	web.OAuth(h)(rec, r.WithContext(reqctx.With(r.Context(), facts)))
	resp := rec.Result()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	a := Answer{Response: resp, Body: string(body)}
	if e := oauth.AsError(facts.Err()); e != nil {
		a.Reason = e.Reason
	}
	if facts.Err() != nil {
		a.Log = facts.Err().Error() + "\n"
	}
	for _, attr := range facts.Attrs() {
		a.Log += attr.String() + "\n"
		if attr.Key == "reason" {
			a.Reason = attr.Value.String()
		}
	}
	return a
}

// Form makes a POST request; credentials, "id:secret", go into a Basic header.
func Form(t testing.TB, credentials string, form url.Values) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/endpoint", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(credentials, ":"); ok {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) // RFC 6749 §2.3.1
	}
	return r.WithContext(t.Context())
}
