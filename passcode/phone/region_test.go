package phone

import (
	"fmt"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// TestRegionAndNationalAsTheLibrarySays holds the short way to the long one, for an
// example of every region and kind.
func TestRegionAndNationalAsTheLibrarySays(t *testing.T) {
	t.Parallel()
	kinds := []phonenumbers.PhoneNumberType{phonenumbers.MOBILE, phonenumbers.FIXED_LINE, phonenumbers.TOLL_FREE, phonenumbers.VOIP}
	seen := 0
	for _, region := range Regions() {
		for _, kind := range kinds {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			n, err := FromStored(phonenumbers.Format(example, phonenumbers.E164))
			if err != nil {
				t.Fatal(err)
			}
			seen++
			want := phonenumbers.GetRegionCodeForNumber(example)
			if got := n.Region(); got != want {
				t.Errorf("an example of %s is of %q, want %q", region, got, want)
			}
			if got, want := n.National(), phonenumbers.GetNationalSignificantNumber(example); got != want {
				t.Errorf("an example of %s is %s at home, want %s", region, got, want)
			}
		}
	}
	if seen < 500 {
		t.Errorf("%d examples", seen)
	}
	var none Number
	if none.Region() != "" || none.National() != "" {
		t.Error("no number has a region")
	}
}

// Where regions share a calling code, an example of each says little: the numbers of
// all ranges are held to what the library makes of their text.
func TestRegionOfSharedCodesAsTheLibrarySays(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for calling := range callingCodes() {
		if len(phonenumbers.GetRegionCodesForCountryCode(calling)) < 2 {
			continue
		}
		for begin := range 1000 {
			for _, rest := range []string{"12345", "234567", "1234567", "00000000"} {
				e164 := fmt.Sprintf("+%d%03d%s", calling, begin, rest)
				p, err := phonenumbers.Parse(e164, "")
				if err != nil || phonenumbers.Format(p, phonenumbers.E164) != e164 {
					continue // it has another spelling, which is the one that is kept
				}
				n, err := FromStored(e164)
				if err != nil {
					t.Fatal(err)
				}
				want := known(phonenumbers.GetRegionCodeForNumber(p))
				if got := n.Region(); got != want {
					t.Errorf("%s is of %q, want %q", e164, got, want)
				}
				seen[want]++
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("numbers of %d regions only: %v", len(seen), seen)
	}
}

func BenchmarkRegion(b *testing.B) {
	// The calling code of one region, and one of four.
	for _, number := range []string{"+819012345678", "+447400123456"} {
		n, err := FromStored(number)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(number[:3], func(b *testing.B) {
			for b.Loop() {
				n.Region()
			}
		})
	}
}
