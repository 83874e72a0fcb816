package phone

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// What [Rules.Parse] may find wrong; a number of a country that isn't allowed
// is a [*RegionError]. None of these quotes the number.
var (
	// ErrUnreadable says that this is no phone number: letters, other
	// characters, too short, too long, or not assigned.
	ErrUnreadable = errors.New("not a phone number")
	// ErrExtension says that the number has an extension.
	ErrExtension = errors.New("phone number with an extension")
	// ErrNotMobile says that the number can't get texts: landline, premium
	// rate, pager, internet telephony, satellite, personal number.
	ErrNotMobile = errors.New("not a mobile number")
)

// RegionError says that numbers of a region are not allowed.
type RegionError struct{ Region string }

func (e *RegionError) Error() string { return "numbers of region " + e.Region + " are not allowed" }

// TestNumber is a number, or all numbers with a prefix, that exist for tests
// only: their code is fixed, nothing is texted, and whoever knows the code owns
// the account. Either Number or Prefix is set, both in E.164 form ("+1500555").
type TestNumber struct {
	Number string
	Prefix string
	Code   string
	// Until is when it stops to be one; zero: never.
	Until time.Time
}

// Matches reports whether the test number stands for n at a time.
func (t TestNumber) Matches(n Number, now time.Time) bool {
	if !t.Until.IsZero() && !now.Before(t.Until) {
		return false
	}
	if t.Number != "" {
		return n.E164() == t.Number
	}
	return t.Prefix != "" && strings.HasPrefix(n.E164(), t.Prefix)
}

// FindTest returns the test number that stands for n at a time. One that names n comes
// before a prefix, a longer prefix before a shorter one.
func FindTest(tests []TestNumber, n Number, now time.Time) (TestNumber, bool) {
	var best TestNumber
	found := false
	for _, t := range tests {
		if !t.Matches(n, now) {
			continue
		}
		if t.Number != "" {
			return t, true
		}
		if !found || len(t.Prefix) > len(best.Prefix) {
			best, found = t, true
		}
	}
	return best, found
}

// Rules say which numbers may be typed. The zero value allows none.
type Rules struct {
	// Countries are the regions (ISO 3166-1: "GB") whose numbers may get texts,
	// or "all". The check is by region and not by calling code: +1 alone would
	// let in the Caribbean.
	Countries []string
	// TestNumbers are allowed whatever their type and country.
	TestNumbers []TestNumber
	// Fictional allows the numbers that [Example] shows although no one can own
	// them. It is for a developer's machine, where what the page proposes can be typed.
	Fictional bool
	// Now is the clock that test numbers end by; nil is the system's.
	Now func() time.Time
}

// Validate returns all that is wrong with the rules, joined.
func (r Rules) Validate() error {
	var problems []error
	if len(r.Countries) == 0 {
		problems = append(problems, errors.New(`no countries: list regions such as "JP", or write "all"`))
	}
	for i, c := range r.Countries {
		if c != AllRegions && !KnownRegion(c) {
			problems = append(problems, fmt.Errorf("countries[%d]: %q is no region (two capital letters, such as JP)", i, c))
		}
	}
	for i, t := range r.TestNumbers {
		if err := t.validate(); err != nil {
			problems = append(problems, fmt.Errorf("test_numbers[%d]: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

func (t TestNumber) validate() error {
	switch {
	case (t.Number == "") == (t.Prefix == ""):
		return errors.New("wants either number or prefix")
	case t.Number != "" && !isE164(t.Number):
		return errors.New("number is not in the form +15005550006")
	case t.Prefix != "" && (len(t.Prefix) < 4 || len(t.Prefix) > 16 || t.Prefix[0] != '+' || t.Prefix[1] == '0' || !isDigits(t.Prefix[1:])):
		return errors.New("prefix is not in the form +1500555")
	case len(t.Code) < 4 || len(t.Code) > 10 || !isDigits(t.Code):
		return errors.New("code is not 4 to 10 digits")
	}
	return nil
}

// Regions returns the regions that may be texted, sorted: what a page offers to
// choose from.
func (r Rules) Regions() []string {
	if slices.Contains(r.Countries, AllRegions) {
		return Regions()
	}
	out := slices.Clone(r.Countries)
	slices.Sort(out)
	return slices.Compact(out)
}

// Parse reads a number as people type it. Region is where a number without a
// country calling code is at home; a number that begins with "+" or "00" says
// itself where it belongs. Digits of every script, full-width forms, spaces,
// dashes, dots, brackets, "(0)" behind a calling code and invisible characters
// are understood. All spellings of a number give the same Number.
//
// It returns [ErrUnreadable], [ErrExtension], [ErrNotMobile] or a [*RegionError].
func (r Rules) Parse(typed, region string) (Number, error) {
	f, err := fold(typed)
	if err != nil {
		return Number{}, err
	}
	p, e164 := resolve(f, region)
	if n, ok := r.testNumber(f, e164); ok {
		return n, nil
	}
	if p == nil || !isE164(e164) {
		return Number{}, ErrUnreadable
	}
	if r.Fictional && isFictional(e164) {
		if !r.allowsRegion(p, "GB") {
			return Number{}, &RegionError{Region: "GB"}
		}
		return FromStored(e164)
	}
	// The kind is known exactly when the number is valid, and costs less than to ask for both.
	kind := phonenumbers.GetNumberType(p)
	if kind == phonenumbers.UNKNOWN {
		return Number{}, ErrUnreadable
	}
	if err := r.allow(p, kind); err != nil {
		return Number{}, err
	}
	return FromStored(e164)
}

// resolve asks the library; nil when it knows no such number.
func resolve(f folded, region string) (*phonenumbers.PhoneNumber, string) {
	text := f.digits
	if f.international {
		// An explicit calling code beats the region: the library, left with
		// both, tries the region when the code is unknown.
		text, region = "+"+f.digits, ""
	} else if !KnownRegion(region) {
		return nil, ""
	}
	p, err := phonenumbers.Parse(text, region)
	if err != nil {
		return nil, ""
	}
	return p, phonenumbers.Format(p, phonenumbers.E164)
}

// testNumber finds the test number that was typed: as the library reads it, or,
// since test numbers need not exist, digit by digit.
func (r Rules) testNumber(f folded, e164 string) (Number, bool) {
	if len(r.TestNumbers) == 0 {
		return Number{}, false
	}
	candidates := []string{e164}
	if f.international {
		candidates = append(candidates, "+"+f.digits)
	}
	for _, c := range candidates {
		if !isE164(c) {
			continue
		}
		n, err := FromStored(c)
		if err != nil {
			continue
		}
		if _, ok := FindTest(r.TestNumbers, n, r.now()); ok {
			return n, true
		}
	}
	return Number{}, false
}

func (r Rules) now() time.Time {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return now()
}

// denied are calling codes that belong to no country: toll-free, shared cost,
// satellite, international networks, personal numbers, premium rate. Some count
// as mobile in the library (+881), and texts there cost as much as they can.
var denied = []int32{800, 808, 870, 878, 881, 882, 883, 888, 979}

func (r Rules) allow(p *phonenumbers.PhoneNumber, kind phonenumbers.PhoneNumberType) error {
	if slices.Contains(denied, p.GetCountryCode()) {
		return ErrNotMobile
	}
	region := phonenumbers.GetRegionCodeForNumber(p)
	if !KnownRegion(region) {
		return ErrNotMobile
	}
	if !r.allowsRegion(p, region) {
		return &RegionError{Region: region}
	}
	if kind != phonenumbers.MOBILE && kind != phonenumbers.FIXED_LINE_OR_MOBILE {
		return ErrNotMobile
	}
	return nil
}

func (r Rules) allowsRegion(p *phonenumbers.PhoneNumber, region string) bool {
	return slices.ContainsFunc(r.Countries, func(c string) bool { return c == AllRegions || includes(c, region) }) ||
		slices.ContainsFunc(r.Countries, func(c string) bool { return shares(c, p) })
}

// isFictional holds the ranges behind our own examples that the library calls
// unassigned: Ofcom's 07700 900000 to 900999.
func isFictional(e164 string) bool {
	return len(e164) == len("+447700900982") && strings.HasPrefix(e164, "+447700900")
}

// isE164 reports whether s is "+" and 7 to 15 digits that don't begin with 0.
func isE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && isDigits(s[1:])
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
