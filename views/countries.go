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

// countryNames lists all countries in the language, by region code.
func countryNames(tag language.Tag) map[string]countryName {
	names := display.Regions(tag)
	var codes, words []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			region, err := language.ParseRegion(code)
			if err != nil || !region.IsCountry() || region.String() != code {
				continue
			}
			if name := names.Name(region); name != "" {
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
	slices.SortStableFunc(sorted, func(a, b Country) int {
		return cmp.Compare(l.countries[a.Region].rank, l.countries[b.Region].rank)
	})
	return sorted
}
