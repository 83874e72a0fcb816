package storagetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var refreshPromises = []promise{
	{"FamilyIsKeptAsWritten", familyKept},
	{"RotationGivesTheNextCounter", rotationCounts},
	{"RetryWithin30sGetsTheSameSuccessor", rotationRetry},
	{"RefreshReplayRevokesTheFamily", rotationReplay},
	{"ReplayAfterTheGraceRevokesTheFamily", rotationLateRetry},
	{"TokenRotatedOnceUnder50Racers", rotationRace},
	{"TokenRotatedOnceUnder50RacersWithoutGrace", rotationRaceNoGrace},
	{"RestingOrOldFamilyIsNotFound", rotationExpired},
	{"RotationNeverMovesTheAbsoluteEnd", rotationCapped},
	{"RevokedGrantEndsItsFamily", rotationRevoked},
	{"TokenThatWasNeverIssuedChangesNothing", rotationFuture},
}

// rotate presents the token with a counter at a time after the case's now.
func (c *sqlCase) rotate(f storage.RefreshFamily, counter int64, after time.Duration) (storage.Rotated, error) {
	now := c.now.Add(after)
	return c.store.RotateRefreshToken(c.Context(), storage.Rotation{
		Family: f.ID, Presented: counter, Now: now, Grace: 30 * time.Second,
		IdleExpires: now.Add(7 * 24 * time.Hour),
	})
}

func (c *sqlCase) family(id storage.FamilyID) storage.RefreshFamily {
	c.Helper()
	f, _, _, err := c.store.RefreshFamily(c.Context(), id)
	c.must(err)
	return f
}

func familyKept(c *sqlCase) {
	l, want := c.refreshable()
	got, grant, user, err := c.store.RefreshFamily(c.Context(), want.ID)
	c.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("family (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(c.grant(l), grant); diff != "" {
		c.Errorf("grant (-want +got):\n%s", diff)
	}
	if user.ID != l.NewUserID || user.Number != l.Number {
		c.Errorf("person = %v, want %s", user.ID, l.NewUserID)
	}
	_, _, _, err = c.store.RefreshFamily(c.Context(), "unknown")
	c.want(err, storage.ErrNotFound)
}

func rotationCounts(c *sqlCase) {
	_, f := c.refreshable()
	for counter := int64(1); counter < 4; counter++ {
		got, err := c.rotate(f, counter, time.Duration(counter)*time.Hour)
		c.must(err)
		if want := (storage.Rotated{Counter: counter + 1}); got != want {
			c.Errorf("rotation of %d = %+v, want %+v", counter, got, want)
		}
	}
	got := c.family(f.ID)
	f.Counter = 4
	f.RotatedAt = c.sec.Add(3 * time.Hour)
	f.IdleExpires = f.RotatedAt.Add(7 * 24 * time.Hour)
	if diff := cmp.Diff(f, got); diff != "" {
		c.Errorf("family (-want +got):\n%s", diff)
	}
}

func rotationRetry(c *sqlCase) {
	_, f := c.refreshable()
	_, err := c.rotate(f, 1, time.Hour)
	c.must(err)
	before := c.family(f.ID)
	for _, after := range []time.Duration{0, 10 * time.Second, 30 * time.Second} {
		got, err := c.rotate(f, 1, time.Hour+after)
		c.must(err)
		if want := (storage.Rotated{Counter: 2, Repeated: true}); got != want {
			c.Errorf("retry after %v = %+v, want %+v", after, got, want)
		}
	}
	if diff := cmp.Diff(before, c.family(f.ID)); diff != "" {
		c.Errorf("a retry changed the family (-before +after):\n%s", diff)
	}
}

// gone checks that the family died with its grant, and that servers were told.
func (c *sqlCase) gone(l storage.Login, f storage.RefreshFamily, changes []storage.Change) {
	c.Helper()
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeGrant}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	if c.grant(l).RevokedAt.IsZero() || c.family(f.ID).RevokedAt.IsZero() {
		c.Error("grant and family are not revoked")
	}
	_, err := c.rotate(f, c.family(f.ID).Counter, 2*time.Hour)
	c.want(err, storage.ErrNotFound)
}

func rotationReplay(c *sqlCase) {
	l, f := c.refreshable()
	for counter := int64(1); counter < 3; counter++ {
		_, err := c.rotate(f, counter, 0)
		c.must(err)
	}
	// Two behind: no lost answer explains it, however soon it comes.
	changes := c.changed(func() {
		_, err := c.rotate(f, 1, 0)
		c.want(err, storage.ErrConsumed)
	})
	c.gone(l, f, changes)
}

func rotationLateRetry(c *sqlCase) {
	l, f := c.refreshable()
	_, err := c.rotate(f, 1, 0)
	c.must(err)
	changes := c.changed(func() {
		_, err := c.rotate(f, 1, 31*time.Second)
		c.want(err, storage.ErrConsumed)
	})
	c.gone(l, f, changes)
}

func rotationRace(c *sqlCase) {
	_, f := c.refreshable()
	rotated := make([]storage.Rotated, racers)
	won, lost := c.race(func(i int) (err error) {
		rotated[i], err = c.rotate(f, 1, time.Hour)
		return err
	})
	if won != racers {
		c.Fatalf("%d of %d got a successor: %v", won, racers, lost)
	}
	first := 0
	for _, r := range rotated {
		if r.Counter != 2 {
			c.Errorf("successor %d, want 2", r.Counter)
		}
		if !r.Repeated {
			first++
		}
	}
	if got := c.family(f.ID).Counter; first != 1 || got != 2 {
		c.Errorf("%d rotations, counter %d; want 1, 2", first, got)
	}
}

func rotationRaceNoGrace(c *sqlCase) {
	l, f := c.refreshable()
	won, _ := c.race(func(int) error {
		_, err := c.store.RotateRefreshToken(c.Context(), storage.Rotation{
			Family: f.ID, Presented: 1, Now: c.now, Grace: -1, IdleExpires: f.IdleExpires,
		})
		return err
	})
	if won != 1 {
		c.Errorf("%d of %d racers won, want 1", won, racers)
	}
	if c.grant(l).RevokedAt.IsZero() {
		c.Error("a token was used twice and its grant lives")
	}
}

func rotationExpired(c *sqlCase) {
	_, f := c.refreshable()
	_, err := c.rotate(f, 1, 7*24*time.Hour)
	c.want(err, storage.ErrNotFound)
	counter := int64(1)
	for day := 6; day < 30; day += 6 {
		_, err := c.rotate(f, counter, time.Duration(day)*24*time.Hour)
		c.must(err)
		counter++
	}
	_, err = c.rotate(f, counter, 30*24*time.Hour)
	c.want(err, storage.ErrNotFound)
	// An old token of an expired family is no replay that matters.
	_, err = c.rotate(f, 1, 30*24*time.Hour)
	c.want(err, storage.ErrNotFound)
	_, err = c.rotate(storage.RefreshFamily{ID: "unknown"}, 1, 0)
	c.want(err, storage.ErrNotFound)
}

func rotationCapped(c *sqlCase) {
	_, f := c.refreshable()
	_, err := c.store.RotateRefreshToken(c.Context(), storage.Rotation{
		Family: f.ID, Presented: 1, Now: c.now, IdleExpires: f.AbsoluteExpires.Add(time.Hour),
	})
	c.must(err)
	got := c.family(f.ID)
	if !got.IdleExpires.Equal(f.AbsoluteExpires) || !got.AbsoluteExpires.Equal(f.AbsoluteExpires) {
		c.Errorf("idle end %v, absolute end %v; want both %v", got.IdleExpires, got.AbsoluteExpires, f.AbsoluteExpires)
	}
}

func rotationRevoked(c *sqlCase) {
	l, f := c.refreshable()
	c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now))
	_, err := c.rotate(f, 1, 0)
	c.want(err, storage.ErrNotFound)
	if got := c.family(f.ID).RevokedAt; !got.Equal(c.sec) {
		c.Errorf("family revoked at %v, want %v", got, c.sec)
	}
}

func rotationFuture(c *sqlCase) {
	_, f := c.refreshable()
	_, err := c.rotate(f, 2, 0)
	c.want(err, storage.ErrNotFound)
	if diff := cmp.Diff(f, c.family(f.ID)); diff != "" {
		c.Errorf("family (-want +got):\n%s", diff)
	}
}
