package people

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/storage"
)

func testSchema(t testing.TB) attributes.Schema {
	t.Helper()
	s, problems := attributes.New(map[string]attributes.Attribute{
		"employee_id": {Required: true, Unique: true}, "department": {}, "level": {Type: attributes.Integer}, "hired": {Type: attributes.Date},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

// utf16Text encodes with a byte-order mark, little end first.
func utf16Text(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

func swapped(text string) string {
	out := []byte(text)
	for i := 0; i+1 < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return string(out)
}

// told reads a list to its end and writes one line for each of its own.
func told(t testing.TB, list, format string) (all []string) {
	t.Helper()
	rows, err := Open(strings.NewReader(list), format, testSchema(t))
	if err != nil {
		return []string{err.Error()}
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if refused, ok := errors.AsType[*LineError](err); ok {
			all = append(all, refused.Error())
			continue
		}
		if err != nil {
			return append(all, err.Error())
		}
		blocked := ""
		if row.Blocked != nil {
			blocked = fmt.Sprint(" blocked ", *row.Blocked)
		}
		text, err := json.Marshal(row.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %s %s%s %s", row.Line, row.Number, row.ID, blocked, text))
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	const plain = "phone,employee_id,department\n+819012345678,0291,購買\n"
	read := []string{`2 +819012345678  {"department":"購買","employee_id":"0291"}`}
	for name, tt := range map[string]struct {
		list string
		want []string
	}{
		"plain":                 {plain, read},
		"byte-order mark":       {"\ufeff" + plain, read},
		"UTF-16, little end":    {utf16Text(plain), read},
		"UTF-16, big end":       {swapped(utf16Text(plain)), read},
		"CRLF":                  {strings.ReplaceAll(plain, "\n", "\r\n"), read},
		"no line end at last":   {strings.TrimSuffix(plain, "\n"), read},
		"semicolons":            {strings.ReplaceAll(plain, ",", ";"), read},
		"tabs":                  {strings.ReplaceAll(plain, ",", "\t"), read},
		"names of columns":      {strings.Replace(plain, "phone", " Phone Number ", 1), read},
		"another name":          {strings.Replace(plain, "phone", "NUMBER", 1), read},
		"quotes":                {"\"phone\",\"employee_id\",\"department\"\n\"+819012345678\",\" 0291 \",\"購買\"\n", read},
		"all columns":           {"user_id,phone,blocked,level,hired\nauth0|1,+819012345678,TRUE,007,2024-04-01\nb,+819012345679,,,\n", []string{`2 +819012345678 auth0|1 blocked true {"hired":"2024-04-01","level":7}`, `3 +819012345679 b {}`}},
		"blank lines":           {"\n\nphone,level\n\n,\n+819012345678,1\n\n", []string{`6 +819012345678  {"level":1}`}},
		"a comma in quotes":     {"phone,department\n+819012345678,\"a, \"\"b\"\"\"\n", []string{`2 +819012345678  {"department":"a, \"b\""}`}},
		"a newline in quotes":   {"phone,department\n+819012345678,\"a\nb\"\n+819012345679,c\n", []string{"line 2: department: want one line, without control characters", `4 +819012345679  {"department":"c"}`}},
		"a newline at an edge":  {"phone,department\n+819012345678,\"a\r\n\"\n+819012345679,c\n", []string{`2 +819012345678  {"department":"a"}`, `4 +819012345679  {"department":"c"}`}},
		"too few cells":         {"phone,level\n+819012345678\n+819012345679,1\n", []string{"line 2: has 1 cells, the header has 2", `3 +819012345679  {"level":1}`}},
		"too many cells":        {"phone,level\n+819012345678,1,2\n", []string{"line 2: has 3 cells, the header has 2"}},
		"values":                {"phone,level,hired,blocked\n+1,x,,\n+1,,4/1/2024,\n+1,,,yes\n", []string{"line 2: level: want a whole number", "line 3: hired: want a date such as 2026-04-01", "line 4: blocked: want true or false"}},
		"IDs of machines":       {"phone,user_id\n1,nightly-batch@clients\n1,@clients\n1,a@clients.example\n", []string{machineRefused(2), machineRefused(3), "4 1 a@clients.example {}"}},
		"IDs":                   {"phone,user_id\n1,+81\n1,a b\n1,é\n1," + strings.Repeat("a", 256) + "\n", []string{idRefused(2), idRefused(3), idRefused(4), idRefused(5)}},
		"a quote inside":        {"phone,department\n+1,5\" pipe\n+2,c\n", []string{quoteRefused(2), `3 +2  {"department":"c"}`}},
		"text behind a quote":   {"phone,department\n+1,\"a\"b\n+2,c\n", []string{quoteRefused(2), `3 +2  {"department":"c"}`}},
		"a quote never closed":  {"phone,department\n+1,\"a\n+2,c\n", []string{"line 2: a quote is opened and not closed", `3 +2  {"department":"c"}`}},
		"a quote closed late":   {"phone,department\n+1,\"a" + strings.Repeat("\n+2,c", 30) + "\"\n", append([]string{"line 2: a quote is opened and not closed"}, late()...)},
		"Latin-1":               {"phone,department\n+1,caf\xe9\n+2,c\n", []string{notUTF8(2), `3 +2  {"department":"c"}`}},
		"Shift_JIS header":      {"phone,\x95\x94\x8f\x90\n+1,c\n", []string{notUTF8(1)}},
		"UTF-16 without a mark": {utf16Text(plain)[2:], []string{"line 1: holds zero bytes: if the file is UTF-16, save it as UTF-8"}},
		"a lost character":      {"phone,department\n+1,caf\ufffd\n", []string{"line 2: holds characters that were lost when the file was made (U+FFFD)"}},
		"half of a surrogate":   {utf16Text("phone,department\n+1,x") + "\x00\xd8\n\x00", []string{"line 2: holds characters that were lost when the file was made (U+FFFD)"}},
		"a huge line":           {"phone,department\n+1," + strings.Repeat("x", 10<<20) + "\n+2,c\n", []string{"line 2: is longer than 65536 bytes", `3 +2  {"department":"c"}`}},
		"a huge header":         {strings.Repeat("x", 10<<20), []string{"line 1: is longer than 65536 bytes"}},
		"an unknown column":     {"phone,shoe\n", []string{"line 1: column 2 (shoe): no attribute of people; they are department, employee_id, hired, level"}},
		"a column twice":        {"phone,level,level\n", []string{"line 1: column 3: there are two of level"}},
		"two numbers":           {"phone,number\n", []string{"line 1: column 2: there are two of phone_number"}},
		"no number":             {"level,user_id\n", []string{"line 1: no column is called phone_number, phone or number"}},
		"no header":             {"+819012345678,291\n", []string{"line 1: column 1: is no name of a column; the first line must be the header"}},
		"empty":                 {"", []string{"the list is empty"}},
		"blank":                 {"\ufeff\n \n", []string{"the list is empty"}},
		"a header alone":        {"phone\n", nil},
	} {
		if diff := cmp.Diff(tt.want, told(t, tt.list, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func idRefused(line int) string {
	return fmt.Sprintf("line %d: user_id: want at most 255 visible ASCII characters, the first no +", line)
}

func machineRefused(line int) string {
	return fmt.Sprintf("line %d: user_id: ends in @clients, as those of machines do, and no person's may", line)
}

func quoteRefused(line int) string {
	return fmt.Sprintf("line %d: a quote stands where it may not: a cell with quotes is quoted as a whole, its own quotes doubled", line)
}

func notUTF8(line int) string {
	return fmt.Sprintf("line %d: is not UTF-8: save the file as UTF-8 (of a spreadsheet: CSV UTF-8)", line)
}

// late is what comes of the lines behind a quote that is closed too late: all but the
// one with the quote are read.
func late() (all []string) {
	for n := 3; n < 32; n++ {
		all = append(all, fmt.Sprintf(`%d +2  {"department":"c"}`, n))
	}
	return append(all, quoteRefused(32))
}

func TestObjects(t *testing.T) {
	t.Parallel()
	const plain = `{"user_id":"auth0|1","phone_number":"+819012345678","blocked":true,"attributes":{"employee_id":"0291","level":7,"department":null}}`
	for name, tt := range map[string]struct {
		list string
		want []string
	}{
		"plain":           {plain, []string{`1 +819012345678 auth0|1 blocked true {"department":null,"employee_id":"0291","level":7}`}},
		"byte-order mark": {"\ufeff" + plain, []string{`1 +819012345678 auth0|1 blocked true {"department":null,"employee_id":"0291","level":7}`}},
		"the number alone": {"\n" + `{"phone_number":"+1"}` + "\r\n\n" + `{"phone_number":"+2"}`, []string{
			"2 +1  null", "4 +2  null"}},
		"broken lines": {strings.Join([]string{
			`{"phone_number":"+1"}`, `{"phone_number":`, `[]`, `"+819012345678"`, `+819012345678`, `null and void`, `{} {}`, `{"phone_number":"+2"}`,
		}, "\n"), []string{
			"1 +1  null", "line 2: is not a JSON object", "line 3: want a JSON object", "line 4: want a JSON object", "line 5: is not a JSON object",
			"line 6: want one JSON object per line", "line 7: want one JSON object per line", "8 +2  null"}},
		"wrong types": {strings.Join([]string{
			`{"phone_number":819012345678}`, `{"phone_number":["+1"]}`, `{"phone_number":"+1","blocked":"true"}`, `{"phone_number":"+1","user_id":1}`,
			`{"phone_number":"+1","attributes":[]}`, `{"phone_number":"+1","attributes":{"level":"7"}}`, `{"phone_number":"+1","attributes":{"employee_id":291}}`,
			`{"phone_number":"+1","attributes":{"level":1.5}}`, `{"phone_number":"+1","attributes":{"department":["a"]}}`,
		}, "\n"), []string{
			"line 1: phone_number: want text in quotes", "line 2: phone_number: want text in quotes", "line 3: blocked: is of the wrong type",
			"line 4: user_id: is of the wrong type", "line 5: attributes: is of the wrong type", "line 6: level: want a whole number",
			"line 7: employee_id: want a string", "line 8: level: want a whole number", "line 9: department: want a string"}},
		"unknown": {strings.Join([]string{
			`{"phone":"+819012345678"}`, `{"phone_number":"+1","attributes":{"shoe":"43"}}`, `{"phone_number":"+1","attributes":{"+819012345678":null}}`,
		}, "\n"), []string{
			"line 1: has an unknown member; they are user_id, phone_number, blocked and attributes",
			"line 2: shoe: no attribute of people; they are department, employee_id, hired, level",
			"line 3: attributes: no attribute of people; they are department, employee_id, hired, level"}},
		"encodings":   {`{"phone_number":"+1","attributes":{"department":"caf` + "\xe9" + `"}}`, []string{notUTF8(1)}},
		"a huge line": {`{"phone_number":"+1","attributes":{"department":"` + strings.Repeat("x", 1<<20) + `"}}` + "\n{}", []string{"line 1: is longer than 65536 bytes", "2   null"}},
		"deep":        {strings.Repeat(`{"attributes":`, 4000) + "1" + strings.Repeat("}", 4000), []string{"line 1: has too many levels"}},
		"a machine's": {`{"phone_number":"+1","user_id":"batch@clients"}`, []string{machineRefused(1)}},
		"an ID":       {`{"phone_number":"+1","user_id":"+81"}`, []string{idRefused(1)}},
	} {
		format := ""
		if !strings.HasPrefix(strings.TrimLeft(tt.list, "\n\ufeff"), "{") {
			format = NDJSON
		}
		if diff := cmp.Diff(tt.want, told(t, tt.list, format)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A reader that fails ends the list, and is no line of it.
func TestListsThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, begin := range []string{"", "phone\n+1\n", `{"phone_number":"+1"}` + "\n", "phone,department\n+1,\"a\n"} {
		rows, err := Open(io.MultiReader(strings.NewReader(begin), &failing{broken}), "", testSchema(t))
		for err == nil {
			_, err = rows.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("behind %q: %v", begin, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func fuzzRows(f *testing.F, format string) {
	schema := testSchema(f)
	f.Fuzz(func(t *testing.T, list string) {
		rows, err := Open(strings.NewReader(list), format, schema)
		if err != nil {
			return
		}
		for last := 0; ; {
			row, err := rows.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			line := row.Line
			if refused, ok := errors.AsType[*LineError](err); ok {
				line = refused.Line
				if !utf8.ValidString(refused.Reason) || len(refused.Reason) > 500 {
					t.Fatalf("reason %q", refused.Reason)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if line <= last {
				t.Fatalf("line %d behind line %d", line, last)
			}
			last = line
			if err == nil && format == Auth0 {
				checkAuth0(t, row)
			}
			for name, value := range row.Attributes {
				if value == nil {
					continue
				}
				if again, err := schema.Check(name, value); err != nil || again != value {
					t.Fatalf("%s = %#v: %v", name, value, err)
				}
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	for _, list := range []string{
		"phone,employee_id,department\n+819012345678,0291,購買\n", "\ufeffnumber;level\r\n+819012345678;1\r\n", utf16Text("phone\tlevel\n+1\t2\n"),
		"phone,department\n1,\"a\n\"\"b\"\n2,\"\n", "phone,department\n1,caf\xe9\n8.19012E+11,x\n", "phone\n" + strings.Repeat("\"\n", 50), "user_id,phone,blocked,hired\na,+1,TRUE,2024-04-01\n",
	} {
		f.Add(list)
	}
	fuzzRows(f, CSV)
}

func FuzzObjects(f *testing.F) {
	for _, list := range []string{
		`{"user_id":"auth0|1","phone_number":"+819012345678","blocked":true,"attributes":{"employee_id":"0291","level":7,"department":null}}`,
		"\ufeff{}\n[]\nnull\n{\"phone_number\":1e9}\n", `{"phone_number":"+1"} {"phone_number":"+2"}`, utf16Text("{}\n"), "{\"attributes\":{\"level\":1.5}}\n\xe9\n",
	} {
		f.Add(list)
	}
	fuzzRows(f, NDJSON)
}

// checkAuth0 holds that a user of an export who is taken is somebody, and that what is
// kept of them reads the same when it is written.
func checkAuth0(t *testing.T, row Row) {
	t.Helper()
	if row.ID == "" || row.Number == "" || !row.Verified || checkID(row.ID) != nil {
		t.Fatalf("taken: %+v", row)
	}
	text, err := json.Marshal(row.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	var again storage.Metadata
	if err := strictjson.Decode(text, &again); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if rewritten, err := json.Marshal(&again); err != nil || !bytes.Equal(text, rewritten) {
		t.Fatalf("%s is read as %s, %v", text, rewritten, err)
	}
}

// FuzzAuth0Users reads lines of an export job of Auth0.
func FuzzAuth0Users(f *testing.F) {
	const user = `{"user_id":"sms|560ebaeef609ee1adaa7c551","phone_number":"+819012345678","phone_verified":true`
	for _, list := range []string{
		user + "}", user + `,"blocked":true,"app_metadata":{"employee_id":"0291","level":7,"free":{"a":[1.5,null]}},"user_metadata":{"colour":"red"},"identities":[{"provider":"sms","user_id":"1"}]}`,
		user + `,"phone_number":"+819012345679"}`, user + `,"app_metadata":{"a":1,"a":2}}`, user + `,"identities":[{"provider":"auth0","user_id":"1","profileData":{"phone_number":"+1"}}]}`,
		`{"user_id":"auth0|1","email":"a@b.example"}` + "\n" + user + "}\n\n{\n[]", user + `,"app_metadata":{"level":"x"}}`, "\ufeff" + user + "}", utf16Text(user + "}\n"), `[` + user + "}]",
		`{"user_id":"x@clients","phone_number":"+1","phone_verified":true}`, user + `,"user_metadata":{"a":"\ud800"}}`, user + `,"blocked":null,"app_metadata":null}`, user + `,"app_metadata":{"n":1e400}}`,
	} {
		f.Add(list)
	}
	fuzzRows(f, Auth0)
}

// Two readers of a line must not see two people in it.
func TestAnExportWithAMemberTwice(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		`{"user_id":"sms|1","phone_number":"+1","phone_number":"+2","phone_verified":true}`:            "phone_number: stands there twice",
		`{"user_id":"sms|1","phone_number":"+1","app_metadata":{"+447400100000":1,"+447400100000":2}}`: "one of another form: stands there twice",
		`{"user_id":"sms|1","phone_number":"+1","user_metadata":{"a":"\ud800"}}`:                       "has text that is not Unicode",
		`{"user_id":"sms|1","phone_number":"+1"} {}`:                                                   "want one JSON object per line",
	} {
		rows, err := Open(strings.NewReader(list), Auth0, testSchema(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rows.Next(); err == nil || err.Error() != "line 1: "+want {
			t.Errorf("%s: %v, want %s", list, err, want)
		}
	}
}
