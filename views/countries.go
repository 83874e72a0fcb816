package views

import (
	"cmp"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// countryName is a country in one language, and where it stands in that
// language's order.
type countryName struct {
	name string
	rank int
}

// renamed are countries with another name since 2017, when the library's names
// were collected (CLDR 32, as in every version of golang.org/x/text so far), by
// the language of a page and as later CLDRs have them.
var renamed = map[string]map[string]string{
	"en": {"MK": "North Macedonia", "SZ": "Eswatini", "TR": "Türkiye"},
}

// countryNames lists all countries in the language, by region code.
func countryNames(tag language.Tag) map[string]countryName {
	names := display.Regions(tag)
	base, _ := tag.Base()
	today := renamed[base.String()]
	var codes, words []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			region, err := language.ParseRegion(code)
			if err != nil || !region.IsCountry() || region.String() != code {
				continue
			}
			if name := cmp.Or(today[code], names.Name(region)); name != "" {
				codes, words = append(codes, code), append(words, name)
			}
		}
	}
	order := make([]int, len(codes))
	for i := range order {
		order[i] = i
	}
	collator := collate.New(tag)
	slices.SortFunc(order, func(i, j int) int { return collator.CompareString(words[i], words[j]) })
	out := make(map[string]countryName, len(codes))
	for rank, i := range order {
		out[codes[i]] = countryName{words[i], rank}
	}
	return out
}

// country returns the name of a region, or its code when it has none.
func (l *Locale) country(region string) string {
	if c, ok := l.countries[region]; ok {
		return c.name
	}
	return region
}

// sortCountries puts countries into the language's order.
func (l *Locale) sortCountries(countries []Country) []Country {
	sorted := slices.Clone(countries)
	slices.SortStableFunc(sorted, func(a, b Country) int { return l.compareRegions(a.Region, b.Region) })
	return sorted
}

func (l *Locale) compareRegions(a, b string) int {
	return cmp.Compare(l.countries[a].rank, l.countries[b].rank)
}
