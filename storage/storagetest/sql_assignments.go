package storagetest

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var assignmentPromises = []promise{
	{"AssignmentIsKeptAsWritten", assignmentKept},
	{"GrantForAnAPIIsKeptAsWritten", apiGrantKept},
	{"LoginForAnAPIThatIsNotAssignedWritesNothing", loginUnassigned},
	{"SingleSignOnForAnAPIThatIsNotAssignedWritesNothing", grantUnassigned},
	{"GrantIsNarrowedToTheAssignment", grantNarrowed},
	{"LessAssignedRevokesThePersonsGrantsForTheAPI", assignmentNarrowed},
	{"UnassignedRevokesThePersonsGrantsForTheAPI", assignmentTakenAway},
	{"NoGrantSurvivesAnAssignmentTakenAwayUnder50Racers", assignmentRace},
	{"RevokedAPIGrantIsListedWhileItsTokensLive", apiGrantRevoked},
}

var scopes = []string{"read:vendors", "write:vendors"}

// target is what a grant for an API asks for.
func target(audience storage.Audience) storage.GrantedAPI {
	return storage.GrantedAPI{Audience: audience, Scopes: scopes, AssignedOnly: true, Lifetime: 24 * time.Hour}
}

// loginFor opens a session for a new person whom the API, if any, is assigned to.
func (c *sqlCase) loginFor(audience storage.Audience) storage.Login {
	c.Helper()
	l := c.newLogin(newNumber())
	if audience != "" {
		c.must(c.store.AddUser(c.Context(), storage.User{ID: l.NewUserID, Number: l.Number, CreatedAt: c.now, UpdatedAt: c.now}))
		c.assign(l.NewUserID, audience, storage.Allowance{AllScopes: true})
		l.Grant.API = target(audience)
	}
	_, err := c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
	return l
}

func (c *sqlCase) assign(user storage.UserID, audience storage.Audience, a storage.Allowance) {
	c.Helper()
	c.must(c.store.Assign(c.Context(), storage.Assignment{UserID: user, Audience: audience, Allowance: a, CreatedAt: c.now}, c.now))
}

func assignmentKept(c *sqlCase) {
	l, _ := c.login()
	some := storage.Allowance{Scopes: scopes}
	changes := c.changed(func() {
		c.assign(l.NewUserID, api, some)
		c.assign(l.NewUserID, "urn:all", storage.Allowance{AllScopes: true})
		c.assign(l.NewUserID, "urn:none", storage.Allowance{})
		c.want(c.store.Assign(c.Context(), storage.Assignment{UserID: "unknown", Audience: api}, c.now), storage.ErrNotFound)
		c.want(c.store.Unassign(c.Context(), l.NewUserID, "urn:other", c.now), storage.ErrNotFound)
	})
	want := slices.Repeat([]storage.Change{{Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}, 3)
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	got, err := c.store.Assignments(c.Context(), l.NewUserID)
	c.must(err)
	if diff := cmp.Diff([]storage.Assignment{
		{UserID: l.NewUserID, Audience: api, Allowance: some, CreatedAt: c.sec},
		{UserID: l.NewUserID, Audience: "urn:all", Allowance: storage.Allowance{AllScopes: true}, CreatedAt: c.sec},
		{UserID: l.NewUserID, Audience: "urn:none", CreatedAt: c.sec},
	}, got); diff != "" {
		c.Errorf("assignments (-want +got):\n%s", diff)
	}
	c.must(c.store.RemoveUser(c.Context(), l.NewUserID, c.now))
	if got, err = c.store.Assignments(c.Context(), l.NewUserID); err != nil || len(got) != 0 {
		c.Errorf("assignments of a removed person = %v, %v", got, err)
	}
}

func apiGrantKept(c *sqlCase) {
	l := c.loginFor(api)
	got := c.grant(l)
	if got.API.Audience != api || !slices.Equal(got.API.Scopes, scopes) || !got.TokensUntil.Equal(c.sec.Add(24*time.Hour)) ||
		!slices.Equal(got.Scopes, l.Grant.Scopes) {
		c.Errorf("grant = %+v", got)
	}
	// Its tokens may live that long, so the grant is there to be revoked.
	c.must(c.store.Sweep(c.Context(), got.TokensUntil))
	c.grant(l)

	l, f := c.refreshable()
	if got := c.grant(l); got.API.Audience != "" || got.API.Scopes != nil || !got.TokensUntil.IsZero() {
		c.Errorf("grant for no API = %+v", got)
	}
	_, got, _, err := c.store.RefreshFamily(c.Context(), f.ID)
	c.must(err)
	if got.API.Audience != "" {
		c.Errorf("family's grant for no API = %+v", got)
	}
}

func loginUnassigned(c *sqlCase) {
	known, _ := c.login()
	c.assign(known.NewUserID, "urn:other", storage.Allowance{AllScopes: true})
	for _, l := range []storage.Login{c.newLogin(known.Number), c.newLogin(newNumber())} {
		l.Grant.API = target(api)
		l.ReplacesMACs = [][]byte{known.SessionMAC}
		changes := c.changed(func() {
			_, err := c.store.OpenSession(c.Context(), l, c.now)
			c.want(err, storage.ErrForbidden)
		})
		_, _, err := c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
		c.want(err, storage.ErrNotFound)
		c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
		_, err = c.store.User(c.Context(), l.NewUserID)
		c.want(err, storage.ErrNotFound)
		c.must(c.sessionOf(known, c.now))
		if len(changes) != 0 {
			c.Errorf("changes of a refused login: %v", changes)
		}
	}
}

func grantUnassigned(c *sqlCase) {
	l, opened := c.login()
	g := c.newGrant()
	g.UserID, g.SessionID, g.API = l.NewUserID, opened.Session.ID, target(api)
	c.want(c.store.CreateGrant(c.Context(), g, c.now), storage.ErrForbidden)
	_, _, err := c.store.GrantByCode(c.Context(), [][]byte{g.CodeMAC})
	c.want(err, storage.ErrNotFound)
	if answered, err := c.store.Answered(c.Context(), g.Transaction); answered || err != nil {
		c.Errorf("answered = %v, %v", answered, err)
	}
	// An API that is for everyone needs no assignment.
	g.API.AssignedOnly = false
	c.must(c.store.CreateGrant(c.Context(), g, c.now))
}

func grantNarrowed(c *sqlCase) {
	l, opened := c.login()
	for _, tt := range []struct {
		allowed storage.Allowance
		want    []string
	}{
		{storage.Allowance{AllScopes: true}, scopes},
		{storage.Allowance{Scopes: []string{"write:vendors", "delete:vendors"}}, scopes[1:]},
		{storage.Allowance{}, nil},
	} {
		c.assign(l.NewUserID, api, tt.allowed)
		g := c.newGrant()
		g.UserID, g.SessionID, g.AuthTime, g.API = l.NewUserID, opened.Session.ID, c.now, target(api)
		c.must(c.store.CreateGrant(c.Context(), g, c.now))
		login := c.newLogin(l.Number)
		login.Grant.API = target(api)
		_, err := c.store.OpenSession(c.Context(), login, c.now)
		c.must(err)
		for _, mac := range [][]byte{g.CodeMAC, login.Grant.CodeMAC} {
			got, _, err := c.store.GrantByCode(c.Context(), [][]byte{mac})
			c.must(err)
			if !slices.Equal(got.API.Scopes, tt.want) {
				c.Errorf("%+v: scopes = %v, want %v", tt.allowed, got.API.Scopes, tt.want)
			}
		}
	}
}

func assignmentNarrowed(c *sqlCase) {
	l, other, elsewhere := c.loginFor(api), c.loginFor(api), c.newLogin(newNumber())
	elsewhere.Number = l.Number
	_, err := c.store.OpenSession(c.Context(), elsewhere, c.now)
	c.must(err)
	some := func(scopes ...string) storage.Allowance { return storage.Allowance{Scopes: scopes} }
	for _, a := range []storage.Allowance{{AllScopes: true}, some("read:vendors"), some("read:vendors", "write:vendors")} {
		c.assign(l.NewUserID, api, a)
		if revoked := !c.grant(l).RevokedAt.IsZero(); revoked != !a.AllScopes {
			c.Fatalf("%+v: revoked = %v", a, revoked)
		}
	}
	fresh := c.newLogin(l.Number)
	fresh.Grant.API = target(api)
	_, err = c.store.OpenSession(c.Context(), fresh, c.now)
	c.must(err)
	c.assign(l.NewUserID, api, some("write:vendors", "read:vendors")) // the same
	if !c.grant(fresh).RevokedAt.IsZero() || !c.grant(other).RevokedAt.IsZero() || !c.grant(elsewhere).RevokedAt.IsZero() {
		c.Error("more was revoked than was taken away")
	}
}

func assignmentTakenAway(c *sqlCase) {
	l, other := c.loginFor(api), c.loginFor(api)
	c.assign(l.NewUserID, "urn:other", storage.Allowance{})
	changes := c.changed(func() { c.must(c.store.Unassign(c.Context(), l.NewUserID, api, c.now)) })
	want := []storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeUser, Ref: string(l.NewUserID)}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	if c.grant(l).RevokedAt.IsZero() || !c.grant(other).RevokedAt.IsZero() {
		c.Error("the person's grants for the API are to be revoked, and no others")
	}
	got, err := c.store.Assignments(c.Context(), l.NewUserID)
	c.must(err)
	if len(got) != 1 || got[0].Audience != "urn:other" {
		c.Errorf("assignments = %v, want the other API", got)
	}
	c.must(c.sessionOf(l, c.now))
}

// Grants are made while the API is taken away: each was refused, or is revoked.
func assignmentRace(c *sqlCase) {
	l := c.loginFor(api)
	session := c.grant(l).SessionID
	macs := make([][]byte, racers)
	won, _ := c.race(func(i int) error {
		if i == racers/2 {
			return c.store.Unassign(c.Context(), l.NewUserID, api, c.now)
		}
		g := c.newGrant()
		g.UserID, g.SessionID, g.API = l.NewUserID, session, target(api)
		g.ID, macs[i] = storage.GrantID(rand.Text()), g.CodeMAC
		return c.store.CreateGrant(c.Context(), g, c.now)
	})
	if won == 0 {
		c.Fatal("nobody won, not even who takes the API away")
	}
	for _, mac := range macs {
		if mac == nil {
			continue
		}
		if g, _, err := c.store.GrantByCode(c.Context(), [][]byte{mac}); err == nil && g.RevokedAt.IsZero() {
			c.Error("a grant is in force")
		}
	}
}

func apiGrantRevoked(c *sqlCase) {
	l, opaque := c.loginFor(api), c.loginFor("")
	c.loginFor(api) // is not revoked
	for _, id := range []storage.GrantID{l.Grant.ID, opaque.Grant.ID} {
		c.must(c.store.RevokeGrant(c.Context(), id, c.now))
	}
	until := c.sec.Add(24 * time.Hour)
	want := []storage.RevokedGrant{{ID: l.Grant.ID, RevokedAt: c.sec, TokensUntil: until}}
	for _, now := range []time.Time{c.sec, until.Add(-time.Second)} {
		got, err := c.store.RevokedAPIGrants(c.Context(), now)
		c.must(err)
		if !slices.Equal(got, want) {
			c.Errorf("at %v: %v, want %v", now, got, want)
		}
	}
	got, err := c.store.RevokedAPIGrants(c.Context(), until)
	c.must(err)
	if len(got) != 0 {
		c.Errorf("after the last token's end: %v", got)
	}
	both, err := c.store.RevokedGrants(c.Context(), c.sec)
	c.must(err)
	if len(both) != 2 || !slices.Contains(both, want[0]) {
		c.Errorf("revoked grants = %v", both)
	}
}
