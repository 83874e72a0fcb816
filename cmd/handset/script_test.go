package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

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
//	seed ID NUMBER   a person who logged in, in handset.db
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			return os.WriteFile(filepath.Join(e.WorkDir, "handset.key"), []byte(vault.Generate()), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"seed": seed},
	})
}

func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: seed ID NUMBER")
	}
	ctx := context.Background()
	v, err := vault.Parse(ts.ReadFile("handset.key"))
	ts.Check(err)
	store, err := sqlstore.Open(ctx, sqlstore.Config{URL: "sqlite:" + ts.MkAbs("handset.db"), Vault: v})
	ts.Check(err)
	number, err := phone.FromStored(args[1])
	ts.Check(err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ts.Check(store.AddUser(ctx, storage.User{
		ID: storage.UserID(args[0]), Number: number, CreatedAt: at, UpdatedAt: at, LastLoginAt: at, VerifiedAt: at,
	}))
	ts.Check(store.Close())
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"":                             0,
		"client":                       0,
		"version":                      0,
		"client add --help":            0,
		"nonsense":                     2,
		"client nonsense":              2,
		"check --nonsense":             2,
		"check surplus":                2,
		"client show":                  2,
		"client update shop":           2,
		"check --config none.yaml":     1,
		"client remove shop":           1,
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
