package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/provider/management"
)

// The clients of a rig that is managed by API.
const (
	manager = "manager" // client_secret_post; every scope of the Management API
	reader  = "reader"  // client_secret_post; read:users
)

// withManagement declares the clients above, and no connection: the database's serves.
func withManagement() option {
	return func(o *options) {
		for id, scopes := range map[string][]string{manager: nil, reader: {"read:users"}} {
			withClient(id, func(c *config.Client) {
				c.ClientSecret, c.TokenEndpointAuthMethod = config.NewSecret(secret), "client_secret_post"
				c.AppType, c.Callbacks, c.AllowedLogoutURLs = "non_interactive", nil, nil
			})(o)
			withConfig(func(c *config.Config) {
				c.Connections = nil
				c.ClientGrants = append(c.ClientGrants, config.ClientGrant{
					ClientID: id, Audience: managementAudience(c.Issuer), Scope: scopes, AllowAllScopes: scopes == nil,
				})
			})(o)
		}
	}
}

func managementAudience(issuer string) string { return string(management.BuiltIn(issuer).Identifier) }

// managed calls the Management API of a rig with one token.
type managed struct {
	*rig
	token string
}

func (r *rig) managedBy(client string) managed {
	r.t.Helper()
	got := r.machineToken(client, managementAudience(r.issuer), asSecret...)
	if got.AccessToken == "" {
		r.t.Fatalf("management token: %d %s %s", got.status, got.Error, got.Description)
	}
	return managed{r, got.AccessToken}
}

// managedAnswer is an answer, its body read when it is JSON.
type managedAnswer struct {
	status int
	header http.Header
	raw    string
	list   []map[string]any
	one    map[string]any
}

// send sends a body as it is.
func (m managed) send(method, path, body string, headers ...string) managedAnswer {
	m.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.base+"/api/v2"+path, in)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.token != "" {
		req.Header.Set("Authorization", "Bearer "+m.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := m.http.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	out := managedAnswer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	switch raw = bytes.TrimSpace(raw); {
	case bytes.HasPrefix(raw, []byte("[")):
		err = json.Unmarshal(raw, &out.list)
	case len(raw) > 0:
		err = json.Unmarshal(raw, &out.one)
	}
	if err != nil {
		m.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
	}
	return out
}

// does sends v as JSON, nil for no body, and wants a status.
func (m managed) does(status int, method, path string, v any) managedAnswer {
	m.t.Helper()
	body := ""
	if v != nil {
		text, err := json.Marshal(v)
		if err != nil {
			m.t.Fatal(err)
		}
		body = string(text)
	}
	got := m.send(method, path, body)
	if got.status != status {
		m.t.Fatalf("%s %s: %d %s, want %d", method, path, got.status, got.raw, status)
	}
	return got
}

// refuses wants one of Auth0's errors.
func (m managed) refuses(got managedAnswer, status int, code, message string) {
	m.t.Helper()
	var keys []string
	for key := range got.one {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	want := []string{"error", "message", "statusCode"}
	if code != "" {
		want = []string{"error", "errorCode", "message", "statusCode"}
	}
	if got.status != status || got.one["statusCode"] != float64(status) || got.one["error"] != http.StatusText(status) ||
		code != "" && got.one["errorCode"] != code || !slices.Equal(keys, want) {
		m.t.Errorf("%d %s; want %d %s", got.status, got.raw, status, code)
	}
	if text, _ := got.one["message"].(string); !strings.Contains(text, message) {
		m.t.Errorf("message %q, want %q in it", text, message)
	}
	if got.header.Get("Content-Type") != "application/json; charset=utf-8" || got.header.Get("Cache-Control") != "no-store" {
		m.t.Errorf("headers of an error: %v", got.header)
	}
}

func (m managed) text(o map[string]any, key string) string {
	m.t.Helper()
	s, ok := o[key].(string)
	if !ok {
		m.t.Fatalf("no %s in %v", key, o)
	}
	return s
}

// smsID is Auth0's ID of the connection that serves.
func (m managed) smsID() string { return management.ConnectionID("sms") }

// toGateway are options that send texts to the rig's gateway.
func (m managed) toGateway(more map[string]any) map[string]any {
	m.t.Helper()
	var o map[string]any
	if err := json.Unmarshal(m.gateway.options(more).JSON(), &o); err != nil {
		m.t.Fatal(err)
	}
	return o
}

func managedRoutes(r *rig) (all []string) {
	for _, pattern := range r.server.Provider.Routes() {
		if strings.Contains(pattern, management.Path) {
			all = append(all, pattern)
		}
	}
	return all
}

func escaped(id string) string { return url.PathEscape(id) }

func startManaged(t testing.TB, opts ...option) managed {
	t.Helper()
	return start(t, append([]option{withManagement()}, opts...)...).managedBy(manager)
}
