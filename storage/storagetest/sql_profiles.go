package storagetest

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var profilePromises = []promise{
	{"ProfileIsKeptAsGiven", profileKept},
	{"EditedProfileIsChangedWholeOrNotAtAll", profileEdited},
	{"ProfileBlockedByAnEditLosesItsSessions", profileBlocked},
	{"ProfilesAreListedByTheirPlace", profilePages},
	{"MetadataGoesWithThePerson", profileRemoved},
	{"ImportKeepsMetadata", profileImported},
}

func (c *sqlCase) newProfile() storage.Profile {
	return storage.Profile{
		User: storage.User{ID: newUserID(), Number: newNumber(), CreatedAt: c.sec, UpdatedAt: c.sec, VerifiedAt: c.sec,
			Attributes: map[string]any{"department": "sales"}},
		Metadata: storage.Metadata{
			App:  map[string]any{"plan": map[string]any{"level": json.Number("12345678901234567890")}},
			User: map[string]any{"colours": []any{"red", true, nil}},
		},
	}
}

func (c *sqlCase) isKept(want storage.Profile) {
	c.Helper()
	got, err := c.store.Profile(c.Context(), want.ID)
	c.must(err)
	if diff := cmp.Diff(want, got, numbers); diff != "" {
		c.Errorf("person (-want +got):\n%s", diff)
	}
}

func profileKept(c *sqlCase) {
	p := c.newProfile()
	c.must(c.store.AddProfile(c.Context(), p))
	c.isKept(p)
	again := c.newProfile()
	again.Number = p.Number
	c.want(c.store.AddProfile(c.Context(), again), storage.ErrConflict)
	_, err := c.store.Profile(c.Context(), again.ID)
	c.want(err, storage.ErrNotFound)
	plain := storage.Profile{User: storage.User{ID: newUserID(), Number: newNumber(), CreatedAt: c.sec, UpdatedAt: c.sec}}
	c.must(c.store.AddUser(c.Context(), plain.User))
	c.isKept(plain)
}

func profileEdited(c *sqlCase) {
	p, other := c.newProfile(), c.newProfile()
	c.must(c.store.AddProfile(c.Context(), p))
	c.must(c.store.AddProfile(c.Context(), other))
	p.Number, p.VerifiedAt, p.UpdatedAt = newNumber(), time.Time{}, c.sec.Add(time.Minute)
	p.Attributes, p.Metadata = map[string]any{"department": "stock"}, storage.Metadata{User: map[string]any{"a": "b"}}
	changes := c.changed(func() {
		got, err := c.store.EditProfile(c.Context(), p.ID, c.now, func(q *storage.Profile) error {
			*q = p
			q.ID = "another"
			return nil
		})
		c.must(err)
		if diff := cmp.Diff(p, got, numbers); diff != "" {
			c.Errorf("answer (-want +got):\n%s", diff)
		}
	})
	c.same("changes", []storage.Change{{Kind: storage.ChangeUser, Ref: string(p.ID)}}, changes)
	c.isKept(p)
	for _, edit := range []func(*storage.Profile) error{
		func(q *storage.Profile) error { q.Metadata.User["a"], q.Number = "c", other.Number; return nil },
		func(q *storage.Profile) error {
			q.Metadata.User["a"], q.Attributes["department"] = "c", "c"
			return errEdit
		},
	} {
		if _, err := c.store.EditProfile(c.Context(), p.ID, c.now, edit); !errors.Is(err, storage.ErrConflict) && !errors.Is(err, errEdit) {
			c.Errorf("edit: %v", err)
		}
		c.isKept(p)
	}
	p.Metadata, p.VerifiedAt = storage.Metadata{}, c.sec
	_, err := c.store.EditProfile(c.Context(), p.ID, c.now, func(q *storage.Profile) error { *q = p; return nil })
	c.must(err)
	c.isKept(p)
	_, err = c.store.EditProfile(c.Context(), newUserID(), c.now, func(*storage.Profile) error { return nil })
	c.want(err, storage.ErrNotFound)
}

func profileBlocked(c *sqlCase) {
	l, _ := c.login()
	changes := c.changed(func() {
		_, err := c.store.EditProfile(c.Context(), l.NewUserID, c.now, func(p *storage.Profile) error { p.Blocked = true; return nil })
		c.must(err)
	})
	c.same("changes", []storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}, changes)
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	if c.grant(l).RevokedAt.IsZero() {
		c.Error("the grant is in force")
	}
	got, err := c.store.EditProfile(c.Context(), l.NewUserID, c.now, func(p *storage.Profile) error { p.Blocked = false; return nil })
	c.must(err)
	u, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
	if got.Blocked || u.Blocked {
		c.Error("is still blocked")
	}
}

func profilePages(c *sqlCase) {
	var ids []storage.UserID
	for range 5 {
		p := c.newProfile()
		c.must(c.store.AddProfile(c.Context(), p))
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	for _, tt := range []struct {
		skip, limit int
		want        []storage.UserID
	}{{0, 2, ids[:2]}, {2, 2, ids[2:4]}, {4, 2, ids[4:]}, {5, 2, nil}, {0, 10, ids}} {
		page, total, err := c.store.Profiles(c.Context(), tt.skip, tt.limit)
		c.must(err)
		var got []storage.UserID
		for _, p := range page {
			got = append(got, p.ID)
			if p.Metadata.App == nil {
				c.Error("a person without their metadata")
			}
		}
		if !slices.Equal(got, tt.want) || total != 5 {
			c.Errorf("from %d, %d: %v of %d, want %v", tt.skip, tt.limit, got, total, tt.want)
		}
	}
}

func profileRemoved(c *sqlCase) {
	p := c.newProfile()
	c.must(c.store.AddProfile(c.Context(), p))
	c.must(c.store.RemoveUser(c.Context(), p.ID, c.now))
	_, err := c.store.Profile(c.Context(), p.ID)
	c.want(err, storage.ErrNotFound)
}

func profileImported(c *sqlCase) {
	p := c.newProfile()
	p.CreatedAt, p.VerifiedAt = c.sec.Add(-time.Hour), c.sec.Add(-time.Minute)
	one := storage.Import{ID: p.ID, Number: p.Number, Metadata: &p.Metadata, Decide: func(u storage.User, known bool) (storage.User, error) {
		u.Attributes = p.Attributes
		if !known {
			u.CreatedAt, u.VerifiedAt = p.CreatedAt, p.VerifiedAt
		}
		return u, nil
	}}
	outcome := func(want storage.Outcome) {
		c.Helper()
		got, _ := c.imports(storage.ImportEach, one)
		c.same("outcome", []storage.Outcome{want}, got)
	}
	outcome(storage.Added)
	c.isKept(p)
	outcome(storage.Unchanged)
	p.Metadata = storage.Metadata{App: map[string]any{"plan": "free"}}
	one.MetadataDiffers = errEdit
	if _, fields := c.imports(storage.ImportEach, one); fields[0] != errEdit.Error() {
		c.Errorf("other metadata: %v", fields)
	}
	one.MetadataDiffers = nil
	outcome(storage.Updated)
	c.isKept(p)
	one.Metadata = nil
	outcome(storage.Unchanged)
	c.isKept(p)
}
