package sqlstore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/storage"
)

// What is unique follows the configuration: made so later, it holds for those who
// were there before, and a store that did not know of it meanwhile spoils nothing.
func TestAttributesThatBecomeUnique(t *testing.T) {
	t.Parallel()
	file, v := filepath.Join(t.TempDir(), "handset.db"), newVault(t)
	with := func(unique ...string) (*Store, error) {
		return Open(t.Context(), Config{URL: "sqlite:" + file, Vault: v, Unique: unique})
	}
	person := func(i string, value string) storage.User {
		return storage.User{
			ID: storage.UserID("sms|" + i), Number: number(t, "+8190123456"+i), CreatedAt: testTime, UpdatedAt: testTime,
			Attributes: map[string]any{"employee_id": value, "badge": value},
		}
	}
	steps := []struct {
		unique []string
		add    storage.User
		want   error
	}{
		{nil, person("10", "1"), nil},
		{[]string{"employee_id"}, person("11", "1"), storage.ErrConflict},
		{[]string{"employee_id"}, person("11", "2"), nil},
		{nil, person("12", "3"), nil},
		{[]string{"badge", "employee_id"}, person("13", "3"), storage.ErrConflict},
		{[]string{"badge"}, person("13", "4"), nil},
		{nil, person("14", "4"), nil},
	}
	for i, step := range steps {
		s, err := with(step.unique...)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if err := s.AddUser(t.Context(), step.add); !errors.Is(err, step.want) {
			t.Errorf("step %d: error = %v, want %v", i, err, step.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	read, _, err := OpenToRead(t.Context(), Config{URL: "sqlite:" + file, Vault: v, Unique: []string{"badge"}})
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := read.CheckUnique(t.Context()); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("of who only reads: %v", err)
	}
	_, err = with("badge")
	if !errors.Is(err, storage.ErrConflict) || !strings.Contains(err.Error(), "attribute badge is to be unique, and sms|13 and sms|14 have the same") {
		t.Errorf("error = %v", err)
	}
	s, err := with()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
