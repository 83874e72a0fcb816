package storagetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var peoplePromises = []promise{
	{"BlockedPersonsGrantsAreRevoked", personBlocked},
	{"UnblockedPersonLogsInAgain", personUnblocked},
	{"RemovedPersonIsGoneAndTheirTokensDie", personRemoved},
	{"RemovedSubIsNeverGivenAgain", personSubKept},
	{"NumberOfARemovedPersonGetsANewSub", personNumberAgain},
	{"AddedPersonIsKeptAsGiven", personAdded},
	{"NumberAndSubAreUnique", personUnique},
	{"PeopleAreListedInPages", personPages},
	{"UnknownPersonIsNotFound", personUnknown},
}

func personBlocked(c *sqlCase) {
	l, f := c.refreshable()
	other, _ := c.login()
	changes := c.changed(func() { c.must(c.store.BlockUser(c.Context(), l.NewUserID, c.now)) })
	want := []storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	_, err := c.rotate(f, 1, 0)
	c.want(err, storage.ErrNotFound)
	g, u, err := c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
	c.must(err)
	if g.RevokedAt.IsZero() || !u.Blocked {
		c.Errorf("grant revoked at %v, person blocked %v", g.RevokedAt, u.Blocked)
	}
	_, _, u, err = c.store.RefreshFamily(c.Context(), f.ID)
	c.must(err)
	if !u.Blocked {
		c.Error("the family's person is not blocked")
	}
	c.must(c.sessionOf(other, c.now))
	if !c.grant(other).RevokedAt.IsZero() {
		c.Error("another person's grant was revoked")
	}
	c.must(c.store.BlockUser(c.Context(), l.NewUserID, c.now.Add(time.Hour))) // twice is no error
}

func personUnblocked(c *sqlCase) {
	l, _ := c.login()
	c.must(c.store.BlockUser(c.Context(), l.NewUserID, c.now))
	changes := c.changed(func() { c.must(c.store.UnblockUser(c.Context(), l.NewUserID, c.now)) })
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	opened, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now)
	c.must(err)
	if opened.User.ID != l.NewUserID || opened.User.Blocked {
		c.Errorf("person after unblocking = %s, blocked %v", opened.User.ID, opened.User.Blocked)
	}
}

func personRemoved(c *sqlCase) {
	l, f := c.refreshable()
	changes := c.changed(func() { c.must(c.store.RemoveUser(c.Context(), l.NewUserID, c.now)) })
	want := []storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	_, err := c.store.User(c.Context(), l.NewUserID)
	c.want(err, storage.ErrNotFound)
	_, err = c.store.UserByNumber(c.Context(), l.Number)
	c.want(err, storage.ErrNotFound)
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	_, _, err = c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
	c.want(err, storage.ErrNotFound)
	_, _, _, err = c.store.RefreshFamily(c.Context(), f.ID)
	c.want(err, storage.ErrNotFound)
	_, err = c.rotate(f, 1, 0)
	c.want(err, storage.ErrNotFound)
	revoked, err := c.store.RevokedGrants(c.Context(), c.sec)
	c.must(err)
	if !slices.Contains(revoked, storage.RevokedGrant{ID: l.Grant.ID, RevokedAt: c.sec}) {
		c.Errorf("revoked grants = %v, want %s among them", revoked, l.Grant.ID)
	}
}

func personSubKept(c *sqlCase) {
	l, _ := c.login()
	c.must(c.store.RemoveUser(c.Context(), l.NewUserID, c.now))
	err := c.store.AddUser(c.Context(), storage.User{ID: l.NewUserID, Number: newNumber(), CreatedAt: c.now, UpdatedAt: c.now})
	c.want(err, storage.ErrConflict)
	again := c.newLogin(l.Number)
	again.NewUserID = l.NewUserID
	_, err = c.store.OpenSession(c.Context(), again, c.now)
	c.want(err, storage.ErrConflict)
}

func personNumberAgain(c *sqlCase) {
	l, _ := c.login()
	c.must(c.store.RemoveUser(c.Context(), l.NewUserID, c.now))
	opened, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now)
	c.must(err)
	if !opened.NewUser || opened.User.ID == l.NewUserID {
		c.Errorf("new %v, sub %s; want a new sub", opened.NewUser, opened.User.ID)
	}
}

func personAdded(c *sqlCase) {
	want := storage.User{
		ID: "auth0|5f7c8ec7c33c6c004bbafe82", Number: newNumber(),
		CreatedAt: c.sec.Add(-time.Hour), UpdatedAt: c.sec.Add(-time.Minute),
		LastLoginAt: c.sec.Add(-time.Second), VerifiedAt: c.sec,
	}
	never := storage.User{ID: newUserID(), Number: newNumber(), CreatedAt: c.sec, UpdatedAt: c.sec, Blocked: true}
	for _, u := range []storage.User{want, never} {
		c.must(c.store.AddUser(c.Context(), u))
		got, err := c.store.UserByNumber(c.Context(), u.Number)
		c.must(err)
		if diff := cmp.Diff(u, got, numbers); diff != "" {
			c.Errorf("user (-want +got):\n%s", diff)
		}
	}
	opened, err := c.store.OpenSession(c.Context(), c.newLogin(want.Number), c.now)
	c.must(err)
	if opened.NewUser || opened.User.ID != want.ID {
		c.Errorf("login of an added person: new %v, sub %s", opened.NewUser, opened.User.ID)
	}
}

func personUnique(c *sqlCase) {
	l, _ := c.login()
	add := func(u storage.User) error {
		u.CreatedAt, u.UpdatedAt = c.now, c.now
		return c.store.AddUser(c.Context(), u)
	}
	c.want(add(storage.User{ID: newUserID(), Number: l.Number}), storage.ErrConflict)
	c.want(add(storage.User{ID: l.NewUserID, Number: newNumber()}), storage.ErrConflict)
	number := newNumber()
	c.oneWinner(storage.ErrConflict, func(int) error { return add(storage.User{ID: newUserID(), Number: number}) })
}

func personPages(c *sqlCase) {
	var want []storage.UserID
	for range 7 {
		l, _ := c.login()
		want = append(want, l.NewUserID)
	}
	slices.Sort(want)
	var got []storage.UserID
	for after := storage.UserID(""); ; {
		page, err := c.store.Users(c.Context(), after, 3)
		c.must(err)
		if len(page) == 0 {
			break
		}
		if len(page) > 3 {
			c.Fatalf("a page of %d, want at most 3", len(page))
		}
		for _, u := range page {
			got = append(got, u.ID)
		}
		after = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		c.Errorf("people = %v, want %v", got, want)
	}
}

func personUnknown(c *sqlCase) {
	_, err := c.store.User(c.Context(), "unknown")
	c.want(err, storage.ErrNotFound)
	_, err = c.store.UserByNumber(c.Context(), newNumber())
	c.want(err, storage.ErrNotFound)
	changes := c.changed(func() {
		c.want(c.store.BlockUser(c.Context(), "unknown", c.now), storage.ErrNotFound)
		c.want(c.store.UnblockUser(c.Context(), "unknown", c.now), storage.ErrNotFound)
		c.want(c.store.RemoveUser(c.Context(), "unknown", c.now), storage.ErrNotFound)
	})
	if len(changes) != 0 {
		c.Errorf("changes for unknown people: %v", changes)
	}
}
