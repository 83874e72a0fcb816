package storagetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

var peoplePromises = []promise{
	{"BlockedPersonsGrantsAreRevoked", personBlocked},
	{"UnblockedPersonLogsInAgain", personUnblocked},
	{"RemovedPersonIsGoneAndTheirTokensDie", personRemoved},
	{"RemovedSubIsNeverGivenAgain", personSubKept},
	{"NumberOfARemovedPersonGetsANewSub", personNumberAgain},
	{"AddedPersonIsKeptAsGiven", personAdded},
	{"AttributesOfAPersonAreKeptAsWritten", personAttributes},
	{"NoEditOfAPersonIsLostUnder50Racers", personEditRace},
	{"NumberAndSubAreUnique", personUnique},
	{"ChangedNumberKeepsTheSub", personNumberChanged},
	{"UniqueAttributeIsOnePersons", personAttributeUnique},
	{"UniqueAttributeIsOnePersonsUnder50Racers", personAttributeRace},
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
		Attributes: map[string]any{"department": "購買", "employee_id": "0291", "manager": true},
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

// attributes of a person, as everything that brings a person must bring them.
func personAttributes(c *sqlCase) {
	l, f := c.refreshable()
	want := map[string]any{
		"employee_id": "0291", "level": json.Number("12345678901234567890"), "on_site": false, "teams": []any{"a", "b"}, "note": nil,
	}
	changes := c.changed(func() {
		c.must(c.store.UpdateUser(c.Context(), l.NewUserID, func(u *storage.User) error {
			u.ID, u.Attributes, u.UpdatedAt = "other", want, c.now.Add(time.Hour)
			return nil
		}))
	})
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	check := func(where string, u storage.User, err error) {
		c.Helper()
		c.must(err)
		if diff := cmp.Diff(want, u.Attributes); diff != "" || u.ID != l.NewUserID || !u.UpdatedAt.Equal(c.sec.Add(time.Hour)) {
			c.Errorf("%s: %s, updated at %v, attributes (-want +got):\n%s", where, u.ID, u.UpdatedAt, diff)
		}
	}
	u, err := c.store.User(c.Context(), l.NewUserID)
	check("User", u, err)
	u, err = c.store.UserByNumber(c.Context(), l.Number)
	check("UserByNumber", u, err)
	_, u, err = c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
	check("GrantByCode", u, err)
	_, _, u, err = c.store.RefreshFamily(c.Context(), f.ID)
	check("RefreshFamily", u, err)
	_, u, err = c.store.SessionByMAC(c.Context(), [][]byte{l.SessionMAC}, c.now, 0)
	check("SessionByMAC", u, err)
	opened, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now)
	check("OpenSession", opened.User, err)
	all, err := c.store.Users(c.Context(), "", 10)
	c.must(err)
	check("Users", all[0], nil)

	refusal := errors.New("not like this")
	changes = c.changed(func() {
		c.want(c.store.UpdateUser(c.Context(), l.NewUserID, func(u *storage.User) error {
			u.Attributes = nil
			return refusal
		}), refusal)
		c.want(c.store.UpdateUser(c.Context(), "unknown", func(*storage.User) error { return nil }), storage.ErrNotFound)
	})
	u, err = c.store.User(c.Context(), l.NewUserID)
	check("after a failed edit", u, err)
	if len(changes) != 0 {
		c.Errorf("changes of a failed edit: %v", changes)
	}
	c.must(c.store.UpdateUser(c.Context(), l.NewUserID, func(u *storage.User) error {
		clear(u.Attributes)
		return nil
	}))
	if u, err = c.store.User(c.Context(), l.NewUserID); err != nil || u.Attributes != nil {
		c.Errorf("after all were taken away: %v, %v", u.Attributes, err)
	}
}

func personEditRace(c *sqlCase) {
	l, _ := c.login()
	won, lost := c.race(func(i int) error {
		return c.store.UpdateUser(c.Context(), l.NewUserID, func(u *storage.User) error {
			if u.Attributes == nil {
				u.Attributes = map[string]any{}
			}
			u.Attributes[fmt.Sprint(i)] = "x"
			return nil
		})
	})
	u, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
	if won != racers || len(u.Attributes) != racers {
		c.Errorf("%d of %d edits succeeded, %d are kept: %v", won, racers, len(u.Attributes), lost)
	}
}

func personUnique(c *sqlCase) {
	l, _ := c.login()
	add := func(u storage.User) error {
		u.CreatedAt, u.UpdatedAt = c.now, c.now
		return c.store.AddUser(c.Context(), u)
	}
	c.want(add(storage.User{ID: newUserID(), Number: l.Number}), storage.ErrConflict)
	for _, number := range []phone.Number{newNumber(), l.Number} {
		taken, ok := errors.AsType[*storage.TakenError](add(storage.User{ID: l.NewUserID, Number: number}))
		if !ok || taken.Field != "user_id" || taken.By != l.NewUserID {
			c.Errorf("another person's subject: %v", taken)
		}
	}
	number := newNumber()
	c.oneWinner(storage.ErrConflict, func(int) error { return add(storage.User{ID: newUserID(), Number: number}) })
}

func personNumberChanged(c *sqlCase) {
	l, _ := c.login()
	other, _ := c.login()
	number := newNumber()
	move := func(to phone.Number) error {
		return c.store.UpdateUser(c.Context(), l.NewUserID, func(u *storage.User) error {
			u.Number, u.UpdatedAt, u.VerifiedAt = to, c.now, c.now
			return nil
		})
	}
	taken, ok := errors.AsType[*storage.TakenError](move(other.Number))
	if !ok || taken.Field != "phone_number" || taken.By != other.NewUserID {
		c.Errorf("another person's number: %v", taken)
	}
	u, err := c.store.UserByNumber(c.Context(), l.Number)
	c.must(err)
	if u.ID != l.NewUserID || u.VerifiedAt.IsZero() {
		c.Errorf("after a refused change: %s, verified at %v", u.ID, u.VerifiedAt)
	}
	changes := c.changed(func() { c.must(move(number)) })
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	u, err = c.store.UserByNumber(c.Context(), number)
	c.must(err)
	if u.ID != l.NewUserID || u.Number != number || !u.VerifiedAt.IsZero() {
		c.Errorf("person of the new number: %s, verified at %v, which nobody did", u.ID, u.VerifiedAt)
	}
	_, err = c.store.UserByNumber(c.Context(), l.Number)
	c.want(err, storage.ErrNotFound)
	c.must(c.sessionOf(l, c.now))
	opened, err := c.store.OpenSession(c.Context(), c.newLogin(number), c.now)
	c.must(err)
	if opened.User.ID != l.NewUserID || opened.NewUser {
		c.Errorf("login with the new number: %s, new %v", opened.User.ID, opened.NewUser)
	}
	// The number before belongs to nobody: whoever proves it is somebody new.
	if opened, err = c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now); err != nil || !opened.NewUser {
		c.Errorf("login with the number before: new %v, %v", opened.NewUser, err)
	}
}

func personAttributeUnique(c *sqlCase) {
	person := func(value any) storage.User {
		return storage.User{
			ID: newUserID(), Number: newNumber(), CreatedAt: c.now, UpdatedAt: c.now,
			Attributes: map[string]any{"employee_id": value, "department": "sales"},
		}
	}
	first, second := person("291"), person("292")
	c.must(c.store.AddUser(c.Context(), first))
	c.must(c.store.AddUser(c.Context(), second))
	c.must(c.store.AddUser(c.Context(), person(json.Number("291")))) // another value
	c.must(c.store.AddUser(c.Context(), person(nil)))
	c.must(c.store.AddUser(c.Context(), person(nil)))
	set := func(id storage.UserID, value any) error {
		return c.store.UpdateUser(c.Context(), id, func(u *storage.User) error {
			u.Attributes["employee_id"] = value
			return nil
		})
	}
	for _, err := range []error{c.store.AddUser(c.Context(), person("291")), set(second.ID, "291")} {
		taken, ok := errors.AsType[*storage.TakenError](err)
		if !ok || taken.Field != "attributes.employee_id" || taken.By != first.ID || !errors.Is(err, storage.ErrConflict) {
			c.Errorf("error = %v", err)
		}
	}
	c.must(set(first.ID, "291")) // the same again
	c.must(set(first.ID, "293"))
	c.must(set(second.ID, "291"))
	c.must(c.store.RemoveUser(c.Context(), second.ID, c.now))
	c.must(c.store.AddUser(c.Context(), person("291")))
}

func personAttributeRace(c *sqlCase) {
	c.oneWinner(storage.ErrConflict, func(int) error {
		return c.store.AddUser(c.Context(), storage.User{
			ID: newUserID(), Number: newNumber(), CreatedAt: c.now, UpdatedAt: c.now, Attributes: map[string]any{"employee_id": "291"},
		})
	})
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
