package storagetest

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// RunSQLKept checks what must outlive the process. open must open the one database
// that belongs to t, the same each time, with the given keys; the caller closes it.
func RunSQLKept(t *testing.T, open func(t *testing.T, v *vault.Vault) SQL) {
	t.Helper()
	for _, p := range []struct {
		name string
		keep func(t *testing.T, open func(v *vault.Vault) *sqlCase)
	}{
		{"WhatWasAcknowledgedIsThereAfterARestart", keptRestart},
		{"SecretKeyCanBeReplaced", keptNewSecret},
		{"LoginBringsThePersonUnderTheNewSecretKey", keptLoginReseals},
		{"ReceiptFindsItsTextWhileTheSecretKeyIsReplaced", keptReceipts},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.keep(t, func(v *vault.Vault) *sqlCase { return newSQLCase(t, open(t, v)) })
		})
	}
}

// secret is a new secret key.
func secret() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

func vaultOf(t *testing.T, secrets ...[]byte) *vault.Vault {
	t.Helper()
	v, err := vault.New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func keptRestart(t *testing.T, open func(*vault.Vault) *sqlCase) {
	v := vaultOf(t, secret())
	c := open(v)
	l, f := c.refreshable()
	_, err := c.rotate(f, 1, 0)
	c.must(err)
	c.must(c.store.CreateClient(c.Context(), c.newClient()))
	c.replaceKeys(c.newKey("k", c.sec))
	before := dump(c, l, f)
	c.must(c.store.Close())

	c = open(v)
	if diff := cmp.Diff(before, dump(c, l, f), numbers, cmp.AllowUnexported(kept{})); diff != "" {
		c.Errorf("after a restart (-before +after):\n%s", diff)
	}
	c.must(c.store.Close())
}

// kept is a sight of a whole database.
type kept struct {
	user    storage.User
	grant   storage.Grant
	family  storage.RefreshFamily
	clients []storage.Client
	keys    []storage.SigningKey
	options []storage.Connection
	last    int64
}

func dump(c *sqlCase, l storage.Login, f storage.RefreshFamily) (k kept) {
	c.Helper()
	var err error
	k.user, err = c.store.UserByNumber(c.Context(), l.Number)
	c.must(err)
	k.grant, k.family = c.grant(l), c.family(f.ID)
	c.must(c.sessionOf(l, c.now))
	k.clients, err = c.store.Clients(c.Context())
	c.must(err)
	k.keys, err = c.store.SigningKeys(c.Context())
	c.must(err)
	k.options, err = c.store.Connections(c.Context())
	c.must(err)
	k.last, err = c.store.LastChange(c.Context())
	c.must(err)
	return k
}

func keptNewSecret(t *testing.T, open func(*vault.Vault) *sqlCase) {
	older, newer := secret(), secret()
	c := open(vaultOf(t, older))
	l, f := c.refreshable()
	c.setAttribute(l.NewUserID)
	for range 450 { // more than a batch
		u := storage.User{ID: newUserID(), Number: newNumber(), CreatedAt: c.now, UpdatedAt: c.now, Attributes: map[string]any{"a": "b"}}
		c.must(c.store.AddUser(c.Context(), u))
	}
	withMetadata := c.newProfile()
	c.must(c.store.AddProfile(c.Context(), withMetadata))
	text := c.newText("AAAA11")
	text.Number = l.Number
	c.saveTexts(text)
	pending, over := c.verification(), c.verification()
	c.must(c.end(over, storage.VerificationTerminated, c.now))
	over.Status, over.EndedAt, over.Reason = storage.VerificationTerminated, c.now.Truncate(time.Millisecond), "because"
	c.replaceKeys(c.newKey("k", c.sec))
	before := dump(c, l, f)
	c.must(c.store.Close())

	c = open(vaultOf(t, newer, older))
	if diff := cmp.Diff(before, dump(c, l, f), numbers, cmp.AllowUnexported(kept{})); diff != "" {
		c.Errorf("with both keys (-before +after):\n%s", diff)
	}
	c.must(c.store.Reseal(c.Context()))
	c.must(c.store.Close())

	c = open(vaultOf(t, newer))
	if diff := cmp.Diff(before, dump(c, l, f), numbers, cmp.AllowUnexported(kept{})); diff != "" {
		c.Errorf("with the new key (-before +after):\n%s", diff)
	}
	people, err := c.store.Users(c.Context(), "", 1000)
	c.must(err)
	if len(people) != 452 {
		c.Errorf("%d people open with the new key, want 452", len(people))
	}
	c.isKept(withMetadata)
	c.attributeTaken()
	timeline := c.timeline("AAAA11")
	if len(timeline.Texts) != 1 || timeline.Texts[0].Number != l.Number {
		c.Errorf("texts with the new key: %+v", timeline.Texts)
	}
	c.wantVerification(pending, c.now)
	c.wantVerification(over, c.now)
	c.must(c.store.Close())
}

func keptLoginReseals(t *testing.T, open func(*vault.Vault) *sqlCase) {
	older, newer := secret(), secret()
	c := open(vaultOf(t, older))
	l, _ := c.login()
	c.setAttribute(l.NewUserID)
	c.must(c.store.Close())

	c = open(vaultOf(t, newer, older))
	again, err := c.store.OpenSession(c.Context(), c.newLogin(l.Number), c.now)
	c.must(err)
	if again.NewUser || again.User.ID != l.NewUserID {
		c.Errorf("login under a new key: new %v, sub %s; want %s", again.NewUser, again.User.ID, l.NewUserID)
	}
	// The number is taken, under whatever key it is kept.
	err = c.store.AddUser(c.Context(), storage.User{ID: newUserID(), Number: l.Number, CreatedAt: c.now, UpdatedAt: c.now})
	c.want(err, storage.ErrConflict)
	c.attributeTaken()
	c.must(c.store.Reseal(c.Context()))
	c.must(c.store.Close())

	c = open(vaultOf(t, newer))
	u, err := c.store.UserByNumber(c.Context(), l.Number)
	c.must(err)
	if u.ID != l.NewUserID || u.Attributes["employee_id"] != "291" {
		c.Errorf("%s with %v, want %s with an employee number", u.ID, u.Attributes, l.NewUserID)
	}
	c.must(c.store.Close())
}

// keptReceipts: a text and what is said of it may be written under different keys, in
// either order, and what was told under one is a replay under the other.
func keptReceipts(t *testing.T, open func(*vault.Vault) *sqlCase) {
	older, newer := secret(), secret()
	c := open(vaultOf(t, older))
	receipt := func(sender, name, state string) error {
		return c.store.SaveReceipt(c.Context(), storage.TextReceipt{Sender: sender, MessageID: name, State: state, At: c.now})
	}
	first, early := c.newText("AAAA11"), c.newText("BBBB22")
	c.saveTexts(first)
	c.must(receipt("main", first.MessageID, "accepted"))
	c.must(c.store.Close())

	c = open(vaultOf(t, older, newer))
	c.must(receipt("main", first.MessageID, "sent"))
	c.must(receipt("main", early.MessageID, "sent"))
	c.want(receipt("main", first.MessageID, "accepted"), storage.ErrConsumed)
	c.must(c.store.Close())

	c = open(vaultOf(t, newer, older))
	c.saveTexts(early)
	c.must(receipt("main", first.MessageID, "delivered"))
	c.must(receipt("other", string(first.ID), "failed"))
	c.must(receipt("main", early.MessageID, "delivered"))
	c.want(receipt("main", first.MessageID, "sent"), storage.ErrConsumed)
	wants := func() {
		t.Helper()
		for reference, want := range map[string]int{"AAAA11": 4, "BBBB22": 2} {
			if got := c.timeline(reference).Receipts; len(got) != want {
				c.Errorf("%s has %d receipts, want %d: %+v", reference, len(got), want, got)
			}
		}
	}
	wants()
	c.must(c.store.Reseal(c.Context()))
	c.must(c.store.Close())

	// What was found under the old key is found without it.
	c = open(vaultOf(t, newer))
	wants()
	c.must(c.store.Close())
}

// setAttribute gives a person something that is sealed beside the number.
func (c *sqlCase) setAttribute(id storage.UserID) {
	c.Helper()
	c.must(c.store.UpdateUser(c.Context(), id, func(u *storage.User) error {
		u.Attributes = map[string]any{"employee_id": "291"}
		return nil
	}))
}

// attributeTaken checks that what setAttribute gave is nobody else's, under whatever
// key it is kept.
func (c *sqlCase) attributeTaken() {
	c.Helper()
	c.want(c.store.AddUser(c.Context(), storage.User{
		ID: newUserID(), Number: newNumber(), CreatedAt: c.now, UpdatedAt: c.now, Attributes: map[string]any{"employee_id": "291"},
	}), storage.ErrConflict)
}
