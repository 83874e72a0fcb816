package storagetest

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

var importPromises = []promise{
	{"ImportedPeopleAreKeptAsDecided", importKept},
	{"ImportMeetsWhatIsThere", importMeets},
	{"RefusedPersonOfAnImportLeavesNothing", importRefused},
	{"ImportOfAllKeepsNobodyWhenOneIsRefused", importAll},
	{"ImportOfNoneKeepsNobody", importNone},
	{"PersonBlockedByAnImportLosesTheirSessions", importBlocks},
}

// person is an import that keeps what it is given.
func person(id storage.UserID, number phone.Number, attributes map[string]any) storage.Import {
	return storage.Import{ID: id, NewID: newUserID(), Number: number, Decide: func(u storage.User, _ bool) (storage.User, error) {
		u.Number, u.Attributes = number, attributes
		return u, nil
	}}
}

// imports returns what became of each, as outcome and taken field.
func (c *sqlCase) imports(mode storage.ImportMode, people ...storage.Import) (outcomes []storage.Outcome, fields []string) {
	c.Helper()
	done, err := c.store.ImportUsers(c.Context(), people, mode, c.now)
	c.must(err)
	for _, d := range done {
		field := ""
		if taken, ok := errors.AsType[*storage.TakenError](d.Err); ok {
			field = taken.Field
		} else if d.Err != nil {
			field = d.Err.Error()
		}
		outcomes, fields = append(outcomes, d.Outcome), append(fields, field)
	}
	return outcomes, fields
}

func (c *sqlCase) same(what string, want, got any) {
	c.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func importKept(c *sqlCase) {
	fresh, given := person("", newNumber(), map[string]any{"employee_id": "1"}), person("auth0|42", newNumber(), nil)
	blocked := given.Decide
	given.Decide = func(u storage.User, known bool) (storage.User, error) {
		u.Blocked = true
		return blocked(u, known)
	}
	var outcomes []storage.Outcome
	changes := c.changed(func() { outcomes, _ = c.imports(storage.ImportEach, fresh, given) })
	c.same("outcomes", []storage.Outcome{storage.Added, storage.Added}, outcomes)
	if len(changes) != 0 {
		c.Errorf("changes for people whom no server knows: %v", changes)
	}
	for _, want := range []storage.User{
		{ID: fresh.NewID, Number: fresh.Number, CreatedAt: c.sec, UpdatedAt: c.sec, Attributes: map[string]any{"employee_id": "1"}},
		{ID: "auth0|42", Number: given.Number, CreatedAt: c.sec, UpdatedAt: c.sec, Blocked: true},
	} {
		got, err := c.store.UserByNumber(c.Context(), want.Number)
		c.must(err)
		if diff := cmp.Diff(want, got, numbers); diff != "" {
			c.Errorf("person (-want +got):\n%s", diff)
		}
	}
}

func importMeets(c *sqlCase) {
	l, _ := c.login()
	u, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
	saw := func(want storage.User, wantKnown bool, p storage.Import) storage.Import {
		decide := p.Decide
		p.Decide = func(u storage.User, known bool) (storage.User, error) {
			if diff := cmp.Diff(want, u, numbers); diff != "" || known != wantKnown {
				c.Errorf("Decide got known %v, person (-want +got):\n%s", known, diff)
			}
			if u.Attributes != nil {
				u.Attributes["by the way"] = "changed in place"
			}
			return decide(u, known)
		}
		return p
	}
	later := c.now.Add(time.Hour)
	number := newNumber()
	moved := u
	moved.Attributes = map[string]any{"a": "b"}
	moved.UpdatedAt = c.sec.Add(time.Hour)
	var done []storage.Imported
	changes := c.changed(func() {
		done, err = c.store.ImportUsers(c.Context(), []storage.Import{
			saw(u, true, person("", l.Number, nil)),
			saw(u, true, person(l.NewUserID, l.Number, map[string]any{"a": "b"})),
			saw(moved, true, person(l.NewUserID, number, map[string]any{"a": "b"})),
			saw(storage.User{ID: "new", Number: l.Number}, false, person("new", l.Number, nil)),
		}, storage.ImportEach, later)
	})
	c.must(err)
	c.same("what became of them", []storage.Imported{
		{ID: l.NewUserID, Outcome: storage.Unchanged}, {ID: l.NewUserID, Outcome: storage.Updated},
		{ID: l.NewUserID, Outcome: storage.Updated}, {ID: "new", Outcome: storage.Added},
	}, done)
	c.same("changes", []storage.Change{{Kind: storage.ChangeUser}}, changes)
	got, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
	moved.Number, moved.VerifiedAt = number, time.Time{}
	if diff := cmp.Diff(moved, got, numbers); diff != "" {
		c.Errorf("person (-want +got):\n%s", diff)
	}
}

func importRefused(c *sqlCase) {
	l, _ := c.login()
	removed, _ := c.login()
	c.must(c.store.RemoveUser(c.Context(), removed.NewUserID, c.now))
	refusal := person("refused", newNumber(), nil)
	refusal.Decide = func(u storage.User, _ bool) (storage.User, error) { return u, errors.New("no") }
	unique := func(id storage.UserID) storage.Import {
		return person(id, newNumber(), map[string]any{"employee_id": "1"})
	}
	first, second, last := unique("first"), unique("second"), person("last", newNumber(), nil)
	outcomes, fields := c.imports(storage.ImportEach,
		person("other", l.Number, nil), refusal, first, second, person(removed.NewUserID, newNumber(), nil),
		person("", first.Number, map[string]any{"employee_id": "1", "x": "y"}), last)
	c.same("outcomes", []storage.Outcome{
		storage.Refused, storage.Refused, storage.Added, storage.Refused, storage.Refused, storage.Updated, storage.Added,
	}, outcomes)
	c.same("reasons", []string{"phone_number", "no", "", "attributes.employee_id", "user_id", "", ""}, fields)
	people, err := c.store.Users(c.Context(), "", 10)
	c.must(err)
	if len(people) != 3 {
		c.Errorf("%d people, want the one before and two: %v", len(people), people)
	}
}

func importAll(c *sqlCase) {
	a, b := person("a", newNumber(), nil), person("b", newNumber(), nil)
	outcomes, fields := c.imports(storage.ImportAll, a, person("c", a.Number, nil), b)
	c.same("outcomes", []storage.Outcome{storage.Added, storage.Refused, storage.Added}, outcomes)
	c.same("reasons", []string{"", "phone_number", ""}, fields)
	if people, err := c.store.Users(c.Context(), "", 10); err != nil || len(people) != 0 {
		c.Errorf("people = %v, %v", people, err)
	}
	c.imports(storage.ImportAll, a, b)
	if people, err := c.store.Users(c.Context(), "", 10); err != nil || len(people) != 2 {
		c.Errorf("people = %v, %v", people, err)
	}
}

func importNone(c *sqlCase) {
	l, _ := c.login()
	changes := c.changed(func() {
		outcomes, _ := c.imports(storage.ImportNone, person("a", newNumber(), nil), person("", l.Number, map[string]any{"a": "b"}))
		c.same("outcomes", []storage.Outcome{storage.Added, storage.Updated}, outcomes)
	})
	people, err := c.store.Users(c.Context(), "", 10)
	c.must(err)
	if len(people) != 1 || people[0].Attributes != nil || len(changes) != 0 {
		c.Errorf("people = %v, changes = %v", people, changes)
	}
}

func importBlocks(c *sqlCase) {
	l, _ := c.login()
	blocked := func(blocked bool) storage.Import {
		return storage.Import{Number: l.Number, Decide: func(u storage.User, _ bool) (storage.User, error) {
			u.Blocked = blocked
			return u, nil
		}}
	}
	changes := c.changed(func() { c.imports(storage.ImportEach, blocked(true)) })
	c.same("changes", []storage.Change{
		{Kind: storage.ChangeGrant}, {Kind: storage.ChangeUser, Ref: string(l.NewUserID)}, {Kind: storage.ChangeUser},
	}, changes)
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	if c.grant(l).RevokedAt.IsZero() {
		c.Error("the grants of a blocked person are to be revoked")
	}
	c.imports(storage.ImportEach, blocked(false))
	_, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now)
	c.must(err)
}
