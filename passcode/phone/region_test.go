package phone

import (
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

func BenchmarkRegion(b *testing.B) {
	n, err := FromStored("+819012345678")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n.Region()
	}
}
