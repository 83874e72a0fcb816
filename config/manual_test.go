package config

import (
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites golden files: go test ./config -update.
var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not current; run make generate\n%s", name, diff)
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	golden(t, "../docs/config.md", Manual())
	golden(t, "testdata/example.yaml", Example())
}

func TestEveryFieldIsExplained(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Config](), reflect.TypeFor[TLS](), reflect.TypeFor[Keys](), reflect.TypeFor[Sessions](),
		reflect.TypeFor[Tokens](), reflect.TypeFor[TestNumber](), reflect.TypeFor[Connection](),
		reflect.TypeFor[Route](), reflect.TypeFor[Client](), reflect.TypeFor[ResourceServer](), reflect.TypeFor[Scope](),
		reflect.TypeFor[ClientGrant](), reflect.TypeFor[Log](), reflect.TypeFor[Limit](),
	} {
		for f := range fields(typ) {
			if comment(typ, f) == "" {
				t.Errorf("%s.%s has no comment, which is its entry in the manual", typ.Name(), f.name)
			}
		}
	}
}

// TestExampleLoads loads the example as it is, and again with everything that
// is commented out switched on.
func TestExampleLoads(t *testing.T) {
	t.Parallel()
	want := Default()
	want.Issuer, want.Countries = "https://login.example.com/", []string{"JP", "US"}
	if diff := cmp.Diff(want, mustLoad(t, Example()), comparable); diff != "" {
		t.Errorf("the example changes a default: %s", diff)
	}

	setting := regexp.MustCompile(`(?m)^#((?:  )*(?:- )?[a-z_]+:(?: |$))`)
	everything := setting.ReplaceAllString(Example(), "$1")
	c := mustLoad(t, everything)
	if len(c.Clients) != 1 || len(c.Connections) != 1 || len(c.TestNumbers) != 1 || len(c.ResourceServers) != 1 || len(c.ClientGrants) != 1 || !c.TLS.On() || len(c.TrustedProxies) != 1 {
		t.Errorf("not everything was switched on:\n%s", everything)
	}
	for _, key := range strings.Fields("keys sessions tokens limits log") {
		if !strings.Contains(everything, "\n"+key+":") {
			t.Errorf("%s is not in the example", key)
		}
	}
}
