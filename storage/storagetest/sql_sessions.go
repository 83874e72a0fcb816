package storagetest

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// numbers compares people with their numbers, of which cmp can't see inside.
var numbers = cmp.Comparer(func(a, b phone.Number) bool { return a == b })

var loginPromises = []promise{
	{"NewNumberMakesAPersonASessionAndAGrant", loginOfNewNumber},
	{"KnownNumberIsTheSamePerson", loginOfKnownNumber},
	{"OneNumberIsOnePersonUnder50Racers", loginRace},
	{"UnknownNumberIsRefusedWhileSignupIsOff", loginWithoutSignup},
	{"BlockedPersonIsRefused", loginBlocked},
	{"OnlyTheExpectedPersonLogsIn", loginOnlyUser},
	{"ChallengeOpensOneSession", loginChallengeTwice},
	{"ChallengeOpensOneSessionUnder50Racers", loginChallengeRace},
	{"TransactionIsAnsweredByOneLogin", loginTransactionTwice},
	{"TakenNamesAreConflicts", loginConflicts},
	{"LostContextIsUnavailable", loginWithoutTime},
}

func loginOfNewNumber(c *sqlCase) {
	l := c.newLogin(newNumber())
	got, err := c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
	want := storage.Opened{
		User: storage.User{
			ID: l.NewUserID, Number: l.Number, CreatedAt: c.sec, UpdatedAt: c.sec, LastLoginAt: c.sec, VerifiedAt: c.sec,
		},
		Session: storage.Session{
			ID: l.SessionID, UserID: l.NewUserID, AuthTime: c.sec, CreatedAt: c.sec, SeenAt: c.sec,
			ExpiresAt: l.ExpiresAt.Truncate(time.Second),
		},
		NewUser: true,
	}
	if diff := cmp.Diff(want, got, numbers); diff != "" {
		c.Errorf("opened (-want +got):\n%s", diff)
	}
	u, err := c.store.User(c.Context(), l.NewUserID)
	c.must(err)
	s, owner, err := c.store.SessionByMAC(c.Context(), [][]byte{newMAC(), l.SessionMAC}, c.now, time.Hour)
	c.must(err)
	g, grantee, err := c.store.GrantByCode(c.Context(), [][]byte{newMAC(), l.Grant.CodeMAC})
	c.must(err)
	wantGrant := storage.Grant{NewGrant: l.Grant, CreatedAt: c.sec}
	wantGrant.UserID, wantGrant.SessionID, wantGrant.AuthTime = l.NewUserID, l.SessionID, c.sec
	wantGrant.CodeExpires = l.Grant.CodeExpires.Truncate(time.Second)
	for _, pair := range [][2]any{
		{want.User, u}, {want.User, owner}, {want.User, grantee}, {want.Session, s}, {wantGrant, g},
	} {
		if diff := cmp.Diff(pair[0], pair[1], numbers); diff != "" {
			c.Errorf("kept (-want +got):\n%s", diff)
		}
	}
}

func loginOfKnownNumber(c *sqlCase) {
	l, first := c.login()
	later := c.now.Add(time.Hour)
	again, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), later)
	c.must(err)
	if again.NewUser || again.User.ID != first.User.ID {
		c.Errorf("second login: new %v, user %s; want user %s", again.NewUser, again.User.ID, first.User.ID)
	}
	want := first.User
	want.LastLoginAt, want.VerifiedAt = c.sec.Add(time.Hour), c.sec.Add(time.Hour)
	got, err := c.store.UserByNumber(c.Context(), l.Number)
	c.must(err)
	if diff := cmp.Diff(want, got, numbers); diff != "" {
		c.Errorf("user after two logins (-want +got):\n%s", diff)
	}
}

func loginRace(c *sqlCase) {
	number := newNumber()
	users := make([]storage.UserID, racers)
	won, lost := c.race(func(i int) error {
		opened, err := c.store.OpenSession(c.Context(), c.newLogin(number), c.now)
		users[i] = opened.User.ID
		return err
	})
	if won != racers {
		c.Fatalf("%d of %d logins succeeded: %v", won, racers, lost)
	}
	for _, id := range users {
		if id != users[0] {
			c.Errorf("one number belongs to %s and %s", id, users[0])
		}
	}
}

func loginWithoutSignup(c *sqlCase) {
	l := c.newLogin(newNumber())
	l.SignupDisabled = true
	_, err := c.store.OpenSession(c.Context(), l, c.now)
	c.want(err, storage.ErrRefused)
	_, err = c.store.UserByNumber(c.Context(), l.Number)
	c.want(err, storage.ErrNotFound)

	known, _ := c.login()
	l = c.newLogin(known.Number)
	l.SignupDisabled = true
	_, err = c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
}

func loginBlocked(c *sqlCase) {
	known, opened := c.login()
	c.must(c.store.BlockUser(c.Context(), opened.User.ID, c.now))
	l := c.newLogin(known.Number)
	_, err := c.store.OpenSession(c.Context(), l, c.now)
	c.want(err, storage.ErrRefused)
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	u, err := c.store.UserByNumber(c.Context(), known.Number)
	c.must(err)
	if !u.Blocked {
		c.Error("a blocked person's record does not say so")
	}
}

func loginOnlyUser(c *sqlCase) {
	known, opened := c.login()
	stranger := c.newLogin(newNumber())
	stranger.OnlyUser = opened.User.ID
	_, err := c.store.OpenSession(c.Context(), stranger, c.now)
	c.want(err, storage.ErrConflict)
	_, err = c.store.UserByNumber(c.Context(), stranger.Number)
	c.want(err, storage.ErrNotFound)

	right := c.newLogin(known.Number)
	right.OnlyUser = opened.User.ID
	_, err = c.store.OpenSession(c.Context(), right, c.now)
	c.must(err)
}

func loginChallengeTwice(c *sqlCase) {
	first, _ := c.login()
	second := c.newLogin(newNumber())
	second.Challenge = first.Challenge
	_, err := c.store.OpenSession(c.Context(), second, c.now)
	c.want(err, storage.ErrConsumed)
	_, err = c.store.UserByNumber(c.Context(), second.Number)
	c.want(err, storage.ErrNotFound)

	// Ending the session does not make its challenge good again.
	c.must(c.store.EndSession(c.Context(), first.SessionID, c.now))
	_, err = c.store.OpenSession(c.Context(), second, c.now)
	c.want(err, storage.ErrConsumed)
}

func loginChallengeRace(c *sqlCase) {
	challenge := storage.ChallengeID("login:" + rand.Text())
	number := newNumber()
	c.oneWinner(storage.ErrConsumed, func(int) error {
		l := c.newLogin(number)
		l.Challenge = challenge
		_, err := c.store.OpenSession(c.Context(), l, c.now)
		return err
	})
}

func loginTransactionTwice(c *sqlCase) {
	first, _ := c.login()
	second := c.newLogin(first.Number)
	second.Grant.Transaction = first.Grant.Transaction
	_, err := c.store.OpenSession(c.Context(), second, c.now)
	c.want(err, storage.ErrConsumed)
	c.want(c.sessionOf(second, c.now), storage.ErrNotFound)
	c.must(c.sessionOf(first, c.now))
}

func loginConflicts(c *sqlCase) {
	first, _ := c.login()
	for name, take := range map[string]func(*storage.Login){
		"session ID":  func(l *storage.Login) { l.SessionID = first.SessionID },
		"session MAC": func(l *storage.Login) { l.SessionMAC = first.SessionMAC },
		"grant ID":    func(l *storage.Login) { l.Grant.ID = first.Grant.ID },
		"code MAC":    func(l *storage.Login) { l.Grant.CodeMAC = first.Grant.CodeMAC },
		"user ID":     func(l *storage.Login) { l.NewUserID = first.NewUserID },
	} {
		l := c.newLogin(newNumber())
		take(&l)
		if _, err := c.store.OpenSession(c.Context(), l, c.now); err == nil {
			c.Errorf("a taken %s was taken again", name)
		} else {
			c.want(err, storage.ErrConflict)
		}
		_, err := c.store.UserByNumber(c.Context(), l.Number)
		c.want(err, storage.ErrNotFound)
	}
}

func loginWithoutTime(c *sqlCase) {
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	l := c.newLogin(newNumber())
	_, err := c.store.OpenSession(ctx, l, c.now)
	c.want(err, storage.ErrUnavailable)
	_, err = c.store.User(ctx, l.NewUserID)
	c.want(err, storage.ErrUnavailable)
	_, err = c.store.User(c.Context(), l.NewUserID)
	c.want(err, storage.ErrNotFound)
}

var sessionPromises = []promise{
	{"SessionEndsAtItsAbsoluteEnd", sessionAbsolute},
	{"SessionEndsWhenItRests", sessionIdle},
	{"LoginEndsTheBrowsersOldSessionButNotItsGrants", sessionReplaced},
	{"APersonsGrantsFollowThemToTheirNewSession", grantsFollow},
	{"AnsweredTransactionStaysAnswered", transactionAnswered},
	{"EndedSessionRevokesItsGrants", sessionEnded},
	{"EndingASessionTwiceIsNoError", sessionEndedTwice},
	{"NoMACFindsNoSession", sessionWithoutMAC},
}

func sessionAbsolute(c *sqlCase) {
	l, opened := c.login()
	end := opened.Session.ExpiresAt
	c.must(c.store.TouchSession(c.Context(), l.SessionID, end.Add(-time.Hour)))
	c.must(c.sessionOf(l, end.Add(-time.Second)))
	c.want(c.sessionOf(l, end), storage.ErrNotFound)
}

func sessionIdle(c *sqlCase) {
	l, _ := c.login()
	c.must(c.sessionOf(l, c.sec.Add(72*time.Hour-time.Second)))
	c.want(c.sessionOf(l, c.sec.Add(72*time.Hour)), storage.ErrNotFound)
	c.must(c.store.TouchSession(c.Context(), l.SessionID, c.sec.Add(71*time.Hour)))
	c.must(c.sessionOf(l, c.sec.Add(72*time.Hour)))
	// A slow server's clock takes nothing back.
	c.must(c.store.TouchSession(c.Context(), l.SessionID, c.sec))
	c.must(c.sessionOf(l, c.sec.Add(72*time.Hour)))
	c.must(c.store.TouchSession(c.Context(), "unknown", c.sec))
}

func sessionReplaced(c *sqlCase) {
	old, _ := c.login()
	l := c.newLogin(newNumber())
	l.ReplacesMACs = [][]byte{newMAC(), old.SessionMAC}
	_, err := c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
	c.want(c.sessionOf(old, c.now), storage.ErrNotFound)
	c.must(c.sessionOf(l, c.now))
	if g := c.grant(old); !g.RevokedAt.IsZero() {
		c.Error("a login revoked the grants of the browser's old session")
	}
}

func sessionEnded(c *sqlCase) {
	l, _ := c.login()
	other, _ := c.login()
	sso := c.newGrant()
	sso.UserID, sso.SessionID, sso.AuthTime = l.NewUserID, l.SessionID, c.now
	c.must(c.store.CreateGrant(c.Context(), sso, c.now))

	changes := c.changed(func() { c.must(c.store.EndSession(c.Context(), l.SessionID, c.now)) })
	if diff := cmp.Diff([]storage.Change{{Kind: storage.ChangeGrant}}, changes); diff != "" {
		c.Errorf("changes (-want +got):\n%s", diff)
	}
	c.want(c.sessionOf(l, c.now), storage.ErrNotFound)
	c.must(c.sessionOf(other, c.now))
	revoked, err := c.store.RevokedGrants(c.Context(), c.sec)
	c.must(err)
	got := map[storage.GrantID]time.Time{}
	for _, r := range revoked {
		got[r.ID] = r.RevokedAt
	}
	if diff := cmp.Diff(map[storage.GrantID]time.Time{l.Grant.ID: c.sec, sso.ID: c.sec}, got); diff != "" {
		c.Errorf("revoked grants (-want +got):\n%s", diff)
	}
}

// grantsFollow logs the same person, and another one, in over one session: the
// end of each new session ends the person's own grants alone.
func grantsFollow(c *sqlCase) {
	first, _ := c.login()
	same := c.newLogin(first.Number)
	same.ReplacesMACs = [][]byte{first.SessionMAC}
	_, err := c.store.OpenSession(c.Context(), same, c.now)
	c.must(err)
	other := c.newLogin(newNumber())
	other.ReplacesMACs = [][]byte{same.SessionMAC}
	_, err = c.store.OpenSession(c.Context(), other, c.now)
	c.must(err)

	wantRevoked := func(login storage.Login, want bool) {
		c.Helper()
		g, _, err := c.store.GrantByCode(c.Context(), [][]byte{login.Grant.CodeMAC})
		c.must(err)
		if got := !g.RevokedAt.IsZero(); got != want {
			c.Errorf("grant of session %s: revoked %v, want %v", login.SessionID, got, want)
		}
	}
	c.must(c.store.EndSession(c.Context(), other.SessionID, c.now))
	wantRevoked(other, true)
	wantRevoked(first, false)
	wantRevoked(same, false)
	c.must(c.store.EndSession(c.Context(), same.SessionID, c.now))
	wantRevoked(same, true)
	wantRevoked(first, true)
}

func transactionAnswered(c *sqlCase) {
	want := func(id storage.TransactionID, want bool) {
		c.Helper()
		got, err := c.store.Answered(c.Context(), id)
		c.must(err)
		if got != want {
			c.Errorf("answered %v, want %v", got, want)
		}
	}
	l := c.newLogin(newNumber())
	want(l.Grant.Transaction, false)
	_, err := c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
	want(l.Grant.Transaction, true)
	c.must(c.store.RevokeGrant(c.Context(), l.Grant.ID, c.now))
	want(l.Grant.Transaction, true)
}

func sessionEndedTwice(c *sqlCase) {
	l, _ := c.login()
	c.must(c.store.EndSession(c.Context(), l.SessionID, c.now))
	changes := c.changed(func() { c.must(c.store.EndSession(c.Context(), l.SessionID, c.now.Add(time.Hour))) })
	if len(changes) != 0 {
		c.Errorf("ending a session again left changes: %v", changes)
	}
	c.want(c.store.EndSession(c.Context(), "unknown", c.now), storage.ErrNotFound)
}

func sessionWithoutMAC(c *sqlCase) {
	c.login()
	_, _, err := c.store.SessionByMAC(c.Context(), nil, c.now, time.Hour)
	c.want(err, storage.ErrNotFound)
	_, _, err = c.store.GrantByCode(c.Context(), nil)
	c.want(err, storage.ErrNotFound)
}
