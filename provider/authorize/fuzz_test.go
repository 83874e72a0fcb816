package authorize_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/authorize"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/provider/subject"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

var fuzzClients = clients{
	"web": {ClientID: "web", AppType: oauth.AppRegularWeb, TokenEndpointAuthMethod: oauth.AuthSecretBasic,
		GrantTypes: []string{oauth.GrantAuthorizationCode}, Callbacks: []string{"https://app.example/cb", "https://app.example/cb?a=b"}},
	"native": {ClientID: "native", AppType: oauth.AppNative, TokenEndpointAuthMethod: oauth.AuthNone, RequirePKCE: true, RequireState: true,
		GrantTypes: []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken}, Callbacks: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}},
}

type clients map[storage.ClientID]*storage.Client

func (c clients) Get(_ context.Context, id storage.ClientID) (*storage.Client, error) {
	if c[id] == nil {
		return nil, storage.ErrNotFound
	}
	return c[id], nil
}

// noAPIs is a store without APIs.
type noAPIs struct{}

func (noAPIs) APIs(context.Context) ([]storage.API, error)                 { return nil, nil }
func (noAPIs) ClientGrants(context.Context) ([]storage.ClientGrant, error) { return nil, nil }

type transactions struct{ kept *storage.Transaction }

func (s *transactions) CreateTransaction(_ context.Context, tx storage.Transaction, _ time.Time, _ ...storage.Limit) error {
	s.kept = &tx
	return nil
}

type hints struct{}

func (hints) VerifyHint(_ context.Context, raw string) (mint.Hint, error) {
	if raw != "good" {
		return mint.Hint{}, errors.New("not good")
	}
	return mint.Hint{ClientID: "web", Subject: "subject"}, nil
}

// FuzzAuthorize answers any authorization request with a page, a redirect to a
// registered address, or a login whose frozen request is the one that was sent.
func FuzzAuthorize(f *testing.F) {
	const good = "client_id=web&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&scope=openid&state=s&nonce=n"
	const pkce = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	for _, raw := range []string{
		"", good, good + pkce, good + "&state=t", good + "&prompt=none", good + "&prompt=login+none", good + "&max_age=1&response_mode=form_post",
		good + "&max_age=99999999999999999999", good + "&response_mode=fragment&prompt=none", good + "&id_token_hint=good&login_hint=%2B447400100000&ui_locales=ja+en",
		good + "&request=x", good + "&request_uri=x", good + "&registration=x", good + ";x=y", good + "&%zz", good + "&code_challenge=x&code_challenge_method=plain",
		"client_id=native&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb&response_type=code&scope=openid+offline_access&state=%00%F0%9F%98%80" + pkce,
		"client_id=native&redirect_uri=com.example.app:/cb&response_type=token&state=s", "client_id=web&redirect_uri=https://evil.example/",
		"client_id=web&redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fa%3Db&response_type=id_token&state=" + strings.Repeat("x", 2049),
		good + "&scope=openid&response_mode=query.jwt", good + "&acr_values=phr&display=popup",
		good + "&audience=urn:api", good + "&resource=urn:api&resource=urn:api", good + "&audience=urn:api&resource=urn:other&prompt=none", good + "&audience=%00",
	} {
		f.Add(raw, false)
		f.Add(raw, true)
	}
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	catalog, err := views.NewCatalog()
	if err != nil {
		f.Fatal(err)
	}
	pages := &web.Pages{Catalog: catalog}
	apis, err := api.New(f.Context(), api.Config{Store: noAPIs{}, Userinfo: "https://login.example/userinfo", Fixed: []storage.API{
		{Identifier: "urn:api", TokenLifetime: 3600, Users: storage.Anyone, Clients: storage.Anyone},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string, post bool) {
		store, forms := &transactions{}, endpointtest.Forms{}
		h := authorize.New(authorize.Config{
			Connection: func(string, storage.ClientID) (storage.ConnectionName, bool) { return "", true },
			Issuer:     "https://login.example/", Clients: fuzzClients, Transactions: store, Hints: hints{}, APIs: apis, Subjects: subject.New(nil, fuzzClients), Pages: pages, Now: time.Now,
			Sessions: session.New(session.Config{Vault: v, Now: time.Now}), Browser: authorize.NewBrowser(v, true, time.Minute),
			Posted: forms.Waiting(), Pending: forms.Waiting().Limit, TransactionLife: time.Minute, CodeLife: time.Minute,
		})
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/authorize", RawQuery: raw}, Header: http.Header{}, Body: http.NoBody}
		if post {
			r = httptest.NewRequest(http.MethodPost, "/authorize", strings.NewReader(raw))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		pages.Page(h.Authorize)(w, r)
		res := w.Result()
		if res.StatusCode >= 500 {
			t.Fatalf("%q: status %d", raw, res.StatusCode)
		}
		q, err := url.ParseQuery(raw)
		to := res.Header.Get("Location")
		if err != nil && to != "" {
			t.Fatalf("%q, which is no query, leads to %q", raw, to)
		}
		switch {
		case to == "" && res.StatusCode < 400:
			if q.Get("response_mode") != oauth.ModeFormPost {
				t.Errorf("%q: status %d", raw, res.StatusCode)
			}
		case to == "":
			if store.kept != nil {
				t.Errorf("%q is refused and kept", raw)
			}
		case post:
			forms.Check(t, to, "/authorize", q)
		case store.kept != nil:
			checkFrozen(t, q, store.kept, to)
		default:
			checkRefused(t, q, to)
		}
	})
}

// checkFrozen compares what was kept with what was sent.
func checkFrozen(t *testing.T, q url.Values, tx *storage.Transaction, to string) {
	t.Helper()
	for name, values := range q {
		if len(values) > 1 && name != "resource" {
			t.Errorf("%s is given twice and taken", name)
		}
	}
	client := fuzzClients[storage.ClientID(q.Get("client_id"))]
	if client == nil || tx.ClientID != client.ClientID || tx.RedirectURI != q.Get("redirect_uri") ||
		!oauth.MatchRedirectURI(client.Callbacks, tx.RedirectURI, client.AppType) {
		t.Errorf("kept for %s at %q: %v", tx.ClientID, tx.RedirectURI, q)
	}
	if tx.State != q.Get("state") || tx.Nonce != q.Get("nonce") || len(tx.State) > 2048 || len(tx.Nonce) > 2048 {
		t.Errorf("kept state %q, nonce %q: %v", tx.State, tx.Nonce, q)
	}
	if tx.CodeChallenge != q.Get("code_challenge") || tx.CodeChallenge == "" && client.RequirePKCE || tx.State == "" && client.RequireState {
		t.Errorf("kept challenge %q, state %q: %v", tx.CodeChallenge, tx.State, q)
	}
	for _, s := range tx.Scopes {
		if !slices.Contains(oauth.Scopes(), s) {
			t.Errorf("kept scope %q", s)
		}
	}
	if mode := q.Get("response_mode"); mode != "" && tx.ResponseMode != mode || q.Get("response_type") != "code" || q.Get("prompt") == "none" {
		t.Errorf("kept mode %q: %v", tx.ResponseMode, q)
	}
	if !strings.HasPrefix(to, "/login/phone?txn=") {
		t.Errorf("the login is at %q", to)
	}
}

// checkRefused demands that an error goes to a registered address, with iss, and
// with the state as it came.
func checkRefused(t *testing.T, q url.Values, to string) {
	t.Helper()
	client := fuzzClients[storage.ClientID(q.Get("client_id"))]
	uri := q.Get("redirect_uri")
	if client == nil || !oauth.MatchRedirectURI(client.Callbacks, uri, client.AppType) {
		t.Fatalf("%v leads to %q", q, to)
	}
	rest, ok := strings.CutPrefix(to, uri)
	answer, err := url.ParseQuery(strings.TrimLeft(rest, "?&#"))
	if !ok || err != nil || answer.Get("error") == "" || answer.Get("iss") != "https://login.example/" || answer.Has("code") {
		t.Errorf("%v leads to %q", q, to)
	}
	if s := answer.Get("state"); s != "" && s != q.Get("state") {
		t.Errorf("state %q came back as %q", q.Get("state"), s)
	}
}
