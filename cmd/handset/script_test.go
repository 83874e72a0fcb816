package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// update rewrites golden files: go test ./cmd/handset -update.
var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"handset": main})
}

// TestScripts runs testdata/*.txt: each is a session at a terminal. The folder
// has a secret key, handset.key, and no configuration until the script brings
// one.
//
//	seed ID NUMBER       a person who logged in, in handset.db
//	connection OPTIONS   the connection sms of handset.db has these options, as JSON
//	reference NAME       the reference that stands in stdout becomes a variable
//	written NAME KIND    NAME becomes a file of that KIND: gzip, bom, crlf or utf16
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			return os.WriteFile(filepath.Join(e.WorkDir, "handset.key"), []byte(vault.Generate()), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"seed": seed, "connection": connection, "reference": reference, "written": written},
	})
}

func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: seed ID NUMBER")
	}
	number, err := phone.FromStored(args[1])
	ts.Check(err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	onDatabase(ts, func(ctx context.Context, store *sqlstore.Store) error {
		return store.AddUser(ctx, storage.User{
			ID: storage.UserID(args[0]), Number: number, CreatedAt: at, UpdatedAt: at, LastLoginAt: at, VerifiedAt: at,
		})
	})
}

func connection(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: connection OPTIONS")
	}
	onDatabase(ts, func(ctx context.Context, store *sqlstore.Store) error {
		return store.PutConnection(ctx, storage.Connection{Name: "sms", Strategy: "sms", Options: []byte(args[0])})
	})
}

var printedReference = regexp.MustCompile(`(?m)^reference (\S+)$`)

func reference(ts *testscript.TestScript, neg bool, args []string) {
	found := printedReference.FindStringSubmatch(ts.ReadFile("stdout"))
	if neg || len(args) != 1 || found == nil {
		ts.Fatalf("usage: reference NAME, after a command that prints one")
	}
	ts.Setenv(args[0], found[1])
}

// onDatabase works on handset.db.
func onDatabase(ts *testscript.TestScript, work func(context.Context, *sqlstore.Store) error) {
	v, err := vault.Parse(ts.ReadFile("handset.key"))
	ts.Check(err)
	store, err := sqlstore.Open(context.Background(), sqlstore.Config{URL: "sqlite:" + ts.MkAbs("handset.db"), Vault: v})
	ts.Check(err)
	ts.Check(work(context.Background(), store))
	ts.Check(store.Close())
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"":                             0,
		"client":                       0,
		"version":                      0,
		"client add --help":            0,
		"help":                         0,
		"help client":                  0,
		"help client add":              0,
		"help nope":                    2,
		"help client nope":             2,
		"help client add nope":         2,
		"demo --listen 3160":           2,
		"demo --app-listen 0.0.0.0:0":  2,
		"nonsense":                     2,
		"client nonsense":              2,
		"check --nonsense":             2,
		"check surplus":                2,
		"client show":                  2,
		"client update shop":           2,
		"check --config none.yaml":     1,
		"client remove shop":           2,
		"user remove +819012345678":    2,
		"user list --config none.yaml": 1,
	} {
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), strings.Fields(line), strings.NewReader(""), &stdout, &stderr, nil)
		if got != want {
			t.Errorf("handset %s: exit status %d, want %d\n%s", line, got, want, &stderr)
		}
		if want != 0 && (stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "handset: error: ") || !strings.Contains(stderr.String(), "\nhint: ")) {
			t.Errorf("handset %s: stdout %q, stderr %q", line, &stdout, &stderr)
		}
	}
}

// What a registration may not hold was asked for on the command line.
func TestExitStatusOfRegistrations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	configFile := filepath.Join(dir, "handset.yaml")
	text := "issuer: https://login.example.com/\ndatabase: sqlite:" + filepath.Join(dir, "handset.db") + "\n"
	if err := os.WriteFile(configFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line string
		want int
	}{
		{"client add --id shop", 2},
		{"client add --id shop --type web --callback https://shop.example.com/cb", 2},
		{"client add --id shop --callback https://shop.example.com/cb", 0},
		{"client add --id shop --callback https://shop.example.com/cb", 1},
		{"client update shop", 2},
		{"client update shop --callback /cb", 2},
		{"client update nobody --name Shop", 1},
		// Setting what is set is no error: scripts run again.
		{"client update shop --name shop", 0},
		{"client update shop --name shop", 0},
		{"api add https://api.example.com --users all", 2},
		{"api add https://api.example.com", 0},
		{"api update https://api.example.com --signing-alg HS256", 2},
		{"user add --phone 0123", 2},
		{"user add --phone +0123", 2},
		{"sms preview --to nobody", 2},
	} {
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(c.line), "--config", configFile)
		got := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, []string{"HANDSET_SECRET_KEY=" + strings.Repeat("1f", 32)})
		if got != c.want {
			t.Errorf("handset %s: exit status %d, want %d\n%s", c.line, got, c.want, &stderr)
		}
	}
}

// TestGreeting: the addresses of the demo stand below each other, whatever they are.
func TestGreeting(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := &environment{stdout: &out}
	env.greet(demoFlags{appListen: "localhost:40000"}, &config.Config{Issuer: "http://localhost:3000/"}, "secret")
	const want = `Handset demo

  Application  http://localhost:40000       sign in here, with any mobile number
  Inbox        http://localhost:3000/inbox  read the code here
  Provider     http://localhost:3000/.well-known/openid-configuration

To verify a number over HTTP, without a login:
  curl -H "x-functions-key: demo-verification.secret" -d '"+447400123456"' \
    http://localhost:3000/orchestrators/E4_SmsPhoneVerification

The issuer is http://localhost:3000/
Its API https://purchasing.example.com takes employee 291 alone: +15005550006, code 424242.
Nothing is kept: it lives in memory until you press Ctrl-C.
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s", got)
	}
}

// written writes a file of a script again, as a download or another system writes it.
func written(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: written NAME gzip|bom|crlf|utf16")
	}
	text := ts.ReadFile(args[0])
	var out bytes.Buffer
	switch args[1] {
	case "gzip":
		w := gzip.NewWriter(&out)
		_, err := w.Write([]byte(text))
		ts.Check(errors.Join(err, w.Close()))
	case "bom":
		out.WriteString("\ufeff" + text)
	case "crlf":
		out.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
	case "utf16":
		for _, unit := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
			out.Write([]byte{byte(unit), byte(unit >> 8)})
		}
	default:
		ts.Fatalf("no kind %s", args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}
