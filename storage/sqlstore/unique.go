package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// Of some attributes no two people may have the same value: an employee number.
// Which they are the configuration says; the index follows it when the store opens.

// uniqueValue is one such attribute of one person. text is the value as JSON, so
// that 1 and "1" differ.
type uniqueValue struct{ name, text string }

func (s *Store) uniqueValues(u storage.User) (all []uniqueValue, err error) {
	for _, name := range s.unique {
		value, ok := u.Attributes[name]
		if !ok || value == nil {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %s of %s: %w", name, u.ID, err)
		}
		all = append(all, uniqueValue{name, string(text)})
	}
	return all, nil
}

// free reports who else has the number or a unique attribute of u as a
// [*storage.TakenError].
func (s *Store) free(c *conn, u storage.User) error {
	switch owner, err := s.ownerOf(c, u.Number); {
	case err != nil:
		return err
	case owner != "" && owner != u.ID:
		return &storage.TakenError{Field: "phone_number", By: owner}
	}
	values, err := s.uniqueValues(u)
	if err != nil {
		return err
	}
	for _, v := range values {
		switch owner, err := s.ownerOfValue(c, v); {
		case err != nil:
			return err
		case owner != "" && owner != u.ID:
			return &storage.TakenError{Field: "attributes." + v.name, By: owner}
		}
	}
	return nil
}

// ownerOf returns who has a number; empty for nobody.
func (s *Store) ownerOf(c *conn, n phone.Number) (storage.UserID, error) {
	u, _, err := s.findUser(c, n)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return u.ID, err
}

func (s *Store) ownerOfValue(c *conn, v uniqueValue) (owner storage.UserID, err error) {
	for _, index := range s.vault.MACs(vault.AttributeIndex, v.name, v.text) {
		err = c.row(userOfAttribute, index).Scan(&owner)
		if !errors.Is(err, storage.ErrNotFound) {
			return owner, err
		}
	}
	return "", nil
}

// putUnique writes the person's part of the index anew, under the active secret key.
// The values must be free.
func (s *Store) putUnique(c *conn, u storage.User) error {
	if len(s.unique) == 0 {
		return nil
	}
	if _, err := c.exec(deleteUniqueOfUser, string(u.ID)); err != nil {
		return err
	}
	values, err := s.uniqueValues(u)
	if err != nil {
		return err
	}
	for _, v := range values {
		_, err := c.exec(insertUniqueAttribute, string(u.ID), v.name, s.vault.MAC(vault.AttributeIndex, v.name, v.text))
		if err != nil {
			return err
		}
	}
	return nil
}

// indexUnique makes the index complete for the attributes that are unique now, and
// forgets the others, which are written without it from here on.
func (s *Store) indexUnique(ctx context.Context) error {
	var names []string
	err := s.db.read(ctx, func(c *conn) (err error) {
		names, err = list(c, indexedAttributes, scanText)
		return err
	})
	if err != nil || slices.Equal(names, s.unique) {
		return err
	}
	return s.db.write(ctx, durable, func(c *conn) error {
		names, err := list(c, indexedAttributes, scanText)
		if err != nil {
			return err
		}
		for _, name := range names {
			if slices.Contains(s.unique, name) {
				continue
			}
			if _, err := c.exec(deleteUniqueAttribute, name); err != nil {
				return err
			}
			if _, err := c.exec(deleteIndexedAttribute, name); err != nil {
				return err
			}
		}
		return s.indexMore(c, slices.DeleteFunc(slices.Clone(s.unique), func(name string) bool {
			return slices.Contains(names, name)
		}))
	})
}

// indexPage is how many people eachPerson reads at a time.
const indexPage = 500

// indexMore walks everyone for attributes that were not unique before.
func (s *Store) indexMore(c *conn, names []string) error {
	if len(names) == 0 {
		return nil
	}
	err := s.eachPerson(c, func(u storage.User) error { return s.indexPerson(c, u, names) })
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := c.exec(insertIndexedAttribute, name); err != nil {
			return err
		}
	}
	return nil
}

// CheckUnique reports, as a store that opens would, people who share the value of an
// attribute that is to be unique. It changes nothing.
func (s *Store) CheckUnique(ctx context.Context) error {
	return wrap("check attributes", s.db.read(ctx, func(c *conn) error {
		names, err := list(c, indexedAttributes, scanText)
		if err != nil || slices.Equal(names, s.unique) {
			return err
		}
		owners := map[uniqueValue]storage.UserID{}
		return s.eachPerson(c, func(u storage.User) error {
			values, err := s.uniqueValues(u)
			for _, v := range values {
				if owner, ok := owners[v]; ok {
					return shared(v.name, owner, u.ID)
				}
				owners[v] = u.ID
			}
			return err
		})
	}))
}

func shared(name string, a, b storage.UserID) error {
	return fmt.Errorf("%w: attribute %s is to be unique, and %s and %s have the same", storage.ErrConflict, name, a, b)
}

// eachPerson visits everyone, page by page.
func (s *Store) eachPerson(c *conn, visit func(storage.User) error) error {
	for after := ""; ; {
		people, err := list(c, usersAfter, s.scanUser, after, int64(indexPage))
		if err != nil {
			return err
		}
		for _, u := range people {
			if err := visit(u); err != nil {
				return err
			}
			after = string(u.ID)
		}
		if len(people) < indexPage {
			return nil
		}
	}
}

func (s *Store) indexPerson(c *conn, u storage.User, names []string) error {
	values, err := s.uniqueValues(u)
	if err != nil {
		return err
	}
	for _, v := range values {
		if !slices.Contains(names, v.name) {
			continue
		}
		owner, err := s.ownerOfValue(c, v)
		if err != nil {
			return err
		}
		if owner != "" {
			return shared(v.name, owner, u.ID)
		}
		_, err = c.exec(insertUniqueAttribute, string(u.ID), v.name, s.vault.MAC(vault.AttributeIndex, v.name, v.text))
		if err != nil {
			return err
		}
	}
	return nil
}

func scanText(r scanner) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}
