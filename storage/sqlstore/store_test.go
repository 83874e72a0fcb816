package sqlstore

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// unique is what the promises count on.
var unique = []string{"employee_id"}

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url, Vault: newVault(t), Unique: unique})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openFile(t testing.TB) *Store {
	t.Helper()
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "handset.db"))
}

func TestUnsupportedURLsSayWhatIsSupported(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "handset.db", "postgres://user@host/db", "postgresql://h/d", "mysql:x", "sqlite:", "sqlite://",
		"sqlite:x.db?mode=ro", "sqlite:x#y", "SQLITE:x",
	} {
		_, err := Open(t.Context(), Config{URL: url, Vault: newVault(t)})
		if err == nil || !strings.Contains(err.Error(), `"sqlite:FILE"`) {
			t.Errorf("Open(%q) = %v, want an error that names sqlite:FILE", url, err)
		}
	}
}

func TestFileNamesAreTakenLiterally(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "with space.db", "per%20cent.db", "a&b=c.db", "電話.db"} {
		file := filepath.Join(t.TempDir(), name)
		open(t, "sqlite:"+file)
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*.db")); len(found) != 1 || found[0] != file {
			t.Errorf("files made for %q: %q", file, found)
		}
	}
}

func TestServersMayStartTogetherOnANewFile(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "handset.db")
	v := newVault(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), Config{URL: url, Vault: v})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAForeignSecretKeyIsNoticedAtOpen(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "handset.db")
	open(t, url)
	_, err := Open(t.Context(), Config{URL: url, Vault: newVault(t)})
	if !errors.Is(err, vault.ErrSealed) {
		t.Errorf("Open with another secret key = %v, want ErrSealed", err)
	}
}

func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	err := s.db.read(t.Context(), func(c *conn) error {
		for q := range statementCount {
			if _, err := c.stmt(q); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoaderRefuses(t *testing.T) {
	t.Parallel()
	good := map[string]string{}
	for _, name := range statementNames {
		good[name] = "SELECT 1;"
	}
	tests := map[string]func(map[string]string) string{
		"is in no file":    func(m map[string]string) string { delete(m, "commit"); return "" },
		"unknown":          func(map[string]string) string { return "-- name: no_such\nSELECT 1;\n" },
		"stands twice":     func(map[string]string) string { return "-- name: commit\nSELECT 1;\n" },
		"before the first": func(map[string]string) string { return "" },
	}
	for want, spoil := range tests {
		all := map[string]string{}
		for k, v := range good {
			all[k] = v
		}
		extra := spoil(all)
		var text strings.Builder
		if want == "before the first" {
			text.WriteString("SELECT 0;\n")
		}
		for k, v := range all {
			text.WriteString("-- name: " + k + "\n-- why\n" + v + "\n\n")
		}
		files := fstest.MapFS{"q/a.sql": {Data: []byte(text.String())}, "q/b.sql": {Data: []byte(extra)}}
		if _, err := loadStatements(files, "q"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("loadStatements = %v, want %q", err, want)
		}
	}
}

// Raw SQLite takes $1 as a name and binds by first appearance; the driver must
// match the number.
func TestParametersBindByNumber(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	err := s.db.read(t.Context(), func(c *conn) error {
		var second, first string
		if err := c.sql.QueryRowContext(t.Context(), "SELECT $2, $1", "a", "b").Scan(&second, &first); err != nil {
			return err
		}
		if second != "b" || first != "a" {
			t.Errorf("SELECT $2, $1 with (a, b) = (%s, %s)", second, first)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"sqlite::memory:", "sqlite:" + filepath.Join(t.TempDir(), "handset.db")} {
		s := open(t, url)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("%s: ping: %v", url, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", url, err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: ping after close: %v", url, err)
		}
		if err := s.RemoveClient(t.Context(), "c", at(1)); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: write after close: %v", url, err)
		}
	}
}

func TestPromises(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		storagetest.RunSQL(t, func(t *testing.T) storagetest.SQL { return openFile(t) })
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		storagetest.RunSQL(t, func(t *testing.T) storagetest.SQL { return open(t, "sqlite::memory:") })
	})
}
