package mint

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// until is a token of that name that ends at a time.
func until(name string, end time.Time) APIToken {
	return APIToken{APITokenClaims: APITokenClaims{ID: storage.TokenID(name), Expires: end}}
}

func TestRememberedTokensEndWithTheirTime(t *testing.T) {
	t.Parallel()
	var r remembered
	end := noon.Add(time.Hour)
	r.add("a.b.c", until("a", end), "k")
	if v, ok := r.find("a.b.c", end.Add(-time.Nanosecond)); !ok || v.token.ID != "a" || v.key != "k" {
		t.Errorf("before its end: %+v, %v", v, ok)
	}
	for _, other := range []string{"a.b.d", "a.b.c.", "a.b.", "", "A.b.c"} {
		if v, ok := r.find(other, noon); ok {
			t.Errorf("%q finds %+v", other, v)
		}
	}
	if _, ok := r.find("a.b.c", end); ok {
		t.Error("found at its end")
	}
	if _, ok := r.find("a.b.c", noon); ok || r.young.bytes != 0 {
		t.Errorf("not forgotten at its end: %v, %d bytes", ok, r.young.bytes)
	}
	r.add("a.b.c", until("a", end), "k")
	r.old, r.young = r.young, generation{}
	if _, ok := r.find("a.b.c", end); ok || len(r.old.tokens)+len(r.young.tokens)+r.old.bytes+r.young.bytes != 0 {
		t.Errorf("an old one at its end: %v, %+v", ok, &r)
	}
}

// However many tokens come and however long they are, so much is kept; and what is
// asked for all the time stays.
func TestRememberedTokensAreBounded(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"many": 100, "long": maxAPIToken} {
		var r remembered
		r.add("hot", until("hot", noon.Add(time.Hour)), "k")
		most := 0
		for i := range 20 * rememberedTokens {
			raw := fmt.Sprintf("%d.%s", i, strings.Repeat("x", length))[:length]
			r.add(raw, until("some", noon.Add(time.Hour)), "k")
			r.add(raw, until("some", noon.Add(time.Hour)), "k") // by two requests at once
			if i%10 == 0 {
				if _, ok := r.find("hot", noon); !ok {
					t.Fatalf("%s: the one in use was forgotten after %d others", name, i)
				}
			}
			for _, g := range []generation{r.young, r.old} {
				if len(g.tokens) > rememberedTokens || g.bytes > rememberedBytes {
					t.Fatalf("%s: %d tokens of %d bytes in a generation", name, len(g.tokens), g.bytes)
				}
			}
			most = max(most, len(r.young.tokens)+len(r.old.tokens))
		}
		if want := min(2*rememberedTokens, 2*(rememberedBytes/length)) - 2; most < want {
			t.Errorf("%s: never more than %d tokens were kept, want %d", name, most, want)
		}
	}
}

func TestRememberedTokensInParallel(t *testing.T) {
	t.Parallel()
	var r remembered
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 5 * rememberedTokens {
				name := fmt.Sprint(i % (3 * rememberedTokens))
				if v, ok := r.find(name, noon); ok && v.token.ID != storage.TokenID(name) {
					t.Errorf("%s finds %s", name, v.token.ID)
				}
				r.add(name, until(name, noon.Add(time.Hour)), "k")
			}
		})
	}
	all.Wait()
}
