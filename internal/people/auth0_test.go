package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/storage"
)

// auth0Told reads an export to its end and writes a line for each user.
func auth0Told(t testing.TB, list string, schema attributes.Schema) []string {
	t.Helper()
	return toldAs(t, list, Auth0, schema, func(row Row) string {
		kept, err := json.Marshal([]any{row.Attributes, row.Metadata.App, row.Metadata.User})
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(row.Line, " ", row.ID, " ", row.Number)
		if row.Verified {
			text += " proved"
		}
		if row.Blocked != nil {
			text += fmt.Sprint(" blocked ", *row.Blocked)
		}
		if string(kept) != "[{},{},null]" {
			text += " " + string(kept)
		}
		for _, told := range append(row.NotTaken, row.Notes...) {
			text += "; " + told
		}
		return text
	})
}

func TestUsersOfAuth0(t *testing.T) {
	t.Parallel()
	linked := func(profile string) string {
		return `"identities":[{"provider":"auth0","user_id":"a"},{"provider":"sms","user_id":"b","profileData":{` + profile + `}}]`
	}
	for in, want := range map[string]string{
		`"user_id":"sms|a","phone_number":"+1"`:                                        "1 sms|a +1 proved",
		`"user_id":"sms|a","phone_number":"+1","phone_verified":true`:                  "1 sms|a +1 proved",
		`"user_id":"sms|a","phone_number":"+1","phone_verified":null`:                  "1 sms|a +1 proved",
		`"user_id":"sms|a","phone_number":"+1","phone_verified":false`:                 "1 sms|a +1",
		`"user_id":"sms|a","phone_number":"+1","blocked":true`:                         "1 sms|a +1 proved blocked true",
		`"user_id":"auth0|a","phone_number":"+1","phone_verified":true`:                "1 auth0|a +1 proved",
		`"user_id":"auth0|a","phone_number":"+1"`:                                      "line 1: phone_number: was never verified, and the user logs in by other means",
		`"user_id":"auth0|a","phone_number":"+1","phone_verified":false`:               "line 1: phone_number: was never verified, and the user logs in by other means",
		`"user_id":"auth0|a",` + linked(`"phone_number":"+2","phone_verified":true`):   `1 auth0|a +2 proved; identities of "auth0"`,
		`"user_id":"auth0|a",` + linked(`"phone_number":"+2"`):                         `1 auth0|a +2 proved; identities of "auth0"`,
		`"user_id":"auth0|a",` + linked(`"phone_number":"+2","phone_verified":false`):  `1 auth0|a +2; identities of "auth0"`,
		`"user_id":"auth0|a","phone_number":"+1",` + linked(`"phone_number":"+2"`):     `1 auth0|a +2 proved; identities of "auth0"; "phone_number"`,
		`"user_id":"auth0|a","phone_number":"+1","phone_verified":true,` + linked(``):  `1 auth0|a +1 proved; identities of "auth0"`,
		`"user_id":"auth0|a","phone_number":"+1",` + linked(``):                        `1 auth0|a +1 proved; identities of "auth0"`,
		`"user_id":"auth0|a","phone_number":"+1","phone_verified":false,` + linked(``): "line 1: phone_number: was never verified, and the user logs in by other means",
		`"user_id":"sms|a","phone_number":"+1",` + linked(`"phone_number":"+2"`):       `1 sms|a +1 proved; identities of "auth0"; identities of "sms"`,
		`"user_id":"sms|a",` + linked(`"phone_number":"+2","phone_verified":false`):    `1 sms|a +2; identities of "auth0"`,
		`"user_id":"a","phone_number":"+1"`:                                            "1 sms|a +1; user_id: has no provider before it, and gets sms|",
		`"user_id":"b","phone_number":"+1",` + linked(``):                              `1 sms|b +1 proved; identities of "auth0"; user_id: has no provider before it, and gets sms|`,
		`"user_id":"a","phone_number":"+1","phone_verified":true,` + linked(``):        `1 auth0|a +1 proved; identities of "auth0"; user_id: has no provider before it, and gets auth0|`,
		`"user_id":"|a","phone_number":"+1"`:                                           "line 1: user_id: want the provider and an ID, such as sms|ID",
		`"user_id":"` + strings.Repeat("a", 253) + `","phone_number":"+1"`:             idRefused(1),
		`"user_id":"sms|a@clients","phone_number":"+1"`:                                machineRefused(1),
		`"user_id":"sms|a"`:                                                                  "line 1: phone_number: is missing: people log in with one here",
		`"phone_number":"+1"`:                                                                "line 1: user_id: is missing: applications know people by it; export it",
		`"USER_ID":"sms|a","phone_number":"+1"`:                                              "line 1: user_id: is missing: applications know people by it; export it",
		`"user_id":"sms|a","phone_number":"+1","PHONE_NUMBER":"+2"`:                          `1 sms|a +1 proved; "PHONE_NUMBER"`,
		`"user_id":"sms|a","phone_number":"+1","phone_number":"+2"`:                          `line 1: "phone_number": stands there twice`,
		`"user_id":"sms|a","phone_number":"+1","x":{"+14158580001":1,"+14158580001":2}`:      "line 1: a member of another form: stands there twice",
		`"user_id":"sms|a","phone_number":"+1","identities":[{"profileData":7}]`:             "line 1: identities: has a member of the wrong type",
		`"user_id":"sms|a","phone_number":"+1","identities":{}`:                              "line 1: identities: is of the wrong type",
		`"user_id":"sms|a","phone_number":"+1","identities":[{"PROVIDER":"sms"}]`:            "1 sms|a +1 proved; identities of another form",
		`"user_id":"sms|a","phone_number":"+1","user_metadata":{"a":1.50,"b":null}`:          `1 sms|a +1 proved [{},{},{"a":1.50,"b":null}]`,
		`"user_id":"sms|a","phone_number":"+1","created_at":"2020-01-01T00:00:00.000Z"`:      "1 sms|a +1 proved",
		`"user_id":"sms|a","phone_number":"+1","created_at":"Wed Jan 01 2020"`:               `1 sms|a +1 proved; "created_at"`,
		`"user_id":"sms|a","phone_number":"+1","created_at":"0001-01-01T00:00:00Z"`:          `1 sms|a +1 proved; "created_at"`,
		`"user_id":"sms|a","phone_number":"+1","name":"+1","email":"","logins_count":0`:      "1 sms|a +1 proved",
		`"user_id":"sms|a","phone_number":"+1","name":"Ada","email":"a","multifactor":["x"]`: `1 sms|a +1 proved; "email"; "multifactor"; "name"`,
	} {
		if got := strings.Join(auth0Told(t, "{"+in+"}", attributes.Schema{}), "\n"); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// What the Management API keeps of app_metadata, an import keeps, too.
func TestMetadataOfAuth0(t *testing.T) {
	t.Parallel()
	strict, problems := attributes.New(map[string]attributes.Attribute{"team": {}, "level": {Type: attributes.Integer}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	long := strings.Repeat("x", 501)
	for _, tt := range []struct {
		in     string
		schema attributes.Schema
		want   string
	}{
		{`{"plan":1}`, attributes.Schema{}, `[{"plan":null},{"plan":1},null]`},
		{`{"plan":"gold","on":true,"big":1e400,"none":null,"a b":"x","list":["a"],"phone":"x"}`, attributes.Schema{},
			`[{"big":null,"list":null,"on":null,"phone":null,"plan":"gold"},{"a b":"x","big":1e400,"list":["a"],"on":true,"phone":"x"},null]`},
		{`{"long":"` + long + `"}`, attributes.Schema{}, `[{"long":null},{"long":"` + long + `"},null]`},
		{`{"team":"a","level":7,"plan":1}`, strict, `[{"level":7,"plan":null,"team":"a"},{"plan":1},null]`},
		{`{"team":null}`, strict, ""},
		{`{"level":"7"}`, strict, "app_metadata: level: want a whole number"},
		{`{"team":["a"]}`, strict, "app_metadata: team: want a string"},
		{`[]`, strict, "app_metadata: is of the wrong type"},
	} {
		got := auth0Told(t, `{"user_id":"sms|a","phone_number":"+1","app_metadata":`+tt.in+`}`, tt.schema)[0]
		if got = strings.TrimPrefix(strings.TrimPrefix(got, "1 sms|a +1 proved"), "line 1:"); strings.TrimSpace(got) != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestFilesOfAuth0(t *testing.T) {
	t.Parallel()
	user := func(n int) string { return fmt.Sprintf(`{"user_id":"sms|%d","phone_number":"+%d"}`, n, n) }
	read := []string{"1 sms|1 +1 proved", "2 sms|2 +2 proved"}
	wide := strings.Repeat(" ", 1<<17)
	const want = "want a JSON array of users, as the Management API returns it"
	for name, tt := range map[string]struct {
		list string
		want []string
	}{
		"lines":                     {user(1) + "\n" + user(2), read},
		"lines of Windows":          {"\ufeff" + user(1) + "\r\n" + user(2) + "\r\n", read},
		"blank lines":               {"\n \n" + user(1) + "\n\n" + user(2) + "\n\n", []string{"3 sms|1 +1 proved", "5 sms|2 +2 proved"}},
		"a long line":               {user(1) + "\n" + strings.Repeat("x", 1<<20) + "\n" + user(2), []string{"1 sms|1 +1 proved", "line 2: is longer than 65536 bytes", "3 sms|2 +2 proved"}},
		"a long first line":         {`{"user_id":"` + strings.Repeat("x", 1<<20) + "\"}\n" + user(2), []string{"line 1: is longer than 65536 bytes", "2 sms|2 +2 proved"}},
		"UTF-16":                    {utf16Text(user(1) + "\r\n" + user(2)), read},
		"an array":                  {"[" + user(1) + "," + user(2) + "]", read},
		"an array in one long line": {"[" + user(1) + wide + "," + user(2) + "]", read},
		"an array over lines":       {"\n[\n" + strings.ReplaceAll(user(1), ",", ",\n") + ",\n" + user(2) + "\n]\n", read},
		"objects over lines":        {"{\n" + user(1)[1:] + "\n" + user(2), read},
		"a page":                    {`{"start":0,"limit":50,"length":2,"users":[` + user(1) + "," + user(2) + `],"total":2}`, read},
		"a page in one long line":   {`{"start":0,"users":[` + user(1) + wide + "," + user(2) + `],"total":2}`, read},
		"pages":                     {`{"total":2,"users":[` + user(1) + "]}\n" + `{"total":2,"users":[` + user(2) + "]}\n", read},
		"one page of two":           {`{"total":2,"users":[` + user(1) + "]}", []string{"is one page of 1 of 2 users; want all in one file"}},
		"a user with users":         {`{"user_id":"sms|1","phone_number":"+1","users":["x"]}`, []string{`1 sms|1 +1 proved; "users"`}},
		"an array of others":        {`[{"client_id":"a"}]`, []string{want}},
		"an empty array":            {"[]", nil},
		"an array cut off":          {"[\n" + user(1) + ",\n", []string{"is no JSON from line 2 on; " + want}},
		"an array with others": {`[null,"a",{"user_id":"sms|1","phone_number":"+1","big":"` + strings.Repeat("x", 1<<17) + `"},` + user(2) + "]",
			[]string{"line 1: is not a JSON object", "line 2: want a JSON object", "line 3: is longer than 65536 bytes", "4 sms|2 +2 proved"}},
		"CSV":                 {"user_id,phone_number\nsms|1,+1\n", []string{"is CSV; want JSON: an export job of format json"}},
		"nothing":             {"", []string{"the list is empty"}},
		"blank":               {"\ufeff\n \n", []string{"the list is empty"}},
		"a line that is none": {"x\n" + user(2), []string{"line 1: is not a JSON object", "2 sms|2 +2 proved"}},
		"two in a line":       {user(1) + user(2) + "\n" + user(2), []string{"line 1: want one JSON object per line", "2 sms|2 +2 proved"}},
	} {
		if diff := cmp.Diff(tt.want, auth0Told(t, tt.list, attributes.Schema{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	broken := errors.New("disk on fire")
	for _, begin := range []string{"", user(1) + "\n", "[" + user(1)} {
		rows, err := Open(io.MultiReader(strings.NewReader(begin), &failing{broken}), Auth0, attributes.Schema{})
		for err == nil {
			_, err = rows.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("behind %q: %v", begin, err)
		}
	}
}

// An import of what is there already changes nothing, and keeps what was decided here.
func TestUsersOfAuth0AreImported(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Schema, d.Format = attributes.Schema{}, Auth0
	var remarks []string
	d.Note = func(r Remark) error {
		remarks = append(remarks, fmt.Sprint(r.Place, " ", r.Notes, r.NotTaken))
		return nil
	}
	const list = `[{"user_id":"sms|a","phone_number":"+819012345678","phone_verified":false,"created_at":"2020-02-03T04:05:06.7Z","email":"x"},
		{"user_id":"b","phone_number":"+819012345679","created_at":"2030-01-01T00:00:00Z","app_metadata":{"tier":"gold"}},
		{"user_id":"sms|c","phone_number":"+819012345678","email":"x"}]`
	const refused = "entry 3: phone_number: is the same as in entry 1"
	d.take(list, Summary{Added: 2, Refused: 1}, refused)
	if diff := cmp.Diff([]string{`entry 1 [] ["email"]`, "entry 2 [user_id: has no provider before it, and gets sms|] []"}, remarks); diff != "" {
		t.Errorf("remarks (-want +got):\n%s", diff)
	}
	profile := func(id storage.UserID) storage.Profile {
		t.Helper()
		p, err := d.store.Profile(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if a := profile("sms|a"); !a.VerifiedAt.IsZero() || !a.CreatedAt.Equal(time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)) {
		t.Errorf("verified %s, created %s", a.VerifiedAt, a.CreatedAt)
	}
	if b := profile("sms|b"); !b.VerifiedAt.IsZero() || !b.CreatedAt.Equal(testTime) || b.Attributes["tier"] != "gold" {
		t.Errorf("of nothing but a number: %+v", b)
	}
	if err := d.store.BlockUser(t.Context(), "sms|a", testTime); err != nil {
		t.Fatal(err)
	}
	d.Update = true
	d.take(list, Summary{Unchanged: 2, Refused: 1}, refused)
	if !profile("sms|a").Blocked {
		t.Error("an export that says nothing of it took a block away")
	}
	changed := `{"user_id":"sms|b","phone_number":"+819012345679","app_metadata":{"tier":3}}`
	d.take(changed, Summary{Updated: 1})
	if b := profile("sms|b"); b.Attributes["tier"] != nil || b.Metadata.App["tier"] != json.Number("3") {
		t.Errorf("a string that became a number: %+v", b)
	}
	d.take(changed, Summary{Unchanged: 1})
}
