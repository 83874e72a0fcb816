package auth0

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// ids reads clients and returns their IDs, and what is wrong with each.
func ids(text string) (all []string, err error) {
	r, err := Open(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	list, err := ReadClients(r)
	for _, c := range list {
		one := string(c.ClientID)
		if c.Err != nil {
			one += " " + c.Err.Error()
		}
		all = append(all, one)
	}
	return all, err
}

func packed(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

func TestFiles(t *testing.T) {
	t.Parallel()
	const one = `[{"client_id":"a"}]`
	const want = "want a JSON array of clients, as the Management API returns it"
	for name, tt := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"an array":                   {text: one, want: []string{"a"}},
		"nothing of a tenant":        {text: "[]"},
		"a byte-order mark, spaces":  {text: "\ufeff\r\n " + one + "\r\n\r\n", want: []string{"a"}},
		"UTF-16":                     {text: "\xff\xfe[\x00{\x00\"\x00c\x00l\x00i\x00e\x00n\x00t\x00_\x00i\x00d\x00\"\x00:\x00\"\x00a\x00\"\x00}\x00]\x00", want: []string{"a"}},
		"gzip":                       {text: packed("\ufeff" + one), want: []string{"a"}},
		"gzip, cut off":              {text: packed(one)[:20], err: "unexpected EOF"},
		"gzip, damaged":              {text: packed(one)[:len(packed(one))-8] + "damaged!", err: "gzip: invalid checksum"},
		"no more than the magic":     {text: "\x1f\x8b", err: "unpack: unexpected EOF"},
		"zip":                        {text: "PK\x03\x04", err: "is a zip archive; unpack it first"},
		"a page":                     {text: `{"start":0,"limit":9,"length":1,"total":1,"clients":[{"client_id":"a"}]}`, want: []string{"a"}},
		"pages, one behind another":  {text: `{"total":2,"clients":[{"client_id":"a"}]}` + "\n" + `{"total":2,"clients":[{"client_id":"b"}]}`, want: []string{"a", "b"}},
		"pages by checkpoint":        {text: `{"clients":[{"client_id":"a"}],"next":"x"}{"clients":[{"client_id":"b"}]}`, want: []string{"a", "b"}},
		"one by itself":              {text: `{"client_id":"a"}`, want: []string{"a"}},
		"one of many pages":          {text: `{"total":3,"clients":[{"client_id":"a"}]}`, err: "is one page of 1 of 3 clients; want all in one file"},
		"not the last checkpoint":    {text: `{"clients":[{"client_id":"a"}],"next":"x"}`, err: "is one page of clients, and not the last; want all in one file"},
		"an error":                   {text: `{"statusCode":401,"error":"Unauthorized"}`, err: "is an error of the Management API (status 401) in place of clients; read them again"},
		"empty":                      {text: "", err: "is no JSON from line 1 on; " + want},
		"cut off":                    {text: "[\n{\"client_id\":\"a\"},\n", err: "is no JSON from line 2 on; " + want},
		"broken off":                 {text: one + "\n{\n", err: "is no JSON from line 2 on; " + want},
		"something else":             {text: `[{"name":"sms","strategy":"sms"}]`, err: want},
		"text":                       {text: `"clients"`, err: want},
		"a page with a member twice": {text: `{"clients":[{"client_id":"a"}],"clients":[]}`, err: want},
		"entries that are none": {text: `[{"client_id":"a"},null,7,{"client_id":7},{"client_id":"a"},{"Client_ID":"c"},{"client_id":"d","x":[{"y":1,"y":2}]},{"client_id":"e","name":"\ud800"}]`,
			want: []string{"a", " want a JSON object", " want a JSON object", " client_id: is of the wrong type", "a client_id: is the same as that of clients[0]",
				" has no client_id", ` "y": stands there twice`, " is not Unicode"}},
	} {
		got, err := ids(tt.text)
		told := ""
		if err != nil {
			told = err.Error()
		}
		if told != tt.err {
			t.Errorf("%s: %q, want %q", name, told, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := ids(`{"total":3,"clients":[]}`); !errors.Is(err, ErrPage) {
		t.Errorf("a page is not told apart: %v", err)
	}
	if _, err := ReadClients(io.LimitReader(endless{}, maxFile+1)); err == nil || err.Error() != "has more than 64 MiB" {
		t.Errorf("more than fits: %v", err)
	}
}

// endless is a file without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestWhatOfAClientIsTold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`"app_type":"spa","tenant":"acme","oidc_conformant":true,"custom_login_page_on":true,"sso_disabled":false,"client_metadata":{},"description":""`: nil,
		`"app_type":"spa","oidc_conformant":false,"native_social_login":{"apple":{"enabled":false},"facebook":{"enabled":false}}`:                        nil,
		`"description":"d","logo_uri":"l","client_metadata":{"a":"b"},"signing_keys":[{"cert":"c"}],"allowed_clients":["x"]`:                             {`"allowed_clients"`, `"client_metadata"`, `"description"`, `"logo_uri"`, `"signing_keys"`},
		`"jwt_configuration":{"alg":"RS256","lifetime_in_seconds":36000,"secret_encoded":false}`:                                                         nil,
		`"jwt_configuration":{"alg":"RS256","lifetime_in_seconds":60,"scopes":{"a":"b"}}`:                                                                {`"jwt_configuration.lifetime_in_seconds"`, `"jwt_configuration.scopes"`},
		`"refresh_token":{"rotation_type":"rotating","leeway":3,"policies":[{"audience":"a"}]}`:                                                          {`"refresh_token.policies"`},
		`"client_authentication_methods":{"tls_client_auth":{"credentials":[{"id":"a"}]}}`:                                                               {`"client_authentication_methods.tls_client_auth"`},
		`"organization_usage":"require"`:        {`"organization_usage"`},
		`"` + strings.Repeat("é", 70) + `\n":1`: {`"` + strings.Repeat("é", 64) + `…"`},
	} {
		list, err := ReadClients(strings.NewReader(`[{"client_id":"a",` + in + `}]`))
		if err != nil || list[0].Err != nil {
			t.Fatal(in, err, list)
		}
		if diff := cmp.Diff(want, list[0].NotTaken); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestConnectionsAreTakenWhole(t *testing.T) {
	t.Parallel()
	list, err := ReadConnections(strings.NewReader(`[{"name":"sms","strategy":"sms","options":{"a":1},"enabled_clients":["x"],"display_name":"Text","realms":["sms","r"],
		"metadata":{"k":"v"},"is_domain_connection":true,"show_as_button":false,"authentication":{"active":true},"connected_accounts":{"active":false}},
		{"name":"b","strategy":"sms","authentication":{},"connected_accounts":null,"metadata":{},"realms":[],"enabled_clients":[]},
		{"name":"c","strategy":"sms","authentication":[]},{"name":"d","strategy":"sms","connected_accounts":{"a":"` + strings.Repeat("x", 2000) + `"}},
		{"name":"e","strategy":"sms","metadata":{"k":1}}]`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		settings, err := json.Marshal(c.Settings)
		if err != nil {
			t.Fatal(err)
		}
		if c.Err != nil {
			got = append(got, fmt.Sprint(c.Name, " ", c.Err))
			continue
		}
		got = append(got, fmt.Sprint(c.Name, " ", string(settings), " ", c.NotTaken, " ", c.Notes))
	}
	want := []string{
		`sms {"display_name":"Text","restricted":true,"enabled_clients":["x"],"is_domain_connection":true,"show_as_button":false,"realms":["sms","r"],"metadata":{"k":"v"},"authentication":{"active":true},"connected_accounts":{"active":false}} [] []`,
		`b {"restricted":true} [] [enabled_clients: names none, so no client may use it until one is enabled]`,
		"c authentication: is of the wrong type", "d connected_accounts: is longer than 1024 bytes", "e metadata: is of the wrong type",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzExports reads whatever comes, and tells of it in lines that are safe to print.
func FuzzExports(f *testing.F) {
	for _, text := range []string{
		`[{"client_id":"a","name":"A","grant_types":["x"],"extra":1}]`, `{"total":2,"clients":[{"client_id":"a"}]}`, `[{"name":"sms","strategy":"sms","options":{"twilio_sid":"x"}}]`,
		`{"connections":[{"strategy":"sms","metadata":{"\u001b":"x"}}],"next":"n"}`, "[{\"client_id\":\"\\u001b[31m\\n\",\"\\n\":1}]", packed("[]"), "\xff\xfe[\x00]\x00", `[{"client_id":"a","a":1,"a":2}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		safe := func(lines ...string) {
			for _, line := range lines {
				if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(line) > 700 {
					t.Fatalf("told: %q", line)
				}
			}
		}
		told := func(err error, entries ...Entry) {
			if err != nil {
				safe(err.Error())
			}
			for _, e := range entries {
				safe(append(e.Notes, e.NotTaken...)...)
				if e.Err != nil {
					safe(e.Err.Error())
				}
			}
		}
		read := func() io.Reader {
			r, err := Open(bytes.NewReader(text))
			told(err)
			if err != nil {
				return strings.NewReader("")
			}
			return io.LimitReader(r, 1<<20)
		}
		clients, err := ReadClients(read())
		told(err)
		for _, c := range clients {
			told(nil, c.Entry)
		}
		connections, err := ReadConnections(read())
		told(err)
		for _, c := range connections {
			told(nil, c.Entry)
		}
		_, err = ReadUsers(read())
		told(err)
	})
}
