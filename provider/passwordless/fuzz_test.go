package passwordless_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/provider/passwordless"
	"github.com/handset-oidc/handset/storage"
)

// texts is the code engine of a fuzz target: it says yes, and remembers to whom.
type texts struct{ sent []passcode.SendRequest }

func (e *texts) Send(_ context.Context, r passcode.SendRequest) (passcode.Sent, error) {
	e.sent = append(e.sent, r)
	return passcode.Sent{}, nil
}

func (*texts) Check(context.Context, passcode.CheckRequest) error { return nil }

func (*texts) Burst(string) int { return 1 }

// FuzzStart posts bodies to /passwordless/start: whatever they are, the answer is a text
// to the number that stands in it, once, or one of Auth0's errors and no text. A body that
// is taken says the same when it is written anew.
func FuzzStart(f *testing.F) {
	const (
		good  = `{"client_id":"web","client_secret":"correct horse battery staple","connection":"sms","phone_number":"+447400100000"}`
		short = `{"client_id":"spa","connection":"sms","phone_number":"+447400100000"`
	)
	for _, body := range []string{
		good, short + "}", short + `,"send":"code","authParams":{"scope":"openid","nonce":"n"},"captcha":{"x":[1]}}`, short + `,"send":null,"email":null}`,
		short + `,"authParams":[]}`, short + `,"authParams":"x"}`, short + `,"phone_number":"+447400100001"}`, short + `,"phone\u005fnumber":"+1"}`, short + `,"x":1}`,
		short + ",\"send\":\"\xff\"}", short + `,"send":"\ud800"}`, short + `,"client_assertion":"a.b.c","client_assertion_type":"x"}`, `{"client_id":"nobody","connection":"sms","phone_number":"+1"}`,
		`{}`, `[]`, `null`, `{`, ``, `{"client_id":1}`, short + `,"Connection":"sms"}`, strings.Repeat("[", 200), strings.Replace(good, "+44", "+4400", 1), strings.Replace(good, "sms", "email", 1),
		strings.Replace(good, `"sms"`, `"sms\u0000"`, 1), strings.Replace(good, "+447400100000", "+881612345678", 1),
	} {
		f.Add(body, "eyJuYW1lIjoibm9kZS1hdXRoMCJ9")
	}
	f.Add(good, "!")
	f.Add(good, "eyJuYW1lIjoiXHUwMGZmXG4ifQ")
	w := endpointtest.New(f)
	clients, err := client.New(client.Config{
		Store: w.SQL, Assertions: w.Redis, Vault: w.Vault, Issuer: endpointtest.Issuer, TokenEndpoint: endpointtest.Issuer + "oauth/token", Now: w.Now,
		FileClients: []storage.Client{
			{ClientID: "web", AppType: oauth.AppRegularWeb, GrantTypes: []string{oauth.GrantPasswordlessOTP}, TokenEndpointAuthMethod: oauth.AuthSecretPost,
				SecretMACs: [][]byte{client.SecretMAC(w.Vault, "web", endpointtest.Secret)}},
			{ClientID: "spa", AppType: oauth.AppSPA, GrantTypes: []string{oauth.GrantPasswordlessOTP}, TokenEndpointAuthMethod: oauth.AuthNone},
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, sdk string) {
		engine := &texts{}
		h := passwordless.New(passwordless.Config{
			Issuer: endpointtest.Issuer, HTTPS: true, Codes: engine, Challenges: w.Redis, Store: w.SQL, Tickets: w.Redis, Clients: clients,
			APIs: w.APIs, Mint: w.Minter, Vault: w.Vault, Rules: phone.Rules{Countries: []string{"GB"}}, Now: w.Now,
			Connection: func(name string, _ storage.ClientID) (*passcode.Connection, error) {
				if name != "sms" {
					return nil, passwordless.ErrNoConnection
				}
				return &passcode.Connection{Name: "sms"}, nil
			},
		})
		post := func(body string) (endpointtest.Answer, []passcode.SendRequest) {
			engine.sent = nil
			r := httptest.NewRequest(http.MethodPost, passwordless.PathStart, strings.NewReader(body))
			r.Header["Content-Type"], r.Header["Auth0-Client"] = []string{"application/json"}, []string{sdk}
			return endpointtest.Call(t, h.Start, r), engine.sent
		}
		a, sent := post(body)
		var told map[string]any
		if err := json.Unmarshal([]byte(a.Body), &told); err != nil || a.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%q: %s is no JSON: %v", body, a.Body, err)
		}
		keys := slices.Sorted(maps.Keys(told))
		if a.StatusCode != http.StatusOK {
			if a.StatusCode < 400 || a.StatusCode >= 500 || len(sent) != 0 || !slices.Equal(keys, []string{"error", "error_description"}) {
				t.Fatalf("%q: %d %s, %d texts", body, a.StatusCode, a.Body, len(sent))
			}
			return
		}
		var asked map[string]any
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&asked); err != nil || strictjson.Check([]byte(body)) != nil {
			t.Fatalf("%q is taken: %v", body, err)
		}
		number := asked["phone_number"]
		if len(sent) != 1 || sent[0].Number.E164() != number || told["phone_number"] != number || !slices.Equal(keys, []string{"_id", "phone_number", "phone_verified"}) {
			t.Fatalf("%q: %s, and texts %v", body, a.Body, sent)
		}
		var again bytes.Buffer
		if err := json.NewEncoder(&again).Encode(asked); err != nil {
			t.Fatal(err)
		}
		b, more := post(again.String())
		if b.StatusCode != http.StatusOK || len(more) != 1 || more[0].Challenge != sent[0].Challenge || more[0].Number != sent[0].Number {
			t.Fatalf("%q, written as %q: %d %s", body, again.String(), b.StatusCode, b.Body)
		}
		if strings.Contains(a.Log, number.(string)) {
			t.Fatalf("%q: the log has the number: %s", body, a.Log)
		}
	})
}
