package people

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func openStore(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Vault: v, Unique: testSchema(t).Unique()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// desk imports lists into a store of its own.
type desk struct {
	t     testing.TB
	store *sqlstore.Store
	Importer
	reasons []string
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, store: openStore(t, "sqlite::memory:")}
	d.Importer = Importer{
		Store: d.store, Schema: testSchema(t), Rules: phone.Rules{Countries: []string{"JP", "GB"}, TestNumbers: []phone.TestNumber{{Prefix: "+1500555", Code: "424242"}}},
		NewID: func() storage.UserID { return storage.UserID("sms|" + rand.Text()) }, Now: func() time.Time { return testTime },
		Report: func(e *LineError) error {
			d.reasons = append(d.reasons, e.Error())
			return nil
		},
	}
	return d
}

// take imports a list and checks what became of it.
func (d *desk) take(list string, want Summary, reasons ...string) {
	d.t.Helper()
	d.reasons = nil
	got, err := d.Import(d.t.Context(), strings.NewReader(list))
	if err != nil {
		d.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("summary (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(reasons, d.reasons); diff != "" {
		d.t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// list writes everyone as an import would take them.
func (d *desk) list(format string) string {
	d.t.Helper()
	var out strings.Builder
	e := Exporter{Store: d.store, Schema: d.Schema, Format: format}
	if _, unknown, err := e.Export(d.t.Context(), &out); err != nil || len(unknown) > 0 {
		d.t.Fatal(unknown, err)
	}
	return out.String()
}

const two = "phone,user_id,employee_id,level\n+819012345678,a,0291,3\n+44 7911 123456,b,0292,\n"

func TestImportAndExportAgree(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.take(two, Summary{Added: 2})
	d.take(two, Summary{Unchanged: 2})
	d.take("user_id,phone,blocked,employee_id,department\nc,+819012345679,true,x,\"a, \"\"b\"\"; 購買\"\n", Summary{Added: 1})
	want := "user_id,phone_number,blocked,department,employee_id,hired,level\n" +
		"a,+819012345678,false,,0291,,3\nb,+447911123456,false,,0292,,\nc,+819012345679,true,\"a, \"\"b\"\"; 購買\",x,,\n"
	if diff := cmp.Diff(want, d.list(CSV)); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}
	for _, format := range Formats() {
		list := d.list(format)
		d.take(list, Summary{Unchanged: 3})
		other := newDesk(t)
		other.take(list, Summary{Added: 3})
		if diff := cmp.Diff(list, other.list(format)); diff != "" {
			t.Errorf("%s again (-first +second):\n%s", format, diff)
		}
	}
}

func TestNumbersOfLists(t *testing.T) {
	t.Parallel()
	const (
		rounded  = "phone_number: a spreadsheet has rounded it (as in 8.19012E+11): format its column as text and fill it in again"
		quantity = "phone_number: a program took it for a quantity (as in 819012345678.0): export the column as text"
		national = "phone_number: want the international form (+81...), or say by --country where numbers without it belong"
	)
	d := newDesk(t)
	d.DryRun = true
	for _, tt := range []struct{ number, country, want string }{
		{"+819012345678", "", ""},
		{" +81 (0)90-1234-5678 ", "", ""},
		{"0081 90 1234 5678", "", ""},
		{"＋８１９０１２３４５６７８", "", ""},
		{"+15005550006", "", ""}, // a test number
		{"090-1234-5678", "JP", ""},
		{"9012345678", "JP", ""}, // a spreadsheet took the zero
		{"819012345678", "JP", ""},
		{"+447911123456", "JP", ""}, // the plus says where it belongs
		{"819012345678", "", national},
		{"09012345678", "", national},
		{"8.19012E+11", "JP", rounded},
		{"+8.19012E+11", "", rounded},
		{"8,19012E+11", "", rounded},
		{"8E11", "JP", rounded},
		{"819012345678.0", "JP", quantity},
		{"819012345678.", "JP", quantity},
		{"", "JP", "phone_number: is missing"},
		{"+81312345678", "", "phone_number: not a mobile number"},
		{"+881612345678", "", "phone_number: not a mobile number"}, // satellite
		{"+33612345678", "", "phone_number: numbers of region FR are not allowed"},
		{"+8190123456789", "", "phone_number: not a phone number"},
		{"+819012345678 ext 1", "", "phone_number: phone number with an extension"},
		{"'+819012345678", "JP", "phone_number: "},
		{"=+819012345678", "JP", "phone_number: "},
	} {
		d.Country, d.reasons = tt.country, nil
		s, err := d.Import(t.Context(), strings.NewReader("phone,employee_id\n\""+tt.number+"\",1\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimPrefix(strings.Join(d.reasons, ""), "line 2: ")
		if (tt.want == "") != (got == "") || !strings.HasPrefix(got, tt.want) || s.Added+s.Refused != 1 {
			t.Errorf("%q, %s: %q, want %q", tt.number, tt.country, got, tt.want)
		}
		if tt.want != rounded && tt.want != quantity && strings.Contains(got, "12345678") {
			t.Errorf("the reason repeats the number: %q", got)
		}
	}
}

func TestLinesThatAreRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.take(two, Summary{Added: 2})
	d.take(strings.Join([]string{
		"phone,user_id,employee_id",
		"+819012345678,a,0291",         // is there
		"+81 90-1234-5678,,0291",       // is in line 2, in other words
		"+819012345671,x,0291",         // is in line 2
		"+819012345672,a,0299",         // is in line 2
		"+819012345673,b,0293",         // another number than b has
		"+447911123456,,0294",          // another employee number than b has
		"+819012345674,y,0292",         // b's
		"+819012345675,,",              // required
		"+819012345676,z,0295",         // new
		"+819012345677,later,\"0296\"", // new
		"x,later,0297",
	}, "\n"), Summary{Added: 2, Unchanged: 1, Refused: 8},
		"line 3: phone_number: is the same as in line 2",
		"line 4: employee_id: is the same as in line 2",
		"line 5: user_id: is the same as in line 2",
		"line 6: is registered already, and differs (--update changes who is there)",
		"line 7: is registered already, and differs (--update changes who is there)",
		"line 8: attributes.employee_id: is another person's (b)",
		"line 9: employee_id: is missing",
		"line 12: phone_number: want the international form (+81...), or say by --country where numbers without it belong",
	)
	d.take("phone,user_id,employee_id\n+819012345678,b,0292\n", Summary{Refused: 1}, "line 2: phone_number: is another person's (a)")
	if err := d.store.RemoveUser(t.Context(), "z", testTime); err != nil {
		t.Fatal(err)
	}
	d.take("phone,user_id,employee_id\n+819012345676,z,0295\n", Summary{Refused: 1}, "line 2: user_id: was a removed person's, and is never given again")
}

func TestUpdateChangesWhatIsSaidAndNothingElse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Update = true
	d.take(two, Summary{Added: 2})
	// An empty cell says nothing, null takes away.
	d.take("phone,user_id,department,level,blocked\n+819012345678,,sales,,true\n+819012345679,b,,,\n", Summary{Updated: 2})
	want := "user_id,phone_number,blocked,department,employee_id,hired,level\n" +
		"a,+819012345678,true,sales,0291,,3\nb,+819012345679,false,,0292,,\n"
	if diff := cmp.Diff(want, d.list(CSV)); diff != "" {
		t.Errorf("after CSV (-want +got):\n%s", diff)
	}
	d.take(`{"user_id":"a","phone_number":"+819012345678","blocked":false,"attributes":{"level":null}}`+"\n"+
		`{"phone_number":"+819012345679","attributes":{"employee_id":null}}`, Summary{Updated: 1, Refused: 1}, "line 2: employee_id: is missing")
	want = strings.Replace(want, "true,sales,0291,,3", "false,sales,0291,,", 1)
	if diff := cmp.Diff(want, d.list(CSV)); diff != "" {
		t.Errorf("after NDJSON (-want +got):\n%s", diff)
	}
}

func TestAtomicImportsKeepAllOrNobody(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"nonsense,c,0293\n", "+819012345679,c,0291\n", "+819012345678,c,0293\n"} {
		d := newDesk(t)
		d.Atomic = true
		d.reasons = nil
		s, err := d.Import(t.Context(), strings.NewReader("phone,user_id,employee_id\n+819012345678,a,0291\n"+bad+"+447911123456,b,0292\n"))
		if err != nil || s != (Summary{Refused: 1}) || len(d.reasons) != 1 || !strings.HasPrefix(d.reasons[0], "line 3: ") {
			t.Errorf("with %q: %+v, %v, %v", bad, s, err, d.reasons)
		}
		if list := d.list(CSV); strings.Count(list, "\n") != 1 {
			t.Errorf("with %q somebody was kept: %s", bad, list)
		}
	}
	// What only the store knows is told beside what the list says of itself.
	d := newDesk(t)
	d.take(two, Summary{Added: 2})
	d.Atomic = true
	d.take("phone,user_id,employee_id\nx,c,0293\n+819012345679,d,0291\n", Summary{Refused: 2},
		"line 2: phone_number: want the international form (+81...), or say by --country where numbers without it belong",
		"line 3: attributes.employee_id: is another person's (a)")
}

func TestDryRunsKeepNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.take(two, Summary{Added: 2})
	d.DryRun, d.Update = true, true
	before := d.list(CSV)
	for _, atomic := range []bool{false, true} {
		d.Atomic = atomic
		d.take("phone,user_id,employee_id\n+819012345678,a,0299\n+819012345679,c,0293\n+447911123456,b,0292\n", Summary{Added: 1, Updated: 1, Unchanged: 1})
	}
	if diff := cmp.Diff(before, d.list(CSV)); diff != "" {
		t.Errorf("after dry runs (-before +after):\n%s", diff)
	}
}

// people makes a list of n.
func peopleList(n int) string {
	var out strings.Builder
	out.WriteString("phone,employee_id,department,level\n")
	for i := range n {
		fmt.Fprintf(&out, "+8190%08d,E%06d,purchasing,%d\n", 12300000+i, i, i%9)
	}
	return out.String()
}

// flaky takes some batches and fails then.
type flaky struct {
	ImportStore
	left int
}

func (f *flaky) ImportUsers(ctx context.Context, people []storage.Import, mode storage.ImportMode, now time.Time) ([]storage.Imported, error) {
	if f.left--; f.left < 0 {
		return nil, storage.ErrUnavailable
	}
	return f.ImportStore.ImportUsers(ctx, people, mode, now)
}

func TestInterruptedImportGoesOnWhenItIsRepeated(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Store = &flaky{d.store, 2}
	list := peopleList(2*batch + 10)
	s, err := d.Import(t.Context(), strings.NewReader(list))
	if !errors.Is(err, storage.ErrUnavailable) || s != (Summary{Added: 2 * batch}) {
		t.Fatalf("%+v, %v", s, err)
	}
	d.Store = d.store
	d.take(list, Summary{Added: 10, Unchanged: 2 * batch})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Import(ctx, strings.NewReader(list)); !errors.Is(err, context.Canceled) {
		t.Errorf("of a process that ends: %v", err)
	}
	full := errors.New("disk full")
	d.Report = func(*LineError) error { return full }
	if _, err := d.Import(t.Context(), strings.NewReader("phone\nx\n")); !errors.Is(err, full) {
		t.Errorf("with a report that can't be written: %v", err)
	}
}

func TestExportTellsWhatAnImportWillNotTake(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.take(two, Summary{Added: 2})
	schema, _ := attributes.New(map[string]attributes.Attribute{"employee_id": {}})
	for _, format := range Formats() {
		e := Exporter{Store: d.store, Schema: schema, Format: format}
		n, unknown, err := e.Export(t.Context(), io.Discard)
		if n != 2 || !slices.Equal(unknown, []string{"level"}) || err != nil {
			t.Errorf("%s: %d, %v, %v", format, n, unknown, err)
		}
		if _, _, err := e.Export(t.Context(), &failingWriter{}); err == nil {
			t.Errorf("%s: no error although nothing could be written", format)
		}
	}
}

type failingWriter struct{}

func (*failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// BenchmarkImport takes over 10,000 people per turn into a file.
func BenchmarkImport(b *testing.B) {
	const n = 10_000
	list := peopleList(n)
	for b.Loop() {
		b.StopTimer()
		d := &desk{t: b, store: openStore(b, "sqlite:"+filepath.Join(b.TempDir(), "handset.db"))}
		im := newDesk(b).Importer
		im.Store = d.store
		b.StartTimer()
		if s, err := im.Import(b.Context(), strings.NewReader(list)); err != nil || s.Added != n {
			b.Fatal(s, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}
