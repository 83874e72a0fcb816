package e2e

import (
	"testing"

	"github.com/handset-oidc/handset/config"
)

// pageTest is one behaviour of the pages.
type pageTest struct {
	name    string
	options []option
	run     func(r *rig, b *tab)
}

// TestChromiumPages takes people through the pages in a real browser, with and
// without JavaScript. Each test has a server and a browser profile of its own.
func TestChromiumPages(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	var tests []pageTest
	for _, more := range [][]pageTest{numberTests(), codeTests(), flowTests(t)} {
		tests = append(tests, more...)
	}
	for _, test := range tests {
		for _, l := range looks {
			t.Run(test.name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				r := start(t, append([]option{withoutAddressLimits(), britain()}, test.options...)...)
				test.run(r, newTab(t, browser, l))
			})
		}
	}
}

// britain makes the example country of the pages the first one.
func britain() option {
	return withConfig(func(c *config.Config) { c.Countries = []string{"GB", "JP"} })
}
