package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/handset-oidc/handset"

// room is what a package may import of ours, directly, and why no more.
type room struct {
	path string
	may  []string
	why  string
}

// engines are what endpoints share.
var engines = []string{
	"provider/api", "provider/client", "provider/mint", "provider/session", "provider/subject", "provider/revocation",
	"provider/posted",
	"provider/oauth", "passcode", "passcode/limit", "passcode/phone", "passcode/sms", "storage",
	"views", "internal/strictjson", "internal/vault", "internal/web", "internal/reqctx",
}

const (
	whyLeaf     = "it is a leaf: anyone may import it, so it imports nobody"
	whyStore    = "stores know records and the vault, and nothing of who uses them"
	whyEndpoint = "an endpoint knows engines only: never another endpoint, and a store by the few methods it declares"
	whyWiring   = "it puts parts together"
	whyLibrary  = "other people's programs import it, and get nothing of the provider with it"
	anything    = "*"
)

// house lists every package. A new one says here what it may know.
var house = []room{
	{"storage", []string{"passcode/phone"}, "records hold a phone number, which is a leaf; nothing else"},
	{"passcode/phone", nil, whyLeaf},
	{"provider/oauth", nil, whyLeaf},
	{"internal/vault", nil, whyLeaf},
	{"internal/reqctx", nil, whyLeaf},
	{"internal/strictjson", nil, whyLeaf},
	{"internal/oidclib", nil, "it wraps one library and knows nothing of ours"},
	{"internal/porttest", nil, "it finds ports for the programs that tests start"},
	{"internal/archtest", nil, "it looks at source text, not at packages"},
	{"views", nil, "pages get view models that are ready to print; they call no domain code"},
	{"internal/attributes", nil, whyLeaf},
	{"internal/auth0", []string{"internal/strictjson", "storage"}, "it reads another provider's exports; who keeps them is the business of who calls it"},
	{"internal/people", []string{"internal/attributes", "internal/strictjson", "passcode/phone", "storage"}, "it reads and writes lists of people; which store keeps them is the business of who calls it"},
	{"config", []string{"internal/attributes", "passcode/limit", "passcode/phone", "passcode/sms", "provider/oauth", "provider/registration", "storage"}, "configuration knows leaves, what templates of texts may say and what senders ask of their options, so that every command can read it"},

	{"provider/registration", []string{"provider/oauth", "storage"}, "the rules of a registration hold wherever one comes from: file, command or API"},

	{"storage/sqlstore", []string{"internal/vault", "passcode/phone", "storage"}, whyStore},
	{"storage/redisstore", []string{"internal/vault", "passcode/limit", "passcode/phone", "storage"}, whyStore},
	{"storage/storagetest", []string{"internal/vault", "passcode/limit", "passcode/phone", "storage"}, "the promises are those of any store: it must not know one"},

	{"keys", []string{"storage"}, "keys sign; they know neither HTTP nor claims"},
	{"keys/keystest", []string{"keys", "storage"}, "fixtures of keys alone"},
	{"passcode/limit", []string{"storage"}, "a limit is a pure decision"},
	{"passcode/sms", []string{"passcode/phone"}, "a sender gets a message and knows no code, no login and no store"},
	{"passcode", []string{"internal/vault", "passcode/limit", "passcode/phone", "passcode/sms", "storage"}, "the code engine has three doors and knows none of them: no HTTP handler, no OpenID"},
	{"internal/web", []string{"internal/reqctx", "internal/strictjson", "internal/vault", "provider/oauth", "storage", "views"}, "it writes answers; it decides nothing"},

	{"provider/revocation", []string{"storage"}, "a set in memory, filled from the store by its own interface"},
	{"provider/subject", []string{"provider/oauth", "provider/registration", "storage"}, "engines know leaves, never endpoints"},
	{"provider/api", []string{"internal/web", "provider/mint", "provider/oauth", "storage"}, "engines know leaves, and the one that reads tokens; never endpoints"},
	{"provider/posted", []string{"internal/reqctx", "internal/web", "storage", "views"}, "engines know leaves, never endpoints"},
	{"provider/session", []string{"internal/vault", "internal/web", "storage"}, "engines know leaves, never endpoints"},
	{"provider/mint", []string{"internal/oidclib", "internal/vault", "keys", "passcode/phone", "provider/oauth", "storage"}, "engines know leaves and keys, never endpoints"},
	{"provider/client", []string{"internal/oidclib", "internal/reqctx", "internal/vault", "internal/web", "provider/oauth", "provider/registration", "storage"}, "engines know leaves, never endpoints"},

	{"provider/authorize", engines, whyEndpoint},
	{"provider/login", engines, whyEndpoint},
	{"provider/token", engines, whyEndpoint},
	{"provider/userinfo", engines, whyEndpoint},
	{"provider/introspect", engines, whyEndpoint},
	{"provider/revoke", engines, whyEndpoint},
	{"provider/logout", engines, whyEndpoint},
	{"provider/discovery", engines, whyEndpoint},
	{"provider/receipts", engines, whyEndpoint},
	{"provider/verification", engines, whyEndpoint},
	{"provider/passwordless", engines, whyEndpoint},
	{"provider/management", append([]string{"internal/attributes", "provider/registration"}, engines...), "an endpoint that writes registrations and people holds them to the rules of these, which are leaves"},
	{"provider/internal/endpointtest", []string{anything}, "endpoints are tested on real stores"},

	{"provider", append([]string{
		"keys", "provider/registration",
		"provider/authorize", "provider/login", "provider/token", "provider/userinfo",
		"provider/introspect", "provider/revoke", "provider/logout", "provider/discovery",
		"provider/receipts", "provider/verification", "provider/passwordless", "provider/management", "internal/attributes",
	}, engines...), "it wires endpoints; which store there is, is the business of who calls it"},

	{"internal/demo", []string{"internal/web", "passcode/phone", "passcode/sms", "views"}, "the inbox shows texts and can't reach the provider"},
	{"internal/server", []string{anything}, whyWiring},
	{"internal/docscheck", nil, "its tests hold the documents; it has no code"},
	{"internal/e2e", []string{anything}, "it tests the whole"},
	{"cmd/handset", []string{anything}, whyWiring},
	{"bench", nil, "it measures the built server from outside"},

	{"resource", nil, whyLibrary},
	{"resource/grpcauth", []string{"resource"}, whyLibrary},
	{"resource/resourcetest", []string{"resource", "resource/internal/pages"}, whyLibrary},
	{"resource/internal/pages", nil, whyLibrary},
	{"resource/internal/peers", nil, "its tests hold the library against others; it has no code"},

	{"examples/verification", nil, "an example imports what its reader can import"},
	{"examples/webapp", nil, "an example imports what its reader can import"},
	{"examples/webapp/cmd/webapp", []string{"examples/webapp"}, "an example imports what its reader can import"},
}

// outside restricts modules of others to the places that may know them.
var outside = []struct {
	prefix string
	why    string
	only   map[string]string
}{
	{"github.com/zitadel/oidc/v3/pkg/op", "the library's provider logs causes and merges query and body; what is needed of it gets wrapped in internal/oidclib", nil},
	{"github.com/zitadel/oidc/v3/pkg/client", "relying parties in tests are independent ones", nil},
	{"database/sql", "SQL is a matter of the store", place("storage/sqlstore")},
	{"modernc.org/sqlite", "SQL is a matter of the store", place("storage/sqlstore")},
	{"github.com/pressly/goose", "migrations are a matter of the store", place("storage/sqlstore")},
	{"github.com/redis/go-redis", "Redis is a matter of the store", map[string]string{
		"storage/redisstore":  isThePlace,
		"storage/storagetest": "it looks at what a store left in a real Redis",
	}},
	{"github.com/alicebob/miniredis", "the embedded Redis is one of the ways to reach a Redis", place("storage/redisstore")},
	{"github.com/spf13/cobra", "only the command has a command line", place("cmd/handset")},
	{"github.com/knadh/koanf", "configuration is read in one place", place("config")},
	{"go.yaml.in/yaml", "configuration is read in one place", place("config")},
	{"github.com/linxGnu/gosmpp", "SMPP is one way to send texts", place("passcode/sms")},
	{"github.com/osteele/liquid", "templates are read in one place, where they are bounded", place("passcode/sms")},
	{"github.com/nyaruka/phonenumbers", "one package says what a number is", place("passcode/phone")},
	{"google.golang.org/grpc", "APIs that speak gRPC are protected by one package, so that nobody else gets it", place("resource/grpcauth")},
	{"github.com/prometheus", "parts count by interfaces of their own", place("provider")},
	{"math/rand", "what is random here must not be guessed: crypto/rand", map[string]string{
		"passcode/sms":        "the jitter before binding again, and a number by which phones put parts together: neither is a secret",
		"passcode":            "the jitter of a waiting time, which is no secret",
		"storage/storagetest": "random histories that can be repeated",
	}},
	{"net/http/pprof", "it opens a door on the default mux, which must then never be served", map[string]string{
		"provider": "profiles on the admin listener, for make profile",
	}},
	{"expvar", "it opens a door on the default mux, which must then never be served", nil},
	{"unsafe", "nothing here is worth it", nil},
}

const isThePlace = "it is the place"

func place(path string) map[string]string { return map[string]string{path: isThePlace} }

// testOnly must not be in the binary that people run.
var testOnly = []string{
	"testing", "net/http/httptest", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal",
	"github.com/chromedp", "github.com/andybalholm/cascadia",
	module + "/storage/storagetest", module + "/keys/keystest", module + "/provider/internal", module + "/internal/e2e",
	module + "/internal/porttest",
}

// pure packages are libraries for other modules: nothing of ours is behind them.
var pure = []string{"resource", "examples"}

// alone are packages behind which there is nobody else's module either, so that
// those who import them have nothing to look after.
var alone = []string{"resource", "resource/resourcetest", "resource/internal/pages"}

type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Deps       []string
	// TestImports and XTestImports are those of the package's tests.
	TestImports, XTestImports []string
	// GoFiles is empty for a package of tests alone.
	GoFiles []string
}

// packages are those of the module.
var packages = sync.OnceValues(func() ([]listed, error) { return list(root) })

// list returns the packages of the module that a folder is in, as go list sees them.
func list(folder string) ([]listed, error) {
	out, err := exec.Command("go", "list", "-C", folder, "-json=ImportPath,Name,Doc,Imports,Deps,GoFiles,TestImports,XTestImports", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = errors.New(string(exit.Stderr))
		}
		return nil, err
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, p)
	}
}

func load(t *testing.T) []listed {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return all
}

// ours returns the path inside the module.
func ours(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	rooms := map[string]room{}
	for _, r := range house {
		rooms[r.path] = r
	}
	for _, p := range load(t) {
		path, _ := ours(p.ImportPath)
		r, ok := rooms[path]
		if !ok {
			t.Errorf("%s is not in the house: say in imports_test.go what it may import, and why", path)
			continue
		}
		delete(rooms, path)
		for _, imported := range p.Imports {
			inner, ok := ours(imported)
			if ok && !slices.Contains(r.may, inner) && !slices.Contains(r.may, anything) {
				t.Errorf("%s imports %s: %s", path, inner, r.why)
			}
		}
	}
	for path := range rooms {
		t.Errorf("%s is in the house but not in the module: remove it from imports_test.go", path)
	}
}

func TestModulesOfOthersStayInTheirPlace(t *testing.T) {
	t.Parallel()
	for _, rule := range outside {
		used := map[string]bool{}
		for _, p := range load(t) {
			path, _ := ours(p.ImportPath)
			for _, imported := range p.Imports {
				if !below(imported, rule.prefix) {
					continue
				}
				used[path] = true
				if rule.only[path] == "" {
					t.Errorf("%s imports %s: %s", path, imported, rule.why)
				}
			}
		}
		for path := range rule.only {
			if !used[path] {
				t.Errorf("%s may import %s and does not: remove the exception", path, rule.prefix)
			}
		}
	}
}

// below reports whether a package is prefix or below it, major versions included.
func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func TestNoTestPackageInProduction(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if path, _ := ours(p.ImportPath); path != "cmd/handset" && path != "examples/webapp/cmd/webapp" {
			continue
		}
		for _, dep := range p.Deps {
			for _, forbidden := range testOnly {
				if below(dep, forbidden) {
					t.Errorf("%s is built with %s, which is for tests", p.ImportPath, dep)
				}
			}
		}
	}
}

// TestLibrariesArePure: resource is imported by other people's programs, which
// must not get a provider with it; an example must work outside this module.
func TestLibrariesArePure(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		path, _ := ours(p.ImportPath)
		root, _, _ := strings.Cut(path, "/")
		if !slices.Contains(pure, root) {
			continue
		}
		for _, dep := range p.Deps {
			if inner, ok := ours(dep); ok && !below(inner, root) {
				t.Errorf("%s depends on %s: it must work without the rest", path, inner)
			}
		}
	}
}

// TestLibrariesStandAlone: what protects an API over net/http is Go's own library,
// and gRPC comes to those alone who import grpcauth (decision 0011).
// Their tests stand alone, too: a program's go.sum names what these import.
func TestLibrariesStandAlone(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		path, _ := ours(p.ImportPath)
		if !slices.Contains(alone, path) {
			continue
		}
		for _, dep := range slices.Concat(p.Deps, p.TestImports, p.XTestImports) {
			if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && !below(dep, module) {
				t.Errorf("%s depends on %s, which is another module's", path, dep)
			}
		}
	}
}

// TestTheExampleIsFromOutside: examples/purchasing is a module of its own, in the place
// of an outside team's: it imports what they can import.
func TestTheExampleIsFromOutside(t *testing.T) {
	t.Parallel()
	all, err := list(filepath.Join(root, "examples", "purchasing"))
	if err != nil {
		t.Fatal(err)
	}
	public := []string{"resource", "resource/grpcauth", "resource/resourcetest"}
	used := map[string]bool{}
	for _, p := range all {
		for _, dep := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			inner, ok := ours(dep)
			if !ok || below(inner, "examples/purchasing") {
				continue
			}
			used[inner] = true
			if !slices.Contains(public, inner) {
				t.Errorf("%s imports %s, which another module can't or should not", p.ImportPath, inner)
			}
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
	for _, path := range public {
		if !used[path] {
			t.Errorf("the example does not use %s", path)
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
