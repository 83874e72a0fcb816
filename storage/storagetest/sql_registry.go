package storagetest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var clientPromises = []promise{
	{"ClientIsKeptAsWritten", clientKept},
	{"ClientIDIsUnique", clientUnique},
	{"NoEditOfAClientIsLostUnder50Racers", clientRace},
	{"FailedEditOfAClientChangesNothing", clientEditFails},
	{"RemovedClientsGrantsAreRevoked", clientRemoved},
	{"NewClientInheritsNothing", clientInheritsNothing},
}

func (c *sqlCase) newClient() storage.Client {
	return storage.Client{
		ClientID: "app", Name: "Приложение", AppType: "regular_web",
		Callbacks:         []string{"https://app.example/callback?a=b", "http://localhost:4000/cb"},
		AllowedLogoutURLs: []string{"https://app.example/"},
		WebOrigins:        []string{"https://app.example"},
		AllowedOrigins:    []string{"https://spa.example"},
		GrantTypes:        []string{"authorization_code", "refresh_token"},

		TokenEndpointAuthMethod: "client_secret_basic",
		JWKS:                    []byte(`{"keys":[]}`),
		IsFirstParty:            true, RequirePKCE: true, RequireState: true, RequireNonce: true,
		SubjectType: "public", IDTokenAlg: "ES256", InitiateLogin: "https://app.example/login",
		SecretMACs: [][]byte{newMAC(), newMAC()},
		CreatedAt:  c.sec.Add(-time.Hour), UpdatedAt: c.sec,
	}
}

func clientKept(c *sqlCase) {
	full := c.newClient()
	bare := storage.Client{ClientID: "bare", CreatedAt: c.sec, UpdatedAt: c.sec}
	changes := c.changed(func() {
		for _, client := range []storage.Client{full, bare} {
			c.must(c.store.CreateClient(c.Context(), client))
			got, err := c.store.Client(c.Context(), client.ClientID)
			c.must(err)
			if diff := cmp.Diff(client, got); diff != "" {
				c.Errorf("client (-want +got):\n%s", diff)
			}
		}
	})
	want := []storage.Change{{Kind: storage.ChangeClient, Ref: "app"}, {Kind: storage.ChangeClient, Ref: "bare"}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	all, err := c.store.Clients(c.Context())
	c.must(err)
	if diff := cmp.Diff([]storage.Client{full, bare}, all); diff != "" {
		c.Errorf("clients (-want +got):\n%s", diff)
	}
	_, err = c.store.Client(c.Context(), "unknown")
	c.want(err, storage.ErrNotFound)
}

func clientUnique(c *sqlCase) {
	client := c.newClient()
	c.must(c.store.CreateClient(c.Context(), client))
	other := client
	other.Name = "Other"
	changes := c.changed(func() { c.want(c.store.CreateClient(c.Context(), other), storage.ErrConflict) })
	if len(changes) != 0 {
		c.Errorf("changes of a refused client: %v", changes)
	}
	got, err := c.store.Client(c.Context(), "app")
	c.must(err)
	if got.Name != client.Name {
		c.Errorf("name = %q, want %q", got.Name, client.Name)
	}
}

func clientRace(c *sqlCase) {
	client := c.newClient()
	client.Callbacks = nil
	c.must(c.store.CreateClient(c.Context(), client))
	won, lost := c.race(func(i int) error {
		return c.store.UpdateClient(c.Context(), "app", func(client *storage.Client) error {
			client.Callbacks = append(client.Callbacks, fmt.Sprintf("https://app.example/%d", i))
			client.SecretMACs = client.SecretMACs[:1]
			client.UpdatedAt = c.now.Add(time.Hour)
			return nil
		})
	})
	if won != racers {
		c.Fatalf("%d of %d edits succeeded: %v", won, racers, lost)
	}
	got, err := c.store.Client(c.Context(), "app")
	c.must(err)
	if len(got.Callbacks) != racers || len(got.SecretMACs) != 1 || !got.UpdatedAt.Equal(c.sec.Add(time.Hour)) {
		c.Errorf("%d callbacks, %d secrets, updated at %v", len(got.Callbacks), len(got.SecretMACs), got.UpdatedAt)
	}
	c.want(c.store.UpdateClient(c.Context(), "unknown", func(*storage.Client) error { return nil }), storage.ErrNotFound)
}

func clientEditFails(c *sqlCase) {
	client := c.newClient()
	c.must(c.store.CreateClient(c.Context(), client))
	refusal := errors.New("not like this")
	changes := c.changed(func() {
		c.want(c.store.UpdateClient(c.Context(), "app", func(client *storage.Client) error {
			client.Name = "Other"
			return refusal
		}), refusal)
	})
	got, err := c.store.Client(c.Context(), "app")
	c.must(err)
	if len(changes) != 0 || got.Name != client.Name {
		c.Errorf("after a failed edit: name %q, changes %v", got.Name, changes)
	}
	// A client's ID and birth are not for editing.
	c.must(c.store.UpdateClient(c.Context(), "app", func(client *storage.Client) error {
		client.ClientID, client.CreatedAt = "other", c.now
		return nil
	}))
	got, err = c.store.Client(c.Context(), "app")
	c.must(err)
	if !got.CreatedAt.Equal(client.CreatedAt) {
		c.Errorf("created at %v, want %v", got.CreatedAt, client.CreatedAt)
	}
}

func clientRemoved(c *sqlCase) {
	c.must(c.store.CreateClient(c.Context(), c.newClient()))
	l, f := c.refreshable()
	other := c.newLogin(newNumber())
	other.Grant.ClientID = "other"
	_, err := c.store.OpenSession(c.Context(), other, c.now)
	c.must(err)
	changes := c.changed(func() { c.must(c.store.RemoveClient(c.Context(), "app", c.now)) })
	want := []storage.Change{{Kind: storage.ChangeGrant}, {Kind: storage.ChangeClient, Ref: "app"}}
	if diff := cmp.Diff(want, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	_, err = c.store.Client(c.Context(), "app")
	c.want(err, storage.ErrNotFound)
	_, err = c.rotate(f, 1, 0)
	c.want(err, storage.ErrNotFound)
	if c.grant(l).RevokedAt.IsZero() || !c.grant(other).RevokedAt.IsZero() {
		c.Error("the client's grants are to be revoked, and no others")
	}
	c.want(c.store.RemoveClient(c.Context(), "app", c.now), storage.ErrNotFound)
}

// A client of the file leaves its grants when it is taken out of it, and so does a
// removal that was cut off.
func clientInheritsNothing(c *sqlCase) {
	l, f := c.refreshable()
	other := c.newLogin(newNumber())
	other.Grant.ClientID = "other"
	_, err := c.store.OpenSession(c.Context(), other, c.now)
	c.must(err)
	c.must(c.store.CreateClient(c.Context(), c.newClient()))
	_, err = c.rotate(f, 1, 0)
	c.want(err, storage.ErrNotFound)
	if c.grant(l).RevokedAt.IsZero() || !c.grant(other).RevokedAt.IsZero() {
		c.Error("what another client of its ID has left is to be revoked, and nothing else")
	}
	later, _ := c.login()
	c.want(c.store.CreateClient(c.Context(), c.newClient()), storage.ErrConflict)
	if !c.grant(later).RevokedAt.IsZero() {
		c.Error("a client's own grants are revoked by another that wants its ID")
	}
}

var registryPromises = []promise{
	{"ConnectionSMSExistsFromTheFirstStart", connectionFirst},
	{"ConnectionIsKeptAsWritten", connectionKept},
	{"ConnectionIsMadeChangedAndRemoved", connectionLife},
	{"NoEditOfAConnectionIsLostUnder50Racers", connectionRace},
	{"SigningKeysAreKeptAsWritten", keysKept},
	{"SigningKeysChangeWholeOrNotAtAll", keysEditFails},
	{"NoSigningKeyIsLostUnder50Racers", keysRace},
	{"ChangesComeInOrder", changesInOrder},
	{"PingAnswers", func(c *sqlCase) { c.must(c.store.Ping(c.Context())) }},
}

func connectionFirst(c *sqlCase) {
	got, err := c.store.Connections(c.Context())
	c.must(err)
	want := []storage.Connection{{Name: "sms", Strategy: "sms", Options: []byte(`{"provider":"console"}`)}}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("connections (-want +got):\n%s", diff)
	}
}

func connectionKept(c *sqlCase) {
	yes := true
	want := []storage.Connection{
		{Name: "other", Strategy: "sms", Options: []byte(`{}`), UpdatedAt: c.sec, Settings: storage.ConnectionSettings{
			DisplayName: "Other", Restricted: true, EnabledClients: []storage.ClientID{"app"}, IsDomainConnection: true, ShowAsButton: &yes,
			Realms: []string{"other"}, Metadata: map[string]string{"a": "b"}, Authentication: []byte(`{"active":true}`), ConnectedAccounts: []byte(`{}`),
		}},
		{Name: "sms", Strategy: "sms", Options: []byte(`{"provider":"twilio","twilio_token":"s"}`), UpdatedAt: c.sec},
	}
	changes := c.changed(func() {
		for _, connection := range want {
			c.must(c.store.PutConnection(c.Context(), connection))
		}
	})
	if diff := cmp.Diff([]storage.Change{
		{Kind: storage.ChangeConnection, Ref: "other"}, {Kind: storage.ChangeConnection, Ref: "sms"},
	}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	got, err := c.store.Connections(c.Context())
	c.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("connections (-want +got):\n%s", diff)
	}
}

func connectionLife(c *sqlCase) {
	made := storage.Connection{Name: "made", Strategy: "sms", Options: []byte(`{"a":1}`), UpdatedAt: c.sec}
	changes := c.changed(func() {
		c.must(c.store.CreateConnection(c.Context(), made))
		c.want(c.store.CreateConnection(c.Context(), made), storage.ErrConflict)
		c.must(c.store.UpdateConnection(c.Context(), "made", func(got *storage.Connection) error {
			c.same("connection to change", made, *got)
			got.Name, got.Strategy, got.Options = "renamed", "email", []byte(`{"b":2}`) // the names stay
			return nil
		}))
		c.want(c.store.UpdateConnection(c.Context(), "made", func(got *storage.Connection) error {
			got.Options = nil
			return errEdit
		}), errEdit)
	})
	ref := storage.Change{Kind: storage.ChangeConnection, Ref: "made"}
	c.same("changes", []storage.Change{ref, ref}, changes)
	made.Options = []byte(`{"b":2}`)
	got, err := c.store.Connection(c.Context(), "made")
	c.must(err)
	c.same("changed connection", made, got)
	c.same("changes of a removal", []storage.Change{ref}, c.changed(func() { c.must(c.store.RemoveConnection(c.Context(), "made")) }))
	c.want(c.store.RemoveConnection(c.Context(), "made"), storage.ErrNotFound)
	c.want(c.store.UpdateConnection(c.Context(), "made", func(*storage.Connection) error { return nil }), storage.ErrNotFound)
	_, err = c.store.Connection(c.Context(), "made")
	c.want(err, storage.ErrNotFound)
}

var errEdit = errors.New("edit refuses")

func connectionRace(c *sqlCase) {
	if _, lost := c.race(func(i int) error {
		return c.store.UpdateConnection(c.Context(), "sms", func(got *storage.Connection) error {
			got.Settings.Realms = append(got.Settings.Realms, strconv.Itoa(i))
			return nil
		})
	}); len(lost) > 0 {
		c.Error(lost)
	}
	got, err := c.store.Connection(c.Context(), "sms")
	c.must(err)
	if len(got.Settings.Realms) != 50 {
		c.Errorf("%d of 50 edits are left", len(got.Settings.Realms))
	}
}

func (c *sqlCase) newKey(id storage.KeyID, created time.Time) storage.SigningKey {
	return storage.SigningKey{
		ID: id, Algorithm: "RS256", PKCS8: newMAC(), CreatedAt: created, SignsFrom: created.Add(24 * time.Hour),
	}
}

// replaceKeys makes the kept keys those given.
func (c *sqlCase) replaceKeys(keys ...storage.SigningKey) {
	c.Helper()
	c.must(c.store.UpdateSigningKeys(c.Context(), func([]storage.SigningKey) ([]storage.SigningKey, error) {
		return keys, nil
	}))
	got, err := c.store.SigningKeys(c.Context())
	c.must(err)
	if diff := cmp.Diff(keys, got); diff != "" {
		c.Errorf("keys (-want +got):\n%s", diff)
	}
}

func keysKept(c *sqlCase) {
	old, mid, young := c.newKey("z", c.sec), c.newKey("a", c.sec.Add(time.Hour)), c.newKey("m", c.sec.Add(2*time.Hour))
	changes := c.changed(func() {
		c.replaceKeys(old, mid)
		old.RetiredAt, old.PublishUntil = c.sec.Add(3*time.Hour), c.sec.Add(4*time.Hour)
		c.replaceKeys(old, mid, young)
		c.replaceKeys(old, mid, young) // nothing new: no change
		c.replaceKeys(young)
	})
	key := storage.Change{Kind: storage.ChangeKey}
	if diff := cmp.Diff([]storage.Change{key, key, key}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
}

func keysEditFails(c *sqlCase) {
	key := c.newKey("k", c.sec)
	c.replaceKeys(key)
	refusal := errors.New("not now")
	changes := c.changed(func() {
		c.want(c.store.UpdateSigningKeys(c.Context(), func(keys []storage.SigningKey) ([]storage.SigningKey, error) {
			keys[0].Algorithm = "none"
			return nil, refusal
		}), refusal)
	})
	got, err := c.store.SigningKeys(c.Context())
	c.must(err)
	if diff := cmp.Diff([]storage.SigningKey{key}, got); diff != "" || len(changes) != 0 {
		c.Errorf("changes %v, keys (-want +got):\n%s", changes, diff)
	}
}

func keysRace(c *sqlCase) {
	won, lost := c.race(func(i int) error {
		return c.store.UpdateSigningKeys(c.Context(), func(keys []storage.SigningKey) ([]storage.SigningKey, error) {
			return append(keys, c.newKey(storage.KeyID(fmt.Sprint(i)), c.sec)), nil
		})
	})
	got, err := c.store.SigningKeys(c.Context())
	c.must(err)
	if won != racers || len(got) != racers {
		c.Errorf("%d of %d updates, %d keys: %v", won, racers, len(got), lost)
	}
}

func changesInOrder(c *sqlCase) {
	start, err := c.store.LastChange(c.Context())
	c.must(err)
	won, lost := c.race(func(i int) error {
		return c.store.CreateClient(c.Context(), storage.Client{
			ClientID: storage.ClientID(fmt.Sprint("c", i)), CreatedAt: c.now, UpdatedAt: c.now,
		})
	})
	if won != racers {
		c.Fatal(lost)
	}
	seen := map[string]bool{}
	last := start
	changes, err := c.store.Changes(c.Context(), start)
	c.must(err)
	for _, change := range changes {
		if change.ID <= last || change.Kind != storage.ChangeClient {
			c.Errorf("change %+v behind %d", change, last)
		}
		last = change.ID
		seen[change.Ref] = true
	}
	end, err := c.store.LastChange(c.Context())
	c.must(err)
	if len(seen) != racers || end != last {
		c.Errorf("%d changes up to %d, want %d up to %d", len(seen), last, racers, end)
	}
	changes, err = c.store.Changes(c.Context(), end)
	c.must(err)
	if len(changes) != 0 {
		c.Errorf("changes behind the last: %v", changes)
	}
}

var sweepPromises = []promise{
	{"SweepTakesWhatIsOver", sweepTakes},
	{"SweepKeepsAGrantAsLongAsATokenOfItMayLive", sweepKeepsGrants},
	{"SweepTakesMoreThanOneBatch", sweepMany},
}

func sweepTakes(c *sqlCase) {
	l, opened := c.login()
	end := opened.Session.ExpiresAt
	c.must(c.store.Sweep(c.Context(), end.Add(-time.Second)))
	c.must(c.sessionOf(l, c.sec))
	c.must(c.store.Sweep(c.Context(), end))
	c.want(c.sessionOf(l, c.sec), storage.ErrNotFound)
	// The person stays.
	_, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
}

func sweepKeepsGrants(c *sqlCase) {
	code, _ := c.login()
	refreshed, f := c.refreshable()
	exists := func(l storage.Login) bool {
		_, _, err := c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			c.Fatal(err)
		}
		return err == nil
	}
	const tokenLife = 24 * time.Hour
	for _, step := range []struct {
		at              time.Time
		code, refreshed bool
	}{
		{code.Grant.CodeExpires.Add(tokenLife - time.Second), true, true},
		{code.Grant.CodeExpires.Add(tokenLife + time.Second), false, true},
		{f.AbsoluteExpires.Add(tokenLife - time.Second), false, true},
		{f.AbsoluteExpires.Add(tokenLife + time.Second), false, false},
	} {
		c.must(c.store.Sweep(c.Context(), step.at))
		if exists(code) != step.code || exists(refreshed) != step.refreshed {
			c.Errorf("after the sweep of %v: %v and %v, want %v and %v",
				step.at, exists(code), exists(refreshed), step.code, step.refreshed)
		}
	}
	_, _, _, err := c.store.RefreshFamily(c.Context(), f.ID)
	c.want(err, storage.ErrNotFound)
}

func sweepMany(c *sqlCase) {
	if testing.Short() {
		c.Skip("opens 1,100 sessions")
	}
	number := newNumber()
	first := c.newLogin(number)
	_, err := c.store.OpenSession(c.Context(), first, c.now)
	c.must(err)
	last := first
	for range 1100 / racers {
		won, lost := c.race(func(i int) error {
			l := c.newLogin(number)
			_, err := c.store.OpenSession(c.Context(), l, c.now)
			if i == 0 {
				last = l
			}
			return err
		})
		if won != racers {
			c.Fatal(lost)
		}
	}
	c.must(c.store.Sweep(c.Context(), c.now.Add(365*24*time.Hour)))
	for _, l := range []storage.Login{first, last} {
		c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
		_, _, err := c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
		c.want(err, storage.ErrNotFound)
	}
}
