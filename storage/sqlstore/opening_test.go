package sqlstore

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// withSlowMigration is the first version of the schema and a migration that takes a while.
func withSlowMigration(t *testing.T, o opening) opening {
	t.Helper()
	const name = "00001_first.sql"
	text, err := os.ReadFile("migrations/sqlite/" + name)
	if err != nil {
		t.Fatal(err)
	}
	o.migrations = fstest.MapFS{
		name: {Data: text},
		"00002_slow.sql": {Data: []byte(`-- +goose Up
CREATE TABLE slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n;
`)},
	}
	return o
}

// A migration may take longer than anyone waits for a lock: that bounds the waiting
// alone. Else a large database would never start again.
func TestAMigrationTakesAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	o := withSlowMigration(t, opening{lockWait: time.Nanosecond})
	d, err := openSQLite(t.Context(), where{file: filepath.Join(t.TempDir(), "handset.db")}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

// lock holds the write lock of a database as another process would.
func lock(t *testing.T, file string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", where{file: file}.dsn("journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpeningWaitsForTheLock(t *testing.T) {
	t.Parallel()
	file := atVersion(t, 1, "testdata/first.sql")
	release := lock(t, file)
	o, err := usual()
	if err != nil {
		t.Fatal(err)
	}
	o.lockWait = time.Millisecond
	if _, err := openSQLite(t.Context(), where{file: file}, o); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("locked for longer than anyone waits: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.lockWait = time.Hour
	if _, err := openSQLite(ctx, where{file: file}, o); err == nil {
		t.Error("opened for a caller that has gone")
	}
	opened := make(chan error)
	go func() {
		d, err := openSQLite(t.Context(), where{file: file}, o)
		if err == nil {
			err = d.close()
		}
		opened <- err
	}()
	release()
	if err := <-opened; err != nil {
		t.Errorf("released: %v", err)
	}
}

// everything is the folder of a database, by file.
func everything(t *testing.T, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(file), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(text)
	}
	return out
}

func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	file := atVersion(t, 1, "testdata/first.sql")
	v, err := crashVault()
	if err != nil {
		t.Fatal(err)
	}
	before := everything(t, file)
	s, pending, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + file, Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	if pending == 0 {
		t.Error("no migration is pending for the schema of the first version")
	}
	if keys, err := s.SigningKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	if err := s.CreateClient(t.Context(), storage.Client{ClientID: "new"}); err == nil {
		t.Error("wrote to a database that was opened to be read")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	after := everything(t, file)
	for name := range after {
		if before[name] != after[name] {
			t.Errorf("%s was changed or made", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
}

func TestReadingBesideAServer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	v := newVault(t)
	server, err := Open(t.Context(), Config{URL: "sqlite:" + file, Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.CreateClient(t.Context(), storage.Client{ClientID: "fresh", CreatedAt: testTime, UpdatedAt: testTime}); err != nil {
		t.Fatal(err)
	}
	s, pending, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + file, Vault: v})
	if err != nil || pending != 0 {
		t.Fatalf("%d pending, %v", pending, err)
	}
	defer s.Close()
	if _, err := s.Client(t.Context(), "fresh"); err != nil {
		t.Errorf("what the server has just written: %v", err)
	}
}

func TestReadingWhatIsNoDatabaseOfOurs(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, pending, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + empty, Vault: v})
	if err != nil || pending == 0 {
		t.Fatalf("an empty file: %d pending, %v", pending, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + empty + ".none", Vault: v}); err == nil {
		t.Error("opened a file that is not there")
	}
	if _, _, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + empty, Vault: (*vault.Vault)(nil)}); err == nil {
		t.Error("opened without a vault")
	}
}
