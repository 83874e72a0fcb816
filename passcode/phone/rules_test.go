package phone

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

var world = Rules{Countries: []string{AllRegions}}

// security.md row 24: whoever spells a number in another way must not get
// another counter.
func TestTwelveSpellingsAreOneNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, region string
		spellings    []string
	}{
		{"+447911123456", "GB", []string{
			"07911 123456", "+447911123456", "00447911123456", "+44 (0)7911 123 456", "0044(0)7911-123-456",
			"(07911) 123456", "07911.123.456", "+44‑7911‑123‑456", "＋４４ ７９１１ １２３４５６",
			"\u202a+44 7911 123456\u202c", "07911\u200e123456", "٠٧٩١١ ١٢٣٤٥٦", "०७९११ १२३४५६",
			"447911123456", "[+44] 7911–123456", "(+44) 7911 123456", "\t07911\u00a0123\u2009456 ", "07911/123456",
			"+44 （0） 7911 123456", "+44( 0 )7911123456", "𝟎𝟕𝟗𝟏𝟏𝟏𝟐𝟑𝟒𝟓𝟔", "+44 07911 123456", "\ufeff07911 123456",
		}},
		{"+819012345678", "JP", []string{
			"090-1234-5678", "090ー1234ー5678", "０９０−１２３４−５６７８", "+81 90-1234-5678", "0081 90 1234 5678",
			"010 81 90 1234 5678", "８１９０１２３４５６７８", "+81(0)90-1234-5678", "090・1234・5678", "(090)1234-5678",
			"０９０　１２３４　５６７８", "９０１２３４５６７８",
		}},
		{"+12025550123", "US", []string{
			"202-555-0123", "(202) 555-0123", "1 202 555 0123", "+1.202.555.0123", "001 202 555 0123",
			"011 1 202 555 0123", "202.555.0123",
		}},
		{"+5491123456789", "AR", []string{"011 15-2345-6789", "+54 9 11 2345 6789", "+54 11 15 2345 6789"}},
		{"+4915112345678", "DE", []string{"0151/12345678", "+49 (0) 151 12345678", "0049151 12345678"}},
		{"+393121234567", "IT", []string{"312 123 4567", "+39 312 1234567", "0039 312 123 45 67"}},
	} {
		for _, typed := range c.spellings {
			n, err := world.Parse(typed, c.region)
			if err != nil {
				t.Errorf("Parse(%+q, %s): %v", typed, c.region, err)
			} else if n.E164() != c.want {
				t.Errorf("Parse(%+q, %s) = %s, want %s", typed, c.region, n.E164(), c.want)
			}
		}
	}
}

func TestPlusBeatsRegion(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"+81 90 1234 5678", "0081 90 1234 5678", "＋81 90 1234 5678"} {
		for _, region := range []string{"GB", "US", "JP", "", "ZZ", "zz", "<script>"} {
			n, err := world.Parse(typed, region)
			if err != nil || n.E164() != "+819012345678" {
				t.Errorf("Parse(%q, %q) = %s, %v", typed, region, n.E164(), err)
			}
		}
	}
}

func TestRefusedNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typed, region string
		want          error
	}{
		{"", "GB", ErrUnreadable},
		{"   ", "GB", ErrUnreadable},
		{"+", "GB", ErrUnreadable},
		{"00", "GB", ErrUnreadable},
		{"++447911123456", "GB", ErrUnreadable},
		{"+44+7911123456", "GB", ErrUnreadable},
		{"07911+123456", "GB", ErrUnreadable},
		{"12345", "GB", ErrUnreadable},
		{"07911 12345", "GB", ErrUnreadable},
		{"07911 1234567", "GB", ErrUnreadable},
		{"+4479111234560", "GB", ErrUnreadable}, // a tail digit that some networks ignore
		{"+999 12345678", "GB", ErrUnreadable},
		{"+0 7911 123456", "GB", ErrUnreadable},
		{"+07911123456", "GB", ErrUnreadable}, // the plus beats the region
		{"07911 123456", "", ErrUnreadable},
		{"07911 123456", "XX", ErrUnreadable},
		{"1-800-FLOWERS", "US", ErrUnreadable}, // vanity
		{"+1 800 FLOWERS", "US", ErrUnreadable},
		{"O7911 123456", "GB", ErrUnreadable},
		{"07911 123456;phone-context=+44", "GB", ErrUnreadable},
		{"tel:+447911123456", "GB", ErrUnreadable},
		{"+447911123456\x00", "GB", ErrUnreadable},
		{"+447911123456\xff", "GB", ErrUnreadable},
		{"+4479111234⑤⑥", "GB", ErrUnreadable}, // circled digits are no digits
		{"+44 7911 123456 / +44 7911 123457", "GB", ErrUnreadable},
		{strings.Repeat(" ", 41) + "+447911123456", "GB", ErrUnreadable},
		{strings.Repeat("7", 100_000), "GB", ErrUnreadable},
		{"+447700900982", "GB", ErrUnreadable}, // nobody's, unless Fictional

		{"+447911123456 ext 12", "GB", ErrExtension},
		{"+447911123456 ext. 12", "GB", ErrExtension},
		{"+447911123456x12", "GB", ErrExtension},
		{"+447911123456 extension 12", "GB", ErrExtension},
		{"+447911123456;ext=12", "GB", ErrExtension},
		{"+447911123456#12", "GB", ErrExtension},
		{"+447911123456,12", "GB", ErrExtension},
		{"+447911123456 ｅｘｔ １２", "GB", ErrExtension},
		{"090-1234-5678 内線 12", "JP", ErrExtension},
		{"+79161234567 доб. 12", "RU", ErrExtension},

		// security.md row 21.
		{"+881612345678", "GB", ErrNotMobile}, // satellite, although mobile in the library
		{"+449012345678", "GB", ErrNotMobile}, // premium rate
		{"+447012345678", "GB", ErrNotMobile}, // personal number
		{"+447640123456", "GB", ErrNotMobile}, // pager
		{"+445612345678", "GB", ErrNotMobile}, // internet telephony
		{"+442079460958", "GB", ErrNotMobile}, // landline
		{"+448001111111", "GB", ErrNotMobile},
		{"+80012345678", "GB", ErrNotMobile},
		{"+80812345678", "GB", ErrNotMobile},
		{"+870773111632", "GB", ErrNotMobile},
		{"+878101234567890", "GB", ErrNotMobile},
		{"+882161234567", "GB", ErrNotMobile},
		{"+88812345678901", "GB", ErrNotMobile},
		{"+979123456789", "GB", ErrNotMobile},
		{"+1 900 555 1234", "US", ErrNotMobile},
		{"+1 800 356 9377", "US", ErrNotMobile},
		{"+15005550006", "US", ErrNotMobile}, // a test number elsewhere; a personal number by the plan
	} {
		n, err := world.Parse(c.typed, c.region)
		if !errors.Is(err, c.want) || !n.IsZero() {
			t.Errorf("Parse(%.50q, %s) = %v, %v; want %v", c.typed, c.region, n, err, c.want)
		}
		if err != nil && len(c.typed) > 6 && strings.Contains(err.Error(), c.typed) {
			t.Errorf("error quotes the number: %v", err)
		}
	}
}

// security.md row 22: the list is of regions, not of calling codes.
func TestCountriesAreRegions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		countries []string
		typed     string
		refused   string // region; empty: allowed
	}{
		{[]string{"US", "CA"}, "+18764681234", "JM"},
		{[]string{"US", "CA"}, "+12423591234", "BS"},
		{[]string{"US", "CA"}, "+12025550123", ""},
		{[]string{"US"}, "+14165550123", "CA"},
		{[]string{"JM"}, "+18764681234", ""},
		{[]string{"GB"}, "+447911123456", ""}, // Guernsey
		{[]string{"GB"}, "+447624123456", ""}, // Isle of Man
		{[]string{"GB"}, "+447797712345", ""}, // Jersey
		{[]string{"GG"}, "+447400123456", "GB"},
		{[]string{"JP"}, "+447400123456", "GB"},
		{[]string{"JP"}, "+442079460958", "GB"}, // the country is said before the kind
		{[]string{"RU"}, "+77012345678", "KZ"},
		{[]string{"AX"}, "+358412345678", ""}, // shares its ranges with FI
		{[]string{"VA"}, "+393121234567", ""},
		{[]string{"SE"}, "+358412345678", "FI"},
		{[]string{AllRegions}, "+18764681234", ""},
		{nil, "+447400123456", "GB"},
	} {
		_, err := Rules{Countries: c.countries}.Parse(c.typed, "")
		if c.refused == "" {
			if err != nil {
				t.Errorf("%v, %s: %v", c.countries, c.typed, err)
			}
			continue
		}
		if e, ok := errors.AsType[*RegionError](err); !ok || e.Region != c.refused {
			t.Errorf("%v, %s: %v, want region %s refused", c.countries, c.typed, err, c.refused)
		}
	}
}

func TestTestNumbers(t *testing.T) {
	t.Parallel()
	r := Rules{Countries: []string{"JP"}, TestNumbers: []TestNumber{
		{Number: "+15005550006", Code: "424242"},
		{Prefix: "+447700900", Code: "111111"},
		{Prefix: "+99912", Code: "222222"},
		{Prefix: "+9991234", Code: "333333"},
	}}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ typed, region, want, code string }{
		{"+15005550006", "", "+15005550006", "424242"},
		{"(500) 555-0006", "US", "+15005550006", "424242"},
		{"07700 900 982", "GB", "+447700900982", "111111"},
		{"+44 (0)7700 900 982", "JP", "+447700900982", "111111"},
		{"+44 07700 900 982", "JP", "+447700900982", "111111"},
		{"+999 12 56789", "JP", "+9991256789", "222222"},
		{"00999 1234 567", "JP", "+9991234567", "333333"},
	} {
		n, err := r.Parse(c.typed, c.region)
		if err != nil || n.E164() != c.want {
			t.Errorf("Parse(%q, %s) = %s, %v; want %s", c.typed, c.region, n.E164(), err, c.want)
			continue
		}
		if test, ok := FindTest(r.TestNumbers, n, time.Now()); !ok || test.Code != c.code {
			t.Errorf("FindTest(%s) = %v, %t; want code %s", c.want, test, ok, c.code)
		}
	}
	for _, typed := range []string{"+15005550007", "+99912", "+9991234567890123", "+15005550006 ext 1", "+1500555OOO6"} {
		if n, err := r.Parse(typed, "US"); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", typed, n.E164())
		}
	}
}

func TestValidateSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	err := Rules{Countries: []string{"JP", "Japan", "jp"}, TestNumbers: []TestNumber{
		{}, {Number: "+15005550006", Prefix: "+1500", Code: "4242"}, {Number: "15005550006", Code: "4242"},
		{Prefix: "+1", Code: "4242"}, {Prefix: "+1500", Code: "42a2"}, {Prefix: "+1500", Code: "42"},
	}}.Validate()
	want := []string{
		`countries[1]: "Japan"`, `countries[2]: "jp"`, "test_numbers[0]", "test_numbers[1]", "test_numbers[2]",
		"test_numbers[3]: prefix", "test_numbers[4]: code", "test_numbers[5]: code",
	}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("Validate() = %v\nwant %s", err, w)
		}
	}
	if err := (Rules{}).Validate(); err == nil {
		t.Error("rules without countries are valid")
	}
}

func TestFictionalNumbers(t *testing.T) {
	t.Parallel()
	r := Rules{Countries: []string{"GB"}, Fictional: true}
	if n, err := r.Parse(Example("GB"), "GB"); err != nil || n.E164() != "+447700900982" {
		t.Errorf("Parse(Example(GB)) = %s, %v", n.E164(), err)
	}
	r.Countries = []string{"JP"}
	if _, err := r.Parse(Example("GB"), "GB"); err == nil {
		t.Error("a British number although only JP is allowed")
	}
}

// What a page proposes must be what the page accepts.
func TestExamplesCanBeTyped(t *testing.T) {
	t.Parallel()
	r := Rules{Countries: []string{AllRegions}, Fictional: true}
	for _, region := range Regions() {
		example := Example(region)
		if example == "" {
			continue
		}
		if _, err := r.Parse(example, region); err != nil {
			t.Errorf("Parse(Example(%s) = %q): %v", region, example, err)
		}
	}
	if got := Example("GB"); got != "07700 900 982" {
		t.Errorf("Example(GB) = %q", got)
	}
	if got := Example("XX"); got != "" {
		t.Errorf("Example(XX) = %q", got)
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	all := Regions()
	if len(all) < 240 || !KnownRegion("JP") || KnownRegion("001") || KnownRegion("jp") || KnownRegion("") {
		t.Errorf("%d regions", len(all))
	}
	for region, code := range map[string]int{"JP": 81, "GB": 44, "US": 1, "CA": 1, "XX": 0, "": 0} {
		if got := CallingCode(region); got != code {
			t.Errorf("CallingCode(%q) = %d, want %d", region, got, code)
		}
	}
	for e164, region := range map[string]string{
		"+819012345678": "JP", "+447911123456": "GG", "+18764681234": "JM", "+881612345678": "", "+15005550006": "US", "+9991234567": "",
	} {
		n, err := FromStored(e164)
		if err != nil || n.Region() != region {
			t.Errorf("%s is in %q (%v), want %q", e164, n.Region(), err, region)
		}
	}
	if got := (Number{}).Region(); got != "" {
		t.Errorf("no number is in %q", got)
	}
	if got := (Rules{Countries: []string{"US", "JP", "US"}}).Regions(); fmt.Sprint(got) != "[JP US]" {
		t.Errorf("Regions() = %v", got)
	}
	if got := world.Regions(); len(got) != len(all) {
		t.Errorf("all = %d regions, want %d", len(got), len(all))
	}
}

// The mapping of digits counts on how Unicode's tables are laid out.
func TestEveryDecimalDigitHasItsValue(t *testing.T) {
	t.Parallel()
	for _, r := range unicode.Nd.R16 {
		if r.Stride != 1 || (r.Hi-r.Lo+1)%10 != 0 {
			t.Errorf("run %04x to %04x is no tens", r.Lo, r.Hi)
		}
	}
	for _, r := range unicode.Nd.R32 {
		if r.Stride != 1 || (r.Hi-r.Lo+1)%10 != 0 {
			t.Errorf("run %04x to %04x is no tens", r.Lo, r.Hi)
		}
	}
	for r := range rune(0x20000) { // beyond it are no digits
		if _, ok := digit(r); ok != unicode.Is(unicode.Nd, r) {
			t.Fatalf("digit(%04x) = %t", r, ok)
		}
	}
	for _, run := range []string{"0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "０１２３４５６７８９", "𝟬𝟭𝟮𝟯𝟰𝟱𝟲𝟳𝟴𝟵"} {
		if got, ok := FoldDigits(run); !ok || got != "0123456789" {
			t.Errorf("FoldDigits(%s) = %q, %t", run, got, ok)
		}
	}
}

func TestFoldDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typed, want string
		ok          bool
	}{
		{"123456", "123456", true},
		{"012 345", "012345", true},
		{"123-456", "123456", true},
		{"123–456", "123456", true},
		{"123−456", "123456", true},
		{"１２３４５６", "123456", true},
		{"١٢٣٤٥٦", "123456", true},
		{" \t123\u00a0456\u2009\r\n", "123456", true},
		{"\u200e123456\u200f\ufeff\u2060", "123456", true},
		{"00000000", "00000000", true},
		{"", "", false},
		{" - ", "", false},
		{"12345a", "", false},
		{"123.456", "", false},
		{"123,456", "", false},
		{"+123456", "", false},
		{"①②③④⑤⑥", "", false},
		{"１２３４５Ｏ", "", false},
		{"12345\x00", "", false},
		{"12345\xff", "", false},
		{strings.Repeat("1", 41), "", false},
	} {
		if got, ok := FoldDigits(c.typed); ok != c.ok || (ok && got != c.want) {
			t.Errorf("FoldDigits(%+q) = %q, %t; want %q, %t", c.typed, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"07911 123456", "+44 (0)7911 123456", "00447911123456", "+447911123456 ext 12", "+1 800 FLOWERS",
		"０９０−１２３４−５６７８", "\u202a+447911123456\u202c", "+(0)", "00(0", "+881612345678", "((((", "+44(0", "#1", "+15005550006",
	} {
		f.Add(s, "GB")
	}
	f.Add("090-1234-5678", "JP")
	f.Add("5005550006", "US")
	rules := Rules{Countries: []string{"GB", "JP"}, TestNumbers: []TestNumber{{Prefix: "+1500555", Code: "424242"}}}
	f.Fuzz(func(t *testing.T, typed, region string) {
		n, err := rules.Parse(typed, region)
		if err != nil {
			if !n.IsZero() {
				t.Fatal("a number and an error")
			}
			return
		}
		again, err := rules.Parse(n.E164(), "")
		if err != nil || again != n {
			t.Fatalf("%+q is %s, which is %s, %v", typed, n.E164(), again.E164(), err)
		}
		if _, ok := FindTest(rules.TestNumbers, n, time.Now()); ok {
			return
		}
		p, err := phonenumbers.Parse(n.E164(), "")
		if err != nil || !phonenumbers.IsValidNumber(p) || !strings.HasPrefix(n.E164(), "+44") && !strings.HasPrefix(n.E164(), "+81") {
			t.Fatalf("%+q is %s: not valid, or not of an allowed country", typed, n.E164())
		}
	})
}

func FuzzFoldDigits(f *testing.F) {
	for _, s := range []string{"123456", "123 456", "１２３−４５６", "\u200e٠١٢", "12a", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, ok := FoldDigits(typed)
		if ok != (got != "") || !ok {
			if ok {
				t.Fatal("nothing, and fine")
			}
			return
		}
		if !isDigits(got) || len(got) > maxTyped {
			t.Fatalf("FoldDigits(%+q) = %q", typed, got)
		}
		if again, ok := FoldDigits(got); !ok || again != got {
			t.Fatalf("folding %q again gives %q", got, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := world.Parse("+44 (0)7911 123456", "GB"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTestNumbersEnd(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	now := until.Add(-time.Second)
	rules := Rules{
		Countries:   []string{"JP"},
		TestNumbers: []TestNumber{{Number: "+15005550006", Code: "424242", Until: until}},
		Now:         func() time.Time { return now },
	}
	n, err := rules.Parse("+15005550006", "JP")
	if err != nil {
		t.Fatal(err)
	}
	now = until
	if _, err := rules.Parse("+15005550006", "JP"); err == nil {
		t.Error("typed after its end, a test number is allowed as if it were one")
	}
	if _, ok := FindTest(rules.TestNumbers, n, until); ok {
		t.Error("a test number is found after its end")
	}
}

func TestPrefixesThatCoverACountry(t *testing.T) {
	t.Parallel()
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = "+81" + strconv.Itoa(i)
	}
	for name, c := range map[string]struct {
		prefixes []string
		want     []string
	}{
		"none":             {nil, nil},
		"a test range":     {[]string{"+1500555", "+8190"}, nil},
		"a calling code":   {[]string{"+81"}, []string{"JP"}},
		"shorter than it":  {[]string{"+35"}, Covered([]string{"+350", "+351", "+352", "+353", "+354", "+355", "+356", "+357", "+358", "+359"})},
		"ten that fill it": {ten, []string{"JP"}},
		"nine of the ten":  {ten[1:], nil},
		"an area of many":  {[]string{"+1212"}, nil},
		"an island's only": {[]string{"+1876", "+1658"}, []string{"JM"}},
		"half of its two":  {[]string{"+1876"}, nil},
	} {
		if got := Covered(c.prefixes); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := Covered([]string{"+1"}); !slices.Contains(got, "US") || !slices.Contains(got, "JM") {
		t.Errorf("+1 covers %v", got)
	}
}
