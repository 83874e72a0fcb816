package storagetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// SQL is what a store of lasting things can do. Every write is one transaction and
// leaves its row in the changes; an error says that nothing was written, except
// where a case says otherwise.
type SQL interface {
	sessionStore
	grantStore
	refreshStore
	peopleStore
	clientStore
	apiStore
	assignmentStore
	subjectStore
	registryStore
	textStore
	verificationStore
	Changes(ctx context.Context, after int64) ([]storage.Change, error)
	LastChange(ctx context.Context) (int64, error)
	Sweep(ctx context.Context, now time.Time) error
	Reseal(ctx context.Context) error
	Ping(ctx context.Context) error
	Close() error
}

type sessionStore interface {
	OpenSession(ctx context.Context, l storage.Login, now time.Time) (storage.Opened, error)
	SessionByMAC(ctx context.Context, macs [][]byte, now time.Time, idle time.Duration) (storage.Session, storage.User, error)
	TouchSession(ctx context.Context, id storage.SessionID, now time.Time) error
	EndSession(ctx context.Context, id storage.SessionID, now time.Time) error
}

type grantStore interface {
	CreateGrant(ctx context.Context, g storage.NewGrant, now time.Time) error
	GrantByCode(ctx context.Context, macs [][]byte) (storage.Grant, storage.User, error)
	Answered(ctx context.Context, id storage.TransactionID) (bool, error)
	RedeemGrant(ctx context.Context, r storage.Redemption) error
	RevokeGrant(ctx context.Context, id storage.GrantID, now time.Time) error
	RevokedGrants(ctx context.Context, since time.Time) ([]storage.RevokedGrant, error)
	RevokedAPIGrants(ctx context.Context, now time.Time) ([]storage.RevokedGrant, error)
	RevokeToken(ctx context.Context, t storage.RevokedToken) error
	RevokedTokens(ctx context.Context, since time.Time) ([]storage.RevokedToken, error)
}

type refreshStore interface {
	RefreshFamily(ctx context.Context, id storage.FamilyID) (storage.RefreshFamily, storage.Grant, storage.User, error)
	RotateRefreshToken(ctx context.Context, r storage.Rotation) (storage.Rotated, error)
}

type peopleStore interface {
	User(ctx context.Context, id storage.UserID) (storage.User, error)
	UserByNumber(ctx context.Context, number phone.Number) (storage.User, error)
	Users(ctx context.Context, after storage.UserID, limit int) ([]storage.User, error)
	AddUser(ctx context.Context, u storage.User) error
	UpdateUser(ctx context.Context, id storage.UserID, edit func(*storage.User) error) error
	ImportUsers(ctx context.Context, people []storage.Import, mode storage.ImportMode, now time.Time) ([]storage.Imported, error)
	BlockUser(ctx context.Context, id storage.UserID, now time.Time) error
	UnblockUser(ctx context.Context, id storage.UserID, now time.Time) error
	RemoveUser(ctx context.Context, id storage.UserID, now time.Time) error
	Profile(ctx context.Context, id storage.UserID) (storage.Profile, error)
	Profiles(ctx context.Context, skip, limit int) ([]storage.Profile, int, error)
	AddProfile(ctx context.Context, p storage.Profile) error
	EditProfile(ctx context.Context, id storage.UserID, now time.Time, edit func(*storage.Profile) error) (storage.Profile, error)
}

type clientStore interface {
	Clients(ctx context.Context) ([]storage.Client, error)
	Client(ctx context.Context, id storage.ClientID) (storage.Client, error)
	CreateClient(ctx context.Context, client storage.Client) error
	UpdateClient(ctx context.Context, id storage.ClientID, edit func(*storage.Client) error) error
	RemoveClient(ctx context.Context, id storage.ClientID, now time.Time) error
}

type apiStore interface {
	APIs(ctx context.Context) ([]storage.API, error)
	API(ctx context.Context, id storage.Audience) (storage.API, error)
	CreateAPI(ctx context.Context, api storage.API) error
	UpdateAPI(ctx context.Context, id storage.Audience, edit func(*storage.API) error) error
	RemoveAPI(ctx context.Context, id storage.Audience, now time.Time) error
	ClientGrants(ctx context.Context) ([]storage.ClientGrant, error)
	PutClientGrant(ctx context.Context, g storage.ClientGrant) error
	CreateClientGrant(ctx context.Context, g storage.ClientGrant) error
	UpdateClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience, edit func(*storage.ClientGrant) error) error
	RemoveClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience) error
}

type assignmentStore interface {
	Assignments(ctx context.Context, user storage.UserID) ([]storage.Assignment, error)
	Assign(ctx context.Context, a storage.Assignment, now time.Time) error
	Unassign(ctx context.Context, user storage.UserID, audience storage.Audience, now time.Time) error
}

type subjectStore interface {
	Subject(ctx context.Context, user storage.UserID, sector storage.Sector, fresh storage.Subject) (storage.Subject, error)
	UserBySubject(ctx context.Context, sub storage.Subject) (storage.UserID, error)
}

type registryStore interface {
	Connections(ctx context.Context) ([]storage.Connection, error)
	Connection(ctx context.Context, name storage.ConnectionName) (storage.Connection, error)
	PutConnection(ctx context.Context, connection storage.Connection) error
	CreateConnection(ctx context.Context, connection storage.Connection) error
	UpdateConnection(ctx context.Context, name storage.ConnectionName, edit func(*storage.Connection) error) error
	RemoveConnection(ctx context.Context, name storage.ConnectionName) error
	SigningKeys(ctx context.Context) ([]storage.SigningKey, error)
	UpdateSigningKeys(ctx context.Context, edit func([]storage.SigningKey) ([]storage.SigningKey, error)) error
}

// promise is one case of the suite.
type promise struct {
	name string
	keep func(*sqlCase)
}

// RunSQL checks the promises. open must return a store on a new, empty database and
// close it when the test ends; it keeps grants for 24 h after their last token, and the
// attribute employee_id is unique in it.
func RunSQL(t *testing.T, open func(t *testing.T) SQL) {
	t.Helper()
	topics := [][]promise{
		loginPromises, sessionPromises, grantPromises, refreshPromises, peoplePromises, profilePromises, importPromises,
		clientPromises, apiPromises, assignmentPromises, subjectPromises, registryPromises, textPromises, verificationPromises,
		sweepPromises,
	}
	for _, topic := range topics {
		for _, p := range topic {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.keep(newSQLCase(t, open(t)))
			})
		}
	}
}

// sqlCase is one case at work on a store of its own.
type sqlCase struct {
	*testing.T
	store SQL
	now   time.Time // not a whole second, as in life
	sec   time.Time // now as kept
}

func newSQLCase(t *testing.T, store SQL) *sqlCase {
	now := time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC)
	return &sqlCase{T: t, store: store, now: now, sec: now.Truncate(time.Second)}
}

// must stops the case at an error.
func (c *sqlCase) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// want checks for an error of package storage.
func (c *sqlCase) want(err, want error) {
	c.Helper()
	if !errors.Is(err, want) {
		c.Fatalf("error = %v, want %v", err, want)
	}
}

var lastNumber atomic.Int64

// newNumber is a number that no other case uses.
func newNumber() phone.Number {
	n, err := phone.FromStored(fmt.Sprintf("+8190%08d", lastNumber.Add(1)))
	if err != nil {
		panic(err) // unreachable: the form is right
	}
	return n
}

// newMAC stands for a MAC: the name of a key and 32 bytes.
func newMAC() []byte {
	mac := make([]byte, 36)
	rand.Read(mac)
	return mac
}

func newUserID() storage.UserID { return storage.UserID("sms|" + rand.Text()) }

// newGrant answers one transaction of the client "app".
func (c *sqlCase) newGrant() storage.NewGrant {
	return storage.NewGrant{
		ID:            storage.GrantID(rand.Text()),
		Transaction:   storage.TransactionID(rand.Text()),
		CodeMAC:       newMAC(),
		CodeExpires:   c.now.Add(time.Minute),
		ClientID:      "app",
		RedirectURI:   "https://app.example/callback?a=b",
		Scopes:        []string{"openid", "phone", "offline_access"},
		Nonce:         "n-0S6_WzA2Mj",
		CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		ACR:           "urn:example:sms",
	}
}

// newLogin proves a number for a new browser.
func (c *sqlCase) newLogin(number phone.Number) storage.Login {
	grant := c.newGrant()
	return storage.Login{
		Number:     number,
		Challenge:  storage.ChallengeID("login:" + string(grant.Transaction)),
		NewUserID:  newUserID(),
		SessionID:  storage.SessionID(rand.Text()),
		SessionMAC: newMAC(),
		ExpiresAt:  c.now.Add(7 * 24 * time.Hour),
		Grant:      grant,
	}
}

// login opens a session for a new person.
func (c *sqlCase) login() (storage.Login, storage.Opened) {
	c.Helper()
	l := c.newLogin(newNumber())
	opened, err := c.store.OpenSession(c.Context(), l, c.now)
	c.must(err)
	return l, opened
}

// refreshable is a redeemed grant with a refresh family.
func (c *sqlCase) refreshable() (storage.Login, storage.RefreshFamily) {
	c.Helper()
	l, _ := c.login()
	f := storage.RefreshFamily{
		ID: storage.FamilyID(rand.Text()), GrantID: l.Grant.ID, Counter: 1, CreatedAt: c.sec,
		IdleExpires: c.sec.Add(7 * 24 * time.Hour), AbsoluteExpires: c.sec.Add(30 * 24 * time.Hour),
	}
	c.must(c.store.RedeemGrant(c.Context(), storage.Redemption{Grant: l.Grant.ID, Now: c.now, Refresh: &f}))
	return l, f
}

// grant reads the grant of a login by its code.
func (c *sqlCase) grant(l storage.Login) storage.Grant {
	c.Helper()
	g, _, err := c.store.GrantByCode(c.Context(), [][]byte{l.Grant.CodeMAC})
	c.must(err)
	return g
}

// sessionOf looks a login's session up by its cookie.
func (c *sqlCase) sessionOf(l storage.Login, now time.Time) error {
	_, _, err := c.store.SessionByMAC(c.Context(), [][]byte{l.SessionMAC}, now, 72*time.Hour)
	return err
}

// changed returns the changes that do makes.
func (c *sqlCase) changed(do func()) []storage.Change {
	c.Helper()
	last, err := c.store.LastChange(c.Context())
	c.must(err)
	do()
	changes, err := c.store.Changes(c.Context(), last)
	c.must(err)
	for i := range changes {
		if changes[i].ID <= last {
			c.Errorf("change %d is not behind %d", changes[i].ID, last)
		}
		last = changes[i].ID
		changes[i].ID = 0
	}
	return changes
}

const racers = 50

// race runs do in 50 goroutines at once and counts the errors by kind.
func (c *sqlCase) race(do func(i int) error) (won int, lost []error) {
	c.Helper()
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			lost = append(lost, err)
		}
	}
	return won, lost
}

// oneWinner checks that one racer won and all others lost for the same reason.
func (c *sqlCase) oneWinner(reason error, do func(i int) error) {
	c.Helper()
	won, lost := c.race(do)
	if won != 1 {
		c.Errorf("%d of %d racers won, want 1", won, racers)
	}
	for _, err := range lost {
		if !errors.Is(err, reason) {
			c.Errorf("a racer lost by %v, want %v", err, reason)
		}
	}
}
