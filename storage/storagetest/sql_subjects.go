package storagetest

import (
	"crypto/rand"
	"sync"

	"github.com/handset-oidc/handset/storage"
)

var subjectPromises = []promise{
	{"SubjectStaysThePersonsInItsSector", subjectStays},
	{"SubjectIsOneUnder50Racers", subjectRace},
	{"SubjectNamesOnePerson", subjectNamesOne},
}

func newSubject() storage.Subject { return storage.Subject(rand.Text()) }

func (c *sqlCase) subject(user storage.UserID, sector storage.Sector) storage.Subject {
	c.Helper()
	sub, err := c.store.Subject(c.Context(), user, sector, newSubject())
	c.must(err)
	return sub
}

func subjectStays(c *sqlCase) {
	l, _ := c.login()
	other, _ := c.login()
	first := newSubject()
	got, err := c.store.Subject(c.Context(), l.NewUserID, "app.example", first)
	c.must(err)
	if got != first || c.subject(l.NewUserID, "app.example") != first {
		c.Errorf("the first subject %s became %s", first, got)
	}
	if c.subject(l.NewUserID, "other.example") == first || c.subject(other.NewUserID, "app.example") == first {
		c.Error("a subject is shared by two sectors or two people")
	}
}

func subjectRace(c *sqlCase) {
	l, _ := c.login()
	var all sync.Map
	won, lost := c.race(func(int) error {
		sub, err := c.store.Subject(c.Context(), l.NewUserID, "app.example", newSubject())
		all.Store(sub, true)
		return err
	})
	n := 0
	all.Range(func(any, any) bool { n++; return true })
	if won != racers || n != 1 {
		c.Errorf("%d of %d got a subject, %d different ones: %v", won, racers, n, lost)
	}
}

func subjectNamesOne(c *sqlCase) {
	l, _ := c.login()
	other, _ := c.login()
	sub := c.subject(l.NewUserID, "app.example")
	user, err := c.store.UserBySubject(c.Context(), sub)
	c.must(err)
	if user != l.NewUserID {
		c.Errorf("subject of %s, want %s", user, l.NewUserID)
	}
	if _, err := c.store.Subject(c.Context(), other.NewUserID, "app.example", sub); err == nil {
		c.Error("a subject was given to a second person")
	}
	for _, unknown := range []storage.Subject{"", "unknown", storage.Subject(l.NewUserID)} {
		_, err = c.store.UserBySubject(c.Context(), unknown)
		c.want(err, storage.ErrNotFound)
	}
	_, err = c.store.Subject(c.Context(), "unknown", "app.example", newSubject())
	c.want(err, storage.ErrNotFound)
	c.must(c.store.RemoveUser(c.Context(), l.NewUserID, c.now))
	_, err = c.store.UserBySubject(c.Context(), sub)
	c.want(err, storage.ErrNotFound)
}
