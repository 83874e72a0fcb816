package storagetest

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/storage"
)

var grantPromises = []promise{
	{"CodeIsRedeemedOnce", codeOnce},
	{"CodeRedeemedOnceUnder50Racers", codeRace},
	{"CodeWithRefreshTokenRedeemedOnceUnder50Racers", codeRefreshRace},
	{"UsedCodeStillNamesItsGrant", codeUsedNamesGrant},
	{"RevokedCodeIsNotRedeemed", codeRevoked},
	{"ExpiredCodeIsNotRedeemed", codeExpired},
	{"OneTransactionOneGrant", oneTransaction},
	{"OneTransactionOneGrantUnder50Racers", oneTransactionRace},
	{"GrantNeedsALiveSession", grantNeedsSession},
	{"RevokedGrantIsListed", grantRevoked},
}

func (c *sqlCase) redeem(id storage.GrantID) error {
	return c.store.RedeemGrant(c.Context(), storage.Redemption{Grant: id, Now: c.now})
}

func codeOnce(c *sqlCase) {
	l, _ := c.login()
	c.must(c.redeem(l.Grant.ID))
	if got := c.grant(l).RedeemedAt; !got.Equal(c.sec) {
		c.Errorf("redeemed at %v, want %v", got, c.sec)
	}
	c.want(c.redeem(l.Grant.ID), storage.ErrConsumed)
	c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now))
	c.want(c.redeem(l.Grant.ID), storage.ErrConsumed)
	c.want(c.redeem("unknown"), storage.ErrNotFound)
}

func codeRace(c *sqlCase) {
	l, _ := c.login()
	c.oneWinner(storage.ErrConsumed, func(int) error { return c.redeem(l.Grant.ID) })
}

func codeRefreshRace(c *sqlCase) {
	l, _ := c.login()
	families := make([]storage.FamilyID, racers)
	for i := range families {
		families[i] = storage.FamilyID(rand.Text())
	}
	c.oneWinner(storage.ErrConsumed, func(i int) error {
		return c.store.RedeemGrant(c.Context(), storage.Redemption{
			Grant: l.Grant.ID, Now: c.now,
			Refresh: &storage.RefreshFamily{
				ID: families[i], GrantID: l.Grant.ID, Counter: 1, CreatedAt: c.now,
				IdleExpires: c.now.Add(time.Hour), AbsoluteExpires: c.now.Add(time.Hour),
			},
		})
	})
	kept := 0
	for _, id := range families {
		if _, _, _, err := c.store.RefreshFamily(c.Context(), id); err == nil {
			kept++
		}
	}
	if kept != 1 {
		c.Errorf("%d refresh families for one code, want 1", kept)
	}
}

func codeUsedNamesGrant(c *sqlCase) {
	l, f := c.refreshable()
	if g := c.grant(l); g.ID != l.Grant.ID || g.RedeemedAt.IsZero() {
		c.Errorf("grant of a used code = %+v", g)
	}
	// As long as its refresh tokens may live (RFC 6749 §4.1.2).
	c.must(c.store.Sweep(c.Context(), f.AbsoluteExpires.Add(-time.Second)))
	if g := c.grant(l); g.ID != l.Grant.ID {
		c.Errorf("grant of a used code after a sweep = %+v", g)
	}
}

func codeRevoked(c *sqlCase) {
	l, _ := c.login()
	c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now))
	c.want(c.redeem(l.Grant.ID), storage.ErrNotFound)
	if g := c.grant(l); !g.RedeemedAt.IsZero() || !g.RevokedAt.Equal(c.sec) {
		c.Errorf("redeemed at %v, revoked at %v; want never, %v", g.RedeemedAt, g.RevokedAt, c.sec)
	}
}

func codeExpired(c *sqlCase) {
	l, _ := c.login()
	r := storage.Redemption{Grant: l.Grant.ID, Now: c.now.Add(time.Minute)}
	c.want(c.store.RedeemGrant(c.Context(), r), storage.ErrNotFound)
	r.Now = c.sec.Add(59 * time.Second)
	c.must(c.store.RedeemGrant(c.Context(), r))
}

func oneTransaction(c *sqlCase) {
	l, opened := c.login()
	g := c.newGrant()
	g.UserID, g.SessionID, g.AuthTime = opened.User.ID, opened.Session.ID, c.now.Add(-time.Hour)
	g.Scopes, g.Nonce, g.CodeChallenge, g.ACR = nil, "", "", ""
	c.must(c.store.CreateGrant(c.Context(), g, c.now))
	got, _, err := c.store.GrantByCode(c.Context(), [][]byte{g.CodeMAC})
	c.must(err)
	want := storage.Grant{NewGrant: g, CreatedAt: c.sec}
	want.CodeExpires, want.AuthTime = g.CodeExpires.Truncate(time.Second), g.AuthTime.Truncate(time.Second)
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("grant (-want +got):\n%s", diff)
	}
	for _, taken := range []storage.TransactionID{g.Transaction, l.Grant.Transaction} {
		again := c.newGrant()
		again.UserID, again.SessionID, again.Transaction = g.UserID, g.SessionID, taken
		c.want(c.store.CreateGrant(c.Context(), again, c.now), storage.ErrConsumed)
		_, _, err = c.store.GrantByCode(c.Context(), [][]byte{again.CodeMAC})
		c.want(err, storage.ErrNotFound)
	}
}

func oneTransactionRace(c *sqlCase) {
	_, opened := c.login()
	transaction := storage.TransactionID(rand.Text())
	c.oneWinner(storage.ErrConsumed, func(int) error {
		g := c.newGrant()
		g.UserID, g.SessionID, g.Transaction = opened.User.ID, opened.Session.ID, transaction
		return c.store.CreateGrant(c.Context(), g, c.now)
	})
}

func grantNeedsSession(c *sqlCase) {
	_, one := c.login()
	_, other := c.login()
	create := func(user storage.UserID, session storage.SessionID) error {
		g := c.newGrant()
		g.UserID, g.SessionID = user, session
		return c.store.CreateGrant(c.Context(), g, c.now)
	}
	c.want(create(one.User.ID, other.Session.ID), storage.ErrNotFound)
	c.must(c.store.EndSession(c.Context(), one.Session.ID, c.now))
	c.want(create(one.User.ID, one.Session.ID), storage.ErrRefused)
	c.must(c.store.BlockUser(c.Context(), other.User.ID, c.now))
	c.want(create(other.User.ID, other.Session.ID), storage.ErrRefused)
}

func grantRevoked(c *sqlCase) {
	l, _ := c.login()
	c.login()
	changes := c.changed(func() {
		c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now))
		c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now.Add(time.Hour))) // no error, no change
	})
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeGrant}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	c.want(c.store.RevokeGrant(c.Context(), "unknown", c.now), storage.ErrNotFound)
	got, err := c.store.RevokedGrants(c.Context(), c.now)
	c.must(err)
	if want := []storage.RevokedGrant{{ID: l.Grant.ID, RevokedAt: c.sec}}; !slices.Equal(got, want) {
		c.Errorf("revoked grants = %v, want %v", got, want)
	}
	got, err = c.store.RevokedGrants(c.Context(), c.now.Add(time.Second))
	c.must(err)
	if len(got) != 0 {
		c.Errorf("revoked grants of later = %v, want none", got)
	}
}
