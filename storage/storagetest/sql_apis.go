package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var apiPromises = []promise{
	{"APIIsKeptAsWritten", apiKept},
	{"APIIdentifierIsUnique", apiUnique},
	{"NoEditOfAnAPIIsLostUnder50Racers", apiRace},
	{"FailedEditOfAnAPIChangesNothing", apiEditFails},
	{"NothingOfARemovedAPIIsInherited", apiRemoved},
	{"ClientGrantIsKeptAsWritten", clientGrantKept},
	{"ClientGrantIsMadeOnce", clientGrantMadeOnce},
	{"EditedClientGrantIsNotMadeAnew", clientGrantEdited},
	{"RemovedClientsGrantsForAPIsAreGone", clientGrantOfRemovedClient},
	{"RevokedTokenIsListedUntilItHasExpired", tokenRevoked},
}

const api storage.Audience = "https://purchasing.example.com"

func (c *sqlCase) newAPI() storage.API {
	return storage.API{
		Identifier: api, Name: "購買", TokenLifetime: 86400, SigningAlg: "ES256", AllowOfflineAccess: true,
		Scopes: []storage.Scope{{Value: "read:vendors", Description: "see vendors"}, {Value: "write:vendors"}},
		Users:  storage.Assigned, Clients: storage.Granted,
		Claims:    map[string]string{"employee_id": "user.employee_id"},
		CreatedAt: c.sec.Add(-time.Hour), UpdatedAt: c.sec,
	}
}

func apiKept(c *sqlCase) {
	full := c.newAPI()
	bare := storage.API{Identifier: "urn:bare", CreatedAt: c.sec, UpdatedAt: c.sec}
	changes := c.changed(func() {
		for _, api := range []storage.API{full, bare} {
			c.must(c.store.CreateAPI(c.Context(), api))
			got, err := c.store.API(c.Context(), api.Identifier)
			c.must(err)
			if diff := cmp.Diff(api, got); diff != "" {
				c.Errorf("API (-want +got):\n%s", diff)
			}
		}
	})
	want := []storage.Change{{Kind: storage.ChangeAPI, Ref: string(api)}, {Kind: storage.ChangeAPI, Ref: "urn:bare"}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	all, err := c.store.APIs(c.Context())
	c.must(err)
	if diff := cmp.Diff([]storage.API{full, bare}, all); diff != "" {
		c.Errorf("APIs (-want +got):\n%s", diff)
	}
	_, err = c.store.API(c.Context(), "unknown")
	c.want(err, storage.ErrNotFound)
}

func apiUnique(c *sqlCase) {
	first := c.newAPI()
	c.must(c.store.CreateAPI(c.Context(), first))
	other := first
	other.Name = "Other"
	changes := c.changed(func() { c.want(c.store.CreateAPI(c.Context(), other), storage.ErrConflict) })
	got, err := c.store.API(c.Context(), api)
	c.must(err)
	if len(changes) != 0 || got.Name != first.Name {
		c.Errorf("after a refused API: name %q, changes %v", got.Name, changes)
	}
}

func apiRace(c *sqlCase) {
	first := c.newAPI()
	first.Scopes = nil
	c.must(c.store.CreateAPI(c.Context(), first))
	won, lost := c.race(func(i int) error {
		return c.store.UpdateAPI(c.Context(), api, func(api *storage.API) error {
			api.Scopes = append(api.Scopes, storage.Scope{Value: fmt.Sprintf("scope:%d", i)})
			api.UpdatedAt = c.now.Add(time.Hour)
			return nil
		})
	})
	got, err := c.store.API(c.Context(), api)
	c.must(err)
	if won != racers || len(got.Scopes) != racers || !got.UpdatedAt.Equal(c.sec.Add(time.Hour)) {
		c.Errorf("%d of %d edits succeeded, %d scopes, updated at %v: %v", won, racers, len(got.Scopes), got.UpdatedAt, lost)
	}
	c.want(c.store.UpdateAPI(c.Context(), "unknown", func(*storage.API) error { return nil }), storage.ErrNotFound)
}

func apiEditFails(c *sqlCase) {
	first := c.newAPI()
	c.must(c.store.CreateAPI(c.Context(), first))
	refusal := errors.New("not like this")
	changes := c.changed(func() {
		c.want(c.store.UpdateAPI(c.Context(), api, func(api *storage.API) error {
			api.Name = "Other"
			return refusal
		}), refusal)
	})
	if len(changes) != 0 {
		c.Errorf("changes of a failed edit: %v", changes)
	}
	// An API's identifier and birth are not for editing.
	c.must(c.store.UpdateAPI(c.Context(), api, func(api *storage.API) error {
		api.Identifier, api.CreatedAt = "other", c.now
		return nil
	}))
	got, err := c.store.API(c.Context(), api)
	c.must(err)
	if diff := cmp.Diff(first, got); diff != "" {
		c.Errorf("API (-want +got):\n%s", diff)
	}
}

func apiRemoved(c *sqlCase) {
	for _, id := range []storage.Audience{api, "urn:other"} {
		one := c.newAPI()
		one.Identifier = id
		c.must(c.store.CreateAPI(c.Context(), one))
		c.must(c.store.PutClientGrant(c.Context(), storage.ClientGrant{ClientID: "batch", Audience: id, CreatedAt: c.now}))
	}
	forAPI, forNone := c.loginFor(api), c.loginFor("")
	changes := c.changed(func() { c.must(c.store.RemoveAPI(c.Context(), api, c.now)) })
	want := []storage.Change{{Kind: storage.ChangeAPI, Ref: string(api)}, {Kind: storage.ChangeGrant}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	if c.grant(forAPI).RevokedAt.IsZero() || !c.grant(forNone).RevokedAt.IsZero() {
		c.Error("the API's grants are to be revoked, and no others")
	}
	_, err := c.store.API(c.Context(), api)
	c.want(err, storage.ErrNotFound)
	c.want(c.store.RemoveAPI(c.Context(), api, c.now), storage.ErrNotFound)

	c.must(c.store.CreateAPI(c.Context(), c.newAPI()))
	grants, err := c.store.ClientGrants(c.Context())
	c.must(err)
	if len(grants) != 1 || grants[0].Audience != "urn:other" {
		c.Errorf("client grants = %v, want that of the other API", grants)
	}
	assigned, err := c.store.Assignments(c.Context(), c.grant(forAPI).UserID)
	c.must(err)
	if len(assigned) != 0 {
		c.Errorf("assignments = %v, want none", assigned)
	}
}

func clientGrantKept(c *sqlCase) {
	all := storage.Allowance{AllScopes: true}
	some := storage.Allowance{Scopes: []string{"read:vendors", "write:vendors"}}
	put := func(client storage.ClientID, audience storage.Audience, a storage.Allowance, at time.Time) {
		c.must(c.store.PutClientGrant(c.Context(), storage.ClientGrant{ClientID: client, Audience: audience, Allowance: a, CreatedAt: at}))
	}
	changes := c.changed(func() {
		put("batch", api, some, c.now)
		put("batch", "urn:b", storage.Allowance{}, c.now)
		put("app", api, some, c.now)
		put("app", api, all, c.now.Add(time.Hour))
		c.must(c.store.RemoveClientGrant(c.Context(), "batch", "urn:b"))
		put("batch", "urn:a", storage.Allowance{}, c.now)
		c.want(c.store.RemoveClientGrant(c.Context(), "batch", "urn:b"), storage.ErrNotFound)
	})
	of := func(id storage.Audience) storage.Change {
		return storage.Change{Kind: storage.ChangeAPI, Ref: string(id)}
	}
	if diff := cmp.Diff([]storage.Change{of(api), of("urn:b"), of(api), of(api), of("urn:b"), of("urn:a")}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	got, err := c.store.ClientGrants(c.Context())
	c.must(err)
	want := []storage.ClientGrant{
		{ClientID: "app", Audience: api, Allowance: all, CreatedAt: c.sec},
		{ClientID: "batch", Audience: api, Allowance: some, CreatedAt: c.sec},
		{ClientID: "batch", Audience: "urn:a", CreatedAt: c.sec},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("client grants (-want +got):\n%s", diff)
	}
}

func clientGrantMadeOnce(c *sqlCase) {
	first := storage.ClientGrant{ClientID: "batch", Audience: api, Allowance: storage.Allowance{Scopes: []string{"read:vendors"}}, CreatedAt: c.sec}
	second := first
	second.AllScopes, second.Scopes = true, nil
	changes := c.changed(func() {
		c.must(c.store.CreateClientGrant(c.Context(), first))
		c.want(c.store.CreateClientGrant(c.Context(), second), storage.ErrConflict)
	})
	if len(changes) != 1 {
		c.Errorf("changes = %v, want one", changes)
	}
	c.grantsAre(first)
}

func clientGrantEdited(c *sqlCase) {
	g := storage.ClientGrant{ClientID: "batch", Audience: api, Allowance: storage.Allowance{Scopes: []string{"read:vendors", "write:vendors"}}, CreatedAt: c.sec}
	c.must(c.store.CreateClientGrant(c.Context(), g))
	narrow := func(g *storage.ClientGrant) error { g.Scopes = g.Scopes[:1]; return nil }
	changes := c.changed(func() {
		c.must(c.store.UpdateClientGrant(c.Context(), "batch", api, narrow))
		refused := errors.New("refused")
		c.want(c.store.UpdateClientGrant(c.Context(), "batch", api, func(g *storage.ClientGrant) error { g.AllScopes = true; return refused }), refused)
	})
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeAPI, Ref: string(api)}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	g.Scopes = g.Scopes[:1]
	c.grantsAre(g)
	c.must(c.store.RemoveClientGrant(c.Context(), "batch", api))
	c.want(c.store.UpdateClientGrant(c.Context(), "batch", api, narrow), storage.ErrNotFound)
	c.grantsAre()
}

func (c *sqlCase) grantsAre(want ...storage.ClientGrant) {
	c.Helper()
	got, err := c.store.ClientGrants(c.Context())
	c.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("client grants (-want +got):\n%s", diff)
	}
}

func clientGrantOfRemovedClient(c *sqlCase) {
	c.must(c.store.CreateClient(c.Context(), c.newClient()))
	for _, client := range []storage.ClientID{"app", "other"} {
		c.must(c.store.PutClientGrant(c.Context(), storage.ClientGrant{ClientID: client, Audience: api, CreatedAt: c.now}))
	}
	changes := c.changed(func() { c.must(c.store.RemoveClient(c.Context(), "app", c.now)) })
	want := []storage.Change{{Kind: storage.ChangeAPI}, {Kind: storage.ChangeClient, Ref: "app"}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	got, err := c.store.ClientGrants(c.Context())
	c.must(err)
	if len(got) != 1 || got[0].ClientID != "other" {
		c.Errorf("client grants = %v, want that of the other client", got)
	}
}

func tokenRevoked(c *sqlCase) {
	early := storage.RevokedToken{ID: "early", RevokedAt: c.sec.Add(-time.Hour), ExpiresAt: c.sec.Add(time.Hour)}
	late := storage.RevokedToken{ID: "late", RevokedAt: c.sec, ExpiresAt: c.sec.Add(24 * time.Hour)}
	changes := c.changed(func() {
		for _, t := range []storage.RevokedToken{late, early} {
			c.must(c.store.RevokeToken(c.Context(), t))
		}
		again := late
		again.RevokedAt = c.now.Add(time.Minute)
		c.must(c.store.RevokeToken(c.Context(), again)) // no error, no change
	})
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeGrant}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	check := func(since time.Time, want ...storage.RevokedToken) {
		c.Helper()
		got, err := c.store.RevokedTokens(c.Context(), since)
		c.must(err)
		if !slices.Equal(got, want) {
			c.Errorf("revoked since %v: %v, want %v", since, got, want)
		}
	}
	check(early.RevokedAt, early, late)
	check(c.sec, late)
	c.must(c.store.Sweep(c.Context(), early.ExpiresAt.Add(-time.Second)))
	check(time.Time{}, early, late)
	c.must(c.store.Sweep(c.Context(), early.ExpiresAt))
	check(time.Time{}, late)
}
