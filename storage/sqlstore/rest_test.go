package sqlstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/storagetest"
)

func TestKeptPromises(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	storagetest.RunSQLKept(t, func(t *testing.T, v *vault.Vault) storagetest.SQL {
		file := filepath.Join(folder, filepath.Base(t.Name())+".db")
		s, err := Open(t.Context(), Config{URL: "sqlite:" + file, Vault: v, Unique: unique})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func number(t testing.TB, e164 string) phone.Number {
	t.Helper()
	n, err := phone.FromStored(e164)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newLogin(v *vault.Vault, n phone.Number, now time.Time) storage.Login {
	transaction := rand.Text()
	return storage.Login{
		Number:     n,
		Challenge:  storage.ChallengeID("login:" + transaction),
		NewUserID:  storage.UserID("sms|" + rand.Text()),
		SessionID:  storage.SessionID(rand.Text()),
		SessionMAC: v.MAC(vault.SessionCookie, rand.Text()),
		ExpiresAt:  now.Add(7 * 24 * time.Hour),
		Grant: storage.NewGrant{
			ID:            storage.GrantID(rand.Text()),
			Transaction:   storage.TransactionID(transaction),
			CodeMAC:       v.MAC(vault.AuthCode, rand.Text()),
			CodeExpires:   now.Add(time.Minute),
			ClientID:      "tiny-client",
			RedirectURI:   "https://app.example/oidc/callback",
			Scopes:        []string{"openid", "profile", "phone"},
			Nonce:         rand.Text(),
			CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		},
	}
}

// filesHold reports which of the database's files hold the text.
func filesHold(t *testing.T, file, text string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			found = append(found, filepath.Base(path))
		}
	}
	return found
}

func TestPersonalDataAtRestIsNowhereInTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	v := newVault(t)
	s, err := Open(t.Context(), Config{URL: "sqlite:" + file, Vault: v, Unique: unique})
	if err != nil {
		t.Fatal(err)
	}
	n := number(t, "+819012345678")
	l := newLogin(v, n, testTime)
	if _, err := s.OpenSession(t.Context(), l, testTime); err != nil {
		t.Fatal(err)
	}
	if err := s.PutConnection(t.Context(), storage.Connection{
		Name: "sms", Strategy: "sms", Options: []byte(`{"twilio_token":"hunter2hunter2"}`),
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateSigningKeys(t.Context(), func([]storage.SigningKey) ([]storage.SigningKey, error) {
		return []storage.SigningKey{{
			ID: "k", Algorithm: "RS256", PKCS8: []byte("private-key-material"), CreatedAt: testTime, SignsFrom: testTime,
		}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	look := func(when string) {
		// The search must be able to find something.
		if found := filesHold(t, file, string(l.Grant.ID)); len(found) == 0 {
			t.Errorf("%s: the grant's ID is not in the files either", when)
		}
		for _, secret := range []string{"9012345678", "012345678", "hunter2", "private-key-material"} {
			if found := filesHold(t, file, secret); len(found) != 0 {
				t.Errorf("%s: %q is readable in %q", when, secret, found)
			}
		}
	}
	look("while open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	look("when closed")
}

func TestTheFileIsTheOwnersOnly(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, "sqlite:"+filepath.Join(folder, "handset.db"))
	if err := s.TouchSession(t.Context(), "none", testTime); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 2 {
		t.Errorf("files beside the database: %v, want its log at least", entries)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), info.Mode().Perm())
		}
	}
}

func TestErrorsQuoteNoNumber(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	n := number(t, "+819012345678")
	u := storage.User{ID: "sms|1", Number: n, CreatedAt: testTime, UpdatedAt: testTime}
	if err := s.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	u.Number = number(t, "+819012345679")
	err := s.AddUser(t.Context(), u) // the subject is taken
	if err == nil || strings.Contains(err.Error(), "12345") {
		t.Errorf("error = %v, want one without the number", err)
	}
}

func TestSweptChangesAreNoticed(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	for _, ref := range []string{"a", "b", "c", "d", "e"} {
		if err := s.db.write(t.Context(), fast, leave(ref)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sweep(t.Context(), deleteOldChanges, 2); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int64{0, 2} {
		if _, err := s.Changes(t.Context(), after); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("changes behind %d = %v, want ErrNotFound", after, err)
		}
	}
	changes, err := s.Changes(t.Context(), 3)
	if err != nil || len(changes) != 2 || changes[0].Ref != "d" {
		t.Errorf("changes behind 3 = %v, %v", changes, err)
	}
	if err := s.sweep(t.Context(), deleteOldChanges, 0); err != nil {
		t.Fatal(err)
	}
	// A number is never used again.
	if err := s.db.write(t.Context(), fast, leave("f")); err != nil {
		t.Fatal(err)
	}
	if last, err := s.LastChange(t.Context()); err != nil || last != 6 {
		t.Errorf("last change = %d, %v; want 6", last, err)
	}
}

func TestAllGrantsOfARemovedClientAreRevoked(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite::memory:")
	all := opened(t, s, walkSize+10)
	client := all[0].Grant.ClientID
	// Of a removal that was cut off: there is no client any more.
	if err := s.RemoveClient(t.Context(), client, testTime); !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	revoked, err := s.RevokedGrants(t.Context(), testTime)
	if err != nil || len(revoked) != len(all) {
		t.Errorf("%d grants revoked, want %d (%v)", len(revoked), len(all), err)
	}
}

// mortal is a context that ends when it was asked so many times whether it has.
type mortal struct {
	context.Context
	left int
}

func (m *mortal) Err() error {
	if m.left--; m.left < 0 {
		return context.Canceled
	}
	return nil
}

// A removal is cut off before each of its steps: while grants are alive, so is
// their client, and the removal can be done again.
func TestRemovalOfAClientThatIsCutOff(t *testing.T) {
	t.Parallel()
	for steps, done := 0, false; !done; steps++ {
		s := open(t, "sqlite::memory:")
		const client = "tiny-client" // of opened
		if err := s.CreateClient(t.Context(), storage.Client{ClientID: client, CreatedAt: testTime, UpdatedAt: testTime}); err != nil {
			t.Fatal(err)
		}
		all := opened(t, s, 3)
		if all[0].Grant.ClientID != client {
			t.Fatalf("the grants are of %s", all[0].Grant.ClientID)
		}
		err := s.RemoveClient(&mortal{t.Context(), steps}, client, testTime)
		done = err == nil
		revoked, readErr := s.RevokedGrants(t.Context(), testTime)
		if readErr != nil {
			t.Fatal(readErr)
		}
		_, lives := s.Client(t.Context(), client)
		if errors.Is(lives, storage.ErrNotFound) && len(revoked) < len(all) {
			t.Errorf("cut off after %d steps (%v): no client, and %d of %d grants revoked", steps, err, len(revoked), len(all))
		}
		if again := s.RemoveClient(t.Context(), client, testTime); again != nil && !errors.Is(again, storage.ErrNotFound) {
			t.Errorf("cut off after %d steps, and again: %v", steps, again)
		}
		if steps > 50 {
			t.Fatal("it never ends")
		}
	}
}
