package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Check looks at the database of an older version, says what serve will do to it,
// and leaves it as it is.
func TestCheckLeavesAnOldDatabaseAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "handset.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	// Older than the first version: no table of ours is there yet.
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, "+
		"version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP); "+
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "handset.yaml")
	if err := os.WriteFile(config, []byte("issuer: https://login.example.com/\ncountries: [JP]\nsecret_key: "+
		strings.Repeat("1f", 32)+"\ndatabase: sqlite:"+file+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	env := &environment{configPath: config, stdout: &stdout, stderr: &stderr, now: time.Now}
	if err := env.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "migrations are pending; serve applies them") {
		t.Errorf("check says nothing of the migrations: %s", stdout.String())
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the database was changed")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("files in the folder: %v", entries)
	}
}
