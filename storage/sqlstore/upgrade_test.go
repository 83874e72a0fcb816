package sqlstore

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// atVersion makes a database with the schema of an older version and its data,
// testdata/first.sql for the first. The secret key of that data is crashVault's.
func atVersion(t *testing.T, version int64, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "handset.db")
	db, err := sql.Open("sqlite", where{file: file}.dsn("foreign_keys(ON)"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrationFiles, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestADatabaseOfTheFirstVersionOpens(t *testing.T) {
	t.Parallel()
	v, err := crashVault()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{URL: "sqlite:" + atVersion(t, 1, "testdata/first.sql"), Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session, user, err := s.SessionByMAC(t.Context(), v.MACs(vault.SessionCookie, "cookie"), testTime, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if user.ID != "sms|first" || user.Number.E164() != "+819012345678" || session.ID != "first-session" {
		t.Errorf("session %s of %s", session.ID, user.ID)
	}
	grant, _, err := s.GrantByCode(t.Context(), v.MACs(vault.AuthCode, "code"))
	if err != nil || grant.ID != "first-grant" || strings.Join(grant.Scopes, " ") != "openid offline_access" ||
		grant.API.Audience != "" || !grant.TokensUntil.IsZero() {
		t.Errorf("grant = %+v, %v", grant, err)
	}
	rotated, err := s.RotateRefreshToken(t.Context(), storage.Rotation{
		Family: "first-family", Presented: 1, Now: testTime, IdleExpires: testTime.Add(time.Hour),
	})
	if err != nil || rotated.Counter != 2 {
		t.Errorf("rotation = %+v, %v", rotated, err)
	}
	client, err := s.Client(t.Context(), "first-client")
	if err != nil || client.Name != "First" || len(client.SecretMACs) != 1 ||
		!v.Verify(client.SecretMACs[0], vault.ClientSecret, "secret") {
		t.Errorf("client = %+v, %v", client, err)
	}
	keys, err := s.SigningKeys(t.Context())
	if err != nil || len(keys) != 1 || string(keys[0].PKCS8) != "private" {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	connections, err := s.Connections(t.Context())
	if err != nil || len(connections) != 1 || string(connections[0].Options) != `{"provider":"twilio"}` {
		t.Errorf("connections = %v, %v", connections, err)
	}
	if err := s.AddUser(t.Context(), storage.User{
		ID: "sms|removed", Number: number(t, "+819012345670"), CreatedAt: testTime, UpdatedAt: testTime,
	}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("a removed subject was given again: %v", err)
	}
}

// A statement that walks a whole table gets slower with every person.
func TestNoStatementOfALoginWalksATable(t *testing.T) {
	t.Parallel()
	whole := map[statement]bool{
		allClients: true, allConnections: true, allSigningKeys: true,
		sealedConnections: true, sealedSigningKeys: true, allAPIs: true, allClientGrants: true,
		indexedAttributes: true, deleteUniqueAttribute: true,
		usersFrom: true, countUsers: true, // for programs that list everyone
		claimVerificationCallbacks: true,                            // at most 10,000 that are due
		senderStates:               true, deleteSilentServers: true, // a row per server and sender
	}
	s := openFile(t)
	err := s.db.read(t.Context(), func(c *conn) error {
		for q := userByID; q < statementCount; q++ {
			if !whole[q] {
				checkPlan(t, c, q)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkPlan(t *testing.T, c *conn, q statement) {
	t.Helper()
	args := make([]any, 20)
	for i := range args {
		args[i] = 1
	}
	rows, err := c.sql.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+c.texts[q], args...)
	if err != nil {
		t.Errorf("%s: %v", statementNames[q], err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		// A list that is an argument is walked; it is as long as what asks.
		argument := detail == "SCAN CONSTANT ROW" || strings.HasPrefix(detail, "SCAN json_each ")
		if strings.HasPrefix(detail, "SCAN") && !argument || strings.Contains(detail, "TEMP B-TREE") {
			t.Errorf("%s: %s", statementNames[q], detail)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}
