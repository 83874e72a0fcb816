package phone

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// AllRegions stands for every region in a list of countries.
const AllRegions = "all"

// within lists regions that people count as part of another one, because their
// numbers look the same to them: +44 7911 is Guernsey's.
var within = map[string][]string{"GB": {"GG", "JE", "IM"}}

// examples overrides the library's example: for GB by a number that no one will
// ever own (Ofcom keeps some for TV and radio drama), for AR by how people write
// it at home.
var examples = map[string]string{"GB": "07700 900 982", "AR": "011 15-2345-6789"}

var allRegions = sync.OnceValue(func() []string {
	var out []string
	for region := range phonenumbers.GetSupportedRegions() {
		out = append(out, region)
	}
	slices.Sort(out)
	return out
})

// Regions returns the two-letter codes (ISO 3166-1) of all regions that have
// phone numbers, sorted.
func Regions() []string { return slices.Clone(allRegions()) }

// KnownRegion reports whether region is one of [Regions].
func KnownRegion(region string) bool {
	_, ok := slices.BinarySearch(allRegions(), region)
	return ok
}

// CallingCode returns a region's country calling code, 0 for an unknown region.
func CallingCode(region string) int {
	if !KnownRegion(region) {
		return 0
	}
	return phonenumbers.GetCountryCodeForRegion(region)
}

// Example returns a mobile number of the region as it is written there, or ""
// where none is known: "07700 900 982" for GB.
func Example(region string) string {
	if e, ok := examples[region]; ok {
		return e
	}
	n := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
	if n == nil {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.NATIONAL)
}

// InternationalExample is Example as it is written abroad: "+44 7700 900982".
func InternationalExample(region string) string {
	n, err := phonenumbers.Parse(Example(region), region)
	if err != nil {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
}

// callingCodes are the country calling codes in use. None begins with another one.
var callingCodes = sync.OnceValue(phonenumbers.GetSupportedCallingCodes)

// split parts a number behind its calling code, 0 when it has none. It is asked for
// each text; the library's parsing, which expects anything, is slow.
func (n Number) split() (calling int, national string) {
	digits := strings.TrimPrefix(n.E164(), "+")
	for l := 1; l <= min(3, len(digits)); l++ {
		code, err := strconv.Atoi(digits[:l])
		if err == nil && callingCodes()[code] {
			return code, digits[l:]
		}
	}
	return 0, ""
}

// National returns the number's digits without the country's code: "9012345678".
// Empty for a number that has none, and for the zero Number.
func (n Number) National() string {
	_, national := n.split()
	return national
}

// Region returns the two-letter code of the region that the number's calling code
// belongs to or, where several share one, that the number is assigned in; "" when it
// is of none, as numbers that are not geographic are.
func (n Number) Region() string {
	calling, national := n.split()
	if of := phonenumbers.GetRegionCodesForCountryCode(calling); len(of) == 1 {
		return known(of[0])
	}
	digits, err := strconv.ParseUint(national, 10, 64)
	if err != nil {
		return ""
	}
	p := &phonenumbers.PhoneNumber{CountryCode: new(int32(calling)), NationalNumber: &digits}
	if zeros := len(national) - len(strings.TrimLeft(national, "0")); zeros > 0 {
		p.ItalianLeadingZero, p.NumberOfLeadingZeros = new(true), new(int32(zeros))
	}
	return known(phonenumbers.GetRegionCodeForNumber(p))
}

// In reports whether the number is one of a region in a list of countries: also when it
// is assigned in a territory that counts as part of that region. [Rules] allow the same.
func (n Number) In(region string) bool {
	calling, _ := n.split()
	if calling == 0 || CallingCode(region) != calling {
		return false // as for most: the rest is slow
	}
	if isFictional(n.E164()) {
		return region == "GB"
	}
	p, err := phonenumbers.Parse(n.E164(), "")
	return err == nil && (includes(region, phonenumbers.GetRegionCodeForNumber(p)) || shares(region, p))
}

// includes reports whether a region of a list of countries has the numbers of another one.
func includes(region, other string) bool {
	return region == other || slices.Contains(within[region], other)
}

// shares reports whether a number is in a range of the region, wherever it is assigned:
// a few territories share ranges with a larger neighbour (AX with FI, SJ with NO), whose
// name the library gives. It is slow.
func shares(region string, p *phonenumbers.PhoneNumber) bool {
	return CallingCode(region) == int(p.GetCountryCode()) && phonenumbers.IsValidNumberForRegion(p, region)
}

func known(region string) string {
	if !KnownRegion(region) {
		return ""
	}
	return region
}

// Covered returns the regions all of whose numbers begin with one of the prefixes
// ("+1500555"), sorted.
func Covered(prefixes []string) []string {
	var out []string
	for _, region := range Regions() {
		if calling := CallingCode(region); calling > 1 && covers(prefixes, "+"+strconv.Itoa(calling)) {
			out = append(out, region)
		}
	}
	if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(p, "+1") || strings.HasPrefix("+1", p) }) {
		out = append(out, coveredAreas(prefixes)...)
	}
	slices.Sort(out)
	return out
}

// coveredAreas are the regions of the calling code +1, which differ by area code.
func coveredAreas(prefixes []string) []string {
	covered := map[string]bool{}
	var areas []string
	for area := 200; area <= 999; area++ {
		beginning := "+1" + strconv.Itoa(area)
		areas = append(areas, beginning)
		covered[beginning] = covers(prefixes, beginning)
	}
	if !slices.ContainsFunc(areas, func(a string) bool { return covered[a] }) {
		return nil // as nearly always: the regions of 800 areas take long to look up
	}
	whole := map[string]bool{}
	for _, beginning := range areas {
		n, err := phonenumbers.Parse(beginning+"5550123", "")
		if err != nil {
			continue
		}
		if region := phonenumbers.GetRegionCodeForNumber(n); KnownRegion(region) {
			before, seen := whole[region]
			whole[region] = covered[beginning] && (before || !seen)
		}
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(whole)), func(region string) bool { return !whole[region] })
}

// covers reports whether every number that begins with beginning begins with one
// of the prefixes: with one that is as short, or with ten longer ones.
func covers(prefixes []string, beginning string) bool {
	longer := false
	for _, p := range prefixes {
		if strings.HasPrefix(beginning, p) {
			return true
		}
		longer = longer || strings.HasPrefix(p, beginning)
	}
	if !longer {
		return false
	}
	for digit := range 10 {
		if !covers(prefixes, beginning+strconv.Itoa(digit)) {
			return false
		}
	}
	return true
}
