package subject_test

import (
	"context"
	"errors"
	"testing"

	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/subject"
	"github.com/handset-oidc/handset/storage"
)

// clients are the registered ones.
type clients map[storage.ClientID]*storage.Client

func (c clients) Get(_ context.Context, id storage.ClientID) (*storage.Client, error) {
	if c[id] == nil {
		return nil, storage.ErrNotFound
	}
	return c[id], nil
}

func registered() clients {
	return clients{
		"public": {ClientID: "public", SubjectType: "public", Callbacks: []string{"https://a.example/cb"}},
		"a1":     {ClientID: "a1", SubjectType: "pairwise", Callbacks: []string{"https://a.example/cb"}},
		"a2":     {ClientID: "a2", SubjectType: "pairwise", Callbacks: []string{"https://A.example:444/other", "https://a.example/"}},
		"b":      {ClientID: "b", SubjectType: "pairwise", Callbacks: []string{"https://b.example/cb"}},
		"broken": {ClientID: "broken", SubjectType: "pairwise"},
	}
}

// security.md §5: two sectors differ, one sector is equal, two people never are.
func TestSubjectsAreThoseOfTheSector(t *testing.T) {
	t.Parallel()
	w := endpointtest.New(t)
	all := registered()
	names := subject.New(w.SQL, all)
	of := func(client storage.ClientID, user storage.UserID) storage.Subject {
		t.Helper()
		sub, err := names.Of(t.Context(), all[client], user)
		if err != nil {
			t.Fatal(err)
		}
		byID, err := names.For(t.Context(), client, user)
		if err != nil || byID != sub {
			t.Errorf("For says %s, %v; Of says %s", byID, err, sub)
		}
		return sub
	}
	_, one := w.Login(t, endpointtest.Web, nil)
	_, other := w.Login(t, endpointtest.Web, nil)
	if of("public", one.UserID) != storage.Subject(one.UserID) {
		t.Error("a public subject is the person's ID")
	}
	first := of("a1", one.UserID)
	if of("a1", one.UserID) != first || of("a2", one.UserID) != first {
		t.Error("one sector, two names")
	}
	for _, sub := range []storage.Subject{of("b", one.UserID), of("a1", other.UserID), storage.Subject(one.UserID)} {
		if sub == first {
			t.Errorf("%s is used twice", sub)
		}
	}
	for client, sub := range map[storage.ClientID]storage.Subject{
		"public": storage.Subject(one.UserID), "a1": first, "a2": first,
		// Names of the time before the client had pairwise ones, or of a removed client.
		"b": storage.Subject(one.UserID), "removed": storage.Subject(one.UserID),
	} {
		if got, err := names.Person(t.Context(), client, sub); err != nil || got != one.UserID {
			t.Errorf("%s: %s stands for %s, %v; want %s", client, sub, got, err, one.UserID)
		}
	}
	if got, err := names.Person(t.Context(), "public", first); err != nil || got == one.UserID {
		t.Errorf("a pairwise name given to a public client stands for %s, %v", got, err)
	}
	if _, err := names.For(t.Context(), "removed", one.UserID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the name for a client that is not registered: %v", err)
	}
	if sub, err := names.Of(t.Context(), all["broken"], one.UserID); err == nil {
		t.Errorf("a client without a sector sees %s", sub)
	}
}

func TestAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	w := endpointtest.New(t)
	_, g := w.Login(t, endpointtest.Web, nil)
	names := subject.New(w.SQL, registered())
	if err := w.SQL.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := names.For(t.Context(), "a1", g.UserID); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("For: %v", err)
	}
	if _, err := names.Person(t.Context(), "a1", "x"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Person: %v", err)
	}
	if sub, err := names.For(t.Context(), "public", g.UserID); err != nil || sub != storage.Subject(g.UserID) {
		t.Errorf("a public subject needs no store: %s, %v", sub, err)
	}
}
